"""Faults of every kind at random while a run works: it ends, has learned, and its accounts add up."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import move37
from rollouts.fleet import Fleet
from tests.cluster.machines import Machines, kill_one
from tests.cluster.monkey import BY_FILE, Log, leave_file, plan
from tests.faults import Habit, Ledger
from tests.move37.runs import Diary

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
REPLACED = ("kill", "hang", "raise")


def config(folder, agent, patience, play_on, **env):
    return {
        "device": "cpu",
        "threads": 1,
        "env": {"id": "tests.faults:Signs", "folder": str(folder), "longest": 20, "nap": 0.02} | env,
        "agent": agent,
        "sampler": {"patience": patience, "async": play_on},
        "log": {"every": 0},
    }


# -- a handful, in this process --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ray_here():
    import ray

    ray.init(address="local", num_cpus=4, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield ray._private.worker._global_node
    ray.shutdown()


class Monkey(Diary):
    """Does the next thing when the last was noticed, and stops the run (as Ctrl-C does) after them all."""

    def __init__(self, node, folder, faults, log):
        super().__init__()
        self.node, self.folder, self.faults, self.log = node, folder, list(faults), log
        self.next = 5

    def update(self, record):
        super().update(record)
        noticed = record["fleet/restarts"] >= sum(map(self.log.count, REPLACED))
        taken = not any((self.folder / name).exists() for name in BY_FILE)
        if record["updates"] < self.next or not (noticed and taken):
            return
        self.next = record["updates"] + 5
        if not self.faults:
            os.kill(os.getpid(), signal.SIGINT)
            return
        fault = self.faults.pop()
        did = kill_one(self.node, fault.pick) if fault.kind == "kill" else leave_file(self.folder, fault.kind)
        self.log.note(fault, did)


@pytest.mark.parametrize("play_on", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_handful_of_faults(ray_here, tmp_path, monkeypatch, play_on):
    faults, seed = tmp_path / "faults", 3 + play_on
    faults.mkdir()
    ledger, learned, collect, learn = Ledger(3), [], Fleet.collect, Habit.learn
    monkeypatch.setattr(Fleet, "collect", lambda fleet, *a, **k: ledger.add(collect(fleet, *a, **k)))
    monkeypatch.setattr(Habit, "learn", lambda own, r: learned.append(int(r.valid.sum())) or learn(own, r))
    kinds = dict.fromkeys((*REPLACED, "slow"), 1)
    monkey = Monkey(ray_here, faults, plan(seed, kinds, 4, (0, 0)), Log(seed))
    wanted = config(faults, {"kind": "tests.faults:Habit"}, 4.0, play_on, n=12)
    wanted["sampler"] |= {"workers": 3, "max_lag": 50}
    with pytest.raises(KeyboardInterrupt):
        move37.train(wanted | {"budget": {"seconds": 120}}, out=tmp_path / "run", observer=monkey)
    replaced = sum(map(monkey.log.count, REPLACED))
    assert replaced == 3
    steps = sum(learned)
    first = len(learned)
    ledger.check_seeds()
    if play_on:
        ledger.last.clear()  # other games are begun when it is resumed
    more = [f"budget.env_steps={steps + 3000}"]
    lines = move37.resume(tmp_path / "run", trust=True, overrides=more).metrics()
    assert [line["env_steps"] for line in lines] == np.cumsum(learned).tolist()
    assert lines[-1]["fleet/restarts"] >= lines[first - 1]["fleet/restarts"] >= replaced
    assert lines[-1]["return"] > 0.9 * lines[-1]["length"]  # by chance it is a third
    assert lines[0]["updates"] == 1
    assert lines[-1]["updates"] == len(lines)


# -- five minutes of all, on machines --------------------------------------------------------------------

KINDS = {"kill": 4, "machine": 2, "leave": 1, "join": 1, "hang": 2, "raise": 3, "slow": 1, "driver": 1}


GAVE_UP = "before it that took its place, without anything done; the checkpoint of"


class Training:
    """The training process, which may be killed and goes on; of each session: when it ended, and kills."""

    def __init__(self, folder, wanted):
        self.folder = folder
        (folder / "config.json").write_text(json.dumps(wanted))
        self.sessions = []
        self.begin()

    def begin(self):
        command = [sys.executable, "-m", "tests.cluster.driver", "config.json", "run", "lines.jsonl"]
        self.err = (self.folder / "err").open("a")
        environment = os.environ | {"PYTHONPATH": os.getcwd()}
        pipes = {"stdout": self.err, "stderr": self.err}
        self.process = subprocess.Popen(command, cwd=self.folder, env=environment, **pipes)
        self.kills = []

    @property
    def ended(self):
        return self.process.poll() is not None

    def wait(self, seconds=120):
        """Until it works, or has ended."""
        until = time.monotonic() + seconds
        while not (self.works or self.ended) and time.monotonic() < until:
            time.sleep(0.5)

    @property
    def works(self):
        """Whether it got anything done."""
        return any(line["session"] == self.process.pid for line in self.lines())

    def lines(self):
        path = self.folder / "lines.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def kill(self):
        """Kill it where it got something done and saved, and go on; False where it did not yet."""
        if self.works and (self.folder / "run" / "checkpoints" / "last").exists():
            self.process.kill()
            self.end()
            self.begin()
            return True
        return False

    def again(self):
        """Go on where too many workers were killed in a row, as the run's last words advise; else False."""
        gave_up = self.process.poll() and GAVE_UP in (self.folder / "err").read_text().rpartition("\n\n")[2]
        if gave_up:
            self.end()
            self.begin()
        return bool(gave_up)

    def end(self, timeout=180):
        code = self.process.wait(timeout)
        self.sessions.append((self.process.pid, time.monotonic(), self.kills))
        self.err.close()
        return code


def do(fault, machines, training, faults):
    """Have a fault happen; whether there was anybody that it could befall."""
    if fault.kind in BY_FILE:
        return leave_file(faults, fault.kind)
    if fault.kind == "driver":
        return training.kill()
    if fault.kind == "kill":
        did = machines.kill_worker(fault.pick)
        training.kills += [time.monotonic()] * (did and training.works)
        return did
    if fault.kind == "join":
        return len(machines.others) < 3 and not machines.add()
    if not machines.kill(fault.pick):
        return False
    if fault.kind == "machine":
        time.sleep(fault.pick % 3)
        machines.add()
    return True


@pytest.mark.slow
@pytest.mark.parametrize("play_on", [True, False])
def test_five_minutes_of_chaos(tmp_path, play_on):
    """Or as many seconds as the environment's CHAOS_SECONDS says. Run it with -s to see what is done when."""
    seconds, seed = float(os.environ.get("CHAOS_SECONDS", 300)), 7 + play_on
    faults = tmp_path / "faults"
    faults.mkdir()
    wide = {"n": 16, "wide": 2_000}  # so that an answer is of 290 KB
    agent = {"kind": "tests.faults:Habit", "lr": 0.01}
    wanted = config(faults, agent, 20.0, play_on, **wide)
    machines, log = Machines(), Log(seed)
    wanted["sampler"] |= {"workers": 4, "max_lag": 20}
    wanted |= {"budget": {"seconds": seconds}, "checkpoint": {"every": 1_024}}
    wanted |= {"cluster": {"address": machines.address}}
    training = Training(tmp_path, wanted)
    try:
        kinds = KINDS if play_on else {kind: KINDS[kind] for kind in KINDS if kind not in ("leave", "join")}
        for fault in plan(seed, kinds, int(seconds), (2.0, 6.0)):
            training.wait()
            time.sleep(fault.wait)
            if training.ended and not training.again():
                break
            log.note(fault, do(fault, machines, training, faults))
        while len(machines.others) < 3:
            machines.add()
        while (code := training.end()) and training.again():
            pass
        print((tmp_path / "err").read_text()[-6000:])
        assert code == 0
    finally:
        training.process.kill()
        machines.close()
    told = move37.Run.load(tmp_path / "run").metrics()
    lines = {line["updates"]: line for line in training.lines()}  # of what was done again, the last
    check_accounts([lines[update] for update in sorted(lines) if update <= len(told)], told)
    check_restarts(training)
    print({kind: log.count(kind) for kind in KINDS}, told[-1])
    assert told[-1]["return"] > 0.85 * told[-1]["length"]  # by chance it is a third
    assert told[4]["return"] < 0.7 * told[4]["length"]
    if seconds >= 300:
        assert all(log.count(kind) for kind in kinds)


def check_accounts(lines, told):
    """Every update is there once, and env steps are the rows that were learned from."""
    assert [line["updates"] for line in told] == list(range(1, len(told) + 1))
    assert [line["env_steps"] for line in told] == np.cumsum([line["rows"] for line in lines]).tolist()
    assert [line["env_steps"] for line in lines] == [line["env_steps"] for line in told]


def check_restarts(training):
    """In each session as many as workers were killed, but for those of its last moments."""
    for session, ended, kills in training.sessions:
        restarts = [line["fleet/restarts"] for line in training.lines() if line["session"] == session]
        if restarts:
            assert restarts == sorted(restarts)
            assert restarts[-1] - restarts[0] >= sum(kill < ended - 20 for kill in kills)
