"""A tournament as it is played: a live table in a terminal, a line now and then in a pipe."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import numpy as np

from move37.progress import clock
from move37.terminal import Screen

if TYPE_CHECKING:
    from move37.tournament.table import Tournament


class Watcher:
    """Hears of a tournament, and says nothing. A person's tournament has their own board on the screen."""

    def start(self, tournament: Tournament) -> None:
        """Games are about to be played (told again at each round)."""

    def during(self, done: int) -> None:
        """So many games of the batch in progress are done."""

    def played(self) -> None:
        """A batch is done, and in the tournament's records."""

    def warn(self, text: str) -> None:
        """Something is not as it should be."""
        print(f"move37: {text}", file=sys.stderr, flush=True)

    def close(self) -> None:
        """There will be no more."""


class Live(Watcher):
    """Shows how far it is, how fast it goes, and who leads."""

    def __init__(self) -> None:
        self.screen = Screen()
        self.tournament: Tournament | None = None
        self.begun, self.before = 0.0, 0
        self.now = 0

    def start(self, tournament: Tournament) -> None:
        if self.tournament is None:
            self.tournament = tournament
            self.begun, self.before = time.perf_counter(), len(tournament.records)
            count, names = tournament.total, len(tournament.names)
            said = f"{tournament.game.title}: {count:,} games of {names} entrants"
            self.screen.say(f"{said}, {self.before:,} are played" if self.before else said)
        if not self._a_person_plays():
            self.screen.open()

    def _a_person_plays(self) -> bool:
        assert self.tournament is not None
        return any(entrant.player == "person" for entrant in self.tournament.entrants.values())

    def during(self, done: int) -> None:
        self.now = done
        self._show()

    def played(self) -> None:
        self.now = 0
        self._show()

    def close(self) -> None:
        self.screen.close()

    def _show(self) -> None:
        if self.tournament is None or not self.screen.due():
            return
        if self.screen.has_picture:
            width = max(map(len, self.tournament.names))
            self.screen.draw(f"{self.status(time.perf_counter())}\n{self.leaders(12, chr(10), width)}")
        elif not self._a_person_plays():
            self.screen.say("; ".join(filter(None, (self.status(time.perf_counter()), self.leaders(3)))))

    def status(self, now: float) -> str:
        """How far it is, how fast it goes, and how long it will take."""
        assert self.tournament is not None
        done, total = len(self.tournament.records) + self.now, self.tournament.total
        rate = max(done - self.before, 0) / max(now - self.begun, 1e-9)
        left = clock(max(total - done, 0) / rate) if rate > 0 else "?"
        return f"{done:,} of {total:,} games, {rate:.3g} games/s, {left} left"

    def leaders(self, count: int, between: str = ", ", width: int = 0) -> str:
        """The best so far by their score, in whole batches."""
        assert self.tournament is not None
        points, games = (np.zeros(len(self.tournament.names)) for _ in range(2))
        number = {name: k for k, name in enumerate(self.tournament.names)}
        for record in self.tournament.records:
            first, second = number[record.first], number[record.second]
            points[first] += record.points
            points[second] += 1 - record.points
            games[[first, second]] += 1
        scores = points / np.maximum(games, 1)
        best = [k for k in np.argsort(-scores, kind="stable") if games[k]][:count]
        return between.join(f"{self.tournament.names[k]:<{width}} {scores[k]:.3f}" for k in best)
