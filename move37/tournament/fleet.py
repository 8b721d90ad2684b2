"""Where the batches of a tournament are played: in this process, or on Ray actors."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from move37.build import start_ray
from move37.tournament.config import TournamentConfig
from move37.tournament.gamelog import GameRecord
from move37.tournament.table import Batch, Tournament
from search.arena import Fixtures, Played

Report = Callable[[int], None]
AHEAD = 2
"""Batches that a worker has in hand."""


class Here:
    """Plays one batch after the other, in this process."""

    def __init__(self, tournament: Tournament) -> None:
        self.tournament = tournament

    def play(self, batches: Sequence[Batch], report: Report) -> Iterator[tuple[Batch, list[GameRecord]]]:
        """Each batch with its games, in order; `report` is told how many of one are done."""
        for batch in batches:
            yield batch, self.tournament.play(batch, report)

    def close(self) -> None:
        pass


class Workers:
    """Plays batches on Ray actors. One that dies is begun anew by Ray, and plays its batches again."""

    def __init__(self, tournament: Tournament) -> None:
        import ray

        config = tournament.config
        start_ray(config.cluster.address, config.workers, tournament.origin)
        self.tournament = tournament
        options: Any = {"num_cpus": 1, "max_restarts": -1, "max_task_retries": -1}
        actor: Any = ray.remote(**options)(Worker)
        what = config.plain(), tournament.origin.file, tournament.trust
        self.actors: list[Any] = [actor.remote(*what) for _ in range(config.workers)]

    def play(self, batches: Sequence[Batch], report: Report) -> Iterator[tuple[Batch, list[GameRecord]]]:
        """Each batch with its games, in order."""
        import ray

        waiting: deque[tuple[Batch, Fixtures, Any]] = deque()
        for k, batch in enumerate(batches):
            fixtures, actor = self.tournament.fixtures(batch), self.actors[k % len(self.actors)]
            waiting.append((batch, fixtures, actor.play.remote(fixtures)))
            if len(waiting) >= AHEAD * len(self.actors):
                yield self._next(waiting, ray)
        while waiting:
            yield self._next(waiting, ray)

    def _next(self, waiting: deque[Any], ray: Any) -> tuple[Batch, list[GameRecord]]:
        batch, fixtures, reference = waiting.popleft()
        return batch, self.tournament.written(batch, fixtures, ray.get(reference))

    def close(self) -> None:
        import ray

        for actor in self.actors:
            ray.kill(actor)


class Worker:
    """A tournament's entrants in another process, on one thread."""

    def __init__(self, config: dict[str, Any], file: str, trust: bool) -> None:
        from move37.origin import Origin

        checked = TournamentConfig.model_validate(config | {"threads": 1})
        self.tournament = Tournament(checked, Origin(file), trust)

    def play(self, fixtures: Fixtures) -> Played:
        """Play some games."""
        return self.tournament.play_fixtures(fixtures)
