"""What every arcade game is: a record of state a slot, and two batch kernels that begin and step it.

The rules are those of MinAtar 1.0.15 (Young and Tian, 2019, arXiv:1903.03176), written anew as kernels; those
of KeyMaze are our own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from envs.kernels import kernel
from envs.rng import next_float

ACTIONS = ("noop", "left", "up", "right", "down", "fire")
NOOP, LEFT, UP, RIGHT, DOWN, FIRE = range(6)
SIZE = 10


@dataclass(frozen=True)
class Game:
    """One game: its names, its state and its kernels.

    `state` is a structured dtype, one record a slot, whose field `last_action` outlives an episode. `limits`
    are the lowest and highest values of every field that a kernel uses to find a place in an array.

    * `begin(games, rng, where, obs)` restarts the games where the mask `where` says so and draws them all.
    * `step(games, rng, actions, sticky, ramping, obs, final_obs, rewards, terminated) -> ended` plays one
      step of every game. Where a game ends, `final_obs` gets its last picture and `obs` the next game's
      first. Returns how many games ended.

    `games` is `[n]` of `state`, `rng` uint64 `[n]`, `actions` int64 `[n]` in `ACTIONS`, `obs` and `final_obs`
    bool `[n, 100 * channels]` (y, x, channel), `rewards` float32 `[n]`, `terminated` bool `[n]`.
    """

    name: str
    channels: tuple[str, ...]
    minimal: tuple[int, ...]
    state: np.dtype
    limits: Mapping[str, tuple[int, int]]
    begin: Callable[..., Any]
    step: Callable[..., Any]


def state_dtype(**fields: Any) -> np.dtype:
    """A state record: `last_action`, and `name=type` or `name=(type, length)` for each further field."""
    listed = [(k, *v) if isinstance(v, tuple) else (k, v) for k, v in fields.items()]
    return np.dtype([("last_action", "i1"), *listed], align=True)


@kernel
def sticky_action(game, action, rng, i, sticky):  # type: ignore[no-untyped-def]
    """The action that happens: the chosen one or, with probability `sticky`, once more the last one."""
    if next_float(rng, i) < sticky:
        action = np.int64(game.last_action)
    game.last_action = action
    return action


@kernel
def moved(place, action, back, forth, low, high):  # type: ignore[no-untyped-def]
    """The place after an action, one forth or back, in [low, high]; no branch, as none could be foreseen."""
    return min(max(place + np.int64(action == forth) - np.int64(action == back), low), high)


@kernel
def translate(chosen, meaning, actions):  # type: ignore[no-untyped-def]
    """Write `meaning[chosen]` into `actions`; returns the first slot with a wrong choice, or −1."""
    for i in range(len(chosen)):
        if chosen[i] < 0 or chosen[i] >= len(meaning):
            return i
        actions[i] = meaning[chosen[i]]
    return -1
