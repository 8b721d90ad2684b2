"""What RLlib's networks see: every observation as one array of float32."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces

from agents.networks import planes_last, seen_space, split_obs
from agents.options import OptionError

SIDES = (10, 42, 64, 84, 96)
"""Sides of square pictures for which RLlib has convolutions of its own (`ray.rllib.models.utils`)."""
FLAT = (spaces.Box, spaces.MultiBinary, spaces.MultiDiscrete)


@dataclass(frozen=True)
class View:
    """How a batch of observations becomes what the network sees: float32, rows first, of the single `space`.

    * Pictures, where RLlib has convolutions for them or `conv_filters` are given: `[rows, columns, planes]`.
    * All else is flattened; a `Discrete` observation is one-hot. uint8 is scaled from 0..255 to 0..1.
    * An action mask (of `actions` numbers) stands behind the flattened rest.
    """

    seen: spaces.Space
    space: spaces.Box
    picture: bool
    actions: int
    """How many numbers of mask there are; 0: no mask."""

    @staticmethod
    def of(observation_space: spaces.Space, conv_filters: Any = None) -> View:
        """Raises `ValueError` for what RLlib's networks cannot see."""
        if isinstance(observation_space, spaces.Text):
            raise ValueError("RLlib's networks see numbers, not text; grpo learns text tasks")
        seen = seen_space(observation_space)
        masked = isinstance(observation_space, spaces.Dict) and "action_mask" in observation_space.spaces
        actions = int(np.prod(observation_space["action_mask"].shape)) if masked else 0  # type: ignore[index]
        if isinstance(seen, spaces.Discrete):
            return View(seen, _box((int(seen.n) + actions,)), False, actions)
        if not isinstance(seen, FLAT):
            raise ValueError(f"RLlib's networks see arrays of numbers, not {seen}")
        shape = tuple(seen.shape)
        picture = len(shape) == 3 and not actions and (bool(conv_filters) or _known(shape))
        if picture:
            return View(seen, _box(shape if planes_last(shape) else (*shape[1:], shape[0])), True, 0)
        if conv_filters:
            said = "conv_filters are for pictures without an action mask"
            raise OptionError("config.model_config", f"{said}, and observations here have shape {shape}")
        return View(seen, _box((int(np.prod(shape)) + actions,)), False, actions)

    def batch(self, obs: Any) -> np.ndarray:
        """Observations as environments give them, rows first, as `[n, *space.shape]`."""
        seen, mask = split_obs(obs)
        array = np.asarray(seen)
        if isinstance(self.seen, spaces.Discrete):
            array = np.eye(int(self.seen.n), dtype=np.float32)[array - int(self.seen.start)]
        scaled = array.astype(np.float32)
        if array.dtype == np.uint8:
            scaled /= 255
        if self.picture:
            same = scaled.shape[1:] == self.space.shape
            return scaled if same else np.ascontiguousarray(scaled.transpose(0, 2, 3, 1))
        flat = scaled.reshape(len(array), -1)
        if not self.actions:
            return flat
        return np.concatenate([flat, np.asarray(mask, np.float32).reshape(len(array), -1)], axis=1)


def _known(shape: tuple[int, ...]) -> bool:
    rows, columns = shape[:2] if planes_last(shape) else shape[1:]
    return rows == columns and rows in SIDES


def _box(shape: tuple[int, ...]) -> spaces.Box:
    return spaces.Box(-np.inf, np.inf, shape, np.float32)
