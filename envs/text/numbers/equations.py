"""Linear equations in one to three unknowns.

    2x+3y=12;5x-2y=11

The answer gives every unknown, as a whole number or a fraction:

    x=3,y=2

Equations are called A, B, C …, those of the problem first. Each step makes one more of one or two before it:
one with all its unknowns on the left, one with a multiple of another added or taken away, or one divided by a
number.

    2B-5A:-19y=-38
    C/-19:y=2
    A-3D:2x=6
    E/2:x=3

Any such steps are right; they are complete when there is an equation x=… for every unknown. The solver
eliminates one unknown after the other, and puts in those that it has found, the last one first (Gauss).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from envs.text.parsing import LONGEST_ANSWER, number
from envs.text.task import Question, Task, Verdict

UNKNOWNS = "xyz"
LABELS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
LARGEST_CONSTANT = 20
"""Beside an unknown, in a single equation."""
LARGEST_VALUE, LARGEST_BELOW = 20, 6
"""Of a solution, either sign, and below its line where it is a fraction."""


@dataclass(frozen=True)
class Size:
    """What the problems of a level are like."""

    unknowns: int
    largest: int
    """A coefficient, either sign."""
    value: int
    """A solution, either sign, at most."""
    fractions: bool = False
    both_sides: bool = False
    """Whether the unknown stands on both."""


LEVELS = (
    Size(1, 9, 20),
    Size(1, 9, 20, both_sides=True),
    Size(2, 5, 9),
    Size(2, 9, 12),
    Size(2, 9, 9, fractions=True),
    Size(3, 5, 9),
    Size(3, 9, 12),
    Size(3, 9, 9, fractions=True),
)
Row = tuple[int, ...]
"""The coefficient of each unknown, then what they amount to."""
Equation = tuple[Fraction, ...]
"""The same in steps."""

_TERM = r"(?:(?:[2-9]|[1-9][0-9]{1,5})?[xyz]|0|[1-9][0-9]{0,5})"
_SIDE = rf"-?{_TERM}(?:[+-]{_TERM}){{0,7}}"
_FORM = re.compile(rf"{_SIDE}={_SIDE}(?:;{_SIDE}={_SIDE}){{0,2}}")
_EACH = re.compile(r"([+-]?)([0-9]*)([xyz]?)")
_ANSWER = re.compile(r"([xyz])=([^=]+)")
_GAPS = re.compile(r"\s+")
_STEP = re.compile(
    r"([2-9]|[1-9][0-9]{1,8})?([A-Z])(?:([+-])([2-9]|[1-9][0-9]{1,8})?([A-Z])|/(-?[1-9][0-9]{0,8}))?:(.+)"
)


class Equations(Task):
    """One unknown at level 1, three and fractions at level 8."""

    title = "Linear equations"
    about = "solve linear equations in one to three unknowns"
    instructions = (
        "Solve these linear equations, which semicolons separate; 3x is 3 times x. Answer with every "
        "unknown, as a whole number or a fraction in lowest terms, such as x=3,y=-1/2."
    )
    levels = len(LEVELS)
    alphabet = UNKNOWNS + LABELS + "0123456789+-/=,;:\n"
    strategies = ("elimination",)

    def generate(self, rng: np.random.Generator, level: int) -> Question:
        size, floats = LEVELS[level - 1], _floats(rng)
        if size.unknowns == 1:
            return _ask(_single(floats, size), level)
        below = 2 + int(next(floats) * (LARGEST_BELOW - 1)) if size.fractions else 1
        values = [0] * size.unknowns
        while all(value % below == 0 for value in values) and (size.fractions or not any(values)):
            values = [_signed(floats, size.value * below) for _ in values]
        rows: list[Row] = []
        while not rows or _determinant([row[:-1] for row in rows]) == 0:
            rows = [_through(floats, size.largest, values, below) for _ in values]
        return _ask(";".join(map(_spell, rows)), level)

    def understand(self, prompt: str) -> Question:
        if _FORM.fullmatch(prompt) is None:
            raise ValueError(f"{prompt!r:.60} does not read like 2x+3y=12;5x-2y=11")
        question = _ask(prompt, 0)
        rows = question.data
        if len(set(prompt) & set(UNKNOWNS)) != len(rows) or len(rows[0]) != len(rows) + 1:
            raise ValueError(
                f"{prompt!r:.60} has not as many equations as unknowns, of {UNKNOWNS[: len(rows)]}"
            )
        if _determinant([row[:-1] for row in rows]) == 0:
            raise ValueError(f"{prompt!r:.60} has no solution, or several")
        return question

    def answer(self, question: Question) -> str:
        return ",".join([f"{name}={value}" for name, value in zip(UNKNOWNS, solution(question.data))])

    def work(self, question: Question, strategy: str) -> str:
        return "\n".join(Elimination(question).lines)

    def check(self, answer: str, question: Question) -> Verdict:
        said = _GAPS.sub("", answer).replace(";", ",") if len(answer) <= LONGEST_ANSWER else ""
        found = [_ANSWER.fullmatch(part) for part in said.split(",", len(UNKNOWNS))]
        values = {each[1]: number(each[2]) for each in found if each}
        names = UNKNOWNS[: len(question.data)]
        if len(found) != len(names) or sorted(values) != list(names) or None in values.values():
            return Verdict(0.0, False, False, f"not each of {', '.join(names)} once, with = and a number")
        wrong = [name for name, value in zip(names, solution(question.data)) if values[name] != value]
        return Verdict(float(not wrong), not wrong, True, f"{wrong[0]} is another number" if wrong else "")

    def check_steps(self, steps: str, question: Question) -> float:
        lines = [line.strip() for line in steps.strip().split("\n", len(LABELS))]
        known = _given(question)
        right = 0
        for line in lines:
            made = _made(line, known) if len(known) < len(LABELS) else None
            if made:
                known.append(made)
                right += 1
        alone, count = {row[:-1] for row in known}, len(question.data)
        missing = sum([_unknown(at, count) not in alone for at in range(count)])
        return right / max(len(lines), right + missing)

    def chance(self, question: Question) -> float:
        """Of any whole numbers from -20 to 20, or fractions in between, down to sixths, where one is."""
        whole = all(value.denominator == 1 for value in solution(question.data))
        parts = {Fraction(n, d) for d in range(1, LARGEST_BELOW + 1) for n in range(d)}
        values = 2 * LARGEST_VALUE * (1 if whole else len(parts)) + 1
        return 1 / float(values) ** len(question.data)

    def space(self, level: int) -> float:
        """At least: for fractions, those of even coefficients and halves."""
        size = LEVELS[level - 1]
        if size.unknowns == 1:
            first = size.largest * (size.largest - 1) if size.both_sides else size.largest - 1
            return float(
                first * 2 * LARGEST_CONSTANT * (2 * size.value - 1 if size.both_sides else size.value)
            )
        n, entries = size.unknowns, 2 * (size.largest // 2 if size.fractions else size.largest)
        # whatever stands elsewhere, one value at most of the last entry of each minor makes that 0
        matrices = entries ** (n * n - n + 1) * (entries - 1) ** (n - 1)
        return float(matrices * (2 * size.value) ** n // math.factorial(n))


def solution(rows: Sequence[Row]) -> list[Fraction]:
    """The value of every unknown (Cramer's rule)."""
    matrix = [row[:-1] for row in rows]
    whole = _determinant(matrix)
    return [
        Fraction(_determinant([(*row[:at], row[-1], *row[at + 1 : -1]) for row in rows]), whole)
        for at in range(len(rows))
    ]


def _determinant(matrix: Sequence[Sequence[int]]) -> int:
    """By the first column."""
    if len(matrix) == 1:
        return matrix[0][0]
    rest = [row[1:] for row in matrix]
    minors = [_determinant([*rest[:at], *rest[at + 1 :]]) for at in range(len(rest))]
    return sum([row[0] * minor * (-1) ** at for at, (row, minor) in enumerate(zip(matrix, minors))])


# -- steps ------------------------------------------------------------------------------------------------


class Elimination:
    """The solver's steps."""

    def __init__(self, question: Question) -> None:
        self.lines: list[str] = []
        self.known = _given(question)
        """All equations so far, by label."""
        texts = question.prompt.split(";")
        rows = [at if _spell(self.known[at]) == text else self._collect(at) for at, text in enumerate(texts)]
        for column in range(len(rows)):
            pivot = next(at for at in range(column, len(rows)) if self.known[rows[at]][column])
            rows[column], rows[pivot] = rows[pivot], rows[column]
            rows[column + 1 :] = [self._clear(row, rows[column], column) for row in rows[column + 1 :]]
        for column in reversed(range(len(rows))):
            for other in range(column + 1, len(rows)):
                rows[column] = self._clear(rows[column], rows[other], other)
            rows[column] = self._divide(rows[column], column)

    def _collect(self, row: int) -> int:
        return self._add(LABELS[row], self.known[row])

    def _clear(self, row: int, by: int, column: int) -> int:
        """Rid a row of an unknown by another row that has it."""
        mine, others = self.known[row][column], self.known[by][column]
        if not mine:
            return row
        shared = math.gcd(int(mine), int(others)) * (1 if others > 0 else -1)
        m, k = int(others) // shared, int(mine) // shared
        source = f"{_times(m)}{LABELS[row]}{'-' if k > 0 else '+'}{_times(abs(k))}{LABELS[by]}"
        return self._add(source, _joined(self.known[row], m, self.known[by], -k))

    def _divide(self, row: int, column: int) -> int:
        by = self.known[row][column]
        return row if by == 1 else self._add(f"{LABELS[row]}/{by}", tuple([x / by for x in self.known[row]]))

    def _add(self, source: str, made: Equation) -> int:
        self.known.append(made)
        self.lines.append(f"{source}:{_spell(made)}")
        return len(self.known) - 1


def _made(line: str, known: Sequence[Equation]) -> Equation | None:
    """What a step makes of the equations before it; None where it is wrong."""
    found = _STEP.fullmatch(line)
    if found is None:
        return None
    one, other = LABELS.index(found[2]), LABELS.index(found[5] or "A")
    if max(one, other) >= len(known):
        return None
    times = int(found[4] or 1) * {"+": 1, "-": -1, None: 0}[found[3]]
    joined = _joined(known[one], int(found[1] or 1), known[other], times)
    made = tuple([x / int(found[6] or 1) for x in joined])
    return made if _spell(made) == found[7] else None


def _joined(one: Equation, m: int, other: Equation, k: int) -> Equation:
    """The one m times, and the other k times."""
    return tuple([m * x + k * y for x, y in zip(one, other)])


def _given(question: Question) -> list[Equation]:
    return [tuple(map(Fraction, row)) for row in question.data]


def _unknown(at: int, count: int) -> Equation:
    """The left side of an equation of one unknown alone."""
    return tuple([Fraction(int(i == at)) for i in range(count)])


def _times(factor: int) -> str:
    return "" if factor == 1 else str(factor)


def _spell(row: Sequence[int | Fraction]) -> str:
    """An equation with all unknowns on the left."""
    terms = [
        f"{'+' if factor > 0 else '-'}{'' if abs(factor) == 1 else abs(factor)}{name}"
        for factor, name in zip(row[:-1], UNKNOWNS)
        if factor
    ]
    return f"{''.join(terms).removeprefix('+') or '0'}={row[-1]}"


# -- problems ---------------------------------------------------------------------------------------------


def _ask(prompt: str, level: int) -> Question:
    """The question; in whatever order its equations stand, it is the same problem."""
    equations = prompt.split(";")
    count = max([1, *[UNKNOWNS.index(c) + 1 for c in set(prompt) & set(UNKNOWNS)]])
    return Question(
        prompt, tuple([_row(each, count) for each in equations]), ";".join(sorted(equations)), level
    )


def _row(equation: str, count: int) -> Row:
    """The coefficients of so many unknowns and the constant, all on one side."""
    row = [0] * (count + 1)
    for sign, side in zip((1, -1), equation.split("=")):
        for minus, digits, name in _EACH.findall(side):
            value = int(digits or bool(name)) * (-sign if minus == "-" else sign)
            row[UNKNOWNS.index(name) if name else count] += value
    row[-1] = -row[-1]
    return tuple(row)


def _single(floats: Iterator[float], size: Size) -> str:
    """An equation in one unknown, such as 3x+5=20, or 7x-4=2x+11."""
    b = _nonzero(floats, LARGEST_CONSTANT)
    if not size.both_sides:
        a, x = 2 + int(next(floats) * (size.largest - 1)), 1 + int(next(floats) * size.value)
        return f"{a}x{b:+}={a * x + b}"
    a = c = d = 0
    while a == c or d == 0:
        a, c = 1 + int(next(floats) * size.largest), 1 + int(next(floats) * size.largest)
        d = (a - c) * _nonzero(floats, size.value) + b
    return f"{_times(a)}x{b:+}={_times(c)}x{d:+}"


def _through(floats: Iterator[float], largest: int, values: Sequence[int], below: int) -> Row:
    """An equation that these values over `below` solve."""
    while True:
        factors = [_nonzero(floats, largest) for _ in values]
        total = sum([factor * value for factor, value in zip(factors, values)])
        if total % below == 0:
            return (*factors, total // below)


def _signed(floats: Iterator[float], largest: int) -> int:
    return int(next(floats) * (2 * largest + 1)) - largest


def _nonzero(floats: Iterator[float], largest: int) -> int:
    drawn = int(next(floats) * 2 * largest) - largest
    return drawn + (drawn >= 0)


def _floats(rng: np.random.Generator) -> Iterator[float]:
    while True:
        yield from rng.random(16).tolist()
