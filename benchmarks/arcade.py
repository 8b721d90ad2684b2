"""The arcade games against pgx (on the CPU) and MinAtar: steps a second with observations, random actions.

    python -m benchmarks.arcade [--games Breakout ...] [--n 1024] [--json]

All play the minimal actions with sticky actions and start ended games again. They take turns, so that the
machine's moods fall on all, and the best turn of each counts. pgx is jitted and vmapped, is given its random
keys for free, and is waited for once a turn. MinAtar plays one game at a time, as it can.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import time
from collections.abc import Callable

import numpy as np

import envs
from envs.arcade import GAMES

STEPS, TURNS = 100, 12
MINATAR_STEPS = 3_000
REACH = 8.0
Turn = Callable[[], int]
"""Plays for a while; returns how many steps of a game that were."""


def ours(name: str, n: int) -> Turn:
    """A turn of ours: `STEPS` steps of `n` games."""
    env = envs.make(f"arcade/{name}-v1", n=n, seed=0)
    actions = np.random.default_rng(0).integers(env.single_action_space.n, size=(STEPS, n))  # type: ignore[attr-defined]

    def turn() -> int:
        for row in actions:
            env.step(row)
        return STEPS * n

    return turn


def pgx(name: str, n: int) -> Turn:
    """The same of pgx."""
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    import jax
    import pgx as suite
    from pgx.experimental import auto_reset

    env = suite.make(f"minatar-{GAMES[name]}")
    step = jax.jit(jax.vmap(auto_reset(env.step, env.init)))
    keys = jax.random.split(jax.random.PRNGKey(0), (STEPS + 1, n))
    actions = jax.random.randint(jax.random.PRNGKey(1), (STEPS, n), 0, env.num_actions)
    state = jax.jit(jax.vmap(env.init))(keys[-1])
    rows = list(zip(actions, keys[:-1]))
    jax.block_until_ready(rows)

    def turn() -> int:
        nonlocal state
        for action, key in rows:
            state = step(state, action, key)
        jax.block_until_ready(state)
        return STEPS * n

    return turn


def minatar(name: str) -> Turn:
    """A turn of MinAtar itself: one game, with its picture after each step."""
    logging.disable(logging.WARNING)  # it warns that it cannot draw itself
    from minatar import Environment

    env = Environment(GAMES[name])
    env.seed(0)
    minimal = env.minimal_action_set()
    actions = [minimal[k] for k in np.random.default_rng(0).integers(len(minimal), size=MINATAR_STEPS)]

    def turn() -> int:
        for action in actions:
            _, over = env.act(action)
            if over:
                env.reset()
            env.state()
        return MINATAR_STEPS

    return turn


def compare(name: str, n: int) -> dict[str, float]:
    """Steps a second of each, best of `TURNS` turns, after one to warm up."""
    turns = {"ours": ours(name, n), "pgx": pgx(name, n), "minatar": minatar(name)}
    best = dict.fromkeys(turns, 0.0)
    for k in range(TURNS + 1):
        for who, turn in turns.items():
            start = time.perf_counter()
            steps = turn()
            rate = steps / (time.perf_counter() - start)
            best[who] = max(best[who], rate) if k else 0.0
    return best


def main() -> None:
    """Print a table, or one JSON object, of all games."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--games", nargs="+", choices=GAMES, default=list(GAMES))
    parser.add_argument("--n", type=int, default=1024, help="games at once")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    results = {name: compare(name, given.n) for name in given.games}
    if given.json:
        print(json.dumps({"n": given.n, "steps_per_second": results}))
        return
    print(f"million steps/s, n={given.n}; reach: ≥ {REACH:.0f}× pgx")
    print(f"{'':14}{'ours':>9}{'pgx':>9}{'minatar':>9}{'× pgx':>9}{'× minatar':>11}")
    for name, rate in results.items():
        millions = "".join(f"{rate[who] / 1e6:9.3f}" for who in ("ours", "pgx", "minatar"))
        ratios = f"{rate['ours'] / rate['pgx']:9.1f}{rate['ours'] / rate['minatar']:11.0f}"
        print(f"{name:14}{millions}{ratios}")


if __name__ == "__main__":
    main()
