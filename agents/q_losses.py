"""The maths of Q-learning: targets and losses, as pure functions over tensors of `B` items."""

from __future__ import annotations

import torch
import torch.nn.functional as F


def best_actions(values: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """The legal action of highest value, int64 `[B]`; `values` and `mask` (if any) are `[B, actions]`."""
    return (values if mask is None else values.masked_fill(~mask, -torch.inf)).argmax(1)


def take_action(out: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
    """`out[i, actions[i]]` for each row of `[B, actions, atoms]`: `[B, atoms]`."""
    return out.gather(1, actions[:, None, None].expand(-1, 1, out.shape[2])).squeeze(1)


def huber_loss(q: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """`(loss, |error|)` an item, `[B]` each: quadratic to an error of 1, then linear (Mnih et al., 2015)."""
    return F.smooth_l1_loss(q, targets, reduction="none"), (q.detach() - targets).abs()


def project_c51(
    probabilities: torch.Tensor, support: torch.Tensor, returns: torch.Tensor, discounts: torch.Tensor
) -> torch.Tensor:
    """The distribution of `returns + discounts · Z`, put back on the support: `[B, atoms]`.

    Algorithm 1 of Bellemare et al. (2017), for a whole batch. Z has `probabilities` `[B, atoms]` on the
    evenly spaced `support` `[atoms]`; `returns` and `discounts` are `[B]`. Each moved atom is clamped to
    the support, and its mass shared between its two neighbours by nearness; one that falls on an atom gives
    that one all.
    """
    low, high, last = support[0], support[-1], len(support) - 1
    moved = returns[:, None] + discounts[:, None] * support
    place = ((moved - low) * (last / (high - low))).clamp(0, last)
    below = place.floor()
    share = place - below
    left = below.long()
    out = torch.zeros_like(probabilities)
    out.scatter_add_(1, left, probabilities * (1 - share))
    return out.scatter_add_(1, (left + 1).clamp_(max=last), probabilities * share)


def c51_loss(logits: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """`(cross-entropy, KL divergence)` an item, `[B]` each, of `logits` from `targets`, both `[B, atoms]`.

    The former is the loss; the latter, which is 0 where nothing is left to learn, is the error to
    prioritise by (Hessel et al., 2018).
    """
    loss = -(targets * logits.log_softmax(1)).sum(1)
    entropy = -torch.special.xlogy(targets, targets).sum(1)
    return loss, (loss.detach() - entropy).clamp_(min=0.0)


def make_goals(
    following: torch.Tensor, support: torch.Tensor, returns: torch.Tensor, discounts: torch.Tensor
) -> torch.Tensor:
    """What outputs for the played actions should be, `[B, atoms]`: return distributions, or with one atom
    values.

    `following` `[B, atoms]` is the target network's output (logits, or values) for what is played next.
    """
    if len(support) == 1:
        return returns[:, None] + discounts[:, None] * following
    return project_c51(following.softmax(1), support, returns, discounts)


def item_loss(played: torch.Tensor, goals: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """`(loss, error to prioritise by)`, `[B]` each, of outputs `[B, atoms]` for the played actions."""
    if played.shape[1] == 1:
        return huber_loss(played.squeeze(1), goals.squeeze(1))
    return c51_loss(played, goals)
