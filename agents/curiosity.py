"""Curiosity: random network distillation (Burda et al., 2018, arXiv:1810.12894)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import nn

from agents.networks import from_arrays, make_encoder, orthogonal_, resolve_network, seeded, to_arrays
from agents.optim import (
    apply_gradients,
    gather_gradients,
    load_optimiser_state,
    make_adam,
    optimiser_state,
)
from agents.options import Count, Positive, Share, checked
from agents.policy import Normaliser
from rollouts.agent import Metrics
from rollouts.reward import DiscountedReturns, Term, reached
from rollouts.rollout import Rollout


class Distillation(nn.Module):
    """A random network that stays as it is, and one that learns to foretell its features."""

    def __init__(self, space: spaces.Box, network: Mapping[str, Any], features: int) -> None:
        super().__init__()
        self.normaliser = Normaliser(space.shape)
        target, predictor = make_encoder(space, network), make_encoder(space, network)
        hidden: int = target.out_features  # type: ignore[assignment]
        self.target = nn.Sequential(target, nn.Linear(hidden, features))
        self.predictor = nn.Sequential(
            predictor, nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, features)
        )
        orthogonal_(self, 2**0.5)
        self.target.requires_grad_(False)

    def forward(self, obs: torch.Tensor) -> torch.Tensor:
        """The mean squared error of the prediction for each observation `[B, ...]`, float32 `[B]`."""
        x = self.normaliser(obs).clamp(-5.0, 5.0)
        return (self.predictor(x) - self.target(x)).square().mean(-1)


class Curiosity(Term):
    """How badly a network foretells random features of what an action led to: much where that is new.

    Observations are standardised by running statistics and clipped to ±5; the errors are divided by the
    running deviation of their discounted returns. The networks are made when the first rollout is seen.

    * `episodic`: whether an episode's end is the end of what there is to find, as for an agent that fears it.
      Otherwise curiosity outlives it: a row that terminates an episode gets the mean return of its rollout on
      top, discounted once. So one value serves both rewards, where the paper has a second one.
    * `gamma`: discount a row; right is the learner's own.
    * `lr`: Adam's learning rate; `share` of the rows are learned from, once; `minibatch_size`: at most.
    * `features`: how many are foretold.
    * `network`: see `agents.networks.make_encoder`; None picks by the observations.

    Of a dict it sees the `planes`. Raises `OptionError` for options out of range, and `ValueError` for
    observations that are no arrays of numbers.
    """

    @checked
    def __init__(
        self,
        *,
        episodic: bool = False,
        gamma: Share = 0.99,
        lr: Positive = 1e-4,
        share: Share = 0.25,
        minibatch_size: Count = 1024,
        features: Count = 64,
        network: Mapping[str, Any] | None = None,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        self.episodic, self.gamma, self.lr = episodic, gamma, lr
        self.share, self.minibatch_size, self.features = share, minibatch_size, features
        self.network, self.seed, self.device = network, seed, torch.device(device)
        self.generator = np.random.default_rng(seed)
        self.returns = DiscountedReturns(gamma)
        self.seen: tuple[list[int], str] | None = None
        """Shape and dtype of an observation, once known."""

    def __call__(self, rollout: Rollout) -> np.ndarray:
        obs, valid = self._rows(rollout), rollout.valid
        if self.seen is None:
            self._make(list(obs.shape[1:]), obs.dtype.str)
            self.pair.normaliser.update(self._tensor(obs))
        errors = np.zeros(rollout.shape, np.float32)
        with torch.inference_mode():
            errors[valid] = torch.cat([self.pair(x) for x in self._tensor(obs).split(4096)]).cpu().numpy()
        ends, life = rollout.terminated | rollout.truncated, rollout.episode
        if not self.episodic:
            ends, life = np.zeros_like(ends), np.zeros_like(life)
        returns = self.returns.follow(errors, ends, valid, life)
        if not self.episodic and valid.any():
            errors[rollout.terminated & valid] += self.gamma * returns[valid].mean()
        return (errors / self.returns.deviation).astype(np.float32)

    def learn(self, rollout: Rollout) -> Metrics:
        """Foretell some of the rollout's rows better."""
        obs = self._rows(rollout)
        kept = self.generator.permutation(len(obs))[: round(self.share * len(obs))]
        if not len(kept):
            return {}
        rows, losses = self._tensor(obs[np.sort(kept)]), []
        order = torch.as_tensor(self.generator.permutation(len(rows)), device=self.device)
        for index in order.split(self.minibatch_size):
            loss = self.pair(rows[index]).mean()
            self.optimiser.zero_grad()
            loss.backward()
            total = gather_gradients(self.optimiser)
            value, norm = torch.stack([loss.detach(), total]).tolist()
            apply_gradients(self.optimiser, total, norm, None)
            losses.append(value)
        self.pair.normaliser.update(rows)
        return {"loss": float(np.mean(losses)), "deviation": float(self.returns.deviation)}

    def state_dict(self) -> dict[str, Any]:
        state = {"generator": self.generator.bit_generator.state, "returns": self.returns.state_dict()}
        if self.seen is None:
            return state
        shape, dtype = self.seen
        made = {"shape": shape, "dtype": dtype, "networks": to_arrays(self.pair)}
        return state | made | {"optimiser": optimiser_state(self.optimiser)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.generator.bit_generator.state = state["generator"]
        self.returns.load_state_dict(state["returns"])
        if "networks" in state:
            self._make([int(k) for k in state["shape"]], str(state["dtype"]))
            from_arrays(self.pair, state["networks"])
            load_optimiser_state(self.optimiser, state["optimiser"])

    def _make(self, shape: list[int], dtype: str) -> None:
        """The networks for observations of this shape and dtype."""
        kind = np.dtype(dtype)
        low, high = {"b": (0, 1), "f": (-np.inf, np.inf)}.get(kind.kind, (0, 255))
        space = spaces.Box(low, high, tuple(shape), kind.type)
        with seeded(self.seed):
            self.pair = Distillation(space, resolve_network(space, self.network), self.features)
        self.pair.to(self.device)
        self.optimiser = make_adam(self.pair.predictor, self.lr, eps=1e-8)
        self.seen = shape, dtype

    def _rows(self, rollout: Rollout) -> np.ndarray:
        """What the actions of all rows that are data led to, `[B, ...]`."""
        obs = reached(rollout, "curiosity")[rollout.valid]
        return obs if obs.ndim > 1 else obs[:, None]

    def _tensor(self, obs: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(obs, device=self.device)
