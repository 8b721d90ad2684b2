"""Sudoku, 4×4 or 9×9: every row, column and box holds every digit once.

    ...4
    2.1.
    .2.1
    .342

An answer is the full grid in the same form. Any grid that keeps the givens and the rules is right. Steps fill
in one blank each, with the reason why nothing else can be there:

    r1c2=1       no other digit can be here: its row, its column and its box hold all others
    r1c1=3r      no other blank of the row can hold it (c: of the column, b: of the box)
    r2c2=4s      found by search

A search is only right where none of the other reasons settles any blank, and says what the one solution has.
"""

from __future__ import annotations

import re
from functools import cache

import numpy as np

from envs.options import OptionError
from envs.text.draws import kernel_rng
from envs.text.logic import sudoku_kernels as kernels
from envs.text.parsing import LONGEST_ANSWER
from envs.text.task import Question, Task, Verdict

SIZES = (4, 9)
BLANKS = {4: (2, 4, 6, 8, 10), 9: (10, 20, 30, 40, 50)}
"""Blanks of a puzzle, by size, then by level."""
SPACE = {4: (34_560, 522_624, 2_204_928, 2_961_024, 1_041_408), 9: (6670903752021072936960,) * 5}
"""Puzzles: for 4×4 all there are (of 288 full grids), for 9×9 one for each full grid."""
BLANK = "."
WHY = ("", "r", "c", "b", "s")
MOST_LINES = 100
"""Lines beyond which nothing is a solution."""

_GAPS = re.compile(r"[\s/]+")
_STEP = re.compile(r"r([1-9])c([1-9])=([1-9])([rcbs]?)")


class Sudoku(Task):
    """A level says how many cells are blank."""

    title = "Sudoku"
    about = "fill a grid so that every row, column and box holds every digit once"
    levels = 5
    strategies = ("singles",)
    alphabet = "123456789.rcbs=\n"
    instructions = (
        "Solve this sudoku: replace each dot by a digit so that every row, every column and every box (of "
        "3x3 cells; in a grid of 4x4, of 2x2 cells) holds each digit from 1 to the length of a row once. "
        "Answer with the full grid."
    )

    def __init__(self, size: int = 9) -> None:
        if size not in SIZES:
            raise OptionError("size", f"size of task 'Sudoku' must be 4 or 9, not {size}")
        self.size = size
        self.digits = "123456789"[:size]

    def generate(self, rng: np.random.Generator, level: int) -> Question:
        grid = np.empty(self.size**2, np.int8)
        kernels.generate(kernel_rng(rng), self.size, BLANKS[self.size][level - 1], grid)
        return self._ask(self._text(grid), level)

    def understand(self, prompt: str) -> Question:
        givens = self._cells(prompt, self.digits + BLANK)
        if givens is None or self._shown(givens) != prompt:
            raise ValueError(f"{prompt!r:.60} is not a {self.size}x{self.size} grid of digits and dots")
        solutions = kernels.solve(self._grid(givens), self.size, 2)
        if solutions != 1:
            raise ValueError(f"{prompt!r:.60} has {('no solution', '', 'several solutions')[solutions]}")
        return self._ask(givens, 0)

    def answer(self, question: Question) -> str:
        return self._shown(self._text(self._solved(question)))

    def work(self, question: Question, strategy: str) -> str:
        steps = np.empty((question.data.count(BLANK), 3), np.int64)
        kernels.work(self._grid(question.data), self._solved(question), self.size, steps)
        return "\n".join([self._line(*step) for step in steps.tolist()])

    def check(self, answer: str, question: Question) -> Verdict:
        cells = self._cells(answer, self.digits)
        if cells is None:
            return Verdict(0.0, False, False, f"not {self.size} rows of {self.size} digits")
        error = self._flaw(cells, question.data)
        return Verdict(float(not error), not error, True, error)

    def check_steps(self, steps: str, question: Question) -> float:
        lines = [_STEP.fullmatch(line.strip()) for line in steps.strip().split("\n", MOST_LINES)]
        if len(lines) > MOST_LINES:
            return 0.0
        said = [self._step(line) for line in lines if line and max(map(int, line.groups()[:3])) <= self.size]
        right = np.zeros(len(said), bool)
        table = np.array(said, np.int64).reshape(-1, 3)
        kernels.check(self._grid(question.data), self._solved(question), self.size, table, right)
        return float(right.sum()) / max(len(lines), question.data.count(BLANK))

    def chance(self, question: Question) -> float:
        """Of the givens with any digit in each blank."""
        return float(self.size) ** -question.data.count(BLANK)

    def space(self, level: int) -> float:
        return float(SPACE[self.size][level - 1])

    # -- grids and their text --------------------------------------------------------------------------

    def _ask(self, givens: str, level: int) -> Question:
        return Question(self._shown(givens), givens, givens, level)

    def _shown(self, cells: str) -> str:
        return "\n".join([cells[at : at + self.size] for at in range(0, len(cells), self.size)])

    def _cells(self, text: str, allowed: str) -> str | None:
        """All cells of a text in a row, without what stands between them; None where that is no grid."""
        cells = _GAPS.sub("", text) if len(text) <= LONGEST_ANSWER else ""
        return cells if len(cells) == self.size**2 and not cells.strip(allowed) else None

    def _grid(self, cells: str) -> np.ndarray:
        return np.frombuffer(cells.replace(BLANK, "0").encode(), np.int8) - np.int8(ord("0"))

    def _text(self, grid: np.ndarray) -> str:
        return (grid + np.int8(ord("0"))).tobytes().decode().replace("0", BLANK)

    def _solved(self, question: Question) -> np.ndarray:
        grid = self._grid(question.data)
        kernels.solve(grid, self.size, 1)
        return grid

    def _line(self, cell: int, digit: int, why: int) -> str:
        return f"r{cell // self.size + 1}c{cell % self.size + 1}={digit}{WHY[why]}"

    def _step(self, line: re.Match[str]) -> tuple[int, int, int]:
        row, column, digit = map(int, line.groups()[:3])
        return (row - 1) * self.size + column - 1, digit, WHY.index(line[4])

    def _flaw(self, cells: str, givens: str) -> str:
        """What is wrong with a full grid."""
        for at, (cell, given) in enumerate(zip(cells, givens)):
            if given not in (cell, BLANK):
                return f"r{at // self.size + 1}c{at % self.size + 1} is {given}, not {cell}"
        for name, house in _houses(self.size):
            if len({cells[at] for at in house}) < self.size:
                return f"{name} holds a digit twice"
        return ""


@cache
def _houses(size: int) -> list[tuple[str, tuple[int, ...]]]:
    """All rows, columns and boxes: name and cells."""
    side, line = 2 if size == 4 else 3, range(size)
    corners = [row * size + column for row in range(0, size, side) for column in range(0, size, side)]
    return [
        *[(f"row {i + 1}", tuple([i * size + j for j in line])) for i in line],
        *[(f"column {j + 1}", tuple([i * size + j for i in line])) for j in line],
        *[
            (f"box {k + 1}", tuple([corner + i * size + j for i in range(side) for j in range(side)]))
            for k, corner in enumerate(corners)
        ],
    ]
