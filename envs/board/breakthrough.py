"""Breakthrough (Dan Troyka, 2000): bring a man to the other side, or take all of the other's.

A man goes one row forward: straight or aslant to an empty cell, aslant only to take. The first player, `x`,
starts on the two lowest rows and goes up. There are no draws, and whoever is to move can: in front of one's
foremost man, aslant, there is an empty cell or a man to take.

    bit of a man, in word 1 (the first player's) and word 2 (the second's)

     0  1  2  3  4  5  6  7    8      An action is 3 · the man's cell + a direction:
     8  9 10 11 12 13 14 15    7      0 to the column on the left (that of a lower letter),
    16 17 18 19 20 21 22 23    6      1 straight, 2 to the column on the right, for both players.
    24 25 26 27 28 29 30 31    5
    32 33 34 35 36 37 38 39    4      As text it is the man's cell and the column it goes to:
    40 41 42 43 44 45 46 47    3      a2-b, which leads to b3 (or, for the second player, to b1).
    48 49 50 51 52 53 54 55    2
    56 57 58 59 60 61 62 63    1
     a  b  c  d  e  f  g  h
"""

from __future__ import annotations

import numpy as np

from envs.board import text
from envs.board.bits import ONE, as_numbers, count, from_cells, pick
from envs.board.game import (
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

WORDS = 3
SIZES = range(5, 9)  # a set of cells is one word
DIRECTIONS = 3


@kernel
def movable(mine, theirs, seat, rules):  # type: ignore[no-untyped-def]
    """Which men can go to the left, straight and to the right."""
    size, board = np.uint64(rules[0]), np.uint64(rules[1])
    free, empty = board & ~mine, board & ~(mine | theirs)
    if seat == 0:
        left, straight, right = free << (size + ONE), empty << size, free << (size - ONE)
    else:
        left, straight, right = free >> (size - ONE), empty >> size, free >> (size + ONE)
    return left & mine & np.uint64(rules[2]), straight & mine, right & mine & np.uint64(rules[3])


@kernel
def target(man, direction, seat, rules):  # type: ignore[no-untyped-def]
    """Where a man, a set of one, goes."""
    size, aside = np.uint64(rules[0]), np.uint64(direction)
    return man >> (size + ONE - aside) if seat == 0 else man << (size - ONE + aside)


@kernel
def has_won(mine, theirs, seat, rules):  # type: ignore[no-untyped-def]
    """Whether a man of mine is on the last row, or theirs are all gone."""
    size = np.uint64(rules[0])
    there = mine & ((ONE << size) - ONE) if seat == 0 else mine >> (size * (size - ONE))
    return there != 0 or theirs == 0


@kernel
def start(state, rules):  # type: ignore[no-untyped-def]
    """See `SIGNATURES`."""
    size = np.uint64(rules[0])
    men = (ONE << (size + size)) - ONE
    state[0], state[1], state[2] = 0, men << (size * size - size - size), men


@kernel
def legal(state, rules, mask):  # type: ignore[no-untyped-def]
    """See `SIGNATURES`."""
    if outcome(state) != OPEN:
        mask[:] = False
        return 0
    seat = to_play(state)
    left, straight, right = movable(state[1 + seat], state[2 - seat], seat, rules)
    for cell in range(rules[0] * rules[0]):
        bit = np.uint64(cell)
        mask[3 * cell] = (left >> bit) & ONE
        mask[3 * cell + 1] = (straight >> bit) & ONE
        mask[3 * cell + 2] = (right >> bit) & ONE
    return count(left) + count(straight) + count(right)


@kernel
def play(state, rules, action):  # type: ignore[no-untyped-def]
    """See `SIGNATURES`."""
    seat = to_play(state)
    man = ONE << np.uint64(action // DIRECTIONS)
    there = target(man, action % DIRECTIONS, seat, rules)
    mine, theirs = state[1 + seat] ^ man ^ there, state[2 - seat] & ~there
    state[1 + seat], state[2 - seat] = mine, theirs
    pass_turn(state)
    if has_won(mine, theirs, seat, rules):
        finish(state, FIRST_WON + seat)


@kernel
def observe(state, rules, planes):  # type: ignore[no-untyped-def]
    """See `SIGNATURES`."""
    seat = to_play(state)
    mine, theirs = state[1 + seat], state[2 - seat]
    for cell in range(rules[0] * rules[0]):
        bit = np.uint64(cell)
        planes[3 * cell] = (mine >> bit) & ONE
        planes[3 * cell + 1] = (theirs >> bit) & ONE
        planes[3 * cell + 2] = seat == 0


@kernel
def playout(state, rules, rng, i):  # type: ignore[no-untyped-def]
    """See `SIGNATURES`."""
    if outcome(state) != OPEN:
        return outcome(state)
    seat = to_play(state)
    mine, theirs = state[1 + seat], state[2 - seat]
    while True:
        left, straight, right = movable(mine, theirs, seat, rules)
        lefts, straights = count(left), count(straight)
        k = next_below(rng, i, lefts + straights + count(right))
        if k < lefts:
            man, direction = pick(left, k), 0
        elif k < lefts + straights:
            man, direction = pick(straight, k - lefts), 1
        else:
            man, direction = pick(right, k - lefts - straights), 2
        there = target(man, direction, seat, rules)
        mine, theirs = mine ^ man ^ there, theirs & ~there
        if has_won(mine, theirs, seat, rules):
            return FIRST_WON + seat
        seat, mine, theirs = 1 - seat, theirs, mine


def make(size: int = 8) -> Game:
    """Breakthrough on `size` × `size` cells, 5 to 8 (`OptionError` for another)."""
    if size not in SIZES:
        raise OptionError("size", f"size of breakthrough must be 5 to 8, not {size}")
    board = maps(size, size, "mirror")
    mirrored = board["cell_maps"][:, :, None] * DIRECTIONS + [[[0, 1, 2]], [[2, 1, 0]]]
    return Game(
        name="breakthrough",
        title=f"breakthrough {size}×{size}",
        options={"size": size},
        shape=(size, size),
        planes=("mine", "theirs", "first"),
        actions=DIRECTIONS * size * size,
        words=WORDS,
        longest=2 * size * (2 * size - 5) + 1,  # all men on the last row but one, and one more ply
        rules={"start": start, "legal": legal, "play": play, "observe": observe, "playout": playout},
        numbers=numbers(size),
        cell_maps=board["cell_maps"],
        action_maps=mirrored.reshape(len(mirrored), -1),
        move_text=lambda action: move_text(action, size),
        parse_move=lambda word: parse_move(word, size),
        board_text=lambda state: board_text(state, size),
        aims=("goes up", "goes down"),
        flaw=lambda state: flaw(state, size),
    )


def numbers(size: int) -> tuple[int, ...]:
    """What the kernels get as `rules`: size, board, and board less its first or its last column."""
    board = [*range(size * size)]
    not_left = [cell for cell in board if cell % size > 0]
    not_right = [cell for cell in board if cell % size < size - 1]
    return size, *as_numbers(from_cells(board), from_cells(not_left), from_cells(not_right))


def sides(size: int) -> str:
    """The letters of the columns, and a sign for what would be beside the board (where no man can go)."""
    return f"<{text.LETTERS[:size]}>"


def move_text(action: int, size: int) -> str:
    """The man's cell and the column it goes to: `a2-b`."""
    cell, direction = divmod(action, DIRECTIONS)
    return f"{text.cell_text(cell, size, size)}-{sides(size)[cell % size + direction]}"


def parse_move(word: str, size: int) -> int:
    """The reverse of `move_text` (`ValueError` for what is no move)."""
    man, _, column = word.strip().lower().partition("-")
    cell = text.parse_cell(man, size, size)
    direction = sides(size).find(column) - cell % size
    if len(column) != 1 or direction not in range(DIRECTIONS):
        raise ValueError(
            f"'{word.strip()}' is no move; write a man's cell and the column it goes to, as in a2-b"
        )
    return DIRECTIONS * cell + direction


def board_text(state: np.ndarray, size: int) -> str:
    """The board: x first (goes up), o second."""
    men = [(int(state[1]) >> cell & 1) + 2 * (int(state[2]) >> cell & 1) for cell in range(size * size)]
    rows = [str(size - row) for row in range(size)]
    return text.draw(np.reshape(men, (size, size)), columns=text.LETTERS[:size], rows=rows)


def flaw(state: np.ndarray, size: int) -> str:
    """See `Game.flaw`."""
    first, second = int(state[1]), int(state[2])
    if (first | second) >> size * size:
        return "a man lies outside the board"
    if first & second:
        return "a cell holds two men"
    if to_play(state) != ply(state) % 2:
        return "it is the other player's turn"
    rules = np.array(numbers(size), np.int64)
    first_won, second_won = (bool(has_won(state[1 + s], state[2 - s], s, rules)) for s in (0, 1))
    return march_flaw(state, size) or text.win_flaw(state, first_won, second_won, full=False)


def march_flaw(state: np.ndarray, size: int) -> str:
    """What is wrong with how far the men have come, or how many are gone, for so many plies."""
    plies = ((ply(state) + 1) // 2, ply(state) // 2)
    for seat, name in enumerate(("first", "second")):
        cells = [cell for cell in range(size * size) if int(state[1 + seat]) >> cell & 1]
        rows = [cell // size if seat else size - 1 - cell // size for cell in cells]
        gone = 2 * size - len(cells)
        # Each ply is a row forward, and the rows added up to `size` at the start. The men that are gone had
        # come to rows before the last.
        theirs = size + plies[seat] - sum(rows)
        if not 0 <= gone <= plies[1 - seat]:
            return f"{len(cells)} men of the {name} player after {ply(state)} plies"
        if not 0 <= theirs <= gone * (size - 2):
            return f"the {name} player's men cannot stand so after {ply(state)} plies"
    return ""
