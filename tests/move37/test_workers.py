"""Runs on real Ray workers, in step and not; and what becomes of them when one of these is killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import move37
import move37.config
from move37 import build
from move37.checkpoint import CheckpointFolder
from move37.errors import RunError, UserError
from move37.origin import Origin
from move37.yaml_text import parse_yaml
from rollouts import roster
from rollouts.asynchronous import AsyncFleet
from rollouts.fleet import Fleet, FleetError
from search.alphazero import AlphaZero
from tests.llm_rl.test_grpo import learner_of, low_ones, rollout_of
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


class InProcess(Fleet):
    """With workers as plain objects."""

    def __init__(self, env, **kwargs):
        super().__init__(env, **kwargs, local=True)


@pytest.fixture
def local(monkeypatch):
    """The same workers in this process."""
    monkeypatch.setattr(build, "start_ray", lambda *a: None)
    monkeypatch.setattr(build, "Fleet", InProcess)


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


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_a_killed_worker_is_replaced_and_costs_nothing_but_its_games(tmp_path, local):
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
        seen = lines_of(path / "metrics.jsonl")
        while lines_of(path / "metrics.jsonl") < seen + 5 and both.poll() is None:
            time.sleep(0.1)
        both.send_signal(signal.SIGTERM)
        out, err = both.communicate(timeout=60)
    finally:
        both.kill()

    assert both.returncode == 130
    assert json.loads(out)["env_steps"] == 320  # of the short run; nobody else says anything on stdout
    here = move37.train(CONFIG | {"budget": SHORT}, out=tmp_path / "here")
    assert plain(here.metrics()) == plain(move37.Run.load(tmp_path / "runs" / "short").metrics())

    state, lines = CheckpointFolder(path).load(), move37.Run.load(path).metrics()
    steps = state["tally"]["env_steps"]
    assert "was lost (killed, or out of memory); worker 2 takes its place" in err
    assert state["tally"]["updates"] == len(lines)
    assert [line["env_steps"] for line in lines] == [64 * (i + 1) for i in range(len(lines))]
    restarts = [line["fleet/restarts"] for line in lines]
    assert restarts[0] == 0
    assert restarts[-1] == state["sampler"]["restarts"] == 1
    assert sorted(state["sampler"]["numbers"]) in ([0, 2], [1, 2])
    diary = Diary()
    resumed = move37.resume(path, observer=diary, overrides=[f"budget.env_steps={steps + 128}"])
    assert not diary.warnings  # all games were saved, those of the new worker too
    assert [line["updates"] for line in resumed.metrics()] == list(range(1, len(lines) + 3))


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
    states = [CheckpointFolder(run.path).load()["sampler"] for run in (straight, resumed)]
    assert [state["workers"][0]["restarts"] for state in states] == [0, 1]  # so that the games are new ones
    assert [state["numbers"] for state in states] == [[0, 1], [2, 3]]  # and their ids


# -- in step, every learner ------------------------------------------------------------------------------

NETWORK = {"kind": "vector", "hidden": [8]}
REPLAYED = {"collect_steps": 8, "learning_starts": 32, "n_step": 3, "batch_size": 16, "network": NETWORK}
CARTS, BOARDS = {"id": "CartPole-v1", "n": 4}, {"id": "board/TicTacToe-v0", "n": 4}
WRITER = {"model": {"size": "XS", "context": 64}, "max_new": 4}
ALL = {
    "ppo": (CARTS, {"n_steps": 8, "epochs": 2, "network": NETWORK}),
    "impala": (CARTS, {"n_steps": 8, "network": NETWORK, "lstm": 4}),
    "dqn": (CARTS, REPLAYED),
    "rainbow": (CARTS, REPLAYED),
    "alphazero": (BOARDS, {"network": {"kind": "mlp", "hidden": [8]}, "search": {"simulations": 4}}),
    "grpo": ({"id": "text/Parity-v0", "n": 4, "level": 1}, {"problems": 4, "group_size": 4, **WRITER}),
    "imitation": (
        {"id": "text/Parity-v0", "n": 4, "level": 1},
        {"student": {"kind": "language", **WRITER}, "expert": {"kind": "solver"}, "episodes": 32},
    ),
}
MORE = {"alphazero": {"n_steps": 3, "batch_size": 16}, "grpo": {"lr": 1e-2, "warmup": 0}}


def all_lines(tmp_path, name, kind, workers):
    env, agent = ALL[kind]
    config = {"device": "cpu", "threads": 1, "env": env, "log": {"every": 0}, "budget": {"env_steps": 160}}
    config |= {"agent": {"kind": kind} | agent | MORE.get(kind, {}), "sampler": {"workers": workers}}
    if kind == "grpo":
        config["reward"] = {"tests.llm_rl.test_grpo:low_ones": 1.0}
    lines = plain(move37.train(config, out=tmp_path / name).metrics())
    assert len(lines) > 2
    assert float(lines[-1].get("gradient_steps", 1)) > 0
    return lines


@pytest.mark.parametrize("kind", ALL)
def test_one_worker_is_as_good_as_none(local, tmp_path, kind):
    here, there = (all_lines(tmp_path, str(workers), kind, workers) for workers in (0, 1))
    assert [{k: v for k, v in line.items() if not k.startswith("fleet/")} for line in there] == here


@pytest.fixture(scope="module")
def cluster():
    """For the runs of this process, which find Ray started."""
    import ray

    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield ray
    ray.shutdown()


FAST = ("impala",)  # in the fast run; those of ppo, alphazero and text are elsewhere


@pytest.mark.parametrize("kind", [pytest.param(k, marks=[pytest.mark.slow] * (k not in FAST)) for k in ALL])
def test_two_workers_on_ray_are_as_two_in_this_process(cluster, tmp_path, monkeypatch, kind):
    there = all_lines(tmp_path, "there", kind, 2)
    monkeypatch.setattr(build, "Fleet", InProcess)
    assert all_lines(tmp_path, "here", kind, 2) == there


# -- workers that play on --------------------------------------------------------------------------------


ASYNC = {"workers": 2, "async": True}
LEARNERS = {
    "ppo": {"n_steps": 8, "epochs": 1, "network": NETWORK},
    "impala": {"n_steps": 8, "network": NETWORK, "lstm": 4},
    "dqn": {"collect_steps": 8, "learning_starts": 64, "n_step": 3, "batch_size": 16, "network": NETWORK},
}


def walks(folder, kind, steps, **options):
    """A run on walks that have the faults of `folder`."""
    return {
        "device": "cpu",
        "threads": 1,
        "env": {"id": "tests.faults:Faulty", "folder": str(folder), "n": 4, **options},
        "agent": {"kind": kind} | LEARNERS[kind],
        "reward": {"normalise": 1.0},
        "sampler": ASYNC | {"patience": 20.0},
        "budget": {"env_steps": steps},
        "log": {"every": 0},
    }


class Counting(Diary):
    """Counts the rows of the rollouts that learners are given."""

    def __init__(self, monkeypatch):
        super().__init__()
        self.rows, right = 0, AsyncFleet.collect

        def collect(fleet, *args, **kwargs):
            rollout = right(fleet, *args, **kwargs)
            self.rows += int(rollout.valid.sum())
            return rollout

        monkeypatch.setattr(AsyncFleet, "collect", collect)


@pytest.mark.parametrize(
    "kind", ["dqn", *(pytest.param(k, marks=pytest.mark.slow) for k in ("ppo", "impala"))]
)
def test_training_goes_on_when_a_worker_dies_and_is_resumed(cluster, tmp_path, monkeypatch, kind):
    (tmp_path / "faults").mkdir()
    (tmp_path / "faults" / "die").touch()
    diary = Counting(monkeypatch)
    config = walks(tmp_path / "faults", kind, 640, after=40)
    run = move37.train(config, out=tmp_path / "run", observer=diary)
    lines = run.metrics()
    assert [w for w in diary.warnings if "takes its place" in w]
    assert lines[-1]["env_steps"] == diary.rows >= 640
    assert lines[-1]["fleet/restarts"] == 1
    assert all(np.isfinite(line["fleet/lag"]) for line in lines)
    state = CheckpointFolder(run.path).load()
    assert state["sampler"]["workers"] == []
    assert state["sampler"]["next"] == 3

    diary = Counting(monkeypatch)
    more = ["budget.env_steps=960"]
    resumed = move37.resume(run.path, trust=True, observer=diary, overrides=more).metrics()
    assert "start afresh" in diary.warnings[0]
    assert resumed[-1]["env_steps"] == lines[-1]["env_steps"] + diary.rows
    assert [line["updates"] for line in resumed] == list(range(1, len(resumed) + 1))
    assert CheckpointFolder(run.path).load()["sampler"]["next"] == 5


@pytest.mark.slow
def test_what_no_worker_survives_leaves_a_checkpoint_that_goes_on(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(roster, "RETRIES", 1)
    faults = tmp_path / "faults"
    faults.mkdir()

    class Ruin(Diary):
        def update(self, record):
            super().update(record)
            if record["updates"] == 6:
                (faults / "always").touch()

    with pytest.raises(RunError, match=r"was lost \(it raised ZeroDivisionError.*\), as were 1 before it"):
        move37.train(walks(faults, "ppo", 10**6), out=tmp_path / "run", observer=Ruin())
    state = CheckpointFolder(tmp_path / "run").load()
    lines = move37.Run.load(tmp_path / "run").metrics()
    assert state["tally"]["env_steps"] == lines[-1]["env_steps"]
    assert state["sampler"]["next"] >= 4
    (faults / "always").unlink()
    steps = lines[-1]["env_steps"] + 64
    more = move37.resume(tmp_path / "run", trust=True, overrides=[f"budget.env_steps={steps}"]).metrics()
    assert more[-1]["env_steps"] >= steps


@pytest.mark.slow
def test_alphazero_drops_what_is_left_of_lost_games(cluster, tmp_path, monkeypatch):
    config = {
        "device": "cpu",
        "threads": 1,
        "env": {"id": "board/TicTacToe-v0", "n": 8},
        "agent": {"kind": "alphazero", "network": {"kind": "mlp", "hidden": [8]}},
        "sampler": ASYNC,
        "budget": {"env_steps": 700},
        "log": {"every": 0},
    }
    config["agent"] |= {"search": {"simulations": 4}, "n_steps": 3, "batch_size": 16}
    right, learners = AsyncFleet.collect, []

    def collect(fleet, *args, **kwargs):
        if fleet.version in (6, 12):
            cluster.kill(fleet.roster.places[0].actor, no_restart=True)
        return right(fleet, *args, **kwargs)

    def learn(learner, rollout):
        learners.append(learner)
        metrics = learned(learner, rollout)
        over = np.concatenate([rollout.ended["episode"], [-1]])
        assert set(learner.pending["episode"]) <= set(rollout.episode.ravel()) - set(over)
        return metrics

    learned = AlphaZero.learn
    monkeypatch.setattr(AsyncFleet, "collect", collect)
    monkeypatch.setattr(AlphaZero, "learn", learn)
    run = move37.train(config, out=tmp_path / "run")
    assert run.metrics()[-1]["fleet/restarts"] == 2
    played = learners[0].positions.head + len(learners[0].pending["episode"])
    lost = run.metrics()[-1]["env_steps"] - played
    assert 0 <= lost <= 2 * 4 * 9  # of two workers with four games of nine plies at most


def test_grpo_weighs_what_older_weights_wrote(cluster, tmp_path):
    config = {
        "device": "cpu",
        "threads": 1,
        "env": {"id": "text/Parity-v0", "n": 8, "level": 1},
        "agent": {"kind": "grpo", "problems": 4, "group_size": 4, "max_new": 4, "lr": 1e-2, "warmup": 0},
        "reward": {"tests.llm_rl.test_grpo:low_ones": 1.0},
        "sampler": ASYNC,
        "budget": {"env_steps": 160},
        "log": {"every": 0},
    }
    config["agent"]["model"] = {"size": "XS", "context": 64}
    lines = move37.train(config, out=tmp_path / "run").metrics()
    old = [line for line in lines if line["fleet/lag"] > 0 and "mismatch_mean" in line]
    assert old
    assert max(abs(line["mismatch_mean"] - 1) for line in old) > 1e-3  # other weights wrote it
    assert all(line["ratio_mean"] == pytest.approx(1, abs=1e-3) for line in old)  # by those of now
    assert all("mismatch_mean" not in line for line in lines if line["fleet/lag"] == 0)


def test_rollouts_that_grpo_holds_back_are_not_stale():
    """No step is made meanwhile, whatever the version."""
    learner, sampler = learner_of(resample=2)
    for k in range(3):
        rollout = rollout_of(learner, sampler, low_ones if k == 2 else lambda r: 0 * r.env_rewards)
        assert rollout.newest == k
        metrics = learner.learn(rollout)
        sampler.sync(learner)
    assert metrics["gradient_steps"] == 1
    assert "mismatch_mean" not in metrics


# -- what does not fit -------------------------------------------------------------------------------------


def test_workers_go_home_where_a_checkpoint_does_not_fit(tmp_path, local, monkeypatch):
    run, closed = move37.train(CONFIG | {"budget": SHORT}, out=tmp_path / "run"), []
    close = build.Parts.close
    monkeypatch.setattr(build.Parts, "close", lambda parts: closed.append(close(parts)))
    with pytest.raises(UserError, match=r"does not fit the config \(agent.network.hidden was 8, is 16"):
        move37.resume(run.path, overrides=["agent.network.hidden=16", "budget.env_steps=640"])
    assert len(closed) == 1


# -- keys ------------------------------------------------------------------------------------------------


def test_the_keys_of_workers_that_play_on():
    config = move37.config.make_config(toy_config(sampler={"workers": 2, "async": True, "max_lag": 3}))
    assert config.sampler.asynchronous
    assert (config.sampler.in_flight, config.sampler.max_lag, config.sampler.patience) == (2, 3, 600.0)
    assert config.plain()["sampler"]["async"] is True
    assert move37.config.make_config(parse_yaml(config.to_yaml(), "again")) == config
    off = move37.config.make_config(config.plain(), ["sampler.async=false"])
    assert not off.sampler.asynchronous


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("sampler.async=true", "sampler: async is for workers, .*: give workers too"),
        ("sampler.async=1", "sampler.async: must be a valid boolean, not 1"),
        ("sampler.asynchronous=true", "sampler.asynchronous: unknown key.*async"),
        ("sampler.in_flight=0", "sampler.in_flight: must be greater than or equal to 1, not 0"),
        ("sampler.max_lag=-1", "sampler.max_lag: must be greater than or equal to 0, not -1"),
        ("sampler.patience=0", "sampler.patience: must be greater than 0, not 0"),
    ],
)
def test_what_is_wrong_with_them_is_told(override, said):
    with pytest.raises(UserError, match=said):
        move37.config.make_config(toy_config(), [override])


def test_they_reach_the_fleet(monkeypatch, local):
    given = {}

    def fleet(env, **kwargs):
        given.update(kwargs)
        raise FleetError("as far as here")

    monkeypatch.setattr(build, "AsyncFleet", fleet)
    sampler = {"workers": 2, "async": True, "in_flight": 3, "max_lag": 4, "patience": 5.0}
    config = move37.config.make_config(toy_config(sampler=sampler))
    with pytest.raises(RunError, match="as far as here"):
        build.build(config, Origin("config", ()))
    assert {"n": 4, "workers": 2, "in_flight": 3, "max_lag": 4, "patience": 5.0}.items() <= given.items()
