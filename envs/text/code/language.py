"""A small language of functions, in words: what each word does to a value, and how Python says it.

    list: keep above 3, each times 2, sum

A function is a chain of stages, from left to right, on a number, a list of numbers or a word. A stage is a
tuple of its name and its parameters, as `("first", 2)`, `("each", ("times", 2))`, `("keep", ("above", 3))` or
`("if", ("even",), ("plus", 3), ("times", 2))`. Values are worked out here, by `run`, and never by running the
Python that `code` writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from itertools import product
from typing import Any, NamedTuple

Value = Any
"""A number, a list of numbers, or a word."""
Stage = tuple[Any, ...]
NUMBER, LIST, WORD = KINDS = ("number", "list", "word")
LETTERS = "abcdeilnorst"
VOWELS = "aeiou"
DIGITS, SMALL, FEW, TWO_ON, LETTER = range(1, 10), range(1, 4), range(2, 6), range(2, 10), tuple(LETTERS)
ABOVE = range(-4, 16)


class Word(NamedTuple):
    """One word of the language, for one kind of value."""

    gives: str
    """The kind of what comes out."""
    code: str
    """Python for it: `X` stands for the value, `{0}`, `{1}` for the parameters."""
    run: Callable[..., Any]
    """What it does, given the value and the parameters."""
    choices: tuple[Any, ...] = ()
    """For each parameter what it may be."""
    loose: bool = False
    """Whether its code needs brackets where another stage goes on with it."""


def _cut(gives: str) -> dict[str, Word]:
    """What is the same for lists and words."""
    return {
        "reverse": Word(gives, "X[::-1]", lambda x: x[::-1]),
        "first": Word(gives, "X[:{0}]", lambda x, k: x[:k], (SMALL,)),
        "last": Word(gives, "X[-{0}:]", lambda x, k: x[-k:], (SMALL,)),
        "skip": Word(gives, "X[{0}:]", lambda x, k: x[k:], (SMALL,)),
        "rotate": Word(gives, "X[{0}:]+X[:{0}]", lambda x, k: x[k:] + x[:k], (SMALL,), True),
        "alternate": Word(gives, "X[::2]", lambda x: x[::2]),
        "length": Word(NUMBER, "len(X)", len),
    }


WORDS: dict[str, dict[str, Word]] = {
    NUMBER: {
        "plus": Word(NUMBER, "X+{0}", lambda x, k: x + k, (DIGITS,), True),
        "minus": Word(NUMBER, "X-{0}", lambda x, k: x - k, (DIGITS,), True),
        "times": Word(NUMBER, "X*{0}", lambda x, k: x * k, (TWO_ON,), True),
        "mod": Word(NUMBER, "X%{0}", lambda x, k: x % k, (TWO_ON,), True),
        "over": Word(NUMBER, "X//{0}", lambda x, k: x // k, (FEW,), True),
        "square": Word(NUMBER, "X**2", lambda x: x * x, (), True),
        "negate": Word(NUMBER, "-X", lambda x: -x, (), True),
        "abs": Word(NUMBER, "abs(X)", abs),
        "atleast": Word(NUMBER, "max(X,{0})", lambda x, k: max(x, k), (DIGITS,)),
        "atmost": Word(NUMBER, "min(X,{0})", lambda x, k: min(x, k), (DIGITS,)),
        "digits": Word(LIST, "[int(c) for c in str(abs(X))]", lambda x: [int(c) for c in str(abs(x))]),
    },
    LIST: {
        **_cut(LIST),
        "sort": Word(LIST, "sorted(X)", sorted),
        "unique": Word(LIST, "list(dict.fromkeys(X))", lambda x: list(dict.fromkeys(x))),
        "append": Word(LIST, "X+[{0}]", lambda x, k: [*x, k], (DIGITS,), True),
        "prepend": Word(LIST, "[{0}]+X", lambda x, k: [k, *x], (DIGITS,), True),
        "differences": Word(
            LIST, "[b-a for a,b in zip(X,X[1:])]", lambda x: [x[i + 1] - x[i] for i in range(len(x) - 1)]
        ),
        "sum": Word(NUMBER, "sum(X)", sum),
        "largest": Word(NUMBER, "max(X,default=0)", lambda x: max(x, default=0)),
        "smallest": Word(NUMBER, "min(X,default=0)", lambda x: min(x, default=0)),
    },
    WORD: {
        **_cut(WORD),
        "sort": Word(WORD, '"".join(sorted(X))', lambda x: "".join(sorted(x))),
        "unique": Word(WORD, '"".join(dict.fromkeys(X))', lambda x: "".join(dict.fromkeys(x))),
        "append": Word(WORD, 'X+"{0}"', lambda x, c: x + c, (LETTER,), True),
        "prepend": Word(WORD, '"{0}"+X', lambda x, c: c + x, (LETTER,), True),
        "replace": Word(WORD, 'X.replace("{0}","{1}")', lambda x, a, b: x.replace(a, b), (LETTER, LETTER)),
        "without": Word(WORD, 'X.replace("{0}","")', lambda x, c: x.replace(c, ""), (LETTER,)),
        "repeat": Word(WORD, "X*{0}", lambda x, k: x * k, ((2, 3),), True),
        "double": Word(WORD, '"".join(c*2 for c in X)', lambda x: "".join(c + c for c in x)),
        "vowels": Word(
            WORD,
            f'"".join(c for c in X if c in "{VOWELS}")',
            lambda x: "".join(c for c in x if c in VOWELS),
        ),
        "letters": Word(LIST, "[ord(c)-96 for c in X]", lambda x: [ord(c) - 96 for c in x]),
        "tally": Word(NUMBER, 'X.count("{0}")', lambda x, c: x.count(c), (LETTER,)),
    },
}
"""For each kind of value the words that can come next, beside `each`, `keep`, `count` and `if`."""
TESTS: dict[str, dict[str, Word]] = {
    NUMBER: {
        "even": Word(NUMBER, "X%2==0", lambda x: x % 2 == 0),
        "odd": Word(NUMBER, "X%2==1", lambda x: x % 2 == 1),
        "above": Word(NUMBER, "X>{0}", lambda x, k: x > k, (ABOVE,)),
        "below": Word(NUMBER, "X<{0}", lambda x, k: x < k, (ABOVE,)),
        "multiple": Word(NUMBER, "X%{0}==0", lambda x, k: x % k == 0, (range(3, 6),)),
    },
    LIST: {
        "longer": Word(LIST, "len(X)>{0}", lambda x, k: len(x) > k, (FEW,)),
        "total": Word(LIST, "sum(X)>{0}", lambda x, k: sum(x) > k, (range(0, 40, 5),)),
        "has": Word(LIST, "{0} in X", lambda x, k: k in x, (DIGITS,)),
    },
    WORD: {
        "longer": Word(WORD, "len(X)>{0}", lambda x, k: len(x) > k, (FEW,)),
        "has": Word(WORD, '"{0}" in X', lambda x, c: c in x, (LETTER,)),
    },
}
"""What can be asked of a value, in `if`, `keep` and `count`."""
SIMPLE = {
    NUMBER: ("plus", "minus", "times", "mod", "over", "atleast", "atmost"),
    LIST: ("reverse", "first", "last", "skip", "sort", "append", "prepend", "sum", "largest", "length"),
    WORD: ("reverse", "first", "last", "skip", "append", "prepend", "replace", "repeat", "length"),
}
"""The words of the first level."""
AGAIN = ("plus", "minus", "times", "mod", "negate", "atmost")
"""Those of a recursion, in which nothing grows too fast."""


# -- meaning -----------------------------------------------------------------------------------------------


@lru_cache(8192)
def meaning(stage: Stage, kind: str) -> Callable[[Value], Value]:
    """What a stage does to a value of a kind."""
    name, rest = stage[0], stage[1:]
    if name == "if":
        holds, yes, no = meaning_of(rest[0], TESTS[kind]), meaning(rest[1], kind), meaning(rest[2], kind)
        return lambda x: yes(x) if holds(x) else no(x)
    if name == "each":
        change = meaning(rest[0], NUMBER)
        return lambda x: [change(n) for n in x]
    if name in ("keep", "count") and kind == LIST:
        holds = meaning_of(rest[0], TESTS[NUMBER])
        if name == "count":
            return lambda x: sum(holds(n) for n in x)
        return lambda x: [n for n in x if holds(n)]
    return meaning_of(stage, WORDS[kind])


def meaning_of(stage: Stage, words: dict[str, Word]) -> Callable[[Value], Any]:
    """What a word of `words` does with its parameters."""
    act, rest = words[stage[0]].run, stage[1:]
    return (lambda x: act(x, *rest)) if rest else act


def run(stages: tuple[Stage, ...], value: Value, kind: str) -> list[Value]:
    """What there is after each stage."""
    out = []
    for stage in stages:
        value = meaning(stage, kind)(value)
        kind = gives(stage, kind)
        out.append(value)
    return out


def gives(stage: Stage, kind: str) -> str:
    """The kind of what a stage makes of a value of a kind."""
    if stage[0] in ("each", "keep"):
        return LIST
    if stage[0] == "count":
        return NUMBER
    if stage[0] == "if":
        return kind
    return WORDS[kind][stage[0]].gives


# -- Python ------------------------------------------------------------------------------------------------


def code(stage: Stage, x: str, kind: str) -> str:
    """Python for a stage on the value of `x`, a name, or an expression that needs no brackets."""
    name, rest = stage[0], stage[1:]
    if name == "if":
        return f"{code(rest[1], x, kind)} if {code_of(rest[0], x, TESTS[kind])} else {code(rest[2], x, kind)}"
    if name == "each":
        return f"[{code(rest[0], 'n', NUMBER)} for n in {x}]"
    if name == "keep":
        return f"[n for n in {x} if {code_of(rest[0], 'n', TESTS[NUMBER])}]"
    if name == "count":
        return f"sum({code_of(rest[0], 'n', TESTS[NUMBER])} for n in {x})"
    return code_of(stage, x, WORDS[kind])


def code_of(stage: Stage, x: str, words: dict[str, Word]) -> str:
    """Python for a word of `words` with its parameters."""
    return words[stage[0]].code.format(*stage[1:]).replace("X", x)


def is_loose(stage: Stage, kind: str) -> bool:
    """Whether the code of a stage needs brackets where another stage goes on with it."""
    return stage[0] == "if" or (stage[0] in WORDS[kind] and WORDS[kind][stage[0]].loose)


# -- words -------------------------------------------------------------------------------------------------


def write(stage: Stage) -> str:
    """A stage in words."""
    if stage[0] == "if":
        return f"if {write(stage[1])} then {write(stage[2])} else {write(stage[3])}"
    return " ".join(write(part) if isinstance(part, tuple) else str(part) for part in stage)


def read(text: str, kind: str) -> Stage:
    """The stage that a text names, for a value of a kind (`ValueError` where there is none such)."""
    found = _stages(kind).get(text)
    if found is not None:
        return found
    first, _, rest = text.partition(" ")
    if first == "each" and kind == LIST:
        return ("each", read(rest, NUMBER))
    test, _, branches = rest.partition(" then ")
    yes, _, no = branches.partition(" else ")
    plain = _plain(kind)
    if first == "if" and test in _tests(kind) and yes in plain and no in plain:
        return ("if", _tests(kind)[test], plain[yes], plain[no])
    raise ValueError(f"'{text:.40}' is nothing that can be done to a {kind}")


@cache
def _tests(kind: str) -> dict[str, Stage]:
    return {write(test): test for test in _with_parameters(TESTS[kind])}


@cache
def _stages(kind: str) -> dict[str, Stage]:
    """Every stage but those with `if`, by its words."""
    stages = list(_with_parameters(WORDS[kind]))
    if kind == LIST:
        stages += [("each", stage) for stage in _plain(NUMBER).values()]
        stages += [(name, test) for name in ("keep", "count") for test in _tests(NUMBER).values()]
    return {write(stage): stage for stage in stages}


@cache
def _plain(kind: str) -> dict[str, Stage]:
    """Those that a branch of an `if` may be: they keep the kind."""
    return {text: stage for text, stage in _stages(kind).items() if gives(stage, kind) == kind}


def _with_parameters(words: dict[str, Word]) -> Iterator[Stage]:
    for name, word in words.items():
        for parameters in product(*word.choices):
            if len(set(parameters)) == len(parameters):  # nothing is replaced by itself
                yield (name, *parameters)


@cache
def options(kind: str) -> dict[str, int]:
    """How many stages there are on a value of a kind, by the kind that they give."""
    counts = dict.fromkeys(KINDS, 0)
    for stage in _stages(kind).values():
        counts[gives(stage, kind)] += 1
    counts[kind] += len(_tests(kind)) * len(_plain(kind)) ** 2
    return counts


def chains(kind: str, length: int) -> int:
    """How many chains of so many stages there are on a value of a kind."""
    if not length:
        return 1
    return sum(count * chains(after, length - 1) for after, count in options(kind).items() if count)


# -- drawing -----------------------------------------------------------------------------------------------


def draw(lots: Iterator[float], kind: str, names: tuple[str, ...] | None = None) -> Stage:
    """A stage without `if` on a value of a kind: its name evenly (of `names`), then its parameters.

    `lots` are random numbers in [0, 1).
    """
    by_name = _by_name(kind)
    some = names or tuple(by_name)
    of_name = by_name[some[int(next(lots) * len(some))]]
    return of_name[int(next(lots) * len(of_name))]


def draw_if(lots: Iterator[float], kind: str, names: tuple[str, ...] | None = None) -> Stage:
    """An `if` on a value of a kind, drawn likewise; its branches keep the kind."""
    tests = list(_tests_by_name(kind).values())
    some = tests[int(next(lots) * len(tests))]
    keeping = names or _keeping(kind)
    test = some[int(next(lots) * len(some))]
    return ("if", test, draw(lots, kind, keeping), draw(lots, kind, keeping))


@cache
def _by_name(kind: str) -> dict[str, list[Stage]]:
    return _grouped(_stages(kind))


@cache
def _tests_by_name(kind: str) -> dict[str, list[Stage]]:
    return _grouped(_tests(kind))


@cache
def _keeping(kind: str) -> tuple[str, ...]:
    return tuple(_grouped(_plain(kind)))


def _grouped(stages: dict[str, Stage]) -> dict[str, list[Stage]]:
    groups: dict[str, list[Stage]] = {}
    for stage in stages.values():
        groups.setdefault(stage[0], []).append(stage)
    return groups
