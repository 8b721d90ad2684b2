"""PPO from pixels, end to end: Atari Breakout, the network of Mnih et al. (2015), 8 games of 128 steps.

4 epochs of 4 minibatches, in fp32 (channels last) and in bf16, against Stable-Baselines3's PPO at the same
sizes with its own Atari wrappers, and against what CleanRL's ppo_atari.py reaches on 2 cores of this kind.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

import envs
from agents.ppo import PPO
from benchmarks.ppo import PEER, floor, gflops
from benchmarks.race import Turn, product, race, training
from benchmarks.report import Row, main

GAME, GAMES, STEPS = "ALE/Breakout-v5", 8, 128
CLEANRL = 289.0
"""Steps a second of CleanRL's ppo_atari.py on 2 cores, measured once; it is not run here."""
REACH = {"fp32": 1.9, "bf16": 2.7}
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


OPTIONS: dict[str, Any] = {
    "n_steps": STEPS,
    "epochs": 4,
    "minibatch_size": GAMES * STEPS // 4,
    "clip": 0.1,
}


def ours(precision: str) -> Turn:
    """One rollout and its update of ours."""
    env = envs.make(GAME, n=GAMES, seed=0)
    spaces = env.single_observation_space, env.single_action_space
    return training(env, PPO(*spaces, **{**OPTIONS, "precision": precision}))


def stable_baselines() -> Turn:
    """The same of Stable-Baselines3."""
    import ale_py
    import gymnasium
    from stable_baselines3 import PPO as Peer
    from stable_baselines3.common.env_util import make_atari_env
    from stable_baselines3.common.vec_env import VecFrameStack

    gymnasium.register_envs(ale_py)
    env = VecFrameStack(make_atari_env("BreakoutNoFrameskip-v4", n_envs=GAMES, seed=0), 4)
    sizes: dict[str, Any] = {"n_steps": STEPS, "batch_size": GAMES * STEPS // 4, "n_epochs": 4}
    peer = Peer("CnnPolicy", env, clip_range=0.1, ent_coef=0.01, device="cpu", **sizes)

    def turn() -> int:
        peer.learn(GAMES * STEPS, reset_num_timesteps=False)
        return GAMES * STEPS

    return turn


def rows() -> Iterator[Row]:
    """Four rows a precision: the peers, the floor, and how near that is to what the machine can do."""
    turns = {PEER: stable_baselines()}
    for name, dtype in PRECISIONS.items():
        turns |= {name: ours(name), f"{name}, product": product(dtype)}
        turns[f"{name}, floor"] = floor(GAMES, {**OPTIONS, "precision": name}, GAME)
    rate = race(turns, rounds=4)
    for name in PRECISIONS:
        what, bare = f"PPO, Atari Breakout, {name}", f"{name}, floor"
        yield Row(what, PEER, rate[name], rate[PEER])
        yield Row(what, "CleanRL, measured before", rate[name], CLEANRL, REACH[name])
        yield Row(what, "its floor", rate[name], rate[bare])
        found = gflops(turns[bare], rate[bare], rate[f"{name}, product"])
        yield Row(f"{what}, floor", "matrix product", *found, unit="GFLOP/s")


if __name__ == "__main__":
    main(rows, __doc__)
