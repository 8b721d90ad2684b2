"""What happened in a run so far: counters, the last episodes, and metrics since the last line of them."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np

from agents.backend import Played
from rollouts.rollout import Rollout

WINDOW = 100
"""Finished training episodes that `return` and `length` are a mean of."""


class Tally:
    """Counts rollouts and updates; its state is plain data, so that a resumed run has the same sums.

    A metric that is an int is a count: a line has the newest. Of one whose name ends in `_max` it has the
    largest, of others the mean over its updates.
    """

    def __init__(self) -> None:
        self.env_steps, self.updates, self.episodes, self.tokens = 0, 0, 0, 0
        self.returns: deque[float] = deque(maxlen=WINDOW)
        self.lengths: deque[float] = deque(maxlen=WINDOW)
        self.sums: dict[str, tuple[float, int]] = {}

    def add(self, rollout: Rollout | Played, metrics: Mapping[str, float]) -> None:
        """Count one update: its valid rows, the episodes that ended, its metrics."""
        self.env_steps += rollout.decisions
        self.updates += 1
        ended = {name: np.asarray(rollout.ended[name]) for name in ("return", "length")}
        self.episodes += len(ended["return"])
        if "error" in rollout.ended:  # a verifier failed: that is not a wrong answer
            judged = np.asarray(rollout.ended["error"]) == 0
            ended = {name: column[judged] for name, column in ended.items()}
        self.returns.extend(map(float, ended["return"]))
        self.lengths.extend(map(float, ended["length"]))
        self.tokens = int(metrics.get("tokens", self.tokens))
        for name, value in metrics.items():
            total, count = self.sums.get(name, (0.0, 0))
            if isinstance(value, int):
                self.sums[name] = (value, 1)
            elif name.endswith("_max"):
                self.sums[name] = (max(total, float(value)) if count else float(value), 1)
            else:
                self.sums[name] = (total + float(value), count + 1)

    @property
    def mean_return(self) -> float:
        """Mean raw return of the last 100 finished training episodes (of fewer at first; NaN of none)."""
        return sum(self.returns) / len(self.returns) if self.returns else math.nan

    def record(self) -> dict[str, float]:
        """One line of metrics of the updates since the last; the sums start anew."""
        length = sum(self.lengths) / len(self.lengths) if self.lengths else math.nan
        record: dict[str, float] = {
            "env_steps": self.env_steps,
            "updates": self.updates,
            "episodes": self.episodes,
            "return": self.mean_return,
            "length": length,
        }
        record |= {name: total / count for name, (total, count) in self.sums.items()}
        self.sums = {}
        return record

    def get_state(self) -> dict[str, Any]:
        """Everything, as plain data."""
        return {
            "env_steps": self.env_steps,
            "updates": self.updates,
            "episodes": self.episodes,
            "tokens": self.tokens,
            "returns": list(self.returns),
            "lengths": list(self.lengths),
            "sums": {name: list(pair) for name, pair in self.sums.items()},
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `get_state` gave."""
        self.env_steps, self.updates = int(state["env_steps"]), int(state["updates"])
        self.episodes, self.tokens = int(state["episodes"]), int(state.get("tokens", 0))
        self.returns.extend(state["returns"])
        self.lengths.extend(state["lengths"])
        self.sums = {name: (total, count) for name, (total, count) in state["sums"].items()}
