"""The perfect player: against alpha-beta to the end of the game, and published scores."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium import spaces

import envs
from agents.random import Random
from envs.board import load
from envs.board.batch import observe_states
from envs.board.game import OPEN, legal, outcome, play
from envs.board.moves import play_moves
from envs.board.spaces import observation_space
from envs.rng import from_seeds
from rollouts.build import build_agent
from search.alphabeta import SURE, AlphaBeta
from search.match import play_match
from search.perfect.agent import Perfect
from search.perfect.connect_four import ILLEGAL

TIC_TAC_TOE = load("tic_tac_toe")
CONNECT_FOUR = load("connect_four")
PUBLISHED = {  # AlphaZero.jl's benchmark: moves, and the score of who is to move
    "2252576253462244111563365343671351441": -1,
    "7422341735647741166133573473242566": 1,
    "23163416124767223154467471272416755633": 0,
    "243335424257": 12,
}


def make(game, kind=Perfect, **options):
    return kind(observation_space(game), spaces.Discrete(game.actions), **options)


def act(agent, obs, seed=0):
    n = len(obs["state"])
    rng = from_seeds(range(seed, seed + n))
    return agent.act(obs, rng=rng, first=np.ones(n, bool))


def all_open(game):
    """Every open position that can be reached, uint64 `[n, words]`."""
    found, layer = {}, {bytes(s): s for s in game.new()}
    while layer:
        found |= layer
        layer = {bytes(after): after for state in layer.values() for after in open_children(game, state)}
    return np.stack(list(found.values()))


def open_children(game, state):
    mask = np.zeros(game.actions, bool)
    legal(game.code, state, mask)
    for action in np.flatnonzero(mask):
        after = state.copy()
        play(game.code, after, action)
        if outcome(after) == OPEN:
            yield after


def test_it_knows_every_position_of_tic_tac_toe_and_plays_any_of_the_best_moves():
    states = all_open(TIC_TAC_TOE)
    assert len(states) == 4520
    obs = observe_states(TIC_TAC_TOE, states)
    searcher = make(TIC_TAC_TOE, AlphaBeta, depth=9)
    _, expected = searcher.search(states, from_seeds(range(len(states))))
    stones = (states[:, 0] & np.uint64(0xFFFF)).astype(int)
    left = 9 - stones - (SURE - abs(expected)) - 1  # empty cells when alpha-beta's line ends
    for hurry in (True, False):
        agent = make(TIC_TAC_TOE, hurry=hurry)
        decision = act(agent, obs)
        scores, value = decision.fields["scores"], decision.fields["value"]
        assert scores.dtype == np.int8
        assert value.dtype == np.float32
        np.testing.assert_array_equal(value, np.sign(expected))
        most = np.where(expected == 0, 0, np.sign(expected) * (1 + left)) if hurry else np.sign(expected)
        np.testing.assert_array_equal(scores.max(axis=1), most)
        np.testing.assert_array_equal(scores == ILLEGAL, ~obs["action_mask"])
        best, seen = scores == most[:, None], np.zeros(scores.shape, bool)
        for seed in range(60):
            actions = act(agent, obs, 10_000 * seed).actions
            seen[np.arange(len(states)), actions] = True
        assert not (seen & ~best).any()
        assert (seen == best).mean() > 0.9999  # of nine alike, one stays unseen in 1 of 1,000


def test_perfect_players_draw_and_never_lose():
    env = envs.make("board/TicTacToe-v0", 64)
    perfect = make(TIC_TAC_TOE)
    match = play_match(env, perfect, make(TIC_TAC_TOE, hurry=False), pairs=32)
    assert match.draws == 64
    match = play_match(env, perfect, make(TIC_TAC_TOE, Random), pairs=100)
    assert match.losses == 0
    assert match.score > 0.9


def test_connect_four_as_published():
    agent = make(CONNECT_FOUR)
    states = np.stack([play_moves(CONNECT_FOUR, " ".join(moves)) for moves in PUBLISHED])
    decision = act(agent, observe_states(CONNECT_FOUR, states))
    scores = decision.fields["scores"]
    assert scores.max(axis=1).tolist() == list(PUBLISHED.values())
    assert decision.fields["value"].tolist() == [-1, 1, 0, 1]
    assert (scores[np.arange(4), decision.actions] == scores.max(axis=1)).all()


def test_in_a_hurry_or_not():
    states = np.repeat(play_moves(CONNECT_FOUR, "4 1 4 1 4 1 7 7 2 6 3 7")[None], 100, axis=0)
    obs = observe_states(CONNECT_FOUR, states)
    quick, slow = (act(make(CONNECT_FOUR, hurry=hurry), obs) for hurry in (True, False))
    scores = quick.fields["scores"][0]
    assert scores.max() == 15  # four at once, with the 15th last stone: in column 4 or, along the row, in 5
    assert set(quick.actions) == {3, 4}
    assert set(slow.actions) == set(np.flatnonzero(scores > 0)) > {3, 4}
    np.testing.assert_array_equal(slow.fields["scores"][0], np.sign(scores))


def test_it_can_be_built_again():
    agent = make(TIC_TAC_TOE, hurry=False)
    again = build_agent(agent.spec(), observation_space(TIC_TAC_TOE), spaces.Discrete(9))
    assert again.hurry is False


def test_what_does_not_fit_is_told():
    with pytest.raises(ValueError, match="no board game's"):
        Perfect(spaces.Box(0, 1, (4,)), spaces.Discrete(2))
    with pytest.raises(ValueError, match="no perfect player of nim, only of tic_tac_toe and connect_four"):
        make(load("tests.envs.nim:nim"))
