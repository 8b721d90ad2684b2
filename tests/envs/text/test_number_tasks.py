"""The number families, against Python's own arithmetic and against counts by brute force."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from envs.options import OptionError
from envs.text import card, load
from envs.text.check import check_task
from envs.text.numbers.columns import bounds, size
from envs.text.parsing import write
from envs.text.task import DIRECT

SIMPLE = ("Addition", "Subtraction", "Multiplication", "ChainSum", "Modular")
NUMBERS = (*SIMPLE, "Dag")


def draw(task, level, k, seed=0):
    rng = np.random.default_rng([seed, level])
    return [task.generate(rng, level) for _ in range(k)]


def sides(line):
    left, right = line.rsplit("=", 1)
    return left, int(right)


# -- answers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SIMPLE)
def test_answers_are_what_python_makes_of_the_prompt(name):
    task = load(name)
    for level in range(1, task.levels + 1):
        for question in draw(task, level, 50):
            assert int(task.answer(question)) == eval(question.prompt.removesuffix("="))


@pytest.mark.parametrize("name", SIMPLE)
def test_every_line_of_the_steps_is_true(name):
    task = load(name)
    for level in range(1, task.levels + 1):
        for question in draw(task, level, 20):
            for strategy in task.strategies:
                for left, right in map(sides, task.work(question, strategy).split("\n")):
                    assert eval(left) == right, (question.prompt, left, right)


def test_the_columns_of_an_addition_spell_the_sum():
    task = load("Addition")
    for level in (1, 2, 5, 10):
        for question in draw(task, level, 50):
            lines = task.work(question, "steps").split("\n")
            a, b = (str(n)[::-1] for n in question.data)
            carries = [0, *(sides(line)[1] // 10 for line in lines)]
            assert [line.split("=")[0] for line in lines] == [
                f"{x}+{y}+{carry}" for x, y, carry in zip(a, b, carries, strict=False)
            ]
            low = [sides(line)[1] % 10 for line in lines[:-1]]
            assert "".join(map(str, [sides(lines[-1])[1], *reversed(low)])) == task.answer(question)


def test_the_columns_of_a_subtraction_spell_the_difference_and_borrow_where_they_must():
    task, borrowed = load("Subtraction"), 0
    for level in (1, 2, 5, 10):
        for question in draw(task, level, 50):
            lines = [sides(line) for line in task.work(question, "steps").split("\n")]
            parts = [tuple(map(int, left.split("-"))) for left, _ in lines]
            a, b = question.data
            assert "".join(str(x % 10) for x, _, _ in reversed(parts)) == str(a)
            assert int("".join(str(y) for _, y, _ in reversed(parts))) == b
            assert all(0 <= right <= 9 for _, right in lines)
            assert int("".join(str(right) for _, right in reversed(lines))) == a - b
            assert [z for _, _, z in parts] == [0, *(int(x > 9) for x, _, _ in parts[:-1])]
            borrowed += sum(z for _, _, z in parts)
    assert borrowed > 100


def test_the_products_of_a_multiplication_lead_to_the_answer():
    task = load("Multiplication")
    for level in range(1, task.levels + 1):
        for question in draw(task, level, 20):
            a, b = question.data
            short, long = (task.work(question, way).split("\n") for way in task.strategies)
            places = [int(digit) * 10**i for i, digit in enumerate(reversed(str(b)))]
            assert [line.split("=")[0] for line in short if "*" in line] == [
                f"{a}*{place}" for place in places
            ]
            assert sides(short[-1])[1] == a * b
            for line in short:  # before each stand its columns, which spell the result
                left, result = sides(line)
                columns = [sides(column)[1] for column in long[: long.index(line)]]
                place = 10 ** (len(left.split("*")[1]) - 1) if "*" in left else 1
                spelt = [str(columns.pop()), *(str(column % 10) for column in reversed(columns))]
                assert int("".join(spelt)) * place == result
                long = long[long.index(line) + 1 :]
            assert long == []


def test_no_factor_is_nothing():
    task = load("Multiplication")
    for level in range(1, task.levels + 1):
        assert all(min(q.data) > 0 for q in draw(task, level, 300))


@pytest.mark.parametrize(
    ("prompt", "worth"),
    [("7*8=", 1), ("50*1=", 1), ("50*10=", 1 / 3), ("50*11=", 1 / 3), ("1*11=", 1 / 3), ("100*100=", 1 / 5)],
)
def test_a_product_said_again_is_no_work_unless_it_is_all_of_it(prompt, worth):
    """All of it where the second number has one digit, which the card says."""
    task = load("Multiplication")
    question = task.understand(prompt)
    answer = task.answer(question)
    parts = task.verify(write(answer, f"{prompt}{answer}"), question).parts
    assert parts["proved"] == (worth == 1)
    assert parts["steps"] in (0, pytest.approx(worth))


def test_a_card_says_where_a_product_said_again_is_all_the_work():
    (said,) = card.one_liners(load("Multiplication"), "products")[1:2]
    assert said.startswith("By `products` all the work of levels 1, 2, 3, 5 is one line")
    assert card.one_liners(load("Multiplication"), "columns") == []


def test_a_letter_less_itself_is_not_asked_for():
    """It would be 0, whatever the letter is."""
    task, seen = load("Dag"), 0
    for level in (1, 2, 12):
        for question in draw(task, level, 300):
            for _, one, operator, two in question.data[0]:
                assert not (one and one == two and operator == "-")
                seen += one == two != ""
    assert seen > 100


def test_each_line_of_a_chain_goes_on_from_the_last():
    task = load("ChainSum")
    for level in range(1, task.levels + 1):
        for question in draw(task, level, 20):
            lines = task.work(question, "steps").split("\n")
            text = lines[0].split("=")[0]
            for before, line in pairwise(lines):
                left, result = line.split("=")[0], before.split("=")[1]
                assert left.startswith(result)
                text += left.removeprefix(result)
            assert f"{text}=" == question.prompt
            assert lines[-1].split("=")[1] == task.answer(question)


def test_remainders_are_taken_where_they_must_and_stay_small():
    task, kinds = load("Modular"), set()
    for level in range(1, task.levels + 1):
        for question in draw(task, level, 40):
            modulus = question.data[1]
            lines = [sides(line) for line in task.work(question, "steps").split("\n")]
            for (_, right), after in pairwise([*lines, None]):
                assert 0 <= right < modulus or after == (f"{right}%{modulus}", right % modulus)
            kinds |= {("%" in left, left.startswith("-")) for left, _ in lines}
            assert str(lines[-1][1]) == task.answer(question)
    assert kinds == {(False, False), (True, False), (True, True)}


# -- forms and counts --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SIMPLE[:3])
def test_numbers_have_the_digits_of_their_level(name):
    task = load(name)
    for level in (1, 2, 3, 9):
        lengths = {tuple(map(len, map(str, q.data))) for q in draw(task, level, 100)}
        assert len(lengths) == 1
    assert bounds(1) == (0, 9)
    assert bounds(3) == (100, 999)
    assert size(3) == 900


@pytest.mark.parametrize(
    ("name", "level", "exact"),
    [("Addition", 1, 55), ("Subtraction", 1, 55), ("Multiplication", 1, 45), ("Multiplication", 2, 810)],
)
def test_the_space_is_what_is_found_by_drawing_for_long(name, level, exact):
    task = load(name)
    assert task.space(level) == exact
    assert len({q.key for q in draw(task, level, 20 * exact)}) == exact


@pytest.mark.parametrize(
    ("name", "options"),
    [("ChainSum", {}), ("Modular", {}), ("Dag", {"modulus": 3}), ("Dag", {"modulus": 23})],
)
def test_a_lower_bound_of_the_space_is_one(name, options):
    task = load(name, options)
    assert len({q.key for q in draw(task, 1, 15_000)}) >= task.space(1) >= 50


@pytest.mark.parametrize("level", [1, 2])
def test_the_chance_is_one_of_all_numbers_between_the_least_and_the_greatest_answer(level):
    least, most = bounds(level)
    numbers = range(least, most + 1)
    answers = {
        "Addition": [a + b for a in numbers for b in numbers],
        "Subtraction": [a - b for a in numbers for b in numbers if a >= b],
    }
    if level == 1:
        answers["Multiplication"] = [a * b for a in numbers for b in numbers if a * b]
        several = [a + s * b + t * c for a in numbers for b in numbers for c in numbers for s, t in SIGNS]
        answers["ChainSum"] = several
    for name, values in answers.items():
        (question,) = draw(load(name), level, 1)
        assert load(name).chance(question) == 1 / (max(values) - min(values) + 1)
    (question,) = draw(load("Modular"), level, 1)
    assert load("Modular").chance(question) == 1 / int(re.findall(r"%(\d+)=", question.prompt)[0])


SIGNS = [(1, 1), (1, -1), (-1, 1), (-1, -1)]


def test_draws_are_even():
    """Of 55 pairs of digits, those of different digits come twice as often (chi-square, 54 degrees)."""
    questions = draw(load("Addition"), 1, 20_000)
    counts: dict[str, int] = {}
    for question in questions:
        counts[question.key] = counts.get(question.key, 0) + 1
    expected = {key: 20_000 * (1 if len(set(key.split("+"))) == 1 else 2) / 100 for key in counts}
    assert sum((counts[key] - e) ** 2 / e for key, e in expected.items()) < 100


def test_equal_problems_have_equal_keys():
    def key(name, prompt):
        return load(name).understand(prompt).key

    assert key("Addition", "47+35=") == key("Addition", "35+47=")
    assert key("Multiplication", "4*35=") == key("Multiplication", "35*4=")
    assert key("Subtraction", "47-35=") != key("Subtraction", "48-35=")
    assert key("ChainSum", "12+5-38=") == key("ChainSum", "5-38+12=")
    assert key("ChainSum", "12+5-38=") != key("ChainSum", "12-5+38=")
    assert key("Modular", "(2*3-4+5*6)%7=") == key("Modular", "(6*5+3*2-4)%7=")
    assert key("Modular", "(2*3-4+5*6)%7=") != key("Modular", "(2*3-4+5*6)%8=")
    assert key("Dag", "a=3;b=a+4;c=a*b;c%23?") == key("Dag", "x=q*z;z=q+4;q=3;x%23?")
    assert key("Dag", "a=3;b=a+4;c=a*b;c%23?") == key("Dag", "a=3;b=a+4;c=b*a;c%23?")
    assert key("Dag", "a=3;b=a+4;c=b*b;c%23?") == key("Dag", "a=3;b=a+4;c=b*b;d=c+1;c%23?")
    assert key("Dag", "a=3;b=a-4;c=a-b;c%23?") != key("Dag", "a=3;b=a-4;c=b-a;c%23?")


def test_numbers_are_read_in_any_dress_and_nothing_else_is():
    task = load("ChainSum")
    question = task.understand("12+5-1251=")
    for text in (
        "-1234",
        "\u22121234",
        "-1,234",
        "-1234.",
        " -1234 ",
        "-1234.0",
        "$-1234$",
        "\\boxed{-1234}",
    ):
        assert task.check(text, question).success, text
    for text in (
        "1234",
        "--1234",
        "-1234-",
        "-12,34",
        "12+5-1251",
        "-1234 or 5",
        "-1235",
        "- 1234",
        "-1234e0",
    ):
        assert not task.check(text, question).success, text
    assert not task.check("1234", question).error.startswith("not")
    assert not task.check("12+5-1251", question).parsed


def test_half_of_the_steps_earns_half():
    task = load("Addition")
    question = task.understand("478+356=")
    lines = task.work(question, "steps").split("\n")
    assert task.check_steps("\n".join(lines), question) == 1
    assert task.check_steps("\n".join(lines[:2]), question) == 2 / 3
    assert task.check_steps("\n".join([lines[0], "7+5+0=12", lines[2]]), question) == 2 / 3
    assert task.check_steps("\n".join(lines[1:]), question) == 0
    assert task.check_steps("\n".join([*lines, lines[0]]), question) == 3 / 4


@pytest.mark.parametrize("name", NUMBERS)
def test_other_texts_are_no_prompts(name):
    task = load(name)
    for text in (
        "1+1",
        "=",
        "1 + 1=",
        "01+1=",
        "1+-1=",
        "+1+1=",
        "1" * 99 + "+1=",
        "1+1=\n",
        "１+1=",
        "1+1=?",
    ):
        with pytest.raises(ValueError, match=r"^[^\n]*$"):
            task.understand(text)


def test_a_subtraction_never_takes_more_than_there_is():
    with pytest.raises(ValueError, match="takes away more"):
        load("Subtraction").understand("35-47=")
    with pytest.raises(ValueError, match="takes away nothing"):
        load("ChainSum").understand("35-0+1=")


# -- values that define values -----------------------------------------------------------------------------


def solve(prompt):
    """(values, depth, letter asked) of a DAG's prompt: by going over the definitions until all are known."""
    *given, asked = prompt.split(";")
    modulus = int(asked.split("%")[1].rstrip("?"))
    values, depth = {}, {}
    while len(values) < len(given):
        for text in given:
            letter, made = text.split("=")
            letters = [c for c in made if c.isalpha()]
            if letter not in values and set(letters) <= set(values):
                values[letter] = eval(made, {}, dict(values)) % modulus
                depth[letter] = max([depth[c] + 1 for c in letters], default=0)
    return values, depth, asked[0]


@pytest.mark.parametrize("options", [{}, {"modulus": 7, "extra": 5}, {"extra": 0, "shuffled": False}])
def test_a_dag_has_the_depth_of_its_level_and_its_steps_what_it_needs(options):
    task = load("Dag", options)
    for level in range(1, task.levels + 1):
        for question in draw(task, level, 20):
            values, depth, asked = solve(question.prompt)
            assert depth[asked] == level
            assert len(values) == level + 1 + options.get("extra", 1)
            assert task.answer(question) == str(values[asked])
            lines = task.work(question, "steps").split("\n")
            assert len(lines) == level + 1
            assert lines[-1].split("=")[0] == asked
            for line in lines:
                letter, *worked, value = line.split("=")
                assert values[letter] == int(value)
                assert not worked or eval(worked[0]) % task.modulus == int(value)


def test_definitions_stand_in_any_order_or_in_theirs():
    firsts = [q.prompt[0] for q in draw(load("Dag", {"shuffled": False}), 6, 50)]
    starts = [q.data[0][0][1] for q in draw(load("Dag", {"shuffled": False}), 6, 50)]
    assert set(starts) == {""}
    assert len(set(firsts)) > 10
    assert {q.data[0][0][1] == "" for q in draw(load("Dag"), 6, 50)} == {True, False}


def test_the_steps_of_a_dag_may_come_in_any_order_that_makes_sense():
    task = load("Dag")
    question = task.understand("a=3;b=a+4;c=a*2;d=b-c;e=a+1;d%23?")
    lines = ["a=3", "b=3+4=7", "c=3*2=6", "d=7-6=1"]
    swapped = [lines[0], lines[2], lines[1], lines[3]]
    assert task.check_steps("\n".join(lines), question) == task.check_steps("\n".join(swapped), question) == 1
    early = [lines[1], lines[0], lines[2], lines[3]]
    assert task.check_steps("\n".join(early), question) == 2 / 4  # b is not known when d needs it
    assert task.check_steps("\n".join([*lines[:3], "e=3+1=4", lines[3]]), question) == 4 / 5
    assert task.check_steps("\n".join([*lines[:3], "d=6-7=1"]), question) == 3 / 4
    assert task.check_steps("\n".join(lines[:1] * 4), question) == 1 / 4


def test_a_dag_that_makes_no_sense_is_refused_at_once():
    task = load("Dag")
    for prompt in ("a=b+1;b=a+1;a%23?", "a=a+1;a%23?", "a=b+1;a%23?", "a=1;c=b+1;a%23?"):
        with pytest.raises(ValueError, match=r"is (not defined|defined by itself)"):
            task.understand(prompt)
    for prompt in ("a=1;a=2;a%23?", "a=1;b%23?", "a=1;a%0?", "a=1+2;a%23?", "a=1;a", ";a%23?", "a=1;a%23?x"):
        with pytest.raises(ValueError, match="does not read like"):
            task.understand(prompt)
    letters = "abcdefghijklmnopqrstuvwxyz"
    doubled = ";".join(["a=1", *(f"{y}={x}+{x}" for x, y in pairwise(letters))]) + ";z%23?"
    question = task.understand(doubled)
    assert task.answer(question) == str(2**25 % 23)
    assert len(question.key) < 300


def test_what_a_dag_may_be_made_with():
    for option, value in (("modulus", 1), ("modulus", 10**6), ("extra", -1), ("extra", 14)):
        with pytest.raises(OptionError, match=f"{option} must be from") as error:
            load("Dag", {option: value})
        assert error.value.option == option
    assert "%97?" in draw(load("Dag", {"modulus": 97}), 2, 1)[0].prompt


# -- the contract ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NUMBERS)
def test_they_hold_to_the_contract(name):
    check_task(load(name), problems=60)


@pytest.mark.parametrize("options", [{"modulus": 2, "extra": 0}, {"extra": 13}, {"shuffled": False}])
def test_a_dag_of_any_kind_holds_to_the_contract(options):
    check_task(load("Dag", options), problems=24)


@pytest.mark.parametrize("name", NUMBERS)
def test_what_is_understood_is_what_was_asked(name):
    task = load(name)
    for level in range(1, task.levels + 1):
        for question in draw(task, level, 20):
            assert task.understand(question.prompt) == replace(question, level=0)
            for strategy in (DIRECT, *task.strategies):
                assert task.verify(task.completion(question, strategy), question).success
