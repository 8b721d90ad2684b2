"""PPO from pixels, end to end: Atari Breakout, the network of Mnih et al. (2015), 8 games of 128 steps.

4 epochs of 4 minibatches, in fp32 (channels last) and in bf16, against Stable-Baselines3's PPO at the same
sizes with its own Atari wrappers, and against what CleanRL's ppo_atari.py reaches on 2 cores of this kind.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import envs
from agents.ppo import PPO
from benchmarks.ppo import PEER
from benchmarks.race import Turn, race, training
from benchmarks.report import Row, main

GAMES, STEPS = 8, 128
CLEANRL = 289.0
"""Steps a second of CleanRL's ppo_atari.py on 2 cores, measured once; it is not run here."""
REACH = {"fp32": 1.9, "bf16": 2.7}


def ours(precision: str) -> Turn:
    """One rollout and its update of ours."""
    env = envs.make("ALE/Breakout-v5", n=GAMES, seed=0)
    options: dict[str, Any] = {
        "n_steps": STEPS,
        "epochs": 4,
        "minibatch_size": GAMES * STEPS // 4,
        "clip": 0.1,
    }
    spaces = env.single_observation_space, env.single_action_space
    return training(env, PPO(*spaces, precision=precision, **options))


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
    """Two rows a precision."""
    rate = race({PEER: stable_baselines(), **{name: ours(name) for name in REACH}}, rounds=4)
    for name, reach in REACH.items():
        what = f"PPO, Atari Breakout, {name}"
        yield Row(what, PEER, rate[name], rate[PEER])
        yield Row(what, "CleanRL, measured before", rate[name], CLEANRL, reach)


if __name__ == "__main__":
    main(rows, __doc__)
