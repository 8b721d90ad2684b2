"""GRPO: learn from several tries at each problem (Shao et al., 2024), and what later papers mended of it."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import torch
from gymnasium import spaces
from torch import nn

from agents.networks import from_arrays, to_arrays
from agents.optim import (
    apply_gradients,
    gradient_norm,
    load_optimiser_state,
    optimiser_state,
    scheduled_lr,
    set_lr,
)
from agents.options import Count, NotNegative, Options, Positive, Share, checked, read
from agents.policy import PolicyActor
from envs.options import OptionError
from llm_rl import losses
from llm_rl.advantages import advantages, check_advantages, describe, has_signal, soft_overlong
from llm_rl.decisions import Decisions
from llm_rl.losses import Tokens, make_clip, policy_loss, sequence_weights, statistics, weighted_sum
from llm_rl.sequences import Sequences
from rollouts.agent import Learner, Metrics
from rollouts.build import build_inner
from rollouts.rollout import Rollout

LANGUAGE = "llm_rl.policy:LanguagePolicy"


class Policy(Protocol):
    """What GRPO needs of an agent that learns by it."""

    network: nn.Module

    def sequences(self, rollout: Rollout) -> Sequences:
        """The whole episodes of a rollout that it played."""

    def score(self, rollout: Rollout, part: Sequences) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-probability and entropy of its own tokens, `[K]` each, in the order of `part.mask`."""

    def refresh(self) -> None:
        """The network has changed."""


class Divergence(Options):
    """A penalty on leaving the policy that learning began with."""

    coef: NotNegative = 1e-3
    estimator: Literal["k1", "k2", "k3"] = "k2"
    """Schulman (2020). As a loss only `k2` has the divergence's gradient; in the reward `k1` is right."""
    where: Literal["loss", "reward"] = "loss"


@dataclass(frozen=True)
class Work:
    """What one rollout gives to learn from. Arrays are `[S]`, or `[S, M]` where they say so."""

    rollout: Rollout
    sequences: Sequences
    advantage: np.ndarray
    counted: np.ndarray
    """bool: whether a sequence is in the loss and in its means."""
    old_log_prob: np.ndarray
    """`[S, M]`: by the policy that ratios are measured from."""
    reference: np.ndarray | None
    """`[S, M]`: by the policy that learning began with, where it is asked for."""


class GRPO(Learner):
    """Compares the tries at one problem, and makes the better ones likelier.

    * `problems`, `group_size`: of a rollout; every problem is tried `group_size` times.
    * `policy`: who learns, as in a config's `agent` (`kind` and options), where it is no language model; else
      `model`, `max_new`, `temperature`, `top_k`, `top_p`, `precision`: see `llm_rl.policy.LanguagePolicy`.
    * `loss`: "clip" (PPO), "gspo", "cispo" or "reinforce"; `clip_low`, `clip_high`, `dual_clip`: its limits.
    * `advantage`, `ddof`: see `llm_rl.advantages.advantages`.
    * `aggregation`: "token_mean" (DAPO), "sequence_mean" (GRPO) or "constant" (Dr. GRPO: by `max_new`).
    * `kl`: see `Divergence`; `entropy_coef`: of an entropy bonus.
    * `overlong_buffer`: tokens before the limit over which the reward falls by 1 (DAPO).
    * `correction`: cap of truncated importance weights, for sampling in another precision than learning; old
      log-probabilities are then those of the learner. None: they are the sampler's own.
    * `epochs`, `minibatches`: passes over a rollout, and gradient steps in each; `micro_tokens`: tokens that
      go through the network at once (for memory; the gradient is the same).
    * `lr`, `warmup`, `final_lr`, `weight_decay`, `max_grad_norm`: see `agents.imitation.Imitation`.

    Groups in which all tries are worth the same teach nothing and are in no mean (dynamic sampling of DAPO,
    but for sampling more); nor are tries whose verifier failed. Raises `OptionError` for options that do not
    fit.
    """

    @checked
    def __init__(
        self,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        *,
        seed: int = 0,
        device: str = "cpu",
        problems: Count = 32,
        group_size: Count = 16,
        policy: Mapping[str, Any] | None = None,
        model: Mapping[str, Any] | None = None,
        max_new: Count = 64,
        temperature: Positive = 1.0,
        top_k: int = 0,
        top_p: Positive = 1.0,
        precision: Literal["fp32", "bf16"] = "fp32",
        loss: str = "clip",
        clip_low: Positive | None = None,
        clip_high: Positive | None = None,
        dual_clip: Positive | None = None,
        advantage: str = "group_mean",
        ddof: Literal[0, 1] = 1,
        aggregation: Literal["token_mean", "sequence_mean", "constant"] = "constant",
        kl: Mapping[str, Any] | None = None,
        entropy_coef: float = 0.0,
        overlong_buffer: Count | None = None,
        correction: Positive | None = None,
        epochs: Count = 1,
        minibatches: Count = 1,
        micro_tokens: Count = 16_384,
        lr: NotNegative = 1e-4,
        warmup: int = 10,
        final_lr: Share = 1.0,
        weight_decay: NotNegative = 0.0,
        max_grad_norm: Positive | None = 1.0,
    ) -> None:
        check_advantages(advantage, group_size)
        writes: dict[str, Any] = {
            "model": model,
            "max_new": max_new,
            "temperature": temperature,
            "top_k": top_k,
        }
        writes |= {"top_p": top_p, "precision": precision}
        chosen: Mapping[str, Any] = {"path": LANGUAGE, "options": writes} if policy is None else policy
        own = {**chosen, "options": {**chosen.get("options", {}), "seed": seed, "device": device}}
        made: Any = build_inner("policy", own, observation_space, action_space)
        self.actor = made
        self.speaker: Any = Decisions(made) if isinstance(made, PolicyActor) else made
        if not hasattr(self.speaker, "score"):
            raise OptionError("policy", f"{type(made).__name__} cannot score what it did, to learn by it")
        self.wants = {"episodes": problems * group_size, "group_size": group_size}
        self.longest = max_new * getattr(action_space, "turns", 1)
        self.loss, self.clip = loss, make_clip(loss, clip_low, clip_high, dual_clip)
        self.advantage, self.ddof, self.aggregation = advantage, ddof, aggregation
        self.kl = None if kl is None else read(Divergence, kl, "kl")
        self.entropy_coef, self.correction, self.overlong_buffer = entropy_coef, correction, overlong_buffer
        self.epochs, self.minibatches, self.micro_tokens = epochs, minibatches, micro_tokens
        self.lr, self.warmup, self.final_lr, self.max_grad_norm = lr, warmup, final_lr, max_grad_norm
        self.optimiser = torch.optim.AdamW(
            self.speaker.network.parameters(), lr, weight_decay=weight_decay, fused=True
        )
        self.generator = np.random.default_rng(seed)
        self.steps = 0
        self.reference: dict[str, np.ndarray] | None = None
        if overlong_buffer is not None:
            soft_overlong(np.zeros(0), self.longest, overlong_buffer)  # which says where it does not fit

    def learn(self, rollout: Rollout) -> Metrics:
        """Improve from one rollout of whole groups that `self.actor` played."""
        found = self.speaker.sequences(rollout)
        told = (found.reward, found.group, found.valid, found.own_lengths, found.success, found.truncated)
        metrics = describe(*told)
        work = self._judge(rollout, found)
        kept = np.flatnonzero(work.counted)
        metrics["learned_from"] = len(kept) / max(len(found), 1)
        if len(kept):
            metrics |= self._improve(work, kept)
        return metrics | {"lr": self._rate(), "gradient_steps": self.steps}

    # -- what to learn ---------------------------------------------------------------------------------

    def _judge(self, rollout: Rollout, found: Sequences) -> Work:
        """Rewards as advantages, and what the ratios and the divergence are measured from."""
        old, rewards = found.old_log_prob, found.reward
        if self.correction is not None:
            old = self._scores(rollout, found)
        reference = self._by_reference(rollout, found) if self.kl is not None else None
        if self.overlong_buffer is not None:
            rewards = rewards + soft_overlong(found.own_lengths, self.longest, self.overlong_buffer)
        if self.kl is not None and self.kl.where == "reward":
            arrays = (torch.from_numpy(x) for x in (found.old_log_prob, reference, found.mask))
            apart = losses.kl(self.kl.estimator, *arrays).numpy()
            rewards = rewards - self.kl.coef * apart.sum(axis=1)
        values = advantages(self.advantage, rewards, found.group, found.valid, ddof=self.ddof)
        counted = found.valid & has_signal(rewards, found.group, found.valid)
        return Work(rollout, found, values, counted, old, reference)

    def _by_reference(self, rollout: Rollout, found: Sequences) -> np.ndarray:
        """The log-probabilities `[S, M]` by the weights that learning began with."""
        if self.reference is None:
            self.reference = to_arrays(self.speaker.network)
        now = copy.deepcopy(self.speaker.network.state_dict())
        from_arrays(self.speaker.network, self.reference)
        try:
            return self._scores(rollout, found)
        finally:
            self.speaker.network.load_state_dict(now)

    @torch.no_grad()
    def _scores(self, rollout: Rollout, found: Sequences) -> np.ndarray:
        """Log-probabilities `[S, M]` by the network as it is; 0 where the agent did not write."""
        out = np.zeros(found.mask.shape, np.float32)
        for rows in self._micro_batches(found, np.arange(len(found))):
            part = found.take(rows)
            inside = np.zeros((len(rows), found.mask.shape[1]), bool)
            inside[:, : part.mask.shape[1]] = part.mask
            scores = np.zeros(inside.shape, np.float32)
            scores[inside] = self.speaker.score(rollout, part)[0].float().cpu().numpy()
            out[rows] = scores
        return out

    # -- learning --------------------------------------------------------------------------------------

    def _improve(self, work: Work, kept: np.ndarray) -> Metrics:
        """The gradient steps of one rollout; metrics are those of the first and the means of all."""
        told: list[Metrics] = []
        for _ in range(self.epochs):
            order = self.generator.permutation(kept)
            for rows in np.array_split(order, min(self.minibatches, len(order))):
                told.append(self._step(work, np.sort(rows)))
        self.speaker.refresh()
        names = dict.fromkeys(name for one in told for name in one)
        return {name: float(np.mean([one[name] for one in told if name in one])) for name in names}

    def _step(self, work: Work, rows: np.ndarray) -> Metrics:
        lengths = work.sequences.own_lengths
        weights = np.zeros(len(lengths))
        weights[rows] = sequence_weights(
            self.aggregation, lengths[rows], np.ones(len(rows), bool), self.longest
        )
        set_lr(self.optimiser, self._rate())
        self.optimiser.zero_grad()
        parts = [self._backward(work, micro, weights) for micro in self._micro_batches(work.sequences, rows)]
        total = gradient_norm(self.optimiser)
        norm = float(total)
        apply_gradients(self.optimiser, total, norm, self.max_grad_norm)
        self.steps += 1
        sizes = np.array([size for size, _, _ in parts], np.float64)
        told = {"loss": float(sum(loss for _, loss, _ in parts)), "grad_norm": norm}
        for name in parts[0][2]:
            values = np.array([metrics[name] for _, _, metrics in parts])
            largest = name.endswith("_max")
            told[name] = float(values.max() if largest else (values * sizes).sum() / sizes.sum())
        return told

    def _backward(self, work: Work, rows: np.ndarray, weights: np.ndarray) -> tuple[int, float, Metrics]:
        """Add the gradient of some sequences; (tokens, their part of the loss, what they tell)."""
        part = work.sequences.take(rows)
        log_prob, entropy = self.speaker.score(work.rollout, part)
        sequence, place = np.nonzero(part.mask)
        flat = rows[sequence], place

        def tensor(array: np.ndarray) -> torch.Tensor:
            return torch.as_tensor(array, device=log_prob.device)

        mask = torch.ones_like(log_prob, dtype=torch.bool)
        old, sampled = tensor(work.old_log_prob[flat]), tensor(work.sequences.old_log_prob[flat])
        advantage = tensor(work.advantage[flat[0]]).to(log_prob.dtype)
        tokens = Tokens(log_prob, old, advantage, mask, tensor(sequence))
        gain = policy_loss(self.loss, tokens, self.clip)
        if self.correction is not None:
            gain = gain * losses.correction(old, sampled, mask, self.correction)
        terms = [(1.0, gain), (-self.entropy_coef, entropy)]
        more: Metrics = {}
        if self.kl is not None and work.reference is not None:
            apart = losses.kl(self.kl.estimator, log_prob, tensor(work.reference[flat]), mask)
            more["kl"] = float(apart.detach().mean())
            if self.kl.where == "loss":
                terms.append((self.kl.coef, apart))
        loss = weighted_sum(tensor(weights[flat[0]]).to(log_prob.dtype), mask, *terms)
        loss.backward()
        told = statistics(
            self.loss,
            tokens._replace(log_prob=log_prob.detach()),
            self.clip,
            entropy=entropy.detach(),
            sampler_log_prob=sampled if self.correction is not None else None,
        )
        return len(log_prob), loss.item(), told | more

    def _micro_batches(self, found: Sequences, rows: np.ndarray) -> Iterator[np.ndarray]:
        """The rows, in order, in parts of at most `micro_tokens` tokens (one sequence at least)."""
        start, held = 0, 0
        for k, length in enumerate(found.lengths[rows].tolist()):
            if k > start and held + length > self.micro_tokens:
                yield rows[start:k]
                start, held = k, 0
            held += length
        yield rows[start:]

    def _rate(self) -> float:
        return scheduled_lr(self.lr, self.progress, self.final_lr, self.steps, self.warmup)

    # -- saving ----------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        return {
            "policy": self.actor.weights(),
            "reference": self.reference,
            "optimiser": optimiser_state(self.optimiser),
            "generator": self.generator.bit_generator.state,
            "steps": self.steps,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.actor.load_weights(state["policy"])
        self.reference = state["reference"] and dict(state["reference"])
        load_optimiser_state(self.optimiser, state["optimiser"])
        self.generator.bit_generator.state = state["generator"]
        self.steps = int(state["steps"])
