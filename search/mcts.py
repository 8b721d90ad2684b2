"""Monte-Carlo tree search with an evaluator, for a batch of games at once.

Each round is four calls for all games: `descend` (down every tree to a leaf, by the rules of `search.rules`),
the evaluator (one batch of all leaves), `take_in` (expand and back up). What needs no evaluation, an end of
a game, a proven node or a cached position, is backed up on the way and never enters the batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numba import prange
from pydantic import Field

from agents.options import Count, NotNegative, Options, Positive, Share
from envs.board.game import Game, observe
from envs.kernels import kernel
from envs.rng import next_float, uniform
from search.cache import Cache, look_up, make_cache, store
from search.rules import (
    GUMBEL,
    PUCT,
    Settings,
    choose_gumbel,
    choose_gumbel_root,
    choose_puct,
    edge_q,
    halving_schedule,
    improved_scores,
    node_q,
    softmax,
)
from search.tree import (
    LOST,
    NONE,
    ROOT,
    UNKNOWN,
    Tree,
    Trees,
    add_node,
    back_up,
    make_trees,
    proven_edge,
    set_evaluation,
    wait,
)

Evaluator = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""planes bool `[k, rows, columns, planes]` -> (logits float32 `[k, actions]`, values float32 `[k]`)."""


class SearchOptions(Options):
    """How to search. The paper's values stand behind each line.

    `simulations` are descents from the root, each to one leaf.
    """

    simulations: Count = 64
    """AlphaZero: 800."""
    rule: Literal["puct", "gumbel"] = "puct"
    exact: bool = True
    """Prove wins, draws and losses, and hand up exact values (MCTS-Solver; Winands et al., 2008)."""
    leaves: Count = 1
    """Leaves of a tree that are evaluated at once (WU-UCT)."""
    reuse: bool = False
    """Keep the part of the tree that was reached, with its visits, for the next move. PUCT only."""
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

    def settings(self) -> Settings:
        """What the kernels need of it."""
        return Settings(
            rule=GUMBEL if self.rule == "gumbel" else PUCT,
            exact=self.exact,
            c_puct=float(self.c_puct),
            c_base=float(self.c_base),
            fpu_reduction=float(self.fpu_reduction),
            value_scale=float(self.value_scale),
            visit_offset=float(self.visit_offset),
            rescale=self.rescale,
        )


@dataclass(frozen=True)
class Found:
    """What a search found at `B` roots. Arrays are float32 `[B, A]` unless said otherwise; illegal moves 0."""

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


class Round(NamedTuple):
    """Room for what one round evaluates: up to `leaves` a tree, row `b · leaves + j`."""

    leaf: np.ndarray
    """int32 `[B · leaves]`: the node, or `NONE`."""
    planes: np.ndarray
    """bool `[B · leaves, rows · columns · planes]`."""
    mask: np.ndarray
    """bool `[B, A]`: scratch."""
    scores: np.ndarray
    """float32 `[B, A]`: scratch."""
    left: np.ndarray
    """int32 `[B]`: simulations to go."""
    done: np.ndarray
    """int32 `[B]`: simulations that were begun."""
    gumbels: np.ndarray
    """float32 `[B, A]`: Gumbel noise, an entry an edge of the root."""
    schedule: np.ndarray
    """int32 `[B, simulations]`: of sequential halving."""


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
    ) -> Found:
        """Search from `states` (uint64 `[B, words]`, none of them over); advances `rng` (uint64 `[B]`).

        `simulations` are those of the options, or others, one number or `[B]`. Where `noisy` (bool, or `[B]`)
        root noise is mixed into the prior (PUCT) or drawn for the moves (Gumbel).
        """
        count = len(states)
        left = np.broadcast_to(self.options.simulations if simulations is None else simulations, count)
        noisy = np.broadcast_to(noisy, count)
        trees = self._room(count, int(left.max(initial=0)))
        work = self._work(count, left.astype(np.int32))
        plant(trees, self.game.code, np.ascontiguousarray(states), work)
        self._evaluate(trees, work)
        prior = root_prior(trees, np.zeros((count, self.game.actions), np.float32))
        self._add_noise(trees, work, rng, noisy)
        while True:
            descend(trees, self.game.code, self.settings, rng, self.cache, work)
            if not self._evaluate(trees, work):
                break
        self.simulated += int(work.done.sum())
        return self._read(trees, work, prior)

    def _room(self, count: int, simulations: int) -> Trees:
        """Trees for so many games; made anew where they are too few or too small."""
        batch, nodes = self.trees.nodes.shape
        if batch < count or nodes < simulations + 1:
            self.trees = make_trees(self.game, max(count, batch), max(simulations + 1, nodes))
        return Trees(*(array[:count] for array in self.trees))

    def _work(self, count: int, left: np.ndarray) -> Round:
        rows, cells = count * self.options.leaves, self.game.shape[0] * self.game.shape[1]
        wide = (count, self.game.actions)
        return Round(
            leaf=np.full(rows, NONE, np.int32),
            planes=np.empty((rows, cells * len(self.game.planes)), bool),
            mask=np.empty(wide, bool),
            scores=np.empty(wide, np.float32),
            left=left,
            done=np.zeros(count, np.int32),
            gumbels=np.zeros(wide, np.float32),
            schedule=np.zeros(
                (count, int(left.max(initial=1)) if self.settings.rule == GUMBEL else 1), np.int32
            ),
        )

    def _evaluate(self, trees: Trees, work: Round) -> bool:
        """Evaluate the leaves of this round and back them up; False where there are none."""
        asked = work.leaf != NONE
        rows = np.flatnonzero(asked)
        if not len(rows):
            return False
        shape = (len(rows), *self.game.shape, len(self.game.planes))
        logits, values = self.evaluator(work.planes[rows].reshape(shape))
        self.evaluated += len(rows)
        take_in(trees, self.settings, work, np.cumsum(asked) - 1, logits, values)
        if len(self.cache.words):
            store(self.cache, trees.states, work.leaf, rows, logits, values)
        return True

    def _add_noise(self, trees: Trees, work: Round, rng: np.ndarray, noisy: np.ndarray) -> None:
        options = self.options
        if self.settings.rule == GUMBEL:
            count, width = work.gumbels.shape
            drawn = -np.log(-np.log(np.clip(uniform(rng, width), 1e-12, 1 - 1e-12)))
            work.gumbels[:] = np.where(noisy[:, None], options.gumbel_scale * drawn, 0.0)
            for b in range(count):
                moves = min(options.considered, int(trees.nodes[b, ROOT]["count"]))
                work.schedule[b, : work.left[b]] = halving_schedule(moves, int(work.left[b]))
        elif noisy.any() and options.noise_share:
            mix_dirichlet(trees, rng, noisy, options.noise_share, options.noise_total)

    def _read(self, trees: Trees, work: Round, prior: np.ndarray) -> Found:
        shape = prior.shape
        found = Found(
            visits=np.zeros(shape, np.int32),
            q=np.zeros(shape, np.float32),
            prior=prior,
            policy=np.zeros(shape, np.float32),
            best=np.zeros(len(prior), np.int64),
            value=np.zeros(len(prior), np.float32),
            raw_value=np.zeros(len(prior), np.float32),
            proven=trees.nodes["proven"][:, ROOT].astype(np.int8),
        )
        read_roots(
            trees,
            self.settings,
            work,
            found.visits,
            found.q,
            found.policy,
            found.best,
            found.value,
            found.raw_value,
        )
        return found


# -- kernels -----------------------------------------------------------------------------------------------


@kernel
def tree_of(trees, b):  # type: ignore[no-untyped-def]
    """One of the trees."""
    return Tree(trees.states[b], trees.nodes[b], trees.edges[b])


@kernel(parallel=True)
def plant(trees, code, states, work):  # type: ignore[no-untyped-def]
    """Begin every tree with its root, whose evaluation is asked for."""
    for b in prange(len(work.left)):
        plant_one(tree_of(trees, b), code, states[b], work, b)


@kernel
def plant_one(tree, code, state, work, b):  # type: ignore[no-untyped-def]
    """Begin tree `b`."""
    row = b * (len(work.leaf) // len(work.left))
    for k in range(len(state)):
        tree.states[ROOT, k] = state[k]
    add_node(tree, code, NONE, NONE, work.mask[b])
    if tree.nodes[ROOT].proven != UNKNOWN:
        work.left[b] = 0
        return
    work.leaf[row] = ROOT
    tree.nodes[ROOT].waiting = 1
    observe(code, state, work.planes[row])


@kernel
def root_prior(trees, out):  # type: ignore[no-untyped-def]
    """The policy at every root, by action; `out` is `[B, A]`, zeros."""
    for b in range(len(out)):
        tree = tree_of(trees, b)
        for k in range(tree.nodes[ROOT].count):
            out[b, tree.edges[ROOT, k].action] = tree.edges[ROOT, k].prior
    return out


@kernel(parallel=True)
def descend(trees, code, settings, rng, cache, work):  # type: ignore[no-untyped-def]
    """Go down every tree until it has its leaves to evaluate, or no simulation is left."""
    for b in prange(len(work.left)):
        descend_one(tree_of(trees, b), code, settings, rng, cache, work, b)


@kernel
def descend_one(tree, code, settings, rng, cache, work, b):  # type: ignore[no-untyped-def]
    """Find the leaves of tree `b`; what needs no evaluation is backed up at once."""
    leaves = len(work.leaf) // len(work.left)
    row, end = b * leaves, (b + 1) * leaves
    for k in range(row, end):
        work.leaf[k] = NONE
    while row < end and work.left[b] > 0:
        if settings.exact and tree.nodes[ROOT].proven != UNKNOWN:
            work.left[b] = 0  # there is nothing more to find out
            return
        leaf = find_leaf(tree, b, code, settings, rng, work)
        if leaf == NONE:
            return  # it met a leaf that is being evaluated: the rest of this round would meet it too
        work.left[b] -= 1
        work.done[b] += 1
        if tree.nodes[leaf].proven != UNKNOWN or look_up(cache, tree, leaf):
            back_up(tree, leaf, settings.exact)
        else:
            wait(tree, leaf, 1)
            work.leaf[row] = leaf
            observe(code, tree.states[leaf], work.planes[row])
            row += 1


@kernel
def find_leaf(tree, b, code, settings, rng, work):  # type: ignore[no-untyped-def]
    """The node where a descent ends: a new one, or a proven one; `NONE` at one that is being evaluated."""
    node = ROOT
    while tree.nodes[node].proven == UNKNOWN or (node == ROOT and tree.nodes[node].count > 0):
        if tree.nodes[node].visits == 0:
            return NONE
        if settings.rule == PUCT:
            edge = choose_puct(tree, node, settings, rng, b)
        elif node == ROOT:
            considered = work.schedule[b, work.done[b]]
            edge = choose_gumbel_root(tree, settings, work.scores[b], work.gumbels[b], considered)
            if edge == NONE:  # its visits are not known yet
                return NONE
        else:
            edge = choose_gumbel(tree, node, settings, work.scores[b])
        child = tree.edges[node, edge].child
        if child == NONE:
            return add_node(tree, code, node, edge, work.mask[b])
        node = child
    return node


@kernel(parallel=True)
def take_in(trees, settings, work, place, logits, values):  # type: ignore[no-untyped-def]
    """Expand the leaves by what the evaluator said, and back their values up.

    `place` (int64 `[B · leaves]`) is where in `logits` and `values` a leaf's evaluation lies.
    """
    for b in prange(len(work.left)):
        take_in_one(tree_of(trees, b), settings, work, place, logits, values, b)


@kernel
def take_in_one(tree, settings, work, place, logits, values, b):  # type: ignore[no-untyped-def]
    """The same in tree `b`."""
    leaves = len(work.leaf) // len(work.left)
    for row in range(b * leaves, (b + 1) * leaves):
        leaf = work.leaf[row]
        if leaf != NONE:
            set_evaluation(tree, leaf, logits[place[row]], values[place[row]])
            wait(tree, leaf, -1)
            back_up(tree, leaf, settings.exact)


@kernel
def mix_dirichlet(trees, rng, noisy, share, total):  # type: ignore[no-untyped-def]
    """Mix Dirichlet noise over the legal moves into the priors of the `noisy` roots."""
    for b in range(len(noisy)):
        tree = tree_of(trees, b)
        count = tree.nodes[ROOT].count
        if not noisy[b] or count == 0:
            continue
        drawn, sum_drawn = np.empty(count), 0.0
        for k in range(count):
            drawn[k] = next_gamma(rng, b, total / count)
            sum_drawn += drawn[k]
        for k in range(count):
            noise = drawn[k] / sum_drawn
            tree.edges[ROOT, k].prior = (1 - share) * tree.edges[ROOT, k].prior + share * noise


@kernel
def next_gamma(rng, b, shape):  # type: ignore[no-untyped-def]
    """A draw of Gamma(shape, 1) (Marsaglia and Tsang, 2000)."""
    boost = 1.0
    if shape < 1.0:
        boost = (1.0 - next_float(rng, b)) ** (1.0 / shape)
        shape += 1.0
    d = shape - 1.0 / 3.0
    c = 1.0 / np.sqrt(9.0 * d)
    while True:
        radius = np.sqrt(-2.0 * np.log(1.0 - next_float(rng, b)))
        x = radius * np.cos(2.0 * np.pi * next_float(rng, b))
        v = (1.0 + c * x) ** 3
        if v > 0 and np.log(1.0 - next_float(rng, b)) < 0.5 * x * x + d - d * v + d * np.log(v):
            return max(boost * d * v, 1e-300)


@kernel
def read_roots(trees, settings, work, visits, q, policy, best, value, raw_value):  # type: ignore[no-untyped-def]
    """Write what was found at every root; see `Found`."""
    for b in range(len(best)):
        tree = tree_of(trees, b)
        count, total = tree.nodes[ROOT].count, 0
        mean = node_q(tree, ROOT) if count else tree.nodes[ROOT].value
        known = settings.exact and tree.nodes[ROOT].proven != UNKNOWN
        raw_value[b] = tree.nodes[ROOT].value
        value[b] = tree.nodes[ROOT].value if known else mean
        if count == 0:
            continue
        scores = work.scores[b]
        if settings.rule == GUMBEL:
            improved_scores(tree, ROOT, settings, scores)
        for k in range(count):
            action = tree.edges[ROOT, k].action
            visits[b, action] = tree.edges[ROOT, k].visits
            q[b, action] = edge_q(tree, ROOT, k, mean)
            if not (settings.exact and proven_edge(tree, ROOT, k) == LOST):
                policy[b, action] = tree.edges[ROOT, k].visits
                total += tree.edges[ROOT, k].visits
        chosen = choose_move(tree, settings, scores, work.gumbels[b])
        best[b] = tree.edges[ROOT, chosen].action
        if settings.rule == GUMBEL:
            softmax(scores, count)
        for k in range(count):
            action = tree.edges[ROOT, k].action
            if known:
                policy[b, action] = np.float32(k == chosen)
            elif settings.rule == GUMBEL:
                policy[b, action] = scores[k]
            elif total:
                policy[b, action] /= total
            else:
                policy[b, action] = np.float32(k == chosen)


@kernel
def choose_move(tree, settings, scores, gumbels):  # type: ignore[no-untyped-def]
    """The root's edge to play: what is proven best; else most visits, ties by value (Gumbel: by score)."""
    best, best_rank, best_visits, best_score = 0, -2, -1, -np.inf
    known = tree.nodes[ROOT].proven if settings.exact else UNKNOWN
    for k in range(tree.nodes[ROOT].count):
        edge = proven_edge(tree, ROOT, k) if settings.exact else UNKNOWN
        rank = 1 if known != UNKNOWN and edge == known else 0
        if known == UNKNOWN and edge == LOST:  # where others are open
            rank = -1
        n = tree.edges[ROOT, k].visits
        score = scores[k] + gumbels[k] if settings.rule == GUMBEL else edge_q(tree, ROOT, k, -2.0)
        if (rank, n, score) > (best_rank, best_visits, best_score):
            best, best_rank, best_visits, best_score = k, rank, n, np.float64(score)
    return best
