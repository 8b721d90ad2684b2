"""An agent that plays a recorded rollout again."""

from __future__ import annotations

from typing import Any

import numpy as np

from rollouts.agent import Agent, Decision, Memory
from rollouts.rollout import Rollout


class Playback(Agent):
    """Repeats a rollout's actions, slot by slot: on the same environment with the same seeds, the same games.

    It must be asked about as many slots as the rollout has, from its first row on.
    """

    def __init__(self, rollout: Rollout):
        self.rollout = rollout

    def act(
        self, obs: Any, *, rng: np.ndarray, first: np.ndarray, memory: Memory = None, explore: bool = True
    ) -> Decision:
        if memory is None:
            if len(first) != self.rollout.shape[1]:
                raise ValueError(f"the rollout has {self.rollout.shape[1]} slots, not {len(first)}")
            memory = {"time": np.zeros(len(first), np.int64), "slot": np.arange(len(first))}
        time, slot = memory["time"], memory["slot"]
        actions = self.rollout.actions
        if isinstance(actions, dict):
            chosen: Any = {k: v[time, slot] for k, v in actions.items()}
        else:
            chosen = actions[time, slot]
        if isinstance(chosen, np.ndarray) and chosen.dtype == object:
            chosen = tuple(chosen)
        return Decision(chosen, {"time": time + 1, "slot": slot})
