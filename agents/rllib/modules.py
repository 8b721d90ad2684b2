"""RLlib's own modules with an action mask behind the observation (see `agents.rllib.view`)."""

from __future__ import annotations

from types import new_class
from typing import Any

import torch

from envs.paths import resolve

UNLIKELY = -1e9
"""The logit of an illegal action: its probability is 0, and no NaN arises from it."""
OBS, LOGITS, OLD_LOGITS, VALUES = "obs", "action_dist_inputs", "target_network_action_dist_inputs", "qf_preds"
"""RLlib's names of what goes in and comes out."""


def hidden(values: Any, obs: Any, low: float) -> torch.Tensor:
    """`values` `[..., actions]` with `low` where the mask behind `obs` is 0, unless it all is."""
    legal = obs[..., -values.shape[-1] :] > 0.5
    return values.masked_fill(~legal & legal.any(-1, keepdim=True), low)


class MaskedPolicy:
    """The logits of a policy, masked whenever they are made."""

    def _forward(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        out = super()._forward(batch, **kwargs)  # type: ignore[misc]
        return {**out, LOGITS: hidden(out[LOGITS], batch[OBS], UNLIKELY)}

    def _forward_train(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        out = super()._forward_train(batch, **kwargs)  # type: ignore[misc]
        return {**out, LOGITS: hidden(out[LOGITS], batch[OBS], UNLIKELY)}


class MaskedTarget(MaskedPolicy):
    """The same, and those of the older policy that APPO compares with."""

    def forward_target(self, batch: dict[str, Any]) -> dict[str, Any]:
        out = super().forward_target(batch)  # type: ignore[misc]
        return {**out, OLD_LOGITS: hidden(out[OLD_LOGITS], batch[OBS], UNLIKELY)}


class MaskedValues:
    """Illegal actions are worth −∞, which DQN's learner and its random choices leave out."""

    def _qf_forward_helper(self, batch: dict[str, Any], encoder: Any, head: Any) -> dict[str, Any]:
        out = super()._qf_forward_helper(batch, encoder, head)  # type: ignore[misc]
        return {**out, VALUES: hidden(out[VALUES], batch[OBS], -torch.inf)}


PPO = "ray.rllib.algorithms.ppo.torch.default_ppo_torch_rl_module:DefaultPPOTorchRLModule"
APPO = "ray.rllib.algorithms.appo.torch.default_appo_torch_rl_module:DefaultAPPOTorchRLModule"
DQN = "ray.rllib.algorithms.dqn.torch.default_dqn_torch_rl_module:DefaultDQNTorchRLModule"
MASKED: dict[str, tuple[type, str]] = {
    "PPO": (MaskedPolicy, PPO),
    "IMPALA": (MaskedPolicy, PPO),
    "APPO": (MaskedTarget, APPO),
    "DQN": (MaskedValues, DQN),
}
"""What masks, and RLlib's module, by algorithm; SAC has none."""


def masked(algorithm: str) -> type:
    """The algorithm's module with a mask; imports RLlib."""
    mask, path = MASKED[algorithm]
    return new_class(f"Masked{algorithm}", (mask, resolve(path)))
