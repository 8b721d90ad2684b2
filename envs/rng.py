"""Random numbers, one generator a row: SplitMix64 (Steele, Lea and Flood, 2014).

A generator is one uint64. Numba kernels advance one row's state with `next_float` and `next_below`;
agents advance a whole batch's with `uniform` and `normal`. Both give the same numbers from the same state.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from envs.kernels import kernel

GAMMA = np.uint64(0x9E3779B97F4A7C15)
MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
MIX_2 = np.uint64(0x94D049BB133111EB)
TO_UNIT = 2.0**-53


@kernel
def next_float(rng, i):  # type: ignore[no-untyped-def]
    """A float in [0, 1) from row `i` of `rng` (uint64 `[n]`), which is advanced."""
    rng[i] += GAMMA
    z = rng[i]
    z = (z ^ (z >> np.uint64(30))) * MIX_1
    z = (z ^ (z >> np.uint64(27))) * MIX_2
    z ^= z >> np.uint64(31)
    return np.float64(z >> np.uint64(11)) * TO_UNIT


@kernel
def next_below(rng, i, bound):  # type: ignore[no-untyped-def]
    """An int in [0, bound) from row `i` of `rng`, which is advanced."""
    return np.int64(next_float(rng, i) * bound)


def mix(z: np.ndarray) -> np.ndarray:
    """SplitMix64's output function, elementwise on uint64."""
    with np.errstate(over="ignore"):
        z = (z ^ (z >> np.uint64(30))) * MIX_1
        z = (z ^ (z >> np.uint64(27))) * MIX_2
        return z ^ (z >> np.uint64(31))


def from_seeds(seeds: Sequence[int] | np.ndarray) -> np.ndarray:
    """Generators (uint64 `[n]`) from integer seeds (any size); equal seeds give equal streams."""
    seeds = np.array([int(s) & 0xFFFFFFFFFFFFFFFF for s in seeds], dtype=np.uint64)
    with np.errstate(over="ignore"):
        return mix(mix(seeds + GAMMA) + GAMMA)


def uniform(rng: np.ndarray, k: int | None = None) -> np.ndarray:
    """Floats in [0, 1): `[n]`, or `[n, k]` where `k` is given. Advances `rng` (uint64 `[n]`) in place."""
    steps = np.arange(1, (k or 1) + 1, dtype=np.uint64)
    with np.errstate(over="ignore"):
        z = mix(rng[:, None] + steps * GAMMA)
        rng += np.uint64(k or 1) * GAMMA
    out = (z >> np.uint64(11)).astype(np.float64) * TO_UNIT
    return out if k is not None else out[:, 0]


def normal(rng: np.ndarray, k: int) -> np.ndarray:
    """Standard normal floats `[n, k]` (Box and Muller, 1958). Advances `rng` in place."""
    u = uniform(rng, 2 * k).reshape(len(rng), k, 2)
    return np.sqrt(-2.0 * np.log1p(-u[..., 0])) * np.cos(2.0 * np.pi * u[..., 1])
