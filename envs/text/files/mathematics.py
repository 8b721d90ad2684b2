r"""Whether two mathematical answers are the same: by the library math-verify, which reads LaTeX.

It may hang on some expressions, so whoever calls it must be ready to kill the process (`Task.deadline`); its
own alarms, which work in a main thread only, are switched off.

Stricter than the library in two ways. Where the right answer is a number, so must be what was said: `2+3` is
not `5`, or the problem said again would be its answer. Words are compared as words, not as products of
letters.
"""

from __future__ import annotations

import logging
import re
from functools import lru_cache
from typing import Any

from envs.options import OptionError
from envs.text.parsing import normal, number, plain

INSTALL = "mathematical answers are checked by math-verify: pip install 'move37[math]'"
LONGEST = 300
"""Characters beyond which nothing is a mathematical answer."""
CACHED = 1 << 16
"""Pairs of answers that are remembered."""
_GAPS = re.compile(r"(?<=\d)(?:\\[,!; ]|\{,\}|,\\!)(?=\d{3})")
_WORDS = re.compile(r"[A-Za-z][A-Za-z '\-]+")
_TEXT = re.compile(r"\\(?:text|textbf|textit|mathrm|mbox)\s*\{([^{}\\]*)\}")
_SIGN = re.compile(r"\\.|[{}]", re.DOTALL)


class UnreadableError(ValueError):
    """A right answer cannot be read, so that nothing can be compared with it."""


def check_installed() -> None:
    """Import the library (`OptionError` where it is not there)."""
    try:
        import math_verify  # noqa: F401
    except ImportError:
        raise OptionError("format", INSTALL) from None
    # else it warns of every call that its alarms are off
    logging.getLogger("math_verify").setLevel(logging.ERROR)


@lru_cache(CACHED)
def compare(right: str, said: str) -> bool | None:
    """Whether what was said is the right answer; None where it is no answer of mathematics.

    May take for ever, and raises `UnreadableError` for a right answer that cannot be read.
    """
    right, said = bare(right), bare(said)
    if not said or len(said) > LONGEST or not _balanced(said):
        return None
    if normal(said) == normal(right):
        return True
    value = number(right)
    if value is not None and value.denominator == 1 and number(said) is not None:
        return False
    if _WORDS.fullmatch(right):
        return " ".join(said.casefold().split()) == " ".join(right.casefold().split())
    return _by_library(right, said)


def bare(answer: str) -> str:
    r"""An answer without what it is put into: `$…$`, `\(…\)`, `\boxed{…}`, `\text{…}`, a last full stop."""
    text, before = plain(answer), ""
    while text != before:
        before = text
        for begin, end in (("$", "$"), ("\\(", "\\)"), ("\\[", "\\]"), ("\\boxed{", "}"), ("", ".")):
            if text.startswith(begin) and text.endswith(end) and len(text) > len(begin) + len(end):
                inside = text[len(begin) : len(text) - len(end)].strip()
                text = inside if _balanced(inside) else text
        wrapped = _TEXT.fullmatch(text)
        text = wrapped[1].strip() if wrapped else text
    return _GAPS.sub("", text.removeprefix("\\$"))


def _balanced(text: str) -> bool:
    """Whether each brace that opens is closed."""
    depth = 0
    for sign in _SIGN.finditer(text):
        depth += (sign[0] == "{") - (sign[0] == "}")
        if depth < 0:
            return False
    return depth == 0


def _by_library(right: str, said: str) -> bool | None:
    from math_verify import verify

    expected = _parsed(right)
    if not _expressions(expected):
        raise UnreadableError(f"math-verify cannot read the answer {right!r:.80}")
    found = _parsed(said)
    if not _expressions(found):
        return None
    if _is_number(expected) and not _is_number(found):
        return False
    return bool(verify(expected, found, timeout_seconds=None))  # in this order: it is not symmetric


def _parsed(text: str) -> list[Any]:
    """An expression, and the text that it was read from."""
    from math_verify import LatexExtractionConfig, parse

    return list(parse(f"\\boxed{{{text}}}", [LatexExtractionConfig()], parsing_timeout=None))


def _expressions(parsed: list[Any]) -> list[Any]:
    return [one for one in parsed if not isinstance(one, str)]


def _is_number(parsed: list[Any]) -> bool:
    """Whether it is a number written out, or an equation that says that a letter is one."""
    found = _expressions(parsed)[0]
    sides = getattr(found, "args", ()) if getattr(found, "is_Equality", False) else ()
    value = sides[1] if sides and getattr(sides[0], "is_Symbol", False) else found
    return bool(getattr(value, "is_Number", False))


__all__ = ["INSTALL", "UnreadableError", "check_installed", "compare"]
