"""Where observations lie: a ring that stores every frame once, and rebuilds stacks when asked for them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces

from agents.networks import seen_space
from rollouts.storage import Segment

CHUNK = 8192


def stack_depth(space: spaces.Space) -> int:
    """How many frames an observation stacks on its first axis: k for uint8 pictures `[k, H, W]`, else 1."""
    shape = space.shape or ()
    pictures = len(shape) == 3 and space.dtype == np.uint8 and shape[0] < min(shape[1:])
    return shape[0] if pictures else 1


class FrameRing:
    """A ring of entries, named by a count that never wraps: entry `i` lies at row `i % rows`.

    An entry is what was seen once: a decision's observation, or an episode's last. Where observations stack k
    frames, only the newest is stored, with a link to the entry before, as long as the older frames are
    exactly that entry's; otherwise (an episode's start) the older ones are stored as entries too. So a stack
    that is read back is the one that was seen, whatever the environment pads with.

    The ring forgets a whole chunk at a time, and holds about `capacity` entries once full. All entries in
    `[low, head)` can be read.
    """

    def __init__(self, observation_space: spaces.Space, capacity: int) -> None:
        space = seen_space(observation_space)
        self.depth = stack_depth(space)
        self.chunk = min(CHUNK, max(1, -(-capacity // 8)))
        self.rows = (-(-capacity // self.chunk) + 1) * self.chunk
        self.head = self.tail = self.span = 0
        self.names: dict[int, str] = {}  # of the Segments so far, by their first entry
        self.columns: dict[str, np.ndarray] = {
            "frames": np.empty((self.rows, *frame_shape(space)), space.dtype),
            "actions": np.zeros(self.rows, np.int32),
            "returns": np.zeros(self.rows, np.float32),
            "discounts": np.zeros(self.rows, np.float32),
            "boots": np.full(self.rows, -1, np.int64),  # −1: this entry is no item that can be replayed
        }
        if self.depth > 1:
            self.columns["before"] = np.full(self.rows, -1, np.int64)
        if isinstance(observation_space, spaces.Dict) and "action_mask" in observation_space.spaces:
            mask = observation_space["action_mask"]
            self.columns["masks"] = np.ones((self.rows, *(mask.shape or ())), bool)

    @property
    def low(self) -> int:
        """The first entry whose whole stack is certain to be here."""
        return 0 if self.tail == 0 else min(self.tail + self.span, self.head)

    def make_room(self, entries: int) -> None:
        """Forget old chunks until `entries` more fit."""
        if entries * self.depth > self.rows - self.chunk:
            raise ValueError(
                f"a fragment of {entries} rows does not fit into this replay_capacity; enlarge it"
            )
        while self.head + entries * self.depth > self.tail + self.rows:
            self.tail += self.chunk

    def put(
        self, before: np.ndarray, obs: np.ndarray, actions: np.ndarray | int, masks: np.ndarray | None
    ) -> np.ndarray:
        """Store `obs` `[m, ...]`, for which `make_room` was called; returns the entries' names, int64 `[m]`.

        `before[i]` is the entry that the same slot saw just before, or −1.
        """
        chains = self._start_chains(obs, before) if self.depth > 1 else None
        entries = self.head + np.arange(len(obs))
        self.head += len(obs)
        at = entries % self.rows
        self.columns["frames"][at] = obs if chains is None else obs[:, -1]
        self.columns["actions"][at] = actions
        self._blank(at)
        if masks is not None:
            self.columns["masks"][at] = masks
        if chains is not None:
            self.columns["before"][at] = chains
            oldest = self._chain(entries)[:, 0]
            self.span = max(self.span, int((entries - oldest).max(initial=0)))
        return entries

    def get(self, entries: np.ndarray) -> np.ndarray:
        """The observations `[m, ...]` of `entries` (int64 `[m]`), stacks rebuilt."""
        names = entries if self.depth == 1 else self._chain(entries)
        return self.columns["frames"].take(names % self.rows, axis=0)

    def _start_chains(self, obs: np.ndarray, before: np.ndarray) -> np.ndarray:
        """What each row's newest frame follows: `before` where that is so, else older frames stored now."""
        chains = np.where(before >= self.low, before, -1)
        known = np.flatnonzero(chains >= 0)
        broken = np.ones(len(obs), bool)
        broken[known] = (self.get(chains[known])[:, 1:] != obs[known, :-1]).any(axis=(1, 2, 3))
        older = obs[broken, :-1]
        entries = self.head + np.arange(older.shape[0] * older.shape[1]).reshape(older.shape[:2])
        self.head += entries.size
        at = entries % self.rows
        self.columns["frames"][at] = older
        self._blank(at)
        self.columns["before"][at] = np.where(np.arange(self.depth - 1) == 0, -1, entries - 1)
        chains[broken] = entries[:, -1]
        return chains

    def _blank(self, at: np.ndarray) -> None:
        """Rows `at` are no items yet."""
        for name, value in (("returns", 0.0), ("discounts", 0.0), ("boots", -1)):
            self.columns[name][at] = value

    def _chain(self, entries: np.ndarray) -> np.ndarray:
        """The entries `[m, depth]` of each stack, oldest first."""
        chain = [entries]
        for _ in range(self.depth - 1):
            chain.append(self.columns["before"][chain[-1] % self.rows])
        return np.stack(chain[::-1], axis=1)

    def get_state(self, settled: int) -> dict[str, Any]:
        """Everything, as one part a chunk; entries below `settled` will not change any more.

        Chunks of settled entries are Segments, whose arrays are views: right until the ring comes round.
        """
        chunks: list[Any] = []
        for first in range(self.tail, self.head, self.chunk):
            part = slice(first % self.rows, first % self.rows + min(self.chunk, self.head - first))
            arrays = {name: column[part] for name, column in self.columns.items()}
            if first + self.chunk <= min(settled, self.head):
                if first not in self.names:
                    self.names[first] = f"replay-{first}-{digest(arrays)}"
                chunks.append(Segment(self.names[first], arrays))
            else:
                chunks.append({name: array.copy() for name, array in arrays.items()})
        self.names = {first: name for first, name in self.names.items() if first >= self.tail}
        return {"head": self.head, "tail": self.tail, "span": self.span, "rows": self.rows, "chunks": chunks}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Put back what `get_state` gave (`ValueError` for a ring of another size or other observations)."""
        if state["rows"] != self.rows:
            raise ValueError(
                f"the saved replay has {state['rows']} rows, this one {self.rows}: another replay_capacity"
            )
        self.head, self.tail, self.span = state["head"], state["tail"], state["span"]
        self.names = {}
        for first, chunk in zip(range(self.tail, self.head, self.chunk), state["chunks"]):
            arrays = chunk.arrays if isinstance(chunk, Segment) else chunk
            if isinstance(chunk, Segment):
                self.names[first] = chunk.name
            for name, column in self.columns.items():
                saved = arrays.get(name)
                if saved is None or saved.shape[1:] != column.shape[1:] or saved.dtype != column.dtype:
                    raise ValueError(
                        f"the saved replay's `{name}` is of another kind than this environment's"
                    )
                column[first % self.rows : first % self.rows + len(saved)] = saved


def frame_shape(space: spaces.Space) -> tuple[int, ...]:
    """The shape of what is stored of one observation: the newest frame of a stack, else all of it."""
    return (space.shape or ())[1:] if stack_depth(space) > 1 else (space.shape or ())


def digest(arrays: Mapping[str, np.ndarray]) -> str:
    """A short name for the content of `arrays`."""
    total = hashlib.blake2b(digest_size=8)
    for name, array in arrays.items():
        total.update(name.encode())
        total.update(np.ascontiguousarray(array).data)
    return total.hexdigest()
