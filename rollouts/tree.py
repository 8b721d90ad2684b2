"""Batches that may be an array, a dict of arrays, or a tuple of str: the few operations rollouts need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Tree = Any


def rows(batch: Tree) -> int:
    """How many rows a batch has."""
    return len(next(iter(batch.values()))) if isinstance(batch, Mapping) else len(batch)


def take(batch: Tree, index: np.ndarray) -> Tree:
    """The rows at `index` (ints), copied."""
    if batch is None:
        return None
    if isinstance(batch, Mapping):
        return {k: take(v, index) for k, v in batch.items()}
    if isinstance(batch, (tuple, list)):
        return tuple(batch[i] for i in index)
    return batch[index]


def copy(batch: Tree) -> Tree:
    """The same batch in arrays of its own, which can be written to."""
    return None if batch is None else take(batch, np.arange(rows(batch)))


def put(batch: Tree, index: np.ndarray, values: Tree) -> Tree:
    """`batch` with the rows at `index` replaced by `values`, in place where it is arrays; returns it."""
    if isinstance(batch, Mapping):
        for k in batch:
            put(batch[k], index, values[k])
        return batch
    if isinstance(batch, (tuple, list)):
        out = list(batch)
        for i, value in zip(index, values):
            out[i] = value
        return tuple(out)
    batch[index] = values
    return batch


def blank(like: Tree, n: int) -> Tree:
    """A zeroed (or empty-text) batch of `n` rows in the layout of `like`."""
    if isinstance(like, Mapping):
        return {k: blank(v, n) for k, v in like.items()}
    if isinstance(like, (tuple, list)):
        return ("",) * n
    if hasattr(like, "new_zeros"):
        return like.new_zeros((n, *like.shape[1:]))
    shape = (n, *like.shape[1:])
    return np.full(shape, "", object) if like.dtype == object else np.zeros(shape, like.dtype)


def scatter(values: Tree, index: np.ndarray, n: int) -> Tree:
    """A batch of `n` rows that holds `values` at `index` and blanks elsewhere."""
    return put(blank(values, n), index, values)


def stack(steps: Sequence[Tree]) -> Tree:
    """Batches of equal layout stacked along a new first (time) axis; text becomes an object array.

    Arrays whose trailing axes differ in length (tokens) are padded at the end with zeros.
    """
    head = steps[0]
    if isinstance(head, Mapping):
        return {k: stack([s[k] for s in steps]) for k in head}
    if isinstance(head, (tuple, list)):
        out = np.empty((len(steps), len(head)), dtype=object)
        out[:] = [list(s) for s in steps]
        return out
    shape = np.max([a.shape for a in steps], axis=0)
    if all(a.shape == tuple(shape) for a in steps):
        return np.stack(steps)
    out = np.zeros((len(steps), *shape), head.dtype)
    for row, array in zip(out, steps):
        row[tuple(slice(k) for k in array.shape)] = array
    return out


def concatenate(trees: Sequence[Tree], axis: int) -> Tree:
    """Trees joined along `axis`; other axes that differ in length are padded at the end with zeros."""
    head = trees[0]
    if head is None:
        return None
    if isinstance(head, Mapping):
        return {k: concatenate([t[k] for t in trees], axis) for k in head}
    if isinstance(head, (tuple, list)):
        return tuple(x for t in trees for x in t)
    shape = np.max([a.shape for a in trees], axis=0)
    padded = [_pad(a, [k if i == axis else s for i, (k, s) in enumerate(zip(a.shape, shape))]) for a in trees]
    return np.concatenate(padded, axis=axis)


def _pad(array: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    if array.shape == tuple(shape):
        return array
    fill: Any = "" if array.dtype == object else 0
    return np.pad(array, [(0, s - k) for k, s in zip(array.shape, shape)], constant_values=fill)
