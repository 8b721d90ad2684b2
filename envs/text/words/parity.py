"""Parity: is the number of ones odd? The classic of what no shortcut learns and a chain of thought can.

    0110100=

The answer is 1 for odd and 0 for even. The steps are one line. By the strategy "long" it has a digit for
every bit, the parity of all bits so far; by "short", a digit for every eighth bit, and for the last:

    0100111        1

A mixture of short chains and rare long ones is what Tsilivis et al. (2025, arXiv:2510.11495) start from:
imitation alone fails, reinforcement makes the answers longer and succeeds.
"""

from __future__ import annotations

import re
from itertools import accumulate, takewhile
from operator import xor

import numpy as np

from envs.text.parsing import whole_number
from envs.text.task import Question, Task, Verdict

BITS_A_LEVEL = 5
BLOCK = 8
"""Bits between two digits of the short steps."""
LONGEST = 1 << 12
_PROMPT = re.compile(rf"[01]{{1,{LONGEST}}}=")


class Parity(Task):
    """Odd or even; a level has five bits more than the one before."""

    title = "Parity"
    about = "is the number of ones even or odd"
    instructions = "How many of these bits are 1? Answer 1 if that number is odd, and 0 if it is even."
    levels = 12
    alphabet = "01=\n"
    strategies = ("long", "short")

    def generate(self, rng: np.random.Generator, level: int) -> Question:
        n = level * BITS_A_LEVEL
        return _ask(f"{rng.integers(1 << n):0{n}b}", level)

    def understand(self, prompt: str) -> Question:
        if not _PROMPT.fullmatch(prompt):
            raise ValueError(f"{prompt!r:.60} is no row of bits and '='")
        return _ask(prompt[:-1], 0)

    def answer(self, question: Question) -> str:
        return str(question.data.count("1") % 2)

    def work(self, question: Question, strategy: str) -> str:
        return _running(question.data, 1 if strategy == "long" else BLOCK)

    def check(self, answer: str, question: Question) -> Verdict:
        said = whole_number(answer)
        if said not in (0, 1):
            return Verdict(0.0, False, False, f"'{answer:.20}' is not 0 or 1")
        success = str(said) == self.answer(question)
        return Verdict(float(success), success, True, "" if success else f"it is not {said}")

    def check_steps(self, steps: str, question: Question) -> float:
        """The share of digits that are right up to the first mistake, by whichever strategy fits better."""
        steps = steps.strip()
        return max(_share(steps, _running(question.data, block)) for block in (1, BLOCK))

    def chance(self, question: Question) -> float:
        return 0.5

    def space(self, level: int) -> float:
        return 2.0 ** (level * BITS_A_LEVEL)


def _ask(bits: str, level: int) -> Question:
    return Question(f"{bits}=", bits, bits, level)


def _running(bits: str, block: int) -> str:
    """The parity so far after every `block` bits, and after the last."""
    parities = list(accumulate(map(int, bits), xor))
    return "".join(map(str, [*parities[block - 1 : -1 : block], parities[-1]]))


def _share(said: str, right: str) -> float:
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(said, right)))
    return same / max(len(said), len(right))
