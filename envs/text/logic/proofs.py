"""Proofs in propositional logic, line by line, each by a rule from lines before it.

    1 p>q
    2 r|p
    3 ~r
    ? q

Letters stand for statements; `~` is not, `&` and, `|` or, `>` implies. The answer is the derivation itself,
so that it cannot be guessed; every line has its number, a formula, a rule of `envs.text.logic.formulas` and
the numbers of the lines that it follows from. The last line is the goal:

    4 p ds 2 3
    5 q mp 1 4

Steps, before the answer, go backwards: each line says of the goal, or of something that is wanted by a line
before, by which rule it follows and from what. What is not a premise is then wanted:

    q mp p>q p
    p ds r|p ~r
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from itertools import permutations, product
from math import prod

import numpy as np

from envs.text.logic.derivations import shortest
from envs.text.logic.formulas import (
    LETTERS,
    RULES,
    Formula,
    FormulaError,
    follows,
    join,
    negation,
    prove,
    read,
    split,
    table,
    universe,
)
from envs.text.task import Question, Task, Verdict

LONGEST_PREMISE = 13
"""Characters of a formula in a problem, at most."""
MOST_LINES = 60
"""Lines beyond which nothing is a derivation."""
SPACE = (13_600, 41_000, 160_000, 120_000, 290_000, 1_000_000)
"""Problems by level, at least: an estimate from how many of 20,000 to 60,000 were drawn once, and twice
(Chao, 1984, "Nonparametric estimation of the number of classes in a population")."""
Premises = tuple[Formula, ...]
Floats = Iterator[float]

_LINE = re.compile(r"([1-9][0-9]?) ([^ ]+) ([a-z]{2}) ([1-9][0-9]?)(?: ([1-9][0-9]?))?")
_MASKS = {x: str.maketrans({y: "x" if x == y else "." for y in LETTERS}) for x in LETTERS}


class Proof(Task):
    """A level is how many lines must be derived."""

    title = "Proof"
    about = "prove a formula, each line by a rule"
    instructions = (
        "Prove the formula after '?' from the numbered premises. ~ is not, & and, | or, > implies. Each line "
        "of the proof has the next number, a formula, a rule and the numbers of the lines that it follows "
        "from, such as '4 q mp 1 3'. Rules: mp (p>q, p: q), mt (p>q, ~q: ~p), ds (p|q, ~p: q; p|q, ~q: p), "
        "hs (p>q, q>r: p>r), ai (p, q: p&q), ae (p&q: p; p&q: q), oi (p: p|q; p: q|p), dn (p: ~~p; ~~p: p). "
        "Joined formulas within others stand in parentheses. Answer with the lines that you derive; the last "
        "is the formula to prove."
    )
    levels = 6
    alphabet = "".join(sorted({*LETTERS, *"".join(RULES), *"0123456789~&|>()? \n"}))
    strategies = ("backward",)

    def generate(self, rng: np.random.Generator, level: int) -> Question:
        floats = _floats(rng)
        while True:
            premises, goal = _grow(floats, level)
            if _sound(premises, goal, level):
                break
        for _ in range(int(next(floats) * 3)):
            more = (*premises, _distractor(floats, premises, goal))
            premises = more if _sound(more, goal, level) else premises
        return _ask(*_disguised(floats, premises, goal), level)

    def understand(self, prompt: str) -> Question:
        *given, last = prompt.split("\n")
        try:
            premises = tuple([read(line.partition(" ")[2]) for line in given])
            goal = read(last.partition(" ")[2])
        except FormulaError as error:
            raise ValueError(f"{prompt!r:.60} is no problem of proofs: {error}") from None
        if _prompt(premises, goal) != prompt or goal in premises or len(set(premises)) < len(premises):
            raise ValueError(f"{prompt!r:.60} is not numbered premises and, after '?', something to prove")
        if prove(premises, goal) is None:
            raise ValueError(f"{prompt!r:.60}: no proof by these rules goes by parts of what is given")
        return _ask(premises, goal, 0)

    def answer(self, question: Question) -> str:
        premises, _ = question.data
        steps = _steps(question)
        number = {f: k for k, f in enumerate([*premises, *[step[0] for step in steps]], 1)}
        return "\n".join(
            [
                " ".join([str(number[f]), f, rule, *[str(number[g]) for g in given]])
                for f, rule, given in steps
            ]
        )

    def work(self, question: Question, strategy: str) -> str:
        return "\n".join([" ".join([f, rule, *given]) for f, rule, given in reversed(_steps(question))])

    def check(self, answer: str, question: Question) -> Verdict:
        premises, goal = question.data
        said = answer.strip().replace(";", "\n").split("\n", MOST_LINES)
        if len(said) > MOST_LINES:
            return Verdict(0.0, False, False, f"more than {MOST_LINES} lines")
        lines = list(premises)
        wrong = ""
        for text in said:
            number = len(lines) + 1
            try:
                formula, rule, at = _read_line(text, number)
            except FormulaError as error:
                return Verdict(0.0, False, False, f"line {number}: {error}")
            right = all(k < number for k in at) and follows(formula, rule, tuple([lines[k - 1] for k in at]))
            wrong = wrong or ("" if right else f"line {number}: {formula:.40} does not follow")
            lines.append(formula)
        if not wrong and lines[-1] != goal:
            wrong = f"it ends with {lines[-1]:.40}, not with {goal}"
        return Verdict(float(not wrong), not wrong, True, wrong)

    def check_steps(self, steps: str, question: Question) -> float:
        """The share of lines that are right. While something is wanted, no more count than a proof needs."""
        premises, goal = question.data
        lines = [line.strip() for line in steps.strip().split("\n", MOST_LINES)]
        if len(lines) > MOST_LINES:
            return 0.0
        plan = Plan(premises, goal)
        right = sum(plan.take(line) for line in lines)
        if not plan.wanted:
            return right / len(lines)
        fewest = len(_steps(question))
        return min(right, fewest) / (max(len(lines), fewest) + len(plan.wanted))

    def chance(self, question: Question) -> float:
        """Of so many lines as the shortest derivation has, each drawn evenly from all of the right form.

        That is: any formula of the `universe`, any rule, and any line or two before it, as the rule asks
        (their order is not counted, and both may be the same).
        """
        premises, goal = question.data
        lines, right = shortest(premises, goal)
        formulas = len(universe(premises, goal))
        rules = [sum(n == k for n in RULES.values()) for k in (1, 2)]
        before = range(len(premises), len(premises) + lines)
        return right / prod(formulas * (rules[0] * m + rules[1] * m * (m + 1) // 2) for m in before)

    def space(self, level: int) -> float:
        return float(SPACE[level - 1])


class Plan:
    """What is wanted at a point of a plan that goes backwards, and what rests on what."""

    def __init__(self, premises: Premises, goal: Formula) -> None:
        self.premises, self.wanted = set(premises), {goal}
        self.rests: dict[Formula, tuple[Formula, ...]] = {}

    def take(self, line: str) -> bool:
        """Go on by a line, if it is right: something that is wanted, a rule, what it follows from."""
        try:
            first, rule, *rest = line.split(" ")
            formula, given = read(first), tuple(map(read, rest))
        except ValueError:
            return False
        if formula not in self.wanted or rule not in RULES or not follows(formula, rule, given):
            return False
        if any(formula in self._below(each) for each in given):
            return False
        self.rests[formula] = given
        self.wanted.discard(formula)
        self.wanted.update(each for each in given if each not in self.premises and each not in self.rests)
        return True

    def _below(self, formula: Formula) -> set[Formula]:
        """It and all that it rests on: what must not rest on it."""
        below, todo = set[Formula](), [formula]
        while todo:
            each = todo.pop()
            if each not in below:
                below.add(each)
                todo += self.rests.get(each, ())
        return below


def _steps(question: Question) -> tuple[tuple[Formula, str, tuple[Formula, ...]], ...]:
    steps = prove(*question.data)
    assert steps is not None, "a question has a proof"
    return steps


def _ask(premises: Premises, goal: Formula, level: int) -> Question:
    return Question(_prompt(premises, goal), (premises, goal), _canonical(premises, goal), level)


def _prompt(premises: Premises, goal: Formula) -> str:
    return "\n".join([*[f"{k} {premise}" for k, premise in enumerate(premises, 1)], f"? {goal}"])


def _read_line(text: str, number: int) -> tuple[Formula, str, list[int]]:
    """(formula, rule, numbers of lines) of a line of a derivation (`FormulaError` where it is none)."""
    found = _LINE.fullmatch(" ".join(text.split()))
    if not found or found[3] not in RULES:
        raise FormulaError(f"'{text:.40}' is not a number, a formula, a rule, and numbers of lines")
    if int(found[1]) != number:
        raise FormulaError(f"it has the number {found[1]}")
    return read(found[2]), found[3], [int(k) for k in (found[4], found[5]) if k]


def _canonical(premises: Premises, goal: Formula) -> str:
    """The same text for a problem however its letters are named and its premises ordered.

    Letters are named in the order of where they occur; among those that occur alike, in that order which
    gives the first text of all.
    """
    alike = defaultdict(list)
    for x in sorted({sign for formula in (*premises, goal) for sign in formula if sign in LETTERS}):
        alike[(goal.translate(_MASKS[x]), *sorted([f.translate(_MASKS[x]) for f in premises]))].append(x)
    texts = []
    for order in product(*[permutations(alike[where]) for where in sorted(alike)]):
        names = str.maketrans("".join([x for group in order for x in group]), LETTERS[: sum(map(len, order))])
        texts.append("\n".join([*sorted([f.translate(names) for f in premises]), goal.translate(names)]))
    return min(texts)


# -- making problems --------------------------------------------------------------------------------------


def _floats(rng: np.random.Generator) -> Floats:
    while True:
        yield from rng.random(32).tolist()


def _pick(floats: Floats, items: list[str] | str) -> str:
    return items[int(next(floats) * len(items))]


def _grow(floats: Floats, steps: int) -> tuple[Premises, Formula]:
    """(premises, goal): a goal, whose leaves are replaced by what they follow from, so many times."""
    fresh = list(LETTERS)
    goal = _small(floats, fresh)
    leaves = [goal]
    for _ in range(steps):
        leaf = leaves.pop(int(next(floats) * len(leaves)))
        ways = _ways_back(leaf, fresh[0] if fresh else _pick(floats, LETTERS))
        ways = [way for way in ways if max(map(len, way)) <= LONGEST_PREMISE]
        way = ways[int(next(floats) * len(ways))] if ways else [leaf]
        leaves += way
        if fresh and any(fresh[0] in formula for formula in way):
            fresh.pop(0)
    return tuple(leaves), goal


def _small(floats: Floats, fresh: list[str]) -> Formula:
    """A goal of one or two fresh letters."""
    first = fresh.pop(0)
    shape = int(next(floats) * 6)
    if shape < 3:
        return first if shape else negation(first)
    return join(first, "&|>"[shape - 3], fresh.pop(0))


def _ways_back(formula: Formula, new: str) -> list[list[Formula]]:
    """What a formula could follow from, by each rule, with a new letter where one is free."""
    op, left, right = split(formula)
    ways = [
        [join(new, ">", formula), new],
        [join(new, "|", formula), negation(new)],
        [join(formula, "|", new), negation(new)],
        [join(formula, "&", new)],
        [join(new, "&", formula)],
    ]
    if op == "~":
        ways += [[join(left, ">", new), negation(new)]] * 2
        if split(left)[0] == "~":
            ways.append([split(left)[1]])
    elif op == ">":
        ways += [[join(left, ">", new), join(new, ">", right)]] * 2
    elif op == "&":
        ways += [[left, right]] * 3
    elif op == "|":
        ways += [[left], [right]]
    return ways


def _distractor(floats: Floats, premises: Premises, goal: Formula) -> Formula:
    """A formula of two letters, mostly of those that occur."""
    known = sorted({sign for formula in (*premises, goal) for sign in formula if sign in LETTERS})
    first, second = _pick(floats, known), _pick(floats, known + list(LETTERS[:2]))
    sides = [negation(x) if next(floats) < 0.3 else x for x in (first, second)]
    return join(sides[0], _pick(floats, "&|>>"), sides[1])


def _sound(premises: Premises, goal: Formula, lines: int) -> bool:
    """Whether a problem is as it should be: no contradiction, no line too many, so many lines to derive."""
    formulas = {*premises, goal}
    if len(formulas) <= len(premises) or any(split(f)[1] == split(f)[2] for f in formulas):
        return False
    holds = table(premises[0])
    for premise in premises[1:]:
        holds &= table(premise)
    steps = prove(premises, goal) if holds else None
    return steps is not None and len(steps) == lines


def _disguised(floats: Floats, premises: Premises, goal: Formula) -> tuple[Premises, Formula]:
    """The same with other letters, and its premises in another order."""
    names = str.maketrans(LETTERS, "".join(_shuffled(floats, list(LETTERS))))
    return tuple([f.translate(names) for f in _shuffled(floats, list(premises))]), goal.translate(names)


def _shuffled(floats: Floats, items: list[str]) -> list[str]:
    return [item for _, item in sorted([(next(floats), item) for item in items])]
