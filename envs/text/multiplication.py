"""Multiplication by partial products, which are added up as they come.

    478*56=

    478*6=2868
    478*50=23900
    2868+23900=26768

The strategy "columns" works out every product and every sum, digit by digit with the carry:

    8*6+0=48
    7*6+4=46
    4*6+4=28
    478*6=2868
    8*5+0=40
    7*5+4=39
    4*5+3=23
    478*50=23900
    8+0+0=8
    6+0+0=6
    8+9+0=17
    2+3+1=6
    0+2+0=2
    2868+23900=26768

The answer is the last result: `26768`. A level is a pair of lengths, `SIZES`.
"""

from __future__ import annotations

import math

import numpy as np

from envs.text.columns import add, bounds, form, judge_number, operands, pairs, pick, size, times
from envs.text.lines import right_lines
from envs.text.task import Question, Task, Verdict

FORM = form("*")
SIZES = ((1, 1), (2, 1), (3, 1), (2, 2), (4, 1), (3, 2), (3, 3), (4, 3), (4, 4), (5, 5))
"""Digits of both numbers at each level."""


class Multiplication(Task):
    """Multiply two numbers."""

    title = "Multiplication"
    about = "multiply two numbers by partial products"
    instructions = "Multiply the two numbers. Answer with their product."
    levels = len(SIZES)
    alphabet = "0123456789*+=\n"
    strategies = ("products", "columns")

    def generate(self, rng: np.random.Generator, level: int) -> Question:
        one, other = SIZES[level - 1]
        return _ask(pick(rng, one), pick(rng, other), level)

    def understand(self, prompt: str) -> Question:
        return _ask(*operands(prompt, "*", FORM), 0)

    def answer(self, question: Question) -> str:
        return str(math.prod(question.data))

    def work(self, question: Question, strategy: str) -> str:
        return "\n".join(lines(question.data, strategy))

    def check(self, answer: str, question: Question) -> Verdict:
        return judge_number(answer, math.prod(question.data))

    def check_steps(self, steps: str, question: Question) -> float:
        return max(right_lines(steps, lines(question.data, way)) for way in self.strategies)

    def chance(self, question: Question) -> float:
        """Of any number from the least to the greatest product of numbers with as many digits."""
        (least, most), (also, at_most) = (bounds(len(str(n))) for n in question.data)
        return 1 / (most * at_most - least * also + 1)

    def space(self, level: int) -> float:
        one, other = SIZES[level - 1]
        return pairs(one) if one == other else float(size(one) * size(other))


def lines(factors: tuple[int, int], strategy: str) -> list[str]:
    """The partial products of the first by the digits of the other, from the right, and their sums."""
    a, b = factors
    found: list[str] = []
    total, place, long = 0, 1, strategy == "columns"
    for digit in map(int, reversed(str(b))):
        part = a * digit * place
        found += times(a, digit) if long else ()
        found.append(f"{a}*{digit * place}={part}")
        if place > 1:
            found += add(total, part) if long else ()
            found.append(f"{total}+{part}={total + part}")
        total, place = total + part, place * 10
    return found


def _ask(a: int, b: int, level: int) -> Question:
    """The question; in whatever order they stand, it is the same problem."""
    return Question(f"{a}*{b}=", (a, b), f"{a}*{b}" if a < b else f"{b}*{a}", level)
