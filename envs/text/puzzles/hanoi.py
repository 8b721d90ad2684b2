"""Towers of Hanoi, from any position to any other.

    AACC>CAAC

A position says on which of the pegs A, B and C each disc is, from the smallest to the largest. A move is the
peg that it takes the uppermost disc from, and the one that it puts it on, where no smaller disc may lie:

    AC AB CB CA BC BA

Any row of such moves that ends in the second position is right; the part `optimal` is 1 where none is
shorter. Steps are the positions on the way, the last one too; they may take any way:

    CACC
    CBCC
    BBCC
    BBAC
    CBAC
    CAAC

The shortest way moves the largest disc that is out of place once or twice (Hinz, The Tower of Hanoi, 1989):
both are tried. n discs take up to 2^n-1 moves.
"""

from __future__ import annotations

import re

import numpy as np

from envs.text.parsing import LONGEST_ANSWER
from envs.text.task import Question, Task, Verdict

PEGS = "ABC"
FEWEST, MOST = 3, 10
"""Discs."""
MOST_LINES = 5000
"""Lines beyond which nothing is a solution."""

_FORM = re.compile(rf"[ABC]{{1,{MOST}}}>[ABC]{{1,{MOST}}}")
_MOVES = re.compile(r"(?:[ABC]{2})+")
_GAPS = re.compile(r"[\s,;>-]+")


class Hanoi(Task):
    """Three discs at level 1, ten at level 8."""

    title = "Towers of Hanoi"
    about = "move a tower of discs from one position to another"
    instructions = (
        "There are three pegs A, B and C, and discs on them, larger ones below smaller ones. Before the > "
        "is the peg of each disc, from the smallest disc to the largest, after it the pegs where they are "
        "to be. A move takes the uppermost disc of a peg to another peg, but never onto a smaller disc. "
        "Answer with the moves in turn, each as the peg from which and the peg to which, such as AC AB "
        "CB."
    )
    levels = MOST - FEWEST + 1
    alphabet = "ABC> \n"

    def generate(self, rng: np.random.Generator, level: int) -> Question:
        discs = level + FEWEST - 1
        start, goal = _drawn(rng, discs)
        while start == goal:
            start, goal = _drawn(rng, discs)
        return _ask(start, goal, level)

    def understand(self, prompt: str) -> Question:
        start, _, goal = prompt.partition(">")
        if _FORM.fullmatch(prompt) is None or len(start) != len(goal) or start == goal:
            raise ValueError(
                f"{prompt!r:.60} does not read like ABC>CCA, two positions of up to {MOST} discs"
            )
        return _ask(start, goal, 0)

    def answer(self, question: Question) -> str:
        return " ".join([f"{PEGS[one]}{PEGS[other]}" for _, one, other in solution(*_pegs(question))])

    def work(self, question: Question, strategy: str) -> str:
        start, goal = _pegs(question)
        pegs, lines = list(question.data[0]), []
        for disc, _, other in solution(start, goal):
            pegs[disc] = PEGS[other]
            lines.append("".join(pegs))
        return "\n".join(lines)

    def check(self, answer: str, question: Question) -> Verdict:
        said = _GAPS.sub("", answer) if len(answer) <= LONGEST_ANSWER else ""
        if _MOVES.fullmatch(said) is None:
            return Verdict(0.0, False, False, "not a row of moves such as AC AB", {"optimal": 0.0})
        start, goal = question.data
        stacks = {peg: [disc for disc in reversed(range(len(start))) if start[disc] == peg] for peg in PEGS}
        for at in range(0, len(said), 2):
            one, other = stacks[said[at]], stacks[said[at + 1]]
            if not one or (other and other[-1] <= one[-1]):
                error = f"move {at // 2 + 1}, {said[at : at + 2]}, is not possible"
                return Verdict(0.0, False, True, error, {"optimal": 0.0})
            other.append(one.pop())
        if any(goal[disc] != peg for peg, stack in stacks.items() for disc in stack):
            return Verdict(0.0, False, True, "it ends in another position", {"optimal": 0.0})
        optimal = len(said) // 2 == distance(*_pegs(question))
        return Verdict(1.0, True, True, "", {"optimal": float(optimal)})

    def check_steps(self, steps: str, question: Question) -> float:
        lines = [line.strip() for line in steps.strip().split("\n", MOST_LINES)]
        if len(lines) > MOST_LINES:
            return 0.0
        (at, goal), right = question.data, 0
        for line in lines:
            if _follows(at, line):
                at, right = line, right + 1
        return right / max(len(lines), right + (at != goal))

    def chance(self, question: Question) -> float:
        """Of any moves between pegs, as many as the shortest solution has; there are one or two."""
        once, twice = _distances(*_pegs(question))
        return (1 + (once == twice)) * 6.0 ** -min(once, twice)

    def space(self, level: int) -> float:
        positions = 3 ** (level + FEWEST - 1)
        return float(positions * (positions - 1) // 2)


def distance(start: list[int], goal: list[int]) -> int:
    """The number of moves of the shortest solution."""
    return min(_distances(start, goal))


def solution(start: list[int], goal: list[int]) -> list[tuple[int, int, int]]:
    """The moves of a shortest solution: (disc, from, to). Discs count from 0, the smallest; pegs too."""
    once, twice = _distances(start, goal)
    if once == twice == 0:
        return []
    disc = _largest(start, goal)
    a, b = start[disc], goal[disc]
    c = 3 - a - b
    moves: list[tuple[int, int, int]] = []
    back: list[tuple[int, int, int]] = []
    if once <= twice:
        _gather(start, disc, c, moves)
        moves.append((disc, a, b))
        _gather(goal, disc, c, back)
    else:
        _gather(start, disc, b, moves)
        moves.append((disc, a, c))
        _gather([b] * disc, disc, a, moves)
        moves.append((disc, c, b))
        _gather(goal, disc, a, back)
    return moves + [(disc, other, one) for disc, one, other in reversed(back)]


def _gather(pegs: list[int], discs: int, peg: int, moves: list[tuple[int, int, int]]) -> None:
    """Add the moves that bring the smallest discs onto one peg."""
    if discs == 0:
        return
    disc = discs - 1
    if pegs[disc] == peg:
        _gather(pegs, disc, peg, moves)
        return
    spare = 3 - peg - pegs[disc]
    _gather(pegs, disc, spare, moves)
    moves.append((disc, pegs[disc], peg))
    _gather([spare] * disc, disc, peg, moves)


def _gathering(pegs: list[int], discs: int, peg: int) -> int:
    """How many moves `_gather` adds."""
    moves = 0
    for disc in reversed(range(discs)):
        if pegs[disc] != peg:
            moves += 1 << disc
            peg = 3 - peg - pegs[disc]
    return moves


def _largest(start: list[int], goal: list[int]) -> int:
    """The largest disc that is out of place."""
    return next(disc for disc in reversed(range(len(start))) if start[disc] != goal[disc])


def _distances(start: list[int], goal: list[int]) -> tuple[int, int]:
    """The moves where the largest disc that is out of place moves once, and where it moves twice."""
    if start == goal:
        return 0, 0
    disc = _largest(start, goal)
    a, b = start[disc], goal[disc]
    c = 3 - a - b
    once = _gathering(start, disc, c) + 1 + _gathering(goal, disc, c)
    twice = _gathering(start, disc, b) + 1 + ((1 << disc) - 1) + 1 + _gathering(goal, disc, a)
    return once, twice


def _follows(before: str, after: str) -> bool:
    """Whether one move leads from a position to another."""
    if len(after) != len(before) or after.strip(PEGS):
        return False
    moved = [disc for disc, (one, other) in enumerate(zip(before, after)) if one != other]
    if len(moved) != 1:
        return False
    return not {before[moved[0]], after[moved[0]]} & set(before[: moved[0]])


def _drawn(rng: np.random.Generator, discs: int) -> tuple[str, str]:
    pegs = "".join([PEGS[int(3 * x)] for x in rng.random(2 * discs).tolist()])
    return pegs[:discs], pegs[discs:]


def _ask(start: str, goal: str, level: int) -> Question:
    """The question; from either end, it is the same problem."""
    return Question(f"{start}>{goal}", (start, goal), f"{min(start, goal)}>{max(start, goal)}", level)


def _pegs(question: Question) -> tuple[list[int], list[int]]:
    start, goal = question.data
    return list(map(PEGS.index, start)), list(map(PEGS.index, goal))
