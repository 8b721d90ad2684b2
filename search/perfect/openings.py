"""Opening positions of connect four that were solved once: kept in the user's cache, for all games to come.

A line of the file is a kind ("scores" or "outcomes"), the moves that lead to the position, what each of its
moves is worth, and an end mark:

    scores 44 -2 -2 -2 3 -2 -2 -2 ;

A line is written at once, after a line break of its own: one that was torn is passed over, and spoils no
other, even where several programs write.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np

from search.perfect.bitboard import COLUMNS, canonical
from search.perfect.connect_four import BEST, ILLEGAL, WORST, Solver
from search.perfect.notation import from_moves, to_moves

FILE = "connect_four_openings.txt"
STONES = 12
"""Positions with fewer are openings: they take seconds to minutes, later ones hardly any time."""
EMPTY = (-2, -1, 0, 1, 0, -1, -2)
"""The scores of the first move (Allen and Allis, 1988, for who wins; Pons, 2015)."""
SCORES, OUTCOMES = "scores", "outcomes"


class Openings:
    """What is known of positions with fewer than `STONES` stones; learns by `worth`, and by its file.

    A file that cannot be written is done without.
    """

    def __init__(self, path: Path, solver: Solver) -> None:
        self.path, self.solver = path, solver
        self.known: dict[tuple[str, int], np.ndarray] = {}
        self._remember(SCORES, np.uint64(0), np.uint64(0), np.array(EMPTY, np.int8))
        if path.exists():
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                with suppress(ValueError):
                    self._remember(*read_line(line))

    def worth(self, kind: str, mine: np.uint64, mask: np.uint64) -> np.ndarray:
        """What `Solver.scores` or `Solver.outcomes` (the `kind`) say of an opening position, int8 `[7]`."""
        key, turned = canonical(mine, mask), is_mirrored(mine, mask)
        known = self.known.get((kind, key))
        if known is None and kind == OUTCOMES and (SCORES, key) in self.known:
            scores = self.known[SCORES, key]
            known = np.where(scores == ILLEGAL, ILLEGAL, np.sign(scores)).astype(np.int8)
        if known is None:
            solve: Callable[..., np.ndarray] = getattr(self.solver, kind)
            found = solve(mine, mask)
            self._remember(kind, mine, mask, found)
            self._save(kind, mine, mask, found)
            return found
        return known[::-1] if turned else known

    def _remember(self, kind: str, mine: np.uint64, mask: np.uint64, found: np.ndarray) -> None:
        """Keep it by its canonical name, columns as they stand there."""
        self.known[kind, canonical(mine, mask)] = found[::-1] if is_mirrored(mine, mask) else found

    def _save(self, kind: str, mine: np.uint64, mask: np.uint64, found: np.ndarray) -> None:
        """Append a line to the file, in one write."""
        worth = " ".join("." if score == ILLEGAL else str(score) for score in found)
        line = f"\n{kind} {to_moves(mine, mask)} {worth} ;\n".encode()
        with suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            try:
                os.write(file, line)
            finally:
                os.close(file)


def read_line(line: str) -> tuple[str, np.uint64, np.uint64, np.ndarray]:
    """The kind, the position and the worth of its moves (`ValueError` for a line that is torn, or none)."""
    kind, moves, *words, end = line.split(" ")
    worth = [ILLEGAL if word == "." else int(word) for word in words]
    right = all(score == ILLEGAL or WORST <= score <= BEST for score in worth)
    if kind not in (SCORES, OUTCOMES) or len(worth) != COLUMNS or end != ";" or not right:
        raise ValueError(f"'{line}' is no solved position")
    return kind, *from_moves(moves), np.array(worth, np.int8)


def is_mirrored(mine: np.uint64, mask: np.uint64) -> bool:
    """Whether a position's canonical name is that of its mirror image."""
    return bool(mine + mask != canonical(mine, mask))
