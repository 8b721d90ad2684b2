"""Who plays a network of RLlib's: built from plain options, without an `Algorithm` and without Ray."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from gymnasium import spaces

from agents.distributions import Distribution, Gaussian, make_distribution
from agents.legal import legal_mask, random_choices
from agents.networks import seeded, split_obs
from agents.options import checked
from agents.rllib.settings import Name, make_config, make_module
from agents.rllib.view import View
from envs.rng import normal, uniform
from rollouts.agent import Agent, Decision, Memory

STDS = (-20.0, 2.0)
"""Between these RLlib keeps the logarithm of a squashed normal's deviation (`ray.rllib.utils`)."""


class RLlibActor(Agent):
    """Plays as RLlib's env runners do, but draws from each row's own generator.

    DQN's plays its best legal action, and with probability `epsilon` (part of the weights) a random one;
    the others' draw from their policy. Continuous actions come in RLlib's range [-1, 1] and are stretched to
    the environment's bounds unless `normalize_actions` is false; SAC's best one is squashed as its drawn ones
    are (RLlib's own is not). `algorithm` and `config`: see
    `agents.rllib.learner.RLlib`, which raises the same errors.
    """

    @checked
    def __init__(
        self,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        *,
        seed: int = 0,
        device: str = "cpu",
        algorithm: Name = "PPO",
        config: Mapping[str, Any] | None = None,
    ) -> None:
        self.options: dict[str, Any] = {"algorithm": algorithm, "config": dict(config or {})}
        network = self.options["config"].get("model_config")
        self.filters = network.get("conv_filters") if isinstance(network, Mapping) else None
        self.view, self.action_space = View.of(observation_space, self.filters), action_space
        self.settings = make_config(algorithm, self.options["config"], self.view, action_space)
        self.device, self.epsilon = torch.device(device), 0.0
        self.distribution: Distribution = make_distribution(action_space)
        with seeded(seed):
            self.module: Any = make_module(self.settings, self.view, action_space).to(self.device)

    def act(
        self, obs: Any, *, rng: np.ndarray, first: np.ndarray, memory: Memory = None, explore: bool = True
    ) -> Decision:
        mask = legal_mask(split_obs(obs)[1], self.distribution.choices)
        if self.options["algorithm"] == "DQN":
            return Decision(self._by_value(self.outputs(obs), mask, rng, explore))
        described = self.described(obs)
        if isinstance(self.distribution, Gaussian):
            return Decision(self._continuous(described, rng, explore))
        choose = self.distribution
        return Decision((choose.sample(described, rng) if explore else choose.best(described))[0])

    def described(self, obs: Any) -> np.ndarray:
        """The parameters of the policy, as `agents.distributions` has them, float32 `[n, size]`."""
        return self.distribution.describe(torch.as_tensor(self.outputs(obs)), None).numpy()

    def outputs(self, obs: Any) -> np.ndarray:
        """What RLlib's module gives, float32: action values of DQN, else what its distribution is made of."""
        from ray.rllib.core.columns import Columns

        batch = {Columns.OBS: torch.as_tensor(self.view.batch(obs), device=self.device)}
        with torch.inference_mode():
            if self.options["algorithm"] == "DQN":
                return self.module.compute_q_values(batch)["qf_preds"].cpu().numpy()
            return self.module.forward_inference(batch)[Columns.ACTION_DIST_INPUTS].cpu().numpy()

    def _by_value(
        self, values: np.ndarray, mask: np.ndarray | None, rng: np.ndarray, explore: bool
    ) -> np.ndarray:
        best = values.argmax(-1)
        if not (explore and self.epsilon > 0):
            return best
        u = uniform(rng, 2)
        return np.where(
            u[:, 0] < self.epsilon, random_choices(u[:, 1:], self.distribution.choices, mask)[:, 0], best
        )

    def _continuous(self, params: np.ndarray, rng: np.ndarray, explore: bool) -> np.ndarray:
        mean, log_std = np.split(params, 2, axis=-1)
        squashed = self.options["algorithm"] == "SAC"
        z = normal(rng, mean.shape[-1]).astype(np.float32) if explore else np.zeros_like(mean)
        drawn = mean + z * np.exp(np.clip(log_std, *STDS) if squashed else log_std)
        actions = (np.tanh(drawn) if squashed else drawn).reshape(-1, *self.action_space.shape)  # type: ignore
        space: Any = self.action_space
        if self.settings.normalize_actions and space.is_bounded():
            actions = space.low + (actions + 1) * (space.high - space.low) / 2
        return np.clip(actions, space.low, space.high).astype(space.dtype)

    def weights(self) -> dict[str, np.ndarray]:
        state = self.module.get_state(inference_only=True)
        return {name: np.asarray(array) for name, array in state.items()} | {
            "epsilon": np.array(self.epsilon)
        }

    def load_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        """Raises `ValueError` where they are of another network."""
        arrays = dict(weights)
        check_arrays(arrays, self.weights())
        self.epsilon = float(arrays.pop("epsilon"))
        self.module.set_state({name: np.array(array) for name, array in arrays.items()})

    def spec(self) -> dict[str, Any]:
        return super().spec() | {"options": self.options}


def check_arrays(given: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """`ValueError` that names the first array which is not of this network."""
    for name in [*own, *given]:
        there, needed = (np.shape(x[name]) if name in x else None for x in (given, own))
        if there != needed:
            here = "missing" if there is None else there
            said = f"{name} is {here}, not {'part of this network' if needed is None else needed}"
            raise ValueError(f"the weights are of another architecture: {said}")
