"""Action-value networks: an encoder and a head, which may be dueling, distributional and noisy."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from gymnasium import spaces
from pydantic import Field, model_validator
from torch import nn

from agents.networks import make_encoder
from agents.options import Options, switched

SIGMA = 0.5  # Fortunato et al. (2018), section 3.2


class Distributional(Options):
    """What `distributional` may set (Bellemare, Dabney and Munos, 2017)."""

    atoms: Annotated[int, Field(ge=2)] = 51
    v_min: float = -10.0
    v_max: float = 10.0

    @model_validator(mode="after")
    def _ordered(self) -> Distributional:
        if self.v_min >= self.v_max:
            raise ValueError("needs v_min < v_max")
        return self


class NoisyLinear(nn.Module):
    """A dense layer with weights μ + σ ∘ f(ε_out) f(ε_in)ᵀ, f(x) = sign(x) √|x| (Fortunato et al., 2018).

    The noise is given, not kept: `[B, in + out]` standard normals give each row its own, `[1, in + out]` all
    rows the same, None the mean weights. The noisy weights themselves are never formed.
    """

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        bound = 1.0 / math.sqrt(before)
        self.before = before
        self.noise_size = before + after
        self.weight = nn.Parameter(torch.empty(after, before).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(after).uniform_(-bound, bound))
        self.weight_sigma = nn.Parameter(torch.full((after, before), SIGMA * bound))
        self.bias_sigma = nn.Parameter(torch.full((after,), SIGMA * bound))

    def forward(self, x: torch.Tensor, noise: torch.Tensor | None = None) -> torch.Tensor:
        y = F.linear(x, self.weight, self.bias)
        if noise is None:
            return y
        scaled = noise.sign() * noise.abs().sqrt()
        into, out = scaled[:, : self.before], scaled[:, self.before :]
        return y + out * F.linear(x * into, self.weight_sigma, self.bias_sigma)


class QNetwork(nn.Module):
    """Values of all actions for a batch of raw observations.

    `forward` gives `[B, actions, atoms]`: the logits of each return's distribution over `support`, or with
    one atom the values themselves; `values` makes values of either. `dueling` adds V to the advantages
    minus their mean (Wang et al., 2016). `noisy` makes the head's layers noisy; the encoder's stay plain.
    """

    def __init__(
        self,
        observation_space: spaces.Space,
        actions: int,
        *,
        network: Mapping[str, Any] | None = None,
        dueling: bool = False,
        distributional: bool | Mapping[str, Any] = False,
        noisy: bool = False,
    ) -> None:
        super().__init__()
        support = make_support(distributional)
        self.actions, self.atoms = actions, len(support)
        self.support: torch.Tensor
        self.register_buffer("support", support, persistent=False)
        self.encoder = make_encoder(observation_space, network)
        layer: Any = NoisyLinear if noisy else nn.Linear
        features = self.encoder.out_features
        self.advantage = layer(features, actions * self.atoms)
        self.value = layer(features, self.atoms) if dueling else None
        self.noise_size = sum(x.noise_size for x in self.children() if isinstance(x, NoisyLinear))

    def forward(self, obs: torch.Tensor, noise: torch.Tensor | None = None) -> torch.Tensor:
        """`[B, actions, atoms]` of `obs` `[B, ...]`; `noise` is `[B or 1, noise_size]` or None: no noise."""
        x = self.encoder(obs)
        advantage, value = self._head(x, noise)
        q = advantage.unflatten(1, (self.actions, self.atoms))
        return q if value is None else value.unsqueeze(1) + q - q.mean(1, keepdim=True)

    def _head(self, x: torch.Tensor, noise: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Advantages `[B, actions · atoms]` and, if dueling, values `[B, atoms]`."""
        if noise is None:
            return self.advantage(x), None if self.value is None else self.value(x)
        if self.value is None:
            return self.advantage(x, noise), None
        mine, its = noise.split([self.advantage.noise_size, self.value.noise_size], 1)
        return self.advantage(x, mine), self.value(x, its)

    def values(self, out: torch.Tensor) -> torch.Tensor:
        """Expected returns `[B, actions]` from what `forward` gave."""
        if self.atoms == 1:
            return out.squeeze(2)
        return out.float().softmax(2) @ self.support  # type: ignore[operator]


def make_support(distributional: bool | Mapping[str, Any]) -> torch.Tensor:
    """The returns that have a chance each, `[atoms]`; a single 0 where distributions are off."""
    options = switched(Distributional, distributional, "distributional")
    return torch.zeros(1) if options is None else torch.linspace(options.v_min, options.v_max, options.atoms)
