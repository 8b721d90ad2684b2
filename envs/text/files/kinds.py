"""The kinds of problems in files by what their answers are: numbers, mathematics, programs, options."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from envs.nearest import suggest
from envs.options import OptionError
from envs.text.files import mathematics
from envs.text.files.asserts import Plan, plan, same
from envs.text.files.formats import BLANK, FORMATS, Choice, Coding, Problem, problems_of
from envs.text.files.problems import BETWEEN, OPENED, PLACE, CodeProblems, Problems, verdict
from envs.text.files.reading import read_rows
from envs.text.parsing import number
from envs.text.task import Question, Verdict

AUTO = "auto"
SECONDS = 5.0
"""For all tests of one program."""
_DEDENT = re.compile(r"\n(?=\S)")


class NumberProblems(Problems):
    """Whose answers are numbers: GSM8K."""

    sentence = "Solve the problem. Answer with a number alone."

    def check(self, answer: str, question: Question) -> Verdict:
        said = number(mathematics.bare(answer))
        if said is None:
            return verdict(False, False, "no number")
        right = said == number(self.answer(question))
        return verdict(right, True, "" if right else "another number")


class CompetitionProblems(NumberProblems):
    """Whose answers are whole numbers from 0 to 999: AIME."""

    sentence = "Solve the problem. Answer with a whole number from 0 to 999 alone."

    def chance(self, question: Question) -> float:
        return 1 / 1000


class MathProblems(Problems):
    """Whose answers are mathematics in LaTeX: MATH."""

    sentence = "Solve the problem. Answer with a number or an expression in LaTeX alone."
    ways = ("tags", "boxed", "hash")
    deadline = 10.0

    def __init__(self, *arguments: Any, **options: Any) -> None:
        mathematics.check_installed()
        super().__init__(*arguments, **options)

    def check(self, answer: str, question: Question) -> Verdict:
        problem = self.asked[question.data]
        try:
            right = mathematics.compare(problem.answer, answer)
        except mathematics.UnreadableError as error:
            raise ValueError(f"{problem.row.place}: {error}") from None
        if right is None:
            return verdict(False, False, "nothing that math-verify can read")
        return verdict(right, True, "" if right else "another answer")


class ProgramProblems(CodeProblems):
    """Whose answers are programs, which are run against tests: MBPP, HumanEval."""

    sentence = "Write the function in Python. Answer with code alone."
    runs_programs = True

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        for i, problem in enumerate(self.asked):
            if not self.plan(self.question(i)).checks:
                raise problem.row.error("it has no test that could fail")

    def verify_many(self, calls: Sequence[tuple[str, Question]]) -> list[Verdict | Exception]:
        from envs.text.sandbox import Program, shared

        said = [self.heard(completion) for completion, _ in calls]
        out: list[Any] = [verdict(False, False, reading.error, tests=0.0) for reading in said]
        which = [i for i, reading in enumerate(said) if reading.answer is not None]
        plans = [self.plan(calls[i][1]) for i in which]
        runs = [one.run() for one in plans]
        programs = [
            Program(self.whole(str(said[i].answer), calls[i][1]) + one.source, calls=asked, seconds=SECONDS)
            for i, one, (asked, _) in zip(which, plans, runs)
        ]
        for i, one, (_, values), outcome in zip(which, plans, runs, shared().run(programs) if which else ()):
            passed = [same(got, value) for got, value in zip(outcome.values, values)]
            right = len(passed) == len(values) and all(passed)
            told = "" if right else _told(one, passed, outcome)
            out[i] = verdict(right, True, told, tests=sum(passed) / len(values))
        return out

    def plan(self, question: Question) -> Plan:
        """How a problem's tests are run."""
        problem = self.asked[question.data]
        assert isinstance(problem, Coding)
        prompt, answer = (problem.question, "") if problem.entry else ("", problem.answer)
        return _planned(problem.tests, problem.setup, problem.entry, prompt, answer)

    def whole(self, code: str, question: Question) -> str:
        """The program: what was written or, where that only goes on with the prompt, both."""
        problem = self.asked[question.data]
        assert isinstance(problem, Coding)
        if not problem.entry:
            return code
        begins = re.compile(rf"^(?:async )?def[ \t]+{problem.entry}\b", re.MULTILINE)
        at = begins.search(problem.question)
        if begins.search(code):
            return f"{problem.question[: at.start()] if at else ''}\n{code}"
        body = _DEDENT.split(code)[0]  # what begins at the margin is no part of the function
        return problem.question + ("" if problem.question.endswith("\n") else "\n") + body


class ChoiceProblems(Problems):
    """Of several options one is right, which is answered by its letter."""

    sentence = "Which option is right? Answer with its letter alone."
    ways = ("tags", "boxed")
    _LETTER = re.compile(r"\(?([A-Za-z])[).:]?")

    def stated(self, problem: Problem) -> str:
        assert isinstance(problem, Choice)
        options = [f"{letter}. {text}" for letter, text in zip(ascii_uppercase, problem.options)]
        return "\n".join([problem.question, *options])

    def check(self, answer: str, question: Question) -> Verdict:
        found = self._LETTER.fullmatch(answer)
        letter, problem = found[1].upper() if found else "", self.asked[question.data]
        assert isinstance(problem, Choice)
        if not letter or letter not in ascii_uppercase[: len(problem.options)]:
            return verdict(False, False, f"no letter from A to {ascii_uppercase[len(problem.options) - 1]}")
        right = letter == problem.answer
        return verdict(right, True, "" if right else "another option")

    def chance(self, question: Question) -> float:
        problem = self.asked[question.data]
        assert isinstance(problem, Choice)
        return 1 / len(problem.options)

    def alternatives(self, i: int) -> tuple[list[tuple[str, str]], int]:
        """What a model is asked the likelihood of: (context, continuation) of each option; the right place.

        A continuation is the option after the question, which does not show the others. Of a sentence with a
        blank it is the rest of the sentence, given its beginning with the option put in (partial evaluation,
        Trinh and Le 2018).
        """
        problem = self.asked[i]
        assert isinstance(problem, Choice)
        told = [self._likely(problem, option) for option in problem.options]
        return [(self._likely_head + context, rest) for context, rest in told], ascii_uppercase.find(
            problem.answer
        )

    @cached_property
    def _likely_head(self) -> str:
        """The examples, as likelihoods are asked."""
        shown = []
        for problem in self.examples:
            assert isinstance(problem, Choice)
            right = problem.options[ascii_uppercase.find(problem.answer)]
            shown.append("".join(self._likely(problem, right)) + BETWEEN)
        return "".join(shown)

    def _likely(self, problem: Choice, option: str) -> tuple[str, str]:
        if not problem.blank:
            context = self.template.replace(PLACE, problem.question)
            return context, option if context[-1].isspace() else f" {option}"
        before, _, after = problem.question.partition(BLANK)
        return (before + option, after) if after.strip() else (before, option + after)


@lru_cache(1 << 12)
def _planned(tests: tuple[str, ...], setup: str, entry: str, prompt: str, answer: str) -> Plan:
    return plan(tests, setup, entry, prompt, answer)


def _told(planned: Plan, passed: Sequence[bool], outcome: Any) -> str:
    """What is wrong with a program that does not pass, in a line."""
    for check, good in zip(planned.checks, passed):
        if not good:
            return f"fails: {' '.join(check.text.split())[:160]}"
    return f"{outcome.status}: {' '.join(outcome.error.split())[:120]}"


KINDS: dict[str, type[Problems]] = {
    "gsm8k": NumberProblems,
    "math": MathProblems,
    "aime": CompetitionProblems,
    "mbpp": ProgramProblems,
    "humaneval": ProgramProblems,
    "choice": ChoiceProblems,
}


def open_problems(
    path: str, *, format: str = AUTO, template: str = PLACE, shots: int = 0, answer: str = "tags"
) -> Problems:
    """The problems of the file at `path` (JSONL, or a JSON list).

    * `format`: one of `envs.text.files.formats.FORMATS`, or `auto`: what the first problem's fields say.
    * `template`: what is shown, with `{question}` where the question stands; nothing else in it is special.
    * `shots`: of the file's first problems, those that are shown solved before each question.
    * `answer`: how a completion answers, see `envs.text.files.answers`.

    Raises `OptionError` for options that do not fit, and for a file that cannot be read as its format: it
    names the file, the line and the field.
    """
    if format not in (AUTO, *FORMATS):
        raise OptionError("format", f"no format '{format}'; {suggest(format, (AUTO, *FORMATS))}")
    read_rows(path)  # which says what is wrong with it
    found = Path(path).stat()
    return _opened(path, found.st_mtime_ns, found.st_size, format, template, shots, answer)


@lru_cache(OPENED)
def _opened(
    path: str, changed: int, size: int, format: str, template: str, shots: int, answer: str
) -> Problems:
    format, found = problems_of(read_rows(path), format)
    return KINDS[format](Path(path).name, found, template, shots, answer)


__all__ = ["AUTO", "ChoiceProblems", "MathProblems", "Problems", "open_problems"]
