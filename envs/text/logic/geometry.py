"""Angles between straight lines, some of them parallel.

    ABC//DEF;GBEH;DEH=151;EBC?

Lines are named by the points on them, one after the other; `//` stands between parallel ones, whose points
are named in the same direction. Lines cross where they share a point, and nowhere else. `DEH=151` is the
angle at E between the directions of D and H, in degrees; `AB=AC` says that these two lengths are equal. The
angle before the `?` is asked: `29`.

Steps derive one angle each, with the rule and the angles that it follows from:

    FEB=151 v DEH
    CBE=29 i FEB

The rules:

    v   opposite at one point (vertical angles)
    l   beside each other on a line: 180 in all (linear pair)
    c   same directions at two parallels (corresponding angles)
    a   opposite directions at two parallels (alternate angles)
    i   on one side of the transversal, both between the parallels or both outside: 180 in all (co-interior)
    t   the third angle of a triangle: 180 in all
    x   beside an angle of a triangle, on a line: the sum of the other two (exterior angle)
    s   in a triangle with two equal sides: equal angles at the base, or what the angle at the top leaves them

Any derivation is right that leads to the angle asked, and stops there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import permutations

import numpy as np

from envs.text.draws import kernel_rng
from envs.text.logic import geometry_kernels as kernels
from envs.text.parsing import whole_number
from envs.text.task import Question, Task, Verdict

LEVELS = (
    ((0, 0, 1), 0, 1, 1),
    ((0, 0, 1), 0, 2, 2),
    ((0, 1, 2), 0, 2, 3),
    ((0, 1, 2), 1, 2, 4),
    ((0, 0, 1, 2), 0, 3, 5),
    ((0, 0, 1, 2), 1, 4, 7),
    ((0, 0, 1, 1, 2), 0, 5, 9),
    ((0, 0, 1, 1, 2, 3), 1, 7, 15),
)
"""The group of parallels of each line, whether a triangle has equal sides, the fewest and the most lines that
lead to the angle asked (a line that is used twice counts twice)."""
POINTS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
RULES = "vlcaitxs"
"""In the order of `geometry_kernels.VERTICAL` …"""
MOST_LINES = 100
"""Lines beyond which nothing is a derivation."""
Angle = tuple[int, int]
"""Two rays (see `geometry_kernels`) of lines that cross, the lower one first."""
Known = dict[Angle, int]

_PROMPT = re.compile(
    r"([A-Z]{3,9}(?:(?://|;)[A-Z]{3,9}){1,7});(?:([A-Z]{2}=[A-Z]{2});)?((?:[A-Z]{3}=\d{1,3};){1,6})([A-Z]{3})\?",
    re.ASCII,
)
_STEP = re.compile(r"([A-Z]{3})=(\d{1,3}) ([vlcaitxs]) ([A-Z]{3})(?: ([A-Z]{3}))?", re.ASCII)


class Geometry(Task):
    """Two parallels and a line across them at level 1, six lines at level 8."""

    title = "Geometry"
    about = "an angle that follows from others, at parallels and in triangles"
    instructions = (
        "Letters in a row are points on one straight line, in that order; lines joined by // are parallel, "
        "and their points are named in the same direction. Lines cross where they share a point. ABC=70 "
        "means that the angle at B between the directions of A and C has 70 degrees, AB=AC that these two "
        "segments are equally long. How many degrees has the angle before the question mark? Answer with a "
        "whole number."
    )
    levels = len(LEVELS)
    alphabet = POINTS + "0123456789/;=? \n" + RULES

    def generate(self, rng: np.random.Generator, level: int) -> Question:
        groups, isosceles, least, most = LEVELS[level - 1]
        n, parallel = len(groups), np.array(groups)
        order, counts = np.empty((n, n), np.int64), np.empty(n, np.int64)
        apexes, givens = np.empty((isosceles, 3), np.int64), np.empty((n, 3), np.int64)
        kernel = kernel_rng(rng)
        many = kernels.draw(kernel, parallel, isosceles, least, most, order, counts, apexes, givens)
        figure = _named(groups, order.tolist(), counts.tolist())
        *told, (r, s, degrees) = givens[:many].tolist()
        equal = figure.equal_sides(*apexes[0].tolist()) if isosceles else ""
        given = tuple([(figure.name(one, other), value) for one, other, value in told])
        return _ask(figure, equal, given, figure.name(r, s), degrees, level)

    def understand(self, prompt: str) -> Question:
        found = _PROMPT.fullmatch(prompt)
        if found is None:
            raise ValueError(f"{prompt!r:.60} does not read like ABCD//EFGH;IBFJ;ABI=70;JFH?")
        rows = [row.split("//") for row in found[1].split(";")]
        groups = tuple([g for g, row in enumerate(rows) for _ in row])
        figure = Figure(tuple([line for row in rows for line in row]), groups)
        given = [(part[:3], int(part[4:])) for part in found[3].split(";")[:-1]]
        equal = found[2] or ""
        for name in [name for name, _ in given] + [found[4]]:
            if figure.angle(name) is None:
                raise ValueError(f"{prompt!r:.60} has no angle {name}")
        if equal and figure.apex(equal) is None:
            raise ValueError(f"{prompt!r:.60} has no triangle in which {equal}")
        if any(not 0 < value < 180 for _, value in given):
            raise ValueError(f"{prompt!r:.60} has an angle that is not between 0 and 180")
        degrees = Solved(figure, equal, given).degrees(found[4])
        question = _ask(figure, equal, tuple(given), found[4], degrees, 0)
        if question.prompt != prompt:
            raise ValueError(f"{prompt!r:.60} is written in another way than {question.prompt!r:.60}")
        return question

    def answer(self, question: Question) -> str:
        return str(question.data[-1])

    def work(self, question: Question, strategy: str) -> str:
        lines, groups, equal, given, asked, _ = question.data
        return "\n".join(Solved(Figure(lines, groups), equal, given).lines(asked))

    def check(self, answer: str, question: Question) -> Verdict:
        said = whole_number(answer.removesuffix("°"))
        if said is None:
            return Verdict(0.0, False, False, "not a whole number")
        success = said == question.data[-1]
        return Verdict(
            float(success), success, True, "" if success else f"it has {question.data[-1]} degrees"
        )

    def check_steps(self, steps: str, question: Question) -> float:
        lines = [line.strip() for line in steps.strip().split("\n", MOST_LINES)]
        if len(lines) > MOST_LINES:
            return 0.0
        named, groups, equal, given, asked, _ = question.data
        figure = Figure(named, groups)
        known = {_known(figure, name): value for name, value in given}
        goal, right = _known(figure, asked), 0
        for line in lines:
            if goal not in known:
                right += take(line, figure, equal, known)
        return right / max(len(lines), right + (goal not in known))

    def chance(self, question: Question) -> float:
        """Of any from 1 to 179."""
        return 1 / 179

    def space(self, level: int) -> float:
        """At least: for one figure, in any way to give and to ask one angle (of the lines of two groups)."""
        groups, isosceles, *_ = LEVELS[level - 1]
        free = 180 - 2 * kernels.LEAST
        return float(8 * free ** (max(groups) - isosceles))


class Figure:
    """Lines by their points, each with its group of parallels; a point on two lines is where they cross.

    Raises `ValueError` where lines do not cross as their groups say.
    """

    def __init__(self, lines: tuple[str, ...], groups: tuple[int, ...]) -> None:
        self.lines, self.groups = lines, groups
        self.on: dict[str, list[int]] = {}
        for i, line in enumerate(lines):
            for point in line:
                self.on.setdefault(point, []).append(i)
        self.crossing = {tuple(on): point for point, on in self.on.items() if len(on) > 1}
        n = len(lines)
        wanted = {(i, j) for j in range(n) for i in range(j) if groups[i] != groups[j]}
        if self.crossing.keys() != wanted or sum(map(len, self.on.values())) != len(wanted) + len(self.on):
            raise ValueError(f"{' '.join(lines):.60}: lines must cross once, and parallel ones never")

    def ray(self, line: int, corner: str, towards: str) -> int:
        """The half of a line that begins at one of its points and goes towards another."""
        points = self.lines[line]
        return 2 * line + (points.index(towards) > points.index(corner))

    def angle(self, name: str) -> Angle | None:
        """The angle that three points name, if there is one."""
        one, corner, other = tuple(name)
        on = self.on.get(corner, [])
        for i, j in (on, on[::-1]) if len(on) == 2 else ():
            if one != corner != other and one in self.lines[i] and other in self.lines[j]:
                r, s = self.ray(i, corner, one), self.ray(j, corner, other)
                return min(r, s), max(r, s)
        return None

    def name(self, r: int, s: int) -> str:
        """The nearest points on two rays, and between them where their lines cross."""
        corner = self.cross(r // 2, s // 2)
        return self._next(r, corner) + corner + self._next(s, corner)

    def _next(self, ray: int, corner: str) -> str:
        points = self.lines[ray // 2]
        return points[points.index(corner) + (1 if ray % 2 else -1)]

    def cross(self, i: int, j: int) -> str:
        """The point where two lines cross."""
        return self.crossing[min(i, j), max(i, j)]

    def corner(self, i: int, j: int, k: int) -> Angle:
        """The angle of a triangle between its sides on the lines i and j."""
        at = self.cross(i, j)
        r, s = self.ray(i, at, self.cross(i, k)), self.ray(j, at, self.cross(j, k))
        return min(r, s), max(r, s)

    def equal_sides(self, i: int, j: int, base: int) -> str:
        """That a triangle is isosceles, as it is written."""
        top = self.cross(i, j)
        return f"{top}{self.cross(i, base)}={top}{self.cross(j, base)}"

    def apex(self, equal: str) -> tuple[int, int, int] | None:
        """(line of one side, of the other, of the base) of what `equal_sides` names, if there is any."""
        for i, j, base in permutations(range(len(self.lines)), 3):
            groups = {self.groups[line] for line in (i, j, base)}
            if len(groups) == 3 and self.equal_sides(i, j, base) == equal:
                return i, j, base
        return None

    def ahead(self) -> np.ndarray:
        """See `geometry_kernels`: int64 `[lines, lines, lines]`."""
        n = len(self.lines)
        order, counts = np.zeros((n, n), np.int64), np.zeros(n, np.int64)
        for i, line in enumerate(self.lines):
            crossed = [j for point in line for j in self.on[point] if j != i]
            order[i, : len(crossed)], counts[i] = crossed, len(crossed)
        ahead = np.empty((n, n, n), np.int64)
        kernels.sides(order, counts, ahead)
        return ahead


class Solved:
    """All that follows from given angles."""

    def __init__(self, figure: Figure, equal: str, given: Sequence[tuple[str, int]]) -> None:
        self.figure = figure
        self.rays = 2 * len(figure.lines)
        shape = self.rays, self.rays
        self.value, self.cost = np.zeros(shape, np.int64), np.full(shape, kernels.FAR)
        self.why, self.first, self.second = [np.full(shape, kernels.GIVEN) for _ in range(3)]
        for name, value in given:
            r, s = _known(figure, name)
            self.value[r, s] = self.value[s, r] = value
            self.cost[r, s] = self.cost[s, r] = 0
        apexes = np.array([figure.apex(equal)] if equal else np.empty((0, 3)), np.int64)
        parallel = np.array(figure.groups)
        facts = self.value, self.cost, self.why, self.first, self.second
        kernels.follow(parallel, figure.ahead(), apexes, facts)

    def degrees(self, asked: str) -> int:
        """How many degrees an angle has (`ValueError` where that does not follow)."""
        angle = _known(self.figure, asked)
        if self.cost[angle] >= kernels.FAR:
            raise ValueError(f"the angle {asked} does not follow from the given ones")
        if not 0 < self.value[angle] < 180:
            raise ValueError(f"the angle {asked} cannot have {self.value[angle]} degrees")
        return int(self.value[angle])

    def lines(self, asked: str) -> Iterator[str]:
        """The steps that lead to an angle, each after those that it needs."""
        yield from self._lines(_known(self.figure, asked), set())

    def _lines(self, angle: Angle, written: set[Angle]) -> Iterator[str]:
        if angle in written or self.why[angle] == kernels.GIVEN:
            return
        written.add(angle)
        packed = [int(each[angle]) for each in (self.first, self.second) if each[angle] >= 0]
        needs = [(min(pair), max(pair)) for pair in (divmod(each, self.rays) for each in packed)]
        for need in needs:
            yield from self._lines(need, written)
        names = " ".join([self.figure.name(*need) for need in needs])
        yield f"{self.figure.name(*angle)}={self.value[angle]} {RULES[self.why[angle]]} {names}"


# -- one step -----------------------------------------------------------------------------------------------


def take(line: str, figure: Figure, equal: str, known: Known) -> bool:
    """Whether a line is right: a new angle, by a rule, from known ones. It is then known too."""
    found = _STEP.fullmatch(line)
    if found is None:
        return False
    angle, needs = figure.angle(found[1]), [figure.angle(name) for name in found.groups()[3:] if name]
    if angle is None or angle in known:
        return False
    given = [need for need in needs if need is not None and need in known]
    if len(given) < len(needs) or by_rule(found[3], figure, equal, angle, given, known) != int(found[2]):
        return False
    known[angle] = int(found[2])
    return True


def by_rule(
    rule: str, figure: Figure, equal: str, angle: Angle, given: list[Angle], known: Known
) -> int | None:
    """The degrees that an angle has by a rule and one or two others; None where the rule does not fit."""
    values = [known[each] for each in given]
    if len(given) == 2:
        return _by_triangle(rule, figure, angle, given[0], given[1], sum(values))
    if rule == "s":
        return _by_equal_sides(figure, equal, angle, given[0], values[0])
    if rule not in _relations(figure, angle, given[0]):
        return None
    return values[0] if rule in "vca" else 180 - values[0]


def _relations(figure: Figure, angle: Angle, other: Angle) -> Iterator[str]:
    """The rules by which one angle follows from one other, sides left out: at one point, or at parallels."""
    if [r // 2 for r in angle] == [r // 2 for r in other]:
        turned = sum(r != s for r, s in zip(angle, other))
        yield from ("", "l", "v")[turned]
        return
    for (r, s), (t, u) in ((x, y) for x in (angle, angle[::-1]) for y in (other, other[::-1])):
        if r // 2 == t // 2 and s // 2 != u // 2 and figure.groups[s // 2] == figure.groups[u // 2]:
            same_side, same_way = s % 2 == u % 2, r == t
            if same_side:
                yield "c" if same_way else "i"
            elif not same_way:
                yield "a"


def _by_triangle(rule: str, figure: Figure, angle: Angle, one: Angle, other: Angle, total: int) -> int | None:
    i, j = angle[0] // 2, angle[1] // 2
    third = {r // 2 for r in one + other} - {i, j}
    if len(third) != 1:
        return None
    (k,) = third
    if len({figure.groups[line] for line in (i, j, k)}) < 3:
        return None
    if {one, other} != {figure.corner(i, k, j), figure.corner(j, k, i)}:
        return None
    outside = sum(r != s for r, s in zip(angle, figure.corner(i, j, k)))
    return {("t", 0): 180 - total, ("x", 1): total}.get((rule, outside))


def _by_equal_sides(figure: Figure, equal: str, angle: Angle, other: Angle, value: int) -> int | None:
    apex = figure.apex(equal) if equal else None
    if apex is None:
        return None
    i, j, base = apex
    top, feet = figure.corner(i, j, base), (figure.corner(i, base, j), figure.corner(j, base, i))
    if other in feet and angle in feet:
        return value
    if other in feet and angle == top:
        return 180 - 2 * value
    return (180 - value) // 2 if other == top and angle in feet else None


# -- texts --------------------------------------------------------------------------------------------------


def _known(figure: Figure, name: str) -> Angle:
    """An angle that the figure is known to have."""
    angle = figure.angle(name)
    assert angle is not None
    return angle


def _named(groups: tuple[int, ...], order: list[list[int]], counts: list[int]) -> Figure:
    """Lines that cross others in an order, their points named as they come."""
    names, crossing, lines = iter(POINTS), dict[tuple[int, int], str](), []
    for i in range(len(groups)):
        points = next(names)
        for j in order[i][: counts[i]]:
            pair = min(i, j), max(i, j)
            if pair not in crossing:
                crossing[pair] = next(names)
            points += crossing[pair]
        lines.append(points + next(names))
    return Figure(tuple(lines), groups)


def _ask(
    figure: Figure, equal: str, given: tuple[tuple[str, int], ...], asked: str, degrees: int, level: int
) -> Question:
    """The question; whatever its angles are called, it is the same problem."""
    lines, groups = figure.lines, figure.groups
    drawn = lines[0] + "".join(
        [("//" if groups[i] == groups[i - 1] else ";") + lines[i] for i in range(1, len(lines))]
    )
    told = [drawn, *([equal] if equal else []), *[f"{name}={value}" for name, value in given], f"{asked}?"]
    key = drawn, equal and figure.apex(equal), sorted((_known(figure, name), v) for name, v in given)
    data = lines, groups, equal, given, asked, degrees
    return Question(";".join(told), data, f"{key} {_known(figure, asked)}", level)
