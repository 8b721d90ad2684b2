"""The benchmarks of text tasks and of GRPO: both sides do what they are counted for, at the settings told."""

import re

import numpy as np
import pytest

from benchmarks import grpo, text
from benchmarks.grpo import Seconds
from envs.text import load
from envs.text.task import DIRECT

MANY, FEW = 300, 30


@pytest.mark.parametrize("name", text.CONTESTS)
def test_ours_makes_a_problem_and_scores_its_answer(name):
    turn = text.ours(text.CONTESTS[name])
    assert [turn() for _ in range(6)] == [1] * 6


@pytest.mark.parametrize("name", ["countdown", "arithmetic, 3 to 5 terms, + - * ( )"])
def test_a_wrong_answer_is_told(name, monkeypatch):
    contest = text.CONTESTS[name]
    family = type(load(contest.family))
    monkeypatch.setattr(family, "completion", lambda *_: "<answer>1</answer>")
    with pytest.raises(RuntimeError, match="is not right"):
        text.ours(contest)()


def drawn(name):
    """Problems of ours."""
    contest = text.CONTESTS[name]
    task, rng = load(contest.family, contest.options), np.random.default_rng(1)
    return [task.generate(rng, contest.levels[i % len(contest.levels)]) for i in range(MANY)]


def entries(name):
    """What reasoning-gym tells of its problems."""
    suite = pytest.importorskip("reasoning_gym")
    contest = text.CONTESTS[name]
    problems = suite.create_dataset(contest.peer, seed=1, size=MANY, **contest.peer_options)
    return [problems[i]["metadata"] for i in range(MANY if "arithmetic" in name else FEW)]


def counts(found):
    return sorted(set(found))


@pytest.mark.parametrize("name", [name for name in text.CONTESTS if "arithmetic" in name])
def test_arithmetic_has_as_many_terms_and_digits(name):
    found = [re.findall(r"\d+", q.prompt) for q in drawn(name)]
    theirs = entries(name)
    assert counts(map(len, found)) == counts(m["num_terms"] for m in theirs)
    assert {len(number) for numbers in found for number in numbers} == {2}
    assert {m["num_digits"] for m in theirs} == {2}
    operators = {c for m in theirs for c in m["expression"] if not c.isdigit() and c != " "}
    assert operators == {c for q in drawn(name) for c in q.prompt if c in "+-*/()"}


@pytest.mark.parametrize("name", [name for name in text.CONTESTS if "sudoku" in name])
def test_sudokus_have_as_many_blanks(name):
    found, theirs = [q.data.count(".") for q in drawn(name)], entries(name)
    fewest, most = theirs[0]["difficulty"]["empty"]  # between which they draw evenly
    assert (min(found), max(found)) == (fewest, most)
    assert np.mean(found) == (fewest + most) / 2
    assert all(fewest <= m["num_empty"] <= most for m in theirs)


def test_countdown_has_as_many_numbers():
    theirs, found = entries("countdown"), [q.data for q in drawn("countdown")]
    assert counts(len(m["numbers"]) for m in theirs) == counts(len(numbers) for numbers, _ in found)
    numbers = [number for m in theirs for number in m["numbers"]]
    assert 1 <= min(numbers) <= max(numbers) <= 99
    assert min(m["target"] for m in theirs) < 100


@pytest.mark.parametrize("name", [name for name in text.CONTESTS if "knights" in name])
def test_there_are_as_many_knights_and_knaves(name):
    assert {len(m["names"]) for m in entries(name)} == {len(q.data) for q in drawn(name)}


def test_a_verdict_of_a_dialogue_is_its_judges():
    task = load("Calculator")
    question = task.generate(np.random.default_rng(0), 1)
    right = text.verdict(task, task.completion(question, DIRECT), question)
    assert right.success
    assert "calls" in right.parts  # which only a whole episode has


@pytest.fixture
def small(monkeypatch, tmp_path):
    for name, value in {"PROBLEMS": 2, "GROUP": 8, "ROWS": 16, "NEW": 8}.items():
        monkeypatch.setattr(grpo, name, value)
    return grpo.save(tmp_path / "model")


def test_a_step_of_ours_samples_and_learns(small):
    step = grpo.ours(small, "fp32")
    took = step()  # which says where tokens are too few
    assert took.whole == pytest.approx(took.sampling + took.learning)
    assert min(took) > 0


def test_a_step_that_writes_less_is_told(small, monkeypatch):
    step = grpo.ours(small, "fp32")
    monkeypatch.setattr(grpo, "NEW", 9)
    with pytest.raises(RuntimeError, match="tokens"):
        step()


def test_the_bare_update_is_of_the_whole_model(small, monkeypatch):
    transformers = pytest.importorskip("transformers")
    made = []
    load_model = transformers.AutoModelForCausalLM.from_pretrained

    def noted(*args, **kwargs):
        made.append(load_model(*args, **kwargs))
        return made[-1]

    monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", noted)
    step = grpo.bare_update(small, "fp32")
    before = {name: weight.detach().clone() for name, weight in made[0].named_parameters()}
    assert sum(weight.numel() for weight in before.values()) == pytest.approx(4.2e6, rel=0.02)
    took = step()
    assert took.whole == took.learning > 0
    assert all((weight != before[name]).any() for name, weight in made[0].named_parameters())


@pytest.mark.slow
def test_trl_samples_and_learns_as_much(small, monkeypatch):
    pytest.importorskip("trl")
    monkeypatch.setattr(grpo, "ROUNDS", 0)  # each once, and each says where its tokens are too few
    told = list(grpo.rows())
    assert [row.reach for row in told if row.reach] == [1.3, 2.0]
    assert all(row.ours > 0 and row.peer > 0 for row in told)
    whole, sampling, learning = (row.peer for row in told[:3])
    assert whole == pytest.approx(sampling + learning, rel=0.5)  # each the least of two steps


def test_the_best_step_of_each_counts_in_every_part(monkeypatch):
    monkeypatch.setattr(grpo, "THREADS", (1,))
    told = {"a": iter([Seconds(3, 2, 1), Seconds(4, 1, 3)]), "b": iter([Seconds(9, 9, 9), Seconds(8, 8, 8)])}
    best = grpo.contest({name: lambda name=name: next(told[name]) for name in told}, rounds=1)
    assert best == {"a": Seconds(3, 1, 1), "b": Seconds(8, 8, 8)}
