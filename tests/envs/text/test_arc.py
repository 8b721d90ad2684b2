"""Grid puzzles: every transformation written once more on lists, programs enumerated, and files of tasks."""

from __future__ import annotations

import itertools
import json
import sys
from functools import cache

import numpy as np
import pytest

import envs
from envs.options import OptionError
from envs.text import load
from envs.text.check import check_task, mutate
from envs.text.grids import arc, arc_kernels
from envs.text.grids.arc_files import read_problems
from envs.text.parsing import plain, write

ARC = load("Arc")


def grid(text):
    return [[int(c) for c in row] for row in text.split("\n")]


def text(rows):
    return "\n".join("".join(map(str, row)) for row in rows)


def mirrored(g):
    return [row[::-1] for row in g]


def flipped(g):
    return g[::-1]


def transposed(g):
    return [list(column) for column in zip(*g)]


def falling(row):
    full = [c for c in row if c]
    return [0] * (len(row) - len(full)) + full


def shining(row):
    out = []
    for c in row:
        out.append(c or (out[-1] if out else 0))
    return out


def shifted(row):
    return row[-1:] + row[:-1]


def directed(rule, g, side):
    """A rule for rows that goes to the right, to another side."""
    into = {
        "right": lambda g: g,
        "left": mirrored,
        "down": transposed,
        "up": lambda g: mirrored(transposed(g)),
    }
    back = {
        "right": lambda g: g,
        "left": mirrored,
        "down": transposed,
        "up": lambda g: transposed(mirrored(g)),
    }
    return back[side]([rule(row) for row in into[side](g)])


def cells(g):
    return [(i, j) for i in range(len(g)) for j in range(len(g[0]))]


def outlined(g, colour):
    full = {(i, j) for i, j in cells(g) if g[i][j]}
    near = {(i + a, j + b) for i, j in full for a in (-1, 0, 1) for b in (-1, 0, 1)}
    return [[c or (colour if (i, j) in near else 0) for j, c in enumerate(row)] for i, row in enumerate(g)]


def filled(g, colour):
    """What cannot be reached from a margin around the grid."""
    wide = [[0] * (len(g[0]) + 2), *[[0, *row, 0] for row in g], [0] * (len(g[0]) + 2)]
    reached, before = {(0, 0)}, 0
    while len(reached) > before:
        before = len(reached)
        for i, j in cells(wide):
            if not wide[i][j] and reached & {(i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)}:
                reached.add((i, j))
    return [
        [c or (0 if (i + 1, j + 1) in reached else colour) for j, c in enumerate(row)]
        for i, row in enumerate(g)
    ]


def cropped(g):
    for _ in range(4):
        while g and not any(g[0]):
            g = g[1:]
        g = mirrored(transposed(g)) if g else g
    return g


def barred(g):
    all_of = [c for row in g for c in row if c]
    longest = max(map(all_of.count, all_of), default=0)
    if longest > 30:
        return []
    return [[c] * all_of.count(c) + [0] * (longest - all_of.count(c)) for c in sorted(set(all_of))]


def joined(row):
    out = list(row)
    for a, b in itertools.combinations(range(len(row)), 2):
        if row[a] and row[a] == row[b] and not any(row[a + 1 : b]):
            out[a:b] = [row[a]] * (b - a)
    return out


def connected(g):
    rows, columns = [joined(row) for row in g], transposed([joined(c) for c in transposed(g)])
    return [
        [b if b != c else d for b, c, d in zip(over, row, down)] for over, row, down in zip(rows, g, columns)
    ]


def completed(g, other):
    return [[a or b for a, b in zip(*rows)] for rows in zip(g, other(g))]


def beside(one, other):
    return [a + b for a, b in zip(one, other)]


def plainly(name: str, g):
    """A step by its name, on lists; an empty list where it does not fit."""
    what, *rest = name.split(" ")
    colour = int(rest[0]) if rest and rest[0].isdigit() else None
    other = int(rest[1]) if len(rest) > 1 else None
    turned = mirrored(transposed(g))
    found = {
        "mirror": lambda: mirrored(g),
        "flip": lambda: flipped(g),
        "turn": lambda: turned,
        "turn2": lambda: flipped(mirrored(g)),
        "turn3": lambda: flipped(transposed(g)),
        "transpose": lambda: transposed(g),
        "anti": lambda: flipped(turned),
        "recolour": lambda: [[other if c == colour else c for c in row] for row in g],
        "swap": lambda: [[{colour: other, other: colour}.get(c, c) for c in row] for row in g],
        "keep": lambda: [[c * (c == colour) for c in row] for row in g],
        "fall": lambda: directed(falling, g, rest[0]),
        "ray": lambda: directed(shining, g, rest[0]),
        "shift": lambda: directed(shifted, g, rest[0]),
        "outline": lambda: outlined(g, colour),
        "fill": lambda: filled(g, colour),
        "border": lambda: [
            [colour] * (len(g[0]) + 2),
            *[[colour, *row, colour] for row in g],
            [colour] * (len(g[0]) + 2),
        ],
        "crop": lambda: cropped(g),
        "half": lambda: (
            g[: len(g) // 2] if rest[0] == "top" else [r for r in (row[: len(row) // 2] for row in g) if r]
        ),
        "tile": lambda: {"wide": beside(g, g), "tall": g + g, "both": beside(g, g) + beside(g, g)}[rest[0]],
        "unfold": lambda: beside(g, mirrored(g)) if rest[0] == "wide" else g + flipped(g),
        "scale": lambda: [[c for c in row for _ in "ab"] for row in g for _ in "ab"],
        "complete": lambda: completed(g, mirrored if rest[0] == "wide" else flipped),
        "bars": lambda: barred(g),
        "connect": lambda: connected(g),
    }[what]()
    return found if found and len(found) <= 30 and len(found[0]) <= 30 else []


def names(colours):
    """All steps in some colours."""
    seen = sorted(colours - {0})
    sides = ("up", "right", "down", "left")
    yield from ("mirror", "flip", "turn", "turn2", "turn3", "transpose", "anti", "crop", "scale", "bars")
    yield from ("connect", "half left", "half top", "tile wide", "tile tall", "tile both")
    yield from ("unfold wide", "unfold tall", "complete wide", "complete tall")
    yield from (f"{what} {side}" for what in ("fall", "ray", "shift") for side in sides)
    yield from (f"{what} {c}" for what in ("keep", "outline", "fill", "border") for c in seen)
    yield from (f"recolour {a} {b}" for a in seen for b in (0, *seen) if a != b)
    yield from (f"swap {a} {b}" for a, b in itertools.combinations(seen, 2))


def plain_run(program, rows):
    for name in program:
        rows = plainly(name, rows) if rows else []
    return rows


def explains(program, pairs):
    return all(text(plain_run(program, grid(x))) == y for x, y in pairs)


def questions(count, levels=None, seed=0):
    for level in levels or range(1, ARC.levels + 1):
        rng = np.random.default_rng([seed, level])
        yield from (ARC.generate(rng, level) for _ in range(count))


@cache
def known_names():
    return set(names(set(range(10))))


def right(answer, question):
    """Rows of digits, however they are apart."""
    rows = ["".join(row.split()) for row in plain(answer).replace("/", "\n").split("\n")]
    return "\n".join(rows) == question.data[2]


def right_steps(steps, question):
    pairs, test, answer = question.data
    program, now = [], grid(test)
    for line in steps.split("\n"):
        name, _, said = line.strip().partition(":")
        if name not in known_names():
            return False
        now = plainly(name, now)
        if not now or text(now).replace("\n", "/") != said:
            return False
        program.append(name)
    return len(program) <= 3 and text(now) == answer and explains(program, pairs)


def test_it_holds_to_the_contract():
    check_task(ARC, problems=35, right=right, right_steps=right_steps)


def test_the_head_of_the_file_shows_a_problem_and_every_transformation():
    head = sys.modules[type(ARC).__module__].__doc__
    lines = [line[4:] if line.startswith("    ") else line for line in head.splitlines()]
    start = lines.index("500")
    prompt = "\n".join(lines[start : start + 15])
    question = ARC.understand(prompt)
    assert f"\n\n    {ARC.answer(question)}".replace("\n530", "\n530").replace("\n005", "\n    005") in head
    assert f"    {ARC.work(question, 'program')}\n" in head
    told = {word.split(" ")[0] for word in head.replace("\n", ", ").split(", ") for word in [word.strip()]}
    assert set(arc.NAMES) <= told


GRIDS = (
    "05\n30",
    "500\n050\n003",
    "0000\n0550\n0500\n0003",
    "33333\n30003\n30203\n33333",
    "10201\n00000\n10002\n00000\n02010",
    "123456789\n000000000",
    "1" * 16 + "\n" + "0" * 15 + "2",
    "\n".join(["0" * 30] * 15 + ["4" * 30] * 2 + ["0" * 30] * 13),
    "7",
)


@pytest.mark.parametrize("given", GRIDS)
def test_each_transformation_is_what_it_is_on_lists(given):
    for name in names({0, 1, 2, 3, 9}):
        step = arc._steps()[name]
        assert arc.name_of(step) == name
        assert arc.made(step, given) == text(plainly(name, grid(given))), name


def test_transformations_of_random_grids_are_those_on_lists():
    rng = np.random.default_rng(3)
    for _ in range(40):
        shape = rng.integers(1, 9, size=2)
        rows = (rng.integers(0, 4, shape) * (rng.random(shape) < rng.random())).tolist()
        for name in names({0, 1, 2, 3}):
            assert arc.made(arc._steps()[name], text(rows)) == text(plainly(name, rows)), (name, rows)


def test_the_steps_are_all_that_there_are():
    assert set(arc._steps()) == known_names()
    assert len(arc._steps()) <= arc_kernels.MOST_STEPS


def colours_of(question):
    return {int(c) for c in question.prompt if c.isdigit()}


def test_all_simplest_programs_of_one_step_give_the_answer():
    for question in questions(40, (1, 2, 3)):
        pairs, test, answer = question.data
        found = [[name] for name in names(colours_of(question)) if explains([name], pairs)]
        assert found
        assert {text(plain_run(program, grid(test))) for program in found} == {answer}


def test_all_simplest_programs_of_two_steps_give_the_answer_and_none_has_one():
    for question in questions(2, (4,)):
        (first, made), *_ = pairs = question.data[0]
        steps = list(names(colours_of(question)))
        assert not any(explains([name], pairs) for name in steps)
        after = {name: plainly(name, grid(first)) for name in steps}
        found = [
            [one, two]
            for one in steps
            for two in steps
            if after[one] and text(plainly(two, after[one])) == made and explains([one, two], pairs)
        ]
        answers = {text(plain_run(program, grid(question.data[1]))) for program in found} - {""}
        assert answers == {question.data[2]}


def test_a_level_has_its_number_of_steps_examples_and_sizes():
    for question in questions(15):
        steps, least, most, examples = arc.LEVELS[question.level - 1]
        pairs, test, answer = question.data
        assert len(ARC.work(question, "program").split("\n")) == steps
        assert len(pairs) == examples
        for given in (test, *(x for x, _ in pairs)):
            assert least <= len(grid(given)) <= most
            assert least <= len(grid(given)[0]) <= most
        assert answer != test
        assert len(grid(answer)) > 1


def test_a_problem_whose_examples_leave_two_rules_is_refused():
    with pytest.raises(ValueError, match="differ on the last grid"):
        ARC.understand("10\n01\n=\n01\n10\n\n12\n00\n=")  # left to right, or top to bottom
    with pytest.raises(ValueError, match="no rule of the family"):
        ARC.understand("10\n01\n=\n77\n71\n\n12\n00\n=")


@pytest.mark.parametrize(
    "prompt",
    [
        "12\n34\n=",
        "12\n34\n=\n21\n43\n\n12\n34",
        "12\n34\n=\n21\n4\n\n12\n34\n=",
        "12\n3a\n=\n21\na3\n\n12\n34\n=",
        "12\n34\n=\n21\n43\n\n\n12\n34\n=",
        "12\n34\n=\n21\n43\n\n12\n34\n=\n",
        "12 \n34\n=\n21\n43\n\n12\n34\n=",
        "1" * 31 + "\n=\n1\n\n1\n=",
        "12\n34\n=\n21\n43\n\n" * 11 + "12\n34\n=",
    ],
)
def test_other_texts_are_no_problems(prompt):
    with pytest.raises(ValueError, match=r"."):
        ARC.understand(prompt)


SIMPLE = "500\n050\n=\n005\n050\n\n330\n003\n=\n033\n300\n\n035\n500\n="


@pytest.mark.parametrize(
    ("answer", "parsed", "cells", "success"),
    [
        ("530\n005", True, 1, True),
        ("5 3 0\n0 0 5", True, 1, True),
        ("530/005", True, 1, True),
        ("530\n000", True, 5 / 6, False),
        ("53\n00", True, 0, False),
        ("530005", True, 0, False),
        ("530\n05", False, 0, False),
        ("530\n00x", False, 0, False),
        ("530\n٠٠٥", False, 0, False),
        ("", False, 0, False),
    ],
)
def test_answers_are_judged_by_size_and_cells(answer, parsed, cells, success):
    verdict = ARC.verify(write(answer), ARC.understand(SIMPLE))
    assert (verdict.parsed, verdict.success) == (parsed, success)
    assert verdict.parts["cells"] == pytest.approx(cells)
    assert verdict.reward == success


@pytest.mark.parametrize(
    ("steps", "worth"),
    [
        ("mirror:530/005", 1.0),
        ("flip:500/035\nturn2:530/005", 1.0),
        ("mirror:530/005\nmirror:035/500\nmirror:530/005", 1.0),
        ("mirror:530/005\nmirror:035/500", 2 / 3),
        ("\n".join(["mirror:530/005\nmirror:035/500"] * 2) + "\nmirror:530/005", 5 / 6),
        ("mirror:530/006", 0.0),
        ("swap 3 5:053/300", 0.5),
        ("mirror 3:530/005", 0.0),
        ("\n".join(["mirror:530/005", "mirror:035/500"] * 6), 0.0),
    ],
)
def test_any_program_that_explains_the_examples_is_right_and_others_in_part(steps, worth):
    assert ARC.check_steps(steps, ARC.understand(SIMPLE)) == pytest.approx(worth)


def test_the_order_of_examples_makes_no_other_problem():
    one, two, last = SIMPLE.split("\n\n")
    assert ARC.understand("\n\n".join([two, one, last])).key == ARC.understand(SIMPLE).key
    assert ARC.understand("\n\n".join([one, two, last.replace("35", "45")])).key != ARC.understand(SIMPLE).key


def test_steps_are_changed_and_judged_as_on_lists():
    rng = np.random.default_rng(5)
    for question in questions(3):
        lines = ARC.work(question, "program").split("\n")
        for _ in range(20):
            i = int(rng.integers(len(lines)))
            steps = "\n".join([*lines[:i], mutate(rng, lines[i], ARC.alphabet), *lines[i + 1 :]])
            assert (ARC.check_steps(steps, question) == 1) == right_steps(steps, question), steps


def test_chance_counts_grids_in_the_colours_of_the_prompt():
    question = ARC.understand("12\n11\n=\n21\n11\n\n11\n12\n=\n11\n21\n\n12\n22\n=")
    grids = ["\n".join(rows) for rows in itertools.product(["11", "12", "21", "22"], repeat=2)]
    assert sum(ARC.check(each, question).success for each in grids) == 1
    assert ARC.chance(question) == 1 / len(grids)


def test_a_seed_names_the_same_problem_for_ever():
    found = [ARC.generate(np.random.default_rng(37), level).prompt.replace("\n", "/") for level in (1, 4)]
    assert found == FIRST


FIRST = [
    "550/550/550/=/555/555/555//666/606/666/=/666/656/666//000/555/555/=",
    "5555/5005/5555/=/5555/5555/5555//00066/00066/00066/00066/=/07566/07566/07566/07566//"
    "0000/6666/6006/6006/6666/=/5555/6666/6556/6556/6666//666/606/666/=",
]


# -- files --------------------------------------------------------------------------------------------------

TASK = {
    "train": [
        {"input": [[1, 0], [0, 0]], "output": [[0, 1], [0, 0]]},
        {"input": [[2, 2, 0]], "output": [[0, 2, 2]]},
    ],
    "test": [
        {"input": [[3, 0, 4]], "output": [[4, 0, 3]]},
        {"input": [[5], [0]], "output": [[5], [0]]},
    ],
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(TASK))
    (tmp_path / "b.json").write_text(json.dumps({**TASK, "test": [{"input": [[7, 8]], "output": [[8, 7]]}]}))
    (tmp_path / "notes.txt").write_text("no task")
    return tmp_path


def test_each_test_input_of_local_files_is_a_problem(folder):
    task = load("Arc", {"path": str(folder)})
    assert (task.levels, task.space(1)) == (1, 3)
    rng = np.random.default_rng(0)
    found = {question.prompt: question for question in (task.generate(rng, 1) for _ in range(60))}
    train = "10\n00\n=\n01\n00\n\n220\n=\n022\n\n"
    assert set(found) == {f"{train}304\n=", f"{train}5\n0\n=", f"{train}78\n="}
    assert {q.data[2] for q in found.values()} == {"403", "5\n0", "87"}
    for prompt in found:
        question = task.understand(prompt)
        assert task.verify(task.completion(question), question).success
        assert not task.verify(write("1"), question).success
        assert "<think>" not in task.completion(question)
    with pytest.raises(ValueError, match="no problem of these files"):
        task.understand(SIMPLE)
    assert load("Arc", {"path": str(folder / "b.json")}).space(1) == 1


def test_many_tasks_may_be_in_one_file(folder, tmp_path):
    one = {**TASK, "test": [{"input": [[7, 8]], "output": [[8, 7]]}]}
    file = tmp_path / "together" / "challenges.json"
    file.parent.mkdir()
    file.write_text(json.dumps({"007bbfb7": TASK, "00d62c1b": one}))
    assert read_problems(str(file)) == read_problems(str(folder))
    assert len(read_problems(str(file))) == 3


def test_problems_of_files_are_an_environment(folder):
    env = envs.make("text/Arc-v0", n=4, path=str(folder), seed=0)
    obs, _ = env.reset()
    answers = {"304\n=": "403", "5\n0\n=": "5/0", "78\n=": "8 7"}
    said = [write(answers[prompt.split("\n\n")[-1]]) for prompt in obs]
    assert env.step(said)[1].tolist() == [1.0] * 4
    env.close()


def changed(where, value):
    """The task with another value at a place such as `train.0.input`; without it where the value is None."""
    task = json.loads(json.dumps(TASK))
    *path, last = [int(part) if part.isdigit() else part for part in where.split(".")]
    inner = task
    for part in path:
        inner = inner[part]
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return json.dumps(task)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", r"is empty; a task of ARC is \{\"train\""),
        ("\n \n", "is empty"),
        (
            f"{json.dumps(TASK)}\n{json.dumps(TASK)}\n",
            "has several JSON texts, as JSONL does; a task of ARC is",
        ),
        ('{"train": ', "line 1 is no JSON"),
        ('{"a1": {"train": []}}', r"'a1\.train' must be a list"),
        (
            json.dumps({"a1": TASK, "b2": {**TASK, "test": [{"input": [[1]]}]}}),
            r"b2\.test\[0\]\.output is missing",
        ),
        (json.dumps({"a1": TASK, "b2": 3}), "'train' must be a list"),
        ('{"train": [\n1,,2]}', "line 2 is no JSON"),
        ("[" * 100_000, "nested too deeply"),
        ('[{"question": "1+1", "answer": "2"}]', "'train' must be a list of one or more pairs"),
        ('{"question": "1+1", "answer": "2"}', "'train' must be a list of one or more pairs"),
        (changed("test", []), "'test' must be a list of one or more pairs"),
        (changed("train.1", [1]), r"train\[1\] must have an 'input' and an 'output'"),
        (changed("train.0.input", None), r"train\[0\].input is missing"),
        (changed("test.1.output", None), r"test\[1\].output is missing"),
        (changed("train.1.output", []), r"train\[1\].output must be a list of 1 to 30 rows"),
        (changed("train.1.output", [[1]] * 31), r"train\[1\].output must be a list of 1 to 30 rows"),
        (changed("train.1.output.0", "012"), r"train\[1\].output\[0\] must be a list of 1 to 30 colours"),
        (changed("train.0.input.1", [1]), r"train\[0\].input\[1\] has 1 cells, the first row 2"),
        (
            changed("train.0.input.1.0", 10),
            r"train\[0\].input\[1\]\[0\] must be a colour from 0 to 9, not 10",
        ),
        (changed("train.0.input.1.0", True), r"must be a colour from 0 to 9, not True"),
        (changed("train.0.input.1.0", 1.0), r"must be a colour from 0 to 9, not 1.0"),
    ],
)
def test_a_bad_file_is_named_with_its_field(tmp_path, content, said):
    file = tmp_path / "bad.json"
    file.write_text(content)
    with pytest.raises(OptionError, match=said) as error:
        load("Arc", {"path": str(tmp_path)})
    assert "bad.json" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_wrong_path_says_so(tmp_path):
    (tmp_path / "image.json").write_bytes(b"\x89PNG\xff\xfe")
    for path, said in (
        (tmp_path / "none", "there is no file or folder"),
        (tmp_path / "image.json", "cannot be read as text"),
    ):
        with pytest.raises(OptionError, match=said):
            load("Arc", {"path": str(path)})
    (tmp_path / "empty").mkdir()
    with pytest.raises(OptionError, match=r"has no \.json files"):
        load("Arc", {"path": str(tmp_path / "empty")})
