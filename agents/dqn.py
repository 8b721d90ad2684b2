"""Deep Q-learning (Mnih et al., 2015) with the parts of Rainbow (Hessel et al., 2018), each a switch."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from gymnasium import spaces

from agents.networks import from_arrays, to_arrays
from agents.optim import apply_gradients, load_optimiser_state, make_adam, optimiser_state
from agents.q_actor import QActor
from agents.q_losses import best_actions, c51_loss, huber_loss, project_c51, take_action
from agents.q_networks import QNetwork
from agents.replay import Batch, Replay
from agents.replay.buffer import check_memory
from envs.rng import from_seeds
from rollouts.agent import Learner, Metrics
from rollouts.rollout import Rollout

EPSILON = {"start": 1.0, "end": 0.01, "steps": 250_000}
PRIORITIES = {"alpha": 0.5, "beta": 0.4}
RAINBOW: dict[str, Any] = {
    "double": True,
    "dueling": True,
    "n_step": 3,
    "prioritised": True,
    "distributional": True,
    "noisy": True,
}
"""All switches on: `DQN(..., **RAINBOW)` is Rainbow."""


class DQN(Learner):
    """Deep Q-learning for discrete actions, over as many slots as there are.

    All time is counted in env steps, summed over slots: so nothing depends on how many slots there are.

    * `double`: the online network picks the target's action, the target network values it (van Hasselt et
      al., 2016).
    * `dueling`: a head each for the value and for the advantages (Wang et al., 2016).
    * `n_step`: rewards in a target before it bootstraps.
    * `prioritised`: replay by error (Schaul et al., 2016): True, or `{alpha: 0.5, beta: 0.4}`; β rises to 1
      over the budget.
    * `distributional`: C51 (Bellemare et al., 2017): True, or `{atoms: 51, v_min: -10, v_max: 10}`.
    * `noisy`: learned noise in the head's weights explores (Fortunato et al., 2018); ε is then 0 unless set.
    * `lr`, `adam_eps`: Adam's.
    * `gamma`: discount a step.
    * `replay_capacity`: entries held; one is a decision, or the last observation of a truncated episode.
    * `batch_size`: items in a gradient step.
    * `replay_ratio`: items replayed for each env step; 8 is a batch of 32 every 4 steps (Mnih et al.,
      2015). It sets how much is learned from a step; a larger `batch_size` does that in fewer and larger
      gradient steps.
    * `learning_starts`: env steps before the first gradient step.
    * `target_every`: env steps from one copy into the target network to the next.
    * `epsilon`: chance of a random action: `{start: 1, end: 0.01, steps: 250_000}`, a line over so many env
      steps.
    * `eval_epsilon`: the same when not exploring.
    * `collect_steps`: rows a slot between updates.
    * `max_grad_norm`: gradients are scaled down to this global norm; None leaves them.
    * `network`, `precision`: see `agents.networks.make_encoder`; "fp32" or "bf16".

    Defaults are Rainbow's (Hessel et al., 2018, table 1; `max_grad_norm` from Wang et al.), but fitted to
    small networks and short runs in `lr`, `learning_starts`, `replay_capacity` and `epsilon`. Raises
    `ValueError` for options out of range, for actions that are not Discrete, and for a replay that memory
    cannot hold.
    """

    actor: QActor

    def __init__(
        self,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        *,
        seed: int = 0,
        device: str = "cpu",
        double: bool = False,
        dueling: bool = False,
        n_step: int = 1,
        prioritised: bool | Mapping[str, float] = False,
        distributional: bool | Mapping[str, Any] = False,
        noisy: bool = False,
        lr: float = 2.5e-4,
        adam_eps: float = 1.5e-4,
        gamma: float = 0.99,
        replay_capacity: int = 100_000,
        batch_size: int = 32,
        replay_ratio: float = 8.0,
        learning_starts: int = 5_000,
        target_every: int = 8_000,
        epsilon: Mapping[str, float] | None = None,
        eval_epsilon: float = 0.0,
        collect_steps: int = 4,
        max_grad_norm: float | None = 10.0,
        network: Mapping[str, Any] | None = None,
        precision: str = "fp32",
    ) -> None:
        counts = {"n_step": n_step, "replay_capacity": replay_capacity, "batch_size": batch_size}
        for name, count in {**counts, "target_every": target_every, "collect_steps": collect_steps}.items():
            _need(count >= 1, name, "≥ 1")
        _need(0 <= gamma <= 1, "gamma", "in [0, 1]")
        _need(lr >= 0 and adam_eps > 0, "lr ≥ 0 and adam_eps", "> 0")
        _need(replay_ratio >= 0 and learning_starts >= 0, "replay_ratio and learning_starts", "≥ 0")
        _need(0 <= eval_epsilon <= 1, "eval_epsilon", "in [0, 1]")
        usual = dict.fromkeys(EPSILON, 0.0) if noisy else EPSILON
        self.epsilon = _filled("epsilon", usual, epsilon or {})
        _need(0 <= self.epsilon["start"] <= 1 and 0 <= self.epsilon["end"] <= 1, "epsilon", "in [0, 1]")
        given = prioritised if isinstance(prioritised, Mapping) else {}
        self.priorities = {} if prioritised is False else _filled("prioritised", PRIORITIES, given)
        self.double, self.n_step, self.gamma, self.lr = double, n_step, gamma, lr
        self.replay_capacity, self.batch_size, self.replay_ratio = replay_capacity, batch_size, replay_ratio
        self.learning_starts, self.target_every = learning_starts, target_every
        self.max_grad_norm = max_grad_norm
        self.wants = {"steps": collect_steps}
        check_memory(observation_space, replay_capacity)
        self.observation_space = observation_space
        self.actor = QActor(
            observation_space,
            action_space,
            device=device,
            network=network,
            dueling=dueling,
            distributional=distributional,
            noisy=noisy,
            eval_epsilon=eval_epsilon,
            precision=precision,
            seed=seed,
        )
        self.online = self.actor.network
        self.target = copy.deepcopy(self.online).requires_grad_(False)
        self.optimiser = make_adam(self.online, lr, eps=adam_eps)
        self.rng = from_seeds([seed])
        self.replay: Replay | None = (
            None  # made when the first rollout comes: workers and evaluation need none
        )
        self.env_steps = self.gradient_steps = 0
        self.debt = 0.0  # items still to be replayed
        self._anneal()

    def learn(self, rollout: Rollout) -> Metrics:
        """Put a rollout into the replay, then replay as many items as its steps call for."""
        self.replay = self.replay or self._new_replay()
        self.replay.add(rollout)
        begun = max(self.env_steps, self.learning_starts)
        copies = self.env_steps // self.target_every
        self.env_steps += rollout.decisions
        self.debt += max(0, self.env_steps - begun) * self.replay_ratio
        self._anneal()
        if self.env_steps // self.target_every > copies:
            self.target.load_state_dict(self.online.state_dict())
        stats = []
        while self.debt >= self.batch_size and self.replay.items:
            stats.append(self._update(self.replay))
            self.debt -= self.batch_size
        return self._metrics(stats)

    def _update(self, replay: Replay) -> tuple[torch.Tensor, torch.Tensor, float]:
        """One gradient step; returns loss and mean value (0-d tensors), and the gradient's norm."""
        beta = self.priorities.get("beta", 1.0)
        batch = replay.sample(self.batch_size, self.rng, beta + (1 - beta) * self.progress)
        loss, errors, q = self._loss(batch)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = apply_gradients(self.optimiser, self.max_grad_norm)
        self.gradient_steps += 1
        if self.priorities:
            replay.update(batch, errors.cpu().numpy())
        return loss.detach(), q, norm

    def _loss(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """`(loss, error of each item [B], mean value of what was played)`; the last two are detached."""
        tensor, online, target = self.actor.tensor, self.online, self.target
        obs, next_obs = tensor(batch.obs).chunk(2)
        returns, discounts = tensor(batch.returns), tensor(batch.discounts)
        mask = None if batch.next_masks is None else tensor(batch.next_masks)
        played = take_action(self._forward(online, obs), tensor(batch.actions) - self.actor.start)
        with torch.no_grad():
            following = self._forward(target, next_obs)
            judge = (
                online.values(self._forward(online, next_obs)) if self.double else target.values(following)
            )
            following = take_action(following, best_actions(judge, mask))
            if target.atoms > 1:
                goal = project_c51(following.softmax(1), target.support, returns, discounts)
            else:
                goal = returns + discounts * following.squeeze(1)
        losses, errors = c51_loss(played, goal) if target.atoms > 1 else huber_loss(played.squeeze(1), goal)
        q = target.values(played.detach().unsqueeze(1)).mean()
        return (tensor(batch.weights) * losses).mean(), errors, q

    def _forward(self, network: QNetwork, obs: torch.Tensor) -> torch.Tensor:
        """One pass, with one draw of noise for the whole batch where the network is noisy."""
        return self.actor.forward(obs, self.actor.noise(self.rng), network)

    def _metrics(self, stats: list[tuple[torch.Tensor, torch.Tensor, float]]) -> Metrics:
        assert self.replay is not None
        begun = max(1, self.env_steps - self.learning_starts)
        metrics = {
            "epsilon": self.actor.epsilon,
            "lr": self.lr,
            "replay_size": float(self.replay.items),
            "replay_ratio": self.gradient_steps * self.batch_size / begun,
        }
        if stats:
            losses, values, norms = zip(*stats)
            metrics["q_loss"] = float(torch.stack(losses).mean())
            metrics["q_mean"] = float(torch.stack(values).mean())
            metrics["grad_norm"] = float(np.mean(norms))
        return metrics

    def _anneal(self) -> None:
        """Set the actor's ε by the env steps so far."""
        start, end, steps = (self.epsilon[name] for name in ("start", "end", "steps"))
        share = min(1.0, self.env_steps / steps) if steps > 0 else 1.0
        self.actor.epsilon = start + (end - start) * share

    def _new_replay(self) -> Replay:
        return Replay(
            self.observation_space,
            self.replay_capacity,
            n_step=self.n_step,
            gamma=self.gamma,
            alpha=self.priorities.get("alpha"),
        )

    def state_dict(self) -> dict[str, Any]:
        return {
            "network": to_arrays(self.online),
            "target": to_arrays(self.target),
            "optimiser": optimiser_state(self.optimiser),
            "rng": self.rng.copy(),
            "env_steps": self.env_steps,
            "gradient_steps": self.gradient_steps,
            "debt": self.debt,
            "replay": None if self.replay is None else self.replay.get_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        from_arrays(self.online, state["network"])
        from_arrays(self.target, state["target"])
        load_optimiser_state(self.optimiser, state["optimiser"])
        self.rng[:] = state["rng"]
        self.env_steps, self.gradient_steps = int(state["env_steps"]), int(state["gradient_steps"])
        self.debt = float(state["debt"])
        self.replay = None
        if state["replay"] is not None:
            self.replay = self._new_replay()
            self.replay.set_state(state["replay"])
        self._anneal()


def _filled(name: str, defaults: Mapping[str, float], given: Mapping[str, float]) -> dict[str, float]:
    """`given` with `defaults` for what it leaves out (`ValueError` for other keys)."""
    for key in given:
        if key not in defaults:
            raise ValueError(f"DQN: {name} has no {key!r}; it may set {', '.join(defaults)}")
    return {**defaults, **given}


def _need(held: bool, name: str, wanted: str) -> None:
    if not held:
        raise ValueError(f"DQN: {name} must be {wanted}")
