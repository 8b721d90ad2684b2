"""Twenty questions: find out which of several things is meant, by asking what it is like.

    things:owl big red;pen small blue;hat small red
    > <think>all</think><tool>red?</tool>
    <result>yes</result>
    > <think>owl hat</think><tool>big?</tool>
    <result>no</result>
    > <think>hat</think><answer>hat</answer>

Each thing has a value of every attribute that there is, and no two are alike. A question is a value
(`red?`), with its attribute before it if one likes (`colour=red?`). A fault in the form costs a turn, and
is answered by how to ask. The first answer ends the episode. The step of a turn is which things are left,
in the order of the prompt. The solver asks what splits them most evenly.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import lru_cache
from string import ascii_lowercase
from typing import NamedTuple

import numpy as np

from envs.text.dialogues.spoken import answered, tool_call
from envs.text.parsing import END_RESULT, END_TOOL, RESULT, TOOL, plain, read, write
from envs.text.task import DIRECT, Dialogue, Question, Verdict
from envs.text.words.words import words

PROMPT, YES, NO, ALL = "things:", "yes", "no", "all"
ATTRIBUTES = {
    "size": ("big", "small", "tiny"),
    "colour": ("red", "blue", "green", "white"),
    "made": ("wooden", "iron", "glass", "paper"),
    "shape": ("round", "square", "flat"),
    "age": ("old", "new"),
    "heat": ("hot", "cold", "warm"),
    "weight": ("heavy", "light"),
    "touch": ("soft", "hard"),
    "price": ("cheap", "dear", "free"),
    "owner": ("mine", "yours", "ours", "theirs"),
}
OWNERS = {value: name for name, values in ATTRIBUTES.items() for value in values}
"""The attribute that each value is of."""
MOST_THINGS = 200
LONGEST_CALL = 40
_NAME = re.compile(r"[a-z]{1,20}")
_CALL = re.compile(r"(?:([a-z]+) ?= ?)?([a-z]+) ?\??")
Thing = tuple[str, tuple[str, ...]]
"""A name, and a value of each attribute."""


class Size(NamedTuple):
    """How many things, with how many attributes."""

    things: int
    attributes: int


LEVELS = (Size(4, 2), Size(8, 3), Size(16, 4), Size(32, 5), Size(64, 6), Size(128, 8))


class TwentyQuestions(Dialogue):
    """Name the thing that is meant.

    `data` is (things, the name of the one that is meant). The problem, of train or of test, is the things:
    any of them may be meant. The parts `questions` and `malformed` are how many questions were answered by
    yes or no, and how many turns held none.
    """

    title = "Twenty questions"
    about = "find out which thing is meant by asking what it is like"
    instructions = (
        "After 'things:' stand several things and what each is like, one of which is meant. To ask whether "
        "it is of some kind write, for example, <tool>red?</tool>, one property in a turn, and wait for "
        "its <result>, which is yes or no. Answer with the name of the thing. You have 20 turns, and one "
        "answer."
    )
    levels = len(LEVELS)
    turns = 20
    strategies = ("halve",)
    alphabet = "".join(sorted({*ascii_lowercase, *":;?=, "}))

    def generate(self, rng: np.random.Generator, level: int) -> Question:
        count, width = LEVELS[level - 1]
        kinds = list(ATTRIBUTES.values())
        chosen = [kinds[i] for i in sorted(rng.permutation(len(kinds))[:width].tolist())]
        sizes = [len(values) for values in chosen]
        every = rng.permutation(math.prod(sizes))[:count]
        places = np.stack(np.unravel_index(every, sizes), axis=1).tolist()
        names = [_names()[i] for i in rng.permutation(len(_names()))[:count].tolist()]
        things = tuple(
            (name, tuple(values[i] for values, i in zip(chosen, row))) for name, row in zip(names, places)
        )
        return _ask(things, names[int(rng.integers(count))], level)

    def understand(self, prompt: str) -> Question:
        """The one that is meant is None: it is what the prompt does not tell."""
        rows = [tuple(row.split(" ")) for row in prompt.removeprefix(PROMPT).split(";")]
        things = tuple((name, tuple(values)) for name, *values in rows)
        kinds = {tuple(OWNERS.get(value, "") for value in values) for _, values in things}
        right = prompt.startswith(PROMPT) and 1 < len(things) <= MOST_THINGS and len(kinds) == 1
        right = right and "" not in (owners := kinds.pop()) and 0 < len(set(owners)) == len(owners)
        right = right and all(_NAME.fullmatch(name) and name not in OWNERS for name, _ in things)
        if not right or any(len({thing[i] for thing in things}) < len(things) for i in (0, 1)):
            raise ValueError(
                f"'{prompt:.60}' tells of no things, as '{PROMPT}owl big red;hat small red' does"
            )
        return _ask(things, None, 0)

    def answer(self, question: Question) -> str:
        return question.data[1]

    def work(self, question: Question, strategy: str) -> str:
        """The step of the first turn: everything is left."""
        return ALL

    def check(self, answer: str, question: Question) -> Verdict:
        things, meant = question.data
        parsed, success = any(answer == name for name, _ in things), answer == meant
        error = "" if success else "another thing" if parsed else "none of the things"
        return Verdict(float(success), success, parsed, error, {"questions": 0.0, "malformed": 0.0})

    def check_steps(self, steps: str, question: Question) -> float:
        return float(steps.strip() == ALL)

    def chance(self, question: Question) -> float:
        """Of naming any of the things."""
        return 1 / len(question.data[0])

    def space(self, level: int) -> float:
        """Choices of names alone (a lower bound)."""
        return float(math.comb(len(_names()), LEVELS[level - 1].things))

    def reply(self, question: Question, said: Sequence[str]) -> str | None:
        if answered(said[-1]):
            return None
        things, meant = question.data
        value = _value(said[-1], things)
        if value is None:
            name, values = things[0]
            told = f"ask such as {values[0]}? or answer such as {name}"
        else:
            told = YES if value in dict(things)[meant] else NO
        return f"{RESULT}{told}{END_RESULT}"

    def judge(self, question: Question, said: Sequence[str]) -> Verdict:
        things, meant = question.data
        left, steps, questions, malformed, final = things, 0, 0, 0, read("")
        for each in said:
            final = read(each)
            steps += final.steps.strip() == _thought(left, things)
            if answered(each):
                break
            value = _value(each, things)
            if value is None:
                malformed += 1
            else:
                questions += 1
                left = _split(left, value, value in dict(things)[meant])
        turns = max(1, len(said))
        found = self.check(final.answer, question) if final.answer is not None else None
        success = found is not None and found.success
        parts = {"questions": float(questions), "malformed": float(malformed), "steps": steps / turns}
        parts["proved"] = float(success and steps == turns)
        if found is None:
            return Verdict(0.0, False, False, final.error, parts)
        return Verdict(found.reward, success, found.parsed, found.error, parts)

    def script(
        self, question: Question, said: Sequence[str], heard: Sequence[str], strategy: str | None = None
    ) -> str:
        """What splits most evenly what is left; the name of the last."""
        things, _ = question.data
        left = things
        for mine, theirs in zip(said, heard):
            value = _value(mine, things)
            told = theirs.removeprefix(RESULT).removesuffix(END_RESULT)
            if value is not None and told in (YES, NO):
                left = _split(left, value, told == YES) or things
        thought = "" if strategy == DIRECT else _thought(left, things)
        if len(left) == 1:
            return write(left[0][0], thought)
        asked = f"{TOOL}{_halving(left)}?{END_TOOL}"
        return asked if not thought else f"<think>{thought}</think>{asked}"


@lru_cache(maxsize=1)
def _names() -> tuple[str, ...]:
    """Names of things: words that are no values, and that nobody takes for them."""
    taken = {*OWNERS, *ATTRIBUTES, YES, NO, ALL}
    return tuple(word for word in words() if word not in taken)


def _ask(things: tuple[Thing, ...], meant: str | None, level: int) -> Question:
    asked = ";".join(" ".join((name, *values)) for name, values in things)
    return Question(f"{PROMPT}{asked}", (things, meant), asked, level)


def _value(completion: str, things: Sequence[Thing]) -> str | None:
    """The value that is asked about, one of an attribute that these things have; None for anything else."""
    call = plain(tool_call(completion) or "")[:LONGEST_CALL]
    found = _CALL.fullmatch(call)
    if not found or found[2] not in OWNERS:
        return None
    owner = OWNERS[found[2]]
    here = any(OWNERS[value] == owner for value in things[0][1])
    return found[2] if here and found[1] in (None, owner) else None


def _split(left: Sequence[Thing], value: str, yes: bool) -> tuple[Thing, ...]:
    return tuple(thing for thing in left if (value in thing[1]) == yes)


def _thought(left: Sequence[Thing], things: Sequence[Thing]) -> str:
    return ALL if len(left) == len(things) else " ".join(name for name, _ in left)


def _halving(left: Sequence[Thing]) -> str:
    """The value that nearest to half of these have; the first of several, in the order of the prompt."""
    counts: dict[str, int] = {}
    for _, values in left:
        for value in values:
            counts[value] = counts.get(value, 0) + 1
    return min(counts, key=lambda value: abs(2 * counts[value] - len(left)))
