"""From a config to the objects of a run: environment, learner, reward, sampler. Also device and threads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import envs
from envs.base import BatchEnv
from move37.config import Config
from move37.errors import UserError
from move37.registry import agent_class
from rollouts.agent import Learner
from rollouts.fleet import Fleet
from rollouts.reward import Reward
from rollouts.sampler import Sampler


@dataclass
class Parts:
    """All that the loop turns."""

    learner: Learner
    reward: Reward
    sampler: Sampler | Fleet
    env: BatchEnv
    """The environment itself; with workers, one slot of it for a look at its spaces."""


def build(config: Config, where: str) -> Parts:
    """The objects that `config` names. Raises `UserError` that begins with `where` for what does not fit."""
    set_threads(config.threads)
    workers = config.sampler.workers
    env = make_env(config, 1 if workers else config.env.n, where)
    with told(f"{where}: agent"):
        kind: Any = agent_class(config.agent.kind)
        if not issubclass(kind, Learner):
            raise UserError(
                f"{where}: agent.kind: '{config.agent.kind}' does not learn, so it cannot be trained"
            )
        spaces = env.single_observation_space, env.single_action_space
        device = pick_device(config.device)
        learner = kind(*spaces, seed=config.seed, device=device, **config.agent.options)
    with told(where):
        reward = Reward(config.reward, env.parts)
        if not workers:
            return Parts(learner, reward, Sampler(env, seed=config.seed), env)
        _start_ray(config.cluster.address, workers)
        named = {"id": config.env.id, **config.env.options}
        return Parts(learner, reward, Fleet(named, n=config.env.n, workers=workers, seed=config.seed), env)


def make_env(config: Config, n: int, where: str, seed: int | None = None, **options: Any) -> BatchEnv:
    """`n` slots of the config's environment, `options` on top of its own (else `UserError`)."""
    with told(f"{where}: env"):
        return envs.make(config.env.id, n, seed, **{**config.env.options, **options})


def pick_device(device: str) -> str:
    """`auto` is the GPU where there is one. Raises `UserError` for a GPU that is not there."""
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda"):
        index = int(device.partition(":")[2] or 0)
        if index >= torch.cuda.device_count():
            raise UserError(
                f"device: {device} is not there ({torch.cuda.device_count()} GPUs are); try device=auto"
            )
    return device


def set_threads(threads: int | None = None) -> int:
    """Let torch and kernels, which take turns in this process, use `threads` CPU threads each (returned).

    None takes torch's default: `OMP_NUM_THREADS`, else a thread a core.
    """
    import numba
    import torch

    threads = threads or torch.get_num_threads()
    # numba first: its pool, when it starts, sets OpenMP's number of threads, which torch shares
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))  # type: ignore[attr-defined]
    torch.set_num_threads(threads)
    return threads


@contextmanager
def told(where: str) -> Iterator[None]:
    """What does not fit, as a `UserError` that begins with `where`."""
    try:
        yield
    except (ValueError, TypeError) as error:
        raise UserError(f"{where}: {' '.join(str(error).split())}") from error


def _start_ray(address: str, workers: int) -> None:
    """Join the cluster at `address`, or start one here with a core for every worker."""
    import logging

    import ray

    if ray.is_initialized():
        return
    if address != "none":
        ray.init(address=address, log_to_driver=False)
        return
    cores = max(workers, os.cpu_count() or 1)
    ray.init(num_cpus=cores, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
