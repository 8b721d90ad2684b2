"""Evaluations that are kept, so that a position is evaluated once: a table with one place a hash."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from envs.board.game import Game
from search.tree import lean_kernel, set_evaluation

MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
FOLD = np.uint64(32)


class Cache(NamedTuple):
    """`C` places (a power of two, or 0). A place is free where its words are all 0: no game is in that state
    after a move, and a first position that fills no word is not kept.
    """

    words: np.ndarray
    """uint64 `[C, words]`: the whole state."""
    logits: np.ndarray
    """float32 `[C, A]`."""
    values: np.ndarray
    """float32 `[C]`."""


def make_cache(game: Game, places: int) -> Cache:
    """Room for `places` positions, rounded up to a power of two."""
    places = 1 << (places - 1).bit_length() if places else 0
    return Cache(
        np.zeros((places, game.words), np.uint64),
        np.empty((places, game.actions), np.float32),
        np.empty(places, np.float32),
    )


@lean_kernel
def place(cache, state):  # type: ignore[no-untyped-def]
    """Where a state would lie."""
    key = np.uint64(0)
    for word in state:
        key = (key ^ word) * MULTIPLIER
        key ^= key >> FOLD
    return np.int64(key & np.uint64(len(cache.words) - 1))


@lean_kernel
def look_up(cache, tree, node):  # type: ignore[no-untyped-def]
    """Give a node the evaluation that is kept of its state; False where there is none."""
    if len(cache.words) == 0:
        return False
    state = tree.states[node]
    at, empty = place(cache, state), True
    for k in range(len(state)):
        if cache.words[at, k] != state[k]:
            return False
        empty &= state[k] == 0
    if empty:
        return False
    set_evaluation(tree, node, cache.logits[at], cache.values[at])
    return True


@lean_kernel
def store(cache, states, work):  # type: ignore[no-untyped-def]
    """Keep what was said of the leaves of a round, in place of what lay there."""
    leaves = len(work.leaf) // len(states)
    for row in range(len(work.leaf)):
        if work.leaf[row] < 0 or work.place[row] < 0:
            continue
        state, said = states[row // leaves, work.leaf[row]], work.place[row]
        at = place(cache, state)
        for k in range(len(state)):
            cache.words[at, k] = state[k]
        for k in range(cache.logits.shape[1]):
            cache.logits[at, k] = work.logits[said, k]
        cache.values[at] = work.values[said]
