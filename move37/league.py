"""A self-play league: who is in a run's pool of opponents, and how the learner is rated among them."""

from __future__ import annotations

from functools import partial

import numpy as np

from envs.base import BatchEnv
from envs.board.game import Game
from envs.board.spaces import game_of
from envs.options import OptionError
from envs.paths import is_import_path
from move37.config import Config, PoolConfig
from move37.errors import UserError
from move37.players import player
from rollouts.agent import Agent, Learner, Metrics
from rollouts.build import build_agent
from rollouts.pool import Pool
from search.ratings import Games, fit


def make_pool(wanted: PoolConfig, config: Config, env: BatchEnv, learner: Learner, device: str) -> Pool:
    """The pool that is `wanted` (`OptionError` that names the key, for what does not fit)."""
    game = _board_game(env, config.env.id)
    if learner.plays_itself:
        raise OptionError(
            "pool", f"{config.agent.kind} plays itself, by its search; a pool is for ppo and dqn"
        )
    if learner.actor is not learner.policy:
        raise OptionError("pool", f"{config.agent.kind} watches an expert play; a pool is for ppo and dqn")
    longest = config.env.n * game.longest
    if wanted.every is not None and wanted.every < longest:
        said = f"must be at least {longest:,}, by which all games in progress are over ({config.env.n} slots"
        raise OptionError("pool.every", f"{said} × {game.longest} moves), not {wanted.every}")
    spec = learner.policy.spec()
    if device != "cpu":
        spec = spec | {"options": spec.get("options", {}) | {"device": device}}
    new = partial(build_agent, spec, env.single_observation_space, env.single_action_space)
    options = wanted.model_dump(exclude={"self", "runs"})
    return Pool(new, itself=wanted.self, stay=[_member(name, game) for name in wanted.runs], **options)


def _board_game(env: BatchEnv, name: str) -> Game:
    try:
        game = game_of(env.single_observation_space)
    except ValueError:
        raise OptionError("pool", f"is for board games, and {name} is none") from None
    if env.seats == 1:
        raise OptionError("pool", f"{name} is one player's view of a game: there is no seat for opponents")
    return game


def _member(name: str, game: Game) -> Agent:
    """Who is named in `runs`: a run folder's last agent, or another player (the config's own code, too)."""
    try:
        return player(name, game, trust=is_import_path(name), match=True)
    except UserError as error:
        raise OptionError("pool.runs", str(error)) from error


def pool_metrics(pool: Pool) -> Metrics:
    """What a line of metrics tells of the pool, with `rating`."""
    return pool.metrics() | rating(pool)


def rating(pool: Pool) -> Metrics:
    """`pool/elo`: by how much the learner is above the mean of those whom it met, and its standard error.

    By its last games against each (see `rollouts.pool.RECENT`), as `search.ratings.fit` rates them.
    """
    met = [member for member in pool.members if not member.leaves and len(member.points)]
    if not met:
        return {}
    member = np.repeat(np.arange(1, len(met) + 1), [len(m.points) for m in met])
    first = np.concatenate([m.seats for m in met]) == 0
    points = np.concatenate([m.points for m in met]).astype(np.float64)
    games = Games(
        first=np.where(first, 0, member),
        second=np.where(first, member, 0),
        points=np.where(first, points, 1 - points),
        pair=np.full(len(points), -1),
    )
    found = fit(games, len(met) + 1, errors="games")
    above = 1 + 1 / len(met)  # ratings are about the mean of all, the learner's own among them
    return {"pool/elo": above * float(found.elo[0]), "pool/elo_error": above * float(found.error[0])}
