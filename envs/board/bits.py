"""Sets of cells as the bits of one uint64, for kernels."""

from __future__ import annotations

import numpy as np

from envs.kernels import kernel

ZERO, ONE, TWO, FOUR = (np.uint64(n) for n in (0, 1, 2, 4))
PAIRS, FOURS, BYTES = (np.uint64(m) for m in (0x5555555555555555, 0x3333333333333333, 0x0F0F0F0F0F0F0F0F))
BYTE_SUM, TOP_BYTE = np.uint64(0x0101010101010101), np.uint64(56)


@kernel
def count(bits):  # type: ignore[no-untyped-def]
    """How many bits are set (the compiler makes one instruction of this)."""
    bits -= (bits >> ONE) & PAIRS
    bits = (bits & FOURS) + ((bits >> TWO) & FOURS)
    return np.int64((((bits + (bits >> FOUR)) & BYTES) * BYTE_SUM) >> TOP_BYTE)


@kernel
def pick(bits, k):  # type: ignore[no-untyped-def]
    """The set bit before which, from the lowest on, there are `k` others, as a set of one."""
    for _ in range(k):
        bits &= bits - ONE  # drops the lowest
    return bits & (ZERO - bits)


def from_cells(cells: list[int]) -> int:
    """The set of these cells."""
    return sum(1 << cell for cell in cells)


def as_numbers(*sets: int) -> tuple[int, ...]:
    """Sets of up to 64 cells as int64, for `Game.numbers`; `np.uint64` makes sets of them again."""
    return tuple(np.array(sets, np.uint64).view(np.int64).tolist())
