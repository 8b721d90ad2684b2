"""Problems from a file, of whatever kind: how they are asked, and how answers to them are read.

    env: {id: text/Problems-v0, path: gsm8k.jsonl, template: "Problem: {question} Answer:", shots: 4}

A prompt is the template with the question in it, after `shots` solved examples, the first of the file, which
are then not asked. A completion gives its answer by tags as everywhere in this suite, or as `answer` says.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import ClassVar

import numpy as np

from envs.nearest import suggest
from envs.options import OptionError
from envs.text.files.answers import answered, given, program
from envs.text.files.formats import Problem
from envs.text.parsing import TAGS, Reading
from envs.text.task import DIRECT, Question, Task, Verdict

PLACE = "{question}"
"""What a template has where the question is to stand."""
BETWEEN = "\n\n"
"""What stands between examples."""
LEVELS = 5
"""Of MATH."""
OPENED = 16
"""Files and their options that are remembered."""
ASKED = {
    "tags": "",
    "boxed": " Put the answer into \\boxed{…}.",
    "hash": " End with a line of #### and the answer.",
    "last_number": " End with the answer.",
    "code": " Write the code into a block between ``` lines, or nothing else.",
}
"""What a reader is told of the ways to answer."""


class Problems(Task):
    """The problems of a file, of one format. Its steps are free text: none is known to be right.

    `file` names it for people, `found` are its problems in order; the other options are as in
    `envs.text.files.kinds.open_problems`.
    """

    title = "Problems of a file"
    about = "path=FILE.jsonl: GSM8K, MATH, AIME, MBPP, HumanEval or multiple choice from a local file"
    constant = 1.0
    ways: ClassVar[tuple[str, ...]] = ("tags", "boxed", "hash", "last_number")
    """Of `envs.text.files.answers.WAYS`, those in which an answer can be given."""

    def __init__(
        self, file: str, found: Sequence[Problem], template: str = PLACE, shots: int = 0, answer: str = "tags"
    ) -> None:
        if PLACE not in template:
            raise OptionError("template", f"template must have {PLACE} in it, not {template!r:.60}")
        if answer not in self.ways:
            raise OptionError("answer", f"no way to answer '{answer}'; {suggest(answer, self.ways)}")
        if not 0 <= shots < len(found):
            said = f"shots must be from 0 to {len(found) - 1}: {file} has {len(found)} problems"
            raise OptionError("shots", f"{said}, and those that are shown are not asked")
        self.file, self.template, self.way = file, template, answer
        self.asked = tuple(found[shots:])
        """What can be asked, in the file's order."""
        self.examples = tuple(found[:shots])
        self.head = "".join(
            f"{self.shown(problem)}{self.said(problem)}{BETWEEN}" for problem in self.examples
        )
        """What every prompt begins with."""
        before = template.partition(PLACE)[0].strip()
        self.stops = (before,) if shots and before else ()  # type: ignore[misc]
        self._places: dict[str, int] = {}
        for i, problem in enumerate(self.asked):
            self._places.setdefault(self.shown(problem), i)
        by_level: dict[int, list[int]] = {}
        for i in self._places.values():
            by_level.setdefault(self.asked[i].level, []).append(i)
        leveled = all(level in by_level for level in range(1, LEVELS + 1))
        self._dealt = by_level if leveled else {1: sorted(self._places.values())}
        self.levels = LEVELS if leveled else 1  # type: ignore[misc]
        self.instructions = self.sentence + ASKED[answer]  # type: ignore[misc]

    sentence: ClassVar[str]
    """What is asked for, for a reader."""

    @cached_property
    def alphabet(self) -> str:  # type: ignore[override]
        """Every character of the prompts, solutions and answers."""
        known = set(self.head)
        for problem in self.asked:
            known.update(self.shown(problem), self._untagged(problem))
        return "".join(sorted(known))

    def _untagged(self, problem: Problem) -> str:
        text = self.said(problem)
        for tag in TAGS if self.way == "tags" else ():
            text = text.replace(tag, "")
        return text

    # -- problems --------------------------------------------------------------------------------------

    def generate(self, rng: np.random.Generator, level: int) -> Question:
        places = self._dealt[level]
        return self.question(places[int(rng.random() * len(places))], level)

    def question(self, i: int, level: int = 0) -> Question:
        """The problem at a place in `asked`."""
        problem = self.asked[i]
        shown = self.shown(problem)
        return Question(self.head + shown, i, " ".join(self.stated(problem).split()), level)

    def understand(self, prompt: str) -> Question:
        i = self._places.get(prompt[len(self.head) :]) if prompt.startswith(self.head) else None
        if i is None:
            raise ValueError(f"{prompt[-60:]!r} is no problem of {self.file}")
        return self.question(i)

    def space(self, level: int) -> float:
        return float(len(self._dealt[level]))

    def stated(self, problem: Problem) -> str:
        """What a problem asks, in words."""
        return problem.question

    def shown(self, problem: Problem) -> str:
        """The same as the template has it."""
        return self.template.replace(PLACE, self.stated(problem))

    # -- what is right ---------------------------------------------------------------------------------

    def answer(self, question: Question) -> str:
        return self.asked[question.data].answer

    def work(self, question: Question, strategy: str) -> str:
        return self.asked[question.data].work

    def completion(self, question: Question, strategy: str | None = None) -> str:
        return self.said(self.asked[question.data], direct=strategy == DIRECT)

    def said(self, problem: Problem, direct: bool = False) -> str:
        """A right completion: the file's solution, unless it is to be `direct`, and the answer."""
        text = given(problem.answer, "" if direct else problem.work, self.way)
        return text if self.way == "tags" else joint(self.shown(problem), self.template) + text

    # -- what is judged --------------------------------------------------------------------------------

    def heard(self, completion: str) -> Reading:
        """What a completion answers; what it says after a stop is another problem's."""
        for stop in self.stops:
            completion = completion.partition(stop)[0]
        return self.read(completion)

    def read(self, completion: str) -> Reading:
        """The same, of a completion without a stop."""
        return answered(completion, self.way)

    def verify(self, completion: str, question: Question) -> Verdict:
        said = self.heard(completion)
        if said.answer is None:
            return verdict(False, False, said.error)
        return self.check(said.answer, question)

    @abstractmethod
    def check(self, answer: str, question: Question) -> Verdict: ...

    def check_steps(self, steps: str, question: Question) -> float:
        """0: nothing checks a solution in words."""
        return 0.0

    def chance(self, question: Question) -> float:
        """0, where nobody can say how many answers there are."""
        return 0.0


class CodeProblems(Problems):
    """Problems whose answers are programs, of which many are judged at once."""

    ways = ("tags", "code")

    def read(self, completion: str) -> Reading:
        return program(completion, self.way)

    def verify(self, completion: str, question: Question) -> Verdict:
        (found,) = self.verify_many([(completion, question)])
        if isinstance(found, Exception):
            raise found
        return found

    @abstractmethod
    def verify_many(self, calls: Sequence[tuple[str, Question]]) -> list[Verdict | Exception]: ...

    def check(self, answer: str, question: Question) -> Verdict:
        return self.verify(given(answer, "", self.way), question)


def verdict(right: bool, parsed: bool, error: str, **parts: float) -> Verdict:
    """A verdict on an answer whose steps are not looked at."""
    return Verdict(float(right), right, parsed, error, {"steps": 0.0, "proved": 0.0, **parts})


def joint(prompt: str, template: str) -> str:
    """What stands between a prompt and a completion that no tag begins."""
    if prompt[-1].isspace():
        return ""
    return "\n" if template.endswith(PLACE) else " "


__all__ = ["BETWEEN", "OPENED", "PLACE", "CodeProblems", "Problems", "joint", "verdict"]
