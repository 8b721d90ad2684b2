"""The workers of a fleet by place: started, asked, waited for and, on Ray, replaced where they are lost."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from rollouts.worker import RemoteWorker, Worker

RETRIES = 5
"""Replacements of a worker in a row, none of which got anything done, before the fleet gives up."""
READY = "__ray_ready__"
WORK = ("collect", "play")
STARTS = (READY, "open")

Opening = Callable[[int], tuple[Any, ...]]
"""From a worker's number to the arguments of its `open`."""


class FleetError(RuntimeError):
    """A worker was lost for good, or never came; says why, or how many cores there are."""


class Lost(Exception):
    """Why a worker gives no answer: another one may."""


@dataclass
class Request:
    """What a worker was asked for."""

    method: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    answer: Any
    """Ray's reference to what comes of it."""
    wanted: bool = True
    """Whether anybody still waits for it."""


class Answer(NamedTuple):
    """What came of a request at a place: a value, or an error (`Lost`, or one in the worker's own words)."""

    place: int
    request: Request
    value: Any
    error: Exception | None


@dataclass
class Place:
    """A worker's share of the slots, whoever has it at the time."""

    number: int
    """That of the worker: nobody else's in the run, so neither are its seeds and the ids of its episodes."""
    actor: Any
    queue: deque[Request] = field(default_factory=deque)
    """What it was asked for and has not answered, in order."""
    since: float = 0.0
    """When the first of these began to be waited for."""
    joined: bool = False
    """Whether the worker has its core and its environment."""
    worked: bool = False
    """Whether this place ever got anything done."""
    failures: int = 0
    """Workers lost in a row with nothing done."""


class Here:
    """The workers of a fleet as plain objects in this process, one after the other."""

    def __init__(self, workers: int, opening: Opening) -> None:
        self.numbers, self._opening = list(range(workers)), opening
        self.next, self.restarts, self.went_well = workers, 0, False
        self.workers = [Worker() for _ in self.numbers]
        self.open(self.numbers)

    def open(self, numbers: Sequence[int]) -> None:
        """Let all begin anew, with these numbers."""
        self.numbers = list(numbers)
        self.each("open", [self._opening(number) for number in numbers])

    def each(self, method: str, args: Sequence[tuple[Any, ...]], **kwargs: Any) -> list[Any]:
        """What all workers answer to a method with their `args`, by place."""
        return [getattr(worker, method)(*own, **kwargs) for worker, own in zip(self.workers, args)]

    def take_news(self) -> list[str]:
        """Nothing: plain objects do not get lost."""
        return []

    def close(self) -> None:
        """Let the workers go."""
        self.workers = []


class Roster:
    """The workers of a fleet as Ray actors, with a core each, and so many `gpus` (a share of one, perhaps).

    One that is lost (it died, its answer did, it gave none for `patience` seconds, or it raised after all had
    gone well before) is replaced by another with a new number. `in_step`: all of them are needed, else
    those that have found no core are not waited for, as long as there are others. Raises `FleetError` where
    no core is found in `cores_within` seconds, or `RETRIES` replacements in a row got nothing done (nor did
    anybody else, where not all are needed).
    They are of a class, `kind`, that has a method `open`.
    """

    def __init__(
        self,
        workers: int,
        opening: Opening,
        *,
        cores_within: float,
        patience: float,
        in_step: bool,
        gpus: float = 0.0,
        kind: type = RemoteWorker,
    ) -> None:
        self._kind = kind
        self._opening, self.cores_within, self.patience = opening, cores_within, patience
        self.in_step, self.gpus, self.restarts, self.next = in_step, gpus, 0, 0
        self.went_well = False
        """Whether the run has got anything done before, in another session."""
        self._news: list[str] = []
        self._told_of_waiting: set[int] = set()
        self.places: list[Place] = []
        try:
            for _ in range(workers):
                self.places.append(self._begin(Place(0, None)))
            self._wait_for_workers()
        except BaseException:
            self.close()
            raise

    # -- what a fleet uses -----------------------------------------------------------------------------

    @property
    def numbers(self) -> list[int]:
        """Those of the workers, by place."""
        return [place.number for place in self.places]

    @property
    def joined(self) -> list[int]:
        """The places whose workers have begun."""
        return [k for k, place in enumerate(self.places) if place.joined]

    def open(self, numbers: Sequence[int]) -> None:
        """Let all begin anew, with these numbers, before they do what they are asked for next."""
        for place, number in zip(self.places, numbers):
            place.number = number
            self._ask(place, "open", self._opening(number), {})

    def ask(self, place: int, method: str, *args: Any, **kwargs: Any) -> None:
        """Put a request at the end of a place's queue."""
        self._ask(self.places[place], method, args, kwargs)

    def each(self, method: str, args: Sequence[tuple[Any, ...]], **kwargs: Any) -> list[Any]:
        """What all workers answer to a method with their `args`, by place; who replaces one is asked again.

        What is wrong in a worker is raised as it was there, when all have answered.
        """
        for k, own in enumerate(args):
            self.ask(k, method, *own, **kwargs)
        values: dict[int, Any] = {}
        wrong: dict[int, Exception] = {}
        while len(values) + len(wrong) < len(args):
            for k, request, value, error in self.answered():
                if isinstance(error, Lost):
                    error = self._again(k, error)
                    if error is None:
                        continue
                if error is not None:
                    wrong[k] = error
                    self.places[k].queue.clear()
                elif request.method == method:
                    values[k] = value
        if wrong:
            raise wrong[min(wrong)]
        return [values[k] for k in range(len(args))]

    def answered(self) -> list[Answer]:
        """What workers have answered by now, once there is anything, and who has kept silent for too long."""
        import ray

        heads = {place.queue[0].answer: k for k, place in enumerate(self.places) if place.queue}
        left = max(0.0, self._deadline() - time.monotonic())
        done, _ = ray.wait(list(heads), num_returns=1, timeout=left if left < math.inf else None)
        if done:
            done, _ = ray.wait(list(heads), num_returns=len(heads), timeout=0)
        answers = [self._take(k) for k in sorted(heads[answer] for answer in done)]
        return answers + self._overdue({answer.place for answer in answers})

    def done(self) -> int:
        """How much work is done that nobody has looked at."""
        import ray

        asked = [r.answer for place in self.places for r in place.queue if r.method in WORK and r.wanted]
        return len(ray.wait(asked, num_returns=len(asked), timeout=0, fetch_local=False)[0]) if asked else 0

    def replace(self, place: int, why: Lost) -> list[Request]:
        """Give a place to a new worker; returns what the one before was asked for and is still wanted.

        Raises `FleetError` where `RETRIES` of them in a row got nothing done.
        """
        import ray

        lost = self.places[place]
        if lost.failures == RETRIES:
            said = f"worker {lost.number} was lost ({why}), as were {RETRIES} before it that took its place"
            raise FleetError(f"{said}, without anything done") from why
        was, requests = lost.number, [r for r in lost.queue if r.wanted and r.method not in STARTS]
        ray.kill(lost.actor, no_restart=True)
        lost.failures += 1
        self.restarts += 1
        self._begin(lost)
        self._news.append(f"worker {was} was lost ({why}); worker {lost.number} takes its place")
        return requests

    def take_news(self) -> list[str]:
        """What befell workers since this was last called, a line each."""
        news, self._news = self._news, []
        return news

    def close(self) -> None:
        """Let the workers go."""
        import ray

        for place in self.places:
            ray.kill(place.actor, no_restart=True)
        self.places = []

    # -- starting --------------------------------------------------------------------------------------

    def _begin(self, place: Place) -> Place:
        """Start a new worker there, with a number of its own; it makes its environment first."""
        import ray

        place.number, self.next = self.next, self.next + 1
        place.actor = ray.remote(num_cpus=1, num_gpus=self.gpus)(self._kind).remote()
        place.queue.clear()
        place.joined = False
        self._ask(place, READY, (), {})
        self._ask(place, "open", self._opening(place.number), {})
        return place

    def _wait_for_workers(self) -> None:
        """All have joined, or one where that is enough; what is wrong in one is raised as it was there."""
        wrong: list[Exception] = []
        enough = len(self.places) if self.in_step else 1
        while len(self.joined) + len(wrong) < enough:
            for k, _, _, error in self.answered():
                if isinstance(error, Lost):
                    self.replace(k, error)
                elif error is not None:
                    wrong.append(error)
        if wrong:
            raise wrong[0]

    def _again(self, place: int, why: Lost) -> Exception | None:
        """Ask another worker for what one was lost over; the error where there will be no other."""
        try:
            requests = self.replace(place, why)
        except FleetError as error:
            return error
        for request in requests:
            self.ask(place, request.method, *request.args, **request.kwargs)
        return None

    # -- asking ----------------------------------------------------------------------------------------

    def _ask(self, place: Place, method: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        if not place.queue:
            place.since = time.monotonic()
        answer = getattr(place.actor, method).remote(*args, **kwargs)
        place.queue.append(Request(method, args, kwargs, answer))

    def _take(self, k: int) -> Answer:
        """The answer to the first request of a place, which is there."""
        import ray

        place = self.places[k]
        request = place.queue[0]
        try:
            limit = self.patience if self.patience < math.inf else None
            value = ray.get(request.answer, timeout=limit) if request.wanted else None
        except ray.exceptions.RayTaskError as error:
            cause = error.cause
            if self._has_worked(place) or isinstance(cause, ray.exceptions.RayError):
                return Answer(k, request, None, Lost(_raised(cause)))
            place.queue.popleft()
            return Answer(k, request, None, cause)  # in the worker's own words
        except ray.exceptions.RayError as error:
            return Answer(k, request, None, Lost(_reason(error)))
        place.queue.popleft()
        place.since = time.monotonic()
        place.joined |= request.method == "open"
        place.worked |= request.method in WORK
        if request.method not in STARTS:
            # out of step, what anybody gets done speaks for all: they play on without the lost one
            for other in [place] if self.in_step else self.places:
                other.failures = 0
        return Answer(k, request, value, None)

    def _has_worked(self, place: Place) -> bool:
        """Whether what goes wrong there has gone well before; who joins late goes by what others did."""
        others = not self.in_step and any(other.worked for other in self.places)
        return self.went_well or place.worked or others

    # -- waiting ---------------------------------------------------------------------------------------

    def _deadline(self) -> float:
        """When, by the monotonic clock, something is to be done about those that have not answered."""
        busy = [p.since + self.patience for p in self.places if p.queue and p.queue[0].method != READY]
        return min([*busy, self._cores_deadline(), *self._waiting_deadlines().values()], default=math.inf)

    def _cores_deadline(self) -> float:
        """When it is too late for cores to be found."""
        waiting = [p.since for p in self.places if p.queue and p.queue[0].method == READY]
        if not waiting or not (self.in_step or len(waiting) == len(self.places)):
            return math.inf
        return (min(waiting) if self.in_step else max(waiting)) + self.cores_within

    def _waiting_deadlines(self) -> dict[int, float]:
        """By place, when to say of one that it is still without a core."""
        return {
            k: place.since + self.cores_within
            for k, place in enumerate(self.places)
            if place.queue and place.queue[0].method == READY and place.number not in self._told_of_waiting
        }

    def _overdue(self, heard: set[int]) -> list[Answer]:
        """Who was not `heard` in time, as lost; `FleetError` where it is a core that was not found."""
        now = time.monotonic()
        if self._cores_deadline() <= now:
            began = sum(not place.queue or place.queue[0].method != READY for place in self.places)
            said = f"{began} of them began within {self.cores_within:g} seconds"
            raise FleetError(f"{self._room()}: {said}; use fewer workers or more cores")
        for k, deadline in self._waiting_deadlines().items():
            if deadline <= now:
                self._tell_of_waiting(self.places[k].number)
        silent = Lost(f"no answer in {self.patience:g} seconds, which is sampler.patience")
        return [
            Answer(k, place.queue[0], None, silent)
            for k, place in enumerate(self.places)
            if place.queue
            and place.queue[0].method != READY
            and place.since + self.patience <= now
            and k not in heard
        ]

    def _room(self) -> str:
        """What workers need, and what there is."""
        import ray

        asked, there = len(self.places), ray.cluster_resources()
        cores = f"{asked} workers need {asked} cores, and Ray has {there.get('CPU', 0):g} in all"
        gpus = f", and {asked * self.gpus:g} GPUs, of which it has {there.get('GPU', 0):g}"
        return cores + gpus * bool(self.gpus)

    def _tell_of_waiting(self, number: int) -> None:
        import ray

        cores = ray.cluster_resources().get("CPU", 0)
        said = f"worker {number} has found no core yet; Ray has {cores:g} in all"
        self._news.append(f"{said}. The others go on, and it joins when there is one")
        self._told_of_waiting.add(number)


def in_few_words(error: BaseException) -> str:
    """An error's words, on one line and not too many."""
    said = " ".join(str(error).split())
    return said if len(said) <= 200 else f"{said[:200]}…"


def _raised(error: Exception) -> str:
    """What went wrong in a worker, in a few words; of Ray's own errors, which have many, their kind."""
    import ray

    if isinstance(error, ray.exceptions.RayError):
        return f"what it needed was lost: {type(error).__name__}"
    return f"it raised {type(error).__name__}: {in_few_words(error)}"


def _reason(error: Exception) -> str:
    """Why Ray gave an actor or an answer up, in a few words."""
    import ray

    if isinstance(error, ray.exceptions.ObjectLostError):
        return "its answer was lost"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = lines and "Error:" in lines[-1] and not isinstance(error, ray.exceptions.ActorUnavailableError)
    return lines[-1] if told else "killed, or out of memory"
