"""Connect four: seven columns of six; four of one's own in a row, a column or a diagonal win.

A stone falls to the lowest free cell of its column. When the board is full, the game is a draw. An action is
a column, counted from 0 at the left; people write it from 1.

    bit of a stone, in word 1 (the first player's) and word 2 (the second's)

     5 12 19 26 33 40 47        row 0 of an observation
     4 11 18 25 32 39 46
     3 10 17 24 31 38 45
     2  9 16 23 30 37 44
     1  8 15 22 29 36 43
     0  7 14 21 28 35 42        row 5

Bits 6, 13, … stay empty, so that no line runs over a column's end.
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

ROWS, COLUMNS, CELLS = 6, 7, 42
HEIGHT = ROWS + 1
WORDS = 3
ONE = np.uint64(1)
BOTTOM = np.array([1 << HEIGHT * c for c in range(COLUMNS)], np.uint64)
BOARD = np.uint64(sum((1 << ROWS) - 1 << HEIGHT * c for c in range(COLUMNS)))
TOP = np.array([1 << HEIGHT * c + ROWS - 1 for c in range(COLUMNS)], np.uint64)
COLUMN = np.array([(1 << ROWS) - 1 << HEIGHT * c for c in range(COLUMNS)], np.uint64)
SHIFTS = np.array([HEIGHT * (k % COLUMNS) + ROWS - 1 - k // COLUMNS for k in range(CELLS)], np.uint64)
# Steps of a line: up, along a row, and the two diagonals.
UP, ALONG, FALLING, RISING = (np.uint64(step) for step in (1, HEIGHT, HEIGHT - 1, HEIGHT + 1))
TWO = np.uint64(2)


@kernel
def has_four(stones):  # type: ignore[no-untyped-def]
    """Whether there are four in a line."""
    up = stones & (stones >> UP)
    along = stones & (stones >> ALONG)
    falling = stones & (stones >> FALLING)
    rising = stones & (stones >> RISING)
    up &= up >> (TWO * UP)
    along &= along >> (TWO * ALONG)
    falling &= falling >> (TWO * FALLING)
    rising &= rising >> (TWO * RISING)
    return (up | along | falling | rising) != 0


@kernel
def start(state, rules):  # type: ignore[no-untyped-def]
    """See `SIGNATURES`."""
    state[:] = 0


@kernel
def legal(state, rules, mask):  # type: ignore[no-untyped-def]
    """See `SIGNATURES`."""
    stones, over, count = state[1] | state[2], outcome(state) != OPEN, 0
    for column in range(COLUMNS):
        mask[column] = not over and (stones & TOP[column]) == 0
        count += mask[column]
    return count


@kernel
def play(state, rules, action):  # type: ignore[no-untyped-def]
    """See `SIGNATURES`."""
    seat = to_play(state)
    stones = state[1] | state[2]
    state[1 + seat] |= (stones + BOTTOM[action]) & COLUMN[action]
    pass_turn(state)
    if has_four(state[1 + seat]):
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
    seat = to_play(state)
    mine, theirs = state[1 + seat], state[2 - seat]
    if outcome(state) != OPEN:
        return outcome(state)
    while (mine | theirs) != BOARD:
        stones = mine | theirs
        column = next_below(rng, i, COLUMNS)
        while stones & TOP[column]:  # full: any other, all the same
            column = next_below(rng, i, COLUMNS)
        mine |= (stones + BOTTOM[column]) & COLUMN[column]
        if has_four(mine):
            return FIRST_WON + seat
        mine, theirs = theirs, mine
        seat = 1 - seat
    return DRAW


def make() -> Game:
    """Connect four, 7 wide and 6 high; it has no options."""
    return Game(
        name="connect_four",
        title="connect four",
        options={},
        shape=(ROWS, COLUMNS),
        planes=("mine", "theirs"),
        actions=COLUMNS,
        words=WORDS,
        longest=CELLS,
        rules={"start": start, "legal": legal, "play": play, "observe": observe, "playout": playout},
        **maps(ROWS, COLUMNS, "mirror", actions="columns"),
        move_text=lambda action: str(action + 1),
        parse_move=lambda word: text.parse_column(word, COLUMNS),
        board_text=board_text,
        flaw=flaw,
    )


def board_text(state: np.ndarray) -> str:
    """The board from above: x first, o second."""
    return text.draw(stones(state), columns=[str(c + 1) for c in range(COLUMNS)])


def stones(state: np.ndarray) -> np.ndarray:
    """int8 `[rows, columns]`: 0 empty, 1 the first player's, 2 the second's."""
    first, second = ((state[k] >> SHIFTS) & ONE for k in (1, 2))
    return (first + TWO * second).astype(np.int8).reshape(ROWS, COLUMNS)


def flaw(state: np.ndarray) -> str:
    """See `Game.flaw`."""
    first, second = int(state[1]), int(state[2])
    stones, board = first | second, int(BOARD)
    if stones & ~board:
        return "a stone lies outside the board"
    if first & second:
        return "a cell holds two stones"
    if (stones & ~int(sum(BOTTOM))) >> 1 & ~stones:
        return "a stone hangs in the air"
    said = text.turn_flaw(state, first.bit_count(), second.bit_count()) or text.win_flaw(
        state, has_four(state[1]), has_four(state[2]), full=stones == board
    )
    return said or _order_flaw(state)


def _order_flaw(state: np.ndarray) -> str:
    won = outcome(state) > DRAW
    last = [c for c in range(COLUMNS) if not (won and has_four(without_top(state, c)))]
    if not last:
        return "the game was won before the last move"
    found = drop_order(state[1], state[2], sum(1 << c for c in last), np.zeros(CELLS, np.int64))
    return "" if found else "its stones cannot have been dropped in turn"


def without_top(state: np.ndarray, column: int) -> np.uint64:
    """The stones of who moved last, less the highest stone of a column, whosever that is."""
    theirs = (state[1] | state[2]) & COLUMN[column]
    return state[2 - to_play(state)] & ~(theirs ^ (theirs >> ONE) & COLUMN[column])


@kernel
def drop_order(first, second, last, order):  # type: ignore[no-untyped-def]
    """Whether stones can have been dropped in turn, the last of them in a column of the set `last`.

    Writes the columns, `order` `[42]`: of all such games the one that comes first. It goes through the ways
    to have filled the columns in part, 7^7 at most, and meets each but once.
    """
    heights, made = np.zeros(COLUMNS, np.int64), np.zeros(COLUMNS, np.int64)
    weights = np.zeros(COLUMNS, np.int64)
    ways, total = 1, 0
    for column in range(COLUMNS):
        while ((first | second) >> np.uint64(HEIGHT * column + heights[column])) & ONE:
            heights[column] += 1
        weights[column] = ways
        ways, total = ways * (heights[column] + 1), total + heights[column]
    dead = np.zeros(ways, np.bool_)
    number, way, column = 0, 0, 0
    while number < total:
        if column == COLUMNS:  # nothing leads on from here: take the last stone back, and try the next column
            if number == 0:
                return False
            dead[way] = True
            number -= 1
            column = order[number]
            made[column] -= 1
            way -= weights[column]
        elif made[column] < heights[column] and not dead[way + weights[column]]:
            firsts = (first >> np.uint64(HEIGHT * column + made[column])) & ONE
            allowed = number + 1 < total or (last >> column) & 1
            if allowed and np.int64(firsts) != number & 1:
                order[number] = column
                made[column] += 1
                way += weights[column]
                number, column = number + 1, 0
                continue
        column += 1
    return True
