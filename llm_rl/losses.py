"""The losses of reinforcement learning for language models, as functions of tokens.

A loss is worked out for each token; one number comes of it as Σ weight · loss, where the weight of a token
says how sequences are averaged (`sequence_weights`). Weights are made once for a whole batch, of all
workers: so the gradient does not depend on how the batch is cut into micro-batches or shared among workers,
whose gradients add up. Tensors are of one shape, whatever it is: `[N]` with nothing but the tokens that
count, or `[S, M]` padded.

Signs: a loss is to be minimised, and a positive advantage raises the probability of its token.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from envs.nearest import suggest
from envs.options import OptionError
from rollouts.agent import Metrics

FARTHEST = 20.0
"""Log-ratios are held at ± this: e²⁰ is far beyond every clip, and what is larger would overflow."""


class Tokens(NamedTuple):
    """Tokens to learn from, tensors of one shape. Where `mask` is 0 the others may hold anything."""

    log_prob: torch.Tensor
    """By the learner as it is now, with gradient; at the temperature that it was sampled at."""
    old_log_prob: torch.Tensor
    """By the policy that the ratio is measured from: the learner's before its first step on this batch."""
    advantage: torch.Tensor
    """Of each token: `advantage[sequence]` where there is one a sequence."""
    mask: torch.Tensor
    """bool: 1 where the agent itself wrote, its end-of-sequence token included."""
    sequence: torch.Tensor
    """int64: the number of the token's sequence, from 0; all tokens of a sequence are in one batch."""


class Clip(NamedTuple):
    """How far a ratio may go: from 1 − `low` to 1 + `high`, and to `dual` where the advantage is negative."""

    low: float
    high: float
    dual: float | None = None


def log_ratio(log_prob: torch.Tensor, other: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """`log_prob − other`, 0 where `mask` is 0."""
    return torch.where(mask, log_prob - other, 0.0).clamp(-FARTHEST, FARTHEST)


def own(tokens: Tokens) -> Tokens:
    """The same with 0 where `mask` is 0, so that what stands there reaches neither a sum nor a gradient."""
    kept = {name: getattr(tokens, name) for name in ("log_prob", "old_log_prob", "advantage")}
    return tokens._replace(**{name: torch.where(tokens.mask, x, 0.0) for name, x in kept.items()})


# -- ratios: what is compared with the old policy ------------------------------------------------------------


def token_ratio(tokens: Tokens) -> torch.Tensor:
    """π / π_old of each token."""
    return log_ratio(tokens.log_prob, tokens.old_log_prob, tokens.mask).exp()


def sequence_ratio(tokens: Tokens) -> torch.Tensor:
    """(π / π_old)^(1 / length) of the token's whole sequence.

    Its gradient is the token's own share (Zheng et al., 2025, GSPO, section 4.3: GSPO-token). With one
    advantage a sequence and `sequence_mean`, value and gradient are those of GSPO (section 4.1, eq. 5).
    """
    moved = log_ratio(tokens.log_prob, tokens.old_log_prob, tokens.mask)
    flat, fixed = tokens.sequence.flatten(), moved.detach()
    total = fixed.new_zeros(int(flat.max()) + 1)
    count = torch.zeros_like(total).index_add_(0, flat, tokens.mask.flatten().to(total.dtype))
    mean = total.index_add_(0, flat, fixed.flatten()) / count.clamp(min=1.0)
    return (mean[tokens.sequence] + (moved - fixed)).exp()


# -- objectives: what is to be maximised ---------------------------------------------------------------------


def clipped(ratio: torch.Tensor, tokens: Tokens, clip: Clip) -> torch.Tensor:
    """min(r A, clip(r) A) (Schulman et al., 2017, PPO, eq. 7).

    `high` above `low` is clip-higher (Yu et al., 2025, DAPO, section 3.1). With `dual` c and A < 0 it is
    never below c A (Ye et al., 2020, dual-clip PPO; the δ of two-sided clipping in INTELLECT-2, 2025).
    """
    advantage = tokens.advantage
    gain = torch.minimum(ratio * advantage, ratio.clamp(1 - clip.low, 1 + clip.high) * advantage)
    if clip.dual is None:
        return gain
    return torch.where(advantage < 0, torch.maximum(gain, clip.dual * advantage), gain)


def capped(ratio: torch.Tensor, tokens: Tokens, clip: Clip) -> torch.Tensor:
    """sg(clip(r)) A log π, which loses no token's gradient (MiniMax-M1, 2025, CISPO, section 3.1)."""
    return ratio.detach().clamp(1 - clip.low, 1 + clip.high) * tokens.advantage * tokens.log_prob


def scored(ratio: torch.Tensor, tokens: Tokens, clip: Clip) -> torch.Tensor:
    """A log π, whoever sampled it (Williams, 1992, REINFORCE)."""
    return tokens.advantage * tokens.log_prob


class Loss(NamedTuple):
    """A policy loss: −objective(ratio)."""

    ratio: Callable[[Tokens], torch.Tensor]
    objective: Callable[[torch.Tensor, Tokens, Clip], torch.Tensor]
    clip: Clip
    """What it is usually clipped at."""


UNBOUNDED = Clip(float("inf"), float("inf"))
LOSSES: dict[str, Loss] = {
    "clip": Loss(token_ratio, clipped, Clip(0.2, 0.2)),
    "gspo": Loss(sequence_ratio, clipped, Clip(3e-4, 4e-4)),
    "cispo": Loss(token_ratio, capped, Clip(1.0, 4.0)),
    "reinforce": Loss(token_ratio, scored, UNBOUNDED),
}


def policy_loss(kind: str, tokens: Tokens, clip: Clip) -> torch.Tensor:
    """The loss of each token, 0 where `mask` is 0, by one of `LOSSES`."""
    loss, tokens = LOSSES[kind], own(tokens)
    return torch.where(tokens.mask, -loss.objective(loss.ratio(tokens), tokens, clip), 0.0)


def make_clip(
    kind: str, low: float | None = None, high: float | None = None, dual: float | None = None
) -> Clip:
    """What is given, and the loss's usual numbers for the rest; `OptionError` for what does not fit it."""
    if kind not in LOSSES:
        raise OptionError("loss", f"no loss '{kind}'; {suggest(kind, LOSSES, 'there are')}")
    usual, clips = LOSSES[kind].clip, LOSSES[kind].objective is clipped
    given = {"clip.low": low, "clip.high": high, "clip.dual": dual}
    for name, value in given.items():
        if value is None:
            continue
        if kind == "reinforce" or (name == "clip.dual" and not clips):
            raise OptionError(name, f"loss '{kind}' has no {name}")
        if not value > 0:
            raise OptionError(name, f"{name} must be above 0, not {value}")
    clip = Clip(usual.low if low is None else low, usual.high if high is None else high, dual)
    if dual is not None and not dual > 1 + clip.high:
        raise OptionError(
            "clip.dual", f"clip.dual must be above 1 + clip.high = {1 + clip.high:g}, not {dual}"
        )
    return clip


# -- what else a loss may hold -------------------------------------------------------------------------------


def k1(difference: torch.Tensor) -> torch.Tensor:
    """The log-ratio itself (Schulman, 2020): right in the reward; as a loss its mean gradient is 0."""
    return difference


def k2(difference: torch.Tensor) -> torch.Tensor:
    """½ (log π − log π_ref)² (Schulman, 2020). As a loss it has the gradient of each token's own KL."""
    return 0.5 * difference.square()


def k3(difference: torch.Tensor) -> torch.Tensor:
    """π_ref / π − 1 − log(π_ref / π), never negative (Schulman, 2020; Shao et al., 2024, GRPO, eq. 4).

    Its mean is the KL, but as a loss its gradient is that of KL(π_ref ‖ π), the other way round (Tang and
    Munos, 2025).
    """
    return torch.expm1(-difference) + difference


KL: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {"k1": k1, "k2": k2, "k3": k3}


def kl(kind: str, log_prob: torch.Tensor, reference: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """An estimate of KL(π ‖ π_ref) from each token that π sampled, by one of `KL`; 0 where `mask` is 0.

    As a loss: with `log_prob` by the learner now. In the reward: with the `log_prob` it was sampled with,
    summed over a sequence and subtracted from its reward.
    """
    return KL[kind](log_ratio(log_prob, reference, mask))


def correction(
    old_log_prob: torch.Tensor, sampler_log_prob: torch.Tensor, mask: torch.Tensor, cap: float
) -> torch.Tensor:
    """min(π_old / π_sampler, `cap`), to multiply the policy loss of each token with.

    Truncated importance sampling (Ionides, 2008), for a sampler that computes otherwise than the learner,
    in another precision say (Yao et al., 2025, "Your efficient RL framework secretly brings you off-policy
    RL training").
    """
    return log_ratio(old_log_prob, sampler_log_prob, mask).exp().clamp(max=cap).detach()


def evaluate(
    logits: torch.Tensor, tokens: torch.Tensor, temperature: float = 1.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """`(log_prob, entropy)` of `tokens` `[...]`, each drawn from its own row of `logits` `[..., V]`.

    The entropy is of the whole distribution. Logits of −inf are choices that were left out. Both are in
    float32 at least: a ratio of probabilities in bf16 would be all rounding.
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    log_probs = (logits / temperature).log_softmax(-1)
    chosen = log_probs.gather(-1, tokens[..., None].long()).squeeze(-1)
    possible = log_probs.masked_fill(log_probs == -torch.inf, 0.0)  # 0 · −inf is 0 here
    return chosen, -(log_probs.exp() * possible).sum(-1)


def value_loss(
    value: torch.Tensor, returns: torch.Tensor, old_value: torch.Tensor, clip: float | None = None
) -> torch.Tensor:
    """½ (V − R)² of each token, for PPO with a value head.

    With `clip` the error counts as the larger one of the value and of a value that moved from `old_value`
    so far at most (Huang et al., 2022, "The 37 implementation details of PPO").
    """
    error = (value - returns).square()
    if clip is not None:
        held = old_value + (value - old_value).clamp(-clip, clip)
        error = torch.maximum(error, (held - returns).square())
    return 0.5 * error


# -- from tokens to one number -------------------------------------------------------------------------------


class Totals(NamedTuple):
    """What weights are divided by. Workers add up theirs, and each is given the sums."""

    sequences: int
    tokens: int


def totals(lengths: np.ndarray, counted: np.ndarray) -> Totals:
    """Of `lengths` (int `[S]`, the agent's own tokens), those of the `counted` (bool `[S]`) sequences."""
    return Totals(int(counted.sum()), int(lengths[counted].sum()))


def token_mean(lengths: np.ndarray, total: Totals, longest: int) -> np.ndarray:
    """Every token counts the same (Yu et al., 2025, DAPO, section 3.3, with one mean over all groups)."""
    return np.full(len(lengths), 1.0 / max(total.tokens, 1))


def sequence_mean(lengths: np.ndarray, total: Totals, longest: int) -> np.ndarray:
    """Every sequence counts the same, so a long one's tokens count less (Shao et al., 2024, GRPO, eq. 3)."""
    return 1.0 / (max(total.sequences, 1) * np.maximum(lengths, 1))


def constant(lengths: np.ndarray, total: Totals, longest: int) -> np.ndarray:
    """Sums of tokens by a constant: but for it the policy gradient itself (Liu et al., 2025, Dr. GRPO)."""
    return np.full(len(lengths), 1.0 / (max(total.sequences, 1) * longest))


AGGREGATIONS: dict[str, Callable[[np.ndarray, Totals, int], np.ndarray]] = {
    "token_mean": token_mean,
    "sequence_mean": sequence_mean,
    "constant": constant,
}


def sequence_weights(
    aggregation: str, lengths: np.ndarray, counted: np.ndarray, longest: int, total: Totals | None = None
) -> np.ndarray:
    """float64 `[S]`: what each token of a sequence weighs in the loss, by one of `AGGREGATIONS`.

    `lengths` (int `[S]`) is how many tokens of each are the agent's own, `counted` (bool `[S]`) which
    sequences are in the loss, `longest` the most tokens that an episode may have (not the most that one
    had). `total` is over all workers, who each give their own sequences.
    """
    total = totals(lengths, counted) if total is None else total
    return np.where(counted, AGGREGATIONS[aggregation](lengths, total, longest), 0.0)


def weighted_sum(
    weight: torch.Tensor, mask: torch.Tensor, *terms: tuple[float, torch.Tensor]
) -> torch.Tensor:
    """Σ weight · (Σ coefficient · term) over the agent's own tokens: the loss, or a micro-batch's part of it.

    `weight` is `sequence_weights(…)[sequence]`; a term is `(coefficient, loss of each token)`.
    """
    return torch.where(mask, weight * sum(coefficient * term for coefficient, term in terms), 0.0).sum()


# -- metrics -------------------------------------------------------------------------------------------------


@torch.no_grad()
def statistics(
    kind: str,
    tokens: Tokens,
    clip: Clip,
    *,
    entropy: torch.Tensor | None = None,
    sampler_log_prob: torch.Tensor | None = None,
) -> Metrics:
    """What the tokens of a batch say about the policy's step, means over the agent's own; none without any.

    `clip_fraction_low` and `_high` are the shares of tokens whose gradient the clip holds back (with
    `cispo`: whose weight it holds). `sampler_log_prob` is what they were sampled with, where `old_log_prob`
    was computed anew.
    """
    mask = tokens.mask
    if not mask.any():
        return {}
    ratio, advantage = LOSSES[kind].ratio(tokens)[mask], tokens.advantage[mask]
    moved = log_ratio(tokens.log_prob, tokens.old_log_prob, mask)[mask]
    found = {"ratio_mean": ratio.mean(), "ratio_max": ratio.max(), "approx_kl": k3(-moved).mean()}
    if clip != UNBOUNDED:
        one_sided = LOSSES[kind].objective is clipped
        down, up = (advantage < 0, advantage > 0) if one_sided else (advantage != 0, advantage != 0)
        found["clip_fraction_low"] = (down & (ratio < 1 - clip.low)).to(ratio.dtype).mean()
        found["clip_fraction_high"] = (up & (ratio > 1 + clip.high)).to(ratio.dtype).mean()
    if entropy is not None:
        found["entropy"] = entropy[mask].mean()
    if sampler_log_prob is not None:
        apart = log_ratio(tokens.old_log_prob, sampler_log_prob, mask)[mask]
        found |= {"mismatch_mean": apart.exp().mean(), "mismatch_max": apart.exp().max()}
        found["mismatch_kl"] = k3(-apart).mean()
    return dict(zip(found, torch.stack(list(found.values())).tolist()))
