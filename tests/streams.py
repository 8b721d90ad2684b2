"""Rollouts made by hand: endless random play whose every observation can be told from all others."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from rollouts.rollout import Rollout


@dataclass
class Step:
    """One valid row, as a plain record."""

    seen: int
    action: int
    reward: float
    sign: float
    terminated: bool
    truncated: bool
    final: int
    episode: int


@dataclass
class Stream:
    """Random play in `n` slots. An observation is `[number]` (float32), and no two are the same.

    `rows[slot]` collects every valid row so far. `ends`, `idle` and `drops` are the chances of an end (true
    or cut), of an idle row, and of a game that is dropped for a new one without an end.
    """

    n: int
    seed: int = 0
    ends: float = 0.15
    idle: float = 0.1
    drops: float = 0.0
    rows: list[list[Step]] = field(default_factory=list)

    def __post_init__(self):
        self.rng = np.random.default_rng(self.seed)
        self.rows = [[] for _ in range(self.n)]
        self.counter, self.games = self.n, self.n
        self.now = np.arange(self.n)
        self.episode = np.arange(self.n)

    def fragment(self, steps: int) -> Rollout:
        shape = (steps, self.n)
        ended = self.rng.random(shape) < self.ends
        terminated = ended & (self.rng.random(shape) < 0.6)
        truncated = ended & (~terminated | (self.rng.random(shape) < 0.1))
        valid = self.rng.random(shape) >= self.idle
        terminated, truncated = terminated & valid, truncated & valid
        rewards = self.rng.normal(size=shape).astype(np.float32)
        signs = self.rng.choice([-1.0, 1.0], shape).astype(np.float32)
        actions = self.rng.integers(0, 3, shape)
        obs, episodes = np.zeros((steps + 1, self.n, 1), np.float32), np.zeros(shape, np.int64)
        finals, final_at = [], []
        for t in range(steps):
            for s in range(self.n):
                if self.rng.random() < self.drops:
                    self._new_game(s)
                obs[t, s], episodes[t, s] = self.now[s], self.episode[s]
                if not valid[t, s]:
                    continue
                over = bool(terminated[t, s] or truncated[t, s])
                final = self._next(s) if over else -1
                self.rows[s].append(
                    Step(
                        int(obs[t, s, 0]),
                        int(actions[t, s]),
                        float(rewards[t, s]),
                        float(signs[t, s]),
                        bool(terminated[t, s]),
                        bool(truncated[t, s]),
                        final,
                        int(self.episode[s]),
                    )
                )
                if over:
                    finals.append([final])
                    final_at.append([t, s])
                    self._new_game(s)
                else:
                    self._next(s)
        obs[steps, :, 0] = self.now
        zeros = np.zeros(shape, np.int64)
        return Rollout(
            obs=obs,
            actions=actions,
            env_rewards=rewards,
            terminated=terminated,
            truncated=truncated,
            valid=valid,
            first=zeros.astype(bool),
            sign=signs,
            episode=episodes,
            group=zeros - 1,
            seed=zeros,
            final_obs=np.array(finals, np.float32).reshape(-1, 1),
            final_at=np.array(final_at, np.int64).reshape(-1, 2),
            rewards=rewards,
        )

    def _next(self, slot: int) -> int:
        self.now[slot] = self.counter
        self.counter += 1
        return self.counter - 1

    def _new_game(self, slot: int) -> None:
        self.episode[slot] = self.games
        self.games += 1
        self._next(slot)
