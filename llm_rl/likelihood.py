"""How likely a policy finds what was written, by itself or by another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from agents.parallel import in_shares
from llm_rl.sequences import Scores, Sequences

if TYPE_CHECKING:
    from rollouts.rollout import Rollout

MICRO_TOKENS = 16_384
"""Tokens that go through a network at once."""


def log_probs(
    policy: Any, rollout: Rollout, found: Sequences, micro_tokens: int = MICRO_TOKENS
) -> np.ndarray:
    """The log-probability by `policy` of each token that was written: float32 `[S, M]`, else 0.

    `policy` is one that has a `score`, as `llm_rl.policy.LanguagePolicy`; who wrote must use its tokens.
    """
    return of_tokens(policy, rollout, found, lambda scores: scores.log_prob, micro_tokens)


@torch.no_grad()
def of_tokens(
    policy: Any,
    rollout: Rollout,
    found: Sequences,
    what: Callable[[Scores], torch.Tensor],
    micro_tokens: int = MICRO_TOKENS,
) -> np.ndarray:
    """`what` the network says of each token that was written: float32 `[S, M]`, else 0."""
    out = np.zeros(found.mask.shape, np.float32)

    def look(own: slice) -> torch.Tensor:
        for rows in micro_batches(found.lengths, np.arange(len(found))[own], micro_tokens):
            part = found.take(rows)
            sequence, place = np.nonzero(part.mask)
            out[rows[sequence], place] = what(policy.score(rollout, part)).float().cpu().numpy()
        return torch.as_tensor(out[own], device=next(policy.network.parameters()).device)

    return in_shares(len(found), look).cpu().numpy()


def micro_batches(lengths: np.ndarray, rows: np.ndarray, micro_tokens: int) -> Iterator[np.ndarray]:
    """The rows, in order, in parts of at most `micro_tokens` tokens (one sequence at least)."""
    start, held = 0, 0
    if not len(rows):
        return
    for k, length in enumerate(lengths[rows].tolist()):
        if k > start and held + length > micro_tokens:
            yield rows[start:k]
            start, held = k, 0
        held += length
    yield rows[start:]
