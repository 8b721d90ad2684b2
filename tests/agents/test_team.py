"""Learners on Ray: as one alone, and what happens when one is lost."""

import os
import time

import numpy as np
import pytest
import torch

import envs
from agents.ppo import PPO
from agents.team import Team
from rollouts.fleet import FleetError
from rollouts.reward import Reward
from rollouts.sampler import Sampler

OPTIONS = {"seed": 1, "device": "cpu", "n_steps": 16, "minibatch_size": 40, "epochs": 2}


class Frail(PPO):
    """Has a fault where a file says so, in any process but the driver's."""

    def __init__(self, observation_space, action_space, *, folder="", home=0, **options):
        super().__init__(observation_space, action_space, **options)
        self.folder, self.away = folder, os.getpid() != home

    def _minibatches(self, experience):
        for k, index in enumerate(super()._minibatches(experience)):
            if k == 1 and self.away:
                self._fail()
            yield index

    def _fail(self):
        for fault in ("die", "hang", "raise", "raise always"):
            path = os.path.join(self.folder, fault)
            if os.path.exists(path):
                if fault != "raise always":
                    os.unlink(path)
                if fault == "die":
                    os._exit(1)
                if fault == "hang":
                    time.sleep(1e6)
                raise ZeroDivisionError("went wrong")


@pytest.fixture(scope="module", autouse=True)
def ray_here():
    import ray

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    ray.init(address="local", num_cpus=3, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()
    torch.set_num_threads(threads)


def frail(folder):
    """(learner, its team of two, a function that plays for it)."""
    env = envs.make("CartPole-v1", n=8)
    spaces = env.single_observation_space, env.single_action_space
    options = {**OPTIONS, "folder": str(folder), "home": os.getpid()}
    learner, sampler = Frail(*spaces, **options), Sampler(env, seed=2)

    def play():
        rollout = sampler.collect(learner.actor, **learner.wants)
        Reward({"env": 1.0})(rollout)
        return rollout

    spec = {"path": "tests.agents.test_team:Frail", "options": options}
    return learner, Team(spec, spaces, learners=2, patience=8.0), play


@pytest.mark.parametrize(
    "faults",
    [
        {"die": "killed, or out of memory"},
        pytest.param({"raise": "went wrong", "hang": "no answer in 8 seconds"}, marks=pytest.mark.slow),
    ],
)
def test_a_team_learns_what_one_alone_does_and_goes_on_when_others_fail(tmp_path, faults):
    (learner, team, play), (alone, _, _) = frail(tmp_path), frail(tmp_path)

    def turn():
        """An update of the team, and of one alone; whether these are the same."""
        rollout = play()
        told, told_alone = team.learn(learner, rollout), alone.learn(rollout)
        if "policy_loss" in told:
            assert {k: told[k] for k in told_alone} == pytest.approx(told_alone, rel=1e-3, abs=1e-4)
            for name, array in learner.weights().items():
                np.testing.assert_allclose(array, alone.weights()[name], rtol=1e-3, atol=2e-4)
        alone.load_state_dict(learner.state_dict())
        return told

    assert turn()["learners"] == 2
    turn()
    assert team.take_news() == []
    for restarts, (fault, why) in enumerate(faults.items(), 1):
        (tmp_path / fault).touch()
        before = {name: array.copy() for name, array in learner.weights().items()}
        assert turn() == {"learners": 2, "learners/restarts": restarts}  # one step was made, and no more
        assert any((before[name] != array).any() for name, array in learner.weights().items())
        (said,) = team.take_news()
        assert said.startswith(f"a learner was lost ({why})")
        assert turn()["learners/restarts"] == restarts
    team.close()


@pytest.mark.slow
def test_who_is_lost_again_and_again_stops_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr("agents.team.RETRIES", 1)
    learner, team, play = frail(tmp_path)
    (tmp_path / "raise always").touch()
    team.learn(learner, play())
    with pytest.raises(FleetError, match=r"^learners were lost in 2 updates in a row \(went wrong\)$"):
        team.learn(learner, play())
    team.close()


def test_more_learners_than_cores_are_an_error_that_says_what_is_there(tmp_path, monkeypatch):
    monkeypatch.setattr("agents.team.PATIENCE", 0.5)
    learner, team, play = frail(tmp_path)
    team.learners = 6
    said = "6 learners: 5 of them found no place within 0.5 seconds; Ray has 3 cores and 0 GPUs in all"
    with pytest.raises(FleetError, match=f"^{said}$"):
        team.learn(learner, play())


def test_what_goes_wrong_here_is_raised_as_it_is(tmp_path):
    learner, team, play = frail(tmp_path)
    rollout = play()
    rollout.rewards[:] = np.nan
    with pytest.raises(FloatingPointError, match="the gradient is not finite"):
        team.learn(learner, rollout)
    team.close()
