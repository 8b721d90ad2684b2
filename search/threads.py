"""Work that is shared out among threads, which need nothing of each other."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numba


def workers_for(n: int) -> int:
    """How many threads share `n` things: as many as numba may use."""
    return max(1, min(n, numba.get_num_threads()))


def share_out(work: Callable[[int], None], workers: int) -> None:
    """Call `work(0)` to `work(workers - 1)`, each on a thread of its own.

    For kernels, which run without the interpreter lock. Threads that have nothing to do sleep, where those of
    `prange` spin and take the cores from others.
    """
    if workers == 1:
        work(0)
        return
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(work, range(workers)))
