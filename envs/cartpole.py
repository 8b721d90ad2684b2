"""Gymnasium's CartPole in batches: its slots move in one go, each to the last bit as it would alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np

from envs.base import Array, State
from envs.gym import Singles


class CartPoles(Singles):
    """Single environments for what is seldom (resets, pictures, saving), and arrays for every step.

    The physics are those of Barto, Sutton and Anderson (1983), written as `CartPoleEnv.step` has them: the
    same operations in the same order, in float64.
    """

    def __init__(self, environments: Sequence[gymnasium.Env]):
        super().__init__(environments)
        self._inner: list[Any] = [env.unwrapped for env in self.envs]
        self._like: Any = self._inner[0]  # whose constants are everybody's
        limits = [getattr(env, "_max_episode_steps", None) for env in self.envs]
        self._longest = limits[0] or np.inf
        self._state, self._elapsed = np.zeros((4, len(limits))), np.zeros(len(limits), np.int64)

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Restart all slots, or those of `reset_mask`; see `BatchEnv`."""
        self._hand_back()
        return super().reset(seed=seed, options=options)

    def step(self, actions: Any) -> tuple[Any, Array, Array, Array, dict[str, Any]]:
        """Step every slot; see `BatchEnv`."""
        self._check_begun()
        pushed = np.asarray(actions)
        if pushed.shape != (self.num_envs,) or not ((pushed == 0) | (pushed == 1)).all():
            raise ValueError(f"actions must be {self.num_envs} of 0 and 1, not {actions!r:.80}")
        self._move(pushed)
        self._elapsed += 1
        like, (x, _, angle, _) = self._like, self._state
        terminated = (np.abs(x) > like.x_threshold) | (np.abs(angle) > like.theta_threshold_radians)
        truncated = self._elapsed >= self._longest
        fell, stands = (-1.0, 0.0) if like._sutton_barto_reward else (1.0, 1.0)
        rewards = np.where(terminated, fell, stands).astype(np.float32)
        final_obs = obs = self._seen()
        ended = np.flatnonzero(terminated | truncated).tolist()
        if ended:
            obs = obs.copy()
        for i in ended:
            self._restart(i, None)
            obs[i] = self._now[i]
        return obs, rewards, terminated, truncated, {"final_obs": final_obs, "parts": {}}

    def get_state(self) -> State:
        """See `BatchEnv`."""
        self._hand_back()
        return super().get_state()

    def set_state(self, state: Mapping[str, Any]) -> Any:
        """See `BatchEnv`."""
        obs = super().set_state(state)
        for i in range(self.num_envs):
            self._take_up(i)
        return obs

    def render(self) -> Any:
        """Slot 0's picture; see `Singles`."""
        self._hand_back()
        return super().render()

    # -- within ----------------------------------------------------------------------------------------

    def _move(self, pushed: Array) -> None:
        """One Euler step of all carts."""
        like, (x, x_dot, theta, theta_dot) = self._like, self._state
        force = np.where(pushed == 1, like.force_mag, -like.force_mag)
        cos, sin = np.cos(theta), np.sin(theta)
        temp = (force + like.polemass_length * np.square(theta_dot) * sin) / like.total_mass
        lever = like.length * (4.0 / 3.0 - like.masspole * np.square(cos) / like.total_mass)
        theta_acc = (like.gravity * sin - cos * temp) / lever
        x_acc = temp - like.polemass_length * theta_acc * cos / like.total_mass
        x += like.tau * x_dot
        theta += like.tau * theta_dot
        x_dot += like.tau * x_acc
        theta_dot += like.tau * theta_acc

    def _seen(self) -> Array:
        """What all slots show, float32 `[n, 4]`."""
        return np.ascontiguousarray(self._state.T, np.float32)

    def _restart(self, i: int, seed: int | None) -> None:
        super()._restart(i, seed)
        self._take_up(i)

    def _take_up(self, i: int) -> None:
        """From a single environment to the arrays."""
        self._state[:, i] = self._inner[i].state
        self._elapsed[i] = getattr(self.envs[i], "_elapsed_steps", 0)

    def _hand_back(self) -> None:
        """From the arrays to all single environments (those that were reset, once all have been)."""
        if self._now[0] is None:
            return
        self._now = list(self._seen())
        for env, inner, state, elapsed in zip(self.envs, self._inner, self._state.T, self._elapsed.tolist()):
            inner.state = state.copy()
            if hasattr(env, "_elapsed_steps"):
                env._elapsed_steps = elapsed  # type: ignore[attr-defined]
