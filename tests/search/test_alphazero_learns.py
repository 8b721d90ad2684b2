"""AlphaZero learns tic-tac-toe from nothing: it does not lose to a player that makes no mistake."""

import copy

import pytest

import envs
import move37
from envs.rng import from_seeds
from move37.config import load_config
from search.match import half_points, play_pairs
from search.openings import first_position
from search.perfect.agent import Perfect

CONFIG = "configs/train/alphazero_tic_tac_toe.yaml"


def lost(run, simulations, pairs):
    """Games lost of `2 · pairs` against a player that picks at random among its best moves, both colours."""
    env = envs.make("board/TicTacToe-v0")
    perfect = Perfect(env.single_observation_space, env.single_action_space, hurry=False)
    agent = copy.copy(run.agent)
    agent.eval_simulations = simulations
    openings, rng = first_position(perfect.game, pairs), from_seeds(range(2 * pairs))
    played = play_pairs(perfect.game, agent, perfect, openings, rng)  # chance is the players' alone
    return (half_points(played.outcomes) == 0).sum()


def test_it_learns_most_of_it_in_seconds(tmp_path):
    config = load_config(CONFIG, ["threads=1", "budget.env_steps=12000", "device=cpu"])
    begun = move37.train(config, ["budget.env_steps=512"], out=tmp_path / "begun")
    run = move37.train(config, out=tmp_path / "run")
    assert lost(begun, 1, 100) > 60  # the policy alone
    assert lost(run, 1, 100) < 10


@pytest.mark.slow
def test_it_never_loses(tmp_path):
    run = move37.train(CONFIG, ["threads=1", "device=cpu"], out=tmp_path / "run")
    assert run.metrics()[-1]["time/total"] < 120
    assert lost(run, 1, 500) == 0  # the policy alone
    assert lost(run, 32, 500) == 0
