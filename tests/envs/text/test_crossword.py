"""Crosswords, against a plain reading of grids and fillings by brute force."""

from __future__ import annotations

import itertools
import re
import sys
from collections import Counter

import numpy as np
import pytest

from envs.text import load
from envs.text.check import check_task, mutate
from envs.text.parsing import plain, write
from envs.text.words import crossword
from envs.text.words.words import words

CROSSWORD = load("Crossword")


def questions(count, levels=None, seed=0):
    for level in levels or range(1, CROSSWORD.levels + 1):
        rng = np.random.default_rng([seed, level])
        yield from (CROSSWORD.generate(rng, level) for _ in range(count))


def places(rows):
    """By (row, column, way), what is written in two or more cells."""
    found = {}
    for way, lines in (("a", rows), ("d", ["".join(column) for column in zip(*rows)])):
        for i, line in enumerate(lines):
            start = 0
            for part in line.split("#"):
                if len(part) > 1:
                    found[(i, start, way) if way == "a" else (start, i, way)] = part
                start += len(part) + 1
    return found


def told(prompt):
    *rows, last = prompt.split("\n")
    return rows, last.split(" ")


def fit(said, clues):
    """Whether each word has a clue of its own, by trying all ways to join them."""
    if not said:
        return not clues
    one, *others = said
    for clue in set(clues):
        hidden = clue[0] == "?" and sorted(one) == list(clue[1:]) and one in words()
        if clue == one or hidden:
            rest = [*clues]
            rest.remove(clue)
            if fit(others, rest):
                return True
    return False


def right(answer, question):
    rows, clues = told(question.prompt)
    said = ["".join(row.split()) for row in plain(answer).lower().split("\n")]
    if [re.sub("[a-z]", ".", row) for row in said] != rows:
        return False
    found = list(places(said).values())
    return len(set(found)) == len(found) and fit(found, clues)


def right_steps(steps, question):
    rows, clues = told(question.prompt)
    grid, seen = [list(row) for row in rows], []
    open_places = {place: len(text) for place, text in places(rows).items()}
    for line in steps.split("\n"):
        found = re.fullmatch(r"r(\d+)c(\d+)([ad])=([a-z]+)", line.strip())
        place = (int(found[1]) - 1, int(found[2]) - 1, found[3]) if found else None
        if not found or "r0" in line or "c0" in line or open_places.pop(place, None) != len(found[4]):
            return False
        for k, letter in enumerate(found[4]):
            r, c = (place[0], place[1] + k) if place[2] == "a" else (place[0] + k, place[1])
            if grid[r][c] not in (".", letter):
                return False
            grid[r][c] = letter
        seen.append(found[4])
    return not open_places and len(set(seen)) == len(seen) and fit(seen, clues)


def test_it_holds_to_the_contract():
    check_task(CROSSWORD, problems=45, right=right, right_steps=right_steps)


def test_the_head_of_the_file_shows_a_problem_its_answer_and_its_steps():
    head = sys.modules[type(CROSSWORD).__module__].__doc__
    blocks = re.findall(r"(?:^    .+\n)+", head, re.MULTILINE)
    prompt, answer, steps = ("\n".join(line.strip() for line in block.splitlines()) for block in blocks[:3])
    question = CROSSWORD.understand(prompt)
    assert CROSSWORD.answer(question) == answer
    assert sorted(CROSSWORD.work(question, "words").split("\n")) == sorted(steps.split("\n"))
    assert CROSSWORD.check_steps(steps, question) == 1


def by_force(prompt):
    """All full grids: every order of the words that the clues may stand for."""
    rows, clues = told(prompt)
    spots = sorted(places(rows))
    meant = [[w for w in words() if sorted(w) == list(c[1:])] if c[0] == "?" else [c] for c in clues]
    found = set()
    for chosen in itertools.product(*meant):
        for order in set(itertools.permutations(chosen)):
            if len(set(order)) < len(order):
                continue
            steps = [f"r{r + 1}c{c + 1}{way}={word}" for (r, c, way), word in zip(spots, order)]
            if right_steps("\n".join(steps), CROSSWORD.understand(prompt)):
                found.add(tuple(steps))
    return found


def test_every_filling_is_found():
    for question in questions(4, (1, 2, 3, 4)):
        wanted = by_force(question.prompt)
        found = [
            tuple(f"r{r + 1}c{c + 1}{way}={word}" for (r, c, way), word in sorted(fill))
            for fill in crossword.fills(*question.data)
        ]
        assert sorted(found) == sorted(wanted)
        assert CROSSWORD.chance(question) == pytest.approx(len(wanted) / 26 ** question.prompt.count("."))


def test_words_with_the_same_letters_may_change_places():
    """`east` and `seat` cross at their last letters."""
    question = CROSSWORD.understand("###.\n###.\n###.\n....\n?aest ?aest")
    assert len(by_force(question.prompt)) == 2
    for across, down in (("east", "seat"), ("seat", "east")):
        rows = "\n".join([f"###{letter}" for letter in down[:3]] + [across])
        assert CROSSWORD.verify(write(rows), question).success
    same = "\n".join([f"###{letter}" for letter in "eas"] + ["east"])
    verdict = CROSSWORD.verify(write(same), question)
    assert (verdict.success, verdict.error) == (False, "'east' is there twice")
    named = CROSSWORD.understand("###.\n###.\n###.\n....\n?aest east")
    assert CROSSWORD.verify(write(rows), named).success
    assert CROSSWORD.check_steps("r4c1a=seat\nr1c4d=east", named) == 1
    assert CROSSWORD.check_steps("r4c1a=seat\nr1c4d=seat", named) == 0.5


def test_grids_are_crosswords_of_the_level():
    for question in questions(20):
        size = crossword.LEVELS[question.level - 1]
        rows, clues = told(question.prompt)
        spots = places(rows)
        assert len(spots) == len(clues) == size.words
        assert sum(clue[0] == "?" for clue in clues) == round(size.scrambled * size.words)
        assert max(map(len, spots.values())) <= size.longest
        assert max(len(rows), len(rows[0])) <= crossword.SIDE
        cells = Counter(
            (r, c + k) if way == "a" else (r + k, c)
            for (r, c, way), text in spots.items()
            for k in range(len(text))
        )
        assert set(cells) == {
            (r, c) for r, row in enumerate(rows) for c, cell in enumerate(row) if cell == "."
        }
        assert sum(count == 2 for count in cells.values()) >= size.words - 1
        solution = CROSSWORD.answer(question).split("\n")
        assert all(word in words() for word in places(solution).values())


def test_steps_are_changed_and_judged_as_plainly():
    rng = np.random.default_rng(5)
    for question in questions(4):
        lines = CROSSWORD.work(question, "words").split("\n")
        for _ in range(20):
            i = int(rng.integers(len(lines)))
            steps = "\n".join([*lines[:i], mutate(rng, lines[i], CROSSWORD.alphabet), *lines[i + 1 :]])
            assert (CROSSWORD.check_steps(steps, question) == 1) == right_steps(steps, question), steps
        rng.shuffle(lines)
        assert CROSSWORD.check_steps("\n".join(lines), question) == 1


CROSS = "###.\n....\n###.\n###.\n?deks move"


@pytest.mark.parametrize(
    ("steps", "worth"),
    [
        ("r1c4d=desk", 1 / 2),
        ("r1c4d=desk\nr2c1a=move\nr2c1a=move", 2 / 3),
        ("r1c4d=move\nr2c1a=desk", 1 / 2),  # do not meet
        ("r1c4d=skde\nr2c1a=move", 1 / 2),  # no word
        ("r1c1d=desk\nr2c1a=move", 1 / 2),  # no place
        ("r1c4d=desk\n" * 60, 0),
    ],
)
def test_lines_count_one_by_one(steps, worth):
    assert CROSSWORD.check_steps(steps, CROSSWORD.understand(CROSS)) == pytest.approx(worth)


@pytest.mark.parametrize(
    ("answer", "parsed", "error"),
    [
        ("###d\nmove\n###s\n###k", True, ""),
        ("# # # D\nM O V E\n# # # S\n# # # K", True, ""),
        ("###s\nmove\n###d\n###k", True, "'sedk' is not what any clue tells"),
        ("###d\nmore\n###s\n###k", True, "'more' is not what any clue tells"),
        ("###d\nmov.\n###s\n###k", False, "not the grid with a letter for each dot"),
        ("xxxd\nmove\n###s\n###k", False, "not the grid with a letter for each dot"),
        ("###d\nmove\n###s", False, "not the grid with a letter for each dot"),
        ("desk move", False, "not the grid with a letter for each dot"),
    ],
)
def test_the_verdict_says_what_is_wrong(answer, parsed, error):
    verdict = CROSSWORD.verify(write(answer), CROSSWORD.understand(CROSS))
    assert (verdict.success, verdict.parsed, verdict.error) == (not error, parsed, error)


@pytest.mark.parametrize(
    "prompt",
    [
        "###.\n....\n###.\n###.\nmove ?deks",  # not sorted
        "###.\n....\n###.\n###.\n?deks",
        "###.\n....\n###.\n###.\n?desk move",  # letters not sorted: no word has them so
        "###.\n....\n###.\n###.\ndesk moss",  # cannot cross
        "###.\n....\n###.\n###\n?deks move",
        "###.\n....\n###.\n###.\n?deks  move",
        "###.\n....\n###.\n###.\n?DEKS MOVE",
        "#.#.\n....\n##..\n.##.\n?deks move",
        ".#.\n...\n#..\n",
        "?deks move",
    ],
)
def test_other_texts_are_no_problems(prompt):
    with pytest.raises(ValueError, match=r"."):
        CROSSWORD.understand(prompt)


def test_a_grid_and_its_mirror_image_over_the_diagonal_are_one_problem():
    turned = "#.##\n#.##\n#.##\n....\n?deks move"
    assert CROSSWORD.understand(turned).key == CROSSWORD.understand(CROSS).key
    assert CROSSWORD.understand(CROSS.replace("?deks", "desk")).key != CROSSWORD.understand(CROSS).key


def test_the_space_is_all_ways_in_which_two_words_cross():
    known = [w for w in words() if len(w) <= 4]
    count = sum(
        one[i] == other[j]
        for one, other in itertools.combinations(known, 2)
        for i in range(len(one))
        for j in range(len(other))
    )
    assert CROSSWORD.space(1) == count


def test_a_seed_names_the_same_problem_for_ever():
    found = [CROSSWORD.generate(np.random.default_rng(37), level).prompt for level in (1, 2)]
    assert found == ["#.#\n#.#\n...\n#.#\nblue run", "....\n##.#\n##.#\n##.#\n?acef ?aefs"]
