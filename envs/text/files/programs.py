r"""Programs that read an input and print an output, from a file in the form of programming competitions.

    env: {id: text/Programs-v0, path: apps.jsonl}

    question or description     what is to be written
    input_output                {"inputs": ["3 4\n"], "outputs": ["7\n"]}, or that as a text of JSON
                                (APPS, Hendrycks et al. 2021; TACO, Li et al. 2023), or instead
    public_tests, private_tests, generated_tests
                                {"input": ["3 4\n"], "output": ["7\n"]} each (CodeContests, Li et al. 2022)
    solutions                   programs, as a list, a text of JSON, or {"solution": […]}; may be missing

A program runs once for each test, in the sandbox, and passes where it ends without an error and prints the
lines that are wanted, whatever spaces they have.
"""

from __future__ import annotations

import ast
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from envs.text.files.formats import CONTEST, Problem
from envs.text.files.problems import OPENED, PLACE, CodeProblems, verdict
from envs.text.files.reading import Row, read_rows, short
from envs.text.sandbox import Outcome, Program, shared
from envs.text.task import Question, Verdict

SECONDS = 2.0
"""For each test."""
QUESTION, (_, *TESTS) = CONTEST
"""Fields: of what is asked, and of tests in the form of CodeContests."""


@dataclass(frozen=True)
class Contest(Problem):
    """A program to be written. `answer` is one that is said to pass, or nothing where the file has none."""

    tests: tuple[tuple[str, str], ...] = ()
    """What it reads, and what it has to print."""


class Programs(CodeProblems):
    """Programs from stdin to stdout. The part `tests` is the share of tests that a program passes."""

    title = "Programs of a file"
    runs_programs = True
    about = "path=FILE.jsonl: programs from stdin to stdout, in the form of APPS, TACO and CodeContests"
    sentence = "Write a Python program that reads the input and prints the output. Answer with code alone."

    def verify_many(self, calls: Sequence[tuple[str, Question]]) -> list[Verdict | Exception]:
        """As `verify`, with all programs beside each other. One that hangs at its first test is given up."""
        said = [self.heard(completion) for completion, _ in calls]
        out: list[Any] = [verdict(False, False, reading.error, tests=0.0) for reading in said]
        code = {i: reading.answer for i, reading in enumerate(said) if reading.answer is not None}
        tests = {i: self._tests(calls[i][1]) for i in code}
        firsts = shared().run([_asked(code[i], tests[i][0]) for i in code])
        outcomes = {i: [first] for i, first in zip(code, firsts)}
        on = [i for i in code if outcomes[i][0].status != "timeout"]
        rest = iter(shared().run([_asked(code[i], test) for i in on for test in tests[i][1:]]))
        for i in on:
            outcomes[i] += [next(rest) for _ in tests[i][1:]]
        for i in code:
            out[i] = _judged(outcomes[i], tests[i])
        return out

    def _tests(self, question: Question) -> tuple[tuple[str, str], ...]:
        problem = self.asked[question.data]
        assert isinstance(problem, Contest)
        return problem.tests


def open_programs(path: str, *, template: str = PLACE, shots: int = 0, answer: str = "tags") -> Programs:
    """The problems of the file at `path` (JSONL, or a JSON list); options as in `open_problems`.

    Raises `OptionError` for options that do not fit, and for a file that cannot be read in this form: it
    names the file, the line and the field.
    """
    read_rows(path)  # which says what is wrong with it
    found = os.stat(path)
    return _opened(path, found.st_mtime_ns, found.st_size, template, shots, answer)


@lru_cache(OPENED)
def _opened(path: str, changed: int, size: int, template: str, shots: int, answer: str) -> Programs:
    return Programs(Path(path).name, [contest(row) for row in read_rows(path)], template, shots, answer)


def contest(row: Row) -> Contest:
    """The problem of a row. Raises `OptionError`."""
    question = row.text(*QUESTION)
    tests = tuple(_tests(row))
    if not tests:
        raise row.error(f"no tests: it needs the field 'input_output', or {' or '.join(map(repr, TESTS))}")
    return Contest(row, question, _solution(row), tests=tests)


def _asked(code: str | None, test: tuple[str, str]) -> Program:
    return Program(source=code or "", stdin=test[0], seconds=SECONDS)


def _judged(outcomes: Sequence[Outcome], tests: Sequence[tuple[str, str]]) -> Verdict:
    passed = [
        outcome.status == "ok" and _lines(outcome.stdout) == _lines(wanted)
        for outcome, (_, wanted) in zip(outcomes, tests)
    ]
    right = sum(passed) == len(tests)
    error = "" if right else _told(outcomes[passed.index(False)], *tests[passed.index(False)])
    return verdict(right, True, error, tests=sum(passed) / len(tests))


def _told(outcome: Outcome, read: str, wanted: str) -> str:
    """What went wrong at a test, in a line."""
    if outcome.status != "ok":
        return f"for {short(read)}: {outcome.status}: {' '.join(outcome.error.split())[:120]}"
    return f"for {short(read)}: prints {short(outcome.stdout)}, not {short(wanted)}"


def _lines(text: str) -> list[str]:
    """The lines of an output, of which spaces at the ends, and how many in between, do not count."""
    return [" ".join(line.split()) for line in text.strip().split("\n")]


# -- fields ------------------------------------------------------------------------------------------------


def _tests(row: Row) -> Iterator[tuple[str, str]]:
    if row.has("input_output"):
        found = _read(row, "input_output")
        if isinstance(found, dict) and found.get("fn_name"):
            said = f"asks for a function ('fn_name' is {short(found['fn_name'])})"
            raise row.error(f"the field 'input_output' {said}; only programs that read an input can be run")
        yield from _pairs(row, "input_output", found, "inputs", "outputs")
    for name in TESTS:
        if row.has(name):
            yield from _pairs(row, name, _read(row, name), "input", "output")


def _pairs(row: Row, field: str, found: Any, before: str, after: str) -> Iterator[tuple[str, str]]:
    """Inputs with their outputs, which are two lists as long as each other."""
    wanted = f'must be {{"{before}": […], "{after}": […]}}'
    if not isinstance(found, dict):
        raise row.error(f"the field '{field}' {wanted}, not {short(found)}")
    for name in (before, after):
        if not isinstance(found.get(name), list):
            raise row.error(f"the field '{field}' {wanted}; its '{name}' is {short(found.get(name))}")
    inputs, outputs = found[before], found[after]
    if len(inputs) != len(outputs):
        raise row.error(f"the field '{field}' has {len(inputs)} {before} and {len(outputs)} {after}")
    for number, (read, printed) in enumerate(zip(inputs, outputs), 1):
        yield (
            _text(row, f"{field}.{before}", number, read),
            _text(row, f"{field}.{after}", number, printed),
        )


def _text(row: Row, field: str, number: int, value: Any) -> str:
    """An input or an output: a text, or a list of lines."""
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "\n".join(value)
    if not isinstance(value, str):
        raise row.error(f"the field '{field}' must have texts; its item {number} is {short(value)}")
    return value


def _solution(row: Row) -> str:
    """The first solution that is Python, or nothing."""
    found = _read(row, "solutions") if row.has("solutions") else []
    if isinstance(found, dict):
        found = found.get("solution")
    if not isinstance(found, list) or not all(isinstance(code, str) for code in found):
        raise row.error(f"the field 'solutions' must be a list of programs, not {short(found)}")
    return next((code.strip() for code in found if code.strip() and _is_python(code)), "")


def _is_python(code: str) -> bool:
    try:
        ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _read(row: Row, name: str) -> Any:
    """A field, read as JSON where it is a text."""
    value = row.fields[name]
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise row.error(f"the field '{name}' is no JSON: {error}") from None


__all__ = ["Programs", "open_programs"]
