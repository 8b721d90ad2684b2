"""What a player thinks of a position, as far as it can tell: for people who play against it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from envs.board.batch import observe_states
from envs.board.game import OPEN, Game, outcome, play
from rollouts.agent import Agent

TOLD = ("scores", "visits", "q", "prior")
"""What an agent's `Decision` may say of every move, `[n, actions]`, the most telling first."""


@dataclass(frozen=True)
class Thought:
    """Of one position; arrays are `[actions]`, by names of `TOLD`, and only those that are known."""

    best: int
    value: float | None = None
    """What the player to move can expect, in [−1, 1]."""
    moves: dict[str, np.ndarray] = field(default_factory=dict)
    line: tuple[int, ...] = ()
    """The moves that both would play from here: the principal line, the best move first."""


def think(agent: Agent, game: Game, state: np.ndarray, rng: np.ndarray, plies: int = 5) -> Thought:
    """What `agent` thinks of an open position, uint64 `[words]`, and `plies` plies of how it would go on.

    The line is played out by asking the agent again after each of its moves. Advances `rng` (uint64 `[1]`).
    """
    thought = ask(agent, game, state, rng)
    state, line = state.copy(), [thought.best]
    play(game.code, state, thought.best)
    while len(line) < plies and outcome(state) == OPEN:
        line.append(ask(agent, game, state, rng).best)
        play(game.code, state, line[-1])
    return Thought(thought.best, thought.value, thought.moves, tuple(line))


def ask(agent: Agent, game: Game, state: np.ndarray, rng: np.ndarray) -> Thought:
    """The same without a line."""
    obs = observe_states(game, state[None])
    decision = agent.act(obs, rng=rng, first=np.array([True]), explore=False)
    fields = decision.fields
    value = float(fields["value"][0]) if "value" in fields else None
    moves = {name: np.asarray(fields[name][0]) for name in TOLD if name in fields}
    return Thought(int(decision.actions[0]), value, moves)
