"""A perfect player of connect four: the exact score of every legal move, from alpha-beta on bits.

The method is Pascal Pons's (Solving Connect 4, blog.gamesolver.org, 2015; the layout of the stones is John
Tromp's): null-window searches that close in on the score, only moves that do not lose at once, those first
that make most winning spots, and a table of positions met before with bounds on their scores. `mine` and
`mask` are the two words of `search.perfect.bitboard`.

A score is seen by the player to move: s > 0 wins with the s-th last of its 21 stones, so 22 - s of them are
played at the end; s < 0 loses to the opponent's, 0 draws. The empty board's is 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from envs.kernels import kernel
from search.perfect.bitboard import (
    CELLS,
    COLUMN,
    COLUMNS,
    ONE,
    STRIDE,
    ZERO,
    canonical,
    count,
    drops,
    safe_moves,
    winning_spots,
)
from search.perfect.notation import Words, check_positions
from search.perfect.prefetch import prefetch

ILLEGAL = -100
"""The score of a column that is full."""
WORST, BEST = -21, 21

# A word of the table: key (49 bits), 3 unused, lower and upper bound (6 each), so stored that 0 says nothing.
KEY_SHIFT, LOWER_SHIFT, SIX_BITS, OFFSET = np.uint64(15), np.uint64(6), np.uint64(63), 32
THREE_BITS, EIGHT_BITS = np.uint64(7), np.uint64(255)
SPREAD = np.uint64(0x9E3779B97F4A7C15)
COLUMN_MASKS = np.array([0, *(int(COLUMN) << STRIDE * c for c in (6, 0, 5, 1, 4, 2, 3))], np.uint64)
"""The cells of each column, the centre last; the first entry is none."""
TABLE_STONES = 32
"""Positions with more stones are searched faster than looked up."""
MIRROR_STONES = 12
"""Positions with fewer stones share an entry with their mirror image."""


@kernel
def slot(key, table):  # type: ignore[no-untyped-def]
    """Where a key belongs in the table, whose length is a power of two (Fibonacci hashing)."""
    mixed = key * SPREAD
    return np.int64((mixed ^ (mixed >> np.uint64(32))) & np.uint64(len(table) - 1))


@kernel
def key_of(mine, mask, stones):  # type: ignore[no-untyped-def]
    """The table's name for a position."""
    return canonical(mine, mask) if stones < MIRROR_STONES else mine + mask


@kernel
def sort_moves(mine, mask, stones, moves, table):  # type: ignore[no-untyped-def]
    """The `moves` as a queue in one word, the best in its lowest byte: most winning spots, then the centre.

    A byte is 8 · spots + the column's place in `COLUMN_MASKS`. What the table knows is fetched meanwhile.
    """
    queue = ZERO
    for place in range(1, COLUMNS + 1):
        move = moves & COLUMN_MASKS[place]
        if move == ZERO:
            continue
        if stones < TABLE_STONES:
            prefetch(table, slot(key_of(mine ^ mask, mask | move, stones + 1), table))
        spots = min(count(winning_spots(mine | move, mask | move)), 31)
        byte, shift = np.uint64(8 * spots + place), ZERO
        while (queue >> shift) & EIGHT_BITS > byte:
            shift += np.uint64(8)
        better = queue & ((ONE << shift) - ONE)
        queue = better | (byte << shift) | ((queue ^ better) << np.uint64(8))
    return queue


@kernel
def in_book(key, book):  # type: ignore[no-untyped-def]
    """The score of a position that the book holds, else `ILLEGAL`."""
    low, high = 0, len(book)
    while low < high:
        middle = (low + high) // 2
        if book[middle] >> KEY_SHIFT < key:
            low = middle + 1
        else:
            high = middle
    if low < len(book) and book[low] >> KEY_SHIFT == key:
        return np.int64(book[low] & SIX_BITS) - OFFSET
    return ILLEGAL


@kernel
def negamax(mine, mask, stones, alpha, table, nodes):  # type: ignore[no-untyped-def]
    """Is the score more than `alpha`? A lower bound on it that is, or an upper bound that is not.

    The player to move must not be able to win at once.
    """
    nodes[0] += 1
    theirs, lost = mine ^ mask, -((CELLS - stones) // 2)
    moves = safe_moves(theirs, mask)
    if moves == ZERO:
        return lost
    if stones >= CELLS - 2:
        return 0
    lower, upper = lost + 1, (CELLS - 1 - stones) // 2
    key, where = ZERO, 0
    if stones <= TABLE_STONES:
        key = key_of(mine, mask, stones)
        where = slot(key, table)
        entry = table[where]
        if entry >> KEY_SHIFT == key:
            lower = max(lower, np.int64((entry >> LOWER_SHIFT) & SIX_BITS) - OFFSET)
            upper = min(upper, OFFSET - np.int64(entry & SIX_BITS))
    if lower > alpha:
        return lower
    if upper <= alpha:
        return upper

    best, queue = WORST, sort_moves(mine, mask, stones, moves, table)
    while best <= alpha and queue != ZERO:
        after = mask | (moves & COLUMN_MASKS[queue & THREE_BITS])
        best = max(best, -negamax(theirs, after, stones + 1, -alpha - 1, table, nodes))
        queue >>= np.uint64(8)
    if best > alpha:
        lower = max(lower, best)
    else:
        upper = min(upper, best)
    if stones <= TABLE_STONES:
        bounds = (np.uint64(lower + OFFSET) << LOWER_SHIFT) | np.uint64(OFFSET - upper)
        table[where] = (key << KEY_SHIFT) | bounds
    return best


@kernel
def opening(mine, mask, stones, alpha, table, book, book_stones, nodes):  # type: ignore[no-untyped-def]
    """As `negamax`, but a position of `book_stones` stones is looked up."""
    if stones == book_stones:
        score = in_book(canonical(mine, mask), book)
        if score != ILLEGAL:
            return score
    if stones >= book_stones:
        return negamax(mine, mask, stones, alpha, table, nodes)
    nodes[0] += 1
    moves, best = safe_moves(mine ^ mask, mask), -((CELLS - stones) // 2)
    for place in range(COLUMNS, 0, -1):
        move = moves & COLUMN_MASKS[place]
        if move != ZERO and best <= alpha:
            score = -opening(
                mine ^ mask, mask | move, stones + 1, -alpha - 1, table, book, book_stones, nodes
            )
            best = max(best, score)
    return best


@kernel
def solve(mine, mask, lower, upper, table, book, book_stones, nodes):  # type: ignore[no-untyped-def]
    """The score where it lies in [lower, upper], else a number that lies on the same side of them."""
    stones = count(mask)
    if winning_spots(mine, mask) & drops(mask) != ZERO:
        return (CELLS + 1 - stones) // 2
    lower = max(lower, -((CELLS - stones) // 2))
    upper = min(upper, (CELLS - 1 - stones) // 2)
    while lower < upper:
        # Whether a win or a loss is very quick is itself quick to see: come from far out towards 0.
        alpha = (lower + upper) // 2
        alpha = min(alpha, -(-lower // 2)) if alpha <= 0 else max(alpha, upper // 2)
        score = opening(mine, mask, stones, alpha, table, book, book_stones, nodes)
        if score > alpha:
            lower = score
        else:
            upper = score
    return lower


@kernel
def solve_all(mine, mask, lower, upper, table, book, book_stones, out):  # type: ignore[no-untyped-def]
    """`solve` each position within its own bounds, into `out` `[n]`. Returns how many were explored."""
    nodes = np.zeros(1, np.int64)
    for i in range(len(mine)):
        out[i] = solve(mine[i], mask[i], lower[i], upper[i], table, book, book_stones, nodes)
    return nodes[0]


@kernel
def solve_moves(mine, mask, reach, table, book, book_stones, out):  # type: ignore[no-untyped-def]
    """`solve` each move of each position within ±`reach`, into `out` `[n, 7]`. Returns as `solve_all`."""
    nodes = np.zeros(1, np.int64)
    for i in range(len(mine)):
        wins = winning_spots(mine[i], mask[i])
        for column in range(COLUMNS):
            move = drops(mask[i]) & (COLUMN << np.uint64(STRIDE * column))
            if move == ZERO:
                out[i, column] = ILLEGAL
            elif move & wins != ZERO:
                out[i, column] = (CELLS + 1 - count(mask[i])) // 2
            else:
                theirs, after = mine[i] ^ mask[i], mask[i] | move
                out[i, column] = -solve(theirs, after, -reach, reach, table, book, book_stones, nodes)
    return nodes[0]


@dataclass(frozen=True)
class Book:
    """The scores of all positions of so many `stones` in which the player to move cannot win at once.

    `keys` are `canonical` ones, uint64 `[n]` in rising order; `scores` are int8 `[n]`.
    """

    stones: int
    keys: np.ndarray
    scores: np.ndarray


class Solver:
    """Scores positions, and every move of them. It remembers: later positions profit from earlier ones.

    Positions are given as two words (uint64 scalars, or arrays `[n]`): the stones of the player to move and
    all stones. Every method raises `ValueError` where one of them is no position of a game that goes on.
    `nodes` counts the positions explored so far. Threads may share a solver, as an entry of its table is one
    word, which is written whole; `nodes` is then a rough count.
    """

    def __init__(self, table_megabytes: int = 128, book: Book | None = None):
        """The table has as many 8-byte words as fit, a power of two. `book` is what `load_book` returns."""
        if table_megabytes < 1:
            raise ValueError(f"a table of {table_megabytes} MB is too small: at least 1 MB")
        self._table = np.zeros(1 << ((table_megabytes << 20) // 8).bit_length() - 1, np.uint64)
        book = book or Book(-1, np.zeros(0, np.uint64), np.zeros(0, np.int8))
        self._book = (book.keys << KEY_SHIFT) | (book.scores + OFFSET).astype(np.uint64)
        self._book_stones = book.stones
        self.nodes = 0

    def score(self, mine: Words, mask: Words) -> Any:
        """The exact score of each position, int8 in [-21, 21], shaped as `mine`."""
        words = check_positions(mine, mask)
        bounds = np.full(len(words[0]), BEST)
        return self._solve(words, -bounds, bounds).reshape(np.shape(mine))[()]

    def at_least(self, mine: Words, mask: Words, bound: int | np.ndarray) -> Any:
        """Whether each score is at least `bound`: quicker than the score itself, most of all far from 0."""
        words = check_positions(mine, mask)
        bounds = np.broadcast_to(np.asarray(bound, np.int64), len(words[0])).copy()
        return (self._solve(words, bounds - 1, bounds) >= bounds).reshape(np.shape(mine))[()]

    def scores(self, mine: Words, mask: Words) -> np.ndarray:
        """The exact score of each move for who makes it, int8 `[7]` or `[n, 7]`; `ILLEGAL` if it is full."""
        return self._solve_moves(mine, mask, BEST)

    def outcomes(self, mine: Words, mask: Words) -> np.ndarray:
        """1, 0 or -1 for a move that wins, draws or loses, shaped as `scores`, and quicker than they."""
        scores = self._solve_moves(mine, mask, 1)
        return np.where(scores == ILLEGAL, ILLEGAL, np.sign(scores)).astype(np.int8)

    def _solve(self, words: tuple[np.ndarray, ...], lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
        out = np.zeros(len(words[0]), np.int8)
        self.nodes += solve_all(*words, lower, upper, self._table, self._book, self._book_stones, out)
        return out

    def _solve_moves(self, mine: Words, mask: Words, reach: int) -> np.ndarray:
        words = check_positions(mine, mask)
        out = np.zeros((len(words[0]), COLUMNS), np.int8)
        self.nodes += solve_moves(*words, reach, self._table, self._book, self._book_stones, out)
        return out.reshape(*np.shape(mine), COLUMNS)
