"""Writes down what happens, row by row, and keeps account of every episode."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rollouts import tree
from rollouts.rollout import Rollout


@dataclass
class Row:
    """What one decision of every slot led to. Arrays are `[n]` unless said otherwise."""

    seat_rewards: np.ndarray
    """float32 `[n, seats]`: everyone's rewards."""
    seat: np.ndarray
    """int: the seat that decided."""
    terminated: np.ndarray
    truncated: np.ndarray
    sign: np.ndarray
    final_obs: Any
    """A whole batch; only rows with an end mean anything. None where nothing ended."""
    parts: dict[str, np.ndarray]

    @property
    def rewards(self) -> np.ndarray:
        """float32: from the view of the seat that decided."""
        return self.seat_rewards[np.arange(len(self.seat)), self.seat]


class Accounts:
    """Running returns `[n, seats]`, length and parts of the episode in each slot: our own, raw and exact."""

    def __init__(self, n: int, seats: int, parts: tuple[str, ...]):
        self.returns, self.lengths = np.zeros((n, seats)), np.zeros(n, np.int64)
        self.parts = {name: np.zeros(n, np.float64) for name in parts}

    def add(self, row: Row, valid: np.ndarray) -> None:
        """Count one row, in which nothing happened outside the `valid` slots."""
        self.returns += row.seat_rewards
        self.lengths += valid
        for name, total in self.parts.items():
            total += row.parts[name]

    def close(self, slots: np.ndarray, seat: np.ndarray) -> dict[str, np.ndarray]:
        """The account of the episodes that ended in `slots`, which start anew; `return` is that of `seat`."""
        out = {"return": self.returns[slots, seat], "length": self.lengths[slots]}
        if self.returns.shape[1] > 1:
            out["seat_returns"] = self.returns[slots]
        out |= {name: total[slots] for name, total in self.parts.items()}
        for array in (self.returns, self.lengths, *self.parts.values()):
            array[slots] = 0
        return out

    def get_state(self) -> dict[str, Any]:
        return {"returns": self.returns.copy(), "lengths": self.lengths.copy(), "parts": _copies(self.parts)}

    def set_state(self, state: Mapping[str, Any]) -> None:
        self.returns = state["returns"].reshape(self.returns.shape).copy()  # one seat's were once kept flat
        self.lengths = state["lengths"].copy()
        self.parts = _copies(state["parts"])


class Recorder:
    """Columns of a Rollout in the making: one entry a row."""

    def __init__(self, keep_obs: bool):
        self.keep_obs = keep_obs
        self.columns: dict[str, list[Any]] = {}
        self.parts: dict[str, list[np.ndarray]] = {}
        self.fields: dict[str, list[np.ndarray]] = {}
        self.final_obs: list[Any] = []
        self.final_at: list[np.ndarray] = []
        self.ended: list[dict[str, np.ndarray]] = []
        self.length = 0

    def before(self, obs: Any, **columns: np.ndarray) -> None:
        """What stood before the decision."""
        if self.keep_obs:
            columns["obs"] = obs
        for name, column in columns.items():
            self.columns.setdefault(name, []).append(column)

    def after(self, actions: Any, fields: Mapping[str, np.ndarray], row: Row) -> None:
        """What was decided and what came of it."""
        for name, value in (
            ("actions", actions),
            ("env_rewards", row.rewards),
            ("terminated", row.terminated),
            ("truncated", row.truncated),
            ("sign", row.sign),
        ):
            self.columns.setdefault(name, []).append(value)
        for kept, values in ((self.parts, row.parts), (self.fields, fields)):
            for name, value in values.items():
                kept.setdefault(name, []).append(value)
        if row.final_obs is not None and self.keep_obs:
            slots = np.flatnonzero(row.terminated | row.truncated)
            self.final_obs.append(tree.take(row.final_obs, slots))
            self.final_at.append(np.stack([np.full(len(slots), self.length), slots], axis=1))
        self.length += 1

    def close(self, account: dict[str, np.ndarray]) -> None:
        """Note the accounts of episodes (or of none) that ended in the row just written."""
        self.ended.append(account | {"time": np.full(len(account["slot"]), self.length - 1)})

    def finish(self, last_obs: Any, memory: Any, version: np.ndarray) -> Rollout:
        """The Rollout of the rows so far, after `close` was called once at least."""
        columns = {name: tree.stack(column) for name, column in self.columns.items() if name != "obs"}
        obs = tree.stack([*self.columns["obs"], last_obs]) if self.keep_obs else None
        final_at = np.concatenate(self.final_at) if self.final_at else np.zeros((0, 2), np.int64)
        if self.final_obs:
            final_obs = tree.concatenate(self.final_obs, axis=0)
        else:
            final_obs = tree.blank(last_obs, 0) if self.keep_obs else None
        return Rollout(
            obs=obs,
            final_obs=final_obs,
            final_at=final_at,
            memory=memory,
            version=version,
            newest=int(version.max(initial=0)),
            parts={name: np.stack(column) for name, column in self.parts.items()},
            fields={name: tree.stack(column) for name, column in self.fields.items()},
            ended=tree.concatenate(self.ended, axis=0),
            **columns,
        )


def _copies(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: array.copy() for name, array in arrays.items()}
