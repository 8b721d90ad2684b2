"""A sum tree: weighted draws and updates in logarithmic time (Schaul et al., 2016, appendix B.2.1).

A tree is one float64 array `[2 · size]`, `size` a power of two: node 1 is the root, the children of node `i`
are `2i` and `2i + 1`, and leaf `k` is node `size + k`. Every inner node is computed as the sum of its two
children, never by adding differences: so nothing drifts, and equal leaves give equal trees.
"""

from __future__ import annotations

import numpy as np

from envs.kernels import kernel
from envs.rng import next_float


def new_tree(leaves: int) -> np.ndarray:
    """A tree of zeros with room for at least `leaves` leaves."""
    return np.zeros(2 << max(0, int(leaves) - 1).bit_length(), np.float64)


@kernel
def set_leaves(tree, leaves, values):  # type: ignore[no-untyped-def]
    """Write `values` (float64 `[k]`) at `leaves` (int64 `[k]`, the last of equals wins) and mend the sums."""
    size = len(tree) // 2
    for k in range(len(leaves)):
        node = size + leaves[k]
        tree[node] = values[k]
        node //= 2
        while node >= 1:
            tree[node] = tree[2 * node] + tree[2 * node + 1]
            node //= 2


@kernel
def draw_leaves(tree, rng, out):  # type: ignore[no-untyped-def]
    """Fill `out` (int64 `[k]`) with leaves, one from each of `k` equal strata of the total weight.

    Advances row 0 of `rng`. Rounding never leads to a leaf of weight 0; the total must be above 0.
    """
    size = len(tree) // 2
    for k in range(len(out)):
        rest = (k + next_float(rng, 0)) / len(out) * tree[1]
        node = 1
        while node < size:
            node *= 2
            if rest >= tree[node] and tree[node + 1] > 0.0:
                rest -= tree[node]
                node += 1
        out[k] = node - size
