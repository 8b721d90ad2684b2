"""Counts what a fleet hands over and what is learned from, whatever is played."""

from __future__ import annotations

import numpy as np

from rollouts.fleet import Fleet


class Census:
    """Of every episode that ended, all rows came, once; and of it nothing more comes."""

    def __init__(self, monkeypatch, learner):
        self.rows: dict[int, int] = {}  # by episode that has not ended
        self.over: set[int] = set()
        self.learned, self.updates, self.numbers = 0, 0, set()
        collect, learn = Fleet.collect, learner.learn

        def collected(fleet, *args, **kwargs):
            return self.add(collect(fleet, *args, **kwargs))

        def learned(own, rollout):
            self.learned, self.updates = self.learned + int(rollout.valid.sum()), self.updates + 1
            return learn(own, rollout)

        monkeypatch.setattr(Fleet, "collect", collected)
        monkeypatch.setattr(learner, "learn", learned)

    def add(self, r):
        ids, counts = np.unique(r.episode[r.valid], return_counts=True)
        for episode, count in zip(ids.tolist(), counts.tolist()):
            assert episode not in self.over
            self.rows[episode] = self.rows.get(episode, 0) + count
        groups = r.ended["group"][r.ended["group"] >= 0]
        assert len(set(np.unique(groups, return_counts=True)[1].tolist())) <= 1  # whole ones
        for episode, length in zip(r.ended["episode"].tolist(), r.ended["length"].tolist()):
            assert self.rows.pop(episode, 0) == length
            self.over.add(episode)
        self.numbers |= set((ids >> 40).tolist())
        return r
