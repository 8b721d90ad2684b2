"""GRPO: learn from several tries at each problem (Shao et al., 2024), what later papers mended, and PPO."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Annotated, Any, Literal

import numpy as np
import torch
from gymnasium import spaces
from pydantic import Field

from agents.networks import from_arrays, to_arrays
from agents.optim import (
    apply_gradients,
    gather_gradients,
    load_optimiser_state,
    optimiser_state,
    scheduled_lr,
    set_lr,
)
from agents.options import Count, NotNegative, Positive, Share, checked
from agents.parallel import everyones, share
from envs.options import OptionError
from llm_rl.advantages import (
    UNGROUPED,
    advantages,
    check_advantages,
    describe,
    soft_overlong,
    teaches,
)
from llm_rl.critic import (
    at_last_token,
    explained_variance,
    make_critic,
    normalised,
    token_gae,
    token_rewards,
)
from llm_rl.decisions import as_policy
from llm_rl.likelihood import micro_batches, of_tokens
from llm_rl.losses import Tokens, sequence_weights, value_loss, weighted_sum
from llm_rl.objectives import EntropyBonus, Objective, make_objective
from llm_rl.sequences import Scores, Sequences
from rollouts.agent import Learner, Metrics
from rollouts.build import build_inner
from rollouts.rollout import Rollout, concatenate

LANGUAGE = "llm_rl.policy:LanguagePolicy"
STALE = 2.0
"""The cap of importance weights for what older weights wrote, where `correction` names none."""


@dataclass(frozen=True)
class Work:
    """What there is to learn from at once. Arrays are `[S, M]`, 0 where the agent did not write."""

    rollout: Rollout
    sequences: Sequences
    counted: np.ndarray
    """bool `[S]`: whether a sequence is in the loss and in its means."""
    advantage: np.ndarray
    old_log_prob: np.ndarray
    """By the policy that ratios are measured from."""
    reference: np.ndarray | None
    """Log-probabilities by the policy that learning began with, where it is asked for."""
    objective: Objective
    by_value: Mapping[str, np.ndarray] | None = None
    """With a critic: `value`, before the update, and `returns`, what it should have been."""


class GRPO(Learner):
    """Compares the tries at one problem, and makes the better ones likelier.

    * `problems`, `group_size`: of a rollout; every problem is tried `group_size` times.
    * `resample`: how many more rollouts at most are sampled until there are `problems` groups whose tries
      differ in worth (dynamic sampling of DAPO); all of these are then learned from.
    * `policy`: who learns, as in a config's `agent` (`kind` and options), where it is no language model: each
      decision is a token then, and `max_new` the most that an episode may have. Else `model`, `max_new`,
      `temperature`, `top_k`, `top_p`, `precision`: see `llm_rl.policy.LanguagePolicy`.
    * `loss`: "clip" (PPO), "gspo", "cispo" or "reinforce"; `clip`: its limits, and `kl`: see
      `llm_rl.objectives`, `ClipOptions` and `Divergence`.
    * `advantage`, `ddof`: see `llm_rl.advantages.advantages`; "gae" (which makes it PPO) needs no groups, and
      learns a value of each token instead: `critic` says how, see `llm_rl.critic.CriticOptions`.
    * `k`: with "pkpo", of how many tries the best one counts; `[start, end]` for a line over the budget.
    * `aggregation`: "token_mean" (DAPO), "sequence_mean" (GRPO) or "constant" (Dr. GRPO: by `max_new`).
    * `entropy_coef`: of an entropy bonus, which `entropy_target` (nats a token) and `entropy_step` steer: see
      `llm_rl.objectives.EntropyBonus`.
    * `overlong_buffer`: tokens before the limit over which the reward falls by 1 (DAPO).
    * `correction`: cap of truncated importance weights, for sampling in another precision than learning; old
      log-probabilities are then those of the learner. None: they are the sampler's own, but for what older
      weights wrote, whose cap is 2.
    * `epochs`, `minibatches`: passes over a rollout, and gradient steps in each; `micro_tokens`: tokens that
      go through the network at once (for memory; the gradient is the same).
    * `lr`, `warmup`, `final_lr`, `weight_decay`, `max_grad_norm`: see `agents.imitation.Imitation`.

    * `drop_equal`: groups in which all tries are worth the same are in no mean (DAPO), so the step does not
      shrink as more problems are solved. False: they count in the means of the loss, in KL and in entropy.

    Tries whose verifier failed are in no mean. Raises `OptionError` for options that do not fit.
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
        resample: Annotated[int, Field(ge=0)] = 0,
        policy: Mapping[str, Any] | None = None,
        model: Mapping[str, Any] | None = None,
        max_new: Count = 64,
        temperature: Positive = 1.0,
        top_k: int = 0,
        top_p: Positive = 1.0,
        precision: Literal["fp32", "bf16"] = "fp32",
        loss: str = "clip",
        clip: Mapping[str, Any] | None = None,
        advantage: str = "group_mean",
        ddof: Literal[0, 1] = 1,
        k: Count | Annotated[Sequence[Count], Field(min_length=2, max_length=2)] | None = None,
        critic: Mapping[str, Any] | None = None,
        drop_equal: bool = True,
        aggregation: Literal["token_mean", "sequence_mean", "constant"] = "constant",
        kl: Mapping[str, Any] | None = None,
        entropy_coef: float = 0.0,
        entropy_target: Positive | None = None,
        entropy_step: Positive = 5e-3,
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
        self.k = None if k is None else (k, k) if isinstance(k, int) else (k[0], k[1])
        check_advantages(advantage, group_size, self.k)
        if resample and advantage in UNGROUPED:
            raise OptionError("resample", f"advantage '{advantage}' has no groups to sample again for")
        writes: dict[str, Any] = {"model": model, "max_new": max_new, "temperature": temperature}
        writes |= {"top_k": top_k, "top_p": top_p, "precision": precision}
        self.actor = _make_policy(observation_space, action_space, policy, writes, seed=seed, device=device)
        self.speaker: Any = as_policy(self.actor)
        self.critic = make_critic(advantage, critic, getattr(self.speaker, "width", 0), seed, device)
        self.wants = {"episodes": problems * group_size, "group_size": group_size}
        self.problems, self.resample = problems, resample
        self.held: Rollout | None = None
        self.waited = 0
        self.longest = max_new * getattr(action_space, "turns", 1)
        if overlong_buffer is not None:
            soft_overlong(np.zeros(0), self.longest, overlong_buffer)  # which says where it does not fit
        self.advantage, self.ddof, self.drop_equal = advantage, ddof, drop_equal
        self.aggregation, self.overlong_buffer = aggregation, overlong_buffer
        self.objective = make_objective(loss, clip, kl, correction)
        self.bonus = EntropyBonus(entropy_coef, entropy_target, entropy_step)
        self.epochs, self.minibatches, self.micro_tokens = epochs, minibatches, micro_tokens
        self.lr, self.warmup, self.final_lr, self.max_grad_norm = lr, warmup, final_lr, max_grad_norm
        self.optimiser = self._make_optimiser(weight_decay)
        self.generator = np.random.default_rng(seed)
        self.steps, self.tokens = 0, 0
        self.reference: dict[str, np.ndarray] | None = None

    def learn(self, rollout: Rollout) -> Metrics:
        """Improve from one rollout of whole groups that `self.actor` played, or keep it for the next."""
        found = self.speaker.sequences(rollout)
        told = (found.reward, found.group, found.valid, found.own_lengths, found.success, found.truncated)
        self.tokens += int(found.own_lengths.sum())
        metrics = describe(*told) | {"tokens": self.tokens}
        if self.resample:
            rollout, found = self._gather(rollout, found)
        if self.held is None:
            metrics |= self._improve(rollout, found)
        return metrics | {"lr": self._rate(), "gradient_steps": self.steps}

    # -- what to learn ---------------------------------------------------------------------------------

    def _gather(self, rollout: Rollout, found: Sequences) -> tuple[Rollout, Sequences]:
        """All since the last step as one rollout, which is held where more is to come.

        No step was made meanwhile, so what was not stale is not. What counts is what the reward says, before
        any shaping.
        """
        if self.held is not None:
            newest, was = rollout.newest, self.held.newest
            held = replace(self.held, version=self.held.version + newest - was, newest=newest)
            rollout = concatenate([held, rollout])
            found = self.speaker.sequences(rollout)
        signal, _ = self._compare(found, found.reward)
        enough = len(np.unique(found.group[signal])) >= self.problems
        self.held = None if enough or self.waited == self.resample else rollout
        self.waited = 0 if self.held is None else self.waited + 1
        return rollout, found

    def _judge(self, rollout: Rollout, found: Sequences) -> Work:
        """Rewards as advantages, and what the ratios and the divergence are measured from."""
        old, objective = found.old_log_prob, self.objective
        if rollout.stale and objective.correction is None:
            objective = replace(objective, correction=STALE)
        if objective.correction is not None:
            old = self._over(rollout, found, lambda scores: scores.log_prob)
        rewards = token_rewards(found)
        if self.overlong_buffer is not None:
            shaping = soft_overlong(found.own_lengths, self.longest, self.overlong_buffer)
            at_last_token(rewards, found, shaping)
        reference = None
        if objective.kl is not None:
            reference = self._by_reference(rollout, found)
            rewards -= objective.penalty(old, reference, found.mask)
        if self.critic is not None:
            by_value = self._by_value(rollout, found, rewards)
            told = (old, reference, objective)
            return Work(rollout, found, found.valid, by_value["advantage"], *told, by_value)
        teaches, advantage = self._compare(found, rewards.sum(axis=1))
        counted = teaches if self.drop_equal else found.valid
        return Work(rollout, found, counted, found.mask * advantage[:, None], old, reference, objective)

    def _compare(self, found: Sequences, rewards: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which sequences teach something, by rewards `[S]`, and the advantage of each."""
        told = (found.group, found.valid)
        advantage = advantages(self.advantage, rewards, *told, ddof=self.ddof, k=self._k())
        return teaches(self.advantage, advantage, *told), advantage

    def _by_value(self, rollout: Rollout, found: Sequences, rewards: np.ndarray) -> dict[str, np.ndarray]:
        """What the critic makes of the `rewards` of tokens: `advantage`, `value` and `returns`, `[S, M]`."""
        critic: Any = self.critic
        value = self._over(rollout, found, lambda scores: critic(scores.hidden))
        advantage = token_gae(rewards, value, found.mask, critic.options.gae_lambda)
        returns = np.where(found.mask, advantage + value, 0.0).astype(np.float32)
        if critic.options.normalise:
            advantage = normalised(advantage, found.mask & found.valid[:, None])
        return {"advantage": advantage, "value": value, "returns": returns}

    def _by_reference(self, rollout: Rollout, found: Sequences) -> np.ndarray:
        """The log-probabilities `[S, M]` by the weights that learning began with."""
        if self.reference is None:
            self.reference = to_arrays(self.speaker.network)
        now = copy.deepcopy(self.speaker.network.state_dict())
        from_arrays(self.speaker.network, self.reference)
        try:
            return self._over(rollout, found, lambda scores: scores.log_prob)
        finally:
            self.speaker.network.load_state_dict(now)

    def _over(self, rollout: Rollout, found: Sequences, what: Callable[[Scores], torch.Tensor]) -> np.ndarray:
        """`what` of each token that the agent wrote, by the network as it is: float32 `[S, M]`, else 0."""
        return of_tokens(self.speaker, rollout, found, what, self.micro_tokens)

    # -- learning --------------------------------------------------------------------------------------

    def _improve(self, rollout: Rollout, found: Sequences) -> Metrics:
        """Judge what was done, and learn from it."""
        work = self._judge(rollout, found)
        kept = np.flatnonzero(work.counted)
        metrics: Metrics = {"learned_from": len(kept) / max(len(found), 1)}
        if self.k is not None:
            metrics["k"] = self._k()
        if work.by_value is not None and len(kept):
            inside = found.mask & work.counted[:, None]
            told = (work.by_value[name][inside] for name in ("value", "returns"))
            metrics["explained_variance"] = explained_variance(*told)
        if not len(kept):
            return metrics
        self.bonus.steer(work.old_log_prob[kept][work.sequences.mask[kept]])
        if self.bonus.target is not None:
            metrics["entropy_coef"] = self.bonus.now
        return metrics | self._steps(work, kept)

    def _steps(self, work: Work, kept: np.ndarray) -> Metrics:
        """The gradient steps of one update, and the means of what they tell."""
        told: list[Metrics] = []
        for _ in range(self.epochs):
            order = self.generator.permutation(kept)
            for rows in np.array_split(order, min(self.minibatches, len(order))):
                told.append(self._step(work, np.sort(rows)))
        self.speaker.refresh()
        names = dict.fromkeys(name for one in told for name in one)
        values = {name: [one[name] for one in told if name in one] for name in names}
        return {name: float(np.max(x) if name.endswith("_max") else np.mean(x)) for name, x in values.items()}

    def _step(self, work: Work, rows: np.ndarray) -> Metrics:
        lengths = work.sequences.own_lengths
        weights = np.zeros(len(lengths))
        weights[rows] = sequence_weights(
            self.aggregation, lengths[rows], np.ones(len(rows), bool), self.longest
        )
        set_lr(self.optimiser, self._rate())
        if self.critic is not None:
            self.optimiser.param_groups[1]["lr"] *= self.critic.options.lr
        self.optimiser.zero_grad()
        part = share(len(rows))
        micros = micro_batches(work.sequences.lengths, rows[part.own], self.micro_tokens)
        parts = [self._backward(work, micro, part.weight * weights) for micro in micros]
        parts = everyones(parts if part.weight else [])
        total = gather_gradients(self.optimiser)
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
        scores = self.speaker.score(work.rollout, part)
        log_prob = scores.log_prob
        sequence, place = np.nonzero(part.mask)
        flat = rows[sequence], place

        def tensor(array: np.ndarray) -> torch.Tensor:
            return torch.as_tensor(array, device=log_prob.device)

        mask = torch.ones_like(log_prob, dtype=torch.bool)
        old, sampled = tensor(work.old_log_prob[flat]), tensor(work.sequences.old_log_prob[flat])
        advantage = tensor(work.advantage[flat]).to(log_prob.dtype)
        tokens = Tokens(log_prob, old, advantage, mask, tensor(sequence))
        reference = None if work.reference is None else tensor(work.reference[flat])
        terms, told = work.objective.terms(tokens, scores.entropy, self.bonus.now, sampled, reference)
        if self.critic is not None and work.by_value is not None:
            returns, was = (tensor(work.by_value[name][flat]) for name in ("returns", "value"))
            error = value_loss(self.critic(scores.hidden), returns, was, self.critic.options.clip)
            told["value_loss"] = float(error.detach().mean())
            terms.append((self.critic.options.coef, error))
        loss = weighted_sum(tensor(weights[flat[0]]).to(log_prob.dtype), mask, *terms)
        loss.backward()
        return len(log_prob), loss.item(), told

    def _make_optimiser(self, weight_decay: float) -> torch.optim.Optimizer:
        """Of the policy, and of a critic as a second group."""
        networks = [x for x in (self.speaker.network, self.critic) if x is not None]
        groups = [{"params": [*network.parameters()]} for network in networks]
        return torch.optim.AdamW(groups, self.lr, weight_decay=weight_decay, fused=True)

    def _rate(self) -> float:
        return scheduled_lr(self.lr, self.progress, self.final_lr, self.steps, self.warmup)

    def _k(self) -> int:
        return 1 if self.k is None else round(float(np.interp(self.progress, (0, 1), self.k)))

    # -- saving ----------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        return {
            "policy": self.actor.weights(),
            "critic": self.critic and to_arrays(self.critic),
            "reference": self.reference,
            "optimiser": optimiser_state(self.optimiser),
            "generator": self.generator.bit_generator.state,
            "steps": self.steps,
            "tokens": self.tokens,
            "held": self.held and {f.name: getattr(self.held, f.name) for f in fields(self.held)},
            "waited": self.waited,
            "entropy_coef": self.bonus.coef,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.actor.load_weights(state["policy"])
        if self.critic is not None:
            from_arrays(self.critic, state["critic"])
        self.reference = state["reference"] and dict(state["reference"])
        load_optimiser_state(self.optimiser, state["optimiser"])
        self.generator.bit_generator.state = state["generator"]
        self.steps, self.tokens, self.waited = (int(state[name]) for name in ("steps", "tokens", "waited"))
        self.held = state["held"] and Rollout(**state["held"])
        self.bonus.coef = float(state.get("entropy_coef", self.bonus.coef))  # older runs had none


def _make_policy(
    observation_space: spaces.Space,
    action_space: spaces.Space,
    policy: Mapping[str, Any] | None,
    writes: Mapping[str, Any],
    **own: Any,
) -> Any:
    """Who learns: the `policy` that is named, else a language model by the options `writes`."""
    spec = dict(policy or {"path": LANGUAGE, "options": writes})
    spec["options"] = {**spec.get("options", {}), **own}
    try:
        return build_inner("policy", spec, observation_space, action_space)
    except OptionError as error:  # by the name that its writer knows
        raise OptionError(error.option[len("policy.") if policy is None else 0 :], str(error)) from error
