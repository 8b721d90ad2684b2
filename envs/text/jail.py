"""The other side of the sandbox: an interpreter that holds nothing of ours forks once for each program.

Its source, this file and `envs/text/walls.py`, is run by a bare interpreter that sees no file of the suite
(`envs.text.sandbox` starts it), so it imports the standard library only. Its builtins are a copy, and what is
called after a program has run is bound by name here: a program that patches `repr`, `len` or `os.write`
patches its own.
"""

from __future__ import annotations

import gc
import os
import resource
import select
import struct
import sys
import time
from marshal import loads
from os import _exit, write
from typing import Any, NoReturn

from envs.text.walls import Walls

REPORT = 3
"""The handle to which a program's process writes what came of it."""
VALUE, ERROR, MEMORY = b"=", b"!", b"m"
FILE = 1 << 24
"""Bytes that a file may have."""
HANDLES = 64
MOST = 1 << 16
"""Characters and parts that a canonical value may have."""
DEEPEST = 64
DIGITS = 4000
"""Digits that a number may have: below where Python refuses to write them."""
PRELOADED = (
    "bisect collections copy datetime decimal fractions functools heapq io itertools json math operator "
    "random re statistics string typing"
)
"""What programs import most; forking is faster than importing."""


class Unsupported(ValueError):
    """A value has no canonical form: another type than those of plain data, or too much of it."""


def canonical(value: Any) -> str:
    """The text of plain data: equal for two values if and only if their types and contents are.

    It is `repr`'s, but for the order of sets and dictionaries, which is that of their elements' texts. Types
    are compared exactly, so that no `__eq__` or `__repr__` of a program's own is ever asked.

    Raises `Unsupported` for other types than None, bool, int, float, str, bytes, list, tuple, dict, set and
    frozenset, and for what is too large or too deep.
    """
    return _canonical(value, DEEPEST, [MOST])


def _canonical(value: Any, depth: int, left: list[int]) -> str:
    kind = type(value)
    left[0] -= 1 + (len(value) if kind is str or kind is bytes else 0)
    if depth < 0 or left[0] < 0:
        raise Unsupported("too deep" if depth < 0 else "too large")
    if value is None or kind is bool or kind is float or kind is str or kind is bytes:
        return repr(value)
    if kind is int:
        left[0] -= value.bit_length() // 3
        if value.bit_length() > 3 * DIGITS:
            raise Unsupported("too large")
        return int.__repr__(value)
    if kind is dict:
        pairs = [(_canonical(k, depth - 1, left), _canonical(v, depth - 1, left)) for k, v in value.items()]
        return "{" + ", ".join([f"{k}: {v}" for k, v in sorted(pairs)]) + "}"
    if kind is list or kind is tuple:
        parts = [_canonical(part, depth - 1, left) for part in value]
        inside = ", ".join(parts)
        if kind is list:
            return f"[{inside}]"
        return f"({inside},)" if len(parts) == 1 else f"({inside})"
    if kind is set or kind is frozenset:
        inside = "{" + ", ".join(sorted([_canonical(part, depth - 1, left) for part in value])) + "}"
        inside = inside if value else "set()" if kind is set else ""
        return inside if kind is set else f"frozenset({inside})"
    raise Unsupported(kind.__name__[:100] if type(kind) is type else "a type")


# -- the process that forks --------------------------------------------------------------------------------


def serve(orders: int, life: int) -> None:
    """Run programs as they are asked for by the socket `orders`, until it or the process `life` ends."""
    os.environ.clear()
    while os.open(os.devnull, os.O_RDWR) <= REPORT:  # a program's handles come to lie there
        pass
    setup = loads(_receive(orders, life))
    walls = Walls(setup["walls"], setup["uid"], setup["folder"], setup["readable"])
    if "namespaces" in walls.wanted and "bubblewrap" not in walls.wanted:  # which has made them
        walls.unshare(orders, life)
    for name in PRELOADED.split():
        __import__(name)
    try:
        _send(orders, " ".join(walls.build()).encode())
        gc.collect()
        gc.freeze()
        while True:
            _send(orders, _outcome(loads(_receive(orders, life)), walls, orders, life))
    except (EOFError, BrokenPipeError):
        walls.remove()


def _receive(orders: int, life: int) -> bytes:
    """The next message."""
    _wait(orders, life, orders, select.POLLIN)
    size = struct.unpack("I", _read(orders, 4))[0]
    return _read(orders, size)


def _read(handle: int, size: int) -> bytes:
    parts = []
    while size:
        part = os.read(handle, min(size, 1 << 20))
        if not part:
            raise EOFError
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _send(orders: int, message: bytes) -> None:
    message = struct.pack("I", len(message)) + message
    while message:
        message = message[write(orders, message) :]


def _wait(orders: int, life: int, handle: int, events: int, seconds: float | None = None) -> bool:
    """Whether `handle` is ready in time. Raises `EOFError` where nobody is left to ask or to tell."""
    poll = select.poll()
    poll.register(orders, 0)
    poll.register(handle, events)
    poll.register(life, select.POLLIN)
    ready = dict(poll.poll(None if seconds is None else seconds * 1000))
    if life in ready or ready.get(orders, 0) & (select.POLLHUP | select.POLLERR):
        raise EOFError
    return handle in ready


def _outcome(order: dict[str, Any], walls: Walls, orders: int, life: int) -> bytes:
    """Run a program in a fork of this process; how it ended, what it printed and what it reports."""
    handles = [_scratch(order["stdin"]), _scratch(), os.open(os.devnull, os.O_WRONLY), _scratch()]
    start = time.monotonic()
    pid = os.fork()
    if pid == 0:
        _be(order, walls, handles)
    watch = os.pidfd_open(pid)
    try:
        ended = _wait(orders, life, watch, select.POLLIN, order["seconds"])
    finally:
        status = walls.sweep(pid)
    seconds = time.monotonic() - start
    printed = os.pread(handles[1], order["output"] + 1, 0)
    report = os.pread(handles[3], order["report"], 0)
    for handle in (*handles, watch):
        os.close(handle)
    walls.clear()
    return struct.pack("?idI", ended, status, seconds, len(printed)) + printed + report


def _scratch(content: bytes = b"") -> int:
    """A file without a name, at its begin."""
    handle = os.memfd_create("")
    if content:
        with open(handle, "wb", closefd=False) as file:
            file.write(content)
        os.lseek(handle, 0, os.SEEK_SET)
    return handle


# -- the process of one program ----------------------------------------------------------------------------


def _be(order: dict[str, Any], walls: Walls, handles: list[int]) -> NoReturn:
    """Become the program's process: go behind the walls, run it, report, and end."""
    try:
        _limit(order["seconds"], order["memory"])
        for place, handle in enumerate(handles):
            os.dup2(handle, place)
        walls.enter(len(handles))
        _write_files(order["files"])
        walls.close()
        _play(order["source"], order["calls"])
        write(REPORT, order["nonce"])
        _exit(0)
    except BaseException as error:
        _tell_error(error)
    finally:
        _exit(1)


def _limit(seconds: float, memory: int) -> None:
    cpu = int(seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + 1))
    limits = {"AS": memory, "FSIZE": FILE, "NOFILE": HANDLES, "CORE": 0, "MEMLOCK": 0, "MSGQUEUE": 0}
    for name, most in limits.items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (most, most))


def _write_files(files: dict[str, str]) -> None:
    for name, content in files.items():
        os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
        with open(name, "w", encoding="utf-8", errors="surrogatepass", newline="") as file:
            file.write(content)


def _play(source: str, calls: list[tuple[str, bytes]]) -> None:
    """Run a program as `__main__`, then make the calls, and tell what each gave."""
    spare = bytes(1 << 22)  # not touched until then: room in which to tell that there is none
    module = type(sys)("__main__")
    names = vars(module)
    names["__file__"] = sys.argv[0] = "program.py"
    del sys.argv[1:]
    sys.modules["__main__"] = module
    sys.path.insert(0, os.getcwd())
    sys.modules["random"].seed(0)
    names["__builtins__"] = sys.modules["builtins"]  # the program's own, not the copy that is used here
    for name in ("exit", "quit"):  # which an interpreter has from `site`
        setattr(sys.modules["builtins"], name, sys.exit)
    out = sys.stdout
    try:
        try:
            exec(compile(source, "program.py", "exec", dont_inherit=True), names)
        except SystemExit as error:
            if calls or (error.code is not None and error.code != 0):
                raise
        for name, arguments in calls:
            _call(names, name, arguments)
        if "threading" in sys.modules:
            sys.modules["threading"]._shutdown()  # what an interpreter does at its end: wait for them
        if not out.closed:
            out.flush()
    except BaseException as error:
        del spare
        names.clear()
        _tell_error(error)


def _call(names: dict[str, Any], name: str, arguments: bytes) -> None:
    try:
        if name not in names:
            raise NameError(f"there is no function '{name}'")
        _tell(VALUE, canonical(names[name](*loads(arguments))))
    except Unsupported as error:
        _tell(VALUE, f"<unsupported: {error}>")
    except MemoryError:
        raise
    except BaseException as error:
        _tell(VALUE, f"<{_name(error)}>")
        _tell_error(error)


def _tell_error(error: BaseException) -> None:
    """What was raised and where in the program, in a line."""
    try:
        said = " ".join(str(error).split())
    except BaseException:
        said = ""
    line, trace = 0, error.__traceback__
    while trace is not None:
        line = trace.tb_lineno if trace.tb_frame.f_code.co_filename == "program.py" else line
        trace = trace.tb_next
    where = f" (line {line})" if line else ""
    kind = MEMORY if isinstance(error, MemoryError) else ERROR
    _tell(kind, f"{_name(error)}: {said[:300]}{where}" if said else f"{_name(error)}{where}")


def _name(error: BaseException) -> str:
    return str.__str__(type.__dict__["__name__"].__get__(type(error)))[:100]


def _tell(kind: bytes, text: str) -> None:
    data = text.encode("utf-8", "backslashreplace")
    write(REPORT, kind + len(data).to_bytes(4, "little") + data)
