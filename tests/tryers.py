"""Agents whose success is known beforehand, for experiments on pass@k."""

from __future__ import annotations

from typing import Any

import numpy as np

from envs.rng import uniform
from envs.text.parsing import write
from envs.text.spaces import understand
from rollouts.agent import Agent, Decision, Memory, Obs


class Coin(Agent):
    """Answers a text task rightly with probability `right`, else with a number that is wrong."""

    def __init__(self, observation_space: Any, action_space: Any, *, right: float = 0.5) -> None:
        self.tasks, self.right = observation_space.tasks(), right

    def act(
        self, obs: Obs, *, rng: np.ndarray, first: np.ndarray, memory: Memory = None, explore: bool = True
    ) -> Decision:
        said = []
        for text, lot in zip(obs, uniform(rng)):
            name, question = understand(self.tasks, text)
            wrong = write(str(-1 - int(1000 * lot)))
            said.append(self.tasks[name].completion(question) if lot < self.right else wrong)
        return Decision(tuple(said))


class Stubborn(Coin):
    """Solves the half of all problems that have an even answer, every time, and none of the others."""

    def act(
        self, obs: Obs, *, rng: np.ndarray, first: np.ndarray, memory: Memory = None, explore: bool = True
    ) -> Decision:
        said = []
        for text in obs:
            name, question = understand(self.tasks, text)
            even = int(self.tasks[name].answer(question)) % 2 == 0
            said.append(self.tasks[name].completion(question) if even else write("-1"))
        return Decision(tuple(said))
