"""Self-play on board games through the Sampler, and learning targets on a game that is solved by hand."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import envs
from agents.replay import Replay
from agents.returns import gae, next_values
from envs.rng import from_seeds, uniform
from rollouts.agent import Agent, Decision
from rollouts.sampler import Sampler
from rollouts.storage import load_tree, save_tree
from tests.envs.nim import NIM
from tests.toys import coin

ID = "board/ConnectFour-v0"
WON = np.array([[0, 0], [0, 0], [1, -1], [-1, 1]], np.float32)  # both seats' rewards, by outcome


@cache
def value(left, again):
    """What so many are worth to the mover under best play, worked out by hand."""
    return max(value_of_take(left, take, again) for take in (1, 2) if take <= left)


def value_of_take(left, take, again):
    if take == left:
        return -1 if again else 1
    return value(left - take, again) * (1 if again and take == 2 else -1)


def test_the_values_are_those_that_the_books_have():
    assert [value(k, False) for k in range(1, 9)] == [1, 1, -1, 1, 1, -1, 1, 1]  # multiples of three lose
    assert [value(k, True) for k in range(1, 9)] == [-1, 1, -1, 1, -1, 1, -1, 1]


class Perfect(Agent):
    """Plays by the hand-made values, at random where it explores; shows the values."""

    def __init__(self, again, error=0.0):
        self.again, self.error = again, error

    def act(self, obs, *, rng, first, memory=None, explore=True):
        left = obs["planes"].reshape(len(rng), -1).sum(1)
        scores = np.array([[value_of_take(k, t, self.again) if t <= k else -9 for t in (1, 2)] for k in left])
        strays = uniform(rng) < self.error
        actions = np.where(strays & (left > 1), uniform(rng) < 0.5, 1 - scores[:, ::-1].argmax(1)).astype(
            np.int64
        )
        return Decision(actions, fields={"value": scores.max(1).astype(np.float32)})


def played(again, error=0.0, **how):
    env = envs.make(NIM, 6, again=again, random_plies=2, pile=9)
    rollout = Sampler(env, seed=4).collect(Perfect(again, error), **(how or {"steps": 40}))
    rollout.rewards = rollout.env_rewards
    return env, rollout


def left(planes):
    return planes.reshape(*planes.shape[:-3], -1).sum(-1)


def advantages(rollout, values, following):
    names = ("terminated", "truncated", "valid", "sign")
    given = {name: getattr(rollout, name) for name in names}
    return gae(rollout.rewards, values, following, **given, gamma=1.0, gae_lambda=1.0)


@pytest.mark.parametrize("again", [False, True])
def test_ppos_targets_are_the_outcome_from_each_movers_view(again):
    _, r = played(again)
    zero = np.zeros(r.shape, np.float32)
    target = advantages(r, zero, zero)
    solved = np.vectorize(lambda k: value(k, again))(left(r.obs["planes"][:-1]))
    whole = np.isin(r.episode, r.ended["episode"])
    assert whole.sum() > 150
    np.testing.assert_array_equal(target[whole], solved[whole])
    assert {-1, 1} == set(solved[whole])
    # the loser's last row: no reward, no end, and yet it lost
    seat = r.obs["to_play"]
    losers = (seat[:-2] != seat[1:-1]) & r.terminated[1:] & ~r.terminated[:-1] & (r.rewards[1:] == 1)
    if not again:  # there it is the last mover that loses
        assert losers.sum() > 10
    assert (r.rewards[:-1][losers] == 0).all()
    assert (target[:-1][losers] == -1).all()
    inside = r.sign[~r.terminated]
    assert set(inside) == ({1, -1} if again else {-1})


@pytest.mark.parametrize("again", [False, True])
def test_true_values_leave_nothing_to_learn_of_perfect_play(again):
    _, r = played(again)
    values = r.fields["value"]
    last = np.vectorize(lambda k: value(k, again))(left(r.obs["planes"][-1]))
    following = next_values(np.concatenate([values, last[None]]), r.valid, np.zeros(0), np.zeros((0, 2), int))
    np.testing.assert_array_equal(advantages(r, values, following), 0)


@pytest.mark.parametrize("n_step", [1, 2, 3])
@pytest.mark.parametrize("again", [False, True])
def test_dqns_targets_are_the_outcome_from_each_movers_view(again, n_step):
    env, r = played(again)
    replay = Replay(env.single_observation_space, 1000, n_step=n_step, gamma=1.0)
    replay.add(r)
    batch = replay.sample(500, from_seeds([0]))
    now, later = np.split(np.vectorize(lambda k: value(k, again) if k else 0)(left(batch.obs)), 2)
    np.testing.assert_array_equal(batch.returns + batch.discounts * later, now)
    assert (batch.discounts == 0).any()
    assert (batch.discounts != 0).any()


def test_the_sampler_plays_boards_against_opponents():
    """The loser of each game is told in its own last row, by whoever's move the game ended."""
    env = envs.make(ID, 8)
    r = Sampler(env, seed=11).collect(coin(env), opponents=[coin(env)], episodes=40)
    rows, seats = r.valid, r.obs["to_play"][:-1]
    ends = r.terminated & rows
    assert ends.sum() == 40
    assert (r.env_rewards[rows & ~ends] == 0).all()
    assert set(r.env_rewards[ends]) >= {-1, 1}
    at = r.ended["time"], r.ended["slot"]
    np.testing.assert_array_equal(r.ended["return"], r.env_rewards[at])
    own = np.take_along_axis(r.ended["seat_returns"], seats[at][:, None], 1)[:, 0]
    np.testing.assert_array_equal(own, r.ended["return"])
    np.testing.assert_array_equal(
        r.ended["seat_returns"][:, 0], r.ended["first_wins"] - r.ended["second_wins"]
    )
    assert {0, 1} == set(seats[at])
    over = (r.final_obs["state"][:, 0] >> np.uint64(17)).astype(int)
    t, slot = r.final_at.T
    np.testing.assert_array_equal(WON[over][np.arange(40), seats[t, slot]], r.env_rewards[t, slot])


def test_self_play_goes_on_as_if_nothing_had_happened(tmp_path):
    def sampler():
        return Sampler(envs.make(ID, 4, random_plies=2), seed=1)

    one, two = sampler(), sampler()
    agent = coin(one.env)
    one.collect(agent, steps=13)
    save_tree(tmp_path, one.get_state())
    assert two.set_state(load_tree(tmp_path))
    a, b = one.collect(agent, steps=30), two.collect(agent, steps=30)
    for name in a.obs:
        np.testing.assert_array_equal(a.obs[name], b.obs[name], name)
    np.testing.assert_array_equal(a.actions, b.actions)
    np.testing.assert_array_equal(a.ended["return"], b.ended["return"])
    assert len(a.ended["return"]) > 0
