"""Which edge a descent takes: PUCT (Silver et al., 2017) and Gumbel AlphaZero (Danihelka et al., 2022)."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from envs.kernels import kernel
from envs.rng import next_float
from search.tree import LOST, NONE, ROOT, UNKNOWN, exact_value, proven_edge

PUCT, GUMBEL = 0, 1


class Settings(NamedTuple):
    """How to search; see `search.mcts.SearchOptions`, whose numbers these are."""

    rule: int
    exact: bool
    c_puct: float
    c_base: float
    fpu_reduction: float
    value_scale: float
    visit_offset: float
    rescale: bool


@kernel
def edge_count(tree, node, k):  # type: ignore[no-untyped-def]
    """Visits of an edge, with those that are still being evaluated (Liu et al., 2020: WU-UCT)."""
    child = tree.edges[node, k].child
    waiting = 0 if child == NONE else np.int64(tree.nodes[child].waiting)
    return tree.edges[node, k].visits + waiting


@kernel
def edge_q(tree, node, k, unvisited):  # type: ignore[no-untyped-def]
    """The mean value of a move, for who makes it; exact where proven, `unvisited` where nothing is known."""
    known = proven_edge(tree, node, k)
    if known != UNKNOWN:
        return np.float32(exact_value(known))
    visits = tree.edges[node, k].visits
    return tree.edges[node, k].value / np.float32(visits) if visits else np.float32(unvisited)


@kernel
def node_q(tree, node):  # type: ignore[no-untyped-def]
    """The mean of all values of a node, its own evaluation among them."""
    total, visits = np.float32(0.0), 0
    for k in range(tree.nodes[node].count):
        total += tree.edges[node, k].value
        visits += tree.edges[node, k].visits
    return (total + tree.nodes[node].value) / np.float32(visits + 1)


@kernel
def choose_puct(tree, node, settings, rng, b):  # type: ignore[no-untyped-def]
    """The edge of highest Q + c · P · √N / (1 + n), ties by lot.

    `c = c_puct + log((N + c_base + 1) / c_base)`. A move that was never tried counts as the node's mean less
    `fpu_reduction · √(policy already tried)`; at the root without the reduction (KataGo). Moves that are
    proven lost are left out: a node where all are is proven itself.
    """
    total = tree.nodes[node].visits + tree.nodes[node].waiting
    tried = np.float32(0.0)
    for k in range(tree.nodes[node].count):
        if tree.edges[node, k].visits:
            tried += tree.edges[node, k].prior
    reduction = 0.0 if node == ROOT else settings.fpu_reduction
    unvisited = node_q(tree, node) - reduction * math.sqrt(tried)
    c = settings.c_puct + math.log((total + settings.c_base + 1) / settings.c_base)
    scale = c * math.sqrt(max(total, 1))
    best, best_score, ties = 0, -np.inf, 0
    for k in range(tree.nodes[node].count):
        if settings.exact and proven_edge(tree, node, k) == LOST:
            continue
        q = edge_q(tree, node, k, unvisited)
        score = q + scale * tree.edges[node, k].prior / (1 + edge_count(tree, node, k))
        if score > best_score:
            best, best_score, ties = k, score, 1
        elif score == best_score:
            ties += 1
            if next_float(rng, b) * ties < 1.0:
                best = k
    return best


# -- Gumbel ------------------------------------------------------------------------------------------------


@kernel
def improved_scores(tree, node, settings, scores):  # type: ignore[no-untyped-def]
    """Write logits + σ(completed Q) of every edge into `scores` (sections 3 and 4, and appendix D).

    Moves without a visit get the mixed value: the node's own evaluation, weighed against the prior-weighted
    mean of the moves that have some.
    """
    count = tree.nodes[node].count
    visits, most, tried, weighted = 0, 0, np.float32(0.0), np.float32(0.0)
    for k in range(count):
        n = tree.edges[node, k].visits
        visits += n
        most = max(most, n)
        if n:
            prior = max(tree.edges[node, k].prior, np.float32(1.1754944e-38))
            tried += prior
            weighted += prior * edge_q(tree, node, k, 0.0)
    mixed = tree.nodes[node].value
    if visits:
        mixed = (mixed + visits * (weighted / tried)) / np.float32(visits + 1)
    low, high = np.float32(np.inf), np.float32(-np.inf)
    for k in range(count):
        scores[k] = edge_q(tree, node, k, mixed)
        low, high = min(low, scores[k]), max(high, scores[k])
    scale = settings.value_scale * (settings.visit_offset + most)
    for k in range(count):
        q = scores[k]
        if settings.rescale:
            q = (q - low) / max(high - low, np.float32(1e-8))
        scores[k] = scale * q + math.log(max(tree.edges[node, k].prior, np.float32(1e-37)))


@kernel
def softmax(scores, count):  # type: ignore[no-untyped-def]
    """`scores[:count]` as probabilities, in place."""
    highest, total = scores[0], np.float32(0.0)
    for k in range(count):
        highest = max(highest, scores[k])
    for k in range(count):
        scores[k] = math.exp(scores[k] - highest)
        total += scores[k]
    for k in range(count):
        scores[k] /= total


@kernel
def choose_gumbel(tree, node, settings, scores):  # type: ignore[no-untyped-def]
    """Below the root: the edge that the improved policy would most have next (section 5, eq. 14)."""
    count, total = tree.nodes[node].count, 0
    improved_scores(tree, node, settings, scores)
    softmax(scores, count)
    for k in range(count):
        total += edge_count(tree, node, k)
    best, best_score = 0, -np.inf
    for k in range(count):
        if settings.exact and proven_edge(tree, node, k) == LOST:
            continue
        score = scores[k] - edge_count(tree, node, k) / np.float32(1 + total)
        if score > best_score:
            best, best_score = k, score
    return best


@kernel
def choose_gumbel_root(tree, settings, scores, gumbels, considered):  # type: ignore[no-untyped-def]
    """At the root: the best of the moves that have had `considered` visits (sequential halving, section 2)."""
    improved_scores(tree, ROOT, settings, scores)
    best, best_score = NONE, -np.inf
    for k in range(tree.nodes[ROOT].count):
        score = scores[k] + gumbels[k]
        if edge_count(tree, ROOT, k) == considered and score > best_score:
            best, best_score = k, score
    return best


@lru_cache(maxsize=4096)
def halving_schedule(considered: int, simulations: int) -> np.ndarray:
    """int32 `[simulations]`: how many visits the move to be tried has had, at each simulation.

    Sequential halving (Karnin et al., 2013): `considered` moves are tried in turn, then the better half of
    them, and so on, with about as many simulations in each of the log₂ rounds.
    """
    if considered <= 1:
        return np.arange(simulations, dtype=np.int32)
    rounds, visits, schedule = math.ceil(math.log2(considered)), [0] * considered, list[int]()
    left = considered
    while len(schedule) < simulations:
        for _ in range(max(1, simulations // (rounds * left))):
            schedule += visits[:left]
            visits[:left] = [v + 1 for v in visits[:left]]
        left = max(2, left // 2)
    return np.array(schedule[:simulations], np.int32)
