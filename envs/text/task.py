"""A family of text problems whose answers can be checked: what every family is, and nothing that only one is.

A completion is what a policy wrote: `<think>steps</think><answer>42</answer>`, its steps at will.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from envs.text.parsing import END_TOOL, Reading, read, write

DIRECT = "direct"
"""The strategy of answering at once, which every family has."""


@dataclass(frozen=True)
class Question:
    """One problem. Equal problems have equal keys, however they are worded."""

    prompt: str
    """What the agent reads."""
    data: Any
    """What the family needs to solve and check it: numbers, strings and tuples of them."""
    key: str
    """Its canonical form: problems are told apart, and split into train and test, by it.

    It holds nothing that `understand` cannot tell from the prompt, such as the secret of a game.
    """
    level: int


@dataclass(frozen=True)
class Verdict:
    """What a completion is worth."""

    reward: float
    """In [0, 1]: 1 for a right answer, in between where the family gives credit for a part."""
    success: bool
    parsed: bool
    """Whether there was an answer of the form that was asked for, right or wrong."""
    error: str = ""
    """What is wrong with it, in a line."""
    parts: Mapping[str, float] = field(default_factory=dict)
    """`steps`: the share of worked steps that are right (0 without any); `proved`: 1 where the answer and
    every step is right."""


class Task(ABC):
    """A family: it makes problems, solves them, shows its work, and checks what others answer.

    Every method is a pure function of its arguments. Nothing that a completion holds may raise or take long.
    """

    title: ClassVar[str]
    """For people: "Countdown"."""
    about: ClassVar[str]
    """A line for people."""
    instructions: ClassVar[str]
    """For a reader who knows no move37: what the prompt means, and what an answer looks like."""
    levels: ClassVar[int]
    """Difficulties, from 1 on."""
    alphabet: ClassVar[str]
    """Every character that occurs in prompts, steps and answers (tags left out)."""
    strategies: ClassVar[tuple[str, ...]] = ("steps",)
    """Ways of working it out beside answering directly; the first is the usual one."""
    constant: float = 0.2
    """The share of a level that one and the same answer may solve, or else a tenth more than by chance."""
    turns: ClassVar[int] = 1
    """How often the agent speaks in an episode at most; more than once in a `Dialogue` only."""
    stops: ClassVar[tuple[str, ...]] = ()
    """Where the agent writes one of these, its turn is over."""
    runs_programs: ClassVar[bool] = False
    """Whether it needs the sandbox (`envs.text.sandbox`), so that an environment says at once where that
    cannot start."""
    deadline: ClassVar[float | None] = None
    """Seconds that a call of its verifier may take before its process is killed, where none are asked for.

    None: 0 (no process of its own) for the families of this suite, which always come to an end, and
    `envs.text.verifiers.DEADLINE` for a user's own.
    """

    @abstractmethod
    def generate(self, rng: np.random.Generator, level: int) -> Question:
        """A solvable problem of a level in 1 … `levels`."""

    @abstractmethod
    def understand(self, prompt: str) -> Question:
        """The question that a prompt asks: `generate`'s wording, read back (`ValueError` for any other text).

        Equal to what `generate` made, but for `level` (0), and, in a `Dialogue`, for what the agent is not
        told (None in `data`). So a solver can be an agent, which knows what it has read and nothing else.
        """

    @abstractmethod
    def answer(self, question: Question) -> str:
        """A right answer."""

    @abstractmethod
    def work(self, question: Question, strategy: str) -> str:
        """The steps of one of `strategies`, a line each, every one of which `check_steps` can check."""

    @abstractmethod
    def check(self, answer: str, question: Question) -> Verdict:
        """What an answer is worth, its tags taken off."""

    @abstractmethod
    def check_steps(self, steps: str, question: Question) -> float:
        """The share of steps that are right and follow from those before; 0 for none. All right is 1."""

    @abstractmethod
    def chance(self, question: Question) -> float:
        """The probability that an answer drawn evenly from all of the right form is right."""

    def space(self, level: int) -> float:
        """How many different problems a level has (a lower bound will do)."""
        raise NotImplementedError

    # -- the same for all ------------------------------------------------------------------------------

    def completion(self, question: Question, strategy: str | None = None) -> str:
        """A right completion; `strategy` is `DIRECT`, or the first of `strategies` unless it is told."""
        strategy = strategy or self.strategies[0]
        steps = "" if strategy == DIRECT else self.work(question, strategy)
        return write(self.answer(question), steps)

    def verify(self, completion: str, question: Question) -> Verdict:
        """What a completion is worth. Only what it says itself counts, never the prompt."""
        said = read(completion)
        if said.answer is None:
            return Verdict(0.0, False, False, said.error, {"steps": 0.0, "proved": 0.0})
        found = self.check(said.answer, question)
        steps = self.check_steps(said.steps, question) if said.steps else 0.0
        proved = float(found.success and steps == 1.0)
        return Verdict(
            found.reward,
            found.success,
            found.parsed,
            found.error,
            {**found.parts, "steps": steps, "proved": proved},
        )

    def verify_many(self, calls: Sequence[tuple[str, Question]]) -> list[Verdict | Exception]:
        """`verify` for each of several calls: its verdict, or what it raised.

        For a family that is faster at many, as where programs run beside each other.
        """
        return each(self.verify, calls)


class Dialogue(Task):
    """A family of many turns: the environment answers what the agent says, until the episode is over.

    What it answers is context: the agent did not write it, and nobody learns to write it. After `turns` (or
    the `limit` of a question) the episode is truncated. A turn is over where a tool is called, unless the
    family has other `stops`.
    """

    stops: ClassVar[tuple[str, ...]] = (END_TOOL,)

    @abstractmethod
    def reply(self, question: Question, said: Sequence[str]) -> str | None:
        """What the environment answers to the last of the agent's completions; None where that ends it."""

    @abstractmethod
    def judge(self, question: Question, said: Sequence[str]) -> Verdict:
        """What the whole episode is worth, after the last completion."""

    @abstractmethod
    def script(
        self, question: Question, said: Sequence[str], heard: Sequence[str], strategy: str | None = None
    ) -> str:
        """What a solver says next, having said `said` and been answered `heard`.

        It knows of `question` only what `understand` can tell; `strategy` is as in `completion`.
        """

    def limit(self, question: Question) -> int:
        """How often the agent may speak about a question: `turns`, or fewer where the prompt tells so."""
        return self.turns

    def reply_many(self, calls: Sequence[tuple[Question, Sequence[str]]]) -> list[str | Exception | None]:
        """`reply` for each of several calls; see `verify_many`."""
        return each(self.reply, calls)

    def judge_many(self, calls: Sequence[tuple[Question, Sequence[str]]]) -> list[Verdict | Exception]:
        """`judge` for each of several calls; see `verify_many`."""
        return each(self.judge, calls)


def each(method: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> list[Any]:
    """What a method returns for each of several calls (tuples of arguments), or the `Exception` it raised."""
    out: list[Any] = []
    for arguments in calls:
        try:
            out.append(method(*arguments))
        except Exception as error:
            out.append(error)
    return out


__all__ = ["DIRECT", "Dialogue", "Question", "Reading", "Task", "Verdict", "each"]
