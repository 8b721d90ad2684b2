"""Small files with a fault: every tool, tests that are not fooled, a solver that knows what it heard."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

import envs
from envs.text import load
from envs.text.check import check_task
from envs.text.deal import Entry
from envs.text.dialogues import small_files
from envs.text.dialogues import small_programs as programs
from envs.text.dialogues.small_files import HELP, LEVELS
from envs.text.episode import Episode, speak
from envs.text.parsing import write
from envs.text.sandbox import SandboxError
from envs.text.split import SPLITS, draw
from envs.text.verifiers import Verifiers

NAME = "SmallFiles"
DONE = write("done")
FUNCTIONS = (
    ("flat_a", "scale", (3, 7), 1),
    ("monkey_a", "after", ("flat_a", 9), 0),
    ("flat_b", "most", (4, 2), 0),
)


def tool(command):
    return f"<tool>{command}</tool>"


def asked(functions=FUNCTIONS):
    task = load(NAME)
    known = task.understand("mend:flat monkey")
    assert known.data == (("flat", "monkey"), None)
    return task, replace(known, data=(known.data[0], functions))


def told(*commands, functions=FUNCTIONS):
    """What the last of several commands is answered, without its tags."""
    task, question = asked(functions)
    reply = task.reply(question, [tool(command) for command in commands])
    return reply.removeprefix("<result>").removesuffix("</result>")


def drawn(count=6, seed=0):
    task = load(NAME)
    for level in range(1, task.levels + 1):
        rng = np.random.default_rng([seed, level])
        yield from (task.generate(rng, level) for _ in range(count))


def functions_of(question):
    return tuple(programs.Function(*each) for each in question.data[1])


def test_it_holds_to_the_contract():
    check_task(load(NAME), problems=12, seconds=5)


# -- the files -----------------------------------------------------------------------------------------------


def run_here(files):
    """The functions of files, as Python has them."""
    made: dict = {}
    exec("\n".join("\n".join(lines) for lines in files), made)
    return made


def test_functions_do_what_is_said_of_them_without_running_them():
    kinds = set()
    for question in drawn(20):
        functions = functions_of(question)
        made, call = run_here(programs.files(functions)), programs.caller(functions)
        for each in functions:
            kinds.add((each.kind, each.form))
            for x in (*programs.SHOWN, *programs.HIDDEN):
                assert made[each.name](x) == call(each.name, x), each
    assert {(kind, 0) for kind in programs.KINDS} <= kinds
    assert len(kinds) > 1.5 * len(programs.KINDS)


def test_every_form_of_every_kind_differs_from_the_right_one_in_a_line_and_in_what_it_gives():
    given = {"both": ("flat_a", "flat_b"), "after": ("flat_a", 5)}
    for name, kind in programs.KINDS.items():
        before = [
            programs.Function("flat_a", "scale", (3, 7), 0),
            programs.Function("flat_b", "most", (4, 2), 0),
        ]
        right = programs.Function("owl_a", name, given.get(name, (3, 8)), 0)
        for form in range(len(kind.forms)):
            one = right._replace(form=form)
            made = run_here(programs.files([*before, one]))
            call = programs.caller([*before, one])
            assert [made["owl_a"](x) for x in range(60)] == [call("owl_a", x) for x in range(60)]
            assert len(one.lines) == len(right.lines)
            assert sum(a != b for a, b in zip(one.lines, right.lines)) == (form > 0)
            tests = programs.tests([*before, one], ["owl_a"], programs.HIDDEN)
            assert all(call("owl_a", x) == y for _, x, y in tests) == (form == 0)


def test_one_function_is_wrong_and_both_kinds_of_tests_tell():
    for question in drawn():
        functions, size = functions_of(question), LEVELS[question.level - 1]
        assert len(functions) == size.files * size.functions
        assert sum(each.form > 0 for each in functions) == 1
        made = run_here(programs.files(functions))
        for tests in (small_files._shown(question.data), small_files._hidden(question.data)):
            assert any(made[name](x) != y for name, x, y in tests)
            assert not all(made[name](x) != y for name, x, y in tests) or len(functions) < 7
        mended = run_here(programs.files([each._replace(form=0) for each in functions]))
        assert all(mended[name](x) == y for name, x, y in small_files._hidden(question.data))


# -- the tools -----------------------------------------------------------------------------------------------


def test_the_tools_show_the_files():
    assert told("ls") == "flat.py 9\nmonkey.py 3"
    assert told("cat monkey.py") == "1 # flat_a of x, plus 9\n2 def monkey_a(x):\n3     return flat_a(x) + 9"
    assert told(" cat flat.py ").split("\n")[:3] == [
        "1 # x times 3, plus 7",
        "2 def flat_a(x):",
        "3     return x * 3 - 7",
    ]
    assert told("grep flat_a") == (
        "flat.py 2 def flat_a(x):\nmonkey.py 1 # flat_a of x, plus 9\nmonkey.py 3     return flat_a(x) + 9"
    )
    assert told("grep elephant") == "nothing found"


def test_an_edit_replaces_a_line_and_is_remembered():
    change = "edit flat.py 3     return x * 3 + 7"
    assert told(change) == "ok"
    assert "3     return x * 3 + 7" in told(change, "cat flat.py").split("\n")
    assert told(change, "ls") == told("ls")
    assert told(change, "edit flat.py 1", "cat flat.py").split("\n")[0] == "1 "
    assert "3     return x * 3 - 7" in told("cat flat.py").split("\n")  # of this no other episode knows


def test_a_test_tells_what_is_wrong():
    assert told("test") == "5 of 10 wrong: monkey_a(1) is 5, not 19"
    assert told("edit flat.py 3     return x * 3 + 7", "test") == "all 10 right"
    assert told("edit flat.py 3     return x *", "test").startswith("10 of 10 wrong: SyntaxError")
    assert told("edit flat.py 3     return y", "test") == "5 of 10 wrong: monkey_a(1) is <NameError>, not 19"
    assert told("edit flat.py 3     return 'x' * 99999", "test").startswith(
        "5 of 10 wrong: monkey_a(1) is <TypeE"
    )


WRONG = [
    "",
    "help",
    "cat",
    "cat owl.py",
    "cat flat",
    "edit flat.py 10 x",
    "edit flat.py 0 x",
    "edit flat.py x",
]
WRONG += [
    "edit owl.py 1 x",
    "grep",
    "test me",
    "ls -l",
    "cat flat.py\ncat monkey.py",
    "edit flat.py 1 \0",
    "é",
]
WRONG += [f"edit flat.py 1 {'x' * 400}", "CAT flat.py", "edit flat.py 99999999999999999999 x"]


@pytest.mark.parametrize("command", WRONG)
def test_anything_else_is_told_the_tools_and_counted(command):
    assert told(command) == HELP
    task, question = asked()
    parts = task.judge(question, [tool(command), tool("ls"), "cat flat.py"]).parts
    assert (parts["malformed"], parts["edits"]) == (2, 0)


def test_test_runs_beside_each_other_and_the_same_test_once(monkeypatch):
    ran = []
    box = small_files.shared()

    class Counting:
        def run(self, asked):
            ran.append(len(asked))
            return box.run(asked)

    monkeypatch.setattr(small_files, "shared", Counting)
    task, question = asked()
    other = [tool("edit flat.py 3     return 1"), tool("test")]
    calls = [(question, [tool("test")])] * 3 + [(question, other), (question, [tool("ls")])]
    assert [reply[:12] for reply in task.reply_many(calls)] == ["<result>5 of"] * 4 + ["<result>flat"]
    assert ran == [2]


# -- what it is worth --------------------------------------------------------------------------------------


def judged(*said):
    task, question = asked()
    return task.judge(question, said)


MENDED = tool("edit flat.py 3     return x * 3 + 7")


def test_it_is_mended_where_hidden_tests_are_right_and_it_says_done():
    assert judged(MENDED, DONE).success
    assert judged(MENDED, DONE).parts["tests"] == 1
    assert judged(tool("edit flat.py 3     return 3 * x + 10 - 3"), DONE).success
    assert not judged(DONE).success
    assert judged(DONE).parsed
    assert not judged(MENDED).success
    assert not judged(MENDED, write("mended")).success
    assert not judged().success
    task, question = asked()
    assert task.reply(question, [MENDED, DONE]) is None
    assert task.reply(question, [write("no")]) is None


FOOLED = [
    "    return {1: 10, 4: 19, 7: 28, 12: 43, 23: 76}.get(x, 0)",  # what `test` asks, and no more
    "    return type('A', (int,), {'__eq__': lambda a, b: True, '__repr__': lambda a: '10'})()",
    "    raise SystemExit(0)",
    "    import os; os._exit(0)",
    "    print('all 10 right')",
    "    return str(x * 3 + 7)",
    "    return float(x * 3 + 7)",
    "    global monkey_a, flat_b; monkey_a = flat_b = lambda x: x",
]


@pytest.mark.parametrize("line", FOOLED)
def test_tests_are_not_fooled(line):
    verdict = judged(tool(f"edit flat.py 3 {line}"), DONE)
    assert (verdict.success, verdict.reward, verdict.parsed) == (False, 0, True)
    assert verdict.parts["tests"] < 1


def test_a_function_that_does_not_end_is_stopped(monkeypatch):
    monkeypatch.setattr(small_files, "SECONDS", 0.3)
    started = time.perf_counter()
    verdict = judged(tool("edit flat.py 3     while True: pass"), DONE)
    assert not verdict.success
    assert "longer than" in told("edit flat.py 3     while True: pass", "test")
    assert time.perf_counter() - started < 10


def test_mending_what_calls_it_is_not_enough():
    """The function that is wrong is tested too, and not what others make of it alone."""
    verdict = judged(tool("edit monkey.py 3     return flat_a(x) + 23"), DONE)
    assert not verdict.success
    assert told("edit monkey.py 3     return flat_a(x) + 23", "test") == "all 10 right"


@pytest.mark.parametrize(
    ("thought", "steps"),
    [
        ("flat_a 3", 1),
        ("flat_a 3\nflat_b ok\nmonkey_a ok", 1),
        ("flat_a 3\nflat_b 6", 1 / 2),
        ("flat_b ok", 0),
        ("flat_a ok", 0),
        ("flat_a 4", 0),
    ],
)
def test_steps_are_what_was_found_and_name_the_fault(thought, steps):
    verdict = judged(f"<think>{thought}</think>{MENDED}", DONE)
    assert verdict.success
    assert verdict.parts["steps"] == steps
    assert verdict.parts["proved"] == float(steps == 1)


# -- the solver --------------------------------------------------------------------------------------------


def test_the_solver_finds_the_fault_from_what_it_heard():
    task = load(NAME)
    verifiers = Verifiers({NAME: (task, {})}, deadline=0)
    episodes = [Episode(Entry(NAME, task, q.level, {}), q, q.prompt) for q in drawn(3)]
    known = [task.understand(e.question.prompt) for e in episodes]
    open_, longest = list(range(len(episodes))), 0
    while open_:  # all of a level's tests at once
        heard = [[turn.told for turn in episodes[i].turns] for i in open_]
        said = [task.script(known[i], episodes[i].said, h) for i, h in zip(open_, heard)]
        speak([episodes[i] for i in open_], said, verifiers)
        open_ = [i for i in open_ if not episodes[i].over]
    for episode in episodes:
        verdict = episode.turns[-1].verdict
        assert verdict.success, episode.transcript()
        assert (verdict.parts["proved"], verdict.parts["edits"], verdict.parts["malformed"]) == (1, 1, 0)
        longest = max(longest, len(episode.said))
    assert 5 < longest < 24


def test_the_solver_asks_for_what_it_does_not_know():
    task, question = asked()
    known = task.understand(question.prompt)
    assert task.script(known, [], []) == tool("test")
    said, heard = [tool("test")], ["<result>5 of 10 wrong: monkey_a(1) is 5, not 19</result>"]
    assert task.script(known, said, heard) == tool("cat monkey.py")
    said.append(tool("cat monkey.py"))
    heard.append(task.reply(question, said))
    assert task.script(known, said, heard) == f"<think>monkey_a ok</think>{tool('cat flat.py')}"
    assert task.script(known, ["?"] * 3, ["what", "<result></result>", ""]) == tool("test")
    assert task.script(known, [tool("test")], ["<result>error</result>"]) == tool("cat flat.py")


# -- in an environment -------------------------------------------------------------------------------------


def test_turns_that_are_used_up_truncate():
    env = envs.make("text/SmallFiles-v0", n=2)
    env.reset(seed=0)
    assert env.single_action_space.turns == 128
    for turn in range(24):
        _, rewards, terminated, truncated, info = env.step(("?", tool("ls")))
        assert not terminated.any()
        assert not rewards.any()
        assert (truncated == (turn == 23)).all()
    assert info["parts"]["malformed"].tolist() == [24, 0]


def test_128_turns_cost_no_more_than_their_number():
    """What was said before is not worked through again: late turns take no longer than early ones."""
    question = list(drawn(1))[-1]
    task, said, took = load(NAME), [], []
    stem = question.data[0][0]
    for turn in range(128):
        said.append(tool(f"edit {stem}.py 1 # {turn}"))
        started = time.perf_counter()
        assert task.reply(question, said) == "<result>ok</result>"
        took.append(time.perf_counter() - started)
    assert np.median(took[-40:]) < 5 * np.median(took[:40]) + 1e-3
    assert task.judge(question, said).parts["edits"] == 128
    assert f"1 # {127}" in task.reply(question, [*said[1:], tool(f"cat {stem}.py")])


def test_a_sandbox_that_does_not_start_costs_its_own_samples_only(monkeypatch):
    def broken():
        raise SandboxError("programs cannot be run here")

    monkeypatch.setattr(small_files, "shared", broken)
    env = envs.make("text/SmallFiles-v0", n=3)
    env.reset(seed=0)
    _, _, terminated, _, info = env.step((tool("test"), DONE, tool("ls")))
    assert terminated.tolist() == [True, True, False]
    assert info["parts"]["error"].tolist() == [1, 1, 0]


def test_the_functions_are_no_part_of_the_problem():
    task, rng = load(NAME), np.random.default_rng(0)
    train, test = ({draw(task, NAME, rng, 1, split).key for _ in range(200)} for split in SPLITS)
    assert not train & test


@pytest.mark.parametrize(
    "prompt",
    ["mend:", "mend:owl qqq", "mend:monkey flat", "mend:flat flat", "flat monkey", "mend:flat  monkey"],
)
def test_other_texts_name_no_files(prompt):
    with pytest.raises(ValueError, match="names no files"):
        load(NAME).understand(prompt)
