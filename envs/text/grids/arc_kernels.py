"""Transformations of coloured grids as kernels, programs of them, and the search for what examples share.

A grid is uint8 `[SIDE, SIDE]`, of which the first `h` rows and `w` columns count; 0 is the background.
Several grids are `[k, SIDE, SIDE]`, their sizes int64 `[k, 2]`. A step is int64 `(op, a, b)`; what `a` and
`b` are, colours or directions, depends on `op`. A program is `[3, 3]`, with NONE behind its last step.
"""

from __future__ import annotations

import numpy as np
from numba import types

from envs.kernels import calling, kernel
from envs.rng import next_below, next_float

SIDE = 30
MIRROR, FLIP, TURN, TURN2, TURN3, TRANSPOSE, ANTI = range(7)
"""The symmetries of a square: left to right, top to bottom, quarter turns clockwise, over either diagonal."""
RECOLOUR, SWAP, KEEP, FALL, RAY, SHIFT, OUTLINE, FILL, BORDER, CROP, HALF, TILE, UNFOLD = range(7, 20)
SCALE, COMPLETE, BARS, CONNECT = range(20, 24)
OPS = 24
NONE = -1
SYMMETRIES = 7
UP, RIGHT, DOWN, LEFT = range(4)
STEPS = 3
MOST_STEPS = 1 + 7 * 8 + 9 * 9 + 9 * 8 // 2 + 9 * 4 + 30
"""Steps that there are at most: those of nine colours."""
NOTHING, FOUND, SEVERAL = range(3)
"""What `search` found: no program, those that give one answer, those that give several."""
DIGIT, NEW_LINE, SPACE = ord("0"), ord("\n"), ord(" ")
NOISE, BOXES, DOTS = range(3)
GRID = types.Array(types.uint8, 2, "C")
APPLY = types.UniTuple(types.int64, 2)(*[types.int64] * 3, GRID, types.int64, types.int64, GRID)
call = calling(APPLY)
"""Calls `apply` by its address, so that it is not compiled once more into everything that works with it."""


@kernel
def apply(op, a, b, x, h, w, y):  # type: ignore[no-untyped-def]
    """Write into `y` what a step makes of a grid; its size, or (0, 0) where the step does not fit."""
    if op <= ANTI:
        return _symmetry(op, x, h, w, y)
    if op <= KEEP:
        for i in range(h):
            for j in range(w):
                c = x[i, j]
                if op == RECOLOUR:
                    y[i, j] = b if c == a else c
                elif op == SWAP:
                    y[i, j] = b if c == a else (a if c == b else c)
                else:
                    y[i, j] = c if c == a else 0
        return h, w
    if op in (FALL, RAY, SHIFT):
        return _sweep(op, a, x, h, w, y)
    if op == OUTLINE:
        return _outline(a, x, h, w, y)
    if op == FILL:
        return _fill(a, x, h, w, y)
    if op == CROP:
        return _crop(x, h, w, y)
    if op == COMPLETE:
        for i in range(h):
            for j in range(w):
                other = x[i, w - 1 - j] if a == 0 else x[h - 1 - i, j]
                y[i, j] = x[i, j] if x[i, j] else other
        return h, w
    if op == BARS:
        return _bars(x, h, w, y)
    if op == CONNECT:
        return _connect(x, h, w, y)
    return _resize(op, a, x, h, w, y)


@kernel
def _copy(x, h, w, y):  # type: ignore[no-untyped-def]
    for i in range(h):
        for j in range(w):
            y[i, j] = x[i, j]


@kernel
def spell(grids, sizes, text):  # type: ignore[no-untyped-def]
    """Write grids as characters (uint8), rows apart by a new line, grids by a blank; return how many."""
    count = 0
    for k in range(len(grids)):
        for i in range(sizes[k, 0]):
            for j in range(sizes[k, 1]):
                text[count] = grids[k, i, j] + DIGIT
                count += 1
            text[count] = NEW_LINE
            count += 1
        text[count - 1] = SPACE
    return count - 1


@kernel
def _symmetry(op, x, h, w, y):  # type: ignore[no-untyped-def]
    if op in (MIRROR, FLIP, TURN2):
        for i in range(h):
            for j in range(w):
                y[i, j] = x[i if op == MIRROR else h - 1 - i, j if op == FLIP else w - 1 - j]
        return h, w
    for i in range(w):
        for j in range(h):
            row = j if op in (TRANSPOSE, TURN3) else h - 1 - j
            column = i if op in (TRANSPOSE, TURN) else w - 1 - i
            y[i, j] = x[row, column]
    return w, h


@kernel
def _sweep(op, direction, x, h, w, y):  # type: ignore[no-untyped-def]
    """Cells fall, shine over empty ones, or move by one (out on one side, in on the other)."""
    upright = direction in (UP, DOWN)
    back = direction in (DOWN, RIGHT)
    length = h if upright else w
    for k in range(w if upright else h):
        if op == FALL:
            place = 0
            for m in range(length):
                i = length - 1 - m if back else m
                c = x[i, k] if upright else x[k, i]
                if c:
                    _put(y, upright, k, length - 1 - place if back else place, c)
                    place += 1
            for m in range(place, length):
                _put(y, upright, k, length - 1 - m if back else m, 0)
        elif op == RAY:
            light = 0
            for m in range(length):
                i = m if back else length - 1 - m
                c = x[i, k] if upright else x[k, i]
                light = c if c else light
                _put(y, upright, k, i, light)
        else:
            for m in range(length):
                i = (m + 1) % length if back else (m - 1) % length
                _put(y, upright, k, i, x[m, k] if upright else x[k, m])
    return h, w


@kernel
def _put(y, upright, k, i, c):  # type: ignore[no-untyped-def]
    if upright:
        y[i, k] = c
    else:
        y[k, i] = c


@kernel
def _outline(colour, x, h, w, y):  # type: ignore[no-untyped-def]
    """Empty cells with a neighbour, also at a corner, that is not empty."""
    for i in range(h):
        for j in range(w):
            y[i, j] = x[i, j]
            if x[i, j]:
                continue
            for m in range(max(0, i - 1), min(h, i + 2)):
                for n in range(max(0, j - 1), min(w, j + 2)):
                    if x[m, n]:
                        y[i, j] = colour
    return h, w


@kernel
def _fill(colour, x, h, w, y):  # type: ignore[no-untyped-def]
    """Empty cells from which no way over empty cells, side by side, leads to the edge."""
    outside = np.uint8(255)
    stack, top = np.empty(SIDE * SIDE, np.int64), 0
    for i in range(h):
        for j in range(w):
            y[i, j] = x[i, j]
            if x[i, j] == 0 and (i == 0 or j == 0 or i == h - 1 or j == w - 1):
                y[i, j] = outside
                stack[top] = i * SIDE + j
                top += 1
    while top:
        top -= 1
        i, j = stack[top] // SIDE, stack[top] % SIDE
        for m, n in ((i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)):
            if 0 <= m < h and 0 <= n < w and y[m, n] == 0:
                y[m, n] = outside
                stack[top] = m * SIDE + n
                top += 1
    for i in range(h):
        for j in range(w):
            if y[i, j] == 0:
                y[i, j] = colour
            elif y[i, j] == outside:
                y[i, j] = 0
    return h, w


@kernel
def _crop(x, h, w, y):  # type: ignore[no-untyped-def]
    """The smallest rectangle that holds all that is not empty."""
    top, bottom, left, right = h, -1, w, -1
    for i in range(h):
        for j in range(w):
            if x[i, j]:
                top, bottom = min(top, i), max(bottom, i)
                left, right = min(left, j), max(right, j)
    if bottom < 0:
        return 0, 0
    for i in range(top, bottom + 1):
        for j in range(left, right + 1):
            y[i - top, j - left] = x[i, j]
    return bottom - top + 1, right - left + 1


@kernel
def _bars(x, h, w, y):  # type: ignore[no-untyped-def]
    """A row for each colour, in ascending order, as long as the colour has cells."""
    counts = np.zeros(10, np.int64)
    for i in range(h):
        for j in range(w):
            counts[x[i, j]] += 1
    longest = rows = 0
    for c in range(1, 10):
        longest = max(longest, counts[c])
    if longest == 0 or longest > SIDE:
        return 0, 0
    for c in range(1, 10):
        if counts[c]:
            for j in range(longest):
                y[rows, j] = c if j < counts[c] else 0
            rows += 1
    return rows, longest


@kernel
def _connect(x, h, w, y):  # type: ignore[no-untyped-def]
    """Empty cells between two of one colour, in a row or else in a column, with nothing in between."""
    _copy(x, h, w, y)
    for j in range(w):
        last = -1
        for i in range(h):
            if x[i, j]:
                if last >= 0 and x[last, j] == x[i, j]:
                    for m in range(last + 1, i):
                        y[m, j] = x[i, j]
                last = i
    for i in range(h):
        last = -1
        for j in range(w):
            if x[i, j]:
                if last >= 0 and x[i, last] == x[i, j]:
                    for m in range(last + 1, j):
                        y[i, m] = x[i, j]
                last = j
    return h, w


@kernel
def _resize(op, a, x, h, w, y):  # type: ignore[no-untyped-def]
    """A border, a half, copies, or every cell larger."""
    wide, tall = w * 2, h * 2
    if op == BORDER:
        wide, tall = w + 2, h + 2
    elif op == HALF:
        wide, tall = (w // 2, h) if a == 0 else (w, h // 2)
    elif op in (TILE, UNFOLD) and a != 2:
        wide, tall = (2 * w, h) if a == 0 else (w, 2 * h)
    if not (0 < wide <= SIDE and 0 < tall <= SIDE):
        return 0, 0
    for i in range(tall):
        for j in range(wide):
            if op == BORDER:
                inside = 0 < i <= h and 0 < j <= w
                y[i, j] = x[i - 1, j - 1] if inside else a
            elif op == SCALE:
                y[i, j] = x[i // 2, j // 2]
            elif op == UNFOLD:
                y[i, j] = x[i if i < h else 2 * h - 1 - i, j if j < w else 2 * w - 1 - j]
            else:
                y[i, j] = x[i % h, j % w]
    return tall, wide


# -- programs ---------------------------------------------------------------------------------------------


@kernel
def _put_step(program, k, op, a, b):  # type: ignore[no-untyped-def]
    program[k, 0], program[k, 1], program[k, 2] = op, a, b


@kernel
def steps_of(colours, table):  # type: ignore[no-untyped-def]
    """Write every step there is in some colours (a mask, bit c for c) into `table` `[n, 3]`; return n."""
    count = 0
    for op in range(OPS):
        kinds = 1
        if op in (FALL, RAY, SHIFT):
            kinds = 4
        elif op == TILE:
            kinds = 3
        elif op in (HALF, UNFOLD, COMPLETE):
            kinds = 2
        coloured = op in (RECOLOUR, SWAP, KEEP, OUTLINE, FILL, BORDER)
        for a in range(1 if coloured else 0, 10 if coloured else kinds):
            if coloured and not colours >> a & 1:
                continue
            first, last = 0, 1
            if op in (RECOLOUR, SWAP):
                first, last = (0 if op == RECOLOUR else a + 1), 10
            for b in range(first, last):
                if last == 10 and (b == a or (b and not colours >> b & 1)):
                    continue
                _put_step(table, count, op, a, b)
                count += 1
    return count


@kernel
def run(at, program, x, h, w, y):  # type: ignore[no-untyped-def]
    """Size and grid that a program makes of one, (0, 0) where a step does not fit; `apply` is `at` there."""
    now = x
    for k in range(STEPS):
        if program[k, 0] == NONE:
            break
        y = np.empty((SIDE, SIDE), np.uint8) if k else y
        h, w = call(at, (program[k, 0], program[k, 1], program[k, 2], now, h, w, y))
        if h == 0:
            break
        now = y
    return h, w, now


@kernel
def same(x, h, w, y, size):  # type: ignore[no-untyped-def]
    """Whether two grids are equal."""
    if h != size[0] or w != size[1]:
        return False
    for i in range(h):
        for j in range(w):
            if x[i, j] != y[i, j]:
                return False
    return True


@kernel
def palette(inputs, in_sizes, outputs, out_sizes):  # type: ignore[no-untyped-def]
    """The colours of all grids as a mask."""
    colours = 0
    for k in range(len(inputs)):
        for i in range(in_sizes[k, 0]):
            for j in range(in_sizes[k, 1]):
                colours |= 1 << inputs[k, i, j]
    for k in range(len(outputs)):
        for i in range(out_sizes[k, 0]):
            for j in range(out_sizes[k, 1]):
                colours |= 1 << outputs[k, i, j]
    return colours


@kernel
def search(at, inputs, in_sizes, outputs, out_sizes, depth, program, answer, size):  # type: ignore[no-untyped-def]
    """Look for all programs of `depth` steps that explain the examples; NOTHING, FOUND or SEVERAL.

    The last of `inputs` is the test's. The first program found is written, with its `answer` and `size`. A
    third step is one of the seven symmetries.
    """
    table = np.empty((MOST_STEPS, 3), np.int64)
    count = steps_of(palette(inputs, in_sizes, outputs, out_sizes), table)
    one, two = np.empty((SIDE, SIDE), np.uint8), np.empty((SIDE, SIDE), np.uint8)
    targets, sizes = np.empty((SYMMETRIES, SIDE, SIDE), np.uint8), np.empty((SYMMETRIES, 2), np.int64)
    turns = 1
    if depth == 3:
        turns = SYMMETRIES
        for g in range(turns):  # what two steps have to make, so that the third makes the output of it
            back = TURN3 if g == TURN else TURN if g == TURN3 else g
            h, w = call(at, (back, 0, 0, outputs[0], out_sizes[0, 0], out_sizes[0, 1], targets[g]))
            sizes[g, 0], sizes[g, 1] = h, w
    else:
        sizes[0, 0], sizes[0, 1] = out_sizes[0, 0], out_sizes[0, 1]
        _copy(outputs[0], sizes[0, 0], sizes[0, 1], targets[0])
    trial, found = np.full((STEPS, 3), NONE), NOTHING
    for p in range(count):
        _put_step(trial, 0, table[p, 0], table[p, 1], table[p, 2])
        h1, w1 = call(
            at, (trial[0, 0], trial[0, 1], trial[0, 2], inputs[0], in_sizes[0, 0], in_sizes[0, 1], one)
        )
        if h1 == 0:
            continue
        for q in range(count if depth > 1 else 1):
            now, h, w = one, h1, w1
            if depth > 1:
                _put_step(trial, 1, table[q, 0], table[q, 1], table[q, 2])
                now = two
                h, w = call(at, (trial[1, 0], trial[1, 1], trial[1, 2], one, h1, w1, two))
            for g in range(turns):
                if h == 0 or not same(now, h, w, targets[g], sizes[g]):
                    continue
                if depth == 3:
                    _put_step(trial, 2, g, 0, 0)
                found = _try(at, trial, inputs, in_sizes, outputs, out_sizes, program, answer, size, found)
                if found == SEVERAL:
                    return found
    return found


@kernel
def _try(at, trial, inputs, in_sizes, outputs, out_sizes, program, answer, size, found):  # type: ignore[no-untyped-def]
    """What is found after one more program, which explains the first example at least."""
    scratch = np.empty((SIDE, SIDE), np.uint8)
    for k in range(len(inputs)):
        h, w, now = run(at, trial, inputs[k], in_sizes[k, 0], in_sizes[k, 1], scratch)
        if h == 0 or (k < len(outputs) and not same(now, h, w, outputs[k], out_sizes[k])):
            return found
    if found == NOTHING:
        for k in range(STEPS):
            _put_step(program, k, trial[k, 0], trial[k, 1], trial[k, 2])
        _copy(now, h, w, answer)
        size[0], size[1] = h, w
        return FOUND
    return FOUND if same(now, h, w, answer, size) else SEVERAL


# -- problems ---------------------------------------------------------------------------------------------


@kernel
def draw(at, rng, steps, least, most, inputs, in_sizes, outputs, out_sizes, answer, size):  # type: ignore[no-untyped-def]
    """Write a problem whose simplest programs have so many `steps` and agree on the answer.

    Inputs have from `least` to `most` rows and columns each, and so have outputs, or a few more (`2 * most`).
    """
    table, program = np.empty((MOST_STEPS, 3), np.int64), np.empty((STEPS, 3), np.int64)
    found, found_size = np.empty((SIDE, SIDE), np.uint8), np.empty(2, np.int64)
    colours = np.empty(4, np.int64)
    while True:
        mask = 0
        kinds = 2 + next_below(rng, 0, 3)
        for k in range(kinds):
            colours[k] = 1 + next_below(rng, 0, 9)
            mask |= 1 << colours[k]
        count = steps_of(mask, table)
        for k in range(STEPS):
            op, a, b = NONE, 0, 0
            if k < min(steps, 2):
                op, a, b = _some_step(rng, table, count)
            elif k < steps:
                op = next_below(rng, 0, SYMMETRIES)
            _put_step(program, k, op, a, b)
        style = next_below(rng, 0, 3)
        _draw_sizes(rng, least, most, in_sizes)
        for k in range(len(inputs)):
            _paint(rng, style, colours, kinds, inputs[k], in_sizes[k, 0], in_sizes[k, 1])
        if not _worked(at, program, inputs, in_sizes, outputs, out_sizes, answer, size, 2 * most):
            continue
        for depth in range(1, steps + 1):
            kind = search(at, inputs, in_sizes, outputs, out_sizes, depth, program, found, found_size)
            if kind != NOTHING:
                break
        if kind == FOUND and depth == steps and same(found, found_size[0], found_size[1], answer, size):
            return


@kernel
def _draw_sizes(rng, least, most, sizes):  # type: ignore[no-untyped-def]
    """Rows and columns; the first example is the smallest, so that most programs soon fail."""
    first, last = 0, len(sizes) - 1
    for k in range(last + 1):
        for axis in range(2):
            sizes[k, axis] = least + next_below(rng, 0, most - least + 1)
        if k < last and sizes[k, 0] * sizes[k, 1] < sizes[first, 0] * sizes[first, 1]:
            first = k
    for axis in range(2):
        sizes[0, axis], sizes[first, axis] = sizes[first, axis], sizes[0, axis]


@kernel
def _some_step(rng, table, count):  # type: ignore[no-untyped-def]
    """A step of the table, its kind drawn first."""
    while True:
        op, start, many = next_below(rng, 0, OPS), 0, 0
        for k in range(count):
            if table[k, 0] == op:
                start = k if many == 0 else start
                many += 1
        if many:
            k = start + next_below(rng, 0, many)
            return table[k, 0], table[k, 1], table[k, 2]


@kernel
def _paint(rng, style, colours, kinds, x, h, w):  # type: ignore[no-untyped-def]
    """Cells at random, hollow boxes, or a few dots."""
    _box(x, 0, 0, h, w, 0)
    if style == NOISE:
        for i in range(h):
            for j in range(w):
                if next_float(rng, 0) < 0.5:
                    x[i, j] = colours[next_below(rng, 0, kinds)]
    elif style == BOXES:
        for _ in range(1 + next_below(rng, 0, 1 + (h * w) // 25)):
            high, wide = 2 + next_below(rng, 0, min(h, 5) - 1), 2 + next_below(rng, 0, min(w, 5) - 1)
            top, left = next_below(rng, 0, h - high + 1), next_below(rng, 0, w - wide + 1)
            _box(x, top, left, high, wide, colours[next_below(rng, 0, kinds)])
            _box(x, top + 1, left + 1, high - 2, wide - 2, 0)
    else:
        for _ in range(2 + next_below(rng, 0, 1 + (h * w) // 8)):
            x[next_below(rng, 0, h), next_below(rng, 0, w)] = colours[next_below(rng, 0, kinds)]


@kernel
def _box(x, top, left, high, wide, colour):  # type: ignore[no-untyped-def]
    for i in range(top, top + high):
        for j in range(left, left + wide):
            x[i, j] = colour


@kernel
def _worked(at, program, inputs, in_sizes, outputs, out_sizes, answer, size, most):  # type: ignore[no-untyped-def]
    """Write what a program makes of the inputs; whether that is worth a problem.

    All must be of a good size, nothing left as it was, and the test's input none of the examples'.
    """
    scratch, last = np.empty((SIDE, SIDE), np.uint8), len(inputs) - 1
    for k in range(len(inputs)):
        if k < last and same(inputs[last], in_sizes[last, 0], in_sizes[last, 1], inputs[k], in_sizes[k]):
            return False
        h, w, now = run(at, program, inputs[k], in_sizes[k, 0], in_sizes[k, 1], scratch)
        if h < 2 or h > most or w > most or same(now, h, w, inputs[k], in_sizes[k]):
            return False
        empty = True
        for i in range(h):
            for j in range(w):
                empty = empty and now[i, j] == 0
        if empty:
            return False
        if k == last:
            _copy(now, h, w, answer)
            size[0], size[1] = h, w
        else:
            _copy(now, h, w, outputs[k])
            out_sizes[k, 0], out_sizes[k, 1] = h, w
    return True
