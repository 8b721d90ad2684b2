"""Numba kernels, compiled once and cached on disk: the one place that decides where and when.

A cached kernel does not notice that a kernel it calls, in another file, has changed. So the cache folder is
named by a hash of every file that holds kernels: any edit moves all of them to a fresh folder.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numba
from llvmlite import ir
from numba.core import config
from numba.core.compiler_lock import global_compiler_lock
from numba.experimental.function_type import _get_wrapper_address
from numba.extending import intrinsic

ROOT = Path(__file__).resolve().parent.parent
KERNEL_PACKAGES = ("agents", "envs", "llm_rl", "search")
STALE_SECONDS = 30 * 24 * 3600
COMPILING_SECONDS = 60.0
"""For which a process waits for another one that compiles the same kernel."""


def source_hash(root: Path = ROOT) -> str:
    """A short hash of all sources under the kernel packages that mention `kernel`."""
    digest = hashlib.sha256(f"numba {numba.__version__}".encode())
    for package in KERNEL_PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            text = path.read_bytes()
            if b"kernel" in text:
                digest.update(str(path.relative_to(root)).encode() + b"\0" + text)
    return digest.hexdigest()[:16]


def cache_folder() -> Path:
    """Where compiled kernels of exactly these sources lie (`MOVE37_CACHE`, else the user's cache)."""
    base = os.environ.get("MOVE37_CACHE") or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "move37" / "kernels" / source_hash()


def cold() -> bool:
    """Whether nothing of these sources was ever compiled here, so that it takes up to a minute at first."""
    return not any(_FOLDER.rglob("*.nbi"))


def tidy(folder: Path) -> None:
    """Mark a cache folder as used now; where it is new, remove its siblings that nobody used for a month."""
    with suppress(OSError):  # read-only, or another process was faster: nothing depends on it
        if folder.exists():
            os.utime(folder)
            return
        for other in folder.parent.iterdir():
            if time.time() - other.stat().st_mtime > STALE_SECONDS:
                shutil.rmtree(other, ignore_errors=True)


def kernel(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """`numba.njit`, cached on disk, without the interpreter lock. Options go to `njit`."""
    if function is None:
        return lambda f: kernel(f, **options)
    settings: Any = config
    before, settings.CACHE_DIR = settings.CACHE_DIR, str(_FOLDER)  # only while decorating: others keep theirs
    try:
        return _compiled_once(numba.njit(cache=True, nogil=True, **options)(function))
    finally:
        settings.CACHE_DIR = before


def _compiled_once(kernel: Any) -> Any:
    """Have one of several processes compile a kernel, while the others wait and then find it in the cache."""
    compile, lock = kernel.compile, _FOLDER / "locks" / f"{kernel.__module__}.{kernel.__qualname__}"

    def compiled(signature: Any) -> Any:
        with global_compiler_lock, _held(lock):  # in this order, for several threads may want the same kernel
            return compile(signature)

    kernel.compile = compiled
    return kernel


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """A lock among processes, gone with whoever has it; without it where there can be none, or too late."""
    with ExitStack() as stack:
        with suppress(OSError):  # a folder that is read-only, a file system without locks
            path.parent.mkdir(parents=True, exist_ok=True)
            file, limit = stack.enter_context(path.open("a")), time.monotonic() + COMPILING_SECONDS
            while not _locked(file) and time.monotonic() < limit:
                time.sleep(0.02)
        yield


def _locked(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def address(function: Callable[..., Any], signature: Any) -> int:
    """Where the machine code of a kernel for a numba `signature` lies in this process; compiles it first."""
    return _get_wrapper_address(function, signature)


def calling(signature: Any) -> Any:
    """A function for kernels, `call(address, arguments)`: calls what lies at an `address` of `signature`.

    `arguments` is a tuple of exactly those types. So a cached kernel can be given other kernels as numbers:
    it knows nothing of them, and a call costs 5 ns. (Passing them as functions costs 10 to 30 µs each.)
    """

    @intrinsic
    def call(typing: Any, address: Any, arguments: Any) -> Any:
        def generate(context: Any, builder: Any, _: Any, values: Any) -> Any:
            types = [context.get_value_type(t) for t in signature.args]
            code = ir.FunctionType(context.get_value_type(signature.return_type), types)
            function = builder.inttoptr(values[0], code.as_pointer())
            given = [builder.extract_value(values[1], i) for i in range(len(types))]
            return builder.call(function, given)

        if tuple(arguments) != tuple(signature.args):
            raise TypeError(f"called with {tuple(arguments)}, not with {tuple(signature.args)}")
        return signature.return_type(address, arguments), generate

    return call


_FOLDER = cache_folder()
tidy(_FOLDER)
