"""Sorting, reversal and letter counting, against brute force and what a person would write."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest

from envs.text import load
from envs.text.check import check_task
from envs.text.lines import right_lines
from envs.text.parsing import write
from envs.text.words import letters, reversal, sorting
from envs.text.words.words import KINDS, Size, draw, items_in, orders, words

NAMES = ("Sorting", "Reversal", "LetterCount")


def questions(task, count=20, seed=0):
    for level in range(1, task.levels + 1):
        rng = np.random.default_rng([seed, level])
        yield from (task.generate(rng, level) for _ in range(count))


@pytest.mark.parametrize("name", NAMES)
def test_it_holds_to_the_contract(name):
    check_task(load(name), problems=70)


def plain_answer(prompt: str) -> str:
    """What a prompt asks for, worked out in another way: by looking for the smallest, or from the last on."""
    what, text = prompt.split(":")
    if what.startswith("count "):
        return str(len([each for each in text if each == what[-1]]))
    items = text.split() if " " in text else list(text)
    if what == "reverse":
        out = []
        while items:
            out.append(items.pop())
    else:
        out = []
        while items:
            least = 0
            for i, item in enumerate(items):
                pair = item, items[least]
                if (int(pair[0]) < int(pair[1])) if item.isdigit() else (pair[0] < pair[1]):
                    least = i
            out.append(items.pop(least))
    return (" " if " " in text else "").join(out)


@pytest.mark.parametrize("name", NAMES)
def test_answers_are_those_of_a_plain_solver(name):
    task = load(name)
    for question in questions(task):
        right = plain_answer(question.prompt)
        assert task.answer(question) == right
        assert task.verify(write(right), question).success


@pytest.mark.parametrize(
    ("name", "prompt"),
    [
        ("Sorting", "sort:dbcad"),
        ("Sorting", "sort:31 4 15 4"),
        ("Sorting", "sort:plum fig pear fig"),
        ("Reversal", "reverse:abcda"),
        ("Reversal", "reverse:plum fig pear fig"),
    ],
)
def test_chance_is_the_share_of_orders_that_are_right(name, prompt):
    task = load(name)
    question = task.understand(prompt)
    between = " " if " " in prompt else ""
    answers = {between.join(order) for order in itertools.permutations(question.data)}
    verdicts = [task.verify(write(answer), question) for answer in answers]
    assert all(v.parsed for v in verdicts)
    right = sum(v.success for v in verdicts)
    assert right == 1
    assert task.chance(question) == pytest.approx(1 / len(answers), abs=1e-15)
    assert orders(question.data) == len(answers)


def test_chance_of_a_count_is_the_share_of_counts_that_are_right():
    task = load("LetterCount")
    question = task.understand("count r:straw berry")
    rewards = [task.verify(write(str(k)), question).reward for k in range(11)]
    assert rewards == [0, 0, 0, 1, *[0] * 7]
    assert task.chance(question) == pytest.approx(1 / 11)


STEPS = {
    "sort:dbca": {"steps": "a:dbc\nb:dc\nc:d\nd:", "insertion": "d:bca\nbd:ca\nbcd:a\nabcd:"},
    "sort:31 4 15": {"steps": "4:31 15\n15:31\n31:", "insertion": "31:4 15\n4 31:15\n4 15 31:"},
    "sort:baab": {"steps": "a:bab\na:bb\nb:b\nb:", "insertion": "b:aab\nab:ab\naab:b\naabb:"},
    "reverse:dbca": {"steps": "a:dbc\nac:db\nacb:d\nacbd:"},
    "reverse:plum fig pear": {"steps": "pear:plum fig\npear fig:plum\npear fig plum:"},
    "count r:straw berry": {"steps": "s0\nt0\nr1\na1\nw1\nb1\ne1\nr2\nr3\ny3"},
}


def task_of(prompt):
    return load({"sort": "Sorting", "reve": "Reversal", "coun": "LetterCount"}[prompt[:4]])


@pytest.mark.parametrize("prompt", STEPS)
def test_steps_are_as_shown_and_count_a_line_each(prompt):
    task = task_of(prompt)
    question = task.understand(prompt)
    for strategy, text in STEPS[prompt].items():
        assert task.work(question, strategy) == text
        lines = text.split("\n")
        n = len(lines)
        assert task.check_steps(text, question) == 1
        assert task.check_steps("\n".join(lines[:-1]), question) == pytest.approx((n - 1) / n)
        assert task.check_steps("\n".join([*lines, lines[-1]]), question) == pytest.approx(n / (n + 1))
        assert task.check_steps("\n".join(["?", *lines]), question) < 1
        swapped = [lines[1], lines[0], *lines[2:]]
        assert task.check_steps("\n".join(swapped), question) == pytest.approx((n - 2) / n)
        assert task.check_steps("?", question) == 0
    wrong = task.verify(write("?", text), question)
    assert not wrong.success
    assert wrong.parts["steps"] == 1
    assert wrong.parts["proved"] == 0


def test_two_ways_of_sorting_do_not_add_up():
    task = load("Sorting")
    question = task.understand("sort:dbca")
    assert task.check_steps("a:dbc\nb:dc\nbcd:a\nabcd:", question) == 0.5


def test_lines_count_in_their_places():
    assert right_lines("a\nb\nc", "abc") == 1
    assert right_lines("\n a \nb\nc\n", "abc") == 1
    assert right_lines("b\na\nc", "abc") == pytest.approx(1 / 3)
    assert right_lines("a\n" * 30, "a") == pytest.approx(1 / 30)
    assert right_lines("", "abc") == 0


@pytest.mark.parametrize(
    ("answer", "prefix"),
    [
        ("abcd", Fraction(1)),
        ("a b c d", Fraction(1)),
        ("a, b, c, d", Fraction(1)),
        ("abdc", Fraction(1, 2)),
        ("ab", Fraction(1, 2)),
        ("abcdd", Fraction(4, 5)),
        ("abcd" * 10, Fraction(4, 40)),
        ("xabcd", Fraction(0)),
        ("ABCD", Fraction(0)),
        ("abc4", Fraction(0)),
        ("", Fraction(0)),
        ("abcd or not", Fraction(4, 9)),
    ],
)
def test_the_right_prefix_has_a_part_of_its_own_and_no_reward(answer, prefix):
    task = load("Sorting")
    verdict = task.verify(write(answer), task.understand("sort:dbca"))
    assert verdict.parts["prefix"] == pytest.approx(float(prefix))
    assert verdict.success == (prefix == 1)
    assert verdict.reward == float(prefix == 1)


@pytest.mark.parametrize(
    ("prompt", "right", "wrong"),
    [
        ("sort:31 4 15", ["4 15 31", "4,15,31", " 4,  15 ,31 "], ["04 15 31", "41531", "4 15", "4 15 31 31"]),
        ("sort:31 4 15", [], ["4.0 15 31", "-4 15 31", "4 15 1e9", "4 15 31.", "٤ 15 31", "31 15 4"]),
        ("sort:pear fig", ["fig pear", "fig, pear"], ["figpear", "fig Pear", "pear fig", "fig pear fig"]),
        ("reverse:abc", ["cba"], ["abc", "cb", "cbaa", "c-b-a"]),
        (
            "count r:strawberry",
            ["3", "3.", "+3", "３", "\\boxed{3}"],
            ["three", "2", "3 or 2", "3r", "33", ""],
        ),
    ],
)
def test_what_counts_as_the_answer(prompt, right, wrong):
    task = task_of(prompt)
    question = task.understand(prompt)
    assert all(task.verify(write(answer), question).success for answer in right)
    assert not any(task.verify(write(answer), question).reward for answer in wrong)


def test_rows_that_differ_in_order_only_are_one_problem_of_sorting_but_not_of_reversal():
    keys = {
        load("Sorting").understand(f"sort:{''.join(order)}").key for order in itertools.permutations("abc")
    }
    assert keys == {"abc"}
    assert load("Sorting").understand("sort:100 20 3").key == "3 20 100"
    task = load("Reversal")
    assert len({task.understand(f"reverse:{''.join(o)}").key for o in itertools.permutations("abc")}) == 6


SMALL = [Size("numbers", 1, 3, 4), Size("numbers", 2, 2, 3)]


@pytest.mark.parametrize("size", SMALL)
def test_the_space_of_sorting_is_every_different_problem(size, monkeypatch):
    monkeypatch.setattr(sorting, "LEVELS", (size,))
    task = load("Sorting")
    every = range(size.fewest, size.most + 1)
    rows = [row for n in every for row in itertools.product(map(str, range(size.below)), repeat=n)]
    assert task.space(1) == len({task.understand(f"sort:{' '.join(row)}").key for row in rows})


def test_the_space_of_reversal_is_every_different_row(monkeypatch):
    monkeypatch.setattr(reversal, "LEVELS", (Size("letters", 1, 3),))
    assert load("Reversal").space(1) == 26 + 26**2 + 26**3


def test_the_space_of_counting_is_every_letter_of_every_row_of_words(monkeypatch):
    monkeypatch.setattr(letters, "words", lambda: ("abc", "aab"))
    task = load("LetterCount")
    monkeypatch.setattr(letters, "LEVELS", (letters.Size(2, 1),))
    rng = np.random.default_rng(0)
    keys = {task.generate(rng, 1).key for _ in range(5000)}
    assert len(keys) == task.space(1) == 26 * 4


@pytest.mark.parametrize(("level", "most"), [(1, 2), (2, 3), (3, 4), (4, 6)])
def test_counts_are_drawn_evenly(level, most):
    """Those from `most` on together; a standard deviation of a share is 0.01 at most."""
    task = load("LetterCount")
    rng = np.random.default_rng(0)
    counts = np.array([int(task.answer(task.generate(rng, level))) for _ in range(2000)])
    share = np.bincount(np.minimum(counts, most)) / 2000
    assert share == pytest.approx(1 / (most + 1), abs=0.04)
    assert counts.max() > most


@pytest.mark.parametrize(
    ("name", "prompts"),
    [
        ("Sorting", ["sort:", "sort:a b", "sort:1,2", "sort:01 2", "sort:dbca ", "sort:Ab", "reverse:ab"]),
        ("Sorting", ["dbca", "sort:1 a", "sort:a 1", "sort:٣ 2", "sort:-1 2", "sort:pear  fig", "sort:a\nb"]),
        ("Reversal", ["reverse:", "reverse:1 2", "reverse: ab", "sort:ab", "reverse:ab ", "reverse:a-b"]),
        (
            "LetterCount",
            ["count r:", "count rr:berry", "count r:Berry", "count 1:a1", "count r:a  b", "r:ab"],
        ),
    ],
)
def test_other_texts_are_no_problems(name, prompts):
    for prompt in prompts:
        with pytest.raises(ValueError, match=r"."):
            load(name).understand(prompt)


def test_all_kinds_are_drawn_and_read_back():
    rng = np.random.default_rng(0)
    for kind in KINDS:
        counts = set()
        for _ in range(200):
            items = draw(rng, Size(kind, 2, 4))
            counts.add(len(items))
            assert items_in(", ".join(items), kind) == items
        assert counts == {2, 3, 4}


def test_the_words_are_words():
    known = words()
    assert list(known) == sorted(set(known))
    assert all(
        word.isascii() and word.isalpha() and word.islower() and 3 <= len(word) <= 10 for word in known
    )
    assert {"strawberry", "apple", "zebra"} <= set(known)


FIRST = {
    "Sorting": ["sort:sqrg", "sort:sqrgbx"],
    "Reversal": ["reverse:sqrg", "reverse:sqrgbx"],
    "LetterCount": ["count q:repeat", "count q:repeat plenty"],
}


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_names_the_same_problem_for_ever(name):
    task = load(name)
    found = [task.generate(np.random.default_rng(37), level).prompt for level in (1, 2)]
    assert found == FIRST[name]
