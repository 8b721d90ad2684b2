"""`learners: 2` from a config: the run is as with one learner, resumes, and says what befell."""

import numpy as np
import pytest

import move37
from move37.errors import UserError
from move37.run import Run

CONFIG = {
    "seed": 1,
    "device": "cpu",
    "threads": 1,
    "env": {"id": "CartPole-v1", "n": 4},
    "agent": {"kind": "ppo", "n_steps": 16, "minibatch_size": 32, "epochs": 1},
    "budget": {"env_steps": 256},
    "log": {"every": 0},
}


@pytest.fixture(scope="module")
def cluster():
    import ray

    ray.init(address="local", num_cpus=4, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


def lines(run):
    return [{k: v for k, v in line.items() if not k.startswith("time/")} for line in run.metrics()]


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_a_run_with_two_learners_is_that_with_one_and_goes_on_when_resumed(tmp_path, cluster, workers):
    played = [f"sampler.workers={workers}"]
    one = move37.train(CONFIG, played, out=tmp_path / "one")
    half = move37.train(CONFIG, [*played, "learners=2", "budget.env_steps=128"], out=tmp_path / "two")
    two = move37.resume(half.path, overrides=["budget.env_steps=256"])
    assert len(lines(one)) == 4
    for alone, both in zip(lines(one), lines(two), strict=True):
        assert both["learners"] == 2
        assert both["learners/restarts"] == 0
        assert {k: both[k] for k in alone} == pytest.approx(alone, rel=1e-2, abs=1e-3, nan_ok=True)
    weights, others = two.agent.weights(), one.agent.weights()
    for name, array in weights.items():
        np.testing.assert_allclose(array, others[name], rtol=1e-2, atol=1e-3)
    assert Run.load(two.path).config.learners == 2


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("learners=0", "learners: must be greater than or equal to 1"),
        ("sampler.gpus=1", "sampler: gpus is what each worker has: give workers too"),
    ],
)
def test_what_cannot_be(tmp_path, override, said):
    with pytest.raises(UserError) as told:
        move37.train(CONFIG, [override], out=tmp_path / "run")
    assert said in str(told.value)
