"""Positions of connect four as moves in text ("44455", columns counted from 1), and what makes them wrong."""

from __future__ import annotations

import numpy as np

from envs.board.connect_four import drop_order
from envs.kernels import kernel
from search.perfect.bitboard import BOARD, BOTTOM, CELLS, COLUMNS, ROWS, STRIDE, ZERO, count, has_four

Words = np.ndarray | np.uint64 | int
FAULTS = (
    "",
    "has a stone outside the board or above an empty cell",
    "has a stone of the player to move that is not among all stones",
    "has {mine} stones of the player to move and {theirs} of the other, who moved last",
    "is over: it has four in a row",
    "is over: the board is full",
)
FLOATS, STRANGER, COUNTS, WON, FULL = range(1, len(FAULTS))


@kernel
def first_fault(mine, mask):  # type: ignore[no-untyped-def]
    """The first position `[n]` that cannot be played on, and why (in `FAULTS`; 0 where all are well)."""
    for i in range(len(mask)):
        theirs = mine[i] ^ mask[i]
        more = count(theirs) - count(mine[i])
        if mask[i] & ~BOARD != ZERO or (mask[i] + BOTTOM) & mask[i] != ZERO:
            return i, FLOATS
        if mine[i] & ~mask[i] != ZERO:
            return i, STRANGER
        if more < 0 or more > 1:
            return i, COUNTS
        if has_four(mine[i]) or has_four(theirs):
            return i, WON
        if mask[i] == BOARD:
            return i, FULL
    return 0, 0


def check_positions(mine: Words, mask: Words) -> tuple[np.ndarray, ...]:
    """Both words as arrays uint64 `[n]` (n = 1 for scalars).

    Raises `ValueError` that names the first position that is none of a game that goes on. Whether a game
    leads there is not checked: see `to_moves`.
    """
    words = np.asarray(mine, np.uint64), np.asarray(mask, np.uint64)
    if words[0].shape != words[1].shape or words[0].ndim > 1:
        raise ValueError(f"words of shapes {words[0].shape} and {words[1].shape}; both must be () or (n,)")
    a, b = (np.ascontiguousarray(word.reshape(-1)) for word in words)
    i, fault = first_fault(a, b)
    if fault:
        stones = int(a[i]).bit_count()
        said = FAULTS[fault].format(mine=stones, theirs=int(b[i]).bit_count() - stones)
        raise ValueError(f"position {i} {said}" if words[0].ndim else f"the position {said}")
    return a, b


def from_moves(moves: str) -> tuple[np.uint64, np.uint64]:
    """The position, (mine, mask), after `moves` ("44455").

    Raises `ValueError` that names the first move that cannot be made: no such column, a full one, or a game
    that was over. The last move may end the game.
    """
    mine, mask = 0, 0
    for number, move in enumerate(moves, 1):
        said = f"move {number} of '{moves}'"
        column = "1234567".find(move)
        if column < 0:
            raise ValueError(f"{said}: '{move}' is no column; they are 1 to {COLUMNS}")
        if has_four(np.uint64(mine ^ mask)):
            raise ValueError(f"{said}: the game was over, with four in a row")
        if mask >> (STRIDE * column + ROWS - 1) & 1:
            raise ValueError(f"{said}: column {move} is full")
        mine, mask = mine ^ mask, mask | (mask + (1 << STRIDE * column))
    return np.uint64(mine), np.uint64(mask)


def to_moves(mine: Words, mask: Words) -> str:
    """Moves that lead to a position: of all such games the one that comes first in order.

    Raises `ValueError` where the position is none of a game that goes on, or where no game leads to it.
    """
    (own,), (both,) = check_positions(np.uint64(mine), np.uint64(mask))
    stones = int(both).bit_count()
    first = int(own if stones % 2 == 0 else own ^ both)
    order = np.zeros(CELLS, np.int64)
    if not drop_order(np.uint64(first), both ^ np.uint64(first), (1 << COLUMNS) - 1, order):
        raise ValueError("no game leads to the position: its stones cannot have been dropped in turn")
    return "".join(str(column + 1) for column in order[:stones])
