import json
import os
import subprocess
import sys

import numpy as np
import pytest

import move37
from move37.cli import main
from move37.config import make_config
from move37.errors import UserError
from move37.origin import Origin
from move37.run import Run
from tests.toy_learner import ToyActor, toy_config

CARTPOLE = {
    "threads": 1,
    "env": {"id": "CartPole-v1", "n": 2},
    "agent": {"kind": "ppo", "n_steps": 8, "network": {"kind": "vector", "hidden": [8]}},
    "budget": {"env_steps": 32},
    "checkpoint": {"every": 16},
    "evaluate": {"every": 16, "episodes": 2},
}


@pytest.fixture(scope="module")
def cartpole(tmp_path_factory):
    return move37.train(CARTPOLE, out=tmp_path_factory.mktemp("runs") / "cartpole").path


@pytest.fixture
def toy(tmp_path):
    return move37.train(toy_config(), out=tmp_path / "toy").path


def test_the_agent_acts_with_the_trained_weights(cartpole):
    run = Run.load(cartpole)
    assert run.checkpoints()[-3:] == ["32", "last", "best"]
    early, late = run.agent_at("16").weights(), run.agent.weights()
    assert any(not np.array_equal(early[k], late[k]) for k in late)
    again = Run.load(cartpole).agent_at("last").weights()
    assert all(np.array_equal(again[k], late[k]) for k in late)


def test_evaluate_sums_up_whole_episodes(cartpole):
    result = Run.load(cartpole).evaluate(20, n=6)
    assert len(result["returns"]) == result["episodes"] == 20
    assert result["mean_return"] == pytest.approx(np.mean(result["returns"])) == result["mean_length"]
    low, high = result["interval"]
    assert min(result["returns"]) <= low < result["mean_return"] < high <= max(result["returns"])
    assert Run.load(cartpole).evaluate(20, n=6) == result
    assert Run.load(cartpole).evaluate(20, n=6, seed=1)["returns"] != result["returns"]
    assert Run.load(cartpole).evaluate(20, "best")["episodes"] == 20
    json.dumps(result)


def test_evaluate_says_success_where_the_environment_knows_it(toy, capsys):
    result = Run.load(toy, trust=True).evaluate(50)
    evens = np.mean([r % 2 == 0 for r in result["returns"]])
    assert result["success"] == pytest.approx(evens)
    assert main(["eval", str(toy), "--trust", "--episodes", "50"]) == 0
    assert f", success {evens:.1%} [" in capsys.readouterr().out


def test_explore_is_the_configs_unless_asked(cartpole):
    run = Run.load(cartpole)
    assert (run.explores(), run.explores(True)) == (False, True)
    assert run.evaluate(8)["returns"] != run.evaluate(8, explore=True)["returns"]


def test_what_is_no_run_is_told(tmp_path, toy):
    with pytest.raises(UserError, match=r"nothing: no run folder \(it has no config\.yaml\)$"):
        Run.load(tmp_path / "nothing")
    with pytest.raises(UserError, match=rf"no run folder .*; there are runs inside: {toy}"):
        Run.load(tmp_path)
    (toy / "config.yaml").write_text("env: [")
    with pytest.raises(UserError, match=r"config\.yaml:1: not YAML"):
        Run.load(toy)


def test_a_checkpoint_that_is_not_there_is_told(cartpole):
    with pytest.raises(UserError, match=r"no checkpoint '99'; there is: 16, 32, last, best"):
        Run.load(cartpole).agent_at("99")


def test_code_in_a_run_folder_is_followed_only_with_trust(toy, monkeypatch):
    monkeypatch.setattr(ToyActor, "__init__", lambda *a, **k: pytest.fail("ran code"))
    run = Run.load(toy)
    assert run.metrics()[-1]["env_steps"] == 160  # looking is free
    for action in (
        lambda: run.agent,
        lambda: run.make_env(1),
        lambda: run.evaluate(1),
        lambda: move37.resume(toy),
    ):
        with pytest.raises(UserError) as error:
            action()
        assert "config.yaml: names code (tests.toy_learner:ToyLearner, tests.toys:Walk)" in str(error.value)
        assert "--trust" in str(error.value)
    monkeypatch.undo()
    assert Run.load(toy, trust=True).agent.weights()["bias"].shape == (3,)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"env": {"id": "evil:Env-v0", "n": 2}}, "evil:Env-v0"),
        ({"env": {"id": "evil:some-space/Env-v0", "n": 2}}, "evil:some-space/Env-v0"),
        ({"env": {"id": "CartPole-v1", "n": 2, "wrap": "evil.mod:Wrapper"}}, "evil.mod:Wrapper"),
        ({"reward": {"evil.mod:bonus": 1}}, "evil.mod:bonus"),
        ({"agent": {"kind": "ppo", "network": {"kind": "evil:Net"}}}, "evil:Net"),
    ],
)
def test_code_anywhere_in_the_config_is_found(cartpole, tmp_path, change, path):
    config = Run.load(cartpole).config.plain() | change
    (tmp_path / "config.yaml").write_text(json.dumps(config))
    for action in (lambda: Run.load(tmp_path).agent, lambda: move37.resume(tmp_path)):
        with pytest.raises(UserError, match=rf"names code \({path}\)"):
            action()


def forge(cartpole, tmp_path, spec):
    """A copy of a run whose checkpoint says that its agent is `spec`."""
    import shutil

    copy = tmp_path / "forged"
    shutil.copytree(cartpole, copy, symlinks=True)
    file = copy / "checkpoints" / "last" / "actor" / "tree.json"
    tree = json.loads(file.read_text())
    file.write_text(json.dumps(tree | {"spec": spec}))
    return copy


def test_code_in_a_checkpoint_needs_trust_and_must_be_an_agent(cartpole, tmp_path):
    copy = forge(cartpole, tmp_path, {"path": "os:system", "options": {}})
    with pytest.raises(UserError, match=r"checkpoint last: names code \(os:system\)"):
        Run.load(copy).agent  # noqa: B018
    with pytest.raises(UserError, match=r"does not fit its config: 'os:system' is no rollouts\.agent\.Agent"):
        Run.load(copy, trust=True).agent  # noqa: B018


@pytest.mark.parametrize("path", ["my-mod:Thing-v0", "évil:Thing", "my-mod:Thing"])
def test_what_reads_unlike_an_import_path_is_never_followed(cartpole, tmp_path, monkeypatch, path):
    module = path.partition(":")[0]
    (tmp_path / f"{module}.py").write_text("raise SystemExit('code ran')")
    monkeypatch.chdir(tmp_path)
    copy = forge(cartpole, tmp_path, {"path": path, "options": {}})
    for trust in (False, True):
        with pytest.raises(UserError, match=f"'{path}' is no import path"):
            Run.load(copy, trust).agent  # noqa: B018
    config = Run.load(cartpole).config.plain() | {"env": {"id": path, "n": 2}}
    (copy / "config.yaml").write_text(json.dumps(config))
    for action in (lambda: Run.load(copy).make_env(), lambda: move37.resume(copy)):
        with pytest.raises(UserError, match=f"'{path}' is no import path"):
            action()
    assert module not in sys.modules


def test_an_agent_acts_on_the_device_that_is_asked_for(cartpole, monkeypatch):
    assert Run.load(cartpole).agent.device.type == "cpu"
    with pytest.raises(UserError, match=r"cuda:99 is not there"):
        Run.load(cartpole, device="cuda:99").agent  # noqa: B018
    monkeypatch.setattr("move37.build.pick_device", lambda device: "meta" if device == "auto" else device)
    assert Run.load(cartpole, device="auto").agent.device.type == "meta"  # of whose tensors none has numbers


def test_a_learner_is_built_on_the_config_s_device(monkeypatch):
    from move37 import build
    from tests.toy_learner import ToyLearner

    asked = []
    made = ToyLearner.__init__

    def noting(self, *args, device, **options):
        asked.append(device)
        made(self, *args, **options)

    config = make_config(toy_config())
    monkeypatch.setattr(ToyLearner, "__init__", noting)
    monkeypatch.setattr(build, "pick_device", lambda device: f"the one for {device}")
    build.build(config, Origin("config")).env.close()
    assert asked == ["the one for cpu"]


def test_evaluating_and_watching_heed_the_config_s_threads(cartpole):
    import torch

    from move37.cli import main

    before = torch.get_num_threads()
    try:
        for action in (
            lambda: Run.load(cartpole).evaluate(2),
            lambda: main(["eval", str(cartpole), "--episodes", "2"]),
            lambda: main(["watch", str(cartpole), "--json"]),
        ):
            torch.set_num_threads(2)
            action()
            assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_a_checkpoint_of_another_architecture_is_told(cartpole, tmp_path):
    spec = json.loads((cartpole / "checkpoints" / "last" / "actor" / "tree.json").read_text())["spec"]
    spec["options"]["network"] = {"kind": "vector", "hidden": [16]}
    with pytest.raises(UserError, match="checkpoint last does not fit its config") as error:
        Run.load(forge(cartpole, tmp_path, spec)).agent  # noqa: B018
    assert "\n" not in str(error.value)


def test_a_torn_last_line_of_metrics_is_dropped(toy):
    lines = len(Run.load(toy).metrics())
    with open(toy / "metrics.jsonl", "a") as file:
        file.write('{"env_steps": 170, "upd')
    assert len(Run.load(toy).metrics()) == lines


def test_opening_a_run_imports_nothing_heavy(cartpole):
    code = f"""
import sys
from move37 import Run
Run.load({str(cartpole)!r}).metrics()
heavy = {{"torch", "numba", "ray", "tensorboard", "gymnasium"}} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.skipif(sys.platform != "linux", reason="looks at the OpenMP of Linux")
def test_threads_of_torch_hold_before_its_first_backward_pass():
    """Numba's pool, when it starts, changes the number that torch reads: torch must be set last."""
    code = """
import ctypes, torch
from move37.build import set_threads
openmp = ctypes.CDLL("libgomp.so.1")  # the one that is loaded already
assert openmp.omp_get_max_threads() == torch.get_num_threads() == 2
set_threads(1)
assert openmp.omp_get_max_threads() == 1
"""
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "OMP_NUM_THREADS": "2"})
