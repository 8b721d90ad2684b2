"""How far a run is and how it goes: the numbers that the dashboard and the plain lines show."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np

SERIES = 512
"""Points of a curve that are kept; it is thinned when it grows beyond."""
PHASES = ("collect", "learn", "evaluate", "checkpoint")
TELLING = (
    "entropy",
    "approx_kl",
    "clip_fraction",
    "explained_variance",
    "search_entropy",
    "policy_loss",
    "value_loss",
    "q_mean",
    "q_loss",
    "loss",
    "zero_variance",
    "truncated",
    "epsilon",
    "replay_ratio",
    "grad_norm",
    "lr",
)
"""Learner metrics worth a look, most telling first."""


class Series:
    """A curve of bounded size: when full, every second point is dropped, and then only every second added."""

    def __init__(self) -> None:
        self.x: list[float] = []
        self.y: list[float] = []
        self.stride = 1
        self.seen = 0

    def add(self, x: float, y: float) -> None:
        """Put in one point (left out where `y` is not finite)."""
        if not math.isfinite(y):
            return
        if self.seen % self.stride == 0:
            self.x.append(x)
            self.y.append(y)
        self.seen += 1
        if len(self.x) > SERIES:
            self.x, self.y, self.stride = self.x[::2], self.y[::2], 2 * self.stride

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """`x` and `y`, float64 `[points]`."""
        return np.array(self.x), np.array(self.y)


class Progress:
    """What an observer of a run knows: fed with `start`, `update` and `warn`, read by whoever draws."""

    def __init__(self) -> None:
        self.info: dict[str, Any] = {}
        self.record: dict[str, float] = {}
        self.returns, self.evaluations = Series(), Series()
        self.successes, self.mistakes = Series(), Series()
        self.phases: dict[str, float] = {}
        self.warnings: deque[str] = deque(maxlen=3)
        self.rate = 0.0
        self.begin = (0.0, 0.0)
        self.now = 0.0

    def start(self, info: Mapping[str, Any], now: float) -> None:
        """A run begins or goes on: `info` has its `path`, `env`, `agent`, `budget`, `env_steps` so far."""
        self.info = dict(info)
        self.begin = (now, float(self.info.get("env_steps", 0)))
        self.now = now
        for record in self.info.pop("history", []):
            self._add(record)

    def update(self, record: Mapping[str, float], now: float) -> None:
        """Take in one line of metrics at `now` (seconds of any steady clock)."""
        self._add(record)
        self.now = now
        for phase in PHASES:
            self.phases[phase] = 0.98 * self.phases.get(phase, 0.0) + record.get(f"time/{phase}", 0.0)
        self.rate = record.get("time/steps_per_second", self.rate)

    def _add(self, record: Mapping[str, float]) -> None:
        self.record.update(record)
        steps = self.record.get("env_steps", 0.0)
        for name, series in (
            ("return", self.returns),
            ("eval/return", self.evaluations),
            ("eval/success", self.successes),
            ("eval/mistakes", self.mistakes),
        ):
            if name in record:
                series.add(steps, record[name])

    @property
    def return_name(self) -> str:
        """Whose training episodes' returns are told: the first seat's, which tell little, or an expert's."""
        if self.info.get("imitates"):
            return "expert's return"
        return "first seat" if self.info.get("self_play") else "return"

    @property
    def curve(self) -> tuple[str, Series]:
        """What tells best how well it learns: its name, and the curve."""
        measured = [("evaluation", self.evaluations), ("mistakes", self.mistakes)]
        if self.info.get("text") or self.info.get("imitates"):
            measured.insert(0, ("success", self.successes))
        elif not self.info.get("self_play"):
            measured = []
        return next(
            ((name, series) for name, series in measured if series.y), (self.return_name, self.returns)
        )

    @property
    def elapsed(self) -> float:
        """Seconds since the run began or went on."""
        return self.now - self.begin[0]

    @property
    def spent(self) -> float:
        """Seconds that the run took so far, all resumes together."""
        return float(self.info.get("seconds", 0.0)) + self.elapsed

    @property
    def share(self) -> float | None:
        """Share of the budget that is spent, in [0, 1], where it can be known."""
        budget, shares = self.info.get("budget", {}), []
        if budget.get("env_steps"):
            shares.append(self.record.get("env_steps", self.begin[1]) / budget["env_steps"])
        if budget.get("tokens"):
            shares.append(self.record.get("tokens", 0) / budget["tokens"])
        if budget.get("seconds"):
            shares.append(self.spent / budget["seconds"])
        return min(max(shares), 1.0) if shares else None

    @property
    def seconds_left(self) -> float | None:
        """Seconds to the end of the budget at the pace so far, where it can be known."""
        budget, left = self.info.get("budget", {}), []
        made = self.record.get("env_steps", 0.0) - self.begin[1]
        if budget.get("env_steps") and made > 0 and self.elapsed > 0:
            left.append((budget["env_steps"] - self.record["env_steps"]) * self.elapsed / made)
        if budget.get("seconds"):
            left.append(budget["seconds"] - self.spent)
        return max(min(left), 0.0) if left else None

    @property
    def time_shares(self) -> dict[str, float]:
        """Recent share of time by phase, largest first; they add up to 1."""
        total = sum(self.phases.values())
        ranked = sorted(self.phases.items(), key=lambda item: -item[1])
        return {name: seconds / total for name, seconds in ranked if total > 0}

    @property
    def telling(self) -> dict[str, float]:
        """The learner's most telling metrics of now, six at most."""
        known = [
            (name, self.record[name]) for name in TELLING if math.isfinite(self.record.get(name, math.nan))
        ]
        return dict(known[:6])


def clock(seconds: float | None) -> str:
    """Seconds as people read them: 0:07, 12:34, 3:04:05."""
    if seconds is None or not math.isfinite(seconds):
        return "?"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
