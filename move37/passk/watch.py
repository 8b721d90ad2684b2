"""An experiment as it is sampled: a line now and then."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from move37.progress import clock

if TYPE_CHECKING:
    from move37.passk.sampling import Part

LINES = 5.0
"""Seconds between two lines."""


class Watcher:
    """Hears of an experiment, and says nothing but what is wrong."""

    def start(self, total: int, done: int) -> None:
        """Tries are about to be made: so many in all, of which some were made before."""

    def sampled(self, part: Part, columns: Any) -> None:
        """A part is sampled and written."""

    def warn(self, text: str) -> None:
        """Something is not as it should be."""
        print(f"move37: {text}", file=sys.stderr, flush=True)

    def close(self) -> None:
        """There will be no more."""


class Live(Watcher):
    """Shows how far it is, how fast it goes, and what came of the last part."""

    def __init__(self) -> None:
        from rich.console import Console

        self.console = Console(highlight=False, markup=False)
        self.status: Any = None

    def start(self, total: int, done: int) -> None:
        self.total, self.done, self.new, self.tokens = total, done, 0, 0
        self.begun, self.next = time.perf_counter(), 0.0
        said = f"{total:,} tries" + (f", {done:,} are there" if done else "")
        self.console.print(said)
        if self.console.is_terminal:
            self.status = self.console.status(said)
            self.status.start()

    def sampled(self, part: Part, columns: Any) -> None:
        self.new += part.count
        self.tokens += int(columns["tokens"].sum())
        now = time.perf_counter()
        if now < self.next:
            return
        self.next = now + (LINES if self.status is None else 0)
        seconds, done = max(now - self.begun, 1e-9), self.done + self.new
        left = clock((self.total - done) * seconds / self.new)
        said = f"{part.policy} on {part.problems}: {columns['success'].mean():.3f} right"
        rate = f"{self.new / seconds:,.0f} tries/s, {self.tokens / seconds:,.0f} tokens/s"
        line = f"{done:,} of {self.total:,} tries, {rate}, {left} left; {said}"
        if self.status is None:
            self.console.print(line, soft_wrap=True)
        else:
            self.status.update(line)

    def close(self) -> None:
        if self.status is not None:
            self.status.stop()
            self.status = None
