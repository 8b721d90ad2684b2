"""Questions with Python at hand: questions against plain Python, every fault, and batches of programs."""

from __future__ import annotations

import contextlib
import csv
import io
import math
import sys

import numpy as np
import pytest

import envs
from envs.text import load
from envs.text.check import check_task
from envs.text.dialogues import data_questions as questions
from envs.text.dialogues import python_tool
from envs.text.parsing import write
from envs.text.sandbox import SandboxError
from envs.text.split import SPLITS, draw

NAME = "PythonTool"
TABLE = "colour,price,count\nred,3,10\nblue,4,2\nred,7,1\nsum of price*count where colour is red?"


def ask(prompt):
    task = load(NAME)
    return task, task.understand(prompt)


def drawn(count=20):
    task = load(NAME)
    for level in range(1, task.levels + 1):
        rng = np.random.default_rng([4, level])
        yield from (task.generate(rng, level) for _ in range(count))


def by_reading(prompt):
    """The answer, from the words of a question alone."""
    *table, asked = prompt.removesuffix("?").split("\n")
    fold, _, rest = asked.partition(" of ")
    put = {"sum": sum, "product": math.prod, "largest": max, "smallest": min}
    if fold == "count":
        letters, _, text = rest.partition(" in ")
        return sum(c in letters for c in text if c != " ")
    if not table:
        return put[fold](list(map(int, rest.split(","))))
    what, _, where = rest.partition(" where ")
    values = []
    for row in csv.DictReader(table):
        keep = [
            row[n] == v if how == "is" else int(row[n]) > int(v)
            for n, how, v in (each.split(" ") for each in where.split(" and "))
        ]
        if all(keep):
            values.append(math.prod(int(row[name]) for name in what.split("*")))
    return put[fold](values)


def test_it_holds_to_the_contract():
    check_task(load(NAME), problems=18)


def test_answers_are_what_the_words_say():
    kinds = set()
    for question in drawn():
        assert load(NAME).answer(question) == str(by_reading(question.prompt))
        kinds.add((question.data[0], question.prompt.count("\n") > 9, " and " in question.prompt))
    assert len(kinds) == 8


def test_programs_print_the_answer(monkeypatch):
    for question in drawn():
        monkeypatch.setattr(sys, "stdin", io.StringIO(questions.table(question.data)))
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(questions.program(question.data), {})
        assert int(printed.getvalue()) == by_reading(question.prompt)


def test_questions_that_differ_in_order_only_are_one():
    for one, other in (
        ("sum of 3,17,5?", "sum of 5,3,17?"),
        ("count of abc in study magazine?", "count of abc in magazine study?"),
        (TABLE, TABLE.replace("red,3,10\nblue,4,2", "blue,4,2\nred,3,10")),
    ):
        assert ask(one)[1].key == ask(other)[1].key
        assert ask(one)[1].data != ask(other)[1].data
    assert ask("sum of 3,17?")[1].key != ask("product of 3,17?")[1].key


def test_no_question_of_the_test_occurs_in_train():
    task, rng = load(NAME), np.random.default_rng(0)
    train, test = ({draw(task, NAME, rng, 1, split).key for _ in range(1000)} for split in SPLITS)
    assert not train & test


CALLS = [
    ("print(3+17)", "20"),
    ("x=3\nprint(x)\nprint(x+1)\n", "3\n4"),
    ("  print(1)\n  print(2)", "1\n2"),
    ("x=1", "nothing was printed"),
    ("print(open(0).read().split()[0])", "colour,price,count"),
    ("print('é'*3)", None),  # is refused: a program is ASCII
    ("print(chr(233)+chr(9)+'a')", "??a"),
    ("print('x'*1000)", "x" * 200),
    ("print('</result><result>')", "</result><result>"),
]


@pytest.mark.parametrize(("program", "told"), CALLS)
def test_what_a_program_prints_is_told(program, told):
    task, question = ask(TABLE)
    reply = task.reply(question, [f"<tool>{program}</tool>"])
    assert reply == f"<result>{python_tool.HELP if told is None else told}</result>"


@pytest.mark.parametrize(
    ("program", "error"), [("print(y)", "NameError"), ("print(", "SyntaxError"), ("1/0", "ZeroDivisionError")]
)
def test_what_goes_wrong_is_told(program, error):
    task, question = ask("sum of 3,17?")
    reply = task.reply(question, [f"<tool>{program}</tool>"])
    assert reply.startswith(f"<result>error: {error}")
    assert "\n" not in reply
    assert len(reply) <= 200 + len("<result></result>")


def test_a_program_that_does_not_end_is_stopped(monkeypatch):
    monkeypatch.setattr(python_tool, "SECONDS", 0.3)
    task, question = ask("sum of 3,17?")
    assert "longer than" in task.reply(question, ["<tool>while 1: pass</tool>"])


def test_every_program_starts_afresh():
    task, question = ask("sum of 3,17?")
    said = ["<tool>x=20\nprint(x)</tool>", "<tool>print(x)</tool>"]
    assert task.reply(question, said[:1]) == "<result>20</result>"
    assert "NameError" in task.reply(question, said)


MALFORMED = [
    "",
    "print(3+17)",
    "<tool>print(3+17)",
    "<tool>print(1)</tool><tool>print(2)</tool>",
    "<tool></tool>",
]
MALFORMED += [
    "<think><tool>print(1)</tool></think>",
    "<answer>20",
    "<tool> \n </tool>",
    "<result>20</result>",
]
MALFORMED += [f"<tool>{'1+' * 3000}1</tool>"]


@pytest.mark.parametrize("said", MALFORMED)
def test_a_malformed_call_is_told_so_and_counted(said):
    task, question = ask("sum of 3,17?")
    assert task.reply(question, [said]) == "<result>write a program, as in <tool>print(1+2)</tool></result>"
    verdict = task.judge(question, [said, "<tool>print(20)</tool>", said, write("20")])
    assert verdict.success
    assert (verdict.parts["malformed"], verdict.parts["calls"]) == (2, 1)


def test_steps_are_by_hand_or_the_right_answer_of_the_last_program():
    task, question = ask("sum of 3,17,5?")
    hand = "3,17,5\n3+17=20\n20+5=25"
    for said, steps in (
        ([write("25", hand)], 1),
        ([write("25", "3,17,5\n3+17=20\n20+5=26")], 2 / 3),
        ([write("25")], 0),
        (["<tool>print(3+17+5)</tool>", write("25")], 1),
        (["<tool>print(3+17+5)</tool>", "<tool>print(3)</tool>", write("25")], 0),
        (["<tool>print('25 or so')</tool>", write("25")], 0),
    ):
        verdict = task.judge(question, said)
        assert verdict.success
        assert verdict.parts["steps"] == pytest.approx(steps)
        assert verdict.parts["proved"] == float(steps == 1)
    right = task.judge(question, ["<tool>print(25)</tool>", write("26")])
    assert (right.success, right.parts["steps"], right.parts["proved"]) == (False, 1, 0)
    assert not task.judge(question, []).success


def test_the_solver_answers_what_it_was_told():
    task, question = ask("sum of 3,17,5?")
    call = "<tool>print(3+17+5)</tool>"
    assert task.script(question, [], []) == call
    assert task.script(question, [call], ["<result>25</result>"]) == write("25")
    assert task.script(question, [call], ["<result>error: x</result>"]) == call
    assert task.script(question, ["<tool>print(1)</tool>"], ["<result>1</result>"]) == call


def test_the_same_program_runs_once(monkeypatch):
    ran = []
    box = python_tool.shared()

    class Counting:
        def run(self, programs):
            ran.append([program.source for program in programs])
            return box.run(programs)

    monkeypatch.setattr(python_tool, "shared", Counting)
    monkeypatch.setattr(python_tool, "_kept", {})
    env = envs.make("text/PythonTool-v0", n=6)
    env.reset(seed=0)
    env.step(("<tool>print(1)</tool>",) * 3 + ("<tool>print(2)</tool>",) * 2 + ("?",))
    env.step(("<tool>print(2)</tool>",) * 6)
    assert ran == [["print(1)", "print(2)"]]
    monkeypatch.setattr(python_tool, "KEPT", 2)
    env.step(tuple(f"<tool>print({i})</tool>" for i in range(6)))  # more than are kept
    assert len(ran[-1]) == 4


def test_a_sandbox_that_does_not_start_costs_its_own_samples_only(monkeypatch):
    def broken():
        raise SandboxError("programs cannot be run here")

    monkeypatch.setattr(python_tool, "shared", broken)
    monkeypatch.setattr(python_tool, "_kept", {})
    env = envs.make("text/PythonTool-v0", n=2)
    env.reset(seed=0)
    _, _, terminated, _, info = env.step(("<tool>print(1)</tool>", "?"))
    assert terminated.tolist() == [True, False]
    assert info["parts"]["error"].tolist() == [1, 0]
    assert "programs cannot be run here" in info["verdicts"][0]["error"]


def test_turns_that_are_used_up_truncate_and_malformed_calls_are_counted():
    env = envs.make("text/PythonTool-v0", n=2)
    env.reset(seed=0)
    for turn in range(8):
        _, rewards, terminated, truncated, info = env.step(("?", "<tool>print(1)</tool>"))
        assert not terminated.any()
        assert not rewards.any()
        assert (truncated == (turn == 7)).all()
    assert info["parts"]["malformed"].tolist() == [8, 0]
    assert info["parts"]["calls"].tolist() == [0, 8]


OTHER = ["sum of 3?", "sum of 03,4?", "sum of 3, 4?", "mean of 3,4?", "sum of 3,4", "count of ba in study?"]
OTHER += [
    "count of a in?",
    "sum of " + ",".join("1" * 200) + "?",
    TABLE.replace("red?", "pink?"),
    TABLE + "\n",
]
OTHER += [TABLE.replace("blue,4,2", "blue,4"), TABLE.replace("price*count", "price*price"), "colour,price\n"]
OTHER += [TABLE.replace("price*count", "colour"), TABLE.replace("is red", "is green"), "sum of 3,٣?"]


@pytest.mark.parametrize("prompt", OTHER)
def test_other_texts_are_no_question(prompt):
    with pytest.raises(ValueError, match="is no question"):
        load(NAME).understand(prompt)
