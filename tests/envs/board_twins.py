"""Board games in lock step with OpenSpiel's: what a test needs to play both, ply by ply.

    from tests.envs.board_twins import Twin, lockstep

    HEX = Twin(load("hex", {"size": 5}), "hex(board_size=5)")
    counts = lockstep(HEX, moves=10_000, seed=1, rare=["first won", "second won"])

`lockstep` plays whole games at random until it made so many moves in all, and compares after every ply the
legal moves, the turn, whether the game is over, and what it is worth to each. It returns how often each
event happened, and fails where one of `rare` never did. By itself it counts `games`, `moves` and outcomes
(`draw`, `first won`, `second won`); a `Twin` may name more.

Two more things to hold a game to: `chances` (the exact chances of each outcome under random play, from a late
position) against `playout_rates`, and `assert_symmetric` (the rules do not care how one looks at the board).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from envs.board.game import (
    DRAW,
    FIRST_WON,
    OPEN,
    OUTCOMES,
    PLAYOUT,
    SECOND_WON,
    Game,
    call_playout,
    legal,
    observe,
    outcome,
    play,
    to_play,
    value_of,
)
from envs.kernels import kernel
from envs.rng import from_seeds

pyspiel = pytest.importorskip("pyspiel")

Ids = Callable[[np.ndarray], np.ndarray]
ENDS = (DRAW, FIRST_WON, SECOND_WON)


@dataclass(frozen=True)
class Twin:
    """A game of ours, and how OpenSpiel plays it."""

    game: Game
    openspiel: str
    """What OpenSpiel loads it by: `"go(board_size=9,komi=7.5)"`."""
    ids: np.ndarray | Ids | None = None
    """OpenSpiel's id of each of our actions, int `[actions]`, or what gives it for a state `[words]`.
    None: they are the same."""
    events: Callable[[np.ndarray, int, np.ndarray], Iterable[str]] = lambda before, action, after: ()
    """Names what happened in a ply: `(state before, our action, state after) -> names`."""
    agree: Callable[[np.ndarray, Any], None] = lambda ours, theirs: None
    """Asserts whatever else should agree after every ply, such as the stones."""
    legal: Callable[[Any], list[int]] = lambda theirs: theirs.legal_actions()
    """OpenSpiel's legal ids, sorted. Another rule on what is legal is put right here."""


def lockstep(
    twin: Twin, moves: int, seed: int, rare: Iterable[str] = (), openings: Iterable[Sequence[int]] = ()
) -> Counter[str]:
    """Play both in lock step for `moves` moves in all, to the end of the last game; returns counts of events.

    The first games begin with our actions in `openings`, one each, for what hardly happens at random.
    """
    dice, counts = random.Random(seed), Counter[str]()
    theirs = pyspiel.load_game(twin.openspiel)
    begun = iter(openings)
    while counts["moves"] < moves:
        _one_game(twin, theirs.new_initial_state(), list(next(begun, ())), dice, counts)
        counts["games"] += 1
    assert next(begun, None) is None, "not all openings were played"
    missing = [name for name in rare if not counts[name]]
    assert not missing, f"in {counts['moves']} moves there was no {', '.join(missing)}: {dict(counts)}"
    return counts


def _one_game(twin: Twin, theirs: Any, opening: list[int], dice: random.Random, counts: Counter[str]) -> None:
    game = twin.game
    state, mask = game.new()[0], np.zeros(game.actions, bool)
    history: list[int] = []
    while True:
        ids = twin.ids(state) if callable(twin.ids) else twin.ids
        count = legal(game.code, state, mask)
        actions = np.flatnonzero(mask).tolist()
        assert count == len(actions)
        assert (outcome(state) != OPEN) == theirs.is_terminal(), history
        twin.agree(state, theirs)
        if theirs.is_terminal():
            break
        named = actions if ids is None else ids[actions].tolist()
        assert sorted(named) == twin.legal(theirs), f"legal moves after {history}"
        assert to_play(state) == theirs.current_player(), f"the turn after {history}"
        assert actions, f"nothing is legal after {history}"
        action = opening[len(history)] if len(history) < len(opening) else dice.choice(actions)
        before = state.copy()
        play(game.code, state, action)
        theirs.apply_action(named[actions.index(action)])
        history.append(action)
        counts.update(twin.events(before, action, state))
    assert not actions, f"moves after the end of {history}"
    assert [value_of(outcome(state), seat) for seat in (0, 1)] == theirs.returns(), f"the score of {history}"
    assert len(history) <= game.longest
    counts["moves"] += len(history)
    counts[OUTCOMES[outcome(state)]] += 1


def random_states(game: Game, games: int, seed: int) -> np.ndarray:
    """All states of random games, the last ones too: uint64 `[states, words]`."""
    dice, states = random.Random(seed), []
    mask = np.zeros(game.actions, bool)
    for state in game.new(games):
        states.append(state.copy())
        while legal(game.code, state, mask):
            play(game.code, state, dice.choice(np.flatnonzero(mask).tolist()))
            states.append(state.copy())
    return np.stack(states)


def chances(game: Game, state: np.ndarray) -> np.ndarray:
    """Exact chances of draw, first won and second won where both play at random, by walking all lines."""
    known: dict[bytes, np.ndarray] = {}

    def walk(state: np.ndarray) -> np.ndarray:
        if outcome(state) != OPEN:
            return np.array([outcome(state) == end for end in ENDS], float)
        key = state.tobytes()
        if key not in known:
            mask, total = np.zeros(game.actions, bool), np.zeros(len(ENDS))
            count = legal(game.code, state, mask)
            for action in np.flatnonzero(mask):
                after = state.copy()
                play(game.code, after, action)
                total += walk(after)
            known[key] = total / count
        return known[key]

    return walk(state)


def playout_rates(game: Game, state: np.ndarray, playouts: int, seed: int) -> np.ndarray:
    """How often the game's own `playout` ended in a draw, first won and second won."""
    rng = from_seeds([seed])
    ends = [_playout(game.code, state.copy(), rng) for _ in range(playouts)]
    return np.array([ends.count(end) for end in ENDS]) / playouts


@kernel
def _playout(code, state, rng):  # type: ignore[no-untyped-def]
    return call_playout(code[0][PLAYOUT], (state, code[1], rng, np.int64(0)))


def assert_playouts(game: Game, states: Iterable[np.ndarray], playouts: int = 4000) -> None:
    """The game's `playout` from each of these late positions ends as `chances` say, to 5 standard errors."""
    for k, state in enumerate(states):
        exact, seen = chances(game, state), playout_rates(game, state, playouts, seed=k)
        error = 5 * np.sqrt(exact * (1 - exact) / playouts)
        assert (abs(seen - exact) <= error).all(), f"{seen}, not {exact}, from\n{game.board_text(state)}"


def planes_of(game: Game, state: np.ndarray) -> np.ndarray:
    """The observation of a state, bool `[rows, columns, planes]`."""
    planes = np.zeros(game.shape[0] * game.shape[1] * len(game.planes), bool)
    observe(game.code, state, planes)
    return planes.reshape(*game.shape, -1)


def mask_of(game: Game, state: np.ndarray) -> np.ndarray:
    """The legal actions of a state, bool `[actions]`."""
    mask = np.zeros(game.actions, bool)
    legal(game.code, state, mask)
    return mask


def assert_symmetric(game: Game, games: int, seed: int, first: np.ndarray | None = None) -> None:
    """Random games and their mirror images: the same planes and legal actions, mirrored, after every ply.

    `first` are the images of the first position, uint64 `[symmetries, words]`, where they differ from it.
    """
    dice = random.Random(seed)
    cells = game.shape[0] * game.shape[1]
    for _ in range(games):
        images = game.new(len(game.cell_maps)) if first is None else first.copy()
        while True:
            seen = planes_of(game, images[0]).reshape(cells, -1)
            mask = mask_of(game, images[0])
            for image, cell_map, action_map in zip(images, game.cell_maps, game.action_maps, strict=True):
                np.testing.assert_array_equal(planes_of(game, image).reshape(cells, -1), seen[cell_map])
                np.testing.assert_array_equal(mask_of(game, image), mask[action_map])
            if outcome(images[0]) != OPEN:
                break
            action = dice.choice(np.flatnonzero(mask).tolist())
            for image, action_map in zip(images, game.action_maps, strict=True):
                play(game.code, image, int(np.flatnonzero(action_map == action)[0]))
        assert (images[:, 0] == images[0, 0]).all(), "the images of a game ended otherwise"


def assert_texts(game: Game) -> None:
    """Every action has a text of its own, which reads back."""
    words = [game.move_text(action) for action in range(game.actions)]
    assert len(set(words)) == game.actions
    assert [game.parse_move(word) for word in words] == list(range(game.actions))
    assert [game.parse_move(f" {word.upper()} ") for word in words] == list(range(game.actions))
