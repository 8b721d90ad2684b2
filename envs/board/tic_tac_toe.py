"""Tic-tac-toe: three of one's own in a row, a column or a diagonal win; a full board without them is a draw.

Action and bit of a cell, in word 1 (the first player's stones) and word 2 (the second's), and its name:

    0 1 2        a3 b3 c3
    3 4 5        a2 b2 c2
    6 7 8        a1 b1 c1
"""

from __future__ import annotations

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
    to_play,
)
from envs.board.symmetry import maps
from envs.kernels import kernel
from envs.rng import next_below

SIZE, CELLS = 3, 9
WORDS = 3
ONE = np.uint64(1)
BOARD = np.uint64((1 << CELLS) - 1)
SHIFTS = np.arange(CELLS, dtype=np.uint64)
ROWS = [0b111 << SIZE * row for row in range(SIZE)]
COLUMNS = [0b1001001 << column for column in range(SIZE)]
LINES = [*ROWS, *COLUMNS, 0b100010001, 0b001010100]
HAS_LINE = np.array([any(stones & line == line for line in LINES) for stones in range(1 << CELLS)])
"""Whether there is a line, by a player's stones."""


@kernel
def start(state, rules):  # type: ignore[no-untyped-def]
    """See `SIGNATURES`."""
    state[:] = 0


@kernel
def legal(state, rules, mask):  # type: ignore[no-untyped-def]
    """See `SIGNATURES`."""
    stones, over, count = state[1] | state[2], outcome(state) != OPEN, 0
    for cell in range(CELLS):
        mask[cell] = not over and (stones & (ONE << SHIFTS[cell])) == 0
        count += mask[cell]
    return count


@kernel
def play(state, rules, action):  # type: ignore[no-untyped-def]
    """See `SIGNATURES`."""
    seat = to_play(state)
    state[1 + seat] |= ONE << SHIFTS[action]
    pass_turn(state)
    if HAS_LINE[state[1 + seat]]:
        finish(state, FIRST_WON + seat)
    elif (state[1] | state[2]) == BOARD:
        finish(state, DRAW)


@kernel
def observe(state, rules, planes):  # type: ignore[no-untyped-def]
    """See `SIGNATURES`."""
    seat = to_play(state)
    mine, theirs = state[1 + seat], state[2 - seat]
    for cell in range(CELLS):
        planes[2 * cell] = (mine >> SHIFTS[cell]) & ONE
        planes[2 * cell + 1] = (theirs >> SHIFTS[cell]) & ONE


@kernel
def playout(state, rules, rng, i):  # type: ignore[no-untyped-def]
    """See `SIGNATURES`."""
    while outcome(state) == OPEN:
        stones, cell = state[1] | state[2], next_below(rng, i, CELLS)
        while stones & (ONE << SHIFTS[cell]):  # taken: any other, all the same
            cell = next_below(rng, i, CELLS)
        play(state, rules, cell)
    return outcome(state)


def make() -> Game:
    """Tic-tac-toe on 3×3; it has no options."""
    return Game(
        name="tic_tac_toe",
        title="tic-tac-toe",
        options={},
        shape=(SIZE, SIZE),
        planes=("mine", "theirs"),
        actions=CELLS,
        words=WORDS,
        longest=CELLS,
        rules={"start": start, "legal": legal, "play": play, "observe": observe, "playout": playout},
        **maps(SIZE, SIZE, "square"),
        move_text=lambda action: text.cell_text(action, SIZE, SIZE),
        parse_move=lambda word: text.parse_cell(word, SIZE, SIZE),
        board_text=board_text,
        flaw=flaw,
    )


def board_text(state: np.ndarray) -> str:
    """The board from above: x first, o second."""
    first, second = ((state[k] >> SHIFTS) & ONE for k in (1, 2))
    board = (first + second + second).astype(np.int8).reshape(SIZE, SIZE)
    return text.draw(board, columns="abc", rows="321")


def flaw(state: np.ndarray) -> str:
    """See `Game.flaw`; every position without a flaw can come up in a game."""
    first, second = int(state[1]), int(state[2])
    if (first | second) & ~int(BOARD):
        return "a stone lies outside the board"
    if first & second:
        return "a cell holds two stones"
    return text.turn_flaw(state, first.bit_count(), second.bit_count()) or text.win_flaw(
        state, bool(HAS_LINE[first]), bool(HAS_LINE[second]), full=first | second == BOARD
    )
