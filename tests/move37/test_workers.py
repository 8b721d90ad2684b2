"""A run on real Ray workers, from the command line; and one of them is killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import move37
from move37 import build
from move37.checkpoint import CheckpointFolder
from move37.errors import RunError
from rollouts.fleet import Fleet, FleetError
from tests.move37.runs import Diary, plain
from tests.toy_learner import toy_config

CONFIG = {
    "device": "cpu",
    "threads": 1,
    "env": {"id": "arcade/Breakout-v1", "n": 4},
    "agent": {"kind": "ppo", "n_steps": 16, "epochs": 1, "network": {"channels": 4, "hidden": 8}},
    "sampler": {"workers": 2},
    "log": {"every": 0},
}
SHORT, ENDLESS = {"env_steps": 320}, {"env_steps": 10**9}
BOTH = """
import sys
from move37.cli import main

if code := main(["train", "short.yaml", "--json"]):
    sys.exit(code)
sys.exit(main(["train", "endless.yaml", "--json"]))
"""


@pytest.fixture
def local(monkeypatch):
    """The same workers in this process."""
    monkeypatch.setattr(build, "start_ray", lambda *a: None)
    monkeypatch.setattr(build, "Fleet", lambda env, **kwargs: Fleet(env, **kwargs, local=True))


def workers_of(pid: int) -> list[int]:
    """The Ray actors among the processes that descend from `pid`, by Linux' own account."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            command = (folder / "cmdline").read_bytes()
        except (OSError, IndexError):
            continue
        if parent == pid:
            child = int(folder.name)
            found += [child] if b"RemoteWorker" in command else workers_of(child)
    return found


def lines_of(path: Path) -> int:
    return path.read_text().count("\n") if path.exists() else 0


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_a_killed_worker_costs_nothing_but_the_games_in_progress(tmp_path, local):
    for name, budget in (("short", SHORT), ("endless", ENDLESS)):
        (tmp_path / f"{name}.yaml").write_text(json.dumps(CONFIG | {"budget": budget}))
    path = tmp_path / "runs" / "endless"
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    both = subprocess.Popen([sys.executable, "-c", BOTH], cwd=tmp_path, env=environment, **pipes)
    try:
        while lines_of(path / "metrics.jsonl") < 3 and both.poll() is None:
            time.sleep(0.1)
        os.kill(workers_of(both.pid)[-1], signal.SIGKILL)
        out, err = both.communicate(timeout=60)
    finally:
        both.kill()

    assert both.returncode == 1
    assert json.loads(out)["env_steps"] == 320  # of the short run; nobody else says anything on stdout
    here = move37.train(CONFIG | {"budget": SHORT}, out=tmp_path / "here")
    assert plain(here.metrics()) == plain(move37.Run.load(tmp_path / "runs" / "short").metrics())

    state, seen = CheckpointFolder(path).load(), lines_of(path / "metrics.jsonl")
    steps = state["tally"]["env_steps"]
    assert state["tally"]["updates"] == seen >= 3
    assert [line for line in err.splitlines() if line.startswith("move37: ")] == [err.splitlines()[-1]]
    assert f"stopped after {steps:,} env steps: worker " in err
    assert f"the checkpoint of {steps:,} env steps is good. Go on" in err
    diary = Diary()
    resumed = move37.resume(path, observer=diary, overrides=[f"budget.env_steps={steps + 128}"])
    assert diary.warnings[0].startswith("games of arcade/Breakout-v1 were not saved and start afresh")
    assert [line["updates"] for line in resumed.metrics()] == list(range(1, seen + 3))


@pytest.mark.parametrize(("method", "call", "steps"), [("collect", 4, 48), ("get_state", 3, 64)])
def test_a_worker_lost_at_any_time_leaves_a_checkpoint(tmp_path, local, monkeypatch, method, call, steps):
    """While playing, or while its games are asked for, which is when a session begins and every 32 steps."""
    right, calls = getattr(Fleet, method), []

    def failing(self, *args, **kwargs):
        calls.append(1)
        if len(calls) == call:
            raise FleetError("worker 1 of 2 was lost (killed)")
        return right(self, *args, **kwargs)

    config = toy_config(sampler={"workers": 2}, checkpoint={"every": 32})
    straight = move37.train(config, out=tmp_path / "straight")
    monkeypatch.setattr(Fleet, method, failing)
    with pytest.raises(RunError, match=rf"after {steps} env steps: .* of {steps} env steps is good"):
        move37.train(config, out=tmp_path / "run")
    diary = Diary()
    resumed = move37.resume(tmp_path / "run", trust=True, observer=diary)
    assert "start afresh" in diary.warnings[0]
    lines, wanted = plain(resumed.metrics()), plain(straight.metrics())
    assert lines[: steps // 16] == wanted[: steps // 16]
    assert [r["noise"] for r in lines] == [r["noise"] for r in wanted]  # the learner lost nothing
    states = [CheckpointFolder(run.path).load()["sampler"]["workers"][0] for run in (straight, resumed)]
    assert [state["restarts"] for state in states] == [0, 1]  # so that the games are new ones
