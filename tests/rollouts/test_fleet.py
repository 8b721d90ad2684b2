import os
import sys

import numpy as np
import pytest

from envs.options import OptionError
from rollouts.agent import Agent, Decision
from rollouts.fleet import Fleet, FleetError
from rollouts.sampler import Sampler
from tests.rollouts.test_sampler import same
from tests.toys import Walk, coin

WALK = {"id": "tests.toys:Walk"}


@pytest.fixture(scope="module")
def cluster():
    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield ray
    ray.shutdown()


def fleet(local, workers=2, n=6, **kwargs):
    return Fleet(WALK, n=n, workers=workers, seed=5, local=local, **kwargs)


def test_local_workers_are_samplers_side_by_side():
    agent = coin(Walk(1))
    whole = fleet(True).collect(agent, steps=12)
    one = Sampler(Walk(3), seed=5, worker=0).collect(agent, steps=12)
    two = Sampler(Walk(3), seed=5, worker=1).collect(agent, steps=12)
    np.testing.assert_array_equal(whole.obs, np.concatenate([one.obs, two.obs], 1))
    np.testing.assert_array_equal(whole.final_obs[whole.final_at[:, 1] >= 3], two.final_obs)
    assert len(np.unique(whole.ended["episode"])) == len(whole.ended["episode"])
    ends = whole.terminated | whole.truncated
    np.testing.assert_array_equal(ends[whole.ended["time"], whole.ended["slot"]], True)


def test_workers_of_different_lengths_are_padded():
    r = fleet(True).collect(coin(Walk(1)), episodes=20, group_size=2)
    assert len(r.ended["length"]) == 20
    assert r.valid.sum() == r.ended["length"].sum()
    assert len(np.unique(r.ended["group"])) == 10


def test_ray_equals_the_same_workers_in_process(cluster):
    here, there = fleet(True), fleet(False)
    agent = coin(Walk(1))
    for version in range(3):
        agent.bias = float(version)
        a, b = here.collect(agent, steps=8), there.collect(agent, steps=8)
        same(a, b)
        assert (b.version == version).all()
        assert (b.fields["bias"] == version).all()  # the weights that acted are those of that version
        here.sync(agent)
        there.sync(agent)
    state = there.get_state()
    a = there.collect(agent, episodes=12, group_size=3)
    same(here.collect(agent, episodes=12, group_size=3), a)
    again = fleet(True)
    assert again.set_state(state)
    same(again.collect(agent, episodes=12, group_size=3), a)
    there.close()


def test_a_killed_worker_is_named(cluster):
    there = fleet(False)
    there.collect(coin(Walk(1)), steps=2)
    cluster.kill(there.workers[1])
    with pytest.raises(FleetError, match="worker 1 of 2 was lost"):
        there.collect(coin(Walk(1)), steps=2)
    there.close()


class Threads(Agent):
    """Tells how many threads torch and Atari games, once loaded, would use in the process where it acts."""

    def __init__(self, observation_space, action_space):
        pass

    def act(self, obs, *, rng, first, memory=None, explore=True):
        from envs.atari import _threads

        assert "torch" not in sys.modules  # it reads the environment when it is loaded
        rows = np.full((len(first), 2), (int(os.environ["OMP_NUM_THREADS"]), _threads()))
        return Decision(np.zeros(len(first), np.int64), fields={"threads": rows})


def test_a_worker_has_one_thread_whatever_the_driver_has(cluster, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    there = fleet(False)
    assert (there.collect(Threads(None, None), steps=1).fields["threads"] == 1).all()
    there.close()


def test_what_is_wrong_in_a_worker_is_raised_in_its_own_words(cluster):
    with pytest.raises(OptionError, match="has no option 'longst'; did you mean 'longest'") as error:
        Fleet({**WALK, "longst": 1}, n=2, workers=2)
    assert error.value.option == "longst"


def test_slots_that_cannot_be_shared_out():
    with pytest.raises(ValueError, match="4 slots cannot be shared out evenly to 3 workers"):
        Fleet(WALK, n=4, workers=3, local=True)
