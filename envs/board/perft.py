"""How many sequences of moves there are: the count by which rules are compared."""

from __future__ import annotations

import numpy as np

from envs.board.game import OPEN, Game, legal, outcome, play
from envs.kernels import kernel


def perft(game: Game, depth: int, state: np.ndarray | None = None, ended: bool = False) -> int:
    """Sequences of exactly `depth` legal plies from `state` (the first position where none is given).

    A pass is a ply. A game that ends earlier does not count; with `ended` it counts once, as in the counts
    that are published for othello.
    """
    states = np.zeros((depth + 1, game.words), np.uint64)
    states[0] = game.new()[0] if state is None else state
    masks = np.zeros((depth + 1, game.actions), bool)
    return count(game.code, states, masks, depth, ended) if depth else 1


@kernel
def count(code, states, masks, depth, ended):  # type: ignore[no-untyped-def]
    """`perft` below `states[0]`; a row of `states` and `masks` a ply."""
    total, level = 0, 0
    action = np.zeros(depth + 1, np.int64)
    width = legal(code, states[0], masks[0])
    if depth == 1:
        return width
    while level >= 0:
        if action[level] == masks.shape[1]:
            level -= 1
            continue
        chosen = action[level]
        action[level] += 1
        if not masks[level, chosen]:
            continue
        states[level + 1] = states[level]
        play(code, states[level + 1], chosen)
        if outcome(states[level + 1]) != OPEN:
            total += ended
            continue
        width = legal(code, states[level + 1], masks[level + 1])
        if level + 2 == depth:  # the last ply is only counted
            total += width
            continue
        level += 1
        action[level] = 0
    return total
