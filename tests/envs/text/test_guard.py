"""A verifier in a process of its own: every fault is caused here, and costs no more than its own call."""

from __future__ import annotations

import gc
import os
import re
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from envs.text import guard as guards
from envs.text import load
from envs.text.guard import Fault, Guard, GuardError
from envs.text.parsing import write
from envs.text.task import Verdict

FAULTY = "tests.envs.text.guard_toys:Faulty"
QUESTION = load("Sorting").understand("sort:ba")
FINE = (write("ab"), QUESTION)
RIGHT = load("Sorting").verify(*FINE)
SOON = 20.0
"""Seconds in which a process must be gone, on a busy machine."""


@pytest.fixture(scope="module")
def faulty():
    with Guard(FAULTY, deadline=5.0, memory=1 << 28) as guard:
        yield guard


def pid_of(guard: Guard) -> int:
    return int(guard.call("verify", [("pid", QUESTION)])[0].error)


def alive(pid: int) -> bool:
    """Whether a process is there, and not merely waiting for somebody to take its exit status."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone_soon(pid: int) -> bool:
    end = time.monotonic() + SOON
    while alive(pid) and time.monotonic() < end:
        time.sleep(0.02)
    return not alive(pid)


def test_verdicts_are_those_of_the_family_itself():
    task, rng = load("Reversal"), np.random.default_rng(0)
    questions = [task.generate(rng, 2) for _ in range(300)]
    whole = [task.completion(question) for question in questions]
    completions = [text[: len(text) - i % 12] for i, text in enumerate(whole)]
    calls = list(zip(completions, questions))
    wanted = [task.verify(*call) for call in calls]
    with Guard("Reversal") as guard:
        assert guard.call("verify", calls) == wanted
        assert [guard.call("verify", [call])[0] for call in calls[:20]] == wanted[:20]
        assert guard.call("verify", []) == []
        assert guard.restarts == 0
    assert {v.success for v in wanted} == {True, False}


def test_dialogues_are_judged_and_answered():
    task = load("GuessNumber")
    question = task.generate(np.random.default_rng(0), 2)
    said = [(write("1"),), (write("50"),), (task.completion(question),), ("?",)]
    calls = [(question, each) for each in said]
    with Guard("GuessNumber") as guard:
        for method in ("reply", "judge"):
            assert guard.call(method, calls) == [getattr(task, method)(*call) for call in calls]


RAISED = {
    "raise": r"^ZeroDivisionError: division by zero \(guard_toys\.py:\d+\)$",
    "unspeakable": r"^Unspeakable \(guard_toys\.py:\d+\)$",
    "recurse": r"^RecursionError: maximum recursion",
    "exit 0": r"^SystemExit: 0 ",
    "exit 3": r"^SystemExit: 3 ",
    "eat 1000000000": r"^MemoryError",
    "nan": "^the reward is nan, not from 0 to 1$",
    "much": "^the reward is 1.5, not from 0 to 1$",
    "none": "^the verdict is a NoneType$",
    "secret": "lambda",
}


def test_what_a_verifier_raises_costs_its_own_call_only(faulty):
    before, pid = faulty.restarts, pid_of(faulty)
    calls = [each for text in RAISED for each in ((text, QUESTION), FINE)]
    outcomes = faulty.call("verify", calls)
    for text, outcome in zip(RAISED, outcomes[::2]):
        assert isinstance(outcome, Fault), text
        assert re.search(RAISED[text], outcome.error), outcome.error
    assert outcomes[1::2] == [RIGHT] * len(RAISED)
    assert (faulty.restarts, pid_of(faulty)) == (before, pid)  # none of these costs the process


LOST = {
    "vanish 0": r"^it ended its process \(exit status 0\)$",
    "vanish 3": r"^it ended its process \(exit status 3\)$",
    "kill": rf"^it ended its process \(signal {int(signal.SIGSEGV)}\)$",
}


def test_who_ends_the_process_costs_its_own_call_only(faulty):
    before = faulty.restarts
    calls = [FINE, *(each for text in LOST for each in ((text, QUESTION), FINE))]
    outcomes = faulty.call("verify", calls)
    assert outcomes[::2] == [RIGHT] * (len(LOST) + 1)
    for text, outcome in zip(LOST, outcomes[1::2]):
        assert isinstance(outcome, Fault)
        assert re.search(LOST[text], outcome.error), outcome.error
    assert faulty.restarts == before + len(LOST)


@pytest.mark.parametrize("how", ["loop", "compute", "sleep 60"])
def test_who_hangs_is_killed_and_the_rest_goes_on(how):
    with Guard(FAULTY, deadline=0.8) as guard:
        pid = pid_of(guard)
        begun = time.monotonic()
        outcomes = guard.call("verify", [FINE, (how, QUESTION), *[FINE] * 30])
        assert outcomes == [RIGHT, Fault("it took longer than 0.8 s"), *[RIGHT] * 30]
        assert 0.8 <= time.monotonic() - begun < SOON
        assert guard.restarts == 1
        assert not alive(pid)


def test_the_deadline_is_that_of_each_call():
    with Guard(FAULTY, deadline=1.5) as guard:
        outcomes = guard.call("verify", [("sleep 0.7", QUESTION)] * 3)
        assert all(isinstance(outcome, Verdict) for outcome in outcomes)
        assert guard.restarts == 0


def test_who_prints_much_or_reads_waits_for_nobody(capfd):
    with Guard(FAULTY) as guard:
        printed, read = guard.call("verify", [("print 3000", QUESTION), ("read", QUESTION)])
    assert (printed.error, read.error) == ("3000", "")
    assert capfd.readouterr() == ("", "")


def test_memory_is_bounded_on_top_of_what_it_has(faulty):
    small, large = faulty.call("verify", [("eat 50000000", QUESTION), ("eat 400000000", QUESTION)])
    assert small.error == "50000000"
    assert large.error.startswith("MemoryError")


def test_replies_are_texts_or_nothing(faulty):
    outcomes = faulty.call("reply", [(QUESTION, (said,)) for said in ("end", "why", "number")])
    assert outcomes == [None, "why?", Fault("the reply is a int")]


def test_a_process_that_was_lost_while_idle_is_nobodys_fault(faulty):
    before, pid = faulty.restarts, pid_of(faulty)
    os.kill(pid, signal.SIGKILL)
    assert gone_soon(pid)
    assert faulty.call("verify", [FINE, FINE]) == [RIGHT, RIGHT]
    assert faulty.restarts == before + 1


def test_what_was_not_read_is_not_taken_for_the_next_answer(faulty, monkeypatch):
    loads, count = guards.pickle.loads, 0

    def interrupted(text):
        nonlocal count
        count += 1
        if count == 2:
            raise KeyboardInterrupt
        return loads(text)

    monkeypatch.setattr(guards.pickle, "loads", interrupted)
    with pytest.raises(KeyboardInterrupt):
        faulty.call("verify", [("pid", QUESTION)] * 5)
    monkeypatch.undo()
    assert faulty.call("verify", [FINE]) == [RIGHT]


def test_threads_wait_for_each_other(faulty):
    wanted = [f"sleep 0.00{i % 10}" for i in range(40)]
    got: list[list[str]] = [[] for _ in range(4)]

    def ask(k):
        for what in wanted[k::4]:
            got[k].append(faulty.call("verify", [(what, QUESTION)])[0].error)

    threads = [threading.Thread(target=ask, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [[what.removeprefix("sleep ") for what in wanted[k::4]] for k in range(4)]


def test_a_guard_outlives_the_thread_that_made_it():
    made: list[Guard] = []
    thread = threading.Thread(target=lambda: made.append(Guard(FAULTY, deadline=5.0)))
    thread.start()
    thread.join()
    with made[0] as guard:
        pid = pid_of(guard)
        assert guard.call("verify", [("raise", QUESTION), FINE])[1] == RIGHT
        assert pid_of(guard) == pid


def test_close_and_letting_go_leave_no_process(tmp_path):
    guard = Guard(FAULTY, deadline=2.0)
    pid = pid_of(guard)
    guard.close()
    assert not alive(pid)
    guard.close()
    assert guard.call("verify", [FINE]) == [RIGHT]  # in a fresh one
    pid = pid_of(guard)
    del guard
    gc.collect()
    assert not alive(pid)


def test_what_a_verifier_started_dies_with_it(tmp_path):
    sign = tmp_path / "pid"
    with Guard(FAULTY, deadline=2.0) as guard:
        assert isinstance(guard.call("verify", [(f"spawn {sign}", QUESTION)])[0], Fault)
        assert gone_soon(int(sign.read_text()))


LEAVE = """
import os, signal, sys, threading, time
from envs.text.guard import Guard
from envs.text import load
question = load("Sorting").understand("sort:ba")
guard = Guard({faulty!r}, deadline=60.0)
print(guard.call("verify", [("pid", question)])[0].error, flush=True)
{rest}
"""


def run(script: str) -> str:
    """What a fresh interpreter prints."""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    return ran.stdout


HANG = """
threading.Thread(target=guard.call, args=("verify", [({how!r}, question)]), daemon=True).start()
time.sleep(0.5)
"""
EXITS = {
    "plainly": "",
    "at once": "os._exit(0)",
    "killed": "os.kill(os.getpid(), signal.SIGKILL)",
    "killed while it computes": HANG.format(how="compute") + "os.kill(os.getpid(), signal.SIGKILL)",
    "killed while it sleeps": HANG.format(how="sleep 100") + "os.kill(os.getpid(), signal.SIGKILL)",
    "plainly while it loops": HANG.format(how="loop"),
}


@pytest.mark.parametrize("how", EXITS)
def test_however_the_interpreter_ends_nothing_is_left(how):
    script = LEAVE.format(faulty=FAULTY, rest=EXITS[how])
    pid = int(run(script))
    assert gone_soon(pid), f"process {pid} lives on"


FORK = """
child = os.fork()
if child == 0:
    sys.exit(0)  # with all that is done at an exit
os.waitpid(child, 0)
assert guard.restarts == 0
print(guard.call("verify", [("pid", question)])[0].error, flush=True)
assert guard.restarts == 0
child = os.fork()
if child == 0:
    print(guard.call("verify", [("pid", question)])[0].error, flush=True)
    os._exit(0)
os.waitpid(child, 0)
print(guard.call("verify", [("pid", question)])[0].error, flush=True)
"""


def test_a_forked_process_leaves_its_parents_guard_alone():
    script = LEAVE.format(faulty=FAULTY, rest=FORK)
    first, again, forked, last = run(script).split()
    assert first == again == last != forked
    assert gone_soon(int(first))
    assert gone_soon(int(forked))


@pytest.mark.parametrize("task", ["Sortin", "tests.envs.text.guard_toys:Nothing", "no.such.module:Task"])
def test_a_family_that_cannot_be_loaded_is_told(task):
    with pytest.raises(GuardError, match=r"cannot be started: \w+: "):
        Guard(task)


def test_options_that_do_not_fit_are_told():
    with pytest.raises(GuardError, match="no option 'size'"):
        Guard("Sorting", {"size": 3})
    for wrong in ({"deadline": 0.0}, {"deadline": float("inf")}, {"memory": 0}):
        with pytest.raises(ValueError, match="above 0"):
            Guard("Sorting", **wrong)


def test_only_what_reads_completions_is_called(faulty):
    with pytest.raises(ValueError, match="verify, judge, reply, not 'generate'"):
        faulty.call("generate", [()])


def test_processes_that_are_always_lost_are_told(faulty, monkeypatch):
    def lost(self):
        child = start(self)
        child.process.kill()
        child.process.wait()
        return child

    start = Guard._start
    faulty.close()
    monkeypatch.setattr(Guard, "_start", lost)
    with pytest.raises(GuardError, match="3 processes were lost in a row"):
        faulty.call("verify", [FINE])


@pytest.mark.slow
def test_it_works_in_a_ray_worker():
    import ray

    @ray.remote
    def work():
        with Guard(FAULTY, deadline=2.0) as guard:
            outcomes = guard.call("verify", [FINE, ("loop", QUESTION), FINE])
            return outcomes, pid_of(guard)

    ray.init("local", num_cpus=1, include_dashboard=False, log_to_driver=False)
    try:
        outcomes, pid = ray.get(work.remote())
    finally:
        ray.shutdown()
    assert outcomes == [RIGHT, Fault("it took longer than 2 s"), RIGHT]
    assert gone_soon(pid)
