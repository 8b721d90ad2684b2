"""DQN end to end on arcade Breakout against Stable-Baselines3: equal networks (16 3×3 filters, 128 units).

* equal: 16 games here, one or 16 of MinAtar's through DummyVecEnv there; one batch of 32
  every 4 env steps.
* batched: the same number of items replayed for each env step, in batches of 512 from 64 games.
* floor: the bare target passes and updates of the same network, as many and as large, and nothing else.

Every replay is warm, and ε is 0.1.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

import envs
from agents.dqn import DQN
from agents.q_losses import item_loss, make_goals, take_action
from benchmarks.ppo import ENV, NETWORK, PEER, MinAtarBreakout, features
from benchmarks.race import Turn, race, training
from benchmarks.report import Row, main

RATIO = 8
WARM = 2_000
BATCHES = {"equal, batches of 32": 32, "batches of 512": 512}
REACH = {"equal, batches of 32": 2.0, "batches of 512": 5.0}


def stable_baselines(n: int, steps: int = 512) -> Turn:
    """Some env steps of Stable-Baselines3's DQN: `n` games, and a batch of 32 every 4 env steps."""
    from stable_baselines3 import DQN as Peer
    from stable_baselines3.common.vec_env import DummyVecEnv

    peer = Peer(
        "CnnPolicy",
        DummyVecEnv([MinAtarBreakout] * n),
        buffer_size=100_000,
        learning_starts=WARM,
        batch_size=32,
        train_freq=(4, "step") if n == 1 else (1, "step"),
        gradient_steps=max(1, n // 4),
        target_update_interval=8_000,
        exploration_initial_eps=0.1,
        exploration_final_eps=0.1,
        device="cpu",
        policy_kwargs=features(),
    )
    peer.learn(WARM)

    def turn() -> int:
        peer.learn(steps, reset_num_timesteps=False)
        return steps

    return turn


def end_to_end(n: int, batch_size: int, collect_steps: int) -> Turn:
    """One rollout and its updates of ours."""
    env = envs.make(ENV, n=n, seed=0)
    learner = DQN(
        env.single_observation_space,
        env.single_action_space,
        batch_size=batch_size,
        collect_steps=collect_steps,
        replay_ratio=RATIO,
        learning_starts=WARM,
        epsilon={"start": 0.1, "end": 0.1},
        network=NETWORK,
    )
    turn = training(env, learner)
    while learner.env_steps < WARM:
        turn()
    return turn


def floor(batch_size: int) -> Turn:
    """A bare target pass and update, on tensors that lie ready, counted as the env steps that call for it."""
    env = envs.make(ENV, n=1, seed=0)
    learner = DQN(env.single_observation_space, env.single_action_space, network=NETWORK)
    obs = torch.rand(batch_size, 10, 10, 4) < 0.1
    actions, ones = torch.zeros(batch_size, dtype=torch.int64), torch.ones(batch_size)

    def turn() -> int:
        with torch.inference_mode():
            following = take_action(learner.target(obs), actions)
            goals = make_goals(following, learner.target.support, ones, ones)
        losses, _ = item_loss(take_action(learner.online(obs), actions), goals.clone())
        learner.optimiser.zero_grad()
        losses.mean().backward()
        learner.optimiser.step()
        return batch_size // RATIO

    return turn


def rows() -> Iterator[Row]:
    """Our speed at the batches of the peer and at larger ones, against the peer and the floor."""
    peers = {f"{PEER}, {n} game{'s'[: n - 1]}": stable_baselines(n) for n in (1, 16)}
    turns = dict(peers)
    turns |= {
        "equal, batches of 32": end_to_end(16, 32, collect_steps=4),
        "batches of 512": end_to_end(64, 512, collect_steps=1),
    }
    turns |= {f"{name}, floor": floor(size) for name, size in BATCHES.items()}
    rate = race(turns)
    for name in BATCHES:
        for peer, reach in zip(peers, (REACH[name], None)):
            yield Row(f"DQN, {name}", peer, rate[name], rate[peer], reach)
        yield Row(f"DQN, {name}", "its floor", rate[name], rate[f"{name}, floor"])


if __name__ == "__main__":
    main(rows, __doc__)
