"""The adapter of reasoning-gym: its own answers are right, what else its scorers take is not."""

import re
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import envs
import envs.text.check as check_of_text
from envs.options import OptionError
from envs.text import load
from envs.text.check import (
    Case,
    best_constant,
    check_constant,
    check_garbage,
    check_question,
    check_right,
    check_task,
    check_wrong,
    measured,
    same,
)
from envs.text.parsing import write

pytest.importorskip("reasoning_gym")

from envs.text.adapters.reasoning_gym import CONSTANTS, EXPRESSIONS, REFUSED, SCORED, ReasoningGym, supported

SAMPLE = ("ab", "chain_sum", "graph_color", "game_of_life", "n_queens", "countdown", "puzzle24", "jugs")
JUDGED = (*SCORED, *EXPRESSIONS, "coin_flip", "n_queens")
"""Tasks of which other answers than the package's own may be right."""


def judge(task):
    """What is right by the package's own scorer too, where that is asked; else by equality alone."""

    def right(answer, question):
        entry = task._make(question.data)
        if same(answer, entry["answer"]) or answer in entry["metadata"].get("valid_answers", ()):
            return True
        if task.task == "coin_flip":
            return number_of(answer) == pytest.approx(float(entry["answer"]), rel=2e-4, abs=0)
        if task.task in ("countdown", "puzzle24"):
            return used(answer) == sorted(entry["metadata"]["numbers"])
        try:
            return task.task in SCORED and task.dataset.score_answer(answer, entry) == 1.0
        except Exception:
            return False

    return right


def number_of(answer):
    """A decimal or a fraction as a float, else nan."""
    above, _, below = answer.partition("/")
    try:
        return float(above) / float(below or 1)
    except (ValueError, ZeroDivisionError):
        return float("nan")


def used(answer):
    """The numbers of an expression, by its words alone."""
    words = "".join(c if c.isdigit() else " " for c in answer).split()
    return sorted(map(int, words))


def check(name, problems):
    task = ReasoningGym(task=name)
    rng = np.random.default_rng(1)
    cases = [Case(task, task.generate(rng, 1), judge(task), None, 5.0) for _ in range(problems)]
    others = [task.answer(case.question) for case in cases]
    for i, case in enumerate(cases):
        check_question(case)
        check_right(case)
        check_wrong(case, rng, others)
        if i == 0:
            check_garbage(case)


@pytest.mark.parametrize("name", SAMPLE)
def test_a_task_holds_what_every_family_promises(name):
    check(name, 3)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(supported()))
def test_every_task_holds_what_every_family_promises(name):
    check(name, 3)


@pytest.mark.parametrize("name", ["coin_flip", "decimal_arithmetic", "n_queens", "shortest_path"])
def test_the_whole_contract(name):
    task = ReasoningGym(task=name)
    check_task(task, 3, right=judge(task), seconds=5.0)


@pytest.mark.slow
@pytest.mark.parametrize("name", JUDGED)
def test_the_whole_contract_of_all_that_have_several_right_answers(name, monkeypatch):
    monkeypatch.setattr(check_of_text, "CONSTANT", 100)  # some draw three problems a second
    task = ReasoningGym(task=name)
    check_task(task, 3, right=judge(task), seconds=5.0)


@pytest.mark.parametrize("name", ["circuit_logic", "gcd", "shortest_path", "syllogism"])
def test_what_one_answer_solves_is_declared(name):
    task = ReasoningGym(task=name)
    _, share = best_constant(task, 1)
    assert 0.2 < share <= task.constant == CONSTANTS[name] < share + 0.15


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(CONSTANTS.keys() - set(JUDGED)))
def test_no_constant_answer_solves_more_than_is_declared(name, monkeypatch):
    monkeypatch.setattr(check_of_text, "CONSTANT", 150)  # some draw three problems a second
    check_constant(ReasoningGym(task=name), 1)


def test_a_colouring_that_many_graphs_share():
    task = ReasoningGym(task="graph_color")
    colouring = (
        '{"0":3,"1":1,"2":2,"3":2,"4":1,"5":2,"6":3,"7":1,"8":2,"9":3}'  # climbed to, for these graphs
    )
    share = np.mean([task.check(colouring, question).success for question in measured(task, 1)])
    assert 0.2 < share <= task.constant == 0.4


def test_a_probability_is_compared_as_a_number():
    """The scorer pays in full what begins with the same digits, and all that is off by 0.0001."""
    task = ReasoningGym(task="coin_flip")
    questions = measured(task, 1)
    for constant in ("0", "0.", "0.0", "1", "0.5", "0.0001", "0.00005"):
        assert np.mean([task.check(constant, question).success for question in questions]) < 0.1
    for question in questions[:50]:
        told = task._entry(question.data)["metadata"]["rational"]
        right = told["numerator"] / told["denominator"]
        for said in (f"{right:.12f}", str(Fraction(told["numerator"], told["denominator"]))):
            assert task.check(said, question).success
        for said in (f"{right * 1.001:.12f}", f"-{right:.12f}", f"{right:.12f}%", "nan", "1/0"):
            assert not task.check(said, question).success, said
        if f"{right:.1f}" != str(right):
            assert not task.check(f"{right:.12f}"[:3], question).success


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("complex_arithmetic", "nan"),  # min(1, nan) is 1
        ("game_of_life_halting", "Fals"),  # any text is true
        ("spell_backward", None),  # twice what is right scores a little above 1
        ("gsm_symbolic", "{} or 7"),  # the first number counts
        ("sokoban", "the way is {}"),  # other letters are passed over
        ("kakurasu", "it is {}"),
        ("quantum_lock", "{} or not"),
        ("puzzle24", "8+8+8+0"),  # whatever the numbers are
        ("countdown", "164"),
        ("binary_matrix", "[].append(0)"),  # run as code there
        ("n_queens", "[['_']]"),
    ],
)
def test_what_its_scorers_take_is_not_taken_here(name, wrong):
    task = ReasoningGym(task=name)
    question = task.generate(np.random.default_rng(2), 1)
    answer = task.answer(question)
    wrong = answer * 2 if wrong is None else wrong.format(answer)
    assert not task.verify(write(wrong), question).success
    assert task.verify(write(answer), question).success


def test_an_answer_is_never_run_as_code(monkeypatch, tmp_path):
    """Of every task that is on offer and looks at answers by `eval` or sympy there."""
    mark = tmp_path / "run"
    for name in ("binary_matrix", "spiral_matrix", "string_insertion", "n_queens", "countdown", "puzzle24"):
        task = ReasoningGym(task=name)
        question = task.generate(np.random.default_rng(3), 1)
        assert not task.verify(write(f"open({str(mark)!r}, 'w')"), question).success
        assert not mark.exists()


def test_a_file_of_options_makes_its_problems(tmp_path):
    options = {
        "task": "graph_color",
        "config": {"num_colors": 4, "min_num_vertices": 5, "max_num_vertices": 5},
    }
    env = envs.make("text/ReasoningGym-v0", 4, seed=1, **options)
    prompts, _ = env.reset()
    assert all("colors: [1, 2, 3, 4]" in prompt for prompt in prompts)
    (task,) = env.single_observation_space.tasks().values()
    answers = [task.completion(task.understand(prompt)) for prompt in prompts]  # in this process
    answers[1], answers[2] = "<answer>{}</answer>", "<answer>[</answer>"
    _, rewards, terminated, _, info = env.step(answers)  # in another, which can be killed
    assert rewards.tolist() == [1.0, 0.0, 0.0, 1.0]
    assert terminated.all()
    assert not info["parts"]["error"].any()
    env.close()


def test_a_problem_depends_on_its_configuration_and_place_alone():
    one, other = (ReasoningGym(task="chain_sum", config={"seed": seed}) for seed in (0, 1))
    made = [task.generate(np.random.default_rng(5), 1) for task in (one, one, other)]
    assert made[0] == made[1]
    assert made[0].prompt != made[2].prompt


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_says_why(name):
    with pytest.raises(OptionError, match=f"{name} of reasoning-gym is not on offer: ") as told:
        load("ReasoningGym", {"task": name})
    assert told.value.option == "task"


@pytest.mark.parametrize(
    ("options", "option", "said"),
    [
        (
            {"task": "graph_colour"},
            "task",
            "reasoning-gym has no task 'graph_colour'; did you mean 'graph_color'",
        ),
        (
            {"task": "graph_color", "config": {"colors": 3}},
            "config",
            "the config of graph_color has no 'colors'",
        ),
        ({"task": "chain_sum", "config": {"min_terms": 0}}, "config", "the config of chain_sum does not fit"),
    ],
)
def test_what_does_not_fit_is_told_in_a_line(options, option, said):
    with pytest.raises(OptionError, match=said) as told:
        load("ReasoningGym", options)
    assert told.value.option == option
    assert "\n" not in str(told.value)


def test_without_the_package_its_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "reasoning_gym", None)
    with pytest.raises(
        ValueError, match=r"needs the package reasoning-gym: pip install 'move37\[reasoning-gym\]'"
    ):
        load("ReasoningGym", {"task": "ab"})


def test_the_page_lists_what_is_on_offer():
    page = (Path(__file__).resolve().parents[3] / "docs" / "adapters.md").read_text()
    listed = page.partition("## Tasks of reasoning-gym")[2].partition("\n## ")[0]
    assert set(re.findall(r"`(\w+)`", listed.partition("Not on offer")[0])) >= set(supported())
    assert set(re.findall(r"`(\w+)`:", listed.partition("Not on offer")[2])) == set(REFUSED)
