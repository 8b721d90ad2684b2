"""A bonus for what was rarely seen: visit counts over hashed observations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from envs.rng import GAMMA, mix
from rollouts.agent import Metrics
from rollouts.reward import Term, reached
from rollouts.rollout import Rollout


class Counts(Term):
    """1/√n for an observation that was now seen for the n-th time, which a weight turns into β/√n.

    The bonus is that of MBIE-EB (Strehl and Littman, 2008), over hashes of observations (Tang et al., 2017,
    #Exploration), here of the whole observation (64 bits, as good as exact). Counted is what an action led
    to, be it an episode's last observation; earlier rows count first.

    * `episodic`: count within the episode only, as novelty where every episode has a world of its own
      (Raileanu and Rocktäschel, 2020, RIDE).

    Raises `ValueError` for observations that do not repeat: floats, and text.
    """

    def __init__(self, *, episodic: bool = False) -> None:
        self.episodic = episodic
        self.codes, self.visits = np.zeros(0, np.uint64), np.zeros(0, np.int64)
        self.episodes = np.zeros(0, np.int64)

    def __call__(self, rollout: Rollout) -> np.ndarray:
        seen, valid = reached(rollout, "counts"), rollout.valid
        if seen.dtype.kind == "f":
            said = "counts needs observations that repeat, booleans or whole numbers"
            raise ValueError(f"{said}, not {seen.dtype}; for these there is curiosity")
        codes, episode = hashed(seen[valid]), rollout.episode[valid]
        if self.episodic:
            codes = mix(codes ^ mix(episode.astype(np.uint64)))
        out = np.zeros(rollout.shape, np.float32)
        out[valid] = 1 / np.sqrt(self._count(codes, episode))
        if self.episodic:
            self._keep(np.isin(self.episodes, going_on(rollout)))
        return out

    def learn(self, rollout: Rollout) -> Metrics:
        """Nothing to learn; tells how many `states` were ever seen, where that is what is counted."""
        return {} if self.episodic else {"states": len(self.codes)}

    def state_dict(self) -> dict[str, Any]:
        return {"codes": self.codes, "visits": self.visits, "episodes": self.episodes}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.codes, self.visits = np.array(state["codes"]), np.array(state["visits"])
        self.episodes = np.array(state["episodes"])

    def _count(self, codes: np.ndarray, episode: np.ndarray) -> np.ndarray:
        """How often each code was seen by then, itself included, int64 `[B]`; the table takes them in."""
        found, first, inverse, number = np.unique(
            codes, return_index=True, return_inverse=True, return_counts=True
        )
        in_turn = np.argsort(inverse, kind="stable")
        times = np.empty(len(codes), np.int64)
        times[in_turn] = 1 + np.arange(len(codes)) - np.repeat(np.cumsum(number) - number, number)
        at = np.searchsorted(self.codes, found)
        known = np.zeros(len(found), bool)
        known[at < len(self.codes)] = self.codes[at[at < len(self.codes)]] == found[at < len(self.codes)]
        before = np.zeros(len(found), np.int64)
        before[known] = self.visits[at[known]]
        self.visits[at[known]] += number[known]
        new, place = ~known, at[~known]
        self.codes = np.insert(self.codes, place, found[new])
        self.visits = np.insert(self.visits, place, number[new])
        if self.episodic:
            self.episodes = np.insert(self.episodes, place, episode[first[new]])
        return before[inverse] + times

    def _keep(self, where: np.ndarray) -> None:
        self.codes, self.visits, self.episodes = (x[where] for x in (self.codes, self.visits, self.episodes))


def hashed(rows: np.ndarray) -> np.ndarray:
    """A 64-bit hash of each row `[B, ...]` of booleans or whole numbers, uint64 `[B]`."""
    flat = np.ascontiguousarray(rows.reshape(len(rows), -1))
    octets = np.packbits(flat, axis=1) if flat.dtype == bool else flat.view(np.uint8)
    words = np.pad(octets, ((0, 0), (0, -octets.shape[1] % 8))).view(np.uint64)
    code = np.zeros(len(rows), np.uint64)
    with np.errstate(over="ignore"):
        for word in words.T:
            code = mix((code ^ word) + GAMMA)
    return code


def going_on(rollout: Rollout) -> np.ndarray:
    """The ids of the episodes that go on in later rollouts, those of idle slots among them."""
    over = rollout.terminated | rollout.truncated
    return np.setdiff1d(rollout.episode, rollout.episode[over & rollout.valid])
