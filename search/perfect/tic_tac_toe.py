"""A perfect player of tic-tac-toe: the value of all 5,478 boards, and the best moves of the 4,520 that go on.

A board is nine ints, row after row: 0 empty, 1 the first player's, 2 the second's. Who is to move follows
from the count of stones. A value is seen by the player to move: 1 wins, 0 draws, -1 loses.

    0 1 2
    3 4 5
    6 7 8
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

CELLS = 9
LINES = ((0, 1, 2), (3, 4, 5), (6, 7, 8), (0, 3, 6), (1, 4, 7), (2, 5, 8), (0, 4, 8), (2, 4, 6))
WEIGHTS = 3 ** np.arange(CELLS)

Board = tuple[int, ...]


@dataclass(frozen=True)
class Table:
    """Every board by its `index`, 19,683 rows, of which 5,478 are `reachable`; the rest are left at 0.

    `reachable` and `over` are bool `[19683]`, `value` is int8 `[19683]`, `best` is bool `[19683, 9]`: the
    moves that keep the value, none where the game is over.
    """

    reachable: np.ndarray
    over: np.ndarray
    value: np.ndarray
    best: np.ndarray


def index(boards: np.ndarray) -> np.ndarray:
    """The rows of boards, int `[..., 9]`, in the table: a board read in base 3, its lowest digit first."""
    return boards @ WEIGHTS


@cache
def solve() -> Table:
    """The whole table, by minimax over all games."""
    rows = 3**CELLS
    reachable, over = np.zeros(rows, bool), np.zeros(rows, bool)
    value, best = np.zeros(rows, np.int8), np.zeros((rows, CELLS), bool)

    def visit(board: Board) -> int:
        row = int(index(np.array(board)))
        if reachable[row]:
            return int(value[row])
        reachable[row] = True
        lost = any(board[a] == board[b] == board[c] != 0 for a, b, c in LINES)
        over[row] = lost or 0 not in board
        if over[row]:
            value[row] = -lost  # the line was made by the player who moved last
            return int(value[row])
        mover = 1 + sum(stone != 0 for stone in board) % 2
        empty = [i for i in range(CELLS) if board[i] == 0]
        values = [-visit((*board[:i], mover, *board[i + 1 :])) for i in empty]
        value[row] = max(values)
        best[row, empty] = np.array(values) == value[row]
        return int(value[row])

    visit((0,) * CELLS)
    return Table(reachable, over, value, best)


def best_moves(board: np.ndarray) -> np.ndarray:
    """The cells, int64 `[k]` in rising order, where a stone keeps the value of a board, int `[9]`.

    Raises `ValueError` where it is no board, is none of a game, or the game is over.
    """
    board = np.asarray(board)
    if board.shape != (CELLS,) or not np.isin(board, (0, 1, 2)).all():
        raise ValueError(f"a board is 9 numbers 0, 1 or 2, not {board.tolist()!r:.60}")
    table, row = solve(), index(board.astype(np.int64))
    if not table.reachable[row]:
        raise ValueError(f"no game leads to the board {board.tolist()}")
    if table.over[row]:
        raise ValueError(f"the game is over on the board {board.tolist()}")
    return np.flatnonzero(table.best[row])
