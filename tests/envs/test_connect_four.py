"""Connect four: against OpenSpiel's, known games, and what makes a position impossible."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest

from envs.board import load
from envs.board.game import DRAW, FIRST_WON, OPEN, SECOND_WON, outcome, play, ply
from tests.envs.board_twins import (
    Twin,
    assert_playouts,
    assert_symmetric,
    assert_texts,
    lockstep,
    mask_of,
    planes_of,
    random_states,
)

GAME = load("connect_four")
RARE = ["first won", "second won", "draw"]
LAST_DISC_WINS = "211131416572345677654327654322345677654321"
DRAWN = "111111222222666666733333344444455555577777"
DRAWN_BOARD = ["o o x x x o o", "x x o o o x x"] * 3


def same_stones(ours: np.ndarray, theirs) -> None:
    """Their board as text, an `x` and an `o`, is what our planes show."""
    drawn = np.array([list(line) for line in str(theirs).split()])
    mine, other = "xo" if ply(ours) % 2 == 0 else "ox"
    np.testing.assert_array_equal(planes_of(GAME, ours), np.stack([drawn == mine, drawn == other], axis=-1))


TWIN = Twin(GAME, "connect_four", agree=same_stones)


def test_plays_as_openspiel_does():
    openings = [[int(column) - 1 for column in moves] for moves in (LAST_DISC_WINS, DRAWN)]
    lockstep(TWIN, moves=10_000, seed=1, rare=RARE, openings=openings)


@pytest.mark.slow
def test_plays_as_openspiel_does_for_long():
    lockstep(TWIN, moves=200_000, seed=2, rare=RARE)


def played(moves: str) -> np.ndarray:
    state = GAME.new()[0]
    for word in moves:
        action = GAME.parse_move(word)
        assert outcome(state) == OPEN
        assert mask_of(GAME, state)[action]
        play(GAME.code, state, action)
    return state


def test_the_last_disc_may_win():
    before = played(LAST_DISC_WINS[:-1])
    assert outcome(before) == OPEN
    assert mask_of(GAME, before).sum() == 1
    state = played(LAST_DISC_WINS)
    assert outcome(state) == SECOND_WON
    assert ply(state) == GAME.longest


def test_a_full_board_without_four_is_a_draw():
    state = played(DRAWN)
    assert outcome(state) == DRAW
    assert not mask_of(GAME, state).any()
    assert GAME.board_text(state).splitlines() == [*DRAWN_BOARD, "1 2 3 4 5 6 7"]


def test_four_in_each_direction():
    for moves in ("1121314", "1212121", "12233434474", "76655454414"):
        assert outcome(played(moves[:-1])) == OPEN
        assert outcome(played(moves)) == FIRST_WON


def test_distinct_positions_after_each_ply():
    """OEIS A212693."""
    counts, positions = [], {GAME.new()[0].tobytes()}
    for _ in range(7):
        counts.append(len(positions))
        states = [np.frombuffer(position, np.uint64).copy() for position in positions]
        positions = set()
        for state in states:
            for action in np.flatnonzero(mask_of(GAME, state)):
                after = state.copy()
                play(GAME.code, after, action)
                positions.add(after.tobytes())
    assert counts == [1, 7, 49, 238, 1120, 4263, 16422]


def test_playouts_are_random_play():
    states = random_states(GAME, games=20, seed=3)
    assert_playouts(GAME, [state for state in states if ply(state) == 33])


def test_symmetric():
    assert_symmetric(GAME, games=20, seed=4)


def test_texts():
    assert_texts(GAME)
    for word in ("0", "8", "a", "", "1.0"):
        with pytest.raises(ValueError, match="is no column; 1 to 7 are"):
            GAME.parse_move(word)


def test_every_position_that_is_played_is_possible():
    for state in random_states(GAME, games=20, seed=5):
        assert GAME.flaw(state) == ""
    GAME.check(random_states(GAME, games=2, seed=6))


TURN, FOUR, THREE = 1 << 16, 0b1111, 0b111


@pytest.mark.parametrize(
    ("header", "first", "second", "flaw"),
    [
        (1 | TURN, 1 << 6, 0, "a stone lies outside the board"),
        (2, 1, 1, "a cell holds two stones"),
        (1 | TURN, 1 << 1, 0, "a stone hangs in the air"),
        (2, 1, 0, "1 stones after 2 plies"),
        (2, 0, 1, "0 stones against 1"),
        (2 | TURN, 1, 1 << 7, "it is the other player's turn"),
        (2 | DRAW << 17, 1, 1 << 7, "its outcome is 'draw', but the board says 'open'"),
        (7 | TURN, FOUR, THREE << 7, "its outcome is 'open', but the board says 'first won'"),
        (8 | FIRST_WON << 17, FOUR, FOUR << 7, "both players have won"),
        (8 | FIRST_WON << 17, FOUR, THREE << 7 | 1 << 14, "the winner did not move last"),
        (2, 0b10, 0b01, "its stones cannot have been dropped in turn"),
        (9 | TURN | FIRST_WON << 17, FOUR | 1 << 14, THREE << 7 | 1 << 4, "the game was won before the last"),
    ],
)
def test_impossible_positions(header, first, second, flaw):
    state = np.array([header, first, second], np.uint64)
    assert flaw in GAME.flaw(state)
    with pytest.raises(ValueError, match="slot 0 holds no position of connect_four"):
        GAME.check(state[None])


def test_just_the_positions_that_play_leads_to_have_no_flaw():
    layer = {bytes(state): state for state in GAME.new()}
    for _ in range(6):  # nobody can have won yet
        layer = {bytes(after): after for state in layer.values() for after in children(state)}
    sound = set()
    for heights in product(range(7), repeat=7):
        if sum(heights) == 6:
            cells = [1 << 7 * column + row for column in range(7) for row in range(heights[column])]
            for own in combinations(cells, 3):
                state = np.array([6, sum(own), sum(cells) - sum(own)], np.uint64)
                sound |= {bytes(state)} if GAME.flaw(state) == "" else set()
    assert sound == set(layer)
    assert len(sound) == 16422  # OEIS A212693


def children(state):
    for action in np.flatnonzero(mask_of(GAME, state)):
        after = state.copy()
        play(GAME.code, after, action)
        yield after
