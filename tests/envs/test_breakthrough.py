"""Breakthrough: against OpenSpiel's, its two ways to win, playouts, and what makes a position impossible."""

from __future__ import annotations

import numpy as np
import pytest

from envs.board import load
from envs.board.game import DRAW, FIRST_WON, SECOND_WON, outcome, play, ply, to_play
from envs.board.moves import play_moves
from envs.options import OptionError
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

SIZES = (5, 6, 7, 8)
RARE = ["first won", "second won", "capture"]


def twin(size: int) -> Twin:
    """OpenSpiel's first player starts on top: its row 0 is our last.

    Its id is ((row · columns + column) · 6 + direction) · 2 + capture; directions 3 to 5 are the second's.
    """
    game = load("breakthrough", {"size": size})
    cell, direction = np.divmod(np.arange(game.actions), 3)
    row, column = np.divmod(cell, size)
    goal_column = column + direction - 1

    def ids(state):
        seat = to_play(state)
        goal = (row + (1 if seat else -1)) * size + goal_column
        there = (goal >= 0) & (goal < size * size)
        taken = there & ((int(state[2 - seat]) >> np.where(there, goal, 0).astype(object) & 1) == 1)
        return (((size - 1 - row) * size + column) * 6 + 3 * seat + direction) * 2 + taken

    def same_men(ours, theirs):
        lines = str(theirs).splitlines()[:size]
        board = np.array([list(line[1:]) for line in lines])[::-1]  # upside down, as are the men
        mine, other = "bw" if to_play(ours) == 0 else "wb"
        first = np.full(board.shape, to_play(ours) == 0)
        drawn = np.stack([board == mine, board == other, first], axis=-1)
        np.testing.assert_array_equal(planes_of(game, ours), drawn)

    def events(before, action, after):
        if men(after) < men(before):
            yield "capture"

    return Twin(game, f"breakthrough(rows={size},columns={size})", ids, events, same_men)


def men(state: np.ndarray) -> int:
    return int(state[1]).bit_count() + int(state[2]).bit_count()


@pytest.mark.parametrize("size", [6, 7, 8])  # on five rows OpenSpiel gives each player one row of men only
def test_plays_as_openspiel_does(size):
    lockstep(twin(size), moves=4000, seed=size, rare=RARE)


@pytest.mark.slow
@pytest.mark.parametrize(("size", "moves"), [(6, 50_000), (7, 50_000), (8, 200_000)])
def test_plays_as_openspiel_does_for_long(size, moves):
    lockstep(twin(size), moves=moves, seed=10 + size, rare=RARE)


def position(size: int, plies: int, first: str, second: str) -> np.ndarray:
    """A position with men on these cells, after so many plies."""
    game = load("breakthrough", {"size": size})
    state = np.zeros(game.words, np.uint64)
    state[0] = plies | plies % 2 << 16
    for word, cells in ((1, first), (2, second)):
        state[word] = sum(1 << game.parse_move(f"{cell}-{cell[0]}") // 3 for cell in cells.split())
    return state


def played(state: np.ndarray, size: int, word: str) -> np.ndarray:
    game, after = load("breakthrough", {"size": size}), state.copy()
    action = game.parse_move(word)
    assert mask_of(game, state)[action]
    play(game.code, after, action)
    return after


def test_the_last_man_taken_ends_the_game():
    """OpenSpiel's random games hardly come to this."""
    state = position(8, 40, "c4 f2", "d5")
    after = played(state, 8, "c4-d")
    assert outcome(after) == FIRST_WON
    assert after[2] == 0
    assert not mask_of(load("breakthrough"), after).any()
    assert outcome(played(position(8, 41, "c4", "d5 f7"), 8, "d5-c")) == SECOND_WON


def test_the_last_row_ends_the_game():
    assert outcome(played(position(8, 40, "c7 f2", "d5 d8"), 8, "c7-d")) == FIRST_WON
    assert outcome(played(position(8, 41, "c7 f2", "h2"), 8, "h2-h")) == SECOND_WON


def test_men_take_aslant_only():
    game = load("breakthrough")
    state = position(8, 40, "c4", "b5 c5")
    legal = [game.move_text(int(action)) for action in np.flatnonzero(mask_of(game, state))]
    assert legal == ["c4-b", "c4-d"]  # takes, and goes to an empty cell; straight on it is blocked
    assert not played(state, 8, "c4-b")[2] & state[1]
    assert men(played(state, 8, "c4-b")) == 2
    assert men(played(state, 8, "c4-d")) == 3


@pytest.mark.parametrize(
    ("size", "plies", "first", "second"),
    [
        (5, 20, "a4 c2", "b5 d4"),
        (5, 21, "b3 c3 e4", "b4 c5 d4"),
        (5, 20, "a3 b3 d2", "a4 e5"),
        (8, 20, "a5 g6 h6", "b4 f7 h8"),
        (8, 21, "c4 d5", "c6 d7 d3"),
    ],
)
def test_playouts_are_random_play(size, plies, first, second):
    assert_playouts(load("breakthrough", {"size": size}), [position(size, plies, first, second)])


@pytest.mark.parametrize("size", SIZES)
def test_symmetric(size):
    assert_symmetric(load("breakthrough", {"size": size}), games=5, seed=5)


@pytest.mark.parametrize("size", SIZES)
def test_texts(size):
    assert_texts(load("breakthrough", {"size": size}))


def test_moves_and_board_as_text():
    game = load("breakthrough", {"size": 5})
    assert game.board_text(play_moves(game, "a2-b c4-c")).splitlines() == [
        "5 o o o o o",
        "4 o o . o o",
        "3 . x o . .",
        "2 . x x x x",
        "1 x x x x x",
        "  a b c d e",
    ]
    for word in ("a2", "a2-", "a2-c", "a2-bc", "-", ""):
        with pytest.raises(ValueError, match=r"is no (move; write|cell; a1 to e5)"):
            game.parse_move(word)


@pytest.mark.parametrize("size", [0, 4, 9])
def test_sizes_out_of_range(size):
    with pytest.raises(OptionError, match=f"must be 5 to 8, not {size}"):
        load("breakthrough", {"size": size})


@pytest.mark.parametrize("size", SIZES)
def test_every_position_that_is_played_is_possible(size):
    game = load("breakthrough", {"size": size})
    states = random_states(game, games=10, seed=6)
    game.check(states)
    assert max(ply(state) for state in states) <= game.longest


TURN, HOME = 1 << 16, (1 << 10) - 1
FIRST_HOME = HOME << 15


@pytest.mark.parametrize(
    ("header", "first", "second", "flaw"),
    [
        (0, FIRST_HOME, HOME | 1 << 25, "a man lies outside the board"),
        (0, FIRST_HOME, HOME ^ 1 | 1 << 15, "a cell holds two men"),
        (TURN, FIRST_HOME, HOME, "it is the other player's turn"),
        (0, FIRST_HOME, HOME ^ 1, "9 men of the second player after 0 plies"),
        (0, FIRST_HOME | 1 << 12, HOME, "11 men of the first player after 0 plies"),
        (1 | TURN, FIRST_HOME, HOME, "the first player's men cannot stand so after 1 plies"),
        (2, FIRST_HOME ^ (1 << 15 | 1 << 10), HOME, "the second player's men cannot stand so after 2 plies"),
        (DRAW << 17, FIRST_HOME, HOME, "its outcome is 'draw', but the board says 'open'"),
    ],
)
def test_impossible_positions(header, first, second, flaw):
    game = load("breakthrough", {"size": 5})
    state = np.array([header, first, second], np.uint64)
    assert flaw in game.flaw(state)
    with pytest.raises(ValueError, match="slot 0 holds no position of breakthrough"):
        game.check(state[None])
