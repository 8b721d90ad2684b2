"""Hex: the first player joins the top side to the bottom, the second the left side to the right.

Exactly one of them will, so there are no draws. An action is a cell, `row · size + column`, named from the
top left corner as hex players do. A cell touches six others: two in its row, the ones above and above to the
right, the ones below and below to the left.

    actions and names of size 4:

     0  1  2  3              a1 b1 c1 d1
       4  5  6  7              a2 b2 c2 d2
         8  9 10 11              a3 b3 c3 d3
          12 13 14 15              a4 b4 c4 d4

With the swap rule there is one action more, the last: the second player may answer the first stone by taking
it over, mirrored (from c1 to a3), so that it means to the second player what it meant to the first, and each
keeps their sides. Then the first player moves.

Word `1 + row` of a state holds that row: bit `column` is a stone of the first player, bit `21 + column` one
of the second. Bit `42 + column` marks a stone of either that is joined, by stones of the same player, to the
side that they begin at (top or left). A stone is marked only once in a game, so that a move costs little.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from envs.board import text
from envs.board.game import (
    FIRST_WON,
    OPEN,
    SECOND_WON,
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

SMALLEST, LARGEST = 2, 19
SWAP = "swap"
ZERO, ONE = np.uint64(0), np.uint64(1)
WIDTH = np.uint64(21)
JOINED = np.uint64(42)
FIELD = np.uint64((1 << 21) - 1)


@kernel
def start(state, rules):  # type: ignore[no-untyped-def]
    """See `SIGNATURES`."""
    state[:] = 0


@kernel
def may_swap(state, rules):  # type: ignore[no-untyped-def]
    """Whether the second player may take over the first stone."""
    return rules[1] == 1 and ply(state) == 1


@kernel
def legal(state, rules, mask):  # type: ignore[no-untyped-def]
    """See `SIGNATURES`."""
    size, count = rules[0], 0
    mask[:] = False
    if outcome(state) != OPEN:
        return 0
    for row in range(size):
        free = ~(state[1 + row] | state[1 + row] >> WIDTH)
        for column in range(size):
            mask[row * size + column] = (free >> np.uint64(column)) & ONE
            count += mask[row * size + column]
    if may_swap(state, rules):
        mask[size * size] = True
        count += 1
    return count


@kernel
def joined(state, row, shift):  # type: ignore[no-untyped-def]
    """The stones in a row, of the player whose bits begin at `shift`, that are joined to the first side."""
    return (state[1 + row] >> JOINED) & (state[1 + row] >> shift) & FIELD


@kernel
def spread(state, size, seat, rows):  # type: ignore[no-untyped-def]
    """Mark what is joined to the seat's first side, and tell whether its second side was reached.

    `rows` has a bit for each row to look at; the rows beside one where marks were added are looked at too.
    """
    shift, row, won = WIDTH * np.uint64(seat), 0, False
    while rows:
        if not (rows >> np.uint64(row)) & ONE:
            row += 1
            continue
        rows ^= ONE << np.uint64(row)
        stones = (state[1 + row] >> shift) & FIELD
        before = joined(state, row, shift)
        marks = before | (ONE if seat else FIELD if row == 0 else ZERO)
        if row > 0:
            above = joined(state, row - 1, shift)
            marks |= above | above >> ONE
        if row < size - 1:
            below = joined(state, row + 1, shift)
            marks |= below | below << ONE
        marks = along(marks & stones, stones)
        if marks == before:
            continue
        state[1 + row] |= marks << JOINED
        won |= (marks >> np.uint64(size - 1)) != 0 if seat else row == size - 1
        if row < size - 1:
            rows |= ONE << np.uint64(row + 1)
        if row > 0:
            row -= 1
            rows |= ONE << np.uint64(row)
    return won


@kernel
def along(marks, stones):  # type: ignore[no-untyped-def]
    """Marks, spread over the neighbouring stones of their row."""
    while True:
        more = (marks | marks << ONE | marks >> ONE) & stones
        if more == marks:
            return marks
        marks = more


@kernel
def place(state, size, row, column, seat):  # type: ignore[no-untyped-def]
    """A stone of the seat's on a free cell."""
    state[1 + row] |= ONE << (WIDTH * np.uint64(seat) + np.uint64(column))
    pass_turn(state)
    if spread(state, size, seat, ONE << np.uint64(row)):
        finish(state, FIRST_WON + seat)


@kernel
def play(state, rules, action):  # type: ignore[no-untyped-def]
    """See `SIGNATURES`."""
    size = rules[0]
    row = action // size
    if row < size:
        place(state, size, row, action - row * size, to_play(state))
        return
    row = column = 0  # of the only stone
    while not state[1 + row] & FIELD:
        row += 1
    while not (state[1 + row] >> np.uint64(column)) & ONE:
        column += 1
    state[1 + row] = 0
    place(state, size, column, row, 1)


@kernel
def observe(state, rules, planes):  # type: ignore[no-untyped-def]
    """See `SIGNATURES`."""
    if rules[1] == 1:
        draw(state, rules[0], 4, planes)
        planes[3::4] = may_swap(state, rules)
    else:
        draw(state, rules[0], 3, planes)


@kernel
def draw(state, size, width, planes):  # type: ignore[no-untyped-def]
    """The first three planes of `width`, which is a constant where this is called: that is twice as fast."""
    seat = to_play(state)
    mine = WIDTH * np.uint64(seat)
    theirs = WIDTH - mine
    for row in range(size):
        own, other = state[1 + row] >> mine, state[1 + row] >> theirs
        for column in range(size):
            k = width * (row * size + column)
            planes[k] = (own >> np.uint64(column)) & ONE
            planes[k + 1] = (other >> np.uint64(column)) & ONE
            planes[k + 2] = seat == 0


@kernel
def playout(state, rules, rng, i):  # type: ignore[no-untyped-def]
    """See `SIGNATURES`.

    Random play on until the board is full shares out the free cells in any way with the same chance, and
    sides that were joined stay so: fill the board, and look once.
    """
    size = rules[0]
    while rules[1] == 1 and ply(state) < 2:  # a swap changes who fills what
        play(
            state, rules, next_below(rng, i, size * size) if ply(state) == 0 else answer(state, size, rng, i)
        )
    if outcome(state) != OPEN:
        return outcome(state)
    fill(state, size, rng, i)
    every_row = (ONE << np.uint64(size)) - ONE
    return FIRST_WON if spread(state, size, 0, every_row) else SECOND_WON


@kernel
def answer(state, size, rng, i):  # type: ignore[no-untyped-def]
    """A random answer to the first stone: its own cell, as likely as the others, stands for the swap."""
    action = next_below(rng, i, size * size)
    row = action // size
    taken = (state[1 + row] >> np.uint64(action - row * size)) & ONE
    return size * size if taken else action


@kernel
def fill(state, size, rng, i):  # type: ignore[no-untyped-def]
    """Share out the free cells at random; only the first player's are put down. Clears the marks.

    Each free cell falls to the first player by the toss of a coin; then random ones change hands until the
    number is right. Meanwhile the marks tell which cells those are.
    """
    board, free, excess = (1 << size) - 1, 0, 0
    for row in range(size):
        stones = (state[1 + row] | state[1 + row] >> WIDTH) & FIELD
        tossed = np.uint64(next_below(rng, i, board + 1)) & ~stones
        state[1 + row] = (state[1 + row] & ~(FIELD << JOINED)) | tossed << JOINED
        free += size - bits(stones)
        excess += bits(tossed)
    excess -= free // 2 if to_play(state) else free - free // 2
    while excess != 0:
        row, column = next_below(rng, i, size), np.uint64(next_below(rng, i, size))
        stones = state[1 + row] | state[1 + row] >> WIDTH
        tossed = (state[1 + row] >> JOINED >> column) & ONE
        if not (stones >> column) & ONE and tossed == (excess > 0):
            state[1 + row] ^= ONE << JOINED << column
            excess += -1 if tossed else 1
    for row in range(size):
        state[1 + row] = (state[1 + row] | state[1 + row] >> JOINED) & ~(FIELD << JOINED)


@kernel
def bits(word):  # type: ignore[no-untyped-def]
    """How many bits are set."""
    count = 0
    while word:
        word &= word - ONE
        count += 1
    return count


def make(size: int = 11, swap: bool = False) -> Game:
    """Hex on `size` × `size`, 2 to 19, with or without the swap rule."""
    if not SMALLEST <= size <= LARGEST:
        raise OptionError("size", f"size of hex must be {SMALLEST} to {LARGEST}, not {size}")
    return Game(
        name="hex",
        title=f"hex {size}×{size}" + (" with swap" if swap else ""),
        options={"size": size, "swap": swap},
        shape=(size, size),
        planes=("mine", "theirs", "first", "may swap")[: 3 + swap],
        actions=size * size + swap,
        words=1 + size,
        longest=size * size + swap,
        rules={"start": start, "legal": legal, "play": play, "observe": observe, "playout": playout},
        numbers=(size, int(swap)),
        **maps(size, size, "half turn", extra=int(swap)),
        move_text=partial(move_text, size=size),
        parse_move=partial(parse_move, size=size, swap=swap),
        board_text=board_text,
        aims=("joins top and bottom", "joins left and right"),
        flaw=partial(flaw, swap=swap),
    )


def move_text(action: int, size: int) -> str:
    """A cell such as `c2` (rows are counted from the top), or `swap`."""
    return SWAP if action == size * size else text.cell_text(upside_down(action, size), size, size)


def parse_move(word: str, size: int, swap: bool) -> int:
    """See `Game.parse_move`."""
    if swap and word.strip().lower() == SWAP:
        return size * size
    return upside_down(text.parse_cell(word, size, size), size)


def upside_down(cell: int, size: int) -> int:
    """The cell as far from the bottom as this one is from the top."""
    return (size - 1 - cell // size) * size + cell % size


def stones(state: np.ndarray) -> np.ndarray:
    """Whose stones stand where: bool `[2, rows, columns]`, the first player's and the second's."""
    columns = np.arange(len(state) - 1, dtype=np.uint64)
    return np.stack([state[1:, None] >> shift + columns & ONE for shift in (ZERO, WIDTH)]).astype(bool)


def board_text(state: np.ndarray) -> str:
    """The board from above, each row half a cell further right: x first (top to bottom), o second."""
    first, second = stones(state).astype(np.int8)
    size = len(first)
    rows = text.draw(first + 2 * second, rows=[str(row) for row in range(1, size + 1)]).splitlines()
    labels = " " * (1 + len(str(size))) + " ".join(text.LETTERS[:size])
    return "\n".join([labels, *(" " * k + row for k, row in enumerate(rows))])


@kernel
def mark(state, size, seat):  # type: ignore[no-untyped-def]
    """Mark afresh what is joined to a seat's first side; returns whether its sides are joined."""
    for row in range(size):
        state[1 + row] &= ~(((state[1 + row] >> (WIDTH * np.uint64(seat))) & FIELD) << JOINED)
    return spread(state, size, seat, (ONE << np.uint64(size)) - ONE)


def flaw(state: np.ndarray, swap: bool) -> str:
    """See `Game.flaw`; every position without a flaw can come up in a game."""
    size = len(state) - 1
    board = sum(((1 << size) - 1) << int(shift) for shift in (ZERO, WIDTH, JOINED))
    if (state[1:] & ~np.uint64(board)).any():
        return "a stone lies outside the board"
    first, second = stones(state)
    if (first & second).any():
        return "a cell holds two stones"
    swapped = swap and second.any() and ply(state) == 1 + (first | second).sum()
    said = text.turn_flaw(state, int(first.sum()) + swapped, int(second.sum()))
    if said:
        return said
    marked = state.copy()
    won = [mark(marked, size, seat) for seat in (0, 1)]
    if (marked != state).any():
        return "its marks of what is joined to a side are wrong"
    said = text.win_flaw(state, won[0], won[1], full=False)
    if not said and any(won) and not decisive(state, won.index(True)):
        return "the game was won before the last move"
    return said


def decisive(state: np.ndarray, seat: int) -> bool:
    """Whether there is a stone without which the seat's sides would not be joined."""
    size = len(state) - 1
    for row, column in np.argwhere(stones(state)[seat]):
        without = state.copy()
        without[1 + row] &= ~(ONE << WIDTH * np.uint64(seat) + np.uint64(column))
        if not mark(without, size, seat):
            return True
    return False
