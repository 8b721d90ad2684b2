"""Twenty questions: every reply, faults of form, and a solver that halves."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

import envs
from envs.text import load
from envs.text.check import check_task
from envs.text.dialogues.twenty import ATTRIBUTES, LEVELS
from envs.text.parsing import write
from envs.text.split import SPLITS, draw
from envs.text.task import DIRECT

NAME = "TwentyQuestions"
PROMPT = "things:owl big red;hat small red;pen big blue"


def meant(name, prompt=PROMPT):
    task = load(NAME)
    known = task.understand(prompt)
    return task, replace(known, data=(known.data[0], name))


def play(task, question, strategy=None):
    known, said, heard = task.understand(question.prompt), [], []
    while True:
        said.append(task.script(known, said, heard, strategy))
        reply = task.reply(question, said)
        if reply is None:
            return said, heard
        heard.append(reply)


def test_it_holds_to_the_contract():
    check_task(load(NAME), problems=60)


def test_questions_are_answered_as_the_prompt_says():
    task, rng = load(NAME), np.random.default_rng(0)
    for level in range(1, task.levels + 1):
        question = task.generate(rng, level)
        rows = [row.split(" ") for row in question.prompt.removeprefix("things:").split(";")]
        assert len(rows) == LEVELS[level - 1].things
        (values,) = [row[1:] for row in rows if row[0] == task.answer(question)]
        for kind, every in ATTRIBUTES.items():
            for value in every:
                here = {v for row in rows for v in row[1:]} & set(every)
                told = "yes" if value in values else "no"
                for call in (f"{value}?", value, f"{kind}={value}?", f" {kind} = {value} ?"):
                    reply = task.reply(question, [f"<tool>{call}</tool>"])
                    assert reply == f"<result>{told}</result>" if here else "ask such as" in reply


FAULTS = ["", "purple?", "red? big?", "is it red?", "size=red?", "heavy?", "red!", "owl?", "red;big", "=red"]
FAULTS += ["RED?", "x" * 10_000, "</tool>", "<answer>owl"]


@pytest.mark.parametrize("call", FAULTS)
def test_a_fault_in_the_form_is_answered_by_how_to_ask_and_counted(call):
    task, question = meant("hat")
    said = [f"<tool>{call}</tool>"]
    assert task.reply(question, said) == "<result>ask such as big? or answer such as owl</result>"
    verdict = task.judge(question, said)
    assert (verdict.parts["malformed"], verdict.parts["questions"]) == (1, 0)
    assert not verdict.parsed


@pytest.mark.parametrize("said", ["red?", "<tool>red?", "<tool>red?</tool><tool>big?</tool>", "<answer>owl"])
def test_what_is_no_call_and_no_answer_costs_a_turn(said):
    task, question = meant("owl")
    assert "ask such as" in task.reply(question, [said])
    assert task.judge(question, [said]).parts["malformed"] == 1


def test_the_first_answer_ends_it():
    task, question = meant("owl")
    for name, right, parsed in (("owl", True, True), ("hat", False, True), ("cat", False, False)):
        said = ["<tool>red?</tool>", write(name)]
        assert task.reply(question, said) is None
        verdict = task.judge(question, said)
        assert (verdict.success, verdict.parsed) == (right, parsed)
    assert not task.judge(question, []).success


def test_steps_are_the_things_that_are_left():
    task, question = meant("owl")
    said = [
        "<think>all</think><tool>red?</tool>",
        "<think>owl hat</think><tool>big?</tool>",
        write("owl", "owl"),
    ]
    verdict = task.judge(question, said)
    assert verdict.parts == {"questions": 2, "malformed": 0, "steps": 1, "proved": 1}
    said = [
        "<think>all</think><tool>red?</tool>",
        "<tool>?</tool>",
        "<tool>big?</tool>",
        write("owl", "owl hat"),
    ]
    verdict = task.judge(question, said)
    assert verdict.success
    assert verdict.parts == {"questions": 2, "malformed": 1, "steps": 0.25, "proved": 0}


def test_the_solver_halves():
    """No question splits the things that are left more evenly, and there is time for all."""
    task = load(NAME)
    for level in range(1, task.levels + 1):
        rng = np.random.default_rng([3, level])
        for _ in range(20):
            question = task.generate(rng, level)
            said, heard = play(task, question)
            verdict = task.judge(question, said)
            assert verdict.success
            assert verdict.parts["proved"] == 1
            assert verdict.parts["questions"] == len(said) - 1
            assert len(said) <= 2 * math.ceil(math.log2(LEVELS[level - 1].things)) + 1 < task.turns
            left = [set(row.split(" ")) for row in question.prompt.removeprefix("things:").split(";")]
            for mine, theirs in zip(said, heard):
                value = mine.rpartition("<tool>")[2].removesuffix("?</tool>")

                def uneven(value, left=left):
                    return abs(2 * sum(value in row for row in left) - len(left))

                assert uneven(value) == min(uneven(v) for vs in ATTRIBUTES.values() for v in vs)
                left = [row for row in left if (value in row) == ("yes" in theirs)]
            assert [task.answer(question) in row for row in left] == [True]


def test_the_solver_knows_the_prompt_only():
    task, first = load(NAME), set()
    for name in ("owl", "hat", "pen"):
        first.add(task.script(meant(name)[1], [], []))
    assert len(first) == 1
    assert task.script(meant("owl")[1], ["?"], ["<result>what</result>"], DIRECT) == "<tool>big?</tool>"


def test_what_is_meant_is_no_part_of_the_problem():
    task, rng = load(NAME), np.random.default_rng(0)
    train, test = ({draw(task, NAME, rng, 1, split).key for _ in range(300)} for split in SPLITS)
    assert not train & test
    places = set()
    for _ in range(200):
        question = task.generate(rng, 1)
        places.add([name for name, _ in question.data[0]].index(question.data[1]))
    assert places == {0, 1, 2, 3}


OTHER = [
    "things:owl big red",
    "things:owl big red;hat big red",
    "things:owl big;hat red",
    "owl big;hat small",
]
OTHER += ["things:owl red big;hat small red", "things:owl big red;owl small red", "things:red big;hat small"]
OTHER += ["things:", "things:owl big small;hat small big", "things:owl  big;hat small", "things:owl;hat"]
OTHER += [f"things:{';'.join(['owl big'] * 500)}", "things:QQ big;hat small"]


@pytest.mark.parametrize("prompt", OTHER)
def test_other_texts_tell_of_no_things(prompt):
    with pytest.raises(ValueError, match="tells of no things"):
        load(NAME).understand(prompt)


def test_twenty_turns_are_all():
    env = envs.make("text/TwentyQuestions-v0", n=2)
    env.reset(seed=0)
    for turn in range(20):
        _, _, terminated, truncated, info = env.step(("<tool>red?</tool>" * 2, "what is it"))
        assert not terminated.any()
        assert (truncated == (turn == 19)).all()
    assert info["parts"]["malformed"].tolist() == [20, 20]
