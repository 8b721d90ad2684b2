"""How many sequences of moves each game has, against published counts."""

from __future__ import annotations

import numpy as np
import pytest

from envs.board import load
from envs.board.game import OPEN, legal, outcome, play
from envs.board.moves import play_moves
from envs.board.perft import perft

# Sequences of exactly 1, 2, … plies. Tic-tac-toe's follow from its games by length (1440, 5328, 47952, 72576
# and 127872 of 5 to 9 plies); connect four's, othello's (Bik, 2009) and breakthrough's are published; the
# rest are products of the cells that are free.
FAST: list[tuple[str, dict[str, object], list[int]]] = [
    ("tic_tac_toe", {}, [9, 72, 504, 3024, 15120, 54720, 148176, 200448, 127872]),
    ("connect_four", {}, [7, 49, 343, 2401, 16807, 117649, 823536, 5673234]),
    ("othello", {}, [4, 12, 56, 244, 1396, 8200, 55092, 390216]),
    ("breakthrough", {}, [22, 484, 11132, 256036]),
    ("hex", {"size": 11, "swap": False}, [121, 14520]),
    ("hex", {"size": 11, "swap": True}, [121, 14641]),
    ("gomoku", {"size": 15}, [225, 50400]),
    ("go", {"size": 9}, [82, 6643]),
]
SLOW = [
    ("connect_four", 9, 39394572),
    ("othello", 9, 3005288),
    ("breakthrough", 5, 6182818),
]
# Othello's published counts count a game that ended earlier once. The first ends are at ply 9.
OTHELLO_WITH_ENDED = [(10, 24571284), (11, 212258800), (12, 1939886636)]


@pytest.mark.parametrize(("name", "options", "counts"), FAST)
def test_counts(name, options, counts):
    game = load(name, options)
    assert [perft(game, depth) for depth in range(1, len(counts) + 1)] == counts


@pytest.mark.slow
@pytest.mark.parametrize(("name", "depth", "count"), SLOW)
def test_deep_counts(name, depth, count):
    assert perft(load(name), depth) == count


@pytest.mark.slow
@pytest.mark.parametrize(("depth", "count"), OTHELLO_WITH_ENDED)
def test_othello_with_games_that_ended(depth, count):
    assert perft(load("othello"), depth, ended=True) == count


def plain(game, depth, state, ended):
    """`perft` by recursion."""
    if depth == 0:
        return 1
    total, mask = 0, np.zeros(game.actions, bool)
    if not legal(game.code, state, mask):
        return int(ended)
    for action in np.flatnonzero(mask):
        after = state.copy()
        play(game.code, after, action)
        total += plain(game, depth - 1, after, ended)
    return total


@pytest.mark.parametrize("ended", [False, True])
def test_counts_from_a_position(ended):
    game = load("connect_four")
    state = play_moves(game, "4 3 4 3 4 1")  # a win is near
    counts = [perft(game, depth, state, ended) for depth in range(5)]
    assert counts == [plain(game, depth, state, ended) for depth in range(5)]
    assert outcome(state) == OPEN
    assert plain(game, 4, state, True) > plain(game, 4, state, False)


def test_a_game_that_is_over_has_no_sequences():
    game = load("connect_four")
    state = play_moves(game, "4 3 4 3 4 3 4")
    assert [perft(game, depth, state) for depth in range(3)] == [1, 0, 0]
