"""Walks that go wrong where a file says so, and a ledger that holds rollouts to the rules of a fleet."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np

from tests.toys import Coin, Walk

KINDS = ("die", "hang", "raise")


class Faulty(Walk):
    """A walk in which, after `after` steps, the first to take the file of a fault's name has that fault.

    The first to take the file `slow` takes `nap` seconds a step, all the time.
    """

    def __init__(self, n=1, folder="", after=0, nap=0.2, longest=6, seed=None):
        super().__init__(n, longest=longest)
        self.folder, self.after, self.nap, self.taken = Path(folder), after, nap, 0
        self.slow = self.takes("slow")

    def takes(self, name):
        """Whether this one was the first to take it."""
        try:
            os.unlink(self.folder / name)
        except OSError:
            return False
        return True

    def step(self, actions):
        self.taken += 1
        if self.slow:
            time.sleep(self.nap)
        if self.taken > self.after:
            if self.takes("die"):
                os._exit(1)
            if self.takes("hang"):
                time.sleep(1e6)
            if self.takes("raise") or (self.folder / "always").exists():
                raise ZeroDivisionError("the walk\nwent wrong")
        return super().step(actions)


def faulty(folder, **options):
    """The environment, as a fleet takes it."""
    return {"id": "tests.faults:Faulty", "folder": str(folder), **options}


class ByVersion(Coin):
    """Its weights say which version they are of."""

    def spec(self):
        return {"path": "tests.faults:ByVersion", "options": {}}


class Ledger:
    """Looks at every rollout of steps that a fleet of walks gives.

    No step is torn or missing in a slot's stream: an episode goes on where it was, or is never seen again.
    """

    def __init__(self, workers):
        self.workers, self.rows, self.ended = workers, 0, 0
        self.last: dict[int, tuple[int, int]] = {}  # by slot: the episode that goes on, and steps made in it
        self.over: set[int] = set()
        self.lost: set[int] = set()
        self.seeds: dict[int, set[int]] = {}  # by the number of the worker

    def add(self, r):
        """Hold one rollout to the rules."""
        for part in np.split(r.valid, self.workers, axis=1):
            assert part.all() or not part.any()  # a whole request, or nothing
        assert (r.fields["bias"] == r.version)[r.valid].all()
        for slot in range(r.shape[1]):
            for t in np.flatnonzero(r.valid[:, slot]):
                self.row(r, t, slot)
        self.rows += r.decisions
        assert sorted(r.ended["episode"]) == sorted(r.episode[(r.terminated | r.truncated) & r.valid])
        assert r.ended["length"].tolist() == r.ended["return"].tolist()
        return r

    def row(self, r, t, slot):
        episode, (steps, limit) = int(r.episode[t, slot]), r.obs[t, slot].astype(int)
        assert episode not in self.over
        assert episode not in self.lost
        before = self.last.pop(slot, None)
        if before is not None and before[0] == episode:
            assert before[1] == steps
        else:
            assert steps == 0
            assert r.first[t, slot]
            if before is not None:
                self.lost.add(before[0])
        if r.terminated[t, slot] or r.truncated[t, slot]:
            assert steps + 1 == limit
            self.over.add(episode)
        else:
            self.last[slot] = (episode, steps + 1)
        self.seeds.setdefault(episode >> 40, set()).add(int(r.seed[t, slot]))

    def check_seeds(self):
        """No two workers ever played by the same seeds."""
        every = [seed for seeds in self.seeds.values() for seed in seeds]
        assert len(every) == len(set(every))
