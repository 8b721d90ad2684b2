"""Sudoku as kernels: full grids, solutions, puzzles, and what a careful reader fills in next.

A grid is int8 `[size²]` by rows, 0 for a blank; `size` is 4 or 9. Sets of digits are bit masks: bit d - 1
stands for digit d. Houses are rows, then columns, then boxes; `used`, int64 `[3 · size]`, has what each of
them holds.
"""

from __future__ import annotations

import numpy as np

from envs.kernels import kernel
from envs.rng import next_below

NAKED, ROW, COLUMN, BOX, SEARCH = range(5)
"""Why a digit goes into a cell: no other can, or it can go nowhere else in a house, or neither."""


@kernel
def houses(size, cell):  # type: ignore[no-untyped-def]
    """The row, the column and the box of a cell."""
    side = 2 if size == 4 else 3
    row, column = cell // size, cell % size
    return row, size + column, 2 * size + row // side * side + column // side


@kernel
def tally(grid, size, used):  # type: ignore[no-untyped-def]
    """Write `used`; whether no house holds a digit twice."""
    used[:] = 0
    for cell in range(size * size):
        if grid[cell]:
            bit = 1 << (grid[cell] - 1)
            for house in houses(size, cell):
                if used[house] & bit:
                    return False
                used[house] |= bit
    return True


@kernel
def candidates(used, size, cell):  # type: ignore[no-untyped-def]
    """The digits that no house of a blank cell holds."""
    row, column, box = houses(size, cell)
    return ((1 << size) - 1) & ~(used[row] | used[column] | used[box])


@kernel
def flip(used, size, cell, bit):  # type: ignore[no-untyped-def]
    """Put a digit into a cell's houses, or take it out."""
    row, column, box = houses(size, cell)
    used[row] ^= bit
    used[column] ^= bit
    used[box] ^= bit


@kernel
def bits(mask):  # type: ignore[no-untyped-def]
    """How many digits a set has."""
    count = 0
    while mask:
        mask &= mask - 1
        count += 1
    return count


@kernel
def digit_of(bit):  # type: ignore[no-untyped-def]
    """The digit of a set of one."""
    digit = 0
    while bit:
        bit >>= 1
        digit += 1
    return digit


@kernel
def tightest(used, size, blanks, left):  # type: ignore[no-untyped-def]
    """(place in `blanks[:left]`, candidates) of the cell with the fewest."""
    best, fewest, found = 0, size + 1, 0
    for k in range(left):
        mask = candidates(used, size, blanks[k])
        count = bits(mask)
        if count < fewest:
            best, fewest, found = k, count, mask
            if count <= 1:
                break
    return best, found


@kernel
def count(grid, size, used, blanks, most, rng):  # type: ignore[no-untyped-def]
    """How many ways there are to fill the `blanks`, up to `most`; the last one found is left in the grid.

    Depth first, the tightest cell next, its digits in ascending order, or at random where `rng` has a
    generator. `used` is left as it was, `blanks` in another order.
    """
    total = len(blanks)
    masks, chosen = np.zeros(total, np.int64), np.zeros(total, np.int64)
    depth = found = 0
    while depth >= 0 and found < most:
        if depth == total:
            found += 1
            for k in range(total):
                grid[blanks[total - 1 - k]] = digit_of(chosen[k])
            depth -= 1
            continue
        last = total - 1 - depth
        if chosen[depth]:
            flip(used, size, blanks[last], chosen[depth])
            chosen[depth] = 0
        else:
            k, masks[depth] = tightest(used, size, blanks, last + 1)
            blanks[k], blanks[last] = blanks[last], blanks[k]
        if masks[depth] == 0:
            depth -= 1
            continue
        bit = draw(masks[depth], rng) if len(rng) else masks[depth] & -masks[depth]
        masks[depth] ^= bit
        chosen[depth] = bit
        flip(used, size, blanks[last], bit)
        depth += 1
    for k in range(total):
        if chosen[k]:
            flip(used, size, blanks[total - 1 - k], chosen[k])
    return found


@kernel
def draw(mask, rng):  # type: ignore[no-untyped-def]
    """One digit of a set, at random."""
    for _ in range(next_below(rng, 0, bits(mask))):
        mask &= mask - 1
    return mask & -mask


@kernel
def solve(grid, size, most):  # type: ignore[no-untyped-def]
    """How many solutions a grid has, up to `most`; if any, the grid becomes one."""
    used = np.zeros(3 * size, np.int64)
    if not tally(grid, size, used):
        return 0
    return count(grid, size, used, np.flatnonzero(grid == 0), most, np.zeros(0, np.uint64))


@kernel
def generate(rng, size, wanted, grid):  # type: ignore[no-untyped-def]
    """Write a puzzle of one solution with so many blanks `wanted`.

    A full grid is drawn, then cells are emptied in a random order wherever no other digit would do. Where too
    few can be emptied, everything begins anew.
    """
    cells = size * size
    used = np.zeros(3 * size, np.int64)
    blanks, scratch, order = np.empty(cells, np.int64), np.empty(cells, np.int8), np.arange(cells)
    while True:
        used[:] = 0
        count(grid, size, used, np.arange(cells), 1, rng)
        tally(grid, size, used)
        empty = 0
        for k in range(cells):
            j = k + next_below(rng, 0, cells - k)
            order[k], order[j] = order[j], order[k]
            cell = order[k]
            bit = 1 << (grid[cell] - 1)
            flip(used, size, cell, bit)
            if other(scratch, size, used, blanks[:empty], cell, bit):
                flip(used, size, cell, bit)
                continue
            grid[cell] = 0
            blanks[empty] = cell
            empty += 1
            if empty == wanted:
                return


@kernel
def other(scratch, size, used, blanks, cell, bit):  # type: ignore[no-untyped-def]
    """Whether a just emptied cell, and with it all blanks, could be filled without its digit."""
    mask = candidates(used, size, cell) & ~bit
    while mask:
        trial = mask & -mask
        mask ^= trial
        flip(used, size, cell, trial)
        found = count(scratch, size, used, blanks, 1, np.zeros(0, np.uint64))
        flip(used, size, cell, trial)
        if found:
            return True
    return False


# -- reasons ----------------------------------------------------------------------------------------------


@kernel
def forced(grid, used, size, cell, digit, why):  # type: ignore[no-untyped-def]
    """Whether a digit must go into a blank cell for a reason in `NAKED` … `BOX`."""
    bit = 1 << (digit - 1)
    mask = candidates(used, size, cell)
    if not mask & bit:
        return False
    if why == NAKED:
        return mask == bit
    house = houses(size, cell)[why - ROW]
    for mate in range(size * size):
        shared = mate != cell and grid[mate] == 0 and houses(size, mate)[why - ROW] == house
        if shared and candidates(used, size, mate) & bit:
            return False
    return True


@kernel
def next_step(grid, used, size):  # type: ignore[no-untyped-def]
    """(cell, digit, why) that is filled in next; `SEARCH` and digit 0 where nothing is forced.

    First comes a cell with a single candidate, then a digit with a single cell in a row, a column or a box;
    within each kind the first cell by rows. Where nothing is forced it is the first of the tightest cells.
    """
    best, fewest = -1, size + 1
    for cell in range(size * size):
        if grid[cell] == 0:
            mask = candidates(used, size, cell)
            count = bits(mask)
            if count == 1:
                return cell, digit_of(mask), NAKED
            if count < fewest:
                best, fewest = cell, count
    for cell in range(size * size):
        if grid[cell] == 0:
            for digit in range(1, size + 1):
                for why in range(ROW, BOX + 1):
                    if forced(grid, used, size, cell, digit, why):
                        return cell, digit, why
    return best, 0, SEARCH


@kernel
def work(grid, solved, size, steps):  # type: ignore[no-untyped-def]
    """Fill a grid step by step; rows of `steps` (int64 `[blanks, 3]`) are (cell, digit, why).

    Where nothing is forced, the digit is taken from the `solved` grid.
    """
    used = np.zeros(3 * size, np.int64)
    tally(grid, size, used)
    for k in range(len(steps)):
        cell, digit, why = next_step(grid, used, size)
        if why == SEARCH:
            digit = solved[cell]
        steps[k, 0], steps[k, 1], steps[k, 2] = cell, digit, why
        grid[cell] = digit
        flip(used, size, cell, 1 << (digit - 1))


@kernel
def check(grid, solved, size, steps, right):  # type: ignore[no-untyped-def]
    """Fill a grid by steps (see `work`); `right` (bool) tells of each whether it holds, else it is skipped.

    A search holds where nothing is forced, and it says what the one solution has.
    """
    used = np.zeros(3 * size, np.int64)
    tally(grid, size, used)
    for k in range(len(steps)):
        cell, digit, why = steps[k]
        right[k] = False
        if grid[cell]:
            continue
        if why == SEARCH:
            right[k] = digit == solved[cell] and next_step(grid, used, size)[2] == SEARCH
        else:
            right[k] = forced(grid, used, size, cell, digit, why)
        if right[k]:
            grid[cell] = digit
            flip(used, size, cell, 1 << (digit - 1))
