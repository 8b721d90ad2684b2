"""A stochastic policy with a value: the network, and the actor that plays it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Annotated, Any

import numpy as np
import torch
from gymnasium import spaces
from pydantic import Field
from torch import nn

from agents.distributions import Gaussian, make_distribution
from agents.legal import legal_mask
from agents.networks import (
    from_arrays,
    make_encoder,
    orthogonal_,
    resolve_network,
    seeded,
    seen_space,
    split_obs,
    to_arrays,
)
from agents.options import OptionError, Precision, checked
from agents.recurrence import Recurrence, State, Story, read_memory, story_of, write_memory
from rollouts.agent import Agent, Decision, Memory
from rollouts.rollout import Rollout


class Normaliser(nn.Module):
    """Running mean and variance of vectors; `forward` standardises and clips to ±10."""

    mean: torch.Tensor
    var: torch.Tensor
    count: torch.Tensor

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(shape, dtype=torch.float64))
        self.register_buffer("var", torch.ones(shape, dtype=torch.float64))
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))

    def forward(self, obs: torch.Tensor) -> torch.Tensor:
        scale = (self.var + 1e-8).rsqrt().float()
        return ((obs.float() - self.mean.float()) * scale).clamp(-10.0, 10.0)

    def update(self, obs: torch.Tensor) -> None:
        """Take in a batch `[B, ...]`, by the parallel formula of Chan, Golub and LeVeque (1979)."""
        obs = obs.double()
        count, mean, var = len(obs), obs.mean(0), obs.var(0, unbiased=False)
        total, delta = self.count + count, mean - self.mean
        spread = self.var * self.count + var * count + delta.square() * self.count * count / total
        self.mean.add_(delta * count / total)
        self.var.copy_(spread / total)
        self.count.copy_(total)


class PolicyNetwork(nn.Module):
    """Action parameters and a value, from one shared encoder or from two of their own.

    With `lstm` numbers to remember, both are read off a recurrence on top of the one encoder. Orthogonal
    weights: gain √2 in the encoder, 0.01 for the policy, 1 for the value (Engstrom et al., 2020).
    """

    def __init__(
        self,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        network: Mapping[str, Any],
        share: bool,
        normalise_obs: bool,
        lstm: int = 0,
    ) -> None:
        super().__init__()
        self.distribution = make_distribution(action_space)
        self.normaliser = Normaliser(seen_space(observation_space).shape) if normalise_obs else None  # type: ignore
        self.encoder = make_encoder(observation_space, network)
        self.value_encoder = None if share else make_encoder(observation_space, network)
        orthogonal_(self, 2**0.5)
        self.recurrence: Recurrence | None = None
        features: int = self.encoder.out_features  # type: ignore[assignment]
        if lstm:
            self.recurrence = Recurrence(features, lstm)
            features = lstm
        self.policy, self.value = nn.Linear(features, self.distribution.outputs), nn.Linear(features, 1)
        orthogonal_(self.policy, 0.01)
        orthogonal_(self.value, 1.0)
        continuous = isinstance(self.distribution, Gaussian)
        self.log_std = nn.Parameter(torch.zeros(self.distribution.outputs)) if continuous else None

    def forward(self, obs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """`(action parameters [B, size], value [B])`, both float32, of a policy that remembers nothing."""
        x = self._normal(obs)
        features = self.encoder(x)
        return self._heads(features, features if self.value_encoder is None else self.value_encoder(x))

    def step(self, obs: torch.Tensor, state: State) -> tuple[torch.Tensor, torch.Tensor, State]:
        """The same of one that remembers, and its state after `obs`."""
        assert self.recurrence is not None
        after = self.recurrence(self.encoder(self._normal(obs)), state)
        return *self._heads(after[0], after[0]), after

    def unroll(self, obs: torch.Tensor, story: Story) -> tuple[torch.Tensor, torch.Tensor, State]:
        """The same of rows in order: of `obs` `[T, n, ...]`, `[T · n]` and the states after each `[T, n]`."""
        assert self.recurrence is not None
        features = self.encoder(self._normal(obs.flatten(0, 1)))
        after = self.recurrence.unroll(features.view(*obs.shape[:2], -1), story)
        hidden = after[0].flatten(0, 1)
        return *self._heads(hidden, hidden), after

    def _normal(self, obs: torch.Tensor) -> torch.Tensor:
        return obs if self.normaliser is None else self.normaliser(obs)

    def _heads(self, acts: torch.Tensor, foresees: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        params = self.policy(acts).float()
        if self.log_std is not None:
            params = torch.cat([params, self.log_std.expand_as(params)], dim=-1)
        return params, self.value(foresees).float().squeeze(-1)


class PolicyActor(Agent):
    """Samples from a policy, and notes `log_prob` and `value` for the learner.

    * `network`: see `agents.networks.make_encoder`; None picks by the observation space.
    * `share`: policy and value share one encoder; None means yes for grids and pixels, no for vectors.
    * `normalise_obs`: standardise vector observations by running statistics, which are part of the weights
      and move only when the learner says so.
    * `lstm`: how many numbers it remembers from decision to decision, 0 for none; its memory is `hidden` and
      `cell`, float32 `[n, lstm]` each. Where it holds several seats of a game they share one memory, so it is
      for games in which nothing is hidden from a seat. (Policy and value then share all but their heads.)
    * `precision`: "fp32", or "bf16" for autocast.

    Raises `ValueError` for spaces and options that do not fit.
    """

    @checked
    def __init__(
        self,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        *,
        device: str = "cpu",
        network: Mapping[str, Any] | None = None,
        share: bool | None = None,
        normalise_obs: bool = False,
        lstm: Annotated[int, Field(ge=0)] = 0,
        precision: Precision = "fp32",
        seed: int = 0,
    ) -> None:
        network = resolve_network(observation_space, network)
        vector = network["kind"] == "vector" and isinstance(seen_space(observation_space), spaces.Box)
        if normalise_obs and not vector:
            said = "normalise_obs is for vectors; grids and pixels are scaled by their networks"
            raise OptionError("normalise_obs", said)
        if lstm and share is False:
            raise OptionError(
                "share", "share: false is for policies without lstm, whose value reads its state"
            )
        share = bool(lstm) or network["kind"] != "vector" if share is None else share
        self.lstm, self.shares_memory = lstm, bool(lstm)
        self.options = {
            "network": network,
            "share": share,
            "normalise_obs": normalise_obs,
            "lstm": lstm,
            "precision": precision,
        }
        self.device, self.precision = torch.device(device), precision
        with seeded(seed):
            self.network = PolicyNetwork(observation_space, action_space, network, share, normalise_obs, lstm)
        self.network.to(self.device)
        self.distribution = self.network.distribution

    def act(
        self, obs: Any, *, rng: np.ndarray, first: np.ndarray, memory: Memory = None, explore: bool = True
    ) -> Decision:
        seen, mask = self.to_device(obs)
        kept = None
        with torch.inference_mode():
            if self.lstm:
                params, value, after = self.step(seen, self._before(first, memory))
                kept = write_memory(after)
            else:
                params, value = self.forward(seen)
            described = self.distribution.describe(params, mask).cpu().numpy()
            values = value.cpu().numpy()
        choose = self.distribution
        actions, log_prob = choose.sample(described, rng) if explore else choose.best(described)
        return Decision(actions, kept, {"log_prob": log_prob, "value": values})

    def _before(self, first: np.ndarray, memory: Memory) -> State:
        """What is known before a decision: nothing where an episode begins."""
        if memory is None:
            none = torch.zeros((len(first), self.lstm), device=self.device)
            return none, none
        hidden, cell = read_memory(memory, self.device)
        goes_on = torch.as_tensor(~first, device=self.device)[:, None]
        return hidden * goes_on, cell * goes_on

    def to_device(self, obs: Any) -> tuple[torch.Tensor, torch.Tensor | None]:
        """`(what the network sees, action mask or None)` as tensors on the device, in raw dtypes.

        Raises `ValueError` where a mask leaves nothing legal.
        """
        seen, mask = split_obs(obs)
        mask = legal_mask(mask, self.distribution.choices)
        on_device = None if mask is None else torch.as_tensor(mask, device=self.device)
        return torch.as_tensor(seen, device=self.device), on_device

    def forward(self, seen: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """`(action parameters, value)` at the actor's precision."""
        with self._cast():
            return self.network(seen)

    def step(self, seen: torch.Tensor, state: State) -> tuple[torch.Tensor, torch.Tensor, State]:
        """The same with the state before and after, where it remembers."""
        with self._cast():
            return self.network.step(seen, state)

    def unroll(self, seen: torch.Tensor, story: Story) -> tuple[torch.Tensor, torch.Tensor, State]:
        """See `PolicyNetwork.unroll`, at the actor's precision."""
        with self._cast():
            return self.network.unroll(seen, story)

    def _cast(self) -> AbstractContextManager:
        return nullcontext() if self.precision == "fp32" else torch.autocast(self.device.type, torch.bfloat16)

    def story(self, rollout: Rollout) -> Story | None:
        """What a rollout must be read in order for; None where nothing is remembered."""
        return story_of(rollout, self.lstm, self.device) if self.lstm else None

    def values(self, seen: torch.Tensor, batch: int = 4096) -> np.ndarray:
        """The value of each observation, float32 `[B]`, at most `batch` of them at a time, with no memory."""
        with torch.inference_mode():
            parts = [self.forward(x)[1] for x in seen.split(batch)] if len(seen) else [torch.zeros(0)]
            return torch.cat(parts).cpu().numpy()

    def examples(self, rollout: Rollout, at: tuple[np.ndarray, ...] | None = None) -> dict[str, np.ndarray]:
        """Decisions to learn from, whoever made them, rows first: those `at` (time, slot), or all.

        Raises `OptionError` where they depend on what was before.
        """
        if self.lstm:
            raise OptionError("lstm", "lstm is for ppo and impala, which read decisions in their order")
        at = np.nonzero(rollout.valid) if at is None else at
        seen, mask = split_obs(rollout.obs)
        told = {"seen": seen, "actions": rollout.actions, "episode": rollout.episode}
        if mask is not None:
            told["mask"] = mask
        return {name: np.asarray(array)[at] for name, array in told.items()}

    def log_likelihood(self, examples: Mapping[str, np.ndarray]) -> torch.Tensor:
        """The log-probability of each decision, `[B]`."""
        return self.evaluate(examples)[0]

    def evaluate(self, examples: Mapping[str, np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-probability and entropy of each decision of `examples`, `[B]` each."""
        seen, actions = (torch.as_tensor(examples[k], device=self.device) for k in ("seen", "actions"))
        mask = torch.as_tensor(examples["mask"], device=self.device) if "mask" in examples else None
        params, _ = self.forward(seen)
        return self.distribution.evaluate(params, actions, mask)

    def refresh(self) -> None:
        """The network has learned: there is no copy of it to renew."""

    def weights(self) -> dict[str, np.ndarray]:
        return to_arrays(self.network)

    def load_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        from_arrays(self.network, weights)

    def spec(self) -> dict[str, Any]:
        return super().spec() | {"options": self.options}
