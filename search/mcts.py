"""Monte-Carlo tree search with an evaluator, for a batch of games at once.

Each round is two calls for all games: the evaluator (one batch of all leaves), and `search.rounds.advance`
(in every tree: take in what the evaluator said, hand it up, and go down to the next leaf by the rules of
`search.rules`). What needs no evaluation, an end of a game, a proven node or a cached position, never enters
the batch.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numba
import numpy as np
from pydantic import Field, ValidationInfo, field_validator

from agents.options import Count, NotNegative, Options, Positive, Share
from envs.board.game import Game
from envs.rng import uniform
from search.cache import Cache, make_cache, store
from search.noise import mix_dirichlet
from search.reuse import Kept, as_kept, as_trees, graft
from search.rounds import Round, advance, advance_all, improve_roots, pack
from search.rules import GUMBEL, PUCT, Settings, halving_schedule
from search.states import checked_states
from search.tree import DRAWN, LOST, NODE, NONE, ROOT, UNKNOWN, Simulations, Trees, make_trees

SHARE = 64
"""Games that a thread should have at least: for fewer, it takes longer to wake it."""
KEPT = 2
"""With `reuse`: a tree may keep so many times the nodes that a search adds; a larger one begins afresh."""
Evaluator = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""planes bool `[k, rows, columns, planes]` -> (logits float32 `[k, actions]`, values float32 `[k]`)."""


class SearchOptions(Options):
    """How to search. The paper's values stand behind each line.

    `simulations` are descents from the root, each to one leaf.
    """

    simulations: Simulations = 64
    """AlphaZero: 800."""
    rule: Literal["puct", "gumbel"] = "puct"
    exact: bool = True
    """Prove wins, draws and losses, and hand up exact values (MCTS-Solver; Winands et al., 2008)."""
    leaves: Count = 1
    """Leaves of a tree that are evaluated at once (WU-UCT; Liu et al., 2020)."""
    reuse: bool = False
    """Keep the part of the tree that was reached, with its visits, for the next search. PUCT only."""
    cache: int = Field(0, ge=0)
    """Positions whose evaluation is kept, for all games together; 0 keeps none."""
    c_puct: Positive = 1.25
    """AlphaZero: 1.25, with `c_base` 19652."""
    c_base: Positive = 19652.0
    fpu_reduction: NotNegative = 0.2
    """How much less than its node a move is worth that was never tried; KataGo: 0.2."""
    noise_share: Share = 0.25
    """Of root noise in the prior; AlphaZero: 0.25."""
    noise_total: Positive = 10.83
    """Dirichlet concentration, split over the legal moves; KataGo: 10.83."""
    considered: Count = 16
    """Gumbel: moves that are tried at the root; the paper: 16."""
    gumbel_scale: NotNegative = 1.0
    value_scale: Positive = 0.1
    """Gumbel: `c_scale`; mctx: 0.1 with rescaled values."""
    visit_offset: NotNegative = 50.0
    """Gumbel: `c_visit`; the paper: 50."""
    rescale: bool = True
    """Gumbel: stretch the values of a node's moves to [0, 1]."""

    @field_validator("reuse")
    @classmethod
    def _puct_only(cls, reuse: bool, others: ValidationInfo) -> bool:
        if reuse and others.data.get("rule") == "gumbel":  # whose schedule begins at no visits
            raise ValueError("must be false with the rule 'gumbel'")
        return reuse

    def settings(self) -> Settings:
        """What the kernels need of it."""
        return Settings(
            rule=GUMBEL if self.rule == "gumbel" else PUCT,
            exact=self.exact,
            c_puct=np.float32(self.c_puct),
            c_base=np.float32(self.c_base),
            fpu_reduction=np.float32(self.fpu_reduction),
            value_scale=np.float32(self.value_scale),
            visit_offset=np.float32(self.visit_offset),
            rescale=self.rescale,
        )


@dataclass(frozen=True)
class Found:
    """What a search found at `B` roots: float32 `[B, A]` unless said otherwise, 0 for illegal moves."""

    visits: np.ndarray
    """int32: of each move."""
    q: np.ndarray
    """The mean value of each move, exact where proven; of moves never tried, the root's own."""
    prior: np.ndarray
    """The evaluator's policy, without noise."""
    policy: np.ndarray
    """What to learn: the share of visits, or Gumbel's improved policy; none for moves that are proven lost,
    and all for the best where the root is proven."""
    best: np.ndarray
    """int64 `[B]`: the move to play. A move that is proven lost is best only where all are."""
    value: np.ndarray
    """`[B]`: the mean of all values, exact where proven."""
    raw_value: np.ndarray
    """`[B]`: the evaluator's value."""
    proven: np.ndarray
    """int8 `[B]`: UNKNOWN, LOST, DRAWN, WON."""
    trees: Kept | None = None
    """With `reuse`, for the next search of the same games."""


class Search:
    """Searches from a batch of states.

    With a fixed evaluator, what is found in a game depends on its state and generator alone, and not on the
    batch, the threads or the cache.
    """

    def __init__(self, game: Game, evaluator: Evaluator, options: SearchOptions) -> None:
        self.game, self.evaluator, self.options = game, evaluator, options
        self.settings = options.settings()
        self.cache: Cache = make_cache(game, options.cache)
        self.evaluated = self.simulated = 0
        self.trees = make_trees(game, 0, 1)

    def forget(self) -> None:
        """The evaluator has changed: what it said no longer holds."""
        self.cache.words[:] = 0

    def run(
        self,
        states: np.ndarray,
        rng: np.ndarray,
        simulations: np.ndarray | int | None = None,
        noisy: np.ndarray | bool = False,
        kept: Kept | None = None,
        first: np.ndarray | bool = False,
        seconds: float | None = None,
    ) -> Found:
        """Search from `states` (uint64 `[B, words]`); advances `rng` (uint64 `[B]`).

        `simulations` are those of the options, or others, one number or `[B]`. Where `noisy` (bool, or `[B]`)
        root noise is mixed into the prior (PUCT) or drawn for the moves (Gumbel). With `reuse`, `kept` is
        what the last search of these games kept; games that are at their `first` move begin afresh. After
        `seconds`, where they are given, no simulation begins any more (PUCT only).
        Raises `ValueError` as `checked_states` does, for a game that is over too.
        """
        states = checked_states(self.game, states, rng)
        count = len(states)
        simulations = np.broadcast_to(self.options.simulations if simulations is None else simulations, count)
        trees = self._room(count, int(simulations.max(initial=0)))
        work = self._work(count, simulations)
        if self.options.reuse and kept is not None:
            graft(as_trees(kept), trees, states, ~np.broadcast_to(first, count), simulations)
        new = trees.nodes["size"][:, ROOT] == 0
        trees.states[:, ROOT] = states
        self._rounds(trees, rng, work, new)  # which adds the roots
        prior = _by_action(trees)(trees.edges["prior"][:, ROOT])
        self._add_noise(trees, rng, work, np.broadcast_to(noisy, count), simulations)
        self._rounds(trees, rng, work, simulations, seconds)
        self.simulated += int(work.done.sum())
        return self._read(trees, work, prior)

    def _room(self, count: int, simulations: int) -> Trees:
        """Empty trees for so many games: those of the last search where they are enough, and not kept."""
        batch, nodes = self.trees.nodes.shape
        if self.options.reuse:
            most = max(simulations, self.options.simulations)
            self.trees = make_trees(self.game, count, (1 + KEPT) * most + 1, blank=True)
        elif batch < count or nodes < simulations + 1:
            self.trees = make_trees(self.game, max(count, batch), max(simulations + 1, nodes))
        self.trees.nodes[:, ROOT] = np.zeros((), NODE)
        return Trees(*(array[:count] for array in self.trees))

    def _work(self, count: int, simulations: np.ndarray) -> Round:
        rows, actions = count * self.options.leaves, self.game.actions
        columns = int(simulations.max(initial=1)) if self.settings.rule == GUMBEL else 1
        return Round(
            leaf=np.full(rows, NONE, np.int32),
            place=np.zeros(rows, np.int32),
            planes=np.empty((rows, int(np.prod(self.game.shape)) * len(self.game.planes)), bool),
            logits=np.empty((rows, actions), np.float32),
            values=np.empty(rows, np.float32),
            mask=np.empty((count, actions), bool),
            scores=np.zeros((count, actions), np.float32),
            left=np.zeros(count, np.int32),
            done=np.zeros(count, np.int32),
            gumbels=np.zeros((count, actions), np.float32),
            schedule=np.zeros((count, columns), np.int32),
        )

    def _rounds(
        self,
        trees: Trees,
        rng: np.ndarray,
        work: Round,
        descents: np.ndarray,
        seconds: float | None = None,
    ) -> None:
        """So many descents in each tree (int `[B]`), or those that begin within `seconds`."""
        deadline = time.perf_counter() + (math.inf if seconds is None else seconds)
        work.left[:], work.done[:] = descents, 0
        planes = work.planes.reshape(-1, *self.game.shape, len(self.game.planes))
        while asked := self._advance(trees, rng, work):
            work.logits[:asked], work.values[:asked] = self.evaluator(planes[:asked])
            self.evaluated += asked
            if time.perf_counter() > deadline:
                work.left[:] = 0
            if len(self.cache.words):
                store(self.cache, trees.states, work)

    def _advance(self, trees: Trees, rng: np.ndarray, work: Round) -> int:
        """Go on in every tree until it waits for evaluations; returns how many `work.planes` are wanted."""
        rules = (self.game.code, self.settings, rng, self.cache)
        workers = min(numba.get_num_threads(), len(work.left) // SHARE)
        if workers > 1:
            advance_all(trees, *rules, work, workers)
        else:
            advance(trees, *rules, work, 0, 1)
        return pack(work)

    def _add_noise(
        self, trees: Trees, rng: np.ndarray, work: Round, noisy: np.ndarray, simulations: np.ndarray
    ) -> None:
        """Noise for the roots, and Gumbel's schedules."""
        options = self.options
        if self.settings.rule == PUCT:
            if noisy.any() and options.noise_share:
                mix_dirichlet(trees, rng, noisy, options.noise_share, options.noise_total)
            return
        drawn = -np.log(-np.log(np.clip(uniform(rng, self.game.actions), 1e-12, 1 - 1e-12)))
        work.gumbels[:] = np.where(noisy[:, None], options.gumbel_scale * drawn, 0.0)
        moves = np.minimum(options.considered, trees.nodes["count"][:, ROOT])
        for m, n in set(zip(moves.tolist(), simulations.tolist())):
            work.schedule[(moves == m) & (simulations == n), :n] = halving_schedule(m, n)

    def _read(self, trees: Trees, work: Round, prior: np.ndarray) -> Found:
        """What was found at the roots."""
        root, edges = trees.nodes[:, ROOT], trees.edges[:, ROOT]
        by_action = _by_action(trees)
        legal = by_action(np.ones(edges.shape, bool))
        visits, proven = by_action(edges["visits"]), by_action(edges["proven"])
        known = root["proven"][:, None] != UNKNOWN
        mean = root["total"] / np.maximum(root["visits"], 1)
        value = np.where(known[:, 0], root["proven"] - DRAWN, mean).astype(np.float32)
        total = by_action(edges["value"])
        q = np.divide(total, visits, out=value[:, None] * legal, where=visits > 0, dtype=np.float32)
        shares, rank = visits.astype(np.float32), q
        if self.settings.rule == GUMBEL:
            scores, improved = work.scores, np.zeros_like(work.scores)
            improve_roots(trees, self.settings, scores, improved)
            shares, rank = by_action(improved), by_action(scores + work.gumbels)
        fit = legal & np.where(known, proven == root["proven"][:, None], proven != LOST)
        best = _greatest(fit, visits, rank, prior)
        shares = shares * fit
        sums = shares.sum(1, keepdims=True)
        only_best = np.arange(shares.shape[1]) == best[:, None]
        return Found(
            visits=visits,
            q=q,
            prior=prior,
            policy=np.where(known | (sums == 0), legal & only_best, shares / np.maximum(sums, 1e-30)),
            best=best,
            value=value,
            raw_value=root["value"].copy(),
            proven=root["proven"].astype(np.int8),
            trees=as_kept(trees) if self.options.reuse else None,
        )


def _by_action(trees: Trees) -> Callable[[np.ndarray], np.ndarray]:
    """What puts numbers of the roots' edges, `[B, A]`, in the order of actions; illegal ones get 0."""
    b, k = np.nonzero(np.arange(trees.edges.shape[2]) < trees.nodes["count"][:, ROOT, None])
    actions = trees.edges["action"][b, ROOT, k]

    def ordered(of_edges: np.ndarray) -> np.ndarray:
        out = np.zeros_like(of_edges)
        out[b, actions] = of_edges[b, k]
        return out

    return ordered


def _greatest(among: np.ndarray, *keys: np.ndarray) -> np.ndarray:
    """int64 `[B]`: which of `among` (bool `[B, A]`) is greatest by the first key, then by the next ones."""
    for key in keys:
        key = np.where(among & ~np.isnan(key), key, -np.inf)
        among = among & (key == key.max(1, keepdims=True))
    return among.argmax(1)
