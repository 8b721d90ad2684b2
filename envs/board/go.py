"""Go by Tromp and Taylor's rules (https://tromp.github.io/go.html) with komi: the larger area wins.

* A player's *area* is its stones, and the empty cells from which no path of empty cells leads to the other's.
* *Positional superko*: no stone may bring back an earlier position of the whole board, whoever was to move
  then. Positions are told apart by hashes of 64 bits.
* *Suicide* is illegal, as in most programs (Tromp and Taylor allow it).
* A *pass* is always legal. Two in a row end the game, and so do 2 · size² plies. Then the board is scored as
  it stands: no stone on it is dead. With a whole komi there are draws.

An action is a cell, `row · size + column`, or `size · size` for a pass. Cells are named as in GTP, by letters
that leave out i and rows from below:

    actions and names of size 5:

     0  1  2  3  4        a5 b5 c5 d5 e5
     5  6  7  8  9        a4 b4 c4 d4 e4
    10 11 12 13 14        a3 b3 c3 d3 e3
    15 16 17 18 19        a2 b2 c2 d2 e2
    20 21 22 23 24        a1 b1 c1 d1 e1        25 pass

What a state holds, and how chains are found, is in `go_bits` and `go_board`.
"""

from __future__ import annotations

import numpy as np

from envs.board import go_text
from envs.board.bits import ONE, TWO, ZERO, count
from envs.board.game import OPEN, Game, finish, outcome, ply, to_play
from envs.board.go_bits import (
    ATARI,
    EMPTY,
    FIRST_BIT,
    HISTORY,
    LAST,
    LEGAL,
    PASSED,
    SIZE,
    STONES,
    STRIDE,
    WORDS,
    WORK,
    add,
    board_at,
    clear,
    numbers,
    row_bits,
)
from envs.board.go_board import draw_move, place, place_none, remember, winner, write_legal
from envs.board.symmetry import maps
from envs.kernels import kernel
from envs.options import OptionError

SMALLEST, LARGEST, HIGHEST_KOMI = 2, 19, 361
PLANES = ("mine", "theirs", "in atari", "legal", "last move", "first")
THREE, LAST_PLANE, FIRST_PLANE, DEPTH = (np.uint64(n) for n in (3, 4, 5, 6))


@kernel
def start(state, rules):  # type: ignore[no-untyped-def]
    """See `SIGNATURES`."""
    state[:] = ZERO
    for row in range(rules[SIZE]):
        for column in range(rules[SIZE]):
            add(state, board_at(rules, EMPTY), row * rules[STRIDE] + column)
            add(state, board_at(rules, LEGAL), row * rules[STRIDE] + column)
    remember(state, rules, ZERO)


@kernel
def legal(state, rules, mask):  # type: ignore[no-untyped-def]
    """See `SIGNATURES`."""
    size, cells = rules[SIZE], mask.view(np.uint8)
    total = np.int64(outcome(state) == OPEN)
    mask[size * size] = total
    for row in range(size):
        bits, drawn = row_bits(state, rules, LEGAL, row), cells[row * size : (row + 1) * size]
        for column in range(size):
            drawn[column] = (bits >> np.uint64(column)) & ONE
    for w in range(rules[WORDS]):
        total += count(state[board_at(rules, LEGAL) + w])
    return total


@kernel
def play(state, rules, action):  # type: ignore[no-untyped-def]
    """See `SIGNATURES`."""
    size, over = rules[SIZE], False
    if action < size * size:
        place(state, rules, action + action // size)
    else:
        over = state[LAST] == PASSED
        place_none(state, rules)
    if over or ply(state) == 2 * size * size:
        finish(state, winner(state, rules))
        clear(state, rules, LEGAL)
    else:
        write_legal(state, rules)
    clear(state, rules, WORK)


@kernel
def observe(state, rules, planes):  # type: ignore[no-untyped-def]
    """See `SIGNATURES`; `first` is set where the mover is the first player, who gives komi."""
    size, seat = rules[SIZE], to_play(state)
    cells, first = planes.view(np.uint8), np.uint8(seat == 0)
    for row in range(size):
        mine, theirs = (
            row_bits(state, rules, STONES + seat, row),
            row_bits(state, rules, STONES + 1 - seat, row),
        )
        atari, legal = row_bits(state, rules, ATARI, row), row_bits(state, rules, LEGAL, row)
        drawn = cells[6 * size * row : 6 * size * (row + 1)]
        for column in range(size):
            shift = np.uint64(column)
            k = DEPTH * shift
            drawn[k] = (mine >> shift) & ONE
            drawn[k + ONE] = (theirs >> shift) & ONE
            drawn[k + TWO] = (atari >> shift) & ONE
            drawn[k + THREE] = (legal >> shift) & ONE
            drawn[k + LAST_PLANE] = 0
            drawn[k + FIRST_PLANE] = first
    last = np.int64(state[LAST]) - FIRST_BIT
    if last >= 0:
        planes[6 * (last - last // rules[STRIDE]) + 4] = True


@kernel
def playout(state, rules, rng, i):  # type: ignore[no-untyped-def]
    """See `SIGNATURES`. No eye of one's own (`is_eye`) is filled; a pass is played only where nothing else is
    left. All other legal moves are equally likely.
    """
    if outcome(state) != OPEN:
        return outcome(state)
    passes, longest = int(state[LAST] == PASSED), 2 * rules[SIZE] * rules[SIZE]
    while passes < 2 and ply(state) < longest:
        bit = draw_move(state, rules, rng, i)
        if bit >= 0:
            place(state, rules, bit)
            passes = 0
        else:
            place_none(state, rules)
            passes += 1
    return winner(state, rules)


def make(size: int = 9, komi: float = 7.5) -> Game:
    """Go on `size` × `size`, 2 to 19. The second player is given `komi`, in whole or half points.

    Raises `OptionError` for another size, or a komi that is none.
    """
    if not SMALLEST <= size <= LARGEST:
        raise OptionError("size", f"size of go must be {SMALLEST} to {LARGEST}, not {size}")
    if not abs(komi) <= HIGHEST_KOMI or 2 * komi != int(2 * komi):
        said = f"komi of go must be a whole or half number from -{HIGHEST_KOMI} to {HIGHEST_KOMI}, not {komi}"
        raise OptionError("komi", said)
    fixed = numbers(size, int(2 * komi))
    rules = np.array(fixed, np.int64)
    return Game(
        name="go",
        title=f"go {size}×{size}",
        options={"size": size, "komi": komi},
        shape=(size, size),
        planes=PLANES,
        actions=size * size + 1,
        words=fixed[HISTORY] + 2 * size * size + 1,
        longest=2 * size * size,
        rules={"start": start, "legal": legal, "play": play, "observe": observe, "playout": playout},
        numbers=fixed,
        **maps(size, size, "square", extra=1),
        move_text=lambda action: go_text.move_text(action, size),
        parse_move=lambda word: go_text.parse_move(word, size),
        board_text=lambda state: go_text.board_text(state, rules),
        flaw=lambda state: go_text.flaw(state, rules),
    )
