"""A sweep as it runs: live lines in a terminal, a line now and then in a pipe."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from move37.plots import short
from move37.progress import clock
from move37.sweep.record import FAILED, Trial, best_of
from move37.terminal import Screen

if TYPE_CHECKING:
    from move37.sweep.config import Sweep

SHOWN = 12
"""Trials in a picture, at most."""


class Watcher:
    """Hears of a sweep, and says nothing."""

    def start(self, sweep: Sweep, trials: Sequence[Trial]) -> None:
        """Trials are about to run; some may have ended before."""

    def heard(self, number: int, env_steps: int, value: float | None) -> None:
        """A trial is at so many env steps; the metric, where it was measured."""

    def ended(self, trial: Trial) -> None:
        """A trial is over."""

    def warn(self, text: str) -> None:
        """Something to know."""
        print(f"move37: {text}", file=sys.stderr, flush=True)

    def close(self) -> None:
        """There will be no more."""


class Live(Watcher):
    """Shows how far it is, who runs, and who is best."""

    def __init__(self) -> None:
        self.screen = Screen()
        self.trials: dict[int, Trial] = {}
        self.steps: dict[int, int] = {}
        self.values: dict[int, float] = {}
        self.begun = 0.0

    def start(self, sweep: Sweep, trials: Sequence[Trial]) -> None:
        self.sweep, self.begun = sweep, time.perf_counter()
        self.trials = {trial.number: trial for trial in trials}
        self.before = self.done()
        keys = ", ".join(sweep.config.over)
        said = f"{sweep.config.search.kind}: {len(trials)} trials of {keys}"
        self.screen.say(f"{said}; {self.before} are done" if self.before else said)
        self.screen.open()

    def heard(self, number: int, env_steps: int, value: float | None) -> None:
        self.steps[number] = env_steps
        if value is not None:
            self.values[number] = value
        self._show()

    def ended(self, trial: Trial) -> None:
        self.trials[trial.number] = trial
        self.steps.pop(trial.number, None)
        if trial.ended == FAILED:
            self.warn(f"trial {trial.number} failed ({_values(trial)}): {trial.said}")
        self._show()

    def close(self) -> None:
        self.screen.close()

    def done(self) -> int:
        """How many trials are over."""
        return sum(bool(trial.ended) for trial in self.trials.values())

    def _show(self) -> None:
        if not self.screen.due():
            return
        running = sorted(self.steps)
        if self.screen.has_picture:
            rows = [f"  {self._trial(number)}  {_values(self.trials[number])}" for number in running]
            self.screen.draw("\n".join([self.status(time.perf_counter()), *rows[:SHOWN]]))
        else:
            told = ", ".join(self._trial(number) for number in running[:4])
            self.screen.say("; ".join(filter(None, (self.status(time.perf_counter()), told))))

    def status(self, now: float) -> str:
        """How far it is, and who is best."""
        said = [f"{self.done()} of {len(self.trials)} trials done, {clock(now - self.begun)}"]
        best = best_of(list(self.trials.values()))
        if best is not None:
            said.append(f"best {best.value:.4g} (trial {best.number}: {_values(best)})")
        return ", ".join(said)

    def _trial(self, number: int) -> str:
        share = min(self.steps[number] / self.sweep.steps, 1.0) if self.sweep.steps else None
        far = f"{share:.0%}" if share is not None else f"{short(self.steps[number])} steps"
        value = f" {self.values[number]:.4g}" if number in self.values else ""
        return f"trial {number} {far}{value}"


def _values(trial: Trial) -> str:
    return " ".join(f"{key.split('.')[-1]}={value}" for key, value in trial.set.items())
