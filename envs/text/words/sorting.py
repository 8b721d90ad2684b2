"""Sorting: letters and words by the alphabet, numbers by size.

    sort:dbca          sort:31 4 15          sort:plum fig pear

Steps take the smallest item away, again and again, and write what is left:

    a:dbc              4:31 15
    b:dc               15:31
    c:d                31:
    d:

or, by the strategy "insertion", put the next item into a sorted row: `d:bca`, `bd:ca`, `bcd:a`, `abcd:`.
The answer is `abcd`, `4 15 31` or `fig pear plum`.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Sequence
from string import ascii_lowercase, digits
from typing import Any

import numpy as np

from envs.text.lines import right_lines
from envs.text.task import Question, Task, Verdict
from envs.text.words.words import Size, compare, draw, kind_of, orders, pool, read_items, spell

PROMPT = "sort:"
LEVELS = (
    Size("letters", 4, 6),
    Size("letters", 6, 8),
    Size("letters", 8, 10),
    Size("numbers", 4, 6, 100),
    Size("numbers", 6, 10, 1000),
    Size("words", 3, 5),
    Size("words", 6, 8),
)


class Sorting(Task):
    """Put letters, numbers or words in order. The part `prefix` is the share that is right from the left."""

    title = "Sorting"
    about = "put letters, numbers or words in order"
    instructions = (
        "Sort what follows 'sort:' in ascending order: the letters of a single word, or several numbers, or "
        "several words (alphabetically). Keep duplicates. Answer with letters as one word, all else with "
        "spaces between."
    )
    levels = len(LEVELS)
    alphabet = ascii_lowercase + digits + " :\n"
    strategies = ("steps", "insertion")

    def generate(self, rng: np.random.Generator, level: int) -> Question:
        return _ask(draw(rng, LEVELS[level - 1]), level)

    def understand(self, prompt: str) -> Question:
        if not prompt.startswith(PROMPT):
            raise ValueError(f"'{prompt:.60}' asks for no sorting; that begins with '{PROMPT}'")
        return _ask(read_items(prompt[len(PROMPT) :]), 0)

    def answer(self, question: Question) -> str:
        return spell(_sorted(question.data), kind_of(question.data))

    def work(self, question: Question, strategy: str) -> str:
        return "\n".join(_lines(question.data, strategy))

    def check(self, answer: str, question: Question) -> Verdict:
        return compare(answer, _sorted(question.data))

    def check_steps(self, steps: str, question: Question) -> float:
        return max(right_lines(steps, _lines(question.data, strategy)) for strategy in self.strategies)

    def chance(self, question: Question) -> float:
        """Of any order of the items."""
        return 1 / orders(question.data)

    def space(self, level: int) -> float:
        """Rows that differ in more than their order."""
        size = LEVELS[level - 1]
        n = len(pool(size))
        return float(sum(math.comb(n + count - 1, count) for count in range(size.fewest, size.most + 1)))


def _ask(items: tuple[str, ...], level: int) -> Question:
    """The question; in whatever order the items stand, it is the same problem."""
    kind = kind_of(items)
    return Question(f"{PROMPT}{spell(items, kind)}", items, spell(_sorted(items), kind), level)


def _order(item: str) -> Any:
    return int(item) if item.isdigit() else item


def _sorted(items: Sequence[str]) -> list[str]:
    return sorted(items, key=_order)


def _lines(items: Sequence[str], strategy: str) -> list[str]:
    """A line for each item: what has been sorted, a colon, what is left."""
    kind, left, done, lines = kind_of(items), list(items), list[str](), []
    if strategy == "insertion":
        while left:
            insort(done, left.pop(0), key=_order)
            lines.append(f"{spell(done, kind)}:{spell(left, kind)}")
        return lines
    for item in _sorted(items):
        left.remove(item)
        lines.append(f"{item}:{spell(left, kind)}")
    return lines
