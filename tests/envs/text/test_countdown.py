"""Countdown: generator, solver, counts and steps, against enumeration and a plain reading of each line."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from fractions import Fraction
from functools import cache

import numpy as np
import pytest

from envs.options import OptionError
from envs.text import load
from envs.text.check import check_task, mutate
from envs.text.numbers import countdown
from envs.text.numbers.countdown import MOST_LINES, ORDERS, Countdown, solution
from envs.text.numbers.expressions import evaluate, literals, parse
from envs.text.parsing import plain, read, write
from envs.text.task import DIRECT, Question

TASK = Countdown()


def questions(count: int = 20, seed: int = 0, task: Countdown = TASK):
    for level in range(1, task.levels + 1):
        rng = np.random.default_rng([seed, level])
        yield from (task.generate(rng, level) for _ in range(count))


def ask(prompt: str):
    return TASK.understand(prompt)


# -- plain references --------------------------------------------------------------------------------------


def answers(numbers, ops="+-*/", whole=True):
    """(value, text) of every expression of all the numbers; `whole`: by whole positive steps only."""
    if len(numbers) == 1:
        yield Fraction(numbers[0]), str(numbers[0])
        return
    places = range(len(numbers))
    for k in range(1, len(numbers)):
        for chosen in itertools.combinations(places, k):
            left = [numbers[i] for i in chosen]
            right = [numbers[i] for i in places if i not in chosen]
            for (a, x), (b, y) in itertools.product(answers(left, ops, whole), answers(right, ops, whole)):
                for op in ops:
                    made = joined(a, op, b)
                    if made is not None and not (whole and (made <= 0 or made.denominator > 1)):
                        yield made, f"({x}{op}{y})"


def joined(a, op, b):
    if op == "/":
        return None if b == 0 else a / b
    return a + b if op == "+" else a - b if op == "-" else a * b


@cache
def reachable(numbers):
    """What whole positive steps can make of numbers."""
    return {int(made) for made, _ in answers(numbers)}


def right_answer(answer: str, question) -> bool:
    """Whether an answer is right, by Python's own arithmetic."""
    text = plain(answer).replace(" ", "")
    if not re.fullmatch(r"[\d+*/()-]+", text, re.ASCII) or re.search(r"\*\*|//|\d\(|\)\d|\)\(|\b0\d", text):
        return False
    if re.search(r"(^|[-+*/(])[-+]", text):
        return False
    if sorted(map(int, re.findall(r"\d+", text))) != sorted(question.data[0]):
        return False
    try:
        made = eval(re.sub(r"\d+", r"Fraction(\g<0>)", text), {"Fraction": Fraction})
    except (SyntaxError, ZeroDivisionError, TypeError):
        return False
    return made == question.data[1]


def right_steps(steps: str, question) -> bool:
    lines = [line.strip() for line in steps.strip().split("\n")]
    return (backward_right if "?" in steps else forward_right)(lines, *question.data)


def forward_right(lines, numbers, target) -> bool:
    before = [list(numbers)]
    for line in lines:
        now = before[-1]
        if line.startswith("no "):
            dead = all(made != target for made, _ in answers(now)) if len(now) == 2 else False
            if len(before) == 1 or line != f"no {now[0]} {now[-1]}" or not dead:
                return False
            before.pop()
            continue
        found = re.fullmatch(r"(\d+)([-+*/])(\d+)=(\d+) \(([\d ]+)\)", line, re.ASCII)
        if not found or found[5] != found[5].strip() or "  " in found[5]:
            return False
        a, b, made = int(found[1]), int(found[3]), int(found[4])
        rest = Counter(now)
        rest.subtract([a, b])
        if min(rest.values()) < 0 or joined(Fraction(a), found[2], Fraction(b)) != made:
            return False
        listed = list(map(int, found[5].split(" ")))
        if +(rest + Counter([made])) != Counter(listed):
            return False
        before.append(listed)
    return before[-1] == [target]


def backward_right(lines, numbers, target) -> bool:
    wanted, left = [target], list(numbers)
    for k, line in enumerate(lines):
        found = re.fullmatch(r"(\d+)=(\d+)(\??)([-+*/])(\d+)(\??)", line, re.ASCII)
        if not found or int(found[1]) not in wanted:
            return False
        a, b = int(found[2]), int(found[5])
        if joined(Fraction(a), found[4], Fraction(b)) != int(found[1]):
            return False
        wanted.remove(int(found[1]))
        for number, mark in ((a, found[3]), (b, found[6])):
            if mark:
                wanted.append(number)
            elif number in left:
                left.remove(number)
            else:
                return False
        if not wanted and k < len(lines) - 1:
            return False
    return not wanted and not left


# -- the contract ------------------------------------------------------------------------------------------


def test_it_holds_to_the_contract():
    check_task(TASK, problems=60, right=right_answer, right_steps=right_steps)


def test_mutated_steps_are_all_right_exactly_where_they_are():
    rng, right = np.random.default_rng(3), 0
    for question in questions(12, seed=3):
        for strategy in TASK.strategies:
            lines = TASK.work(question, strategy).split("\n")
            for _ in range(12):
                changed = [*lines]
                i, j = rng.integers(len(lines), size=2)
                if rng.random() < 0.5:
                    changed[i], changed[j] = changed[j], changed[i]
                else:
                    changed[i] = mutate(rng, changed[i], TASK.alphabet)
                steps = "\n".join(changed)
                judged = right_steps(steps, question)
                assert (TASK.check_steps(steps, question) == 1) == judged, (question.prompt, steps)
                right += judged and changed != lines
    assert right > 20  # steps that do not need each other can be swapped


def test_the_examples_of_the_docstring_are_true():
    question, words = ask("4 7 9 3=25"), countdown.__doc__
    assert TASK.answer(question) in words
    for strategy in ("forward", "products", "backward"):
        for line in TASK.work(question, strategy).split("\n"):
            assert line in words
    assert forward_right(
        ["9/3=3 (4 7 3)", "7+4=11 (3 11)", "no 3 11", "7*4=28 (3 28)", "28-3=25 (25)"], *question.data
    )


# -- problems ----------------------------------------------------------------------------------------------


def test_problems_are_as_their_level_and_option_say():
    for task, largest in ((TASK, 99), (Countdown(largest=9), 9), (load("Countdown", {"largest": 25}), 25)):
        seen = Counter()
        for question in questions(100, task=task):
            numbers, target = question.data
            assert len(numbers) == question.level + 2
            assert 10 <= target <= 999
            seen.update(numbers)
            assert right_answer(task.answer(question), question)
        assert min(seen) == 1
        assert max(seen) == largest


def test_a_key_is_the_problem_in_whatever_order():
    assert ask("4 7 9 3=25").key == ask("3 9 4 7=25").key == "3 4 7 9=25"
    assert ask("4 7 9 3=25").key != ask("4 7 9 3=23").key
    assert ask("4 7 9 3=25").data == ((4, 7, 9, 3), 25)


@pytest.mark.parametrize("largest", [8, 100, 0, -3])
def test_numbers_out_of_range_are_refused(largest):
    with pytest.raises(OptionError, match="largest of task 'Countdown' must be from 9 to 99"):
        Countdown(largest=largest)


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("4 7=28", "has 2 numbers, not 3 to 6"),
        ("1 2 3 4 5 6 7=28", "has 7 numbers"),
        ("1 1 1=999", "'1 1 1=999' has no solution"),
        ("4  7 9=28", "is not numbers, '=' and a target"),
        ("4 7 9=28 ", "is not numbers"),
        ("4 7 09=28", "is not numbers"),
        ("4 7 100=28", "is not numbers"),
        ("4 7 9=1000", "is not numbers"),
        ("4+7+9=20", "is not numbers"),
    ],
)
def test_other_prompts_are_not_understood(prompt, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        ask(prompt)


def test_the_space_counts_no_problem_twice():
    task = Countdown(largest=9)
    sums = {tuple(sorted(n)) for n in itertools.product(range(1, 10), repeat=3) if sum(n) >= 10}
    assert task.space(1) <= len(sums)
    assert task.space(1) > 0.4 * len(sums)
    assert TASK.space(1) == math.comb(101, 3) - math.comb(9, 3)


# -- solver ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "draws", "largest"), [(2, 60, 12), (3, 60, 30), (4, 15, 12)])
def test_the_solver_finds_a_solution_exactly_where_there_is_one(n, draws, largest):
    rng, solved = np.random.default_rng(n), 0
    for _ in range(draws):
        numbers = tuple(rng.integers(1, largest, size=n).tolist())
        can = reachable(numbers)
        for target in {*rng.integers(1, 200, size=12).tolist(), *rng.choice(sorted(can), size=6).tolist()}:
            for strategy in ORDERS:
                if target in can:
                    assert_solves(solution(numbers, target, strategy), numbers, target)
                    solved += 1
                else:
                    with pytest.raises(ValueError, match="no solution"):
                        solution(numbers, target, strategy)
    assert solved > draws


def assert_solves(steps, numbers, target):
    left = list(numbers)
    for large, op, small, made in steps:
        left.remove(large)
        left.remove(small)
        assert large >= small
        assert joined(Fraction(large), op, Fraction(small)) == made > 0
        left.append(made)
    assert left == [target]


def test_five_and_six_numbers_too():
    """Against all that can be made, built up set by set."""
    for numbers in ((7, 3, 11, 2, 25), (1, 1, 5, 8, 40), (2, 3, 3, 7, 10, 50)):
        made = made_by_sets(numbers)
        for target in range(1, 1000, 7 if len(numbers) == 5 else 31):
            if target in made:
                assert_solves(solution(numbers, target), numbers, target)
            else:
                with pytest.raises(ValueError, match="no solution"):
                    solution(numbers, target)
    assert 0 < len([t for t in range(1, 1000) if t in made_by_sets((1, 1, 5, 8, 40))]) < 999


@cache
def made_by_sets(numbers):
    made = {}
    for size in range(1, len(numbers) + 1):
        for places in itertools.combinations(range(len(numbers)), size):
            values = {numbers[places[0]]} if size == 1 else set()
            for k in range(1, size // 2 + 1):
                for part in itertools.combinations(places, k):
                    rest = tuple(i for i in places if i not in part)
                    for a, b in itertools.product(made[part], made[rest]):
                        large, small = max(a, b), min(a, b)
                        values |= {large + small, large * small, large - small} - {0}
                        if large % small == 0:
                            values.add(large // small)
            made[places] = values
    return made[tuple(range(len(numbers)))]


def test_each_strategy_has_the_last_operator_that_it_would_rather_have():
    rng, last = np.random.default_rng(5), Counter()
    for _ in range(40):
        numbers = tuple(rng.integers(1, 12, size=3).tolist())
        target = int(rng.choice(sorted(reachable(numbers))))
        ends = {text_end(text) for made, text in answers(numbers) if made == target}
        for strategy, order in ORDERS.items():
            op = solution(numbers, target, strategy)[-1][1]
            assert op == next(op for op in order if op in ends)
            last[strategy, op] += 1
    assert last["forward", "*"] > last["products", "*"]


def text_end(text: str) -> str:
    return parse(text)[0]


# -- chance ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("numbers", "target"), [((3, 8, 8), 24), ((5, 5, 7), 25), ((1, 2, 12), 10), ((10, 99, 99), 999)]
)
def test_the_chance_of_three_numbers_is_the_share_of_all_expressions(numbers, target):
    right, count = share(numbers, target)
    assert count == 192
    assert TASK.chance(made_up(numbers, target)) == right / count


def test_so_is_that_of_four_numbers():
    for numbers, target in (((3, 3, 8, 8), 24), ((4, 7, 9, 3), 25), ((1, 1, 2, 6), 12)):
        right, count = share(numbers, target)
        assert count == 7680
        assert right > 0
        assert TASK.chance(made_up(numbers, target)) == right / count


@pytest.mark.slow
def test_so_is_that_of_five_by_all_430080_expressions():
    for numbers, target in (((9, 2, 7, 4, 8), 31), ((1, 1, 2, 3, 50), 100)):
        right, count = share(numbers, target)
        assert count == 430_080
        assert TASK.chance(made_up(numbers, target)) == right / count


def made_up(numbers, target) -> Question:
    """A question that the generator need not have made."""
    return Question("", (numbers, target), "", 1)


def share(numbers, target):
    """(right, all) over every order, every way to put brackets, every choice of operators."""
    values = Counter()
    for order in itertools.permutations(numbers):
        values += trees(order)
    return values[Fraction(target)], values.total()


@cache
def trees(order):
    """How often each value (None: divided by 0) is what an expression of numbers in this order amounts to."""
    if len(order) == 1:
        return Counter({Fraction(order[0]): 1})
    found = Counter()
    for k in range(1, len(order)):
        for (a, n), (b, m) in itertools.product(trees(order[:k]).items(), trees(order[k:]).items()):
            for op in "+-*/":
                found[None if a is None or b is None else joined(a, op, b)] += n * m
    return found


@pytest.mark.parametrize(
    ("numbers", "targets"),
    [
        ((9, 2, 7, 4, 8), (31, 100, 999)),
        pytest.param((99, 98, 97, 96, 95, 94), (193, 579, 999), marks=pytest.mark.slow),
    ],
)
def test_so_is_that_of_more_and_nothing_overflows(numbers, targets):
    """All expressions at once, by fractions modulo two primes, where no number grows large."""
    n = len(numbers)
    count = math.factorial(n) * math.comb(2 * n - 2, n - 1) // n * 4 ** (n - 1)
    rights = modular_counts(numbers, targets)
    assert sum(rights) > 0
    for target, right in zip(targets, rights):
        assert TASK.chance(made_up(numbers, target)) == right / count


PRIMES = np.array([2**31 - 1, 2**31 - 19])[:, None]


def modular_counts(numbers, targets) -> list[int]:
    """How many expressions amount to each target."""
    parts, rights = {}, [0 for _ in targets]
    for size in range(1, len(numbers) + 1):
        for chosen in itertools.combinations(range(len(numbers)), size):
            found = []
            if size == 1:
                found.append((np.full((2, 1), numbers[chosen[0]]), np.ones((2, 1), np.int64)))
            for k in range(1, size):
                for left in itertools.combinations(chosen, k):
                    rest = tuple(i for i in chosen if i not in left)
                    for over, under in modular_joined(parts[left], parts[rest]):
                        if size < len(numbers):
                            found.append((over, under))
                        for i, target in enumerate(targets):
                            hits = (over == target * under % PRIMES).all(axis=0)
                            rights[i] += int(hits.sum()) * (size == len(numbers))
            parts[chosen] = tuple(np.concatenate(side, axis=1) for side in zip(*found))
    return rights


def modular_joined(one, other):
    """(numerators, denominators), `[prime, expression]`, by each operator; none divides by 0."""
    shape = (2, one[0].shape[1], other[0].shape[1])
    a, b = (np.broadcast_to(x[:, :, None], shape).reshape(2, -1) for x in one)
    c, d = (np.broadcast_to(x[:, None, :], shape).reshape(2, -1) for x in other)
    ad, bc, bd = a * d % PRIMES, b * c % PRIMES, b * d % PRIMES
    yield (ad + bc) % PRIMES, bd
    yield (ad - bc) % PRIMES, bd
    yield a * c % PRIMES, bd
    some = (c != 0).any(axis=0)
    yield ad[:, some], bc[:, some]


# -- answers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "parsed", "said"),
    [
        ("7*4-9/3", True, ""),
        ("(7 * 4) - (9 / 3)", True, ""),
        ("9/(3/(7-4))+16", True, "it uses 3 4 7 9 16, not each of 3 4 7 9 once"),
        ("7*4-3", True, "it uses 3 4 7, not each"),
        ("7*4-9/3+0", True, "it uses 0 3 4 7 9"),
        ("7*4-9/3*1", True, "it uses"),
        ("7*4+9-3", True, "it is 34, not 25"),
        ("7*4-3/9", True, "it is 83/3, not 25"),
        ("9/(7-4-3)", True, "9/(7-4-3) divides by 0"),
        ("25", True, "it uses 25"),
        ("7*4-9/3=25", False, "'=' does not belong"),
        ("7*4-9//3", False, "'/' after"),
        ("7*4-9/3 or so", False, "does not belong"),
        ("-9/3+7*4", False, "'-', where a number"),
        ("7*4-+9/3", False, "'+' after"),
        ("79-34-20", True, "it uses 20 34 79"),
        ("", False, "the end"),
    ],
)
def test_answers_are_judged_by_their_numbers_and_their_value(answer, parsed, said):
    verdict = TASK.verify(write(answer), ask("4 7 9 3=25"))
    assert (verdict.success, verdict.reward) == (not said, float(not said))
    assert verdict.parsed == parsed
    assert said in verdict.error


def test_fractions_and_negative_numbers_on_the_way_are_right():
    assert 24 not in reachable((3, 3, 8, 8))
    assert TASK.check("8/(3-8/3)", made_up((3, 3, 8, 8), 24)).success
    assert TASK.check("9-4*(3-7)", ask("4 7 9 3=25")).success


# -- steps -------------------------------------------------------------------------------------------------


def test_the_answer_is_the_one_that_the_steps_come_to():
    differ = 0
    for question in questions(15, seed=8):
        for strategy in (DIRECT, *TASK.strategies):
            said = read(TASK.completion(question, strategy))
            assert evaluate(said.answer) == question.data[1]
            if strategy == DIRECT:
                direct = said.answer
                continue
            differ += said.answer != direct
            kept = []
            for line in said.steps.split("\n"):
                kept = kept[:-1] if line.startswith("no") else [*kept, line]
            sides = [re.sub(r" \(.*\)|\?", "", line).split("=") for line in kept]
            if strategy == "backward":
                sides = [(right, left) for left, right in reversed(sides)]
            assert Counter(re.findall(r"[-+*/]", "".join(left for left, _ in sides))) == Counter(
                re.findall(r"[-+*/]", said.answer)
            )
            assert sorted(numbers_used(sides)) == sorted(literals(parse(said.answer)))
    assert differ > 20


def numbers_used(sides) -> list[int]:
    """What lines take that no line before has made."""
    made, used = Counter(), []
    for left, right in sides:
        for number in map(int, re.findall(r"\d+", left)):
            if made[number]:
                made[number] -= 1
            else:
                used.append(number)
        made[int(right)] += 1
    return used


def test_numbers_that_are_made_again_keep_no_order_from_being_found():
    """`12-6=6` gives back what it takes: nothing else may take its 6 before."""
    rng, again = np.random.default_rng(12), 0
    for _ in range(1500):
        question = Countdown(largest=12).generate(rng, 4)
        steps = TASK.work(question, "products")
        assert TASK.check_steps(steps, question) == 1
        kinds = re.findall(r"([-+*/])\d+=", steps)
        again += kinds != sorted(kinds, key="*/+-".index)
    tree = ("*", ("-", 12, 6), 4)
    assert countdown._products_first(tree) == [(12, "-", 6, 6), (6, "*", 4, 24)]
    assert countdown._products_first(("+", ("+", 1, 2), ("*", 3, 4)))[0] == (3, "*", 4, 12)
    assert again


def test_strategies_differ_and_a_search_shows_what_fails():
    works = [{s: TASK.work(q, s) for s in TASK.strategies} for q in questions(30, seed=9)]
    for one, other in itertools.combinations(TASK.strategies, 2):
        assert sum(work[one] != work[other] for work in works) > len(works) / 4
    dead = [work["search"].count("no ") for work in works]
    assert max(dead) >= 5
    assert np.mean(dead) > 1


@pytest.mark.parametrize(
    ("steps", "share"),
    [
        ("9/3=3 (4 7 3)\n7*4=28 (3 28)\n28-3=25 (25)", 1),
        ("7*4=28 (9 3 28)\n9/3=3 (28 3)\n28-3=25 (25)", 1),
        ("7*4=28 (28 9 3)\n9/3=3 (3 28)\n28-3=25 (25)", 1),
        ("7*4=28 (9 3 28)\n9/3=3 (28 3)", 2 / 3),
        ("7*4=28 (9 3 28)\n9/3=3 (28 3)\n28+3=31 (31)", 2 / 3),
        ("7*4=28 (9 3 28)\n9/3=3 (28 3)\n28+3=31 (31)\n28-3=25 (25)", 3 / 4),
        ("7*4=29 (9 3 29)\n9/3=3 (4 7 3)\n7*4=28 (3 28)\n28-3=25 (25)", 3 / 4),
        ("28-3=25 (25)\n9/3=3 (28 3)\n7*4=28 (9 3 28)", 1 / 3),
        ("3-9=6 (4 7 6)", 0),
        ("7/4=1 (9 3 1)", 0),
        ("7*4=28 (9 3)", 0),
        ("7*4=28 (9 3 3 28)", 0),
        ("7*7=49 (4 9 3 49)", 0),
        ("25=25 (25)", 0),
        ("9/3=3 (4 7 3)\n7+4=11 (3 11)\nno 3 11\n7*4=28 (3 28)\n28-3=25 (25)", 1),
        ("9/3=3 (4 7 3)\n7+4=11 (3 11)\nno 11 3\n7*4=28 (3 28)\n28-3=25 (25)", 2 / 5),
        ("9/3=3 (4 7 3)\n7*4=28 (3 28)\nno 3 28", 2 / 3),
        ("9/3=3 (4 7 3)\nno 4 7 3", 1 / 3),
        ("no 4 7 9 3", 0),
        ("25=28?-3?\n28=7*4\n3=9/3", 1),
        ("25=28?-3?\n3=9/3\n28=7*4", 1),
        ("25=28?-3\n28=7?*4\n7=7", 2 / 3),
        ("25=28?-3\n28=7*4", 1 / 3),
        ("25=28?-3?\n28=7*4\n3=9/3\n3=9/3", 3 / 4),
        ("28=7*4\n25=28?-3?\n3=9/3", 2 / 3),
        ("25=25?*1?\n25=25?*1?\n25=25?*1?", 1 / 3),
        ("25=30?-5?\n30=10?*3\n5=9-4", 2 / 3),
        ("25=26?-1?", 1 / 3),
    ],
)
def test_steps_are_worth_the_share_of_lines_that_lead_on(steps, share):
    assert TASK.check_steps(steps, ask("4 7 9 3=25")) == pytest.approx(share)


def test_going_back_and_forth_earns_nothing():
    question = ask("4 7 9 3=25")
    once = "9/3=3 (4 7 3)\n7+4=11 (3 11)\nno 3 11"
    assert TASK.check_steps(once, question) == pytest.approx(1 / 3)
    again = once + "\n7+4=11 (3 11)\nno 3 11" * 40
    assert TASK.check_steps(again, question) == pytest.approx(1 / 3)
    assert TASK.check_steps(again + "\n7+4=11 (3 11)\nno 3 11" * MOST_LINES, question) == 0
