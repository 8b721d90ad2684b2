"""How good an agent is: whole fresh episodes, their mean return, and how sure we are of it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from envs.base import BatchEnv
from envs.text.batch import TextBatch
from move37.samples import samples_of
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
    (a share, with its `success_interval`) where the environment knows it. Text tasks also give `parts` (the
    mean of each), `skills` (where there are several: by family and level `episodes`, `success`, `interval`)
    and `samples` (see `move37.samples`), and `invalid`: the share of episodes whose verifier failed, which
    are in no other number. An episode counts as it stands after `LONGEST` steps.

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
    invalid = np.asarray(ended["error"]) > 0 if "error" in ended else np.zeros(len(order), bool)
    ended = {name: column[~invalid] for name, column in ended.items()}
    returns = ended["return"].astype(np.float64)
    low, high = bootstrap_interval([returns], mean) if len(returns) else (np.nan, np.nan)
    out = {
        "mean_return": float(returns.mean()) if len(returns) else np.nan,
        "interval": [float(low), float(high)],
        "episodes": len(returns),
        "mean_length": float(np.mean(ended["length"])) if len(returns) else np.nan,
        "returns": returns.tolist(),
    }
    if env.seats > 1:
        out["self_play"] = True
    if "error" in ended:
        out["invalid"] = float(invalid.mean())
    if "success" in ended and len(returns):
        out |= share("success", "success_interval", ended["success"].sum(), len(returns))
    if isinstance(env, TextBatch):
        out |= {"parts": parts_of(ended, env), "skills": skills_of(ended, env)}
        out["samples"] = samples_of(rollout, env)
    return out


def parts_of(ended: Mapping[str, np.ndarray], env: BatchEnv) -> dict[str, float]:
    """The mean of each part that `env` tells over episodes that ended, `success` and skills aside."""
    names = [name for name in env.parts if name not in ("success", "error") and "/" not in name]
    return {name: float(np.mean(ended[name])) for name in names if len(ended[name])}


def skills_of(ended: Mapping[str, np.ndarray], env: BatchEnv) -> dict[str, dict[str, Any]]:
    """By family and level, where there are several that were tried: how many, and the share of successes."""
    tried = {n.partition("/")[2]: int(ended[n].sum()) for n in env.parts if n.startswith("tried/")}
    return {
        label: {"episodes": of} | share("success", "interval", ended[f"success/{label}"].sum(), of)
        for label, of in tried.items()
        if of
    }


def share(name: str, interval: str, count: float, of: int) -> dict[str, Any]:
    """The share that `count` is of a number, and its 95 % interval (Wilson, 1927), by these names."""
    from search.scorecard import wilson_interval  # of a floor that most runs need nothing of

    return {name: float(count) / of, interval: list(wilson_interval(round(float(count)), of))}
