"""Reversal: the letters of a word, or several words, from the last to the first.

    reverse:dbca       reverse:plum fig pear

Each step moves the last item of what is left to the end of what is done:

    a:dbc              pear:plum fig
    ac:db              pear fig:plum
    acb:d              pear fig plum:
    acbd:

The answer is `acbd`, or `pear fig plum`.
"""

from __future__ import annotations

from string import ascii_lowercase

import numpy as np

from envs.text.lines import right_lines
from envs.text.task import Question, Task, Verdict
from envs.text.words.words import Size, compare, draw, kind_of, orders, pool, read_items, spell

PROMPT = "reverse:"
LEVELS = (
    Size("letters", 4, 6),
    Size("letters", 6, 8),
    Size("letters", 8, 10),
    Size("letters", 12, 16),
    Size("words", 3, 5),
    Size("words", 6, 8),
)


class Reversal(Task):
    """Write it backwards. The part `prefix` is the share that is right from the left."""

    title = "Reversal"
    about = "write letters or words backwards"
    instructions = (
        "Reverse what follows 'reverse:': the letters of a single word, or the order of several words (each "
        "word stays as it is). Answer with letters as one word, words with spaces between."
    )
    levels = len(LEVELS)
    alphabet = ascii_lowercase + " :\n"

    def generate(self, rng: np.random.Generator, level: int) -> Question:
        return _ask(draw(rng, LEVELS[level - 1]), level)

    def understand(self, prompt: str) -> Question:
        if not prompt.startswith(PROMPT):
            raise ValueError(f"'{prompt:.60}' asks for no reversal; that begins with '{PROMPT}'")
        items = read_items(prompt[len(PROMPT) :])
        if kind_of(items) == "numbers":
            raise ValueError(f"'{prompt:.60}': only letters and words are reversed")
        return _ask(items, 0)

    def answer(self, question: Question) -> str:
        return spell(question.data[::-1], kind_of(question.data))

    def work(self, question: Question, strategy: str) -> str:
        return "\n".join(_lines(question.data))

    def check(self, answer: str, question: Question) -> Verdict:
        return compare(answer, question.data[::-1])

    def check_steps(self, steps: str, question: Question) -> float:
        return right_lines(steps, _lines(question.data))

    def chance(self, question: Question) -> float:
        """Of any order of the items."""
        return 1 / orders(question.data)

    def space(self, level: int) -> float:
        size = LEVELS[level - 1]
        return float(sum(len(pool(size)) ** count for count in range(size.fewest, size.most + 1)))


def _ask(items: tuple[str, ...], level: int) -> Question:
    text = spell(items, kind_of(items))
    return Question(f"{PROMPT}{text}", items, text, level)


def _lines(items: tuple[str, ...]) -> list[str]:
    kind, n = kind_of(items), len(items)
    back = items[::-1]
    return [f"{spell(back[:k], kind)}:{spell(items[: n - k], kind)}" for k in range(1, n + 1)]
