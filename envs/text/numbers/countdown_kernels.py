"""Countdown as kernels: drawing a problem that can be solved, solving it, and counting what is right.

Operators are numbered 0 to 3, as in `OPERATORS`. A step joins the larger of two numbers with the smaller, and
what comes of it is whole and positive, as on television.
"""

from __future__ import annotations

import numpy as np

from envs.kernels import kernel
from envs.rng import next_below

OPERATORS = "+-*/"
ADD, SUBTRACT, MULTIPLY, DIVIDE = range(4)
MOST_NUMBERS = 6
LOWEST_TARGET, HIGHEST_TARGET = 10, 999
TABLED_NUMBERS = 3
"""Up to so many numbers, all that they can make is tabled."""
TABLED = 48
"""Values that three numbers can make, at most: three pairs, four operators, and four again."""
SET, TARGET, SIZE, RANK, PART, PLACE, TURNED, WANT, FIELDS = range(9)
"""A frame: a set and what it is to make; and where its parting stands (see `solve`)."""
LARGEST_STEP = 9999
"""What a step may come to, at most, in a problem that is drawn (solutions may go beyond)."""


@kernel
def joined(op, large, small):  # type: ignore[no-untyped-def]
    """What the two make, or 0 where that is not whole and positive; `large` is not below `small`."""
    if op == ADD:
        return large + small
    if op == SUBTRACT:
        return large - small
    if op == MULTIPLY:
        return large * small
    return large // small if large % small == 0 else 0


@kernel
def draw(rng, largest, numbers):  # type: ignore[no-untyped-def]
    """Fill `numbers` (int64 `[n]`) from 1 … `largest`; returns a target that they make.

    It is what random steps come to: two numbers drawn evenly are joined by an operator drawn evenly
    from those that may, until one is left. Where it is out of range everything is drawn anew.
    """
    pool = np.empty_like(numbers)
    while True:
        for i in range(len(numbers)):
            numbers[i] = 1 + next_below(rng, 0, largest)
        pool[:] = numbers
        for left in range(len(numbers), 1, -1):
            i, j = next_below(rng, 0, left), next_below(rng, 0, left - 1)
            if j >= i:
                j += 1
            large, small = max(pool[i], pool[j]), min(pool[i], pool[j])
            made = 0
            while made == 0 or made > max(LARGEST_STEP, large + small):
                made = joined(next_below(rng, 0, 4), large, small)
            pool[min(i, j)] = made
            pool[max(i, j)] = pool[left - 1]
        if LOWEST_TARGET <= pool[0] <= HIGHEST_TARGET:
            return pool[0]


@kernel
def tables(numbers):  # type: ignore[no-untyped-def]
    """(what every set of up to three numbers can make, how many values, a bound on what any set can make).

    Sets are bit masks of places. The values, int64 `[2^n, TABLED]`, are sorted.
    """
    n = len(numbers)
    values = np.zeros((1 << n, TABLED), np.int64)
    sizes = np.zeros(1 << n, np.int64)
    bounds = np.ones(1 << n, np.int64)
    for s in range(1, 1 << n):
        top = n - 1
        while not s >> top & 1:
            top -= 1
        bounds[s] = bounds[s ^ (1 << top)] * max(2, numbers[top])
        if s == 1 << top:
            values[s, 0], sizes[s] = numbers[top], 1
        if members(s) > TABLED_NUMBERS:
            continue
        a = (s - 1) & s
        while a > s ^ a:
            b = s ^ a
            for x in values[a, : sizes[a]]:
                for y in values[b, : sizes[b]]:
                    for op in range(4):
                        insert(values[s], sizes, s, joined(op, max(x, y), min(x, y)))
            a = (a - 1) & s
    return values, sizes, bounds


@kernel
def members(s):  # type: ignore[no-untyped-def]
    """How many places a set has."""
    count = 0
    while s:
        s &= s - 1
        count += 1
    return count


@kernel
def place_of(row, size, x):  # type: ignore[no-untyped-def]
    """Where x stands, or would, among the first `size` of a sorted row."""
    low, high = 0, size
    while low < high:
        middle = (low + high) // 2
        if row[middle] < x:
            low = middle + 1
        else:
            high = middle
    return low


@kernel
def insert(row, sizes, s, x):  # type: ignore[no-untyped-def]
    """Put x into the sorted row of set s, once; 0 is nothing."""
    size = sizes[s]
    at = place_of(row, size, x)
    if x == 0 or (at < size and row[at] == x):
        return
    for k in range(size, at, -1):
        row[k] = row[k - 1]
    row[at] = x
    sizes[s] += 1


@kernel
def wanted(op, turned, target, x):  # type: ignore[no-untyped-def]
    """What makes the target with x on its right, or, where `turned`, on its left; 0 where nothing does."""
    if op == ADD:
        return max(0, target - x) if not turned else 0
    if op == MULTIPLY:
        return target // x if not turned and target % x == 0 else 0
    if op == SUBTRACT:
        return max(0, x - target) if turned else target + x
    if turned:
        return x // target if x % target == 0 else 0
    return target * x


@kernel
def begin(frame, s, target, size):  # type: ignore[no-untyped-def]
    """Point a frame before the first way in which set `s`, of so many numbers, could make a target."""
    frame[SET], frame[TARGET], frame[SIZE] = s, target, size
    frame[RANK], frame[PLACE], frame[TURNED] = 0, 0, -1
    frame[PART] = next_part(s, s, size)


@kernel
def next_part(b, s, size):  # type: ignore[no-untyped-def]
    """The next smaller part of a set after `b`: each way to part it in two comes once. 0 after the last."""
    b = (b - 1) & s
    while b:
        part = members(b)
        if 2 * part < size or (2 * part == size and b < s ^ b):
            return b
        b = (b - 1) & s
    return 0


@kernel
def advance(frame, known, order):  # type: ignore[no-untyped-def]
    """Move a frame on to where its larger part could make what is wanted; whether there is such a way."""
    values, sizes, bounds = known
    while frame[RANK] < 4:
        frame[TURNED] += 1
        if frame[TURNED] == 2:
            frame[TURNED] = 0
            frame[PLACE] += 1
        if frame[PLACE] == sizes[frame[PART]]:
            frame[PLACE] = 0
            frame[PART] = next_part(frame[PART], frame[SET], frame[SIZE])
        if frame[PART] == 0:
            frame[PART] = next_part(frame[SET], frame[SET], frame[SIZE])
            frame[RANK] += 1
            if frame[RANK] == 4:
                break
        rest = frame[SET] ^ frame[PART]
        want = wanted(order[frame[RANK]], frame[TURNED], frame[TARGET], values[frame[PART], frame[PLACE]])
        if want == 0 or want > bounds[rest]:
            continue
        frame[WANT] = want
        if members(rest) > TABLED_NUMBERS:
            return True
        at = place_of(values[rest], sizes[rest], want)
        if at < sizes[rest] and values[rest, at] == want:
            return True
    return False


@kernel
def solve(numbers, target, order, steps):  # type: ignore[no-untyped-def]
    """Whether the numbers (int64 `[n]`, n from 2 on) make the target; if so, `steps` says how.

    Backwards: a set is parted in two in every way, the smaller part makes each of its values, and the rest
    what is then wanted; what up to three numbers make is looked up. The last operator is tried in the given
    `order` (int64 `[4]`), and so on down. A row of `steps` (int64 `[n - 1, 4]`): larger, operator, smaller,
    made; it comes after those that make its numbers.
    """
    n = len(numbers)
    known = tables(numbers)
    frames = np.zeros((n, FIELDS), np.int64)
    begin(frames[0], (1 << n) - 1, target, n)
    depth = 0
    while depth >= 0:
        if not advance(frames[depth], known, order):
            depth -= 1
            continue
        rest = frames[depth, SET] ^ frames[depth, PART]
        if members(rest) <= TABLED_NUMBERS:
            write_down(frames, depth + 1, known, order, steps)
            return True
        depth += 1
        begin(frames[depth], rest, frames[depth - 1, WANT], members(rest))
    return False


@kernel
def write_down(frames, depth, known, order, steps):  # type: ignore[no-untyped-def]
    """Fill `steps` from the end, by the first `depth` frames, which part what was found to do."""
    values = known[0]
    row = len(steps)
    opened = depth
    for k in range(len(steps)):
        if k >= depth:
            advance(frames[k], known, order)
        rest, part = frames[k, SET] ^ frames[k, PART], frames[k, PART]
        want, x = frames[k, WANT], values[frames[k, PART], frames[k, PLACE]]
        row -= 1
        steps[row] = max(x, want), order[frames[k, RANK]], min(x, want), frames[k, TARGET]
        if members(part) > 1:
            begin(frames[opened], part, x, members(part))
            opened += 1
        if members(rest) > 1 and k >= depth - 1:
            begin(frames[opened], rest, want, members(rest))
            opened += 1


@kernel
def ways(way, p, q, r, s):  # type: ignore[no-untyped-def]
    """(numerator, denominator) of p/q and r/s joined in one of six ways; over 0 where that cannot be."""
    if way == 0:
        return p * s + r * q, q * s
    if way == 1:
        return p * r, q * s
    if way == 2:
        return p * s - r * q, q * s
    if way == 3:
        return r * q - p * s, q * s
    if way == 4:
        return p * s, q * r
    return r * q, s * p


@kernel
def join_all(values, sizes, a, b, goal):  # type: ignore[no-untyped-def]
    """Join every value of the set `a` of numbers with every one of `b`, in all six ways that differ.

    `values[s]` holds, as int64 (numerator, denominator, weight), all that expressions of the numbers in `s`
    amount to; `sizes[s]` how many. With `goal` at 0 what comes of it is added to those of `a | b`; else only
    the weight of what equals the goal is returned. A sum and its turned-round twin count as one, of weight 2.
    """
    union, right = a | b, 0
    first, second, both = values[a], values[b], values[union]
    for i in range(sizes[a]):
        p, q = first[i, 0], first[i, 1]
        for j in range(sizes[b]):
            r, s = second[j, 0], second[j, 1]
            weight = first[i, 2] * second[j, 2]
            for way in range(6):
                over, under = ways(way, p, q, r, s)
                if under == 0:
                    continue
                twins = 2 * weight if way < 2 else weight
                if goal:
                    right += twins if over == goal * under else 0
                else:
                    both[sizes[union]] = over, under, twins
                    sizes[union] += 1
    return right


@kernel
def count_right(numbers, target):  # type: ignore[no-untyped-def]
    """How many expressions of all the numbers amount to the target.

    An expression is an order of the numbers, a way to put brackets, and an operator of four at each joint:
    n! · Catalan(n - 1) · 4^(n - 1) of them. Exact: fractions are pairs of int64, which stay below
    2^(n - 1) times the product of the numbers.
    """
    n = len(numbers)
    whole = (1 << n) - 1
    room = np.array([0, 1, 6, 108, 3240, 136080, 0])
    members = np.zeros(whole + 1, np.int64)
    for s in range(1, whole + 1):
        members[s] = members[s >> 1] + (s & 1)
    values = [np.empty((room[members[s]] if s < whole else 1, 3), np.int64) for s in range(whole + 1)]
    sizes = np.zeros(whole + 1, np.int64)
    for i in range(n):
        sizes[1 << i] = 1
        values[1 << i][0] = numbers[i], 1, 1
    right = np.int64(numbers[0] == target) if n == 1 else 0
    for s in range(1, whole + 1):
        a = (s - 1) & s
        while a > s - a:  # each way to part the set in two once
            right += join_all(values, sizes, a, s - a, target if s == whole else 0)
            a = (a - 1) & s
    return right
