"""Root noise: so that self-play also tries what the policy would not."""

from __future__ import annotations

import math

import numpy as np

from envs.kernels import kernel
from envs.rng import next_float
from search.tree import ROOT


@kernel
def mix_dirichlet(trees, rng, noisy, share, total):  # type: ignore[no-untyped-def]
    """Mix Dirichlet(total / moves) noise over the legal moves into the priors of the `noisy` roots.

    `trees` are `search.tree.Trees` whose roots have been evaluated; `noisy` is bool `[B]`; `share` in [0, 1].
    """
    for b in range(len(noisy)):
        count, edges = trees.nodes[b, ROOT].count, trees.edges[b, ROOT]
        if not noisy[b] or count == 0:
            continue
        drawn, sum_drawn = np.empty(count), 0.0
        for k in range(count):
            drawn[k] = next_gamma(rng, b, total / count)
            sum_drawn += drawn[k]
        for k in range(count):
            edges[k].prior = (1 - share) * edges[k].prior + share * drawn[k] / sum_drawn


@kernel
def next_gamma(rng, b, shape):  # type: ignore[no-untyped-def]
    """A draw of Gamma(shape, 1) (Marsaglia and Tsang, 2000)."""
    boost = 1.0
    if shape < 1.0:
        boost = (1.0 - next_float(rng, b)) ** (1.0 / shape)
        shape += 1.0
    d = shape - 1.0 / 3.0
    c = 1.0 / math.sqrt(9.0 * d)
    while True:
        radius = math.sqrt(-2.0 * math.log(1.0 - next_float(rng, b)))
        x = radius * math.cos(2.0 * math.pi * next_float(rng, b))
        v = (1.0 + c * x) ** 3
        if v > 0 and math.log(1.0 - next_float(rng, b)) < 0.5 * x * x + d - d * v + d * math.log(v):
            return max(boost * d * v, 1e-300)
