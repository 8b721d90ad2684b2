"""The gate: who learns must beat who plays, before it plays itself (Silver et al., 2017)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from gymnasium.spaces import Discrete
from pydantic import Field

from agents.options import Count, Options, Share
from envs.board.spaces import observation_space
from envs.board.vector import Board
from rollouts.agent import Metrics
from search.match import play_match
from search.planner import Planner
from search.tree import Simulations


class GateOptions(Options):
    """When a network that learned takes the place of the one that plays."""

    every: Count = 20_000
    """Positions of finished games between two matches."""
    pairs: Count = 40
    """Openings of a match, each played twice with colours swapped; AlphaGo Zero: 400 games."""
    random_plies: Annotated[int, Field(ge=0)] = 4
    score: Share = 0.55
    """What it must score; AlphaGo Zero: 55 %."""
    simulations: Simulations = 64


class Gate:
    """Plays matches between `champion`, the actor, and what it might become.

    `waited` are the positions since the last match, which the learner counts.
    """

    def __init__(self, options: GateOptions, champion: Planner, seed: int) -> None:
        self.options, self.champion, self.seed = options, champion, seed
        self.waited = self.matches = self.passed = 0

    def try_out(self, weights: Mapping[str, np.ndarray]) -> Metrics:
        """Where a match is due: who scores enough becomes the champion."""
        if self.waited < self.options.every:
            return {}
        self.waited = 0
        champion, challenger = self._fighter(self.champion.weights()), self._fighter(weights)
        seed = int(np.random.SeedSequence([self.seed, self.matches]).generate_state(1)[0])
        match = play_match(self._board(), challenger, champion, pairs=self.options.pairs, seed=seed)
        self.matches += 1
        if match.score >= self.options.score:
            self.passed += 1
            self.champion.load_weights(weights)
        return {"gate_score": match.score, "gate_passed": self.passed}

    def _board(self) -> Board:
        """Room for a whole match."""
        game, options = self.champion.game, self.options
        return Board(game.name, 2 * options.pairs, random_plies=options.random_plies, **game.options)

    def _fighter(self, weights: Mapping[str, np.ndarray]) -> Planner:
        """A planner of its own, so that nothing of a match is left in the champion."""
        game, spec = self.champion.game, self.champion.spec()
        options = spec["options"] | {
            "eval_simulations": self.options.simulations,
            "device": self.champion.device,
        }
        fighter = Planner(observation_space(game), Discrete(game.actions), **options)
        fighter.load_weights(weights)
        return fighter

    def get_state(self) -> dict[str, int]:
        return {"waited": self.waited, "matches": self.matches, "passed": self.passed}

    def set_state(self, state: Mapping[str, Any]) -> None:
        self.waited, self.matches, self.passed = (int(state[k]) for k in ("waited", "matches", "passed"))
