"""The expert of text tasks: an agent that works out what it reads, for others to imitate."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces

from agents.options import NotNegative, checked
from envs.nearest import suggest
from envs.options import OptionError
from envs.rng import uniform
from envs.text.spaces import TextSpace, understand
from envs.text.task import DIRECT, Dialogue, Question, Task
from rollouts.agent import Agent, Decision, Memory, Obs

STEPS = "steps"
"""Stands for the first strategy of a family that has none of this name."""


class Solver(Agent):
    """Answers every text task rightly, from what it has read and nothing else.

    Each episode draws one of the `strategies` (name: weight) that the family has, `direct` among them, and
    `steps` for the usual one; without any it is that. With `explore=False` it is the one of most weight. What
    was said in an episode is in its memory, `transcript`: an object array `[n]` of JSON texts.

    Raises `ValueError` for other spaces than those of text tasks, `OptionError` for strategies that no family
    of the environment has, or that leave one of them nothing to draw; `act` raises `ValueError` for what is
    no problem of these families.
    """

    @checked
    def __init__(
        self,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        *,
        device: str = "cpu",
        strategies: dict[str, NotNegative] | None = None,
    ) -> None:
        if not isinstance(observation_space, TextSpace):
            raise ValueError(f"Solver answers text tasks only, not {observation_space}")
        self.strategies = strategies
        self.tasks = observation_space.tasks()
        self.several_turns = observation_space.turns > 1
        known = {STEPS, DIRECT, *(name for task in self.tasks.values() for name in task.strategies)}
        for name in strategies or ():
            if name not in known:
                raise OptionError("strategies", f"no strategy '{name}' here; {suggest(name, sorted(known))}")
        self._drawn = {name: _shares(name, task, strategies) for name, task in self.tasks.items()}

    def act(
        self, obs: Obs, *, rng: np.ndarray, first: np.ndarray, memory: Memory = None, explore: bool = True
    ) -> Decision:
        lots = uniform(rng)
        before = memory["transcript"] if memory is not None else np.full(len(obs), "", object)
        said, transcripts = [], np.full(len(obs), "", object)
        for i, text in enumerate(obs):
            strategy, *turns = ("",) if first[i] or not before[i] else json.loads(before[i])
            turns.append(text)
            name, question = understand(self.tasks, turns[0])
            strategy = strategy or self._strategy(name, lots[i], explore)
            said.append(_say(self.tasks[name], question, strategy, turns))
            transcripts[i] = json.dumps([strategy, *turns, said[-1]])
        return Decision(tuple(said), {"transcript": transcripts} if self.several_turns else None)

    def spec(self) -> dict[str, Any]:
        return {"path": "llm_rl.solver:Solver", "options": {"strategies": self.strategies}}

    def _strategy(self, family: str, lot: float, explore: bool) -> str:
        """The strategy of an episode, drawn by `lot`, a number in [0, 1)."""
        names, shares = self._drawn[family]
        at = np.searchsorted(np.cumsum(shares), lot, side="right") if explore else np.argmax(shares)
        return names[min(int(at), len(names) - 1)]


def _say(task: Task, question: Question, strategy: str, turns: list[str]) -> str:
    """What to say next after `turns`: what was heard and, in between, said."""
    if isinstance(task, Dialogue):
        return task.script(question, turns[1::2], turns[2::2], strategy)
    return task.completion(question, strategy)


def _shares(name: str, task: Task, weights: Mapping[str, float] | None) -> tuple[list[str], np.ndarray]:
    """The strategies that a family's episodes draw, and how often each."""
    usual = task.strategies[0]
    weights = {usual: 1.0} if weights is None else dict(weights)
    if STEPS not in task.strategies and STEPS in weights:
        weights[usual] = weights.get(usual, 0.0) + weights.pop(STEPS)
    drawn = {way: weights[way] for way in (*task.strategies, DIRECT) if weights.get(way, 0.0) > 0}
    if not drawn:
        known = ", ".join((*task.strategies, DIRECT))
        raise OptionError("strategies", f"strategies has none that {name} has, above 0; it has: {known}")
    shares = np.array(list(drawn.values()), np.float64)
    return list(drawn), shares / shares.sum()
