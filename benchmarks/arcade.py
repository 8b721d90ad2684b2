"""The arcade games against pgx (on the CPU) and MinAtar: steps a second with observations, random actions.

All play the minimal actions with sticky actions and start ended games again. They take turns, so that the
machine's moods fall on all, and the best turn of each counts. pgx is jitted and vmapped, is given its random
keys for free, and is waited for once a turn. MinAtar plays one game at a time, as it can.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import numpy as np

import envs
from benchmarks.race import Turn, speed
from benchmarks.report import Row, main
from envs.arcade import GAMES

N, STEPS, TURNS = 1024, 100, 12
MINATAR_STEPS = 3_000
REACH = 8.0


def ours(name: str) -> Turn:
    """A turn of ours: `STEPS` steps of `N` games."""
    env = envs.make(f"arcade/{name}-v1", n=N, seed=0)
    actions = np.random.default_rng(0).integers(env.single_action_space.n, size=(STEPS, N))  # type: ignore[attr-defined]

    def turn() -> int:
        for row in actions:
            env.step(row)
        return actions.size

    return turn


def pgx(name: str) -> Turn:
    """The same of pgx."""
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    import jax
    import pgx as suite
    from pgx.experimental import auto_reset

    env = suite.make(f"minatar-{GAMES[name]}")
    step = jax.jit(jax.vmap(auto_reset(env.step, env.init)))
    keys = jax.random.split(jax.random.PRNGKey(0), (STEPS + 1, N))
    actions = jax.random.randint(jax.random.PRNGKey(1), (STEPS, N), 0, env.num_actions)
    state = jax.jit(jax.vmap(env.init))(keys[-1])
    rows = list(zip(actions, keys[:-1]))
    jax.block_until_ready(rows)

    def turn() -> int:
        nonlocal state
        for action, key in rows:
            state = step(state, action, key)
        jax.block_until_ready(state)
        return STEPS * N

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


def compare(name: str) -> dict[str, float]:
    """Steps a second of each, best of `TURNS` turns, after one to warm up."""
    turns = {"ours": ours(name), "pgx": pgx(name), "MinAtar": minatar(name)}
    best = dict.fromkeys(turns, 0.0)
    for turn in turns.values():
        turn()
    for _ in range(TURNS):
        for who, turn in turns.items():
            best[who] = max(best[who], speed(turn))
    return best


def rows() -> Iterator[Row]:
    """Two rows a game."""
    for name in GAMES:
        rate = compare(name)
        for peer, reach in (("pgx", REACH), ("MinAtar", None)):
            yield Row(f"arcade {name}, {N} games", peer, rate["ours"], rate[peer], reach)


if __name__ == "__main__":
    main(rows, __doc__)
