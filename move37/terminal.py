"""Where a person reads and types: a real terminal, or a pipe."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TextIO


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


def printable(text: str) -> str:
    """The text with its control characters written out, so that it moves no cursor and rings no bell."""
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)
