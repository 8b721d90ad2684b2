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

Of the puzzles: graphs of 10 vertices have 21 edges here, and 4 or 5 there, where the answer comes as
metadata. Its shortest paths are in grids of 5×5 to 8×8 fields that may have no way through; beside them are
our mazes of 5×5 and 7×7 fields, and our graphs of 20 vertices and 44 edges with lengths. Its mazes ask for
the number of moves only. Its towers begin and end as towers, and may have a fourth peg. Its sequences have
rules of its own, and its equations one unknown in 2 to 4 terms. Its `advanced_geometry` asks for coordinates,
its `simple_geometry` what angles of a polygon leave of (n − 2) · 180; ours follow in a figure. Its ARC grids
come from 400 generators without a check that one rule fits, ours are searched for that; those of its `arc_1d`
are single rows.
"""

from __future__ import annotations

import json
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
    "graph colouring, 10 vertices": Contest("Coloring", (4,), "graph_color", 1.0),
    "mazes of 5×5 and 7×7 fields": Contest("Maze", (1, 2), "shortest_path", 1.0),
    "shortest paths, 20 vertices": Contest("ShortestPath", (7,), "shortest_path", 1.0),
    "mazes of 9×9 and 11×11 fields": Contest(
        "Maze", (3, 4), "maze", 1.0, peer_options={"min_grid_size": 9, "max_grid_size": 11}
    ),
    "towers of Hanoi, 3 to 7 discs": Contest("Hanoi", (1, 2, 3, 4, 5), "tower_of_hanoi", 1.0),
    "number sequences": Contest("Sequences", (1, 2, 3, 4, 5, 6, 7), "number_sequence", 1.0),
    "equations in one unknown": Contest("Equations", (1, 2), "simple_equations", 1.0),
    "angles at lines": Contest("Geometry", (1, 2, 3, 4, 5, 6, 7, 8), "advanced_geometry", 1.0),
    "angles at lines, one step": Contest("Geometry", (1,), "simple_geometry", 1.0),
    "ARC grids, one step": Contest("Arc", (1, 2), "rearc", 1.0),
    "ARC grids, one to three steps": Contest("Arc", (1, 2, 3, 4, 5, 6, 7), "rearc", 1.0),
    "ARC grids 3×3, against rows": Contest("Arc", (1,), "arc_1d", 1.0),
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
        answer = entry["answer"] or json.dumps(entry["metadata"]["possible_answer"])
        if problems.score_answer(answer, entry) < 1.0:
            raise RuntimeError(f"{contest.peer}: {answer!r} is not right for {entry['question']!r}")
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
