"""Any agent's decisions as the tokens of a sequence, so that what learns from tokens learns from them too."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from agents.policy import PolicyActor
from llm_rl.sequences import Sequences, whole_episodes
from rollouts.rollout import Rollout


class Decisions:
    """A `PolicyActor` as GRPO wants a policy: each decision is a token, named by its place in the rollout."""

    def __init__(self, actor: PolicyActor) -> None:
        self.actor, self.network = actor, actor.network

    def sequences(self, rollout: Rollout) -> Sequences:
        """The whole episodes of a rollout; tokens are `time · slots + slot`."""
        places = np.arange(rollout.valid.size, dtype=np.int32).reshape(*rollout.shape, 1)
        fields = {
            "tokens": places,
            "token_mask": np.ones_like(places, bool),
            "token_count": np.ones(rollout.shape, np.int32),
            "log_prob": rollout.fields["log_prob"][..., None],
        }
        return whole_episodes(replace(rollout, fields=fields))

    def score(self, rollout: Rollout, part: Sequences) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-probability and entropy of each decision, `[K]` each."""
        at = np.divmod(part.tokens[part.mask], rollout.shape[1])
        return self.actor.evaluate(self.actor.examples(rollout, at))

    def refresh(self) -> None:
        """The network has learned."""
        self.actor.refresh()
