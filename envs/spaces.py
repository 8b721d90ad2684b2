"""Foreign spaces, brought to what agents here understand: arrays, flat dicts of arrays, and text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Space, Text, Tuple
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from envs.base import BatchEnv

Path = tuple[Any, ...]
ARRAYS = (Box, Discrete, MultiBinary, MultiDiscrete)


@dataclass(frozen=True)
class Layout:
    """How one environment's observations become a batch.

    A space that is one array or a text stays; nested Dict and Tuple spaces become one flat Dict, keys
    joined by dots (`Tuple(Dict(a=..., b=...), ...)` has `0.a`, `0.b`, `1`).
    """

    space: Space
    leaves: tuple[tuple[str, Path, Any], ...]
    """(name, where in the observation, dtype) of each array; empty for text."""

    @staticmethod
    def of(space: Space) -> Layout:
        """Raises `ValueError` for spaces that cannot be batched (Graph, Sequence, OneOf, text in a Dict)."""
        if isinstance(space, Text):
            return Layout(space, ())
        found = dict(_leaves(space, ()))
        leaves = tuple((".".join(map(str, path)), path, leaf.dtype) for path, leaf in found.items())
        if isinstance(space, (Dict, Tuple)):
            space = Dict({name: found[path] for name, path, _ in leaves})
        return Layout(space, leaves)

    def flat(self, obs: Any) -> Any:
        """One slot's own observation as an array, a flat dict, or a str."""
        if not isinstance(self.space, Dict):
            return obs
        return {name: _follow(obs, path) for name, path, _ in self.leaves}

    def stack(self, rows: Sequence[Any]) -> Any:
        """A fresh batch of flat observations, one a slot."""
        if not self.leaves:
            return tuple(rows)
        if isinstance(self.space, Dict):
            return {name: np.array([row[name] for row in rows], dtype) for name, _, dtype in self.leaves}
        return np.array(rows, self.leaves[0][2])

    def batch(self, obs: Any) -> Any:
        """A fresh copy of a vector environment's batch, flat."""
        if not self.leaves:
            return tuple(obs)
        if isinstance(self.space, Dict):
            return {name: np.array(_follow(obs, path), dtype) for name, path, dtype in self.leaves}
        return np.array(obs, self.leaves[0][2])

    def row(self, batch: Any, i: int) -> Any:
        """Slot `i` of a batch, as `flat` gave it."""
        return {k: v[i] for k, v in batch.items()} if isinstance(self.space, Dict) else batch[i]


class Actions:
    """An action space as agents see it (`space`, counted from 0), and the way back."""

    def __init__(self, space: Space):
        """Raises `ValueError` for action spaces that no agent here plays (Dict, Tuple, Graph, Sequence)."""
        self.own: Any = space
        self._start: Any = getattr(space, "start", 0)
        if isinstance(space, Discrete):
            self.space: Space = Discrete(int(space.n))
        elif isinstance(space, MultiDiscrete):
            self.space = MultiDiscrete(space.nvec)
        elif isinstance(space, (Box, MultiBinary, Text)):
            self.space = space
        else:
            raise ValueError(
                f"action space {space} is not one that agents here play (Discrete, Box, Text, ...)"
            )

    def __call__(self, actions: Any) -> Any:
        """What is sent: Box actions clipped to the bounds, counts moved to where they start."""
        if isinstance(self.own, Text):
            return tuple(actions)
        if isinstance(self.own, Box):
            return np.clip(actions, self.own.low, self.own.high).astype(self.own.dtype)
        return np.asarray(actions, self.own.dtype) + self._start


def describe(batch: BatchEnv, env: Any, layout: Layout, actions: Actions, n: int) -> None:
    """Set what every `VectorEnv` declares about itself."""
    batch.num_envs = n
    batch.single_observation_space, batch.single_action_space = layout.space, actions.space
    batch.observation_space, batch.action_space = batch_space(layout.space, n), batch_space(actions.space, n)
    batch.metadata = {**env.metadata, "autoreset_mode": AutoresetMode.SAME_STEP}
    batch.render_mode, batch.spec = env.render_mode, env.spec
    batch.parts = tuple(getattr(env.unwrapped, "parts", ()))


def _leaves(space: Space, path: Path) -> Iterator[tuple[Path, Space]]:
    if isinstance(space, ARRAYS):
        yield path, space
    elif isinstance(space, Dict):
        for key, child in space.spaces.items():
            yield from _leaves(child, (*path, key))
    elif isinstance(space, Tuple):
        for i, child in enumerate(space.spaces):
            yield from _leaves(child, (*path, i))
    else:
        raise ValueError(
            f"observation space {space} cannot be batched (arrays, dicts of arrays and text can)"
        )


def _follow(obs: Any, path: Path) -> Any:
    for key in path:
        obs = obs[key]
    return obs
