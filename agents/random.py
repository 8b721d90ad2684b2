"""The Random agent: uniform over the legal actions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces

from envs.rng import normal, uniform
from rollouts.agent import Agent, Decision, Memory


class Random(Agent):
    """Plays any action space by chance, each row from its own generator, within `action_mask` if any.

    Bounded numbers are uniform, unbounded ones normal. Raises `ValueError` for other spaces.
    """

    def __init__(
        self, observation_space: spaces.Space, action_space: spaces.Space, *, device: str = "cpu"
    ) -> None:
        self.action_space = action_space
        kinds = (spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary, spaces.Box)
        if not isinstance(action_space, kinds):
            raise ValueError(f"Random does not know how to act in {action_space}")

    def act(
        self, obs: Any, *, rng: np.ndarray, first: np.ndarray, memory: Memory = None, explore: bool = True
    ) -> Decision:
        space = self.action_space
        if isinstance(space, spaces.Box):
            return Decision(_within(space, rng))
        mask = obs.get("action_mask") if isinstance(obs, Mapping) else None
        if isinstance(space, spaces.Discrete):
            return Decision(_choose([int(space.n)], mask, rng)[:, 0] + space.start)
        if isinstance(space, spaces.MultiBinary):
            return Decision(_choose([2] * int(np.prod(space.shape)), mask, rng).reshape(-1, *space.shape))
        assert isinstance(space, spaces.MultiDiscrete)
        picks = _choose([int(k) for k in space.nvec.reshape(-1)], mask, rng)
        return Decision(picks.reshape(-1, *space.shape) + space.start)


def _choose(choices: list[int], mask: np.ndarray | None, rng: np.ndarray) -> np.ndarray:
    """One number below each of `choices`, legal by `mask` (`[n, sum(choices)]`): int64 `[n, choices]`."""
    u = uniform(rng, len(choices))
    if mask is None:
        return (u * choices).astype(np.int64)
    picks, parts = [], np.split(np.asarray(mask, bool), np.cumsum(choices)[:-1], axis=-1)
    for i, legal in enumerate(parts):
        if not legal.any(-1).all():
            raise ValueError(f"row {int(np.argmin(legal.any(-1)))} has no legal action")
        ahead = np.floor(u[:, i] * legal.sum(-1))
        picks.append((legal.cumsum(-1) > ahead[:, None]).argmax(-1))
    return np.stack(picks, axis=-1)


def _within(space: spaces.Box, rng: np.ndarray) -> np.ndarray:
    """Points of a box: uniform where it is bounded, else normal and clipped to the bound it has."""
    size = int(np.prod(space.shape))
    low, high = (x.reshape(-1).astype(np.float64) for x in (space.low, space.high))
    whole = np.issubdtype(space.dtype, np.integer)
    bounded = np.isfinite(low) & np.isfinite(high)
    width = np.where(bounded, high - low + whole, 0.0)
    spread = np.where(bounded, low, 0.0) + uniform(rng, size) * width
    points = np.where(bounded, spread, np.clip(normal(rng, size), low, high))
    return (np.floor(points) if whole else points).astype(space.dtype).reshape(-1, *space.shape)
