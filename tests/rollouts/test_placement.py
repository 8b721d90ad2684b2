"""GPUs as Ray gives them: what is told of them here, so that no real one is needed."""

import os

import numpy as np
import pytest

from rollouts import placement
from rollouts.build import placed
from rollouts.fleet import Fleet
from rollouts.placement import reserve_gpu
from tests.toys import Coin


class OnDevice(Coin):
    """Writes down where it was told to act, and what GPUs its process sees."""

    def __init__(self, observation_space, action_space, *, device="cpu"):
        super().__init__(observation_space, action_space)
        self.device = device

    def act(self, obs, **given):
        decision = super().act(obs, **given)
        seen = int(os.environ.get("CUDA_VISIBLE_DEVICES") or -1)
        told = {"cuda": np.full(len(obs), self.device == "cuda"), "gpu": np.full(len(obs), seen)}
        return type(decision)(decision.actions, None, {**decision.fields, **told})

    def spec(self):
        return {"path": "tests.rollouts.test_placement:OnDevice", "options": {}}


class Anywhere(Coin):
    """Knows of no devices."""

    def __init__(self, observation_space, action_space):
        super().__init__(observation_space, action_space)


@pytest.fixture(scope="module", autouse=True)
def two_gpus():
    import ray

    ray.init(address="local", num_cpus=2, num_gpus=2, include_dashboard=False, logging_level="ERROR")
    yield
    placement._holders.clear()
    ray.shutdown()


def test_the_drivers_gpu_is_its_own_and_workers_share_the_other():
    import envs

    mine = reserve_gpu()
    assert mine in ("cuda:0", "cuda:1")
    assert reserve_gpu() == mine  # for as long as the process lives
    env = envs.make("CartPole-v1")
    agent = OnDevice(env.single_observation_space, env.single_action_space)
    playing = Fleet({"id": "CartPole-v1"}, n=4, workers=2, gpus=0.5)
    rollout = playing.collect(agent, steps=3)
    assert rollout.fields["cuda"].all()
    assert set(rollout.fields["gpu"].flat) == {1 - int(mine[-1])}
    playing.close()


def test_where_none_is_left_it_says_so():
    placement._holders.clear()
    import ray

    while ray.available_resources().get("GPU", 0) < 2:
        pass
    taken = reserve_gpu(), placement._holders.pop()
    also = reserve_gpu(), placement._holders.pop()
    assert {taken[0], also[0]} == {"cuda:0", "cuda:1"}
    with pytest.raises(ValueError, match=r"^Ray has no GPU left on this machine \(0 in all are free\)"):
        reserve_gpu(within=2.0)


def test_only_who_has_a_device_is_placed():
    coin = {"path": "tests.rollouts.test_placement:Anywhere", "options": {}}
    assert placed(coin, {"device": "cuda"}) == coin
    ours = {"path": "tests.rollouts.test_placement:OnDevice", "options": {}}
    assert placed(ours, {"device": "cuda"})["options"] == {"device": "cuda"}
    assert placed(ours, {}) == ours
