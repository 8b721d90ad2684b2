"""Mastermind: find a secret code, told after each guess how many pegs are right.

    mastermind:3 bkps
    > <think>none</think><answer>bbb</answer>
    1b0w
    > <think>bbb 1b0w</think><answer>bkk</answer>
    1b1w
    > <think>bbb 1b0w
    bkk 1b1w</think><answer>pbk</answer>

and so on. `1b1w`: one peg has the right colour in the right place (black), one more the right colour
elsewhere (white). The steps of a turn hold the guess against those before: what each would have been told
if this were the secret. Where all of that is as it was told, the guess may be right, else it cannot be.
What is no code of these colours costs a turn:

    > <answer>red</answer>
    invalid

The solver guesses the first code that agrees with all that it was told, or by the strategy "minimax" the
one of these that leaves the fewest codes in the worst case (Knuth, 1976, The computer as Master Mind; of at
most 64 guesses, and measured on at most 1,024 codes).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import lru_cache
from string import ascii_lowercase, digits
from typing import NamedTuple

import numpy as np

from envs.text.parsing import read, write
from envs.text.task import DIRECT, Dialogue, Question, Verdict

PROMPT, INVALID, NONE = "mastermind:", "invalid", "none"
MOST_CODES = 100_000
GUESSES, MEASURED = 64, 1024
_PROMPT = re.compile(PROMPT + r"([1-9]) ([a-z]{2,26})", re.ASCII)
_TOLD = re.compile(r"([0-9])b([0-9])w", re.ASCII)
Told = tuple[int, int]
"""How many pegs are black, how many white."""
History = tuple[tuple[tuple[int, ...], Told], ...]
"""Guesses, colours as places among the colours, and what was told about them."""


class Size(NamedTuple):
    """How many pegs, of how many colours."""

    pegs: int
    colours: int


LEVELS = (Size(3, 4), Size(3, 6), Size(4, 6), Size(4, 8), Size(5, 8))
TURNS = {3: 10, 4: 12, 5: 16}
"""By the number of pegs; the solver needs fewer."""


class Mastermind(Dialogue):
    """Find a code by black and white pegs.

    `data` is (pegs, colours, secret). The problem, of train or of test, is the colours: any of their codes
    may come up. The part `consistent` is the share of guesses that could have been right, as far as it was
    known.
    """

    title = "Mastermind"
    about = "find a secret code by being told how many of its pegs are right"
    instructions = (
        "After 'mastermind:' stand the length of a secret code and its colours, which are letters; a "
        "colour may occur several times, or not at all. Answer with a guess, such as abca. You will be "
        "told how many of its letters are right and in their place (b), and how many more are right but "
        "elsewhere (w), such as 1b2w, and may guess again: 10 times in all for 3 letters, 12 for 4, 16 for "
        "more."
    )
    levels = len(LEVELS)
    turns = max(TURNS.values())
    stops = ()
    strategies = ("consistent", "minimax")
    alphabet = "".join(sorted({*digits, *ascii_lowercase, *": \n"}))

    def generate(self, rng: np.random.Generator, level: int) -> Question:
        pegs, count = LEVELS[level - 1]
        colours = "".join(ascii_lowercase[i] for i in sorted(rng.permutation(26)[:count].tolist()))
        secret = "".join(colours[i] for i in rng.integers(count, size=pegs).tolist())
        return _ask(pegs, colours, secret, level)

    def understand(self, prompt: str) -> Question:
        """The secret is None: it is what the prompt does not tell."""
        found = _PROMPT.fullmatch(prompt)
        if not found or "".join(sorted(set(found[2]))) != found[2]:
            raise ValueError(f"'{prompt:.60}' asks for no code, as '{PROMPT}3 afkr' does (colours in order)")
        if len(found[2]) ** int(found[1]) > MOST_CODES:
            raise ValueError(f"'{prompt:.60}' has more than {MOST_CODES:,} codes")
        return _ask(int(found[1]), found[2], None, 0)

    def limit(self, question: Question) -> int:
        return _turns(question.data[0])

    def answer(self, question: Question) -> str:
        return question.data[2]

    def work(self, question: Question, strategy: str) -> str:
        """The step of the first turn: there is nothing to hold a guess against."""
        return NONE

    def check(self, answer: str, question: Question) -> Verdict:
        pegs, colours, secret = question.data
        if not _is_code(answer, pegs, colours):
            return Verdict(0.0, False, False, f"no code of {pegs} of {colours}", {"consistent": 0.0})
        success = answer == secret
        return Verdict(float(success), success, True, "" if success else "not found", {"consistent": 1.0})

    def check_steps(self, steps: str, question: Question) -> float:
        return float(steps.strip() == NONE)

    def chance(self, question: Question) -> float:
        """To find it by as many guesses as there are turns, each of any code."""
        pegs, colours, _ = question.data
        return 1 - (1 - 1 / len(colours) ** pegs) ** self.limit(question)

    def space(self, level: int) -> float:
        """Choices of colours: the secret is no part of the problem."""
        return float(math.comb(26, LEVELS[level - 1].colours))

    def reply(self, question: Question, said: Sequence[str]) -> str | None:
        pegs, colours, secret = question.data
        guess = _guess(said[-1], pegs, colours)
        if guess is None:
            return INVALID
        return None if guess == secret else spell(feedback(guess, secret))

    def judge(self, question: Question, said: Sequence[str]) -> Verdict:
        pegs, colours, secret = question.data
        steps, consistent, guess = 0, 0, None
        before: list[str] = []
        for each in said:
            guess = _guess(each, pegs, colours)
            if guess is None:
                continue
            steps += read(each).steps.strip() == _thought(before, guess)
            consistent += all(feedback(old, guess) == feedback(old, secret) for old in before)
            before.append(guess)
        success = guess is not None and guess == secret
        error = "" if success else "not found" if guess is not None else f"no code of {pegs} of {colours}"
        turns = max(1, len(said))
        parts = {"consistent": consistent / turns, "steps": steps / turns}
        parts["proved"] = float(success and steps == turns)
        return Verdict(float(success), success, guess is not None, error, parts)

    def script(
        self, question: Question, said: Sequence[str], heard: Sequence[str], strategy: str | None = None
    ) -> str:
        """A code that agrees with all that was told."""
        pegs, colours, _ = question.data
        history: list[tuple[tuple[int, ...], Told]] = []
        before = []
        for mine, theirs in zip(said, heard):
            guess, told = _guess(mine, pegs, colours), _TOLD.fullmatch(theirs)
            if guess is not None and told:
                before.append(guess)
                history.append((tuple(map(colours.index, guess)), (int(told[1]), int(told[2]))))
        choose = _minimax if strategy == "minimax" else _first
        guess = "".join(colours[i] for i in choose(pegs, len(colours), tuple(history)))
        return write(guess, "" if strategy == DIRECT else _thought(before, guess))


def feedback(guess: str, secret: str) -> Told:
    """(black, white) pegs of a guess; the same if guess and secret change places."""
    black = sum(a == b for a, b in zip(guess, secret))
    return black, sum(min(guess.count(c), secret.count(c)) for c in set(guess)) - black


def spell(told: Told) -> str:
    """As it is told: `1b2w`."""
    return f"{told[0]}b{told[1]}w"


def _ask(pegs: int, colours: str, secret: str | None, level: int) -> Question:
    asked = f"{pegs} {colours}"
    return Question(f"{PROMPT}{asked}", (pegs, colours, secret), asked, level)


def _turns(pegs: int) -> int:
    return TURNS[min(max(pegs, min(TURNS)), max(TURNS))]


def _is_code(answer: str, pegs: int, colours: str) -> bool:
    return len(answer) == pegs and set(answer) <= set(colours)


def _guess(completion: str, pegs: int, colours: str) -> str | None:
    """The code that a completion guesses; None where it is none."""
    answer = read(completion).answer
    return answer if answer is not None and _is_code(answer, pegs, colours) else None


def _thought(before: Sequence[str], guess: str) -> str:
    """What each guess before would have been told, if this were the secret."""
    return "\n".join(f"{old} {spell(feedback(old, guess))}" for old in before) or NONE


# -- the solver: codes as rows of colours, uint8 [N, pegs] -------------------------------------------------


@lru_cache(maxsize=8)
def _codes(pegs: int, colours: int) -> np.ndarray:
    """All codes, in order."""
    return np.stack(np.unravel_index(np.arange(colours**pegs), (colours,) * pegs), axis=1).astype(np.uint8)


def _told(guesses: np.ndarray, codes: np.ndarray, colours: int) -> np.ndarray:
    """Black and white pegs as 10 · black + white, of each guess for each code, `[G, N]`."""
    black = (guesses[:, None] == codes).sum(axis=2)
    mine, theirs = (
        (rows[:, :, None] == np.arange(colours)).sum(axis=1).astype(np.uint8) for rows in (guesses, codes)
    )
    both = np.minimum(mine[:, None], theirs).sum(axis=2, dtype=np.int64)
    return 9 * black + both


@lru_cache(maxsize=512)
def _left(pegs: int, colours: int, history: History) -> np.ndarray:
    """The codes that agree with a history; all of them where none does, as it cannot be true."""
    codes = _codes(pegs, colours)
    if history:
        *before, (guess, (black, white)) = history
        codes = _left(pegs, colours, tuple(before))
        told = _told(np.array([guess], np.uint8), codes, colours)[0]
        codes = codes[told == 10 * black + white]
    return codes if len(codes) else _codes(pegs, colours)


@lru_cache(maxsize=4096)
def _first(pegs: int, colours: int, history: History) -> tuple[int, ...]:
    """The first code that agrees."""
    return tuple(_left(pegs, colours, history)[0].tolist())


@lru_cache(maxsize=4096)
def _minimax(pegs: int, colours: int, history: History) -> tuple[int, ...]:
    """The code that agrees, and leaves the fewest in the worst case."""
    left = _left(pegs, colours, history)
    guesses, codes = _some(left, GUESSES), _some(left, MEASURED)
    told = _told(guesses, codes, colours)
    worst = [np.bincount(row).max() for row in told]
    return tuple(guesses[int(np.argmin(worst))].tolist())


def _some(codes: np.ndarray, most: int) -> np.ndarray:
    """At most so many of the codes, evenly spaced."""
    return codes[:: -(-len(codes) // most)]
