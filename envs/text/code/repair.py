"""Programs to mend: a function that was to be written, with one token wrong.

    list: keep above 3, each times 2
    f([1,7,4])=[14,8]
    f([5,-2,0])=[10]
    f=lambda x:[n*2 for n in [n for n in x if n<3]]

The answer is a whole program that passes the hidden tests: `f=lambda x:[n*2 for n in [n for n in x if n>3]]`.
The steps are the code of each stage, and then which token is wrong:

    keep above 3: [n for n in x if n>3]
    each times 2: [n*2 for n in x]
    < should be >

The wrong program fails at least one of the tests. That was found out by `envs.text.code.interpreter`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from envs.text.code import functions, language
from envs.text.code.functions import Functions, Spec
from envs.text.code.running import follow
from envs.text.lines import right_lines
from envs.text.sandbox import canonical
from envs.text.task import Question

TRIES = 8
"""Tokens that are tried before another function is drawn."""
_TOKEN = re.compile(r'"[a-z]*"|[a-z]+(?:\.[a-z]+)?|\d+|\*\*|//|==|:+|\s+|.')
ALIKE = (
    ("+", "-", "*"),
    ("//", "%", "*"),
    ("**", "*", "+"),
    ("<", ">", "=="),
    ("max", "min"),
    ("sum", "len", "max"),
    ("sorted", "list"),
    (":", "::"),
)
"""Tokens that are taken for each other; so are numbers, letters, and the names that a program has."""
NAMES = ("x", "n", "a", "b", "c")


class Repair(Functions):
    """Mend a function. `data` is that of `Functions`, and the wrong program.

    The problem, of train or of test, is the function, with whatever token of it is wrong.
    """

    title = "Repair"
    about = "mend a Python function in which one token is wrong"
    instructions = (
        f"{Functions.instructions.removesuffix(' Answer with the program.')} The program after the examples "
        "is almost right: one token of it is wrong. Answer with the whole program, mended."
    )
    strategies = ("find",)

    def generate(self, rng: np.random.Generator, level: int) -> Question:
        while True:
            made = super().generate(rng, level)
            wrong = _broken(rng, Spec(*made.data[:3]))
            if wrong:
                return _ask(made, wrong, level)

    def understand(self, prompt: str) -> Question:
        lines = prompt[: functions.LONGEST_PROMPT].split("\n")
        shown = 1 + functions.EXAMPLES
        made = super().understand("\n".join(lines[:shown]))
        wrong = "\n".join(lines[shown:])
        if f"{made.prompt}\n{wrong}" != prompt or _change(wrong, self.answer(made)) is None:
            raise ValueError(f"{prompt[-60:]!r} is no program with one token wrong")
        return _ask(made, wrong, 0)

    def check_steps(self, steps: str, question: Question) -> float:
        return right_lines(steps, _found(question))

    def work(self, question: Question, strategy: str) -> str:
        return "\n".join(_found(question))

    def chance(self, question: Question) -> float:
        """Of any one token of the program, and any that it may be taken for."""
        tokens = _TOKEN.findall(question.data[4])
        return 1 / sum(len(_others(token, tokens)) for token in tokens)


def _ask(made: Question, wrong: str, level: int) -> Question:
    return Question(f"{made.prompt}\n{wrong}", (*made.data, wrong), made.key, level)


def _found(question: Question) -> list[str]:
    spec = Spec(*question.data[:3])
    change = _change(question.data[4], functions.program(spec))
    assert change is not None
    return [*functions.plan(spec), f"{change[0]} should be {change[1]}"]


def _change(wrong: str, right: str) -> tuple[str, str] | None:
    """(wrong token, right token) where two programs differ in one."""
    ours, theirs = _TOKEN.findall(wrong), _TOKEN.findall(right)
    different = [(a, b) for a, b in zip(ours, theirs) if a != b]
    return different[0] if len(ours) == len(theirs) and len(different) == 1 else None


def _broken(rng: np.random.Generator, spec: Spec) -> str | None:
    """The program of a function with one token changed, so that it fails; None where that was not found."""
    tokens = _TOKEN.findall(functions.program(spec))
    places = [i for i, token in enumerate(tokens) if _others(token, tokens)]
    lots = iter(rng.random(2 * TRIES).tolist())
    for _ in range(TRIES):
        i = places[int(next(lots) * len(places))]
        others = _others(tokens[i], tokens)
        changed = [*tokens[:i], others[int(next(lots) * len(others))], *tokens[i + 1 :]]
        wrong = "".join(changed)
        if _TOKEN.findall(wrong) == changed and _fails(wrong, spec):
            return wrong
    return None


def _others(token: str, tokens: Sequence[str]) -> tuple[str, ...]:
    """What a token of a program may be taken for."""
    if token in NAMES:
        return tuple([name for name in NAMES if name != token and name in tokens])
    if token.isdigit():
        return tuple([n for n in map(str, range(10)) if n != token])
    if re.fullmatch('"[a-z]"', token):
        return tuple([f'"{c}"' for c in language.LETTERS if c != token[1]])
    alike = {other: None for group in ALIKE if token in group for other in group if other != token}
    return tuple(alike)


def _fails(program: str, spec: Spec) -> bool:
    """Whether a program is known to fail a test."""
    tests = functions.hidden_tests(spec)
    given = follow(program, tests)
    if given is None or not given.parsed:
        return False
    return given.values != tuple(map(canonical, tests.values))
