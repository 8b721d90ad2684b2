"""Equations, sequences and counting in grids, against substitution, enumeration and plain loops."""

from __future__ import annotations

import itertools
import re
import sys
from fractions import Fraction

import numpy as np
import pytest

from envs.text import load
from envs.text.check import check_task
from envs.text.numbers import sequences
from envs.text.parsing import plain

EQUATIONS, SEQUENCES, COUNTING = load("Equations"), load("Sequences"), load("Counting")


def questions(task, count=20, seed=0, levels=None):
    for level in levels or range(1, task.levels + 1):
        rng = np.random.default_rng([seed, level])
        yield from (task.generate(rng, level) for _ in range(count))


# -- equations ---------------------------------------------------------------------------------------------


def side(text: str) -> dict[str, Fraction]:
    """The coefficients of a side, of "" the constant; raises for anything else."""
    terms = re.findall(r"[+-]?[^+-]+", text)
    if "".join(terms) != text or not terms:
        raise ValueError(text)
    found: dict[str, Fraction] = {}
    for term in terms:
        name = term[-1] if term[-1] in "xyz" else ""
        digits = term.removesuffix(name)
        if not re.fullmatch(r"[+-]?\d*(?:/\d+)?", digits) or (not name and not digits[-1:].isdigit()):
            raise ValueError(term)
        factor = Fraction(digits) if digits[-1:].isdigit() else Fraction(digits + "1")
        found[name] = found.get(name, Fraction(0)) + factor
    return found


def row(equation: str) -> dict[str, Fraction]:
    """All of an equation on its left side, without what is 0."""
    left, equals, right = equation.partition("=")
    if not equals:
        raise ValueError(equation)
    one, other = side(left), side(right)
    both = {name: one.get(name, Fraction(0)) - other.get(name, Fraction(0)) for name in one | other}
    return {name: factor for name, factor in both.items() if factor}


def right_values(answer: str, question) -> bool:
    parts = [re.fullmatch(r"([xyz])=(.+)", part.strip()) for part in re.split("[,;]", plain(answer))]
    try:
        values = {part[1]: Fraction(part[2].strip()) for part in parts if part}
    except (ValueError, ZeroDivisionError):
        return False
    if None in parts or set(values) != set(question.prompt) & set("xyz") or len(parts) != len(values):
        return False
    known = {**values, "": Fraction(1)}
    return all(
        sum(factor * known[name] for name, factor in row(equation).items()) == 0
        for equation in question.prompt.split(";")
    )


def right_elimination(steps: str, question) -> bool:
    known = [row(equation) for equation in question.prompt.split(";")]
    solved = set()
    for line in steps.strip().split("\n"):
        source, _, equation = line.strip().partition(":")
        try:
            made = row(equation)
            head, _, below = source.partition("/")
            parts = re.findall(r"([+-]?)(\d*)([A-Z])", head)
            total: dict[str, Fraction] = {}
            for sign, times, label in parts:
                factor = Fraction(int(times or 1), int(below or 1)) * (-1 if sign == "-" else 1)
                for name, x in known["ABCDEFGHIJKLMNOPQRSTUVWXYZ".index(label)].items():
                    total[name] = total.get(name, Fraction(0)) + factor * x
        except (ValueError, IndexError, ZeroDivisionError):
            return False
        written = "".join(map("".join, parts)) == head and 1 <= len(parts) <= 2
        if not written or {name: x for name, x in total.items() if x} != made:
            return False
        known.append(made)
        if re.fullmatch(r"[xyz]=.*", equation) and set(made) <= {equation[0], ""}:
            solved.add(equation[0])
    return solved == set(question.prompt) & set("xyz")


def test_equations_hold_to_the_contract():
    check_task(EQUATIONS, problems=40, right=right_values, right_steps=right_elimination)


def test_answers_and_steps_solve_the_equations():
    for question in questions(EQUATIONS, 25):
        assert right_values(EQUATIONS.answer(question), question)
        assert right_elimination(EQUATIONS.work(question, "elimination"), question)
        fractions = "/" in EQUATIONS.answer(question)
        assert fractions == (question.level in (5, 8))


def test_equations_of_other_forms_are_collected_first():
    question = EQUATIONS.understand("3x+2y=7+y;5=y-x")
    assert EQUATIONS.work(question, "elimination").split("\n")[:2] == ["A:3x+y=7", "B:x-y=-5"]
    assert EQUATIONS.answer(question) == "x=1/2,y=11/2"
    assert EQUATIONS.check("y = 5.5, x = 0.5", question).success
    assert not EQUATIONS.check("x=1/2", question).parsed
    assert not EQUATIONS.check("x=1/2,x=1/2", question).parsed
    assert EQUATIONS.check_steps("A+B:4x=2\nC/4:x=1/2\nD-B:y=11/2", question) == 1
    assert EQUATIONS.check_steps("A+B:4x=2\nC/4:x=1/2", question) == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    "prompt",
    [
        "x=",
        "2x+3y=12",
        "x+y=1;2x+2y=2",
        "x+z=1;x-z=2",
        "1x=2",
        "x=02",
        "2=3",
        "x=1;y=2;x=3;y=4",
        "a=3",
        "x==3",
    ],
)
def test_other_equations_are_none(prompt):
    with pytest.raises(ValueError, match=r"\w"):
        EQUATIONS.understand(prompt)


# -- sequences ---------------------------------------------------------------------------------------------


def go_on(terms: list[int], asked: int) -> dict[int, set[tuple[int, ...]]]:
    """By how many numbers a rule takes, up to 3: all that can follow, found by trying constants."""
    found: dict[int, set[tuple[int, ...]]] = {2: set(), 3: set()}

    def attempt(numbers, first, step, *constants):
        made = list(terms[:first])
        while len(made) < len(terms) + asked:
            made.append(step(made, *constants))
            if made[: len(terms)] != terms[: len(made)]:
                return
        found[numbers].add(tuple(made[len(terms) :]))

    gaps, factors = range(-130, 131), [p for p in range(-9, 10) if abs(p) > 1]
    attempt(2, 2, lambda made: made[-1] + made[-2])
    for d in gaps:
        attempt(2, 1, lambda made, d: made[-1] + d, d)
        attempt(3, 2, lambda made, d: made[-1] + made[-2] + d, d)
        attempt(3, 2, lambda made, d: 2 * made[-1] - made[-2] + d, d)  # the differences grow by d
    for p in factors:
        attempt(2, 1, lambda made, p: made[-1] * p, p)
        for q in gaps:
            attempt(3, 1, lambda made, p, q: made[-1] * p + q, p, q)
            attempt(3, 1, lambda made, p, q: made[-1] * p if len(made) % 2 else made[-1] + q, p, q)
            attempt(3, 1, lambda made, p, q: made[-1] + q if len(made) % 2 else made[-1] * p, p, q)
    one, other = terms[1] - terms[0], terms[2] - terms[1]
    attempt(3, 1, lambda made: made[-1] + (one if len(made) % 2 else other))
    return found


def test_what_follows_is_what_the_simplest_rule_gives():
    for question in questions(SEQUENCES, 12, levels=[1, 2, 3, 4]):
        shown, asked = question.data
        found = go_on(list(shown), asked)
        answer = tuple(map(int, SEQUENCES.answer(question).split()))
        assert found[2 if question.level < 3 else 3] == {answer}
        assert question.level < 3 or not found[2]


def right_terms(answer: str, question) -> bool:
    """In whatever way whole numbers are written."""
    said = [re.fullmatch(r"([+-]?[0-9]+)(?:\.0*)?", part) for part in plain(answer).split()]
    return None not in said and [int(part[1]) for part in said] == [
        int(part) for part in SEQUENCES.answer(question).split()
    ]


def right_rule(steps: str, question) -> bool:
    return steps == SEQUENCES.work(question, "steps")


def test_sequences_hold_to_the_contract():
    check_task(SEQUENCES, problems=28, right=right_terms, right_steps=right_rule)


@pytest.mark.parametrize(
    ("shown", "answer", "rule"),
    [
        ("5,7,9,11,?", "13", "a+2"),
        ("3,6,12,24,?,?", "48 96", "a*2"),
        ("2,5,7,12,?", "19", "a+b"),
        ("3,7,15,31,63,?", "127", "a*2+1"),
        ("1,3,8,10,15,?", "17", "a+2,a+5"),
        ("1,2,7,14,19,?", "38", "a*2,a+5"),
        ("1,2,6,11,20,?", "34", "a+b+3"),
        ("1,3,6,10,15,?", "21", "2,3,4,5"),
        ("1,8,27,64,125,216,?", "343", "7,19,37,61,91"),
        ("1,2,7,20,61,182,?", "547", "a*2+b*3"),
        ("5,5,7,10,9,20,?", "11", "x:a+2;y:a*2"),
        ("0,1,16,81,256,625,1296,?", "2401", "1,15,65,175,369,671"),
        ("7,7,7,7,?", "7", "a+0"),
    ],
)
def test_rules_that_everybody_knows(shown, answer, rule):
    question = SEQUENCES.understand(shown)
    assert SEQUENCES.answer(question) == answer
    assert SEQUENCES.work(question, "steps").split("\n")[0] == rule


def test_rows_of_differences_are_added_up():
    question = SEQUENCES.understand("1,4,9,16,25,?,?")
    assert SEQUENCES.work(question, "steps").split("\n") == ["3,5,7,9", "2,2,2", "2+9+25=36", "2+11+36=49"]
    assert SEQUENCES.check(" 36  49 ", question).success
    assert not SEQUENCES.check("36", question).parsed
    assert not SEQUENCES.check("36 48", question).success


def test_short_sequences_are_counted():
    """Those of level 1: every sum, product and row of sums, where no other rule of two numbers fits."""
    firsts, steps, factors = sequences.FIRST, sequences.STEP, sequences.FACTOR
    rows = {(a, a + d, a + 2 * d, a + 3 * d): {a + 4 * d} for a in firsts for d in steps}
    for a, p in itertools.product(firsts, factors):
        rows.setdefault((a, a * p, a * p**2, a * p**3), set()).add(a * p**4)
    for a, b in itertools.product(firsts, firsts):
        rows.setdefault((a, b, a + b, a + 2 * b), set()).add(2 * a + 3 * b)
    clear = {row for row, following in rows.items() if len(following) == 1}
    assert len(clear) == sequences.SPACE[0]


@pytest.mark.parametrize(
    "prompt",
    [
        "1,2,?",
        "1,2,3,4",
        "1,5,2,10,3,20,?",
        "1,2,4,9,?",
        "01,2,3,4,?",
        "0,0,?,0,0",
        "1,2,3,4,?,5",
        "-0,1,2,3,?",
    ],
)
def test_other_sequences_follow_no_rule(prompt):
    with pytest.raises(ValueError, match=r"\w"):
        SEQUENCES.understand(prompt)


# -- counting in grids -------------------------------------------------------------------------------------


def paths(rows: list[str], i: int = 0, j: int = 0) -> int:
    if i == len(rows) or j == len(rows[0]) or rows[i][j] == "#":
        return 0
    if (i, j) == (len(rows) - 1, len(rows[0]) - 1):
        return 1
    return paths(rows, i + 1, j) + paths(rows, i, j + 1)


def squares(rows: list[str]) -> int:
    count = 0
    for size in range(1, min(len(rows), len(rows[0])) + 1):
        for i, j in itertools.product(range(len(rows) - size + 1), range(len(rows[0]) - size + 1)):
            count += all("#" not in line[j : j + size] for line in rows[i : i + size])
    return count


def test_counting_holds_to_the_contract():
    check_task(COUNTING, problems=28)


def test_paths_and_squares_are_as_many_as_plain_loops_find():
    kinds = set()
    for question in questions(COUNTING, 12, levels=[1, 2, 3, 4]):
        kind, *rows = question.prompt.split("\n")
        count = paths(rows) if kind == "paths" else squares(rows)
        assert COUNTING.answer(question) == str(count)
        whole = ["." * len(rows[0])] * len(rows)
        assert COUNTING.chance(question) == 1 / (paths(whole) if kind == "paths" else squares(whole))
        kinds.add(kind)
    assert kinds == {"paths", "squares"}


@pytest.mark.parametrize(
    ("prompt", "answer"),
    [
        ("paths\n" + "\n".join(["." * 9] * 9), "12870"),  # C(16, 8)
        ("squares\n" + "\n".join(["." * 8] * 8), "204"),  # of a chessboard
        ("squares\n.", "1"),
        ("paths\n..\n..", "2"),
    ],
)
def test_counts_that_everybody_knows(prompt, answer):
    assert COUNTING.answer(COUNTING.understand(prompt)) == answer


@pytest.mark.parametrize(
    "prompt", ["paths\n.#\n#.", "squares\n##", "paths\n..\n.", "rows\n..", "paths\n", "squares\n.x"]
)
def test_other_grids_are_no_problems(prompt):
    with pytest.raises(ValueError, match=r"\w"):
        COUNTING.understand(prompt)


@pytest.mark.parametrize(
    ("task", "prompt"),
    [
        (EQUATIONS, "2x+3y=12;5x-2y=11"),
        (SEQUENCES, "3,7,15,31,63,?"),
        (SEQUENCES, "1,4,9,16,25,?"),
        (COUNTING, "paths\n..#.\n....\n.#.."),
        (COUNTING, "squares\n..#.\n....\n.#.."),
    ],
)
def test_the_examples_of_the_docstrings_are_true(task, prompt):
    question, words = task.understand(prompt), sys.modules[type(task).__module__].__doc__
    answer = task.answer(question)
    for line in (*prompt.split("\n"), *task.work(question, task.strategies[0]).split("\n")):
        assert line in words
    assert answer in words
