"""DQN end to end on arcade Breakout against Stable-Baselines3: equal networks (16 3×3 filters, 128 units).

    python -m benchmarks.dqn [--turns 6] [--json]

* equal: 16 games here, 16 of MinAtar's through DummyVecEnv there; one batch of 32 every 4 env steps.
* batched: the same number of items replayed for each env step, in batches of 512 from 64 games.
* floor: the bare target passes and updates of the same network, as many and as large, and nothing else.

All take turns, each with one thread and with two, so that the machine's moods fall on all; the best turn
counts. Every replay is warm, and ε is 0.1.
"""

from __future__ import annotations

import argparse
import json

import gymnasium as gym
import torch

import envs
from agents.dqn import DQN
from agents.q_losses import item_loss, make_goals, take_action
from benchmarks.ppo import ENV, NETWORK, MinAtarBreakout, Turn, race
from rollouts.reward import Reward
from rollouts.sampler import Sampler

RATIO = 8
WARM = 2_000
REACH_EQUAL, REACH_BATCHED = 2.0, 5.0


def stable_baselines(n: int, steps: int = 512) -> Turn:
    """Some env steps of Stable-Baselines3's DQN: `n` games, and a batch of 32 every 4 env steps."""
    from stable_baselines3 import DQN as Peer
    from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
    from stable_baselines3.common.vec_env import DummyVecEnv

    class Features(BaseFeaturesExtractor):
        def __init__(self, space: gym.spaces.Box) -> None:
            super().__init__(space, 128)
            layers = [torch.nn.Conv2d(4, 16, 3), torch.nn.ReLU(), torch.nn.Flatten()]
            self.layers = torch.nn.Sequential(*layers, torch.nn.Linear(1024, 128), torch.nn.ReLU())

        def forward(self, obs: torch.Tensor) -> torch.Tensor:
            return self.layers(obs)

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
        policy_kwargs={"features_extractor_class": Features, "net_arch": [], "normalize_images": False},
    )
    peer.learn(WARM)

    def turn() -> int:
        peer.learn(steps, reset_num_timesteps=False)
        return steps

    return turn


def end_to_end(n: int, batch_size: int, collect_steps: int) -> Turn:
    """One rollout and its updates of ours, as the training loop does it."""
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
    sampler, reward = Sampler(env), Reward({"env": 1.0})

    def turn() -> int:
        rollout = sampler.collect(learner.actor, **learner.wants)
        reward(rollout)
        learner.learn(rollout)
        sampler.sync(learner)
        return rollout.decisions

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


def main() -> None:
    """Print a table, or one JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=6, help="turns of each; the best counts")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    turns = {
        "Stable-Baselines3, 1 game": stable_baselines(1),
        "Stable-Baselines3, 16 games": stable_baselines(16),
        "equal: move37": end_to_end(16, 32, 4),
        "equal: floor": floor(32),
        "batched: move37": end_to_end(64, 512, 1),
        "batched: floor": floor(512),
    }
    by_threads = race(turns, given.turns)
    best = {name: max(rates.values()) for name, rates in by_threads.items()}
    peer = max(best["Stable-Baselines3, 1 game"], best["Stable-Baselines3, 16 games"])
    ratios = {
        "equal, × Stable-Baselines3": best["equal: move37"] / peer,
        "equal, share of the floor": best["equal: move37"] / best["equal: floor"],
        "batched, × Stable-Baselines3": best["batched: move37"] / peer,
        "batched, share of the floor": best["batched: move37"] / best["batched: floor"],
    }
    if given.json:
        print(json.dumps({"steps_per_second": by_threads, "ratios": ratios}))
        return
    print(f"{'env steps/s':30}{'1 thread':>12}{'2 threads':>12}")
    for name, rates in by_threads.items():
        print(f"{name:30}{rates[1]:12,.0f}{rates[2]:12,.0f}")
    print(f"\n(reach: equal ≥ {REACH_EQUAL}×, batched ≥ {REACH_BATCHED}×)")
    for name, ratio in ratios.items():
        print(f"{name:30}{ratio:12.2f}")


if __name__ == "__main__":
    main()
