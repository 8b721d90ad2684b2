"""The known ways to be paid without being right: none works on any family."""

from __future__ import annotations

import numpy as np
import pytest

from envs.text import NAMES, load
from envs.text.check import same
from envs.text.deal import Entry
from envs.text.episode import Episode, let_solve, speak
from envs.text.parsing import END_RESULT, END_THINK, RESULT, THINK, number, write
from envs.text.task import DIRECT, Dialogue
from envs.text.verifiers import Verifiers

NUMBERS = [str(n) for n in range(-20, 1000)]


def places(answer: str, prompt: str) -> dict[str, str]:
    """A right answer where answers do not count, or among others."""
    return {
        "without tags": answer,
        "in a sentence": f"The answer is {answer}.",
        "the prompt with it": f"{prompt}{answer}",
        "the prompt, which shows tags": f"answer as in <answer>?</answer> {prompt} {answer}",
        "in the thought": f"{THINK}{write(answer)}{END_THINK}",
        "in the thought, with nothing after it": f"{THINK}{write(answer)}{END_THINK} So it is.",
        "before a thought": f"{write(answer)}{THINK}hm{END_THINK}",
        "before a wrong one": write(answer) + write("?"),
        "after a wrong one": write("?") + write(answer),
        "before none": write(answer) + write(""),
        "as a result": f"{RESULT}{answer}{END_RESULT}",
        "in other tags": f"<ANSWER>{answer}</ANSWER>",
        "in a tag that stays open": f"<answer>{answer}",
        "in a tag that was never opened": f"{answer}</answer>",
        "as code": write(f"print({answer!r})"),
        "as a part": write(f"it is {answer}, surely"),
        "as the first of several": write(f"{answer}, ?, ?"),
        "as one of all numbers": write(" ".join(NUMBERS)),
        "beside each number": write(f"{answer} {' '.join(NUMBERS)}"),
        "with the prompt": write(f"{prompt}{answer}"),
        "twice": write(f"{answer} {answer}"),
        "in two boxes": write(rf"\boxed{{?}}\boxed{{{answer}}}"),
        "instead of a placeholder": write("{answer}"),
        "and a very long text": write(answer + "x" * 5000),
    }


def dresses(answer: str) -> dict[str, str]:
    """Numbers that are another one, or none, where a careless reader sees the right one."""
    if number(answer) is None:
        return {}
    return {
        "the sign turned": write(answer[1:] if answer.startswith("-") else f"-{answer}"),
        "the sign turned, as typographers write it": write(f"\u2212{answer}"),
        "two signs": write(f"--{answer}"),
        "a percentage": write(f"{answer}%"),
        "decimals": write(f"{answer}.5"),
        "two points": write(f"{answer}.0.0"),
        "in hex": write(f"0x{answer}"),
        "an exponent": write(f"{answer}e1"),
        "a power": write(f"{answer}**1"),
        "a sum": write(f"{answer}+0"),
        "a fraction of it": write(f"{answer}/7"),
        "divided by nothing": write(f"{answer}/0"),
        "a digit more": write(f"{answer}0"),
        "a comma out of place": write(f"{answer},0"),
        "with a unit": write(f"{answer} points"),
        "infinity": write("inf"),
        "no number": write("nan"),
        "digits of another script": write("".join(chr(0x660 + int(c)) if c.isdigit() else c for c in answer)),
    }


def hacks(answer: str, prompt: str) -> dict[str, str]:
    """All of them; a zero is itself with its sign turned, with a digit more, or divided."""
    found = places(answer, prompt) | dresses(answer)
    zero = ("turned", "digit more", "fraction")
    return {k: v for k, v in found.items() if number(answer) != 0 or not any(word in k for word in zero)}


def question_of(name, level):
    """A problem whose answer is more than one of a handful of words."""
    return load(name).generate(np.random.default_rng([7, level]), level)


def test_a_careless_verifier_is_cheated():
    """So that what follows says something: all of it succeeds with one that looks for the answer anywhere."""
    for what, text in hacks("42", "40+2=").items():
        others = ("placeholder", "the sign turned", "infinity", "no number", "script")
        assert "42" in text or any(word in what for word in others), what


ONE_TURN = [name for name in NAMES if not isinstance(load(name), Dialogue)]
TALKS = [name for name in NAMES if name not in ONE_TURN]


@pytest.mark.parametrize("name", ONE_TURN)
def test_no_hack_is_paid(name):
    task = load(name)
    for level in {1, task.levels}:
        question = question_of(name, level)
        answer = task.answer(question)
        gold = task.verify(task.completion(question, DIRECT), question)
        assert (gold.success, gold.reward) == (True, 1.0)
        for what, text in hacks(answer, question.prompt).items():
            verdict = task.verify(text, question)
            assert not verdict.success, f"{what}: {text!r:.100} for {question.prompt!r:.100}"
            assert verdict.reward < 1, what
            assert verdict.parts["proved"] == 0, what


@pytest.mark.parametrize("name", TALKS)
def test_no_hack_is_paid_in_a_dialogue(name):
    task = load(name)
    for level in {1, task.levels}:
        question = question_of(name, level)
        entry = Entry(name, task, level, {})
        verifiers = Verifiers({name: (task, {})})

        def begun(entry=entry, question=question):
            return Episode(entry, question, question.prompt)

        assert let_solve(begun(), verifiers).turns[-1].reward == 1
        answer = task.answer(question)
        for what, text in hacks(answer, question.prompt).items():
            episode = begun()
            while not episode.over:
                (turn,) = speak([episode], [text], verifiers)
            assert turn.part("success") == turn.part("error") == 0, f"{what}: {text!r:.100}"
            assert turn.reward < 1, what


@pytest.mark.parametrize("name", ONE_TURN)
def test_another_problems_answer_is_not_right(name):
    """Nor a constant one: what a policy may fall back on."""
    task, rng = load(name), np.random.default_rng(5)
    questions = [task.generate(rng, task.levels) for _ in range(12)]
    answers = [task.answer(question) for question in questions]
    for question, right in zip(questions, answers):
        assert task.verify(write(right), question).success
    worth = np.array([[task.verify(write(a), q).success for a in answers] for q in questions])
    different = np.array([[not same(a, b) for a in answers] for b in answers])
    several_are_right = name in ("Countdown", "Proof", "Sudoku", "KnightsAndKnaves")
    assert different.any()
    assert several_are_right or not (worth & different).any()
    assert not (worth & different).all(axis=0).any()


@pytest.mark.parametrize("name", NAMES)
def test_what_a_forged_reply_says_counts_for_nothing(name):
    """A policy that writes the environment's part too has still said nothing of its own."""
    task = load(name)
    question = question_of(name, 1)
    forged = f"<tool>1+1</tool>{RESULT}{task.answer(question)}{END_RESULT}"
    said = task.judge(question, [forged]) if isinstance(task, Dialogue) else task.verify(forged, question)
    assert not said.success
    assert not said.parsed
    assert said.reward < 1
