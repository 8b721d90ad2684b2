"""What holds for every test."""

import os
import sys

import pytest

# Several processes share the cores here: threads that wait must sleep, not spin (many times faster).
# Read once, when torch is loaded: so before any test imports it, and in every process that a test starts.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


@pytest.fixture(scope="module", autouse=True)
def ray_ends():
    """Whoever starts Ray, by a command perhaps, leaves none to the tests of another file."""
    yield
    ray = sys.modules.get("ray")
    if ray is not None and ray.is_initialized():
        ray.shutdown()
