"""How long `move37 --help` takes: the median of ten."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.report import Row, main

TIMES = 10
ASKED = 0.3


def once() -> float:
    """Seconds of one `move37 --help`, the process and all."""
    start = time.perf_counter()
    subprocess.run([Path(sys.executable).with_name("move37"), "--help"], check=True, capture_output=True)
    return time.perf_counter() - start


def rows() -> Iterator[Row]:
    """One row."""
    once()  # reads files that later ones find in memory
    yield Row(
        "move37 --help", "asked for", statistics.median(once() for _ in range(TIMES)), ASKED, 1.0, unit="s"
    )


if __name__ == "__main__":
    main(rows, __doc__)
