"""Our environments one at a time, as RLlib's env runners take them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np

import envs
from agents.rllib.view import View
from envs.base import BatchEnv
from envs.options import OptionError
from envs.paths import look_in
from envs.rng import from_seeds
from rollouts.agent import Agent
from rollouts.build import build_inner
from rollouts.problems import seeds_from


class Single(gymnasium.Env):
    """One slot of an environment, seen through a `View`; of a board game one seat, each in turn.

    `told` holds `where` (`id` and options), `filters` (see `View`), `opponent` (an agent's spec, or None for
    moves by chance), and `folders` to import from. The info of an episode's last step has its raw `return`
    and its `length`. RLlib counts seeds up both over workers and over a worker's slots, so that they
    overlap: here a seed counts together with its worker.
    """

    def __init__(self, told: Mapping[str, Any]) -> None:
        look_in(told["folders"])
        self._worker = int(getattr(told, "worker_index", 0))
        self._env, self._opponent = one_seat(told["where"], told["opponent"])
        self._view = View.of(self._env.observation_space, told["filters"])
        self.observation_space, self.action_space = self._view.space, self._env.action_space
        self._return, self._length = 0.0, 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict]:
        """Begin an episode; without a seed, the next one."""
        super().reset(seed=seed)
        own = None if seed is None else int(seeds_from([seed, self._worker], 1)[0])
        if self._opponent and own is not None:
            self._opponent.rng = from_seeds([own + 1])
        self._return, self._length = 0.0, 0
        return self._seen(self._env.reset(seed=own)[0]), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Play a step."""
        obs, reward, terminated, truncated, _ = self._env.step(action)
        self._return, self._length = self._return + float(reward), self._length + 1
        ended = bool(terminated or truncated)
        info = {"return": self._return, "length": float(self._length)} if ended else {}
        return self._seen(obs), float(reward), bool(terminated), bool(truncated), info

    def close(self) -> None:
        self._env.close()

    def _seen(self, obs: Any) -> np.ndarray:
        batch = (
            {k: np.asarray(v)[None] for k, v in obs.items()}
            if isinstance(obs, Mapping)
            else np.asarray(obs)[None]
        )
        return self._view.batch(batch)[0]


class Slot(gymnasium.Env):
    """A batch of one, as a plain environment."""

    def __init__(self, where: Mapping[str, Any]) -> None:
        self.batch: BatchEnv = envs.make(n=1, **where)
        self.observation_space = self.batch.single_observation_space
        self.action_space = self.batch.single_action_space
        self._next: Any = None  # the batch has begun the next episode by itself

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict]:
        """Begin an episode; without a seed, the one that the batch went on with."""
        if seed is not None or self._next is None:
            self._next = self.batch.reset(seed=[seed])[0]
        return _first(self._next), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Play a step; the last observation of an episode is its own."""
        self._next, rewards, terminated, truncated, info = self.batch.step(np.asarray(action)[None])
        ended = terminated[0] or truncated[0]
        obs = _first(info["final_obs"] if ended else self._next)
        return obs, float(rewards[0]), bool(terminated[0]), bool(truncated[0]), {}

    def close(self) -> None:
        self.batch.close()


def _first(obs: Any) -> Any:
    """The one observation of a batch of one."""
    return {name: array[0] for name, array in obs.items()} if isinstance(obs, Mapping) else obs[0]


class Opponent:
    """An agent as the callable that a board game asks."""

    def __init__(self, agent: Agent) -> None:
        self.agent, self.rng = agent, from_seeds([0])

    def __call__(self, obs: dict[str, np.ndarray]) -> Any:
        return self.agent.act(obs, rng=self.rng, first=np.ones(1, bool)).actions


def one_seat(
    where: Mapping[str, Any], opponent: Mapping[str, Any] | None
) -> tuple[gymnasium.Env, Opponent | None]:
    """The environment `where`, of one player, and whom it plays.

    Raises `OptionError` for a game of several players that is no board game of ours, and for an opponent
    where there is none or that does not fit.
    """
    env = Slot(where)
    if env.batch.seats == 1 and env.batch.slots_per_game == 1:
        if opponent is not None:
            raise OptionError("opponent", f"opponent is for board games of two, which {where['id']} is not")
        return env, None
    from envs.board.single import BoardEnv
    from envs.board.vector import Board

    if not isinstance(env.batch, Board):
        said = f"RLlib plays environments of one player, and board games of ours; {where['id']} is neither"
        raise OptionError("kind", said)
    spaces = env.observation_space, env.action_space
    plays = None if opponent is None else Opponent(build_inner("opponent", opponent, *spaces))
    return BoardEnv(where["id"], opponent=plays, **{k: v for k, v in where.items() if k != "id"}), plays
