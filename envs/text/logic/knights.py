"""Knights and knaves: knights tell the truth, knaves lie, and each says one thing.

    A:B+;B:A~C;C:B+

Before each colon stands who says what comes after it: `B+` (B is a knight), `B-` (B is a knave), `A-&C+`
(both are so), `A-|C+` (one or both are so), `A=C` (they are of one kind), `A~C` (they are not), `#1` (so many
of all are knights). Exactly one answer fits everything:

    A-B-C-

Steps suppose and conclude, each line from what is known so far:

    ?A+        suppose that A is a knight: only right where nobody's word leads on
    A>B+       by A's word, B is a knight
    B>C-
    C!A-       C's word cannot hold: what was supposed last is wrong, and what followed from it is taken back
    A>B-
    B>C-

They are complete when all are known and every word holds. (That only one answer fits is a promise: where a
supposition leads to it, the other one need not be looked at.)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from itertools import combinations

import numpy as np

from envs.text.parsing import LONGEST_ANSWER
from envs.text.task import Question, Task, Verdict

NAMES = "ABCDEF"
FEWEST, MOST = 2, len(NAMES)
SIGNS = "-+"
MOST_LINES = 500
"""Lines beyond which nothing is a solution."""
SPACE = (113, 22_595, 9_417_497, 6_614_914_956, 49_955_848_320)
"""Riddles with one answer, by level: all of them, and for six people those in which the first five, without
counting, settle all but the sixth, who then says what one of the others is."""
Table = int
"""What holds: bit `m` for the case in which exactly the people in mask `m` are knights."""
Saying = tuple[str, Table]
"""(text, where it fits that its speaker says so)."""

_PERSON = re.compile(r"([A-F])([-+])")
_GAPS = re.compile(r"[\s,;]+")


class KnightsAndKnaves(Task):
    """Two people at level 1, six at level 5."""

    title = "Knights and knaves"
    about = "who tells the truth and who lies"
    instructions = (
        "Knights always tell the truth, knaves always lie. Each person, a letter, says what follows the "
        "colon: 'B+' means B is a knight, 'B-' B is a knave, '&' and, '|' or (or both), 'A=C' A and C are of "
        "the same kind, 'A~C' they are not, '#2' exactly 2 of all these people are knights. Who is what? "
        "Answer with every letter in turn, + for a knight and - for a knave, such as A+B-C+."
    )
    levels = MOST - FEWEST + 1
    alphabet = NAMES + "0123456:;+-&|=~#?>!\n"
    strategies = ("suppose",)

    def generate(self, rng: np.random.Generator, level: int) -> Question:
        n = level + FEWEST - 1
        floats, everything = _floats(rng), (1 << (1 << n)) - 1
        while True:
            said, fits = [], everything
            for kinds in _sayings_in(n, int(next(floats) * (1 << n))):
                kind = kinds[int(next(floats) * len(kinds))]
                text, word = kind[int(next(floats) * len(kind))]
                said.append(text)
                fits &= word
            if fits & (fits - 1) == 0:
                return _ask(tuple(said), level)

    def understand(self, prompt: str) -> Question:
        parts = prompt.split(";")
        said = tuple([part[2:] for part in parts])
        speakers = [f"{name}:" for name in NAMES[: len(parts)]]
        if not FEWEST <= len(parts) <= MOST or [part[:2] for part in parts] != speakers:
            raise ValueError(f"{prompt!r:.60} is not what {FEWEST} to {MOST} people say, as in 'A:B-;B:A=B'")
        known = _words(len(parts))
        for speaker, text in enumerate(said):
            if (speaker, text) not in known:
                raise ValueError(f"{text!r:.20} is nothing that {NAMES[speaker]} says in such a riddle")
        solution(said)
        return _ask(said, 0)

    def answer(self, question: Question) -> str:
        return _spell(solution(question.data), len(question.data))

    def work(self, question: Question, strategy: str) -> str:
        return "\n".join(_lines(question.data))

    def check(self, answer: str, question: Question) -> Verdict:
        said = _GAPS.sub("", answer) if len(answer) <= LONGEST_ANSWER else ""
        kinds = dict(_PERSON.findall(said))
        n = len(question.data)
        if _PERSON.sub("", said) or "".join(sorted(kinds)) != NAMES[:n] or len(said) != 2 * n:
            return Verdict(0.0, False, False, f"not each of {NAMES[:n]} once, with + or -")
        guess = sum(1 << i for i, name in enumerate(NAMES[:n]) if kinds[name] == "+")
        liars = [NAMES[i] for i, word in enumerate(_held(question.data)) if not word >> guess & 1]
        error = f"then {liars[0]}'s word does not fit" if liars else ""
        return Verdict(float(not liars), not liars, True, error)

    def check_steps(self, steps: str, question: Question) -> float:
        lines = [line.strip() for line in steps.strip().split("\n", MOST_LINES)]
        if len(lines) > MOST_LINES:
            return 0.0
        case = Case(question.data)
        right = sum(case.take(line) for line in lines)
        missing = 0 if case.solved() else max(1, case.unknown())
        return right / max(len(lines), right + missing)

    def chance(self, question: Question) -> float:
        """Of any kind for each."""
        return 0.5 ** len(question.data)

    def space(self, level: int) -> float:
        return float(SPACE[level - 1])


class Case:
    """What is known at a point of an argument, and what was supposed on the way."""

    def __init__(self, said: tuple[str, ...]) -> None:
        self.n = len(said)
        self.words = _held(said)
        self.people = _people(self.n)
        self.supposed: list[tuple[Table, str]] = []
        """(what was known before, what was supposed)."""
        self.known: Table = (1 << (1 << self.n)) - 1

    def broken(self) -> int | None:
        """The first whose word cannot hold."""
        return next((i for i, word in enumerate(self.words) if not self.known & word), None)

    def conclusions(self) -> Iterator[tuple[int, int, int]]:
        """(by whose word, who, knight or not) for all that follows from what is known and one word."""
        for by, word in enumerate(self.words):
            for who, knights in enumerate(self.people):
                if self._open(who):
                    if not self.known & word & ~knights:
                        yield by, who, 1
                    elif not self.known & word & knights:
                        yield by, who, 0

    def unknown(self) -> int:
        """How many people may still be either."""
        return sum(map(self._open, range(self.n)))

    def solved(self) -> bool:
        """Whether all are known and every word holds."""
        return self.broken() is None and not self.unknown()

    def line(self) -> str:
        """What a careful reader writes next (it must not be solved)."""
        broken = self.broken()
        if broken is not None:
            supposed = self.supposed[-1][1]
            return f"{NAMES[broken]}!{supposed[0]}{_other(supposed[1])}"
        step = next(self.conclusions(), None)
        if step:
            by, who, kind = step
            return f"{NAMES[by]}>{NAMES[who]}{SIGNS[kind]}"
        return f"?{next(NAMES[i] for i in range(self.n) if self._open(i))}+"

    def take(self, line: str) -> bool:
        """Go on by a line, if it is right."""
        person = _PERSON.fullmatch(line[-2:])
        who = NAMES.find(person[1]) if person else -1
        if person is None or not 0 <= who < self.n:
            return False
        kind, before = SIGNS.find(person[2]), self.known
        if line[:-2] == "?":
            if self.broken() is not None or next(self.conclusions(), None) or not self._open(who):
                return False
            self.supposed.append((before, person[0]))
        elif line[1:-2] == "!":
            if not self._breaks(line[0]) or not self.supposed:
                return False
            if self.supposed[-1][1] != person[1] + _other(person[2]):
                return False
            before = self.supposed.pop()[0]
        elif line[1:-2] != ">" or self._breaks(line[0]) or (line[0], who, kind) not in self._named():
            return False
        self.known = before & (self.people[who] if kind else ~self.people[who])
        return True

    def _open(self, who: int) -> bool:
        return bool(self.known & self.people[who]) and bool(self.known & ~self.people[who])

    def _breaks(self, name: str) -> bool:
        by = NAMES.find(name)
        return 0 <= by < self.n and not self.known & self.words[by]

    def _named(self) -> set[tuple[str, int, int]]:
        return {(NAMES[by], who, kind) for by, who, kind in self.conclusions()}


def solution(said: tuple[str, ...]) -> int:
    """The mask of knights (`ValueError` where none or several fit)."""
    fits = (1 << (1 << len(said))) - 1
    for word in _held(said):
        fits &= word
    if fits == 0 or fits & (fits - 1):
        raise ValueError(f"{fits.bit_count()} answers fit '{_prompt(said)}', not one")
    return fits.bit_length() - 1


def _ask(said: tuple[str, ...], level: int) -> Question:
    prompt = _prompt(said)
    return Question(prompt, said, prompt, level)


def _prompt(said: tuple[str, ...]) -> str:
    return ";".join([f"{name}:{text}" for name, text in zip(NAMES, said)])


def _spell(knights: int, n: int) -> str:
    return "".join([f"{NAMES[i]}{SIGNS[knights >> i & 1]}" for i in range(n)])


def _other(sign: str) -> str:
    return "-" if sign == "+" else "+"


def _lines(said: tuple[str, ...]) -> Iterator[str]:
    case = Case(said)
    while not case.solved():
        line = case.line()
        case.take(line)
        yield line


def _floats(rng: np.random.Generator) -> Iterator[float]:
    while True:
        yield from rng.random(32).tolist()


# -- what can be said -------------------------------------------------------------------------------------


@cache
def _people(n: int) -> tuple[Table, ...]:
    """For each of `n` people, the cases in which they are knights."""
    return tuple([sum(1 << m for m in range(1 << n) if m >> i & 1) for i in range(n)])


@cache
def _sayings(n: int) -> tuple[tuple[tuple[Saying, ...], ...], ...]:
    """All that can be said, by speaker, then by kind."""
    everything = (1 << (1 << n)) - 1
    return tuple(
        [
            tuple([_said_by(name, everything ^ person, kind) for kind in _texts(n)])
            for name, person in zip(NAMES, _people(n))
        ]
    )


def _said_by(name: str, liar: Table, kind: list[tuple[str, Table]]) -> tuple[Saying, ...]:
    """A kind of sayings from the mouth of one, who does not say of themselves alone what they are."""
    return tuple([(text, liar ^ true) for text, true in kind if text[:-1] != name])


@cache
def _sayings_in(n: int, knights: int) -> tuple[tuple[tuple[Saying, ...], ...], ...]:
    """Of `_sayings` those that fit where exactly these are knights."""
    return tuple([tuple(_fitting(kinds, knights)) for kinds in _sayings(n)])


def _fitting(kinds: tuple[tuple[Saying, ...], ...], knights: int) -> Iterator[tuple[Saying, ...]]:
    for kind in kinds:
        fitting = tuple([saying for saying in kind if saying[1] >> knights & 1])
        if fitting:
            yield fitting


def _texts(n: int) -> list[list[tuple[str, Table]]]:
    """By kind, all texts and where they are true."""
    people, everything = _people(n), (1 << (1 << n)) - 1
    one = [
        (f"{name}{s}", knight ^ (everything * (s == "-")))
        for name, knight in zip(NAMES, people)
        for s in SIGNS
    ]
    twos = [(x, y) for x, y in combinations(one, 2) if x[0][0] != y[0][0]]
    kinds = [
        (f"{NAMES[i]}{op}{NAMES[j]}", people[i] ^ people[j] ^ (everything * (op == "=")))
        for i, j in combinations(range(n), 2)
        for op in "=~"
    ]
    return [
        one,
        [(f"{x[0]}&{y[0]}", x[1] & y[1]) for x, y in twos],
        [(f"{x[0]}|{y[0]}", x[1] | y[1]) for x, y in twos],
        kinds,
        [(f"#{k}", sum(1 << m for m in range(1 << n) if m.bit_count() == k)) for k in range(n + 1)],
    ]


@cache
def _words(n: int) -> dict[tuple[int, str], Table]:
    """Where it fits that a speaker says a text."""
    return {
        (speaker, text): word
        for speaker, kinds in enumerate(_sayings(n))
        for kind in kinds
        for text, word in kind
    }


def _held(said: tuple[str, ...]) -> list[Table]:
    """Where each word fits who said it."""
    words = _words(len(said))
    return [words[speaker, text] for speaker, text in enumerate(said)]
