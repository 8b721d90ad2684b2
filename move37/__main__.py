"""`python -m move37`."""

import sys

from move37.cli import main

if __name__ == "__main__":
    sys.exit(main())
