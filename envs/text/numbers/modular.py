"""Modular arithmetic: what a sum of numbers and products leaves when it is divided.

    (12*7+5-38*9)%23=

    12*7=84
    84%23=15
    15+5=20
    38*9=342
    342%23=20
    20-20=0

Each product is worked out and reduced, then each sum; what lies in 0 … 22 already is not reduced. The answer
is the last result: `0`. A level is how many numbers and products there are, and how large they are, `SIZES`.
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple

import numpy as np

from envs.text.lines import right_lines
from envs.text.numbers.columns import judge_number
from envs.text.task import Question, Task, Verdict


class Size(NamedTuple):
    """How large a problem is."""

    terms: int
    most: int
    """The greatest factor."""
    moduli: tuple[int, int]


SIZES = (
    Size(1, 9, (5, 19)),
    Size(2, 9, (5, 19)),
    Size(3, 9, (5, 19)),
    Size(2, 99, (11, 49)),
    Size(3, 99, (11, 49)),
    Size(4, 99, (11, 99)),
    Size(6, 99, (11, 99)),
    Size(4, 999, (101, 999)),
)
LONGEST = 50
TERM = r"[1-9][0-9]{0,5}(?:\*[1-9][0-9]{0,5})?"
FORM = re.compile(rf"\(({TERM}(?:[+-]{TERM}){{0,{LONGEST}}})\)%([1-9][0-9]{{0,5}})=")
Term = tuple[int, ...]
"""A sign (1 or −1), then one factor or two."""


class Modular(Task):
    """The remainder of a sum of numbers and products."""

    title = "Modular arithmetic"
    about = "what an expression leaves when it is divided"
    instructions = (
        "Work out the expression; a%m means the remainder of a divided by m, from 0 to m-1 (also where a is "
        "negative). Answer with the remainder."
    )
    levels = len(SIZES)
    alphabet = "0123456789+-*()%=\n"

    def generate(self, rng: np.random.Generator, level: int) -> Question:
        terms, most, (least, greatest) = SIZES[level - 1]
        draws = iter(rng.random(4 * terms + 1).tolist())
        found: list[Term] = []
        for i in range(terms):
            sign, single = next(draws) < 0.5, next(draws) < 0.3
            factors = [1 + int(next(draws) * most) for _ in range(2)]
            product = factors[:1] if single and terms > 1 else factors
            found.append((-1 if sign and i else 1, *product))
        return _ask(tuple(found), least + int(next(draws) * (greatest - least + 1)), level)

    def understand(self, prompt: str) -> Question:
        found = FORM.fullmatch(prompt)
        if found is None:
            raise ValueError(f"{prompt!r:.60} does not read like (12*7+5)%23=")
        terms = re.findall(rf"([+-]?)({TERM})", found[1])
        read = tuple((-1 if sign == "-" else 1, *map(int, term.split("*"))) for sign, term in terms)
        return _ask(read, int(found[2]), 0)

    def answer(self, question: Question) -> str:
        return str(_value(question))

    def work(self, question: Question, strategy: str) -> str:
        return "\n".join(_lines(*question.data))

    def check(self, answer: str, question: Question) -> Verdict:
        return judge_number(answer, _value(question))

    def check_steps(self, steps: str, question: Question) -> float:
        return right_lines(steps, _lines(*question.data))

    def chance(self, question: Question) -> float:
        """Of any remainder."""
        return 1 / question.data[1]

    def space(self, level: int) -> float:
        """At least: products only, as if each differed from every other order of its terms and factors."""
        terms, most, (least, greatest) = SIZES[level - 1]
        sums = (most**2 / 2) ** terms * 2 ** (terms - 1) / math.factorial(terms)
        return float(math.ceil(sums * (greatest - least + 1)))


def _ask(terms: tuple[Term, ...], modulus: int, level: int) -> Question:
    """The question; in whatever order terms and factors stand, it is the same problem."""
    signs = [("-" if sign < 0 else "+" if i else "") for i, (sign, *_) in enumerate(terms)]
    text = "".join(sign + "*".join(map(str, factors)) for sign, (_, *factors) in zip(signs, terms))
    alike = sorted((sign, *sorted(factors)) for sign, *factors in terms)
    key = f"{' '.join(_written(*term) for term in alike)} %{modulus}"
    return Question(f"({text})%{modulus}=", (terms, modulus), key, level)


def _written(sign: int, *factors: int) -> str:
    return ("-" if sign < 0 else "+") + "*".join(map(str, factors))


def _value(question: Question) -> int:
    terms, modulus = question.data
    return sum(math.prod(term) for term in terms) % modulus


def _lines(terms: tuple[Term, ...], modulus: int) -> list[str]:
    lines: list[str] = []
    total: int | None = None
    for sign, *factors in terms:
        value = math.prod(factors)
        if len(factors) > 1:
            lines.append(f"{factors[0]}*{factors[1]}={value}")
        value = _reduced(value, modulus, lines)
        if total is None:
            total = value
        else:
            lines.append(f"{total}{'-' if sign < 0 else '+'}{value}={total + sign * value}")
            total = _reduced(total + sign * value, modulus, lines)
    return lines


def _reduced(value: int, modulus: int, lines: list[str]) -> int:
    if not 0 <= value < modulus:
        lines.append(f"{value}%{modulus}={value % modulus}")
    return value % modulus
