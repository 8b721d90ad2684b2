"""Problem streams: which episodes a Sampler starts, each named by `(seed, options)`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from rollouts.rollout import Rollout


@dataclass(frozen=True)
class Problem:
    """What names an episode: the same pair gives the same problem on any environment."""

    seed: int
    options: Mapping[str, Any] | None = None


class Problems(Protocol):
    """A stream of problems whose place can be saved."""

    def take(self, k: int) -> list[Problem]:
        """The next `k` problems."""

    def learn(self, rollout: Rollout) -> None:
        """See what came of the problems (for streams that adapt)."""

    def get_state(self) -> dict[str, Any]:
        """The place in the stream, as plain data."""

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `get_state` gave."""


def seeds_from(entropy: Sequence[int], k: int) -> np.ndarray:
    """`k` independent seeds in [0, 2⁶³) (int64) from a path of integers (`numpy.random.SeedSequence`)."""
    words = np.random.SeedSequence([int(e) for e in entropy]).generate_state(k, np.uint64)
    return (words >> np.uint64(1)).astype(np.int64)


class Uniform:
    """Fresh problems without end: the i-th depends on the stream's seed and i only."""

    def __init__(self, seed: int = 0, options: Mapping[str, Any] | None = None):
        self.seed, self.options, self.taken = seed, options, 0

    def take(self, k: int) -> list[Problem]:
        start, self.taken = self.taken, self.taken + k
        return [
            Problem(int(seeds_from([self.seed, i], 1)[0]), self.options) for i in range(start, self.taken)
        ]

    def learn(self, rollout: Rollout) -> None:
        pass

    def get_state(self) -> dict[str, Any]:
        return {"taken": self.taken}

    def set_state(self, state: Mapping[str, Any]) -> None:
        self.taken = int(state["taken"])


class Listed:
    """A given list of problems, without replacement: each once in every pass, shuffled anew each pass."""

    def __init__(self, problems: Sequence[Problem], seed: int = 0, shuffle: bool = True):
        if not problems:
            raise ValueError("a list of problems needs at least one")
        self.problems, self.seed, self.shuffle, self.taken = list(problems), seed, shuffle, 0

    def take(self, k: int) -> list[Problem]:
        places = np.arange(self.taken, self.taken + k)
        self.taken += k
        turns, at = np.divmod(places, len(self.problems))
        return [self.problems[i] for turn in np.unique(turns) for i in self._order(turn)[at[turns == turn]]]

    def learn(self, rollout: Rollout) -> None:
        pass

    def get_state(self) -> dict[str, Any]:
        return {"taken": self.taken}

    def set_state(self, state: Mapping[str, Any]) -> None:
        self.taken = int(state["taken"])

    def _order(self, turn: int) -> np.ndarray:
        k = len(self.problems)
        return np.random.default_rng([self.seed, turn]).permutation(k) if self.shuffle else np.arange(k)


class Curriculum:
    """Levels of rising difficulty: the next opens once the share of successes at the top passes a bar.

    `levels` are options, easiest first. Half of the problems are of the highest open level, the other half
    are spread evenly over those below it, so that nothing is forgotten.
    """

    def __init__(
        self, levels: Sequence[Mapping[str, Any]], seed: int = 0, bar: float = 0.8, episodes: int = 200
    ):
        self.levels, self.seed, self.bar, self.episodes = [dict(o) for o in levels], seed, bar, episodes
        self.taken, self.level, self.tried, self.solved = 0, 0, 0, 0.0
        self._level_of: dict[int, int] = {}

    def take(self, k: int) -> list[Problem]:
        problems = []
        for i in range(self.taken, self.taken + k):
            coin, pick = np.random.default_rng([self.seed, i]).random(2)
            level = self.level if coin < 0.5 else int(pick * self.level)
            seed = int(seeds_from([self.seed, i], 1)[0])
            self._level_of[seed] = level
            problems.append(Problem(seed, self.levels[level]))
        self.taken += k
        return problems

    def learn(self, rollout: Rollout) -> None:
        for seed, success in zip(rollout.ended["seed"], rollout.ended["success"]):
            if self._level_of.get(int(seed)) == self.level:
                self.tried, self.solved = self.tried + 1, self.solved + float(success)
        self._level_of.clear()
        if self.tried >= self.episodes:
            if self.solved / self.tried >= self.bar and self.level + 1 < len(self.levels):
                self.level += 1
            self.tried, self.solved = 0, 0.0

    def get_state(self) -> dict[str, Any]:
        return {"taken": self.taken, "level": self.level, "tried": self.tried, "solved": self.solved}

    def set_state(self, state: Mapping[str, Any]) -> None:
        self.taken, self.level = int(state["taken"]), int(state["level"])
        self.tried, self.solved = int(state["tried"]), float(state["solved"])
