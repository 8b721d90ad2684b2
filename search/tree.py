"""Search trees as plain arrays `[game, node, ...]`, and what is done to nodes: add, evaluate, back up.

One convention: a value is what the player *to move* at a node can expect, in [−1, 1]. Where the mover changes
along an edge, the value changes its sign; where it does not (a pass, a second move), it stays.

A node holds only its legal moves, as edges `0 .. count − 1`, and an edge all that a choice needs to know of
what lies behind it. A node takes `8 · words + 36 + 24 · actions` bytes: 228 in connect four, 3,652 in go 9×9.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

import numpy as np
from pydantic import Field

from envs.board.game import OPEN, Game, legal, outcome, play, to_play, value_of
from envs.kernels import kernel

Simulations = Annotated[int, Field(ge=1, le=10_000_000)]
"""Of one search. (Trees number their nodes in 32 bits, and memory ends long before.)"""

# Of a numpy type: numba compiles a kernel anew for each Python number that it is given.
ROOT, NONE = np.int64(0), np.int64(-1)
UNKNOWN, LOST, DRAWN, WON = range(4)

lean_kernel = kernel(_nrt=False, inline="always")
"""For kernels that take no memory, put into those that call them: to count references to arrays would cost a
third of a search, and to hand over tuples of a dozen arrays, by value, another third."""


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
        ("parent", "i4"),  # NONE at the root; always before its children
        ("visits", "i4"),  # evaluations and passages; 0 until its own evaluation is known
        ("begun", "i4"),  # the same, with those whose leaf is still being evaluated
        ("size", "i4"),  # nodes in use, at the root
        ("value", "f4"),  # its own evaluation, or what the end of the game is worth
        ("total", "f4"),  # sum of the values of all visits
        ("tried", "f4"),  # sum of the priors of edges that have a child
        ("via", "i2"),  # the parent's edge that leads here
        ("count", "i2"),  # edges
        ("sign", "i2"),  # −1 where another player moves than at the parent, else 1
        ("proven", "i2"),  # UNKNOWN, LOST, DRAWN or WON, for who moves here; known where a game is over
    ],
    align=True,
)
EDGE = np.dtype(
    [
        ("child", "i4"),  # the node behind it, or NONE
        ("visits", "i4"),  # the child's
        ("begun", "i4"),  # the child's
        (
            "value",
            "f4",
        ),  # sum of the values that came back, for who moves at the node; once proven, all exact
        ("prior", "f4"),  # the policy's probability, over legal moves
        ("action", "i2"),
        ("proven", "i2"),  # UNKNOWN, LOST, DRAWN or WON, for who makes the move
    ],
    align=True,
)


def make_trees(game: Game, trees: int, nodes: int, blank: bool = False) -> Trees:
    """Room for `trees` trees of `nodes` nodes each, or zeros. Memory that is never used is never taken.

    Raises `MemoryError` that says how much it would be.
    """
    new = np.zeros if blank else np.empty
    try:
        return Trees(
            states=new((trees, nodes, game.words), np.uint64),
            nodes=new((trees, nodes), NODE),
            edges=new((trees, nodes, game.actions), EDGE),
        )
    except MemoryError:
        size = trees * nodes * node_bytes(game) / 1e9
        said = f"{trees} trees of {nodes:,} nodes take {size:,.0f} GB in {game.title}, more than there is"
        raise MemoryError(f"{said}; ask for fewer simulations") from None


def node_bytes(game: Game) -> int:
    """Bytes of a node with room for all its edges."""
    return 8 * game.words + NODE.itemsize + game.actions * EDGE.itemsize


@lean_kernel
def exact_value(proven):  # type: ignore[no-untyped-def]
    """LOST, DRAWN, WON as −1, 0, 1."""
    return np.float32(proven - DRAWN)


@lean_kernel
def add_node(tree, code, parent, via, mask):  # type: ignore[no-untyped-def]
    """A new node behind an edge, or the root, whose state the caller has written; returns its index.

    `mask` is room for `A` bools.
    """
    index, state = ROOT, tree.states[ROOT]
    before = to_play(state)
    if parent == NONE:
        tree.nodes[ROOT].size = 1
    else:
        index = np.int64(tree.nodes[ROOT].size)
        tree.nodes[ROOT].size += 1
        state = tree.states[index]
        for k in range(len(state)):
            state[k] = tree.states[parent, k]
        before = to_play(state)
        play(code, state, tree.edges[parent, via].action)
        tree.edges[parent, via].child = index
    node = tree.nodes[index]
    node.parent, node.via, node.sign = parent, via, 1 if to_play(state) == before else -1
    node.visits, node.begun, node.total, node.tried = 0, 0, 0.0, 0.0
    node.count, node.proven = 0, UNKNOWN
    if outcome(state) != OPEN:
        worth = value_of(outcome(state), to_play(state))
        node.proven, node.value = DRAWN + worth, worth
        return index
    node.count = legal(code, state, mask)
    k = 0
    for action in range(len(mask)):
        if mask[action]:
            edge = tree.edges[index, k]
            edge.action, edge.child, edge.proven = action, NONE, UNKNOWN
            edge.visits, edge.begun, edge.value = 0, 0, 0.0
            k += 1
    return index


@lean_kernel
def set_evaluation(tree, index, logits, value):  # type: ignore[no-untyped-def]
    """What the evaluator said of a node: `logits` `[A]` (a softmax over the legal ones) and the value."""
    node = tree.nodes[index]
    node.value = value
    highest, total = np.float32(-np.inf), np.float32(0.0)
    for k in range(node.count):
        highest = max(highest, logits[tree.edges[index, k].action])
    for k in range(node.count):
        edge = tree.edges[index, k]
        edge.prior = np.exp(logits[edge.action] - highest)
        total += edge.prior
    for k in range(node.count):
        tree.edges[index, k].prior /= total


@lean_kernel
def back_up(tree, leaf, exact):  # type: ignore[no-untyped-def]
    """Count a visit of `leaf` and of all above it, and hand its value up.

    With `exact`, what is proven of a node is told to the edge that leads there, and may prove the node above
    (Winands et al., 2008); a proven node hands up its exact value.
    """
    index, value = leaf, np.float32(tree.nodes[leaf].value)
    if exact and tree.nodes[leaf].proven != UNKNOWN:
        value = exact_value(tree.nodes[leaf].proven)
    while True:
        node = tree.nodes[index]
        node.visits += 1
        node.total += value
        if index == ROOT:
            return
        parent, edge = tree.nodes[node.parent], tree.edges[node.parent, node.via]
        value *= np.float32(node.sign)
        edge.visits += 1
        edge.value += value
        if exact:
            if node.proven != UNKNOWN and edge.proven == UNKNOWN:
                edge.proven = DRAWN + node.sign * (node.proven - DRAWN)
                edge.value = exact_value(edge.proven) * np.float32(edge.visits)
                parent.proven = judge(tree, np.int64(node.parent))
            if parent.proven != UNKNOWN:
                value = exact_value(parent.proven)
        index = np.int64(node.parent)


@lean_kernel
def judge(tree, index):  # type: ignore[no-untyped-def]
    """What the edges prove of a node: one won move wins; otherwise all must be known."""
    best, all_known = np.int64(LOST), True
    for k in range(tree.nodes[index].count):
        known = np.int64(tree.edges[index, k].proven)
        if known == WON:
            return WON
        all_known &= known != UNKNOWN
        best = max(best, known)
    return best if all_known else UNKNOWN


@lean_kernel
def proven_edge(tree, index, k):  # type: ignore[no-untyped-def]
    """What is proven of a move, from the view of who makes it."""
    return np.int64(tree.edges[index, k].proven)


def principal_line(tree: Tree, best: int, plies: int) -> list[int]:
    """The actions that a search thinks both would play: `best`, then those tried most, proven ones first.

    At most `plies`, and fewer where the tree ends.
    """
    index, line = ROOT, list[int]()
    while len(line) < plies and tree.nodes[index]["count"]:
        known, edges = tree.nodes[index]["proven"], tree.edges[index, : tree.nodes[index]["count"]]
        fit = edges["proven"] == known if known != UNKNOWN else edges["proven"] != LOST
        k = np.lexsort((edges["visits"], fit))[-1]
        if index == ROOT:
            k = np.flatnonzero(edges["action"] == best)[0]
        if line and edges["visits"][k] == 0:
            break
        line.append(int(edges["action"][k]))
        index = edges["child"][k]
        if index == NONE:
            break
    return line
