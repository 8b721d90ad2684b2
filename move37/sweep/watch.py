"""A sweep as it runs: live lines in a terminal, a line now and then in a pipe."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from move37.plots import short
from move37.progress import clock
from move37.sweep.record import FAILED, Trial, best_of

if TYPE_CHECKING:
    from move37.sweep.config import Sweep

LINES = 5.0
"""Seconds between two lines in a pipe."""
FRAMES = 0.5
"""Seconds between two pictures in a terminal."""
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
        from rich.console import Console

        self.console = Console(highlight=False, markup=False)
        self.live: Any = None
        self.trials: dict[int, Trial] = {}
        self.steps: dict[int, int] = {}
        self.values: dict[int, float] = {}
        self.begun = self.next = 0.0

    def start(self, sweep: Sweep, trials: Sequence[Trial]) -> None:
        self.sweep, self.begun = sweep, time.perf_counter()
        self.trials = {trial.number: trial for trial in trials}
        self.before = self.done()
        keys = ", ".join(sweep.config.over)
        said = f"{sweep.config.search.kind}: {len(trials)} trials of {keys}"
        self.console.print(f"{said}; {self.before} are done" if self.before else said, soft_wrap=True)
        if self.console.is_terminal:
            from rich.live import Live as Screen

            self.live = Screen(console=self.console, auto_refresh=False, transient=True)
            self.live.start()

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
        if self.live is not None:
            self.live.stop()
            self.live = None

    def done(self) -> int:
        """How many trials are over."""
        return sum(bool(trial.ended) for trial in self.trials.values())

    def _show(self) -> None:
        now = time.perf_counter()
        if now < self.next:
            return
        self.next = now + (LINES if self.live is None else FRAMES)
        if self.live is None:
            running = ", ".join(self._trial(number) for number in sorted(self.steps)[:4])
            self.console.print("; ".join(filter(None, (self.status(now), running))), soft_wrap=True)
            return
        from rich.text import Text

        rows = [f"  {self._trial(number)}  {_values(self.trials[number])}" for number in sorted(self.steps)]
        text = Text("\n".join([self.status(now), *rows[:SHOWN]]), no_wrap=True, overflow="ellipsis")
        self.live.update(text, refresh=True)

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
