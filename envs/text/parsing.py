"""Reading what a policy wrote: tags, numbers, normal forms. It is data, and never run.

Rules: only the completion is read. The answer stands between `<answer>` and `</answer>`, after the last
`</think>`; completions that give several different answers give none. Nothing here raises or is slow on
any text.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from fractions import Fraction
from math import gcd

THINK, END_THINK = "<think>", "</think>"
ANSWER, END_ANSWER = "<answer>", "</answer>"
TOOL, END_TOOL = "<tool>", "</tool>"
RESULT, END_RESULT = "<result>", "</result>"
TAGS = (THINK, END_THINK, ANSWER, END_ANSWER, TOOL, END_TOOL, RESULT, END_RESULT)
LONGEST_ANSWER = 4096
"""Characters beyond which nothing is an answer."""


@dataclass(frozen=True)
class Reading:
    """What a completion says."""

    steps: str = ""
    answer: str | None = None
    error: str = ""


def write(answer: str, steps: str = "") -> str:
    """A completion that says so."""
    thought = f"{THINK}{steps}{END_THINK}" if steps else ""
    return f"{thought}{ANSWER}{answer}{END_ANSWER}"


def read(completion: str) -> Reading:
    """The steps and the answer of a completion; see the rules above."""
    thought, closed, rest = completion.rpartition(END_THINK)
    steps = thought.partition(THINK)[2] if closed else ""
    answers = [a.partition(END_ANSWER) for a in rest.split(ANSWER)[1:]]
    whole = {plain(text) for text, end, _ in answers if end}
    if not whole:
        return Reading(steps, None, f"no {ANSWER}…{END_ANSWER}")
    if len(whole) > 1:
        return Reading(steps, None, "several different answers")
    answer = whole.pop()
    if len(answer) > LONGEST_ANSWER:
        return Reading(steps, None, f"an answer of {len(answer)} characters")
    return Reading(steps, answer)


def plain(text: str) -> str:
    """In one normal form: no full-width or odd spaces, one minus sign, no space around."""
    text = text[: LONGEST_ANSWER + 1]
    if text.isascii():
        return text.strip()
    text = unicodedata.normalize("NFKC", text)
    return text.replace("\u2212", "-").replace("\u2013", "-").strip()


_NUMBER = re.compile(r"([+-]?)(\d{1,3}(?:,\d{3})+|\d+)(?:/(\d+)|\.(\d+))?", re.ASCII)


def normal(answer: str) -> str:
    """An answer in the form by which answers are compared: a number as a number, all else without spaces."""
    value, _ = _read_number(answer)
    return "".join(answer.split()) if value is None else str(value)


def number(text: str) -> Fraction | None:
    r"""The number that `text` is: `-7`, `+7`, `1,234`, `3/4`, `0.75`, `7.`, `$7$`, `\boxed{7}`; else None.

    A fraction is one in lowest terms: `48/2` and `4/8` are divisions that are still to be done.
    """
    value, finished = _read_number(text)
    return value if finished else None


def _read_number(text: str) -> tuple[Fraction | None, bool]:
    """(the value of a number or of a division, whether nothing is left to be done)."""
    text = plain(text)
    while text.startswith("\\boxed{") and text.endswith("}"):
        text = text[len("\\boxed{") : -1].strip()
    text = text.strip("$").strip()
    if text.endswith("."):
        text = text[:-1]
    found = _NUMBER.fullmatch(text)
    if not found or len(text) > 1000:
        return None, False
    sign, whole, below, decimals = found.groups()
    value, finished = Fraction(int(whole.replace(",", ""))), True
    if below:
        if int(below) == 0:
            return None, False
        finished = int(below) > 1 and gcd(value.numerator, int(below)) == 1
        value /= int(below)
    if decimals:
        value += Fraction(int(decimals), 10 ** len(decimals))
    return -value if sign == "-" else value, finished


def whole_number(text: str) -> int | None:
    """The integer that `text` is, else None."""
    value = number(text)
    return int(value) if value is not None and value.denominator == 1 else None
