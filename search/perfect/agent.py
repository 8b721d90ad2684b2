"""Who never loses value: plays by a solver's exact scores."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Annotated, Any

import numpy as np
from gymnasium import spaces
from pydantic import Field

from agents.legal import random_choices
from agents.options import checked
from envs.board.game import PLY_BITS, to_play
from envs.board.spaces import game_of
from envs.rng import uniform
from rollouts.agent import Agent, Decision, Memory, Obs
from search.perfect import tic_tac_toe
from search.perfect.bitboard import COLUMNS
from search.perfect.book import books, deepest_book
from search.perfect.connect_four import ILLEGAL, Solver
from search.perfect.openings import FILE, OUTCOMES, SCORES, STONES, Openings
from search.states import checked_states

Scores = Callable[[np.ndarray, bool], np.ndarray]
"""States, uint64 `[n, words]` -> the score of each move, int8 `[n, actions]`; `ILLEGAL` where it is none.

The second argument asks for exact scores; without, signs will do.
"""


class Perfect(Agent):
    """Plays any of the best moves, by lot, in tic-tac-toe and connect four.

    With `hurry` the best moves are those that win soonest or lose latest, else all that keep the outcome,
    which is quicker to tell; it begins to hurry at the ply `hurry_from`. In connect four the moves of the
    first eight plies take seconds to minutes each, but only once: what is found is kept in the user's cache
    (see `search.perfect.openings`).

    Decisions carry `scores` (int8 `[n, actions]`: above 0 for moves that win, below for moves that lose,
    where it hurries the further from 0 the sooner, and `ILLEGAL`) and `value` (float32 `[n]`: 1, 0 or −1).
    Raises `ValueError` for spaces of no board game, and of one that is not solved.
    """

    @checked
    def __init__(
        self,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        *,
        device: str = "cpu",
        hurry: bool = True,
        hurry_from: Annotated[int, Field(ge=0)] = 0,
    ) -> None:
        self.game = game = game_of(observation_space)
        if game.name not in SOLVED:
            raise ValueError(f"there is no perfect player of {game.title}, only of {' and '.join(SOLVED)}")
        self.hurry, self.hurry_from, self.scores = hurry, hurry_from, SOLVED[game.name]()

    def act(
        self, obs: Obs, *, rng: np.ndarray, first: np.ndarray, memory: Memory = None, explore: bool = True
    ) -> Decision:
        states = checked_states(self.game, obs["state"], rng)
        hurries = self.hurry & ((states[:, 0] & PLY_BITS) >= self.hurry_from)
        scores = np.zeros((len(states), self.game.actions), np.int8)
        for some, exact in ((hurries, True), (~hurries, False)):
            scores[some] = self.scores(states[some], exact)
        most = scores.max(axis=1)
        if (most == ILLEGAL).any():
            slot = (most == ILLEGAL).argmax()
            raise ValueError(f"slot {slot}: no position of {self.game.name}: no game leads there")
        width = scores.shape[1]
        actions = random_choices(uniform(rng, 1), [width], scores == most[:, None])[:, 0]
        return Decision(actions, fields={"scores": scores, "value": np.sign(most).astype(np.float32)})

    def spec(self) -> dict[str, Any]:
        options = {"hurry": self.hurry, "hurry_from": self.hurry_from}
        return {"path": "search.perfect.agent:Perfect", "options": options}


def connect_four_scores() -> Scores:
    """By the solver, and by what it found of openings before."""
    solver = Solver(book=deepest_book())
    openings = Openings(books() / FILE, solver)

    def scores(states: np.ndarray, exact: bool) -> np.ndarray:
        seats = np.array([to_play(state) for state in states], np.int64)
        mine, mask = states[np.arange(len(states)), 1 + seats], states[:, 1] | states[:, 2]
        early = (states[:, 0] & PLY_BITS) < STONES
        found = np.zeros((len(states), COLUMNS), np.int8)
        for i in np.flatnonzero(early):
            found[i] = openings.worth(SCORES if exact else OUTCOMES, mine[i], mask[i])
        solve = solver.scores if exact else solver.outcomes
        found[~early] = solve(mine[~early], mask[~early])
        return found

    return scores


def tic_tac_toe_scores() -> Scores:
    """By a table of the scores."""
    table = scores_by_row()

    def scores(states: np.ndarray, exact: bool) -> np.ndarray:
        first, second = ((states[:, k, None] >> np.arange(9, dtype=np.uint64)) & np.uint64(1) for k in (1, 2))
        boards = (first + np.uint64(2) * second).astype(np.int64)
        found = table[tic_tac_toe.index(np.minimum(boards, 2))]
        found[(boards > 2).any(axis=1)] = ILLEGAL  # two stones on a cell
        return found if exact else np.where(found == ILLEGAL, found, np.sign(found))

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


SOLVED: dict[str, Callable[[], Scores]] = {
    "tic_tac_toe": tic_tac_toe_scores,
    "connect_four": connect_four_scores,
}
