"""The replay buffer: rollouts go in, batches of n-step items come out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces

from agents.networks import seen_space, split_obs
from agents.options import OptionError
from agents.replay.accumulator import Accumulator, Items
from agents.replay.samplers import Prioritised, Uniform
from agents.replay.storage import FrameRing, frame_shape
from rollouts.rollout import Rollout


@dataclass(frozen=True)
class Batch:
    """`B` items. The target of each is `returns + discounts · Q(next obs, best action)`."""

    obs: np.ndarray
    """`[2 B, ...]`: the observations, then those to bootstrap from."""
    next_masks: np.ndarray | None
    """bool `[B, actions]`: what is legal in the latter, where the environment says so."""
    actions: np.ndarray
    """int64 `[B]`."""
    returns: np.ndarray
    """float32 `[B]`."""
    discounts: np.ndarray
    """float32 `[B]`: 0 after a true end."""
    weights: np.ndarray
    """float32 `[B]`: of each item's loss, at most 1."""
    at: np.ndarray
    """int64 `[B]`: the ring's rows, for `Replay.update`."""


class Replay:
    """About `capacity` of the latest entries: decisions, and the last observations of truncated episodes.

    With the exponent `alpha` items are drawn by priority. Slots keep their open windows from one rollout to
    the next, told apart by `episode`.
    """

    def __init__(
        self,
        observation_space: spaces.Space,
        capacity: int,
        *,
        n_step: int = 1,
        gamma: float = 0.99,
        alpha: float | None = None,
    ) -> None:
        self.n_step, self.gamma = n_step, gamma
        self.ring = FrameRing(observation_space, capacity)
        self.sampler = Uniform() if alpha is None else Prioritised(self.ring.rows, alpha)
        self.windows: Accumulator | None = None
        self.last = np.zeros(0, np.int64)
        self.items = 0  # how many can be replayed
        self.low = 0  # entries below hold no items any more

    def add(self, rollout: Rollout) -> None:
        """Store a rollout whose `rewards` are set; rows that are not `valid` are left out."""
        if rollout.rewards is None:
            raise ValueError("this rollout has no rewards; call the Reward on it first")
        slots = rollout.shape[1]
        if self.windows is None or len(self.last) != slots:
            self.windows = Accumulator(slots, self.n_step)
            self.last = np.full(slots, -1, np.int64)
        # A new fragment may bring, for every row, the row itself and a final observation.
        self.ring.make_room(int(rollout.valid.sum()) + int(rollout.truncated.sum()))
        self._forget()
        index, finals = self._store(rollout)
        alive = self.gamma * rollout.sign * ~rollout.terminated
        ended = rollout.terminated | rollout.truncated
        items = self.windows.add(index, finals, rollout.rewards, alive, ended, rollout.episode)
        self._forget()
        self._settle(items)

    def sample(self, k: int, rng: np.ndarray, beta: float = 1.0) -> Batch:
        """`k` items, drawn with row 0 of `rng` (uint64 `[1]`, advanced); `items` must be above 0."""
        columns = self.ring.columns
        entries = self.sampler.draw(rng, columns["boots"], self.low, self.ring.head, k)
        at = entries % self.ring.rows
        boots = columns["boots"][at]
        return Batch(
            obs=self.ring.get(np.concatenate([entries, boots])),
            next_masks=columns["masks"][boots % self.ring.rows] if "masks" in columns else None,
            actions=columns["actions"][at].astype(np.int64),
            returns=columns["returns"][at],
            discounts=columns["discounts"][at],
            weights=self.sampler.weights(at, self.items, beta),
            at=at,
        )

    def update(self, batch: Batch, errors: np.ndarray) -> None:
        """Tell the sampler the errors (`[B]`) that the batch had."""
        self.sampler.update(batch.at, errors)

    def _store(self, rollout: Rollout) -> tuple[np.ndarray, np.ndarray]:
        """Entries `[T, n]` of the rows' observations and of their final ones; −1 where there is none."""
        (obs, masks), (ends, end_masks) = split_obs(rollout.obs), split_obs(rollout.final_obs)
        index = np.full(rollout.shape, -1, np.int64)
        finals = index.copy()
        cut = rollout.truncated & rollout.valid & ~rollout.terminated  # nothing bootstraps from a true end
        for t in range(len(index)):
            at = np.flatnonzero(rollout.valid[t])
            seen: list[Any] = [obs[t], rollout.actions[t], None if masks is None else masks[t]]
            rows = seen if len(at) == len(self.last) else [x if x is None else x[at] for x in seen]
            self.last[at] = index[t, at] = self.ring.put(self.last[at], *rows)
            if cut[t].any():
                k = np.flatnonzero((rollout.final_at[:, 0] == t) & cut[t, rollout.final_at[:, 1]])
                at = rollout.final_at[k, 1]
                mask = None if end_masks is None else end_masks[k]
                finals[t, at] = self.ring.put(self.last[at], ends[k], 0, mask)
        return index, finals

    def _settle(self, items: Items) -> None:
        """Make finished windows replayable, but for those whose observation is forgotten by now."""
        keep = items.index >= self.low
        at = items.index[keep] % self.ring.rows
        for name in ("returns", "discounts", "boots"):
            self.ring.columns[name][at] = getattr(items, name)[keep]
        self.items += len(at)
        self.sampler.add(at)

    def _forget(self) -> None:
        """Take away the items below what the ring can still rebuild."""
        gone = np.arange(self.low, self.ring.low) % self.ring.rows
        if len(gone):
            self.items -= int((self.ring.columns["boots"][gone] >= 0).sum())
            self.sampler.forget(gone)
            self.low = self.ring.low

    def get_state(self) -> dict[str, Any]:
        """Everything; whole chunks of the ring are Segments (views: save before the ring comes round)."""
        oldest = None if self.windows is None else self.windows.oldest()
        live = np.arange(self.low, self.ring.head) % self.ring.rows
        return {
            "ring": self.ring.get_state(self.ring.head if oldest is None else oldest),
            "sampler": self.sampler.get_state(live),
            "windows": None if self.windows is None else self.windows.get_state(),
            "last": self.last.copy(),
            "items": self.items,
            "low": self.low,
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Put back what `get_state` gave (`ValueError` where it does not fit)."""
        self.ring.set_state(state["ring"])
        self.items, self.low = int(state["items"]), int(state["low"])
        self.last = np.array(state["last"], np.int64)
        self.windows = None if state["windows"] is None else Accumulator.from_state(state["windows"])
        self.sampler.set_state(np.arange(self.low, self.ring.head) % self.ring.rows, state["sampler"])


def check_capacity(observation_space: spaces.Space, capacity: int, least: int) -> None:
    """Raises `OptionError` for a capacity below `least`, or beyond this machine's available memory."""
    if capacity < least:
        said = f"replay_capacity must hold a batch, an n_step window and collect_steps: at least {least}"
        raise OptionError("replay_capacity", f"{said}, not {capacity}")
    space = seen_space(observation_space)
    entry = int(np.prod(frame_shape(space))) * np.dtype(space.dtype).itemsize + 64
    free = available_memory()
    if capacity * entry > free:
        raise OptionError(
            "replay_capacity",
            f"replay_capacity {capacity:,} needs {capacity * entry / 2**30:.1f} GiB of memory and "
            f"{free / 2**30:.1f} are free: at most {free // entry:,} fit",
        )


def available_memory() -> int:
    """Bytes that this process may still take, by what the machine (or its container) reports."""
    free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        fields = dict(line.split(":") for line in meminfo.read_text().splitlines())
        free = int(fields["MemAvailable"].split()[0]) * 1024
    limit, used = (Path(f"/sys/fs/cgroup/memory.{name}") for name in ("max", "current"))
    if limit.exists() and limit.read_text().strip() != "max":
        free = min(free, max(int(limit.read_text()) - int(used.read_text()), 0))
    return free
