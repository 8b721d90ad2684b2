"""Questions about numbers, letters and tables: their wording, what is asked of what, and a program for it.

    sum of 3,17,5,90?
    count of aek in study magazine escape?

    colour,price,count
    red,3,10
    blue,4,2
    red,7,1
    sum of price*count where colour is red and price above 2?

As data: ("sum", (3, 17, 5, 90)); ("count", "aek", ("study", "magazine", "escape")); and ("table", header,
rows, ("sum", ("price", "count"), (("colour", "is", "red"), ("price", "above", 2)))).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import reduce
from typing import Any, NamedTuple

import numpy as np

from envs.text.words.words import words

FOLDS: dict[str, Callable[[int, int], int]] = {
    "sum": lambda a, b: a + b,
    "product": lambda a, b: a * b,
    "largest": max,
    "smallest": min,
}
"""What can be asked of several numbers, two at a time."""
SIGNS = {"sum": "+", "product": "*", "largest": ",", "smallest": ","}
PYTHON = {"sum": "sum", "product": "math.prod", "largest": "max", "smallest": "min"}
KINDS = {
    "colour": ("red", "blue", "green", "white"),
    "city": ("rome", "oslo", "lima", "cairo", "delhi"),
    "group": ("a", "b", "c"),
}
"""Columns of words, and what may stand there."""
AMOUNTS = ("price", "count", "weight", "age")
"""Columns of numbers."""
MOST = 99
"""Numbers, words or rows of a question."""
DIGITS = 12
"""Of a number, at most."""
_NUMBER = rf"(?:0|[1-9][0-9]{{0,{DIGITS - 1}}})"
_NUMBERS = re.compile(rf"({'|'.join(FOLDS)}) of ({_NUMBER}(?:,{_NUMBER})+)\?")
_LETTERS = re.compile(r"count of ([a-z]+) in ([a-z]+(?: [a-z]+)*)\?")
_TABLE = re.compile(
    rf"({'|'.join(FOLDS)}) of ([a-z]+(?:\*[a-z]+)?) where ([a-z]+) is ([a-z]+)"
    rf"(?: and ([a-z]+) above ({_NUMBER}))?\?"
)
Data = tuple[Any, ...]


class Size(NamedTuple):
    """What is asked, of how many numbers, words or rows, of how many digits."""

    kinds: tuple[str, ...]
    fewest: int
    most: int
    digits: int = 2


LEVELS = (
    Size(("sum",), 3, 5, 2),
    Size(tuple(FOLDS), 4, 8, 3),
    Size(("sum", "product"), 4, 8, 9),
    Size(("letters",), 8, 16),
    Size(("table",), 5, 9),
    Size(("long table",), 15, 40, 3),
)


def draw(rng: np.random.Generator, level: int) -> Data:
    """A question of a level."""
    size = LEVELS[level - 1]
    kind = size.kinds[int(rng.integers(len(size.kinds)))]
    count = int(rng.integers(size.fewest, size.most + 1))
    if kind == "letters":
        every = words()
        text = tuple(every[i] for i in rng.integers(len(every), size=count).tolist())
        letters = "".join(sorted(rng.permutation(sorted(set("".join(text))))[:3].tolist()))
        return "count", letters, text
    if kind in FOLDS:
        return kind, tuple((1 + rng.integers(10**size.digits - 1, size=count)).tolist())
    return _draw_table(rng, count, 10**size.digits - 1, long=kind == "long table")


def space(level: int) -> float:
    """How many questions a level has (a lower bound)."""
    size = LEVELS[level - 1]
    if size.kinds == ("letters",):
        return float(len(words())) ** size.most
    amounts = float(10**size.digits - 1)
    return (
        math.comb(int(amounts) + size.most - 1, size.most) if size.kinds[0] in FOLDS else amounts**size.most
    )


def terms(data: Data) -> tuple[str, tuple[int, ...]]:
    """(one of `FOLDS`, the numbers to put together by it)."""
    if data[0] == "count":
        _, letters, text = data
        return "sum", tuple(sum(map(word.count, letters)) for word in text)
    if data[0] != "table":
        return data
    _, header, rows, (fold, columns, wanted) = data
    places = [header.index(name) for name in columns]
    tests = [(header.index(name), how == "is", value) for name, how, value in wanted]
    chosen = [r for r in rows if all(r[i] == v if same else r[i] > v for i, same, v in tests)]
    return fold, tuple(math.prod(row[i] for i in places) for row in chosen)


def result(data: Data) -> int:
    """The answer."""
    fold, numbers = terms(data)
    return reduce(FOLDS[fold], numbers)


def by_hand(data: Data) -> list[str]:
    """The numbers to put together, and then each step of it."""
    fold, numbers = terms(data)
    lines, so_far = [",".join(map(str, numbers))], numbers[0]
    for number in numbers[1:]:
        so_far, before = FOLDS[fold](so_far, number), so_far
        lines.append(f"{before}{SIGNS[fold]}{number}={so_far}")
    return lines


def program(data: Data) -> str:
    """Python that prints the answer, given `table` as its standard input."""
    if data[0] == "count":
        return f'print(sum(map("{" ".join(data[2])}".count,"{data[1]}")))'
    if data[0] != "table":
        fold, numbers = data
        if fold in ("sum", "product"):
            return f"print({SIGNS[fold].join(map(str, numbers))})"
        return f"print({PYTHON[fold]}({','.join(map(str, numbers))}))"
    _, header, _, (fold, columns, wanted) = data
    value = "*".join(f"int(r[{header.index(name)}])" for name in columns)
    tests = [
        f'r[{header.index(name)}]=="{v}"' if how == "is" else f"int(r[{header.index(name)}])>{v}"
        for name, how, v in wanted
    ]
    rows = 'for r in [r.split(",") for r in sys.stdin.read().split()[1:]]'
    return f"import sys,math\nprint({PYTHON[fold]}({value} {rows} if {' and '.join(tests)}))"


def table(data: Data) -> str:
    """The table of a question as text; nothing where it has none."""
    if data[0] != "table":
        return ""
    return "\n".join(",".join(map(str, row)) for row in (data[1], *data[2]))


def spell(data: Data) -> str:
    """The question as it is asked."""
    if data[0] == "count":
        return f"count of {data[1]} in {' '.join(data[2])}?"
    if data[0] != "table":
        return f"{data[0]} of {','.join(map(str, data[1]))}?"
    fold, columns, wanted = data[3]
    tests = " and ".join(f"{name} {how} {value}" for name, how, value in wanted)
    return f"{table(data)}\n{fold} of {'*'.join(columns)} where {tests}?"


def key(data: Data) -> str:
    """The question, in whatever order its numbers, words or rows stand."""
    if data[0] == "count":
        return spell(("count", data[1], sorted(data[2])))
    if data[0] == "table":
        return spell(("table", data[1], sorted(data[2], key=str), data[3]))
    return spell((data[0], sorted(data[1])))


def parse(text: str) -> Data:
    """What `spell` wrote, read back (`ValueError` for anything else)."""
    *rows, asked = text.split("\n")
    data = _parse_table(rows, asked) if rows else _parse_line(asked)
    if data is None or spell(data) != text:
        raise ValueError(f"'{text:.60}' is no question such as 'sum of 3,17,5?'")
    return data


def _parse_line(asked: str) -> Data | None:
    """A question of numbers or of letters; None where it is neither."""
    if found := _NUMBERS.fullmatch(asked):
        numbers = tuple(map(int, found[2].split(",")))
        return (found[1], numbers) if len(numbers) <= MOST else None
    found = _LETTERS.fullmatch(asked)
    if not found or len(found[2].split(" ")) > MOST or "".join(sorted(set(found[1]))) != found[1]:
        return None
    return "count", found[1], tuple(found[2].split(" "))


def _parse_table(lines: list[str], asked: str) -> Data | None:
    """A question of a table; None where it is none, or chooses no row."""
    header, *rows = (tuple(line.split(",")) for line in lines)
    found = _TABLE.fullmatch(asked)
    if not found or len(rows) > MOST or len(set(header)) < len(header):
        return None
    cells = [tuple(_cell(name, text) for name, text in zip(header, row)) for row in rows]
    columns, above = tuple(found[2].split("*")), (found[5],) if found[5] else ()
    fits = all(len(row) == len(header) and None not in row for row in cells)
    fits = fits and {*columns, *above} <= {*header} & {*AMOUNTS} and found[3] in {*header} & {*KINDS}
    if not fits or len(set(columns)) < len(columns):
        return None
    wanted = ((found[3], "is", found[4]), *((name, "above", int(found[6])) for name in above))
    data = "table", header, tuple(cells), (found[1], columns, wanted)
    return data if terms(data)[1] else None


def _cell(column: str, text: str) -> str | int | None:
    """What stands in a column; None where it does not belong there."""
    if column in AMOUNTS:
        return int(text) if re.fullmatch(_NUMBER, text) else None
    return text if text in KINDS.get(column, ()) else None


def _draw_table(rng: np.random.Generator, count: int, most: int, *, long: bool) -> Data:
    """A table of `count` rows, numbers up to `most`, and a question that chooses two rows or more."""
    kinds = [list(KINDS)[i] for i in rng.permutation(len(KINDS))[: 1 + long].tolist()]
    amounts = [AMOUNTS[i] for i in rng.permutation(len(AMOUNTS))[: 2 + long].tolist()]
    header = (*kinds, *amounts)
    while True:
        cells = [[KINDS[name][i] for i in rng.integers(len(KINDS[name]), size=count)] for name in kinds]
        cells += [(1 + rng.integers(most, size=count)).tolist() for _ in amounts]
        fold = ("sum", "largest", "smallest")[int(rng.integers(3))]
        columns = tuple(amounts[: 1 + int(rng.integers(2))])
        wanted: tuple[Any, ...] = ((kinds[-1], "is", cells[len(kinds) - 1][0]),)
        if long:
            wanted = (*wanted, (amounts[-1], "above", int(rng.integers(1, most))))
        data = "table", header, tuple(zip(*cells)), (fold, columns, wanted)
        if len(terms(data)[1]) > 1:
            return data
