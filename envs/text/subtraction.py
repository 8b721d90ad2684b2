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

from envs.text.columns import bounds, form, judge_number, operands, pairs, pick, subtract
from envs.text.lines import right_lines
from envs.text.task import Question, Task, Verdict

FORM = form("-")


class Subtraction(Task):
    """Take a number from one that is not smaller, both of as many digits as the level says."""

    title = "Subtraction"
    about = "subtract two numbers, column by column"
    instructions = "Take the second number from the first. Answer with the difference."
    levels = 10
    alphabet = "0123456789-=\n"

    def generate(self, rng: np.random.Generator, level: int) -> Question:
        a, b = pick(rng, level), pick(rng, level)
        return _ask(a, b, level) if a > b else _ask(b, a, level)

    def understand(self, prompt: str) -> Question:
        a, b = operands(prompt, "-", FORM)
        if a < b:
            raise ValueError(f"'{prompt}' takes away more than there is")
        return _ask(a, b, 0)

    def answer(self, question: Question) -> str:
        a, b = question.data
        return str(a - b)

    def work(self, question: Question, strategy: str) -> str:
        return "\n".join(subtract(*question.data))

    def check(self, answer: str, question: Question) -> Verdict:
        a, b = question.data
        return judge_number(answer, a - b)

    def check_steps(self, steps: str, question: Question) -> float:
        return right_lines(steps, subtract(*question.data))

    def chance(self, question: Question) -> float:
        """Of any difference, 0 or more, of two numbers with as many digits."""
        (least, most), (also, at_most) = (bounds(len(str(n))) for n in question.data)
        return 1 / (most - also - max(0, least - at_most) + 1)

    def space(self, level: int) -> float:
        return pairs(level)


def _ask(a: int, b: int, level: int) -> Question:
    return Question(f"{a}-{b}=", (a, b), f"{a}-{b}", level)
