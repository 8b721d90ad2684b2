"""PPO: seconds of training until the mean of the last 100 episodes is good, against Stable-Baselines3.

Each with its best settings: on CartPole Stable-Baselines3 has those of its zoo; on Breakout it plays MinAtar
with the schedule, the batch and the network of ours, which serve it better than its defaults. Seconds count
from the first step of training, after imports and kernels; the median over the seeds. Breakout takes the peer
many minutes, so it is run, with one seed, only where `--long` asks for it. A run of ours that does not
arrive counts as endless, one of the peer as the seconds after which it was stopped.
"""

from __future__ import annotations

import math
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

import envs
from agents.ppo import PPO
from benchmarks.ppo import NETWORK, PEER, MinAtarBreakout, features
from benchmarks.report import Row, main
from rollouts.reward import Reward
from rollouts.sampler import Sampler

FALLING = ("learning_rate", "clip_range")
"""Options of Stable-Baselines3's that fall to 0 over the budget."""


@dataclass(frozen=True)
class Task:
    """What is to be learned, how each learns it best, and what is asked for."""

    name: str
    env: str
    n: int
    target: float
    env_steps: int
    threads: int
    limit: float
    """Seconds after which a run is stopped."""
    options: dict[str, Any]
    peer: dict[str, Any]
    """Options of Stable-Baselines3's; those named in `FALLING` are starts."""
    seeds: int = 3
    asked: float | None = None
    """Seconds that ours may take."""
    reach: float | None = None
    """How many times sooner than the peer ours must be."""


CARTPOLE = Task(
    name="CartPole",
    env="CartPole-v1",
    n=32,
    target=475.0,
    env_steps=200_000,
    threads=1,
    limit=180.0,
    asked=5.0,
    options={
        "n_steps": 32,
        "epochs": 10,
        "minibatch_size": 1024,
        "lr": 5e-3,
        "gamma": 0.98,
        "gae_lambda": 0.8,
        "entropy_coef": 0.0,
    },
    peer={
        "policy": "MlpPolicy",
        "n_steps": 32,
        "batch_size": 256,
        "n_epochs": 20,
        "learning_rate": 1e-3,
        "gamma": 0.98,
        "gae_lambda": 0.8,
        "clip_range": 0.2,
    },
)
BREAKOUT = Task(
    name="arcade Breakout",
    env="arcade/Breakout-v1",
    n=128,
    target=40.0,
    env_steps=10_000_000,
    seeds=1,
    threads=2,
    limit=900.0,
    reach=6.0,
    options={
        "n_steps": 32,
        "epochs": 3,
        "minibatch_size": 1024,
        "lr": 2.5e-3,
        "entropy_coef": [0.03, 0.0],
        "network": NETWORK,
    },
    peer={
        "policy": "CnnPolicy",
        "n_steps": 256,
        "batch_size": 1024,
        "n_epochs": 3,
        "learning_rate": 2.5e-3,
        "ent_coef": 0.01,
    },
)


class Watch:
    """The mean of the last 100 episodes' returns, and the time since the start."""

    def __init__(self, task: Task) -> None:
        self.target, self.limit, self.start = task.target, task.limit, time.perf_counter()
        self.returns: deque[float] = deque(maxlen=100)
        self.stopped = 0.0
        """Seconds until the last look."""

    def add(self, returns: Iterable[float]) -> None:
        """Take in the returns of episodes that ended."""
        self.returns.extend(returns)
        self.stopped = time.perf_counter() - self.start

    @property
    def arrived(self) -> bool:
        """Is the target reached?"""
        return len(self.returns) == 100 and statistics.fmean(self.returns) >= self.target

    @property
    def over(self) -> bool:
        """Is there nothing more to wait for?"""
        return self.arrived or self.stopped > self.limit


def ours(task: Task, seed: int) -> Watch:
    """Train ours."""
    torch.set_num_threads(task.threads)
    env = envs.make(task.env, n=task.n, seed=seed)
    learner = PPO(env.single_observation_space, env.single_action_space, seed=seed, **task.options)
    Sampler(env, seed=seed + 1).collect(learner.actor, steps=1)  # compiles kernels, which later runs find
    sampler, reward = Sampler(env, seed=seed), Reward({"env": 1.0})
    watch, steps = Watch(task), 0
    while not watch.over and steps < task.env_steps:
        learner.progress = steps / task.env_steps
        rollout = sampler.collect(learner.actor, **learner.wants)
        reward(rollout)
        learner.learn(rollout)
        sampler.sync(learner)
        steps += rollout.decisions
        watch.add(rollout.ended["return"])
    return watch


def stable_baselines(task: Task, seed: int) -> Watch:
    """Train Stable-Baselines3's."""
    from stable_baselines3 import PPO as Peer
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.env_util import make_vec_env

    class Until(BaseCallback):
        def _on_training_start(self) -> None:
            self.watch = Watch(task)

        def _on_step(self) -> bool:
            self.watch.add(i["episode"]["r"] for i in self.locals["infos"] if "episode" in i)
            return not self.watch.over

    torch.set_num_threads(task.threads)
    options: dict[str, Any] = {k: _falling(v) if k in FALLING else v for k, v in task.peer.items()}
    if task.env == BREAKOUT.env:
        env = make_vec_env(MinAtarBreakout, 16, seed=seed)
        options["policy_kwargs"] = features()
    else:
        env = make_vec_env(task.env, 8, seed=seed)
    until = Until()
    Peer(env=env, device="cpu", seed=seed, **options).learn(task.env_steps, callback=until)
    return until.watch


def rows(tasks: Iterable[Task] = (CARTPOLE,)) -> Iterator[Row]:
    """A row or two a task."""
    for task in tasks:
        what = f"PPO, {task.name} to {task.target:.0f}"
        runs = [(ours(task, seed), stable_baselines(task, seed)) for seed in range(task.seeds)]
        mine = statistics.median(run.stopped if run.arrived else math.inf for run, _ in runs)
        yield Row(what, PEER, mine, statistics.median(run.stopped for _, run in runs), task.reach, "s")
        if task.asked is not None:
            yield Row(what, "asked for", mine, task.asked, 1.0, "s")


def _falling(start: float) -> Callable[[float], float]:
    return lambda left: left * start


if __name__ == "__main__":
    main(rows, __doc__)
