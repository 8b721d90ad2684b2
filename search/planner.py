"""Who plays by looking ahead: a tree search guided by a policy-value network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

import numpy as np
from gymnasium import spaces
from pydantic import Field

from agents.networks import from_arrays, seeded, to_arrays
from agents.options import Count, NotNegative, Options, Precision, Share, checked, read
from envs.board.spaces import game_of
from envs.rng import uniform
from rollouts.agent import Agent, Decision, Memory
from search.mcts import Found, Search, SearchOptions
from search.networks import Evaluator, PolicyValueNet

LIKED = 0.05
"""A prior from which on the policy likes a move."""
UNLIKELY = 0.001
"""A prior below which nobody would have expected it (the move 37 of AlphaGo's second game: 1 in 10,000)."""


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
    simulations: Count = 16


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
    `eval_simulations`.

    Decisions carry `policy` (float32 `[n, actions]`: what the search would have the network say), `value`
    (float32 `[n]`, exact where `proven`), `proven` (int8 `[n]`: UNKNOWN, LOST, DRAWN or WON for the mover),
    `full` (bool `[n]`: whether the search was a full one) and `moment` (float32 `[n, 5]`, see `moments`);
    with `explore=False` also `visits` (int32), `q` and `prior` (float32), `[n, actions]`; with `resign` also
    `resigned` (int8 `[n]`: PLAYING, RESIGNS by this decision, or RESIGNED before) and `control` (bool `[n]`).
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
        eval_simulations: Count = 400,
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
        shape = (*self.game.shape, len(self.game.planes))
        with seeded(seed):
            self.network = PolicyValueNet(shape, self.game.actions, network=network).to(device)
        self.evaluator = Evaluator(self.network, device=device, precision=precision)
        self.search = Search(self.game, self.evaluator, self.search_options)

    def act(
        self, obs: Any, *, rng: np.ndarray, first: np.ndarray, memory: Memory = None, explore: bool = True
    ) -> Decision:
        states = obs["state"]
        count = len(states)
        full = np.ones(count, bool)
        if not explore:
            found = self.search.run(states, rng, self.eval_simulations, kept=memory, first=first)
            decision = self._decide(found, found.best, full)
            told = {"visits": found.visits, "q": found.q, "prior": found.prior}
            return replace(decision, fields={**decision.fields, **told})
        simulations = np.full(count, self.search_options.simulations)
        if self.fast is not None:
            full = uniform(rng) >= self.fast.share
        kept = self._kept(memory, first, rng)
        if kept is not None:
            full &= kept["control"] | ~kept["resigned"]
        simulations = np.where(full, simulations, (self.fast or Fast()).simulations)
        found = self.search.run(states, rng, simulations, noisy=full, kept=memory, first=first)
        if self.search_options.rule == "gumbel":  # whose noise is in the choice already
            return self._decide(found, found.best, full, kept)
        return self._decide(found, self._draw(found, states, uniform(rng)), full, kept)

    def _kept(self, memory: Memory, first: np.ndarray, rng: np.ndarray) -> dict[str, np.ndarray] | None:
        """Which games were given up, and which are controls; None without `resign`."""
        if self.resign is None:
            return None
        control = uniform(rng) < self.resign.control
        if memory is None:
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

    def _decide(
        self,
        found: Found,
        actions: np.ndarray,
        full: np.ndarray,
        kept: dict[str, np.ndarray] | None = None,
    ) -> Decision:
        fields = {"policy": found.policy, "value": found.value, "proven": found.proven, "full": full}
        fields["moment"] = moments(found)
        if kept is None or self.resign is None:
            return Decision(actions, found.kept, fields)
        lost = found.value < -self.resign.below
        fields["resigned"] = np.where(kept["resigned"], RESIGNED, np.where(lost, RESIGNS, PLAYING)).astype(
            np.int8
        )
        fields["control"] = kept["control"]
        memory = {**kept, "resigned": kept["resigned"] | lost, **(found.kept or {})}
        return Decision(actions, memory, fields)

    def refresh(self) -> None:
        """The network has learned: the search uses it as it is now."""
        self.evaluator.load(self.network)
        self.search.forget()

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
        }
        return {"path": "search.planner:Planner", "options": options}


def moments(found: Found) -> np.ndarray:
    """Moves like move 37, float32 `[n, 5]`: (gain, action, prior, share of visits, value of the move).

    `gain` is by how much the best move's value is above that of every move that the policy liked (prior of
    `LIKED` at least), where the policy gave it less than `UNLIKELY`; elsewhere 0.
    """
    rows = np.arange(len(found.best))
    prior, q = found.prior[rows, found.best], found.q[rows, found.best]
    liked = np.where(found.prior >= LIKED, found.q, -np.inf).max(axis=1)
    visits = found.visits[rows, found.best] / np.maximum(found.visits.sum(axis=1), 1)
    gain = np.where((prior < UNLIKELY) & (visits > 0) & np.isfinite(liked), q - liked, 0.0)
    return np.stack([np.maximum(gain, 0), found.best, prior, visits, q], axis=1).astype(np.float32)
