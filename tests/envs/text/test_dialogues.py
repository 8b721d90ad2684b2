"""Number guessing and the calculator: every reply, every hack, and solvers that know what they are told."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest

import envs
from envs.text import load
from envs.text.check import check_task
from envs.text.dialogues import calculator
from envs.text.dialogues.calculator import LARGEST, LEVELS, operations
from envs.text.numbers.expressions import parse
from envs.text.parsing import write
from envs.text.split import SPLITS, check_split
from envs.text.split import draw as deal_one
from envs.text.task import DIRECT

NAMES = ("GuessNumber", "Calculator")


@pytest.mark.parametrize("name", NAMES)
def test_it_holds_to_the_contract(name):
    check_task(load(name), problems=60)


def questions(task, count=50, seed=0):
    for level in range(1, task.levels + 1):
        rng = np.random.default_rng([seed, level])
        yield from (task.generate(rng, level) for _ in range(count))


def play(task, question, strategy=None):
    """(what a solver says, what it hears), where it has read the prompt only."""
    known = task.understand(question.prompt)
    said, heard = [], []
    while True:
        said.append(task.script(known, said, heard, strategy))
        reply = task.reply(question, said)
        if reply is None:
            return said, heard
        heard.append(reply)


# -- number guessing ---------------------------------------------------------------------------------------


def secret(low, high, number):
    task = load("GuessNumber")
    question = task.understand(f"guess:{low}-{high}")
    assert question.data == (low, high, None)
    return task, type(question)(question.prompt, (low, high, number), f"{low}-{high}", 1)


def test_a_guess_is_answered_by_where_the_secret_is():
    task, question = secret(3, 9, 6)
    for guess in range(3, 10):
        reply = task.reply(question, [write(str(guess))])
        assert reply == ("higher" if guess < 6 else "lower" if guess > 6 else None)


@pytest.mark.parametrize("text", ["", "6", "six", "2", "10", "6.5", "-6", "6 7", "06e0", "6/1/1"])
def test_what_is_no_number_of_the_range_is_told_so(text):
    task, question = secret(3, 9, 6)
    said = [text if text == "6" else write(text)]  # without its tags, the secret is no guess either
    assert task.reply(question, said) == "invalid"
    verdict = task.judge(question, said)
    assert not verdict.parsed
    assert not verdict.success
    assert verdict.parts["consistent"] == 0


@pytest.mark.parametrize(
    "said", [f"{write('6')}{write('7')}", f"{write('6')}</think>", f"guess:3-9{'<answer>'}6", "<answer>6"]
)
def test_several_guesses_or_hidden_ones_are_none(said):
    task, question = secret(3, 9, 6)
    assert task.reply(question, [said]) == "invalid"


def test_halving_finds_every_secret_in_seven_turns():
    task = load("GuessNumber")
    for low, count in [*((1, n) for n in (1, 2, 3, 10, 20, 50, 100, 127)), (873, 127), (0, 64)]:
        for number in range(low, low + count):
            _, question = secret(low, low + count - 1, number)
            said, _ = play(task, question)
            verdict = task.judge(question, said)
            assert len(said) <= min(task.turns, count.bit_length())
            assert verdict.success
            assert verdict.parts == {"steps": 1.0, "consistent": 1.0, "proved": 1.0}


def test_no_level_has_more_numbers_than_halving_can_find():
    task = load("GuessNumber")
    for question in questions(task, 300):
        low, high, number = question.data
        assert low <= number <= high < 1000
        assert high - low < 2**task.turns - 1


def test_the_solver_knows_the_prompt_only():
    task = load("GuessNumber")
    first = {task.script(secret(1, 99, number)[1], [], []) for number in range(1, 100)}
    assert first == {"<think>1-99</think><answer>50</answer>"}
    _, question = secret(1, 99, 80)
    assert task.script(question, ["nonsense"], ["invalid"], DIRECT) == write("50")
    assert task.script(question, [write("50")], ["higher"], DIRECT) == write("75")


def test_steps_and_guesses_are_held_against_what_was_known():
    task, question = secret(1, 100, 80)
    said = [write("50", "1-100"), write("40", "51-100"), write("90", "1-100"), write("80", "51-89")]
    verdict = task.judge(question, said)
    assert verdict.success
    assert verdict.parts == {"steps": 0.75, "consistent": 0.75, "proved": 0.0}
    assert task.judge(question, [write("80")]).parts == {"steps": 0.0, "consistent": 1.0, "proved": 0.0}
    wild = task.judge(question, [write("50", "1-100"), "?", write("80", "51-100")])
    assert wild.parts["consistent"] == pytest.approx(2 / 3)
    assert not task.judge(question, [write("80"), write("81")]).success
    assert not task.judge(question, []).success


def test_one_turn_is_judged_as_it_is_verified():
    task = load("GuessNumber")
    for question in questions(task, 10):
        for answer in (task.answer(question), str(question.data[0]), "?"):
            completion = write(answer, task.work(question, "steps"))
            verdict, judged = task.verify(completion, question), task.judge(question, [completion])
            assert (verdict.success, verdict.parsed, verdict.error) == (
                judged.success,
                judged.parsed,
                judged.error,
            )
            assert verdict.parts == judged.parts


def test_chance_of_a_guess_is_the_share_of_all_ways_to_guess():
    task = load("GuessNumber")
    for count in (2, 3):
        _, question = secret(1, count, 2)
        ways = list(itertools.product(range(1, count + 1), repeat=task.turns))
        found = sum(any(task.reply(question, [write(str(g))]) is None for g in way) for way in ways)
        assert task.chance(question) == pytest.approx(found / len(ways), abs=1e-12)


def test_every_range_of_the_smallest_level_of_guessing_is_counted():
    task = load("GuessNumber")
    rng = np.random.default_rng(0)
    keys = {task.generate(rng, 1).key for _ in range(5000)}
    assert len(keys) == task.space(1) == 11 * 30


@pytest.mark.parametrize("level", range(1, 5))
def test_no_range_of_the_test_occurs_in_train(level):
    task, rng = load("GuessNumber"), np.random.default_rng(0)
    check_split(task, "GuessNumber", level, "test")
    train, test = (
        {deal_one(task, "GuessNumber", rng, level, split).prompt for _ in range(1000)} for split in SPLITS
    )
    assert len(test) > 20
    assert not train & test


def test_any_secret_of_a_range_may_come_up_in_a_test():
    task, rng, secrets = load("GuessNumber"), np.random.default_rng(0), {}
    for _ in range(6000):
        low, high, number = deal_one(task, "GuessNumber", rng, 1, "test").data
        secrets.setdefault((low, high), set()).add(number)
    narrow = {each: found for each, found in secrets.items() if each[1] - each[0] == 9}
    assert len(narrow) > 1
    assert all(found == {*range(low, high + 1)} for (low, high), found in narrow.items())


@pytest.mark.parametrize("prompt", ["guess:9-3", "guess:1", "guess:01-5", "guess:-1-5", "1-9", "guess:1-9 "])
def test_other_texts_ask_for_no_guess(prompt):
    with pytest.raises(ValueError, match="asks for no guess"):
        load("GuessNumber").understand(prompt)


# -- the calculator ----------------------------------------------------------------------------------------


def asked(text):
    task = load("Calculator")
    return task, task.understand(f"calc:{text}")


def by_hand(text: str) -> list[str]:
    """The lines of a calculation on paper, brackets first, then products, then from the left."""
    lines = []
    while not text.isdigit():
        group = re.search(r"\(([^()]*)\)", text) or re.match(r"(.*)", text)
        inner = group[1]
        found = re.search(r"(\d+)(\*)(\d+)", inner) or re.match(r"(\d+)([-+])(\d+)", inner)
        value = eval(found[0])
        lines.append(f"{found[0]}={value}")
        inner = f"{inner[: found.start()]}{value}{inner[found.end() :]}"
        if group[0] != group[1] and not inner.isdigit():
            inner = f"({inner})"
        text = f"{text[: group.start()]}{inner}{text[group.end() :]}"
    return lines


def test_values_are_those_of_python():
    task = load("Calculator")
    for question in questions(task, 100):
        text = question.prompt.removeprefix("calc:")
        assert re.fullmatch(r"[\d+*()-]+", text)
        assert int(task.answer(question)) == eval(text)
        level = LEVELS[question.level - 1]
        assert len(operations(question.data)) == level.operations
        assert all(len(number) == level.digits for number in re.findall(r"\d+", text))


def test_every_number_on_the_way_can_be_given_to_the_calculator():
    task = load("Calculator")
    for question in questions(task, 100):
        for a, op, b, value in operations(question.data):
            assert 0 <= value <= LARGEST
            assert value == eval(f"{a}{op}{b}")
            call = f"<tool>{a}{op}{b}</tool>"
            assert task.reply(question, [call]) == f"<result>{value}</result>"


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("(12+37)*58-9", "12+37=49\n49*58=2842\n2842-9=2833"),
        ("2+3*4", "3*4=12\n2+12=14"),
        ("20-(2+3)*(1+2)", "2+3=5\n1+2=3\n5*3=15\n20-15=5"),
        ("9-3-2", "9-3=6\n6-2=4"),
        ("9-(3-2)", "3-2=1\n9-1=8"),
    ],
)
def test_operations_come_from_the_left_and_from_the_inside(text, steps):
    task, question = asked(text)
    assert task.work(question, "steps") == steps
    assert task.script(question, [], [], "steps") == write(task.answer(question), steps)


def test_operations_are_those_of_a_calculation_on_paper():
    task = load("Calculator")
    for question in questions(task, 100):
        lines = task.work(question, "steps").split("\n")
        text = question.prompt.removeprefix("calc:")
        assert sorted(lines) == sorted(by_hand(text))


REFUSED = ["", " ", "12", "1+2+3", "(1+2)", "1+2*3", "-1+2", "1+-2", "1/2", "2**3", "2//1", "1.5+1", "1e3+1"]
REFUSED += ["007+1", "1000000+1", "1+1000000", "0x1+1", "9" * 99 + "+1", "1+", "+1", "1 2", "1=1", "1+2\n3+4"]
REFUSED += ["__import__('os')", "print(1)", "</tool>", "<result>3", "١+٢", "1+2=3", "1+2;3"]


@pytest.mark.parametrize("call", REFUSED)
def test_the_calculator_does_nothing_else(call):
    task, question = asked("(1+2)*3")
    completion = f"<tool>{call}</tool>"
    assert task.reply(question, [completion]) == "<result>error</result>"
    assert task.judge(question, [completion]).parts["calls"] == 0


@pytest.mark.parametrize("level", range(1, len(LEVELS) + 1))
def test_no_whole_expression_can_be_pasted(level):
    task = load("Calculator")
    for question in questions(task, 20):
        if question.level == level:
            text = question.prompt.removeprefix("calc:")
            assert task.reply(question, [f"<tool>{text}</tool>"]) == "<result>error</result>"


@pytest.mark.parametrize(
    "completion",
    [
        "<tool>1+2</tool>",
        "<think>1+2 first</think><tool>1+2</tool>",
        "<think><tool>9*9</tool></think> so <tool> 1+2 </tool>",
        "<tool>１+２</tool>",
        "<tool>1+2</tool><tool>3*3",
        "<tool><tool>1+2</tool>",
    ],
)
def test_the_calculator_is_asked_after_the_thought(completion):
    task, question = asked("(1+2)*3")
    assert task.reply(question, [completion]) == "<result>3</result>"


@pytest.mark.parametrize(
    "completion",
    [
        "<tool>1+2</tool><tool>3*3</tool>",
        "<tool>1+2",
        "1+2</tool>",
        "<think><tool>1+2</tool></think>",
        "<result>9</result>",
        "9",
        "<answer>9",
    ],
)
def test_what_is_no_call_and_no_answer_costs_a_turn(completion):
    task, question = asked("(1+2)*3")
    assert task.reply(question, [completion]) == "<result>error</result>"
    assert not task.judge(question, [completion]).success


def test_a_result_that_the_agent_writes_fools_nobody():
    task, question = asked("(1+2)*3")
    faked = "<tool>1+2</tool><result>99</result>"
    assert task.reply(question, [faked]) == "<result>3</result>"
    for answer, right in (("99", False), ("9", True)):
        verdict = task.judge(question, [f"{faked}{write(answer)}"])
        assert verdict.success == right
        assert verdict.parts == {"calls": 0.0, "steps": 0.0, "proved": 0.0}
    only = task.judge(question, ["<result>9</result>"])
    assert (only.success, only.parsed) == (False, False)


def test_the_solver_calls_once_an_operation_and_is_proved_right():
    task = load("Calculator")
    for question in questions(task):
        said, heard = play(task, question)
        count = LEVELS[question.level - 1].operations
        assert len(said) == count + 1 <= task.turns
        assert not any("error" in reply for reply in heard)
        verdict = task.judge(question, said)
        assert verdict.success
        assert verdict.parts == {"calls": count, "steps": 1.0, "proved": 1.0}
        assert all(each.endswith("</tool>") and each.count("</tool>") == 1 for each in said[:-1])


def test_the_solver_repeats_what_came_back_wrong():
    task, question = asked("(1+2)*3")
    first = "<tool>1+2</tool>"
    assert task.script(question, ["?"], ["<result>error</result>"]) == first
    assert task.script(question, [first], ["<result>3</result>"]) == "<tool>3*3</tool>"
    assert task.script(question, [first, "?"], ["<result>3</result>", "<result>error</result>"]) == (
        "<tool>3*3</tool>"
    )


@pytest.mark.parametrize(
    ("said", "steps"),
    [
        (["<tool>1+2</tool>", "<tool>3*3</tool>", write("9")], 1),
        (["<tool>1+2</tool>", write("9")], 1 / 2),
        (["<tool>1+2</tool>", "<tool>3*3</tool>", "<tool>3*3</tool>", write("9")], 2 / 3),
        (["<tool>2+1</tool>", "<tool>3*3</tool>", write("9")], 1 / 2),
        (["?", "<tool>1+2</tool>", "<tool>3*3</tool>", write("9")], 0),
        (["<tool>1+2</tool>", write("9", "3*3=9")], 1),
        (["<think>1+2=3</think><tool>3*3</tool>", write("9")], 1),
        ([write("9", "1+2=3\n3*3=9")], 1),
        (["<tool>1+2=3\n3*3=9\n</tool>", write("9")], 0),
        ([write("9")], 0),
    ],
)
def test_steps_are_operations_in_order_calculated_or_by_hand(said, steps):
    task, question = asked("(1+2)*3")
    verdict = task.judge(question, said)
    assert verdict.success
    assert verdict.parts["steps"] == pytest.approx(steps)
    assert verdict.parts["proved"] == float(steps == 1)


DEEP, LONG = f"calc:{'(' * 50}1+2{')' * 50}", f"calc:{'1+' * 300}1"
OUTSIDE = ["calc:2-3", "calc:2-3+4", "calc:999999+1", "calc:9999999-1", "calc:6/2"]


@pytest.mark.parametrize(
    "prompt", [*OUTSIDE, DEEP, LONG, "calc:", "calc:5", "1+2", "calc:1+", "calc:2**3", "calc:-1+2"]
)
def test_other_texts_ask_for_no_calculation(prompt):
    with pytest.raises(ValueError, match=r"."):
        load("Calculator").understand(prompt)


def test_brackets_too_many_change_no_problem():
    question = asked("((1+2))*3")[1]
    assert question == asked("(1+2)*3")[1]
    assert question.data == parse("(1+2)*3")


def test_generation_avoids_what_the_calculator_cannot_do(monkeypatch):
    monkeypatch.setattr(calculator, "LARGEST", 200)
    task = load("Calculator")
    rng = np.random.default_rng(0)
    for _ in range(50):
        values = [value for *_, value in operations(task.generate(rng, 1).data)]
        assert all(0 <= value <= 200 for value in values)


# -- in an environment -------------------------------------------------------------------------------------


def test_a_dialogue_that_never_ends_is_truncated():
    env = envs.make("text/Calculator-v0", n=2)
    env.reset(seed=0)
    for turn in range(10):
        obs, rewards, terminated, truncated, info = env.step(("?", "<tool>1+1</tool>"))
        assert not terminated.any()
        assert not rewards.any()
        assert (truncated == (turn == 9)).all()
        if turn < 9:
            assert obs == ("<result>error</result>", "<result>2</result>")
    assert info["parts"]["calls"].tolist() == [0, 10]
    assert info["final_obs"] == ("<result>error</result>", "<result>2</result>")


def test_guesses_are_used_up():
    env = envs.make("text/GuessNumber-v0", n=1, level=3)
    env.reset(seed=0)
    for turn in range(7):
        _, _, terminated, truncated, info = env.step(("?",))
        assert (terminated[0], truncated[0]) == (False, turn == 6)
    assert info["parts"]["parsed"] == 0


def test_turns_end_where_the_environment_says():
    spaces = {name: envs.make(f"text/{name}-v0", n=1).single_action_space for name in NAMES}
    assert spaces["Calculator"].stops == ("</tool>",)
    assert spaces["GuessNumber"].stops == ()
    assert (spaces["Calculator"].turns, spaces["GuessNumber"].turns) == (10, 7)


def test_a_calculators_problem_is_the_tree_that_its_text_reads_as():
    task, rng = load("Calculator"), np.random.default_rng(0)
    for i in range(500):
        question = task.generate(rng, 1 + i % task.levels)
        assert parse(question.prompt.removeprefix("calc:")) == question.data
