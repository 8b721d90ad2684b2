"""Atari through `envs.make` against ale-py's bare vector environment: 16 games, random actions.

    python -m benchmarks.atari [--json]

Both play the same game in turns, so that the machine's moods fall on both; the medians are compared.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

import numpy as np
from ale_py.vector_env import AtariVectorEnv
from gymnasium.vector import AutoresetMode

import envs
from envs.atari import games

GAMES, STEPS, REPETITIONS = 16, 15, 100
TARGET = 0.95


def seconds(step: Callable[[np.ndarray], object], actions: np.ndarray) -> float:
    """How long one pass over `actions` (int `[steps, games]`) takes."""
    start = time.perf_counter()
    for row in actions:
        step(row)
    return time.perf_counter() - start


def compare(id: str = "ALE/Breakout-v5") -> dict[str, float | str]:
    """Steps a second of both (a step of one game is 4 frames), and the ratio of the medians."""
    ours = envs.make(id, n=GAMES, seed=0)
    bare = AtariVectorEnv(games()[id], GAMES, autoreset_mode=AutoresetMode.SAME_STEP, reward_clipping=False)
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
    return {
        "env": id,
        "games": GAMES,
        "ours_steps_per_second": round(rate["ours"]),
        "bare_steps_per_second": round(rate["bare"]),
        "ratio": round(rate["ours"] / rate["bare"], 3),
        "target": TARGET,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    result = compare()
    if parser.parse_args().json:
        print(json.dumps(result))
    else:
        print(
            f"{result['env']}, {GAMES} games: {result['ours_steps_per_second']:,} steps/s through envs.make, "
            f"{result['bare_steps_per_second']:,} bare: {result['ratio']:.1%} (target {TARGET:.0%})"
        )


if __name__ == "__main__":
    main()
