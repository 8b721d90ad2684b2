"""Number guessing: find a secret number, told after each guess whether it is higher or lower.

    guess:1-100
    > <think>1-100</think><answer>50</answer>
    higher
    > <think>51-100</think><answer>75</answer>
    lower

and so on, for 7 guesses at most, which halving the range never exceeds. The step of a turn is the range in
which the secret must be, as it is known by then. What is no number of the range that was asked for costs a
turn:

    > <answer>fifty</answer>
    invalid
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from string import digits
from typing import NamedTuple

import numpy as np

from envs.text.parsing import read, whole_number, write
from envs.text.task import DIRECT, Dialogue, Question, Verdict

PROMPT = "guess:"
HIGHER, LOWER, INVALID = "higher", "lower", "invalid"
_PROMPT = re.compile(PROMPT + r"(0|[1-9]\d{0,5})-(0|[1-9]\d{0,5})", re.ASCII)


class Size(NamedTuple):
    """How many numbers there are to choose from, and where they may begin."""

    fewest: int
    most: int
    last_start: int


LEVELS = (Size(10, 20, 30), Size(21, 50, 30), Size(51, 127, 30), Size(51, 127, 873))


class GuessNumber(Dialogue):
    """Find a number by higher and lower.

    `data` is (lowest, highest, secret). The problem, of train or of test, is the range: any of its secrets
    may come up, so that training tells nothing about those of a test. The part `consistent` is the share of
    guesses that could have been right, as far as it was known.
    """

    title = "Number guessing"
    about = "find a secret number by being told higher or lower"
    instructions = (
        "There is a secret number in the range after 'guess:', both ends included. Answer with a guess. You "
        "will be told 'higher' or 'lower' if the secret is higher or lower than it, and may guess again, "
        "7 times in all."
    )
    levels = len(LEVELS)
    turns = 7
    stops = ()
    alphabet = "".join(sorted({*digits, *PROMPT, *HIGHER, *LOWER, *INVALID, "-"}))

    def generate(self, rng: np.random.Generator, level: int) -> Question:
        size = LEVELS[level - 1]
        count = int(rng.integers(size.fewest, size.most + 1))
        low = int(rng.integers(1, size.last_start + 1))
        return _ask(low, low + count - 1, int(rng.integers(low, low + count)), level)

    def understand(self, prompt: str) -> Question:
        """The secret is None: it is what the prompt does not tell."""
        found = _PROMPT.fullmatch(prompt)
        if not found or int(found[1]) > int(found[2]):
            raise ValueError(f"'{prompt:.60}' asks for no guess, as '{PROMPT}1-100' does")
        return _ask(int(found[1]), int(found[2]), None, 0)

    def answer(self, question: Question) -> str:
        return str(question.data[2])

    def work(self, question: Question, strategy: str) -> str:
        """The step of the first turn."""
        return _range(*question.data[:2])

    def check(self, answer: str, question: Question) -> Verdict:
        low, high, secret = question.data
        guess = _number(answer, low, high)
        if guess is None:
            return Verdict(0.0, False, False, f"no number from {low} to {high}", {"consistent": 0.0})
        success = guess == secret
        return Verdict(float(success), success, True, "" if success else "not found", {"consistent": 1.0})

    def check_steps(self, steps: str, question: Question) -> float:
        return float(steps.strip() == self.work(question, self.strategies[0]))

    def chance(self, question: Question) -> float:
        """To find it by as many guesses as there are turns, each of any number in the range."""
        low, high, _ = question.data
        return 1 - (1 - 1 / (high - low + 1)) ** self.turns

    def space(self, level: int) -> float:
        """Ranges: the secret is no part of the problem."""
        size = LEVELS[level - 1]
        return float((size.most - size.fewest + 1) * size.last_start)

    def reply(self, question: Question, said: Sequence[str]) -> str | None:
        low, high, secret = question.data
        guess = _guess(said[-1], low, high)
        if guess is None:
            return INVALID
        if guess == secret:
            return None
        return HIGHER if guess < secret else LOWER

    def judge(self, question: Question, said: Sequence[str]) -> Verdict:
        first, last, secret = question.data
        low, high, steps, consistent, guess = first, last, 0, 0, None
        for each in said:
            steps += read(each).steps.strip() == _range(low, high)
            guess = _guess(each, first, last)
            if guess is not None:
                consistent += low <= guess <= high
                low, high = _left(low, high, guess, HIGHER if guess < secret else LOWER)
        success = guess is not None and guess == secret
        found = "" if success else "not found" if guess is not None else f"no number from {first} to {last}"
        turns = max(1, len(said))
        parts = {"consistent": consistent / turns, "steps": steps / turns}
        parts["proved"] = float(success and steps == turns)
        return Verdict(float(success), success, guess is not None, found, parts)

    def script(
        self, question: Question, said: Sequence[str], heard: Sequence[str], strategy: str | None = None
    ) -> str:
        """The middle of what is left."""
        first, last, _ = question.data
        low, high = first, last
        for mine, theirs in zip(said, heard):
            guess = _guess(mine, first, last)
            if guess is not None:
                low, high = _left(low, high, guess, theirs)
        return write(str((low + high) // 2), "" if strategy == DIRECT else _range(low, high))


def _ask(low: int, high: int, secret: int | None, level: int) -> Question:
    asked = _range(low, high)
    return Question(f"{PROMPT}{asked}", (low, high, secret), asked, level)


def _range(low: int, high: int) -> str:
    return f"{low}-{high}"


def _guess(completion: str, first: int, last: int) -> int | None:
    """The number that a completion guesses; None where it is no number of the range."""
    answer = read(completion).answer
    return None if answer is None else _number(answer, first, last)


def _number(answer: str, first: int, last: int) -> int | None:
    number = whole_number(answer)
    return number if number is not None and first <= number <= last else None


def _left(low: int, high: int, guess: int, told: str) -> tuple[int, int]:
    """Where the secret can be, after what was told about a guess."""
    if told == HIGHER:
        return max(low, guess + 1), high
    return (low, min(high, guess - 1)) if told == LOWER else (low, high)
