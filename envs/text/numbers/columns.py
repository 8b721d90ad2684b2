"""Arithmetic as it is done on paper, column by column; and what the number families share."""

from __future__ import annotations

import functools
import re
from abc import abstractmethod
from typing import ClassVar

import numpy as np

from envs.text.lines import right_lines
from envs.text.parsing import whole_number
from envs.text.task import Question, Task, Verdict

LONGEST = 15
"""Digits of a number in a prompt, at most."""
LONGEST_ANSWER = 1000
"""Digits that are read as a number, at most."""
RANGES = [
    (10 ** (k - 1) if k > 1 else 0, 10**k - (10 ** (k - 1) if k > 1 else 0)) for k in range(LONGEST + 1)
]
"""By the number of digits: the least number, and how many there are; 0 has one digit."""
NUMBER = rf"(0|[1-9][0-9]{{0,{LONGEST - 1}}})"
"""A number as prompts have it."""
RIGHT, WRONG = Verdict(1.0, True, True), Verdict(0.0, False, True, "another number")
NO_NUMBER = Verdict(0.0, False, False, "not a whole number")


class TwoNumbers(Task):
    """Two numbers with a sign between them: `data` is both. A family says what comes of them, and how."""

    sign: ClassVar[str]
    levels = 10

    @abstractmethod
    def result(self, a: int, b: int) -> int:
        """What is asked for."""

    @abstractmethod
    def lines(self, a: int, b: int, strategy: str) -> list[str]:
        """The steps of a strategy."""

    def ask(self, a: int, b: int, level: int) -> Question:
        """The question; in whatever order they stand, it is the same problem."""
        sign = self.sign
        return Question(f"{a}{sign}{b}=", (a, b), f"{a}{sign}{b}" if a < b else f"{b}{sign}{a}", level)

    def understand(self, prompt: str) -> Question:
        found = _form(self.sign).fullmatch(prompt)
        if found is None:
            raise ValueError(f"{prompt!r:.60} does not read like 47{self.sign}35=")
        return self.ask(int(found[1]), int(found[2]), 0)

    def answer(self, question: Question) -> str:
        return str(self.result(*question.data))

    def work(self, question: Question, strategy: str) -> str:
        a, b = question.data
        return "\n".join(self.lines(a, b, strategy))

    def check(self, answer: str, question: Question) -> Verdict:
        return judge_number(answer, self.result(*question.data))

    def check_steps(self, steps: str, question: Question) -> float:
        a, b = question.data
        return max(right_lines(steps, self.lines(a, b, way)) for way in self.strategies)


def judge_number(answer: str, right: int) -> Verdict:
    """Whether an answer is this whole number."""
    digits = answer.removeprefix("-")
    usual = digits.isascii() and digits.isdigit() and len(answer) <= LONGEST_ANSWER
    said = int(answer) if usual else whole_number(answer)
    return NO_NUMBER if said is None else RIGHT if said == right else WRONG


def pick(rng: np.random.Generator, digits: int) -> int:
    """A number of so many digits, each as likely."""
    least, count = RANGES[digits]
    return least + int(rng.random() * count)


def bounds(digits: int) -> tuple[int, int]:
    """The least and the greatest number of so many digits."""
    least, count = RANGES[digits]
    return least, least + count - 1


def size(digits: int) -> int:
    """How many numbers of so many digits there are."""
    return RANGES[digits][1]


def pairs(digits: int) -> float:
    """Unordered pairs of numbers of so many digits."""
    return float(size(digits) * (size(digits) + 1) // 2)


@functools.cache
def _form(sign: str) -> re.Pattern[str]:
    """What a prompt of two numbers reads like."""
    return re.compile(rf"{NUMBER}{re.escape(sign)}{NUMBER}=")


def add(a: int, b: int) -> list[str]:
    """Lines such as `8+6+0=14`: two digits and the carry, from the right to the longer number's left."""
    lines: list[str] = []
    carry = 0
    while a or b or not lines:
        (a, x), (b, y) = divmod(a, 10), divmod(b, 10)
        total = x + y + carry
        lines.append(f"{x}+{y}+{carry}={total}")
        carry = total // 10
    return lines


def subtract(a: int, b: int) -> list[str]:
    """Lines such as `12-8-0=4`: a digit (ten more where it borrows), one to take away, the last borrowed.

    `a` is not below `b`.
    """
    lines: list[str] = []
    borrowed = 0
    while a or b or not lines:
        (a, x), (b, y) = divmod(a, 10), divmod(b, 10)
        borrows = x < y + borrowed
        x += 10 * borrows
        lines.append(f"{x}-{y}-{borrowed}={x - y - borrowed}")
        borrowed = int(borrows)
    return lines


def times(a: int, digit: int) -> list[str]:
    """Lines such as `8*6+0=48`: a digit of `a` times `digit`, and the carry, from the right."""
    lines: list[str] = []
    carry = 0
    while a or not lines:
        a, x = divmod(a, 10)
        total = x * digit + carry
        lines.append(f"{x}*{digit}+{carry}={total}")
        carry = total // 10
    return lines
