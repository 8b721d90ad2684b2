"""What a search is held against: an evaluator that knows nothing, and PUCT as one would write it down.

The evaluator's numbers are a hash of the planes, so that they are the same in every batch. The plain search
is nodes with dicts, and recursion; it shares with ours only the rules of the game.
"""

from __future__ import annotations

import math

import numpy as np

from envs.board.game import OPEN, legal, observe, outcome, play, to_play, value_of
from envs.board.vector import Board
from envs.kernels import kernel
from envs.rng import mix

GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def hashed(game, spread=3.0):
    """An evaluator: logits in ±spread and values in ±1 from a hash of each row's planes."""
    weights = mix(np.arange(1, 1 + game.shape[0] * game.shape[1] * len(game.planes), dtype=np.uint64))

    def uniform(keys):
        return ((mix(keys) >> np.uint64(11)).astype(np.float64) * 2.0**-52 - 1.0).astype(np.float32)

    def evaluate(planes):
        with np.errstate(over="ignore"):
            keys = planes.reshape(len(planes), -1).astype(np.uint64) @ weights
            spots = keys[:, None] + np.arange(1, game.actions + 1, dtype=np.uint64) * GOLDEN
        return np.float32(spread) * uniform(spots), uniform(keys)

    return evaluate


def constant(game):
    """An evaluator that finds every move and every position as good as any other."""

    def evaluate(planes):
        return np.zeros((len(planes), game.actions), np.float32), np.zeros(len(planes), np.float32)

    return evaluate


def openings(game, plies, n, seed=0):
    """`n` positions after so many random plies, uint64 `[n, words]`."""
    obs, _ = Board(game.name, n, random_plies=plies, **game.options).reset(seed=seed)
    return obs["state"]


def legal_moves(game, state):
    mask = np.zeros(game.actions, bool)
    legal(game.code, state, mask)
    return np.flatnonzero(mask).tolist()


def after(game, state, *actions):
    state = state.copy()
    for action in actions:
        play(game.code, state, action)
    return state


@kernel
def solve(code, states, masks, level):
    """What `states[level]` is worth to who moves there, by trying everything; the rows behind it are room."""
    here = states[level]
    if outcome(here) != OPEN:
        return value_of(outcome(here), to_play(here))
    legal(code, here, masks[level])
    best = -1
    for action in range(masks.shape[1]):
        if masks[level, action]:
            states[level + 1] = here
            play(code, states[level + 1], action)
            same = to_play(states[level + 1]) == to_play(here)
            value = solve(code, states, masks, level + 1)
            best = max(best, value if same else -value)
    return best


def true_value(game, state):
    """−1, 0 or 1, for who is to move; for positions near the end."""
    states, masks = (
        np.zeros((game.longest + 2, game.words), np.uint64),
        np.zeros((game.longest + 2, game.actions), bool),
    )
    states[0] = state
    return solve(game.code, states, masks, 0)


def planes_of(game, states):
    """What the evaluator sees of `states` `[n, words]`."""
    planes = np.zeros((len(states), *game.shape, len(game.planes)), bool)
    for state, seen in zip(states, planes.reshape(len(states), -1)):
        observe(game.code, state, seen)
    return planes


class Node:
    """A position with what is known of it; values are for who is to move here."""

    def __init__(self, game, state, evaluate):
        self.state, self.seat = state, to_play(state)
        self.values, self.children, self.proven = [], {}, None
        if outcome(state) != OPEN:
            self.moves = []
            self.proven = self.value = float(value_of(outcome(state), self.seat))
            return
        self.moves = legal_moves(game, state)
        logits, value = evaluate(planes_of(game, state[None]))
        self.value = float(value[0])
        shares = np.exp(logits[0, self.moves].astype(float) - logits[0, self.moves].max())
        self.prior = dict(zip(self.moves, shares / shares.sum()))

    def sign(self, child):
        return 1 if child.seat == self.seat else -1

    def known(self, move):
        """What is proven of a move: −1, 0, 1 or None."""
        child = self.children.get(move)
        return None if child is None or child.proven is None else self.sign(child) * child.proven

    def q(self, move):
        known = self.known(move)
        if known is not None:
            return known
        child = self.children[move]
        return self.sign(child) * np.mean(child.values)


class PlainSearch:
    """PUCT, with `exact` MCTS-Solver; one game, one leaf at a time."""

    def __init__(self, game, evaluate, options):
        self.game, self.evaluate, self.options = game, evaluate, options

    def run(self, root, simulations):
        """Search on from a `Node` or a state; returns the root."""
        if not isinstance(root, Node):
            root = Node(self.game, root, self.evaluate)
            root.values.append(root.value)
        for _ in range(simulations):
            if self.options.exact and root.proven is not None:
                break
            self.simulate(root, at_root=True)
        return root

    def simulate(self, node, at_root=False):
        """One descent from `node`; returns the value that it hands up."""
        if not node.values or node.proven is not None:
            value = node.value
        else:
            move = self.choose(node, at_root)
            if move not in node.children:
                node.children[move] = Node(self.game, after(self.game, node.state, move), self.evaluate)
            child = node.children[move]
            value = node.sign(child) * self.simulate(child)
            if self.options.exact and node.proven is None:
                known = [node.known(move) for move in node.moves]
                if 1 in known or None not in known:
                    node.proven = max(k for k in known if k is not None)
        value = value if node.proven is None else node.proven
        node.values.append(value)
        return value

    def choose(self, node, at_root):
        options, visits = self.options, len(node.values)
        tried = sum(node.prior[move] for move in node.children)
        unvisited = np.mean(node.values) - (0 if at_root else options.fpu_reduction * math.sqrt(tried))
        c = options.c_puct + math.log((visits + options.c_base + 1) / options.c_base)
        scores = {}
        for move in node.moves:
            if options.exact and node.known(move) == -1:
                continue
            child = node.children.get(move)
            q, count = (node.q(move), len(child.values)) if child else (unvisited, 0)
            scores[move] = q + c * node.prior[move] * math.sqrt(visits) / (1 + count)
        return max(scores, key=scores.__getitem__)
