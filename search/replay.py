"""Positions to learn from: a ring of states with what the search and the game said of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from agents.replay.storage import digest
from envs.board.game import Game, observe
from envs.kernels import kernel
from rollouts.storage import Segment

CHUNK = 16_384


class Positions:
    """The newest `capacity` positions, named by a count that never wraps: `i` lies at `i % ring`.

    The ring is `capacity` rounded up to whole chunks, which a checkpoint shares with others.

    Columns: `states` uint64 `[words]`, `policies` float32 `[actions]`, `values` float32 (the result for
    who was to move), `weights` float32 (of the policy's loss: 0 after a short search).
    """

    def __init__(self, game: Game, capacity: int) -> None:
        self.game, self.head = game, 0
        self.capacity, self.chunk = capacity, min(CHUNK, capacity)
        self.ring = whole(capacity, self.chunk)
        self.names: dict[int, str] = {}  # of the Segments so far, by their first position
        self.columns: dict[str, np.ndarray] = {
            "states": np.empty((self.ring, game.words), np.uint64),
            "policies": np.empty((self.ring, game.actions), np.float32),
            "values": np.empty(self.ring, np.float32),
            "weights": np.empty(self.ring, np.float32),
        }

    def __len__(self) -> int:
        return min(self.head, self.capacity)

    def add(self, **columns: np.ndarray) -> None:
        """Store positions, in place of the oldest."""
        count = len(columns["values"])
        at = (self.head + np.arange(count)) % self.ring
        for name, column in self.columns.items():
            column[at] = columns[name]
        self.head += count

    def sample(self, count: int, window: int, generator: np.random.Generator, symmetric: bool) -> Batch:
        """`count` of the newest `window` positions, each seen by a random symmetry where `symmetric`."""
        newest = min(window, len(self))
        at = (self.head - 1 - generator.integers(newest, size=count)) % self.ring
        kinds = len(self.game.cell_maps) if symmetric else 1
        turns = generator.integers(max(kinds, 1), size=count)
        planes = np.empty((count, *self.game.shape, len(self.game.planes)), bool)
        policies = np.empty((count, self.game.actions), np.float32)
        see(
            self.game.code,
            self.columns["states"],
            self.columns["policies"],
            at,
            turns,
            self.game.cell_maps,
            self.game.action_maps,
            planes.reshape(count, -1),
            policies,
        )
        return Batch(planes, policies, self.columns["values"][at], self.columns["weights"][at])

    def get_state(self) -> dict[str, Any]:
        """Everything: full chunks as Segments, whose arrays are views, right until the ring comes round."""
        chunks: list[Any] = []
        low = self.head - len(self)
        starts = range(whole(low, self.chunk), self.head, self.chunk)
        for first in starts:
            part = slice(first % self.ring, first % self.ring + min(self.chunk, self.head - first))
            arrays = {name: column[part] for name, column in self.columns.items()}
            if first + self.chunk <= self.head:
                if first not in self.names:
                    self.names[first] = f"positions-{first}-{digest(arrays)}"
                chunks.append(Segment(self.names[first], arrays))
            else:
                chunks.append({name: array.copy() for name, array in arrays.items()})
        self.names = {first: name for first, name in self.names.items() if first in starts}
        oldest = self._oldest(starts.start, low)
        return {"head": self.head, "capacity": self.capacity, "oldest": oldest, "chunks": chunks}

    def _oldest(self, first: int, low: int) -> dict[str, np.ndarray]:
        """What is left of the chunk that the ring is overwriting."""
        at = np.arange(low, min(first, self.head)) % self.ring
        return {name: column[at] for name, column in self.columns.items()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Put back what `get_state` gave (`ValueError` for another capacity)."""
        saved = int(state["capacity"])
        if whole(saved, min(CHUNK, saved)) != self.ring:
            said = f"the saved replay_capacity is {saved:,}, this one {self.capacity:,}"
            raise ValueError(f"{said}: it cannot change in a run that has begun")
        parts = [state["oldest"], *state["chunks"]]
        self.head, self.names = int(state["head"]), {}
        at = self.head - sum(len(_arrays(part)["values"]) for part in parts)
        for part in parts:
            if isinstance(part, Segment):
                self.names[at] = part.name
            arrays = _arrays(part)
            count = len(arrays["values"])
            for name, column in self.columns.items():
                column[(at + np.arange(count)) % self.ring] = arrays[name]
            at += count


def whole(count: int, chunk: int) -> int:
    """`count`, rounded up to whole chunks."""
    return -(-count // chunk) * chunk


def _arrays(part: Any) -> Mapping[str, np.ndarray]:
    return part.arrays if isinstance(part, Segment) else part


@dataclass(frozen=True)
class Batch:
    """What a gradient step learns from: `B` positions."""

    planes: np.ndarray
    """bool `[B, rows, columns, planes]`."""
    policies: np.ndarray
    """float32 `[B, actions]`."""
    values: np.ndarray
    """float32 `[B]`."""
    weights: np.ndarray
    """float32 `[B]`."""


@kernel
def see(code, states, policies, at, turns, cells, actions, planes_out, policies_out):  # type: ignore[no-untyped-def]
    """Draw the positions `at`, and their policies, each turned by its symmetry (0 leaves it as it is)."""
    width, scratch = planes_out.shape[1], np.empty(planes_out.shape[1], np.bool_)
    for i in range(len(at)):
        observe(code, states[at[i]], scratch)
        turn = turns[i]
        if turn == 0:
            planes_out[i] = scratch
            policies_out[i] = policies[at[i]]
            continue
        depth = width // cells.shape[1]
        for cell in range(cells.shape[1]):
            for plane in range(depth):
                planes_out[i, cell * depth + plane] = scratch[cells[turn, cell] * depth + plane]
        for action in range(actions.shape[1]):
            policies_out[i, action] = policies[at[i], actions[turn, action]]
