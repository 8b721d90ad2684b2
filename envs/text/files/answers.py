r"""What a completion answers, by the way that its writer gives answers.

    tags          <answer>72</answer>, as everywhere in this suite
    boxed         the last \boxed{72} that is closed
    hash          the rest of the line after the last ####
    last_number   the last number in the text that is glued to no letter; 2% is not 2
    code          the last block between ``` lines, or where there is none, all of it

Only the completion is read, from its last `</think>` on, and of long ones the end. Nothing here raises or
is slow on any text.
"""

from __future__ import annotations

import re

from envs.text.parsing import ANSWER, END_ANSWER, END_THINK, LONGEST_ANSWER, Reading, read, write

WAYS = ("tags", "boxed", "hash", "last_number", "code")
LONGEST_CODE = 50_000
"""Characters beyond which nothing is a program."""
MINUS = str.maketrans({"\u2212": "-", "\u2013": "-"})
_NUMBER = re.compile(
    r"((?<![^\W\d])[^\W\d]+|)((?:(?<![\w.)\]}])-?\$?|)\d[\d,]*(?:\.\d+)?(?:/\d+)?)( ?\\?%|\w*)", re.ASCII
)
"""Letters that a number is glued to, the number, and a percent sign or letters after it."""
_FENCE = re.compile(r"^[ \t]*```[^\n`]*\n", re.MULTILINE)
_BOX = re.compile(r"\\(?:boxed|fbox)\s*")
_WORD = re.compile(r"[^\s${}\\]+")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)


def given(answer: str, steps: str, way: str) -> str:
    """A completion that gives an answer, after its steps where there are any; `answered` reads it back."""
    if way == "tags":
        return write(answer, steps)
    if way == "code" or (way == "boxed" and last_boxed(steps) == answer):
        return steps or answer
    told = {
        "boxed": f"\\boxed{{{answer}}}",
        "hash": f"#### {answer}",
        "last_number": f"The answer is {answer}.",
    }
    return f"{steps}\n{told[way]}".lstrip("\n")


def answered(completion: str, way: str) -> Reading:
    """What a completion answers, by one of `WAYS` (`code` is for programs)."""
    if way == "tags":
        return read(completion)
    text = completion.rpartition(END_THINK)[2][-LONGEST_ANSWER:]
    if way == "boxed":
        found, lacking = last_boxed(text), "no \\boxed{…} that is closed"
    elif way == "hash":
        found, lacking = _after_hash(text), "no #### with an answer after it"
    else:
        found, lacking = _last_number(text), "no number"
    return Reading("", found, "" if found is not None else lacking)


def program(completion: str, way: str) -> Reading:
    """The code in a completion, with all its spaces, by `tags` or `code`."""
    text: str | None = completion.rpartition(END_THINK)[2]
    if way == "tags":
        before, end, _ = str(text).rpartition(END_ANSWER)
        text = before.rpartition(ANSWER)[2] if end and ANSWER in before else None
        if text is None:
            return Reading("", None, f"no {ANSWER}…{END_ANSWER}")
    code = unfenced(str(text))
    if code is None:
        return Reading("", None, "a block of code that is not closed")
    if not code.strip() or len(code) > LONGEST_CODE:
        said = f"a program of {len(code)} characters" if code.strip() else "no code"
        return Reading("", None, said)
    return Reading("", code)


def unfenced(text: str) -> str | None:
    """What stands in the last block between ``` lines; None where it is open, all where there is no block."""
    marks = list(_FENCE.finditer(text + "\n"))
    if not marks:
        return text
    opening = marks[-2] if len(marks) % 2 == 0 else None
    return text[opening.end() : marks[-1].start()] if opening else None


def last_boxed(text: str) -> str | None:
    r"""What the last `\boxed{…}` (or `\fbox{…}`, or `\boxed 7`) that is closed holds."""
    closing = _closings(text)
    for start in reversed([found.end() for found in _BOX.finditer(text)]):
        word = _WORD.match(text, start)
        if word:
            return word[0].rstrip(".")
        if start in closing:
            return text[start + 1 : closing[start]].strip()
    return None


def _closings(text: str) -> dict[int, int]:
    r"""Where each brace that opens is closed; `\{` and `\}` are signs, which group nothing."""
    found: dict[int, int] = {}
    opened: list[int] = []
    for brace in _BRACE.finditer(text):
        if brace[0] == "{":
            opened.append(brace.start())
        elif brace[0] == "}" and opened:
            found[opened.pop()] = brace.start()
    return found


def _after_hash(text: str) -> str | None:
    _, found, rest = text.rpartition("####")
    said = rest.strip().split("\n")[0].strip()
    return said if found and said else None


def _last_number(text: str) -> str | None:
    """With its percent sign, which makes it another number; `x2` and `2nd` are none."""
    found = [
        number.rstrip(",").replace("$", "") + ("%" if "%" in after else "")
        for before, number, after in _NUMBER.findall(text.translate(MINUS))
        if not before and (not after or "%" in after)
    ]
    return found[-1] if found else None


__all__ = ["WAYS", "answered", "given", "last_boxed", "program", "unfenced"]
