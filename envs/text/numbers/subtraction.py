"""Subtraction, column by column; where a digit is too small, ten is borrowed from the next.

    432-178=

    12-8-0=4
    13-7-1=5
    4-1-1=2

The results, read upwards, are the answer: `254`. A level is the number of digits of both numbers, the first
of which is not the smaller one.
"""

from __future__ import annotations

import numpy as np

from envs.text.numbers.columns import TwoNumbers, bounds, pairs, pick, subtract
from envs.text.task import Question


class Subtraction(TwoNumbers):
    """Take a number from one that is not smaller, both of as many digits as the level says."""

    title = "Subtraction"
    about = "subtract two numbers, column by column"
    instructions = "Take the second number from the first. Answer with the difference."
    sign = "-"
    alphabet = "0123456789-=\n"

    def generate(self, rng: np.random.Generator, level: int) -> Question:
        a, b = pick(rng, level), pick(rng, level)
        return self.ask(max(a, b), min(a, b), level)

    def ask(self, a: int, b: int, level: int) -> Question:
        """The question; the greater number stands first (`ValueError`)."""
        if a < b:
            raise ValueError(f"'{a}-{b}=' takes away more than there is")
        return Question(f"{a}-{b}=", (a, b), f"{a}-{b}", level)

    def result(self, a: int, b: int) -> int:
        return a - b

    def lines(self, a: int, b: int, strategy: str) -> list[str]:
        return subtract(a, b)

    def chance(self, question: Question) -> float:
        """Of any difference, 0 or more, of two numbers with as many digits."""
        (least, most), (also, at_most) = (bounds(len(str(n))) for n in question.data)
        return 1 / (most - also - max(0, least - at_most) + 1)

    def space(self, level: int) -> float:
        return pairs(level)
