"""Which items are replayed: all alike, or by priority (Schaul et al., 2016)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from agents.replay.sum_tree import draw_leaves, new_tree, set_leaves
from envs.kernels import kernel
from envs.rng import next_float

PRIORITY_FLOOR = 1e-6


@kernel
def draw_uniform(rng, boots, low, head, out):  # type: ignore[no-untyped-def]
    """Fill `out` with entries of `[low, head)` that are items (`boots[entry % rows]` ≥ 0), all alike likely.

    Advances row 0 of `rng`; there must be at least one item.
    """
    for k in range(len(out)):
        entry = low + np.int64(next_float(rng, 0) * (head - low))
        while boots[entry % len(boots)] < 0:
            entry = low + np.int64(next_float(rng, 0) * (head - low))
        out[k] = entry


class Uniform:
    """Every item is equally likely; every weight is 1."""

    def add(self, at: np.ndarray) -> None:
        """Rows `at` of the ring now hold items."""

    def forget(self, at: np.ndarray) -> None:
        """Rows `at` of the ring hold no items any more."""

    def draw(self, rng: np.ndarray, boots: np.ndarray, low: int, head: int, k: int) -> np.ndarray:
        """`k` entries (int64 `[k]`), with replacement."""
        out = np.empty(k, np.int64)
        draw_uniform(rng, boots, low, head, out)
        return out

    def weights(self, at: np.ndarray, items: int, beta: float) -> np.ndarray:
        """The importance weights of items at rows `at`: float32 `[k]`."""
        return np.ones(len(at), np.float32)

    def update(self, at: np.ndarray, errors: np.ndarray) -> None:
        """Learn the errors (`[k]`) that items at rows `at` had when replayed."""

    def get_state(self, at: np.ndarray) -> dict[str, Any]:
        """What is not in the storage, for the rows `at`."""
        return {}

    def set_state(self, at: np.ndarray, state: Mapping[str, Any]) -> None:
        """Put back what `get_state(at)` gave."""


class Prioritised(Uniform):
    """An item is drawn with probability P ∝ p, where p = (|δ| + ε)^α is stored; draws are stratified.

    Its weight is (N · P)^−β, divided by the largest of the batch. New items get the largest p so far.
    """

    def __init__(self, rows: int, alpha: float) -> None:
        self.tree = new_tree(rows)
        self.rows, self.alpha, self.largest = rows, alpha, 1.0

    def add(self, at: np.ndarray) -> None:
        set_leaves(self.tree, at, np.full(len(at), self.largest))

    def forget(self, at: np.ndarray) -> None:
        set_leaves(self.tree, at, np.zeros(len(at)))

    def draw(self, rng: np.ndarray, boots: np.ndarray, low: int, head: int, k: int) -> np.ndarray:
        at = np.empty(k, np.int64)
        draw_leaves(self.tree, rng, at)
        return low + (at - low) % self.rows

    def weights(self, at: np.ndarray, items: int, beta: float) -> np.ndarray:
        chance = self.tree[len(self.tree) // 2 + at] / self.tree[1]
        weights = (items * chance) ** -beta
        return (weights / weights.max()).astype(np.float32)

    def update(self, at: np.ndarray, errors: np.ndarray) -> None:
        priorities = (np.abs(errors.astype(np.float64)) + PRIORITY_FLOOR) ** self.alpha
        self.largest = max(self.largest, float(priorities.max()))
        set_leaves(self.tree, at, priorities)

    def get_state(self, at: np.ndarray) -> dict[str, Any]:
        return {"priorities": self.tree[len(self.tree) // 2 + at], "largest": self.largest}

    def set_state(self, at: np.ndarray, state: Mapping[str, Any]) -> None:
        self.largest = float(state["largest"])
        self.tree[:] = 0.0
        set_leaves(self.tree, at, np.asarray(state["priorities"]))
