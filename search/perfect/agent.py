"""Who never loses value: plays by a solver's exact scores."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any

import numpy as np
from gymnasium import spaces

from agents.legal import random_choices
from agents.options import checked
from envs.board.game import to_play
from envs.board.spaces import game_of
from envs.rng import uniform
from rollouts.agent import Agent, Decision, Memory, Obs
from search.perfect import tic_tac_toe
from search.perfect.book import load_book
from search.perfect.connect_four import ILLEGAL, Solver

Scores = Callable[[np.ndarray], np.ndarray]
"""States, uint64 `[n, words]` -> the score of each move, int8 `[n, actions]`; `ILLEGAL` where it is none."""


class Perfect(Agent):
    """Plays any of the best moves, by lot, in tic-tac-toe and connect four.

    With `hurry` the best moves are those that win soonest or lose latest, else all that keep the outcome,
    which is quicker to tell. In connect four the first plies take long without an opening book in the user's
    cache (see `search.perfect.book`).

    Decisions carry `scores` (int8 `[n, actions]`: above 0 for moves that win, below for moves that lose, with
    `hurry` the further from 0 the sooner, and `ILLEGAL`) and `value` (float32 `[n]`: 1, 0 or −1). Raises
    `ValueError` for spaces of no board game, and of one that is not solved.
    """

    @checked
    def __init__(
        self,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        *,
        device: str = "cpu",
        hurry: bool = True,
    ) -> None:
        game = game_of(observation_space)
        if game.name not in SOLVED:
            raise ValueError(f"there is no perfect player of {game.title}, only of {' and '.join(SOLVED)}")
        self.hurry, self.scores = hurry, SOLVED[game.name](hurry)

    def act(
        self, obs: Obs, *, rng: np.ndarray, first: np.ndarray, memory: Memory = None, explore: bool = True
    ) -> Decision:
        scores = self.scores(obs["state"])
        most = scores.max(axis=1)
        width = scores.shape[1]
        actions = random_choices(uniform(rng, 1), [width], scores == most[:, None])[:, 0]
        return Decision(actions, fields={"scores": scores, "value": np.sign(most).astype(np.float32)})

    def spec(self) -> dict[str, Any]:
        return {"path": "search.perfect.agent:Perfect", "options": {"hurry": self.hurry}}


def connect_four_scores(hurry: bool) -> Scores:
    """By the solver, whose scores they are, or their signs."""
    book = None
    with suppress(FileNotFoundError):
        book = load_book()
    solver = Solver(book=book)

    def scores(states: np.ndarray) -> np.ndarray:
        seats = np.array([to_play(state) for state in states])
        words = states[np.arange(len(states)), 1 + seats], states[:, 1] | states[:, 2]
        return solver.scores(*words) if hurry else solver.outcomes(*words)

    return scores


def tic_tac_toe_scores(hurry: bool) -> Scores:
    """By a table of the scores, or of their signs."""
    table = scores_by_row()
    if not hurry:
        table = np.where(table == ILLEGAL, table, np.sign(table))

    def scores(states: np.ndarray) -> np.ndarray:
        first, second = ((states[:, k, None] >> np.arange(9, dtype=np.uint64)) & np.uint64(1) for k in (1, 2))
        boards = (first + np.uint64(2) * second).astype(np.int64)
        return table[tic_tac_toe.index(boards)]

    return scores


@cache
def scores_by_row() -> np.ndarray:
    """The score of each move of each board of tic-tac-toe, int8 `[19683, 9]`.

    It is one more than the cells left empty at the end: worked out from the last boards to the first.
    """
    table = tic_tac_toe.solve()
    boards = np.arange(len(table.value))[:, None] // tic_tac_toe.WEIGHTS % 3
    stones = (boards > 0).sum(axis=1)
    score = table.value * (10 - stones)
    moves = np.full(boards.shape, ILLEGAL, np.int8)
    for count in range(8, -1, -1):
        rows = np.flatnonzero(table.reachable & ~table.over & (stones == count))
        for cell in range(9):
            free = rows[boards[rows, cell] == 0]
            moves[free, cell] = -score[free + (1 + count % 2) * tic_tac_toe.WEIGHTS[cell]]
        score[rows] = moves[rows].max(axis=1)
    return moves


SOLVED: dict[str, Callable[[bool], Scores]] = {
    "tic_tac_toe": tic_tac_toe_scores,
    "connect_four": connect_four_scores,
}
