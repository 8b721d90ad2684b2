"""Opponents whose places are given to others while workers play: whose a game was."""

import gymnasium as gym
import numpy as np
import pytest

from rollouts.agent import Decision
from rollouts.asynchronous import AsyncFleet
from rollouts.fleet import Fleet
from tests.toys import Coin, Toy

PLIES = 12
NUMBERS = 64


class Numbers(Toy):
    """Two players say numbers in turn, `PLIES` in all; the part `said` is what the opponents of 0 said."""

    seats = 2
    parts = ("said",)
    saved = ("ply",)

    def __init__(self, n=1, seed=None):
        space = gym.spaces.Dict(
            planes=gym.spaces.Box(0, PLIES, (1,), np.float32),
            action_mask=gym.spaces.MultiBinary(NUMBERS),
            to_play=gym.spaces.Discrete(2),
        )
        super().__init__(n, space, gym.spaces.Discrete(NUMBERS))
        self.ply = np.zeros(n, np.int64)

    def _obs(self):
        return {
            "planes": self.ply[:, None].astype(np.float32),
            "action_mask": np.ones((self.num_envs, NUMBERS), np.int8),
            "to_play": self.ply % 2,
        }

    def _begin(self, slots, seeds, options):
        self.ply[slots] = 0

    def step(self, actions, where=None):
        where = np.ones(self.num_envs, bool) if where is None else where
        self.ply += where
        over = where & (self.ply == PLIES)
        final = self._obs()
        self.ply[over] = 0
        parts = {"said": np.where(where, actions, 0).astype(np.float32)}
        info = {"final_obs": final, "seat_rewards": np.zeros((self.num_envs, 2), np.float32), "parts": parts}
        return self._obs(), np.zeros(self.num_envs, np.float32), over, np.zeros(self.num_envs, bool), info


class Says(Coin):
    """Says the number that its weights are."""

    def act(self, obs, *, rng, first, memory=None, explore=True):
        return Decision(np.full(len(first), int(self.bias)))

    def spec(self):
        return {"path": "tests.rollouts.test_fleet_opponents:Says", "options": {}}


def says(number):
    env = Numbers(1)
    agent = Says(env.single_observation_space, env.single_action_space)
    agent.bias = float(number)
    return agent


@pytest.fixture(scope="module")
def cluster():
    import ray

    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield ray
    ray.shutdown()


def play(playing, collects, change):
    """Play with members that leave; by game: its place as credited, and who was then there if it was one."""
    learner, members, new = says(0), [says(1), says(2), says(3)], 4
    found = []
    for k in range(collects):
        r = playing.collect(learner, steps=4, opponents=[learner, *members], odds=[0.25] * 4)
        who = [0, *(int(member.bias) for member in members)]
        for place, said in zip(r.ended["opponent"], r.ended["said"]):
            found.append((int(place), float(said)))
            if place >= 0:
                assert said == PLIES // 2 * who[place]
        playing.sync(learner)
        if k % change == change - 1:
            members[k // change % 3] = says(new)
            new = 4 + (new - 3) % (NUMBERS - 4)
    return found


def test_games_are_credited_to_whom_they_were_against(cluster):
    playing = AsyncFleet({"id": "tests.rollouts.test_fleet_opponents:Numbers"}, n=8, workers=2, seed=5)
    found = play(playing, 60, change=4)
    playing.close()
    assert {place for place, _ in found} == {-1, 0, 1, 2, 3}
    mixed = [said for place, said in found if place == -1 and said % (PLIES // 2)]
    assert mixed  # another went on with these
    assert len(mixed) < len(found) / 2


@pytest.mark.parametrize("change", [2, 50])
def test_in_step_only_games_whose_opponent_was_replaced_are_nobodys(change):
    playing = Fleet({"id": "tests.rollouts.test_fleet_opponents:Numbers"}, n=8, workers=2, seed=5, local=True)
    found = play(playing, 40, change)
    assert (-1 in {place for place, _ in found}) == (change == 2)


@pytest.mark.parametrize(
    "when", [pytest.param("before", marks=pytest.mark.slow), "while workers are waited for"]
)
def test_a_board_that_is_lost_is_put_up_again(cluster, monkeypatch, when):
    playing = AsyncFleet({"id": "tests.rollouts.test_fleet_opponents:Numbers"}, n=8, workers=2, seed=5)
    learner = says(0)
    for _ in range(3):
        playing.collect(learner, steps=4)
    if when == "before":
        cluster.kill(playing._board)
    else:
        kill_first(cluster, playing, monkeypatch)
    rows = sum(playing.collect(learner, steps=4).decisions for _ in range(20))
    assert rows >= 20 * 16
    assert 1 <= playing.roster.restarts <= 4
    playing.close()


def kill_first(cluster, playing, monkeypatch):
    """The next time that workers are waited for, the board is lost, and what they have done is of no use."""
    gather = playing._gather

    def lose():
        monkeypatch.undo()
        cluster.kill(playing._board)
        for place in range(playing.workers):
            playing._abandon(place)
        return gather()

    monkeypatch.setattr(playing, "_gather", lose)
