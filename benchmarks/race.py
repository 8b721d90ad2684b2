"""Fair timing of things that train: they take turns, at each number of threads, and the best turn counts."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import torch
from torch.utils.flop_counter import FlopCounterMode

from envs.base import BatchEnv
from rollouts.agent import Learner
from rollouts.reward import Reward
from rollouts.sampler import Sampler

Turn = Callable[[], int]
"""Works for a while; returns how many env steps that were."""
THREADS = (1, 2)


def training(env: BatchEnv, learner: Learner) -> Turn:
    """One rollout and its update, as the training loop does them."""
    sampler, reward = Sampler(env), Reward({"env": 1.0})

    def turn() -> int:
        rollout = sampler.collect(learner.actor, **learner.wants)
        reward(rollout)
        learner.learn(rollout)
        sampler.sync(learner)
        return rollout.decisions

    return turn


def product(dtype: torch.dtype, size: int = 1024) -> Turn:
    """A product of square matrices, whose "steps" are floating-point operations: what the machine can do."""
    left, right = torch.rand(size, size).to(dtype), torch.rand(size, size).to(dtype)

    def turn() -> int:
        torch.mm(left, right)
        return 2 * size**3

    return turn


def flops(turn: Turn) -> float:
    """Floating-point operations that a turn's products and convolutions make for each of its env steps."""
    with FlopCounterMode(display=False) as counter:
        steps = turn()
    return counter.get_total_flops() / steps


def race(turns: Mapping[str, Turn], rounds: int = 6, seconds: float = 1.0) -> dict[str, float]:
    """Env steps a second of each, at its best number of threads.

    Each plays for `seconds` or a little longer, then the next one, so that the machine's moods fall on all;
    that `rounds` times at each number of threads, after a warm-up. The best counts.
    """
    best = dict.fromkeys(turns, 0.0)
    for turn in turns.values():
        turn()
    for _ in range(rounds):
        for threads in THREADS:
            torch.set_num_threads(threads)
            for name, turn in turns.items():
                best[name] = max(best[name], speed(turn, seconds))
    return best


def speed(turn: Turn, seconds: float = 0.0) -> float:
    """Env steps a second of one turn, or of as many as take at least `seconds` together."""
    start, steps = time.perf_counter(), turn()
    while (spent := time.perf_counter() - start) < seconds:
        steps += turn()
    return steps / spent
