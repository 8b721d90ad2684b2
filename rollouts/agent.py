"""Who acts and who learns: the Agent, its Decision, and the Learner."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from rollouts.rollout import Rollout

Obs = Any
"""One batch of observations: an array, a dict of arrays (rows first), or a tuple of str."""
Memory = Mapping[str, Any] | None
"""What an agent carries from one decision to the next: arrays by name, rows first; or nothing."""
Metrics = dict[str, float]
"""What to log, by name. An int is a count, of which a line has the newest; of others it has the mean."""


@dataclass(frozen=True)
class Decision:
    """What an agent answers to a batch of observations.

    `actions` has one entry a row (an array, or a tuple of str). `fields` holds, by name, arrays with rows
    first that the learner wants to see again: `log_prob`, `value`, `visits`, `tokens`. Beside tokens stands
    `token_mask`, which is 1 only where the agent itself wrote.
    """

    actions: Any
    memory: Memory = None
    fields: Mapping[str, np.ndarray] = field(default_factory=dict)


class Agent(ABC):
    """Chooses for a whole batch at once.

    Every agent is built as `cls(observation_space, action_space, **options)` from the *single* spaces of
    its environment; `options` are plain data. `spec` says how to build it again elsewhere.
    """

    shares_memory: bool = False
    """Whether it keeps one memory a game, rather than one for each seat that it holds there.

    Right where nothing is hidden from a seat, as in a board game."""

    @abstractmethod
    def act(
        self, obs: Obs, *, rng: np.ndarray, first: np.ndarray, memory: Memory = None, explore: bool = True
    ) -> Decision:
        """Decide for `n` rows.

        `rng` is a uint64 generator a row, advanced in place (see `envs.rng`); `first` (bool `[n]`) marks rows
        that begin an episode, whose memory starts anew (`memory` itself is only read); `explore=False` asks
        for the best known action.
        """

    def weights(self) -> dict[str, np.ndarray]:
        """The small part that acts (network, normaliser, exploration rate), as numpy arrays by name."""
        return {}

    def load_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        """Take over what `weights` gave, here or in another process."""

    def spec(self) -> dict[str, Any]:
        """`{"path": "package.module:Class", "options": {...}}`: how a worker builds this agent."""
        return {"path": f"{type(self).__module__}:{type(self).__qualname__}", "options": {}}


class Learner(Agent):
    """An agent that improves from rollouts.

    `actor` collects: it is the learner's own `policy`, or the expert that it imitates. `wants` says how to
    collect: `{"steps": 128}`, or `{"episodes": 512, "group_size": 16}`. As an agent, a learner is its policy.
    """

    actor: Agent
    progress: float = 0.0
    """Share of the budget that is spent, in [0, 1]; the loop sets it before `learn` (for schedules)."""
    wants: dict[str, Any]
    plays_itself: bool = False
    """Whether it learns from games in which it holds every seat, so that its environment needs several."""

    @property
    def policy(self) -> Agent:
        """Who gets better: evaluations measure it, and checkpoints keep it."""
        return self.actor

    @abstractmethod
    def learn(self, rollout: Rollout) -> Metrics:
        """Improve from one rollout whose `rewards` are set; returns what to log, by name."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Everything that later updates depend on: nested dicts of arrays, numbers, strings and Segments."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Put back what `state_dict` gave (`ValueError` with a reason where it does not fit)."""

    def act(
        self, obs: Obs, *, rng: np.ndarray, first: np.ndarray, memory: Memory = None, explore: bool = True
    ) -> Decision:
        return self.policy.act(obs, rng=rng, first=first, memory=memory, explore=explore)

    def weights(self) -> dict[str, np.ndarray]:
        return self.policy.weights()

    def load_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        self.policy.load_weights(weights)
