"""How good an agent is: whole fresh episodes, their mean return, and how sure we are of it."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from envs.base import BatchEnv
from move37.stats import bootstrap_interval, mean
from rollouts.agent import Agent
from rollouts.sampler import Sampler

SEED = 1_000_003
"""Seed of evaluations, beside training and after: the same episodes each time."""
SLOTS = 128
"""Most environments that an evaluation steps at once."""
LONGEST = 100_000
"""Steps after which an episode is cut: some games neither are lost nor ever end."""


def slots_for(env: BatchEnv, episodes: int) -> int:
    """How many slots an evaluation steps at once, of an environment like `env`: whole games."""
    games = -(-min(episodes, SLOTS) // env.slots_per_game)
    return games * env.slots_per_game


def evaluate(
    agent: Agent, env: BatchEnv, *, episodes: int, explore: bool = False, seed: int = SEED
) -> dict[str, Any]:
    """Play `episodes` whole episodes, named by `seed`, and sum them up in plain numbers.

    Gives `mean_return` of the environment's own, raw rewards, its 95 % bootstrap `interval` [low, high],
    `episodes`, `returns` (a list, one an episode, in the order of their seeds), `mean_length`, and `success`
    (a share) where the environment knows it. An episode counts as it stands after `LONGEST` steps.

    Where a game has a slot for each agent, the number of episodes is rounded up to whole games. Where a game
    has several seats the agent holds them all (`self_play`), and returns are the first seat's.
    """
    sampler = Sampler(env, seed=seed, longest=LONGEST)
    together = env.slots_per_game
    episodes = -(-episodes // together) * together
    play = partial(sampler.collect, agent, explore=explore, keep_obs=False)
    rollout = play(episodes=episodes, group_size=together)
    order = np.argsort(rollout.ended["episode"])  # not that of finishing: so agents can be paired
    ended = {name: np.asarray(column)[order] for name, column in rollout.ended.items()}
    returns = ended["return"].astype(np.float64)
    low, high = bootstrap_interval([returns], mean)
    out = {
        "mean_return": float(returns.mean()),
        "interval": [float(low), float(high)],
        "episodes": len(returns),
        "mean_length": float(np.mean(ended["length"])),
        "returns": returns.tolist(),
    }
    if env.seats > 1:
        out["self_play"] = True
    if "success" in ended:
        out["success"] = float(np.mean(ended["success"]))
    return out
