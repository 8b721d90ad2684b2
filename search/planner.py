"""Who plays by looking ahead: a tree search guided by a policy-value network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import torch
import torch.nn.functional as F
from gymnasium import spaces
from pydantic import Field

from agents.networks import from_arrays, seeded, to_arrays
from agents.options import NotNegative, Options, Positive, Precision, Share, checked, read
from agents.replay.storage import digest
from envs.board.spaces import game_of
from envs.options import OptionError
from envs.rng import uniform
from rollouts.agent import Agent, Decision, Memory
from rollouts.rollout import Rollout
from search.mcts import Found, Search, SearchOptions
from search.moments import moments
from search.networks import Evaluator, PolicyValueNet
from search.tree import Simulations, Tree


class Temperature(Options):
    """How moves are drawn while exploring: by visits to the power of 1 / temperature."""

    plies: Annotated[int, Field(ge=0)] = 16
    """Plies of a game that are played at `first`; AlphaZero: 30 moves, at 1."""
    first: NotNegative = 1.0
    after: NotNegative = 0.25
    """0 plays the best move; AlphaZero: 0."""


class Fast(Options):
    """Playout-cap randomisation (Wu, 2019, section 3.1): most moves get a short search without noise.

    They bring games to their end, and teach the value; only full searches teach the policy.
    """

    share: Annotated[float, Field(ge=0, lt=1)] = 0.75
    simulations: Simulations = 16


class Resign(Options):
    """Games that are as good as lost get short searches from then on, and are not learned from.

    They are played to their end, so that nothing is lost but time; `control` of them get full searches, which
    tells how often giving up was wrong (Silver et al., 2017, Methods; soft as in Wu, 2019).
    """

    below: Share = 0.95
    """The mover's value at which a game is given up is less than minus this."""
    control: Share = 0.1


PLAYING, RESIGNS, RESIGNED = range(3)


class Planner(Agent):
    """Searches before each move. `search` is how (see `search.mcts.SearchOptions`).

    While exploring it adds root noise, draws moves by `temperature`, with `fast` searches shortly most of the
    time, and with `resign` in lost games. With `explore=False` it plays the best move after
    `eval_simulations`, or as many of them as begin within `eval_seconds`.

    Decisions carry `policy` (float32 `[n, actions]`: what the search would have the network say), `value`
    (float32 `[n]`, exact where `proven`), `proven` (int8 `[n]`: UNKNOWN, LOST, DRAWN or WON for the mover),
    `full` (bool `[n]`: whether the search was a full one) and `moment` (`MOMENT` `[n]`, see `moments`);
    with `explore=False` also `visits` (int32), `q` and `prior` (float32), `[n, actions]`; with `resign` also
    `resigned` (int8 `[n]`: PLAYING, RESIGNS by this decision, or RESIGNED before) and `control` (bool `[n]`).
    It remembers, where it needs them: with `resign` the columns `resigned` and `control`; with `search.reuse`
    the trees, and by which `weights` they were grown. A column that is missing begins afresh in every game.
    Raises `ValueError` for spaces of no board game, `OptionError` for options out of range.
    """

    shares_memory = True

    @checked
    def __init__(
        self,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        *,
        seed: int = 0,
        device: str = "cpu",
        network: Mapping[str, Any] | None = None,
        search: Mapping[str, Any] | None = None,
        eval_simulations: Simulations = 400,
        eval_seconds: Positive | None = None,
        temperature: Mapping[str, Any] | None = None,
        fast: Mapping[str, Any] | None = None,
        resign: Mapping[str, Any] | None = None,
        precision: Precision = "fp32",
    ) -> None:
        self.game = game_of(observation_space)
        self.search_options = read(SearchOptions, search or {}, "search")
        self.temperature = read(Temperature, temperature or {}, "temperature")
        self.fast = None if fast is None else read(Fast, fast, "fast")
        self.resign = None if resign is None else read(Resign, resign, "resign")
        self.eval_simulations, self.precision, self.device = eval_simulations, precision, device
        self.eval_seconds = eval_seconds
        if eval_seconds is not None and self.search_options.rule == "gumbel":
            said = "eval_seconds: the rule 'gumbel' shares out simulations that are known before; use puct"
            raise OptionError("eval_seconds", said)
        full = self.search_options.simulations
        if self.fast is not None and self.fast.simulations > full:
            said = f"must be at most search.simulations ({full}), not {self.fast.simulations}"
            raise OptionError("fast.simulations", f"fast.simulations {said}")
        self.short = min(full, (self.fast or Fast()).simulations)
        shape = (*self.game.shape, len(self.game.planes))
        with seeded(seed):
            self.network = PolicyValueNet(shape, self.game.actions, network=network).to(device)
        self.evaluator = Evaluator(self.network, device=device, precision=precision)
        self.search = Search(self.game, self.evaluator, self.search_options)
        self.refresh()

    def act(
        self, obs: Any, *, rng: np.ndarray, first: np.ndarray, memory: Memory = None, explore: bool = True
    ) -> Decision:
        think = self._explore if explore else self._play
        return think(obs["state"], rng, first, memory or {})

    def _play(
        self, states: np.ndarray, rng: np.ndarray, first: np.ndarray, memory: Mapping[str, np.ndarray]
    ) -> Decision:
        """The best moves, and what speaks for them."""
        seconds = self.eval_seconds
        found = self._search(states, rng, first, memory, self.eval_simulations, seconds=seconds)
        told = {"visits": found.visits, "q": found.q, "prior": found.prior}
        fields = self._fields(found, np.ones(len(states), bool)) | told
        return Decision(found.best, self._memory(found), fields)

    def _explore(
        self, states: np.ndarray, rng: np.ndarray, first: np.ndarray, memory: Mapping[str, np.ndarray]
    ) -> Decision:
        """Moves to learn from: some after short searches, drawn by the temperature."""
        full = np.ones(len(states), bool)
        if self.fast is not None:
            full = uniform(rng) >= self.fast.share
        given_up = self._given_up(rng, first, memory)
        if given_up:
            full &= given_up["control"] | ~given_up["resigned"]
        simulations = np.where(full, self.search_options.simulations, self.short)
        found = self._search(states, rng, first, memory, simulations, noisy=full)
        actions = found.best
        if self.search_options.rule == "puct":  # Gumbel's noise is in the choice already
            actions = self._draw(found, states, uniform(rng))
        fields, kept = self._fields(found, full), self._memory(found)
        if self.resign is None:
            return Decision(actions, kept, fields)
        before, lost = given_up["resigned"], found.value < -self.resign.below
        marks = np.where(before, RESIGNED, np.where(lost, RESIGNS, PLAYING)).astype(np.int8)
        fields |= {"resigned": marks, "control": given_up["control"]}
        return Decision(actions, given_up | {"resigned": before | lost} | (kept or {}), fields)

    def _search(
        self,
        states: np.ndarray,
        rng: np.ndarray,
        first: np.ndarray,
        memory: Mapping[str, np.ndarray],
        simulations: np.ndarray | int,
        noisy: np.ndarray | bool = False,
        seconds: float | None = None,
    ) -> Found:
        """Search, going on with trees that were grown by these very weights."""
        trees = memory if "weights" in memory else None
        afresh = first if trees is None else first | (trees["weights"] != self.version)
        return self.search.run(states, rng, simulations, noisy, trees, afresh, seconds)

    def _memory(self, found: Found) -> dict[str, np.ndarray] | None:
        """The trees and whose they are; None without `reuse`."""
        if found.trees is None:
            return None
        return {**found.trees, "weights": np.full(len(found.best), self.version)}

    def _given_up(
        self, rng: np.ndarray, first: np.ndarray, memory: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Which games were given up (`resigned`), and which are controls; nothing without `resign`."""
        if self.resign is None:
            return {}
        control = uniform(rng) < self.resign.control
        if "control" not in memory:
            return {"resigned": np.zeros(len(first), bool), "control": control}
        control = np.where(first, control, memory["control"])
        return {"resigned": memory["resigned"] & ~first, "control": control}

    def _draw(self, found: Found, states: np.ndarray, u: np.ndarray) -> np.ndarray:
        """Moves by the temperature of each game's ply."""
        early = (states[:, 0] & np.uint64(0xFFFF)) < self.temperature.plies
        heat = np.where(early, self.temperature.first, self.temperature.after)
        shares = found.policy ** (1.0 / np.maximum(heat, 1e-3))[:, None]
        totals = np.cumsum(shares.astype(np.float64), axis=1)
        drawn = (u[:, None] * totals[:, -1:] < totals).argmax(axis=1)
        return np.where((heat > 0) & (totals[:, -1] > 0), drawn, found.best)

    def _fields(self, found: Found, full: np.ndarray) -> dict[str, np.ndarray]:
        """What every decision tells."""
        told = {"policy": found.policy, "value": found.value, "proven": found.proven}
        return told | {"full": full, "moment": moments(found)}

    @property
    def tree(self) -> Tree:
        """That of the last search's first game."""
        return Tree(*(array[0] for array in self.search.trees))

    def examples(self, rollout: Rollout) -> dict[str, np.ndarray]:
        """What imitation learns from: every move, whoever made it."""
        at = np.nonzero(rollout.valid)
        planes, actions = rollout.obs["planes"], rollout.actions
        return {"planes": planes[at], "actions": actions[at], "episode": rollout.episode[at]}

    def log_likelihood(self, examples: Mapping[str, np.ndarray]) -> torch.Tensor:
        """The log-probability of each move by the network alone, `[B]`."""
        planes, actions = (torch.as_tensor(examples[k], device=self.device) for k in ("planes", "actions"))
        with torch.autocast(self.device, torch.bfloat16, enabled=self.precision == "bf16"):
            logits, _ = self.network(planes)
        return F.log_softmax(logits.float(), dim=1).gather(1, actions[:, None])[:, 0]

    def refresh(self) -> None:
        """The network has learned: the search uses it as it is now."""
        self.evaluator.load(self.network)
        self.search.forget()
        self.version = np.uint64(int(digest(self.weights()), 16))  # the same in every process

    def weights(self) -> dict[str, np.ndarray]:
        return to_arrays(self.network)

    def load_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        from_arrays(self.network, weights)
        self.refresh()

    def spec(self) -> dict[str, Any]:
        options = {
            "network": self.network.network,
            "search": self.search_options.model_dump(),
            "eval_simulations": self.eval_simulations,
            "temperature": self.temperature.model_dump(),
            "fast": None if self.fast is None else self.fast.model_dump(),
            "resign": None if self.resign is None else self.resign.model_dump(),
            "precision": self.precision,
        } | ({} if self.eval_seconds is None else {"eval_seconds": self.eval_seconds})
        return {"path": "search.planner:Planner", "options": options}
