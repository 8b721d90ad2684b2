"""Sweeps: what is drawn, who is stopped, who takes over, and that nothing is lost or done twice."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import move37
from move37.cli import main
from move37.config import load_config
from move37.errors import RunError, UserError
from move37.run import Run
from move37.sweep import run as runs
from move37.sweep import schedulers, tuning
from move37.sweep import trial as trials
from move37.sweep.config import SweepConfig, load_sweep, parse_sweep
from move37.sweep.record import Trial, lineage, lines_of, read_trials
from move37.sweep.run import run_sweep
from move37.sweep.values import values_of, within
from move37.sweep.watch import Watcher
from move37.yaml_text import parse_yaml

TINY = """
train:
  env: {id: CartPole-v1, n: 8}
  agent: {kind: ppo, n_steps: 16, epochs: 4, minibatch_size: 64, gamma: 0.98, network: {hidden: [32]}}
  budget: {env_steps: 4096}
  device: cpu
  log: {every: 512}
metric: return
"""
GRID = TINY + "over: {agent.lr: [5e-3, 1e25], agent.gae_lambda: [0.8, 0.9]}\nsearch: grid\nparallel: 2\n"
ASHA = (
    TINY
    + "over: {agent.lr: [5e-3, 0.0]}\ntrials: 6\nseed: 9\nparallel: 1\nsearch: {kind: asha, grace: 2048}\n"
)
ASHA += "set: {agent.epochs: 8, agent.anneal_lr: false}\n"  # so that 33 is told from 21 there
RANDOM = TINY + "over: {agent.lr: {log: [1e-4, 1e-2]}}\ntrials: 3\nparallel: 1\nsearch: random\n"
PBT = TINY + "over: {agent.lr: {log: [1e-5, 1e-2]}, agent.epochs: [2, 4]}\ntrials: 3\n"
PBT += "search: {kind: pbt, every: 512, share: 0.34}\n"


def write(folder, text, name="s.yaml"):
    path = folder / name
    path.write_text(text)
    return path


def sweep_of(text):
    return parse_sweep(parse_yaml(text, "s.yaml"), runs.Origin("s.yaml"))


@pytest.fixture(scope="module")
def cluster():
    import ray

    ray.init(address="local", num_cpus=4, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield ray
    ray.shutdown()


def env_steps(folder, number):
    return [int(line["env_steps"]) for line in lines_of(folder, number)]


def told_of(capsys, *arguments):
    """What a command says on stderr when it refuses."""
    assert main([str(a) for a in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


# -- values ------------------------------------------------------------------------------------------------


def test_a_grid_is_the_product():
    sweep = sweep_of(
        TINY + "over: {agent.lr: [1e-3, 1e-2], agent.network.hidden: [[8], [8, 8], [4]]}\nsearch: grid"
    )
    found = values_of(sweep)
    assert len(found) == 6
    for lr in (1e-3, 1e-2):
        for hidden in ([8], [8, 8], [4]):
            assert {"agent.lr": lr, "agent.network.hidden": hidden} in found
    made = sweep.trial_config(found[1])
    assert (made.agent.options["lr"], made.agent.options["network"]["hidden"]) == (1e-3, [8, 8])


def test_draws_go_by_the_seed_and_more_trials_add_some():
    over = "over: {agent.lr: {log: [1e-5, 1]}, agent.gamma: {uniform: [0, 1]}, agent.n_steps: {log: [2, 16]},"
    over += " agent.epochs: {uniform: [1, 3]}, agent.anneal_lr: [true, false]}\n"
    found = values_of(sweep_of(f"{TINY}{over}trials: 300"))
    assert found[:20] == values_of(sweep_of(f"{TINY}{over}trials: 20"))
    other = values_of(sweep_of(f"{TINY}{over}trials: 300\nseed: 1"))
    assert all(a != b for a, b in zip(found, other))
    lr = np.array([values["agent.lr"] for values in found])
    assert lr.min() >= 1e-5
    assert lr.max() <= 1
    assert abs(np.log10(lr).mean() + 2.5) < 4 * 5 / math.sqrt(12 * 300)  # uniform in the logarithm
    gamma = np.array([values["agent.gamma"] for values in found])
    assert len(set(gamma)) > 250  # ends that are whole do not make a key whole that is not
    assert abs(gamma.mean() - 0.5) < 4 / math.sqrt(12 * 300)
    steps = {values["agent.n_steps"] for values in found}
    assert {type(value) for value in steps} == {int}
    assert steps == set(range(2, 17))
    assert {values["agent.epochs"] for values in found} == {1, 2, 3}
    assert {values["agent.anneal_lr"] for values in found} == {True, False}


def test_changed_values_come_back_into_their_ranges():
    sweep = sweep_of(
        TINY + "over: {agent.lr: {log: [1e-4, 1e-2]}, agent.n_steps: {uniform: [8, 16]}}\ntrials: 1"
    )
    assert within({"agent.lr": 0.012, "agent.n_steps": 19.2}, sweep) == {
        "agent.lr": 0.01,
        "agent.n_steps": 16,
    }
    assert within({"agent.lr": 0.00123456, "agent.n_steps": 9.6}, sweep) == {
        "agent.lr": 0.001235,
        "agent.n_steps": 10,
    }


# -- bad input ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("over.agent.lrr=[1, 2]", "over: agent.lrr: unknown key; did you mean 'agent.lr'?"),
        ("over.agent.lr={log: [1e-4, -1]}", "over.agent.lr: goes from the lower to the higher end"),
        ("over.agent.lr={log: [0, 1]}", "over.agent.lr: log takes ends above 0"),
        (
            "over.agent.lr=0.1",
            "over: agent.lr: takes values such as [1, 2], or a range such as",
        ),
        ("over.agent.lr=[]", "over.agent.lr.choose: takes at least 1 entry, not []"),
        ("over.agent.lr={log: [1, 2, 3]}", "over.agent.lr.log: takes at most 2 entries, not [1, 2, 3]"),
        ("over.agent.gamma={lgo: [1e-4, 1]}", "agent.gamma: unknown key 'lgo'; did you mean 'log'?"),
        (
            "over.agent.gamma={uniform: [0.5, 1.5]}",
            "over: agent.gamma: must be less than or equal to 1, not 1.5",
        ),
        ('over.agent.n_steps=["a"]', "over: agent.n_steps: must be a valid integer, not 'a'"),
        ("over.agent.gamma={log: [0.1, 1], choose: [1]}", "has one of log, uniform, choose"),
        ("over.agent={choose: [{kind: ppo}]}", "agent.lr is a part of agent"),
        ("serch=asha", "serch: unknown key; did you mean 'search'?"),
        ("search={kind: asha, grce: 3}", "search.grce: unknown key; did you mean 'search.grace'?"),
        ("search=ahsa", "search.kind: must be 'random', 'grid', 'asha' or 'pbt', not 'ahsa'"),
        ("search=grid", "over.agent.lr: a grid takes values one by one"),
        ("search={kind: pbt, grace: 5}", "search: grace is of asha, not of pbt"),
        ("search={kind: asha, grace: 4096}", "search.grace: must be less than the budget of 4,096 env steps"),
        (
            "cluster.address=ray://head:10001",
            "cluster.address: a sweep is steered from a machine of the cluster",
        ),
        ("trials=0", "trials: must be greater than or equal to 1, not 0"),
        ("metric=eval/return", "metric: 'eval/return' is of evaluations: give evaluate.every too"),
        ("set.budget.env_stesp=3", "set: budget.env_stesp: unknown key; did you mean 'budget.env_steps'?"),
        ("set.seeds=[0, 1]", "train.seeds: a trial is one run: give it one seed"),
        ("train=configs/train/none.yaml", "configs/train/none.yaml: cannot be read"),
    ],
)
def test_what_does_not_fit_is_told_before_the_first_trial(tmp_path, capsys, change, said):
    path = write(tmp_path, RANDOM)
    assert said in told_of(capsys, "sweep", path, change, "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_population_based_training_changes_only_what_may_change():
    for key, given in (("env.n", "[4, 8]"), ("agent.kind", "[ppo]"), ("seed", "[0, 1]")):
        with pytest.raises(UserError, match=f"over.{key}: pbt changes runs that are on their way"):
            sweep_of(f"{TINY}over: {{{key}: {given}}}\ntrials: 2\nsearch: pbt")
    with pytest.raises(UserError, match="a population is of 2 at least"):
        sweep_of(TINY + "over: {agent.lr: [1e-3]}\ntrials: 1\nsearch: pbt")


def test_a_config_of_one_run_is_told(capsys):
    assert "is the config of one run" in told_of(capsys, "sweep", "configs/train/ppo_cartpole.yaml")


# -- grid --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def grid(tmp_path_factory, cluster):
    """A grid in which one learning rate makes training diverge: (config, folder, what it told)."""
    folder = tmp_path_factory.mktemp("grid")
    path = write(folder, GRID)
    return path, folder / "run", run_sweep(path, out=folder / "run")


def test_a_trial_that_diverges_is_told_and_the_others_go_on(grid):
    _, folder, told = grid
    assert [row["ended"] for row in told["trials"]] == ["finished", "finished", "failed", "failed"]
    for row in told["trials"]:
        assert (row["ended"] == "failed") == (row["set"]["agent.lr"] == 1e25)
        assert ("not finite" in row["said"]) == (row["ended"] == "failed")
    good = told["trials"][:2]
    assert good[0]["value"] >= good[1]["value"]
    for row in good:
        assert env_steps(folder, row["number"])[-1] == row["env_steps"] == 4096
        assert lines_of(folder, row["number"])[-1]["return"] == row["value"]


def test_each_trial_is_a_run_equal_to_one_trained_alone(grid, tmp_path):
    _, folder, told = grid
    best = told["best"]
    text = (folder / "best.yaml").read_text()
    assert text.startswith(
        f"# The best trial of {grid[0]}: trial {best['number']}, return {best['value']:.6g}"
    )
    config = load_config(folder / "best.yaml")
    assert config == Run.load(folder / "trials" / str(best["number"])).config
    alone = move37.train(config, out=tmp_path / "alone")
    here = lines_of(folder, best["number"])
    assert [line["return"] for line in alone.metrics()] == [line["return"] for line in here]
    assert Run.load(folder / "trials" / "0").evaluate(2)["episodes"] == 2


def test_an_ended_sweep_is_told_again_and_nothing_is_done(grid, capsys):
    path, folder, told = grid
    before = {p: p.stat().st_mtime_ns for p in (folder / "trials").rglob("*") if p.is_file()}
    assert main(["sweep", str(path), "--out", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["trials"] == json.loads(json.dumps(told["trials"]))
    assert main(["sweep", str(path), "--out", str(folder)]) == 0
    out = capsys.readouterr().out
    assert "failed: the gradient is not finite" in out
    assert f"wrote {folder / 'best.yaml'}, {folder / 'sweep.png'}" in out
    assert {p: p.stat().st_mtime_ns for p in (folder / "trials").rglob("*") if p.is_file()} == before
    assert (folder / "sweep.png").stat().st_size > 10_000
    assert not (folder / ".tune").exists()


def test_another_sweep_is_not_mixed_in(grid, capsys):
    path, folder, _ = grid
    for change in ("set.env.n=16", "over.agent.lr=[1e-3]", "metric=length"):
        assert "holds a sweep of another config" in told_of(capsys, "sweep", path, change, "--out", folder)
    said = told_of(capsys, "sweep", path, "--out", folder / "trials")
    assert "is there already and holds no sweep" in said


# -- ASHA --------------------------------------------------------------------------------------------------


def test_asha_stops_those_that_do_not_learn(tmp_path, cluster):
    path = write(tmp_path, ASHA)
    told = run_sweep(path, out=tmp_path / "run")
    assert told["best"]["set"] == {"agent.lr": 5e-3}
    good = [row for row in told["trials"] if row["set"]["agent.lr"] > 0]
    first = min(row["number"] for row in good)
    bad = [row for row in told["trials"] if row["set"]["agent.lr"] == 0 and row["number"] > first]
    assert bad
    for row in bad:
        assert (row["ended"], row["env_steps"]) == ("stopped", 2048)
        assert Run.load(tmp_path / "run" / "trials" / str(row["number"])).checkpoints()[0] == "2048"
    assert {row["ended"] for row in good} == {"finished"}
    assert told["env_steps"] < 6 * 4096
    longer = run_sweep(path, ["trials=8"], out=tmp_path / "run")  # others are held against those that were
    more = [row for row in longer["trials"] if row["number"] >= 6]
    assert len(more) == 2
    for row in more:
        assert (row["ended"] == "finished") == (row["set"]["agent.lr"] > 0)
    with pytest.raises(UserError, match="holds 8 trials, and a sweep can be made longer, not shorter"):
        run_sweep(path, out=tmp_path / "run")


def test_a_metric_that_there_is_not_is_told_by_its_first_line(tmp_path, cluster):
    path = write(tmp_path, RANDOM)
    with pytest.raises(UserError, match="metric: trials tell of no 'retrun'; did you mean 'return'"):
        run_sweep(path, ["metric=retrun"], out=tmp_path / "run")
    assert max(sum(env_steps(tmp_path / "run", k)) for k in range(3)) < 4096
    runs.check_same(tmp_path / "run", load_sweep(path))  # it can be put right where it was


@pytest.mark.parametrize(
    ("cores", "shared", "said"),
    [
        (8, True, ""),
        (4, True, "they share the 4 cores"),
        (8, False, ""),
        (4, False, "Ray has 4, so that some wait for others"),
        (1, False, "s.yaml: cluster.address: a trial takes 2 cores, and Ray has 1"),
    ],
)
def test_too_few_cores_are_told_of(cores, shared, said):
    """Four trials at once with a worker each; in a Ray of our own they are `shared`."""
    sweep = sweep_of(GRID.replace("parallel: 2", "parallel: 4") + "set: {sampler.workers: 1}\n")
    told = []
    try:
        tuning.check_cores(sweep, 4, cores, SimpleNamespace(warn=told.append), shared=shared)
    except UserError as error:
        told.append(str(error))
    assert len(told) == bool(said)
    assert said in "".join(told)


@pytest.mark.slow
def test_where_all_fail_that_is_the_end(tmp_path, cluster):
    path = write(tmp_path, RANDOM)
    change = ["over={agent.lr: [1e25]}", "trials=2"]
    with pytest.raises(RunError, match="every trial failed; trial 0: the gradient is not finite"):
        run_sweep(path, change, out=tmp_path / "run")


def test_as_many_trials_run_at_once_as_the_cluster_has_cores_for(tmp_path, cluster, monkeypatch):
    """Not as the machine has that began them."""

    class Begun(Exception):
        pass

    def make(*arguments):
        raise Begun(arguments[4])

    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    monkeypatch.setattr(tuning, "make_tuner", make)
    sweep = sweep_of(RANDOM.replace("parallel: 1\n", "").replace("trials: 3", "trials: 6"))
    six = [Trial(number, {}) for number in range(6)]
    with pytest.raises(Begun, match=r"^4$"):
        tuning.run_trials(sweep, tmp_path, six, SimpleNamespace(warn=pytest.fail))


# -- stopped, lost, killed ---------------------------------------------------------------------------------


class StopsAfter(Watcher):
    """Ctrl-C when a trial has come so far."""

    def __init__(self, number, env_steps):
        self.place = number, env_steps

    def heard(self, number, env_steps, value):
        if number == self.place[0] and env_steps >= self.place[1]:
            os.kill(os.getpid(), signal.SIGINT)
            self.place = -1, 0


def steps_taken(folder):
    return {trial.number: env_steps(folder, trial.number) for trial in read_trials(folder)}


@pytest.mark.slow
def test_after_ctrl_c_the_same_command_goes_on(tmp_path, cluster, capfd):
    path = write(tmp_path, RANDOM)
    with pytest.raises(
        KeyboardInterrupt, match="stopped with 1 of 3 trials done, all kept; the same command"
    ):
        run_sweep(path, out=tmp_path / "run", watcher=StopsAfter(1, 1536))
    assert "stopping after a line of metrics in each trial" in capfd.readouterr().err
    cut = env_steps(tmp_path / "run", 1)[-1]
    run = Run.load(tmp_path / "run" / "trials" / "1")
    assert run.checkpoints()[-2 if "best" not in run.checkpoints() else -3] == str(cut)
    assert 1536 <= cut < 4096
    told = run_sweep(path, out=tmp_path / "run")
    assert [row["ended"] for row in told["trials"]] == ["finished"] * 3
    for taken in steps_taken(tmp_path / "run").values():
        assert taken == list(range(512, 4097, 512))


@pytest.mark.slow
def test_a_trial_whose_process_is_lost_goes_on(tmp_path, cluster, monkeypatch):
    path, killed, heard = write(tmp_path, RANDOM), [], runs.Book.heard

    def hear(self, number, told):
        heard(self, number, told)
        if number == 1 and told["env_steps"] >= 2048 and not killed:
            killed.append(told["pid"])
            os.kill(told["pid"], signal.SIGKILL)

    monkeypatch.setattr(runs.Book, "heard", hear)
    told = run_sweep(path, ["set.checkpoint.every=1024"], out=tmp_path / "run")
    assert len(killed) == 1
    assert [row["ended"] for row in told["trials"]] == ["finished"] * 3
    for taken in steps_taken(tmp_path / "run").values():
        assert taken == list(range(512, 4097, 512))


def kill_in_the_middle(path, folder, done):
    """Start a sweep in a process of its own, and kill that when so many trials are done."""
    command = [sys.executable, "-m", "move37", "sweep", str(path), "--out", str(folder), "--json"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 240
    while sum(bool(trial.ended) for trial in read_trials(folder)) < done and process.poll() is None:
        assert time.monotonic() < until
        time.sleep(0.02)
    process.kill()
    assert process.wait() == -signal.SIGKILL, "it was over before it could be killed"


@pytest.mark.slow
def test_killed_it_goes_on_and_does_nothing_twice(tmp_path, cluster):
    path, folder = write(tmp_path, RANDOM + "set: {agent.epochs: 16}\n"), tmp_path / "run"
    kill_in_the_middle(path, folder, 1)
    before = read_trials(folder)
    ended = [trial for trial in before if trial.ended]
    assert 0 < len(ended) < 3
    files = {p: p.stat().st_mtime_ns for t in ended for p in (folder / "trials" / str(t.number)).rglob("*")}
    told = run_sweep(path, out=folder)
    assert sorted(row["number"] for row in told["trials"]) == [0, 1, 2]
    after = read_trials(folder)
    assert [after[trial.number] for trial in ended] == ended
    assert {p: p.stat().st_mtime_ns for p in files} == files
    for taken in steps_taken(folder).values():
        assert taken == list(range(512, 4097, 512))


@pytest.mark.slow
def test_sixteen_trials_with_asha_killed_and_resumed(tmp_path, cluster):
    """None is lost, none is done twice, and those that had ended are not touched."""
    path, folder = tmp_path / "s.yaml", tmp_path / "run"
    shutil.copy("configs/sweeps/ppo_cartpole_asha.yaml", path)
    path.write_text(path.read_text().replace("100_000", "40_000"))
    kill_in_the_middle(path, folder, 5)
    ended = [trial for trial in read_trials(folder) if trial.ended]
    files = {p: p.stat().st_mtime_ns for t in ended for p in (folder / "trials" / str(t.number)).rglob("*")}
    told = run_sweep(path, out=folder)
    assert sorted(row["number"] for row in told["trials"]) == list(range(16))
    assert [t for t in read_trials(folder) if t.number in {e.number for e in ended}] == ended
    assert {p: p.stat().st_mtime_ns for p in files} == files
    for row in told["trials"]:
        taken = env_steps(folder, row["number"])
        assert taken == sorted(set(taken)), "a line twice"
        assert taken[-1] == row["env_steps"]
        assert (row["ended"] == "finished") == (row["env_steps"] >= 40_000)
    ends = [row["ended"] for row in told["trials"]]
    assert ends.count("stopped") >= 8
    assert ends.count("finished") >= 1
    assert told["env_steps"] < 16 * 40_000 / 2


# -- populations -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Two runs of different weights, the first further than the second."""
    folder = tmp_path_factory.mktemp("pair")
    config = parse_yaml(TINY, "s.yaml")["train"]
    for name, change in (("a", ["budget.env_steps=1024"]), ("b", ["seed=1", "budget.env_steps=512"])):
        move37.train(config, change, out=folder / name)
    return folder


def weights(run):
    return Run.load(run).agent.weights()


def same(one, two):
    return all(np.array_equal(one[name], two[name]) for name in one)


def test_who_takes_over_has_the_weights_of_the_other_and_goes_on(pair, tmp_path):
    for name in ("a", "b"):
        shutil.copytree(pair / name, tmp_path / name, symlinks=True)
    assert not same(weights(tmp_path / "a"), weights(tmp_path / "b"))
    trials.copy_newest(tmp_path / "a", 7, tmp_path / "copy")
    assert not [p for p in (tmp_path / "copy").rglob("*") if p.is_symlink()]  # Tune follows such
    given = json.loads((tmp_path / "copy" / "from.json").read_text())
    trials.take_over(tmp_path / "b", tmp_path / "copy", given, {"agent.lr": 0.5})
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert lineage(tmp_path / "b") == [{"env_steps": 1024, "from": 7, "set": {"agent.lr": 0.5}}]
    assert sorted(p.name for p in (tmp_path / "b").iterdir() if "checkpoints" in p.name) == ["checkpoints"]
    move37.resume(tmp_path / "b", overrides=["budget.env_steps=1536", "agent.lr=0.5"])
    moved = weights(tmp_path / "b")
    assert not same(weights(tmp_path / "a"), moved)
    trials.take_over(tmp_path / "b", tmp_path / "copy", given, {"agent.lr": 0.5})  # told again
    assert same(weights(tmp_path / "b"), moved)
    assert len(lineage(tmp_path / "b")) == 1


def test_who_dies_while_it_takes_over_has_one_or_the_other(pair, tmp_path, monkeypatch):
    trials.copy_newest(pair / "a", 7, tmp_path / "copy")
    given = json.loads((tmp_path / "copy" / "from.json").read_text())
    steps = [
        (trials.shutil, "copytree"),
        (trials.Path, "rename"),
        (trials, "sync_to_disk"),
        (trials, "write_text"),
    ]
    for k, (where, name) in enumerate(steps):
        for call in range(2):
            run = tmp_path / f"{k}-{call}"
            shutil.copytree(pair / "b", run, symlinks=True)
            original, calls = getattr(where, name), []

            def dies(*args, _original=original, _calls=calls, _call=call, **kwargs):
                _calls.append(args)
                if len(_calls) > _call:
                    raise KeyboardInterrupt
                return _original(*args, **kwargs)

            with monkeypatch.context() as patch:
                patch.setattr(where, name, dies)
                try:
                    trials.take_over(run, tmp_path / "copy", given, {})
                except KeyboardInterrupt:
                    assert len(calls) == call + 1
            trials.mend(run)
            assert any(same(weights(run), weights(pair / name)) for name in ("a", "b"))


class Member:
    """A trial that runs, as Tune's schedulers see one."""

    def __init__(self, number):
        self.trial_id, self.experiment_tag, self.status = str(number), "", "RUNNING"
        checkpoints = SimpleNamespace(checkpoint_config=SimpleNamespace(num_to_keep=None))
        self.run_metadata = SimpleNamespace(checkpoint_manager=checkpoints)
        self.config = {"draw": {"number": number, "set": {"agent.lr": 1e-3, "agent.epochs": 2}}}

    def __str__(self):
        return self.trial_id

    def is_finished(self):
        return False


class Controller:
    """Tune's, as schedulers see it; notes who was told to go on."""

    search_alg = None

    def __init__(self, members):
        self.members, self._tune_controller = members, self
        self.went_on, self.paused = [], []

    def get_trials(self):
        return self.members

    get_live_trials = get_trials

    def _schedule_trial_save(self, trial, result=None):
        return SimpleNamespace(checkpoint=None)

    def _schedule_trial_train(self, trial):
        self.went_on.append(trial)

    def pause_trial(self, trial):
        self.paused.append(trial)


@pytest.mark.parametrize("room", [True, False])
def test_who_is_ahead_waits_and_keeps_its_process_where_there_is_room(tmp_path, room, monkeypatch):
    population = schedulers.scheduler(sweep_of(PBT), tmp_path, [Trial(k, {}) for k in range(3)], room)
    members = [Member(k) for k in range(3)]
    tune = Controller(members)
    for member in members:
        population.on_trial_add(tune, member)

    def tell(k, steps, value):
        told = {"env_steps": steps, "return": value, "training_iteration": steps // 512}
        return population.on_trial_result(tune, members[k], told)

    waits = population.NOOP if room else population.PAUSE
    assert tell(1, 512, 5.0) == waits
    population.choose_trial_to_run(tune)
    assert tune.went_on == []
    assert tell(2, 512, 6.0) == waits
    members[0].status = "PENDING"  # somebody else has the cores that there seemed to be
    population.choose_trial_to_run(tune)
    assert tune.paused == []
    monkeypatch.setattr(schedulers, "MAKE_WAY", -1.0)
    population.choose_trial_to_run(tune)
    assert tune.paused == members[1:2] * room
    members[0].status = "RUNNING"
    assert tell(0, 256, 1.0) == population.CONTINUE  # which is no exchange yet
    assert tell(0, 512, 7.0) == population.CONTINUE
    population.choose_trial_to_run(tune)
    assert tune.went_on == members[2:] * room


@pytest.mark.slow
def test_a_population_takes_over_and_changes_values(tmp_path, cluster, monkeypatch):
    path, heard, pids = write(tmp_path, PBT), runs.Book.heard, {}

    def hear(self, number, told):
        heard(self, number, told)
        pids.setdefault(number, set()).add(told["pid"])

    monkeypatch.setattr(runs.Book, "heard", hear)
    drawn = values_of(load_sweep(path))
    told = run_sweep(path, out=tmp_path / "run")
    rows = {row["number"]: row for row in told["trials"]}
    assert sorted(rows) == [0, 1, 2]
    assert {row["ended"] for row in rows.values()} == {"finished"}
    swaps = [(number, taken) for number, row in rows.items() for taken in row["taken"]]
    assert swaps
    for number, taken in swaps:
        assert taken["from"] in set(rows) - {number}
        assert 1e-5 <= taken["set"]["agent.lr"] <= 1e-2
        assert taken["set"]["agent.epochs"] in (2, 4)
        before = {values["agent.lr"] for values in drawn}
        # two that took over from the same one may both have been changed by the same factor
        before |= {t["set"]["agent.lr"] for _, t in swaps if t is not taken and t["from"] != taken["from"]}
        assert taken["set"]["agent.lr"] not in before
    for number, row in rows.items():
        assert len(pids[number]) <= 1 + len(row["taken"])  # who waits for others keeps its process
        now = row["taken"][-1]["set"] if row["taken"] else drawn[number]
        options = Run.load(tmp_path / "run" / "trials" / str(number)).config.agent.options
        assert row["set"] == now == {key: options[key.split(".")[1]] for key in now}
    assert {row["env_steps"] for row in rows.values()} == {4096}
    assert (tmp_path / "run" / "sweep.png").stat().st_size > 10_000


@pytest.mark.slow
def test_a_population_is_killed_and_goes_on(tmp_path, cluster):
    path, folder = write(tmp_path, PBT + "set: {budget.env_steps: 16384}\n"), tmp_path / "run"
    command = [sys.executable, "-m", "move37", "sweep", str(path), "--out", str(folder), "--json"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not any((folder / "trials" / str(k) / "lineage.jsonl").exists() for k in range(3)):
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.wait()
    before = {k: lineage(folder / "trials" / str(k)) for k in range(3)}
    told = run_sweep(path, out=folder)
    for row in told["trials"]:
        assert (row["ended"], row["env_steps"]) == ("finished", 16384)
        assert row["taken"][: len(before[row["number"]])] == before[row["number"]]


# -- the page ----------------------------------------------------------------------------------------------


def test_the_table_of_the_page_is_the_config():
    from tests.test_docs import defaults, keys_of, page, rows

    assert defaults(rows(page("sweeps.md"), "sweep", "default"), "sweep") == keys_of(SweepConfig)


@pytest.mark.parametrize("path", sorted(Path("configs/sweeps").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_sweep_that_is_shipped_is_read(path):
    sweep = load_sweep(path)
    for values in values_of(sweep):
        sweep.trial_config(values)
    head = [line for line in path.read_text().splitlines() if line.startswith("#")]
    assert any(map(str.isdigit, " ".join(head)))
