"""Angles at lines, against figures with real coordinates in which they are measured."""

from __future__ import annotations

import re
import sys
from functools import cache
from itertools import combinations, pairwise

import numpy as np
import pytest
from scipy.optimize import least_squares, linprog

from envs.text import load
from envs.text.check import check_task, mutate
from envs.text.logic import geometry
from envs.text.parsing import write

GEOMETRY = load("Geometry")


def questions(count, levels=None, seed=0):
    for level in levels or range(1, GEOMETRY.levels + 1):
        rng = np.random.default_rng([seed, level])
        yield from (GEOMETRY.generate(rng, level) for _ in range(count))


# -- a figure that is drawn ---------------------------------------------------------------------------------


def facts_of(prompt):
    """(groups of lines, equal sides or None, given angles, asked angle), read plainly."""
    *parts, asked = prompt.split(";")
    rows = [part.split("//") for part in parts if "=" not in part]
    given = dict(part.split("=") for part in parts if re.fullmatch(r"[A-Z]{3}=\d+", part))
    equal = [part for part in parts if re.fullmatch(r"[A-Z]{2}=[A-Z]{2}", part)]
    return rows, (equal or [None])[0], {name: int(v) for name, v in given.items()}, asked[:-1]


def measured(points, name):
    """The angle at the second point, in degrees."""
    one, other = (points[name[i]] - points[name[1]] for i in (0, 2))
    cosine = one @ other / np.sqrt((one @ one) * (other @ other))
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def placed(lines, directions):
    """Points of lines with such directions, so that they come in the lines' order; None where none do.

    Line i is all p with normal_i · p = c_i; where it crosses another is linear in all c, so that their
    order is a linear programme.
    """
    units = np.array([[np.cos(d), np.sin(d)] for d in directions])
    normals = units[:, ::-1] * [-1, 1]
    shared = {p: [i for i, line in enumerate(lines) if p in line] for p in "".join(lines)}
    along = {}
    for point, on in shared.items():
        for i, j in (on, on[::-1]) if len(on) == 2 else ():
            row = np.zeros(len(lines))
            row[j], row[i] = 1, -normals[i] @ normals[j]
            along[i, point] = row / (normals[j] @ units[i])
    orders = []
    for i, line in enumerate(lines):
        inner = [p for p in line if len(shared[p]) == 2]
        orders += [along[i, a] - along[i, b] for a, b in pairwise(inner)]
    n = len(lines)
    found = linprog(np.zeros(n), A_ub=np.array(orders), b_ub=-np.ones(len(orders)), bounds=[(-1e4, 1e4)] * n)
    if found.status != 0:
        return None
    points = {}
    for i, line in enumerate(lines):
        spots = [along[i, p] @ found.x for p in line[1:-1]]
        for p, spot in zip(line, [spots[0] - 1, *spots, spots[-1] + 1]):
            points[p] = normals[i] * found.x[i] + units[i] * spot
    return points


@cache
def drawn(prompt):
    """Coordinates of all points of a problem, by which its givens hold."""
    rows, equal, given, _ = facts_of(prompt)
    lines = [line for row in rows for line in row]
    group = [g for g, row in enumerate(rows) for _ in row]

    def ray(corner, towards, directions):
        (i,) = (i for i, line in enumerate(lines) if corner in line and towards in line)
        return directions[group[i]] + np.pi * (lines[i].index(towards) < lines[i].index(corner))

    def cosine(name, directions):
        return np.cos(ray(name[1], name[0], directions) - ray(name[1], name[2], directions))

    def misses(free):
        directions = [0.0, *free]
        out = [cosine(name, directions) - np.cos(np.radians(value)) for name, value in given.items()]
        if equal:
            top, one, other = equal[0], equal[1], equal[4]
            out.append(cosine(top + one + other, directions) - cosine(top + other + one, directions))
        return out

    rng = np.random.default_rng(0)
    for _ in range(400):
        found = least_squares(misses, rng.uniform(0, 2 * np.pi, len(rows) - 1), xtol=1e-15, ftol=1e-15)
        directions = [0.0, *found.x]
        bends = [np.sin(directions[a] - directions[b]) for a, b in combinations(range(len(rows)), 2)]
        if max(map(abs, found.fun)) < 1e-11 and min(map(abs, bends)) > 0.05:
            points = placed(lines, [directions[g] for g in group])
            if points:
                return points
    raise AssertionError(f"no such figure: {prompt}")


def test_answers_are_the_angles_of_a_drawn_figure():
    for question in questions(6):
        points = drawn(question.prompt)
        rows, equal, given, asked = facts_of(question.prompt)
        for name, value in given.items():
            assert measured(points, name) == pytest.approx(value, abs=1e-4)
        if equal:
            one, other = (points[equal[i]] - points[equal[i + 1]] for i in (0, 3))
            assert one @ one == pytest.approx(other @ other)
        for row in rows:
            ways = [points[line[-1]] - points[line[0]] for line in row]
            assert all(np.cross(a, b) == pytest.approx(0, abs=1e-6) for a, b in combinations(ways, 2))
            assert all(a @ b > 0 for a, b in combinations(ways, 2))
        assert measured(points, asked) == pytest.approx(int(GEOMETRY.answer(question)), abs=1e-4)


# -- steps --------------------------------------------------------------------------------------------------


def straight(points, a, corner, b):
    return measured(points, a + corner + b) == pytest.approx(180, abs=1e-4)


def same_way(points, a, b, c, d):
    """Whether the ways from a to b and from c to d have one direction (1), opposite ones (-1), or neither."""
    one, other = points[b] - points[a], points[d] - points[c]
    cosine = one @ other / np.sqrt((one @ one) * (other @ other))
    return round(cosine) if abs(abs(cosine) - 1) < 1e-9 else 0


def is_triangle(points, lines, corners):
    """Whether three points are corners of which each two are on one line, but not all three."""
    sides = [[line for line in lines if a in line and b in line] for a, b in combinations(corners, 2)]
    return all(map(len, sides)) and len({line for side in sides for line in side}) == 3


def towards(points, name, goal):
    return same_way(points, name[1], name[0], name[1], goal)


def plainly_follows(prompt, rule, new, olds):
    """Whether a rule's picture is there, in coordinates."""
    points, (rows, equal, *_) = drawn(prompt), facts_of(prompt)
    lines = [line for row in rows for line in row]
    (a, p, b), (c, q, d) = new, olds[0]
    if rule in "lv" and p == q and len(olds) == 1:
        turns = {0: "same", 1: "l", 2: "v"}
        for x, y in ((c, d), (d, c)):
            ways = same_way(points, p, a, p, x), same_way(points, p, b, p, y)
            if 0 not in ways:
                return turns[ways.count(-1)] == rule
        return False
    if rule in "cai" and p != q and len(olds) == 1:
        for (x, y), (u, v) in (((x, y), (u, v)) for x, y in ((a, b), (b, a)) for u, v in ((c, d), (d, c))):
            across = any({p, q, x, u} <= set(line) for line in lines)
            beside = any(
                len({i for i, line in enumerate(row) if {p, y} <= set(line) or {q, v} <= set(line)}) == 2
                for row in rows
            )
            if across and beside:
                ways = same_way(points, p, x, q, u), same_way(points, p, y, q, v)
                return {(1, 1): "c", (-1, -1): "a", (-1, 1): "i"}.get(ways) == rule
        return False
    if rule in "tx" and len(olds) == 2:
        q, r = olds[0][1], olds[1][1]
        if len({p, q, r}) < 3 or not is_triangle(points, lines, (p, q, r)):
            return False
        for old, others in ((olds[0], (p, r)), (olds[1], (p, q))):
            if sorted([{towards(points, n, o) for n in (old, old[::-1])} == {0, 1} for o in others]) != [
                1,
                1,
            ]:
                return False
        ways = sorted(sum(towards(points, n, o) for n in (new, new[::-1])) for o in (q, r))
        return ways == {"t": [1, 1], "x": [-1, 1]}[rule]
    if rule == "s" and equal and len(olds) == 1:
        corners = {equal[0], equal[1], equal[4]}
        if not {p, q} <= corners or p == q:
            return False
        for name in (new, olds[0]):
            for o in corners - {name[1]}:
                if {towards(points, n, o) for n in (name, name[::-1])} != {0, 1}:
                    return False
        return True
    return False


def right_steps(steps, question):
    points, (_, _, given, asked) = drawn(question.prompt), facts_of(question.prompt)

    def angle(name):
        """A name for what the angle is: its corner and its two ways."""
        ways = [points[end] - points[name[1]] for end in (name[0], name[2])]
        return name[1], frozenset(tuple(np.round(way / np.sqrt(way @ way), 6) + 0.0) for way in ways)

    def is_angle(name):
        return (
            len(set(name)) == 3
            and set(name) <= set(points)
            and any(
                {name[0], name[1]} <= set(one) and {name[1], name[2]} <= set(other)
                for one in lines
                for other in lines
                if one != other
            )
        )

    lines = [line for row in facts_of(question.prompt)[0] for line in row]
    known = {angle(name) for name in given}
    for line in steps.split("\n"):
        found = re.fullmatch(r"([A-Z]{3})=(\d{1,3}) ([vlcaitxs]) ([A-Z]{3})(?: ([A-Z]{3}))?", line.strip())
        names = [found[1], *filter(None, found.groups()[3:])] if found else []
        if not found or not all(map(is_angle, names)) or angle(asked) in known:
            return False
        new, *olds = names
        if angle(new) in known or not all(angle(old) in known for old in olds):
            return False
        if abs(measured(points, new) - int(found[2])) > 1e-3:
            return False
        if not plainly_follows(question.prompt, found[3], new, olds):
            return False
        known.add(angle(new))
    return angle(asked) in known


def test_it_holds_to_the_contract():
    check_task(GEOMETRY, problems=40, right_steps=right_steps)


def test_worked_steps_are_right_in_a_drawn_figure_and_changed_ones_as_the_drawing_says():
    rng = np.random.default_rng(1)
    for question in questions(5, seed=1):
        work = GEOMETRY.work(question, "steps")
        assert right_steps(work, question), (question.prompt, work)
        lines = work.split("\n")
        for _ in range(25):
            i = int(rng.integers(len(lines)))
            steps = "\n".join([*lines[:i], mutate(rng, lines[i], GEOMETRY.alphabet), *lines[i + 1 :]])
            judged = GEOMETRY.check_steps(steps, question) == 1
            assert judged == right_steps(steps, question), (question.prompt, steps)


def test_every_rule_is_used_and_every_line_is_needed():
    rules = set()
    for question in questions(25):
        lines = GEOMETRY.work(question, "steps").split("\n")
        rules |= {line.split(" ")[1] for line in lines}
        for i in range(len(lines)):
            assert GEOMETRY.check_steps("\n".join(lines[:i] + lines[i + 1 :]), question) < 1
    assert rules == set(geometry.RULES)


def test_a_level_asks_for_its_number_of_lines():
    for level, (groups, isosceles, least, most) in enumerate(geometry.LEVELS, 1):
        for question in questions(20, [level]):
            lines = GEOMETRY.work(question, "steps").split("\n")
            assert 1 <= len(lines) <= most
            assert len(lines) >= least or least > 2  # a line that is used twice is written once
            assert len(question.data[0]) == len(groups)
            assert bool(question.data[2]) == bool(isosceles)
            assert len(question.data[3]) == max(groups) - isosceles


def test_the_head_of_the_file_shows_a_problem_and_its_steps():
    head = sys.modules[type(GEOMETRY).__module__].__doc__
    blocks = re.findall(r"(?:^    .+\n)+", head, re.MULTILINE)
    prompt, steps = ("\n".join(line.strip() for line in block.splitlines()) for block in blocks[:2])
    question = GEOMETRY.understand(prompt)
    assert GEOMETRY.work(question, "steps") == steps
    assert f"`{GEOMETRY.answer(question)}`" in head


TWO = "ABC//DEF;GBEH;DEH=151;"


@pytest.mark.parametrize(
    ("steps", "worth"),
    [
        ("FEB=151 v DEH\nCBE=29 i FEB", 1),
        ("BED=29 l DEH\nCBE=29 a BED", 1),
        ("CBE=29 i FEB", 0),
        ("FEB=151 v DEH", 1 / 2),
        ("FEB=151 v DEH\nCBE=29 c FEB", 1 / 2),
        ("FEB=29 v DEH\nCBE=29 i FEB", 0),
        ("FEB=151 v DEH\nFEB=151 v DEH\nCBE=29 i FEB", 2 / 3),
        ("FEB=151 v DEH\nBEF=151 v DEH\nCBE=29 i FEB", 2 / 3),
        ("FEB=151 v DEH\nCBE=29 i FEB\nABE=151 l CBE", 2 / 3),
        ("FEH=29 l FEB", 0),
        ("FEB=151 v DEH BED\nCBE=29 i FEB", 0),
        ("ABE=151 c DEH\nCBE=29 l ABE", 1),
        ("ABE=151 c DEH\n" * 200 + "CBE=29 l ABE", 0),
    ],
)
def test_lines_count_one_by_one(steps, worth):
    assert GEOMETRY.check_steps(steps, GEOMETRY.understand(f"{TWO}EBC?")) == pytest.approx(worth)


@pytest.mark.parametrize(
    "prompt",
    [
        "ABC//DEF;GBEH;DEH=151;ABC?",  # on one line
        "ABC//DEF;GBEH;DEH=151;AEB?",  # no such angle
        "ABC//DEF;GBEH;DEH=180;EBC?",
        "ABC//DEF;GBEH;DEH=0;EBC?",
        "ABC//DEF;GBEH;DEH=051;EBC?",
        "ABC//DEF;GBEH;EBC?",
        "ABC;DEF;GBEH;DEH=151;EBC?",  # do not cross
        "ABC//DEB;GBEH;DEH=151;EBC?",  # parallel ones do
        "ABCD;ECFG;HBFI;BCE=29;IFG?",  # does not follow
        "ABCD;ECFG;HBFI;BCE=150;FBC=150;IFG?",  # no triangle
        "ABC//DEF;GBEH;BE=BA;DEH=151;EBC?",
        "ABC//DEF;GBEG;DEH=151;EBC?",
        "ABC//DEF;GBEH;DEH=151;EBC",
        "abc//def;gebh;deh=151;ebc?",
    ],
)
def test_other_texts_are_no_problems(prompt):
    with pytest.raises(ValueError, match=r"."):
        GEOMETRY.understand(prompt)


def test_an_angle_by_another_name_is_the_same_problem():
    known, asked = ("DEH", "HED"), ("EBC", "CBE", "HBC")
    keys = {GEOMETRY.understand(f"ABC//DEF;GBEH;{a}=151;{b}?").key for a in known for b in asked}
    assert len(keys) == 1
    assert GEOMETRY.understand(f"{TWO}FEB?").key not in keys


@pytest.mark.parametrize(("answer", "right"), [("29", 1), ("29°", 1), ("29.0", 1), ("-29", 0), ("151", 0)])
def test_what_counts_as_the_answer(answer, right):
    assert GEOMETRY.verify(write(answer), GEOMETRY.understand(f"{TWO}EBC?")).reward == right


def test_chance_is_one_of_all_whole_numbers_of_degrees():
    question = GEOMETRY.understand(f"{TWO}EBC?")
    rewards = [GEOMETRY.check(str(degrees), question).reward for degrees in range(1, 180)]
    assert sum(rewards) / len(rewards) == pytest.approx(GEOMETRY.chance(question))


def test_a_seed_names_the_same_problem_for_ever():
    found = [GEOMETRY.generate(np.random.default_rng(37), level).prompt for level in (1, 2)]
    assert found == ["ABC//DEF;GEBH;GED=70;GEF?", "ABC//DEF;GEBH;GED=70;EBC?"]
