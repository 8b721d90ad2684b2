"""Any agent's decisions as the tokens of a sequence, so that what learns from tokens learns from them too."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from torch import nn

from agents.policy import PolicyActor
from envs.options import OptionError
from llm_rl.sequences import Scores, Sequences, whole_episodes
from rollouts.rollout import Rollout


class Policy(Protocol):
    """What GRPO needs of an agent that learns by it."""

    network: nn.Module

    def sequences(self, rollout: Rollout) -> Sequences:
        """The whole episodes of a rollout that it played."""

    def score(self, rollout: Rollout, part: Sequences) -> Scores:
        """What it says of its own tokens; with `hidden`, it has a `width`."""

    def refresh(self) -> None:
        """The network has changed."""


def as_policy(agent: Any) -> Policy:
    """The agent, or its decisions, as a `Policy` (`OptionError` where it cannot be one)."""
    policy = Decisions(agent) if isinstance(agent, PolicyActor) else agent
    if not hasattr(policy, "score"):
        raise OptionError("policy", f"{type(agent).__name__} cannot score what it did, to learn by it")
    return policy


class Decisions:
    """A `PolicyActor` as GRPO wants a policy: each decision is a token, named by its place in the rollout."""

    network: nn.Module

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

    def score(self, rollout: Rollout, part: Sequences) -> Scores:
        """Log-probability and entropy of each decision."""
        at = np.divmod(part.tokens[part.mask], rollout.shape[1])
        return Scores(*self.actor.evaluate(self.actor.examples(rollout, at)))

    def refresh(self) -> None:
        """The network has learned."""
        self.actor.refresh()
