"""Moves like move 37 of AlphaGo's second game: found by the search where the policy saw nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from search.mcts import Found

LIKED = 0.05
"""A prior from which on the policy likes a move."""
UNLIKELY = 0.001
"""A prior below which nobody would have expected it (move 37 itself: 1 in 10,000)."""
MOMENT = np.dtype([(name, "f4") for name in ("gain", "action", "prior", "visits", "value")])
"""What is noted of a move; see `moments`."""


def moments(found: Found) -> np.ndarray:
    """What the best moves have of move 37, `MOMENT` `[n]`.

    `gain` is by how much the best move's value is above that of every move that the policy liked (prior of
    `LIKED` at least), where the policy gave it less than `UNLIKELY`; elsewhere 0. The rest is of the best
    move: its `prior`, its share of the `visits`, its `value` for who makes it.
    """
    rows, noted = np.arange(len(found.best)), np.zeros(len(found.best), MOMENT)
    prior, value = found.prior[rows, found.best], found.q[rows, found.best]
    liked = np.where(found.prior >= LIKED, found.q, -np.inf).max(axis=1)
    visits = found.visits[rows, found.best] / np.maximum(found.visits.sum(axis=1), 1)
    gain = np.where((prior < UNLIKELY) & (visits > 0) & np.isfinite(liked), value - liked, 0.0)
    noted["gain"], noted["action"] = np.maximum(gain, 0), found.best
    noted["prior"], noted["visits"], noted["value"] = prior, visits, value
    return noted


def as_moments(found: np.ndarray) -> np.ndarray:
    """`MOMENT` `[k]` from plain float32 `[k, 5]`, as a checkpoint holds it."""
    return np.ascontiguousarray(found).view(MOMENT)[:, 0]


def as_plain(found: np.ndarray) -> np.ndarray:
    """The reverse."""
    return found[:, None].view(np.float32)
