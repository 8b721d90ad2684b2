"""A backend: another library's algorithm as a learner, which plays by itself and is given no rollouts."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rollouts.agent import Learner, Metrics
from rollouts.rollout import Rollout


@dataclass(frozen=True)
class Played:
    """What a backend did in a turn: how much it played, which episodes ended, what else it tells."""

    decisions: int
    """Env steps."""
    ended: Mapping[str, np.ndarray]
    """`return` (raw) and `length` of each episode that ended, float64 `[k]`."""
    metrics: Metrics = field(default_factory=dict)


class Backend(Learner):
    """A learner that collects for itself. Its loop is `begin`, then `train` again and again, then `close`.

    Its `actor` acts like any other agent: evaluations, games and tournaments are played by it.
    """

    lacks: str
    """What a resumed run does not go on with, in words."""

    @abstractmethod
    def begin(self, where: Mapping[str, Any], n: int, workers: int) -> None:
        """Get ready to play `n` slots of the environment `where` (`id` and options) on `workers` Ray actors.

        Ray runs already. Raises `OptionError` for options that do not fit.
        """

    @abstractmethod
    def train(self) -> Played:
        """Play and learn for a while."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the workers."""

    def learn(self, rollout: Rollout) -> Metrics:
        raise TypeError(f"{type(self).__name__} collects for itself and cannot learn from a rollout")
