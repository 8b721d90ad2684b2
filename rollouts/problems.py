"""Problem streams: which episodes a Sampler starts, each named by `(seed, options)`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from rollouts.agent import Metrics

if TYPE_CHECKING:
    from rollouts.rollout import Rollout


@dataclass(frozen=True)
class Problem:
    """What names an episode: the same pair gives the same problem on any environment."""

    seed: int
    options: Mapping[str, Any] | None = None
    seat: int | None = None
    """Against opponents: the agent's seat, such as the mover's in a position; None: it alternates."""


class Problems(Protocol):
    """A stream of problems whose place can be saved."""

    def take(self, k: int) -> list[Problem]:
        """The next `k` problems."""

    def learn(self, rollout: Rollout) -> Metrics:
        """See what came of the problems (for streams that adapt); returns what to log, by name."""

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

    def learn(self, rollout: Rollout) -> Metrics:
        return {}

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

    def learn(self, rollout: Rollout) -> Metrics:
        return {}

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

    def learn(self, rollout: Rollout) -> Metrics:
        for seed, success in zip(rollout.ended["seed"], rollout.ended["success"]):
            if self._level_of.get(int(seed)) == self.level:
                self.tried, self.solved = self.tried + 1, self.solved + float(success)
        _forget(self._level_of, rollout)
        if self.tried >= self.episodes:
            if self.solved / self.tried >= self.bar and self.level + 1 < len(self.levels):
                self.level += 1
            self.tried, self.solved = 0, 0.0
        return {"problems/level": float(self.level)}

    def get_state(self) -> dict[str, Any]:
        return {"taken": self.taken, "level": self.level, "tried": self.tried, "solved": self.solved}

    def set_state(self, state: Mapping[str, Any]) -> None:
        self.taken, self.level = int(state["taken"]), int(state["level"])
        self.tried, self.solved = int(state["tried"]), float(state["solved"])


class Seeking:
    """Goes where there is something to learn: to the choices whose problems are solved now and then.

    `choices` are options, such as a family and a level. A problem that is solved with probability p is worth
    p (1 − p): tries at it that differ are what a group learns from, and where p is 0 or 1 there are none.
    What a choice is worth is estimated from its last `memory` groups or so (without groups: from its
    episodes, taken as one), and begins at ¼, the most there is. A choice is drawn in proportion to its worth,
    but for a share of `floor`, which all have evenly: so what has become learnable shows.
    """

    def __init__(
        self, choices: Sequence[Mapping[str, Any]], seed: int = 0, floor: float = 0.2, memory: int = 32
    ):
        if not choices:
            raise ValueError("problems to seek among need at least one choice")
        self.choices, self.seed, self.floor, self.memory = [dict(o) for o in choices], seed, floor, memory
        self.taken, self.worth = 0, np.full(len(choices), 0.25)
        self._choice_of: dict[int, int] = {}

    def take(self, k: int) -> list[Problem]:
        problems, up_to = [], np.cumsum(self.weights())
        for i in range(self.taken, self.taken + k):
            pick = np.random.default_rng([self.seed, i]).random() * up_to[-1]
            choice = int(np.searchsorted(up_to, pick, side="right"))
            seed = int(seeds_from([self.seed, i], 1)[0])
            self._choice_of[seed] = choice
            problems.append(Problem(seed, self.choices[choice]))
        self.taken += k
        return problems

    def weights(self) -> np.ndarray:
        """The probability of each choice, float64."""
        even = np.full(len(self.worth), 1 / len(self.worth))
        total = self.worth.sum()
        return even if total == 0 else self.floor * even + (1 - self.floor) * self.worth / total

    def learn(self, rollout: Rollout) -> Metrics:
        choice = np.array([self._choice_of.get(int(seed), -1) for seed in rollout.ended["seed"]], np.int64)
        _forget(self._choice_of, rollout)
        judged = (choice >= 0) & (rollout.ended.get("error", np.zeros(len(choice))) == 0)
        group, success = rollout.ended["group"], rollout.ended["success"] > 0
        for k in range(len(self.worth)):
            mine = judged & (choice == k)
            _, number = np.unique(group[mine], return_inverse=True)
            tries, solved = np.bincount(number), np.bincount(number, success[mine])
            several = tries > 1
            spread = solved * (tries - solved) / np.maximum(tries * (tries - 1), 1)  # without bias
            if several.any():
                kept = (1 - 1 / self.memory) ** several.sum()
                self.worth[k] = kept * self.worth[k] + (1 - kept) * spread[several].mean()
        names = ["-".join(str(v) for v in options.values()) for options in self.choices]
        return {f"problems/{name}": float(weight) for name, weight in zip(names, self.weights())}

    def get_state(self) -> dict[str, Any]:
        asked = [[seed, choice] for seed, choice in self._choice_of.items()]
        return {"taken": self.taken, "worth": self.worth.tolist(), "asked": asked}

    def set_state(self, state: Mapping[str, Any]) -> None:
        if len(state["worth"]) != len(self.worth):
            raise ValueError(f"{len(state['worth'])} choices of problems were saved, not {len(self.worth)}")
        self.taken, self.worth = int(state["taken"]), np.array(state["worth"], np.float64)
        self._choice_of = {int(seed): int(choice) for seed, choice in state.get("asked", ())}


def _forget(drawn: dict[int, int], rollout: Rollout) -> None:
    """Take out the problems of a rollout; of others, workers may not have told yet."""
    for seed in np.unique(rollout.ended["seed"]):
        drawn.pop(int(seed), None)
