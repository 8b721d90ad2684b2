"""What a decoder does between its matrix products, a row at a time: norms, and attention over its caches.

Numbers are float32, or bfloat16 seen as uint16 (numpy has no such type): widened as they are read, and
rounded to the nearest as they are written. All sums are in float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

from envs.kernels import kernel

FAST = {"reassoc", "contract", "arcp", "nsz"}
"""Sums may be taken in any order, which is what makes them vectors; infinities and NaN stay what they are."""
LOWEST = np.float32(-3.4e38)


def _as_float(typing: Any, bits: Any) -> Any:
    """The float32 that has these 32 bits."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.bitcast(values[0], ir.FloatType())

    return types.float32(types.uint32), generate


def _as_bits(typing: Any, value: Any) -> Any:
    """The 32 bits of a float32."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.bitcast(values[0], ir.IntType(32))

    return types.uint32(types.float32), generate


as_float: Any = intrinsic(_as_float)
as_bits: Any = intrinsic(_as_bits)


def widen(x):  # type: ignore[no-untyped-def]
    """A float32 from what an array holds."""


def narrow(x, like):  # type: ignore[no-untyped-def]
    """A float32 as an array of `like` holds it; the nearest, ties to even."""


@overload(widen, inline="always")
def _widen(x):  # type: ignore[no-untyped-def]
    if isinstance(x, types.Integer):
        return lambda x: as_float(np.uint32(x) << np.uint32(16))
    return lambda x: x


@overload(narrow, inline="always")
def _narrow(x, like):  # type: ignore[no-untyped-def]
    def nearest(x, like):  # type: ignore[no-untyped-def]
        bits = as_bits(x)
        odd = (bits >> np.uint32(16)) & np.uint32(1)
        return np.uint16((bits + np.uint32(0x7FFF) + odd) >> np.uint32(16))

    return nearest if isinstance(like.dtype, types.Integer) else lambda x, like: x


@kernel(fastmath=FAST)
def add_and_norm(stream, change, out, eps):  # type: ignore[no-untyped-def]
    """`stream += change`, and each row of it over its root mean square into `out`.

    All are `[n, width]`; `change` may be empty.
    """
    n, width = stream.shape
    adding = len(change) > 0
    for i in range(n):
        total = np.float32(0)
        for j in range(width):
            x = stream[i, j]
            if adding:
                x += widen(change[i, j])
                stream[i, j] = x
            total += x * x
        scale = np.float32(1) / np.sqrt(total / np.float32(width) + np.float32(eps))
        for j in range(width):
            out[i, j] = narrow(stream[i, j] * scale, out)


@kernel(fastmath=FAST)
def attend(qkv, rope, prompts, own, where, gains, eps, out):  # type: ignore[no-untyped-def]
    """Each row's newest token looks at all before it and itself: `out[:n]`, for the `n` rows of `where`.

    `qkv` is `[n or more, (heads + 2 · groups) · dim]`. A row of `where` is `(prompt, its length, slot, length
    with the new token)`: it sees the first keys and values of `prompts`, then those of `own`, both `[2, rows,
    groups, length, dim]`; the new token's are written there. `rope` is `[positions, 2, dim / 2]`, cosines and
    sines; `gains` are those of the norms of queries and keys, `[2, dim]`, or `[2, 0]` without such norms.
    """
    groups, dim = own.shape[2], own.shape[4]
    heads = out.shape[1] // dim
    query, mix, scores = (
        np.empty(dim, np.float32),
        np.empty(dim, np.float32),
        np.empty(prompts.shape[3] + own.shape[3], np.float32),
    )
    scale = np.float32(1.0 / np.sqrt(dim))
    for i in range(len(where)):
        prompt, before, slot, length = where[i, 0], where[i, 1], where[i, 2], where[i, 3]
        angles, new = rope[before + length - 1], length - 1
        for g in range(groups):
            key = own[0, slot, g, new]
            turn(qkv[i], (heads + g) * dim, angles, gains[1], eps, query)
            for j in range(dim):
                key[j] = narrow(query[j], own)
                own[1, slot, g, new, j] = qkv[i, (heads + groups + g) * dim + j]
        for h in range(heads):
            g = h // (heads // groups)
            turn(qkv[i], h * dim, angles, gains[0], eps, query)
            for j in range(dim):
                query[j] *= scale
            top = score(query, prompts[0, prompt, g], before, scores, 0)
            top = max(top, score(query, own[0, slot, g], length, scores, before))
            total = soften(scores, before + length, top)
            mix[:] = np.float32(0)
            add_weighted(prompts[1, prompt, g], before, scores, 0, mix)
            add_weighted(own[1, slot, g], length, scores, before, mix)
            for j in range(dim):
                out[i, h * dim + j] = narrow(mix[j] / total, out)


@kernel(fastmath=FAST, inline="always")
def turn(row, start, angles, gain, eps, out):  # type: ignore[no-untyped-def]
    """The head at `start` of a row, normed if it has a `gain`, turned by its position's angles."""
    dim, half = len(out), len(out) // 2
    for j in range(dim):
        out[j] = widen(row[start + j])
    if len(gain):
        total = np.float32(0)
        for j in range(dim):
            total += out[j] * out[j]
        scale = np.float32(1) / np.sqrt(total / np.float32(dim) + np.float32(eps))
        for j in range(dim):
            out[j] *= scale * gain[j]
    for j in range(half):
        a, b, cos, sin = out[j], out[half + j], angles[0, j], angles[1, j]
        out[j] = a * cos - b * sin
        out[half + j] = b * cos + a * sin


@kernel(fastmath=FAST, inline="always")
def score(query, keys, length, scores, start):  # type: ignore[no-untyped-def]
    """The products of a query with the first keys, into `scores[start:]`; returns the largest."""
    top = LOWEST
    for t in range(length):
        x = np.float32(0)
        for j in range(len(query)):
            x += query[j] * widen(keys[t, j])
        scores[start + t] = x
        top = max(top, x)
    return top


@kernel(fastmath=FAST, inline="always")
def soften(scores, length, top):  # type: ignore[no-untyped-def]
    """The exponentials of the first scores, less `top`, in their place; returns their sum.

    2^x is 2^⌊x⌋ made of bits, times a polynomial of the rest of x (to 2 parts in 10 million): unlike a call
    of the mathematical library, this becomes vectors.
    """
    total = np.float32(0)
    for t in range(length):
        x = max((scores[t] - top) * np.float32(1.44269504), np.float32(-126))
        whole = np.floor(x)
        x -= whole
        y = np.float32(1.8775767e-3)
        y = y * x + np.float32(8.9893397e-3)
        y = y * x + np.float32(5.5826318e-2)
        y = y * x + np.float32(2.4015361e-1)
        y = y * x + np.float32(6.9315308e-1)
        y = y * x + np.float32(9.9999994e-1)
        y *= as_float(np.uint32(np.int32(whole) + np.int32(127)) << np.uint32(23))
        scores[t] = y
        total += y
    return total


@kernel(fastmath=FAST, inline="always")
def add_weighted(values, length, weights, start, out):  # type: ignore[no-untyped-def]
    """`out += weights[start:] · values`, over the first values; `out` is gone through for four at a time."""
    fours = length // 4 * 4
    for t in range(0, fours, 4):
        a, b, c, d = (
            weights[start + t],
            weights[start + t + 1],
            weights[start + t + 2],
            weights[start + t + 3],
        )
        for j in range(len(out)):
            pair = a * widen(values[t, j]) + b * widen(values[t + 1, j])
            out[j] += pair + (c * widen(values[t + 2, j]) + d * widen(values[t + 3, j]))
    for t in range(fours, length):
        weight = weights[start + t]
        for j in range(len(out)):
            out[j] += weight * widen(values[t, j])
