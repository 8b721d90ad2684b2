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

The answer is the last result: `26768`. A level is a pair of lengths, `SIZES`; no factor is 0. Where the
second number has one digit, "products" is the line `478*6=2868` alone.
"""

from __future__ import annotations

import numpy as np

from envs.text.numbers.columns import TwoNumbers, add, bounds, times
from envs.text.task import Question

SIZES = ((1, 1), (2, 1), (3, 1), (2, 2), (4, 1), (3, 2), (3, 3), (4, 3), (4, 4), (5, 5))
"""Digits of both numbers at each level."""


class Multiplication(TwoNumbers):
    """Multiply two numbers."""

    title = "Multiplication"
    about = "multiply two numbers by partial products"
    instructions = "Multiply the two numbers. Answer with their product."
    sign = "*"
    levels = len(SIZES)
    alphabet = "0123456789*+=\n"
    strategies = ("products", "columns")

    def generate(self, rng: np.random.Generator, level: int) -> Question:
        one, other = SIZES[level - 1]
        return self.ask(_pick(rng, one), _pick(rng, other), level)

    def result(self, a: int, b: int) -> int:
        return a * b

    def lines(self, a: int, b: int, strategy: str) -> list[str]:
        """The partial products of the first by the digits of the other, from the right, and their sums."""
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

    def chance(self, question: Question) -> float:
        """Of any number from the least to the greatest product of numbers with as many digits."""
        (least, most), (also, at_most) = (_bounds(len(str(n))) for n in question.data)
        return 1 / (most * at_most - least * also + 1)

    def space(self, level: int) -> float:
        one, other = SIZES[level - 1]
        many, others = _size(one), _size(other)
        return float(many * (many + 1) // 2 if one == other else many * others)


def _pick(rng: np.random.Generator, digits: int) -> int:
    """A factor of so many digits, each as likely."""
    return _bounds(digits)[0] + int(rng.random() * _size(digits))


def _bounds(digits: int) -> tuple[int, int]:
    """The least and the greatest factor of so many digits: not 0, of which nothing but 0 comes."""
    least, most = bounds(digits)
    return max(1, least), most


def _size(digits: int) -> int:
    """How many factors of so many digits there are."""
    least, most = _bounds(digits)
    return most - least + 1
