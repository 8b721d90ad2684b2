"""What holds for every test."""

import os
import re
import sys

import pytest

# Several processes share the cores here: threads that wait must sleep, not spin (many times faster).
# Read once, when torch is loaded: so before any test imports it, and in every process that a test starts.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

STARTS_RAY = re.compile(r"^ +import ray\b|move37\.sweep|\blearners=2", re.MULTILINE)


def pytest_collection_modifyitems(items):
    """Files that start Ray come first: they wait a lot, while another process computes, and none is last."""
    files = {item.path for item in items}
    waits = {path: bool(STARTS_RAY.search(path.read_text())) for path in files}
    items.sort(key=lambda item: not waits[item.path])


@pytest.fixture(scope="module", autouse=True)
def ray_ends():
    """Whoever starts Ray, by a command perhaps, leaves none to the tests of another file."""
    yield
    ray = sys.modules.get("ray")
    if ray is not None and ray.is_initialized():
        ray.shutdown()
