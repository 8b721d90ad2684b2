"""Observation spaces of board games, which know their game."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector.utils import batch_space

from envs.board.game import Game

MOST = np.iinfo(np.uint64).max


class StateSpace(spaces.Box):
    """Raw states of one game, uint64 `[words]` (of a batch, `[n, words]`), from which a planner may start."""

    def __init__(self, game: Game, n: int | None = None) -> None:
        shape = (game.words,) if n is None else (n, game.words)
        super().__init__(0, MOST, shape, np.uint64)  # type: ignore[arg-type]
        self.game = game

    def sample(self, mask: Any = None, probability: Any = None) -> np.ndarray:
        """The first position: hardly any other words are a position at all."""
        return np.broadcast_to(self.game.new()[0], self.shape).copy()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, StateSpace):
            return False
        return self.shape == other.shape and _identity(self.game) == _identity(other.game)

    def __repr__(self) -> str:
        return f"StateSpace({self.game.name}, {self.shape})"


@batch_space.register(StateSpace)
def _batch_states(space: StateSpace, n: int = 1) -> StateSpace:
    return StateSpace(space.game, n)


def observation_space(game: Game) -> spaces.Dict:
    """What one slot of a board game shows: `planes`, `action_mask`, `to_play` and `state`."""
    yes_or_no: Any = np.bool_
    return spaces.Dict(
        planes=spaces.Box(0, 1, (*game.shape, len(game.planes)), yes_or_no),
        action_mask=spaces.Box(0, 1, (game.actions,), yes_or_no),
        to_play=spaces.Discrete(2),
        state=StateSpace(game),
    )


def game_of(space: spaces.Space) -> Game:
    """The game whose observations (or states) a space holds; `ValueError` where it is no board game's."""
    state = space.spaces.get("state") if isinstance(space, spaces.Dict) else space
    if not isinstance(state, StateSpace):
        raise ValueError(
            f"only board games can be played so, and these observations are no board game's: {space!s:.60}"
        )
    return state.game


def _identity(game: Game) -> tuple[Any, ...]:
    return game.name, dict(game.options)
