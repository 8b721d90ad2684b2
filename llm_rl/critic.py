"""A value for each token: what PPO compares with instead of the other tries (Schulman et al., 2017).

A state is all that stands before a token, an action is the token, and an episode's steps are the agent's own
tokens: what the environment wrote between them is no step. Nothing is discounted, and whatever ends an
episode, be it a limit of turns or of tokens, ends what there is to gain. Arrays are `[S, M]`, as in
`llm_rl.sequences.Sequences`; `mask` is 1 where the agent itself wrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from agents.networks import seeded
from agents.options import NotNegative, OptionError, Options, Positive, Share, read
from llm_rl.advantages import GAE
from llm_rl.sequences import Sequences


class CriticOptions(Options):
    """How values are learned and used."""

    gae_lambda: Share = 1.0
    """1: what came of the whole episode, less the value; below it later values are trusted more and more."""
    coef: NotNegative = 0.1
    """Of ½ (V − return)² in the loss."""
    lr: Positive = 10.0
    """The head's learning rate, as a multiple of the policy's: it begins with nothing."""
    clip: Positive | None = None
    """How far a value may move in one update before it is held back, see `llm_rl.losses.value_loss`."""
    normalise: bool = True
    """Advantages to mean 0 and deviation 1 over all tokens of an update."""


class Critic(nn.Module):
    """A value from what the policy's last layer reads; 0 at first, wherever it is."""

    def __init__(self, width: int, options: CriticOptions) -> None:
        super().__init__()
        self.options = options
        self.inner, self.last = nn.Linear(width, width), nn.Linear(width, 1)
        nn.init.orthogonal_(self.inner.weight, 2**0.5)
        for weight in (self.inner.bias, self.last.weight, self.last.bias):
            nn.init.zeros_(weight)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """`[K, width]` to `[K]`, in float32."""
        return self.last(torch.relu(self.inner(hidden.float()))).squeeze(-1)


def make_critic(
    advantage: str, given: Mapping[str, Any] | None, width: int, seed: int, device: str
) -> Critic | None:
    """The critic that an advantage needs, for a policy whose last layer reads `width` numbers of a token.

    Raises `OptionError` for what does not fit together.
    """
    if advantage != GAE:
        if given is not None:
            raise OptionError("critic", f"a critic is for advantage '{GAE}'; '{advantage}' has none")
        return None
    if not width:
        raise OptionError("advantage", f"'{GAE}' here is for language models; for others there is kind: ppo")
    with seeded(seed):
        return Critic(width, read(CriticOptions, given or {}, "critic")).to(device)


def token_rewards(found: Sequences) -> np.ndarray:
    """What each token earned, float64: an episode's reward comes with the agent's last token there.

    Where rewards came token by token they are that, and what came at another's token counts to the agent's
    last one before it (before the first: nobody earned it).
    """
    if found.token_reward is not None:
        return found.token_reward.astype(np.float64)
    out = np.zeros(found.mask.shape)
    at_last_token(out, found, found.reward)
    return out


def at_last_token(rewards: np.ndarray, found: Sequences, more: np.ndarray) -> None:
    """Add `more` `[S]` to what the agent's last token of each sequence earned (where it said anything)."""
    wrote = np.flatnonzero(found.mask.any(axis=1))
    last = found.mask.shape[1] - 1 - found.mask[wrote, ::-1].argmax(axis=1)
    rewards[wrote, last] += more[wrote]


def token_gae(rewards: np.ndarray, values: np.ndarray, mask: np.ndarray, gae_lambda: float) -> np.ndarray:
    """Generalised advantage estimates of the agent's own tokens, 0 elsewhere (Schulman et al., 2016, eq. 16).

    `values` are those of what stands before each token.
    """
    out = np.zeros(rewards.shape)
    later, following, earned = np.zeros((3, len(rewards)))  # of the agent's next token; and since this one
    for place in range(rewards.shape[1] - 1, -1, -1):
        own = mask[:, place]
        earned = earned + rewards[:, place]
        error = earned + following - values[:, place]
        later = np.where(own, error + gae_lambda * later, later)
        out[own, place] = later[own]
        following = np.where(own, values[:, place], following)
        earned = np.where(own, 0.0, earned)
    return out


def normalised(advantage: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Advantages at `mask` to mean 0 and deviation 1 over all of them; 0 where they do not differ."""
    inside = advantage[mask]
    deviation = inside.std() if len(inside) else 0.0
    scale = 1 / deviation if deviation > 1e-8 else 0.0
    return np.where(mask, (advantage - (inside.mean() if len(inside) else 0.0)) * scale, 0.0)


def explained_variance(values: np.ndarray, returns: np.ndarray) -> float:
    """1 − var(returns − values) / var(returns): 1 is perfect, 0 no better than a constant."""
    variance = float(np.var(returns))
    return float(1 - np.var(returns - values) / variance) if variance > 0 else float("nan")
