"""Grid puzzles in the format of ARC (Chollet 2019, "On the Measure of Intelligence"): a rule from examples.

    500
    050
    =
    005
    050

    330
    003
    =
    033
    300

    035
    500
    =

Digits are colours, 0 is the background. Before each `=` stands an input, after it the output; an empty line
keeps pairs apart, and the last input asks for its output:

    530
    005

Steps name the transformations and write what each makes of the last input, its rows with `/` between:

    mirror:530/005

The transformations, whose programs of up to three (the third is a symmetry) make all problems here:

    mirror, flip                   left to right, top to bottom
    turn, turn2, turn3             by one, two, three quarters, clockwise
    transpose, anti                over the diagonal from the top left, over the other one
    recolour 3 5, swap 3 5         3 becomes 5; and 5 becomes 3
    keep 3                         all but 3 becomes 0
    fall down                      all cells fall (up, right, down, left)
    ray down                       each cell's colour goes on over empty cells to the next cell or the edge
    shift down                     all rows or columns move by one, the last one to the other side
    outline 3                      empty cells that touch others, also at a corner, become 3
    fill 3                         empty cells that others shut off from the edge become 3
    border 3                       a frame of 3 around the grid
    crop                           the smallest rectangle that holds all that is not empty
    half left, half top            of the grid, without the middle
    tile wide, tile tall, tile both        copies side by side, one above the other, four
    unfold wide, unfold tall       the grid and its mirror image beside it, below it
    scale                          each cell becomes 2 by 2
    complete wide, complete tall   empty cells take the colour of their mirror image (of mirror, of flip)
    bars                           a row for each colour, in ascending order, as long as it has cells
    connect                        empty cells between two of a colour, in a column or a row, take it too

No shorter program explains the examples, and all that are as short give the same answer. Any program that
explains them is right as steps, if it has three at most.

With `path`, a file or a folder of tasks as ARC has them, problems are theirs, one for each test input, and
there are no worked steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from envs.kernels import address
from envs.text.draws import kernel_rng
from envs.text.grids import arc_kernels as kernels
from envs.text.grids.arc_files import read_problems
from envs.text.task import Question, Task, Verdict

LEVELS = ((1, 3, 3, 2), (1, 3, 5, 3), (1, 5, 8, 3), (2, 3, 5, 3), (2, 5, 8, 3), (3, 4, 7, 3), (3, 6, 12, 4))
"""Transformations, the least and the most rows and columns of an input, and examples."""
MOST_EXAMPLES = 10
MOST_LINES = 10
"""Lines beyond which nothing is a program."""
SIDES = ("up", "right", "down", "left")
WORDS = {
    kernels.FALL: SIDES,
    kernels.RAY: SIDES,
    kernels.SHIFT: SIDES,
    kernels.HALF: ("left", "top"),
    kernels.TILE: ("wide", "tall", "both"),
    kernels.UNFOLD: ("wide", "tall"),
    kernels.COMPLETE: ("wide", "tall"),
}
"""What the words of a transformation are that has a direction."""
NAMES = (
    *("mirror", "flip", "turn", "turn2", "turn3", "transpose", "anti", "recolour", "swap", "keep"),
    *("fall", "ray", "shift", "outline", "fill", "border", "crop", "half", "tile", "unfold"),
    *("scale", "complete", "bars", "connect"),
)
Step = tuple[int, int, int]
Pair = tuple[str, str]


class Arc(Task):
    """A level is how many transformations there are and how large the grids; files of tasks have one level.

    The part `cells` is the share of cells that are right in an answer of the right size.

    Raises `OptionError` for a `path` that holds no tasks of ARC.
    """

    title = "ARC grids"
    about = "find the rule that turns each grid into another, and apply it"
    instructions = (
        "Each grid of digits above a '=' is turned into the grid below it by one rule, the same for all "
        "pairs; empty lines stand between pairs. Digits are colours, 0 is the background. Answer "
        "with what the rule makes of the last grid: rows of digits, a line each."
    )
    levels = len(LEVELS)
    alphabet = "0123456789=/: \n" + "".join(
        sorted(
            {
                letter
                for words in (NAMES, *WORDS.values())
                for word in words
                for letter in word
                if letter > "9"
            }
        )
    )
    strategies = ("program",)

    def __init__(self, path: str | None = None) -> None:
        self.problems: dict[str, Question] = {}
        if path is not None:
            problems = [_ask(pairs, test, answer, 1) for pairs, test, answer in read_problems(path)]
            self.problems = {problem.prompt: problem for problem in problems}
            self.levels = 1  # type: ignore[misc]

    def generate(self, rng: np.random.Generator, level: int) -> Question:
        if self.problems:
            return list(self.problems.values())[int(rng.integers(len(self.problems)))]
        return _ask(*_draw(rng, *LEVELS[level - 1]), level)

    def understand(self, prompt: str) -> Question:
        if self.problems:
            if prompt not in self.problems:
                raise ValueError(f"{prompt!r:.60} is no problem of these files")
            found = self.problems[prompt]
            return Question(found.prompt, found.data, found.key, 0)
        pairs, test = _read(prompt)
        return _ask(pairs, test, solve(pairs, test)[1], 0)

    def answer(self, question: Question) -> str:
        return question.data[2]

    def work(self, question: Question, strategy: str) -> str:
        """The steps, or nothing where the problem is from a file."""
        if self.problems:
            return ""
        pairs, now, _ = question.data
        lines = []
        for step in solve(pairs, now)[0]:
            now = made(step, now)
            lines.append(f"{name_of(step)}:{_flat(now)}")
        return "\n".join(lines)

    def check(self, answer: str, question: Question) -> Verdict:
        said, right = _grid(answer.replace("/", "\n")), question.data[2]
        if not said:
            return Verdict(0.0, False, False, "not rows of digits, all of one length", {"cells": 0.0})
        success = said == right
        wanted, got = _size(right), _size(said)
        if wanted != got:
            error = f"{got[0]} rows of {got[1]}, not {wanted[0]} of {wanted[1]}"
            return Verdict(0.0, False, True, error, {"cells": 0.0})
        wrong = sum(a != b for a, b in zip(said, right))
        cells = 1 - wrong / (wanted[0] * wanted[1])
        return Verdict(
            float(success), success, True, f"{wrong} cells are wrong" * bool(wrong), {"cells": cells}
        )

    def check_steps(self, steps: str, question: Question) -> float:
        lines = [line.strip() for line in steps.strip().split("\n", MOST_LINES)]
        if len(lines) > MOST_LINES:
            return 0.0
        pairs, now, answer = question.data
        program: list[Step] = []
        for line in lines:
            name, _, said = line.partition(":")
            step = _steps().get(name)
            after = made(step, now) if step else ""
            if step is None or not after or said != _flat(after):
                break
            program.append(step)
            now = after
        right = len(program)
        done = (
            right == len(lines) <= kernels.STEPS
            and now == answer
            and all(run(program, x) == y for x, y in pairs)
        )
        return 1.0 if done else right / max(len(lines), right + 1)

    def chance(self, question: Question) -> float:
        """Of any grid of the answer's size in colours that the prompt has."""
        colours = set(question.prompt) - set("=\n")
        rows, columns = _size(question.data[2])
        return float(max(2, len(colours))) ** -(rows * columns)

    def space(self, level: int) -> float:
        """At least: for each symmetry and each two colours, half of all grids of the least size."""
        if self.problems:
            return float(len(self.problems))
        least = LEVELS[level - 1][1]
        return kernels.SYMMETRIES * 36 * 3.0 ** (least * least) / 2


# -- programs -----------------------------------------------------------------------------------------------


def solve(pairs: Sequence[Pair], test: str) -> tuple[list[Step], str]:
    """The first of the shortest programs that explain all pairs, and what they all make of the test input.

    Raises `ValueError` where there is none, or where they differ.
    """
    inputs, in_sizes = _arrays([x for x, _ in pairs] + [test])
    outputs, out_sizes = _arrays([y for _, y in pairs])
    program, answer = np.empty((kernels.STEPS, 3), np.int64), np.empty((kernels.SIDE, kernels.SIDE), np.uint8)
    size = np.empty(2, np.int64)
    for depth in range(1, kernels.STEPS + 1):
        found = kernels.search(_at(), inputs, in_sizes, outputs, out_sizes, depth, program, answer, size)
        if found == kernels.SEVERAL:
            raise ValueError("the simplest rules that explain the examples differ on the last grid")
        if found == kernels.FOUND:
            steps = [(op, a, b) for op, a, b in program[:depth].tolist()]
            return steps, _texts(answer[None], size[None])[0]
    raise ValueError("no rule of the family explains the examples")


def run(program: Sequence[Step], grid: str) -> str:
    """What a program makes of a grid; nothing where a step does not fit."""
    for step in program:
        grid = made(step, grid) if grid else ""
    return grid


def made(step: Step, grid: str) -> str:
    """What a step makes of a grid; nothing where it does not fit."""
    (x,), ((h, w),) = _arrays([grid])
    y = np.empty((kernels.SIDE, kernels.SIDE), np.uint8)
    size = kernels.apply(*step, x, h, w, y)
    return _texts(y[None], np.array([size]))[0] if size[0] else ""


def name_of(step: Step) -> str:
    """A step as it is written."""
    op, a, b = step
    if op in WORDS:
        return f"{NAMES[op]} {WORDS[op][a]}"
    if op in (kernels.RECOLOUR, kernels.SWAP):
        return f"{NAMES[op]} {a} {b}"
    return f"{NAMES[op]} {a}" if a else NAMES[op]


@cache
def _at() -> int:
    """Where the kernel that applies a step is."""
    return address(kernels.apply, kernels.APPLY)


@cache
def _steps() -> dict[str, Step]:
    """All steps by name."""
    table = np.empty((kernels.MOST_STEPS, 3), np.int64)
    count = kernels.steps_of(0b1111111111, table)
    return {name_of(step): step for step in map(tuple, table[:count].tolist())}


# -- texts --------------------------------------------------------------------------------------------------


def _draw(
    rng: np.random.Generator, steps: int, least: int, most: int, count: int
) -> tuple[tuple[Pair, ...], str, str]:
    """The pairs, the last input and the answer of a problem."""
    side = kernels.SIDE
    inputs, in_sizes = np.empty((count + 1, side, side), np.uint8), np.empty((count + 1, 2), np.int64)
    outputs, out_sizes = np.empty_like(inputs), np.empty_like(in_sizes)
    examples, answer = (outputs[:-1], out_sizes[:-1]), (outputs[-1], out_sizes[-1])
    kernels.draw(_at(), kernel_rng(rng), steps, least, most, inputs, in_sizes, *examples, *answer)
    given, found = _texts(inputs, in_sizes), _texts(outputs, out_sizes)
    return tuple(zip(given[:-1], found)), given[-1], found[-1]


def _ask(pairs: Sequence[Pair], test: str, answer: str, level: int) -> Question:
    """The question; in whatever order its examples stand, it is the same problem."""
    shown = [f"{x}\n=\n{y}" for x, y in pairs]
    last = f"{test}\n="
    prompt, key = "\n\n".join([*shown, last]), "\n\n".join([*sorted(shown), last])
    return Question(prompt, (tuple(pairs), test, answer), key, level)


def _read(prompt: str) -> tuple[tuple[Pair, ...], str]:
    """The pairs and the last input of a prompt (`ValueError` for any other text)."""
    *shown, last = prompt[: 2 * MOST_EXAMPLES * (kernels.SIDE + 1) ** 2].split("\n\n")
    parts = [text.split("\n=\n") for text in shown]
    grids = [grid for part in parts for grid in part]
    test = last.removesuffix("\n=")
    fits = 1 <= len(parts) <= MOST_EXAMPLES and last == f"{test}\n=" and all(len(p) == 2 for p in parts)
    if not fits or any(not grid or _grid(grid) != grid for grid in [*grids, test]):
        raise ValueError(f"{prompt!r:.60} is not pairs of grids with '=' between, and one more input")
    return tuple([(x, y) for x, y in parts]), test


def _grid(text: str) -> str:
    """A grid in normal form: rows of digits; nothing where it is none, or too large."""
    rows = ["".join(row.split()) for row in text.strip().split("\n", kernels.SIDE)]
    wide = len(rows[0])
    right = all(len(row) == wide and row.isascii() and row.isdigit() for row in rows)
    return "\n".join(rows) if right and len(rows) <= kernels.SIDE and wide <= kernels.SIDE else ""


def _size(grid: str) -> tuple[int, int]:
    return grid.count("\n") + 1, grid.find("\n") if "\n" in grid else len(grid)


def _flat(grid: str) -> str:
    return grid.replace("\n", "/")


def _texts(grids: np.ndarray, sizes: np.ndarray) -> list[str]:
    """Grids (uint8 `[k, SIDE, SIDE]`, sizes `[k, 2]`) as rows of digits."""
    text = np.empty(len(grids) * kernels.SIDE * (kernels.SIDE + 1), np.uint8)
    return text[: kernels.spell(grids, sizes, text)].tobytes().decode("ascii").split(" ")


def _arrays(grids: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Grids as uint8 `[k, SIDE, SIDE]`, and their sizes `[k, 2]`."""
    out, sizes = (
        np.zeros((len(grids), kernels.SIDE, kernels.SIDE), np.uint8),
        np.empty((len(grids), 2), np.int64),
    )
    for k, grid in enumerate(grids):
        rows = np.frombuffer(f"{grid}\n".encode("ascii"), np.uint8)
        sizes[k] = h, w = _size(grid)
        out[k, :h, :w] = rows.reshape(h, w + 1)[:, :w] - ord("0")
    return out, sizes
