"""UCT with random playouts (Kocsis and Szepesvári, 2006): one call of one kernel searches a batch of games.

A simulation goes down the tree by UCB1, adds the first node that is new, plays on from it at random to the
end, and hands the result up. There is no evaluator, so a tree is needed only while its game is searched: as
many trees as threads do for any batch.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numba
import numpy as np
from gymnasium import spaces
from numba import prange

from agents.options import Count, NotNegative, checked
from envs.board.batch import pick
from envs.board.game import OPEN, PLAYOUT, Game, call_playout, legal, outcome, play, to_play, value_of
from envs.board.spaces import game_of
from envs.kernels import kernel
from envs.rng import next_below
from rollouts.agent import Agent, Decision, Memory
from search.tree import (
    LOST,
    NONE,
    ROOT,
    UNKNOWN,
    Tree,
    Trees,
    add_node,
    back_up,
    exact_value,
    make_trees,
    proven_edge,
)


@kernel(parallel=True)
def search_all(trees, code, states, rng, masks, simulations, c, exact, visits, q, value, best):  # type: ignore[no-untyped-def]
    """Search from every state. Tree `w` of `W` serves the games `w, w + W, w + 2W, …`, one after another."""
    workers = len(trees.nodes)
    for w in prange(workers):
        for b in range(w, len(states), workers):
            tree = Tree(trees.states[w], trees.nodes[w], trees.edges[w])
            search_one(tree, code, states[b], rng, b, masks[w], simulations, c, exact)
            read_root(tree, exact, rng, b, visits[b], q[b], value, best)


@kernel
def search_one(tree, code, state, rng, b, mask, simulations, c, exact):  # type: ignore[no-untyped-def]
    """All simulations of one game. The last row of `tree.states` is room for playouts."""
    tree.states[ROOT, :] = state
    add_node(tree, code, NONE, NONE, mask)
    tree.nodes[ROOT].visits = 1
    tree.nodes[ROOT].value = 0.0
    room = tree.states[len(tree.states) - 1]
    for _ in range(simulations):
        if tree.nodes[ROOT].proven != UNKNOWN and (exact or tree.nodes[ROOT].count == 0):
            return
        leaf = find_leaf(tree, code, rng, b, mask, c, exact)
        if tree.nodes[leaf].proven == UNKNOWN:
            room[:] = tree.states[leaf]
            end = play_out(code, room, mask, rng, b)
            tree.nodes[leaf].value = value_of(end, to_play(tree.states[leaf]))
        back_up(tree, leaf, exact)


@kernel
def find_leaf(tree, code, rng, b, mask, c, exact):  # type: ignore[no-untyped-def]
    node = ROOT
    while tree.nodes[node].proven == UNKNOWN:
        tried, count = tree.nodes[node].visits - 1, tree.nodes[node].count
        if tried < count:
            chosen = tried + next_below(rng, b, count - tried)
            edges = tree.edges[node]
            edges[tried].action, edges[chosen].action = edges[chosen].action, edges[tried].action
            return add_node(tree, code, node, tried, mask)
        node = tree.edges[node, choose(tree, node, c, exact)].child
    return node


@kernel
def choose(tree, node, c, exact):  # type: ignore[no-untyped-def]
    scale = c * np.float32(math.sqrt(math.log(np.float32(tree.nodes[node].visits))))
    best, best_score = 0, np.float32(-np.inf)
    for k in range(tree.nodes[node].count):
        edge = tree.edges[node, k]
        n = np.float32(edge.visits)
        score = edge.value / n + scale / np.sqrt(n)
        if exact:
            known = proven_edge(tree, node, k)
            if known == LOST:
                continue
            if known != UNKNOWN:
                score = exact_value(known) + scale / np.sqrt(n)
        if score > best_score:
            best, best_score = k, score
    return best


@kernel
def play_out(code, state, mask, rng, i):  # type: ignore[no-untyped-def]
    """Play on at random to the end, on `state` itself; returns the outcome."""
    if code[0][PLAYOUT] != 0:
        return call_playout(code[0][PLAYOUT], (state, code[1], rng, np.int64(i)))
    while outcome(state) == OPEN:
        count = legal(code, state, mask)
        play(code, state, pick(mask, next_below(rng, i, count)))
    return outcome(state)


@kernel
def read_root(tree, exact, rng, b, visits, q, value, best):  # type: ignore[no-untyped-def]
    total = 0.0
    most = -1
    for k in range(tree.nodes[ROOT].count):
        edge = tree.edges[ROOT, k]
        visits[edge.action] = edge.visits
        total += edge.value
        if edge.visits > most:
            most, best[b] = edge.visits, edge.action
    value[b] = total / max(1, tree.nodes[ROOT].visits - 1)
