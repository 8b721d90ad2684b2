"""An agent that plays a recorded rollout again."""

from __future__ import annotations

from typing import Any

import numpy as np

from rollouts.agent import Agent, Decision, Memory
from rollouts.rollout import Rollout


class Playback(Agent):
    """Repeats a rollout's actions, slot by slot: on the same environment with the same seeds, the same games.

    It must be asked about the slots that play in the rollout's first row, from that row on.
    """

    def __init__(self, rollout: Rollout):
        self.rollout = rollout

    def act(
        self, obs: Any, *, rng: np.ndarray, first: np.ndarray, memory: Memory = None, explore: bool = True
    ) -> Decision:
        if memory is None:
            slots = np.flatnonzero(self.rollout.valid[0])
            if len(first) != len(slots):
                raise ValueError(f"the rollout begins with {len(slots)} slots, not {len(first)}")
            memory = {"time": np.zeros(len(slots), np.int64), "slot": slots}
        time, slot = memory["time"], memory["slot"]
        actions = self.rollout.actions
        if isinstance(actions, dict):
            chosen: Any = {k: v[time, slot] for k, v in actions.items()}
        else:
            chosen = actions[time, slot]
        if isinstance(chosen, np.ndarray) and chosen.dtype == object:
            chosen = tuple(chosen)
        return Decision(chosen, {"time": time + 1, "slot": slot})
