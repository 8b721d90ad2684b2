"""Formulas of propositional logic, the rules by which one follows from others, and the shortest way to one.

A formula is its text, in one normal form: letters `p` to `w`, `~` not, `&` and, `|` or, `>` implies. What
`&`, `|` and `>` join stands in brackets where it is joined itself: `(p&q)>~r`.
No operator binds more closely than another.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterator
from functools import lru_cache

LETTERS = "pqrstuvw"
OPERATORS = "&|>"
LONGEST, DEEPEST = 200, 20
"""Characters, and brackets and negations within each other, that a formula has at most."""
RULES = {"mp": 2, "mt": 2, "ds": 2, "hs": 2, "ai": 2, "ae": 1, "oi": 1, "dn": 1}
"""Rules and from how many formulas they conclude:

    mp  p>q, p   gives q             ai  p, q  gives p&q
    mt  p>q, ~q  gives ~p            ae  p&q   gives p, and q
    ds  p|q, ~p  gives q (and so on) oi  p     gives p|q, and q|p, for any q
    hs  p>q, q>r gives p>r           dn  p     gives ~~p, and ~~p gives p
"""
Formula = str
Step = tuple[Formula, str, tuple[Formula, ...]]
"""(what follows, by which rule, from what)."""


class FormulaError(ValueError):
    """What is wrong with a formula, in a line for people."""


def read(text: str) -> Formula:
    """The formula that a text is (`FormulaError` where it is none); more brackets than needed do no harm."""
    if len(text) > LONGEST:
        raise FormulaError(f"a formula of {len(text)} characters; {LONGEST} are the most")
    formula, at = _joined(text, 0, 0)
    if at < len(text):
        raise FormulaError(f"'{text[at]}' in '{text:.60}' does not belong there")
    return formula


def _joined(text: str, at: int, depth: int) -> tuple[Formula, int]:
    """(formula, where it ends), as of `_part`."""
    left, at = _part(text, at, depth)
    op = text[at : at + 1]
    if not op or op not in OPERATORS:
        return left, at
    right, at = _part(text, at + 1, depth)
    return join(left, op, right), at


def _part(text: str, at: int, depth: int) -> tuple[Formula, int]:
    if depth > DEEPEST:
        raise FormulaError(f"more than {DEEPEST} brackets and negations within each other")
    sign = text[at : at + 1]
    if sign == "~":
        formula, at = _part(text, at + 1, depth + 1)
        return negation(formula), at
    if sign == "(":
        formula, at = _joined(text, at + 1, depth + 1)
        if text[at : at + 1] != ")":
            raise FormulaError(f"'{text:.60}' lacks a bracket")
        return formula, at + 1
    if not sign or sign not in LETTERS:
        found = f"'{sign}'" if sign else "the end"
        raise FormulaError(f"{found} in '{text:.60}', where a letter, '~' or '(' is due")
    return sign, at + 1


@lru_cache(maxsize=1 << 14)
def split(formula: Formula) -> tuple[str, Formula, Formula]:
    """(operator, left, right); of `~p` the left is `p`; a letter has no operator and is its own left."""
    depth = 0
    for at, sign in enumerate(formula):
        depth += (sign == "(") - (sign == ")")
        if depth == 0 and sign in OPERATORS:
            return sign, _bare(formula[:at]), _bare(formula[at + 1 :])
    return ("~", _bare(formula[1:]), "") if formula[0] == "~" else ("", formula, "")


def join(left: Formula, op: str, right: Formula) -> Formula:
    """Two formulas joined by an operator."""
    return f"{_within(left)}{op}{_within(right)}"


def negation(formula: Formula) -> Formula:
    """Its negation, with one more `~`."""
    return f"~{_within(formula)}"


def _bare(text: str) -> Formula:
    return text[1:-1] if text[0] == "(" else text


def _within(formula: Formula) -> str:
    return f"({formula})" if split(formula)[0] in ("&", "|", ">") else formula


def subformulas(formula: Formula) -> Iterator[Formula]:
    """It and all that it is made of."""
    yield formula
    op, left, right = split(formula)
    if op:
        yield from subformulas(left)
    if right:
        yield from subformulas(right)


def table(formula: Formula) -> int:
    """Where it holds: bit `m` for the case in which exactly the letters in mask `m` are true."""
    op, left, right = split(formula)
    if not op:
        return _TRUE[left]
    if op == "~":
        return _ALL ^ table(left)
    a, b = table(left), table(right)
    return a & b if op == "&" else a | b if op == "|" else (_ALL ^ a) | b


_CASES = 1 << len(LETTERS)
_ALL = (1 << _CASES) - 1
_TRUE = {x: sum(1 << m for m in range(_CASES) if m >> i & 1) for i, x in enumerate(LETTERS)}


def follows(formula: Formula, rule: str, given: tuple[Formula, ...]) -> bool:
    """Whether a formula follows by a rule from what is given, in whichever order."""
    if len(given) != RULES[rule]:
        return False
    if len(given) == 1:
        return _follows_from(formula, rule, given[0])
    a, b = given
    return _follows_from_two(formula, rule, a, b) or _follows_from_two(formula, rule, b, a)


def _follows_from(formula: Formula, rule: str, given: Formula) -> bool:
    if rule == "ae":
        return split(given)[0] == "&" and formula in split(given)[1:]
    if rule == "oi":
        return split(formula)[0] == "|" and given in split(formula)[1:]
    return formula == negation(negation(given)) or given == negation(negation(formula))


def _follows_from_two(formula: Formula, rule: str, a: Formula, b: Formula) -> bool:
    op, left, right = split(a)
    if rule == "mp":
        return op == ">" and b == left and formula == right
    if rule == "mt":
        return op == ">" and b == negation(right) and formula == negation(left)
    if rule == "hs":
        return op == ">" and split(b)[:2] == (">", right) and formula == join(left, ">", split(b)[2])
    if rule == "ai":
        return formula == join(a, "&", b)
    sides = ((left, right), (right, left))
    return op == "|" and any(b == negation(one) and formula == other for one, other in sides)


def universe(premises: tuple[Formula, ...], goal: Formula) -> list[Formula]:
    """What a derivation may go by: all parts of premises and goal, and what negates them once or twice.

    Premises that do not contradict each other need no more: nothing else makes a derivation shorter.
    """
    parts = dict.fromkeys(part for formula in (*premises, goal) for part in subformulas(formula))
    once = dict.fromkeys(map(negation, parts))
    return list(dict.fromkeys([*parts, *once, *map(negation, once)]))


@lru_cache(maxsize=1024)
def prove(premises: tuple[Formula, ...], goal: Formula) -> tuple[Step, ...] | None:
    """A derivation of the goal within the `universe`, in order; None where there is none.

    Forward search, the cheapest formula next, where a formula costs one more than all that it is concluded
    from (Knuth, 1977, "A generalization of Dijkstra's algorithm"): no derivation is smaller when what it uses
    twice is counted twice.
    """
    search = _Search(universe(premises, goal))
    waiting: list[tuple[int, int, Formula, str, tuple[Formula, ...]]] = []
    waiting += [(0, k, premise, "", ()) for k, premise in enumerate(premises)]
    reached: dict[Formula, tuple[int, str, tuple[Formula, ...]]] = {}
    count = len(waiting)
    while waiting:
        cost, _, formula, rule, given = heapq.heappop(waiting)
        if formula in reached:
            continue
        reached[formula] = cost, rule, given
        if formula == goal:
            return _needed(reached, goal)
        for result, rule, given in search.consequences(formula):
            if result not in reached:
                total = 1 + sum(reached[each][0] for each in given)
                heapq.heappush(waiting, (total, count, result, rule, given))
                count += 1
    return None


def _needed(reached: dict[Formula, tuple[int, str, tuple[Formula, ...]]], goal: Formula) -> tuple[Step, ...]:
    """Of all steps to what was reached those that lead to the goal."""
    needed, steps = {goal}, []
    for formula, (_, rule, given) in reversed(reached.items()):
        if formula in needed and rule:
            needed.update(given)
            steps.append((formula, rule, given))
    return tuple(reversed(steps))


class _Search:
    """What is known so far, by its parts, so that what follows from one formula more is found at once."""

    def __init__(self, allowed: list[Formula]) -> None:
        self.allowed = set(allowed)
        self.known: set[Formula] = set()
        self.of: dict[tuple[str, int, Formula], list[Formula]] = defaultdict(list)
        """Known formulas by (operator, 1 for left or 2 for right, what stands there)."""
        self.goals: dict[Formula, list[tuple[str, Formula, Formula]]] = defaultdict(list)
        """By a part: (operator, the other part, the whole) of all that it could be joined to."""
        for formula in allowed:
            op, left, right = split(formula)
            if op in ("&", "|"):
                self.goals[left].append((op, right, formula))
                self.goals[right].append((op, left, formula))

    def consequences(self, formula: Formula) -> Iterator[Step]:
        """All that follows from a formula, alone or with one that is known; from now on it is known."""
        op, left, right = split(formula)
        self.known.add(formula)
        if op:
            self.of[op, 1, left].append(formula)
            self.of[op, 2, right].append(formula)
        for step in (*self._alone(formula), *self._with_others(formula)):
            if step[0] in self.allowed:
                yield step

    def _alone(self, formula: Formula) -> Iterator[Step]:
        op, left, right = split(formula)
        if op == "&":
            yield left, "ae", (formula,)
            yield right, "ae", (formula,)
        elif op == "~" and split(left)[0] == "~":
            yield split(left)[1], "dn", (formula,)
        yield negation(negation(formula)), "dn", (formula,)
        for joint, other, whole in self.goals[formula]:
            if joint == "|":
                yield whole, "oi", (formula,)
            elif other in self.known:
                yield whole, "ai", (formula, other) if split(whole)[1] == formula else (other, formula)

    def _with_others(self, formula: Formula) -> Iterator[Step]:
        op, left, right = split(formula)
        if op == ">":
            yield from self._with_implication(formula)
        if op == "|":
            for one, other in ((left, right), (right, left)):
                if negation(one) in self.known:
                    yield other, "ds", (formula, negation(one))
        if op == "~":
            for implication in self.of[">", 2, left]:
                yield negation(split(implication)[1]), "mt", (implication, formula)
            for side, other_side in ((1, 2), (2, 1)):
                for disjunction in self.of["|", side, left]:
                    yield split(disjunction)[other_side], "ds", (disjunction, formula)
        for implication in self.of[">", 1, formula]:
            yield split(implication)[2], "mp", (implication, formula)

    def _with_implication(self, formula: Formula) -> Iterator[Step]:
        _, left, right = split(formula)
        if left in self.known:
            yield right, "mp", (formula, left)
        if negation(right) in self.known:
            yield negation(left), "mt", (formula, negation(right))
        for after in self.of[">", 1, right]:
            yield join(left, ">", split(after)[2]), "hs", (formula, after)
        for before in self.of[">", 2, left]:
            yield join(split(before)[1], ">", right), "hs", (before, formula)
