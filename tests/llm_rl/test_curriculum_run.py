"""A curriculum, sampling again, and PPO on tokens, as runs: they say what they do, and resume exactly."""

import numpy as np
import pytest

import move37
from move37.checkpoint import CheckpointFolder
from move37.errors import UserError
from tests.move37.runs import plain
from tests.move37.test_resume import same

WORTH = "tests.llm_rl.test_curriculum_run:worth"
CONFIG = {
    "seed": 1,
    "device": "cpu",
    "threads": 1,
    "env": {"id": "text/Mixed-v0", "n": 8, "families": {"Addition": [1, 2], "Parity": 1}},
    "agent": {
        "kind": "grpo",
        "model": {"size": "XS", "context": 32},
        "max_new": 4,
        "problems": 4,
        "group_size": 4,
    },
    "sampler": {"curriculum": {"memory": 2}},
    "reward": {"success": 1.0, WORTH: 1.0},
    "budget": {"env_steps": 16 * 6},
    "log": {"every": 0},
}
KINDS = {
    "resample": {"problems": 4, "resample": 3},
    "ppo": {"problems": 16, "group_size": 1, "advantage": "gae", "epochs": 2, "minibatches": 2},
}


def worth(rollout):
    """How many different characters were written, at every other problem; so some groups differ."""
    written = np.vectorize(lambda text: float(len(set(text))), otypes=[np.float32])(rollout.actions)
    return np.where(rollout.seed % 2 == 0, written, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_stops_and_goes_on_is_the_one_that_never_stopped(tmp_path, kind):
    config = {**CONFIG, "agent": {**CONFIG["agent"], **KINDS[kind]}}
    straight = move37.train(config, out=tmp_path / "straight")
    stopped = move37.train(config, ["budget.env_steps=16"], out=tmp_path / "stopped")
    saved = CheckpointFolder(stopped.path).load()["learner"]
    assert (saved["held"] is not None) == (kind == "resample")
    resumed = move37.resume(stopped.path, trust=True, overrides=["budget.env_steps=96"])
    assert plain(resumed.metrics()) == plain(straight.metrics())
    same(straight.agent.weights(), resumed.agent.weights())
    last = straight.metrics()[-1]
    assert last["env_steps"] == 96
    assert 0 < last["gradient_steps"] <= (24 if kind == "ppo" else 3)
    labels = ["problems/Addition-1", "problems/Addition-2", "problems/Parity-1"]
    assert sum(last[name] for name in labels) == pytest.approx(1)


def test_a_curriculum_that_has_nothing_to_choose_is_told():
    for overrides, said in (
        (["env={id: text/Parity-v0, n: 8}"], "sampler.curriculum: text/Parity-v0 has no several levels"),
        (["sampler.curriculum={flor: 0.1}"], "did you mean 'sampler.curriculum.floor'"),
        (["env={id: CartPole-v1}", "agent={kind: ppo}"], "starts whole episodes"),
    ):
        with pytest.raises(UserError, match=said):
            move37.train(CONFIG, [*overrides, "reward={env: 1.0}"], out="unused")
