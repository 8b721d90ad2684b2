"""Satisfiability, graphs, mazes, towers and crossings, against enumeration and plain readings of lines."""

from __future__ import annotations

import itertools
import re
import sys
from collections import deque
from functools import cache

import numpy as np
import pytest

from envs.rng import from_seeds
from envs.text import load
from envs.text.check import check_task
from envs.text.logic import satisfiability
from envs.text.parsing import plain
from envs.text.puzzles import hanoi, river

SAT, COLORING, PATH = load("Satisfiability"), load("Coloring"), load("ShortestPath")
MAZE, HANOI, RIVER = load("Maze"), load("Hanoi"), load("River")


def questions(task, count=20, seed=0, levels=None):
    for level in levels or range(1, task.levels + 1):
        rng = np.random.default_rng([seed, level])
        yield from (task.generate(rng, level) for _ in range(count))


def distances(start, following):
    """How far everything is that can be reached from `start`."""
    far, queue = {start: 0}, deque([start])
    while queue:
        at = queue.popleft()
        for to in following(at):
            if to not in far:
                far[to] = far[at] + 1
                queue.append(to)
    return far


@pytest.mark.parametrize(
    ("task", "prompt"),
    [
        (SAT, "ABc aBD abC abc ABC AcD ABd"),
        (COLORING, "3:ab ac ad bc be cd de"),
        (PATH, "a-e:ab4 ac7 bc1 bd9 cd3 de2"),
        (MAZE, "S#G..\n.#.#.\n.#.#.\n...#.\n.###."),
        (HANOI, "AACC>CAAC"),
        (RIVER, "abc| 1:ab bc"),
    ],
)
def test_the_examples_of_the_docstrings_are_true(task, prompt):
    question = task.understand(prompt)
    words = sys.modules[type(task).__module__].__doc__.split("\n")
    shown = [line.strip().split("   ")[0] for line in words]
    work = task.work(question, task.strategies[0]).split("\n")
    for text in (prompt.split("\n"), work, [task.answer(question)]):
        at = [i for i, line in enumerate(shown) if line == text[0]]
        among = [line for i in at[:1] for line in shown[i:] if line in text]
        assert among[: len(text)] == text


# -- satisfiability ----------------------------------------------------------------------------------------


def holds(clause: str, values: dict[str, bool]) -> bool:
    return any(values[c.lower()] == c.islower() for c in clause)


def fitting(prompt: str) -> list[dict[str, bool]]:
    names = sorted(set(prompt.lower()) - {" "})
    cases = (dict(zip(names, kinds)) for kinds in itertools.product([True, False], repeat=len(names)))
    return [case for case in cases if all(holds(clause, case) for clause in prompt.split(" "))]


def right_values(answer: str, question) -> bool:
    said = re.sub(r"[\s,;=]", "", plain(answer))
    pairs = re.findall("([a-z])([01])", said)
    values = {name: value == "1" for name, value in pairs}
    names = set(question.prompt.lower()) - {" "}
    whole = "".join(map("".join, pairs)) == said and len(pairs) == len(values) and set(values) == names
    return whole and all(holds(clause, values) for clause in question.prompt.split(" "))


def right_argument(steps: str, question) -> bool:
    clauses = question.prompt.split(" ")
    known: dict[str, bool] = {}
    supposed: list[tuple[dict[str, bool], str]] = []

    def open_literals(clause):
        """None where it holds."""
        if any(known.get(c.lower()) == c.islower() for c in clause):
            return None
        return [c for c in clause if c.lower() not in known]

    for line in steps.strip().split("\n"):
        found = re.fullmatch(r"(?:\?|([A-Za-z]{3})([>!]))([A-Za-z])", line.strip())
        if found is None or found[3].lower() not in question.prompt.lower():
            return False
        clause, how, literal = found.groups()
        if how is None:
            counts = [len(left) for each in clauses if (left := open_literals(each)) is not None]
            if min(counts, default=2) < 2 or literal.lower() in known:
                return False
            supposed.append((dict(known), literal))
        elif clause not in clauses or open_literals(clause) != ([literal] if how == ">" else []):
            return False
        elif how == "!":
            if not supposed or supposed[-1][1] != literal.swapcase():
                return False
            known = supposed.pop()[0]
        known[literal.lower()] = literal.islower()
    return all(open_literals(clause) is None for clause in clauses)


def test_satisfiability_holds_to_the_contract():
    check_task(SAT, problems=8, right=right_values, right_steps=right_argument)


def test_the_solver_of_formulas_finds_what_enumeration_finds():
    rng, unsatisfiable = np.random.default_rng(0), 0
    every = ["".join(clause) for names in itertools.combinations("abcde", 3) for clause in cases(names)]
    for _ in range(150):
        prompt = " ".join(rng.choice(every, size=int(rng.integers(8, 34)), replace=False))
        models = fitting(prompt)
        if not models:
            unsatisfiable += 1
            with pytest.raises(ValueError, match="no values fit"):
                SAT.understand(prompt)
            continue
        question = SAT.understand(prompt)
        assert right_values(SAT.answer(question), question)
        assert SAT.chance(question) == len(models) / 2 ** len(models[0])
        assert right_argument(SAT.work(question, "suppose"), question)
    assert 20 < unsatisfiable < 130


def cases(names):
    return itertools.product(*[(name, name.upper()) for name in names])


def test_the_hidden_values_do_not_show_in_the_signs():
    sizes = np.array([mask.bit_count() for mask in range(1, 8)])
    assert np.diff(satisfiability.TRUE, prepend=0.0) @ sizes == pytest.approx(1.5)
    agreeing = []
    for seed in range(150):
        text = np.empty(4 * 50, np.uint8)
        satisfiability.draw(from_seeds([seed]), 6, satisfiability.TRUE, text)
        prompt = text[:-1].tobytes().decode()
        models = fitting(prompt)
        if len(models) == 1:  # the hidden one
            agreeing += [models[0][c.lower()] == c.islower() for c in prompt if c != " "]
    assert len(agreeing) > 15_000
    assert np.mean(agreeing) == pytest.approx(0.5, abs=0.02)


# -- graph colouring ---------------------------------------------------------------------------------------


def right_colours(answer: str, question) -> bool:
    said = re.sub(r"[\s,;:=]", "", plain(answer))
    pairs = re.findall("([a-z])([1-9])", said)
    number, edges = question.prompt.split(":")
    colour = dict(pairs)
    whole = "".join(map("".join, pairs)) == said and len(pairs) == len(colour)
    if not whole or set(colour) != set(edges) - {" "} or max(colour.values()) > number:
        return False
    return all(colour[edge[0]] != colour[edge[1]] for edge in edges.split(" "))


def right_colour_argument(steps: str, question) -> bool:
    number, edges = question.prompt.split(":")
    joined = {frozenset(edge) for edge in edges.split(" ")}
    names, colours = set(edges) - {" "}, set("123456789"[: int(number)])
    colour: dict[str, str] = {}
    barred: set[str] = set()
    supposed: list[tuple[dict[str, str], set[str], str]] = []

    def left(vertex):
        near = {colour[other] for other in colour if frozenset((vertex, other)) in joined}
        return {each for each in colours - near if vertex + each not in barred}

    for line in steps.strip().split("\n"):
        line = line.strip()
        if found := re.fullmatch(r"\?([a-z])([1-9])", line):
            vertex, one = found.groups()
            if vertex not in names - set(colour) or one not in left(vertex):
                return False
            if any(len(left(other)) < 2 for other in names - set(colour)):
                return False
            supposed.append((dict(colour), set(barred), vertex + one))
            colour[vertex] = one
        elif found := re.fullmatch(r"([a-z])>([1-9])", line):
            vertex, one = found.groups()
            if vertex not in names - set(colour) or left(vertex) != {one}:
                return False
            colour[vertex] = one
        elif found := re.fullmatch(r"([a-z])!([a-z][1-9])", line):
            by, wrong = found.groups()
            if by not in names - set(colour) or left(by) or not supposed or supposed[-1][2] != wrong:
                return False
            colour, barred, _ = supposed.pop()
            barred |= {wrong}
        else:
            return False
    return set(colour) == names


def test_colouring_holds_to_the_contract():
    check_task(COLORING, problems=8, right=right_colours, right_steps=right_colour_argument)


def test_the_solver_of_graphs_finds_what_enumeration_finds():
    rng, impossible = np.random.default_rng(1), 0
    pairs = ["".join(pair) for pair in itertools.combinations("abcdef", 2)]
    for _ in range(120):
        edges = sorted(rng.choice(pairs, size=int(rng.integers(3, 15)), replace=False).tolist())
        number, names = int(rng.integers(2, 5)), sorted(set("".join(edges)))
        cases = (dict(zip(names, c)) for c in itertools.product(range(number), repeat=len(names)))
        count = sum(all(case[e[0]] != case[e[1]] for e in edges) for case in cases)
        prompt = f"{number}:{' '.join(edges)}"
        if not count:
            impossible += 1
            with pytest.raises(ValueError, match="no colouring fits"):
                COLORING.understand(prompt)
            continue
        question = COLORING.understand(prompt)
        assert right_colours(COLORING.answer(question), question)
        assert right_colour_argument(COLORING.work(question, "suppose"), question)
        assert COLORING.chance(question) == pytest.approx(count / number ** len(names))
    assert 10 < impossible < 110


def test_arguments_about_colours_take_back_what_was_wrong():
    found = [q for q in questions(COLORING, 60, levels=[5, 7]) if "!" in COLORING.work(q, "suppose")]
    assert len(found) > 10
    for question in found:
        steps = COLORING.work(question, "suppose")
        assert right_colour_argument(steps, question)
        assert COLORING.check_steps(steps, question) == 1
        cut = "\n".join(line for line in steps.split("\n") if "!" not in line)
        assert COLORING.check_steps(cut, question) < 1


# -- shortest paths ----------------------------------------------------------------------------------------


def edges_of(prompt: str) -> dict[tuple[str, str], int]:
    read = [(edge[0], edge[1], int(edge[2])) for edge in prompt.partition(":")[2].split(" ")]
    return {pair: length for a, b, length in read for pair in ((a, b), (b, a))}


@cache
def all_distances(prompt: str) -> dict[tuple[str, str], int]:
    """By Floyd and Warshall."""
    edges = edges_of(prompt)
    names = sorted({a for a, _ in edges})
    far = {(a, b): 0 if a == b else edges.get((a, b), 10**6) for a in names for b in names}
    for via, a, b in itertools.product(names, repeat=3):
        far[a, b] = min(far[a, b], far[a, via] + far[via, b])
    return far


def right_path(answer: str, question) -> bool:
    path = re.sub(r"[\s,>-]", "", plain(answer))
    edges, start, goal = edges_of(question.prompt), question.prompt[0], question.prompt[2]
    if not path or path[0] != start or path[-1] != goal or not set(itertools.pairwise(path)) <= set(edges):
        return False
    return (
        sum(edges[pair] for pair in itertools.pairwise(path)) == all_distances(question.prompt)[start, goal]
    )


def right_settling(steps: str, question) -> bool:
    far, edges = all_distances(question.prompt), edges_of(question.prompt)
    start, goal = question.prompt[0], question.prompt[2]
    settled = [start]
    for line in steps.strip().split("\n"):
        found = re.fullmatch(r"([a-z])(\d+)([a-z])", line.strip())
        if found is None or settled[-1] == goal:
            return False
        vertex, before = found[1], found[3]
        if vertex in settled or before not in settled or (before, vertex) not in edges:
            return False
        if not int(found[2]) == far[start, vertex] == far[start, before] + edges[before, vertex]:
            return False
        if any(far[start, a] < far[start, vertex] and a not in settled for a, _ in edges):
            return False
        settled.append(vertex)
    return settled[-1] == goal


def test_shortest_paths_hold_to_the_contract():
    check_task(PATH, problems=16, right=right_path, right_steps=right_settling)


def test_the_chance_of_a_path_is_that_among_all_rows_of_vertices():
    for question in questions(PATH, 15, levels=[1, 2, 3]):
        start, goal = question.prompt[0], question.prompt[2]
        others = set(question.prompt[4:]) & set("abcdefghijklmnopqrstuvwxyz") - {start, goal}
        rows = [
            "".join((start, *between, goal))
            for size in range(len(others) + 1)
            for between in itertools.permutations(others, size)
        ]
        assert PATH.chance(question) == sum(right_path(row, question) for row in rows) / len(rows)
        assert len(PATH.answer(question)) >= 3


# -- mazes -------------------------------------------------------------------------------------------------

TURNS = {"U": (-1, 0), "D": (1, 0), "L": (0, -1), "R": (0, 1)}


def fields_of(prompt: str) -> dict[tuple[int, int], str]:
    rows = prompt.split("\n")
    return {(i, j): c for i, row in enumerate(rows, 1) for j, c in enumerate(row, 1) if c != "#"}


@cache
def maze_distances(prompt: str):
    fields = fields_of(prompt)
    goal = next(at for at, c in fields.items() if c == "G")

    def following(at):
        return [to for d, e in TURNS.values() if (to := (at[0] + d, at[1] + e)) in fields]

    return distances(goal, following), next(at for at, c in fields.items() if c == "S")


def right_way(answer: str, question) -> bool:
    moves = re.sub(r"[\s,>-]", "", plain(answer))
    far, at = maze_distances(question.prompt)
    if not moves or set(moves) - set(TURNS) or len(moves) != far[at]:
        return False
    for move in moves:
        at = at[0] + TURNS[move][0], at[1] + TURNS[move][1]
        if at not in far:
            return False
    return far[at] == 0


def right_track(steps: str, question) -> bool:
    _, at = maze_distances(question.prompt)
    lines = [re.fullmatch(r"([UDLR])(\d+),(\d+)", line.strip()) for line in steps.strip().split("\n")]
    if None in lines or not right_way("".join(line[1] for line in lines), question):
        return False
    for line in lines:
        at = at[0] + TURNS[line[1]][0], at[1] + TURNS[line[1]][1]
        if (f"{at[0]}", f"{at[1]}") != (line[2], line[3]):
            return False
    return True


def test_mazes_hold_to_the_contract():
    check_task(MAZE, problems=16, right=right_way, right_steps=right_track)


def test_the_chance_of_a_way_counts_all_shortest_ones():
    several = 0
    for question in questions(MAZE, 25, levels=[1, 2, 3]):
        far, start = maze_distances(question.prompt)
        ways = {start: 1}
        for distance in range(far[start], 0, -1):
            following: dict[tuple[int, int], int] = {}
            for at, count in ways.items():
                for d, e in TURNS.values():
                    to = at[0] + d, at[1] + e
                    if far.get(to) == distance - 1:
                        following[to] = following.get(to, 0) + count
            ways = following
        (count,) = ways.values()
        several += count > 1
        assert MAZE.chance(question) == pytest.approx(count / 4 ** far[start])
    assert several > 3


def test_mazes_are_counted_by_their_trees():
    trees = (192, 100_352, 557_568_000)  # of grids of 3, 4 and 5 (OEIS A007341)
    assert [MAZE.space(level) for level in (1, 2, 3)] == [
        n * pairs for n, pairs in zip(trees, (36, 120, 300))
    ]


def test_a_long_walk_is_not_a_way():
    (question,) = questions(MAZE, 1, levels=[1])
    way = MAZE.answer(question)
    back = {"U": "D", "D": "U", "L": "R", "R": "L"}[way[0]]
    assert MAZE.check(way, question).success
    detour = MAZE.check(way[0] + back + way, question)
    assert not detour.success
    assert "would do" in detour.error


# -- towers of Hanoi ---------------------------------------------------------------------------------------


def moved(position: str) -> dict[str, str]:
    """By move, the positions that one legal move leads to."""
    found = {}
    for one, other in itertools.permutations("ABC", 2):
        disc, top = position.find(one), position.find(other)
        if disc >= 0 and (top < 0 or disc < top):
            found[one + other] = f"{position[:disc]}{other}{position[disc + 1 :]}"
    return found


def right_moves(answer: str, question) -> bool:
    said = re.sub(r"[\s,;>-]", "", plain(answer))
    at, _, goal = question.prompt.partition(">")
    for i in range(0, len(said), 2):
        at = moved(at).get(said[i : i + 2], "")
        if not at:
            return False
    return bool(said) and at == goal


def right_positions(steps: str, question) -> bool:
    start, _, goal = question.prompt.partition(">")
    places = [start, *[line.strip() for line in steps.strip().split("\n")]]
    legal = all(after in moved(before).values() for before, after in itertools.pairwise(places))
    return legal and places[-1] == goal


def test_towers_hold_to_the_contract():
    check_task(HANOI, problems=16, right=right_moves, right_steps=right_positions)


def test_solutions_of_towers_are_the_shortest():
    for discs in (1, 2, 3, 4):
        positions = ["".join(pegs) for pegs in itertools.product("ABC", repeat=discs)]
        for start in positions:
            far = distances(start, lambda at: moved(at).values())
            for goal in positions[:: 1 if discs < 4 else 7]:
                if goal == start:
                    continue
                question = HANOI.understand(f"{start}>{goal}")
                answer = HANOI.answer(question)
                assert len(answer.split(" ")) == far[goal]
                assert right_moves(answer, question)
                assert HANOI.check(answer, question).parts == {"optimal": 1.0}


def test_a_longer_row_of_moves_is_right_and_not_optimal():
    question = HANOI.understand("AAA>BAA")
    assert HANOI.check("AC CB", question).success
    assert HANOI.check("AC CB", question).parts["optimal"] == 0
    assert HANOI.check("AB", question).parts["optimal"] == 1
    assert not HANOI.check("AB AB", question).success
    assert hanoi.distance([0] * 10, [2] * 10) == 1023
    shortest = [q for q in questions(HANOI, 40, levels=[1]) if HANOI.chance(q) == 1 / 6]
    assert all(q.prompt[4:] in moved(q.prompt[:3]).values() for q in shortest)
    assert HANOI.chance(HANOI.understand("BA>BC")) == pytest.approx(1 / 6)


# -- river crossings ---------------------------------------------------------------------------------------


def crossed(prompt: str):
    """The start, and what follows from a position: (goods on the near bank, whether the farmer is there)."""
    banks, _, rest = prompt.partition(" ")
    boat, _, pairs = rest.partition(":")
    near, _, far = banks.partition("|")
    goods, enemies = frozenset(near + far), [set(pair) for pair in pairs.split(" ")]

    def following(position):
        bank, here = position
        side = bank if here else goods - bank
        found = {}
        for size in range(int(boat) + 1):
            for goods_in_boat in itertools.combinations(sorted(side), size):
                if not any(pair <= side - set(goods_in_boat) for pair in enemies):
                    found["".join(goods_in_boat) or "-"] = (bank ^ set(goods_in_boat), not here)
        return found

    return (frozenset(near), True), following


def right_crossings(answer: str, question) -> bool:
    at, following = crossed(question.prompt)
    for crossing in re.sub(r"\s", "", plain(answer)).split(","):
        at = following(at).get("".join(sorted(crossing)))
        if at is None:
            return False
    return not at[0]


def right_banks(steps: str, question) -> bool:
    start, following = crossed(question.prompt)
    goods = sorted(set(question.prompt.split(" ")[0]) - {"|"})
    places = [start]
    for line in steps.strip().split("\n"):
        found = re.fullmatch(r"(\*?)([a-j]*)\|(\*?)([a-j]*)", line.strip())
        if not found or bool(found[1]) == bool(found[3]) or sorted(found[2] + found[4]) != goods:
            return False
        places.append((frozenset(found[2]), bool(found[1])))
    legal = all(after in following(before).values() for before, after in itertools.pairwise(places))
    return legal and not places[-1][0]


def test_crossings_hold_to_the_contract():
    check_task(RIVER, problems=7, right=right_crossings, right_steps=right_banks)


def crossings(prompt: str) -> int:
    """Of the shortest solution, 0 without one."""
    start, following = crossed(prompt)
    far = distances(start, lambda at: following(at).values())
    return far.get((frozenset(), False), 0)


def test_crossings_are_the_shortest_and_boats_the_smallest():
    for question in questions(RIVER, 4, levels=range(1, 6)):
        answer = RIVER.answer(question)
        assert right_crossings(answer, question)
        assert len(answer.split(",")) == crossings(question.prompt) >= river.SIZES[question.level - 1][2]
        assert RIVER.check(answer, question).parts == {"optimal": 1.0}
        smaller = re.sub(r" (\d+):", lambda found: f" {int(found[1]) - 1}:", question.prompt)
        assert crossings(smaller) == 0
    longer = RIVER.check("b,b,b,-,c,b,a,-,b", RIVER.understand("abc| 1:ab bc"))
    assert longer.success
    assert longer.parts["optimal"] == 0


def test_problems_of_four_goods_are_counted():
    pairs = ["".join(pair) for pair in itertools.combinations("abcd", 2)]
    count = 0
    for chosen in itertools.product([0, 1], repeat=6):
        enemies = [pair for pair, one in zip(pairs, chosen) if one]
        covers = itertools.combinations("abcd", 2)
        if not enemies or not any(all(set(pair) & set(cover) for pair in enemies) for cover in covers):
            continue
        for near in itertools.product([0, 1], repeat=4):
            bank = "".join(c for c, here in zip("abcd", near) if here)
            rest = "".join(c for c in "abcd" if c not in bank)
            if not bank or any(set(pair) <= set(rest) for pair in enemies):
                continue
            lengths = (crossings(f"{bank}|{rest} {boat}:{' '.join(enemies)}") for boat in (1, 2, 3, 4))
            count += next(length for length in lengths if length) >= 3
    assert count == river.SPACE[0]


# -- what they have in common ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "one", "other"),
    [
        (SAT, "aBc Abd", "Abd aBc"),
        (COLORING, "3:ab ac bc", "3:bc ab ac"),
        (PATH, "a-c:ab4 ac9 bc1", "c-a:ab4 ac9 bc1"),
        (MAZE, "S..\n#.G", "G..\n#.S"),
        (HANOI, "ABC>CCC", "CCC>ABC"),
    ],
)
def test_the_same_problem_in_another_order_has_the_same_key(task, one, other):
    assert task.understand(one).key == task.understand(other).key


@pytest.mark.parametrize(
    ("task", "prompt"),
    [
        (SAT, "abc abc"),
        (SAT, "aab"),
        (SAT, "cba"),
        (SAT, "abc  abd"),
        (SAT, " ".join("".join(clause) for clause in cases("abc"))),
        (COLORING, "3:ab ab"),
        (COLORING, "3:ba"),
        (COLORING, "0:ab"),
        (COLORING, "2:ab ac bc"),
        (PATH, "a-b:ab4"),
        (PATH, "a-a:ab4 bc1"),
        (PATH, "a-d:ab4 cd1"),
        (PATH, "a-c:bc1 ab4"),
        (PATH, "a-c:ab0 bc1"),
        (MAZE, "S#G"),
        (MAZE, "S.G\n.."),
        (MAZE, "S.S.G"),
        (MAZE, "S" + "." * 60 + "G"),
        (HANOI, "AB>A"),
        (HANOI, "AB>AB"),
        (HANOI, "A" * 11 + ">" + "B" * 11),
        (RIVER, "abc| 0:ab"),
        (RIVER, "ab|d 1:ab"),
        (RIVER, "abc| 1:ab ac bc"),
        (RIVER, "abc| 1:ba"),
        (RIVER, "|abc 1:ab"),
        (RIVER, "c|ab 1:ab"),
    ],
)
def test_other_texts_are_no_problems(task, prompt):
    with pytest.raises(ValueError, match=r"\w"):
        task.understand(prompt)
