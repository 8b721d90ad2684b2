"""The rounds of a search, for all trees at once: take in what was said of leaves, and go down for others."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import prange

from envs.board.game import observe
from envs.kernels import kernel
from search.cache import look_up
from search.rules import choose, improved_policy, improved_scores
from search.tree import NONE, ROOT, UNKNOWN, Tree, add_node, back_up, lean_kernel, set_evaluation

CACHED, ASKED = -1, 0


class Round(NamedTuple):
    """What one round evaluates: up to `leaves` a tree, row `b · leaves + j`."""

    leaf: np.ndarray
    """int32 `[B · leaves]`: the node, or `NONE`."""
    place: np.ndarray
    """int32 `[B · leaves]`: where it stands in the batch for the evaluator, or `CACHED`."""
    planes: np.ndarray
    """bool `[B · leaves, rows · columns · planes]`: the batch."""
    logits: np.ndarray
    """float32 `[B · leaves, A]`: what the evaluator said of the batch."""
    values: np.ndarray
    """float32 `[B · leaves]`."""
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


@lean_kernel
def tree_of(trees, b):  # type: ignore[no-untyped-def]
    """One of the trees."""
    return Tree(trees.states[b], trees.nodes[b], trees.edges[b])


@kernel(parallel=True)
def advance_all(trees, code, settings, rng, cache, work, workers):  # type: ignore[no-untyped-def]
    """`advance` in every tree, shared out among so many threads."""
    for w in prange(workers):
        advance(trees, code, settings, rng, cache, work, np.int64(w), workers)


@kernel(_nrt=False)  # called, not put in: a parallel loop would take its variables for its own
def advance(trees, code, settings, rng, cache, work, first, step):  # type: ignore[no-untyped-def]
    """Take in what was said of the leaves, and find the next ones, in the trees `first`, `first + step`, …"""
    for b in range(first, len(work.left), step):
        tree, again = tree_of(trees, b), True
        while again:
            take_in(tree, settings, work, b)
            again = descend(tree, code, settings, rng, cache, work, b)


@lean_kernel
def pack(work):  # type: ignore[no-untyped-def]
    """Move the planes to be evaluated up, to lie side by side in their order; returns how many there are."""
    count = 0
    for row in range(len(work.leaf)):
        if work.leaf[row] != NONE and work.place[row] != CACHED:
            work.place[row] = count
            if count < row:
                for k in range(work.planes.shape[1]):
                    work.planes[count, k] = work.planes[row, k]
            count += 1
    return count


@lean_kernel
def take_in(tree, settings, work, b):  # type: ignore[no-untyped-def]
    """Expand the leaves of tree `b` by what was said of them, and hand their values up."""
    leaves = len(work.leaf) // len(work.left)
    for row in range(b * leaves, (b + 1) * leaves):
        leaf, said = np.int64(work.leaf[row]), work.place[row]
        if leaf == NONE:
            continue
        if said != CACHED:
            set_evaluation(tree, leaf, work.logits[said], work.values[said])
        back_up(tree, leaf, settings.exact)
        work.leaf[row] = NONE


@lean_kernel
def descend(tree, code, settings, rng, cache, work, b):  # type: ignore[no-untyped-def]
    """Find the next leaves of tree `b`; True where there are some, and the cache knows them all.

    Ends of games and proven nodes are backed up at once. What the cache knows waits for the rest of its
    round, so that a search does not depend on what others have put there.
    """
    leaves = len(work.leaf) // len(work.left)
    row, end, cached = b * leaves, (b + 1) * leaves, 0
    while row < end and work.left[b] > 0 and tree.nodes[ROOT].proven == UNKNOWN:
        leaf = find_leaf(tree, code, settings, rng, work, b)
        if leaf == NONE:
            break  # it met a leaf that is being evaluated: the rest of this round would meet it too
        work.left[b] -= 1
        work.done[b] += 1
        if tree.nodes[leaf].proven != UNKNOWN:
            back_up(tree, leaf, settings.exact)
            continue
        work.leaf[row], work.place[row] = leaf, ASKED
        if look_up(cache, tree, leaf):
            work.place[row] = CACHED
            cached += 1
        else:
            observe(code, tree.states[leaf], work.planes[row])
        row += 1
    return 0 < cached == row - b * leaves


@lean_kernel
def find_leaf(tree, code, settings, rng, work, b):  # type: ignore[no-untyped-def]
    """The node where a descent ends, counted as begun along its path: a new one, or one whose value is known.

    In an empty tree it is the root. `NONE` where it meets one that is being evaluated; then it has not begun.
    """
    index = ROOT
    if tree.nodes[ROOT].size == 0:
        add_node(tree, code, NONE, NONE, work.mask[b])
    while tree.nodes[index].begun > 0 and tree.nodes[index].proven == UNKNOWN:
        node = tree.nodes[index]
        if node.visits == 0:
            call_off(tree, index)
            return NONE
        via = choose(tree, index, settings, work, rng, b)
        edge = tree.edges[index, via]
        node.begun += 1
        edge.begun += 1
        if edge.child == NONE:
            node.tried += edge.prior
            index = add_node(tree, code, index, via, work.mask[b])
        else:
            index = np.int64(edge.child)
    tree.nodes[index].begun += 1
    return index


@lean_kernel
def call_off(tree, index):  # type: ignore[no-untyped-def]
    """A descent that came as far as `index` has not begun."""
    while index != ROOT:
        via, index = tree.nodes[index].via, np.int64(tree.nodes[index].parent)
        tree.edges[index, via].begun -= 1
        tree.nodes[index].begun -= 1


@lean_kernel
def improve_roots(trees, settings, scores, policy):  # type: ignore[no-untyped-def]
    """Gumbel's scores of the roots' edges, and the improved policy; both are float32 `[B, A]`, by edge."""
    for b in range(len(scores)):
        tree = tree_of(trees, b)
        if tree.nodes[ROOT].count:
            improved_scores(tree, ROOT, settings, scores[b])
            improved_policy(tree, ROOT, settings, policy[b])
