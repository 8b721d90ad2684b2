"""Which values trials have: all of a grid, or draws."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np

from move37.sweep.config import GRID, Range, Sweep

DIGITS = 4
"""Significant ones of a draw: more make no difference to learning, and do to a table."""


def values_of(sweep: Sweep) -> list[dict[str, Any]]:
    """The values by key of each trial. Draws go by the seed and the trial's number: more trials add some."""
    config = sweep.config
    if config.search.kind == GRID:
        return [
            dict(zip(config.over, chosen)) for chosen in product(*(r.extremes for r in config.over.values()))
        ]
    return [_draw(sweep, number) for number in range(config.trials or 0)]


def _draw(sweep: Sweep, number: int) -> dict[str, Any]:
    rng = np.random.default_rng([sweep.config.seed, number])
    return {key: _one(given, key in sweep.whole, rng) for key, given in sweep.config.over.items()}


def _one(given: Range, whole: bool, rng: np.random.Generator) -> Any:
    if given.ends is None:
        return given.extremes[int(rng.integers(len(given.extremes)))]
    low, high = given.ends
    if given.log:
        low, high = (
            (low - 0.5, high + 0.5) if whole else (low, high)
        )  # as much room for the ends as for others
        return tidy(math.exp(rng.uniform(math.log(low), math.log(high))), given, whole)
    return int(rng.integers(int(low), int(high) + 1)) if whole else tidy(rng.uniform(low, high), given, whole)


def tidy(value: float, given: Range, whole: bool) -> float | int:
    """A number within its range, whole or of few digits."""
    low, high = given.ends or (value, value)
    rounded = round(value) if whole else float(f"{value:.{DIGITS}g}")
    return min(max(rounded, int(low) if whole else low), int(high) if whole else high)


def within(values: Mapping[str, Any], sweep: Sweep) -> dict[str, Any]:
    """Values that were changed, back within their ranges."""
    ranges = sweep.config.over
    return {
        key: tidy(value, ranges[key], key in sweep.whole) if ranges[key].ends else value
        for key, value in values.items()
    }
