"""One arcade game as a plain `gymnasium.Env`: a batch of one."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.error import ResetNeeded

from envs.arcade import batch_class
from envs.arcade.render import MODES, render
from envs.paths import resolve


class ArcadeEnv(gymnasium.Env[np.ndarray, int]):
    """The same game, from the same seed, as a slot of `Arcade`; the options are the same too."""

    metadata = {"render_modes": list(MODES), "render_fps": 15}  # noqa: RUF012

    def __init__(self, game: str, *, render_mode: str | None = None, **options: Any) -> None:
        self._batch = resolve(batch_class(game))(game, 1, render_mode=render_mode, **options)
        self.render_mode = render_mode
        self.observation_space = self._batch.single_observation_space
        self.action_space = self._batch.single_action_space
        self._shown: np.ndarray | None = None
        self._next: np.ndarray | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin a game; without a seed, the next one of the generator."""
        super().reset(seed=seed)
        if seed is not None or self._next is None:  # else the batch has begun the next game by itself
            self._next = self._batch.reset(seed=[seed])[0][0]
        self._shown, self._next = self._next, None
        return self._shown.copy(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Play one step."""
        if self._shown is None or self._next is not None:
            raise ResetNeeded("call reset before step, also after an episode's end")
        obs, rewards, terminated, truncated, info = self._batch.step(np.array([action]))
        self._shown = obs[0]
        if terminated[0] or truncated[0]:
            self._shown, self._next = info["final_obs"][0], obs[0]
        told = {name: float(part[0]) for name, part in info.get("parts", {}).items()}
        return self._shown.copy(), float(rewards[0]), bool(terminated[0]), bool(truncated[0]), told

    def render(self) -> Any:
        """What the last observation shows, as `Arcade.render` does."""
        if self.render_mode is None:
            return None
        if self._shown is None:
            raise ResetNeeded("call reset before render")
        return render(self.render_mode, self._batch.game.name, self._shown)
