"""What every search asks of the states and generators that it is given, before any kernel reads them."""

from __future__ import annotations

from typing import Any

import numpy as np

from envs.board.game import OPEN, Game, legal, outcome, ply
from envs.board.moves import over_there
from envs.kernels import kernel

HEADER_BITS = np.uint64(19)


def checked_states(game: Game, states: Any, rng: np.ndarray | None = None) -> np.ndarray:
    """`states` as kernels take them, uint64 `[n, words]`, each with something to play.

    `rng` are generators, uint64 `[n]`, which a search advances in place. Raises `ValueError` for other types
    or shapes, and names the first slot whose game is over, or which is no position. (Whether play can lead to
    a position is not asked: `Game.check` does, and takes longer.)
    """
    states = np.require(game.shaped(states), requirements=["C", "W"])
    if rng is not None and not (rng.dtype == np.uint64 and rng.shape == (len(states),) and rng.flags.carray):
        wanted = f"rng must be uint64 [{len(states)}], a generator a state, writeable and contiguous"
        raise ValueError(f"{wanted}, not {rng.dtype} {list(rng.shape)}")
    slot = first_stuck(game.code, states, game.longest, np.zeros(game.actions, bool))
    if slot >= 0:
        raise ValueError(f"slot {slot}: {_reason(game, states[slot])}")
    return states


@kernel
def first_stuck(code, states, longest, mask):  # type: ignore[no-untyped-def]
    """The first state from which nothing can be played, or −1; `mask` is room for `A` bools."""
    for i in range(len(states)):
        state = states[i]
        strange = state[0] >> HEADER_BITS != 0 or ply(state) >= longest
        if strange or outcome(state) != OPEN or legal(code, state, mask) <= 0:
            return i
    return -1


def _reason(game: Game, state: np.ndarray) -> str:
    if said := game.header_flaw(int(state[0])):
        return f"no position of {game.name}: {said}"
    if outcome(state) != OPEN:
        return f"{over_there(state)}: there is nothing to search"
    return f"no position of {game.name}: no move is legal, and the game is not over"
