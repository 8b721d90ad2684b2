"""Whole batches of any board game: one pass of each kernel over all slots.

Slots do not touch each other, so what happens in one is the same in any batch. All of it is on one thread: a
second gains little on small boards, and costs much where others (a network's own threads) want its core.
"""

from __future__ import annotations

import numpy as np

from envs.base import FORFEIT
from envs.board.game import (
    DRAW,
    FIRST_WON,
    OPEN,
    Game,
    finish,
    legal,
    observe,
    outcome,
    play,
    start,
    to_play,
    value_of,
)
from envs.kernels import kernel
from envs.rng import next_below

FOREVER = 1 << 62


@kernel
def open_game(code, states, masks, rng, least, most, tries, i):  # type: ignore[no-untyped-def]
    """Begin anew in slot `i`, after `least` to `most` random plies; False where no try ends open."""
    plies, unwritten = -1, np.empty(0, np.int16)
    while plies < 0 and tries > 0:
        plies = open_once(code, states, masks, rng, least, most, unwritten, i)
        tries -= 1
    return plies >= 0


@kernel
def open_line(code, states, masks, rng, least, most, moves, i):  # type: ignore[no-untyped-def]
    """The same with as many tries as it takes, and with the moves written: int16 `[most]`, −1 after them."""
    plies = -1
    while plies < 0:
        plies = open_once(code, states, masks, rng, least, most, moves, i)
    moves[plies:] = -1


@kernel
def open_once(code, states, masks, rng, least, most, moves, i):  # type: ignore[no-untyped-def]
    """One try: how many plies were played, or −1 where they ended the game; writes moves that have room."""
    plies = most if least == most else least + next_below(rng, i, most - least + 1)
    start(code, states[i])
    count = legal(code, states[i], masks[i])
    for ply in range(plies):
        action = pick(masks[i], next_below(rng, i, count))
        if ply < len(moves):
            moves[ply] = action
        play(code, states[i], action)
        count = legal(code, states[i], masks[i])
        if outcome(states[i]) != OPEN:
            return -1
    return plies


@kernel
def pick(mask, nth):  # type: ignore[no-untyped-def]
    """The `nth` legal action, counted from 0."""
    for action in range(len(mask)):
        nth -= np.int64(mask[action])
        if nth < 0:
            return action
    return -1


@kernel
def begin_all(code, states, masks, rng, least, most, tries, where):  # type: ignore[no-untyped-def]
    """Begin anew in the slots `where`; returns the first that found no open game within `tries`, or −1."""
    for i in range(len(states)):
        if where[i] and not open_game(code, states, masks, rng, least, most, tries, i):
            return i
    return -1


@kernel
def legal_all(code, states, masks, where):  # type: ignore[no-untyped-def]
    """Write the legal actions of the slots `where`."""
    for i in range(len(states)):
        if where[i]:
            legal(code, states[i], masks[i])


@kernel
def first_illegal(masks, actions, where):  # type: ignore[no-untyped-def]
    """The first slot of `where` whose action is not legal and does not give up, or −1."""
    for i in range(len(actions)):
        action = actions[i]
        if where[i] and action != FORFEIT and not (0 <= action < masks.shape[1] and masks[i, action]):
            return i
    return -1


@kernel
def step_all(code, states, masks, actions, where, rewards, seat_rewards, outcomes, ended):  # type: ignore[no-untyped-def]
    """Play a legal action in each slot of `where`, or give the game up; how many games ended.

    Writes `masks` there and, where a game ended, the mover's reward `[n]`, both seats' `[n, 2]`, which
    outcome it was `[3, n]` and that it `ended` `[n]`; these are zeros before.
    """
    count = 0
    for i in range(len(states)):
        if where[i]:
            mover = to_play(states[i])
            if actions[i] == FORFEIT:
                finish(states[i], FIRST_WON + 1 - mover)
            else:
                play(code, states[i], actions[i])
            legal(code, states[i], masks[i])
            end = outcome(states[i])
            if end != OPEN:
                rewards[i], outcomes[end - DRAW, i], ended[i] = value_of(end, mover), 1, True
                seat_rewards[i, 0], seat_rewards[i, 1] = value_of(end, 0), value_of(end, 1)
                count += 1
    return count


@kernel
def observe_all(code, states, masks, where, planes, shown, seats, copies):  # type: ignore[no-untyped-def]
    """Write what the slots of `where` show: the arrays of `arrays(obs)`. `masks` are the legal actions."""
    for i in range(len(states)):
        if where[i]:
            observe(code, states[i], planes[i])
            for k in range(masks.shape[1]):
                shown[i, k] = masks[i, k]
            seats[i] = to_play(states[i])
            for k in range(states.shape[1]):
                copies[i, k] = states[i, k]


def empty_obs(game: Game, n: int) -> dict[str, np.ndarray]:
    """Room for the observations of `n` slots."""
    return {
        "planes": np.empty((n, *game.shape, len(game.planes)), np.bool_),
        "action_mask": np.empty((n, game.actions), np.bool_),
        "to_play": np.empty(n, np.int64),
        "state": np.empty((n, game.words), np.uint64),
    }


def arrays(obs: dict[str, np.ndarray]) -> tuple[np.ndarray, ...]:
    """The arrays of `empty_obs` as kernels take them, planes flat."""
    planes = obs["planes"]
    return planes.reshape(len(planes), -1), obs["action_mask"], obs["to_play"], obs["state"]


def observe_states(game: Game, states: np.ndarray) -> dict[str, np.ndarray]:
    """The observations of positions, uint64 `[n, words]`, which are taken to be right (`Game.check` asks)."""
    obs = empty_obs(game, len(states))
    where = np.ones(len(states), bool)
    legal_all(game.code, states, obs["action_mask"], where)
    observe_all(game.code, states, obs["action_mask"], where, *arrays(obs))
    return obs
