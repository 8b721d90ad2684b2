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

from envs.text.columns import add, bounds, form, judge_number, operands, pairs, pick
from envs.text.lines import right_lines
from envs.text.task import Question, Task, Verdict

FORM = form("+")


class Addition(Task):
    """Add two numbers of as many digits as the level says."""

    title = "Addition"
    about = "add two numbers, column by column"
    instructions = "Add the two numbers. Answer with their sum."
    levels = 10
    alphabet = "0123456789+=\n"

    def generate(self, rng: np.random.Generator, level: int) -> Question:
        return _ask(pick(rng, level), pick(rng, level), level)

    def understand(self, prompt: str) -> Question:
        return _ask(*operands(prompt, "+", FORM), 0)

    def answer(self, question: Question) -> str:
        return str(sum(question.data))

    def work(self, question: Question, strategy: str) -> str:
        return "\n".join(add(*question.data))

    def check(self, answer: str, question: Question) -> Verdict:
        return judge_number(answer, sum(question.data))

    def check_steps(self, steps: str, question: Question) -> float:
        return right_lines(steps, add(*question.data))

    def chance(self, question: Question) -> float:
        """Of any sum of two numbers with as many digits."""
        (least, most), (also, at_most) = (bounds(len(str(n))) for n in question.data)
        return 1 / (most + at_most - least - also + 1)

    def space(self, level: int) -> float:
        return pairs(level)


def _ask(a: int, b: int, level: int) -> Question:
    """The question; in whatever order they stand, it is the same problem."""
    return Question(f"{a}+{b}=", (a, b), f"{a}+{b}" if a < b else f"{b}+{a}", level)
