"""One PettingZoo game, seen the same way whether its agents move in turn or at once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

from envs.base import Array
from envs.options import SlotOptions

View = tuple[Any, Mapping[str, Any]]
"""What an agent observes, and its info."""


class Game(ABC):
    """What both kinds of game show. Arrays are `[k]`, in the order of `possible_agents`."""

    def __init__(self, env: Any):
        self.env, self.agents = env, list(env.possible_agents)
        self.acting = np.zeros(len(self.agents), bool)
        """Who is to act now."""
        self.over = False
        self.terminated, self.truncated = np.zeros((2, len(self.agents)), bool)
        """How each agent left; False for those who are there."""

    def reset(self, seed: int, options: SlotOptions) -> None:
        """Begin anew."""
        self.over = False
        self.terminated[:] = self.truncated[:] = False
        self._reset(seed, options)

    @abstractmethod
    def step(self, actions: Any) -> Array:
        """Play `actions[j]` for each agent `j` that is to act; returns everyone's rewards of this step."""

    @abstractmethod
    def view(self, j: int) -> View | None:
        """What agent `j` observes, and its info; the last ones in the step in which it leaves, then None."""

    @abstractmethod
    def _reset(self, seed: int, options: SlotOptions) -> None: ...

    def _note_end(self, j: int, terminated: Any, truncated: Any) -> None:
        self.truncated[j] = bool(truncated) and not terminated
        self.terminated[j] = not self.truncated[j]


class TurnGame(Game):
    """An `AECEnv`: `turn` is the agent to move, or the one whose turn it was when the game ended."""

    turn: int
    _last: dict[int, View]

    def step(self, actions: Any) -> Array:
        env = self.env
        env.step(actions[self.turn])
        # `last` gives what an agent gathered since it moved; `rewards` is what this step gave to each
        given, terminations, truncations = env.rewards, env.terminations, env.truncations
        rewards = np.array([given.get(agent, 0.0) for agent in self.agents], np.float32)
        self._last = {}
        left = [agent for agent in env.agents if terminations[agent] or truncations[agent]]
        for agent in left:
            j = self.agents.index(agent)
            self._last[j] = (env.observe(agent), env.infos[agent])
            self._note_end(j, terminations[agent], truncations[agent])
        self._see_turn()
        if left:
            self._remove_dead()
        return rewards

    def view(self, j: int) -> View | None:
        agent = self.agents[j]
        if j not in self._last and agent in self.env.agents:
            return self.env.observe(agent), self.env.infos[agent]
        return self._last.get(j)

    def _reset(self, seed: int, options: SlotOptions) -> None:
        self.env.reset(seed=seed, options=options)
        self._last = {}
        self._see_turn()

    def _see_turn(self) -> None:
        self.turn = self.agents.index(self.env.agent_selection)
        self.acting[:] = False
        self.acting[self.turn] = True

    def _remove_dead(self) -> None:
        """Agents that left are owed a step of None each, in which nothing happens."""
        env = self.env
        while env.agents and (env.terminations[env.agent_selection] or env.truncations[env.agent_selection]):
            env.step(None)
        self.over = not env.agents
        if not self.over:
            self._see_turn()


class ParallelGame(Game):
    """A `ParallelEnv`: all agents that are there act at once."""

    def step(self, actions: Any) -> Array:
        moves = {self.agents[j]: actions[j] for j in np.flatnonzero(self.acting).tolist()}
        self._obs, given, terminated, truncated, self._infos = self.env.step(moves)
        rewards = np.zeros(len(self.agents), np.float32)
        for j in np.flatnonzero(self.acting).tolist():
            agent = self.agents[j]
            rewards[j] = given.get(agent, 0.0)
            ends = terminated.get(agent, False), truncated.get(agent, False)
            if any(ends) or agent not in self.env.agents:
                self._note_end(j, *ends)
        self._see_who_acts()
        self.over = not self.acting.any()
        return rewards

    def view(self, j: int) -> View | None:
        agent = self.agents[j]
        return (self._obs[agent], self._infos.get(agent, {})) if agent in self._obs else None

    def _reset(self, seed: int, options: SlotOptions) -> None:
        self._obs, self._infos = self.env.reset(seed=seed, options=options)
        self._see_who_acts()

    def _see_who_acts(self) -> None:
        there = np.array([agent in self.env.agents for agent in self.agents])
        self.acting = there & ~(self.terminated | self.truncated)
