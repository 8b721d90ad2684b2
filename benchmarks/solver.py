"""The connect-four solver: positions a second, by class, with the exact score of every legal move.

One thread, no opening book, and a table of 128 MB that is empty when a class begins. The positions are those
of the scorecard, in order; a class that takes longer than `SECONDS` is left after so many of them.

* scored: positions, against 1,000 a minute, which is asked for in the middle of the game.
* explored: positions that the solver looked at for them, in millions a second.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

from benchmarks.report import Row, main
from search.perfect.connect_four import Solver
from search.perfect.positions import CLASSES, Positions, load_positions

SECONDS, CHUNK = 12.0, 10
ASKED = 1000 / 60


def rates(positions: Positions, kind: str, seconds: float = SECONDS) -> tuple[float, float]:
    """Positions scored and positions explored, a second."""
    solver, chosen, done = Solver(), np.flatnonzero(positions.classes == CLASSES.index(kind)), 0
    begun = time.perf_counter()
    while (spent := time.perf_counter() - begun) < seconds and done < len(chosen):
        some = chosen[done : done + CHUNK]
        solver.scores(positions.mine[some], positions.mask[some])
        done += len(some)
    return done / spent, solver.nodes / spent


def rows() -> Iterator[Row]:
    """Two rows a class."""
    positions = load_positions()
    Solver(1).scores(positions.mine[:1], positions.mask[:1])  # compiles
    for kind in CLASSES:
        scored, explored = rates(positions, kind)
        reach = 1.0 if kind.startswith("middle") else None
        yield Row(f"solver, {kind}, scored", "1,000 a minute", scored, ASKED, reach, unit="positions/s")
        yield Row(f"solver, {kind}, explored", "1,000,000 a second", explored, 1e6, unit="positions/s")


if __name__ == "__main__":
    main(rows, __doc__)
