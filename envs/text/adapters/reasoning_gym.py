"""Tasks of `reasoning-gym` (Stojanovski et al., 2025, 2505.24760), a package of its own, as one family.

    env: {id: text/ReasoningGym-v0, task: graph_color, config: {num_colors: 4}}

`task` is a name in that package, `config` what its configuration takes (its `seed` and `size` too). Prompts
are the package's, word for word. An answer is right where it is the package's own, in whatever spaces, as the
same number or the same JSON. Where others may be right as well, the package's scorer is asked, if the answer
has the form that was asked for, and all but its full score is wrong: it pays shares of 1 for an answer that
stands anywhere in the text, and some of its scorers take wrong answers, or run them as code. Those are never
called (`SCORED` has the ones that may be), and expressions are read by a parser of this suite.
"""

from __future__ import annotations

import contextlib
import copy
import io
import json
import re
import string
from collections.abc import Iterator, Mapping
from dataclasses import fields
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import Any, ClassVar

import numpy as np

from envs.nearest import suggest
from envs.options import OptionError
from envs.text.numbers.expressions import ExpressionError, literals, parse, value
from envs.text.parsing import LONGEST_ANSWER, TAGS, number, plain
from envs.text.task import Question, Task, Verdict

_DIGITS = r"[-+]?\d+(\.\d+)?"
SCORED: dict[str, str] = {
    "advanced_geometry": rf"{_DIGITS}°?|\({_DIGITS}, ?{_DIGITS}\)",
    "cryptarithm": r"[A-Z]=\d(, ?[A-Z]=\d)*",
    "decimal_arithmetic": _DIGITS,
    "graph_color": r"\{.*\}",
    "group_anagrams": r"\[.*\]",
    "jugs": r"\[.*\]",
    "kakurasu": r"[01\s]+",
    "knight_swap": r"\[.*\]|No",
    "palindrome_generation": r"\w+",
    "palindrome_partitioning": r"\[.*\]",
    "power_function": rf"{_DIGITS}([eE][-+]?\d+)?",
    "prime_factorization": r"\d+( ?× ?\d+)*",
    "quantum_lock": r"[ABC]( ?→ ?[ABC])*",
    "rubiks_cube": r"[UDLRFB]'?( [UDLRFB]'?)*",
    "shortest_path": r"[a-z]+( [a-z]+)*",
    "sokoban": r"[UDLR]+",
    "tower_of_hanoi": r"Move disk \d+ from Peg \d+ to Peg \d+(\s+Move disk \d+ from Peg \d+ to Peg \d+)*",
    "word_ladder": r"[A-Za-z]+(, ?[A-Za-z]+)*",
}
"""Tasks with several right answers, or ones to a precision, whose scorers can be asked; an answer's form.

Of no other task is the scorer called.
"""
EXPRESSIONS = {"countdown": "target", "puzzle24": None}
"""Tasks that ask for an expression of all the numbers; where the value that it must have stands."""
TWENTY_FOUR = 24
PRECISION = Fraction(1, 10_000)
"""Of a probability: the share of it by which an answer may be off."""
REFUSED = {
    "boxnet": "it tells no right answer, by which the rest could be checked",
    "rush_hour": "it tells no right answer, by which the rest could be checked",
    "composite": "name one of its parts",
    "polynomial_multiplication": "its answers are formulas, which its scorer runs as code",
    "simple_integration": "its answers are formulas, which its scorer runs as code",
    "intermediate_integration": "its answers are formulas, which its scorer runs as code",
    "propositional_logic": "whatever follows from the premises is right, and P ∨ Q does in most problems",
}
"""Tasks that are not on offer, and why."""
OWN_ANSWERS = {"rubiks_cube": "example_correct_answer"}
"""Where a right answer stands, of those that give none."""
CONSTANTS = {
    "acre": 0.5,
    "aiw": 0.3,
    "binary_alternation": 0.3,
    "circuit_logic": 0.65,
    "course_schedule": 0.6,
    "game_of_life_halting": 0.6,
    "gcd": 0.35,
    "graph_color": 0.4,
    "isomorphic_strings": 0.6,
    "knight_swap": 0.3,
    "largest_island": 0.3,
    "letter_counting": 0.45,
    "mahjong_puzzle": 0.45,
    "maze": 0.4,
    "polynomial_equations": 0.35,
    "ransom_note": 0.6,
    "rotten_oranges": 0.45,
    "self_reference": 0.4,
    "shortest_path": 0.5,
    "syllogism": 0.75,
    "zebra_puzzles": 0.35,
}
"""`constant` of the tasks in which one answer solves more than a fifth of the problems of the usual size.

Their answers are few, or one is frequent; of `graph_color`, many graphs share a colouring.
"""
SIZES = {"acre": 1000, "gsm_symbolic": 100_000, "list_functions": 100_000, "word_ladder": 500}
"""Problems of tasks that prepare all of them when they begin."""
SIZE = 2**31 - 1
"""Of all others."""
LOOKED_AT, TRIES = 8, 1000
REMEMBERED = 1 << 16
"""Prompts that can be read back: the last so many that were made in this process."""
KEPT = 4096
"""Problems that are kept as they were made."""

_asked: dict[str, dict[str, int]] = {}
"""The place of each prompt that was made, by task and configuration."""


class ReasoningGym(Task):
    """One task of the package.

    Its steps are not known, so `work` is the answer itself. A prompt is understood by the process that made
    it: it does not tell all that the package knows of the problem.

    Raises `OptionError` for a task or a configuration that is not on offer, `ValueError` without the package.
    """

    title = "Reasoning Gym"
    about = "task=NAME, config={}: a task of the package reasoning-gym"
    instructions = "Solve the problem. Answer with the solution alone, in the form that the problem asks for."
    levels = 1
    deadline: ClassVar[float | None] = 5.0

    def __init__(self, *, task: str, config: Mapping[str, Any] | None = None) -> None:
        given = {"seed": 0, "size": SIZES.get(task, SIZE), **(config or {})}
        self.task, self.size, self.dataset = task, int(given["size"]), _dataset(task, given)
        self.title = f"Reasoning Gym, {task}"  # type: ignore[misc]
        self.constant = CONSTANTS.get(task, Task.constant)
        self._asked = _asked.setdefault(json.dumps([task, given], sort_keys=True, default=str), {})
        self._entry = lru_cache(KEPT)(self._make)

    @cached_property
    def alphabet(self) -> str:  # type: ignore[override]
        """Printable characters, and those of a few problems; problems with others are not asked."""
        known = {*string.printable[:95], "\n"}
        for place in np.linspace(0, self.size - 1, LOOKED_AT).astype(int).tolist():
            entry = self._entry(place)
            known.update(entry["question"], entry["answer"])
        return "".join(sorted(known))

    def generate(self, rng: np.random.Generator, level: int) -> Question:
        for _ in range(TRIES):
            place = int(rng.integers(self.size))
            if self._is_sound(self._entry(place)):
                return self._question(place, level)
        raise ValueError(
            f"{self.task}: none of {TRIES} problems has an answer that its scorer takes as right"
        )

    def understand(self, prompt: str) -> Question:
        if prompt not in self._asked:
            raise ValueError(f"{prompt!r:.60} is no problem of {self.task} that was made here lately")
        return self._question(self._asked[prompt], 0)

    def answer(self, question: Question) -> str:
        return self._entry(question.data)["answer"]

    def work(self, question: Question, strategy: str) -> str:
        return " ".join(self.answer(question).split())

    def check(self, answer: str, question: Question) -> Verdict:
        entry = self._entry(question.data)
        error = "" if _form(answer) == _form(entry["answer"]) else self._error(answer, entry)
        return Verdict(float(not error), not error, True, error)

    def check_steps(self, steps: str, question: Question) -> float:
        return float(steps.strip() == self.work(question, ""))

    def chance(self, question: Question) -> float:
        """0: nobody says how many answers there are."""
        return 0.0

    def space(self, level: int) -> float:
        return float(self.size)

    def _make(self, place: int) -> dict[str, Any]:
        """A problem, and as its answer a text, empty where there is none."""
        with contextlib.redirect_stdout(io.StringIO()):  # some print
            entry = self.dataset[place]
        found = entry["answer"]
        if self.task in OWN_ANSWERS:
            found = entry["metadata"][OWN_ANSWERS[self.task]]
        elif self.task == "graph_color":
            found = json.dumps(entry["metadata"]["possible_answer"])
        return {**entry, "answer": plain(found) if isinstance(found, str) else ""}

    def _question(self, place: int, level: int) -> Question:
        prompt = self._entry(place)["question"]
        self._asked[prompt] = self._asked.pop(prompt, place)
        if len(self._asked) > REMEMBERED:
            del self._asked[next(iter(self._asked))]
        return Question(prompt, self._asked[prompt], prompt, level)

    def _is_sound(self, entry: Mapping[str, Any]) -> bool:
        """Whether it has an answer that is right by what is asked of others, in characters that are known."""
        prompt, answer = entry["question"], entry["answer"]
        if not answer or len(answer) > LONGEST_ANSWER or any(tag in prompt + answer for tag in TAGS):
            return False
        if not set(prompt + answer) <= set(self.alphabet):
            return False
        return not (self.task in SCORED or self.task in EXPRESSIONS) or not self._error(answer, entry)

    def _error(self, answer: str, entry: Mapping[str, Any]) -> str:
        """What is wrong with an answer that is not the package's own; empty where it is right."""
        if self.task in EXPRESSIONS:
            return _expression_error(answer, entry["metadata"], EXPRESSIONS[self.task])
        if self.task == "coin_flip":
            return _probability_error(answer, entry["metadata"]["rational"])
        if self.task == "n_queens":
            return "" if answer in entry["metadata"]["valid_answers"] else "no solution"
        if self.task not in SCORED:
            return "another answer"
        if not re.fullmatch(SCORED[self.task], answer, re.DOTALL | re.ASCII):
            return "not in the form that was asked for"
        with contextlib.redirect_stdout(io.StringIO()):
            try:
                score = self.dataset.score_answer(answer, copy.deepcopy(dict(entry)))
            except MemoryError:
                raise
            except Exception as error:  # it cannot read the answer
                return f"the scorer of {self.task} cannot read it ({type(error).__name__})"
        return "" if score == 1.0 else f"its score is {score:.3g}"


def supported() -> Iterator[str]:
    """The tasks on offer, of the package that is installed (`ValueError` without it)."""
    return (name for name in sorted(_factory().DATASETS) if name not in REFUSED)


def _factory() -> Any:
    try:
        from reasoning_gym import factory
    except ModuleNotFoundError as error:
        said = "text/ReasoningGym-v0 needs the package reasoning-gym"
        raise ValueError(f"{said}: pip install 'move37[reasoning-gym]' ({error})") from None
    return factory


def _dataset(task: str, config: Mapping[str, Any]) -> Any:
    """What makes the problems, as the package has it."""
    factory = _factory()
    if task in REFUSED:
        raise OptionError("task", f"{task} of reasoning-gym is not on offer: {REFUSED[task]}")
    if task not in factory.DATASETS:
        raise OptionError("task", f"reasoning-gym has no task '{task}'; {suggest(task, list(supported()))}")
    names = [field.name for field in fields(factory.DATASETS[task][1])]
    for name in config:
        if name not in names:
            raise OptionError("config", f"the config of {task} has no '{name}'; {suggest(name, names)}")
    try:
        return factory.create_dataset(task, **config)
    except (AssertionError, ValueError, TypeError, ArithmeticError) as error:
        raise OptionError("config", f"the config of {task} does not fit: {error or config}") from None


def _form(text: str) -> Fraction | str:
    """Texts that are equal in it say the same: as a number, as JSON, else by their lines and words."""
    found = number(text)
    if found is not None:
        return found
    if text[:1] in ("[", "{"):
        with contextlib.suppress(ValueError, RecursionError):
            return json.dumps(json.loads(text), sort_keys=True)
    return "\n".join(" ".join(line.split()) for line in text.splitlines())


def _expression_error(answer: str, told: Mapping[str, Any], target: str | None) -> str:
    """What is wrong with an expression that is to use all of the numbers that were told."""
    try:
        tree = parse(answer)
        found = value(tree)
    except ExpressionError as error:
        return str(error)
    if sorted(literals(tree)) != sorted(told["numbers"]):
        return "not each of the numbers once"
    wanted = TWENTY_FOUR if target is None else told[target]
    return "" if found == wanted else f"it is {found}, not {wanted}"


def _probability_error(answer: str, told: Mapping[str, int]) -> str:
    """What is wrong with a probability; the package writes ten digits of it, and takes any that begin it."""
    said, right = number(answer), Fraction(told["numerator"], told["denominator"])
    if said is None:
        return "no number"
    return "" if abs(said - right) <= PRECISION * right else "another probability"
