"""Programs that a model wrote, run where they can do no harm and learn nothing of how they are judged.

    with Sandbox() as box:
        outcomes = box.run([Program("def f(x): return x + 1", calls=(("f", (1,)), ("f", (-1,))))])
    outcomes[0].values == ("2", "0")                        # compared here: no expected value ever goes there

Each program has a process to itself, forked from a bare interpreter that holds nothing of ours
(`envs.text.jail`), behind every wall that this system has (`envs.text.walls`, bubblewrap); `describe` tells
which those are. No environment variables, no files but an empty folder, no network, no other processes;
limits on time, memory and output. docs/sandbox.md says what of this is a boundary and what is not.
"""

from __future__ import annotations

import marshal
import math
import os
import secrets
import select
import shutil
import signal
import sys
import threading
import time
import warnings
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from types import MappingProxyType, TracebackType
from typing import Any, Literal

from envs.text.jail import MEMORY, VALUE, canonical
from envs.text.zygote import Answer, Order, SandboxError, Zygote

__all__ = ["Outcome", "Program", "Sandbox", "SandboxError", "canonical", "capabilities", "describe", "shared"]

WALLS = ("bubblewrap", "namespaces", "landlock", "seccomp", "user")
HOLDS: Mapping[str, tuple[str, ...]] = {
    "network": ("bubblewrap", "namespaces", "seccomp"),
    "files": ("bubblewrap", "landlock"),
    "processes": ("bubblewrap", "namespaces", "seccomp"),
}
"""Which walls, each alone, keep a program from the network, from files, and from leaving processes."""
REPORT = 1 << 20
"""Bytes that what is told of a program's calls may have."""
Status = Literal["ok", "error", "timeout", "memory", "output", "killed"]


@dataclass(frozen=True)
class Program:
    """A program and what is asked of it."""

    source: str
    stdin: str = ""
    calls: tuple[tuple[str, tuple[Any, ...]], ...] = ()
    """Functions of it to call once it has run: names and arguments, which are plain data."""
    files: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Files that lie in its folder when it begins: relative paths and contents."""
    seconds: float | None = None
    """Its time by the clock on the wall; None: the sandbox's."""


@dataclass(frozen=True)
class Outcome:
    """What came of a program."""

    status: Status
    """`ok`: it came to its end, and so did all calls. Else the first that holds of: `timeout`; `output`, it
    printed too much; `killed`, its process ended before it did; `memory`; `error`, it or a call raised."""
    stdout: str
    """What it printed, up to the limit."""
    error: str
    """What went wrong, in a line. Empty if nothing did."""
    values: tuple[str, ...]
    """The `canonical` text of what each call returned, `<ValueError>` where it raised that and
    `<unsupported: …>` where that is no plain data (no canonical text begins with `<`). Without a call's where
    none was made."""
    seconds: float
    """How long it took."""


class Sandbox:
    """Runs programs, `workers` at once (by default as many as there are processors).

    A program may take `seconds`, by the clock on the wall, `memory` bytes of address space (the interpreter's
    own, about 30 MB, among them) and print `output` bytes. `walls` are those to be tried. May be used by
    several threads, who wait for each other, and after a fork. Its processes end with `close`, when the
    sandbox is let go of, and with this process, however that ends.

    Raises `ValueError` for numbers that are out of range, `SandboxError` where no program can be run.
    """

    def __init__(
        self,
        workers: int | None = None,
        *,
        seconds: float = 2.0,
        memory: int = 256 << 20,
        output: int = 1 << 16,
        walls: Collection[str] = WALLS,
    ) -> None:
        count = (os.cpu_count() or 1) if workers is None else workers
        if not 0 < seconds < math.inf or min(count, memory, output) < 1:
            raise ValueError(
                "workers, seconds, memory and output must be above 0, "
                f"not {workers}, {seconds}, {memory} and {output}"
            )
        if unknown := sorted(set(walls) - set(WALLS)):
            raise ValueError(f"there is no wall '{unknown[0]}'; there are {', '.join(WALLS)}")
        if sys.platform != "linux":
            raise SandboxError("programs can be run in a sandbox on Linux only")
        self.seconds, self.memory, self.output = seconds, memory, output
        self._wanted = tuple(wall for wall in WALLS if wall in walls)
        self._adopt()
        self._count = count
        self._workers[0] = self._start()
        self.walls: tuple[str, ...] = self._workers[0].walls
        """The walls that stand."""
        if missing := [what for what, by in capabilities(self.walls).items() if not by]:
            warnings.warn(
                f"programs are not kept from: {', '.join(missing)}. See docs/sandbox.md", stacklevel=2
            )

    def run(self, programs: Sequence[Program]) -> list[Outcome]:
        """What came of each program, in their order.

        Raises `ValueError` where a program's calls, files or seconds are none, `SandboxError` where the
        interpreter that runs them cannot be started any more.
        """
        orders = [self._order(program) for program in programs]
        if self._owner != os.getpid():
            self._adopt()
        with self._lock:
            try:
                return self._run(orders)
            except BaseException:  # what has not been read must not be taken for the next program's
                self._drop()
                raise

    def close(self) -> None:
        """End all processes. A later `run` starts others."""
        if self._owner == os.getpid():
            with self._lock:
                self._drop()

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _adopt(self) -> None:
        """Begin without workers, in the process that this is."""
        self._owner, self._lock = os.getpid(), threading.Lock()
        self._workers: dict[int, Zygote] = {}

    def _drop(self) -> None:
        while self._workers:
            self._workers.popitem()[1].end()

    def _start(self) -> Zygote:
        """A process that runs programs, without bubblewrap where that does not work."""
        try:
            return Zygote.spawn(self._wanted)
        except SandboxError:
            if "bubblewrap" not in self._wanted or not shutil.which("bwrap"):
                raise
            self._wanted = tuple(wall for wall in self._wanted if wall != "bubblewrap")
            return Zygote.spawn(self._wanted)

    def _order(self, program: Program) -> Order:
        """What is sent for a program."""
        seconds = self.seconds if program.seconds is None else program.seconds
        if not 0 < seconds < math.inf:
            raise ValueError(f"a program's seconds must be above 0, not {seconds}")
        for name in program.files:
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in name:
                raise ValueError(f"a program's file must be a path below its folder, not {name!r}")
        nonce = secrets.token_bytes(16)
        order = {
            "source": program.source,
            "stdin": program.stdin.encode("utf-8", "surrogatepass"),
            "calls": [(name, _plain(name, arguments)) for name, arguments in program.calls],
            "files": dict(program.files),
            "seconds": seconds,
            "memory": self.memory,
            "output": self.output,
            "report": REPORT,
            "nonce": nonce,
        }
        return Order(marshal.dumps(order), seconds, len(program.calls), nonce)

    def _run(self, orders: Sequence[Order]) -> list[Outcome]:
        outcomes: dict[int, Outcome] = {}
        waiting, again = deque(range(len(orders))), set[int]()
        busy: dict[int, int] = {}
        while waiting or busy:
            for worker in range(self._count):
                if waiting and worker not in busy:
                    busy[worker] = waiting.popleft()
                    self._worker(worker).ask(orders[busy[worker]])
            for worker in self._ready(busy):
                index = busy.pop(worker)
                answer = self._workers[worker].answer()
                if answer is not None:
                    outcomes[index] = _outcome(orders[index], answer, self.output)
                    continue
                self._workers.pop(worker).end()
                if index in again:
                    outcomes[index] = Outcome("killed", "", "its sandbox came to an end, twice", (), 0.0)
                else:  # it need not have been this program's fault
                    again.add(index)
                    waiting.appendleft(index)
        return [outcomes[index] for index in range(len(orders))]

    def _worker(self, number: int) -> Zygote:
        if number not in self._workers:
            self._workers[number] = self._start()
        return self._workers[number]

    def _ready(self, numbers: Collection[int]) -> list[int]:
        """The workers that have something to tell, or are late; waits for the first."""
        poll, places = select.poll(), {}
        for number in numbers:
            pipe = self._workers[number].pipe
            poll.register(pipe, select.POLLIN)
            places[pipe.fileno()] = number
        first = min(self._workers[number].deadline for number in numbers)
        found = poll.poll(max(0.0, first - time.monotonic()) * 1000)
        late = (number for number in numbers if self._workers[number].deadline <= time.monotonic())
        return [places[handle] for handle, _ in found] or list(late)


def _plain(name: str, arguments: tuple[Any, ...]) -> bytes:
    """A call's arguments as they are sent; each call's apart, so that none sees what another did to them."""
    try:
        canonical(arguments)
        return marshal.dumps(arguments)
    except ValueError as error:
        raise ValueError(f"the arguments of a call of '{name}' are no plain data: {error}") from None


def _outcome(order: Order, answer: Answer, output: int) -> Outcome:
    """What came of a program, by how its process ended and what that reports."""
    whole = answer.report.endswith(order.nonce)
    lines = list(_lines(answer.report.removesuffix(order.nonce)))
    values = tuple(text for kind, text in lines if kind == VALUE)[: order.calls]
    error = next((text for kind, text in lines if kind != VALUE), "")
    status: Status
    if not answer.ended or _signal(answer) == signal.SIGXCPU:
        status, error = "timeout", f"it took longer than {order.seconds:g} s"
    elif len(answer.printed) > output:
        status, error = "output", f"it printed more than {output} bytes"
    elif not whole or (len(values) < order.calls and not error):
        status, error = "killed", error or f"its process ended before it did ({_how(answer)})"
    else:
        status = "memory" if any(kind == MEMORY for kind, _ in lines) else "error" if error else "ok"
    return Outcome(status, answer.printed[:output].decode("utf-8", "replace"), error, values, answer.seconds)


def _lines(report: bytes) -> Iterator[tuple[bytes, str]]:
    """What a program's process reported, up to where that is not as it should be."""
    while len(report) >= 5:
        size = int.from_bytes(report[1:5], "little")
        if len(report) < 5 + size:
            return
        yield report[:1], report[5 : 5 + size].decode("utf-8", "replace")
        report = report[5 + size :]


def _signal(answer: Answer) -> int:
    return os.WTERMSIG(answer.status) if os.WIFSIGNALED(answer.status) else 0


def _how(answer: Answer) -> str:
    if number := _signal(answer):
        return f"signal {number}"
    return f"exit status {os.waitstatus_to_exitcode(answer.status)}"


def shared() -> Sandbox:
    """The one sandbox of this process, which starts when it is first asked for and ends with the process."""
    return _shared.get(os.getpid()) or _shared.setdefault(os.getpid(), Sandbox())


_shared: dict[int, Sandbox] = {}


def capabilities(walls: Collection[str] | None = None) -> dict[str, tuple[str, ...]]:
    """What a program is kept from (`network`, `files`, `processes`), and by which walls that stand here."""
    standing = shared().walls if walls is None else walls
    return {what: tuple(wall for wall in holding if wall in standing) for what, holding in HOLDS.items()}


def describe(walls: Collection[str] | None = None) -> str:
    """What holds on this system and what does not, for people."""
    standing = shared().walls if walls is None else walls
    lines = [
        f"{what}: kept out by {', '.join(by)}"
        if by
        else f"{what}: NOT KEPT OUT; it takes {_any(HOLDS[what])}"
        for what, by in capabilities(standing).items()
    ]
    own = "its own" if "user" in standing else "that of this process"
    return "\n".join([*lines, f"user id: {own}", "time, memory, output, open files, size of files: limited"])


def _any(walls: Sequence[str]) -> str:
    return f"{', '.join(walls[:-1])} or {walls[-1]}"
