"""What holds for every test."""

import os

# Several processes share the cores here: threads that wait must sleep, not spin (many times faster).
# Read once, when torch is loaded: so before any test imports it, and in every process that a test starts.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
