"""Simulated machines, each a Ray node on this one, and can be killed with all that runs there."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

WORKER = re.compile(rb"ray::\w*Worker")


class Machines:
    """A cluster of machines with a core each; the first is the driver's, and lives."""

    def __init__(self, count=4):
        from ray.cluster_utils import Cluster

        self.cluster = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
        )
        self.others = [self.cluster.add_node(num_cpus=1, wait=False) for _ in range(count - 1)]
        self.cluster.wait_for_nodes()
        self.address = self.cluster.address

    def kill_worker(self, pick=0):
        """Kill the process of one; False where there is none."""
        busy = [node for node in (self.cluster.head_node, *self.others) if workers_of(node)]
        return bool(busy) and kill_one(busy[pick % len(busy)], pick)

    def kill(self, pick=0):
        """Kill a machine on which a worker is; False where there is none but the driver's."""
        busy = [node for node in self.others if workers_of(node)]
        if busy:
            lost = busy[pick % len(busy)]
            self.others.remove(lost)
            self.cluster.remove_node(lost, allow_graceful=False)
        return bool(busy)

    def add(self):
        """Bring another machine."""
        self.others.append(self.cluster.add_node(num_cpus=1))

    def restore(self, count=4):
        """As many as there were, and nobody connected."""
        import ray

        ray.shutdown()
        while len(self.others) < count - 1:
            self.add()

    def close(self):
        import ray

        ray.shutdown()
        self.cluster.shutdown()


def kill_one(node, pick=0):
    """Kill the process of a worker on a machine; False where there is none."""
    there = sorted(workers_of(node))
    if there:
        os.kill(there[pick % len(there)], signal.SIGKILL)
    return bool(there)


def workers_of(node):
    """The processes of workers among those that the machine's raylet started, by Linux' own account."""
    raylets = [started.process.pid for started in node.all_processes.get("raylet", ())]
    found = []
    for folder in Path("/proc").iterdir():
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent in raylets and WORKER.match((folder / "cmdline").read_bytes()):
                found.append(int(folder.name))
        except (OSError, IndexError):
            continue
    return found
