"""UCT with random playouts (Kocsis and Szepesvári, 2006): one kernel call searches a whole batch of games.

A simulation goes down the tree by UCB1, adds one node, plays on from it at random to the end of the game, and
hands the result up (values are those of `search.tree`). There is no evaluator to wait for, so the search of
one game is done before that of the next begins: a thread needs one tree for them all.
"""

from __future__ import annotations

import math
import time
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces

from agents.options import NotNegative, Positive, checked
from agents.threads import share_out, workers_for
from envs.board.batch import pick
from envs.board.game import OPEN, PLAYOUT, call_playout, legal, outcome, play, to_play, value_of
from envs.board.spaces import game_of
from envs.kernels import kernel
from envs.rng import next_below
from rollouts.agent import Agent, Decision, Memory, Obs
from search.states import checked_states
from search.tree import (
    LOST,
    NONE,
    ROOT,
    UNKNOWN,
    Simulations,
    Tree,
    add_node,
    back_up,
    exact_value,
    lean_kernel,
    make_trees,
    proven_edge,
)

BURST = 500
"""Simulations between two looks at the clock."""


class Settings(NamedTuple):
    """How to search; see `UCT`."""

    simulations: int
    c: float
    exact: bool


class Found(NamedTuple):
    """What was found at `n` roots. Moves that are illegal, or were never tried, have 0 everywhere."""

    visits: np.ndarray
    """int32 `[n, actions]`: of each move."""
    q: np.ndarray
    """float32 `[n, actions]`: the mean value of each move, for who makes it; exact where proven."""
    value: np.ndarray
    """float32 `[n]`: the mean of all values, but for moves proven lost; exact where proven."""
    best: np.ndarray
    """int64 `[n]`: the move to play."""


class UCT(Agent):
    """Plays the move with most visits after `simulations` random playouts; ties by mean value, then by lot.

    `c` weighs exploration: the next move to try is that of highest mean value + c · √(ln N / n). The paper's
    bound asks for √2 where values are in [0, 1], which is 2√2 for ours; half of it plays connect four better.
    With `exact`, wins, draws and losses are proven, and a decided search ends (MCTS-Solver; Winands et al.,
    2008). With `seconds` a search takes so long, one game after another; `simulations` are then its most.

    Decisions carry `visits`, `q` and `value`, as in `Found`. What is found in a game depends on its state and
    generator alone. Raises `ValueError` for spaces of no board game, `OptionError` for options out of range.
    """

    @checked
    def __init__(
        self,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        *,
        device: str = "cpu",
        simulations: Simulations = 1000,
        c: NotNegative = 1.4,
        exact: bool = False,
        seconds: Positive | None = None,
    ) -> None:
        self.game, self.seconds = game_of(observation_space), seconds
        self.settings = Settings(simulations, float(c), exact)
        self.trees = make_trees(self.game, 1, simulations + 2)  # now: what is too large is told at once

    def act(
        self, obs: Obs, *, rng: np.ndarray, first: np.ndarray, memory: Memory = None, explore: bool = True
    ) -> Decision:
        found = self.search(obs["state"], rng)
        return Decision(found.best, fields={"visits": found.visits, "q": found.q, "value": found.value})

    def search(self, states: np.ndarray, rng: np.ndarray) -> Found:
        """Search from `states` (uint64 `[n, words]`); advances `rng` (uint64 `[n]`).

        Raises `ValueError` as `checked_states` does, for a game that is over too.
        """
        states = checked_states(self.game, states, rng)
        n, actions = len(states), self.game.actions
        workers = workers_for(n)
        if len(self.trees.nodes) < workers:
            self.trees = make_trees(self.game, workers, self.settings.simulations + 2)
        found = Found(
            np.zeros((n, actions), np.int32),
            np.zeros((n, actions), np.float32),
            np.zeros(n, np.float32),
            np.zeros(n, np.int64),
        )

        if self.seconds is not None:
            for b in range(n):
                self._search_for(self.seconds, states, rng, b, found)
            return found

        def work(w: int) -> None:
            tree = Tree(*(array[w] for array in self.trees))
            search_share(tree, self.game.code, self.settings, states, rng, w, workers, found)

        share_out(work, workers)
        return found

    def _search_for(self, seconds: float, states: np.ndarray, rng: np.ndarray, b: int, found: Found) -> None:
        """Search game `b` for so long: in bursts, between which the clock is looked at."""
        deadline, tree, left = time.perf_counter() + seconds, self.tree, self.settings.simulations
        rules, made = (self.game.code, self.settings), True
        begin_one(tree, self.game.code, states[b])
        while made and left > 0 and time.perf_counter() < deadline:
            made = search_on(tree, *rules, rng, b, min(left, BURST)) == BURST
            left -= BURST
        read_root(tree, self.settings.exact, b, found)

    @property
    def tree(self) -> Tree:
        """That of the last search's first game."""
        return Tree(*(array[0] for array in self.trees))

    def spec(self) -> dict[str, Any]:
        seconds = {} if self.seconds is None else {"seconds": self.seconds}
        return {"path": "search.uct:UCT", "options": self.settings._asdict() | seconds}


@kernel
def search_share(tree, code, settings, states, rng, first, step, found):  # type: ignore[no-untyped-def]
    """Search the games `first`, `first + step`, … one after another, all in the same tree."""
    for b in range(first, len(states), step):
        begin_one(tree, code, states[b])
        search_on(tree, code, settings, rng, b, settings.simulations)
        read_root(tree, settings.exact, b, found)


@kernel
def begin_one(tree, code, state):  # type: ignore[no-untyped-def]
    """A tree of its root alone."""
    tree.states[ROOT, :] = state
    add_node(tree, code, NONE, NONE, np.empty(tree.edges.shape[1], np.bool_))
    tree.nodes[ROOT].visits = 1  # its own, as every node has: moves are tried from the next one on


@kernel
def search_on(tree, code, settings, rng, b, simulations):  # type: ignore[no-untyped-def]
    """So many simulations more of game `b`, or fewer where it is decided; returns how many.

    The last of the tree's states is room for playouts.
    """
    mask, room = np.empty(tree.edges.shape[1], np.bool_), tree.states[len(tree.states) - 1]
    for made in range(simulations):
        if tree.nodes[ROOT].proven != UNKNOWN:
            return made
        leaf = find_leaf(tree, code, settings.c, rng, b, mask)
        ended = tree.nodes[leaf].proven != UNKNOWN
        if not ended:
            room[:] = tree.states[leaf]
            end = play_out(code, room, rng, b, mask)
            tree.nodes[leaf].value = value_of(end, to_play(tree.states[leaf]))
        back_up(tree, leaf, settings.exact)
        if settings.exact and ended:
            settle(tree, leaf)
    return simulations


@lean_kernel
def find_leaf(tree, code, c, rng, b, mask):  # type: ignore[no-untyped-def]
    """The node where a descent ends: a new one, or one whose value is known.

    A node's moves are tried in random order: the next one is drawn, and trades places with the first untried.
    """
    node = ROOT
    while tree.nodes[node].proven == UNKNOWN:
        tried, count = tree.nodes[node].visits - 1, tree.nodes[node].count
        if tried < count:
            drawn = tried + next_below(rng, b, count - tried)
            here, there = tree.edges[node, tried], tree.edges[node, drawn]
            here.action, there.action = there.action, here.action
            return add_node(tree, code, node, tried, mask)
        node = tree.edges[node, choose(tree, node, c)].child
    return node


@lean_kernel
def choose(tree, node, c):  # type: ignore[no-untyped-def]
    """The edge of highest mean value + c · √(ln N / n), of a node where all were tried (UCB1)."""
    scale = np.float32(c * math.sqrt(math.log(tree.nodes[node].visits - 1)))
    best, best_score = 0, np.float32(-np.inf)
    for k in range(tree.nodes[node].count):
        n = np.float32(tree.edges[node, k].visits)
        score = (tree.edges[node, k].value + scale * math.sqrt(n)) / n
        if score > best_score:
            best, best_score = k, score
    return best


@lean_kernel
def play_out(code, state, rng, b, mask):  # type: ignore[no-untyped-def]
    """Play on at random to the end, on `state` itself; returns the outcome."""
    if code[0][PLAYOUT] != 0:
        return call_playout(code[0][PLAYOUT], (state, code[1], rng, np.int64(b)))
    while outcome(state) == OPEN:
        count = legal(code, state, mask)
        play(code, state, pick(mask, next_below(rng, b, count)))
    return outcome(state)


@lean_kernel
def settle(tree, index):  # type: ignore[no-untyped-def]
    """Have the moves that lead to `index`, proven, and to what it proves above, count as what they are worth.

    A loss counts as −∞: so UCB1 leaves it alone, and needs no case for it.
    """
    while index != ROOT and tree.nodes[index].proven != UNKNOWN:
        parent, k = tree.nodes[index].parent, tree.nodes[index].via
        known, edge = proven_edge(tree, parent, k), tree.edges[parent, k]
        edge.value = -np.inf if known == LOST else np.float32(exact_value(known) * edge.visits)
        index = parent


@kernel
def read_root(tree, exact, b, found):  # type: ignore[no-untyped-def]
    """Write what was found in game `b`; see `Found`.

    Moves stand in random order, so that the first of equals is one by lot.
    """
    proven = tree.nodes[ROOT].proven
    best, best_rank, best_visits, best_q = 0, -1, -1, np.float32(0.0)
    total, visits = np.float32(0.0), 0
    for k in range(tree.nodes[ROOT].count):
        edge = tree.edges[ROOT, k]
        known = proven_edge(tree, ROOT, k) if exact else UNKNOWN
        mean = edge.value / np.float32(max(edge.visits, 1))
        q = mean if known == UNKNOWN else np.float32(exact_value(known))
        found.visits[b, edge.action], found.q[b, edge.action] = edge.visits, q
        if known != LOST:
            total, visits = total + edge.value, visits + edge.visits
        rank = int(known == proven if proven != UNKNOWN else known != LOST)
        if (rank, edge.visits, q) > (best_rank, best_visits, best_q):
            best, best_rank, best_visits, best_q = edge.action, rank, edge.visits, q
    found.best[b] = best
    found.value[b] = exact_value(proven) if proven != UNKNOWN else total / np.float32(max(visits, 1))
