"""PPO end to end on arcade Breakout: against Stable-Baselines3, against its own floor, and at our settings.

    python -m benchmarks.ppo [--turns 6] [--precision bf16] [--json]

* equal: 128-step rollouts, minibatch 256, 4 epochs, the same network (16 3×3 filters, 128 units) as
  Stable-Baselines3, which plays 16 games of MinAtar through DummyVecEnv; ours with 16 games and with 64.
* floor: the network's forward passes, updates and nothing else (no environment, no sampling, no advantages),
  the same number of each.
* ours: settings that learn Breakout best, and their own floor.

All take turns, each with one thread and with two, so that the machine's moods fall on all; the best turn
counts.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import torch

import envs
from agents.ppo import PPO, ppo_loss
from rollouts.reward import Reward
from rollouts.sampler import Sampler

ENV = "arcade/Breakout-v1"
NETWORK = {"kind": "grid", "channels": 16, "hidden": 128}
EQUAL = {"n_steps": 128, "minibatch_size": 256, "epochs": 4, "network": NETWORK}
OURS = {"n_steps": 128, "minibatch_size": 1024, "epochs": 3, "network": NETWORK}
REACH_PEER, REACH_FLOOR, REACH_OURS = 1.6, 0.85, 30_000
Turn = Callable[[], int]
"""Trains for a while; returns how many env steps that were."""


class MinAtarBreakout(gym.Env):
    """MinAtar's own Breakout as Stable-Baselines3 wants it: float `[C, H, W]`, the minimal actions."""

    def __init__(self) -> None:
        from minatar import Environment

        self.game = Environment("breakout")
        self.actions = self.game.minimal_action_set()
        self.action_space = gym.spaces.Discrete(len(self.actions))
        self.observation_space = gym.spaces.Box(0.0, 1.0, (4, 10, 10), np.float32)

    def _obs(self) -> np.ndarray:
        return self.game.state().transpose(2, 0, 1).astype(np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        if seed is not None:
            self.game.seed(seed)
        self.game.reset()
        return self._obs(), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        reward, over = self.game.act(self.actions[action])
        return self._obs(), float(reward), bool(over), False, {}


def features() -> dict[str, Any]:
    """Stable-Baselines3's `policy_kwargs` for our network."""
    from stable_baselines3.common.torch_layers import BaseFeaturesExtractor

    class Features(BaseFeaturesExtractor):
        def __init__(self, space: gym.spaces.Box) -> None:
            super().__init__(space, 128)
            layers = [torch.nn.Conv2d(4, 16, 3), torch.nn.ReLU(), torch.nn.Flatten()]
            self.layers = torch.nn.Sequential(*layers, torch.nn.Linear(1024, 128), torch.nn.ReLU())

        def forward(self, obs: torch.Tensor) -> torch.Tensor:
            return self.layers(obs)

    return {"features_extractor_class": Features, "net_arch": [], "normalize_images": False}


def stable_baselines(n: int) -> Turn:
    """One rollout and its update of Stable-Baselines3."""
    from stable_baselines3 import PPO as Peer
    from stable_baselines3.common.vec_env import DummyVecEnv

    sizes: dict[str, Any] = {"n_steps": 128, "batch_size": 256, "n_epochs": 4}
    games = DummyVecEnv([MinAtarBreakout] * n)
    peer = Peer("CnnPolicy", games, device="cpu", policy_kwargs=features(), **sizes)

    def turn() -> int:
        peer.learn(128 * n, reset_num_timesteps=False)
        return 128 * n

    return turn


def end_to_end(n: int, **options: Any) -> Turn:
    """One rollout and its update of ours, as the training loop does it."""
    env = envs.make(ENV, n=n, seed=0)
    learner = PPO(env.single_observation_space, env.single_action_space, **options)
    sampler, reward = Sampler(env), Reward({"env": 1.0})

    def turn() -> int:
        rollout = sampler.collect(learner.actor, **learner.wants)
        reward(rollout)
        learner.learn(rollout)
        sampler.sync(learner)
        return rollout.valid.size

    return turn


def floor(n: int, **options: Any) -> Turn:
    """The same network's bare forward passes (`n` at a time) and updates, on tensors that lie ready."""
    env = envs.make(ENV, n=n, seed=0)
    learner = PPO(env.single_observation_space, env.single_action_space, **options)
    network, size, rows = learner.actor.network, options["minibatch_size"], options["n_steps"]
    optimiser = torch.optim.Adam(network.parameters(), fused=True)
    seen, obs = torch.rand(n, 10, 10, 4), torch.rand(size, 10, 10, 4)
    actions, numbers = torch.zeros(size, dtype=torch.int64), torch.rand(4, size)
    settings = {"entropy_coef": 0.01, **learner.loss_options}

    def turn() -> int:
        with torch.inference_mode():
            for _ in range(rows):
                learner.actor.forward(seen)
        for _ in range(options["epochs"] * n * rows // size):
            params, value = learner.actor.forward(obs)
            log_prob, entropy = learner.actor.distribution.evaluate(params, actions, None)
            loss, _ = ppo_loss(log_prob, entropy, value, numbers, **settings)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        return rows * n

    return turn


def race(turns: dict[str, Turn], rounds: int, seconds: float = 1.0) -> dict[str, dict[int, float]]:
    """Env steps a second of each by threads: the best of `rounds` of at least `seconds`, after a warm-up."""
    best: dict[str, dict[int, float]] = {name: {1: 0.0, 2: 0.0} for name in turns}
    for turn in turns.values():
        turn()
    for _ in range(rounds):
        for threads in (1, 2):
            torch.set_num_threads(threads)
            for name, turn in turns.items():
                best[name][threads] = max(best[name][threads], speed(turn, seconds))
    return best


def speed(turn: Turn, seconds: float) -> float:
    """Env steps a second of turns that take at least `seconds` together."""
    start, steps = time.perf_counter(), 0
    while (spent := time.perf_counter() - start) < seconds:
        steps += turn()
    return steps / spent


def main() -> None:
    """Print a table, or one JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=6, help="turns of each; the best counts")
    parser.add_argument("--n", type=int, default=128, help="games at once, at our settings")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32", help="at our settings")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    ours = {**OURS, "precision": given.precision}
    turns = {
        "Stable-Baselines3, 16 games": stable_baselines(16),
        "equal, 16 games": end_to_end(16, **EQUAL),
        "equal, 16 games, floor": floor(16, **EQUAL),
        "equal, 64 games": end_to_end(64, **EQUAL),
        "equal, 64 games, floor": floor(64, **EQUAL),
        "ours": end_to_end(given.n, **ours),
        "ours, floor": floor(given.n, **ours),
    }
    by_threads = race(turns, given.turns)
    best = {name: max(rates.values()) for name, rates in by_threads.items()}
    peer = best["Stable-Baselines3, 16 games"]
    mine = ("equal, 16 games", "equal, 64 games", "ours")
    ratios = {f"{name}, × Stable-Baselines3": best[name] / peer for name in mine}
    ratios |= {f"{name}, share of its floor": best[name] / best[f"{name}, floor"] for name in mine}
    if given.json:
        print(json.dumps({"steps_per_second": by_threads, "ratios": ratios}))
        return
    print(f"{'env steps/s':40}{'1 thread':>12}{'2 threads':>12}")
    for name, rates in by_threads.items():
        print(f"{name:40}{rates[1]:12,.0f}{rates[2]:12,.0f}")
    print(
        f"\nreach: equal ≥ {REACH_PEER}× and ≥ {REACH_FLOOR:.0%} of the floor; ours ≥ {REACH_OURS:,} steps/s"
    )
    for name, ratio in ratios.items():
        print(f"{name:40}{ratio:12.2f}")


if __name__ == "__main__":
    main()
