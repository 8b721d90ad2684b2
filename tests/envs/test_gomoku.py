"""Gomoku: against OpenSpiel's, every five on a board, and what makes a position impossible."""

from __future__ import annotations

import numpy as np
import pytest

from envs.board import load
from envs.board.game import DRAW, FIRST_WON, OPEN, SECOND_WON, outcome, play, ply
from envs.board.gomoku import fives
from envs.board.perft import perft
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

SMALL, MIDDLE, LARGE = (load("gomoku", {"size": size}) for size in (5, 6, 15))
LAST_STONE_WINS = ["x x x x x", "o o x o o", "o x o x o", "x o o o x", "x o x o x"]
DRAWN = ["x x x x o", "o o o o x", "x x x x o", "o o o o x", "x o x o x"]


def twin(size: int) -> Twin:
    game = load("gomoku", {"size": size})

    def same_stones(ours: np.ndarray, theirs) -> None:
        drawn = np.array([list(line) for line in str(theirs).split()[1:]])
        mine, other = "bw" if ply(ours) % 2 == 0 else "wb"
        seen = planes_of(game, ours)
        np.testing.assert_array_equal(seen, np.stack([drawn == mine, drawn == other], axis=-1))

    return Twin(game, f"gomoku(size={size})", agree=same_stones)


@pytest.mark.parametrize(("size", "rare"), [(5, ["draw"]), (6, ["draw"]), (15, []), (19, [])])
def test_plays_as_openspiel_does(size, rare):
    lockstep(twin(size), moves=2_000, seed=size, rare=["first won", "second won", *rare])


@pytest.mark.slow
@pytest.mark.parametrize("size", [5, 7, 9, 15, 19])
def test_plays_as_openspiel_does_for_long(size):
    lockstep(twin(size), moves=50_000, seed=size, rare=["first won", "second won"])


def played(game, words: str) -> np.ndarray:
    state = game.new()[0]
    for word in words.split():
        action = game.parse_move(word)
        assert outcome(state) == OPEN
        assert mask_of(game, state)[action]
        play(game.code, state, action)
    return state


@pytest.mark.parametrize("size", [5, 6, 8])
def test_every_five_wins_whichever_stone_comes_last(size):
    game, dice = load("gomoku", {"size": size}), np.random.default_rng(size)
    assert len(fives(size)) == 2 * size * (size - 4) + 2 * (size - 4) ** 2
    assert len({tuple(sorted(line)) for line in fives(size)}) == len(fives(size))
    for line in fives(size):
        elsewhere = np.setdiff1d(np.arange(size * size), line)
        for last in line:
            state = game.new()[0]
            order = [*dice.permutation(line[line != last]), last]
            for mine, other in zip(order, dice.permutation(elsewhere), strict=False):
                play(game.code, state, mine)
                assert (outcome(state) == FIRST_WON) == (mine == last)
                if mine != last:
                    play(game.code, state, other)
            assert not mask_of(game, state).any()
            assert game.flaw(state) == ""


def test_six_in_a_row_win_too():
    state = played(LARGE, "a1 a3 b1 b3 c1 c3 e1 e3 f1 f3")
    assert outcome(state) == OPEN
    play(LARGE.code, state, LARGE.parse_move("d1"))
    assert outcome(state) == FIRST_WON


def test_lines_do_not_run_over_the_edge():
    assert outcome(played(SMALL, "e5 a1 a4 b1 b4 c1 c4 d1 d4")) == OPEN
    assert outcome(played(SMALL, "e5 a1 d4 b1 c3 c1 b2 d3 a5")) == OPEN


def filled(rows: list[str]) -> np.ndarray:
    """The full board of size 5 with these stones, played from the last cell on."""
    board = np.array([row.split() for row in rows]).reshape(-1)
    first, second = (np.flatnonzero(board == man)[::-1] for man in "xo")
    state = SMALL.new()[0]
    for k in range(25):
        assert outcome(state) == OPEN
        play(SMALL.code, state, second[k // 2] if k % 2 else first[k // 2])
    return state


def test_a_full_board_without_five_is_a_draw():
    state = filled(DRAWN)
    assert outcome(state) == DRAW
    assert not mask_of(SMALL, state).any()
    drawn = [f"{5 - k} {row}" for k, row in enumerate(DRAWN)]
    assert SMALL.board_text(state).splitlines() == [*drawn, "  a b c d e"]


def test_the_last_stone_may_win():
    assert outcome(filled(LAST_STONE_WINS)) == FIRST_WON


def test_plies():
    assert [perft(LARGE, depth) for depth in (1, 2, 3)] == [225, 225 * 224, 225 * 224 * 223]


def test_playouts_are_random_play():
    states = random_states(SMALL, games=20, seed=3)
    assert_playouts(SMALL, [state for state in states if ply(state) == 17][:8])
    states = random_states(MIDDLE, games=20, seed=4)
    assert_playouts(MIDDLE, [state for state in states if ply(state) == 28][:8])


@pytest.mark.parametrize("game", [MIDDLE, LARGE], ids=lambda game: game.title)
def test_symmetric(game):
    assert len(game.cell_maps) == 8
    assert_symmetric(game, games=3, seed=4)


def test_texts():
    for game in (SMALL, LARGE, load("gomoku", {"size": 19})):
        assert_texts(game)
    assert [LARGE.move_text(cell) for cell in (0, 224)] == ["a15", "o1"]
    with pytest.raises(ValueError, match="'p1' is no cell; a1 to o15 are"):
        LARGE.parse_move("p1")


def test_every_position_that_is_played_is_possible():
    for game in (SMALL, LARGE):
        game.check(random_states(game, games=3, seed=5))


FIVE = "a1 a2 b1 b2 c1 c2 d1 d2 e1"


@pytest.mark.parametrize(
    ("words", "row", "stones", "header", "flaw"),
    [
        ("c3", 3, 1 << 5, None, "a stone lies outside the board"),
        ("c3", 3, 1 << 37, None, "a stone lies outside the board"),
        ("c3 d3", 3, 1 << 2 | 1 << 34, None, "a cell holds two stones"),
        ("c3 d4", 2, 0, None, "1 stones after 2 plies"),
        ("c3 d4", 3, 0, None, "0 stones against 1"),
        ("c3 d4", 0, 0, 2 | 1 << 16, "it is the other player's turn"),
        ("c3 d4", 0, 0, 2 | DRAW << 17, "its outcome is 'draw', but the board says 'open'"),
        (FIVE, 0, 0, 9 | 1 << 16, "its outcome is 'open', but the board says 'first won'"),
        (FIVE, 0, 0, 9 | 1 << 16 | SECOND_WON << 17, "its outcome is 'second won', but"),
        (FIVE, 3, 1 << 32, 10 | FIRST_WON << 17, "the winner did not move last"),
    ],
)
def test_impossible_positions(words, row, stones, header, flaw):
    state = played(SMALL, words)
    state[row] = stones if row else state[0]
    state[0] = state[0] if header is None else header
    with pytest.raises(ValueError, match=f"slot 0 holds no position of gomoku: .*{flaw}"):
        SMALL.check(state[None])


def test_two_fives_need_a_common_stone():
    state, header = SMALL.new()[0], 19 | 1 << 16 | FIRST_WON << 17
    state[:] = header, 0b11111, 0b01111 << 32, 0b11111, 0b01111 << 32, 1 << 32
    assert SMALL.flaw(state) == "the game was won before the last move"
    state[:] = header, 0b11111, 1 | 0b11110 << 32, 0b101 | 0b01010 << 32, 1 | 0b01110 << 32, 1
    assert SMALL.flaw(state) == ""


@pytest.mark.parametrize("size", [4, 20])
def test_sizes_out_of_range(size):
    with pytest.raises(OptionError, match=f"size of gomoku must be 5 to 19, not {size}"):
        load("gomoku", {"size": size})
