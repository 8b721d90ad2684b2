"""AlphaZero (Silver et al., 2018): a search betters the policy, and the network learns to say it at once."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from gymnasium import spaces

from agents.networks import from_arrays, to_arrays
from agents.optim import (
    apply_gradients,
    gather_gradients,
    load_optimiser_state,
    optimiser_state,
    scheduled_lr,
    set_lr,
)
from agents.options import Count, NotNegative, Positive, Precision, Share, checked, read
from agents.parallel import share
from envs.options import OptionError
from rollouts.agent import Learner, Metrics
from rollouts.rollout import Rollout
from search.gate import Gate, GateOptions
from search.moments import MOMENT, as_moments, as_plain
from search.planner import RESIGNED, RESIGNS, Planner
from search.replay import Batch, Positions
from search.tree import UNKNOWN, Simulations

KEPT_MOMENTS = 100


def alphazero_loss(
    logits: torch.Tensor,
    value: torch.Tensor,
    policy: torch.Tensor,
    outcome: torch.Tensor,
    weight: torch.Tensor,
    value_coef: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """`(loss, [policy loss, value loss])`: cross-entropy to the policy, squared error to the outcome.

    `logits` and `policy` are `[B, A]`, the rest `[B]`. Rows count in the policy's loss by their `weight`.
    Illegal moves are in the softmax, with a target of 0: so the network learns the rules too. Of several
    learners each gives `logits` and `value` for its share of the rows, and gets its part of the losses.
    """
    part = share(len(outcome))
    cross_entropy = -(policy[part.own] * F.log_softmax(logits, dim=1)).sum(1)
    policy_loss = part.weight * (weight[part.own] * cross_entropy).sum() / weight.sum().clamp(min=1)
    value_loss = part.mean((value - outcome[part.own]).square())
    return policy_loss + value_coef * value_loss, torch.stack([policy_loss, value_loss]).detach()


class AlphaZero(Learner):
    """Learns a board game from self-play alone.

    * `n_steps`: plies a game in each rollout; finished games are refilled at once.
    * `network`, `search`, `eval_simulations`, `temperature`, `fast`, `precision`: see
      `search.planner.Planner`.
    * `replay_capacity`: positions that are kept; `window`: how many of the newest are learned from at first.
      It grows with all that were played as in KataGo (Wu, 2019, appendix C).
    * `replay_ratio`: how often a position is learned from, on average; `batch_size`: of a gradient step.
    * `lr`, `anneal_lr` (fall to 0 in a half cosine over the budget), `weight_decay`: AdamW's.
    * `value_coef`: weight of the squared error of the value; `max_grad_norm`: of the clipped gradient.
    * `symmetries`: learn from positions as turned and mirrored at random.
    * `bootstrap`: share of the search's own value in the value's target; 0 is the result alone.
    * `resign`: see `search.planner.Resign`.
    * `gate`: see `Gate`; without one, self-play is by the newest network.

    The value learns how the game ended, or how it must have ended from the next position that the search had
    proven. Raises `OptionError` for options out of range and `ValueError` for spaces of no board game.
    """

    actor: Planner
    plays_itself = True

    @checked
    def __init__(
        self,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        *,
        seed: int = 0,
        device: str = "cpu",
        n_steps: Count = 8,
        network: Mapping[str, Any] | None = None,
        search: Mapping[str, Any] | None = None,
        eval_simulations: Simulations = 400,
        temperature: Mapping[str, Any] | None = None,
        fast: Mapping[str, Any] | None = None,
        resign: Mapping[str, Any] | None = None,
        gate: Mapping[str, Any] | None = None,
        precision: Precision = "fp32",
        replay_capacity: Count = 500_000,
        window: Count = 100_000,
        replay_ratio: Positive = 4.0,
        batch_size: Count = 512,
        lr: NotNegative = 1e-3,
        anneal_lr: bool = True,
        weight_decay: NotNegative = 1e-4,
        value_coef: NotNegative = 1.0,
        max_grad_norm: Positive | None = 5.0,
        symmetries: bool = True,
        bootstrap: Share = 0.0,
    ) -> None:
        if window > replay_capacity:
            said = f"must be at most replay_capacity ({replay_capacity}), not {window}"
            raise OptionError("window", f"window {said}")
        plays: dict[str, Any] = {
            "network": network,
            "search": search,
            "eval_simulations": eval_simulations,
            "temperature": temperature,
            "fast": fast,
            "resign": resign,
            "precision": precision,
        }
        self.actor = Planner(observation_space, action_space, seed=seed, device=device, **plays)
        self.network = copy.deepcopy(self.actor.network)
        self.gate = None if gate is None else Gate(read(GateOptions, gate, "gate"), self.actor, seed)
        self.wants = {"steps": n_steps}
        self.window, self.replay_ratio, self.batch_size = window, float(replay_ratio), batch_size
        self.lr, self.anneal_lr, self.max_grad_norm = lr, anneal_lr, max_grad_norm
        self.value_coef, self.symmetries, self.bootstrap = float(value_coef), symmetries, float(bootstrap)
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=lr, weight_decay=weight_decay, fused=True
        )
        self.positions = Positions(self.actor.game, replay_capacity)
        self.generator = np.random.default_rng(seed)
        self.pending: dict[str, np.ndarray] = {}
        self.owed = 0.0
        self.gradient_steps = 0
        self.given_up = self.not_lost = 0  # control games that were given up, and those that were not lost
        self.moments = np.zeros(0, MOMENT)
        self.moment_states = np.zeros((0, self.actor.game.words), np.uint64)

    def learn(self, rollout: Rollout) -> Metrics:
        """Take in one rollout that `self.actor` played, and learn from all that games have taught so far."""
        self._note_moments(rollout)
        new = self._take_in(rollout)
        if self.gate is not None:
            self.gate.waited += new
        self.owed += new * self.replay_ratio / self.batch_size
        steps, metrics = int(self.owed), self._describe(rollout)
        self.owed -= steps
        if steps:
            metrics |= self._improve(steps)
            metrics |= self._hand_over()
        counts = {"replay_size": len(self.positions), "window": self._window()}
        return metrics | counts | {"gradient_steps": self.gradient_steps}

    # -- from games to positions -----------------------------------------------------------------------

    def _take_in(self, rollout: Rollout) -> int:
        """Move the positions of games that ended into the replay, keep the others; returns how many moved."""
        rows = _rows(rollout)
        if self.pending:
            rows = {name: np.concatenate([self.pending[name], column]) for name, column in rows.items()}
            known = np.isin(rows["episode"], rollout.episode)  # other games were lost with their worker
            rows = {name: column[known] for name, column in rows.items()}
        ids = np.asarray(rollout.ended["episode"])
        order = np.argsort(ids)
        if not len(ids):
            self.pending = rows
            return 0
        place = order[np.searchsorted(ids, rows["episode"], sorter=order) % len(ids)]
        over = ids[place] == rows["episode"]
        results = np.asarray(rollout.ended["seat_returns"])[place, rows["seat"]]
        whole = ~np.asarray(rollout.truncated)[rollout.ended["time"], rollout.ended["slot"]]
        given_up = (rows["resigned"] == RESIGNED) & ~rows["control"]
        kept = np.flatnonzero(over & whole[place] & ~given_up)
        gave_up = over & (rows["resigned"] == RESIGNS) & rows["control"]
        self.given_up += int(gave_up.sum())
        self.not_lost += int((results[gave_up] > -1).sum())
        results = _settled(rows, results)[kept]
        values = (1 - self.bootstrap) * results + self.bootstrap * rows["value"][kept]
        names = {"states": rows["state"], "policies": rows["policy"], "weights": rows["full"]}
        self.positions.add(values=values, **{name: column[kept] for name, column in names.items()})
        self.pending = {name: column[~over] for name, column in rows.items()}
        return len(kept)

    def _note_moments(self, rollout: Rollout) -> None:
        """Keep the moves that surprised most; see `search.planner.moments`."""
        found = rollout.fields["moment"]
        at = np.nonzero((found["gain"] > 0) & rollout.valid)
        moments = np.concatenate([self.moments, found[at]])
        states = np.concatenate([self.moment_states, rollout.obs["state"][:-1][at]])
        _, once = np.unique(states, axis=0, return_index=True)
        best = once[np.argsort(-moments["gain"][once], kind="stable")][:KEPT_MOMENTS]
        self.moments, self.moment_states = moments[best], states[best]

    def _describe(self, rollout: Rollout) -> Metrics:
        ended, full = rollout.ended, rollout.fields["full"] & rollout.valid
        metrics: Metrics = {}
        if len(ended["episode"]):
            metrics["game_length"] = float(np.mean(ended["length"]))
        if self.given_up:
            metrics["resign_wrong"] = self.not_lost / self.given_up
        if full.any():
            policy = rollout.fields["policy"][full]
            metrics["search_entropy"] = float(-(policy * np.log(np.maximum(policy, 1e-12))).sum(1).mean())
        return metrics

    # -- learning --------------------------------------------------------------------------------------

    def _window(self) -> int:
        """How many of the newest positions are learned from: grows as (all positions)^0.75."""
        total, first = self.positions.head, self.window
        if total <= first:
            return first
        return int(min(first * (1 + 0.4 * ((total / first) ** 0.75 - 1) / 0.75), self.positions.capacity))

    def _improve(self, steps: int) -> Metrics:
        """So many gradient steps; the actor then plays by the network as it has become."""
        lr = scheduled_lr(self.lr, self.progress) if self.anneal_lr else self.lr
        set_lr(self.optimiser, lr)
        losses, norms = [], []
        self.network.train()
        for _ in range(steps):
            batch = self.positions.sample(self.batch_size, self._window(), self.generator, self.symmetries)
            loss, parts = self._loss(batch)
            self.optimiser.zero_grad()
            loss.backward()
            total = gather_gradients(self.optimiser, parts)
            norm = float(total)
            apply_gradients(self.optimiser, total, norm, self.max_grad_norm)
            losses.append(parts)
            norms.append(norm)
        self.network.eval()
        self.gradient_steps += steps
        policy_loss, value_loss = torch.stack(losses).mean(0).tolist()
        return {
            "policy_loss": policy_loss,
            "value_loss": value_loss,
            "grad_norm": float(np.mean(norms)),
            "lr": float(lr),
        }

    def _hand_over(self) -> Metrics:
        """The actor plays by the network as it has become, where the gate lets it through."""
        if self.gate is None:
            self.actor.load_weights(to_arrays(self.network))
            return {}
        return self.gate.try_out(to_arrays(self.network))

    def _loss(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        device, own = self.actor.device, share(len(batch.planes)).own
        planes, policy, outcome, weight = (
            torch.as_tensor(x, device=device)
            for x in (batch.planes[own], batch.policies, batch.values, batch.weights)
        )
        with torch.autocast(device, torch.bfloat16, enabled=self.actor.precision == "bf16"):
            logits, value = self.network(planes)
        return alphazero_loss(logits.float(), value.float(), policy, outcome, weight, self.value_coef)

    def load_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        from_arrays(self.network, weights)
        self.actor.load_weights(weights)

    # -- saving ----------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        return {
            "network": to_arrays(self.network),
            "actor": self.actor.weights(),
            "gate": None if self.gate is None else self.gate.get_state(),
            "optimiser": optimiser_state(self.optimiser),
            "positions": self.positions.get_state(),
            "pending": {name: column.copy() for name, column in self.pending.items()},
            "generator": self.generator.bit_generator.state,
            "owed": self.owed,
            "gradient_steps": self.gradient_steps,
            "resigned": [self.given_up, self.not_lost],
            "moments": {"found": as_plain(self.moments), "states": self.moment_states},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        from_arrays(self.network, state["network"])
        self.actor.load_weights(state["network" if self.gate is None else "actor"])
        if self.gate is not None and state["gate"] is not None:
            self.gate.set_state(state["gate"])
        load_optimiser_state(self.optimiser, state["optimiser"])
        self.positions.set_state(state["positions"])
        self.pending = dict(state["pending"])
        self.generator.bit_generator.state = state["generator"]
        self.owed, self.gradient_steps = float(state["owed"]), int(state.get("gradient_steps", 0))
        self.given_up, self.not_lost = map(int, state["resigned"])
        self.moments = as_moments(state["moments"]["found"])
        self.moment_states = state["moments"]["states"]


def _rows(rollout: Rollout) -> dict[str, np.ndarray]:
    """What is kept of each decision until its game is over, `[rows, ...]`."""
    valid, fields = rollout.valid, rollout.fields
    nobody = np.zeros(valid.shape, np.int8)
    return {
        "state": rollout.obs["state"][:-1][valid],
        "seat": rollout.obs["to_play"][:-1][valid].astype(np.int64),
        "episode": rollout.episode[valid],
        "policy": fields["policy"][valid],
        "value": fields["value"][valid],
        "proven": fields["proven"][valid],
        "full": fields["full"][valid].astype(np.float32),
        "resigned": fields.get("resigned", nobody)[valid],
        "control": fields.get("control", nobody)[valid].astype(bool),
    }


def _settled(rows: Mapping[str, np.ndarray], results: np.ndarray) -> np.ndarray:
    """What each row's mover got in the end, `[rows]`, or by what the search proved on the way.

    Once a search has proven a position, the game's result under perfect play is known: what was played from
    there on, by chance or in haste, tells nothing more. Rows of a game are in the order of its plies.
    """
    order = np.argsort(rows["episode"], kind="stable")
    episode, seat = rows["episode"][order], rows["seat"][order]
    places = np.arange(len(order))
    proven = np.where(rows["proven"][order] != UNKNOWN, places, len(order) - 1)
    after = np.minimum.accumulate(proven[::-1])[::-1]  # the next proven row, or the last of all rows
    known = (rows["proven"][order][after] != UNKNOWN) & (episode[after] == episode)
    proved = np.where(seat[after] == seat, 1, -1) * rows["value"][order][after]
    settled = np.empty_like(results)
    settled[order] = np.where(known, proved, results[order])
    return settled
