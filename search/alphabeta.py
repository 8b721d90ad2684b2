"""Alpha-beta to a fixed depth: sees every win and loss within it, and nothing beyond.

A position at the horizon is worth 0, an end of the game ±`SURE` less the plies that lead to it: the fastest
win is best, then the slowest loss. Scores are those of the player to move (negamax), and change their sign
where the mover changes.
"""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import numpy as np
from gymnasium import spaces
from pydantic import Field

from agents.options import checked
from agents.threads import share_out, workers_for
from envs.board.game import OPEN, Game, legal, outcome, play, to_play, value_of
from envs.board.spaces import game_of
from envs.kernels import kernel
from envs.rng import next_below
from rollouts.agent import Agent, Decision, Memory, Obs
from search.states import checked_states

SURE = 1 << 20
"""The score of a won game; more than any game has plies."""


class AlphaBeta(Agent):
    """Looks `depth` plies ahead, or to the end of the game, and plays one of the best moves by lot.

    Decisions carry `value` (float32 `[n]`): 1 or −1 where a win or a loss within `depth` plies is certain,
    else 0. Raises `ValueError` for spaces of no board game, `OptionError` for options out of range.
    """

    @checked
    def __init__(
        self,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        *,
        device: str = "cpu",
        depth: Annotated[int, Field(ge=1, le=1000)] = 5,
    ) -> None:
        self.game = game_of(observation_space)
        self.depth = min(depth, self.game.longest)
        self.order = centre_first(self.game)

    def act(
        self, obs: Obs, *, rng: np.ndarray, first: np.ndarray, memory: Memory = None, explore: bool = True
    ) -> Decision:
        actions, scores = self.search(obs["state"], rng)
        return Decision(actions, fields={"value": np.sign(scores).astype(np.float32)})

    def search(
        self, states: np.ndarray, rng: np.ndarray, depth: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The moves to play and their scores, int64 `[n]`, from `states` (uint64 `[n, words]`).

        Advances `rng` (uint64 `[n]`). Raises `ValueError` as `checked_states` does, for a game that is over
        too.
        """
        states = checked_states(self.game, states, rng)
        n, workers = len(states), workers_for(len(states))
        actions, scores = np.zeros(n, np.int64), np.zeros(n, np.int64)

        def work(w: int) -> None:
            search_share(
                self.game.code, self.order, depth or self.depth, states, rng, w, workers, actions, scores
            )

        share_out(work, workers)
        return actions, scores

    def score_moves(self, state: np.ndarray) -> np.ndarray:
        """What each move from `state` (uint64 `[words]`) is worth, int64 `[actions]`; 0 for illegal ones.

        Above 0 it wins within `depth` plies, below 0 it loses, the sooner the further from 0.
        """
        scores = np.zeros(self.game.actions, np.int64)
        score_all(self.game.code, self.order, self.depth, checked_states(self.game, state[None])[0], scores)
        return np.sign(scores) * np.maximum(np.abs(scores) - SURE + self.depth, 0)

    def line(self, state: np.ndarray, best: int, rng: np.ndarray, plies: int) -> list[int]:
        """`best`, and the moves that would follow as far as it sees, at most `plies` in all."""
        state, line = state.copy(), [best]
        play(self.game.code, state, best)
        while len(line) < min(plies, self.depth) and outcome(state) == OPEN:
            line.append(int(self.search(state[None], rng, self.depth - len(line))[0][0]))
            play(self.game.code, state, line[-1])
        return line

    def spec(self) -> dict[str, Any]:
        return {"path": "search.alphabeta:AlphaBeta", "options": {"depth": self.depth}}


def centre_first(game: Game) -> np.ndarray:
    """All actions, int64 `[actions]`, those in the middle of the board first: a good guess of what is best.

    Where there are fewer actions than cells, they are taken for columns, else for cells in their order, each
    as often as goes; what is over (a pass, a swap) comes last.
    """
    rows, columns = game.shape
    cells, actions = rows * columns, np.arange(game.actions)
    if game.actions < cells:
        distance = np.abs(actions - (game.actions - 1) / 2)
    else:
        row, column = np.divmod(actions // (game.actions // cells), columns)
        distance = np.hypot(row - (rows - 1) / 2, column - (columns - 1) / 2)
        distance[row == rows] = np.inf
    return np.argsort(distance, kind="stable")


class Line(NamedTuple):
    """A line of play from the root, a row a ply: arrays `[depth + 1]`, int64 unless said otherwise."""

    states: np.ndarray
    """uint64 `[depth + 1, words]`."""
    masks: np.ndarray
    """bool `[depth + 1, actions]`: what is legal."""
    low: np.ndarray
    """Scores up to here change nothing, for who moves at that ply."""
    high: np.ndarray
    """And from here on neither: the opponent will not let it come to that."""
    best: np.ndarray
    """The best score so far."""
    tried: np.ndarray
    """How many actions were tried, in the order of `centre_first`."""


@kernel
def new_line(depth, words, actions):  # type: ignore[no-untyped-def]
    """Room for a search."""
    return Line(
        np.empty((depth + 1, words), np.uint64),
        np.empty((depth + 1, actions), np.bool_),
        np.empty(depth + 1, np.int64),
        np.empty(depth + 1, np.int64),
        np.empty(depth + 1, np.int64),
        np.empty(depth + 1, np.int64),
    )


@kernel
def score_all(code, order, depth, state, scores):  # type: ignore[no-untyped-def]
    """Write the exact score of each legal move of a state."""
    line = new_line(depth, len(state), len(order))
    line.states[0] = state
    legal(code, line.states[0], line.masks[0])
    for action in order:
        if line.masks[0, action]:
            scores[action] = score_of(code, order, line, action, -SURE)


@kernel
def search_share(code, order, depth, states, rng, first, step, actions, scores):  # type: ignore[no-untyped-def]
    """Search from the states `first`, `first + step`, …; writes `actions` and `scores`."""
    line = new_line(depth, states.shape[1], len(order))
    for b in range(first, len(states), step):
        line.states[0] = states[b]
        actions[b], scores[b] = best_move(code, order, line, rng, b)


@kernel
def best_move(code, order, line, rng, b):  # type: ignore[no-untyped-def]
    """The move of highest score at the root, ties by lot, and that score."""
    best, best_score, ties = 0, -SURE, 0
    legal(code, line.states[0], line.masks[0])
    for action in order:
        if not line.masks[0, action]:
            continue
        score = score_of(code, order, line, action, best_score - 1)
        if score > best_score or ties == 0:
            best, best_score, ties = action, score, 1
        elif score == best_score:
            ties += 1
            if next_below(rng, b, ties) == 0:
                best = action
    return best, best_score


@kernel
def score_of(code, order, line, action, low):  # type: ignore[no-untyped-def]
    """What a move is worth at the root, for who makes it: exact above `low`, else a bound.

    (Not recursive: numba's cache breaks recursive kernels where types differ, its issue 6061.)
    """
    line.low[0], line.high[0], line.best[0] = low, SURE, -SURE
    level, known = 1, follow(code, line, 0, action)
    while level > 0:
        tried = line.tried[level]
        if known or tried == len(order) or line.best[level] >= line.high[level]:
            level, known = level - 1, False
            same = to_play(line.states[level]) == to_play(line.states[level + 1])
            score = line.best[level + 1] if same else -line.best[level + 1]
            line.best[level] = max(line.best[level], score)
            continue
        line.tried[level] += 1
        if line.masks[level, order[tried]]:
            known = follow(code, line, level, order[tried])
            level += 1
    return line.best[0]


@kernel
def follow(code, line, level, action):  # type: ignore[no-untyped-def]
    """Play an action, one ply down; whether that position's score is known (in `best`), or to be searched."""
    state, after = line.states[level], line.states[level + 1]
    after[:] = state
    play(code, after, action)
    if outcome(after) != OPEN:
        line.best[level + 1] = value_of(outcome(after), to_play(after)) * (SURE - level)
        return True
    if level + 2 == len(line.states):
        line.best[level + 1] = 0
        return True
    legal(code, after, line.masks[level + 1])
    low, high = max(line.low[level], line.best[level]), line.high[level]
    if to_play(after) != to_play(state):
        low, high = -high, -low
    line.low[level + 1], line.high[level + 1] = low, high
    line.best[level + 1], line.tried[level + 1] = -SURE, 0
    return False
