"""Small programs in several files, one function of which does not do what the comment above it says.

    # x times 3, plus 7
    def owl_a(x):
        return x * 3 - 7

A function has one whole number and gives one; its comment is right. It may call functions that come before
it, which may be in any file. All files are read as one program. `Function` says what each does without
running it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

Call = Callable[[str, int], int]
"""What a function of that name gives for a number."""


class Form(NamedTuple):
    """A way to write a function's body, and what it then gives for x."""

    lines: tuple[str, ...]
    value: Callable[..., int]


class Kind(NamedTuple):
    """What a function may be for: the comment that says so, and its forms, of which the first is right.

    All forms have as many lines, and each differs from the first in one of them.
    """

    comment: str
    forms: tuple[Form, ...]


def _line(line: str, value: Callable[..., int]) -> Form:
    return Form((line,), value)


KINDS = {
    "scale": Kind(
        "x times {a}, plus {b}",
        (
            _line("return x * {a} + {b}", lambda call, x, a, b: x * a + b),
            _line("return x * {a} - {b}", lambda call, x, a, b: x * a - b),
            _line("return x * {b} + {a}", lambda call, x, a, b: x * b + a),
            _line("return (x + {b}) * {a}", lambda call, x, a, b: (x + b) * a),
        ),
    ),
    "most": Kind(
        "x, but not more than {a}0",
        (
            Form(("if x > {a}0:", "    return {a}0", "return x"), lambda call, x, a, b: min(x, 10 * a)),
            Form(("if x < {a}0:", "    return {a}0", "return x"), lambda call, x, a, b: max(x, 10 * a)),
            Form(
                ("if x > {a}0:", "    return {a}", "return x"), lambda call, x, a, b: a if x > 10 * a else x
            ),
        ),
    ),
    "half": Kind(
        "half of x if x is even, else x plus {a}",
        (
            Form(
                ("if x % 2 == 0:", "    return x // 2", "return x + {a}"),
                lambda call, x, a, b: x + a if x % 2 else x // 2,
            ),
            Form(
                ("if x % 2 == 1:", "    return x // 2", "return x + {a}"),
                lambda call, x, a, b: x // 2 if x % 2 else x + a,
            ),
            Form(
                ("if x % 2 == 0:", "    return x * 2", "return x + {a}"),
                lambda call, x, a, b: x + a if x % 2 else x * 2,
            ),
            Form(
                ("if x % 2 == 0:", "    return x // 2", "return x - {a}"),
                lambda call, x, a, b: x - a if x % 2 else x // 2,
            ),
        ),
    ),
    "total": Kind(
        "{a} plus all numbers from 1 to x",
        (
            Form(
                ("total = {a}", "for i in range(1, x + 1):", "    total += i", "return total"),
                lambda call, x, a, b: a + x * (x + 1) // 2,
            ),
            Form(
                ("total = {a}", "for i in range(1, x):", "    total += i", "return total"),
                lambda call, x, a, b: a + x * (x - 1) // 2,
            ),
            Form(
                ("total = {a}", "for i in range(1, x + 1):", "    total += x", "return total"),
                lambda call, x, a, b: a + x * x,
            ),
            Form(
                ("total = 0", "for i in range(1, x + 1):", "    total += i", "return total"),
                lambda call, x, a, b: x * (x + 1) // 2,
            ),
        ),
    ),
    "digits": Kind(
        "the sum of the digits of x, times {a}",
        (
            Form(
                ("total = 0", "while x > 0:", "    total += x % 10", "    x //= 10", "return total * {a}"),
                lambda call, x, a, b: sum(map(int, str(x))) * a,
            ),
            Form(
                ("total = 0", "while x > 0:", "    total += x % 10", "    x //= 10", "return total + {a}"),
                lambda call, x, a, b: sum(map(int, str(x))) + a,
            ),
            Form(
                ("total = 0", "while x > 0:", "    total = x % 10", "    x //= 10", "return total * {a}"),
                lambda call, x, a, b: int(str(x)[0]) * a,
            ),
        ),
    ),
    "both": Kind(
        "{f} of x, plus {g} of x",
        (
            _line("return {f}(x) + {g}(x)", lambda call, x, f, g: call(f, x) + call(g, x)),
            _line("return {f}(x) - {g}(x)", lambda call, x, f, g: call(f, x) - call(g, x)),
            _line("return {f}(x) + {g}(x + 1)", lambda call, x, f, g: call(f, x) + call(g, x + 1)),
        ),
    ),
    "after": Kind(
        "{f} of x, plus {a}",
        (
            _line("return {f}(x) + {a}", lambda call, x, f, a: call(f, x) + a),
            _line("return {f}(x) - {a}", lambda call, x, f, a: call(f, x) - a),
            _line("return {f}(x + {a})", lambda call, x, f, a: call(f, x + a)),
        ),
    ),
}
FIELDS = {"both": ("f", "g"), "after": ("f", "a")}
"""What the comments of these kinds name; of all others it is the numbers a and b."""
NUMBERS = ("a", "b")
CALLING = 0.5
"""How often a function that can call others does."""
SHOWN = (1, 4, 7, 12, 23)
"""What functions are tested with, as the agent may see."""
HIDDEN = (0, 2, 5, 8, 13, 31)
"""What functions are judged with."""
_NAME = re.compile(r"[a-z]+_[a-z]")
_DEF = re.compile(r"def ([a-z]+_[a-z])\(x\):")
_FIELD = {
    "a": r"(?P<a>[2-9])",
    "b": r"(?P<b>[2-9])",
    "f": rf"(?P<f>{_NAME.pattern})",
    "g": rf"(?P<g>{_NAME.pattern})",
}
_COMMENTS = {
    kind: re.compile(
        "# " + re.sub(r"\\\{([abfg])\\\}", lambda found: _FIELD[found[1]], re.escape(made.comment))
    )
    for kind, made in KINDS.items()
}


class Function(NamedTuple):
    """A function: what it is for, with which numbers or functions, and which of its kind's forms it has."""

    name: str
    kind: str
    given: tuple[Any, ...]
    form: int

    @property
    def fields(self) -> tuple[str, ...]:
        """What `given` holds."""
        return FIELDS.get(self.kind, NUMBERS)

    @property
    def called(self) -> tuple[str, ...]:
        """The functions that it calls."""
        return tuple(each for each in self.given if isinstance(each, str))

    @property
    def lines(self) -> tuple[str, ...]:
        """Its text: a comment, its head and its body."""
        made, told = KINDS[self.kind], dict(zip(self.fields, self.given))
        body = made.forms[self.form].lines
        head = (f"# {made.comment}", f"def {self.name}(x):", *(f"    {line}" for line in body))
        return tuple(_fill(line, told) for line in head)


def _fill(line: str, told: dict[str, Any]) -> str:
    for name, value in told.items():
        line = line.replace(f"{{{name}}}", str(value))
    return line


def stem(name: str) -> str:
    """The file that a function is in, without its `.py`."""
    return name.rpartition("_")[0]


def caller(functions: Sequence[Function], *, right: bool = False) -> Call:
    """What the functions give; with `right`, if all were in their right form."""
    known = {each.name: each for each in functions}

    def call(name: str, x: int) -> int:
        each = known[name]
        return KINDS[each.kind].forms[0 if right else each.form].value(call, x, *each.given)

    return call


def files(functions: Sequence[Function]) -> tuple[tuple[str, ...], ...]:
    """The lines of each file, in the order of their names; an empty one between two functions."""
    texts: dict[str, list[str]] = {}
    for each in functions:
        lines = texts.setdefault(stem(each.name), [])
        lines += [*([""] if lines else []), *each.lines]
    return tuple(tuple(texts[name]) for name in sorted(texts))


def tests(
    functions: Sequence[Function], names: Iterable[str], arguments: Sequence[int]
) -> tuple[tuple[str, int, int], ...]:
    """(function, argument, what it should give) of the functions of these names."""
    call = caller(functions, right=True)
    return tuple((name, x, call(name, x)) for name in names for x in arguments)


def tops(functions: Sequence[Function]) -> list[str]:
    """The functions that no other calls."""
    called = {name for each in functions for name in each.called}
    return [each.name for each in functions if each.name not in called]


def draw(rng: np.random.Generator, stems: Sequence[str], each: int) -> tuple[Function, ...]:
    """Functions in files of these names; one is not right, which some test of `tops` tells."""
    while True:
        functions = _draw(rng, stems, each)
        at = int(rng.integers(len(functions)))
        one = functions[at]
        form = 1 + int(rng.integers(len(KINDS[one.kind].forms) - 1))
        wrong = (*functions[:at], one._replace(form=form), *functions[at + 1 :])
        call = caller(wrong)
        if any(call(name, x) != y for name, x, y in tests(functions, tops(functions), SHOWN)):
            return wrong


def _draw(rng: np.random.Generator, stems: Sequence[str], each: int) -> tuple[Function, ...]:
    """Functions that are all right, dealt evenly to the files."""
    simple = [kind for kind in KINDS if kind not in FIELDS]
    names = [f"{name}_{'abcdefghij'[i]}" for i in range(each) for name in stems]
    made: list[Function] = []
    for name, (calling, which, *lots) in zip(names, rng.random((len(names), 4)).tolist()):
        a, b = (2 + int(8 * lot) for lot in lots)
        kind = simple[int(which * len(simple))]
        given: tuple[Any, ...] = (a, b)
        if made and calling < CALLING:
            first, second = (made[int(lot * len(made))].name for lot in lots)
            kind, given = ("after", (first, a)) if first == second else ("both", (first, second))
        made.append(Function(name, kind, given, 0))
    return tuple(made)


class Seen(NamedTuple):
    """A function that was read: what it should be, and its first wrong line."""

    function: Function
    line: int
    """Its number in the file; 0 where all are right."""
    text: str
    """What should stand there."""


def read(lines: Sequence[str]) -> list[Seen]:
    """The functions of a file, understood from their comments."""
    found = []
    for i, (comment, head) in enumerate(pairwise(lines)):
        name = _DEF.fullmatch(head)
        if name is None:
            continue
        for kind, pattern in _COMMENTS.items():
            said = pattern.fullmatch(comment)
            if said is None:
                continue
            told = said.groupdict()
            given = tuple(_given(told.get(field, "0")) for field in FIELDS.get(kind, NUMBERS))
            function = Function(name[1], kind, given, 0)
            wanted = function.lines
            wrong = [j for j, text in enumerate(wanted) if text not in lines[i + j : i + j + 1]]
            at = wrong[0] if wrong else 0
            found.append(Seen(function, i + 1 + at if wrong else 0, wanted[at] if wrong else ""))
            break
    return found


def _given(text: str) -> int | str:
    return int(text) if text.isdigit() else text
