"""Number sequences: how does it go on?

    3,7,15,31,63,?

The answer is what the simplest rule gives that fits all that is shown: `127`. Where there are several `?` it
is as many terms, `127 255`. Rules by how many numbers they take (first terms and constants, all whole; a is
the last term, b the one before it):

    2   a+2                the same is added                        5,7,9,11
        a*2                multiplied by the same                   3,6,12,24
        a+b                the last two                             2,5,7,12
    3   a*2+1                                                       3,7,15,31
        a+2,a+5            two things in turn: this and that        1,3,8,10
        a*2,a+5            is added, or one multiplied by           1,2,7,14
        a+b+3              the last two, and the same               1,2,6,11
        differences        differences of differences are the same  1,3,6,10
    4   a*2+b*3                                                     1,2,7,20
        x,y                two sequences of two numbers, in turn    5,5,7,10,9,20
        differences        of differences of differences            1,8,27,64
    5   differences        once more                                1,16,81,256

What is multiplied by is neither 0 nor 1 nor -1. A problem shows two terms more than its rule takes numbers,
and all other rules that fit and take as many numbers or fewer go on in the same way. Steps write the rule,
then how it makes each term after its first ones, those that are asked for too:

    a*2+1
    3*2+1=7
    7*2+1=15
    15*2+1=31
    31*2+1=63
    63*2+1=127

For differences they write each row of them, then the last terms of the rows with their sum, from the last row
up, for each term that is asked for:

    3,5,7,9        1,4,9,16,25,?
    2,2,2
    2+9+25=36
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise, product
from math import comb

import numpy as np

from envs.text.lines import right_lines
from envs.text.numbers.columns import RIGHT, WRONG
from envs.text.parsing import LONGEST_ANSWER, whole_number
from envs.text.task import Question, Task, Verdict

LARGEST = 99_999
"""A term, with either sign, at most."""
SPARE = 2
"""Terms that are shown beyond what a rule takes."""
FIRST, STEP, FACTOR = range(-20, 31), (*range(-19, 0), *range(1, 20)), (-4, -3, -2, 2, 3, 4, 5)
"""What first terms and constants are drawn from."""
MOST_SHOWN, MOST_ASKED = 12, 5

_FORM = re.compile(r"(-?\d{1,5}(?:,-?\d{1,5}){3,11})((?:,\?){1,5})", re.ASCII)
Value = Callable[[Sequence[int]], int]
"""From the terms before to the next one."""
How = Callable[[Sequence[int]], str]
"""From the terms before to how the next one is made."""


@dataclass(frozen=True)
class Rule:
    """How a sequence goes on after its first terms."""

    text: str
    first: int
    value: Value
    how: How

    def go_on(self, terms: Sequence[int], count: int) -> list[int]:
        """The terms and those that follow, `count` in all."""
        found = list(terms)
        while len(found) < count:
            found.append(self.value(found))
        return found

    def gives(self, terms: Sequence[int]) -> bool:
        """Whether all terms after the first ones are its own."""
        return all(terms[at] == self.value(terms[:at]) for at in range(self.first, len(terms)))

    def lines(self, shown: Sequence[int], asked: int) -> list[str]:
        """The steps."""
        terms = self.go_on(shown, len(shown) + asked)
        return [self.text, *[f"{self.how(terms[:at])}={terms[at]}" for at in range(self.first, len(terms))]]


class Differences(Rule):
    """A rule whose steps are the rows of differences."""

    def lines(self, shown: Sequence[int], asked: int) -> list[str]:
        """The steps."""
        rows = [list(shown)]
        while len(rows) < self.first:
            rows.append([after - before for before, after in pairwise(rows[-1])])
        lines = [_spell(row) for row in rows[1:]]
        for _ in range(asked):
            last = [row[-1] for row in reversed(rows)]
            lines.append(f"{last[0]}{''.join([f'{x:+}' for x in last[1:]])}={sum(last)}")
            for below, row in pairwise(reversed(rows)):
                row.append(row[-1] + below[-1])
        return lines


@dataclass(frozen=True)
class Kind:
    """Rules that differ in their constants only."""

    first: int
    """First terms."""
    constants: tuple[Sequence[int], ...]
    """What the constants are drawn from."""
    make: Callable[..., Rule]
    """From the constants to the rule."""
    solve: Callable[[Sequence[int]], tuple[int, ...] | None]
    """The constants that the terms ask for, from as many of them as the rule takes numbers."""

    @property
    def numbers(self) -> int:
        """How many a rule takes."""
        return self.first + len(self.constants)

    def fit(self, terms: Sequence[int]) -> list[Rule]:
        """The rule that gives these terms, if there is one."""
        constants = self.solve(terms)
        if constants is None:
            return []
        rule = self.make(*constants)
        return [rule] if rule.gives(terms) else []

    def draw(self, pick: Callable[[Sequence[int]], int], count: int) -> list[int]:
        """So many terms."""
        rule = self.make(*map(pick, self.constants))
        return rule.go_on([pick(FIRST) for _ in range(self.first)], count)


@dataclass(frozen=True)
class Interleaved:
    """Two sequences in turn; as a `Kind`."""

    kinds: tuple[Kind, ...]
    """Of each of the two, all of as many numbers."""

    @property
    def numbers(self) -> int:
        """How many a rule takes."""
        return 2 * self.kinds[0].numbers

    def fit(self, terms: Sequence[int]) -> list[Rule]:
        """The rules that give these terms."""
        one, other = [[rule for kind in self.kinds for rule in kind.fit(terms[at::2])] for at in (0, 1)]
        return [interleave(*pair) for pair in product(one, other)]

    def draw(self, pick: Callable[[Sequence[int]], int], count: int) -> list[int]:
        """So many terms."""
        halves = [self.kinds[pick(range(len(self.kinds)))].draw(pick, count // 2 + 1) for _ in (0, 1)]
        return [halves[at % 2][at // 2] for at in range(count)]


# -- rules ------------------------------------------------------------------------------------------------


def add(d: int) -> Rule:
    """The same is added."""
    return Rule(f"a{d:+}", 1, lambda terms: terms[-1] + d, lambda terms: f"{terms[-1]}{d:+}")


def times(p: int) -> Rule:
    """Multiplied by the same."""
    return Rule(f"a*{p}", 1, lambda terms: terms[-1] * p, lambda terms: f"{terms[-1]}*{p}")


def affine(p: int, q: int) -> Rule:
    """Multiplied by the same, then the same is added."""
    return Rule(f"a*{p}{q:+}", 1, lambda terms: terms[-1] * p + q, lambda terms: f"{terms[-1]}*{p}{q:+}")


def total(c: int = 0) -> Rule:
    """The sum of the last two, and the same."""
    more = f"{c:+}" if c else ""

    def how(terms: Sequence[int]) -> str:
        return f"{terms[-1]}{terms[-2]:+}{more}"

    return Rule(f"a+b{more}", 2, lambda terms: terms[-1] + terms[-2] + c, how)


def recurrence(p: int, q: int) -> Rule:
    """The last two, each multiplied by the same."""

    def how(terms: Sequence[int]) -> str:
        return f"{terms[-1]}*{p}+{terms[-2]}*{q}"

    return Rule(f"a*{p}+b*{q}", 2, lambda terms: terms[-1] * p + terms[-2] * q, how)


def in_turn(one: Rule, other: Rule) -> Rule:
    """What two rules make of the last term, in turn."""
    rules = other, one  # after one term it is the first's turn
    return Rule(
        f"{one.text},{other.text}",
        1,
        lambda terms: rules[len(terms) % 2].value(terms),
        lambda terms: rules[len(terms) % 2].how(terms),
    )


def interleave(one: Rule, other: Rule) -> Rule:
    """Two sequences in turn."""
    rules = one, other
    return Rule(
        f"x:{one.text};y:{other.text}",
        2 * max(one.first, other.first),
        lambda terms: rules[len(terms) % 2].value(terms[len(terms) % 2 :: 2]),
        lambda terms: rules[len(terms) % 2].how(terms[len(terms) % 2 :: 2]),
    )


def differences(*leading: int) -> Rule:
    """The first differences of every row, of which the last does not change."""

    def value(terms: Sequence[int]) -> int:
        """By Newton's formula."""
        rows = (terms[0], *leading)
        return sum([comb(len(terms), depth) * x for depth, x in enumerate(rows)])

    return Differences("", len(leading) + 1, value, lambda terms: "")


# -- their constants --------------------------------------------------------------------------------------


def ratio(over: int, under: int) -> tuple[int, ...] | None:
    """(over/under,) where that is what may be multiplied by."""
    return (over // under,) if under and over % under == 0 and abs(over // under) > 1 else None


def _affine(t: Sequence[int]) -> tuple[int, ...] | None:
    p = ratio(t[2] - t[1], t[1] - t[0])
    return (*p, t[1] - p[0] * t[0]) if p else None


def _times_add(t: Sequence[int]) -> tuple[int, ...] | None:
    p = ratio(t[1], t[0])
    return (*p, t[2] - t[1]) if p else None


def _add_times(t: Sequence[int]) -> tuple[int, ...] | None:
    p = ratio(t[2], t[1])
    return (t[1] - t[0], *p) if p else None


def _recurrence(t: Sequence[int]) -> tuple[int, ...] | None:
    """From t2 = p·t1+q·t0 and t3 = p·t2+q·t1."""
    under = t[1] * t[1] - t[0] * t[2]
    p, q = ratio(t[2] * t[1] - t[0] * t[3], under), ratio(t[1] * t[3] - t[2] * t[2], under)
    return (*p, *q) if p and q else None


def _leading(depth: int) -> Callable[[Sequence[int]], tuple[int, ...] | None]:
    def solve(t: Sequence[int]) -> tuple[int, ...] | None:
        """None where the last differences are not the same: that is found sooner here."""
        row, found = t, []
        for _ in range(depth):
            row = [after - before for before, after in pairwise(row)]
            found.append(row[0])
        return tuple(found) if row.count(row[0]) == len(row) else None

    return solve


PLAIN = (
    Kind(1, (STEP,), add, lambda t: (t[1] - t[0],)),
    Kind(1, (FACTOR,), times, lambda t: ratio(t[1], t[0])),
    Kind(2, (), total, lambda t: ()),
)
KINDS: tuple[Kind | Interleaved, ...] = (
    *PLAIN,
    Kind(1, (FACTOR, STEP), affine, _affine),
    Kind(1, (STEP, STEP), lambda d, e: in_turn(add(d), add(e)), lambda t: (t[1] - t[0], t[2] - t[1])),
    Kind(1, (FACTOR, STEP), lambda p, q: in_turn(times(p), add(q)), _times_add),
    Kind(1, (STEP, FACTOR), lambda q, p: in_turn(add(q), times(p)), _add_times),
    Kind(2, (STEP,), total, lambda t: (t[2] - t[1] - t[0],)),
    Kind(1, (STEP, STEP), differences, _leading(2)),
    Kind(2, (FACTOR, FACTOR), recurrence, _recurrence),
    Kind(1, (STEP, STEP, STEP), differences, _leading(3)),
    Interleaved(PLAIN),
    Kind(1, (STEP, STEP, STEP, STEP), differences, _leading(4)),
)
BY_NUMBERS = {n: [kind for kind in KINDS if kind.numbers == n] for n in (2, 3, 4, 5)}
LEVELS = ((2, 1), (2, 3), (3, 1), (3, 2), (4, 1), (4, 3), (5, 2))
"""How many numbers a rule takes, and how many terms are asked for, by level."""
SPACE = (4_889, 4_839, 138_843, 136_945, 107_775, 62_873, 52_326)
"""At least: problems by level, counted; from the third on of some of the rules, or of some constants."""


class Sequences(Task):
    """Rules of two numbers at level 1, of five at level 7."""

    title = "Number sequences"
    about = "how a sequence of numbers goes on"
    instructions = (
        "Each number follows from those before it by a rule. Find the simplest rule, which has the fewest "
        "first terms and constants, and answer with the number in the place of the question mark; where "
        "there are several, with as many numbers and spaces between. Rules add or multiply by the same "
        "whole numbers, perhaps two in turn, add up the last two terms, have differences (or differences "
        "of differences, and so on) that stay the same, or are two sequences in turn."
    )
    levels = len(LEVELS)
    alphabet = "0123456789-+*=,?:;abxy \n"

    def generate(self, rng: np.random.Generator, level: int) -> Question:
        numbers, asked = LEVELS[level - 1]
        floats = _floats(rng)

        def pick(among: Sequence[int]) -> int:
            return among[int(next(floats) * len(among))]

        kinds = BY_NUMBERS[numbers]
        while True:
            kind = kinds[int(next(floats) * len(kinds))]
            terms = kind.draw(pick, kind.numbers + SPARE + asked)
            if max(map(abs, terms)) > LARGEST:
                continue
            shown = tuple(terms[:-asked])
            rule = simplest(shown, asked)
            if rule and rule[0] == kind.numbers:
                return _ask(shown, asked, level)

    def understand(self, prompt: str) -> Question:
        found = _FORM.fullmatch(prompt)
        if found is None:
            raise ValueError(f"{prompt!r:.60} does not read like 3,7,15,31,63,?")
        question = _ask(tuple(map(int, found[1].split(","))), found[2].count("?"), 0)
        if question.prompt != prompt:
            raise ValueError(f"{prompt!r:.60} has a number that begins with 0")
        if simplest(*question.data) is None:
            raise ValueError(f"{prompt!r:.60} follows no rule, or several that go on differently")
        return question

    def answer(self, question: Question) -> str:
        return " ".join(map(str, _following(question)))

    def work(self, question: Question, strategy: str) -> str:
        return "\n".join(_rule(question).lines(*question.data))

    def check(self, answer: str, question: Question) -> Verdict:
        if answer == self.answer(question):
            return RIGHT
        right = _following(question)
        parts = answer.split() if len(right) > 1 and len(answer) <= LONGEST_ANSWER else [answer]
        said = list(map(whole_number, parts))
        if len(said) != len(right) or None in said:
            return Verdict(0.0, False, False, f"not {len(right)} whole numbers")
        return RIGHT if said == right else WRONG

    def check_steps(self, steps: str, question: Question) -> float:
        return right_lines(steps, _rule(question).lines(*question.data))

    def chance(self, question: Question) -> float:
        """Of any numbers of either sign, with up to as many digits as the longest that is shown."""
        shown, asked = question.data
        digits = len(str(max(map(abs, shown))))
        return 1 / float(2 * 10**digits - 1) ** asked

    def space(self, level: int) -> float:
        return float(SPACE[level - 1])


@lru_cache(maxsize=4096)  # a problem is drawn, solved and judged many times
def simplest(shown: tuple[int, ...], asked: int) -> tuple[int, Rule] | None:
    """(how many numbers it takes, the rule) of the simplest rule that fits.

    None where none is fitting with `SPARE` terms to spare, or several of those go on differently.
    """
    for numbers, kinds in BY_NUMBERS.items():
        if numbers + SPARE > len(shown):
            return None
        rules = [rule for kind in kinds for rule in kind.fit(shown)]
        if rules:
            ways = {tuple(rule.go_on(shown, len(shown) + asked)) for rule in rules}
            return (numbers, rules[0]) if len(ways) == 1 else None
    return None


def _rule(question: Question) -> Rule:
    found = simplest(*question.data)
    assert found is not None  # or it would be no question
    return found[1]


def _following(question: Question) -> list[int]:
    shown, asked = question.data
    return _rule(question).go_on(shown, len(shown) + asked)[-asked:]


def _ask(shown: tuple[int, ...], asked: int, level: int) -> Question:
    """The question; however many terms are asked for, one sequence is one problem."""
    return Question(f"{_spell(shown)}{',?' * asked}", (shown, asked), _spell(shown), level)


def _spell(terms: Sequence[int]) -> str:
    return ",".join(map(str, terms))


def _floats(rng: np.random.Generator) -> Iterator[float]:
    while True:
        yield from rng.random(16).tolist()
