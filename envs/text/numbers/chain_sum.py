"""Chains of additions and subtractions, from left to right.

    12+5-38+7=

    12+5=17
    17-38=-21
    -21+7=-14

The answer is the last result: `-14`. A level is how many numbers there are and how many digits they have,
`SIZES`.
"""

from __future__ import annotations

import math
import re

import numpy as np

from envs.text.lines import right_lines
from envs.text.numbers.columns import NUMBER, bounds, judge_number, size
from envs.text.task import Question, Task, Verdict

SIZES = ((3, 1), (4, 1), (3, 2), (4, 2), (5, 2), (6, 2), (4, 3), (6, 3), (8, 3), (12, 3))
"""Numbers, and digits of each, at each level."""
LONGEST = 50
FORM = re.compile(rf"{NUMBER}(?:[+-]{NUMBER}){{2,{LONGEST}}}=")
TERM = re.compile(r"[+-]?\d+", re.ASCII)


class ChainSum(Task):
    """Add and subtract three or more numbers."""

    title = "Chain sums"
    about = "add and subtract numbers from left to right"
    instructions = "Work out the sum. Answer with the result, which may be negative."
    levels = len(SIZES)
    alphabet = "0123456789+-=\n"

    def generate(self, rng: np.random.Generator, level: int) -> Question:
        count, digits = SIZES[level - 1]
        least, most = bounds(digits)
        span = 2 * (most - least + 1)  # the half that a draw falls into is its sign
        drawn = [divmod(int(x * span), 2) for x in rng.random(count).tolist()]
        terms = (-(least + n) if i and minus else least + n for i, (n, minus) in enumerate(drawn))
        return _ask(tuple(terms), level)

    def understand(self, prompt: str) -> Question:
        if FORM.fullmatch(prompt) is None:
            raise ValueError(f"{prompt!r:.60} does not read like 12+5-38=")
        question = _ask(tuple(map(int, TERM.findall(prompt))), 0)
        if question.prompt != prompt:
            raise ValueError(f"{prompt!r:.60} takes away nothing; that is written +0")
        return question

    def answer(self, question: Question) -> str:
        return str(sum(question.data))

    def work(self, question: Question, strategy: str) -> str:
        return "\n".join(_lines(question.data))

    def check(self, answer: str, question: Question) -> Verdict:
        return judge_number(answer, sum(question.data))

    def check_steps(self, steps: str, question: Question) -> float:
        return right_lines(steps, _lines(question.data))

    def chance(self, question: Question) -> float:
        """Of any number from the least to the greatest sum of numbers with as many digits."""
        sizes = [bounds(len(str(abs(n)))) for n in question.data]
        return 1 / (2 * sum(most for _, most in sizes[1:]) + sizes[0][1] - sizes[0][0] + 1)

    def space(self, level: int) -> float:
        """At least: all chains, as if each differed from every other order of its numbers."""
        count, digits = SIZES[level - 1]
        others = 2 * size(digits) - (digits == 1)  # of either sign, but for 0
        return float(size(digits) * others ** (count - 1) // math.factorial(count))


def _ask(terms: tuple[int, ...], level: int) -> Question:
    """The question; in whatever order its numbers stand, it is the same problem."""
    prompt = f"{terms[0]}{''.join(f'{term:+}' for term in terms[1:])}="
    return Question(prompt, terms, " ".join(map(str, sorted(terms))), level)


def _lines(terms: tuple[int, ...]) -> list[str]:
    lines, total = [], terms[0]
    for term in terms[1:]:
        lines.append(f"{total}{term:+}={total + term}")
        total += term
    return lines
