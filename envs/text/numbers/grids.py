"""Counting in a grid with holes: paths from corner to corner, or squares.

    paths          squares
    ..#.           ..#.
    ....           ....
    .#..           .#..

Paths go from the upper left to the lower right corner, one field to the right or down at a time, and never
onto a hole `#`. Squares are of any size, along the grid, without a hole in them. The answer is how many there
are, here `4` and `12`. Steps write for each field how many paths lead to it; or of how many squares it is the
lower right corner (one more than the least of the fields above, to the left, and in between, or 0 for a
hole), with the total so far:

    1 1 0 0        1 1 0 1:3
    1 2 2 2        1 2 1 1:8
    1 0 2 4        1 0 1 2:12
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np

from envs.text.lines import right_lines
from envs.text.numbers.columns import judge_number
from envs.text.task import Question, Task, Verdict

PATHS, SQUARES = "paths", "squares"
SIZES = ((3, 4), (4, 5), (5, 6), (6, 8), (8, 10), (10, 12), (14, 16))
"""Rows and columns, by level."""
LARGEST = 30
"""Rows or columns of a grid, at most."""
HOLES = 0.15
"""Of the fields."""
HOLE, FIELD = "#", "."

_FORM = re.compile(rf"({PATHS}|{SQUARES})((?:\n[.#]{{1,{LARGEST}}}){{1,{LARGEST}}})")


class Counting(Task):
    """Grids of 3 by 4 fields at level 1, of 14 by 16 at level 7."""

    title = "Counting in a grid"
    about = "count the paths through a grid, or the squares in it"
    instructions = (
        "This is a grid of fields, . or # for a hole. After 'paths': how many ways lead from the upper "
        "left to the lower right corner, each step one field to the right or down, and never onto a hole? "
        "After 'squares': how many squares of 1x1, 2x2, 3x3 fields and so on are there that hold no hole? "
        "Answer with a number."
    )
    levels = len(SIZES)
    alphabet = "pathsqure.#0123456789 :\n"

    def generate(self, rng: np.random.Generator, level: int) -> Question:
        rows, columns = SIZES[level - 1]
        while True:
            kind, *holes = (rng.random(rows * columns + 1) < (0.5, *(HOLES,) * rows * columns)).tolist()
            cells = "".join([HOLE if hole else FIELD for hole in holes])
            grid = tuple([cells[at : at + columns] for at in range(0, rows * columns, columns)])
            question = _ask(PATHS if kind else SQUARES, grid, level)
            if _count(question):
                return question

    def understand(self, prompt: str) -> Question:
        found = _FORM.fullmatch(prompt)
        grid = tuple(found[2][1:].split("\n")) if found else ()
        if found is None or len({len(row) for row in grid}) > 1:
            raise ValueError(
                f"{prompt!r:.60} is not '{PATHS}' or '{SQUARES}' above rows of . and #, as long as each other"
            )
        question = _ask(found[1], grid, 0)
        if not _count(question):
            raise ValueError(f"{prompt!r:.60} has none")
        return question

    def answer(self, question: Question) -> str:
        return str(_count(question))

    def work(self, question: Question, strategy: str) -> str:
        return "\n".join(_lines(question))

    def check(self, answer: str, question: Question) -> Verdict:
        return judge_number(answer, _count(question))

    def check_steps(self, steps: str, question: Question) -> float:
        return right_lines(steps, _lines(question))

    def chance(self, question: Question) -> float:
        """Of any number from 1 to what the grid without holes has."""
        kind, grid = question.data
        rows, columns = len(grid), len(grid[0])
        if kind == PATHS:
            return 1 / math.comb(rows + columns - 2, rows - 1)
        return 1 / sum([(rows - i) * (columns - i) for i in range(min(rows, columns))])

    def space(self, level: int) -> float:
        """All grids with squares, and none of those with paths."""
        rows, columns = SIZES[level - 1]
        return 2.0 ** (rows * columns) - 1


def table(kind: str, grid: Sequence[str]) -> list[list[int]]:
    """For each field how many paths lead to it, or how many squares end there."""
    above, rows = [0] * len(grid[0]), []
    for number, cells in enumerate(grid):
        row: list[int] = []
        left, corner = int(kind == PATHS and number == 0), 0  # what leads to the first field of all
        for over, cell in zip(above, cells):
            ways = left + over if kind == PATHS else 1 + min(left, over, corner)
            left, corner = (0 if cell == HOLE else ways), over
            row.append(left)
        rows.append(row)
        above = row
    return rows


def _ask(kind: str, grid: tuple[str, ...], level: int) -> Question:
    prompt = "\n".join([kind, *grid])
    return Question(prompt, (kind, grid), prompt, level)


def _count(question: Question) -> int:
    found = table(*question.data)
    return found[-1][-1] if question.data[0] == PATHS else sum(map(sum, found))


def _lines(question: Question) -> list[str]:
    total, lines = 0, []
    for row in table(*question.data):
        total += sum(row)
        lines.append(" ".join(map(str, row)) + ("" if question.data[0] == PATHS else f":{total}"))
    return lines
