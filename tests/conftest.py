"""What holds for every test."""

import os
import re
import sys

import pytest

# Several processes share the cores here: threads that wait must sleep, not spin (many times faster).
# Read once, when torch is loaded: so before any test imports it, and in every process that a test starts.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

STARTS_RAY = re.compile(r"^ +import ray\b|move37\.sweep|Machines\(", re.MULTILINE)


def pytest_collection_modifyitems(config, items):
    """Files that start Ray lead each process's share: they wait a lot, and none of them shall be the last."""
    processes = int(getattr(config, "workerinput", {}).get("workercount", 1))
    files = sorted({item.path for item in items})
    waiting = [path for path in files if STARTS_RAY.search(path.read_text())]
    share_of = {path: k % processes for k, path in enumerate(waiting)}
    shares = [[item for item in items if share_of.get(item.path) == k] for k in range(processes)]
    others = [item for item in items if item.path not in share_of]
    size = -(-len(items) // processes)
    for share in shares:
        room = max(size - len(share), 0)
        share += others[:room]
        del others[:room]
    items[:] = [item for share in shares for item in share] + others


@pytest.fixture(scope="module", autouse=True)
def ray_ends():
    """Whoever starts Ray, by a command perhaps, leaves none to the tests of another file."""
    yield
    ray = sys.modules.get("ray")
    if ray is not None and ray.is_initialized():
        ray.shutdown()
