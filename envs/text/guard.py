"""A verifier in a process of its own, which can be killed: whoever hangs or crashes there stops nobody here.

    with Guard("my_tasks:Proofs", deadline=2.0) as guard:
        outcomes = guard.call("verify", [(completion, question), …])     # a Verdict or a Fault each

What is asked goes to the process in one message; what comes of each call comes back as soon as it is known.
Where nothing comes within the deadline the process is killed, that one call is a `Fault`, and a fresh process
goes on with the rest. There are no alarms and no timers, so it works in any thread and any worker.

It is for faults, not against code that means harm: a family's code is trusted, as all code of a run is.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
import pickle
import resource
import signal
import socket
import subprocess
import sys
import threading
import traceback
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

from envs.text import load
from envs.text.task import Task, Verdict

METHODS = ("verify", "judge", "reply")
"""What may be called: all that reads completions."""
MEMORY = 1 << 30
"""Bytes that a verifier may take on top of what it has when it begins."""
PATIENCE = 60.0
"""Seconds in which a process must have started, or have read what it is asked."""
STARTS = 3
"""Processes in a row that may be lost before they have read anything."""
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
CODE = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from envs.text.guard import serve; "
    "serve(*map(int, sys.argv[2:]))"
)


@dataclass(frozen=True)
class Fault:
    """A verifier failed: there is no verdict."""

    error: str
    """How, in a line."""


class GuardError(RuntimeError):
    """The process of a verifier cannot be started; says why."""


class Guard:
    """Calls a family's `verify`, `judge` and `reply` in a process of its own.

    `task` and `options` are as in `envs.text.load`. A call may take `deadline` seconds, by the clock on the
    wall, and `memory` bytes (where it takes more there is a MemoryError, and so a `Fault`); what it prints is
    lost. May be used by several threads, who wait for each other. The process ends with `close`, when the
    guard is let go of, and with this process, however that ends.

    Raises `ValueError` for numbers that are out of range, `GuardError` where the family cannot be loaded.
    """

    def __init__(
        self,
        task: str,
        options: Mapping[str, Any] | None = None,
        *,
        deadline: float = 5.0,
        memory: int = MEMORY,
    ) -> None:
        if not 0 < deadline < math.inf or memory < 1:
            raise ValueError(f"deadline and memory must be above 0, not {deadline} and {memory}")
        self.task, self.options, self.deadline, self.memory = task, dict(options or {}), deadline, memory
        self.restarts = 0
        """How many processes were lost or killed so far."""
        self._lock = threading.Lock()
        self._child: Child | None = self._start()

    def call(self, method: str, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        """What the family's `method` returns for each of `calls` (its arguments), or a `Fault`.

        Raises `ValueError` for another method than `METHODS`, `GuardError` where no process can be started.
        """
        if method not in METHODS:
            raise ValueError(f"a guard calls {', '.join(METHODS)}, not '{method}'")
        out: list[Any] = []
        with self._lock:
            starts = 0
            while len(out) < len(calls):
                if starts == STARTS:
                    raise GuardError(f"the verifier of '{self.task}': {STARTS} processes were lost in a row")
                before = len(out)
                try:
                    self._ask(self._ready(), method, calls, out)
                except BaseException:  # what has not been read must not be taken for the next call's
                    self._drop()
                    raise
                starts = starts + 1 if len(out) == before else 0
        return out

    def close(self) -> None:
        """End the process. A later call starts another."""
        with self._lock:
            self._drop()

    def __enter__(self) -> Guard:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, child: Child, method: str, calls: Sequence[tuple[Any, ...]], out: list[Any]) -> None:
        """Have the calls done that `out` lacks, up to the first that costs the process."""
        try:
            child.pipe.send_bytes(pickle.dumps((method, calls[len(out) :])))
            if not child.pipe.poll(PATIENCE):
                raise EOFError
            child.pipe.recv_bytes()
        except (EOFError, OSError):  # it was lost while it had nothing to do, so no call is to blame
            self._lose()
            return
        try:
            while len(out) < len(calls):
                if not child.pipe.poll(self.deadline):
                    self._lose()
                    out.append(Fault(f"it took longer than {self.deadline:g} s"))
                    return
                out.append(pickle.loads(child.pipe.recv_bytes()))
        except (EOFError, OSError):
            out.append(Fault(f"it ended its process ({_status(self._lose())})"))

    def _ready(self) -> Child:
        """The process; a fresh one where there is none, or where it is of another process than this."""
        if self._child is None or self._child.owner != os.getpid():
            self._child = self._start()
        return self._child

    def _start(self) -> Child:
        child = Child.spawn()
        try:
            child.pipe.send_bytes(pickle.dumps((self.task, self.options, self.memory)))
            said = pickle.loads(child.pipe.recv_bytes()) if child.pipe.poll(PATIENCE) else "no sign of life"
        except (EOFError, OSError):
            said = _status(child.end())
        if said:
            child.end()
            raise GuardError(f"the verifier of '{self.task}' cannot be started: {said}")
        return child

    def _lose(self) -> int:
        self.restarts += 1
        return self._drop()

    def _drop(self) -> int:
        child, self._child = self._child, None
        return child.end() if child is not None else 0


@dataclass(eq=False)
class Child:
    """A process that serves, and the pipe to it."""

    process: subprocess.Popen[bytes]
    pipe: Connection
    life: int
    """The end of another pipe, which closes when this process is gone."""
    owner: int = field(default_factory=os.getpid)

    def __post_init__(self) -> None:
        self.end: Callable[[], Any] = weakref.finalize(
            self, _end, self.process, self.pipe, self.life, self.owner
        )

    @classmethod
    def spawn(cls) -> Child:
        """Start one, by the same interpreter, which finds the same modules."""
        ours, theirs = socket.socketpair()
        death, life = os.pipe()
        with theirs:
            handles = (theirs.fileno(), death)
            try:
                process = subprocess.Popen(
                    [sys.executable, "-c", CODE, json.dumps(sys.path), *map(str, handles)],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    pass_fds=handles,
                    env={**os.environ, **ONE_THREAD},
                    start_new_session=True,  # Ctrl-C is for us, and whatever it starts dies with it
                )
            finally:
                os.close(death)
        return cls(process, Connection(ours.detach()), life)


def _end(process: subprocess.Popen[bytes], pipe: Connection, life: int, owner: int) -> int:
    """Kill a process and what it started; its exit status. A child of another process is left alone."""
    pipe.close()
    os.close(life)
    if os.getpid() != owner:
        return 0
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)  # not reaped yet, so nobody else can have its id
    return process.wait()


def _status(code: int | None) -> str:
    code = code or 0
    return f"signal {-code}" if code < 0 else f"exit status {code}"


# -- in the other process ----------------------------------------------------------------------------------


def serve(handle: int, life: int) -> None:
    """Answer calls by the socket `handle` until its other end, or that of the pipe `life`, closes."""
    _die_with(life)
    pipe = Connection(handle)
    name, options, memory = pickle.loads(pipe.recv_bytes())
    try:
        task = load(name, options)
        _limit(memory)
    except BaseException as error:
        pipe.send_bytes(pickle.dumps(_told(error)))
        return
    pipe.send_bytes(pickle.dumps(""))
    with contextlib.suppress(EOFError, OSError):
        while True:
            method, calls = pickle.loads(pipe.recv_bytes())
            pipe.send_bytes(b"")
            for arguments in calls:
                pipe.send_bytes(_outcome(task, method, arguments))


def _outcome(task: Task, method: str, arguments: tuple[Any, ...]) -> bytes:
    """What a call returns or, as a `Fault`, raises."""
    try:
        value = getattr(task, method)(*arguments)
        return pickle.dumps(Fault(flaw) if (flaw := _flaw(method, value)) else value)
    except BaseException as error:  # SystemExit too
        return pickle.dumps(Fault(_told(error)))


def _flaw(method: str, value: Any) -> str:
    """What is wrong with what a verifier returned, or nothing."""
    if method == "reply":
        return "" if value is None or isinstance(value, str) else f"the reply is a {type(value).__name__}"
    if not isinstance(value, Verdict):
        return f"the verdict is a {type(value).__name__}"
    return "" if 0.0 <= value.reward <= 1.0 else f"the reward is {value.reward}, not from 0 to 1"


def _told(error: BaseException) -> str:
    """An error and where it was raised, in a line."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({os.path.basename(frames[-1].filename)}:{frames[-1].lineno})" if frames else ""
    try:
        said = " ".join(f"{type(error).__name__}: {error}".split())
    except Exception:
        said = type(error).__name__
    return f"{said:.300}{where}"


def _die_with(life: int) -> None:
    """Have the kernel end this process when the other end of the pipe `life` closes, whatever it is doing.

    Nothing is ever written there. (Linux; elsewhere it ends when it next waits for a call.)
    """
    signal.signal(signal.SIGIO, signal.SIG_DFL)  # by default it ends the process
    fcntl.fcntl(life, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(life, fcntl.F_SETFL, fcntl.fcntl(life, fcntl.F_GETFL) | os.O_ASYNC)


def _limit(memory: int) -> None:
    """Let this process take `memory` bytes more than it has (on Linux)."""
    if not os.path.exists("/proc/self/statm"):
        return
    with open("/proc/self/statm", encoding="ascii") as file:
        has = int(file.read().split()[0]) * resource.getpagesize()
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    most = has + memory if hard == resource.RLIM_INFINITY else min(has + memory, hard)
    resource.setrlimit(resource.RLIMIT_AS, (most, hard))
