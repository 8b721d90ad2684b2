"""Who plays an action-value network: greedy, but for noise and a coin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from gymnasium import spaces

from agents.legal import legal_mask, random_choices
from agents.networks import from_arrays, resolve_network, seeded, split_obs, to_arrays
from agents.options import Precision, Share, checked
from agents.q_losses import best_actions
from agents.q_networks import QNetwork
from envs.rng import normal, uniform
from rollouts.agent import Agent, Decision, Memory


class QActor(Agent):
    """Plays the best action by its network, and with probability `epsilon` a random legal one.

    Each row throws its own coin and, where the network is `noisy`, draws its own noise, both from the row's
    generator. With `explore=False` the mean weights play, with `eval_epsilon` as the coin. `epsilon` is
    part of the weights. Raises `ValueError` for action spaces other than `Discrete`.
    """

    @checked
    def __init__(
        self,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        *,
        device: str = "cpu",
        network: Mapping[str, Any] | None = None,
        dueling: bool = False,
        distributional: bool | Mapping[str, Any] = False,
        noisy: bool = False,
        eval_epsilon: Share = 0.0,
        precision: Precision = "fp32",
        seed: int = 0,
    ) -> None:
        if not isinstance(action_space, spaces.Discrete):
            raise ValueError(f"DQN plays Discrete actions, not {action_space}; PPO plays these")
        self.start, self.actions = int(action_space.start), int(action_space.n)
        self.device, self.precision = torch.device(device), precision
        self.epsilon, self.eval_epsilon = 0.0, eval_epsilon
        self.options: dict[str, Any] = {
            "network": resolve_network(observation_space, network),
            "dueling": dueling,
            "distributional": distributional,
            "noisy": noisy,
        }
        with seeded(seed):
            self.network = QNetwork(observation_space, self.actions, **self.options).to(self.device)

    def act(
        self, obs: Any, *, rng: np.ndarray, first: np.ndarray, memory: Memory = None, explore: bool = True
    ) -> Decision:
        seen, mask = split_obs(obs)
        mask = legal_mask(mask, [self.actions])
        noise = self.noise(rng) if explore else None
        with torch.inference_mode():
            values = self.network.values(self.forward(self.tensor(seen), noise))
            best = best_actions(values, None if mask is None else self.tensor(mask))
        actions = best.cpu().numpy()
        epsilon = self.epsilon if explore else self.eval_epsilon
        if epsilon > 0:
            u = uniform(rng, 2)
            picks = random_choices(u[:, 1:], [self.actions], mask)[:, 0]
            actions = np.where(u[:, 0] < epsilon, picks, actions)
        return Decision(actions + self.start)

    def forward(
        self, seen: torch.Tensor, noise: torch.Tensor | None = None, network: QNetwork | None = None
    ) -> torch.Tensor:
        """What `network` (the actor's own by default) gives, at the actor's precision, as float32."""
        network = network or self.network
        if self.precision == "fp32":
            return network(seen, noise)
        with torch.autocast(self.device.type, torch.bfloat16):
            out = network(seen, noise)
        return out.float()

    def noise(self, rng: np.ndarray, draws: int = 1) -> torch.Tensor | None:
        """Noise for a forward pass: `draws` rows from each generator of `rng`; None in a plain network."""
        size = self.network.noise_size
        if not size:
            return None
        return self.tensor(normal(rng, draws * size).reshape(-1, size).astype(np.float32))

    def tensor(self, array: np.ndarray) -> torch.Tensor:
        """`array` on the actor's device."""
        return torch.as_tensor(array, device=self.device)

    def weights(self) -> dict[str, np.ndarray]:
        return to_arrays(self.network) | {"epsilon": np.array(self.epsilon)}

    def load_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        tensors = dict(weights)
        self.epsilon = float(tensors.pop("epsilon"))
        from_arrays(self.network, tensors)

    def spec(self) -> dict[str, Any]:
        more = {"eval_epsilon": self.eval_epsilon, "precision": self.precision}
        return super().spec() | {"options": self.options | more}
