"""Letters, numbers and words: what the tasks of sorting, reversal and letter counting are about."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from string import ascii_lowercase
from typing import NamedTuple

import numpy as np

from envs.text.task import Verdict

KINDS = ("letters", "numbers", "words")
LONGEST_ITEM = 20
"""Characters beyond which nothing is an item."""


class Size(NamedTuple):
    """How many items of which kind; numbers are below `below`."""

    kind: str
    fewest: int
    most: int
    below: int = 100


@cache
def words() -> tuple[str, ...]:
    """Common English words of 3 to 10 lower-case letters."""
    return tuple(Path(__file__).with_name("words.txt").read_text(encoding="ascii").split())


def pool(size: Size) -> Sequence[str]:
    """All items of a kind."""
    if size.kind == "numbers":
        return _numbers(size.below)
    return ascii_lowercase if size.kind == "letters" else words()


@cache
def _numbers(below: int) -> tuple[str, ...]:
    return tuple(map(str, range(below)))


def draw(rng: np.random.Generator, size: Size) -> tuple[str, ...]:
    """Items drawn evenly, each by itself."""
    items = pool(size)
    count = rng.integers(size.fewest, size.most + 1)
    return tuple([items[i] for i in rng.integers(len(items), size=count).tolist()])


def spell(items: Sequence[str], kind: str) -> str:
    """Items as they are written: letters as one word, all else with spaces."""
    return ("" if kind == "letters" else " ").join(items)


def kind_of(items: Sequence[str]) -> str:
    """`letters`, `numbers` or `words`."""
    if items[0].isdigit():
        return "numbers"
    return "letters" if len(items[0]) == 1 else "words"


def items_in(text: str, kind: str) -> tuple[str, ...] | None:
    """What `spell` wrote; spaces and commas may stand between all items. None for anything else."""
    parts = text.replace(",", " ").split()
    if not text.isascii() or not parts:
        return None
    if kind == "letters":
        parts = list("".join(parts))
    if any(len(part) > LONGEST_ITEM for part in parts):
        return None
    if kind == "numbers":
        right = all(part == "0" or (part.isdigit() and part[0] != "0") for part in parts)
    else:
        right = all(part.isalpha() and part.islower() for part in parts)
    return tuple(parts) if right else None


def read_items(text: str) -> tuple[str, ...]:
    """The items of a prompt, whatever their kind (`ValueError` where it is none): one word is its letters."""
    parts = text.split(" ")
    kind = "numbers" if parts[0].isdigit() else "words" if len(parts) > 1 else "letters"
    items = items_in(text, kind)
    if items is None or kind_of(items) != kind or spell(items, kind) != text:
        raise ValueError(f"'{text:.60}' is no letters, no numbers and no words")
    return items


def compare(answer: str, right: Sequence[str]) -> Verdict:
    """What an answer is worth where `right` is the only right one.

    `prefix` is the share that is right up to the first mistake; an answer that goes on too long has less.
    """
    kind = kind_of(right)
    said = items_in(answer, kind)
    if said is None:
        return Verdict(0.0, False, False, f"not a list of {kind}", {"prefix": 0.0})
    same = 0
    for mine, wanted in zip(said, right):
        if mine != wanted:
            break
        same += 1
    success = said == tuple(right)
    error = "" if success else f"right up to {kind[:-1]} {same}" if same else "wrong from the start"
    return Verdict(float(success), success, True, error, {"prefix": same / max(len(said), len(right))})


def orders(items: Sequence[str]) -> float:
    """In how many different orders items can stand."""
    return math.factorial(len(items)) / math.prod(map(math.factorial, Counter(items).values()))
