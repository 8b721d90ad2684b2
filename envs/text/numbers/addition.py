"""Addition, column by column with the carry.

    478+356=

    8+6+0=14
    7+5+1=13
    4+3+1=8

The last digits, read upwards with what is carried last before them, are the answer: `834`. A level is the
number of digits of both numbers.
"""

from __future__ import annotations

import numpy as np

from envs.text.numbers.columns import TwoNumbers, add, bounds, pairs, pick
from envs.text.task import Question


class Addition(TwoNumbers):
    """Add two numbers of as many digits as the level says."""

    title = "Addition"
    about = "add two numbers, column by column"
    instructions = "Add the two numbers. Answer with their sum."
    sign = "+"
    alphabet = "0123456789+=\n"

    def generate(self, rng: np.random.Generator, level: int) -> Question:
        return self.ask(pick(rng, level), pick(rng, level), level)

    def result(self, a: int, b: int) -> int:
        return a + b

    def lines(self, a: int, b: int, strategy: str) -> list[str]:
        return add(a, b)

    def chance(self, question: Question) -> float:
        """Of any sum of two numbers with as many digits."""
        (least, most), (also, at_most) = (bounds(len(str(n))) for n in question.data)
        return 1 / (most + at_most - least - also + 1)

    def space(self, level: int) -> float:
        return pairs(level)
