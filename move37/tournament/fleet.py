"""Where the batches of a tournament are played: in this process, or on Ray actors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from move37.crew import Crew
from move37.tournament.config import TournamentConfig
from move37.tournament.gamelog import GameRecord
from move37.tournament.table import Batch, Tournament
from search.arena import Fixtures, Played

Report = Callable[[int], None]


class Here:
    """Plays one batch after the other, in this process."""

    def __init__(self, tournament: Tournament) -> None:
        self.tournament = tournament

    def play(self, batches: Sequence[Batch], report: Report) -> Iterator[list[GameRecord]]:
        """The games of each batch, in order; `report` is told how many of one are done."""
        for batch in batches:
            yield self.tournament.play(batch, report)

    def close(self) -> None:
        pass


class Workers:
    """Plays batches on Ray actors."""

    def __init__(self, tournament: Tournament) -> None:
        config = tournament.config
        self.tournament = tournament
        what = config.plain(), tournament.origin.file, tournament.trust
        where: Any = {"workers": config.workers, "address": config.cluster.address}
        self.crew = Crew(Worker, what, origin=tournament.origin, **where)

    def play(self, batches: Sequence[Batch], report: Report) -> Iterator[list[GameRecord]]:
        """The games of each batch, in order."""
        fixtures = [self.tournament.fixtures(batch) for batch in batches]
        for batch, mine, played in zip(batches, fixtures, self.crew.do(fixtures)):
            yield self.tournament.written(batch, mine, played)

    def close(self) -> None:
        self.crew.close()


class Worker:
    """A tournament's entrants in another process, on one thread."""

    def open(self, config: dict[str, Any], file: str, trust: bool) -> None:
        """Make the entrants."""
        from move37.origin import Origin

        checked = TournamentConfig.model_validate(config | {"threads": 1})
        self.tournament = Tournament(checked, Origin(file), trust)
        assert self.tournament.agents  # so that what is not on this machine is told at once

    def do(self, fixtures: Fixtures) -> Played:
        """Play some games."""
        return self.tournament.play_fixtures(fixtures)
