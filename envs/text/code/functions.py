"""Functions to write: a chain of stages in words, two examples, and tests that nobody sees.

    list: keep above 3, each times 2
    f([1,7,4])=[14,8]
    f([5,-2,0])=[10]

The answer is a Python program that defines `f`: `f=lambda x:[n*2 for n in [n for n in x if n>3]]`. Steps are
the stages, each with its code ("plan"), or with what it makes of the first example ("trace"):

    keep above 3: [n for n in x if n>3]
    each times 2: [n*2 for n in x]

    keep above 3: [7,4]
    each times 2: [14,8]

Some levels ask for a recursion: `again 2: times 3, plus 1` is the function with f(0)=2 in which f(n) is what
the stages make of f(n-1).

What a function has to give is worked out from the stages (`envs.text.code.language`). Any program that passes
is right, however it is written. The tests have the same arguments for all problems of a kind, empty ones
among them; numbers are all from -15 to 44.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Any, ClassVar, NamedTuple

import numpy as np

from envs.text.code import language
from envs.text.code.language import AGAIN, KINDS, LETTERS, LIST, NUMBER, SIMPLE, WORD, Stage
from envs.text.code.running import Tests, defines_f, judge, prepare
from envs.text.files.answers import unfenced
from envs.text.lines import right_lines
from envs.text.parsing import plain, read
from envs.text.task import Question, Task, Verdict, each

LONGEST_EXAMPLE, LONGEST_VALUE = 30, 300
"""Characters of what an example gives, and of what a test does."""
TRIED = 25
"""Tests on which every stage must make a difference."""
LONGEST_PROMPT = 2000
EXAMPLES = 2
RECURSION = "again"
STARTS = range(10)
SPACE = (4386.0, 6023.0, 20_000.0, 500_000.0, 4784.0, 1e7, 150_000.0, 1e7)
"""Problems of each level, that is, functions that differ in a test: at least so many."""

_HEAD = re.compile(rf"({'|'.join(KINDS)}|{RECURSION} ([0-9])): ([^\n]{{1,400}})")
_EXAMPLE = re.compile(r"f\(([^\n]{1,60})\)=([^\n]{1,60})")
_NUMBER = re.compile(r"0|-?[1-9]\d{0,3}", re.ASCII)


class Spec(NamedTuple):
    """What a function does."""

    kind: str
    """Of what it is given."""
    start: int | None
    """f(0) of a recursion."""
    stages: tuple[Stage, ...]


class Level(NamedTuple):
    """How many stages, of which words, and whether one of them is an `if`."""

    stages: int
    simple: bool = False
    ifs: int = 0
    again: bool = False


LEVELS = (
    Level(2, simple=True),
    Level(2),
    Level(3),
    Level(2, ifs=1),
    Level(2, again=True),
    Level(4, ifs=1),
    Level(3, ifs=1, again=True),
    Level(6, ifs=2),
)


class Functions(Task):
    """Write a function of a number, a list or a word. `data` is (kind, start, stages, arguments shown)."""

    title = "Functions"
    runs_programs = True
    about = "write a Python function, checked by hidden tests"
    instructions = (
        "Write a Python program that defines a function f of one argument: a whole number, a list of whole "
        "numbers or a word, as the first line says. After the colon is what happens to the argument, from "
        "left to right; 'each' changes every number of a list, 'keep' and 'count' look for those of a kind, "
        "'over' divides and rounds down, 'mod' is the remainder, 'skip 2' leaves out the first two, "
        "'rotate 2' moves them to the end, 'alternate' takes the first, third and so on, 'unique' drops what "
        "was there "
        "before, 'differences' are from one number to the next, 'atleast 3' makes a smaller number 3, "
        "'letters' numbers the letters from a=1, 'vowels' keeps the vowels, 'tally a' counts that letter, "
        "'total' asks for a sum above a number, the largest and smallest of nothing are 0. 'again 2: plus 3' "
        "means f(0)=2, and f(n) is what the rest makes of f(n-1). Then come examples. "
        "Answer with the program."
    )
    levels = len(LEVELS)
    alphabet = "".join(sorted('abcdefghijklmnopqrstuvwxyz0123456789 \n"()[]+-*/%=<>,.:'))
    strategies: ClassVar[tuple[str, ...]] = ("plan", "trace")

    def generate(self, rng: np.random.Generator, level: int) -> Question:
        lots = floats(rng)
        while True:
            spec = draw_spec(lots, LEVELS[level - 1])
            shown = tuple([draw_argument(lots, spec) for _ in range(EXAMPLES)])
            if is_good(spec) and are_telling(spec, shown):
                return _ask(spec, shown, level)

    def understand(self, prompt: str) -> Question:
        return _ask(*understood(prompt), 0)

    def answer(self, question: Question) -> str:
        return program(Spec(*question.data[:3]))

    def work(self, question: Question, strategy: str) -> str:
        return "\n".join(_lines(question, strategy))

    def check(self, answer: str, question: Question) -> Verdict:
        return judged(answer, Spec(*question.data[:3]))

    def verify_many(self, calls: Sequence[tuple[str, Question]]) -> list[Verdict | Exception]:
        """As `verify`; all programs are run beside each other."""
        prepare_answers(calls)
        return each(self.verify, calls)

    def check_steps(self, steps: str, question: Question) -> float:
        return max(right_lines(steps, _lines(question, way)) for way in self.strategies)

    def chance(self, question: Question) -> float:
        """Of a chain of as many stages, drawn evenly."""
        return odds(Spec(*question.data[:3]))

    def space(self, level: int) -> float:
        """At least: as many as 20,000 draws gave or, from 6,000, 1 over the share of pairs that are one."""
        return SPACE[level - 1]


# -- what others use too -----------------------------------------------------------------------------------


def draw_spec(lots: Iterator[float], level: Level) -> Spec:
    """What a function of a level does, good or not; `lots` are random numbers in [0, 1)."""
    kind = NUMBER if level.again else KINDS[int(next(lots) * len(KINDS))]
    first, at, stages = kind, _places(lots, level), []
    for i in range(level.stages):
        if level.again:
            names: tuple[str, ...] | None = AGAIN
        else:
            names = SIMPLE[kind] if level.simple else None
        stage = language.draw_if(lots, kind, names) if i in at else language.draw(lots, kind, names)
        kind = language.gives(stage, kind)
        stages.append(stage)
    start = STARTS[int(next(lots) * len(STARTS))] if level.again else None
    return Spec(first, start, tuple(stages))


def draw_argument(lots: Iterator[float], spec: Spec) -> Any:
    """An argument for an example."""
    if spec.start is not None:
        return 2 + int(next(lots) * 5)
    if spec.kind == NUMBER:
        return int(next(lots) * 40) - 10
    length = 3 + int(next(lots) * 3)
    if spec.kind == LIST:
        return tuple([int(next(lots) * 30) - 9 for _ in range(length)])
    return "".join([LETTERS[int(next(lots) * len(LETTERS))] for _ in range(length + 1)])


def is_good(spec: Spec) -> bool:
    """Whether each stage, and each branch, makes a difference, and nothing becomes too long."""
    some = _values(spec, TRIED)
    if len(set(map(repr, some))) < 3 or any(_values(other, TRIED) == some for other in _shorter(spec)):
        return False
    return max(len(repr(value)) for value in hidden_tests(spec).values) <= LONGEST_VALUE


def are_telling(spec: Spec, shown: Sequence[Any]) -> bool:
    """Whether examples are short, differ, and are not their own arguments."""
    values = [result(spec, argument) for argument in shown]
    texts = list(map(show, values))
    changed = all(_thawed(argument) != value for argument, value in zip(shown, values))
    return changed and len(set(texts)) == len(texts) and max(map(len, texts)) <= LONGEST_EXAMPLE


def result(spec: Spec, argument: Any) -> Any:
    """What the function gives for an argument (a list is told as a tuple)."""
    (value,) = _results(spec, (argument,))
    return value


@lru_cache(4096)
def hidden_tests(spec: Spec) -> Tests:
    """The hidden tests."""
    name = _domain(spec)
    return Tests(name, tuple(map(_thawed, ARGUMENTS[name])), _values(spec))


def judged(answer: str, spec: Spec) -> Verdict:
    """What a program is worth as an answer. The family's own is known to be right, and not run."""
    said = said_program(answer)
    if said == program(spec):
        return Verdict(1.0, True, True, "", {"tests": 1.0})
    return judge(said, hidden_tests(spec))


def said_program(answer: str) -> str:
    """The program in an answer, in the last block between ``` lines if there is one; empty if it is open."""
    return plain(unfenced(plain(answer)) or "")


def prepare_answers(calls: Sequence[tuple[str, Question]]) -> None:
    """Run the programs of several completions beside each other."""
    asked = []
    for completion, question in calls:
        said, spec = said_program(read(completion).answer or ""), Spec(*question.data[:3])
        if said != program(spec) and defines_f(said):
            asked.append((said, hidden_tests(spec)))
    prepare(asked)


def program(spec: Spec) -> str:
    """A right program: a line where that is short, else a line a stage."""
    stages, kind = spec.stages, spec.kind
    if spec.start is None and len(stages) <= 2 and not any(stage[0] == "if" for stage in stages):
        return f"f=lambda x:{_nested(stages, kind)}"
    lines = ["def f(x):"]
    if spec.start is not None:
        lines += [f" if x<1:return {spec.start}", " x=f(x-1)"]
    for i, stage in enumerate(stages):
        made = language.code(stage, "x", kind)
        lines.append(f" return {made}" if i == len(stages) - 1 else f" x={made}")
        kind = language.gives(stage, kind)
    return "\n".join(lines)


def plan(spec: Spec) -> list[str]:
    """Each stage with its code."""
    lines, kind = [], spec.kind
    for stage in spec.stages:
        lines.append(f"{language.write(stage)}: {language.code(stage, 'x', kind)}")
        kind = language.gives(stage, kind)
    return lines


def odds(spec: Spec) -> float:
    """The probability that a chain of as many stages, drawn evenly, is this one."""
    if spec.start is None:
        return 1 / language.chains(spec.kind, len(spec.stages))
    return 1 / (len(STARTS) * language.chains(NUMBER, len(spec.stages)))


def key(spec: Spec) -> str:
    """What a function does, in all tests: told in other words, it is the same problem."""
    return f"{_domain(spec)}:{sha256(repr(hidden_tests(spec).values).encode()).hexdigest()[:16]}"


def wording(spec: Spec, shown: Sequence[Any]) -> str:
    """The prompt."""
    head = spec.kind if spec.start is None else f"{RECURSION} {spec.start}"
    lines = [f"{head}: {', '.join(map(language.write, spec.stages))}"]
    lines += [f"f({show(argument)})={show(result(spec, argument))}" for argument in shown]
    return "\n".join(lines)


def understood(prompt: str) -> tuple[Spec, tuple[Any, ...]]:
    """What the function does, and the arguments of the examples (`ValueError` for any other text)."""
    first, *rest = prompt[:LONGEST_PROMPT].split("\n")
    head = _HEAD.fullmatch(first)
    examples = [_EXAMPLE.fullmatch(line) for line in rest]
    if head is None or len(examples) != EXAMPLES or not all(examples):
        raise ValueError(f"{prompt[:60]!r} is no function with {EXAMPLES} examples")
    kind = head[1] if head[2] is None else NUMBER
    stages, now = [], kind
    for text in head[3].split(", "):
        stages.append(language.read(text, now))
        now = language.gives(stages[-1], now)
    spec = Spec(kind, None if head[2] is None else int(head[2]), tuple(stages))
    shown = tuple([_argument(found[1], kind) for found in examples if found])
    if spec.start is not None:
        _check_recursion(spec, shown)
    if wording(spec, shown) != prompt:
        raise ValueError(f"{prompt[:60]!r} shows what is not so")
    return spec, shown


def show(value: Any) -> str:
    """A value as Python has it, without spaces."""
    if isinstance(value, str):
        return f'"{value}"'
    return str(list(value) if isinstance(value, tuple) else value).replace(" ", "")


def floats(rng: np.random.Generator) -> Iterator[float]:
    """Random numbers in [0, 1), drawn in blocks."""
    while True:
        yield from rng.random(64).tolist()


# -- parts -------------------------------------------------------------------------------------------------


def _ask(spec: Spec, shown: tuple[Any, ...], level: int) -> Question:
    return Question(wording(spec, shown), (*spec, shown), key(spec), level)


def _lines(question: Question, strategy: str) -> list[str]:
    spec, argument = Spec(*question.data[:3]), question.data[3][0]
    if strategy == "plan":
        return plan(spec)
    if spec.start is not None:
        return [f"f({n})={show(result(spec, n))}" for n in range(argument + 1)]
    values = language.run(spec.stages, _thawed(argument), spec.kind)
    return [f"{language.write(stage)}: {show(value)}" for stage, value in zip(spec.stages, values)]


def _nested(stages: Sequence[Stage], kind: str) -> str:
    """The stages as one expression of `x`."""
    text, loose = "x", False
    for stage in stages:
        inner = f"({text})" if loose else text
        text = language.code(stage, inner, kind).replace(f"({inner})", inner if loose else f"({inner})")
        loose, kind = language.is_loose(stage, kind), language.gives(stage, kind)
    return text


def _places(lots: Iterator[float], level: Level) -> set[int]:
    """Which stages are an `if`."""
    at: set[int] = set()
    while len(at) < level.ifs:
        at.add(int(next(lots) * level.stages))
    return at


def _shorter(spec: Spec) -> Iterator[Spec]:
    """The specs with one stage, one branch of it, or all but one branch, left out, where that is one."""
    kind = spec.kind
    for i, stage in enumerate(spec.stages):
        before, after = spec.stages[:i], spec.stages[i + 1 :]
        if stage[0] == "if":
            test, yes, no = stage[1:]
            nothing = ("plus" if kind == NUMBER else "skip", 0)
            others = (yes, no, ("if", test, nothing, no), ("if", test, yes, nothing))
            yield from (spec._replace(stages=(*before, other, *after)) for other in others)
        elif language.gives(stage, kind) == kind and (before or after):
            yield spec._replace(stages=(*before, *after))
        kind = language.gives(stage, kind)


def _values(spec: Spec, most: int | None = None) -> tuple[Any, ...]:
    return tuple(_results(spec, ARGUMENTS[_domain(spec)][:most]))


def _results(spec: Spec, arguments: Sequence[Any]) -> list[Any]:
    if spec.start is None:
        return _after(spec.stages, list(map(_thawed, arguments)), spec.kind)
    known = [spec.start]
    for _ in range(max(arguments)):
        known += _after(spec.stages, known[-1:], NUMBER)
    return [known[n] for n in arguments]


def _after(stages: Sequence[Stage], values: list[Any], kind: str) -> list[Any]:
    """What stages make of each of several values."""
    for stage in stages:
        values = list(map(language.meaning(stage, kind), values))
        kind = language.gives(stage, kind)
    return values


def _domain(spec: Spec) -> str:
    return spec.kind if spec.start is None else RECURSION


def _thawed(argument: Any) -> Any:
    return list(argument) if isinstance(argument, tuple) else argument


def _argument(text: str, kind: str) -> Any:
    """The argument that an example shows."""
    if kind == NUMBER and _NUMBER.fullmatch(text):
        return int(text)
    inner = text[1:-1]
    if kind == LIST and text == f"[{inner}]" and all(_NUMBER.fullmatch(n) for n in inner.split(",")):
        return tuple(map(int, inner.split(",")))
    if kind == WORD and text == f'"{inner}"' and inner.isalpha() and inner.isascii() and inner.islower():
        return inner
    raise ValueError(f"{text[:60]!r} is no {kind}")


def _check_recursion(spec: Spec, shown: Sequence[int]) -> None:
    """Raise `ValueError` where a recursion would not end, or its numbers grow too fast."""
    words = {stage[0] for stage in spec.stages} | {
        branch[0] for stage in spec.stages if stage[0] == "if" for branch in stage[2:]
    }
    if not words <= {*AGAIN, "if"} or not all(0 <= n <= 9 for n in shown):
        raise ValueError(f"no recursion is like that; it is of {', '.join(AGAIN)}, for numbers up to 9")


def _arguments() -> dict[str, tuple[Any, ...]]:
    """What functions are tested with, by what they are of: short ones, then long ones, which tell more."""
    rng = np.random.default_rng(37)

    def lists(sizes: list[int]) -> tuple[Any, ...]:
        return tuple([tuple(rng.integers(-9, 21, size=size).tolist()) for size in sizes])

    def words(sizes: list[int]) -> tuple[Any, ...]:
        return tuple(["".join(rng.choice(list(LETTERS), size=size)) for size in sizes])

    short, long = [n % 9 for n in range(63)], [9 + n % 4 for n in range(32)]
    some_lists, some_words = lists(short), words(short)
    numbers = [int(n) for n in rng.permutation(np.arange(-15, 45))]
    return {
        NUMBER: tuple(numbers),
        LIST: ((4, 4, 1, 4), *some_lists, *lists(long)),
        WORD: ("noon", *some_words, *words(long)),
        RECURSION: tuple(range(9)),
    }


ARGUMENTS = _arguments()
