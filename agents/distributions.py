"""Distributions over actions: log-probabilities and entropies in torch, samples from per-row generators.

A distribution is described by `[B, size]` parameters that a network puts out. Actions are as the
environment takes them; `sample` and `best` work in numpy on what `describe` gave.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from gymnasium import spaces
from torch import nn

from envs.kernels import kernel
from envs.rng import next_float, normal

LOG_2PI = math.log(2 * math.pi)


class Categorical(nn.Module):
    """One choice (`Discrete`), or several independent ones (`MultiDiscrete`); actions are int64."""

    offset: torch.Tensor
    """Where each choice's logits begin, less its start: a module's buffer, so that it moves to the device."""

    def __init__(self, choices: list[int], start: np.ndarray, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.choices, self.start, self.shape = choices, start.reshape(-1), shape
        self.size = self.outputs = sum(choices)
        self._widths = np.array(choices)
        offset = np.cumsum([0, *choices[:-1]]) - self.start
        self.register_buffer("offset", torch.as_tensor(offset), persistent=False)

    def describe(self, params: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """Log-probabilities of every choice `[B, size]`; `mask` (bool, `[B, size]`) has 1 where legal.

        Illegal choices get the smallest finite logit: their probability is 0, and no NaN arises from them.
        """
        logits = params if mask is None else params.masked_fill(~mask, torch.finfo(params.dtype).min)
        if len(self.choices) == 1:
            return F.log_softmax(logits, dim=-1)
        return torch.cat([F.log_softmax(x, dim=-1) for x in logits.split(self.choices, dim=-1)], dim=-1)

    def evaluate(
        self, params: torch.Tensor, actions: torch.Tensor, mask: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """`(log_prob [B], entropy [B])` of `actions` `[B, *shape]`."""
        log_p = self.describe(params, mask)
        entropy = -(log_p.exp() * log_p).sum(-1)
        return log_p.gather(-1, self._columns(actions)).sum(-1), entropy

    def sample(self, described: np.ndarray, rng: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`(actions [n, *shape], log_prob [n])` by one uniform number a choice from each row's generator."""
        return self._choose(described, rng, best=False)

    def best(self, described: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The likeliest actions and their log-probability."""
        return self._choose(described, np.zeros(0, np.uint64), best=True)

    def _choose(self, described: np.ndarray, rng: np.ndarray, best: bool) -> tuple[np.ndarray, np.ndarray]:
        picks = np.empty((len(described), len(self.choices)), np.int64)
        log_prob = np.empty(len(described), np.float32)
        choose(described, self._widths, rng, best, picks, log_prob)
        return (picks + self.start).reshape(len(picks), *self.shape), log_prob

    def _columns(self, actions: torch.Tensor) -> torch.Tensor:
        """Where each choice lies in `[0, size)`: `[B, choices]`."""
        return actions.reshape(len(actions), -1) + self.offset


class Gaussian:
    """A diagonal normal distribution over a `Box`; actions are float32, unclipped (the environment clips).

    Parameters are the means, then the logarithms of the standard deviations.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape, self.outputs = shape, math.prod(shape)
        self.choices: list[int] = []
        self.size = 2 * self.outputs

    def describe(self, params: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """The parameters themselves: continuous actions know no mask."""
        return params

    def evaluate(
        self, params: torch.Tensor, actions: torch.Tensor, mask: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """`(log_prob [B], entropy [B])` of `actions` `[B, *shape]`, summed over dimensions."""
        mean, log_std = params.chunk(2, dim=-1)
        z = (actions.reshape(mean.shape) - mean) * (-log_std).exp()
        entropy = (log_std + 0.5 + 0.5 * LOG_2PI).sum(-1)
        return -(0.5 * z.square() + log_std + 0.5 * LOG_2PI).sum(-1), entropy

    def sample(self, described: np.ndarray, rng: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`(actions [n, *shape], log_prob [n])` by normal numbers from each row's generator."""
        return self._at(described, normal(rng, self.outputs).astype(np.float32))

    def best(self, described: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The mean, which is likeliest."""
        return self._at(described, np.zeros((len(described), self.outputs), np.float32))

    def _at(self, described: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean, log_std = np.split(described, 2, axis=-1)
        log_prob = -(0.5 * z**2 + log_std + 0.5 * LOG_2PI).sum(-1)
        return (mean + z * np.exp(log_std)).reshape(len(z), *self.shape), log_prob


Distribution = Categorical | Gaussian


def make_distribution(action_space: spaces.Space) -> Distribution:
    """The distribution for an action space. Raises `ValueError` for one that it cannot be."""
    if isinstance(action_space, spaces.Discrete):
        return Categorical([int(action_space.n)], np.array([action_space.start]), ())
    if isinstance(action_space, spaces.MultiDiscrete):
        choices = [int(k) for k in action_space.nvec.reshape(-1)]
        return Categorical(choices, action_space.start, action_space.shape)
    if isinstance(action_space, spaces.Box) and np.issubdtype(action_space.dtype, np.floating):
        return Gaussian(action_space.shape)
    raise ValueError(
        f"no policy for actions in {action_space}; Discrete, MultiDiscrete or a float Box is needed"
    )


@kernel
def choose(described, widths, rng, best, picks, log_prob):  # type: ignore[no-untyped-def]
    """Write a choice of each kind into `picks` `[n, k]`, and their summed `log_prob` `[n]`.

    `described` (`[n, sum(widths)]`) has log-probabilities; a choice is the likeliest (`best`), or the one at
    a uniform quantile of the cumulative probability, never one of probability 0.
    """
    for i in range(len(described)):
        log_prob[i] = 0.0
        start = 0
        for k in range(len(widths)):
            part = described[i, start : start + widths[k]]
            pick = int(np.argmax(part))
            if not best:
                total = 0.0
                for a in range(len(part)):
                    total += np.exp(part[a])
                quantile, reached = next_float(rng, i) * total, 0.0
                for a in range(len(part)):
                    reached += np.exp(part[a])
                    if reached > quantile:
                        pick = a
                        break
            picks[i, k] = pick
            log_prob[i] += part[pick]
            start += widths[k]
