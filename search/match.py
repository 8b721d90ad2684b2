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
from envs.board.game import Game
from envs.board.spaces import game_of
from envs.board.symmetry import canonical
from rollouts.agent import Agent
from rollouts.problems import seeds_from
from rollouts.sampler import Seat

Z = 1.959964
"""95 % of a normal distribution lie within ± this many standard deviations."""
DRAWN = 256
"""Openings that are drawn from one seed."""
FRUITLESS = 10_000
"""After so many draws in a row that give nothing new, all openings are taken to be found."""


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
    room = env.num_envs // 2
    if room < 1 or pairs < 1:
        raise ValueError(f"a match takes 2 slots and 1 pair at least, not {env.num_envs} and {pairs}")
    seeds = draw_openings(env, game, pairs, seed)
    rng = seeds_from([seed, 1], 2 * len(seeds)).astype(np.uint64)
    points, games = [], set[bytes]()
    for k in range(0, len(seeds), room):
        at_once = slice(k, k + room), slice(2 * k, 2 * (k + room))
        won, states, moves = play_pairs(env, a, b, seeds[at_once[0]], rng[at_once[1]], explore)
        points.append(won)
        games |= {state.tobytes() + line[line >= 0].tobytes() for state, line in zip(states, moves)}
    half_points = np.concatenate(points)
    losses, draws, wins = np.bincount(half_points, minlength=3).tolist()
    bins = np.bincount(half_points.reshape(-1, 2).sum(axis=1), minlength=5)
    return Match(wins, draws, losses, tuple(bins.tolist()), len(games))


def draw_openings(env: BatchEnv, game: Game, pairs: int, seed: int) -> np.ndarray:
    """Seeds, int64 `[k]`, with which `env` begins `pairs` different openings, or all there seem to be."""
    found, fruitless, k = dict[bytes, int](), 0, 0
    while len(found) < pairs and fruitless < FRUITLESS:
        seeds = seeds_from([seed, 0, k], DRAWN)
        for name, one in zip(names_of(env, game, seeds), seeds.tolist()):
            fruitless = fruitless + 1 if name in found else 0
            found.setdefault(name, one)
        k += 1
    return np.array(list(found.values())[:pairs])


def names_of(env: BatchEnv, game: Game, seeds: np.ndarray) -> list[bytes]:
    """What is `canonical` of the openings that these seeds begin."""
    names, n = list[bytes](), env.num_envs
    for k in range(0, len(seeds), n):
        obs, _ = env.reset(seed=np.resize(seeds[k : k + n], n).tolist())
        names += canonical(game, obs)
    return names[: len(seeds)]


def play_pairs(
    env: BatchEnv, a: Agent, b: Agent, seeds: np.ndarray, rng: np.ndarray, explore: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two games from each opening (seeds, int64 `[k]`): `a` has seat 0 in the even games, seat 1 in others.

    `rng` (uint64 `[2k]`) are the games' generators. Gives, for each game, the half points of `a` (int64
    `[2k]`), the opening (uint64 `[2k, words]`) and the moves (int64 `[2k, plies]`; −1 after the end).
    """
    count, slots = len(rng), np.arange(env.num_envs)
    live, seat = slots < count, slots % 2
    rng = np.resize(rng, env.num_envs)
    obs, _ = env.reset(seed=np.resize(np.repeat(seeds, 2), env.num_envs).tolist())
    openings = obs["state"].copy()
    half_points, moves = np.zeros(env.num_envs, np.int64), []
    chairs = Seat(env.num_envs, 2), Seat(env.num_envs, 2)
    while live.any():
        actions, to_play = np.full(env.num_envs, -1), obs["to_play"]
        for agent, chair, turn in zip((a, b), chairs, (to_play == seat, to_play != seat)):
            asked = np.flatnonzero(live & turn)
            if len(asked):
                actions[asked] = chair.decide(agent, obs, rng, asked, to_play, explore).actions
        moves.append(actions)
        obs, _, ended, _, info = env.step(actions, where=live)  # type: ignore[call-arg]
        rewards = info["seat_rewards"][slots, seat].astype(np.int64)
        half_points += np.where(ended & live, 1 + rewards, 0)
        live = live & ~ended
    return half_points[:count], openings[:count], np.stack(moves, axis=1)[:count]
