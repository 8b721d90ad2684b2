"""How far from perfect a player of connect four is: how many of its moves lose value under perfect play.

The six classes of positions, and the measure, are those of AlphaZero.jl's benchmark (J. Laurent, 2021): a
move is a mistake where it turns a won game into a draw or a loss, or a drawn one into a loss. How fast it
wins, or how long it holds out, does not count.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from envs.base import FORFEIT
from envs.board import load
from envs.board.batch import observe_states
from envs.board.game import TURN_SHIFT
from envs.rng import from_seeds
from rollouts.agent import Agent
from search.perfect.connect_four import ILLEGAL
from search.perfect.positions import CLASSES, Positions

ALL = "all"
LOST = -1
"""The score of giving up: as of any loss, only its sign counts."""
BATCH = 256
"""Positions that a player is asked about at once."""
Z = 1.959964
"""Of the normal distribution, 95 % lie within ± this many standard deviations."""


@dataclass(frozen=True)
class Row:
    """One class of positions (`all`: all of them), and what a player did there."""

    name: str
    positions: int
    mistakes: int

    @property
    def rate(self) -> float:
        """Share of moves that lose value."""
        return self.mistakes / self.positions

    @property
    def interval(self) -> tuple[float, float]:
        """Its 95 % interval (Wilson, 1927)."""
        return wilson_interval(self.mistakes, self.positions)


Report = Callable[[int, int], None]
"""Told how many positions of how many are done."""


def scorecard(
    agent: Agent, positions: Positions, seed: int = 0, report: Report = lambda done, of: None
) -> list[Row]:
    """A row a class of `CLASSES` in which there are positions, and one over all.

    The agent plays its best move in each position, without a memory of others. Each has a generator of its
    own, named by `seed` and its place. Giving up loses. Raises `ValueError` for an illegal move.
    """
    mistaken = np.zeros(len(positions.mine), bool)
    for part, actions in moves_of(agent, positions, seed):
        scores = positions.scores[part]
        made = np.where(actions == FORFEIT, LOST, scores[np.arange(len(actions)), actions])
        if (made == ILLEGAL).any():
            slot = int(np.argmax(made == ILLEGAL))
            said = f"column {actions[slot] + 1} is full after {positions.moves[part][slot]}"
            raise ValueError(f"the player's move is not legal: {said}")
        mistaken[part] = np.sign(made) < np.sign(scores.max(axis=1))
        report(part.start + len(made), len(mistaken))
    rows = [row(name, mistaken[positions.classes == k]) for k, name in enumerate(CLASSES)]
    return [one for one in [*rows, row(ALL, mistaken)] if one.positions]


def chance_rates(positions: Positions) -> dict[str, float]:
    """The rate of a player that draws any legal move, by class and over `all`, exactly.

    In a position it is the share of its legal moves that lose value.
    """
    scores = positions.scores
    legal = scores != ILLEGAL
    losing = legal & (np.sign(scores) < np.sign(scores.max(axis=1, keepdims=True)))
    rates = losing.sum(axis=1) / legal.sum(axis=1)
    of_class = {name: rates[positions.classes == k] for k, name in enumerate(CLASSES)}
    return {name: float(some.mean()) for name, some in {**of_class, ALL: rates}.items() if len(some)}


def moves_of(agent: Agent, positions: Positions, seed: int) -> Iterator[tuple[slice, np.ndarray]]:
    """The agent's moves, a batch at a time."""
    game = load("connect_four")
    states = as_states(positions)
    rng = from_seeds(np.random.SeedSequence(seed).generate_state(len(states), np.uint64))
    for start in range(0, len(states), BATCH):
        part = slice(start, start + BATCH)
        obs = observe_states(game, states[part])
        decision = agent.act(obs, rng=rng[part], first=np.ones(len(states[part]), bool), explore=False)
        yield part, np.asarray(decision.actions)


def row(name: str, mistaken: np.ndarray) -> Row:
    """The row of some moves, of which those `mistaken` lost value."""
    return Row(name, len(mistaken), int(mistaken.sum()))


def few(positions: Positions, each: int) -> Positions:
    """The first `each` positions of every class, always the same ones."""
    kept = np.concatenate([np.flatnonzero(positions.classes == k)[:each] for k in range(len(CLASSES))])
    return Positions(
        positions.mine[kept],
        positions.mask[kept],
        positions.classes[kept],
        tuple(positions.moves[k] for k in kept),
        positions.scores[kept],
    )


def as_states(positions: Positions) -> np.ndarray:
    """The positions as states of `envs.board.connect_four`, uint64 `[n, 3]`, whose bits lie the same way."""
    mine, theirs = positions.mine, positions.mine ^ positions.mask
    plies = np.bitwise_count(positions.mask).astype(np.uint64)
    seat = plies & np.uint64(1)
    first, second = np.where(seat == 0, mine, theirs), np.where(seat == 0, theirs, mine)
    return np.stack([plies | seat << TURN_SHIFT, first, second], axis=1)


def wilson_interval(count: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a share that was `count` out of `of`."""
    middle, spread = (
        count / of + Z**2 / (2 * of),
        Z * math.sqrt(count * (of - count) / of**3 + Z**2 / (4 * of**2)),
    )
    scale = 1 + Z**2 / of
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)
