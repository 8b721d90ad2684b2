"""Searches refuse what they cannot search, slot by slot, instead of hanging or making moves up."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium import spaces

from envs.board import load
from envs.board.game import outcome
from envs.board.moves import play_moves
from envs.board.spaces import observation_space
from envs.rng import from_seeds
from search.alphabeta import AlphaBeta
from search.mcts import Search, SearchOptions
from search.perfect.agent import Perfect
from search.states import checked_states
from search.uct import UCT
from tests.search.plain import constant

GAME = load("connect_four")
FULL = sum(0b111111 << 7 * column for column in range(7))
OVER = play_moves(GAME, "1 2 1 2 1 2 1")


def uct(states, rng):
    return made(UCT, simulations=20).search(states, rng)


def alphabeta(states, rng):
    return made(AlphaBeta, depth=2).search(states, rng)


def evaluated(states, rng):
    return Search(GAME, constant(GAME), SearchOptions()).run(states, rng, 20)


def perfect(states, rng):
    return made(Perfect).act({"state": states}, rng=rng, first=np.ones(len(rng), bool))


def made(kind, game=GAME, **options):
    return kind(observation_space(game), spaces.Discrete(game.actions), **options)


def second(state):
    """Two states, of which the second is `state`."""
    return np.stack([GAME.new()[0], np.array(state, np.uint64)])


@pytest.mark.parametrize("search", [uct, alphabeta, evaluated, perfect])
@pytest.mark.parametrize(
    ("states", "said"),
    [
        (GAME.new()[0], r"are uint64 \[n, 3\], not uint64 \[3\]"),
        (GAME.new(2).astype(np.int64), r"not int64 \[2, 3\]"),
        (GAME.new(2).astype(float), r"not float64 \[2, 3\]"),
        (np.zeros((2, 5), np.uint64), r"not uint64 \[2, 5\]"),
        (second(OVER), r"slot 1: the game is over there \(first won\)"),
        (second([5, FULL, 0]), "slot 1: no position of connect_four: no move is legal"),
        (second([42, 0, 0]), "slot 1: no position of connect_four: it goes on after 42 plies"),
        (second([1 << 19, 0, 0]), "slot 1: no position of connect_four: the header"),
    ],
)
def test_states_that_cannot_be_searched_are_refused(search, states, said):
    with pytest.raises(ValueError, match=said):
        search(states, from_seeds(range(len(states))))


@pytest.mark.parametrize("search", [uct, alphabeta, evaluated, perfect])
@pytest.mark.parametrize(
    "rng",
    [from_seeds(range(1)), from_seeds(range(3)), np.zeros(2, np.int64), from_seeds(range(4))[::2]],
)
def test_generators_are_one_a_state(search, rng):
    with pytest.raises(ValueError, match=r"rng must be uint64 \[2\]"):
        search(GAME.new(2), rng)


def test_states_that_lie_elsewhere_in_memory_are_searched_alike():
    states = GAME.new(3)
    expected = uct(states, from_seeds(range(3)))
    wide = np.repeat(states, 2, axis=0)[::2]
    wide.flags.writeable = False
    np.testing.assert_array_equal(uct(wide, from_seeds(range(3))).visits, expected.visits)
    assert not checked_states(GAME, np.zeros((0, 3), np.uint64), from_seeds([])).size


@pytest.mark.parametrize("name", ["connect_four", "tic_tac_toe"])
def test_a_ply_that_was_forgotten_hangs_no_playout(name):
    game = load(name)
    moves = "4 4 4 4 4 4 1 1 1 1 1 1" if name == "connect_four" else "a1 a2 a3"
    state = play_moves(game, moves)[None]
    assert outcome(state[0]) == 0
    state[0, 0] &= np.uint64(1 << 16)  # as if no ply had been played
    found = made(UCT, game, simulations=300).search(state, from_seeds([0]))
    assert found.visits.sum() == 300


def test_the_perfect_player_knows_what_no_game_leads_to():
    game = load("tic_tac_toe")
    agent = made(Perfect, game)
    for words in ([3, 0b111, 0], [2, 0b11, 0b10]):  # three stones of one player; two on one cell
        states = np.stack([game.new()[0], np.array(words, np.uint64)])
        with pytest.raises(ValueError, match="slot 1: no position of tic_tac_toe"):
            agent.act({"state": states}, rng=from_seeds(range(2)), first=np.ones(2, bool))
