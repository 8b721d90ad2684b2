"""Letter counting: how often a letter occurs.

    count r:strawberry

Steps go through the letters with a running count, a line each (spaces are passed over):

    s0 t0 r1 a1 w1 b1 e1 r2 r3 y3

The answer is `3`.
"""

from __future__ import annotations

import re
from string import ascii_lowercase, digits
from typing import NamedTuple

import numpy as np

from envs.text.lines import right_lines
from envs.text.parsing import whole_number
from envs.text.task import Question, Task, Verdict
from envs.text.words.words import words


class Size(NamedTuple):
    """How many words there are, and the count from which on counts are as one."""

    words: int
    most: int


LEVELS = (Size(1, 2), Size(2, 3), Size(4, 4), Size(7, 6))
_PROMPT = re.compile(r"count ([a-z]):([a-z]+(?: [a-z]+)*)", re.ASCII)


class LetterCount(Task):
    """Count a letter in one word or several. Each count below a level's `most` is as frequent."""

    title = "Letter counting"
    about = "count how often a letter occurs in a word or several"
    instructions = (
        "Count how often the letter named before the colon occurs in the text after it. Answer with a number."
    )
    levels = len(LEVELS)
    constant = 0.4  # of three counts in a single word
    alphabet = ascii_lowercase + digits + " :\n"

    def generate(self, rng: np.random.Generator, level: int) -> Question:
        known, (many, most) = words(), LEVELS[level - 1]
        count = rng.integers(most + 1)  # first how often: most letters do not occur at all
        letters: list[str] = []
        while not letters:
            text = " ".join([known[i] for i in rng.integers(len(known), size=many).tolist()])
            letters = [letter for letter in ascii_lowercase if min(text.count(letter), most) == count]
        return _ask(letters[rng.integers(len(letters))], text, level)

    def understand(self, prompt: str) -> Question:
        found = _PROMPT.fullmatch(prompt)
        if not found:
            raise ValueError(f"'{prompt:.60}' asks for no count of a letter, as 'count r:strawberry' does")
        return _ask(found[1], found[2], 0)

    def answer(self, question: Question) -> str:
        letter, text = question.data
        return str(text.count(letter))

    def work(self, question: Question, strategy: str) -> str:
        return "\n".join(_lines(*question.data))

    def check(self, answer: str, question: Question) -> Verdict:
        letter, text = question.data
        said = whole_number(answer)
        if said is None:
            return Verdict(0.0, False, False, "not a whole number")
        right = text.count(letter)
        success = said == right
        return Verdict(float(success), success, True, "" if success else f"it occurs {right} times")

    def check_steps(self, steps: str, question: Question) -> float:
        return right_lines(steps, _lines(*question.data))

    def chance(self, question: Question) -> float:
        """Of any count from 0 to the number of letters."""
        text = question.data[1].replace(" ", "")
        return 1 / (len(text) + 1)

    def space(self, level: int) -> float:
        return float(len(ascii_lowercase) * len(words()) ** LEVELS[level - 1].words)


def _ask(letter: str, text: str, level: int) -> Question:
    return Question(f"count {letter}:{text}", (letter, text), f"{letter}:{text}", level)


def _lines(letter: str, text: str) -> list[str]:
    lines, count = [], 0
    for each in text.replace(" ", ""):
        count += each == letter
        lines.append(f"{each}{count}")
    return lines
