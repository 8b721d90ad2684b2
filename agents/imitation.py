"""Imitation: learn to do as an expert does, by maximum likelihood (Pomerleau, 1989; behaviour cloning).

One learner for all families. On text tasks it is supervised fine-tuning; with the student as its own expert
and only its successes kept, it is rejection sampling (after STaR, Zelikman et al., 2022, which begins each
round from the first weights; here they go on). On board games it is the first stage of AlphaGo (Silver et
al., 2016).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, Protocol

import numpy as np
import torch
from gymnasium import spaces
from torch import nn

from agents.optim import (
    apply_gradients,
    gather_gradients,
    load_optimiser_state,
    optimiser_state,
    scheduled_lr,
    set_lr,
)
from agents.options import Count, NotNegative, Positive, Share, checked
from agents.parallel import add_up, share
from envs.options import OptionError
from rollouts import tree
from rollouts.agent import Agent, Learner, Metrics
from rollouts.build import build_inner
from rollouts.rollout import Rollout


class Student(Protocol):
    """What imitation needs of an agent that learns by it."""

    network: nn.Module

    def examples(self, rollout: Rollout) -> dict[str, np.ndarray]:
        """What was done in a rollout, whoever did it: arrays by name, rows first, `episode` among them."""

    def log_likelihood(self, examples: Mapping[str, np.ndarray]) -> torch.Tensor:
        """The log-probability of each choice in some of these rows, `[K]`, with gradient."""

    def refresh(self) -> None:
        """The network has changed."""


class Imitation(Learner):
    """Learns to do what `expert` does.

    * `student`: who learns, as in a config's `agent` (`kind` and options); `expert`: who shows, the same way;
      without one it is the student itself.
    * `keep`: learn from "all" episodes, or from those that were a "success" (a 0–1 filter: the environment's
      part of that name, or a positive reward).
    * `episodes`: whole episodes in each rollout, or `n_steps`: steps of each slot (one of the two).
    * `epochs`: passes over a rollout; `batch_size`: rows in a gradient step (text: episodes; else decisions).
    * `lr`, `warmup` (gradient steps to reach it), `final_lr` (share of it that a half cosine over the budget
      ends at), `beta_2`, `weight_decay`: AdamW's; `max_grad_norm`: of the clipped gradient.

    Raises `OptionError` for options that do not fit.
    """

    @checked
    def __init__(
        self,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        *,
        student: Mapping[str, Any],
        expert: Mapping[str, Any] | None = None,
        seed: int = 0,
        device: str = "cpu",
        keep: Literal["all", "success"] = "all",
        episodes: Count | None = None,
        n_steps: Count | None = None,
        epochs: Count = 1,
        batch_size: Count = 256,
        lr: NotNegative = 1e-3,
        warmup: int = 100,
        final_lr: Share = 0.1,
        beta_2: Share = 0.99,
        weight_decay: NotNegative = 0.0,
        max_grad_norm: Positive | None = 1.0,
    ) -> None:
        if (episodes is None) == (n_steps is None):
            raise OptionError("episodes", "give either episodes (whole ones) or n_steps")
        self.wants = {"steps": n_steps} if episodes is None else {"episodes": episodes}
        own = {**student, "options": {**student.get("options", {}), "seed": seed, "device": device}}
        both = observation_space, action_space
        made: Any = build_inner("student", own, *both)
        if not hasattr(made, "log_likelihood"):
            raise OptionError("student", f"{type(made).__name__} cannot be taught: it has no log_likelihood")
        self.student: Any = made
        self.actor = self.student if expert is None else build_inner("expert", expert, *both)
        self.keep, self.epochs, self.batch_size = keep, epochs, batch_size
        self.lr, self.warmup, self.final_lr, self.max_grad_norm = lr, warmup, final_lr, max_grad_norm
        self.optimiser = torch.optim.AdamW(
            made.network.parameters(), lr, (0.9, beta_2), weight_decay=weight_decay, fused=True
        )
        self.generator = np.random.default_rng(seed)
        self.steps, self.tokens = 0, 0

    @property
    def policy(self) -> Agent:
        """The student: it is what is measured and kept."""
        return self.student

    def learn(self, rollout: Rollout) -> Metrics:
        """Raise the likelihood of what was done in `rollout`."""
        examples = self.student.examples(rollout)
        kept = np.flatnonzero(np.isin(examples["episode"], self._kept(rollout)))
        rows = tree.rows(examples)
        metrics: Metrics = {"examples": float(len(kept)), "kept": len(kept) / max(rows, 1)}
        if len(rollout.ended.get("error", ())):
            metrics["invalid"] = float(np.mean(np.asarray(rollout.ended["error"]) > 0))
        if "mask" in examples:
            self.tokens += int(examples["mask"].sum())
            metrics["tokens"] = self.tokens
        losses, norms = [], []
        self.student.network.train()
        for batch in self._batches(kept):
            part = share(len(batch))
            likelihood = part.weight * self.student.log_likelihood(tree.take(examples, batch[part.own]))
            choices = part.weight * likelihood.new_full((1,), len(likelihood))
            add_up([choices])
            loss = -likelihood.sum() / float(choices)
            loss, norm = self._step(loss)
            losses.append(loss)
            norms.append(norm)
        self.student.network.eval()
        if losses:
            self.student.refresh()
            metrics |= {"loss": float(np.mean(losses)), "grad_norm": float(np.mean(norms))}
        return metrics | {"lr": self._rate(), "gradient_steps": self.steps}

    def _kept(self, rollout: Rollout) -> np.ndarray:
        """The ids of the episodes to learn from: none whose verifier failed."""
        ended = {name: np.asarray(column) for name, column in rollout.ended.items()}
        failed = ended["episode"][ended["error"] > 0] if "error" in ended else np.zeros(0, np.int64)
        if self.keep == "all":
            return np.setdiff1d(rollout.episode[rollout.valid], failed)
        won = ended["success"] if "success" in ended else ended["return"]
        return np.setdiff1d(ended["episode"][won > 0], failed)

    def _batches(self, rows: np.ndarray) -> Iterator[np.ndarray]:
        for _ in range(self.epochs):
            order = self.generator.permutation(rows)
            yield from np.array_split(order, -(-len(order) // self.batch_size)) if len(order) else ()

    def _step(self, loss: torch.Tensor) -> tuple[float, float]:
        """A gradient step by this learner's part of a loss: (the whole loss, the gradient's norm)."""
        set_lr(self.optimiser, self._rate())
        self.optimiser.zero_grad()
        loss.backward()
        told = loss.detach().clone()
        total = gather_gradients(self.optimiser, told)
        norm = float(total)
        apply_gradients(self.optimiser, total, norm, self.max_grad_norm)
        self.steps += 1
        return float(told), norm

    def _rate(self) -> float:
        return scheduled_lr(self.lr, self.progress, self.final_lr, self.steps, self.warmup)

    def state_dict(self) -> dict[str, Any]:
        return {
            "student": self.student.weights(),
            "optimiser": optimiser_state(self.optimiser),
            "generator": self.generator.bit_generator.state,
            "steps": self.steps,
            "tokens": self.tokens,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.student.load_weights(state["student"])
        load_optimiser_state(self.optimiser, state["optimiser"])
        self.generator.bit_generator.state = state["generator"]
        self.steps, self.tokens = int(state["steps"]), int(state["tokens"])
