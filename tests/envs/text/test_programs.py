"""Programs from stdin to stdout: files as APPS, TACO and CodeContests are, and what is run of them."""

from __future__ import annotations

import json

import pytest

import envs
from envs.options import OptionError
from envs.text import load
from envs.text.parsing import write

ADD = {
    "question": "Add two numbers.",
    "input_output": json.dumps({"inputs": ["3 4\n", "1 1\n"], "outputs": ["7\n", "2\n"]}),
    "solutions": json.dumps(["print 3", "a,b=map(int,input().split())\nprint(a+b)"]),
}
LINES = {
    "description": "Say each line twice.",
    "public_tests": {"input": ["a\nb"], "output": ["a a\nb b\n"]},
    "private_tests": {"input": ["c"], "output": ["c c"]},
    "generated_tests": {"input": [], "output": []},
    "solutions": {
        "language": [3],
        "solution": ["import sys\nfor l in sys.stdin:\n print(l.strip(),l.strip())"],
    },
}
LISTS = {"question": "Add.", "input_output": {"inputs": [["1", "2"]], "outputs": [["3"]]}}


@pytest.fixture
def task(tmp_path):
    return load("Programs", {"path": str(written(tmp_path, ADD, LINES, LISTS))})


def written(folder, *rows):
    path = folder / "contest.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)) + "\n")
    return path


def test_both_forms_are_read_and_their_solutions_pass(task):
    for i, (problem, tests) in enumerate(((ADD, 2), (LINES, 2))):
        question = task.question(i)
        assert question.prompt == problem.get("question", problem.get("description"))
        verdict = task.verify(task.completion(question), question)
        assert verdict.success
        assert verdict.parts["tests"] == 1
        assert len(task.asked[i].tests) == tests
    assert task.asked[2].tests == (("1\n2", "3"),)
    assert task.asked[2].answer == ""
    assert not task.verify(task.completion(task.question(2)), task.question(2)).success


@pytest.mark.parametrize(
    ("program", "share", "error"),
    [
        ("a,b=map(int,input().split())\nprint('',a+b,'  ')\nprint()", 1, ""),
        ("import sys\na,b=map(int,input().split())\nprint(a+b)\nsys.exit()", 1, ""),
        ("print(7)", 0.5, "prints '7\\n', not '2\\n'"),
        ("print(input())", 0, "prints '3 4\\n', not '7\\n'"),
        ("a,b=map(int,input().split())\nprint(a,b)", 0, "prints"),
        ("print(7)\n1/0", 0, "ZeroDivisionError"),
        ("while 1: pass", 0, "timeout"),
        ("import os\nos.write(1,b'7')\nos._exit(0)", 0, "killed"),
        ("print(", 0, "SyntaxError"),
    ],
)
def test_programs_are_judged_by_what_they_print(task, program, share, error):
    verdict = task.verify(write(program), task.question(0))
    assert verdict.success == (share == 1)
    assert verdict.parts["tests"] == share
    assert error in verdict.error
    assert verdict.parsed


def test_several_are_judged_at_once(task):
    right = task.completion(task.question(0))
    verdicts = task.verify_many(
        [(right, task.question(0)), ("?", task.question(0)), (right, task.question(1))]
    )
    assert [v.success for v in verdicts] == [True, False, False]
    assert [v.parsed for v in verdicts] == [True, False, True]
    assert task.verify_many([]) == []


@pytest.mark.parametrize(
    ("row", "error"),
    [
        ({}, "no field 'question' or 'description'; it has: none"),
        ({"question": "Add."}, "no tests: it needs the field 'input_output', or 'public_tests'"),
        ({"question": "Add.", "input_output": "{"}, "the field 'input_output' is no JSON"),
        ({"question": "Add.", "input_output": [1]}, "the field 'input_output' must be"),
        ({"question": "Add.", "input_output": {"inputs": ["1"]}}, "its 'outputs' is None"),
        (
            {"question": "Add.", "input_output": {"inputs": ["1"], "outputs": []}},
            "has 1 inputs and 0 outputs",
        ),
        ({"question": "Add.", "input_output": {"inputs": [1], "outputs": ["1"]}}, "its item 1 is 1"),
        (
            {"question": "Add.", "input_output": {"fn_name": "add", "inputs": [], "outputs": []}},
            "asks for a function",
        ),
        ({"question": "Add.", "public_tests": {"input": "1", "output": []}}, "'public_tests' must be"),
        ({**ADD, "solutions": 3}, "the field 'solutions' must be a list of programs, not 3"),
        ({**ADD, "solutions": "["}, "the field 'solutions' is no JSON"),
        ({"question": "Q", "answer": "#### 3"}, "no tests"),
    ],
)
def test_an_error_names_the_line_and_the_field(tmp_path, row, error):
    path = written(tmp_path, ADD, row)
    with pytest.raises(OptionError) as raised:
        load("Programs", {"path": str(path)})
    assert str(raised.value).startswith("contest.jsonl, line 2: ")
    assert error in str(raised.value)


def test_a_file_that_is_none(tmp_path):
    with pytest.raises(OptionError, match="No such file"):
        load("Programs", {"path": str(tmp_path / "none.jsonl")})


def test_an_environment_splits_a_file_by_its_problems(tmp_path):
    rows = [{**ADD, "question": f"Add two numbers and {i}."} for i in range(150)]
    path = str(written(tmp_path, *rows))
    sides = {}
    for split in ("train", "test"):
        env = envs.make("text/Programs-v0", path=path, n=60, split=split, seed=0)
        obs, _ = env.reset()
        sides[split] = set(obs)
        completion = write(json.loads(ADD["solutions"])[1])
        _, rewards, *_ = env.step([completion] * 2 + ["?"] * 58)
        assert rewards[:3].tolist() == [1, 1, 0]
        env.close()
    assert not sides["train"] & sides["test"]
