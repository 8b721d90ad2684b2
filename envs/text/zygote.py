"""A bare interpreter that forks once for each program (`envs.text.jail`), as seen by who starts and asks it.

It gets no environment, no handles but a socket and the news that this process has ended, and under bubblewrap
sees no files but its own: the interpreter, the standard library without installed packages, system libraries.
"""

from __future__ import annotations

import contextlib
import itertools
import marshal
import os
import secrets
import shutil
import signal
import socket
import struct
import subprocess
import sys
import sysconfig
import tempfile
import time
import weakref
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

FOLDER = 1 << 26
"""Bytes that all files of a program may have under bubblewrap."""
PATIENCE = 60.0
"""Seconds in which it must have started."""
PARTING = 1.0
"""Seconds in which it may put its things in order at the end."""
GRACE = 10.0
"""Seconds beyond a program's own in which its outcome must be here."""
LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache")
PACKAGES = ("site-packages", "dist-packages")
ENVIRONMENT = {"PYTHONHASHSEED": "0", "MALLOC_ARENA_MAX": "1"}
"""Equal runs are equal; threads share what they allocate from, so that address space is what is used."""
FLAGS = ("-s", "-P", "-S", "-B", "-X", "utf8")
"""As `-I -S`, but that the hash seed is read; there are no other variables."""
SOURCES = {f"envs.text.{name}": Path(__file__).with_name(f"{name}.py") for name in ("walls", "jail")}
CODE = """
import builtins, sys
handles = dict(zip(sys.argv[3::2], sys.argv[4::2]))
for name, handle in handles.items():
    module = sys.modules[name] = type(sys)(name)
    module.__builtins__ = dict(vars(builtins))
    exec(compile(open(int(handle)).read(), name, "exec"), vars(module))
for name in handles:
    del sys.modules[name]
module.serve(int(sys.argv[1]), int(sys.argv[2]))
"""
CAPABILITIES = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "SETUID", "SETGID")
"""What it keeps of root's rights, to give each program a user id and take it all away again."""
USERS, NEXT = 0x70000000, itertools.count()
"""The first of the user ids that no system gives away."""


class SandboxError(RuntimeError):
    """Programs cannot be run on this system; says what is missing."""


@dataclass(frozen=True)
class Order:
    """A program as it is sent."""

    message: bytes
    seconds: float
    calls: int
    nonce: bytes
    """What the process of the program says last, if it comes to its end."""


@dataclass(frozen=True)
class Answer:
    """How a program's process ended."""

    ended: bool
    """It did so by itself, in time."""
    status: int
    """As of `os.waitpid`."""
    seconds: float
    printed: bytes
    report: bytes
    """Written by the program's own process: to be believed in nothing but what it returned."""


@dataclass(eq=False)
class Zygote:
    """The process, and the socket to it."""

    process: subprocess.Popen[bytes]
    pipe: socket.socket
    folder: str
    owner: int = field(default_factory=os.getpid)
    walls: tuple[str, ...] = ()
    """Those that stand."""
    deadline: float = 0.0
    """When the answer must be here, by the monotonic clock."""

    def __post_init__(self) -> None:
        self.end: Callable[[], Any] = weakref.finalize(
            self, _end, self.process, self.pipe, self.owner, self.folder
        )

    @classmethod
    def spawn(cls, walls: Collection[str]) -> Zygote:
        """Start one behind those of `walls` that this system has.

        Raises `SandboxError` where it does not start.
        """
        bubblewrap = shutil.which("bwrap") if "bubblewrap" in walls else None
        folder = (
            "/box" if bubblewrap else os.path.join(tempfile.gettempdir(), f"sandbox-{secrets.token_hex(8)}")
        )
        user = USERS + (os.getpid() * 64 + next(NEXT)) % (1 << 28)
        setup = {
            "walls": [wall for wall in walls if wall != "bubblewrap" or bubblewrap],
            "uid": user,
            "folder": folder,
            "readable": list(readable(hidden=bubblewrap is not None)),
        }
        with tempfile.TemporaryFile() as said:
            zygote = cls(*_launch(bubblewrap, folder, said.fileno()), folder)
            zygote.send(marshal.dumps(setup), PATIENCE)
            hello = zygote.receive()
            if hello is None:
                status = zygote.end()
                said.seek(0)
                lines = said.read().decode("utf-8", "replace").split("\n")
                why = next((line for line in reversed(lines) if line), f"exit status {status}")
                raise SandboxError(f"programs cannot be run in a sandbox here: {why}")
        zygote.walls = tuple(hello.decode().split())
        return zygote

    def ask(self, order: Order) -> None:
        """Have a program run."""
        self.send(order.message, order.seconds + GRACE)

    def answer(self) -> Answer | None:
        """What came of it; None where the process is lost or late."""
        message = self.receive()
        if message is None:
            return None
        head = struct.Struct("?idI")
        ended, status, seconds, size = head.unpack_from(message)
        printed, report = message[head.size :][:size], message[head.size + size :]
        return Answer(ended, status, seconds, printed, report)

    def send(self, message: bytes, seconds: float) -> None:
        """Send a message that is to be answered within `seconds`."""
        self.deadline = time.monotonic() + seconds
        with contextlib.suppress(OSError):  # a lost process does not answer, and so is found
            self.pipe.settimeout(seconds)
            self.pipe.sendall(struct.pack("I", len(message)) + message)

    def receive(self) -> bytes | None:
        """The next message, or None where none comes in time."""
        try:
            size = struct.unpack("I", self._read(4))[0]
            return self._read(size)
        except (OSError, EOFError):
            return None

    def _read(self, size: int) -> bytes:
        parts = bytearray()
        while len(parts) < size:
            self.pipe.settimeout(max(0.001, self.deadline - time.monotonic()))
            part = self.pipe.recv(size - len(parts))
            if not part:
                raise EOFError
            parts += part
        return bytes(parts)


def _launch(
    bubblewrap: str | None, folder: str, stderr: int
) -> tuple[subprocess.Popen[bytes], socket.socket]:
    ours, theirs = socket.socketpair()
    with contextlib.ExitStack() as stack:
        stack.callback(theirs.close)
        files = {name: stack.enter_context(open(path, "rb")).fileno() for name, path in SOURCES.items()}
        try:
            life = os.pidfd_open(os.getpid())
        except OSError as error:
            raise SandboxError(f"a sandbox needs Linux 5.3 or later: pidfd_open: {error.strerror}") from None
        stack.callback(os.close, life)
        handles = (theirs.fileno(), life, *files.values())
        named = [str(part) for pair in files.items() for part in pair]
        command = [interpreter(), *FLAGS, "-c", CODE, str(theirs.fileno()), str(life), *named]
        try:
            process = subprocess.Popen(
                [*wrapped(bubblewrap, folder), *command] if bubblewrap else command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                pass_fds=handles,
                env=ENVIRONMENT,
                cwd="/",
                start_new_session=True,  # Ctrl-C is for us
            )
        except OSError as error:
            raise SandboxError(f"programs cannot be run in a sandbox here: {error}") from None
    return process, ours


def _end(process: subprocess.Popen[bytes], pipe: socket.socket, owner: int, folder: str) -> int:
    """Have a process end, and whatever it started; its exit status. One of another process is left alone."""
    if os.getpid() != owner:
        pipe.close()
        return 0
    with contextlib.suppress(OSError):
        pipe.shutdown(socket.SHUT_RDWR)  # also where a fork of this process has a copy
    pipe.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(PARTING)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if process.returncode is None:  # not reaped yet, so nobody else can have its id
            os.killpg(process.pid, signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)
    return process.wait()


# -- what it may see ---------------------------------------------------------------------------------------


def interpreter() -> str:
    """The interpreter itself, not that of a virtual environment."""
    return os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)


@lru_cache(maxsize=2)
def readable(hidden: bool) -> tuple[str, ...]:
    """What a program may read: the standard library without installed packages, and system libraries.

    Where those packages are `hidden` anyway the library is named as one, for rules cost time.
    """
    library = Path(os.path.realpath(sysconfig.get_path("stdlib")))
    modules = [library] if hidden else [path for path in library.iterdir() if path.name not in PACKAGES]
    return (*map(str, modules), *_libraries())


def _libraries() -> Iterator[str]:
    """System libraries, those beside the interpreter, and extension modules."""
    yield from filter(os.path.exists, LIBRARIES)
    yield os.path.realpath(sysconfig.get_config_var("DESTSHARED"))
    beside = Path(sysconfig.get_config_var("LIBDIR"))
    if not str(beside).startswith(LIBRARIES):
        yield from (str(path) for path in beside.glob("lib*.so*"))


def wrapped(bubblewrap: str, folder: str) -> list[str]:
    """The command line of bubblewrap, up to the command that it is to run."""
    library = os.path.realpath(sysconfig.get_path("stdlib"))
    shown = [interpreter(), library, *_libraries()]
    above = {str(path) for name in shown for path in Path(name).parents} - {"/"}
    command = [bubblewrap, "--as-pid-1"]
    for space in ("net", "pid", "ipc", "uts"):
        command.append(f"--unshare-{space}")
    for path in sorted(above):  # else closed to others where the system's are
        command += ["--perms", "0755", "--dir", path]
    for path in shown:
        command += ["--ro-bind", path, path]
    for packages in PACKAGES:
        if os.path.isdir(hidden := os.path.join(library, packages)):
            command += ["--tmpfs", hidden]
    command += [
        "--size",
        str(FOLDER),
        "--perms",
        "0755",
        "--tmpfs",
        folder,
        "--dev-bind",
        "/dev/null",
        "/dev/null",
    ]
    if os.geteuid() == 0:
        command += ["--cap-drop", "ALL"]
        for capability in CAPABILITIES:
            command += ["--cap-add", f"CAP_{capability}"]
    return [*command, "--chdir", folder]
