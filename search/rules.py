"""Which edge a descent takes: PUCT (Silver et al., 2017) and Gumbel AlphaZero (Danihelka et al., 2022)."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from envs.rng import next_float
from search.tree import LOST, ROOT, lean_kernel

PUCT, GUMBEL = 0, 1
LEAST_PRIOR = np.float32(np.finfo(np.float32).tiny)
LEAST_RANGE = np.float32(1e-8)


class Settings(NamedTuple):
    """How to search; see `search.mcts.SearchOptions`, whose numbers these are."""

    rule: int
    exact: bool
    c_puct: np.float32
    c_base: np.float32
    fpu_reduction: np.float32
    value_scale: np.float32
    visit_offset: np.float32
    rescale: bool


@lean_kernel
def edge_q(edge, unvisited):  # type: ignore[no-untyped-def]
    """The mean value of a move, for who makes it; exact where proven, `unvisited` where nothing is known."""
    q = edge.value / np.float32(max(edge.visits, 1))
    return q if edge.visits else unvisited


@lean_kernel
def choose(tree, index, settings, work, rng, b):  # type: ignore[no-untyped-def]
    """The edge that a descent in tree `b` takes at a node; among equals, one by lot."""
    scores = work.scores[b]
    if settings.rule == PUCT:
        puct_scores(tree, index, settings, scores)
    elif index == ROOT:
        halving_scores(tree, settings, scores, work.gumbels[b], work.schedule[b, work.done[b]])
    else:
        gumbel_scores(tree, index, settings, scores)
    highest, best, ties = np.float32(-np.inf), 0, 0
    for k in range(tree.nodes[index].count):
        highest = max(highest, scores[k])
    for k in range(tree.nodes[index].count):
        if scores[k] == highest:
            ties += 1
            if ties == 1 or next_float(rng, b) * ties < 1.0:
                best = k
    return best


@lean_kernel
def puct_scores(tree, index, settings, scores):  # type: ignore[no-untyped-def]
    """Q + c · P · √N / (1 + n); N and n count what is still being evaluated, too.

    `c = c_puct + log((N + c_base + 1) / c_base)`. A move that was never tried counts as the node's mean less
    `fpu_reduction · √(policy already tried)`; at the root without the reduction (KataGo). Moves that are
    proven lost are left out: a node where all are is proven itself.
    """
    node = tree.nodes[index]
    visits = np.float32(node.begun)
    c = settings.c_puct + math.log((visits + settings.c_base + np.float32(1)) / settings.c_base)
    scale = c * math.sqrt(visits)
    unvisited = node.total / np.float32(node.visits)
    if index != ROOT:
        unvisited -= settings.fpu_reduction * math.sqrt(node.tried)
    for k in range(node.count):
        edge = tree.edges[index, k]
        score = edge_q(edge, unvisited) + scale * edge.prior / np.float32(1 + edge.begun)
        scores[k] = score if edge.proven != LOST else np.float32(-np.inf)


# -- Gumbel ------------------------------------------------------------------------------------------------


@lean_kernel
def completed_scores(tree, index, settings, scores):  # type: ignore[no-untyped-def]
    """Write σ(completed Q) of every edge into `scores`, and return the highest (section 4, and appendix D).

    Moves without a visit get the mixed value: the node's own evaluation, weighed against the prior-weighted
    mean of the moves that have some.
    """
    node = tree.nodes[index]
    visits, most, tried, weighted = 0, 0, np.float32(0.0), np.float32(0.0)
    low, high = np.float32(np.inf), np.float32(-np.inf)
    for k in range(node.count):
        edge = tree.edges[index, k]
        if edge.visits:
            prior, q = max(edge.prior, LEAST_PRIOR), edge.value / np.float32(edge.visits)
            visits, most = visits + edge.visits, max(most, edge.visits)
            tried, weighted = tried + prior, weighted + prior * q
            low, high, scores[k] = min(low, q), max(high, q), q
    mixed = node.value
    if visits:
        mixed = (mixed + np.float32(visits) * (weighted / tried)) / np.float32(visits + 1)
    all_tried = True
    for k in range(node.count):
        if tree.edges[index, k].visits == 0:
            scores[k], all_tried = mixed, False
    if not all_tried or node.count < len(scores):  # illegal moves count as moves without a visit, as in mctx
        low, high = min(low, mixed), max(high, mixed)
    scale, shift = settings.value_scale * (settings.visit_offset + np.float32(most)), np.float32(0.0)
    if settings.rescale:
        scale, shift = scale / max(high - low, LEAST_RANGE), low
    for k in range(node.count):
        scores[k] = scale * (scores[k] - shift)
    return scale * (high - shift)


@lean_kernel
def improved_scores(tree, index, settings, scores):  # type: ignore[no-untyped-def]
    """Write logits + σ(completed Q) of every edge into `scores` (section 3)."""
    completed_scores(tree, index, settings, scores)
    for k in range(tree.nodes[index].count):
        scores[k] += math.log(max(tree.edges[index, k].prior, LEAST_PRIOR))


@lean_kernel
def improved_policy(tree, index, settings, policy):  # type: ignore[no-untyped-def]
    """Write softmax(logits + σ(completed Q)) of every edge into `policy` (section 4)."""
    highest, total = completed_scores(tree, index, settings, policy), np.float32(0.0)
    for k in range(tree.nodes[index].count):
        prior = max(tree.edges[index, k].prior, LEAST_PRIOR)
        policy[k] = prior * math.exp(policy[k] - highest)
        total += policy[k]
    share = np.float32(1.0) / total
    for k in range(tree.nodes[index].count):
        policy[k] *= share


@lean_kernel
def gumbel_scores(tree, index, settings, scores):  # type: ignore[no-untyped-def]
    """Below the root: what the improved policy would have, less what it has had (section 5, eq. 14)."""
    improved_policy(tree, index, settings, scores)
    visit = np.float32(1.0) / np.float32(tree.nodes[index].begun)
    for k in range(tree.nodes[index].count):
        edge = tree.edges[index, k]
        score = scores[k] - np.float32(edge.begun) * visit
        scores[k] = score if edge.proven != LOST else np.float32(-np.inf)


@lean_kernel
def halving_scores(tree, settings, scores, gumbels, considered):  # type: ignore[no-untyped-def]
    """At the root: only moves that have had `considered` visits (sequential halving, section 2)."""
    improved_scores(tree, ROOT, settings, scores)
    for k in range(tree.nodes[ROOT].count):
        fit = tree.edges[ROOT, k].begun == considered
        scores[k] = scores[k] + gumbels[k] if fit else np.float32(-np.inf)


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
