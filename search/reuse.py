"""Tree reuse: what a search found below the moves that were then played stays known to the next search."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from envs.kernels import kernel
from search.tree import EDGE, NODE, NONE, ROOT, Tree, Trees, lean_kernel

Kept = Mapping[str, np.ndarray]
"""Trees as plain arrays by name, rows first: what an agent can remember, and a checkpoint hold."""


def as_kept(trees: Trees) -> dict[str, np.ndarray]:
    """The very same trees, seen as `Kept`."""
    batch, nodes, actions = trees.edges.shape
    return {
        "states": trees.states,
        "nodes": trees.nodes.view(np.int32).reshape(batch, nodes, -1),
        "edges": trees.edges.view(np.int32).reshape(batch, nodes, actions, -1),
    }


def as_trees(kept: Kept) -> Trees:
    """The reverse."""
    states, nodes, edges = (
        np.require(kept[name], requirements=["C", "W"]) for name in ("states", "nodes", "edges")
    )
    return Trees(states, nodes.view(NODE)[..., 0], edges.view(EDGE)[..., 0])


def graft(old: Trees, new: Trees, states: np.ndarray, wanted: np.ndarray, descents: np.ndarray) -> None:
    """Where `wanted` (bool `[B]`), move what `old` holds below `states` (uint64 `[B, words]`) into `new`.

    A position is looked for behind one or two moves (one's own, and the reply). A tree that would leave less
    room than for so many `descents` (int `[B]`) is not kept, and so begins afresh.
    """
    graft_all(old, new, np.ascontiguousarray(states), wanted, descents.astype(np.int64))


@kernel
def graft_all(old, new, states, wanted, descents):  # type: ignore[no-untyped-def]
    """See `graft`."""
    place = np.empty(old.nodes.shape[1], np.int64)
    for b in range(len(states)):
        if wanted[b]:
            tree = Tree(new.states[b], new.nodes[b], new.edges[b])
            graft_one(Tree(old.states[b], old.nodes[b], old.edges[b]), tree, states[b], descents[b], place)


@lean_kernel
def graft_one(old, new, state, descents, place):  # type: ignore[no-untyped-def]
    """The same for one tree. `place` is room for where each old node goes, or `NONE`."""
    root, size = find_state(old, state), 0
    if root == NONE:
        return
    for index in range(old.nodes[ROOT].size):  # parents stand before their children
        parent, place[index] = old.nodes[index].parent, NONE
        if index == root or (parent != NONE and place[parent] != NONE):
            place[index] = size
            size += 1
    if size + descents > len(new.nodes):
        return
    for index in range(root, old.nodes[ROOT].size):
        at = place[index]
        if at != NONE:
            new.nodes[at] = old.nodes[index]
            new.nodes[at].parent = NONE if index == root else place[old.nodes[index].parent]
            for k in range(len(state)):
                new.states[at, k] = old.states[index, k]
            for k in range(old.nodes[index].count):
                new.edges[at, k] = old.edges[index, k]
                child = old.edges[index, k].child
                new.edges[at, k].child = NONE if child == NONE else place[child]
    new.nodes[ROOT].size = size


@lean_kernel
def find_state(tree, state):  # type: ignore[no-untyped-def]
    """The node one or two moves below the root that holds a state, or `NONE`."""
    for index in range(1, tree.nodes[ROOT].size):
        parent = np.int64(tree.nodes[index].parent)
        if parent != ROOT and tree.nodes[parent].parent != ROOT:
            continue
        same = True
        for k in range(len(state)):
            same &= tree.states[index, k] == state[k]
        if same:
            return np.int64(index)
    return NONE
