"""Who is told how a run goes, while it goes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Observer:
    """Hears of one run at a time (with `seeds`, of one after the other) and here does nothing about it."""

    def start(self, info: Mapping[str, Any]) -> None:
        """A run begins or goes on.

        `info`: `path`, `env`, `agent`, `seed`, `n` (slots), `budget` (a dict), `trusted` (does it name the
        user's own code), `self_play` (does it hold every seat), `imitates` (does another agent play than the
        one that learns), `text` (is it a text task), and where it stands: `env_steps`, `updates`, `seconds`,
        `history` (its lines of metrics so far).
        """

    def update(self, record: Mapping[str, float]) -> None:
        """A line of metrics was written; unknown numbers are NaN."""

    def warn(self, text: str) -> None:
        """Something to know, in a sentence."""

    def finish(self, summary: Mapping[str, Any]) -> None:
        """The budget is spent: `path`, `reason`, `env_steps`, `updates`, `episodes`, `seconds`, `return`.

        With evaluation also the last one's `eval/…`.
        """

    def idle(self, summary: Mapping[str, Any], text: str) -> None:
        """Instead of all the above: the budget was spent before, as `text` says. `summary` as in `finish`."""

    def close(self) -> None:
        """The run is over in any way, a failure too: let go of what is held."""
