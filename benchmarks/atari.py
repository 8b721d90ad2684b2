"""Atari through `envs.make` against ale-py's bare vector environment: 16 games, random actions.

Both play the same game in turns, so that the machine's moods fall on both; the medians are compared.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator

import numpy as np
from ale_py.vector_env import AtariVectorEnv
from gymnasium.vector import AutoresetMode

import envs
from benchmarks.report import Row, main
from envs.atari import games

ENV = "ALE/Breakout-v5"
GAMES, STEPS, REPETITIONS = 16, 15, 100
REACH = 0.95


def seconds(step: Callable[[np.ndarray], object], actions: np.ndarray) -> float:
    """How long one pass over `actions` (int `[steps, games]`) takes."""
    start = time.perf_counter()
    for row in actions:
        step(row)
    return time.perf_counter() - start


def rows() -> Iterator[Row]:
    """One row; a step of one game is 4 frames."""
    ours = envs.make(ENV, n=GAMES, seed=0)
    bare = AtariVectorEnv(games()[ENV], GAMES, autoreset_mode=AutoresetMode.SAME_STEP, reward_clipping=False)
    bare.reset(seed=0)
    steps = {"ours": ours.step, "bare": bare.step}
    times: dict[str, list[float]] = {name: [] for name in steps}
    rng = np.random.default_rng(0)
    choices = len(bare.ale.get_action_set())
    for repetition in range(REPETITIONS + 1):
        actions = rng.integers(0, choices, (STEPS, GAMES))
        for name in sorted(steps, reverse=bool(repetition % 2)):
            spent = seconds(steps[name], actions)
            if repetition:  # the first round warms up
                times[name].append(spent)
    rate = {name: STEPS * GAMES / statistics.median(spent) for name, spent in times.items()}
    yield Row(f"Atari Breakout, {GAMES} games", "bare AtariVectorEnv", rate["ours"], rate["bare"], REACH)


if __name__ == "__main__":
    main(rows, __doc__)
