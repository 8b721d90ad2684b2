"""Asks an agent to decide, and keeps what it remembers."""

from __future__ import annotations

from typing import Any

import numpy as np

from rollouts import tree
from rollouts.agent import Agent, Decision, Memory


class Seat:
    """One agent's place at all tables: its memory and whether it begins, a lane for each (slot, seat).

    An agent that `shares_memory` has one lane a slot, whichever seat it plays.
    """

    def __init__(self, n: int, seats: int, shared: bool = False):
        self.n, self.seats = n, 1 if shared else seats
        self.memory: Memory = None
        self.first = np.ones(n * self.seats, bool)

    def lanes(self, slots: np.ndarray, to_play: np.ndarray) -> np.ndarray:
        """The lane of each slot's seat to move (`to_play` is `[n]`, over all slots)."""
        return slots if self.seats == 1 else slots * self.seats + to_play[slots]

    def begin(self, slots: np.ndarray) -> None:
        """New episodes start in `slots`."""
        self.first.reshape(self.n, self.seats)[slots] = True

    def decide(
        self, agent: Agent, obs: Any, rng: np.ndarray, slots: np.ndarray, to_play: np.ndarray, explore: bool
    ) -> Decision:
        """Ask `agent` about `slots`; the decision's rows are those slots. Advances `rng` (`[n]`) there."""
        lanes = self.lanes(slots, to_play)
        if len(lanes) == len(self.first):  # every lane, in order: nothing to copy
            decision = agent.act(obs, rng=rng, first=self.first, memory=self.memory, explore=explore)
            self.memory = decision.memory
        else:
            states = rng[slots]
            decision = agent.act(
                tree.take(obs, slots),
                rng=states,
                first=self.first[lanes],
                memory=tree.take(self.memory, lanes),
                explore=explore,
            )
            rng[slots] = states
            if decision.memory is not None:
                if self.memory is None:
                    self.memory = tree.blank(decision.memory, len(self.first))
                old = tree.copy(self.memory)  # whoever holds it keeps it as it was
                self.memory = tree.put(old, lanes, decision.memory)
        self.first[lanes] = False
        return decision
