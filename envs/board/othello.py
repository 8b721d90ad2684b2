"""Othello: place a disc so that it encloses the other's in a line, and turn those over; most discs win.

Who can place nothing passes, and must not pass otherwise. The game is over as soon as neither can place: the
board is full, one has no disc left, or nobody can use the cells that are left. Row 1 is on top, as in print,
and the first player is black (`x`).

    bit of a cell, in word 1 (the first player's discs), word 2 (the second's) and word 3 (where who is to
    move can place), is the cell's number and the action that places there; the last action, `size · size`,
    is a pass

      a  b  c  d  e  f  g  h
     0  1  2  3  4  5  6  7    1
     8  9 10 11 12 13 14 15    2
    16 17 18 19 20 21 22 23    3
    24 25 26  o  x 29 30 31    4
    32 33 34  x  o 37 38 39    5
    40 41 42 43 44 45 46 47    6
    48 49 50 51 52 53 54 55    7
    56 57 58 59 60 61 62 63    8
"""

from __future__ import annotations

import numpy as np

from envs.board import text
from envs.board.bits import ONE, TWO, ZERO, as_numbers, count, from_cells, pick
from envs.board.game import (
    DRAW,
    FIRST_WON,
    OPEN,
    OUTCOMES,
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

WORDS = 4
SIZES = (4, 6, 8)  # a set of cells is one word
PASS = "pass"


@kernel
def run_up(discs, through, step):  # type: ignore[no-untyped-def]
    """Cells of `through` in an unbroken run of at most 6 from `discs`, towards higher cells by `step`."""
    run = through & (discs << step)
    run |= through & (run << step)
    pairs, double = through & (through << step), step + step
    run |= pairs & (run << double)
    return run | (pairs & (run << double))


@kernel
def run_down(discs, through, step):  # type: ignore[no-untyped-def]
    """`run_up` towards lower cells."""
    run = through & (discs >> step)
    run |= through & (run >> step)
    pairs, double = through & (through >> step), step + step
    run |= pairs & (run >> double)
    return run | (pairs & (run >> double))


@kernel
def ends(discs, through, step):  # type: ignore[no-untyped-def]
    """The cells right behind the runs of `through` from `discs`, both ways along a line."""
    return (run_up(discs, through, step) << step) | (run_down(discs, through, step) >> step)


@kernel
def placements(mine, theirs, rules):  # type: ignore[no-untyped-def]
    """The cells where a disc of mine turns one of theirs over."""
    size, inside = np.uint64(rules[0]), theirs & np.uint64(rules[2])  # no line runs over a side edge
    found = ends(mine, inside, ONE) | ends(mine, theirs, size)
    found |= ends(mine, inside, size - ONE) | ends(mine, inside, size + ONE)
    return found & np.uint64(rules[1]) & ~(mine | theirs)


@kernel
def enclosed(disc, mine, through, step):  # type: ignore[no-untyped-def]
    """The runs of `through` from `disc` that end at a disc of mine, both ways along a line."""
    up, down = run_up(disc, through, step), run_down(disc, through, step)
    up = up if (up << step) & mine else ZERO
    return up | (down if (down >> step) & mine else ZERO)


@kernel
def turned(disc, mine, theirs, rules):  # type: ignore[no-untyped-def]
    """What a new disc of mine turns over."""
    size, inside = np.uint64(rules[0]), theirs & np.uint64(rules[2])
    found = enclosed(disc, mine, inside, ONE) | enclosed(disc, mine, theirs, size)
    return found | enclosed(disc, mine, inside, size - ONE) | enclosed(disc, mine, inside, size + ONE)


@kernel
def result(first, second):  # type: ignore[no-untyped-def]
    """The outcome by counting discs."""
    ahead = count(first) - count(second)
    return DRAW if ahead == 0 else FIRST_WON if ahead > 0 else SECOND_WON


@kernel
def start(state, rules):  # type: ignore[no-untyped-def]
    """See `SIGNATURES`."""
    size = rules[0]
    corner = np.uint64((size // 2 - 1) * (size + 1))
    state[0] = 0
    state[1] = (TWO + (ONE << np.uint64(size))) << corner
    state[2] = (ONE + (TWO << np.uint64(size))) << corner
    state[3] = placements(state[1], state[2], rules)


@kernel
def legal(state, rules, mask):  # type: ignore[no-untyped-def]
    """See `SIGNATURES`."""
    places, cells = state[3], rules[0] * rules[0]
    if outcome(state) != OPEN:
        mask[:] = False
        return 0
    for cell in range(cells):
        mask[cell] = (places >> np.uint64(cell)) & ONE
    mask[cells] = places == 0
    return max(count(places), 1)


@kernel
def play(state, rules, action):  # type: ignore[no-untyped-def]
    """See `SIGNATURES`."""
    seat = to_play(state)
    pass_turn(state)
    mine, theirs = state[1 + seat], state[2 - seat]
    if action != rules[0] * rules[0]:
        disc = ONE << np.uint64(action)
        flips = turned(disc, mine, theirs, rules)
        mine, theirs = mine | disc | flips, theirs ^ flips
        state[1 + seat], state[2 - seat] = mine, theirs
    state[3] = placements(theirs, mine, rules)
    if state[3] == 0 and placements(mine, theirs, rules) == 0:
        finish(state, result(state[1], state[2]))


@kernel
def observe(state, rules, planes):  # type: ignore[no-untyped-def]
    """See `SIGNATURES`."""
    seat = to_play(state)
    mine, theirs = state[1 + seat], state[2 - seat]
    for cell in range(rules[0] * rules[0]):
        planes[2 * cell] = (mine >> np.uint64(cell)) & ONE
        planes[2 * cell + 1] = (theirs >> np.uint64(cell)) & ONE


@kernel
def playout(state, rules, rng, i):  # type: ignore[no-untyped-def]
    """See `SIGNATURES`."""
    if outcome(state) != OPEN:
        return outcome(state)
    seat, passes = to_play(state), 0
    mine, theirs = state[1 + seat], state[2 - seat]
    while passes < 2:
        places = placements(mine, theirs, rules)
        if places == 0:
            passes += 1
        else:
            disc = pick(places, next_below(rng, i, count(places)))
            flips = turned(disc, mine, theirs, rules)
            mine, theirs, passes = mine | disc | flips, theirs ^ flips, 0
        seat, mine, theirs = 1 - seat, theirs, mine
    return result(mine, theirs) if seat == 0 else result(theirs, mine)


def make(size: int = 8) -> Game:
    """Othello on `size` × `size` cells: 4, 6 or 8 (`OptionError` for another)."""
    if size not in SIZES:
        raise OptionError("size", f"size of othello must be 4, 6 or 8, not {size}")
    cells = size * size
    return Game(
        name="othello",
        title=f"othello {size}×{size}",
        options={"size": size},
        shape=(size, size),
        planes=("mine", "theirs"),
        actions=cells + 1,
        words=WORDS,
        longest=2 * (cells - 4),  # after each disc at most one pass
        rules={"start": start, "legal": legal, "play": play, "observe": observe, "playout": playout},
        numbers=numbers(size),
        **maps(size, size, "square", extra=1),
        move_text=lambda action: move_text(action, size),
        parse_move=lambda word: parse_move(word, size),
        board_text=lambda state: board_text(state, size),
        flaw=lambda state: flaw(state, size),
    )


def numbers(size: int) -> tuple[int, ...]:
    """What the kernels get as `rules`: the size, the board, and the board less its columns at the sides."""
    board = [*range(size * size)]
    inside = [cell for cell in board if 0 < cell % size < size - 1]
    return size, *as_numbers(from_cells(board), from_cells(inside))


def move_text(action: int, size: int) -> str:
    """A cell as in print, `d3`, or `pass`."""
    return PASS if action == size * size else text.cell_text(turned_over(action, size), size, size)


def parse_move(word: str, size: int) -> int:
    """The reverse of `move_text` (`ValueError` for what is no move)."""
    if word.strip().lower() == PASS:
        return size * size
    return turned_over(text.parse_cell(word, size, size), size)


def turned_over(cell: int, size: int) -> int:
    """The cell with its row counted from the other side: othello's row 1 is on top."""
    return (size - 1 - cell // size) * size + cell % size


def board_text(state: np.ndarray, size: int) -> str:
    """The board: x first (black), o second."""
    discs = [(int(state[1]) >> cell & 1) + 2 * (int(state[2]) >> cell & 1) for cell in range(size * size)]
    rows = [str(row + 1) for row in range(size)]
    return text.draw(np.reshape(discs, (size, size)), columns=text.LETTERS[:size], rows=rows)


def hanging_together(start: int, discs: int, size: int) -> int:
    """The discs that are joined to those of `start`, by neighbours in all eight directions."""
    left = from_cells([*range(0, size * size, size)])
    right, found, grown = left << size - 1, 0, start
    while grown != found:
        found = grown
        wide = found | (found & ~left) >> 1 | (found & ~right) << 1
        grown = (wide | wide << size | wide >> size) & discs
    return found


def flaw(state: np.ndarray, size: int) -> str:
    """See `Game.flaw`; whether a game leads to a position is known for some only."""
    first, second = int(state[1]), int(state[2])
    discs = first | second
    corner = (size // 2 - 1) * (size + 1)
    centre = from_cells([corner, corner + 1, corner + size, corner + size + 1])
    placed = discs.bit_count() - 4
    if discs >> size * size:
        return "a disc lies outside the board"
    if first & second:
        return "a cell holds two discs"
    if discs & centre != centre:
        return "one of the four cells in the middle is empty"
    if hanging_together(centre, discs, size) != discs:
        return "a disc touches none that leads to the middle"
    if not placed <= ply(state) <= 2 * placed:
        return f"{placed} discs placed in {ply(state)} plies"
    if to_play(state) != ply(state) % 2:
        return "it is the other player's turn"
    rules = np.array(numbers(size), np.int64)
    own, other = state[1 + to_play(state)], state[2 - to_play(state)]
    places = placements(own, other, rules)
    expected = OPEN if places or placements(other, own, rules) else result(state[1], state[2])
    if outcome(state) != expected:
        return f"its outcome is '{OUTCOMES[outcome(state)]}', but the board says '{OUTCOMES[expected]}'"
    if state[3] != places:
        return "it names other cells to place a disc than the board has"
    return ""
