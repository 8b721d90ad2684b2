"""A run that is killed in the middle of an update and resumed is the run that never stopped."""

import io
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

import move37
from move37.checkpoint import CheckpointFolder
from move37.dashboard import Lines
from move37.errors import RunError, UserError
from tests.move37.runs import Diary, plain
from tests.toy_learner import ToyLearner, toy_config

PPO = {
    "seed": 3,
    "device": "cpu",
    "threads": 1,
    "env": {"id": "arcade/Breakout-v1", "n": 8},
    "agent": {
        "kind": "ppo",
        "n_steps": 16,
        "epochs": 2,
        "minibatch_size": 32,
        "network": {"kind": "grid", "channels": 4, "hidden": 16},
        "normalise_obs": False,
    },
    "reward": {"env": 1.0, "normalise": 0.1},
    "budget": {"env_steps": 8 * 16 * 8},
    "evaluate": {"every": 512, "episodes": 4},
    "checkpoint": {"every": 256},
    "log": {"every": 0},
}
DQN = {
    "seed": 3,
    "device": "cpu",
    "threads": 1,
    "env": {"id": "arcade/Breakout-v1", "n": 4},
    "agent": {
        "kind": "dqn",
        "batch_size": 16,
        "learning_starts": 128,
        "replay_ratio": 4,
        "replay_capacity": 300,
        "target_every": 100,
        "network": {"kind": "grid", "channels": 4, "hidden": 16},
    },
    "budget": {"env_steps": 640},
    "checkpoint": {"every": 128},
    "log": {"every": 64},
}
ALPHAZERO = {
    "seed": 3,
    "device": "cpu",
    "threads": 1,
    "env": {"id": "board/ConnectFour-v0", "n": 8, "random_plies": [0, 4]},
    "agent": {
        "kind": "alphazero",
        "network": {"kind": "resnet", "blocks": 1, "channels": 8},
        "search": {"simulations": 8, "cache": 256},
        "fast": {"share": 0.5, "simulations": 3},
        "resign": {"below": 0.5},
        "gate": {"every": 150, "pairs": 2, "simulations": 2, "score": 0.4},
        "replay_capacity": 300,
        "window": 100,
        "batch_size": 32,
        "n_steps": 5,
    },
    "budget": {"env_steps": 1200},
    "checkpoint": {"every": 160},
    "log": {"every": 0},
}
KILLED = """
import json, os, signal, sys
import move37
from {package} import {module}

right, calls = {module}.apply_gradients, []

def killed(*args, **kwargs):
    calls.append(1)
    if len(calls) == {call}:
        os.kill(os.getpid(), signal.SIGKILL)
    return right(*args, **kwargs)

{module}.apply_gradients = killed
move37.train(json.loads(sys.argv[1]), out=sys.argv[2])
"""


def same(a, b, path=""):
    """Asserts that two trees are equal, number for number; segments by their arrays."""
    a, b = getattr(a, "arrays", a), getattr(b, "arrays", b)
    if isinstance(a, dict):
        assert a.keys() == b.keys(), path
        for k in a:
            same(a[k], b[k], f"{path}/{k}")
    elif isinstance(a, list):
        assert len(a) == len(b), path
        for i, (x, y) in enumerate(zip(a, b)):
            same(x, y, f"{path}/{i}")
    else:
        np.testing.assert_array_equal(a, b, err_msg=path)


def check(config, module, call, tmp_path):
    """Train straight; train until killed in the `call`-th gradient step, and resume; compare everything."""
    package, _, module = module.rpartition(".")
    script = KILLED.format(package=package, module=module, call=call)
    killed = subprocess.Popen([sys.executable, "-c", script, json.dumps(config), str(tmp_path / "run")])
    straight = move37.train(config, out=tmp_path / "straight")
    assert killed.wait() == -9
    before = plain(move37.Run.load(tmp_path / "run").metrics())
    assert 0 < len(before) < len(straight.metrics())
    saved = CheckpointFolder(tmp_path / "run").load()["tally"]["env_steps"]
    with open(tmp_path / "run" / "metrics.jsonl", "a") as file:
        file.write('{"env_steps": 12')  # as if the kill had torn a line
    resumed = move37.resume(tmp_path / "run")
    assert plain(resumed.metrics()) == plain(straight.metrics())
    a, b = (CheckpointFolder(run.path).load() for run in (straight, resumed))
    for state in (a, b):
        state.pop("seconds")
    same(a, b)
    same(straight.agent.weights(), resumed.agent.weights())
    return before[-1]["env_steps"], saved


def test_ppo_resumes_exactly(tmp_path):
    steps = 2 * 4  # gradient steps an update
    written, saved = check(
        PPO, "agents.ppo", 4 * steps + steps + 3, tmp_path
    )  # in the sixth of eight updates
    assert int(written) == 5 * 128
    assert saved == 4 * 128  # so that a line was cut


@pytest.mark.parametrize("kind", ["dqn", pytest.param("rainbow", marks=pytest.mark.slow)])
def test_dqn_resumes_exactly(tmp_path, kind):
    config = DQN | {"agent": DQN["agent"] | {"kind": kind}}
    check(
        config, "agents.dqn", (460 - 128) * 4 // 16, tmp_path
    )  # after 460 of 640 env steps, the replay full


@pytest.mark.parametrize(
    "search",
    [{"reuse": True}, pytest.param({"rule": "gumbel", "leaves": 2, "cache": 0}, marks=pytest.mark.slow)],
)
def test_alphazero_resumes_exactly(tmp_path, search):
    agent = ALPHAZERO["agent"] | {"search": ALPHAZERO["agent"]["search"] | search}
    check(
        ALPHAZERO | {"agent": agent}, "search.alphazero", 80, tmp_path
    )  # games half played, the replay full


SWITCHED = {
    "agent.search.reuse": (True, False),
    "agent.resign": ({"below": 0.5, "control": 0.5}, None),
    "agent.fast": ({"simulations": 3}, None),
    "agent.gate": ({"every": 60, "pairs": 1, "simulations": 2}, None),
}


@pytest.mark.parametrize("to", ["on", "off"])
@pytest.mark.parametrize("key", SWITCHED)
def test_options_of_self_play_can_be_switched_on_resume(tmp_path, key, to):
    """With games half played: what the other way of playing remembered begins afresh."""
    config = ALPHAZERO | {"budget": {"env_steps": 200}, "checkpoint": {"every": 200}}
    plain_agent = {k: v for k, v in ALPHAZERO["agent"].items() if k not in ("fast", "resign", "gate")}
    on, off = (f"{key}={json.dumps(value)}" for value in SWITCHED[key])
    begun, then = (off, on) if to == "on" else (on, off)
    run = move37.train(config | {"agent": plain_agent}, [begun], out=tmp_path / "run")
    run = move37.resume(run.path, overrides=[then, "budget.env_steps=400"])
    assert run.metrics()[-1]["env_steps"] == 400
    matched = [line["env_steps"] > 200 for line in run.metrics() if "gate_score" in line]
    assert set(matched) == ({to == "on"} if key == "agent.gate" else set())
    state = CheckpointFolder(run.path).load()["learner"]
    if state["gate"] is None:  # self-play is by the newest network
        same(state["actor"], state["network"])


def test_resume_of_a_finished_run_changes_nothing(tmp_path):
    run = move37.train(toy_config(evaluate={"every": 48, "episodes": 2}), out=tmp_path / "run")
    before = {p: p.read_bytes() for p in run.path.rglob("*") if p.is_file() and "events" not in p.name}
    diary = Diary()
    move37.resume(run.path, trust=True, observer=diary)
    assert {
        p: p.read_bytes() for p in run.path.rglob("*") if p.is_file() and "events" not in p.name
    } == before
    assert diary.summary["env_steps"] == 160
    assert diary.heard == ["idle", "close"]
    assert diary.text == (
        f"{run.path} is finished: 160 of 160 env steps; to go on, give it a larger budget, "
        "as in budget.env_steps=320"
    )


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        ({"seconds": 1e-3}, r"0:0\d of 0:00; .* as in budget\.seconds="),
        (
            {"target_success": 0.01},
            r"success of 0\.01 was reached; .*higher goal with budget\.target_success=",
        ),
        ({"target_return": 1.0}, r"return \S+ of the wanted 1; .*higher goal with budget\.target_return="),
    ],
)
def test_every_kind_of_spent_budget_is_told(tmp_path, budget, said):
    config = toy_config(budget=budget, evaluate={"every": 32, "episodes": 10})
    run = move37.train(config, out=tmp_path / "run")
    diary = Diary()
    move37.resume(run.path, trust=True, observer=diary)
    assert re.search(said, diary.text)
    assert diary.heard == ["idle", "close"]


def test_resume_without_any_checkpoint_starts_from_the_beginning(tmp_path):
    straight = move37.train(toy_config(), out=tmp_path / "straight")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_bytes((straight.path / "config.yaml").read_bytes())
    (tmp_path / "run" / "metrics.jsonl").write_text('{"env_steps": 16, "updates": 1}\n')
    diary = Diary()
    resumed = move37.resume(tmp_path / "run", trust=True, observer=diary)
    assert plain(resumed.metrics()) == plain(straight.metrics())
    assert diary.warnings[0].startswith("no checkpoint: starts from the beginning")
    assert diary.info["history"] == []


def test_a_resumed_run_shows_its_whole_curve(tmp_path):
    run = move37.train(toy_config(), out=tmp_path / "run")
    out = io.StringIO()
    lines = Lines(out)
    move37.resume(run.path, trust=True, observer=lines, overrides=["budget.env_steps=320"])
    assert lines.progress.returns.x == [float(r["env_steps"]) for r in run.metrics()]
    assert lines.progress.returns.x[0] == 16
    title = out.getvalue().splitlines()[0]
    assert title == f"tests.toy_learner:ToyLearner on tests.toys:Walk · {run.path} · goes on from 160 steps"


def test_overrides_on_resume_are_kept(tmp_path):
    run = move37.train(toy_config(), out=tmp_path / "run")
    resumed = move37.resume(run.path, trust=True, overrides=["budget.env_steps=192"])
    assert resumed.metrics()[-1]["env_steps"] == 192
    assert move37.Run.load(run.path).config.budget.env_steps == 192
    with pytest.raises(UserError, match=r"override 'budget\.steps=1': budget\.steps: unknown key"):
        move37.resume(run.path, trust=True, overrides=["budget.steps=1"])
    assert move37.Run.load(run.path).config.budget.env_steps == 192


@pytest.mark.parametrize("seeds", [{}, {"seeds": [1, 2]}])
def test_an_override_that_breaks_the_build_changes_nothing(tmp_path, monkeypatch, seeds):
    """Whatever it raises: a plain resume still works, and no config says what was never trained."""
    run = move37.train(toy_config(**seeds), out=tmp_path / "run")
    before = {p: p.read_bytes() for p in run.path.rglob("config.yaml")}
    assert len(before) == 1 + len(seeds.get("seeds", []))

    def broken(*args):
        raise AssertionError("a bug")

    with monkeypatch.context() as patch:
        patch.setattr(ToyLearner, "load_state_dict", broken)
        with pytest.raises(AssertionError):
            move37.resume(run.path, trust=True, overrides=["agent.lr=0.5", "budget.env_steps=320"])
    assert {p: p.read_bytes() for p in run.path.rglob("config.yaml")} == before
    move37.resume(run.path, trust=True, overrides=["agent.lr=0.5", "budget.env_steps=320"])
    after = [move37.Run.load(p.parent).config for p in before]
    assert [(c.agent.options["lr"], c.budget.env_steps) for c in after] == [(0.5, 320)] * len(before)


def test_the_entropy_that_a_run_began_with_is_remembered(tmp_path, monkeypatch):
    learn = ToyLearner.learn

    def sure(self, rollout):
        return learn(self, rollout) | {"entropy": 0.5 if self.updates == 1 else 0.005}

    monkeypatch.setattr(ToyLearner, "learn", sure)
    run = move37.train(toy_config(), out=tmp_path / "run")
    diary = Diary()
    move37.resume(run.path, trust=True, observer=diary, overrides=["budget.env_steps=1600"])
    assert any("entropy collapsed to 0.005 (it began at 0.5)" in text for text in diary.warnings)


@pytest.mark.parametrize("key", ["seconds", "sampler", "tally"])
def test_a_checkpoint_that_lacks_something_is_told(tmp_path, key):
    run = move37.train(toy_config(), out=tmp_path / "run")
    file = run.path / "checkpoints" / "160" / "tree.json"
    tree = json.loads(file.read_text())
    del tree[key]
    file.write_text(json.dumps(tree))
    with pytest.raises(UserError, match=rf"checkpoints/160: does not fit the config .*KeyError: '{key}'$"):
        move37.resume(run.path, trust=True)


def test_the_best_goes_back_with_the_rest(tmp_path, monkeypatch):
    """A best that was found after the checkpoint is forgotten with all else that came after it."""
    from move37 import loop

    scores = {16: 1.0, 32: 5.0, 48: 2.0, 64: 2.0, 80: 9.0}

    def score(*args, **kwargs):
        value = next(remaining)
        return {"mean_return": value, "interval": [value, value], "mean_length": 1.0}

    class Broken(Diary):
        def update(self, record):
            if record["env_steps"] == 80:
                raise RuntimeError("the power went")

    def best():
        return sorted(p.name for p in (tmp_path / "run" / "checkpoints").glob("best*"))

    monkeypatch.setattr(loop, "evaluate", score)
    remaining = iter(scores.values())
    config = toy_config(evaluate={"every": 16}, checkpoint={"every": 64})
    with pytest.raises(RunError, match="the power went"):
        move37.train(config, out=tmp_path / "run", observer=Broken())
    assert best() == ["best", "best-32", "best-80"]
    remaining = iter([3.0] * 10)
    run = move37.resume(tmp_path / "run", trust=True)
    assert best() == ["best", "best-32"]
    assert (run.path / "checkpoints" / "best").resolve().name == "best-32"


def test_seeds_resume_where_each_stands(tmp_path):
    config = toy_config(seeds=[1, 2], checkpoint={"every": 64})
    straight = move37.train(config, out=tmp_path / "straight")

    class Broken(Diary):
        def update(self, record):
            super().update(record)
            if len(self.records) == 16:
                raise RuntimeError("the power went")

    with pytest.raises(RunError, match="the power went"):
        move37.train(config, out=tmp_path / "run", observer=Broken())
    diary = Diary()
    resumed = move37.resume(tmp_path / "run", trust=True, observer=diary)
    assert [r["env_steps"] for r in diary.records] == [80, 96, 112, 128, 144, 160]
    for a, b in zip(straight.runs(), resumed.runs(), strict=True):
        assert plain(a.metrics()) == plain(b.metrics())


def test_another_architecture_is_told(tmp_path):
    run = move37.train(toy_config(), out=tmp_path / "run")
    with pytest.raises(UserError, match=r"checkpoints/160: does not fit .*\[3\], not \[4\]") as error:
        move37.resume(run.path, trust=True, overrides=["agent.layers=[4]"])
    assert "\n" not in str(error.value)
    assert move37.Run.load(run.path).config == run.config
    file = run.path / "config.yaml"
    file.write_text(file.read_text().replace("tests.toys:Walk", "CartPole-v1"))
    with pytest.raises(
        UserError, match=r"checkpoints/160: is of env 'tests.toys:Walk', but the config's is 'CartPole-v1'"
    ):
        move37.resume(run.path, trust=True)


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("seed=5", "seed"),
        ("seeds=[1, 2]", "seeds"),
        ("env.id=CartPole-v1", "env.id"),
        ("agent={kind: ppo}", "agent.kind"),
    ],
)
def test_what_makes_a_run_that_run_cannot_be_overridden(tmp_path, override, key):
    run = move37.train(toy_config(), out=tmp_path / "run")
    said = rf"^override '{re.escape(override)}': {key} cannot change in a run that has begun; begin a new run"
    with pytest.raises(UserError, match=said):
        move37.resume(run.path, trust=True, overrides=[override])
    assert move37.Run.load(run.path).config == run.config
    assert not list(run.path.glob("seed-*"))
    move37.resume(run.path, trust=True, overrides=["seed=0"])  # as it was


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("agent.layers=[4]", r"agent\.layers was \[3\], is \[4\]"),
        ("env.n=2", r"env\.n was 4, is 2"),
        ("sampler.workers=2", r"sampler\.workers was 0, is 2"),
        ("reward.normalise=1", r"reward\.normalise was not there, is 1\.0"),
    ],
)
def test_what_a_checkpoint_does_not_fit_is_named_with_old_and_new(tmp_path, monkeypatch, override, said):
    from move37 import build
    from rollouts.fleet import Fleet

    monkeypatch.setattr(build, "start_ray", lambda *a: None)
    monkeypatch.setattr(build, "Fleet", lambda env, **kwargs: Fleet(env, **kwargs, local=True))
    run = move37.train(toy_config(), out=tmp_path / "run")
    with pytest.raises(UserError, match=rf"160: does not fit the config \({said}\): "):
        move37.resume(run.path, trust=True, overrides=[override, "budget.env_steps=320"])
    assert move37.Run.load(run.path).config == run.config


def test_another_architecture_of_ppo_is_told(tmp_path):
    config = {
        "env": {"id": "CartPole-v1", "n": 2},
        "agent": {"kind": "ppo", "n_steps": 8, "network": {"kind": "vector", "hidden": [8]}},
        "budget": {"env_steps": 16},
    }
    run = move37.train(config, out=tmp_path / "run")
    with pytest.raises(UserError, match=r"checkpoints/16: does not fit") as error:
        move37.resume(run.path, overrides=["agent.network.hidden=[9]", "budget.env_steps=32"])
    assert "\n" not in str(error.value)


def test_games_that_cannot_be_saved_start_afresh_and_the_run_says_so(tmp_path, monkeypatch):
    from tests.toys import Walk

    monkeypatch.setattr(Walk, "can_save", False)
    run = move37.train(toy_config(), out=tmp_path / "run")
    diary = Diary()
    move37.resume(run.path, trust=True, observer=diary, overrides=["budget.env_steps=320"])
    assert diary.warnings[0].startswith("games of tests.toys:Walk were not saved and start afresh")
    assert run.metrics()[-1]["env_steps"] == 320


def test_tensorboard_hides_what_was_cut(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    class Broken(Diary):
        def update(self, record):
            if record["updates"] == 7:
                raise RuntimeError("the power went")

    with pytest.raises(RunError, match="the power went"):
        move37.train(toy_config(checkpoint={"every": 80}), out=tmp_path / "run", observer=Broken())
    first = [p for p in (tmp_path / "run").iterdir() if "events" in p.name]
    os.rename(first[0], tmp_path / "run" / "events.out.tfevents.1.old")  # sorts first, as a day-old one would
    run = move37.resume(tmp_path / "run", trust=True)
    board = EventAccumulator(str(run.path)).Reload()
    assert [e.step for e in board.Scalars("noise")] == [r["env_steps"] for r in run.metrics()]
