r"""What published benchmarks look like as files: a row becomes a `Problem`.

gsm8k      question, answer ("steps #### 72")                      Cobbe et al. 2021
math       problem, solution (its last \boxed{} is the answer)     Hendrycks et al. 2021
aime       problem or question, answer (0 to 999)
mbpp       text or prompt, code, test_list                         Austin et al. 2021
humaneval  prompt, entry_point, canonical_solution, test           Chen et al. 2021
choice     question, choices or options, answer (MMLU, ARC), or
           sentence with a _, option1, option2, answer (Winograd, WinoGrande)
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any

from envs.options import OptionError
from envs.text.files.answers import last_boxed
from envs.text.files.reading import Row, short
from envs.text.parsing import number, whole_number

BLANK = "_"
"""What stands in a sentence for the word to be found."""
MOST_OPTIONS = len(ascii_uppercase)
_MARKS = re.compile(r"<<[^<>]*>>")
_LEVEL = re.compile(r"(?:Level )?([1-5])")


@dataclass(frozen=True)
class Problem:
    """One problem of a file."""

    row: Row
    question: str
    answer: str
    """The right one, as it is to be written."""
    work: str = ""
    """The file's own solution, in words; nothing checks it."""
    level: int = 0
    """From 1 to 5, where the file says one."""
    subject: str = ""


@dataclass(frozen=True)
class Coding(Problem):
    """A program to be written. `answer` is one that passes."""

    entry: str = ""
    """The function to be written, where `question` is its beginning (HumanEval)."""
    setup: str = ""
    """Code that the tests need."""
    tests: tuple[str, ...] = ()
    """`assert` statements, and in HumanEval one `check(candidate)` with all that belongs to it."""


@dataclass(frozen=True)
class Choice(Problem):
    """One of several options. `answer` is a letter."""

    options: tuple[str, ...] = ()
    blank: bool = False
    """Whether an option is to be put into the sentence that `question` is."""


def gsm8k(row: Row) -> Problem:
    """A sum in words; the answer is a number after ####. Marks of a calculator, <<2+3=5>>, are left out."""
    work, found, said = row.text("answer").rpartition("####")
    value = number(said)
    if not found or value is None:
        raise row.error(f"the field 'answer' must end with #### and a number, not {short(said.strip())}")
    answer = str(value) if value.denominator == 1 else said.strip()
    return Problem(row, row.text("question").strip(), answer, _MARKS.sub("", work).strip())


def mathematics(row: Row) -> Problem:
    """A problem of a competition; the answer is in LaTeX: the field, or what the solution boxes last."""
    solution = row.text("solution") if row.has("solution") else ""
    answer = str(row.fields["answer"]) if row.has("answer") else last_boxed(row.text("solution"))
    if answer is None or not answer.strip():
        raise row.error("the field 'solution' has no answer in a \\boxed{…} that is closed")
    level = _LEVEL.fullmatch(str(row.fields.get("level", "")).strip())
    subject = row.fields.get("type") or row.fields.get("subject") or ""
    stated = row.text("problem", "question").strip()
    return Problem(row, stated, answer.strip(), solution.strip(), int(level[1]) if level else 0, str(subject))


def aime(row: Row) -> Problem:
    """A problem whose answer is a whole number from 0 to 999."""
    value = whole_number(str(row.fields["answer"])) if row.has("answer") else None
    if value is None or not 0 <= value <= 999:
        answer = row.fields["answer"] if row.has("answer") else row.text("answer")
        raise row.error(f"the field 'answer' must be a whole number from 0 to 999, not {short(answer)}")
    solution = row.text("solution").strip() if row.has("solution") else ""
    return Problem(row, row.text("problem", "question").strip(), str(value), solution)


def mbpp(row: Row) -> Problem:
    """A function asked for in words; the question shows the tests, which say its name."""
    tests = row.texts("test_list")
    if not tests:
        raise row.error("the field 'test_list' has no test")
    challenge = row.texts("challenge_test_list") if row.has("challenge_test_list") else ()
    for test in (*tests, *challenge):
        _require_code(row, test, "a test")
    setup = str(row.fields.get("test_setup_code") or "")
    if row.has("test_imports"):
        setup = "\n".join([*row.texts("test_imports"), setup])
    asked = "\n".join([row.text("text", "prompt").strip(), *tests])
    code = row.text("code").replace("\r\n", "\n").strip()
    return Coding(row, asked, code, setup=setup, tests=(*tests, *challenge))


def humaneval(row: Row) -> Problem:
    """A function whose beginning, with what it is to do, is given; the answer is the rest of it."""
    entry, tests = row.text("entry_point").strip(), row.text("test")
    if not entry.isidentifier():
        raise row.error(f"the field 'entry_point' must be the name of a function, not {short(entry)}")
    _require_code(row, tests, "the field 'test'")
    return Coding(
        row, row.text("prompt"), row.text("canonical_solution").rstrip(), entry=entry, tests=(tests,)
    )


def choice(row: Row) -> Problem:
    """One of several options, told by its place (from 0), its letter or label, or its text."""
    if row.has("sentence"):
        return _winograd(row)
    asked: Any = row.fields.get("question")
    if isinstance(asked, Mapping):  # ARC as it was first published
        row = Row(row.file, row.number, {**row.fields, **asked, "question": asked.get("stem")}, row.kind)
    labels, options = _options(row)
    right = _place(row, labels, options)
    subject = str(row.fields.get("subject") or "")
    stated = row.text("question").strip()
    return Choice(row, stated, ascii_uppercase[right], subject=subject, options=options)


def _winograd(row: Row) -> Problem:
    sentence, options = row.text("sentence").strip(), (row.text("option1"), row.text("option2"))
    if sentence.count(BLANK) != 1:
        raise row.error(f"the field 'sentence' must have one {BLANK}, not {sentence.count(BLANK)}")
    right = _place(row, ("1", "2"), options, first=1)
    return Choice(row, sentence, ascii_uppercase[right], options=options, blank=True)


def _options(row: Row) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Labels and texts: of a list, `{text: […], label: […]}`, `[{text, label}, …]` or `{A: …, B: …}`."""
    name = "options" if row.has("options") else "choices"
    if not row.has(name):
        row.text("choices", "options")  # which says what is missing
    found: Any = row.fields[name]
    if isinstance(found, Mapping) and isinstance(found.get("text"), list):
        labels, texts = found.get("label") or [], found["text"]
    elif isinstance(found, Mapping):
        labels, texts = list(found), list(found.values())
    elif isinstance(found, list) and found and all(isinstance(item, Mapping) for item in found):
        labels, texts = [item.get("label") for item in found], [item.get("text") for item in found]
    else:
        labels, texts = [], found
    if not isinstance(texts, list) or not all(isinstance(text, (str, int, float)) for text in texts):
        raise row.error(f"the field '{name}' must be a list of texts, not {short(found)}")
    if not 2 <= len(texts) <= MOST_OPTIONS:
        raise row.error(f"the field '{name}' must have 2 to {MOST_OPTIONS} options, not {len(texts)}")
    if len(labels) != len(texts):
        labels = ascii_uppercase[: len(texts)]
    return tuple(map(str, labels)), tuple(str(text).strip() for text in texts)


def _place(row: Row, labels: Sequence[str], options: Sequence[str], first: int = 0) -> int:
    """Which option is right, from 0. A number counts from `first` unless it is a label."""
    name = "answerKey" if row.has("answerKey") else "answer"
    if not row.has(name):
        row.text("answer", "answerKey")  # which says what is missing
    said: Any = row.fields[name]
    told = str(said).strip()
    if told in labels and (isinstance(said, str) or first):
        return list(labels).index(told)
    if isinstance(said, str) and list(options).count(told) == 1:
        return list(options).index(told)
    letter = ascii_uppercase.find(told.upper()) if len(told) == 1 and told.isalpha() else -1
    place = int(told) - first if told.isdecimal() and len(told) < 3 else letter
    if isinstance(said, bool) or not 0 <= place < len(options):
        has = ", ".join(labels)
        raise row.error(f"the field '{name}' must name one of the options {has:.60}, not {short(said)}")
    return place


def _require_code(row: Row, code: str, what: str) -> None:
    try:
        ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise row.error(f"{what} is no Python: {short(code)} ({error})") from None


FORMATS: dict[str, Callable[[Row], Problem]] = {
    "gsm8k": gsm8k,
    "math": mathematics,
    "aime": aime,
    "mbpp": mbpp,
    "humaneval": humaneval,
    "choice": choice,
}
FIELDS = {
    "humaneval": (("prompt",), ("entry_point",), ("test",)),
    "mbpp": (("text", "prompt"), ("test_list",)),
    "choice": (("question", "sentence"), ("choices", "options", "option1", "answerKey")),
    "math": (("problem", "question"), ("solution", "answer"), ("level", "type", "subject", "solution")),
    "aime": (("problem", "question"), ("answer",)),
    "gsm8k": (("question",), ("answer",)),
}
"""By what fields, one of each group, a format is known, in this order."""


CONTEST = (
    ("question", "description"),
    ("input_output", "public_tests", "private_tests", "generated_tests"),
)
"""The same of programs that read an input, which are another family's: `envs.text.files.programs`."""


def is_contest(row: Row) -> bool:
    """Whether a row's fields look like a program that reads an input and prints an output."""
    return all(any(map(row.has, group)) for group in CONTEST)


def detect(row: Row) -> str | None:
    """The format that a row's fields look like; None where they look like none."""
    found = [name for name, groups in FIELDS.items() if all(any(map(row.has, group)) for group in groups)]
    if "math" in found and "aime" in found and not any(map(row.has, ("level", "type", "subject"))):
        found.remove("math" if _is_aime(row) else "aime")
    if "aime" in found and not _is_aime(row):
        found.remove("aime")
    return found[0] if found else None


def _is_aime(row: Row) -> bool:
    value = whole_number(str(row.fields["answer"])) if row.has("answer") else None
    return value is not None and 0 <= value <= 999


def problems_of(rows: Sequence[Row], format: str) -> tuple[str, tuple[Problem, ...]]:
    """The format, found out by the first row where it is `auto`, and each row's problem.

    Raises `OptionError` that names the line and the field, and the format that a row looks like instead.
    """
    if format == "auto":
        found = detect(rows[0])
        if found is None:
            known = "; ".join(f"{name} ({_told(name)})" for name in FORMATS)
            has = ", ".join(rows[0].fields) or "none"
            hint = "; this looks like programs of text/Programs-v0" if is_contest(rows[0]) else ""
            raise rows[0].error(f"its fields ({has:.100}) fit no format{hint}. There are {known}")
        format = found
    return format, tuple(_problem(row, format) for row in rows)


def _problem(row: Row, format: str) -> Problem:
    try:
        return FORMATS[format](row)
    except OptionError as error:
        found = detect(row)
        if found is None or found == format:
            raise
        raise OptionError("path", f"{error}; this looks like format: {found}, not {format}") from None


def _told(format: str) -> str:
    return ", ".join(" or ".join(group) for group in FIELDS[format])


__all__ = [
    "BLANK",
    "CONTEST",
    "FORMATS",
    "Choice",
    "Coding",
    "Problem",
    "detect",
    "is_contest",
    "problems_of",
]
