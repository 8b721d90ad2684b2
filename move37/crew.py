"""Jobs done on Ray actors: games of a tournament, tries of an experiment."""

from __future__ import annotations

import math
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from envs.paths import enter, folders
from move37.cluster import start_ray, stop_ray
from move37.errors import RunError, UserError
from move37.origin import Origin
from rollouts import fleet
from rollouts.roster import FleetError, Lost, Roster
from rollouts.worker import here, placed_errors

AHEAD = 2
"""Jobs that a worker has in hand."""
ROOM = 4
"""Jobs a worker that may have begun before the oldest of them is done."""


class Crew:
    """`workers` actors of a class that has the methods `open`, which takes the `arguments`, and `do`.

    A job goes to whoever has the fewest in hand. Another actor takes the place of one that dies, and its jobs
    are done again; who has found no core is not waited for, as long as there are others. Raises `RunError`
    where nobody finds one, and what `open` raises.
    """

    def __init__(
        self, kind: type, arguments: Sequence[Any], *, workers: int, address: str, origin: Origin
    ) -> None:
        self._started = start_ray(address, workers, origin)
        self.origin = origin
        limits: Any = {"cores_within": fleet.PATIENCE, "patience": math.inf}
        with self._told():
            what = kind, arguments, folders()
            self.roster = Roster(workers, lambda number: what, in_step=False, kind=CrewWorker, **limits)
        self._hands: list[deque[tuple[int, Any]]] = [deque() for _ in range(workers)]

    def do(self, jobs: Iterable[Any]) -> Iterator[Any]:
        """What came of each job, in their order. Raises what one raised, or `RunError` where actors are
        lost one after the other.
        """
        left, done, told = deque(enumerate(jobs)), dict[int, Any](), 0
        total = len(left)
        while told < total:
            with self._told():
                self._hand_out(left, told + ROOM * len(self._hands))
                self._hear(left, done)
            while told in done:
                yield done.pop(told)
                told += 1

    def close(self) -> None:
        """End the actors."""
        self.roster.close()
        if self._started:
            stop_ray()

    # -- within ----------------------------------------------------------------------------------------

    def _hand_out(self, left: deque[tuple[int, Any]], below: int) -> None:
        """Give everybody their jobs, of those with numbers `below` this."""
        for size in range(AHEAD):
            for k in self.roster.joined:
                if len(self._hands[k]) == size and left and left[0][0] < below:
                    self._hands[k].append(left.popleft())
                    self.roster.ask(k, "do", self._hands[k][-1][1])

    def _hear(self, left: deque[tuple[int, Any]], done: dict[int, Any]) -> None:
        """Take in what is done by now; who was lost hands their jobs back."""
        for k, request, value, error in self.roster.answered():
            if isinstance(error, Lost):
                left.extendleft(reversed(self._hands[k]))
                self._hands[k].clear()
                self.roster.replace(k, error)
            elif error is not None:
                raise error
            elif request.method == "do":
                number, _ = self._hands[k].popleft()
                done[number] = value
        for line in self.roster.take_news():
            print(f"move37: {line}", file=sys.stderr, flush=True)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What becomes of a person's run where there are no actors left."""
        try:
            yield
        except FleetError as error:
            raise RunError(
                f"{self.origin.file}: {error}; what is done is kept: the same command goes on"
            ) from None


class CrewWorker:
    """One of a crew, in a process of its own."""

    def open(self, kind: type, arguments: Sequence[Any], folders: Sequence[str]) -> None:
        """Begin, in the driver's working folder if it is there; errors say on which machine."""
        enter(folders)
        self._who: Any = kind()
        try:
            with placed_errors(folders):
                self._who.open(*arguments)
        except UserError as error:
            raise UserError(f"{error} ({here(error, folders)})") from error

    def do(self, job: Any) -> Any:
        """Do a job."""
        return self._who.do(job)
