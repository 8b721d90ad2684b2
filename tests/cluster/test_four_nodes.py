"""Runs, tournaments and pass@k studies on four simulated machines, of which one dies while they work."""

import json
import sys

import pytest

import move37
from agents.ppo import PPO
from llm_rl.grpo import GRPO
from move37.passk import run as passk_run
from move37.passk import sampling
from move37.passk.run import run_passk
from move37.passk.watch import Watcher as TriesWatcher
from move37.tournament.play import run_tournament
from move37.tournament.watch import Watcher as GamesWatcher
from search.alphazero import AlphaZero
from tests.cluster.census import Census
from tests.cluster.machines import Machines
from tests.move37.runs import Diary
from tests.move37.test_passk import samples
from tests.move37.test_tournament import lines

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")


@pytest.fixture(scope="module")
def cluster():
    machines = Machines()
    yield machines
    machines.close()


@pytest.fixture
def machines(cluster):
    yield cluster
    cluster.restore()


class Killer(Diary):
    """Kills a machine at which someone works, at an update."""

    def __init__(self, machines, at):
        super().__init__()
        self.machines, self.at, self.killed = machines, at, False

    def update(self, record):
        super().update(record)
        if record["updates"] >= self.at and not self.killed:
            self.killed = self.machines.kill()


def config(machines, agent, env, steps, **sampler):
    return {
        "device": "cpu",
        "threads": 1,
        "env": env,
        "agent": agent,
        "sampler": {"workers": 3, "patience": 60.0} | sampler,
        "cluster": {"address": machines.address},
        "budget": {"env_steps": steps},
        "log": {"every": 0},
    }


NETWORK = {"kind": "vector", "hidden": [8]}
PLAYED = {
    "ppo": (PPO, {"n_steps": 8, "epochs": 1, "network": NETWORK}, {"id": "CartPole-v1", "n": 6}, 3_000),
    "alphazero": (
        AlphaZero,
        {
            "network": {"kind": "mlp", "hidden": [8]},
            "search": {"simulations": 4},
            "n_steps": 3,
            "batch_size": 16,
        },
        {"id": "board/TicTacToe-v0", "n": 6},
        900,
    ),
    "grpo": (
        GRPO,
        {
            "problems": 6,
            "group_size": 4,
            "max_new": 4,
            "lr": 1e-2,
            "warmup": 0,
            "model": {"size": "XS", "context": 64},
        },
        {"id": "text/Parity-v0", "n": 12, "level": 1},
        600,
    ),
}


def outlives(machines, tmp_path, monkeypatch, kind, **sampler):
    """A run during which a machine dies; its last line, and what was counted beside it."""
    learner, agent, env, steps = PLAYED[kind]
    census, killer = Census(monkeypatch, learner), Killer(machines, at=4)
    wanted = config(machines, {"kind": kind} | agent, env, steps, **sampler)
    found = move37.train(wanted, out=tmp_path / "run", observer=killer).metrics()
    assert killer.killed
    last = found[-1]
    assert last["env_steps"] == census.learned >= steps
    assert last["updates"] == census.updates == len(found)
    assert last["episodes"] == len(census.over) > 0
    assert last["fleet/restarts"] == 1
    (news,) = [line for line in killer.warnings if "takes its place" in line]
    assert "was lost" in news
    return census


def test_training_outlives_one_of_two_machines(tmp_path, monkeypatch):
    machines = Machines(2)
    try:
        outlives(machines, tmp_path, monkeypatch, "ppo", workers=2, **{"async": True})
    finally:
        machines.close()


@pytest.mark.slow
@pytest.mark.parametrize("play_on", [False, True])
@pytest.mark.parametrize("kind", PLAYED)
def test_training_outlives_one_of_four_machines(machines, tmp_path, monkeypatch, kind, play_on):
    census = outlives(machines, tmp_path, monkeypatch, kind, **{"async": play_on})
    assert 3 in census.numbers or play_on  # in step, the new one played too


SMALL = """
env: {id: board/ConnectFour-v0}
entrants: {a: random, b: "uct:20", c: "uct:60"}
pairs: 200
at_once: 4
threads: 1
"""
"""Takes longer than Ray, a second or two, to find that a machine is gone."""


@pytest.mark.slow
@pytest.mark.parametrize("workers", [3, 4])
def test_a_tournament_outlives_a_machine(machines, tmp_path, capsys, workers):
    """With a core to spare, and without one: the others play its games."""
    path = tmp_path / "tournament.yaml"
    path.write_text(SMALL)
    alone = run_tournament(path, (), out=tmp_path / "alone")
    killed = []

    class Kills(GamesWatcher):
        batches = 0

        def played(self):
            self.batches += 1
            if self.batches == 20:  # all have begun
                killed.append(machines.kill())

    there = [f"workers={workers}", f"cluster.address={machines.address}"]
    told = run_tournament(path, there, out=tmp_path / "there", watcher=Kills())
    assert killed == [True]
    assert "takes its place" in capsys.readouterr().err
    assert told["games"] == alone["games"] == 1_200
    assert lines(tmp_path / "there") == lines(tmp_path / "alone")
    assert [p["score"] for p in told["players"]] == [p["score"] for p in alone["players"]]


STUDY = {
    "policies": {
        "coin": {"player": "tests.tryers:Coin", "options": {"right": 0.3}},
        "solver": {"player": "tests.tryers:Coin", "options": {"right": 1.0}},
    },
    "threads": 1,
}
TASKS = {"Addition": {"level": 3}, "Functions": {}}  # the second's answers are programs, run in processes
SAMPLES = {"Addition": 512, "Functions": 32}
"""So many that they take longer than Ray needs to find that a machine is gone."""


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_a_study_outlives_a_machine(machines, tmp_path, capsys, monkeypatch, task):
    monkeypatch.setattr(sampling, "TRIES", 8)
    monkeypatch.setattr(sampling, "EPISODES", 8)
    monkeypatch.setattr(passk_run, "draw", lambda folder, told: [])
    study = STUDY | {"env": {"id": f"text/{task}-v0"} | TASKS[task], "samples": SAMPLES[task]}
    study["problems"] = {"new": {"count": 5, "env": {"split": "test"}}}
    path = tmp_path / "study.yaml"
    path.write_text(json.dumps(study))
    alone = run_passk(path, out=tmp_path / "alone")
    killed = []

    class Kills(TriesWatcher):
        def sampled(self, part, columns):
            if not killed:
                killed.append(machines.kill())

    there = ["workers=4", f"cluster.address={machines.address}"]
    told = run_passk(path, there, out=tmp_path / "there", watcher=Kills())
    assert killed == [True]
    assert "takes its place" in capsys.readouterr().err
    assert samples(tmp_path / "there") == samples(tmp_path / "alone")
    assert told["sets"] == alone["sets"]
