"""Mazes: the shortest way from S to G.

    S#G..
    .#.#.
    .#.#.
    ...#.
    .###.

`#` is a wall, outside is none. A way is its moves, U up, D down, L left, R right, each to the next field:

    DDDRRUUU

Any shortest way is right. (Were longer ones too, one long walk would do for every small maze.) Steps say
after each move which row and column that is, counted from 1; they are complete at the goal:

    D2,1
    D3,1
    D4,1
    R4,2
    R4,3
    U3,3
    U2,3
    U1,3

Every other field of every other row is a room; walls between rooms are taken away until there is one way
between any two (depth first, by an explorer who turns at random), then a tenth of those that are left.
"""

from __future__ import annotations

import math
import re

import numpy as np

from envs.kernels import kernel
from envs.rng import next_below, next_float
from envs.text.draws import kernel_rng
from envs.text.parsing import LONGEST_ANSWER
from envs.text.task import Question, Task, Verdict

SIZES = (3, 4, 5, 6, 8, 10, 13, 16)
"""Rooms in a row and in a column, by level; with the walls between them a row has 2n-1 fields."""
LARGEST = 40
"""Rows, and fields in a row, at most."""
MOVES = "UDLR"
LOOPS = 0.1
"""Of the walls that a tree leaves, how many are taken away."""
UNREACHED = -1

_FORM = re.compile(r"[.#SG]+(?:\n[.#SG]+)*")
_GAPS = re.compile(r"[\s,>-]+")
_LINE = re.compile(r"([UDLR])([1-9][0-9]?),([1-9][0-9]?)")


class Maze(Task):
    """Three by three rooms at level 1, 16 by 16 at level 8."""

    title = "Maze"
    about = "the shortest way through a maze"
    instructions = (
        "This is a maze: # is a wall, you may move from field to field that is none, up, down, left or "
        "right, but not out of the grid. Find a shortest way from S to G. Answer with its moves in turn, "
        "each U (up), D (down), L (left) or R (right), such as DDRRU."
    )
    levels = len(SIZES)
    alphabet = "#.SGUDLR0123456789,\n"

    def generate(self, rng: np.random.Generator, level: int) -> Question:
        rooms = SIZES[level - 1]
        text = np.empty((2 * rooms - 1) * 2 * rooms, np.uint8)
        draw(kernel_rng(rng), rooms, LOOPS, text)
        return _ask(text[:-1].tobytes().decode(), level)

    def understand(self, prompt: str) -> Question:
        rows = prompt.split("\n")
        sizes = {len(row) for row in rows}
        small = len(sizes) == 1 and max(len(rows), *sizes) <= LARGEST
        if not small or _FORM.fullmatch(prompt) is None or prompt.count("S") != 1 or prompt.count("G") != 1:
            raise ValueError(
                f"{prompt!r:.60} is no maze of {LARGEST}x{LARGEST} fields or less with one S, one G, # and ."
            )
        question = _ask(prompt, 0)
        far, start, _ = _measured(question)
        if far[start] == UNREACHED:
            raise ValueError(f"{prompt!r:.60} has no way from S to G")
        return question

    def answer(self, question: Question) -> str:
        far, start, width = _measured(question)
        moves = np.empty(far[start], np.uint8)
        walk(far, start, width, moves)
        return moves.tobytes().decode()

    def work(self, question: Question, strategy: str) -> str:
        way = self.answer(question)
        row, column = divmod(question.data.index("S"), question.data.index("\n") + 1)
        lines = []
        for move in way:
            row += (move == "D") - (move == "U")
            column += (move == "R") - (move == "L")
            lines.append(f"{move}{row + 1},{column + 1}")
        return "\n".join(lines)

    def check(self, answer: str, question: Question) -> Verdict:
        moves = _GAPS.sub("", answer) if len(answer) <= LONGEST_ANSWER else ""
        if not moves or moves.strip(MOVES):
            return Verdict(0.0, False, False, f"not a row of moves {', '.join(MOVES)}")
        far, start, width = _measured(question)
        legal, end = follow(far, start, width, _bytes(moves))
        if legal < len(moves):
            return Verdict(0.0, False, True, f"move {legal + 1}, {moves[legal]}, is not possible")
        if far[end] != 0:
            return Verdict(0.0, False, True, "it does not end at G")
        shortest = len(moves) == far[start]
        error = "" if shortest else f"{len(moves)} moves, and {far[start]} would do"
        return Verdict(float(shortest), shortest, True, error)

    def check_steps(self, steps: str, question: Question) -> float:
        """A step is right where it leads nearer to the goal, from where the right ones before it led."""
        far, at, width = _measured(question)
        need, lines = int(far[at]), [line.strip() for line in steps.strip().split("\n", len(far))]
        right = 0
        for line in lines:
            found = _LINE.fullmatch(line)
            if found is None:
                continue
            legal, end = follow(far, at, width, _bytes(found[1]))
            told = (int(found[2]) - 1) * width + int(found[3]) - 1
            if legal and end == told and far[end] < far[at]:
                at, right = end, right + 1
        return right / max(len(lines), need)

    def chance(self, question: Question) -> float:
        """Of any moves, as many as the shortest way has."""
        far, start, width = _measured(question)
        return float(ways(far, start, width)) / 4.0 ** int(far[start])

    def space(self, level: int) -> float:
        """At least: spanning trees of the grid of rooms (Kirchhoff's theorem), with any two for the ends."""
        n = SIZES[level - 1]
        cosines = [2 * math.cos(math.pi * i / n) for i in range(n)]
        values = [4 - a - b for a in cosines for b in cosines][1:]
        trees = math.prod(values) / n**2
        return float(round(trees * math.comb(n**2, 2)))


def _ask(prompt: str, level: int) -> Question:
    """The question; from either end, it is the same problem."""
    turned = prompt.index("S") > prompt.index("G")
    return Question(prompt, prompt, prompt.translate(_TURNED) if turned else prompt, level)


_TURNED = str.maketrans("SG", "GS")


def _bytes(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), np.uint8)


def _measured(question: Question) -> tuple[np.ndarray, int, int]:
    """(how far each field is from G, `UNREACHED` for walls; where S is; characters of a row)."""
    text = question.data
    width = text.find("\n") + 1 or len(text) + 1
    far = np.empty(len(text), np.int64)
    measure(_bytes(text), width, text.index("G"), far)
    return far, text.index("S"), width


# -- kernels: a maze is its text, a field its place there; moves are 0 to 3, as in MOVES ---------------------


@kernel
def step(size, width, at, move):  # type: ignore[no-untyped-def]
    """The field that a move leads to, or -1 where that is outside."""
    if move == 0:
        to = at - width
    elif move == 1:
        to = at + width
    elif move == 2:
        to = at - 1
    else:
        to = at + 1
    inside = 0 <= to < size and to % width != width - 1
    return to if inside else -1


@kernel
def draw(rng, rooms, loops, text):  # type: ignore[no-untyped-def]
    """Write a maze into `text` (uint8), a new line after every row."""
    width = 2 * rooms
    for at in range(len(text)):
        text[at] = 35
    for row in range(2 * rooms - 1):
        text[(row + 1) * width - 1] = 10
    stack, top = np.empty(rooms * rooms, np.int64), 0
    room = 2 * next_below(rng, 0, rooms) * width + 2 * next_below(rng, 0, rooms)
    text[room] = 46
    stack[0] = room
    ways_on = np.empty(4, np.int64)
    while top >= 0:
        room, count = stack[top], 0
        for move in range(4):
            wall = step(len(text), width, room, move)
            if wall >= 0 and text[2 * wall - room] == 35:
                ways_on[count] = wall
                count += 1
        if count == 0:
            top -= 1
            continue
        wall = ways_on[next_below(rng, 0, count)]
        text[wall] = text[2 * wall - room] = 46
        top += 1
        stack[top] = 2 * wall - room
    for at in range(len(text)):
        between = (at // width + at % width) % 2 == 1  # two rooms
        if between and text[at] == 35 and next_float(rng, 0) < loops:
            text[at] = 46
    start = next_below(rng, 0, rooms * rooms)
    goal = (start + 1 + next_below(rng, 0, rooms * rooms - 1)) % (rooms * rooms)
    text[2 * (start // rooms) * width + 2 * (start % rooms)] = 83
    text[2 * (goal // rooms) * width + 2 * (goal % rooms)] = 71


@kernel
def measure(text, width, goal, far):  # type: ignore[no-untyped-def]
    """Fill in how many moves each field is from the goal (int64, as long as the text)."""
    far[:] = UNREACHED
    far[goal] = 0
    queue = np.empty(len(text), np.int64)
    queue[0] = goal
    head, tail = 0, 1
    while head < tail:
        at = queue[head]
        head += 1
        for move in range(4):
            to = step(len(text), width, at, move)
            if to >= 0 and far[to] == UNREACHED and text[to] != 35:
                far[to] = far[at] + 1
                queue[tail] = to
                tail += 1


@kernel
def walk(far, at, width, moves):  # type: ignore[no-untyped-def]
    """Write a shortest way into `moves` (uint8): at each field the first move that leads nearer."""
    for i in range(len(moves)):
        for move in range(4):
            to = step(len(far), width, at, move)
            if to >= 0 and far[to] == far[at] - 1:
                moves[i] = (85, 68, 76, 82)[move]
                at = to
                break


@kernel
def follow(far, at, width, moves):  # type: ignore[no-untyped-def]
    """(how many of the moves are possible, where they lead)."""
    for i in range(len(moves)):
        letter = moves[i]
        move = 0 if letter == 85 else 1 if letter == 68 else 2 if letter == 76 else 3
        to = step(len(far), width, at, move)
        if to < 0 or far[to] == UNREACHED:
            return i, at
        at = to
    return len(moves), at


@kernel
def ways(far, start, width):  # type: ignore[no-untyped-def]
    """How many shortest ways there are."""
    count = np.zeros(len(far), np.float64)
    count[start] = 1.0
    for distance in range(far[start], 0, -1):
        for at in range(len(far)):
            if far[at] == distance and count[at] > 0:
                for move in range(4):
                    to = step(len(far), width, at, move)
                    if to >= 0 and far[to] == distance - 1:
                        count[to] += count[at]
    total = 0.0
    for at in range(len(far)):
        if far[at] == 0:
            total += count[at]
    return total
