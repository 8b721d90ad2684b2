"""Faults at random, as a seed has them, and a diary of what was done."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np

BY_FILE = ("hang", "raise", "slow")
"""What an environment does that takes the file of that name: see `tests.faults`."""


@dataclass(frozen=True)
class Fault:
    """What is to be done, to whom (a number), and seconds before it."""

    kind: str
    pick: int
    wait: float


def plan(seed, kinds, count, wait):
    """Faults of these kinds, drawn in proportion to their numbers, every one at least once."""
    rng = np.random.default_rng(seed)
    names, shares = list(kinds), np.array([*kinds.values()], float)
    drawn = [*names, *rng.choice(names, max(0, count - len(names)), p=shares / shares.sum())]
    return [
        Fault(str(kind), int(rng.integers(1 << 16)), float(rng.uniform(*wait)))
        for kind in rng.permutation(drawn)
    ]


@dataclass
class Log:
    """What was done when: printed where a test fails."""

    seed: int
    begun: float = field(default_factory=time.monotonic)
    done: list[tuple[float, str, bool]] = field(default_factory=list)

    def note(self, fault, did):
        """`did`: whether there was anybody to do it to."""
        at, nobody = time.monotonic() - self.begun, "" if did else " (nobody)"
        self.done.append((at, fault.kind, did))
        print(f"seed {self.seed}, {at:6.1f} s: {fault.kind} {fault.pick}{nobody}")

    def count(self, kind):
        return sum(did for _, done, did in self.done if done == kind)


def leave_file(folder, name):
    """Leave a file for an environment to take; False where the one before is still there."""
    there = (folder / name).exists()
    (folder / name).touch()
    return not there
