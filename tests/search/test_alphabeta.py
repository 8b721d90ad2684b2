"""Alpha-beta: against plain minimax, which cuts nothing off."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

import envs
from envs.board import load
from envs.board.game import OPEN, legal, outcome, play, to_play, value_of
from envs.board.moves import play_moves
from envs.board.spaces import observation_space
from envs.board.vector import Board
from envs.options import OptionError
from envs.rng import from_seeds
from rollouts.build import build_agent
from search import alphabeta
from search.alphabeta import SURE, AlphaBeta, centre_first
from tests.envs.nim import NIM


def make(game, **options):
    return AlphaBeta(observation_space(game), spaces.Discrete(game.actions), **options)


def openings(game, plies, n):
    obs, _ = Board(game.name, n, random_plies=plies, **game.options).reset(seed=0)
    return obs["state"]


def minimax(game, state, depth, plies=0):
    """(score, moves that have it) of who is to move, `plies` after the root."""
    if outcome(state) != OPEN:
        return value_of(outcome(state), to_play(state)) * (SURE - plies + 1), []
    if plies == depth:
        return 0, []
    mask, scores = np.zeros(game.actions, bool), {}
    legal(game.code, state, mask)
    for action in np.flatnonzero(mask):
        after = state.copy()
        play(game.code, after, action)
        score, _ = minimax(game, after, depth, plies + 1)
        scores[int(action)] = score if to_play(after) == to_play(state) else -score
    best = max(scores.values())
    return best, [action for action, score in scores.items() if score == best]


@pytest.mark.parametrize(
    ("name", "options", "plies", "depth"),
    [
        ("tic_tac_toe", {}, 3, 9),
        ("tic_tac_toe", {}, 2, 1),
        ("connect_four", {}, 16, 4),
        ("connect_four", {}, 30, 6),
        ("othello", {"size": 6}, 26, 4),
        (NIM, {"pile": 9, "again": True}, 0, 9),  # where who moves may move again
    ],
)
def test_it_finds_what_minimax_finds(name, options, plies, depth):
    game = load(name, options)
    states = openings(game, plies, 12)
    seen, ends, agent = [set() for _ in states], set(), make(game, depth=depth)
    for seed in range(100):
        actions, scores = agent.search(states, from_seeds(range(100 * seed, 100 * seed + 12)))
        for b, action in enumerate(actions.tolist()):
            seen[b].add(action)
    for b, state in enumerate(states):
        score, best = minimax(game, state, depth)
        assert scores[b] == score
        assert seen[b] == set(best)  # any of them, by lot
        ends.add(np.sign(score))
    assert len(ends) > 1 or name == NIM or depth == 1


def test_it_prefers_the_fastest_win_and_the_slowest_loss():
    game = load("connect_four")
    now = play_moves(game, "4 1 4 1 4 1")
    actions, scores = make(game, depth=6).search(now[None], from_seeds([0]))
    assert actions.tolist() == [3]
    assert scores.tolist() == [SURE]
    lost = play_moves(game, "3 7 4 7 5")  # who can end in 2 and in 6
    _, scores = make(game, depth=3).search(lost[None], from_seeds([0]))
    assert scores.tolist() == [-(SURE - 1)]
    _, scores = make(game, depth=1).search(lost[None], from_seeds([0]))
    assert scores.tolist() == [0]  # beyond the horizon


def test_a_game_is_searched_alike_in_any_batch_and_on_any_threads(monkeypatch):
    game = load("connect_four")
    states, agent = openings(game, 8, 20), make(game, depth=4)
    monkeypatch.setattr(alphabeta, "workers_for", lambda n: min(n, 3))
    together = agent.search(states, from_seeds(range(20)))
    alone = [agent.search(states[b : b + 1], from_seeds([b])) for b in range(20)]
    for one, other in zip(together, map(np.concatenate, zip(*alone))):
        np.testing.assert_array_equal(one, other)


def test_moves_are_tried_from_the_middle():
    assert centre_first(load("connect_four")).tolist() == [3, 2, 4, 1, 5, 0, 6]
    assert centre_first(load("tic_tac_toe")).tolist() == [4, 1, 3, 5, 7, 0, 2, 6, 8]
    othello = centre_first(load("othello", {"size": 6}))
    assert set(othello[:4]) == {14, 15, 20, 21}
    assert othello[-1] == 36  # a pass
    breakthrough: Any = SimpleNamespace(shape=(8, 8), actions=3 * 64)
    assert set(centre_first(breakthrough)[:12] // 3) == {27, 28, 35, 36}


def test_it_acts_on_observations_and_can_be_built_again():
    env = envs.make("board/ConnectFour-v0", 3)
    obs, _ = env.reset(seed=0, options={"slots": [{"moves": "4 1 4 1 4 1"}, {"moves": "4 1 4 1 4"}, None]})
    agent = AlphaBeta(env.single_observation_space, env.single_action_space, depth=2)
    again = build_agent(agent.spec(), env.single_observation_space, env.single_action_space)
    assert again.depth == 2
    decision = again.act(obs, rng=from_seeds(range(3)), first=np.ones(3, bool))
    assert decision.actions[:2].tolist() == [3, 3]
    assert decision.fields["value"].tolist() == [1, 0, 0]
    assert decision.fields["value"].dtype == np.float32


def test_what_does_not_fit_is_told():
    with pytest.raises(ValueError, match="no board game's") as error:
        AlphaBeta(spaces.Box(0, 1, (4,)), spaces.Discrete(2))
    assert "\n" not in str(error.value)
    with pytest.raises(OptionError, match="depth must be"):
        make(load("tic_tac_toe"), depth=0)


def test_the_depth_ends_where_the_game_does():
    assert make(load("tic_tac_toe"), depth=1000).depth == 9
    with pytest.raises(OptionError, match="depth must be less than or equal to 1000, not 1001"):
        make(load("tic_tac_toe"), depth=1001)
