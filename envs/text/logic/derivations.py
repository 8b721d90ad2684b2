"""Counting derivations: how many of the fewest lines there are, which is what a proof's chance is made of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from envs.text.logic.formulas import Formula, join, negation, split, universe

Ways = dict[Formula, list[frozenset[Formula]]]
"""For each formula, what it could follow from."""


def shortest(premises: tuple[Formula, ...], goal: Formula) -> tuple[int, int]:
    """(lines of the shortest derivation, how many derivations have so many lines)."""
    known = frozenset(premises)
    ways = _all_ways(universe(premises, goal))
    lines = right = 0
    while not right:
        lines += 1
        right = sum(_orders(derived, goal, known, ways) for derived in _supports(goal, known, ways, lines))
    return lines, right


def _all_ways(formulas: list[Formula]) -> Ways:
    """For each formula, from what others it follows: a set for each rule and choice of lines."""
    allowed = set(formulas)
    ways: Ways = {}
    for formula in formulas:
        found = {each for each in _ways_to(formula, formulas) if each[1] <= allowed}
        ways[formula] = [given for _, given in found]
    return ways


def _ways_to(formula: Formula, formulas: list[Formula]) -> Iterator[tuple[str, frozenset[Formula]]]:
    """(rule, what it needs) for all that a formula could follow from."""
    op, left, right = split(formula)
    if op == "&":
        yield "ai", frozenset((left, right))
    elif op == "|":
        yield "oi", frozenset([left])
        yield "oi", frozenset([right])
    elif op == "~" and split(left)[0] == "~":
        yield "dn", frozenset([split(left)[1]])
    yield "dn", frozenset([negation(negation(formula))])
    for other in formulas:
        joint, one, two = split(other)
        if joint == "&" and formula in (one, two):
            yield "ae", frozenset([other])
        elif joint == "|":
            for side, rest in ((one, two), (two, one)):
                if side == formula:
                    yield "ds", frozenset((other, negation(rest)))
        elif joint == ">":
            if two == formula:
                yield "mp", frozenset((other, one))
            if negation(one) == formula:
                yield "mt", frozenset((other, negation(two)))
            if op == ">" and one == left:
                yield "hs", frozenset((other, join(two, ">", right)))


def _supports(goal: Formula, known: frozenset[Formula], ways: Ways, most: int) -> set[frozenset[Formula]]:
    """All sets of at most so many formulas in which each follows from others or from what is known."""
    found, seen = set(), set()
    todo = [(frozenset([goal]), frozenset([goal]))]
    while todo:
        state = todo.pop()
        if state in seen:
            continue
        seen.add(state)
        derived, wanted = state
        if not wanted:
            found.add(derived)
            continue
        formula = min(wanted)
        for given in ways[formula]:
            new = given - known - derived
            if len(derived) + len(new) <= most:
                todo.append((derived | new, (wanted - {formula}) | new))
    return found


def _orders(derived: frozenset[Formula], goal: Formula, known: frozenset[Formula], ways: Ways) -> int:
    """How many derivations have exactly these lines, the goal last."""
    counts = {known: 1}
    for size in range(len(derived)):
        after: dict[frozenset[Formula], int] = defaultdict(int)
        for have, count in counts.items():
            for formula in derived - have:
                if formula != goal or size == len(derived) - 1:
                    after[have | {formula}] += count * sum(given <= have for given in ways[formula])
        counts = after
    return sum(counts.values())
