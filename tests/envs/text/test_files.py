"""Files of problems: how they are read, asked, answered and judged."""

import inspect
import json
import re
from pathlib import Path

import numpy as np
import pytest

import envs
from envs.options import OptionError
from envs.text import load
from envs.text.check import garbage, hacks, mutate, same
from envs.text.files import kinds as family
from envs.text.files.answers import LONGEST_CODE, WAYS, answered, last_boxed, program, unfenced
from envs.text.files.asserts import TOKEN, Exactly, Near, plan
from envs.text.files.asserts import same as same_value
from envs.text.files.formats import FORMATS, detect, problems_of
from envs.text.files.kinds import open_problems
from envs.text.files.reading import read_rows
from envs.text.parsing import write
from envs.text.sandbox import shared
from envs.text.task import DIRECT
from envs.text.verifiers import Verifiers
from llm_rl.solver import Solver

GSM8K = {
    "question": "Ann has 48 pens and buys half as many. How many then?",
    "answer": "Half is 48/2=<<48/2=24>>24.\nTogether 48+24=<<48+24=72>>72.\n#### 72",
}
MATH = {
    "problem": "What is $\\frac{1}{2}+\\frac{1}{4}$?",
    "solution": "First $\\boxed{x}$, then $\\frac{2}{4}+\\frac14=\\boxed{\\frac{3}{4}}$.",
    "level": "Level 2",
    "type": "Algebra",
}
AIME = {"problem": "How many?", "answer": "033"}
MBPP = {
    "text": "Write a function to double.",
    "code": "def double(x):\r\n    return 2*x",
    "test_list": ["assert double(2) == 4", "assert double(0) == 0"],
    "test_setup_code": "",
    "challenge_test_list": ["assert double(-3) == -6"],
}
HUMANEVAL = {
    "task_id": "HumanEval/0",
    "prompt": 'from typing import List\n\n\ndef total(xs: List[int]) -> int:\n    """The sum."""\n',
    "entry_point": "total",
    "canonical_solution": "    return sum(xs)\n",
    "test": "METADATA = {}\n\ndef check(candidate):\n    assert candidate([1, 2]) == 3\n    assert True\n",
}
MMLU = {"question": "Which is even?", "choices": ["3", "8", "5", "7"], "answer": 1, "subject": "numbers"}
ARC = {
    "question": "Which is hot?",
    "choices": {"text": ["ice", "fire", "snow"], "label": ["1", "2", "3"]},
    "answerKey": "2",
}
WINOGRANDE = {
    "sentence": "The cup is in the box as _ is big.",
    "option1": "the cup",
    "option2": "the box",
    "answer": "2",
}
ROWS = {"gsm8k": GSM8K, "math": MATH, "aime": AIME, "mbpp": MBPP, "humaneval": HUMANEVAL, "choice": MMLU}


def written(tmp_path, *rows, name="p.jsonl"):
    (tmp_path / name).write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return str(tmp_path / name)


def one(tmp_path, *rows, **options):
    """The family of a file, and its first question."""
    task = open_problems(written(tmp_path, *rows), **options)
    return task, task.question(0)


def refused(tmp_path, *rows, **options):
    with pytest.raises(OptionError) as error:
        open_problems(written(tmp_path, *rows), **options)
    assert "\n" not in str(error.value)
    return error.value


# -- reading -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "p.jsonl: is empty, and a file of problems is a JSON object a line"),
        (b"\n \n", "p.jsonl: is empty"),
        (b"[]", "p.jsonl: is empty"),
        (b'{"a": 1}\n\n{"a": }', "p.jsonl, line 3: is no JSON: Expecting value (column 7)"),
        (b'{"a": 1}\n3', 'p.jsonl, line 2: must be a JSON object, such as {"question": …}, not 3'),
        (b'[{"a": 1}, "x"]', "p.jsonl, item 2: must be a JSON object"),
        (b'[{"a": 1},\n {"a": }]', "p.jsonl, line 1: is no JSON: Expecting value (line 2, column 8)"),
        (b'{"a": 1}\n{"a": "\xe9"}', "p.jsonl, line 2: is not UTF-8 (byte 0xe9); save the file as UTF-8"),
        (b"\xff\xfe{\0", "line 1: is not UTF-8 (byte 0xff)"),
        (b"PAR1\x15", "is a Parquet file"),
        (b"\x1f\x8b\x08", "is compressed by gzip"),
        (b'{"a": ' + b"9" * 5000 + b"}", "p.jsonl, line 1: is no JSON: Exceeds the limit"),
        (b"[" * 100_000, "p.jsonl, line 1: is no JSON: "),
    ],
)
def test_what_is_no_file_of_problems_is_told_with_its_line(content, said, tmp_path):
    (tmp_path / "p.jsonl").write_bytes(content)
    with pytest.raises(OptionError) as error:
        read_rows(tmp_path / "p.jsonl")
    assert said in str(error.value)
    assert error.value.option == "path"


def test_a_path_that_is_none(tmp_path):
    with pytest.raises(OptionError, match=r"no\.jsonl: No such file or directory"):
        read_rows(tmp_path / "no.jsonl")
    with pytest.raises(OptionError, match="is a folder"):
        read_rows(tmp_path)
    with pytest.raises(OptionError, match="needs the option path"):
        envs.make("text/Problems-v0")


def test_lines_end_where_json_has_them_end_and_lists_are_read_too(tmp_path):
    rows = [{"question": "a\u2028b\x85c", "answer": "#### 1"}, {"question": "é"}]
    text = "\r\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (tmp_path / "a.jsonl").write_bytes(b"\xef\xbb\xbf" + text.encode() + b"\n\n")
    (tmp_path / "b.json").write_text(json.dumps(rows, indent=1))
    for name in ("a.jsonl", "b.json"):
        assert [row.fields for row in read_rows(tmp_path / name)] == rows
    assert [row.place for row in read_rows(tmp_path / "a.jsonl")] == ["a.jsonl, line 1", "a.jsonl, line 2"]


def test_a_file_that_has_changed_is_read_again(tmp_path):
    assert len(open_problems(written(tmp_path, GSM8K)).asked) == 1
    assert len(open_problems(written(tmp_path, GSM8K, {**GSM8K, "question": "?"})).asked) == 2


# -- formats -------------------------------------------------------------------------------------------------


def test_what_each_format_says(tmp_path):
    def read(row, format="auto"):
        found, (problem,) = problems_of(read_rows(written(tmp_path, row)), format)
        return found, problem

    name, gsm8k = read(GSM8K)
    assert (name, gsm8k.answer) == ("gsm8k", "72")
    assert gsm8k.work == "Half is 48/2=24.\nTogether 48+24=72."
    assert read({**GSM8K, "answer": "x\n#### 5,600"})[1].answer == "5600"
    assert read({**GSM8K, "answer": "x #### 0.5"})[1].answer == "0.5"
    name, math = read(MATH)
    assert (name, math.answer, math.level, math.subject) == ("math", "\\frac{3}{4}", 2, "Algebra")
    of_500 = {"problem": "?", "solution": "\\boxed{9}", "answer": "7", "level": 5, "subject": "Algebra"}
    name, math = read(of_500)
    assert (name, math.answer, math.level) == ("math", "7", 5)
    assert read({**MATH, "level": "Level ?"})[1].level == 0
    assert read({"problem": "?", "solution": "s", "answer": "x^2"})[0] == "math"
    assert (read(AIME)[0], read(AIME)[1].answer) == ("aime", "33")
    assert read({"question": "?", "answer": 999, "solution": "so"})[1].work == "so"
    name, mbpp = read(MBPP)
    assert (name, mbpp.answer) == ("mbpp", "def double(x):\n    return 2*x")
    assert mbpp.question == "Write a function to double.\nassert double(2) == 4\nassert double(0) == 0"
    assert len(mbpp.tests) == 3
    sanitized = {"prompt": "?", "code": "x", "test_list": ["assert 1"], "test_imports": ["import math"]}
    assert read(sanitized)[1].setup.startswith("import math")
    name, humaneval = read(HUMANEVAL)
    assert (name, humaneval.answer, humaneval.entry) == ("humaneval", "    return sum(xs)", "total")


@pytest.mark.parametrize(
    ("row", "options", "answer"),
    [
        (MMLU, ("3", "8", "5", "7"), "B"),
        ({**MMLU, "answer": "D"}, ("3", "8", "5", "7"), "D"),
        ({**MMLU, "answer": "c"}, ("3", "8", "5", "7"), "C"),
        ({**MMLU, "answer": "8"}, ("3", "8", "5", "7"), "B"),
        ({**MMLU, "choices": ["x", "y"], "answer": "1"}, ("x", "y"), "B"),
        (ARC, ("ice", "fire", "snow"), "B"),
        (
            {
                **ARC,
                "choices": [{"text": "ice", "label": "A"}, {"text": "oh", "label": "B"}],
                "answerKey": "A",
            },
            ("ice", "oh"),
            "A",
        ),
        (
            {
                "question": {
                    "stem": "Hot?",
                    "choices": [{"text": "ice", "label": "A"}, {"text": "fire", "label": "B"}],
                },
                "answerKey": "B",
            },
            ("ice", "fire"),
            "B",
        ),
        ({"question": "Hot?", "options": {"A": "ice", "B": "fire"}, "answer": "B"}, ("ice", "fire"), "B"),
        (WINOGRANDE, ("the cup", "the box"), "B"),
        ({**WINOGRANDE, "answer": 1}, ("the cup", "the box"), "A"),
    ],
)
def test_options_and_the_right_one(row, options, answer, tmp_path):
    name, (problem,) = problems_of(read_rows(written(tmp_path, row)), "auto")
    assert (name, problem.options, problem.answer) == ("choice", options, answer)


@pytest.mark.parametrize(
    ("row", "format", "said"),
    [
        (
            GSM8K,
            "mbpp",
            "line 1: no field 'test_list'; it has: question, answer; this looks like format: gsm8k, not mbpp",
        ),
        (MBPP, "gsm8k", "this looks like format: mbpp, not gsm8k"),
        (MATH, "gsm8k", "this looks like format: math, not gsm8k"),
        (MMLU, "gsm8k", "this looks like format: choice, not gsm8k"),
        (HUMANEVAL, "mbpp", "this looks like format: humaneval, not mbpp"),
        (
            {"input": "1"},
            "auto",
            "line 1: its fields (input) fit no format. There are gsm8k (question, answer)",
        ),
        (
            {"question": "Add.", "input_output": {"inputs": [], "outputs": []}},
            "auto",
            "fit no format; this looks like programs of text/Programs-v0. There are",
        ),
        ({**GSM8K, "answer": "72"}, "gsm8k", "the field 'answer' must end with #### and a number, not '72'"),
        ({**GSM8K, "answer": "#### many"}, "auto", "must end with #### and a number, not 'many'"),
        (
            {**GSM8K, "answer": 7.5},
            "gsm8k",
            "the field 'answer' must be a text with something in it, not 7.5",
        ),
        ({**GSM8K, "question": " "}, "auto", "the field 'question' must be a text with something in it"),
        (
            {**MATH, "solution": "so \\boxed{3"},
            "auto",
            "the field 'solution' has no answer in a \\boxed{…} that is closed",
        ),
        ({**AIME, "answer": "1000"}, "aime", "must be a whole number from 0 to 999, not '1000'"),
        ({"problem": "?"}, "aime", "no field 'answer'; it has: problem"),
        ({**MBPP, "test_list": "assert 1"}, "auto", "the field 'test_list' must be a list of texts"),
        ({**MBPP, "test_list": []}, "auto", "the field 'test_list' has no test"),
        ({**MBPP, "test_list": ["assert f(="]}, "auto", "a test is no Python: 'assert f(='"),
        ({**HUMANEVAL, "entry_point": "a b"}, "auto", "must be the name of a function, not 'a b'"),
        ({**HUMANEVAL, "test": "def check(candidate):\n    pass"}, "auto", "it has no test that could fail"),
        ({**MMLU, "answer": 4}, "auto", "the field 'answer' must name one of the options A, B, C, D, not 4"),
        ({**MMLU, "answer": True}, "auto", "not True"),
        ({**MMLU, "choices": ["one"]}, "auto", "the field 'choices' must have 2 to 26 options, not 1"),
        ({**MMLU, "choices": "abcd"}, "auto", "the field 'choices' must be a list of texts"),
        ({"question": "?", "choices": ["a", "b"]}, "auto", "no field 'answer' or 'answerKey'"),
        ({**WINOGRANDE, "sentence": "no blank"}, "auto", "the field 'sentence' must have one _, not 0"),
        ({**WINOGRANDE, "answer": "3"}, "auto", "must name one of the options 1, 2, not '3'"),
    ],
)
def test_what_does_not_fit_a_format_is_told_with_its_field(row, format, said, tmp_path):
    error = refused(tmp_path, row, format=format)
    assert said in str(error)
    assert error.option == "path"


def test_the_line_is_that_of_the_file(tmp_path):
    (tmp_path / "p.jsonl").write_text(f"{json.dumps(GSM8K)}\n\n{json.dumps(MBPP)}")
    with pytest.raises(OptionError, match=r"p\.jsonl, line 3: no field 'answer'.*format: mbpp, not gsm8k"):
        open_problems(str(tmp_path / "p.jsonl"))


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_is_known_by_its_fields(name, tmp_path):
    (row,) = read_rows(written(tmp_path, ROWS[name]))
    assert detect(row) == name


@pytest.mark.parametrize(
    ("options", "option", "said"),
    [
        ({"format": "gsm8"}, "format", "did you mean 'gsm8k'?"),
        ({"template": "{q}"}, "template", "must have {question} in it"),
        ({"answer": "tag"}, "answer", "did you mean 'tags'?"),
        ({"answer": "code"}, "answer", "no way to answer 'code'"),
        ({"shots": 2}, "shots", "shots must be from 0 to 1: p.jsonl has 2 problems"),
        ({"shots": -1}, "shots", "shots must be from 0 to 1"),
    ],
)
def test_options_that_do_not_fit(options, option, said, tmp_path):
    error = refused(tmp_path, GSM8K, {**GSM8K, "question": "?"}, **options)
    assert said in str(error)
    assert error.option == option


# -- asking --------------------------------------------------------------------------------------------------


def rows_of(count):
    return [{"question": f"{i} and {i}?", "answer": f"{i}+{i}={2 * i}\n#### {2 * i}"} for i in range(count)]


def test_a_prompt_is_the_template_after_solved_examples(tmp_path):
    template = "Q: {question} {x} {0}\nA:"
    task = open_problems(written(tmp_path, *rows_of(4)), template=template, shots=2, answer="last_number")
    first = task.question(0)
    shown = [f"Q: {i} and {i}? {{x}} {{0}}\nA:" for i in range(3)]
    solved = [f"{shown[i]} {i}+{i}={2 * i}\nThe answer is {2 * i}.\n\n" for i in range(2)]
    assert first.prompt == "".join([*solved, shown[2]])
    assert len(task.asked) == 2
    assert task.stops == ("Q:",)
    assert task.verify(" 2+2=4\nThe answer is 4.\n\nQ: 7 and 7?\nA: 14", first).success
    assert not task.verify(" 2+2=5\n\nQ: 7 and 7?\nA: 4", first).success


def test_questions_are_read_back_and_depend_on_the_generator_alone(tmp_path):
    path = written(tmp_path, *rows_of(9), *rows_of(2))
    task = open_problems(path, shots=1, template="{question} =")
    assert len(task.asked) == 10
    assert task.space(1) == 9  # one of those that are there twice was shown
    for seed in range(30):
        question = task.generate(np.random.default_rng(seed), 1)
        assert question == task.generate(np.random.default_rng(seed), 1)
        read = task.understand(question.prompt)
        assert (read.prompt, read.data, read.key, read.level) == (
            question.prompt,
            question.data,
            question.key,
            0,
        )
    for text in ("", "?", "3 and 3? =", f"{question.prompt}?", f" {question.prompt}"):
        with pytest.raises(ValueError, match=r"is no problem of p\.jsonl"):
            task.understand(text)


def test_maths_levels_are_levels_where_all_are_there(tmp_path):
    rows = [{**MATH, "problem": f"{i}?", "level": f"Level {i % 6 or '?'}"} for i in range(12)]
    task = open_problems(written(tmp_path, *rows))
    assert task.levels == 5
    assert [task.space(level) for level in range(1, 6)] == [2] * 5
    drawn = {task.generate(np.random.default_rng(seed), 3).prompt for seed in range(20)}
    assert drawn == {"3?", "9?"}
    few = open_problems(written(tmp_path, *rows[3:5], name="few.jsonl"))
    assert (few.levels, few.space(1)) == (1, 2)


@pytest.mark.parametrize("name", FORMATS)
def test_the_alphabet_has_every_character(name, tmp_path):
    task, question = one(tmp_path, ROWS[name])
    texts = question.prompt + task.work(question, "steps") + task.answer(question)
    assert set(texts) <= set(task.alphabet)
    assert list(task.alphabet) == sorted(set(task.alphabet))


# -- answering -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FORMATS)
def test_own_solutions_are_right_in_every_way(name, tmp_path):
    ways = [way for way in WAYS if way in family.KINDS[name].ways]
    assert len(ways) >= 2
    for way in ways:
        task, question = one(tmp_path, ROWS[name], answer=way)
        for strategy in ("steps", DIRECT):
            completion = task.completion(question, strategy)
            verdict = task.verify(completion, question)
            assert verdict.success, (way, completion, verdict)
            assert verdict.reward == 1
            assert (verdict.parts["steps"], verdict.parts["proved"]) == (0, 0)
        if way == "tags":
            assert completion == write(task.answer(question))
            assert task.verify(completion.replace("<answer>", "<answer> \n"), question).success


JUDGES = {
    "gsm8k": lambda said: same(said, "72"),
    "aime": lambda said: same(said, "33"),
    "choice": lambda said: said.strip().upper().strip("().:") == "B",
    "mbpp": lambda said: False,
    "humaneval": lambda said: False,
}


@pytest.mark.parametrize("name", ["gsm8k", "aime", "choice"])
def test_mutated_answers_are_wrong(name, tmp_path):
    task, question = one(tmp_path, ROWS[name])
    rng, wrong = np.random.default_rng(0), 0
    while wrong < 20:
        mutant = mutate(rng, task.answer(question), "0123456789ABCD-./")
        if not JUDGES[name](mutant):
            assert not task.verify(write(mutant), question).success, mutant
            wrong += 1


@pytest.mark.parametrize("name", ["gsm8k", "aime", "choice"])
@pytest.mark.parametrize("way", ["tags", "boxed"])
def test_garbage_is_wrong_and_never_raises(name, way, tmp_path):
    task, question = one(tmp_path, ROWS[name], answer=way)
    for text in (*garbage(), *(hacks(task.answer(question), question.prompt) if way == "tags" else ())):
        verdict = task.verify(text, question)
        assert not verdict.success, text[:60]
        assert verdict.reward == 0
    for way in WAYS[:-1]:
        for text in ("\\boxed{" * 20_000, "9," * 50_000, "#### " * 20_000, "{" * 100_000, "\\" * 100_000):
            answered(text, way)


@pytest.mark.parametrize(
    ("way", "text", "answer"),
    [
        ("boxed", "\\boxed{1} then \\boxed{\\frac{1}{2}}.", "\\frac{1}{2}"),
        ("boxed", "\\boxed{3} and \\boxed{4", "3"),
        ("boxed", "\\fbox{ 7 } ", "7"),
        ("boxed", "so $\\boxed 7$.", "7"),
        ("boxed", "\\boxed{\\{1, 2\\}}", "\\{1, 2\\}"),
        ("boxed", "\\boxed{5}</think>6", None),
        ("boxed", "boxed 6", None),
        ("hash", "1\n#### 2\n#### 3 \nmore", "3"),
        ("hash", "####", None),
        ("hash", "no", None),
        ("last_number", "5 apples, or 1,234.50 in all.", "1,234.50"),
        ("last_number", "it is -7", "-7"),
        ("last_number", "it is \u22127.", "-7"),
        ("last_number", "10-7", "7"),
        ("last_number", "costs $5.", "5"),
        ("last_number", "3/4", "3/4"),
        ("last_number", "7 of x2", "7"),
        ("last_number", "x2", None),
        ("last_number", "x1,234.5", None),
        ("last_number", "the 2nd", None),
        ("last_number", "7, or 12kg, or 1,234kg", "7"),
        ("last_number", "a_2 and 5b3 and 1e5", None),
        ("last_number", "5 is 2%", "2%"),
        ("last_number", "5 is $2\\%$", "2%"),
        ("last_number", "5 is 2 %.", "2%"),
        ("last_number", "US$5", "5"),
        ("last_number", "x=-5", "-5"),
        ("last_number", "\\frac{1}{2}", "2"),
        ("last_number", "<think>9</think>ten", None),
        ("last_number", "1, 2, 3,", "3"),
        ("tags", "<answer>1</answer> <answer>2</answer>", None),
        ("tags", "<think><answer>1</answer></think><answer>2</answer>", "2"),
    ],
)
def test_what_is_read_of_a_completion(way, text, answer):
    found = answered(text, way)
    assert found.answer == answer
    assert bool(found.error) == (answer is None)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("```python\na\n```", "a\n"),
        ("see\n```\na\n```\nor\n```py\nb\n```\nend", "b\n"),
        ("a\nb", "a\nb"),
        ("  indented", "  indented"),
        ("```python\na", None),
        ("x = '```'", "x = '```'"),
    ],
)
def test_blocks_of_code(text, code):
    assert unfenced(text) == code
    assert program(text, "code").answer == code
    assert program(write(text), "tags").answer == code
    assert program(text, "tags").answer is None


def test_programs_that_are_none():
    assert program("a" * (LONGEST_CODE + 1), "code").answer is None
    assert program("```\n" * 10_001, "code").answer is None
    assert program(" ", "code").error == "no code"
    assert program(f"<think>{write('a')}</think>", "tags").answer is None
    assert last_boxed("\\boxed{") is None


@pytest.mark.parametrize("said", ["B", "b", "(B)", "B.", "B)"])
def test_a_letter_is_the_answer_to_a_choice(said, tmp_path):
    task, question = one(tmp_path, MMLU)
    assert question.prompt == "Which is even?\nA. 3\nB. 8\nC. 5\nD. 7"
    assert task.verify(write(said), question).success
    assert task.chance(question) == 1 / 4
    for wrong, parsed in (("A", True), ("E", False), ("8", False), ("AB", False), ("A or B", False)):
        verdict = task.verify(write(wrong), question)
        assert (verdict.success, verdict.parsed) == (False, parsed)


@pytest.mark.parametrize("said", ["72", "72.0", "$72", "\\$72", "$72.00$", "\\boxed{72}", "７２"])
def test_a_number_in_other_dress(said, tmp_path):
    task, question = one(tmp_path, GSM8K)
    assert task.verify(write(said), question).success
    assert not task.verify(write(f"-{said}"), question).success


@pytest.mark.parametrize("said", ["144/2", "48+24", "72%", "x72"])
def test_what_comes_to_a_number_is_none(said, tmp_path):
    task, question = one(tmp_path, GSM8K)
    assert not task.verify(write(said), question).parsed


def test_thousands_in_latex(tmp_path):
    task, question = one(tmp_path, {**GSM8K, "answer": "#### 5,600"})
    for said in ("5600", "5,600", "5{,}600", "5\\,600", "5,\\!600"):
        assert task.verify(write(said), question).success, said


# -- programs ------------------------------------------------------------------------------------------------


def test_tests_become_calls_whose_values_are_kept_here():
    made = plan(
        [
            "assert f(1, 'x') == [2, 'kept']",
            "assert {'kept': 1} == f(2)",
            "assert set(f(3)) == set(['kept'])",
            "assert abs(f(4) - 0.5) < 1e-6, 'near'",
            "x = f(5)\nassert x == 'told'",
        ],
        "import math",
    )
    values = [check.value for check in made.checks]
    assert values == [[2, "kept"], {"kept": 1}, {"kept"}, Near(0.5, 0, 1e-6, True), TOKEN]
    assert "kept" not in made.source
    assert "import math" in made.source
    assert "0.5" not in made.source
    tokens = {made.run()[1][4] for _ in range(5)}
    assert len(tokens) == 5
    calls, expected = made.run()
    assert calls[4] == ("_test_4", (expected[4],))
    assert expected[4] not in made.source
    simple = plan([HUMANEVAL["test"]], entry="total")
    assert [check.value for check in simple.checks] == [3]
    loop = "def check(candidate):\n    for i in range(3):\n        assert candidate([i]) == i\n"
    assert [check.value for check in plan([loop], entry="total").checks] == [TOKEN]


@pytest.mark.parametrize(
    ("said", "value", "right"),
    [
        ("5", 5.0, True),
        ("True", 1, True),
        ("[1, 2]", (1, 2), False),
        ("{2, 1}", {1, 2}, True),
        ("'5'", 5, False),
        ("<unsupported: A>", 5, False),
        ("[" * 10_000, [], False),
        ("", None, False),
        ("frozenset({10, 8, 9})", frozenset({10, 9, 8}), True),
        ("[frozenset({1}), set()]", [{1}, frozenset()], True),
        ("frozenset({10, 8})", frozenset({10, 9, 8}), False),
        ("{1: [2.0]}", {1: [2]}, True),
        ("True", Exactly(True), True),
        ("1", Exactly(True), False),
        ("None", Exactly(None), True),
        ("0.5000001", Near(0.5, 0, 1e-6, True), True),
        ("0.75", Near(0.5, 0, 0.25, True), False),
        ("0.75", Near(0.5, 0, 0.25), True),
        ("1", Near(0.5, 0.5, 0.0), True),
        ("'0.5'", Near(0.5, 0, 1e-6), False),
        ("nan", Near(0.5, 0, 1e-6), False),
        ("9" * 900, Near(0.5, 0, 1e-6, True), False),
    ],
)
def test_values_are_equal_as_python_has_it(said, value, right):
    assert same_value(said, value) is right


PROGRAMS = {
    "def double(x):\n    return x+x": True,
    "double = lambda x: x*2": True,
    "def double(x):\n    return float(2*x)": True,
    "def double(x):\n    return abs(2*x)": False,
    "def double(x):\n    return 4 if x == 2 else 0": False,
    "def double(x): return 2*x\nraise SystemExit(0)": False,
    "import os\nos._exit(0)": False,
    "def double(x):\n    import os\n    os._exit(0)": False,
    "class Same:\n    def __eq__(self, other): return True\ndef double(x): return Same()": False,
    "class Same(int):\n    def __eq__(self, other): return True\ndef double(x): return Same()": False,
    "def double(x):\n    print(2*x)": False,
    "def double(x): return '<ok>'": False,
    "def double(x): return x.": False,
    "def double(x):\n    raise ValueError": False,
    "def double(x):\n    return double(x)": False,
    "_test_0 = _test_1 = _test_2 = lambda *a: True\ndef double(x): return True": False,
    "": False,
    "\0": False,
    "\ud800": False,
    "def triple(x): return 3*x": False,
}


def test_programs_are_judged_by_their_values(tmp_path):
    task, question = one(tmp_path, MBPP, answer="code")
    found = task.verify_many([(text, question) for text in PROGRAMS])
    assert [verdict.success for verdict in found] == list(PROGRAMS.values())
    shares = dict(zip(PROGRAMS, (verdict.parts["tests"] for verdict in found)))
    assert shares["def double(x):\n    return abs(2*x)"] == 2 / 3
    assert found[3].error == "fails: assert double(-3) == -6"
    assert {type(verdict.reward) for verdict in found} == {float}


def test_garbage_is_no_program(tmp_path, monkeypatch):
    monkeypatch.setattr(family, "SECONDS", 0.5)
    task, question = one(tmp_path, MBPP)
    texts = [*garbage(), *hacks(task.answer(question), "?")]
    wrong = [text for text in texts if "double" not in text]
    found = task.verify_many([(text, question) for text in wrong])
    assert not any(isinstance(verdict, Exception) or verdict.success for verdict in found)


def test_twenty_mutated_programs_fail_as_python_says(tmp_path):
    task, question = one(tmp_path, MBPP, answer="code")
    rng = np.random.default_rng(1)
    mutants = {mutate(rng, "def double(x):\n    return 2*x", "abcdx0123456789+-*/()") for _ in range(60)}
    # a plain judge: only what still returns twice its argument is right, and that reads so
    wrong = [m for m in mutants if not re.search(r"def double\((\w+)\):\n    return 0*2\*\1$", m)]
    assert len(wrong) >= 20
    found = task.verify_many([(mutant, question) for mutant in wrong])
    passed = [m for m, verdict in zip(wrong, found) if verdict.success]
    assert all(set("02x*+") >= set(m.partition("return ")[2]) for m in passed), passed
    assert len(wrong) - len(passed) >= 20


def test_an_endless_program_is_wrong_in_time(tmp_path, monkeypatch):
    monkeypatch.setattr(family, "SECONDS", 0.5)
    task, question = one(tmp_path, MBPP, answer="code")
    endless, right = task.verify_many(
        [("def double(x):\n    while True: pass", question), ("def double(x): return 2*x", question)]
    )
    assert not endless.success
    assert endless.error.startswith("timeout")
    assert right.success


def test_what_a_counter_is_equal_to(tmp_path):
    row = {
        **MBPP,
        "code": "from collections import Counter\ndef count(x):\n    return Counter(x)",
        "test_list": ["assert count('aab') == {'a': 2, 'b': 1}"],
        "challenge_test_list": [],
    }
    task, question = one(tmp_path, row)
    assert task.verify(task.completion(question), question).success
    assert not task.verify(task.completion(question).replace("Counter(x)", "Counter()"), question).success


FIND_ZERO = {
    "prompt": "import math\n\n\ndef poly(xs: list, x: float):\n"
    "    return sum([c * math.pow(x, i) for i, c in enumerate(xs)])\n\n\n"
    'def find_zero(xs: list):\n    """A zero of poly."""\n',
    "entry_point": "find_zero",
    "canonical_solution": "    return -xs[0] / xs[1]\n",
    "test": "def check(candidate):\n    for a in range(1, 9):\n        for b in range(1, len('xyz')):\n"
    "            assert abs(poly([a, b], candidate([a, b]))) < 1e-4\n",
}


@pytest.mark.parametrize(
    ("cheat", "right"),
    [
        ("", False),
        ("def poly(*a): return 0", False),
        ("def abs(*a): return 0", False),
        ("range = lambda n, m: []", False),
        ("def len(x): return 0", False),
        ("sum = enumerate = lambda xs: 0", False),
        ("def find_zero(xs): return -xs[0] / xs[1]", True),
        ("def poly(xs): return xs[0] / xs[1]\ndef find_zero(xs): return -poly(xs)", True),
    ],
)
def test_tests_mean_what_they_say_by_their_names(cheat, right, tmp_path):
    task, question = one(tmp_path, FIND_ZERO, answer="code")
    assert task.verify("    return -xs[0] / xs[1]", question).success
    assert task.verify(f"def find_zero(xs):\n return 1\n{cheat}", question).success is right


FRAME = "import sys\ndef f(x):\n  return sys._getframe(1).f_locals.get('token', 3)"


@pytest.mark.parametrize(
    ("test", "gold", "wrong"),
    [
        ("assert f([10, 9, 8]) == frozenset({10, 9, 8})", "return frozenset(x)", "return frozenset(x[1:])"),
        ("assert [f([1])] == [frozenset([1])]", "return frozenset(x)", "return x"),
        ("assert f(2)", "return x == 2", "return not x"),
        ("assert f('ab')", "import re; return re.match('a', x)", "import re; return re.match('b', x)"),
        ("assert not f(2)", "return x != 2", "return 3"),
        ("assert f(2) is True", "return x == 2", "return 1"),
        ("assert f(2) is None", "return None", "return 0"),
        ("assert f(2) is not None", "return 0", "return None"),
        ("assert f(2) > f(1)", "return x", "return -x"),
        ("assert abs(f(2) - 0.5) < 0.01", "return 1 / x", "return 1"),
        ("assert 0.01 >= abs(0.5 - f(2))", "return 0.505", "return 0.52"),
        ("import math\nassert math.isclose(f(2), 0.5)", "return 1 / x", "return 0.500001"),
        ("assert math.isclose(f(2), 0.5, rel_tol=0.1)", "return 0.51", "return 0.6"),
        ("assert f(2) == 1 + 2j", "return 1 + 2j", "return 1"),
        ("assert f(2) == float('inf')", "return float('inf')", "return 3.0"),
        ("y = f(2)\nassert y == 4", "return 2 * x", "return x"),
    ],
)
def test_each_form_of_test_is_passed_by_what_is_right_alone(test, gold, wrong, tmp_path):
    row = {**MBPP, "code": f"def f(x):\n  {gold}", "test_list": [test], "challenge_test_list": []}
    task, question = one(tmp_path, {**row, "test_setup_code": "import math"}, answer="code")
    verdicts = task.verify_many([(code, question) for code in (row["code"], f"def f(x):\n  {wrong}")])
    assert [verdict.success for verdict in verdicts] == [True, False], verdicts


@pytest.mark.parametrize(
    ("test", "cheat"),
    [
        ("assert abs(f(2) - 0.5) < 1e-6", "abs = lambda x: 0\n" + FRAME),
        ("assert math.isclose(f(2), 0.5)", "import math\nmath.isclose = lambda *a: True\n" + FRAME),
        ("assert f(2) is True", FRAME),
        ("assert not f(2)", FRAME),
        (
            "assert sum(f(x) for x in range(3)) == len(str(f(1)))",
            "range = sum = len = lambda *a: 0\n" + FRAME,
        ),
    ],
)
def test_forms_of_tests_that_plain_python_does_not_get_around(test, cheat, tmp_path):
    row = {**MBPP, "test_list": [test], "challenge_test_list": [], "test_setup_code": "import math"}
    task, question = one(tmp_path, row, answer="code")
    assert not task.verify(cheat, question).success


def test_a_function_may_have_the_name_of_a_builtin(tmp_path):
    code = "def sum(a, b):\n    return a * b"
    row = {**MBPP, "code": code, "test_list": ["assert sum(2, 5) == 10", "assert sum(1, 2) < sum(2, 2)"]}
    task, question = one(tmp_path, {**row, "challenge_test_list": []}, answer="code")
    assert task.verify(code, question).success
    close = {**MBPP, "code": "def isclose(a, b):\n    return a > b", "test_list": ["assert isclose(2, 1)"]}
    task, question = one(tmp_path, {**close, "challenge_test_list": []}, answer="code")
    assert task.verify(close["code"], question).success
    assert not task.verify("def isclose(a, b): return a < b", question).success


def test_a_program_may_have_names_of_builtins_for_its_own(tmp_path):
    task, question = one(tmp_path, MBPP, answer="code")
    code = "list = isinstance = int = map = 3\ndef double(x):\n    return 2 * x"
    assert task.verify(code, question).success


@pytest.mark.parametrize("loop", [False, True])
def test_a_function_may_be_gone_on_with_or_written_anew(loop, tmp_path):
    test = HUMANEVAL["test"]
    if loop:
        test = "def check(candidate):\n    for i in range(3):\n        assert candidate([i, 1]) == i + 1\n"
    task, question = one(tmp_path, {**HUMANEVAL, "test": test}, answer="code")
    right = {
        "    return sum(xs)": True,
        "\n    return sum(xs)\n\ndef other(": True,
        "    return sum(xs)\nprint(total([1]": True,
        "Of course:\n```python\ndef total(xs: List[int]):\n    return sum(xs)\n```\nThat is it.": True,
        "    return len(xs)": False,
        "return sum(xs)": False,
        "    raise SystemExit(0)": False,
        "    import os; os._exit(0)": False,
        "    pass\nfrom x import y": False,
        "```python\ndef total(xs):\n    return sum(xs)": False,
    }
    found = task.verify_many([(text, question) for text in right])
    assert [verdict.success for verdict in found] == list(right.values())


def test_programs_of_a_batch_run_together(tmp_path, monkeypatch):
    path, batches = written(tmp_path, MBPP), []
    box = shared()
    run = box.run
    monkeypatch.setattr(box, "run", lambda programs: batches.append(len(programs)) or run(programs))
    env = envs.make("text/Problems-v0", n=4, path=path, answer="code", seed=0)
    batches.clear()
    _, rewards, *_ = env.step(["def double(x): return 2*x", "?", "```\nopen", "def double(x): return x"])
    assert rewards.tolist() == [1, 0, 0, 0]
    assert batches == [3]
    assert "tests" in env.parts
    env.close()


# -- the page ------------------------------------------------------------------------------------------------


def test_the_page_has_the_formats_options_and_ways_that_there_are():
    page = (Path(__file__).resolve().parents[3] / "docs" / "files.md").read_text()
    tables = [
        dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", part, re.MULTILINE))
        for part in page.split("\n\n")
        if "|---" in part
    ]
    formats, options, ways = tables
    assert list(formats) == list(FORMATS)
    assert list(ways) == list(WAYS)
    signature = inspect.signature(open_problems).parameters
    told = {name: "required" if p.default is p.empty else p.default for name, p in signature.items()}
    assert {name: cell.strip('`"') for name, cell in options.items()} == {k: str(v) for k, v in told.items()}


# -- as an environment ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["gsm8k", "choice", "math"])
def test_a_solver_solves_the_file(name, tmp_path):
    env = envs.make("text/Problems-v0", n=3, path=written(tmp_path, ROWS[name]), instructions=True, seed=0)
    obs, _ = env.reset()
    solver = Solver(env.single_observation_space, env.single_action_space)
    rng = np.arange(3, dtype=np.uint64)
    said = solver.act(obs, rng=rng, first=np.ones(3, bool)).actions
    _, rewards, *_, info = env.step(said)
    assert rewards.tolist() == [1, 1, 1]
    assert info["parts"]["parsed"].tolist() == [1, 1, 1]
    env.close()


def test_splits_are_by_hash_and_small_files_have_none(tmp_path):
    path = written(tmp_path, *rows_of(400))
    sides = {}
    for split in ("train", "test"):
        env = envs.make("text/Problems-v0", n=200, path=path, split=split, seed=0)
        sides[split] = set(env.reset()[0]) | set(env.reset()[0])
        env.close()
    assert min(map(len, sides.values())) > 20
    assert not sides["train"] & sides["test"]
    with pytest.raises(OptionError, match="has 10 problems, too few for a train and a test split"):
        envs.make("text/Problems-v0", path=written(tmp_path, *rows_of(10)), split="train")


def test_a_file_in_a_mix(tmp_path):
    path = written(tmp_path, *rows_of(5))
    families = {"Addition": 1, "Problems": {"levels": 1, "path": path}}
    env = envs.make("text/Mixed-v0", n=20, families=families, seed=0)
    kinds = {"?" in prompt for prompt in env.reset()[0]}
    assert kinds == {True, False}
    env.close()


def test_numbers_need_no_process_of_their_own(tmp_path):
    path = written(tmp_path, GSM8K)
    verifiers = Verifiers({"Problems": (load("Problems", {"path": path}), {"path": path})})
    task = open_problems(path)
    (found,) = verifiers.call("Problems", "verify", [("<answer>72</answer>", task.question(0))])
    assert found.success
    assert not verifiers._guards
