"""Search trees as plain arrays `[game, node, ...]`, and what is done to one node: grow, expand, back up, prove.

One convention: a value is what the player *to move* at a node can expect, in [−1, 1]. Where the mover changes
along an edge, the value changes its sign; where it does not (a pass, a second move), it stays.

A node holds only its legal moves, as edges `0 .. count − 1`. It takes `8 · words + 24 + 20 · actions` bytes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from envs.board.game import OPEN, Game, legal, outcome, play, to_play, value_of
from envs.kernels import kernel

ROOT, NONE = 0, -1
UNKNOWN, LOST, DRAWN, WON = range(4)


class Trees(NamedTuple):
    """`B` trees of at most `N` nodes, each with at most `A` edges."""

    states: np.ndarray
    """uint64 `[B, N, words]`: the position at each node."""
    nodes: np.ndarray
    """`NODE` `[B, N]`."""
    edges: np.ndarray
    """`EDGE` `[B, N, A]`."""


class Tree(NamedTuple):
    """One of them: the same without the first axis."""

    states: np.ndarray
    nodes: np.ndarray
    edges: np.ndarray


NODE = np.dtype(
    [
        ("parent", "i4"),  # NONE at the root
        ("visits", "i4"),  # evaluations and passages; 0 until its own evaluation is known
        ("value", "f4"),  # the evaluation, or the exact value where proven
        ("size", "i4"),  # nodes in use, at the root
        ("via", "i2"),  # the parent's edge that leads here
        ("count", "i2"),  # edges
        ("waiting", "i2"),  # descents through it whose leaf is being evaluated
        ("proven", "i2"),  # UNKNOWN, LOST, DRAWN or WON, for who moves here; known where a game is over
    ]
)
EDGE = np.dtype(
    [
        ("child", "i4"),  # the node behind it, or NONE
        ("visits", "i4"),
        ("value", "f4"),  # sum of the values that came back, for who moves at the node
        ("prior", "f4"),  # the policy's probability, over legal moves
        ("action", "i4"),
    ]
)


def make_trees(game: Game, trees: int, nodes: int) -> Trees:
    """Room for `trees` trees of `nodes` nodes each. Memory that is never used is never taken."""
    return Trees(
        states=np.empty((trees, nodes, game.words), np.uint64),
        nodes=np.empty((trees, nodes), NODE),
        edges=np.empty((trees, nodes, game.actions), EDGE),
    )


def node_bytes(game: Game) -> int:
    """Bytes of a node with room for all its edges."""
    return 8 * game.words + NODE.itemsize + game.actions * EDGE.itemsize


@kernel
def exact_value(proven):  # type: ignore[no-untyped-def]
    """LOST, DRAWN, WON as −1, 0, 1."""
    return proven - DRAWN


@kernel
def add_node(tree, code, parent, edge, mask):  # type: ignore[no-untyped-def]
    """A new node behind an edge, or the root, whose state the caller has written; returns its index.

    `mask` is room for `A` bools.
    """
    index = 0
    if parent != NONE:
        index = tree.nodes[ROOT].size
        tree.nodes[ROOT].size += 1
    else:
        tree.nodes[ROOT].size = 1
    node, state = tree.nodes[index], tree.states[index]
    node.parent, node.via = parent, edge
    node.visits, node.waiting, node.proven, node.count = 0, 0, UNKNOWN, 0
    if parent != NONE:
        for k in range(len(state)):
            state[k] = tree.states[parent, k]
        play(code, state, tree.edges[parent, edge].action)
        tree.edges[parent, edge].child = index
    if outcome(state) != OPEN:
        worth = value_of(outcome(state), to_play(state))
        node.proven, node.value = DRAWN + worth, worth
        return index
    node.count = legal(code, state, mask)
    k = 0
    for action in range(len(mask)):
        if mask[action]:
            move = tree.edges[index, k]
            move.action, move.child, move.visits, move.value = action, NONE, 0, 0.0
            k += 1
    return index


@kernel
def set_evaluation(tree, index, logits, value):  # type: ignore[no-untyped-def]
    """What the evaluator said of a node: `logits` `[A]` (a softmax over the legal ones) and the value."""
    tree.nodes[index].value = value
    edges = tree.edges[index]
    count = tree.nodes[index].count
    highest = np.float32(-np.inf)
    for k in range(count):
        highest = max(highest, logits[edges[k].action])
    total = np.float32(0.0)
    for k in range(count):
        edges[k].prior = np.exp(logits[edges[k].action] - highest)
        total += edges[k].prior
    for k in range(count):
        edges[k].prior /= total


@kernel
def back_up(tree, leaf, exact):  # type: ignore[no-untyped-def]
    """Count a visit of `leaf` and of all above it, and hand its value up.

    With `exact`, what follows from proven values is proven first (Winands et al., 2008), and a proven node
    hands up its exact value.
    """
    if exact and tree.nodes[leaf].proven != UNKNOWN:
        prove_above(tree, leaf)
    value, index = tree.nodes[leaf].value, leaf
    tree.nodes[index].visits += 1
    while index != ROOT:
        parent = tree.nodes[index].parent
        edge = tree.edges[parent, tree.nodes[index].via]
        if to_play(tree.states[parent]) != to_play(tree.states[index]):
            value = -value
        if exact and tree.nodes[parent].proven != UNKNOWN:
            value = tree.nodes[parent].value
        edge.visits += 1
        edge.value += value
        tree.nodes[parent].visits += 1
        index = parent


@kernel
def prove_above(tree, index):  # type: ignore[no-untyped-def]
    """Prove what follows, above a node that was proven."""
    while index != ROOT:
        index = tree.nodes[index].parent
        verdict = judge(tree, index)
        if verdict == UNKNOWN:
            return
        tree.nodes[index].proven = verdict
        tree.nodes[index].value = exact_value(verdict)


@kernel
def judge(tree, index):  # type: ignore[no-untyped-def]
    """What the children prove of a node: one won move wins; otherwise all must be known."""
    best, open_moves = LOST, False
    for k in range(tree.nodes[index].count):
        known = proven_edge(tree, index, k)
        if known == WON:
            return WON
        open_moves |= known == UNKNOWN
        best = max(best, known)
    return UNKNOWN if open_moves else best


@kernel
def proven_edge(tree, index, k):  # type: ignore[no-untyped-def]
    """What is proven of a move, from the view of who makes it."""
    child = tree.edges[index, k].child
    if child == NONE:
        return UNKNOWN
    known = np.int64(tree.nodes[child].proven)
    if known == UNKNOWN or to_play(tree.states[child]) == to_play(tree.states[index]):
        return known
    return WON + LOST - known


@kernel
def wait(tree, leaf, change):  # type: ignore[no-untyped-def]
    """One descent more (`change` 1) or less (−1) waits for the evaluation of `leaf`."""
    index = leaf
    while index != NONE:
        tree.nodes[index].waiting += change
        index = tree.nodes[index].parent
