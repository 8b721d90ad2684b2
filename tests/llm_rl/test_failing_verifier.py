"""A verifier that crashes or hangs in training: an invalid sample, which is counted, and no wrong answer."""

import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import envs
import move37
from agents.networks import to_arrays
from llm_rl.grpo import GRPO
from llm_rl.solver import Solver
from move37.evaluate import evaluate
from tests.envs.text.toy_tasks import Double

HERE = "tests.llm_rl.test_failing_verifier"
AGENT = {
    "model": {"size": "XS", "context": 32},
    "max_new": 6,
    "problems": 2,
    "group_size": 8,
    "advantage": "group_std",
}


class Moody(Double):
    """Crashes on every completion of an even number of characters, and hangs once."""

    def __init__(self, flag: str = ""):
        super().__init__()
        self.flag = flag

    def verify(self, completion, question):
        if len(completion) % 2 == 0:
            raise RuntimeError("on purpose")
        if not Path(self.flag).exists():
            Path(self.flag).touch()
            time.sleep(600)
        return super().verify(completion, question)


class Fussy(Double):
    """Crashes on every odd number."""

    def verify(self, completion, question):
        if question.data % 2:
            raise RuntimeError("on purpose")
        return super().verify(completion, question)


def worth(rollout):
    """A reward that tries of a fresh model differ in."""
    return np.vectorize(lambda text: float(len(set(text))), otypes=[np.float32])(rollout.actions)


def test_what_fails_is_counted_and_teaches_nothing(tmp_path, monkeypatch):
    flag, seen, learn = tmp_path / "hung", [], GRPO.learn
    monkeypatch.setattr(GRPO, "learn", lambda self, rollout: seen.append(rollout) or learn(self, rollout))
    config = {
        "env": {"id": f"{HERE}:Moody", "n": 8, "deadline": 2.0, "flag": str(flag)},
        "agent": {"kind": "grpo", **AGENT},
        "reward": {"env": 1.0, f"{HERE}:worth": 0.1},
        "budget": {"env_steps": 32},
        "log": {"every": 0},
        "device": "cpu",
        "threads": 1,
    }
    lines = move37.train(config, out=tmp_path / "run").metrics()
    assert len(lines) == len(seen) == 2
    for line, rollout in zip(lines, seen):
        crashed = np.vectorize(lambda text: len(text) % 2 == 0)(rollout.actions)
        failed = rollout.parts["error"] > 0
        assert 0 < crashed.sum() < crashed.size
        assert not (crashed & ~failed).any()
        assert line["invalid"] == failed.mean()
        assert line["learned_from"] <= 1 - failed.mean()
        assert line["grad_norm"] > 0
    assert (seen[0].parts["error"] > 0).sum() > np.sum([len(t) % 2 == 0 for t in seen[0].actions.flat])
    assert flag.exists()  # so one of them hung

    env, after = envs.make("text/Addition-v0", 1), []
    spaces = env.single_observation_space, env.single_action_space
    for paid in (0.0, 100.0):  # whatever a failed try would be worth, it moves nothing
        learner = GRPO(*spaces, **AGENT, lr=1e-2, warmup=0)
        before = to_arrays(learner.actor.network)
        learn(learner, replace(seen[0], rewards=seen[0].rewards + paid * seen[0].parts["error"]))
        after.append(to_arrays(learner.actor.network))
    for name, array in after[0].items():
        np.testing.assert_array_equal(array, after[1][name], err_msg=name)
    assert any((array != before[name]).any() for name, array in after[0].items())


def test_a_failed_verifier_is_no_wrong_answer_in_an_evaluation_nor_in_imitation(tmp_path):
    """A solver is always right: what the verifier fails on lowers neither its success nor its return."""
    config = {
        "env": {"id": f"{HERE}:Fussy", "n": 16},
        "agent": {
            "kind": "imitation",
            "student": {"kind": "language", "model": {"size": "XS", "context": 64}, "max_new": 16},
            "expert": {"kind": "solver", "strategies": {"direct": 1.0}},
            "episodes": 64,
        },
        "budget": {"env_steps": 256},
        "log": {"every": 0},
        "threads": 1,
    }
    run = move37.train(config, out=tmp_path / "run")
    for line in run.metrics():
        assert 0.2 < line["invalid"] < 0.8
        assert line["kept"] == pytest.approx(1 - line["invalid"])
        assert line["return"] == 1.0
    with closing(envs.make(f"{HERE}:Fussy", 16)) as env:
        solver = Solver(env.single_observation_space, env.single_action_space, strategies={"direct": 1.0})
        found = evaluate(solver, env, episodes=64)
    assert (found["success"], found["mean_return"]) == (1.0, 1.0)
    assert found["success_interval"][1] == 1.0
    assert 0.2 < found["invalid"] < 0.8
    assert found["episodes"] == round(64 * (1 - found["invalid"]))
