"""Values that are defined by other values: a directed graph of arithmetic modulo 23, after iGSM.

    p=4;d=k-9;k=p*7;x=p+2;d%23?

    p=4
    k=4*7=5
    d=5-9=19

The question stands at the end; what it does not depend on (`x`) need not be worked out. A step gives one
value, after those that it is made of; the last is the answer: `19`. A level is the depth, how many operations
lie on the way from a given number to the answer. (Ye et al., 2024, "Physics of language models 2.1"; Zhang
et al., 2025, "On the interplay of pre-training, mid-training, and RL".)
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from hashlib import sha256
from string import ascii_lowercase

import numpy as np

from envs.options import OptionError
from envs.text.numbers.columns import judge_number
from envs.text.task import Question, Task, Verdict

LEVELS = 12
MOST_EXTRA = len(ascii_lowercase) - LEVELS - 1
CONSTANTS = 9
"""Numbers in operations are 1 … 9."""
SECOND = 0.3
"""How often an operation takes a second letter, not a number."""
LONG = 100
"""Characters of a formula in a key, beyond which a hash stands for it."""
DEFINITION = re.compile(r"([a-z])=(?:([a-z])([+*-])([a-z]|[1-9][0-9]{0,5})|(0|[1-9][0-9]{0,5}))")
QUESTION = re.compile(r"([a-z])%([1-9][0-9]{0,5})\?")
Made = tuple[str, str, str]
"""What a letter is made of: a letter, an operator, and a letter or a number; a number alone after two ''."""


class Dag(Task):
    """Letters that stand for values, made of one another, modulo `modulus`; `extra` of them do not matter."""

    title = "DAG arithmetic"
    about = "values that are defined by other values, to a depth"
    instructions = (
        "Each letter stands for a number, defined by other letters, in any order. The question x%m? "
        "asks for the remainder, from 0 to m-1, when the value of x is divided by m. Answer with that number."
    )
    levels = LEVELS
    alphabet = ascii_lowercase + "0123456789+-*%=;?\n"

    def __init__(self, modulus: int = 23, extra: int = 1, shuffled: bool = True) -> None:
        """`shuffled`: in random order; else each after those that it is made of. Raises `OptionError`."""
        if not 2 <= modulus <= 999_999:
            raise OptionError("modulus", f"modulus must be from 2 to 999999, not {modulus}")
        if not 0 <= extra <= MOST_EXTRA:
            raise OptionError("extra", f"extra must be from 0 to {MOST_EXTRA}, not {extra}")
        self.modulus, self.extra, self.shuffled = modulus, extra, shuffled
        self.constant = max(0.2, 1.5 / modulus)  # p+p and p*2 are even, where the modulus is

    def generate(self, rng: np.random.Generator, level: int) -> Question:
        count = level + 1 + self.extra
        letters = [ascii_lowercase[i] for i in rng.permutation(26)[:count].tolist()]
        draws = rng.random((count, 4)).tolist()
        found: dict[str, Made] = {letters[0]: ("", "", str(int(draws[0][0] * self.modulus)))}
        for i, (operator, second, which, other) in enumerate(draws[1:], 1):
            # the letters up to the level are a chain; the extra ones hang anywhere
            one = letters[i - 1] if i <= level else letters[int(which * i)]
            two = letters[int(other * i)] if second < SECOND else str(1 + int(other * CONSTANTS))
            signs = "+*" if one == two else "+-*"  # p-p is 0, whatever p is
            found[letters[i]] = one, signs[int(operator * len(signs))], two
        order = rng.permutation(count).tolist() if self.shuffled else range(count)
        return _ask({letters[i]: found[letters[i]] for i in order}, letters[level], self.modulus, level)

    def understand(self, prompt: str) -> Question:
        *given, asked = prompt.split(";") if len(prompt) < 1000 else [""]
        read, end = [DEFINITION.fullmatch(text) for text in given], QUESTION.fullmatch(asked)
        made = {m[1]: (m[2] or "", m[3] or "", m[4] or m[5]) for m in read if m}
        if end is None or end[1] not in made or len(made) < len(given):
            raise ValueError(f"{prompt!r:.60} does not read like p=4;k=p*7;k%23?")
        for letter in made:
            needed(made, letter)
        return _ask(made, end[1], int(end[2]), 0)

    def answer(self, question: Question) -> str:
        return str(_values(question)[question.data[1]])

    def work(self, question: Question, strategy: str) -> str:
        return "\n".join(_lines(question).values())

    def check(self, answer: str, question: Question) -> Verdict:
        return judge_number(answer, _values(question)[question.data[1]])

    def check_steps(self, steps: str, question: Question) -> float:
        """Any order will do in which each value follows those that it is made of."""
        lines, made = _lines(question), _made(question)
        given = [line.strip() for line in steps.strip().split("\n")]
        known: set[str] = set()
        for line in given:
            letter = line[:1]
            if letter not in known and lines.get(letter) == line and known.issuperset(_letters(made[letter])):
                known.add(letter)
        return len(known) / max(len(given), len(lines))

    def chance(self, question: Question) -> float:
        """Of any number below the modulus."""
        return 1 / question.data[2]

    def space(self, level: int) -> float:
        """At least: chains of which no operation takes two letters (4+3 is 3+4)."""
        alike = 2 * math.comb(min(CONSTANTS, self.modulus - 1), 2)
        return float((self.modulus * 3 * CONSTANTS - alike) * (3 * CONSTANTS) ** (level - 1))


def needed(made: Mapping[str, Made], letter: str) -> list[str]:
    """The letters that one depends on, and itself, each after those that it is made of.

    Raises `ValueError` where one is not defined, or defined by itself.
    """
    order: list[str] = []

    def visit(letter: str, above: tuple[str, ...]) -> None:
        if letter in above or letter not in made:
            raise ValueError(f"'{letter}' is {'defined by itself' if letter in above else 'not defined'}")
        for each in _letters(made[letter]):
            if each not in order:
                visit(each, (*above, letter))
        order.append(letter)

    visit(letter, ())
    return order


def _ask(made: Mapping[str, Made], asked: str, modulus: int, level: int) -> Question:
    """The question. Whatever the letters and whatever else there is, one formula is one problem."""
    text = ";".join(f"{letter}={''.join(definition)}" for letter, definition in made.items())
    formulas: dict[str, str] = {}
    for letter in needed(made, asked):
        one, operator, two = made[letter]
        both = [formulas[one] if one else "", formulas.get(two, two)]
        whole = f"({operator.join(sorted(both) if operator in ('+', '*') else both)})" if one else two
        formulas[letter] = whole if len(whole) <= LONG else sha256(whole.encode()).hexdigest()
    data = tuple((letter, *definition) for letter, definition in made.items()), asked, modulus
    return Question(f"{text};{asked}%{modulus}?", data, f"{formulas[asked]}%{modulus}", level)


def _letters(made: Made) -> list[str]:
    return [each for each in (made[0], made[2]) if each.isalpha()]


def _made(question: Question) -> dict[str, Made]:
    return {letter: definition for letter, *definition in question.data[0]}


def _values(question: Question) -> dict[str, int]:
    """The value of every letter that matters, each after those that it is made of."""
    made, (_, asked, modulus) = _made(question), question.data
    values: dict[str, int] = {}
    for letter in needed(made, asked):
        one, operator, two = made[letter]
        right = values[two] if two.isalpha() else int(two)
        left = values[one] if one else 0
        value = left * right if operator == "*" else left - right if operator == "-" else left + right
        values[letter] = value % modulus
    return values


def _lines(question: Question) -> dict[str, str]:
    """The step of every letter that matters: its name, the operation with numbers, and its value."""
    made, values = _made(question), _values(question)
    lines = {}
    for letter, value in values.items():
        one, operator, two = made[letter]
        worked = f"{values[one]}{operator}{values.get(two, two)}=" if one else ""
        lines[letter] = f"{letter}={worked}{value}"
    return lines
