"""Language models in the one loop: a run that is killed and resumed is the run that never stopped."""

import json
import subprocess
import sys

import numpy as np
import pytest

import move37
from move37.checkpoint import CheckpointFolder
from move37.errors import UserError
from tests.move37.runs import plain
from tests.move37.test_resume import same

COMMON = {"seed": 3, "device": "cpu", "threads": 1, "log": {"every": 0}}
MODEL = {"size": "XS", "context": 32}
WORTH = "tests.llm_rl.test_resume_text:worth"
SFT = COMMON | {
    "env": {"id": "text/Addition-v0", "n": 8, "level": 2, "split": "train"},
    "agent": {
        "kind": "imitation",
        "student": {"kind": "language", "model": MODEL, "max_new": 4},
        "expert": {"kind": "solver", "strategies": {"steps": 1.0, "direct": 1.0}},
        "episodes": 16,
        "batch_size": 8,
    },
    "budget": {"env_steps": 16 * 6},
    "evaluate": {"every": 64, "episodes": 4, "explore": True, "env": {"split": "test"}},
    "checkpoint": {"every": 48},
}
GRPO = COMMON | {
    "env": {"id": "text/GuessNumber-v0", "n": 4},
    "agent": {
        "kind": "grpo",
        "model": {"size": "XS", "context": 96},
        "max_new": 4,
        "problems": 2,
        "group_size": 4,
        "kl": {"coef": 0.01},
        "epochs": 2,
        "minibatches": 2,
    },
    "reward": {"success": 1.0, WORTH: 0.1},
    "budget": {"env_steps": 56 * 5},
    "checkpoint": {"every": 100},
}
TOKENS = GRPO | {"budget": {"tokens": 400}}
CASES = {
    "sft": (SFT, "agents.imitation:apply_gradients", 2 * 4 + 1),
    "grpo": (GRPO, "llm_rl.generate:Generator.__call__", 14 * 3 + 4),
}
"""A config, and where its run is killed: in the fifth of six updates; as it samples in the fourth."""
KILLED = """
import functools, importlib, json, os, signal, sys
import agents.imitation, llm_rl.grpo, llm_rl.solver, move37, move37.training

def dying(right, last, calls=0):
    def call(*args, **kwargs):
        nonlocal calls
        calls += 1
        if calls == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return right(*args, **kwargs)
    return call

ends = []
for name, (config, path, call) in json.loads(sys.argv[1]).items():
    child = os.fork()  # so that what takes long is imported once
    if not child:
        module, _, names = path.partition(":")
        *inner, last = names.split(".")
        owner = functools.reduce(getattr, inner, importlib.import_module(module))
        setattr(owner, last, dying(getattr(owner, last), call))
        move37.train(config, out=f"{sys.argv[2]}/{name}")
        os._exit(0)
    ends.append(os.WTERMSIG(os.waitpid(child, 0)[1]))
print(json.dumps(ends))
"""


def worth(rollout):
    """A reward that tries of a fresh model differ in: how many different characters they wrote."""
    return np.vectorize(lambda text: float(len(set(text))), otypes=[np.float32])(rollout.actions)


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """The folder of runs that were killed, while others trained here without a stop."""
    folder = tmp_path_factory.mktemp("killed")
    command = [sys.executable, "-c", KILLED, json.dumps(CASES), str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    for name, (config, _, _) in CASES.items():
        move37.train(config, out=folder / "straight" / name)
    out, _ = process.communicate()
    assert json.loads(out) == [9] * len(CASES)
    return folder


@pytest.mark.parametrize("name", CASES)
def test_it_resumes_exactly(killed, name):
    straight = move37.Run.load(killed / "straight" / name, trust=True)
    before = plain(move37.Run.load(killed / name).metrics())
    saved = CheckpointFolder(killed / name).load()["tally"]["updates"]
    assert 0 < saved < len(before) < len(straight.metrics())  # so that a line is cut
    resumed = move37.resume(killed / name, trust=True)
    assert plain(resumed.metrics()) == plain(straight.metrics())
    assert resumed.metrics()[-1]["grad_norm"] > 0
    states = [CheckpointFolder(run.path).load() for run in (straight, resumed)]
    for state in states:
        state.pop("seconds")
    same(*states)
    same(straight.agent.weights(), resumed.agent.weights())


def test_a_run_begins_with_the_weights_of_another_and_goes_on_with_its_own(killed, tmp_path):
    first = move37.Run.load(killed / "straight" / "grpo", trust=True)
    begun = [f"init={first.path}", "budget.env_steps=56", "agent.lr=0.0"]
    run = move37.train(GRPO, begun, out=tmp_path / "run")
    before = run.agent.weights()
    same(before, first.agent.weights())
    on = ["init=nowhere", "budget.env_steps=112", "agent.lr=1e-2"]
    after = move37.resume(run.path, trust=True, overrides=on).agent.weights()
    assert any((after[name] != array).any() for name, array in before.items())


def test_a_budget_of_tokens_is_what_the_model_wrote(tmp_path):
    run = move37.train(TOKENS, out=tmp_path / "run")
    counts = [record["tokens"] for record in run.metrics()]
    assert counts[-1] >= 400 > counts[-2]
    shorter = move37.train(TOKENS | {"budget": {"tokens": 150}}, out=tmp_path / "gone_on")
    assert len(shorter.metrics()) < len(counts)
    run = move37.resume(shorter.path, trust=True, overrides=["budget.tokens=400"])
    assert [record["tokens"] for record in run.metrics()] == counts


def test_a_budget_of_tokens_needs_a_learner_that_writes(tmp_path):
    config = {
        "env": {"id": "CartPole-v1", "n": 2},
        "agent": {"kind": "ppo"},
        "budget": {"tokens": 400},
    }
    with pytest.raises(UserError, match=r"config: budget\.tokens counts what .*'ppo' writes nothing"):
        move37.train(config, out=tmp_path / "run")
