"""Constrained writing, against a plain reading of every constraint and enumeration over few words."""

from __future__ import annotations

import itertools
import re
import sys

import numpy as np
import pytest

from envs.text import load
from envs.text.check import check_task, mutate
from envs.text.parsing import plain, write
from envs.text.words import writing
from envs.text.words.words import words

WRITING = load("Writing")


def questions(count, levels=None, seed=0):
    for level in levels or range(1, WRITING.levels + 1):
        rng = np.random.default_rng([seed, level])
        yield from (WRITING.generate(rng, level) for _ in range(count))


def plain_syllables(word):
    """Letter by letter: where a vowel begins a row, and the silent e taken off."""
    count = sum(c in "aeiouy" and (i == 0 or word[i - 1] not in "aeiouy") for i, c in enumerate(word))
    last_alone = count > 1 and word[-1] == "e" and word[-2] not in "aeiouy"
    sounded = word[-2] == "l" and word[-3] not in "aeiouy"
    return count - (last_alone and not sounded)


def keeps(said, prompt):
    """Whether words keep to all that a prompt tells."""
    told = dict(part.split(":") for part in prompt.split(";"))
    lengths = [int(n) for n in told.get("lengths", "").split()]
    return (
        len(said) == (len(told.get("first", "")) or len(lengths))
        and len(set(said)) == len(said)
        and all(word in words() for word in said)
        and "".join(word[0] for word in said).startswith(told.get("first", ""))
        and (not lengths or [len(word) for word in said] == lengths)
        and not any(c in word for word in said for c in told.get("without", ""))
        and ("syllables" not in told or sum(map(plain_syllables, said)) == int(told["syllables"]))
    )


def right(answer, question):
    return keeps(plain(answer).lower().replace(",", " ").split(), question.prompt)


def right_steps(steps, question):
    said, total = [], 0
    for line in steps.split("\n"):
        word, *numbers = line.strip().split(" ")
        if word not in words():
            return False
        total += plain_syllables(word)
        if numbers != [str(n) for n in (len(word), plain_syllables(word), total)]:
            return False
        said.append(word)
    return keeps(said, question.prompt)


def test_it_holds_to_the_contract():
    check_task(WRITING, problems=70, right=right, right_steps=right_steps)


@pytest.mark.parametrize(
    ("word", "count"),
    [
        *[("make", 1), ("apple", 2), ("idea", 2), ("the", 1), ("able", 2), ("whole", 1), ("believe", 2)],
        *[
            ("strawberry", 3),
            ("rhythm", 1),
            ("agree", 2),
            ("uniform", 3),
            ("eye", 1),
            ("blue", 1),
            ("save", 1),
        ],
    ],
)
def test_syllables_are_counted_by_the_rule(word, count):
    assert writing.syllables(word) == plain_syllables(word) == count


def test_syllables_of_all_words_are_those_of_the_plain_rule():
    assert [writing.syllables(word) for word in words()] == [plain_syllables(word) for word in words()]


def test_the_head_of_the_file_shows_a_problem_and_its_steps():
    head = sys.modules[type(WRITING).__module__].__doc__
    question = WRITING.understand("first:cat;without:es")
    assert f"    {question.prompt}\n" in head
    assert WRITING.check("crown autumn town", question).success
    assert "`crown autumn town`" in head
    steps = re.findall(r"^    ([a-z]+ \d \d \d)$", head, re.MULTILINE)
    assert WRITING.check_steps("\n".join(steps), question) == 1


FEW = ("able", "bad", "bee", "cab", "cable", "dab", "ebb", "idea")


@pytest.fixture
def few_words(monkeypatch):
    """So few words that all answers can be tried."""
    cached = [each for each in vars(writing).values() if hasattr(each, "cache_clear") and each is not words]
    monkeypatch.setattr(writing, "words", lambda: FEW)
    for each in cached:
        each.cache_clear()
    yield
    for each in cached:
        each.cache_clear()


@pytest.mark.parametrize(
    "prompt",
    [
        "first:ab",
        "first:bb",
        "first:bac",
        "first:cc",
        "lengths:3 3",
        "lengths:3 3 4;without:i",
        "lengths:3 3 3 3;syllables:4",
        "first:bc;syllables:3",
        "first:ii",
        "lengths:4 4;syllables:4",
        "lengths:4 4;syllables:3",
        "first:bcd;lengths:3 5 3;syllables:4;without:i",
        "lengths:3;without:ad",
    ],
)
def test_something_is_written_wherever_anything_can_be_and_chance_bounds_it(few_words, prompt):
    count = len(prompt.split(":")[1].split(";")[0].replace(" ", ""))
    tried = list(itertools.product(FEW, repeat=count))
    allowed = []
    for said in tried:
        without = prompt.partition("without:")[2]
        total = re.findall(r"syllables:(\d+)", prompt)
        lengths = re.findall(r"lengths:([\d ]+)", prompt)
        first = re.findall(r"first:([a-z]+)", prompt)
        fits = not first or [word[0] for word in said] == list(first[0])
        fits &= not lengths or [len(word) for word in said] == [int(n) for n in lengths[0].split()]
        fits &= not any(c in word for word in said for c in without)
        fits &= not total or sum(map(plain_syllables, said)) == int(total[0])
        if fits:
            allowed.append(said)
    distinct = {said for said in allowed if len(set(said)) == count}
    if not distinct:
        with pytest.raises(ValueError, match="cannot be kept to"):
            WRITING.understand(prompt)
        return
    question = WRITING.understand(prompt)
    found = {said for said in tried if WRITING.check(" ".join(said), question).success}
    assert found == distinct
    assert tuple(WRITING.answer(question).split()) in distinct
    assert WRITING.chance(question) == pytest.approx(min(0.5, len(allowed) / len(FEW) ** count))
    assert WRITING.chance(question) >= min(0.5, len(distinct) / len(FEW) ** count)


def test_chance_is_small():
    assert max(WRITING.chance(question) for question in questions(50)) < 0.001


def test_a_level_has_its_constraints():
    for question in questions(40):
        size = writing.LEVELS[question.level - 1]
        told = dict(part.split(":") for part in question.prompt.split(";"))
        wanted = ["first"] * size.first + ["lengths"] * size.lengths + ["syllables"] * size.syllables
        assert list(told) == wanted + ["without"] * bool(size.without)
        assert len(told.get("without", "")) == size.without
        assert size.fewest <= len(WRITING.answer(question).split()) <= size.most
        assert told.get("first", words()[0]) in words()


@pytest.mark.parametrize("level", [3, 5])
def test_any_three_lengths_a_place_can_be_written_without_any_letters(level):
    """So `space`, which counts them, is a lower bound."""
    size = writing.LEVELS[level - 1]
    for letters in itertools.combinations(writing.COMMON, size.without):
        lengths = [len(word) for word in words() if not set(word) & set(letters)]
        assert min(map(lengths.count, (4, 5, 6))) >= size.most
    assert WRITING.space(level) == 3**size.most * len(
        list(itertools.combinations(writing.COMMON, size.without))
    )


def test_the_space_of_first_letters_counts_words_and_letters():
    count, spelt = 0, [word for word in words() if 3 <= len(word) <= 5]
    for letters in itertools.combinations(writing.COMMON, 2):
        free = [each[0] for each in words() if not set(each) & set(letters)]
        begin = {c: free.count(c) for c in "abcdefghijklmnopqrstuvwxyz"}
        count += sum(all(begin[c] >= word.count(c) for c in word) for word in spelt)
    assert WRITING.space(2) == count


PROMPT = "first:cat;lengths:5 6 4;syllables:4;without:es"


@pytest.mark.parametrize(
    ("answer", "parsed", "error"),
    [
        ("crown autumn town", True, ""),
        ("Crown, Autumn, Town", True, ""),
        ("crown\nautumn\ntown", True, ""),
        ("crown autumn", True, "2 words, not 3"),
        ("crown autumn town town", True, "4 words, not 3"),
        ("crown autumn txpw", True, "'txpw' is not on the list of words"),
        ("crown crown town", True, "'crown' is there twice"),
        ("brown autumn town", True, "'brown' does not begin with c"),
        ("coin autumn town", True, "'coin' has 4 letters, not 5"),
        ("chest autumn town", True, "'chest' has one of the letters es"),
        ("cabin autumn town", True, "5 syllables, not 4"),
        ("crown-autumn-town", False, "not words with spaces between"),
        ("crown autumn 3", False, "not words with spaces between"),
        ("", False, "not words with spaces between"),
    ],
)
def test_the_verdict_says_which_constraint_is_broken(answer, parsed, error):
    verdict = WRITING.verify(write(answer), WRITING.understand(PROMPT))
    assert (verdict.success, verdict.parsed, verdict.error) == (not error, parsed, error)


@pytest.mark.parametrize(
    ("steps", "worth"),
    [
        ("crown 5 1 1\nautumn 6 2 3\ntown 4 1 4", 1),
        ("crown 5 1 1\nautumn 6 2 3", 2 / 3),
        ("crown 5 1 1\nautumn 6 2 3\ntown 4 1 5", 2 / 3),
        ("cabin 5 2 2\nautumn 6 2 4\ntown 4 1 5", 2 / 3),  # one syllable too many
        ("crown 5 2 2\nautumn 6 2 4\ntown 4 1 5", 0),
        ("crown 5 1 1\nautumn 6 2 3\ntown 4 1 4\nget 3 1 5", 3 / 4),
        ("autumn 6 2 2\ncrown 5 1 3\ntown 4 1 4", 0),
    ],
)
def test_lines_count_up_to_the_first_mistake(steps, worth):
    assert WRITING.check_steps(steps, WRITING.understand(PROMPT)) == pytest.approx(worth)


def test_steps_are_changed_and_judged_as_plainly():
    rng = np.random.default_rng(5)
    for question in questions(6):
        lines = WRITING.work(question, "words").split("\n")
        for _ in range(20):
            i = int(rng.integers(len(lines)))
            steps = "\n".join([*lines[:i], mutate(rng, lines[i], WRITING.alphabet), *lines[i + 1 :]])
            assert (WRITING.check_steps(steps, question) == 1) == right_steps(steps, question), steps


@pytest.mark.parametrize(
    "prompt",
    [
        "first:",
        "first:cat;",
        "first:Cat",
        "without:e",
        "syllables:4",
        "first:cat;lengths:3 3",
        "lengths:3 3;first:ca",
        "lengths:03 3",
        "lengths:3,3",
        "first:xxx",
        "first:cat;without:se",
        "first:cat;without:ee",
        "first:cat;without:c",
        "first:cat;syllables:30",
        "first:catcatcat",
        "lengths:20 20",
    ],
)
def test_other_texts_are_no_problems(prompt):
    with pytest.raises(ValueError, match=r"."):
        WRITING.understand(prompt)


def test_a_seed_names_the_same_problem_for_ever():
    found = [WRITING.generate(np.random.default_rng(37), level).prompt for level in (1, 2)]
    assert found == ["first:ready", "first:poem;without:is"]
