"""Where verifiers are called: several at once, and in a process of their own where a family asks for it."""

from __future__ import annotations

import os

import numpy as np
import pytest

import envs
from envs.options import OptionError
from envs.text.guard import Fault
from envs.text.sandbox import SandboxError
from envs.text.task import Dialogue, Verdict
from envs.text.verifiers import Verifiers
from tests.envs.text.guard_toys import Faulty

PATH = "tests.envs.text.guard_toys:Faulty"


class Batched(Faulty):
    """Judges several at once, and says how many they were."""

    def verify_many(self, calls):
        said = [completion for completion, _ in calls]
        return [ValueError("no") if "no" in s else Verdict(1.0, True, True, str(len(said))) for s in said]


class Talking(Faulty, Dialogue):
    turns = 3

    def script(self, question, said, heard, strategy=None):
        return "end"


class Deadly(Faulty):
    deadline = 0.5


@pytest.fixture
def question():
    return Faulty().generate(np.random.default_rng(0), 1)


def test_what_one_raises_costs_its_own_call_only(question):
    found = Verifiers({PATH: (Faulty(), {})}, deadline=0).call(
        PATH, "verify", [("pid", question), ("raise", question), ("unspeakable", question), ("pid", question)]
    )
    assert [isinstance(each, Fault) for each in found] == [False, True, True, False]
    assert "ZeroDivisionError" in found[1].error
    assert found[2].error == "Unspeakable"


def test_a_family_may_judge_many_at_once(question):
    calls = [(text, question) for text in ("a", "no", "b")]
    found = Verifiers({PATH: (Batched(), {})}, deadline=0).call(PATH, "verify", calls)
    assert [each.error for each in found] == ["3", "ValueError: no", "3"]
    assert isinstance(found[1], Fault)


def test_in_a_dialogue_many_are_answered_and_judged(question):
    verifiers = Verifiers({PATH: (Talking(), {})}, deadline=0)
    replies = verifiers.call(
        PATH, "reply", [(question, ("a",)), (question, ("end",)), (question, ("number",))]
    )
    assert replies[:2] == ["a?", None]
    assert replies[2] == Fault("reply gave a int")
    verdicts = verifiers.call(PATH, "judge", [(question, ("pid",)), (question, ("raise",))])
    assert verdicts[0].error == str(os.getpid())
    assert isinstance(verdicts[1], Fault)


def test_a_family_that_may_hang_is_called_in_a_process_of_its_own(question):
    path = f"{__name__}:Deadly"
    verifiers = Verifiers({path: (Deadly(), {})})
    try:
        first, hung = verifiers.call(path, "verify", [("pid", question), ("loop", question)])
    finally:
        verifiers.close()
    assert int(first.error) != os.getpid()
    assert hung == Fault("it took longer than 0.5 s")


@pytest.mark.parametrize(("asked", "own", "name", "expected"), [
    (None, None, "Sorting", 0.0),
    (None, 2.0, "Sorting", 2.0),
    (None, None, PATH, 5.0),
    (None, 0.0, PATH, 0.0),
    (3.0, 2.0, "Sorting", 3.0),
    (0.0, 2.0, PATH, 0.0),
])  # fmt: skip
def test_which_deadline_there_is(asked, own, name, expected):
    task = Faulty()
    task.deadline = own
    assert Verifiers({name: (task, {})}, asked)._deadline(name) == expected


def test_where_programs_cannot_be_run_it_is_said_at_once(monkeypatch):
    def lacking():
        raise SandboxError("programs cannot be run in a sandbox here: no interpreter")

    monkeypatch.setattr("envs.text.sandbox.shared", lacking)
    with pytest.raises(OptionError, match=r"^programs cannot be run in a sandbox here: no interpreter$"):
        envs.make("text/PythonTool-v0")
    envs.make("text/Addition-v0").close()
