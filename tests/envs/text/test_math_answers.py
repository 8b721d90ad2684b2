"""Mathematical answers, checked by a library that may hang: what is right, and who is killed."""

import json
import signal
import sys
import threading

import numpy as np
import pytest

import envs
from envs.options import OptionError
from envs.text.check import garbage, hacks, mutate
from envs.text.files import mathematics
from envs.text.files.kinds import open_problems
from envs.text.files.mathematics import UnreadableError, bare, compare
from envs.text.guard import Fault
from envs.text.parsing import write
from envs.text.verifiers import Verifiers

mathematics.check_installed()
TOWER = "9^{9^{9^{9}}}"
"""What the library does not come to an end with."""


def written(tmp_path, *answers):
    rows = [{"problem": f"{i}?", "answer": answer, "level": 1} for i, answer in enumerate(answers)]
    (tmp_path / "math.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return str(tmp_path / "math.jsonl")


def opened(tmp_path, *answers):
    path = written(tmp_path, *answers)
    return path, open_problems(path)


@pytest.mark.parametrize(
    ("right", "said"),
    [
        ("7", "7.0"),
        ("7", "$7$"),
        ("7", "\\(7\\)"),
        ("7", "\\boxed{7}"),
        ("7", "7."),
        ("7", "x = 7"),
        ("7", "7\\text{ apples}"),
        ("1234", "1{,}234"),
        ("1234", "1\\,234"),
        ("\\frac{1}{2}", "0.5"),
        ("\\frac{1}{2}", "1/2"),
        ("\\frac{1}{2}", "\\dfrac12"),
        ("-\\frac{1}{2}", "\\frac{-1}{2}"),
        ("\\text{(B)}", "B"),
        ("\\text{east}", "East"),
        ("x^2+2x+1", "(x+1)^2"),
        ("2\\sqrt{3}", "\\sqrt{12}"),
        ("\\{1,2\\}", "\\{2,1\\}"),
        ("(1,2)", "\\left(1, 2\\right)"),
        ("y=2x+3", "2x+3"),
        ("10\\%", "10%"),
        ("90^\\circ", "90"),
    ],
)
def test_the_same_answer(right, said):
    assert compare(right, said) is True


@pytest.mark.parametrize(
    ("right", "said"),
    [
        ("7", "-7"),
        ("7", "77"),
        ("7", "3+4"),
        ("7", "7 or not"),
        ("7", "1,2,3,4,5,6,7"),
        ("42", "6\\cdot 7"),
        ("\\frac{1}{2}", "\\frac{1}{3}"),
        ("\\frac{1}{2}", "\\frac{1}{4}+\\frac{1}{4}"),
        ("\\text{east}", "tase"),
        ("\\text{east}", "west"),
        ("x^2", "x^3"),
        ("x", "y"),
        ("(1,2)", "(2,1)"),
        ("(1,2)", "[1,2]"),
        ("\\{1,2\\}", "\\{1,2,3\\}"),
        ("\\{1,2\\}", "1"),
        ("1,2", "2"),
        ("\\sqrt{2}", "1.4"),
    ],
)
def test_another_answer(right, said):
    assert not compare(right, said)


@pytest.mark.parametrize(
    "said", ["", "?7", "7}", "{7", "7 ? 7", "\\frac{1}{", "1" * 301, "\\boxed{}", "()" * 140]
)
def test_what_is_no_answer(said):
    assert compare("7", said) is None


def test_the_order_is_right_answer_then_what_was_said(monkeypatch):
    import math_verify

    asked = []
    monkeypatch.setattr(math_verify, "verify", lambda *a, **k: asked.append((a, k)) or True)
    assert mathematics._by_library("x+1", "1+x")
    (((expected, found), how),) = asked
    assert (expected[-1], found[-1]) == ("x+1", "1+x")
    assert how == {"timeout_seconds": None}


def test_answers_are_remembered():
    compare.cache_clear()
    for _ in range(3):
        compare("\\pi", "\\pi+0")
    assert compare.cache_info()[:2] == (2, 1)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("$\\boxed{\\text{ a b }}$.", "a b"),
        ("\\boxed{1}+\\boxed{2}", "\\boxed{1}+\\boxed{2}"),
        ("$1$ or $2$", "1$ or $2"),
        ("...", "."),
        ("", ""),
        ("\\$5", "5"),
    ],
)
def test_what_an_answer_is_put_into_is_taken_off(text, found):
    assert bare(text) == found


@pytest.mark.parametrize("answer", ["72", "\\frac{3}{4}", "\\sqrt{13}", "(3, 4)"])
def test_twenty_mutated_answers_are_wrong(answer, tmp_path):
    """The judge here is plain: numbers in place of the LaTeX, worked out by Python."""
    _, task = opened(tmp_path, answer)
    question, rng, wrong = task.question(0), np.random.default_rng(0), 0
    assert task.verify(write(answer), question).success
    plain = "".join(answer.split())
    while wrong < 20:
        mutant = mutate(rng, answer, "0123456789")
        if _digits(mutant) != _digits(plain):
            assert not task.verify(write(mutant), question).success, mutant
            wrong += 1


def _digits(text):
    """The numbers in a text, without zeros before them: where these differ so does the value."""
    return [part.lstrip("0") for part in "".join(c if c.isdigit() else " " for c in text).split()]


def test_garbage_is_wrong_and_costs_no_more_than_its_own_process(tmp_path):
    path, task = opened(tmp_path, "72", "x^2")
    verifiers = Verifiers({"Problems": (task, {"path": path})}, deadline=20.0)
    texts = [*garbage(), *hacks("72", "0?")]
    found = verifiers.call("Problems", "verify", [(text, task.question(i)) for i in (0, 1) for text in texts])
    verifiers.close()
    assert not any(isinstance(value, Fault) for value in found)
    assert not any(value.success for value in found)


def test_a_verifier_that_hangs_is_killed_and_its_sample_invalid(tmp_path):
    path, task = opened(tmp_path, "\\sqrt{2}")
    verifiers = Verifiers({"Problems": (task, {"path": path})}, deadline=2.0)
    said = [write(text) for text in ("\\sqrt{2}", f"\\sqrt{{{TOWER}}}", "\\sqrt{3}", "2^{1/2}")]
    question = task.question(0)
    found = verifiers.call("Problems", "verify", [(text, question) for text in said])
    guard = verifiers._guards["Problems"]
    assert guard.restarts == 1
    verifiers.close()
    assert found[1] == Fault("it took longer than 2 s")
    assert [found[i].success for i in (0, 2, 3)] == [True, False, True]


def test_in_an_environment_it_is_an_error_and_no_failure(tmp_path):
    path, _ = opened(tmp_path, "\\frac{1}{")
    env = envs.make("text/Problems-v0", n=2, path=path, seed=0)
    _, rewards, *_, info = env.step((write("1"), "nothing"))
    env.close()
    assert rewards.tolist() == [0, 0]
    assert info["parts"]["error"].tolist() == [1, 0]
    said = info["verdicts"][0]["error"]
    assert "math.jsonl, line 1: math-verify cannot read the answer" in said


def test_it_has_a_process_of_its_own_by_itself(tmp_path):
    path, task = opened(tmp_path, "x")
    assert task.deadline == 10.0
    verifiers = Verifiers({"Problems": (task, {"path": path})})
    (found,) = verifiers.call("Problems", "verify", [(write("x"), task.question(0))])
    assert found.success
    assert verifiers._guards["Problems"].deadline == 10.0
    verifiers.close()


def test_unreadable_right_answers_are_errors():
    with pytest.raises(UnreadableError, match="cannot read the answer"):
        compare("\\frac{1}{", "1")


def test_a_thread_never_touches_signals(monkeypatch):
    def touched(*arguments):
        raise AssertionError("signal")

    for name in ("signal", "alarm", "setitimer"):
        monkeypatch.setattr(signal, name, touched)
    found = []

    def work():
        compare.cache_clear()
        found.append(compare("\\sqrt{8}", "2\\sqrt{2}"))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [True]


def test_without_the_library_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "math_verify", None)
    with pytest.raises(OptionError, match=r"pip install 'move37\[math\]'"):
        open_problems(written(tmp_path, "12345"))


@pytest.mark.slow
def test_in_a_worker_of_ray(tmp_path):
    import ray

    path, _ = opened(tmp_path, "\\sqrt{2}")

    @ray.remote
    def judge():
        env = envs.make("text/Problems-v0", n=2, path=path, deadline=3.0, seed=0)
        _, rewards, *_, info = env.step((write("\\sqrt{2}"), write(f"\\sqrt{{{TOWER}}}")))
        env.close()
        return rewards.tolist(), info["parts"]["error"].tolist()

    ray.init(address="local", num_cpus=1, include_dashboard=False)
    try:
        assert ray.get(judge.remote()) == ([1, 0], [0, 1])
    finally:
        ray.shutdown()
