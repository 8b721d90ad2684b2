"""A maze of which one sees no more than the exits of where one stands, so that all else must be remembered.

    maze:4x4 b3-d1 ns
    > <think>b3</think><answer>n</answer>
    es
    > <think>b2</think><answer>e</answer>
    nw
    > <think>c2</think><answer>n</answer>

and so on. Columns are letters, rows are numbers, and b2 is north of b3. The prompt has where one starts,
where to go, and the exits of the start. A turn is a walk of one or more steps; what is told are the exits
of where it ended, as a walk also does at a wall. From level 3 on a locked door (a capital letter) stands in
the way, and a key, which is taken by stepping on it, lies somewhere before it:

    > <answer>ee</answer>
    key wall nW

What is no walk costs a turn, and is answered by `invalid`. There are as many turns as the maze has cells,
which are enough to look at each cell once. The step of a turn is where one stands. The solver walks to the
nearest cell that it knows the way to and has not seen: depth first, and back from dead ends.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import pairwise
from string import ascii_lowercase, digits
from typing import Any, NamedTuple

import numpy as np

from envs.text.parsing import read, write
from envs.text.task import DIRECT, Dialogue, Question, Verdict

PROMPT, WALL, LOCKED, KEY, INVALID = "maze:", "wall", "locked", "key", "invalid"
WAYS = "nesw"
EXITS = tuple("".join(way for i, way in enumerate(WAYS) if bits >> i & 1) for bits in range(16))
"""The exits that bits stand for."""
COLUMNS, MOST_CELLS = 16, 128
_PROMPT = re.compile(
    PROMPT + r"([2-9]|1\d)x([2-9]|1\d) ([a-p])([1-9]\d?)-([a-p])([1-9]\d?) (n?e?s?w?)", re.ASCII | re.I
)
_WALK = re.compile(f"[{WAYS}]+")
_TOLD = re.compile(rf"(?:{KEY} )?(?:(?:{WALL}|{LOCKED}) )?(n?e?s?w?)", re.ASCII | re.I)
Secret = tuple[tuple[int, ...], tuple[int, ...], int]
"""Of each cell its open ways, as bits in the order of `WAYS`; the two cells with a door between them, or
none; the cell with the key, or -1. Cells count from a1 along the rows."""


class Size(NamedTuple):
    """How large a maze is, and whether it has a door."""

    columns: int
    rows: int
    door: bool


LEVELS = (
    Size(4, 4, False),
    Size(6, 6, False),
    Size(5, 5, True),
    Size(7, 7, True),
    Size(9, 9, True),
    Size(11, 11, True),
    Size(16, 8, True),
)


class Place(NamedTuple):
    """Where an agent is, and what it was told there."""

    cell: int
    has_key: bool
    told: str


class TextMaze(Dialogue):
    """Find the goal of a maze.

    `data` is (columns, rows, start, goal, exits of the start, `Secret`). The problem, of train or of test, is
    what the prompt tells: any maze that fits it may come up. The part `bumps` is how many turns ended at a
    wall or a locked door, or were no walk.
    """

    title = "Text maze"
    about = "find the way through a maze of which only the exits are told"
    instructions = (
        "You are in a maze. After 'maze:' stand how many columns (letters) and rows (numbers, 1 in the "
        "north) it has, the cell where you start, the cell to reach, and the exits of the start: n, e, s, "
        "w for north, east, south, west. Answer with a walk, such as nne, and you will be told the exits "
        "of where it ends; a walk ends early at a wall or a locked door. A capital letter is a locked "
        "door, which opens once you have stepped on the cell with the key. You have as many turns as there "
        "are cells."
    )
    levels = len(LEVELS)
    turns = MOST_CELLS
    stops = ()
    alphabet = "".join(sorted({*ascii_lowercase, *digits, *WAYS.upper(), *": -"}))

    def generate(self, rng: np.random.Generator, level: int) -> Question:
        size = LEVELS[level - 1]
        cells = size.columns * size.rows
        while True:
            start, goal = rng.permutation(cells)[:2].tolist()
            opened = _tree(rng, size.columns, size.rows)
            door, key = _door(rng, size.columns, opened, start, goal) if size.door else ((), -1)
            if not size.door or door:
                seen = _exits(size.columns, (opened, door, key), start, False)
                return _ask(size.columns, size.rows, start, goal, seen, (opened, door, key), level)

    def understand(self, prompt: str) -> Question:
        """The maze is None: it is what the prompt does not tell."""
        found = _PROMPT.fullmatch(prompt)
        if found:
            columns, rows = int(found[1]), int(found[2])
            start, goal = (_cell(found[i], found[i + 1], columns, rows) for i in (3, 5))
            fits = columns <= COLUMNS and columns * rows <= MOST_CELLS and -1 not in (start, goal)
            if fits and start != goal and found[7]:
                question = _ask(columns, rows, start, goal, found[7], None, 0)
                if question.prompt == prompt:
                    return question
        raise ValueError(f"'{prompt:.60}' asks for no walk, as '{PROMPT}4x4 b3-d1 ns' does")

    def limit(self, question: Question) -> int:
        return question.data[0] * question.data[1]

    def answer(self, question: Question) -> str:
        """The shortest walk from the start, by way of the key where there is one."""
        columns, _, start, goal, _, (opened, door, key) = question.data
        stops = [start, key, goal] if door else [start, goal]
        return "".join(_path(_tracks(columns, opened, a), b) for a, b in pairwise(stops))

    def work(self, question: Question, strategy: str) -> str:
        """The step of the first turn: where one starts."""
        return _name(question.data[2], question.data[0])

    def check(self, answer: str, question: Question) -> Verdict:
        if not _WALK.fullmatch(answer):
            return Verdict(0.0, False, False, f"no walk of {', '.join(WAYS)}", {"bumps": 1.0})
        place = _walk(question.data, Place(question.data[2], False, ""), answer)
        return _verdict(place.cell == question.data[3], True, {"bumps": float(_bumped(place.told))})

    def check_steps(self, steps: str, question: Question) -> float:
        return float(steps.strip() == self.work(question, self.strategies[0]))

    def chance(self, question: Question) -> float:
        """Of a walk at random that is as long as the shortest."""
        return float(len(WAYS)) ** -len(self.answer(question))

    def space(self, level: int) -> float:
        """Pairs of start and goal (a lower bound)."""
        cells = LEVELS[level - 1].columns * LEVELS[level - 1].rows
        return float(cells * (cells - 1))

    def reply(self, question: Question, said: Sequence[str]) -> str | None:
        place = _after(question.data, tuple(said[: self.turns]))
        return None if place.cell == question.data[3] else place.told

    def judge(self, question: Question, said: Sequence[str]) -> Verdict:
        columns, _, start, goal, *_ = question.data
        place, steps, bumps, parsed = Place(start, False, ""), 0, 0, False
        for each in said:
            words = read(each)
            steps += words.steps.strip() == _name(place.cell, columns)
            place = _said(question.data, place, words.answer)
            bumps += _bumped(place.told)
            parsed = place.told != INVALID
        success = place.cell == goal
        turns = max(1, len(said))
        parts = {"bumps": float(bumps), "steps": steps / turns, "proved": float(success and steps == turns)}
        return _verdict(success, parsed, parts)

    def script(
        self, question: Question, said: Sequence[str], heard: Sequence[str], strategy: str | None = None
    ) -> str:
        """The way to the nearest cell that was not seen yet; of several to the one nearest to the goal."""
        columns, _, start, goal, exits, _ = question.data
        here, seen, has_key = start, {start: exits}, False
        for mine, theirs in zip(said, heard):
            found = _TOLD.fullmatch(theirs)
            if found and theirs != INVALID:
                here = _follow(columns, seen, here, read(mine).answer or "", has_key)
                has_key |= theirs.startswith(KEY)
                seen[here] = found[1]

        def known(cell: int) -> list[tuple[str, int]]:
            exits = seen.get(cell, "")
            return _ways(columns, exits.lower() if has_key else exits, cell)

        tracks = _search(known, here)
        unseen = [cell for cell in tracks if cell not in seen]
        nearest = min(
            unseen, key=lambda cell: (tracks[cell].steps, _apart(columns, cell, goal)), default=here
        )
        walk = _path(tracks, nearest) or WAYS[0]
        return write(walk, "" if strategy == DIRECT else _name(here, columns))


@lru_cache(maxsize=4096)
def _after(data: tuple[Any, ...], said: tuple[str, ...]) -> Place:
    """Where one is after all that was said, which is told from where one was before the last of it."""
    if not said:
        return Place(data[2], False, "")
    return _said(data, _after(data, said[:-1]), read(said[-1]).answer)


def _said(data: tuple[Any, ...], place: Place, answer: str | None) -> Place:
    """Where an answer leads."""
    if answer is None or not _WALK.fullmatch(answer):
        return place._replace(told=INVALID)
    return _walk(data, place, answer)


def _walk(data: tuple[Any, ...], place: Place, walk: str) -> Place:
    """Where a walk leads, which ends at the goal, a wall or a locked door at the latest."""
    columns, _, _, goal, _, secret = data
    opened, door, key = secret
    cell, has_key, found, bump = place.cell, place.has_key, "", ""
    for way in walk:
        there = cell + _step(columns, way)
        if not opened[cell] >> WAYS.index(way) & 1:
            bump = WALL
            break
        if not has_key and cell in door and there in door:
            bump = LOCKED
            break
        cell = there
        if cell == key and not has_key:
            has_key, found = True, KEY
        if cell == goal:
            break
    told = (found, bump, _exits(columns, secret, cell, has_key))
    return Place(cell, has_key, " ".join(filter(None, told)))


def _verdict(success: bool, parsed: bool, parts: dict[str, float]) -> Verdict:
    error = "" if success else "not at the goal" if parsed else f"no walk of {', '.join(WAYS)}"
    return Verdict(float(success), success, parsed or success, error, parts)


def _bumped(told: str) -> bool:
    return not {WALL, LOCKED, INVALID}.isdisjoint(told.split())


def _ask(
    columns: int, rows: int, start: int, goal: int, seen: str, secret: Secret | None, level: int
) -> Question:
    asked = f"{columns}x{rows} {_name(start, columns)}-{_name(goal, columns)} {seen}"
    return Question(f"{PROMPT}{asked}", (columns, rows, start, goal, seen, secret), asked, level)


# -- cells -------------------------------------------------------------------------------------------------


def _name(cell: int, columns: int) -> str:
    """`b3`, for people."""
    return f"{ascii_lowercase[cell % columns]}{cell // columns + 1}"


def _cell(letter: str, number: str, columns: int, rows: int) -> int:
    """The cell of a name; -1 where there is none."""
    column, row = ascii_lowercase.index(letter.lower()), int(number) - 1
    return row * columns + column if column < columns and row < rows else -1


def _step(columns: int, way: str) -> int:
    """What a step adds to a cell."""
    return columns if way == "s" else -columns if way == "n" else 1 if way == "e" else -1


def _apart(columns: int, a: int, b: int) -> int:
    return abs(a % columns - b % columns) + abs(a // columns - b // columns)


def _exits(columns: int, secret: Secret, cell: int, has_key: bool) -> str:
    """The ways out of a cell; a locked door is a capital letter."""
    opened, door, _ = secret
    shut = {there for there in door if cell in door and there != cell and not has_key}
    return "".join(
        way.upper() if there in shut else way for way, there in _ways(columns, EXITS[opened[cell]], cell)
    )


def _ways(columns: int, exits: str, cell: int) -> list[tuple[str, int]]:
    """The exits that are not locked, and where they lead."""
    return [(way, cell + _step(columns, way)) for way in exits if way in WAYS]


class Track(NamedTuple):
    """How a cell is reached: from which one, by which step, as which one on the way."""

    before: int
    way: str
    steps: int


def _search(ways: Callable[[int], list[tuple[str, int]]], start: int) -> dict[int, Track]:
    """Of each cell that can be reached its track on a shortest walk, the nearest first."""
    tracks, queue = {start: Track(start, "", 0)}, [start]
    for cell in queue:
        steps = tracks[cell].steps + 1
        for way, there in ways(cell):
            if there not in tracks:
                tracks[there] = Track(cell, way, steps)
                queue.append(there)
    return tracks


def _tracks(columns: int, opened: Sequence[int], start: int) -> dict[int, Track]:
    """The same in a whole maze, through all doors."""
    return _search(lambda cell: _ways(columns, EXITS[opened[cell]], cell), start)


def _path(tracks: dict[int, Track], cell: int) -> str:
    """The walk to a cell."""
    walk = ""
    while tracks[cell].way:
        walk, cell = tracks[cell].way + walk, tracks[cell].before
    return walk


def _follow(columns: int, seen: dict[int, str], cell: int, walk: str, has_key: bool) -> int:
    """Where a walk ended, as far as that is known from the exits that were seen."""
    for way in walk:
        exits = seen.get(cell, WAYS)
        if way not in (exits.lower() if has_key else exits):
            break
        cell += _step(columns, way)
    return cell


# -- mazes -------------------------------------------------------------------------------------------------


def _tree(rng: np.random.Generator, columns: int, rows: int) -> tuple[int, ...]:
    """A maze with one way between any two cells: walls fall in random order (Kruskal's spanning tree)."""
    cells = columns * rows
    walls = [(cell, 1) for cell in range(cells) if (cell + 1) % columns]
    walls += [(cell, 2) for cell in range(cells - columns)]
    opened, group = [0] * cells, list(range(cells))
    members = [[cell] for cell in range(cells)]
    for i in rng.permutation(len(walls)).tolist():
        cell, way = walls[i]
        there = cell + _step(columns, WAYS[way])
        ours, theirs = group[cell], group[there]
        if ours == theirs:
            continue
        opened[cell] |= 1 << way
        opened[there] |= 1 << (way + 2) % 4
        if len(members[ours]) < len(members[theirs]):
            ours, theirs = theirs, ours
        for member in members[theirs]:
            group[member] = ours
        members[ours] += members[theirs]
    return tuple(opened)


def _door(
    rng: np.random.Generator, columns: int, opened: Sequence[int], start: int, goal: int
) -> tuple[tuple[int, ...], int]:
    """(the cells on both sides of a door on the way to the goal, a cell before it for the key); or none."""
    tracks = _tracks(columns, opened, start)
    behind = goal
    for _ in range(int(rng.integers(tracks[goal].steps))):
        behind = tracks[behind].before
    door = tracks[behind].before, behind
    near = _search(
        lambda cell: [each for each in _ways(columns, EXITS[opened[cell]], cell) if each[1] != behind], start
    )
    before = [cell for cell in near if cell != start]
    return (door, before[int(rng.integers(len(before)))]) if before else ((), -1)
