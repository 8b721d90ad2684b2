"""PPO: seconds of training until the mean of the last 100 episodes is good, against Stable-Baselines3.

    python -m benchmarks.ppo_learning [--task cartpole breakout] [--seeds 3] [--limit 1800] [--json]

Each with its best settings: on CartPole Stable-Baselines3 has those of its zoo; on Breakout it plays MinAtar
with the schedule, the batch and the network of ours, which serve it better than its defaults. Seconds count
from the first step of training, after imports and kernels. A run that is not there after `--limit` seconds
has not arrived.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

import envs
from agents.ppo import PPO
from benchmarks.ppo import NETWORK, MinAtarBreakout, features
from rollouts.reward import Reward
from rollouts.sampler import Sampler


@dataclass(frozen=True)
class Task:
    """What is to be learned, and how ours learns it best."""

    env: str
    n: int
    target: float
    steps: int
    threads: int
    options: dict[str, Any]


TASKS = {
    "cartpole": Task(
        "CartPole-v1",
        32,
        475.0,
        200_000,
        1,
        {
            "n_steps": 32,
            "epochs": 10,
            "minibatch_size": 1024,
            "lr": 5e-3,
            "gamma": 0.98,
            "gae_lambda": 0.8,
            "entropy_coef": 0.0,
        },
    ),
    "breakout": Task(
        "arcade/Breakout-v1",
        128,
        40.0,
        10_000_000,
        2,
        {
            "n_steps": 128,
            "epochs": 3,
            "minibatch_size": 1024,
            "lr": 2.5e-3,
            "entropy_coef": [0.03, 0.0],
            "network": NETWORK,
        },
    ),
}
Runner = Callable[[Task, int, float], float | None]
"""Trains on a task from a seed; seconds until the target, or None beyond the limit."""


class Watch:
    """The mean of the last 100 episodes' returns, and the time since the start."""

    def __init__(self, target: float, limit: float) -> None:
        self.target, self.limit, self.start = target, limit, time.perf_counter()
        self.returns: deque[float] = deque(maxlen=100)

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.start

    @property
    def arrived(self) -> bool:
        return len(self.returns) == 100 and float(np.mean(self.returns)) >= self.target

    @property
    def over(self) -> bool:
        return self.arrived or self.seconds > self.limit


def ours(task: Task, seed: int, limit: float) -> float | None:
    """Seconds that ours takes."""
    torch.set_num_threads(task.threads)
    env = envs.make(task.env, n=task.n, seed=seed)
    learner = PPO(env.single_observation_space, env.single_action_space, seed=seed, **task.options)
    Sampler(env, seed=seed + 1).collect(learner.actor, steps=1)  # compiles kernels, which later runs find
    sampler, reward = Sampler(env, seed=seed), Reward({"env": 1.0})
    watch, steps = Watch(task.target, limit), 0
    while not watch.over and steps < task.steps:
        learner.progress = steps / task.steps
        rollout = sampler.collect(learner.actor, **learner.wants)
        reward(rollout)
        learner.learn(rollout)
        sampler.sync(learner)
        steps += rollout.valid.size
        watch.returns.extend(rollout.ended["return"])
    return watch.seconds if watch.arrived else None


def stable_baselines(task: Task, seed: int, limit: float) -> float | None:
    """Seconds that Stable-Baselines3 takes."""
    from stable_baselines3 import PPO as Peer
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.env_util import make_vec_env

    def falling(start: float) -> Callable[[float], float]:
        return lambda left: left * start

    class Until(BaseCallback):
        def _on_training_start(self) -> None:
            self.watch = Watch(task.target, limit)

        def _on_step(self) -> bool:
            self.watch.returns.extend(i["episode"]["r"] for i in self.locals["infos"] if "episode" in i)
            return not self.watch.over

    torch.set_num_threads(1)
    common: dict[str, Any] = {"device": "cpu", "seed": seed, "gae_lambda": 0.95}
    if task.env == "CartPole-v1":
        common |= {"n_steps": 32, "batch_size": 256, "gae_lambda": 0.8, "gamma": 0.98, "n_epochs": 20}
        peer = Peer("MlpPolicy", make_vec_env(task.env, 8), learning_rate=falling(1e-3),
                    clip_range=falling(0.2), **common)  # fmt: skip
    else:
        torch.set_num_threads(2)
        common |= {"n_steps": 1024, "batch_size": 1024, "n_epochs": 3, "ent_coef": 0.01}
        peer = Peer("CnnPolicy", make_vec_env(MinAtarBreakout, 16), learning_rate=falling(2.5e-3),
                    policy_kwargs=features(), **common)  # fmt: skip
    until = Until()
    peer.learn(task.steps, callback=until)
    return until.watch.seconds if until.watch.arrived else None


def main() -> None:
    """Print a table, or one JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--task", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--limit", type=float, default=1800, help="seconds a run may take")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    runners: dict[str, Runner] = {"move37": ours, "Stable-Baselines3": stable_baselines}
    results: dict[str, dict[str, list[float | None]]] = {}
    for name in given.task:
        results[name] = {who: [] for who in runners}
        for seed in range(given.seeds):
            for who, run in runners.items():
                results[name][who].append(run(TASKS[name], seed, given.limit))
    if given.json:
        print(json.dumps({"seconds": results, "limit": given.limit}))
        return
    for name, seconds in results.items():
        print(f"{name}: seconds until {TASKS[name].target:.0f}, a seed each")
        for who, each in seconds.items():
            told = "".join(f"{'—' if s is None else f'{s:.1f}':>10}" for s in each)
            print(
                f"  {who:20}{told}   median {np.median([given.limit if s is None else s for s in each]):.1f}"
            )


if __name__ == "__main__":
    main()
