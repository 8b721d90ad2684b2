"""Boolean satisfiability: give every variable a value so that every clause holds.

    ABc aBD abC abc ABC AcD ABd

A clause holds three literals of different variables and asks for one of them: `a` that a is true, `A` that it
is false. Some values fit all clauses, and any that do are right (1 true, 0 false):

    a0b1c1d0

Steps suppose and conclude, each line from what is known so far:

    ?A         suppose that a is false: only right where no clause has less than two literals left
    ?B
    abC>C      all else in the clause is false: c is false
    abc!b      the clause is false: what was supposed last is wrong, and what followed from it is taken back
    aBD>D

They are complete when every clause holds (Davis, Logemann and
Loveland, A machine program for theorem-proving, 1962). Variables that are still open then may have any value.

Clauses are drawn around hidden values that satisfy them. Were they drawn evenly from all that do, four of
seven literals would be true, and the more frequent sign of a variable would tell its value. So a clause with
t true literals is drawn in proportion to q^t, where q = (√5-1)/2, and as many literals are true as false
(Jia, Moore and Strain, Generating hard satisfiable formulas by hiding solutions deceptively, 2005, section
2). Like all formulas that hide values they have more solutions than those of as many clauses at random that
have any.
"""

from __future__ import annotations

import math
import re

import numpy as np

from envs.kernels import kernel
from envs.rng import next_below, next_float
from envs.text.draws import kernel_rng
from envs.text.parsing import LONGEST_ANSWER
from envs.text.task import Question, Task, Verdict

SIZES = ((4, 12), (5, 14), (6, 20), (8, 32), (10, 42), (14, 59), (20, 85), (26, 110))
"""Variables and clauses, by level: from the fourth on 4.2 a variable, where random formulas are hardest."""
LETTERS = "abcdefghijklmnopqrstuvwxyz"
WIDTH = 3
"""Literals of a clause; with the space after it a clause is a character more."""
MOST_CLAUSES = 200
MOST_LINES = 500
"""Lines beyond which nothing is a solution."""
SUPPOSED, FORCED, WRONG = range(3)
UNSATISFIABLE, TOO_LONG = -1, -2

_Q = (math.sqrt(5) - 1) / 2
_WEIGHTS = np.cumsum([_Q ** mask.bit_count() for mask in range(1, 1 << WIDTH)])
TRUE = _WEIGHTS / _WEIGHTS[-1]
"""Up to each set of a clause's literals (bit masks from 1 on), how likely they are to be the true ones."""

_CLAUSE = r"(?:[A-Za-z]{3})"
_FORM = re.compile(rf"{_CLAUSE}(?: {_CLAUSE}){{0,{MOST_CLAUSES - 1}}}")
_VALUE = re.compile(r"([a-z])([01])")
_GAPS = re.compile(r"[\s,;=]+")


class Satisfiability(Task):
    """Four variables at level 1, 26 at level 8."""

    title = "Satisfiability"
    about = "values for which every clause of a formula holds"
    instructions = (
        "Each letter is a variable, true or false. Each group of three letters is a clause: it holds if "
        "one of its letters or more is as it says, a small letter that the variable is true, a capital "
        "that it is false. Find values for which every clause holds. Answer with every variable in turn, "
        "1 for true and 0 for false, such as a1b0c1d1."
    )
    levels = len(SIZES)
    alphabet = LETTERS + LETTERS.upper() + "01 ?>!\n"
    strategies = ("suppose",)

    def generate(self, rng: np.random.Generator, level: int) -> Question:
        variables, clauses = SIZES[level - 1]
        text, state = np.empty((WIDTH + 1) * clauses, np.uint8), kernel_rng(rng)
        while True:
            draw(state, variables, TRUE, text)
            prompt = text[:-1].tobytes().decode()
            if _solved(prompt)[0] > 0:
                return _ask(prompt, level)

    def understand(self, prompt: str) -> Question:
        clauses = prompt.split(" ")
        names = [clause.lower() for clause in clauses]
        if _FORM.fullmatch(prompt) is None or any(not n[0] < n[1] < n[2] for n in names):
            raise ValueError(
                f"{prompt!r:.60} does not read like aBc abD, each clause in the alphabet's order"
            )
        if len(set(clauses)) < len(clauses):
            raise ValueError(f"{prompt!r:.60} has a clause twice")
        lines, _, _ = _solved(prompt)
        if lines < 0:
            why = "no values fit" if lines == UNSATISFIABLE else f"more than {MOST_LINES} steps solve"
            raise ValueError(f"{why} {prompt!r:.60}")
        return _ask(prompt, 0)

    def answer(self, question: Question) -> str:
        _, values, _ = _solved(question.data)
        return "".join(
            [f"{name}{int(values[LETTERS.index(name)] != 0)}" for name in variables(question.data)]
        )

    def work(self, question: Question, strategy: str) -> str:
        count, _, trace = _solved(question.data)
        clauses = question.data.split(" ")
        return "\n".join([_line(kind, clauses[at], literal) for kind, at, literal in trace[:count].tolist()])

    def check(self, answer: str, question: Question) -> Verdict:
        said = _GAPS.sub("", answer) if len(answer) <= LONGEST_ANSWER else ""
        values, names = _VALUE.findall(said), variables(question.data)
        if _VALUE.sub("", said) or sorted(name for name, _ in values) != names:
            return Verdict(0.0, False, False, f"not each of {''.join(names)} once, with 1 or 0")
        true = {name if value == "1" else name.upper() for name, value in values}
        broken = next((clause for clause in question.data.split(" ") if true.isdisjoint(clause)), "")
        return Verdict(float(not broken), not broken, True, f"{broken} does not hold" if broken else "")

    def check_steps(self, steps: str, question: Question) -> float:
        lines = [line.strip() for line in steps.strip().split("\n", MOST_LINES)]
        if len(lines) > MOST_LINES:
            return 0.0
        case = Case(question.data)
        right = sum([case.take(line) for line in lines])
        return right / max(len(lines), right + case.open())

    def chance(self, question: Question) -> float:
        """Of any values."""
        return float(models(_bytes(question.data))) / 2 ** len(variables(question.data))

    def space(self, level: int) -> float:
        """At least: those that hold where all variables are true."""
        variables, clauses = SIZES[level - 1]
        return float(math.comb((2**WIDTH - 1) * math.comb(variables, WIDTH), clauses))


class Case:
    """What is known at a point of an argument, and what was supposed on the way."""

    def __init__(self, formula: str) -> None:
        self.clauses = frozenset(formula.split(" "))
        self.literals = frozenset(formula.replace(" ", "") + formula.replace(" ", "").swapcase())
        self.known: frozenset[str] = frozenset()
        """Literals that are true."""
        self.supposed: list[tuple[frozenset[str], str]] = []
        """(what was known before, the literal)."""

    def open(self) -> int:
        """How many clauses do not hold yet."""
        return sum([self.known.isdisjoint(clause) for clause in self.clauses])

    def left(self, clause: str) -> str:
        """The literals of a clause that are not false."""
        return "".join([literal for literal in clause if literal.swapcase() not in self.known])

    def take(self, line: str) -> bool:
        """Go on by a line, if it is right."""
        clause, sign, literal = line[:-2], line[-2:-1], line[-1:]
        before = self.known
        if sign == "?":
            if clause or literal not in self.literals - self._settled() or self._leads_on():
                return False
            self.supposed.append((before, literal))
        elif clause not in self.clauses or not self.known.isdisjoint(clause):
            return False
        elif sign == ">":
            if self.left(clause) != literal:
                return False
        elif sign == "!":
            if self.left(clause) or not self.supposed or self.supposed[-1][1] != literal.swapcase():
                return False
            before = self.supposed.pop()[0]
        else:
            return False
        self.known = before | {literal}
        return True

    def _settled(self) -> set[str]:
        return {each for literal in self.known for each in (literal, literal.swapcase())}

    def _leads_on(self) -> bool:
        """Whether a clause is false, or has one literal left."""
        return any(self.known.isdisjoint(clause) and len(self.left(clause)) < 2 for clause in self.clauses)


def variables(formula: str) -> list[str]:
    """The letters of a formula, in order."""
    return sorted(set(formula.lower()) - {" "})


def _ask(formula: str, level: int) -> Question:
    """The question; in whatever order its clauses stand, it is the same problem."""
    return Question(formula, formula, " ".join(sorted(formula.split(" "))), level)


def _bytes(formula: str) -> np.ndarray:
    return np.frombuffer(formula.encode(), np.uint8)


def _solved(formula: str) -> tuple[int, np.ndarray, np.ndarray]:
    """(how many steps, or why there are none; the values, -1 where any will do; the steps)."""
    values, trace = np.empty(len(LETTERS), np.int8), np.empty((MOST_LINES, 3), np.int64)
    return solve(_bytes(formula), values, trace), values, trace


def _line(kind: int, clause: str, literal: int) -> str:
    name = LETTERS[literal >> 1] if literal & 1 else LETTERS[literal >> 1].upper()
    return f"?{name}" if kind == SUPPOSED else f"{clause}{'>!'[kind == WRONG]}{name}"


# -- kernels: a formula is its text, a literal is twice its variable, and one more where it is true -


@kernel
def draw(rng, variables, true, text):  # type: ignore[no-untyped-def]
    """Write different clauses that hold for hidden values into `text` (uint8, four for each clause)."""
    hidden = np.empty(variables, np.bool_)
    for i in range(variables):
        hidden[i] = next_float(rng, 0) < 0.5
    seen = np.zeros(26**3 * 8, np.bool_)
    at = 0
    while at < len(text):
        a, b, c = next_below(rng, 0, variables), next_below(rng, 0, variables), next_below(rng, 0, variables)
        if not a < b < c:
            continue
        mask = 1 + np.searchsorted(true, next_float(rng, 0), side="right")
        code = ((a * 26 + b) * 26 + c) * 8 + mask
        if seen[code]:
            continue
        seen[code] = True
        text[at] = character(a, hidden[a] == bool(mask & 1))
        text[at + 1] = character(b, hidden[b] == bool(mask & 2))
        text[at + 2] = character(c, hidden[c] == bool(mask & 4))
        text[at + 3] = 32
        at += 4


@kernel
def character(variable, positive):  # type: ignore[no-untyped-def]
    """A literal's letter, small where it says that the variable is true."""
    return variable + (97 if positive else 65)


@kernel
def literal_of(letter):  # type: ignore[no-untyped-def]
    """The literal that a letter is."""
    return 2 * (np.int64(letter | 32) - 97) + (1 if letter >= 97 else 0)


@kernel
def look(text, at, values):  # type: ignore[no-untyped-def]
    """(how many literals of a clause are open, the first of them), or (4, -1) where it holds."""
    count, first = 0, -1
    for j in range(at, at + 3):
        literal = literal_of(text[j])
        value = values[literal >> 1]
        if value == literal & 1:
            return 4, -1
        if value == -1:
            count += 1
            if first == -1:
                first = literal
    return count, first


@kernel
def solve(text, values, trace):  # type: ignore[no-untyped-def]
    """Fill in `values` (int8 `[26]`, -1 where open) and `trace` (int64 `[most, 3]`: kind, clause, literal).

    Returns the number of steps, `UNSATISFIABLE`, or `TOO_LONG`. The clause with the fewest open literals
    leads on, the first of them; where it has two or more, its first open literal is supposed.
    """
    values[:] = -1
    known, marks = np.empty(26, np.int64), np.empty(26, np.int64)
    size, depth, steps = 0, 0, 0
    while True:
        fewest, clause, literal = 4, -1, -1
        for at in range(0, len(text), 4):
            count, first = look(text, at, values)
            if count < fewest:
                fewest, clause, literal = count, at // 4, first
                if count == 0:
                    break
        if clause == -1:
            return steps
        if steps == len(trace):
            return TOO_LONG
        kind = FORCED if fewest == 1 else SUPPOSED
        if fewest == 0:
            if depth == 0:
                return UNSATISFIABLE
            depth -= 1
            kind, literal = WRONG, known[marks[depth]] ^ 1
            for i in range(marks[depth], size):
                values[known[i] >> 1] = -1
            size = marks[depth]
        elif kind == SUPPOSED:
            marks[depth] = size
            depth += 1
        values[literal >> 1] = literal & 1
        known[size] = literal
        size += 1
        trace[steps, 0], trace[steps, 1], trace[steps, 2] = kind, clause, literal
        steps += 1


@kernel
def models(text):  # type: ignore[no-untyped-def]
    """How many values satisfy a formula.

    Variables are given values one after the other, frequent ones first, until a clause is false, or all hold.
    """
    often = np.zeros(26, np.int64)
    for at in range(0, len(text), 4):
        for j in range(at, at + 3):
            often[literal_of(text[j]) >> 1] -= 1
    order = np.argsort(often, kind="mergesort")[: np.count_nonzero(often)]
    values, tried = np.full(26, -1, np.int8), np.zeros(26, np.int8)
    count, p = 0, 0
    while p >= 0:
        variable = order[p]
        if tried[p] == 2:
            values[variable], tried[p] = -1, 0
            p -= 1
            continue
        values[variable] = tried[p]
        tried[p] += 1
        fewest, holding = 4, True
        for at in range(0, len(text), 4):
            left, _ = look(text, at, values)
            if left < 4:
                holding = False
                fewest = min(fewest, left)
                if left == 0:
                    break
        if holding:
            count += 1 << (len(order) - 1 - p)
        elif fewest > 0:
            p += 1
    return count
