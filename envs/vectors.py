"""Foreign vector environments as `BatchEnv`, whatever their autoreset mode.

One that restarts in the step *after* an end (NEXT_STEP) ignores that step's action, so the row would be no
transition. It is told to restart at once where it can reset single slots (`Vectors`), else it is made of
one-slot copies, each reset by its owner (`OneSlot`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space, iterate

from envs.base import Array, BatchEnv, slot_seeds
from envs.options import SlotOptions, split_options
from envs.spaces import Actions, Layout, describe


class Vectors(BatchEnv):
    """A foreign `VectorEnv` that can restart single slots.

    Observations and actions as in `Singles`; `parts` is declared by the vector environment and read from its
    infos. Options a slot are refused, and states cannot be saved.
    """

    def __init__(self, env: VectorEnv):
        """Raises `ValueError` where the autoreset mode is unknown, or NEXT_STEP without a way around it."""
        self.env = env
        self._mode = autoreset_mode(env)
        if cannot_restart(env):
            raise ValueError(
                f"{env} restarts in the step after an end, which ignores the action, and cannot reset single "
                "slots; give its class, a SAME_STEP version, or the single environment"
            )
        self._layout = Layout.of(env.single_observation_space)
        self._actions = Actions(env.single_action_space)
        self._obs: Any = None
        describe(self, env, self._layout, self._actions, env.num_envs)

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Restart all slots, or those of `reset_mask`; see `BatchEnv`."""
        own, mask, slots = split_options(options, self.num_envs)
        if any(slots):
            raise ValueError(f"{self.env} takes no options a slot; give the single environment instead")
        if not mask.all():
            return self._restart(mask, slot_seeds(seed, self.num_envs), own), {}
        whole: Any = seed if seed is None or isinstance(seed, int) else slot_seeds(seed, self.num_envs)
        obs, _ = self.env.reset(seed=whole, options=own or None)
        self._obs = self._layout.batch(obs)
        return self._layout.batch(obs), {}

    def step(self, actions: Any) -> tuple[Any, Array, Array, Array, dict[str, Any]]:
        """Step every slot; see `BatchEnv`."""
        foreign, rewards, terminated, truncated, info = self.env.step(self._actions(actions))
        terminated, truncated = np.array(terminated, bool), np.array(truncated, bool)
        ended = terminated | truncated
        self._obs = self._layout.batch(foreign)
        final_obs = obs = self._layout.batch(foreign)
        if ended.any() and self._mode is AutoresetMode.SAME_STEP:
            final_obs = self._final_obs(info, ended)
        elif ended.any():
            obs = self._restart(ended, [None] * self.num_envs, {})
        out = {"final_obs": final_obs, "parts": self._read_parts(info, ended)}
        return obs, np.array(rewards, np.float32), terminated, truncated, out

    def render(self) -> Any:
        """Slot 0's picture."""
        frames: Any = self.env.render()
        return frames[0] if isinstance(frames, (tuple, list)) else frames

    def close_extras(self, **kwargs: Any) -> None:
        self.env.close()

    def _restart(self, mask: Array, seeds: list[int | None], own: dict[str, Any]) -> Any:
        """Reset the masked slots; a vector environment that resets others too is found out here."""
        if self._obs is None:
            raise ValueError("the first reset must be of all slots")
        seed: Any = None if all(s is None for s in seeds) else seeds
        obs = self._layout.batch(self.env.reset(seed=seed, options={**own, "reset_mask": mask.copy()})[0])
        for i in np.flatnonzero(~mask).tolist():
            if not _equal(self._layout.row(obs, i), self._layout.row(self._obs, i)):
                raise ValueError(f"{self.env} cannot reset single slots (it ignores options['reset_mask'])")
        self._obs = obs
        return self._layout.batch(obs)

    def _final_obs(self, info: Mapping[str, Any], ended: Array) -> Any:
        """The batch of last observations, from one entry a slot (Gymnasium's) or a whole batch (ale-py's)."""
        if "final_obs" not in info:
            raise ValueError(f"{self.env} is SAME_STEP but gives no info['final_obs'] where an episode ended")
        final = info["final_obs"]
        if not (isinstance(final, np.ndarray) and final.dtype == object):
            return self._layout.batch(final)
        rows = [self._layout.row(self._obs, i) for i in range(self.num_envs)]
        for i in np.flatnonzero(ended).tolist():
            rows[i] = self._layout.flat(final[i])
        return self._layout.stack(rows)

    def _read_parts(self, info: Mapping[str, Any], ended: Array) -> dict[str, Array]:
        final = info.get("final_info", info)
        parts = {}
        for name in self.parts:
            keys = ("is_success", "success") if name == "success" else (name,)
            at_end, during = (next((src[k] for k in keys if k in src), 0) for src in (final, info))
            parts[name] = np.where(ended, at_end, 0 if name == "success" else during).astype(np.float32)
        return parts


class OneSlot(gymnasium.Env):
    """A vector environment of one slot as a single environment, whatever its autoreset mode.

    Its owner resets it after every end, so that its own restart never happens.
    """

    def __init__(self, env: VectorEnv):
        self.env = env
        self.observation_space, self.action_space = env.single_observation_space, env.single_action_space
        self.metadata, self.render_mode, self.spec = env.metadata, env.render_mode, env.spec
        self.parts = getattr(env.unwrapped, "parts", ())
        self._batch = batch_space(self.observation_space, 1)

    def reset(self, *, seed: int | None = None, options: SlotOptions = None) -> tuple[Any, dict[str, Any]]:
        obs, _ = self.env.reset(seed=seed, options=options)
        return self._first(obs), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        batch = (action,) if isinstance(action, str) else np.asarray(action)[None]
        obs, rewards, terminated, truncated, info = self.env.step(batch)
        one = {k: v[0] for k, v in info.items() if isinstance(v, np.ndarray) and len(v) == 1}
        return self._first(obs), float(rewards[0]), bool(terminated[0]), bool(truncated[0]), one

    def render(self) -> Any:
        frames: Any = self.env.render()
        return frames[0] if isinstance(frames, (tuple, list)) else frames

    def close(self) -> None:
        self.env.close()

    def _first(self, obs: Any) -> Any:
        return next(iter(iterate(self._batch, obs)))


def cannot_restart(env: VectorEnv) -> bool:
    """Whether only the step after an end restarts a slot. (Gymnasium's AsyncVectorEnv heeds reset masks.)"""
    return autoreset_mode(env) is AutoresetMode.NEXT_STEP and not isinstance(env.unwrapped, AsyncVectorEnv)


def autoreset_mode(env: VectorEnv) -> AutoresetMode:
    """The autoreset mode; the attribute first, for the metadata may be shared with other environments."""
    mode = getattr(env.unwrapped, "autoreset_mode", None) or env.metadata.get("autoreset_mode")
    try:
        return AutoresetMode(mode)
    except ValueError:
        raise ValueError(
            f"{env} does not say how it restarts: metadata['autoreset_mode'] is {mode!r}"
        ) from None


def _equal(a: Any, b: Any) -> bool:
    """Whether two rows are the same, NaN being NaN."""
    if isinstance(a, dict):
        return all(_equal(a[k], b[k]) for k in a)
    return bool(np.all((a == b) | ((a != a) & (b != b))))
