"""Jobs done on Ray actors, in order: games of a tournament, tries of an experiment."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from move37.build import start_ray
from move37.origin import Origin

AHEAD = 2
"""Jobs that a worker has in hand."""


class Crew:
    """`workers` actors of a class that has a method `do`. One that dies is begun anew by Ray, and does its
    jobs again.
    """

    def __init__(
        self, kind: type, arguments: Sequence[Any], *, workers: int, address: str, origin: Origin
    ) -> None:
        import ray

        start_ray(address, workers, origin)
        options: Any = {"num_cpus": 1, "max_restarts": -1, "max_task_retries": -1}
        actor: Any = ray.remote(**options)(kind)
        self.actors: list[Any] = [actor.remote(*arguments) for _ in range(workers)]

    def do(self, jobs: Iterable[Any]) -> Iterator[Any]:
        """What came of each job, in their order."""
        import ray

        waiting = deque[Any]()
        for k, job in enumerate(jobs):
            waiting.append(self.actors[k % len(self.actors)].do.remote(job))
            if len(waiting) >= AHEAD * len(self.actors):
                yield ray.get(waiting.popleft())
        while waiting:
            yield ray.get(waiting.popleft())

    def close(self) -> None:
        """End the actors."""
        import ray

        for actor in self.actors:
            ray.kill(actor)
