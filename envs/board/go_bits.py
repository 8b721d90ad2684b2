"""The state of a game of go as bitboards, and what kernels do with one bit, word or board.

A cell is one bit, row by row from the top. Between two rows one bit stays empty, so that no chain runs over a
row's end:

    bits on 9×9

     0  1  2  3  4  5  6  7  8  ( 9)
    10 11 12 13 14 15 16 17 18  (19)
     …
    80 81 82 83 84 85 86 87 88  (89)

A bitboard is `rules[WORDS]` words, with an empty word before and after it, so that no shift need ask where it
ends.

    words of a state

    0           the header that every game has
    1           the last move: 0 there was none, 1 a pass, 2 + bit a stone
    2 …         the bitboards, in the order below, an empty word before each and after the last
    FILTER …    a Bloom filter of the positions so far (Bloom, 1970), with one bit a position
    HISTORY …   the hash of the position after each ply (Zobrist, 1970); an empty board's is 0

That makes 206 words on 9×9 (1.6 kB) and 846 on 19×19.
"""

from __future__ import annotations

import numpy as np

from envs.board.bits import ONE, ZERO, count, pick
from envs.kernels import kernel
from envs.rng import mix, next_below

SIZE, STRIDE, WORDS, FILTER, FILTER_BITS, HISTORY, KOMI = range(7)
"""What kernels get as `rules`; see `numbers`."""

STONES, EVER, EMPTY, ATARI, LEGAL, WORK = 0, 2, 4, 5, 6, 7
"""The bitboards: the stones of seat 0 (and next, of seat 1); where each ever had one; empty cells; stones of
chains with one liberty; where the mover may play; and room to work in, which is empty between two plies."""
BOARDS = 8

LAST, PASSED, FIRST_BIT = 1, 1, 2
BITS = 20 * 20  # at least those of any board
KEYS = mix(np.arange(1, 2 * BITS + 1, dtype=np.uint64))
LOW_BITS, WORD_BITS = np.uint64(63), np.uint64(64)


def numbers(size: int, doubled_komi: int) -> tuple[int, ...]:
    """The `rules` of a board of this size."""
    words = -(-size * (size + 1) // 64)
    filter_at = 2 + BOARDS * (words + 1) + 1
    filter_bits = max(64, 1 << (8 * size * size).bit_length())  # 4 to 8 bits for each of 2 · size² plies
    return size, size + 1, words, filter_at, filter_bits, filter_at + filter_bits // 64, doubled_komi


@kernel
def lowest(bits):  # type: ignore[no-untyped-def]
    """The number of the lowest bit that is set."""
    return count(~bits & (bits - ONE))


@kernel
def board_at(rules, board):  # type: ignore[no-untyped-def]
    """Where in the state a bitboard begins."""
    return 3 + board * (rules[WORDS] + 1)


@kernel
def has(state, at, bit):  # type: ignore[no-untyped-def]
    """Whether a bit is set in the bitboard at `at`; one beyond the board's edge is not."""
    return (state[at + (bit >> 6)] >> (np.uint64(bit) & LOW_BITS)) & ONE != ZERO


@kernel
def add(state, at, bit):  # type: ignore[no-untyped-def]
    """Set a bit."""
    state[at + (bit >> 6)] |= ONE << (np.uint64(bit) & LOW_BITS)


@kernel
def drop(state, at, bit):  # type: ignore[no-untyped-def]
    """Clear a bit."""
    state[at + (bit >> 6)] &= ~(ONE << (np.uint64(bit) & LOW_BITS))


@kernel
def clear(state, rules, board):  # type: ignore[no-untyped-def]
    """Clear a whole bitboard."""
    at = board_at(rules, board)
    for w in range(at, at + rules[WORDS]):
        state[w] = ZERO


@kernel
def row_bits(state, rules, board, row):  # type: ignore[no-untyped-def]
    """A row of a bitboard from bit 0 on; bits from the size on mean nothing."""
    bit = row * rules[STRIDE]
    word, shift = board_at(rules, board) + (bit >> 6), np.uint64(bit) & LOW_BITS
    return (state[word] >> shift) | (state[word + 1] << ONE << (LOW_BITS - shift))


@kernel
def around(low, bits, high, stride):  # type: ignore[no-untyped-def]
    """The neighbours, in one word, of the bits in it and in the words before and after it."""
    back = WORD_BITS - stride
    inside = (bits << ONE) | (bits >> ONE) | (bits << stride) | (bits >> stride)
    return inside | (low >> LOW_BITS) | (low >> back) | (high << LOW_BITS) | (high << back)


@kernel
def neighbours(rules, bit):  # type: ignore[no-untyped-def]
    """The bits above, left, right and below."""
    return bit - rules[STRIDE], bit - 1, bit + 1, bit + rules[STRIDE]


@kernel
def draw_bit(state, rules, board, rng, i):  # type: ignore[no-untyped-def]
    """A bit of a bitboard, each as likely as the others; −1 where none is set."""
    w, total = board_at(rules, board), 0
    for k in range(rules[WORDS]):
        total += count(state[w + k])
    if total == 0:
        return -1
    nth = next_below(rng, i, total)
    while nth >= count(state[w]):
        nth -= count(state[w])
        w += 1
    return 64 * (w - board_at(rules, board)) + lowest(pick(state[w], nth))
