"""The Random agent: uniform over the legal actions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces

from agents.legal import legal_mask, random_choices
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
        choices = _choices(space)
        picks = random_choices(uniform(rng, len(choices)), choices, legal_mask(mask, choices))
        return Decision(picks.reshape(-1, *(space.shape or ())) + getattr(space, "start", 0))


def _choices(space: spaces.Space) -> list[int]:
    """How many there are to pick from, for each number of an action."""
    if isinstance(space, spaces.Discrete):
        return [int(space.n)]
    if isinstance(space, spaces.MultiDiscrete):
        return [int(k) for k in space.nvec.reshape(-1)]
    return [2] * int(np.prod(space.shape))  # type: ignore[arg-type]


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
