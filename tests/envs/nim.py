"""Nim with one pile: a board game as a user writes one, small enough to solve by hand."""

from __future__ import annotations

import numpy as np

from envs.board.game import FIRST_WON, Game, finish, pass_turn, to_play
from envs.kernels import kernel

NIM = "tests.envs.nim:nim"


@kernel
def nim_start(state, rules):
    state[0], state[1] = 0, rules[0]


@kernel
def nim_legal(state, rules, mask):
    for k in range(2):
        mask[k] = state[1] > k
    return min(np.int64(state[1]), 2)


@kernel
def nim_play(state, rules, action):
    mover = to_play(state)
    state[1] -= np.uint64(action + 1)
    pass_turn(state)
    if rules[1] and action == 1 and state[1] > 0:
        state[0] ^= np.uint64(1 << 16)  # the same player again
    if state[1] == 0:
        finish(state, FIRST_WON + (1 - mover if rules[1] else mover))


@kernel
def nim_observe(state, rules, planes):
    for k in range(len(planes)):
        planes[k] = state[1] > k


def nim(pile: int = 8, again: bool = False) -> Game:
    """Take one or two; who takes the last wins. With `again` it loses, and who takes two moves once more."""
    return Game(
        name=NIM,
        title="nim",
        options={"pile": pile, "again": again},
        shape=(1, 16),
        planes=("left",),
        actions=2,
        words=2,
        longest=pile,
        rules={"start": nim_start, "legal": nim_legal, "play": nim_play, "observe": nim_observe},
        numbers=(pile, int(again)),
    )
