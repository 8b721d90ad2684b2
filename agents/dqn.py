"""Deep Q-learning (Mnih et al., 2015) with the parts of Rainbow (Hessel et al., 2018), each a switch."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import torch
from gymnasium import spaces
from pydantic import Field

from agents.networks import from_arrays, to_arrays
from agents.optim import apply_gradients, gather_gradients, load_optimiser_state, make_adam, optimiser_state
from agents.options import Count, NotNegative, Options, Positive, Precision, Share, checked, read, switched
from agents.parallel import Part, put_together, share
from agents.q_actor import QActor
from agents.q_losses import best_actions, item_loss, make_goals, take_action
from agents.q_networks import QNetwork
from agents.replay import Batch, Replay
from agents.replay.buffer import check_capacity
from envs.rng import from_seeds
from rollouts.agent import Learner, Metrics
from rollouts.rollout import Rollout


class Epsilon(Options):
    """What `epsilon` may set: a line from `start` to `end` over so many env steps."""

    start: Share = 1.0
    end: Share = 0.01
    steps: NotNegative = 250_000


class Priorities(Options):
    """What `prioritised` may set (Hessel et al., 2018, table 1)."""

    alpha: Share = 0.5
    beta: Share = 0.4


EPSILON = Epsilon().model_dump()
"""What `epsilon` is unless set."""
QUIET = {"start": 0.0, "end": 0.0}
"""The same where learned noise explores."""
RAINBOW: dict[str, Any] = {
    "double": True,
    "dueling": True,
    "n_step": 3,
    "prioritised": True,
    "distributional": True,
    "noisy": True,
}
"""All switches on: `DQN(..., **RAINBOW)` is Rainbow."""
GROUP_ITEMS = 1024
"""Items whose targets are made in one forward pass, where many small batches are due at once."""


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
    * `noisy`: learned noise in the head's weights explores (Fortunato et al., 2018); ε is then 0 unless
      set.
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
      steps; what a `noisy` one leaves out of start and end is 0.
    * `eval_epsilon`: the same when not exploring.
    * `collect_steps`: rows a slot between updates.
    * `max_grad_norm`: gradients are scaled down to this global norm; None leaves them.
    * `network`, `precision`: see `agents.networks.make_encoder`; "fp32" or "bf16".

    Defaults are Rainbow's (Hessel et al., 2018, table 1; `max_grad_norm` from Wang et al.), but fitted to
    small networks and short runs in `lr`, `learning_starts`, `replay_capacity` and `epsilon`. Raises
    `OptionError` for options out of range and a replay that memory cannot hold, `ValueError` for actions that
    are not Discrete.
    """

    actor: QActor

    @checked
    def __init__(
        self,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        *,
        seed: int = 0,
        device: str = "cpu",
        double: bool = False,
        dueling: bool = False,
        n_step: Count = 1,
        prioritised: bool | Mapping[str, Any] = False,
        distributional: bool | Mapping[str, Any] = False,
        noisy: bool = False,
        lr: NotNegative = 2.5e-4,
        adam_eps: Positive = 1.5e-4,
        gamma: Share = 0.99,
        replay_capacity: Count = 100_000,
        batch_size: Count = 32,
        replay_ratio: NotNegative = 8.0,
        learning_starts: Annotated[int, Field(ge=0)] = 5_000,
        target_every: Count = 8_000,
        epsilon: Mapping[str, Any] | None = None,
        eval_epsilon: Share = 0.0,
        collect_steps: Count = 4,
        max_grad_norm: Positive | None = 10.0,
        network: Mapping[str, Any] | None = None,
        precision: Precision = "fp32",
    ) -> None:
        check_capacity(observation_space, replay_capacity, max(batch_size, n_step + 1, collect_steps))
        self.epsilon = read(Epsilon, {**(QUIET if noisy else {}), **(epsilon or {})}, "epsilon")
        self.priorities = switched(Priorities, prioritised, "prioritised")
        self.double, self.n_step, self.gamma, self.lr = double, n_step, gamma, lr
        self.replay_capacity, self.batch_size, self.replay_ratio = replay_capacity, batch_size, replay_ratio
        self.learning_starts, self.target_every = learning_starts, target_every
        self.max_grad_norm, self.wants = max_grad_norm, {"steps": collect_steps}
        self.observation_space = observation_space
        plays: dict[str, Any] = {"network": network, "precision": precision, "eval_epsilon": eval_epsilon}
        plays |= {"dueling": dueling, "distributional": distributional, "noisy": noisy}
        self.actor = QActor(observation_space, action_space, seed=seed, device=device, **plays)
        self.online = self.actor.network
        self.target = copy.deepcopy(self.online).requires_grad_(False)
        self.optimiser = make_adam(self.online, lr, eps=adam_eps)
        self.rng = from_seeds([seed])
        self.replay: Replay | None = None  # made with the first rollout: who only plays needs none
        self.env_steps, self.gradient_steps, self.debt = 0, 0, 0.0  # debt: items still to be replayed
        self._anneal()

    def learn(self, rollout: Rollout) -> Metrics:
        """Put a rollout into the replay, then replay as many items as its steps call for."""
        self.replay = self.replay or self._new_replay()
        self.replay.add(rollout)
        begun = max(self.env_steps, self.learning_starts)
        copies = self.env_steps // self.target_every
        self.env_steps += rollout.decisions
        counted = max(0, self.env_steps - begun)
        self.debt += counted * self.replay_ratio
        self._anneal()
        if self.env_steps // self.target_every > copies:
            self.target.load_state_dict(self.online.state_dict())
        stats: list[torch.Tensor] = []
        group = max(1, GROUP_ITEMS // self.batch_size)
        while self.debt >= self.batch_size and self.replay.items:
            updates = min(group, int(self.debt // self.batch_size))
            stats += self._update(self.replay, updates)
            self.debt -= updates * self.batch_size
        return self._metrics(stats, counted)

    def _update(self, replay: Replay, updates: int) -> list[torch.Tensor]:
        """Gradient steps, as many as `updates`, whose items are drawn and whose targets are made in one go.

        So priorities and the choice of double Q-learning may be `updates` steps old: far less than the target
        network is. Returns `[loss, mean value, gradient's norm]` of each step.
        """
        beta = self.priorities.beta if self.priorities else 1.0
        batch = replay.sample(updates * self.batch_size, self.rng, beta + (1 - beta) * self.progress)
        stats: list[torch.Tensor] = []
        part = share(self.batch_size)
        errors = put_together(self._gradient_steps(batch, part, updates, stats), part)
        self.gradient_steps += updates
        if self.priorities:
            replay.update(batch, errors.flatten().cpu().numpy())
        return stats

    def _gradient_steps(
        self, batch: Batch, part: Part, updates: int, stats: list[torch.Tensor]
    ) -> torch.Tensor:
        """A gradient step on each of the `updates` batches, of whose items this learner has its `part`.

        Adds `[loss, mean value, gradient's norm]` of each to `stats`; returns the errors `[items, updates]`.
        """
        tensor, own = self.actor.tensor, slice(part.own.start * updates, part.own.stop * updates)
        obs, next_obs = (tensor(half[own]) for half in np.split(batch.obs, 2))
        actions, weights = tensor(batch.actions[own]) - self.actor.start, tensor(batch.weights[own])
        goals = self._goals(batch, next_obs, updates, own)
        errors = torch.empty_like(weights)
        for i in range(updates):
            rows = slice(i, None, updates)  # draws come by strata, in order: every batch has some of each
            played = take_action(self._forward(self.online, obs[rows]), actions[rows])
            losses, errors[rows] = item_loss(played, goals[rows])
            loss = part.mean(weights[rows] * losses)
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            q = part.mean(self.online.values(played.detach().unsqueeze(1)))
            told = torch.stack([loss.detach(), q])
            norm = gather_gradients(self.optimiser, told)
            apply_gradients(self.optimiser, norm, float(norm), self.max_grad_norm)
            stats.append(torch.cat([told, norm[None]]))
        return errors.view(-1, updates)

    @torch.no_grad()
    def _goals(
        self, batch: Batch, next_obs: torch.Tensor, updates: int, own: slice = slice(None)
    ) -> torch.Tensor:
        """What the played actions' outputs should be, of its `own` items: `[items, atoms]`."""
        tensor, online, target = self.actor.tensor, self.online, self.target
        mask = None if batch.next_masks is None else tensor(batch.next_masks[own])
        following = self._forward(target, next_obs, updates)
        if self.double:
            judge = online.values(self._forward(online, next_obs, updates))
        else:
            judge = target.values(following)
        following = take_action(following, best_actions(judge, mask))
        return make_goals(following, target.support, tensor(batch.returns[own]), tensor(batch.discounts[own]))

    def _forward(self, network: QNetwork, obs: torch.Tensor, updates: int = 1) -> torch.Tensor:
        """One pass; in a noisy network, with one draw of noise for all items (`i % updates`) of an update."""
        noise = self.actor.noise(self.rng, updates)
        if noise is not None and updates > 1:
            noise = noise.repeat(len(obs) // updates, 1)
        return self.actor.forward(obs, noise, network)

    def _metrics(self, stats: list[torch.Tensor], counted: int) -> Metrics:
        """What is logged of an update, `counted` of whose env steps call for gradient steps."""
        assert self.replay is not None
        items = float(self.replay.items)
        metrics = {"epsilon": self.actor.epsilon, "lr": self.lr, "replay_size": items}
        if counted:
            metrics["replay_ratio"] = len(stats) * self.batch_size / counted
        means = torch.stack(stats).mean(0).tolist() if stats else []
        return metrics | dict(zip(("q_loss", "q_mean", "grad_norm"), means))

    def _anneal(self) -> None:
        """Set the actor's ε by the env steps so far."""
        line = self.epsilon
        share = min(1.0, self.env_steps / line.steps) if line.steps > 0 else 1.0
        self.actor.epsilon = line.start + (line.end - line.start) * share

    def _new_replay(self) -> Replay:
        return Replay(
            self.observation_space,
            self.replay_capacity,
            n_step=self.n_step,
            gamma=self.gamma,
            alpha=self.priorities.alpha if self.priorities else None,
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
