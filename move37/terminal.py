"""Where a person reads and types: a real terminal, or a pipe."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, TextIO

LINES = 5.0
"""Seconds between two lines in a pipe."""
FRAMES = 0.5
"""Seconds between two pictures in a terminal."""


class Prompt:
    """Says lines and hears lines; with a prompt where both ends are a real terminal (`live`)."""

    def __init__(self, source: TextIO, out: TextIO) -> None:
        self.source, self.out = source, out
        self.live = source.isatty() and out.isatty()

    def say(self, text: str) -> None:
        print(text, file=self.out, flush=True)

    def lines(self, prompt: str) -> Iterator[str]:
        """What is typed, a line each, until the end of the input."""
        while True:
            if self.live:
                print(prompt, end="", file=self.out, flush=True)
            line = self.source.readline()
            if not line:
                return
            yield line.strip()


class Screen:
    """How far something is: a picture drawn anew in a terminal, a line now and then in a pipe."""

    def __init__(self) -> None:
        from rich.console import Console

        self.console = Console(highlight=False, markup=False)
        self._live: Any = None
        self._next = 0.0

    @property
    def has_picture(self) -> bool:
        """Whether what is shown is drawn anew."""
        return self._live is not None

    def open(self) -> None:
        """Begin a picture, where there is a terminal for it."""
        if self.console.is_terminal and not self.has_picture:
            from rich.live import Live

            self._live = Live(console=self.console, auto_refresh=False, transient=True)
            self._live.start()

    def due(self) -> bool:
        """Whether it is time to show something again."""
        now = time.perf_counter()
        if now < self._next:
            return False
        self._next = now + (FRAMES if self.has_picture else LINES)
        return True

    def say(self, line: str) -> None:
        """A line that stays."""
        self.console.print(line, soft_wrap=True)

    def draw(self, picture: str) -> None:
        """Put a picture in place of the one before."""
        from rich.text import Text

        self._live.update(Text(picture, no_wrap=True, overflow="ellipsis"), refresh=True)

    def close(self) -> None:
        """Take the picture away."""
        if self._live is not None:
            self._live.stop()
            self._live = None


def printable(text: str) -> str:
    """The text with its control characters written out, so that it moves no cursor and rings no bell."""
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)
