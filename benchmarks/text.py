"""Problems of text tasks: made, answered and scored a second, by one process on one core.

A problem of ours is `generate`, then the solver's `completion`, then its verdict; of reasoning-gym's, an
entry (which comes with its answer), then `score_answer`. Generators and verifiers are called directly. All
answers are right, and both sides have to say so. They take turns, and the best turn of each counts.

What is equal: in countdown 4 to 6 numbers up to 99 and targets from 10 to 999; in sudokus the mean number of
blanks, and that there is one solution; how many knights and knaves there are, and that one answer fits; in
arithmetic the number of terms and of their digits, and the operators.

What is not: reasoning-gym's problems are in sentences, ours in a few characters. Its countdown joins the
numbers from left to right, ours any two. Its knights and knaves may imply, deny, and nest what they say; ours
count, and say who is of one kind. Its 9×9 sudokus have fewer blanks where so many cannot be had, ours begin
anew. Numbers in its arithmetic may be shorter than told, and with brackets begin with a minus; ours are as
told, and with brackets every result on the way is from 0 to 999,999. Its verifiers compare with one known
answer, but for countdown's; ours look for the answer in its tags, then check the rules.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

import numpy as np

from benchmarks.race import Turn, race
from benchmarks.report import Row, main
from envs.text import load
from envs.text.task import DIRECT, Dialogue, Question, Task, Verdict

ROUNDS, SECONDS = 3, 0.3


@dataclass(frozen=True)
class Contest:
    """A family of ours at some levels, reasoning-gym's beside it, and the ratio asked for."""

    family: str
    levels: tuple[int, ...]
    peer: str
    reach: float
    options: dict[str, Any] = field(default_factory=dict)
    peer_options: dict[str, Any] = field(default_factory=dict)


SUMS = {"operators": ["+", "-"], "allow_parentheses": False}
BRACKETS = {"operators": ["+", "-", "*"], "allow_negation": False}
TWO_DIGITS = {"min_digits": 2, "max_digits": 2, "min_terms": 3}

CONTESTS = {
    "countdown": Contest(
        "Countdown", (2, 3, 4), "countdown", 20.0, peer_options={"max_value": 99, "min_target": 10}
    ),
    "sudoku, 30 to 50 blanks": Contest("Sudoku", (3, 4, 5), "sudoku", 20.0),
    "sudoku 4×4, 8 to 10 blanks": Contest(
        "Sudoku", (4, 5), "mini_sudoku", 5.0, {"size": 4}, {"max_empty": 10}
    ),
    "knights and knaves, 2": Contest("KnightsAndKnaves", (1,), "knights_knaves", 5.0),
    "knights and knaves, 5": Contest(
        "KnightsAndKnaves", (4,), "knights_knaves", 5.0, peer_options={"n_people": 5}
    ),
    "arithmetic, 3 to 6 terms, + -": Contest(
        "ChainSum", (3, 4, 5, 6), "basic_arithmetic", 1.0, peer_options={**TWO_DIGITS, **SUMS}
    ),
    "arithmetic, 3 to 5 terms, + - * ( )": Contest(
        "Calculator",
        (1, 2, 3),
        "basic_arithmetic",
        1.0,
        peer_options={**TWO_DIGITS, **BRACKETS, "max_terms": 5},
    ),
}


def ours(contest: Contest) -> Turn:
    """One problem of a level, the levels in turn."""
    task, rng, levels = load(contest.family, contest.options), np.random.default_rng(0), cycle(contest.levels)

    def turn() -> int:
        question = task.generate(rng, next(levels))
        completion = task.completion(question, DIRECT)
        if not verdict(task, completion, question).success:
            raise RuntimeError(f"{contest.family}: {completion!r} is not right for {question.prompt!r}")
        return 1

    return turn


def verdict(task: Task, completion: str, question: Question) -> Verdict:
    """What an answer that is given at once is worth."""
    if isinstance(task, Dialogue):
        return task.judge(question, [completion])
    return task.verify(completion, question)


def reasoning_gym(contest: Contest) -> Turn:
    """One problem of reasoning-gym's."""
    import reasoning_gym as suite

    endless: int = 2**62
    problems = suite.create_dataset(contest.peer, seed=0, size=endless, **contest.peer_options)
    numbers = iter(range(endless))

    def turn() -> int:
        entry = problems[next(numbers)]
        if problems.score_answer(entry["answer"], entry) < 1.0:
            raise RuntimeError(f"{contest.peer}: {entry['answer']!r} is not right for {entry['question']!r}")
        return 1

    return turn


def rows() -> Iterator[Row]:
    """A row for each contest."""
    for name, contest in CONTESTS.items():
        rate = race({"ours": ours(contest), "peer": reasoning_gym(contest)}, ROUNDS, SECONDS)
        against = f"reasoning-gym, {contest.peer}"
        yield Row(name, against, rate["ours"], rate["peer"], contest.reach, unit="problems/s")


if __name__ == "__main__":
    main(rows, __doc__)
