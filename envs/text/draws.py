"""From numpy's generators to those of kernels."""

from __future__ import annotations

import numpy as np


def kernel_rng(rng: np.random.Generator) -> np.ndarray:
    """A generator of one row for kernels (see `envs.rng`), begun from the next number of `rng`."""
    return np.array([rng.integers(1 << 63)], np.uint64)
