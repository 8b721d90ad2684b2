"""Programs that an agent wrote, run against tests that they do not see.

A program gets the arguments of all tests and gives back its values, as canonical reprs; only here, where it
cannot reach, are they compared with what is right. It runs in the sandbox. A short one in the small Python
that `envs.text.code.interpreter` knows is followed there, which comes to the same and is many times
faster; and what is no Python at all is not run.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from envs.text.code.interpreter import Machine, Raised, Unknown, parse
from envs.text.sandbox import Outcome, Program, canonical, shared
from envs.text.task import Verdict

SECONDS = 1.0
"""For all calls of one program."""
REMEMBERED = 4096
"""Programs whose values are kept: tries at one problem are often the same."""
_FORM = re.compile(r"^(?:def[ \t]+f[ \t]*\(|f[ \t]*=[^=])", re.MULTILINE)


class Tests(NamedTuple):
    """What a function `f` is called with, and what has to come back."""

    name: str
    """Names the arguments: equal names, equal arguments."""
    arguments: tuple[Any, ...]
    values: tuple[Any, ...]


class Given(NamedTuple):
    """What a program gave."""

    values: tuple[str, ...]
    """Of each call that was made, `canonical`, or what it raised in angle brackets."""
    error: str = ""
    parsed: bool = True
    """Whether it was Python."""


_known: dict[tuple[str, str], Given] = {}


def defines_f(program: str) -> bool:
    """Whether a program has a line that begins with `def f(` or `f=`; any other is not looked at further."""
    return _FORM.search(program) is not None


def prepare(asked: Sequence[tuple[str, Tests]]) -> None:
    """Run what was not run yet of several programs, beside each other."""
    if len(_known) > REMEMBERED:
        _known.clear()
    new = {(p, tests.name): tests for p, tests in asked if (p, tests.name) not in _known}
    followed = {key: given for key, tests in new.items() if (given := follow(key[0], tests))}
    rest = {key: tests for key, tests in new.items() if key not in followed}
    outcomes = shared().run([_program(p, tests) for (p, _), tests in rest.items()]) if rest else []
    _known.update(followed)
    _known.update((key, _given(outcome)) for key, outcome in zip(rest, outcomes, strict=True))


def follow(program: str, tests: Tests) -> Given | None:
    """What a program gives, without running it; None where that is not known."""
    try:
        tree = parse(program)
    except SyntaxError as error:
        return Given((), f"SyntaxError: {error.msg}", parsed=False)
    except Unknown:
        return None
    machine, values = Machine(), []
    try:
        machine.run(tree)
        for argument in tests.arguments:
            values.append(_followed(machine, argument))
    except (Unknown, Raised):
        return None
    return Given(tuple(values))


def judge(program: str, tests: Tests) -> Verdict:
    """Whether a function passes all tests; the part `tests` is the share of those that it passes."""
    if not defines_f(program):
        return Verdict(0.0, False, False, "no function f", {"tests": 0.0})
    prepare([(program, tests)])
    given = _known[program, tests.name]
    passed = [said == canonical(value) for said, value in zip(given.values, tests.values)]
    right = len(passed) == len(tests.values) and all(passed)
    error = "" if right else _told(given, passed, tests)
    return Verdict(float(right), right, given.parsed, error, {"tests": sum(passed) / len(tests.values)})


def _followed(machine: Machine, argument: Any) -> str:
    """What a call gives, as the sandbox has it."""
    try:
        return canonical(machine.call("f", list(argument) if isinstance(argument, list) else argument))
    except Raised as error:
        return f"<{error}>"
    except ValueError as error:  # nothing that the sandbox would tell
        raise Unknown(str(error)) from None


def _program(program: str, tests: Tests) -> Program:
    return Program(source=program, calls=tuple([("f", (a,)) for a in tests.arguments]), seconds=SECONDS)


def _given(outcome: Outcome) -> Given:
    error = "" if outcome.status == "ok" else f"{outcome.status}: {outcome.error}"
    return Given(outcome.values, error, parsed="SyntaxError" not in outcome.error)


def _told(given: Given, passed: Sequence[bool], tests: Tests) -> str:
    """What is wrong with a program that does not pass, in a line."""
    for i, right in enumerate(passed):
        if not right:
            said = f"f({tests.arguments[i]!r:.60}) is {given.values[i]:.60}, not {tests.values[i]!r:.60}"
            return " ".join(said.split())
    return " ".join(given.error.split())[:120] or "not all calls came back"
