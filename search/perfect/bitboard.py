r"""Connect four on bits: where stones can drop, where they win, and how positions are named.

A position is two words: the stones of the player to move (`mine`) and all stones (`mask`). Bit = 7·column +
row. A column's seventh bit is always empty, so that no line runs from one column's top to the next's foot.

    row 6    6 13 20 27 34 41 48   always empty
    row 5    5 12 19 26 33 40 47
    row 4    4 11 18 25 32 39 46
    row 3    3 10 17 24 31 38 45
    row 2    2  9 16 23 30 37 44
    row 1    1  8 15 22 29 36 43
    row 0    0  7 14 21 28 35 42
      column 0  1  2  3  4  5  6

A position is also named by the moves that lead to it, columns counted from 1: "44455".
"""

from __future__ import annotations

import numpy as np

from envs.kernels import kernel

COLUMNS, ROWS = 7, 6
CELLS = COLUMNS * ROWS
STRIDE = ROWS + 1

ZERO, ONE = np.uint64(0), np.uint64(1)
COLUMN = np.uint64((1 << ROWS) - 1)
BOTTOM = np.uint64(sum(1 << STRIDE * c for c in range(COLUMNS)))
BOARD = BOTTOM * COLUMN
TALL_COLUMN = np.uint64((1 << STRIDE) - 1)
# From a cell to its neighbour along the falling diagonal, the row and the rising diagonal.
LINES = (np.uint64(STRIDE - 1), np.uint64(STRIDE), np.uint64(STRIDE + 1))


@kernel
def count(bits):  # type: ignore[no-untyped-def]
    """How many bits are set (Warren, Hacker's Delight, section 5-1), which compiles to one instruction."""
    bits -= (bits >> np.uint64(1)) & np.uint64(0x5555555555555555)
    bits = (bits & np.uint64(0x3333333333333333)) + ((bits >> np.uint64(2)) & np.uint64(0x3333333333333333))
    bits = (bits + (bits >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((bits * np.uint64(0x0101010101010101)) >> np.uint64(56))


@kernel
def winning_spots(stones, mask):  # type: ignore[no-untyped-def]
    """The empty cells, reachable now or later, where one more of `stones` makes four in a row."""
    spots = (stones << np.uint64(1)) & (stones << np.uint64(2)) & (stones << np.uint64(3))
    for one in LINES:
        two, three = one + one, one + one + one
        spots |= (stones << one) & (stones << two) & ((stones << three) | (stones >> one))
        spots |= (stones >> one) & (stones >> two) & ((stones >> three) | (stones << one))
    return spots & (BOARD ^ mask)


@kernel
def has_four(stones):  # type: ignore[no-untyped-def]
    """Whether four of `stones` stand in a row."""
    pairs = stones & (stones >> np.uint64(1))
    found = pairs & (pairs >> np.uint64(2))
    for one in LINES:
        pairs = stones & (stones >> one)
        found |= pairs & (pairs >> (one + one))
    return found != ZERO


@kernel
def drops(mask):  # type: ignore[no-untyped-def]
    """The cells where a stone comes to rest, one a column that is not full."""
    return (mask + BOTTOM) & BOARD


@kernel
def safe_moves(theirs, mask):  # type: ignore[no-untyped-def]
    """The drops after which the other player, who has `theirs`, cannot win at once; none if all lose."""
    threats = winning_spots(theirs, mask)
    moves = drops(mask)
    forced = moves & threats
    if forced != ZERO:
        moves = forced if forced & (forced - ONE) == ZERO else ZERO  # two threats cannot both be met
    return moves & ~(threats >> ONE)  # a stone right below a winning spot offers it


@kernel
def canonical(mine, mask):  # type: ignore[no-untyped-def]
    """A position's name in 49 bits, the same for its mirror image.

    A column of `mine + mask` tells how many stones it has and whose they are: no two positions share it.
    """
    key = mine + mask
    rest, mirrored = key, ZERO
    for _ in range(COLUMNS):
        mirrored = (mirrored << np.uint64(STRIDE)) | (rest & TALL_COLUMN)
        rest >>= np.uint64(STRIDE)
    return min(key, mirrored)
