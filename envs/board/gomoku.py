"""Gomoku, free style: five or more of one's own in a row, a column or a diagonal win.

A full board without them is a draw. There are no forbidden moves and no opening rule. An action is a cell,
`row · size + column`. Word `1 + row` of a state holds that row: bit `column` is a stone of the first player,
bit `32 + column` one of the second.

    actions and names of size 5:

     0  1  2  3  4        a5 b5 c5 d5 e5
     5  6  7  8  9        a4 b4 c4 d4 e4
    10 11 12 13 14        a3 b3 c3 d3 e3
    15 16 17 18 19        a2 b2 c2 d2 e2
    20 21 22 23 24        a1 b1 c1 d1 e1
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from envs.board import text
from envs.board.game import (
    DRAW,
    FIRST_WON,
    OPEN,
    Game,
    finish,
    outcome,
    pass_turn,
    ply,
    to_play,
)
from envs.board.symmetry import maps
from envs.kernels import kernel
from envs.options import OptionError
from envs.rng import next_below

FIVE = 5
SMALLEST, LARGEST = FIVE, 19
ONE, TWO, REACH = np.uint64(1), np.uint64(2), np.uint64(FIVE - 1)
HALF, LOW = np.uint64(32), np.uint64((1 << 32) - 1)


@kernel
def start(state, rules):  # type: ignore[no-untyped-def]
    """See `SIGNATURES`."""
    state[:] = 0


@kernel
def legal(state, rules, mask):  # type: ignore[no-untyped-def]
    """See `SIGNATURES`."""
    size = rules[0]
    if outcome(state) != OPEN:
        mask[:] = False
        return 0
    for row in range(size):
        free = ~(state[1 + row] | state[1 + row] >> HALF)
        for column in range(size):
            mask[row * size + column] = (free >> np.uint64(column)) & ONE
    return size * size - ply(state)


@kernel
def has_five(line):  # type: ignore[no-untyped-def]
    """Whether five neighbouring bits are set."""
    pairs = line & (line >> ONE)
    fours = pairs & (pairs >> TWO)
    return (fours & (line >> REACH)) != 0


@kernel
def makes_five(state, size, row, column, half):  # type: ignore[no-untyped-def]
    """Whether the stone on a cell is one of five in a line: the four lines through it, gathered as bits."""
    upright = falling = rising = np.uint64(0)
    for k in range(max(0, 4 - row), min(9, size + 4 - row)):  # from four rows above to four below
        stones = (state[1 + row - 4 + k] >> half) & LOW
        near = (stones << REACH) >> np.uint64(column)  # bit 4 is in the cell's column
        upright |= ((near >> REACH) & ONE) << np.uint64(k)
        falling |= near & (ONE << np.uint64(k))
        rising |= near & (ONE << np.uint64(8 - k))
    along = (state[1 + row] >> half) & LOW
    return has_five(along) or has_five(upright) or has_five(falling) or has_five(rising)


@kernel
def place(state, size, row, column):  # type: ignore[no-untyped-def]
    """The mover's stone on a free cell."""
    seat = to_play(state)
    half = HALF * np.uint64(seat)
    state[1 + row] |= ONE << (half + np.uint64(column))
    pass_turn(state)
    if makes_five(state, size, row, column, half):
        finish(state, FIRST_WON + seat)
    elif ply(state) == size * size:
        finish(state, DRAW)


@kernel
def play(state, rules, action):  # type: ignore[no-untyped-def]
    """See `SIGNATURES`."""
    row = action // rules[0]
    place(state, rules[0], row, action - row * rules[0])


@kernel
def observe(state, rules, planes):  # type: ignore[no-untyped-def]
    """See `SIGNATURES`."""
    size = rules[0]
    mine = HALF * np.uint64(to_play(state))
    theirs = HALF - mine
    for row in range(size):
        own, other = state[1 + row] >> mine, state[1 + row] >> theirs
        for column in range(size):
            planes[2 * (row * size + column)] = (own >> np.uint64(column)) & ONE
            planes[2 * (row * size + column) + 1] = (other >> np.uint64(column)) & ONE


@kernel
def playout(state, rules, rng, i):  # type: ignore[no-untyped-def]
    """See `SIGNATURES`."""
    size = rules[0]
    while outcome(state) == OPEN:
        row, column = next_below(rng, i, size), next_below(rng, i, size)
        stones = state[1 + row]
        if not ((stones | stones >> HALF) >> np.uint64(column)) & ONE:  # taken: any other, all the same
            place(state, size, row, column)
    return outcome(state)


def make(size: int = 15) -> Game:
    """Gomoku on `size` × `size`, 5 to 19."""
    if not SMALLEST <= size <= LARGEST:
        raise OptionError("size", f"size of gomoku must be {SMALLEST} to {LARGEST}, not {size}")
    return Game(
        name="gomoku",
        title=f"gomoku {size}×{size}",
        options={"size": size},
        shape=(size, size),
        planes=("mine", "theirs"),
        actions=size * size,
        words=1 + size,
        longest=size * size,
        rules={"start": start, "legal": legal, "play": play, "observe": observe, "playout": playout},
        numbers=(size,),
        **maps(size, size, "square"),
        move_text=lambda action: text.cell_text(action, size, size),
        parse_move=lambda word: text.parse_cell(word, size, size),
        board_text=board_text,
        flaw=flaw,
    )


def stones(state: np.ndarray) -> np.ndarray:
    """Whose stones stand where: bool `[2, rows, columns]`, the first player's and the second's."""
    columns = np.arange(len(state) - 1, dtype=np.uint64)
    return np.stack([state[1:, None] >> shift + columns & ONE for shift in (np.uint64(0), HALF)]).astype(bool)


def board_text(state: np.ndarray) -> str:
    """The board from above: x first, o second."""
    first, second = stones(state).astype(np.int8)
    size = len(first)
    return text.draw(first + 2 * second, text.LETTERS[:size], [str(row) for row in range(size, 0, -1)])


@lru_cache
def fives(size: int) -> np.ndarray:
    """The cells of every five in a line, int `[fives, 5]`."""
    cells = np.pad(np.arange(size * size).reshape(size, size), FIVE, constant_values=-1)
    steps = np.array([1, len(cells), len(cells) + 1, len(cells) - 1])
    begin = np.arange(FIVE * len(cells), (FIVE + size) * len(cells))
    lines = cells.reshape(-1)[begin[:, None, None] + steps[:, None] * np.arange(FIVE)].reshape(-1, FIVE)
    return lines[(lines >= 0).all(1)]


def winning_cells(board: np.ndarray) -> tuple[bool, bool]:
    """(whether bool `[rows, columns]` has five in a line, whether one cell is part of every such five)."""
    board = board.reshape(-1)
    made = fives(int(len(board) ** 0.5))
    made = made[board[made].all(1)]
    shared = np.bincount(made.reshape(-1), minlength=1) == len(made)
    return len(made) > 0, bool(shared.any())


def flaw(state: np.ndarray) -> str:
    """See `Game.flaw`; every position without a flaw can come up in a game."""
    size = len(state) - 1
    halves = state[1:] & np.uint64((1 << size) - 1), state[1:] >> HALF
    if (halves[0] | halves[1] << HALF != state[1:]).any() or (halves[1] >> np.uint64(size)).any():
        return "a stone lies outside the board"
    first, second = stones(state)
    if (first & second).any():
        return "a cell holds two stones"
    (first_won, first_shared), (second_won, second_shared) = winning_cells(first), winning_cells(second)
    said = text.turn_flaw(state, int(first.sum()), int(second.sum())) or text.win_flaw(
        state, first_won, second_won, full=bool((first | second).all())
    )
    if not said and ((first_won and not first_shared) or (second_won and not second_shared)):
        return "the game was won before the last move"
    return said
