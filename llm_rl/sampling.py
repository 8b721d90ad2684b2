"""From logits to tokens: temperature, top-k, top-p, and the log-probabilities of what was drawn.

The distribution that tokens are drawn from is the one whose log-probabilities are told, and the one that a
learner scores them under (`restricted` is used by both).
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import torch
from pydantic import Field

from agents.options import Count, Options, Positive
from envs.rng import GAMMA

NOTHING = torch.finfo(torch.float32).min
"""The logit of a token that cannot be drawn; finite, so that gradients and entropies are too."""


class Sampling(Options):
    """How tokens are drawn, and when a completion is over.

    Logits are divided by `temperature`; then the `top_k` likeliest tokens stay (0: all of them), ties
    included; then of these the fewest likeliest that have `top_p` of the probability together (Holtzman et
    al., 2020). `greedy` takes the likeliest token instead, and draws nothing. A completion ends with a token
    that says so, with the token that completes one of the `stop` texts, or after `max_new` tokens.
    """

    max_new: Count = 64
    temperature: Positive = 1.0
    top_k: Annotated[int, Field(ge=0)] = 0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = Field(default=(), strict=False)
    greedy: bool = False

    @property
    def whole(self) -> bool:
        """Whether every token can be drawn."""
        return self.top_k == 0 and self.top_p == 1.0


def restricted(logits: torch.Tensor, sampling: Sampling, always: torch.Tensor | None = None) -> torch.Tensor:
    """The logits `[..., vocab]` of the distribution that is drawn from; what cannot be drawn has `NOTHING`.

    `always` (int `[...]`) is a token a row that stays in any case: to a learner whose weights have moved on,
    what was drawn before has a finite log-probability still.
    """
    if sampling.temperature != 1.0:
        logits = logits / sampling.temperature
    if sampling.whole:
        return logits
    with torch.no_grad():
        out = torch.zeros_like(logits, dtype=torch.bool)
        if 0 < sampling.top_k < logits.shape[-1]:
            out |= logits < logits.topk(sampling.top_k).values[..., -1:]
        if sampling.top_p < 1.0:
            out |= _improbable(logits.masked_fill(out, NOTHING), sampling.top_p)
        if always is not None:
            out.scatter_(-1, always[..., None], False)
    return logits.masked_fill(out, NOTHING)


def _improbable(logits: torch.Tensor, top_p: float) -> torch.Tensor:
    """True for tokens before which the likelier ones have `top_p` of the probability already."""
    likeliest, order = logits.sort(dim=-1, descending=True, stable=True)
    chances = likeliest.softmax(-1)
    before = chances.cumsum(-1) - chances
    return torch.zeros_like(logits, dtype=torch.bool).scatter_(-1, order, before >= top_p)


def choose(
    logits: torch.Tensor, sampling: Sampling, uniforms: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """One token a row and its log-probability, from logits `[n, vocab]`.

    `uniforms` (float64 `[n]`, in [0, 1)) decide, by the inverse of the cumulative distribution; they are not
    needed where the choice is greedy. Returns int64 and float32 `[n]`.
    """
    log_probs = restricted(logits, sampling).log_softmax(-1)
    if sampling.greedy:
        tokens = log_probs.argmax(-1, keepdim=True)
    else:
        assert uniforms is not None
        cumulative = log_probs.exp().cumsum(-1, dtype=torch.float64)
        point = uniforms.to(logits.device)[:, None] * cumulative[:, -1:]
        tokens = torch.searchsorted(cumulative, point, right=True)
        tokens.clamp_(max=logits.shape[-1] - 1)  # as it is, but where logits are NaN
    return tokens[:, 0], log_probs.gather(-1, tokens)[:, 0]


def skip(rng: np.ndarray, drawn: np.ndarray) -> None:
    """Advance the generators `rng` (uint64 `[n]`), in place, by as many numbers as each row has `drawn`."""
    with np.errstate(over="ignore"):
        rng += drawn.astype(np.uint64) * GAMMA
