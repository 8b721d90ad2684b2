"""Knights and knaves, sudoku, proofs and parity, against enumeration and plain readings of each line."""

from __future__ import annotations

import itertools
import re
import sys
from collections import Counter
from functools import cache

import numpy as np
import pytest

from envs.options import OptionError
from envs.text import load
from envs.text.check import check_task, mutate
from envs.text.logic import derivations, formulas, knights, sudoku, sudoku_kernels
from envs.text.parsing import plain, write
from envs.text.task import Question

KNIGHTS, PROOF, PARITY = load("KnightsAndKnaves"), load("Proof"), load("Parity")
SMALL, LARGE = load("Sudoku", {"size": 4}), load("Sudoku")


def questions(task, count=20, seed=0, levels=None):
    for level in levels or range(1, task.levels + 1):
        rng = np.random.default_rng([seed, level])
        yield from (task.generate(rng, level) for _ in range(count))


def assert_steps_are_judged_as_by(task, judge, count, seed, fewest):
    """Lines are changed and moved about: worth 1 exactly where the plain `judge` finds them all right."""
    rng, right = np.random.default_rng(seed), 0
    for question in questions(task, count, seed):
        lines = task.work(question, task.strategies[0]).split("\n")
        for _ in range(12):
            changed = [*lines]
            i, j = rng.integers(len(lines), size=2)
            if rng.random() < 0.5:
                changed[i], changed[j] = changed[j], changed[i]
            else:
                changed[i] = mutate(rng, changed[i], task.alphabet)
            steps = "\n".join(changed)
            judged = judge(steps, question)
            assert (task.check_steps(steps, question) == 1) == judged, (question.prompt, steps)
            right += judged and changed != lines
    assert right >= fewest


@pytest.mark.parametrize(
    ("task", "prompt"),
    [
        (KNIGHTS, "A:B+;B:A~C;C:B+"),
        (SMALL, "...4\n2.1.\n.2.1\n.342"),
        (PROOF, "1 p>q\n2 r|p\n3 ~r\n? q"),
        (PARITY, "0110100="),
    ],
)
def test_the_examples_of_the_docstrings_are_true(task, prompt):
    question, words = task.understand(prompt), sys.modules[type(task).__module__].__doc__
    assert all(line in words for line in prompt.split("\n"))
    works = [task.work(question, way).split("\n") for way in task.strategies]
    for line in itertools.chain(*works) if task is not SMALL else works[0][:1]:
        assert line in words
    assert task in (SMALL, PARITY) or task.answer(question).split("\n")[-1] in words


# -- knights and knaves ------------------------------------------------------------------------------------


def holds(text: str, kinds: dict[str, bool]) -> bool:
    """Whether what is said is true, where `kinds` tells who is a knight."""
    if text[0] == "#":
        return sum(kinds.values()) == int(text[1:])
    if text[1] in "=~":
        return (kinds[text[0]] == kinds[text[2]]) == (text[1] == "=")
    parts = [kinds[part[0]] == (part[1] == "+") for part in re.split("[&|]", text)]
    return any(parts) if "|" in text else all(parts)


def cases(prompt: str) -> list[dict[str, bool]]:
    names = [said[0] for said in prompt.split(";")]
    return [dict(zip(names, kinds)) for kinds in itertools.product([False, True], repeat=len(names))]


def fits(prompt: str, kinds: dict[str, bool]) -> bool:
    return all(holds(said[2:], kinds) == kinds[said[0]] for said in prompt.split(";"))


def right_kinds(answer: str, question) -> bool:
    said = re.sub(r"[\s,;]", "", plain(answer))
    pairs = re.findall(r"([A-Z])([+-])", said)
    kinds = {name: sign == "+" for name, sign in pairs}
    names = {each[0] for each in question.prompt.split(";")}
    whole = "".join(map("".join, pairs)) == said and len(pairs) == len(kinds) and set(kinds) == names
    return whole and fits(question.prompt, kinds)


def right_argument(steps: str, question) -> bool:
    """Every line, from all cases that are still open."""
    words = dict(said.split(":") for said in question.prompt.split(";"))
    open_cases, supposed = cases(question.prompt), []

    def told(by, some):
        return [kinds for kinds in some if holds(words[by], kinds) == kinds[by]]

    def certain(who, some):
        return len({kinds[who] for kinds in some}) == 1

    for line in steps.strip().split("\n"):
        found = re.fullmatch(r"(?:\?|([A-F])([>!]))([A-F])([+-])", line.strip())
        if not found or not {found[1] or "A", found[3]} <= set(words):
            return False
        by, how, who, kind = found[1], found[2], found[3], found[4] == "+"
        stuck = [name for name in words if not told(name, open_cases)]
        leads = [
            (name, other)
            for name in words
            for other in words
            if not certain(other, open_cases) and certain(other, told(name, open_cases))
        ]
        if how is None:
            if stuck or leads or certain(who, open_cases):
                return False
            supposed.append((open_cases, who, kind))
        elif how == "!":
            if by not in stuck or not supposed or supposed[-1][1:] != (who, not kind):
                return False
            open_cases = supposed.pop()[0]
        else:
            if by in stuck or (by, who) not in leads or told(by, open_cases)[0][who] != kind:
                return False
        open_cases = [kinds for kinds in open_cases if kinds[who] == kind]
    return len(open_cases) == 1 and fits(question.prompt, open_cases[0])


def test_knights_hold_to_the_contract():
    check_task(KNIGHTS, problems=25, right=right_kinds, right_steps=right_argument)


def test_arguments_of_knights_are_right_exactly_where_each_line_is():
    assert_steps_are_judged_as_by(KNIGHTS, right_argument, count=8, seed=1, fewest=15)


def test_exactly_one_answer_fits_and_it_is_the_one():
    answers, kinds_said = Counter(), Counter()
    for question in questions(KNIGHTS, 60):
        fitting = [kinds for kinds in cases(question.prompt) if fits(question.prompt, kinds)]
        assert len(fitting) == 1
        assert right_kinds(KNIGHTS.answer(question), question)
        assert KNIGHTS.chance(question) == 1 / len(cases(question.prompt))
        assert len(question.data) == question.level + 1
        if question.level == 2:
            answers[KNIGHTS.answer(question)] += 1
        kinds_said.update(re.sub(r"[A-F+\d-]", "", text) for text in question.data)
    assert len(answers) == 8  # all that three people can be
    assert set(kinds_said) == {"", "&", "|", "=", "~", "#"}


@pytest.mark.parametrize("n", [2, 3])
def test_the_space_of_few_people_counts_all_riddles(n):
    says = [[text for kind in kinds for text, _ in kind] for kinds in knights._sayings(n)]
    count = 0
    for said in itertools.product(*says):
        word = (1 << (1 << n)) - 1
        for each in knights._held(said):
            word &= each
        count += word.bit_count() == 1
    assert KNIGHTS.space(n - 1) == count
    some = np.random.default_rng(0)
    for _ in range(100):  # and the tables say what the texts mean
        said = tuple(texts[some.integers(len(texts))] for texts in says)
        prompt = ";".join(f"{name}:{text}" for name, text in zip("ABC", said))
        fitting = [
            fits(prompt, {c: bool(m >> i & 1) for i, c in enumerate("ABC"[:n])}) for m in range(1 << n)
        ]
        held = knights._held(said)
        assert [all(word >> m & 1 for word in held) for m in range(1 << n)] == fitting


def test_all_riddles_of_two_are_drawn():
    rng = np.random.default_rng(0)
    assert len({KNIGHTS.generate(rng, 1).key for _ in range(4000)}) == KNIGHTS.space(1)


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("A:B-;B:A-", "2 answers fit 'A:B-;B:A-', not one"),
        ("A:A-;B:A-", "'A-' is nothing that A says"),
        ("A:A-&B-;B:C+", "'C+' is nothing that B says"),
        ("A:A-&B-", "is not what 2 to 6 people say"),
        ("B:A-;A:B-", "is not what"),
        ("A:#3;B:A-", "'#3' is nothing"),
        ("A:B-&A-;B:A-", "'B-&A-' is nothing"),
        ("", "is not what"),
    ],
)
def test_other_riddles_are_not_understood(prompt, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        KNIGHTS.understand(prompt)


@pytest.mark.parametrize(
    ("answer", "success", "parsed", "said"),
    [
        ("A-B+", True, True, ""),
        ("B+ A-", True, True, ""),
        ("A-, B+", True, True, ""),
        ("A+B+", False, True, "then A's word does not fit"),
        ("A-B-", False, True, "then A's word does not fit"),
        ("A-", False, False, "not each of AB once"),
        ("A-B+C+", False, False, "not each"),
        ("A-B+B+", False, False, "not each"),
        ("A-B-B+", False, False, "not each"),
        ("a-b+", False, False, "not each"),
        ("A-B", False, False, "not each"),
        ("-+", False, False, "not each"),
        ("A-B+" + " " * 300 + "A+B-", False, False, "not each"),
    ],
)
def test_answers_name_each_kind_once(answer, success, parsed, said):
    verdict = KNIGHTS.verify(write(answer), KNIGHTS.understand("A:A-&B-;B:#1"))
    assert (verdict.success, verdict.parsed) == (success, parsed)
    assert said in verdict.error


@pytest.mark.parametrize(
    ("steps", "share"),
    [
        ("A>A-\nA>B+", 1),
        ("A>B+\nA>A-", 1),
        ("A>A-", 1 / 2),
        ("A>A-\nA>A-", 1 / 2),
        ("A>A-\n?B+", 1 / 2),
        ("A>A-\nA>B-", 1 / 2),
        ("A>A-\nA>B+\nA>B+", 2 / 3),
        ("?A+", 0),
        ("?A-\nA>B+", 1 / 2),
        ("A!A-", 0),
        ("B>A-", 1 / 2),
        ("B>B+", 0),
        ("C>A-", 0),
        ("A>C-", 0),
        ("A-B+", 0),
    ],
)
def test_arguments_are_worth_the_share_of_lines_that_follow(steps, share):
    assert KNIGHTS.check_steps(steps, KNIGHTS.understand("A:A-&B-;B:#1")) == pytest.approx(share)


def test_a_supposition_needs_that_nothing_follows_and_a_contradiction_ends_it():
    question = next(q for q in questions(KNIGHTS, 200, levels=[4]) if "!" in KNIGHTS.work(q, "suppose"))
    lines = KNIGHTS.work(question, "suppose").split("\n")
    end = next(i for i, line in enumerate(lines) if "!" in line)
    start = max(i for i in range(end) if lines[i][0] == "?")
    taken_back = "\n".join(lines[:end] + lines[end + 1 :])
    assert KNIGHTS.check_steps(taken_back, question) < 1
    guesses = "\n".join(f"?{name}{sign}" for name, sign in re.findall("(.)(.)", KNIGHTS.answer(question)))
    assert KNIGHTS.check_steps(guesses, question) < 0.5
    other = [*lines[:start], lines[start].translate(str.maketrans("+-", "-+"))]
    assert KNIGHTS.check_steps("\n".join(other), question) < 1


# -- sudoku ------------------------------------------------------------------------------------------------


@cache
def mates(size: int) -> list[set[int]]:
    """For each cell all others in its row, column or box."""
    side = {4: 2, 9: 3}[size]

    def together(a, b):
        (r, c), (s, d) = divmod(a, size), divmod(b, size)
        return r == s or c == d or (r // side, c // side) == (s // side, d // side)

    return [{b for b in range(size**2) if b != a and together(a, b)} for a in range(size**2)]


def solutions(cells: str, size: int, most: int) -> list[str]:
    """All full grids that keep the givens, by plain search; at most so many."""
    digits = "123456789"[:size]
    if any(c != "." and c in {cells[m] for m in mates(size)[a]} for a, c in enumerate(cells)):
        return []
    blanks = [a for a, c in enumerate(cells) if c == "."]
    if not blanks:
        return [cells]
    options = {a: [d for d in digits if d not in {cells[m] for m in mates(size)[a]}] for a in blanks}
    cell = min(blanks, key=lambda a: len(options[a]))
    found = []
    for digit in options[cell]:
        found += solutions(cells[:cell] + digit + cells[cell + 1 :], size, most - len(found))
        if len(found) >= most:
            break
    return found


def right_grid(answer: str, question) -> bool:
    cells = re.sub(r"[\s/]", "", plain(answer))
    size = {16: 4, 81: 9}[len(question.data)]
    if len(cells) != size**2 or not set(cells) <= set("123456789"[:size]):
        return False
    return all(g in (c, ".") for g, c in zip(question.data, cells)) and bool(solutions(cells, size, 1))


def right_filling(steps: str, question) -> bool:
    cells, size = list(question.data), {16: 4, 81: 9}[len(question.data)]
    lines = [line.strip() for line in steps.strip().split("\n")]
    for line in lines:
        found = re.fullmatch(r"r(\d)c(\d)=(\d)([rcbs]?)", line, re.ASCII)
        if not found or not all(1 <= int(x) <= size for x in found.groups()[:3]):
            return False
        cell, digit = (int(found[1]) - 1) * size + int(found[2]) - 1, found[3]
        if cells[cell] != "." or (digit, found[4]) not in forced(cells, cell, size):
            return False
        cells[cell] = digit
    return "." not in cells


def forced(cells, cell, size):
    """(digit, reason) of all that a reader may write into a blank cell."""
    left = {a: open_digits(cells, a, size) for a, c in enumerate(cells) if c == "."}
    found = reasons(left, cell, size)
    if not any(reasons(left, a, size) for a in left):
        found |= {(solutions("".join(cells), size, 1)[0][cell], "s")}
    return found


def open_digits(cells, cell, size):
    return set("123456789"[:size]) - {cells[m] for m in mates(size)[cell]}


def reasons(left, cell, size):
    side = {4: 2, 9: 3}[size]
    row, column = divmod(cell, size)
    houses = {
        "r": [a for a in left if a // size == row],
        "c": [a for a in left if a % size == column],
        "b": [a for a in left if (a // size // side, a % size // side) == (row // side, column // side)],
    }
    found = {(digit, "") for digit in left[cell] if len(left[cell]) == 1}
    return found | {
        (digit, name)
        for name, house in houses.items()
        for digit in left[cell]
        if all(digit not in left[a] for a in house if a != cell)
    }


@pytest.mark.parametrize(("task", "problems"), [(SMALL, 40), (LARGE, 5)])
def test_sudokus_hold_to_the_contract(task, problems):
    check_task(task, problems=problems, right=right_grid, right_steps=right_filling)


def test_fillings_are_right_exactly_where_each_line_is():
    assert_steps_are_judged_as_by(SMALL, right_filling, count=12, seed=2, fewest=50)


@pytest.mark.parametrize(("size", "count"), [(4, 30), (9, 6)])
def test_puzzles_have_so_many_blanks_and_one_solution(size, count):
    task = load("Sudoku", {"size": size})
    for question in questions(task, count):
        assert question.data.count(".") == sudoku.BLANKS[size][question.level - 1]
        (solved,) = solutions(question.data, size, 2)
        assert task.answer(question).replace("\n", "") == solved
        assert task.chance(question) == float(size) ** -question.data.count(".")


def test_the_solver_counts_what_plain_search_counts():
    rng, seen = np.random.default_rng(1), Counter()
    full = SMALL.answer(next(questions(SMALL, 1))).replace("\n", "")
    for _ in range(300):
        cells = np.array(list(full))
        cells[rng.random(16) < rng.choice([0.3, 0.6, 0.9])] = "."
        if rng.random() < 0.3:
            cells[rng.integers(16)] = rng.choice(list("1234"))
        text = "".join(cells)
        grid = SMALL._grid(text)
        count = sudoku_kernels.solve(grid, 4, 5)
        found = solutions(text, 4, 5)
        assert count == len(found)
        seen[count] += 1
        if count:
            assert solutions(SMALL._text(grid), 4, 1)
            assert all(g in (c, ".") for g, c in zip(text, SMALL._text(grid)))
    assert min(seen[0], seen[1], seen[5]) >= 10
    assert SMALL.chance(Question("", "." * 16, "", 1)) == 4.0**-16
    assert sudoku_kernels.solve(SMALL._grid("." * 16), 4, 1000) == 288


def test_the_space_of_small_sudokus_counts_all_puzzles():
    """Up to a renaming of the digits there are 12 full grids."""
    grids = [g for g in solutions("1234" + "." * 12, 4, 1000) if g[:4] == "1234"]
    assert len(grids) == 12
    for level, blanks in ((1, 2), (2, 4), (5, 10)):
        count = 0
        for grid in map(SMALL._grid, grids):
            for chosen in itertools.combinations(range(16), blanks):
                puzzle = grid.copy()
                puzzle[list(chosen)] = 0
                count += sudoku_kernels.solve(puzzle, 4, 2) == 1
        assert SMALL.space(level) == 24 * count


PUZZLE = "314.\n2413\n43.1\n1234"


def test_any_right_grid_is_right_and_nothing_else():
    """Of a puzzle of two solutions both are right: the rules decide, not the solver's grid."""
    both = "1.3.\n3.1.\n2143\n4321"
    question = Question(both, both.replace("\n", ""), "", 1)
    for answer in ("1234\n3412\n2143\n4321", "1432\n3214\n2143\n4321"):
        assert SMALL.verify(write(answer), question).success == right_grid(answer, question)
    assert (
        sum(SMALL.check(answer, question).success for answer in map(grid_of, solutions(question.data, 4, 9)))
        == 2
    )
    puzzle = SMALL.understand(PUZZLE)
    for answer, parsed, said in (
        ("3142\n2413\n4321\n1234", True, ""),
        ("3142/2413/4321/1234", True, ""),
        ("3142 2413 4321 1234", True, ""),
        ("3143\n2413\n4321\n1234", True, "row 1 holds a digit twice"),
        ("3142\n2413\n4321\n1243", True, "r4c3 is 3, not 4"),
        ("4132\n2413\n4321\n1234", True, "r1c1 is 3, not 4"),
        ("3142\n2413\n4321\n123", False, "not 4 rows of 4 digits"),
        ("3142\n2413\n4321\n1235", False, "not 4 rows"),
        ("3142\n2413\n4321\n1234\n1", False, "not 4 rows"),
        ("314.\n2413\n43.1\n1234", False, "not 4 rows"),
        ("3142\n2413\n4321\n1234" + " " * 300 + "5", False, "not 4 rows"),
    ):
        verdict = SMALL.verify(write(answer), puzzle)
        assert (verdict.success, verdict.parsed) == (not said, parsed)
        assert said in verdict.error


def grid_of(cells: str) -> str:
    return "\n".join(cells[i : i + 4] for i in range(0, 16, 4))


def test_columns_and_boxes_count_too():
    latin = Question("", "." * 16, "", 1)
    assert "column 1" in SMALL.check("1234\n1234\n1234\n1234", latin).error
    assert "box 1" in SMALL.check("1234\n2341\n3412\n4123", latin).error


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("1...\n....\n....\n....", "has several solutions"),
        ("11..\n....\n....\n....", "has no solution"),
        ("123.\n...4\n....\n....", "has no solution"),
        ("314.\n2413\n43.1\n123", "is not a 4x4 grid"),
        ("314.2413\n43.1\n1234", "is not a 4x4 grid"),
        ("315.\n2413\n43.1\n1234", "is not a 4x4 grid"),
    ],
)
def test_other_grids_are_not_understood(prompt, said):
    with pytest.raises(ValueError, match=said):
        SMALL.understand(prompt)


@pytest.mark.parametrize("size", [0, 5, 16, -9])
def test_other_sizes_are_refused(size):
    with pytest.raises(OptionError, match="size of task 'Sudoku' must be 4 or 9"):
        sudoku.Sudoku(size)


def test_what_is_forced_may_not_be_searched_for():
    puzzle = SMALL.understand(PUZZLE)
    assert SMALL.check_steps("r1c4=2\nr3c3=2", puzzle) == 1
    assert SMALL.check_steps("r3c3=2r\nr1c4=2c", puzzle) == 1
    assert SMALL.check_steps("r1c4=2s\nr3c3=2", puzzle) == 0.5
    assert SMALL.check_steps("r1c4=1\nr3c3=2", puzzle) == 0.5
    assert SMALL.check_steps("r1c4=2\nr1c4=2\nr3c3=2", puzzle) == pytest.approx(2 / 3)
    assert SMALL.check_steps("r1c4=2", puzzle) == 0.5
    assert SMALL.check_steps("r1c1=3\nr9c9=9", puzzle) == 0


def test_a_search_is_right_where_nothing_else_is():
    searched = [q for q in questions(LARGE, 60, levels=[5]) if "s" in LARGE.work(q, "singles")]
    assert searched
    for question in searched[:2]:
        steps = LARGE.work(question, "singles")
        assert right_filling(steps, question)
        line = next(line for line in steps.split("\n") if line.endswith("s"))
        digit = int(line[5])
        wrong = f"{line[:5]}{digit % 9 + 1}s"
        before, blanks = steps.split(line)[0], question.data.count(".")
        done = before.count("\n")
        assert LARGE.check_steps(before + line, question) == pytest.approx((done + 1) / blanks)
        assert LARGE.check_steps(before + wrong, question) == pytest.approx(done / blanks)
        assert LARGE.check_steps(before + line[:-1], question) == pytest.approx(done / blanks)


# -- proofs ------------------------------------------------------------------------------------------------

PATTERNS = {
    "mp": ["p>q, p: q"],
    "mt": ["p>q, ~q: ~p"],
    "ds": ["p|q, ~p: q", "p|q, ~q: p"],
    "hs": ["p>q, q>r: p>r"],
    "ai": ["p, q: p&q"],
    "ae": ["p&q: p", "p&q: q"],
    "oi": ["p: p|q", "p: q|p"],
    "dn": ["p: ~~p", "~~p: p"],
}


def tree(text: str):
    """A formula as nested tuples; None where it is none, or could be read in two ways."""
    depths = list(itertools.accumulate((c == "(") - (c == ")") for c in text))
    if re.fullmatch("[p-w]", text):
        return text
    if not text or min(depths) < 0 or depths[-1] != 0:
        return None
    tops = [i for i, c in enumerate(text) if c in "&|>" and depths[i] == 0]
    if len(tops) == 1:
        left, right = tree(text[: tops[0]]), tree(text[tops[0] + 1 :])
        return left and right and (text[tops[0]], left, right)
    if tops:
        return None
    if text[0] == "~":
        inner = tree(text[1:])
        return inner and ("~", inner)
    return tree(text[1:-1]) if text[0] == "(" and text[-1] == ")" and 0 not in depths[:-1] else None


def is_like(pattern, formula, names) -> bool:
    """Whether a formula has the shape of a pattern, the same formula for each letter."""
    if isinstance(pattern, str):
        return names.setdefault(pattern, formula) == formula
    same = not isinstance(formula, str) and len(formula) == len(pattern) and formula[0] == pattern[0]
    return same and all(is_like(p, f, names) for p, f in zip(pattern[1:], formula[1:]))


def is_by(rule: str, given: list, formula) -> bool:
    for pattern in PATTERNS.get(rule, ()):
        before, _, after = pattern.partition(": ")
        shapes = [tree(each) for each in before.split(", ")]
        for order in itertools.permutations(given):
            names: dict = {}
            pairs = [*zip(shapes, order), (tree(after), formula)]
            if len(order) == len(shapes) and all(is_like(p, f, names) for p, f in pairs):
                return True
    return False


def right_derivation(answer: str, question) -> bool:
    premises, goal = question.data
    lines = [tree(premise) for premise in premises]
    for text in plain(answer).replace(";", "\n").split("\n"):
        words = text.split()
        if len(words) < 4 or not all(
            re.fullmatch("[1-9][0-9]?", w, re.ASCII) for w in (words[0], *words[3:])
        ):
            return False
        formula, at = tree(words[1]), [int(w) for w in words[3:]]
        if formula is None or int(words[0]) != len(lines) + 1 or max(at) > len(lines):
            return False
        if not is_by(words[2], [lines[k - 1] for k in at], formula):
            return False
        lines.append(formula)
    return lines[-1] == tree(goal)


def right_plan(steps: str, question) -> bool:
    """Every line is wanted when it comes, and from the premises all lines can be derived in some order."""
    premises, goal = question.data
    known, wanted, lines = {tree(p) for p in premises}, {tree(goal)}, {}
    for text in steps.strip().split("\n"):
        words = text.strip().split(" ")
        if len(words) < 3:
            return False
        formula, given = tree(words[0]), [tree(word) for word in words[2:]]
        if formula is None or None in given or formula not in wanted or formula in lines:
            return False
        if not is_by(words[1], given, formula):
            return False
        lines[formula] = given
        wanted |= set(given) - known
    left = dict(lines)
    while left:
        ready = [formula for formula, given in left.items() if set(given) <= known]
        if not ready:
            return False
        known |= set(ready)
        left = {f: given for f, given in left.items() if f not in known}
    return tree(goal) in known


def entails(premises, goal) -> bool:
    """By all cases."""
    trees = [tree(f) for f in (*premises, goal)]
    used = sorted(set(re.findall("[p-w]", "".join((*premises, goal)))))
    for values in itertools.product([False, True], repeat=len(used)):
        holding = [is_true(each, dict(zip(used, values))) for each in trees]
        if all(holding[:-1]) and not holding[-1]:
            return False
    return True


def is_true(formula, values) -> bool:
    if isinstance(formula, str):
        return values[formula]
    sides = [is_true(each, values) for each in formula[1:]]
    if formula[0] == "~":
        return not sides[0]
    return all(sides) if formula[0] == "&" else any(sides) if formula[0] == "|" else sides[0] <= sides[1]


def test_proofs_hold_to_the_contract():
    check_task(PROOF, problems=48, right=right_derivation, right_steps=right_plan)


def test_plans_are_right_exactly_where_each_line_is():
    assert_steps_are_judged_as_by(PROOF, right_plan, count=12, seed=3, fewest=20)


def test_changed_derivations_are_right_exactly_where_each_line_is():
    rng, right = np.random.default_rng(4), 0
    for question in questions(PROOF, 12, seed=4):
        lines = PROOF.answer(question).split("\n")
        for _ in range(15):
            changed = [*lines]
            i = rng.integers(len(lines))
            words = changed[i].split(" ")
            k = rng.integers(len(words))
            other = [mutate(rng, words[k], PROOF.alphabet), "1", "2", "mp", "ds", words[1], f"({words[1]})"]
            words[k] = str(rng.choice(other))
            changed[i] = " ".join([*words[:3], *words[:2:-1]] if rng.random() < 0.3 else words)
            answer = "\n".join(changed)
            judged = right_derivation(answer, question)
            verdict = PROOF.check(answer, question)
            assert verdict.success == judged, (question.prompt, answer)
            assert judged == (not verdict.error)
            right += judged and changed != lines
    assert right > 20


def test_proofs_have_as_many_lines_as_their_level_and_no_fewer_would_do():
    for question in questions(PROOF, 6, seed=5):
        lines = PROOF.answer(question).split("\n")
        assert len(lines) == question.level
        assert derivations.shortest(*question.data)[0] == question.level
        assert right_derivation("\n".join(lines), question)
        assert entails(*question.data)
        assert not entails(question.data[0], "~(w>w)")  # the premises do not contradict each other


def test_nothing_is_proved_that_does_not_follow():
    rng, proved, refused = np.random.default_rng(6), 0, 0
    for question in questions(PROOF, 15, seed=6):
        premises, _ = question.data
        parts = [p for f in premises for p in formulas.subformulas(f)]
        goal = str(rng.choice(parts))
        goal = formulas.negation(goal) if rng.random() < 0.3 else goal
        if goal in premises:
            continue
        steps = formulas.prove(premises, goal)
        if steps is None:
            refused += 1
            continue
        proved += 1
        assert entails(premises, goal)
        for formula, rule, given in steps:
            assert is_by(rule, [tree(g) for g in given], tree(formula))
    assert min(proved, refused) > 10


def test_each_rule_is_needed_by_some_problem():
    used = Counter(
        line.split(" ")[2]
        for q in questions(PROOF, 60, levels=[3, 4])
        for line in PROOF.answer(q).split("\n")
    )
    assert set(used) == set(formulas.RULES)


def test_rules_conclude_what_their_patterns_say_and_nothing_else():
    held = Counter()
    some = ["p", "q", "~p", "~q", "~~p", "p>q", "q>r", "p>r", "p|q", "p&q", "~(p>q)", "q|(p&q)"]
    for rule, n in formulas.RULES.items():
        for given in itertools.product(some, repeat=n):
            for formula in some:
                judged = is_by(rule, [tree(g) for g in given], tree(formula))
                assert formulas.follows(formula, rule, given) == judged, (formula, rule, given)
                held[rule] += judged
    assert set(held) == set(formulas.RULES)
    assert all(held.values())
    assert not formulas.follows("q", "mp", ("p>q",))


@pytest.mark.parametrize(
    ("text", "formula"),
    [("p", "p"), ("(p)", "p"), ("((p>q))", "p>q"), ("~(~p)", "~~p"), ("(~p)&((q)|r)", "~p&(q|r)")],
)
def test_formulas_have_one_form(text, formula):
    assert formulas.read(text) == formula
    assert formulas.read(formula) == formula


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "p&q|r",
            "p>q>r",
            "pq",
            "p&",
            "&p",
            "(p",
            "p)",
            "()",
            "~",
            "a",
            "P",
            "p &q",
            "p&&q",
            "p-q",
            "é",
        ),
        *("~" * 30 + "p", "(" * 30 + "p" + ")" * 30, "p" * 300),
    ],
)
def test_what_is_no_formula_is_refused(text):
    with pytest.raises(formulas.FormulaError) as error:
        formulas.read(text)
    assert "\n" not in str(error.value)


def test_random_text_is_read_as_the_plain_reader_does():
    rng, read = np.random.default_rng(8), 0
    for _ in range(3000):
        text = "".join(rng.choice(list("ppqr~~&|>()"), size=int(rng.integers(1, 9))))
        try:
            found = tree(formulas.read(text))
            read += 1
        except formulas.FormulaError:
            found = None
        assert found == tree(text)
    assert read > 100


@pytest.mark.parametrize(
    ("answer", "parsed", "said"),
    [
        ("4 p ds 2 3\n5 q mp 1 4", True, ""),
        ("4 p ds 3 2; 5 (q) mp 4 1", True, ""),
        ("4 p ds 2 3\n5 ~~p dn 4\n6 q mp 1 4", True, ""),
        ("4 p ds 2 3", True, "it ends with p, not with q"),
        ("4 p ds 2 3\n5 q mp 1 4\n6 p ds 2 3", True, "it ends with p"),
        ("4 q mp 1 4", True, "line 4: q does not follow"),
        ("4 q mp 1 5\n5 p ds 2 3", True, "line 4: q does not follow"),
        ("4 p ds 2 3\n5 q mt 1 4", True, "line 5: q does not follow"),
        ("5 p ds 2 3\n6 q mp 1 5", False, "line 4: it has the number 5"),
        ("p ds 2 3\nq mp 1 4", False, "is not a number, a formula"),
        ("4 p xx 2 3\n5 q mp 1 4", False, "line 4: 'p xx"),
        ("4 p ds 2 3\n5 q mp 1 4.", False, "line 5"),
        ("4 p ds 2 3\n5 q&p>q mp 1 4", False, "'>' in 'q&p>q'"),
        ("4 p ds 2 3\n5 q mp 1 0", False, "line 5"),
        ("q", False, "line 4"),
        ("proved", False, "line 4"),
        ("4 p ds 2 3\n" * 100, False, "more than 60 lines"),
    ],
)
def test_derivations_are_checked_line_by_line(answer, parsed, said):
    verdict = PROOF.verify(write(answer), PROOF.understand("1 p>q\n2 r|p\n3 ~r\n? q"))
    assert (verdict.success, verdict.reward) == (not said, float(not said))
    assert verdict.parsed == parsed
    assert said.replace("line 4: 'p xx", "line 4: '4 p xx") in verdict.error


@pytest.mark.parametrize(
    ("steps", "share"),
    [
        ("q mp p>q p\np ds r|p ~r", 1),
        ("q mp p p>q\np ds ~r r|p", 1),
        ("p ds r|p ~r\nq mp p>q p", 1 / 3),
        ("q mp p>q p", 1 / 3),
        ("q mp p>q p\np dn ~~p\n~~p dn p", 2 / 4),
        ("q mp p>q p\np dn ~~p\n~~p dn ~~~~p\n~~~~p dn ~~~~~~p", 2 / 5),
        ("q mp p>q p\np ds r|p ~r\n~r dn ~~~r", 2 / 3),
        ("q mp p>q p\nq mp p>q p\np ds r|p ~r", 2 / 3),
        ("q ae q&q\nq&q ai q q", 1 / 3),
        ("q", 0),
        ("q mp", 0),
        ("q xx p>q p", 0),
    ],
)
def test_plans_are_worth_the_share_of_lines_that_are_wanted_and_right(steps, share):
    question = PROOF.understand("1 p>q\n2 r|p\n3 ~r\n? q")
    assert PROOF.check_steps(steps, question) == pytest.approx(share)


def test_going_in_circles_or_ever_on_proves_nothing():
    question = PROOF.understand("1 p>q\n2 q>p\n3 r\n4 r>p\n? q")
    assert PROOF.check_steps("q mp p>q p\np mp r>p r", question) == 1
    assert PROOF.check_steps("q mp p>q p\np mp q>p q", question) < 0.5
    chain = ["q mp p>q p"] + [f"{'~~' * k}p dn {'~~' * (k + 1)}p" for k in range(9)]
    values = [PROOF.check_steps("\n".join(chain[:k]), question) for k in range(2, 10)]
    assert values == sorted(values, reverse=True)
    assert max(values) < 1


@pytest.mark.parametrize("prompt", ["1 p>q\n2 p\n? q", "1 p&q\n? p", "1 p\n2 ~p|q\n? ~~p"])
def test_the_chance_of_one_line_is_the_share_of_all_lines(prompt):
    question = PROOF.understand(prompt)
    lines = list(one_liners(question, len(question.data[0])))
    right = sum(right_derivation(line, question) for line in lines)
    assert right >= 1
    assert PROOF.chance(question) == right / len(lines)


def one_liners(question, known):
    for formula in formulas.universe(*question.data):
        for rule, n in formulas.RULES.items():
            for at in itertools.combinations_with_replacement(range(1, known + 1), n):
                yield f"{known + 1} {formula} {rule} {' '.join(map(str, at))}"


@pytest.mark.parametrize(("prompt", "orders"), [("1 p&(q&r)\n? r", 1), ("1 p\n2 p>q\n? q|r", None)])
def test_the_chance_of_more_lines_counts_every_shortest_derivation(prompt, orders):
    """Lines that are wrong end a derivation at once, so that all others can be gone through."""
    question = PROOF.understand(prompt)
    known, fewest = len(question.data[0]), len(PROOF.answer(question).split("\n"))
    sound, forms = [[]], 1
    for k in range(fewest):
        lines = list(one_liners(question, known + k))
        forms *= len(lines)
        sound = [[*before, line] for before in sound for line in lines if is_sound([*before, line], question)]
    right = sum(right_derivation("\n".join(lines), question) for lines in sound)
    assert right >= 1
    assert orders in (None, right)
    assert PROOF.chance(question) == pytest.approx(right / forms, rel=1e-12)


def is_sound(lines, question) -> bool:
    last = lines[-1].split(" ")[1]
    return right_derivation("\n".join(lines), Question("", (question.data[0], last), "", 1))


def test_keys_are_equal_exactly_where_problems_are_but_for_names_and_order():
    rng = np.random.default_rng(9)
    some = [q for q in questions(PROOF, 150, seed=9, levels=[1]) if len(letters(q)) <= 4]
    plainest = {q.prompt: plain_key(q) for q in some}
    equal = 0
    for one, other in itertools.combinations(some, 2):
        same = plainest[one.prompt] == plainest[other.prompt]
        assert (one.key == other.key) == same, (one.prompt, other.prompt)
        equal += same
    assert equal > 10
    for question in questions(PROOF, 10, seed=10):
        premises, goal = question.data
        names = str.maketrans("pqrstuvw", "".join(rng.permutation(list("pqrstuvw"))))
        turned = [premises[i].translate(names) for i in rng.permutation(len(premises))]
        lines = [*[f"{k} {f}" for k, f in enumerate(turned, 1)], f"? {goal.translate(names)}"]
        assert PROOF.understand("\n".join(lines)).key == question.key


def letters(question) -> list[str]:
    return sorted(set(re.findall("[p-w]", question.prompt)))


def plain_key(question):
    """The first of all texts, by every naming."""
    premises, goal = question.data
    used = letters(question)
    texts = []
    for order in itertools.permutations("pqrstuvw"[: len(used)]):
        names = str.maketrans("".join(used), "".join(order))
        texts.append((sorted(f.translate(names) for f in premises), goal.translate(names)))
    return min(texts)


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("1 p>q\n2 q\n? p", "no proof by these rules"),
        ("1 p>q\n? p>q", "is not numbered premises"),
        ("1 p>q\n2 p>q\n? q", "is not numbered premises"),
        ("2 p>q\n3 p\n? q", "is not numbered premises"),
        ("1 p>q\n2 p\n? (q)", "is not numbered premises"),
        ("1 p>q\n2 p\nq", "is no problem of proofs"),
        ("1 p>q>r\n2 p\n? q", "is no problem of proofs"),
    ],
)
def test_other_problems_are_not_understood(prompt, said):
    with pytest.raises(ValueError, match=said):
        PROOF.understand(prompt)


# -- parity ------------------------------------------------------------------------------------------------


def test_parity_holds_to_the_contract():
    check_task(PARITY, problems=48)


def test_parities_are_those_of_counting():
    seen = Counter()
    for question in questions(PARITY, 30):
        bits = question.prompt[:-1]
        assert len(bits) == 5 * question.level
        assert PARITY.answer(question) == "01"[len(re.findall("1", bits)) % 2]
        long, short = (PARITY.work(question, way) for way in ("long", "short"))
        assert long == "".join(str(sum(map(int, bits[: k + 1])) % 2) for k in range(len(bits)))
        ends = [*range(8, len(bits), 8), len(bits)]
        assert short == "".join(long[end - 1] for end in ends)
        seen[PARITY.answer(question)] += 1
    assert min(seen.values()) > 100
    assert set(seen) == {"0", "1"}


@pytest.mark.parametrize(
    ("steps", "share"),
    [("0111001011", 1), ("01", 1), ("11", 0), ("0", 1 / 2), ("011100", 0.6), ("0111001010", 0.9), ("", 0)],
)
def test_running_parities_count_up_to_the_first_mistake(steps, share):
    question = PARITY.understand("0100101110=")
    assert PARITY.work(question, "long") == "0111001011"
    assert PARITY.check_steps(steps, question) == pytest.approx(share)


@pytest.mark.parametrize("prompt", ["", "=", "0120=", "0110", "0110==", "01 10=", "٠=", "0" * 5000 + "="])
def test_other_rows_are_not_understood(prompt):
    with pytest.raises(ValueError, match="is no row of bits"):
        PARITY.understand(prompt)


@pytest.mark.parametrize(
    ("answer", "parsed"), [("1", True), ("0", True), ("2", False), ("odd", False), ("", False)]
)
def test_parity_is_one_digit(answer, parsed):
    verdict = PARITY.verify(write(answer), PARITY.understand("01101="))
    assert verdict.parsed == parsed
    assert verdict.success == (answer == "1")
