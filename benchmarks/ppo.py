"""PPO end to end on arcade Breakout: against Stable-Baselines3, against its own floor, and at our settings.

* equal: 128-step rollouts, minibatch 256, 4 epochs, the same network (16 3×3 filters, 128 units) as
  Stable-Baselines3, which plays 16 games of MinAtar through DummyVecEnv; ours with 16 games and with 64.
* floor: the network's forward passes, updates and nothing else (no environment, no sampling, no advantages),
  the same number of each.
* ours: the settings of configs/train/ppo_breakout.yaml, and their own floor.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch

import envs
from agents.ppo import PPO, ppo_loss
from benchmarks.race import Turn, flops, product, race, training
from benchmarks.report import Row, main
from move37.config import load_config

CONFIG = Path(__file__).parent.parent / "configs" / "train" / "ppo_breakout.yaml"
ENV = "arcade/Breakout-v1"
NETWORK = {"kind": "grid", "channels": 16, "hidden": 128}
EQUAL = {"n_steps": 128, "minibatch_size": 256, "epochs": 4, "network": NETWORK}
VARIANTS: dict[str, dict[str, Any]] = {
    "3 epochs": {},
    "2 epochs": {"epochs": 2},
    "3 epochs in bf16": {"precision": "bf16"},
}
"""Our settings for Breakout; `docs/results.md` tells what each learns."""
REACH_PEER, REACH_FLOOR, ASKED, ASKED_OF = 1.6, 0.85, 30_000, "3 epochs"
PEER = "Stable-Baselines3"


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


def end_to_end(n: int, options: dict[str, Any]) -> Turn:
    """One rollout and its update of ours."""
    env = envs.make(ENV, n=n, seed=0)
    return training(env, PPO(env.single_observation_space, env.single_action_space, **options))


def floor(n: int, options: dict[str, Any], game: str = ENV) -> Turn:
    """The same network's bare forward passes (`n` at a time) and updates, on tensors that lie ready."""
    env = envs.make(game, n=n, seed=0)
    learner = PPO(env.single_observation_space, env.single_action_space, **options)
    shape = env.single_observation_space.shape or ()
    network, size, rows = learner.actor.network, options["minibatch_size"], options["n_steps"]
    optimiser = torch.optim.Adam(network.parameters(), fused=True)
    seen, obs = torch.rand(n, *shape), torch.rand(size, *shape)
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


def gflops(bare: Turn, rate: float, peak: float) -> tuple[float, float]:
    """What a floor computes a second and what a matrix product does, in GFLOP/s."""
    return flops(bare) * rate / 1e9, peak / 1e9


def rows() -> Iterator[Row]:
    """Our speed at equal settings and at our own, against the peer, the floor and what is asked for."""
    config = load_config(CONFIG)
    n, ours = config.env.n, config.agent.options
    settings = {"equal, 16 games": (16, EQUAL), "equal, 64 games": (64, EQUAL)}
    settings |= {f"{CONFIG.name}, {name}": (n, {**ours, **more}) for name, more in VARIANTS.items()}
    turns = {PEER: stable_baselines(16), "product": product(torch.float32)}
    for name, (slots, options) in settings.items():
        turns |= {name: end_to_end(slots, options), f"{name}, floor": floor(slots, options)}
    rate = race(turns)
    for name in settings:
        reach = {PEER: REACH_PEER, "floor": REACH_FLOOR} if name.startswith("equal") else {}
        yield Row(f"PPO, {name}", f"{PEER}, 16 games", rate[name], rate[PEER], reach.get(PEER))
        yield Row(f"PPO, {name}", "its floor", rate[name], rate[f"{name}, floor"], reach.get("floor"))
    bare = f"{CONFIG.name}, 3 epochs, floor"
    yield Row(
        f"PPO, {bare}", "matrix product", *gflops(turns[bare], rate[bare], rate["product"]), unit="GFLOP/s"
    )
    asked = f"{CONFIG.name}, {ASKED_OF}"
    yield Row(f"PPO, {asked}", "asked for", rate[asked], ASKED, 1.0)


if __name__ == "__main__":
    main(rows, __doc__)
