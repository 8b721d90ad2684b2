"""Tic-tac-toe, walked to its last position: published counts, OpenSpiel's game, and impossible positions."""

from __future__ import annotations

from collections import Counter
from functools import cache
from itertools import product

import numpy as np
import pytest

from envs.board import load
from envs.board.game import DRAW, FIRST_WON, OPEN, SECOND_WON, outcome, play, ply
from envs.board.perft import perft
from tests.envs.board_twins import (
    Twin,
    assert_playouts,
    assert_symmetric,
    assert_texts,
    lockstep,
    mask_of,
    planes_of,
    playout_rates,
    random_states,
)

GAME = load("tic_tac_toe")
RARE = ["first won", "second won", "draw"]


def same_stones(ours: np.ndarray, theirs) -> None:
    drawn = np.array([list(line) for line in str(theirs).split()])
    mine, other = "xo" if ply(ours) % 2 == 0 else "ox"
    np.testing.assert_array_equal(planes_of(GAME, ours), np.stack([drawn == mine, drawn == other], axis=-1))


TWIN = Twin(GAME, "tic_tac_toe", agree=same_stones)


def test_plays_as_openspiel_does():
    lockstep(TWIN, moves=10_000, seed=1, rare=RARE)


@pytest.mark.slow
def test_plays_as_openspiel_does_for_long():
    lockstep(TWIN, moves=200_000, seed=2, rare=RARE)


@cache
def ways() -> dict[bytes, int]:
    """Every position that can come up, and in how many ways of playing."""
    known, layer = {}, Counter({GAME.new()[0].tobytes(): 1})
    while layer:
        known.update(layer)
        after: Counter[bytes] = Counter()
        for position, number in layer.items():
            state = np.frombuffer(position, np.uint64).copy()
            for action in np.flatnonzero(mask_of(GAME, state)):
                child = state.copy()
                play(GAME.code, child, action)
                after[child.tobytes()] += number
        layer = after
    return known


def positions() -> list[np.ndarray]:
    return [np.frombuffer(position, np.uint64).copy() for position in ways()]


def test_number_of_games():
    games: Counter[str] = Counter()
    for state, number in zip(positions(), ways().values(), strict=True):
        if outcome(state) != OPEN:
            games.update({"all": number, f"{ply(state)} plies": number, f"outcome {outcome(state)}": number})
    assert games == {
        "all": 255168,
        f"outcome {FIRST_WON}": 131184,
        f"outcome {SECOND_WON}": 77904,
        f"outcome {DRAW}": 46080,
        **{f"{k} plies": n for k, n in zip(range(5, 10), (1440, 5328, 47952, 72576, 127872), strict=True)},
    }
    assert sum(ways().values()) == 549946


def test_number_of_positions():
    by_ply = Counter(ply(state) for state in positions())
    assert [by_ply[k] for k in range(10)] == [1, 9, 72, 252, 756, 1260, 1520, 1140, 390, 78]
    assert sum(outcome(state) == OPEN for state in positions()) == 4520


def test_number_of_positions_up_to_symmetry():
    classes: Counter[int] = Counter()
    for state in positions():
        cells = planes_of(GAME, state).reshape(9, 2)
        if cells.tobytes() == min(cells[cell_map].tobytes() for cell_map in GAME.cell_maps):
            classes[outcome(state)] += 1
    assert classes == {OPEN: 765 - 138, FIRST_WON: 91, SECOND_WON: 44, DRAW: 3}


def test_perft():
    assert [perft(GAME, depth) for depth in range(8)] == [1, 9, 72, 504, 3024, 15120, 54720, 148176]
    assert perft(GAME, 9) == 127872  # only games of nine plies are that long


def test_nothing_else_is_possible():
    """Of all boards, turns and outcomes, those without a flaw are those that come up."""
    possible = set()
    for board in product(range(3), repeat=9):
        first, second = (sum(1 << k for k in range(9) if board[k] == man) for man in (1, 2))
        count = 9 - board.count(0)
        for end in range(4):
            state = np.array([count | count % 2 << 16 | end << 17, first, second], np.uint64)
            if not GAME.flaw(state):
                possible.add(state.tobytes())
    assert possible == set(ways())


def test_playouts_are_random_play():
    """From the first position the chances are known: 737/1260, 121/420 and 8/63."""
    exact = np.array([8 / 63, 737 / 1260, 121 / 420])
    seen = playout_rates(GAME, GAME.new()[0], playouts=20_000, seed=1)
    assert (abs(seen - exact) < 5 * np.sqrt(exact * (1 - exact) / 20_000)).all()
    assert_playouts(GAME, random_states(GAME, games=4, seed=2))


def test_symmetric():
    assert len(GAME.cell_maps) == 8
    assert_symmetric(GAME, games=20, seed=3)


def played(*cells: int) -> np.ndarray:
    state = GAME.new()[0]
    for cell in cells:
        assert mask_of(GAME, state)[cell]
        play(GAME.code, state, cell)
    return state


def test_texts():
    assert_texts(GAME)
    assert [GAME.move_text(cell) for cell in (0, 2, 7)] == ["a3", "c3", "b1"]
    assert GAME.board_text(played(4, 0, 5)).splitlines() == ["3 o . .", "2 . x x", "1 . . .", "  a b c"]
    for word in ("a4", "d1", "a0", "5", ""):
        with pytest.raises(ValueError, match="is no cell; a1 to c3 are"):
            GAME.parse_move(word)


@pytest.mark.parametrize(
    ("cells", "word", "value", "flaw"),
    [
        ((4,), 1, 1 << 9, "a stone lies outside the board"),
        ((4, 5), 2, 1 << 4, "a cell holds two stones"),
        ((4, 5), 2, 0, "1 stones after 2 plies"),
        ((4, 5), 1, 0, "0 stones against 1"),
        ((4, 5), 0, 2 | 1 << 16, "it is the other player's turn"),
        ((4, 5), 0, 2 | 1 << 17, "its outcome is 'draw', but the board says 'open'"),
        ((0, 3, 1, 4, 2), 0, 5 | 1 << 16, "its outcome is 'open', but the board says 'first won'"),
        ((0, 3, 1, 4, 8, 5), 1, 0b111, "both players have won"),
        ((0, 3, 1, 4, 8, 6), 1, 0b111, "the winner did not move last"),
        ((4,), 0, 1 | 1 << 16 | 1 << 40, "the header has bits that mean nothing"),
    ],
)
def test_impossible_positions(cells, word, value, flaw):
    state = played(*cells)
    state[word] = value
    if word == 1 and flaw == "the winner did not move last":
        state[0] |= np.uint64(FIRST_WON << 17)
    with pytest.raises(ValueError, match=f"slot 1 holds no position of tic_tac_toe: .*{flaw}"):
        GAME.check(np.stack([GAME.new()[0], state]))
