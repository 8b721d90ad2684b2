"""Matches of two agents: every opening is played twice, with colours swapped, and such a pair counts as one.

The two games of a pair share their opening, so they are not independent: the interval of the score is that of
a mean over pairs (as cutechess and fishtest count them). No opening comes twice, nor as a mirror image: it
would say nothing new. Games are played here and not by a `Sampler`, whose rollouts hold one agent's moves
alone, and no game that was over before its first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from envs.base import BatchEnv
from envs.board.game import DRAW, FIRST_WON, Game
from envs.board.spaces import game_of
from rollouts.agent import Agent
from rollouts.problems import seeds_from
from search.arena import SLOTS, Fixtures, Openings, Played, play_games
from search.openings import draw_openings

Z = 1.959964
"""95 % of a normal distribution lie within ± this many standard deviations."""


@dataclass(frozen=True)
class Match:
    """How a match went, from the first agent's view."""

    wins: int
    draws: int
    losses: int
    pairs: tuple[int, ...]
    """How many pairs came to 0, 1, 2, 3, 4 half points: LL, LD, DD or WL, WD, WW."""
    games: int
    """How many games were different ones, by opening and moves: the rest said nothing new."""

    @property
    def openings(self) -> int:
        """How many openings were played: all different; fewer than were asked for if there are no more."""
        return sum(self.pairs)

    @property
    def score(self) -> float:
        """Points a game, in [0, 1]; a draw is half a point."""
        return (self.wins + self.draws / 2) / (self.wins + self.draws + self.losses)

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the score; see `pair_interval`."""
        return pair_interval(self.pairs)

    def __str__(self) -> str:
        (low, high), total = self.interval, self.wins + self.draws + self.losses
        counts = f"{self.wins} won, {self.draws} drawn, {self.losses} lost"
        return f"{counts}: {self.score:.3f} [{low:.3f}, {high:.3f}]; {self.games} of {total} games differ"


def pair_interval(pairs: Sequence[int]) -> tuple[float, float]:
    """The 95 % interval of the score, in [0, 1], behind so many pairs with 0, 1, 2, 3 and 4 half points.

    It is the normal one for a mean over pairs, with one more LL and one more WW than there were: without them
    a clean sweep would pass for certain (after Agresti and Coull, 1998).
    """
    counts = np.array(pairs) + np.array([1, 0, 0, 0, 1])
    scores, total = np.arange(5) / 4, counts.sum()
    mean = (counts * scores).sum() / total
    variance = (counts * (scores - mean) ** 2).sum() / (total - 1)
    width = Z * math.sqrt(variance / total)
    return max(0.0, mean - width), min(1.0, mean + width)


def play_match(
    env: BatchEnv, a: Agent, b: Agent, *, pairs: int, seed: int = 0, explore: bool = False
) -> Match:
    """Play `pairs` openings of a board game, each twice with colours swapped, as many at once as `env` holds.

    Openings are what `env` begins with: make it with `random_plies`, for without them there is but one. All
    are different, by the game's symmetries too; where there are fewer, each is played once. They, and each
    game's own generator, follow from `seed`. Raises `ValueError` for no board game, and where there is no
    room for a pair.
    """
    game = game_of(env.single_observation_space)
    if env.num_envs < 2 or pairs < 1:
        raise ValueError(f"a match takes 2 slots and 1 pair at least, not {env.num_envs} and {pairs}")
    plies = env.random_plies  # type: ignore[attr-defined]
    openings = draw_openings(game, pairs, plies, seed)
    rng = seeds_from([seed, 1], 2 * len(openings)).astype(np.uint64)
    played = play_pairs(game, a, b, openings, rng, slots=env.num_envs, explore=explore)
    points = half_points(played.outcomes)
    losses, draws, wins = np.bincount(points, minlength=3).tolist()
    bins = np.bincount(points.reshape(-1, 2).sum(axis=1), minlength=5)
    lines = {(k // 2, line[line >= 0].tobytes()) for k, line in enumerate(played.moves)}
    return Match(wins, draws, losses, tuple(bins.tolist()), len(lines))


def play_pairs(
    game: Game,
    a: Agent,
    b: Agent,
    openings: Openings,
    rng: np.ndarray,
    *,
    slots: int = SLOTS,
    explore: bool = False,
) -> Played:
    """Two games from each of `k` openings: `a` has seat 0 in the even games, seat 1 in the odd ones.

    `rng` (uint64 `[2k]`) are the games' generators.
    """
    twice = np.repeat(np.arange(len(openings)), 2)
    players = np.stack([np.arange(len(twice)) % 2, 1 - np.arange(len(twice)) % 2], axis=1)
    fixtures = Fixtures(players, openings.take(twice), rng.copy())
    return play_games(game, [a, b], fixtures, slots=slots, explore=explore)


def half_points(outcomes: np.ndarray) -> np.ndarray:
    """Those of `a`, int64 `[2k]`, from the outcomes of `play_pairs`."""
    first = np.where(outcomes == DRAW, 1, np.where(outcomes == FIRST_WON, 2, 0))
    first[1::2] = 2 - first[1::2]
    return first
