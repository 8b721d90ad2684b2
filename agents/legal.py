"""What is legal: action masks, and legal choices by chance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def legal_mask(mask: Any, choices: Sequence[int]) -> np.ndarray | None:
    """An action mask as bool `[n, sum(choices)]`, or None where there is none.

    Raises `ValueError` where a row leaves one of the `choices` nothing legal.
    """
    if mask is None:
        return None
    mask = np.asarray(mask, bool)
    some = np.logical_or.reduceat(mask, np.cumsum([0, *choices[:-1]]), axis=-1)
    if not some.all():
        row, choice = np.argwhere(~some)[0]
        raise ValueError(f"row {row} has no legal action" + f" in choice {choice}" * (len(choices) > 1))
    return mask


def random_choices(u: np.ndarray, choices: Sequence[int], mask: np.ndarray | None) -> np.ndarray:
    """A number below each of `choices`, legal by `mask` (see `legal_mask`), int64 `[n, len(choices)]`.

    Picked by `u` (floats `[n, len(choices)]` in [0, 1)), all alike likely.
    """
    if mask is None:
        return (u * choices).astype(np.int64)
    picks = []
    for i, legal in enumerate(np.split(mask, np.cumsum(choices)[:-1], axis=-1)):
        upto = legal.cumsum(-1)
        picks.append((upto > np.floor(u[:, i] * upto[:, -1])[:, None]).argmax(-1))
    return np.stack(picks, axis=-1)
