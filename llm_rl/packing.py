"""Sequences of different lengths as one batch without padding; what several begin with is there once.

All layers but attention work token by token, so they see each token once: a group's prompt costs as much as
one. Only attention sees sequences as padded rows, and the padding stands after whatever it could disturb.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch

ALIKE = 5 / 6
"""The shortest row of a sheet, as a share of its longest: more waste less in attention, in more calls."""


@dataclass(frozen=True)
class Packed:
    """`N` different tokens of `R` sequences, of which `K` tokens are to be scored. All int64."""

    tokens: torch.Tensor
    """`[N]`"""
    positions: torch.Tensor
    """`[N]`: each token's place in its sequence, from 0."""
    sheets: tuple[torch.Tensor, ...]
    """`[rows, length]` each: which of the tokens stands there. Sequences of about one length share a sheet;
    past a sequence's end there is any token, which no token before it sees."""
    home: torch.Tensor
    """`[N]`: where each token stands in the flattened sheets, one after the other."""
    predictors: torch.Tensor
    """`[K]`: the token after which a scored one comes."""
    targets: torch.Tensor
    """`[K]`: the scored tokens themselves, row by row: in the order of `wrote.nonzero()`."""

    def to(self, device: torch.device | str) -> Packed:
        """The same on another device."""
        moved = {f.name: getattr(self, f.name) for f in fields(self)}
        sheets = tuple(sheet.to(device) for sheet in moved.pop("sheets"))
        return Packed(sheets=sheets, **{name: x.to(device) for name, x in moved.items()})


def padded(sequences: Sequence[Sequence[int] | np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Sequences as int64 `[R, longest]`, zeros after their ends, and their lengths `[R]`."""
    lengths = np.array([len(s) for s in sequences], np.int64)
    tokens = np.zeros((len(sequences), int(lengths.max(initial=0))), np.int64)
    for row, sequence in zip(tokens, sequences):
        row[: len(sequence)] = sequence
    return tokens, lengths


def pack(
    tokens: np.ndarray, lengths: np.ndarray, wrote: np.ndarray | None = None, group: np.ndarray | None = None
) -> Packed:
    """Pack sequences `tokens[r, : lengths[r]]` (ints `[R, L]`); `wrote` (bool `[R, L]`) marks what to score.

    Sequences with equal `group` (ints `[R]`, −1 for none) share what they begin with. What lies past a
    sequence's end means nothing. Raises `ValueError` for an empty sequence, and where `wrote` marks a first
    token (which nothing predicts) or one past an end.
    """
    longest = int(lengths.max())
    tokens = np.asarray(tokens[:, :longest], np.int64)
    inside = np.arange(longest) < lengths[:, None]
    marked = np.zeros_like(inside) if wrote is None else np.asarray(wrote)[:, :longest] & inside
    if lengths.min() < 1:
        raise ValueError(f"sequence {int(lengths.argmin())} is empty; one token at least is needed")
    if wrote is not None and marked.sum() < np.sum(wrote):
        raise ValueError("a token past the end of its sequence is marked to be scored")
    if marked[:, 0].any():
        raise ValueError("the first token of a sequence is marked to be scored; nothing predicts it")
    leader = _leaders(group, len(lengths))
    shared = _shared(tokens, inside, leader)
    own = inside & (np.arange(longest) >= shared[:, None])
    index = np.cumsum(own).reshape(own.shape) - 1
    index = np.where(own, index, index[leader])  # a leader shares nothing, so its own are all there
    rows, places = np.nonzero(own)
    sheets, home = _sheets(index, lengths, own)
    scored = np.nonzero(marked)
    return Packed(
        tokens=torch.from_numpy(tokens[rows, places]),
        positions=torch.from_numpy(places),
        sheets=tuple(torch.from_numpy(sheet) for sheet in sheets),
        home=torch.from_numpy(home),
        predictors=torch.from_numpy(index[scored[0], scored[1] - 1]),
        targets=torch.from_numpy(tokens[scored]),
    )


def _leaders(group: np.ndarray | None, n: int) -> np.ndarray:
    """The first row of each row's group."""
    if group is None:
        return np.arange(n)
    _, first, inverse = np.unique(group, return_index=True, return_inverse=True)
    return np.where(np.asarray(group) < 0, np.arange(n), first[inverse])


def _shared(tokens: np.ndarray, inside: np.ndarray, leader: np.ndarray) -> np.ndarray:
    """How many tokens each row begins with that its leader begins with too; 0 for leaders."""
    same = (tokens == tokens[leader]) & inside & inside[leader]
    shared = np.where(same.all(1), same.shape[1], same.argmin(1))
    return np.where(leader == np.arange(len(leader)), 0, shared)


def _sheets(index: np.ndarray, lengths: np.ndarray, own: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """Rows by length, a new sheet where one is shorter than `ALIKE` of a sheet's first; each token's home."""
    order = np.argsort(-lengths, kind="stable")
    order = order[own[order].any(1)]  # a sequence that is all shared needs no row
    home = np.empty(int(own.sum()), np.int64)
    sheets, start, offset = [], 0, 0
    while start < len(order):
        longest = lengths[order[start]]
        stop = start + int(np.searchsorted(-lengths[order[start:]], -ALIKE * longest, side="right"))
        rows = order[start : max(stop, start + 1)]
        sheet, mine = index[rows, :longest], own[rows, :longest]
        home[sheet[mine]] = offset + np.flatnonzero(mine)
        sheets.append(sheet)
        start, offset = start + len(rows), offset + sheet.size
    return sheets, home
