"""Work on threads of its own: shared out among several, or long work that Ctrl-C must be able to stop."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, wait
from functools import partial
from threading import Thread
from typing import TypeVar

import numba

T = TypeVar("T")


def begin(work: Callable[[], T]) -> Future[T]:
    """Call `work()` on a thread of its own; `begin(work).result()` waits for what comes of it.

    For kernels that take long: Python hears Ctrl-C only between two of its own steps, which who waits makes,
    and a kernel does not. The thread is a daemon, and so dies with the program.
    """
    found: Future[T] = Future()
    threads = numba.get_num_threads()  # which each thread has for itself

    def run() -> None:
        numba.set_num_threads(threads)
        try:
            found.set_result(work())
        except BaseException as error:
            found.set_exception(error)

    Thread(target=run, daemon=True).start()
    return found


def workers_for(n: int) -> int:
    """How many threads share `n` things: as many as numba may use."""
    return max(1, min(n, numba.get_num_threads()))


def share_out(work: Callable[[int], None], workers: int) -> None:
    """Call `work(0)` to `work(workers - 1)`, each on a thread of its own.

    For kernels, which run without the interpreter lock. Threads that have nothing to do sleep, where those of
    `prange` spin and take the cores from others. For work of milliseconds: to begin takes 0.1 ms, too
    long for the short rounds of `search.mcts`.
    """
    if workers == 1:
        work(0)
        return
    begun = [begin(partial(work, w)) for w in range(workers)]
    wait(begun)  # all of them, even where one fails: they write to arrays of the caller's
    for one in begun:
        one.result()
