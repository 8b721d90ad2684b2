"""What a player thinks of a position, as far as it can tell: for people who play against it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np

from envs.base import FORFEIT
from envs.board.batch import observe_states
from envs.board.game import OPEN, Game, outcome, play
from rollouts.agent import Agent
from search.alphabeta import AlphaBeta
from search.tree import Tree, principal_line

PATIENCE = 2.0
"""Seconds after which a line is not followed further."""
TOLD = ("scores", "visits", "q", "prior")
"""What an agent's `Decision` may say of every move, `[n, actions]`, the most telling first."""


class GivesUp(ValueError):
    """An agent has no move for a position, and why."""


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

    Who searches with a tree has the line there. Alpha-beta finds it by searches that are each a ply
    shallower, and scores every move. Others are asked again after each move, while it takes no longer than
    `PATIENCE`. Advances `rng` (uint64 `[1]`). Raises `GivesUp` where it has no move.
    """
    thought = ask(agent, game, state, rng)
    moves, tree = thought.moves, getattr(agent, "tree", None)
    if isinstance(agent, AlphaBeta):
        moves = moves | {"scores": agent.score_moves(state)}
        line = agent.line(state, thought.best, rng, plies)
    elif isinstance(tree, Tree):
        line = principal_line(tree, thought.best, plies)
    else:
        line = play_on(agent, game, state, rng, thought.best, plies)
    return Thought(thought.best, thought.value, moves, tuple(line))


def play_on(agent: Agent, game: Game, state: np.ndarray, rng: np.ndarray, best: int, plies: int) -> list[int]:
    """`best`, and what the agent says after each move: `plies` in all, or fewer where that takes long.

    The line ends where the agent has no move, too.
    """
    state, line, begun = state.copy(), [best], time.monotonic()
    play(game.code, state, best)
    while len(line) < plies and outcome(state) == OPEN and time.monotonic() - begun < PATIENCE:
        try:
            line.append(ask(agent, game, state, rng).best)
        except GivesUp:
            break
        play(game.code, state, line[-1])
    return line


def ask(agent: Agent, game: Game, state: np.ndarray, rng: np.ndarray) -> Thought:
    """The same as `think` without a line."""
    obs = observe_states(game, state[None])
    decision = agent.act(obs, rng=rng, first=np.array([True]), explore=False)
    fields, best = decision.fields, int(decision.actions[0])
    if best == FORFEIT:
        raise GivesUp(str(fields["forfeit"][0]) if "forfeit" in fields else "it gave no move")
    value = float(fields["value"][0]) if "value" in fields else None
    moves = {name: np.asarray(fields[name][0]) for name in TOLD if name in fields}
    return Thought(best, value, moves)
