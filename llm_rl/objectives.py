"""What is maximised at each token: the policy's gain, less a KL to a reference, with a bonus for entropy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from agents.options import NotNegative, Options, Positive, read
from llm_rl import losses
from llm_rl.losses import Clip, Tokens, make_clip, policy_loss, statistics
from rollouts.agent import Metrics


class ClipOptions(Options):
    """How far a ratio may move; what is not given is the loss's usual, see `llm_rl.losses.Clip`."""

    low: Positive | None = None
    high: Positive | None = None
    dual: Positive | None = None


class Divergence(Options):
    """A penalty on leaving the policy that learning began with."""

    coef: NotNegative = 1e-3
    estimator: Literal["k1", "k2", "k3"] = "k2"
    """Schulman (2020). As a loss only `k2` has the divergence's gradient; in the reward `k1` is right."""
    where: Literal["loss", "reward"] = "loss"


@dataclass(frozen=True)
class Objective:
    """A policy loss with all that belongs to it."""

    loss: str
    """One of `llm_rl.losses.LOSSES`."""
    clip: Clip
    kl: Divergence | None
    correction: float | None
    """Cap of truncated importance weights; None: there are none."""

    def terms(
        self,
        tokens: Tokens,
        entropy: torch.Tensor,
        entropy_coef: float,
        sampled: torch.Tensor,
        reference: torch.Tensor | None,
    ) -> tuple[list[tuple[float, torch.Tensor]], Metrics]:
        """The terms of the loss, `(coefficient, loss of each token)`, and what the tokens tell.

        Tensors are `[K]`: `sampled` the log-probabilities that tokens were sampled with, `reference` those by
        the policy that learning began with, where there is a KL.
        """
        gain = policy_loss(self.loss, tokens, self.clip)
        if self.correction is not None:
            gain = gain * losses.correction(tokens.old_log_prob, sampled, tokens.mask, self.correction)
        terms = [(1.0, gain), (-entropy_coef, entropy)]
        told = statistics(
            self.loss,
            tokens._replace(log_prob=tokens.log_prob.detach()),
            self.clip,
            entropy=entropy.detach(),
            sampler_log_prob=None if self.correction is None else sampled,
        )
        if self.kl is not None and reference is not None:
            apart = losses.kl(self.kl.estimator, tokens.log_prob, reference, tokens.mask)
            told["kl"] = float(apart.detach().mean())
            if self.kl.where == "loss":
                terms.append((self.kl.coef, apart))
        return terms, told

    def penalty(self, log_prob: np.ndarray, reference: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """What a KL in the reward takes off at each token: float32, in the shape of all three; 0 without."""
        if self.kl is None or self.kl.where == "loss":
            return np.zeros(mask.shape, np.float32)
        arrays = (torch.from_numpy(x) for x in (log_prob, reference, mask))
        return self.kl.coef * losses.kl(self.kl.estimator, *arrays).numpy()


def make_objective(
    loss: str, clip: Mapping[str, Any] | None, kl: Mapping[str, Any] | None, correction: float | None
) -> Objective:
    """From the options of a learner (`OptionError` for what does not fit)."""
    limits = read(ClipOptions, clip or {}, "clip")
    divergence = None if kl is None else read(Divergence, kl, "kl")
    return Objective(loss, make_clip(loss, limits.low, limits.high, limits.dual), divergence, correction)


class EntropyBonus:
    """The coefficient of an entropy bonus; with a `target`, one that keeps the entropy from falling below it.

    `target` is in nats a token. While the entropy is below, the coefficient grows by `step` an update; while
    it is above, it falls by as much, down to 0 at least, and there is no bonus (He et al., 2025, Skywork-OR1,
    "Adaptive entropy control").
    """

    def __init__(self, coef: float, target: float | None, step: float) -> None:
        self.coef, self.target, self.step = coef, target, step
        self.now = coef
        """The coefficient of the update in progress."""

    def steer(self, log_prob: np.ndarray) -> None:
        """Begin an update on tokens that were sampled with these log-probabilities (any shape).

        Their mean is, but for its sign and chance, the entropy of the policy that sampled them.
        """
        if self.target is None:
            return
        low = -log_prob.mean(dtype=np.float64) < self.target
        self.coef = max(0.0, self.coef + (self.step if low else -self.step))
        self.now = self.coef if low else 0.0
