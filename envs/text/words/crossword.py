"""Small crosswords: words cross in a grid; they are told, or told as their letters in alphabetical order.

    ###.
    ....
    ###.
    ###.
    ?deks move

`#` is no cell. Each row of two or more cells, across or down, is a word, and no two are alike. Below the grid
stands a clue for each: the word, or after a `?` the sorted letters of a word of `envs.text.words.words`. The
answer is the full grid:

    ###d
    move
    ###s
    ###k

Steps place a word a line, by the row and column of its first letter, and whether it goes across or down:

    r1c4d=desk
    r2c1a=move

They are right in any order, and any grid that keeps to the rules is.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from string import ascii_lowercase
from typing import NamedTuple

import numpy as np

from envs.text.task import Question, Task, Verdict
from envs.text.words.words import words

BLOCK, BLANK, SCRAMBLED = "#", ".", "?"
ACROSS, DOWN = "a", "d"
LONGEST = 7
"""Letters of a word, at most."""
SIDE = 12
"""Rows and columns, at most."""
MOST_WORDS = 16
MOST_STEPS = 50
"""Lines beyond which nothing is a solution."""
FLOATS = 64

_RUN = re.compile(rf"\{BLANK}{{2,}}")
_STEP = re.compile(r"r([1-9]\d?)c([1-9]\d?)([ad])=([a-z]{2,12})", re.ASCII)


class Size(NamedTuple):
    """How many words there are, how long they are at most, and the share of clues that are scrambled."""

    words: int
    longest: int
    scrambled: float


LEVELS = (
    Size(2, 4, 0.0),
    Size(2, 5, 1.0),
    Size(3, 5, 0.5),
    Size(4, 5, 0.0),
    Size(4, 6, 1.0),
    Size(6, 6, 0.5),
    Size(8, 6, 0.0),
    Size(8, 7, 1.0),
    Size(11, 7, 0.5),
)
Slot = tuple[int, int, str]
"""(row, column, ACROSS or DOWN) of a word's first cell."""
Cells = dict[tuple[int, int], str]


class Crossword(Task):
    """Two words at level 1, eleven at level 9; at some levels they are scrambled, or half of them are."""

    title = "Crosswords"
    about = "fill a grid with words that are given, or given as scrambled letters"
    instructions = (
        "Fill the grid: replace each dot by a letter ('#' is no cell) so that every row of two or more "
        "cells, across or down, is a word, all of them different. The last line has a clue for each word: "
        "the word itself or, after a '?', its letters in alphabetical order (then it is a common English "
        "word). Answer with the full grid."
    )
    levels = len(LEVELS)
    alphabet = ascii_lowercase + "0123456789.#?= \n"
    strategies = ("words",)

    def generate(self, rng: np.random.Generator, level: int) -> Question:
        size, floats = LEVELS[level - 1], _floats(rng)
        while True:
            cells, placed = _grown(size, floats)
            if len(placed) == size.words:
                break
        hidden = round(size.scrambled * size.words)
        order = sorted(placed, key=lambda _: next(floats))
        clues = [SCRAMBLED + scrambled(word) for word in order[:hidden]] + order[hidden:]
        return _ask(_pattern(cells), tuple(sorted(clues)), level)

    def understand(self, prompt: str) -> Question:
        *rows, last = prompt.split("\n", SIDE)
        clues = tuple(last.split(" "))
        read = all(re.fullmatch(r"\??[a-z]{2,12}", clue) for clue in clues) and last.isascii()
        even = rows and all(set(row) <= {BLOCK, BLANK} and len(row) == len(rows[0]) for row in rows)
        if not read or not even or len(rows[0]) > SIDE or list(clues) != sorted(clues):
            raise ValueError(f"{prompt!r:.60} is not a grid of dots and #, and then sorted words")
        if len(clues) > MOST_WORDS or len(clues) != len(slots("\n".join(rows))):
            raise ValueError(f"{prompt!r:.60} must have a clue for each word of the grid")
        question = _ask("\n".join(rows), clues, 0)
        if next(fills(*question.data), None) is None:
            raise ValueError(f"{prompt!r:.60} cannot be filled")
        return question

    def answer(self, question: Question) -> str:
        grid, _ = question.data
        return _filled(grid, dict(_solution(question)))

    def work(self, question: Question, strategy: str) -> str:
        return "\n".join([f"r{r + 1}c{c + 1}{way}={word}" for (r, c, way), word in _solution(question)])

    def check(self, answer: str, question: Question) -> Verdict:
        grid, clues = question.data
        rows = ["".join(row.split()) for row in answer.lower().strip().split("\n")]
        said = "\n".join(rows)
        if len(said) != len(grid) or any(not _fits(a, b) for a, b in zip(said, grid)):
            return Verdict(0.0, False, False, "not the grid with a letter for each dot")
        fault = _fault([_word(said, slot, length) for slot, length in slots(grid).items()], clues)
        return Verdict(float(not fault), not fault, True, fault)

    def check_steps(self, steps: str, question: Question) -> float:
        lines = [line.strip() for line in steps.strip().split("\n", MOST_STEPS)]
        if len(lines) > MOST_STEPS:
            return 0.0
        grid, clues = question.data
        left, open_slots, cells, right = list(clues), dict(slots(grid)), Cells(), 0
        used: set[str] = set()
        for line in lines:
            found = _STEP.fullmatch(line)
            slot = (int(found[1]) - 1, int(found[2]) - 1, found[3]) if found else (-1, -1, "")
            word = found[4] if found else ""
            clue = _clue(word, left)
            if clue is None or word in used or open_slots.get(slot) != len(word):
                continue
            if any(cells.get(cell, letter) != letter for cell, letter in zip(_along(slot, len(word)), word)):
                continue
            left.remove(clue)
            del open_slots[slot]
            used.add(word)
            cells.update(zip(_along(slot, len(word)), word))
            right += 1
        return right / max(len(lines), right + len(open_slots))

    def chance(self, question: Question) -> float:
        """Of any letters in the cells."""
        grid, clues = question.data
        found = sum(1 for _ in fills(grid, clues))
        return found / 26.0 ** grid.count(BLANK)

    def space(self, level: int) -> float:
        """At least: all ways in which two words cross, which differ in more than which goes across."""
        return float(_crossings(LEVELS[level - 1].longest))


# -- the rules ----------------------------------------------------------------------------------------------


def scrambled(word: str) -> str:
    """A word's letters in alphabetical order."""
    return "".join(sorted(word))


@cache
def slots(grid: str) -> dict[Slot, int]:
    """Where words stand in a grid, and how long they are; `ValueError` where a cell is in none."""
    rows = grid.split("\n")
    columns = ["".join(column) for column in zip(*rows)]
    found = {(r, m.start(), ACROSS): len(m[0]) for r, row in enumerate(rows) for m in _RUN.finditer(row)}
    found |= {
        (m.start(), c, DOWN): len(m[0]) for c, column in enumerate(columns) for m in _RUN.finditer(column)
    }
    covered = {cell for slot, length in found.items() for cell in _along(slot, length)}
    if len(covered) != grid.count(BLANK):
        raise ValueError("a cell of the grid is in no word")
    return found


def fills(grid: str, clues: Sequence[str]) -> Iterator[list[tuple[Slot, str]]]:
    """All ways to fill a grid, each as its words in the order of a search: the tightest place comes next."""
    lengths = slots(grid)
    meanings = {clue: _meanings(clue) for clue in clues}
    yield from _fills(dict(lengths), Counter(clues), meanings, {}, [])


def _fills(
    left: dict[Slot, int],
    clues: Counter[str],
    meanings: dict[str, tuple[str, ...]],
    cells: Cells,
    placed: list[tuple[Slot, str]],
) -> Iterator[list[tuple[Slot, str]]]:
    if not left:
        yield placed
        return
    used = {word for _, word in placed}
    open_words = [(clue, word) for clue in clues for word in meanings[clue] if word not in used]
    best: list[tuple[str, str]] | None = None
    for slot, length in left.items():
        pattern = [(k, cells[cell]) for k, cell in enumerate(_along(slot, length)) if cell in cells]
        fitting = [
            (clue, word)
            for clue, word in open_words
            if len(word) == length and all(word[k] == letter for k, letter in pattern)
        ]
        if best is None or len(fitting) < len(best):
            best, where = fitting, slot
            if len(fitting) < 2:
                break
    for clue, word in best or ():
        others = {slot: length for slot, length in left.items() if slot != where}
        filled = cells | dict(zip(_along(where, len(word)), word))
        yield from _fills(others, clues - Counter([clue]), meanings, filled, [*placed, (where, word)])


def _fault(said: Sequence[str], clues: Sequence[str]) -> str:
    """What is wrong with the words of a full grid; nothing where they are those of the clues."""
    left = list(clues)
    twice = [word for word, count in Counter(said).items() if count > 1]
    if twice:
        return f"'{twice[0]}' is there twice"
    for word in sorted(said, key=lambda word: word not in clues):  # those that are told by name come first
        clue = _clue(word, left)
        if clue is None:
            return f"'{word}' is not what any clue tells"
        left.remove(clue)
    return ""


def _clue(word: str, left: Sequence[str]) -> str | None:
    """The clue for a word, if there still is one."""
    if word and word in left:
        return word
    clue = SCRAMBLED + scrambled(word)
    return clue if clue in left and word in _anagrams().get(clue[1:], ()) else None


def _meanings(clue: str) -> tuple[str, ...]:
    """The words that a clue may stand for."""
    return _anagrams().get(clue[1:], ()) if clue.startswith(SCRAMBLED) else (clue,)


@cache
def _anagrams() -> dict[str, tuple[str, ...]]:
    """Words by their sorted letters."""
    found: dict[str, tuple[str, ...]] = {}
    for word in words():
        found[scrambled(word)] = (*found.get(scrambled(word), ()), word)
    return found


def _along(slot: Slot, length: int) -> list[tuple[int, int]]:
    """The cells of a word."""
    row, column, way = slot
    return [(row, column + k) if way == ACROSS else (row + k, column) for k in range(length)]


def _solution(question: Question) -> list[tuple[Slot, str]]:
    return next(fills(*question.data))


# -- growing ------------------------------------------------------------------------------------------------


def _grown(size: Size, floats: Iterator[float]) -> tuple[Cells, list[str]]:
    """A crossword that began with one word, to which others were added that cross it; perhaps too few."""
    known = _known(size.longest)
    placed = [known[int(next(floats) * len(known))]]
    cells = dict(zip(_along((0, 0, ACROSS), len(placed[0])), placed[0]))
    ways = dict.fromkeys(cells, ACROSS)
    spread = [0, 0, 0, len(placed[0]) - 1]
    for _ in range(20 * size.words):
        if len(placed) == size.words:
            break
        cell = list(ways)[int(next(floats) * len(ways))]
        way = DOWN if ways[cell] == ACROSS else ACROSS
        choices = _holding(size.longest)[cells[cell]]
        word, k = choices[int(next(floats) * len(choices))]
        row, column = (cell[0], cell[1] - k) if way == ACROSS else (cell[0] - k, cell[1])
        along = _along((row, column, way), len(word))
        wider = [min(spread[0], row), min(spread[1], column), *map(max, spread[2:], along[-1])]
        if max(wider[2] - wider[0], wider[3] - wider[1]) >= SIDE:
            continue
        if word not in placed and _may_stand(word, along, way, cells, ways):
            for each, letter in zip(along, word):
                if each in cells:
                    ways.pop(each, None)  # it is in two words now
                else:
                    cells[each], ways[each] = letter, way
            placed.append(word)
            spread = wider
    return cells, placed


def _may_stand(
    word: str, along: list[tuple[int, int]], way: str, cells: Cells, ways: dict[tuple[int, int], str]
) -> bool:
    """Whether a word touches others only where it crosses them."""
    down, right = (0, 1) if way == ACROSS else (1, 0)
    (top, left), (bottom, end) = along[0], along[-1]
    if (top - down, left - right) in cells or (bottom + down, end + right) in cells:
        return False
    for (row, column), letter in zip(along, word):
        there = cells.get((row, column))
        if there is None:
            if (row + right, column + down) in cells or (row - right, column - down) in cells:
                return False
        elif there != letter or ways.get((row, column), way) == way:
            return False
    return True


@cache
def _known(longest: int) -> tuple[str, ...]:
    return tuple([word for word in words() if len(word) <= longest])


@cache
def _holding(longest: int) -> dict[str, list[tuple[str, int]]]:
    """By letter, all words that have it, and where."""
    found: dict[str, list[tuple[str, int]]] = {letter: [] for letter in ascii_lowercase}
    for word in _known(longest):
        for k, letter in enumerate(word):
            found[letter].append((word, k))
    return found


@cache
def _crossings(longest: int) -> int:
    """In how many ways two different words cross, whichever of them goes across."""
    pairs = 0
    for holding in _holding(longest).values():
        each = Counter(word for word, _ in holding)
        pairs += len(holding) ** 2 - sum(count**2 for count in each.values())
    return pairs // 2


# -- texts --------------------------------------------------------------------------------------------------


def _floats(rng: np.random.Generator) -> Iterator[float]:
    while True:
        yield from rng.random(FLOATS).tolist()


def _pattern(cells: Cells) -> str:
    """The smallest grid that has the cells."""
    top, left = min(row for row, _ in cells), min(column for _, column in cells)
    bottom, right = max(row for row, _ in cells), max(column for _, column in cells)
    return "\n".join(
        "".join(BLANK if (row, column) in cells else BLOCK for column in range(left, right + 1))
        for row in range(top, bottom + 1)
    )


def _ask(grid: str, clues: tuple[str, ...], level: int) -> Question:
    """The question; with its rows and columns exchanged it is the same problem."""
    last = " ".join(clues)
    turned = "\n".join("".join(column) for column in zip(*grid.split("\n")))
    return Question(f"{grid}\n{last}", (grid, clues), f"{min(grid, turned)}\n{last}", level)


def _filled(grid: str, placed: dict[Slot, str]) -> str:
    rows = [list(row) for row in grid.split("\n")]
    for slot, word in placed.items():
        for (row, column), letter in zip(_along(slot, len(word)), word):
            rows[row][column] = letter
    return "\n".join("".join(row) for row in rows)


def _word(grid: str, slot: Slot, length: int) -> str:
    rows = grid.split("\n")
    return "".join([rows[row][column] for row, column in _along(slot, length)])


def _fits(said: str, wanted: str) -> bool:
    return said in ascii_lowercase if wanted == BLANK else said == wanted
