"""What a small program prints, with what happens in it line by line.

    b=7
    d=12
    b=d-b
    d+=b*3
    print(d)

Steps are all that happens, in its order, with the number of the line: what a name stands for afterwards,
whether a condition holds, what a function returns and what is printed.

    1 b=7
    2 d=12
    3 b=5
    4 d=27
    5 print 27

The answer is what is printed: `27`. The programs are run by `envs.text.code.interpreter`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from string import ascii_lowercase, digits

import numpy as np

from envs.text.code import interpreter
from envs.text.code.functions import floats
from envs.text.code.interpreter import Raised, Unknown
from envs.text.lines import right_lines
from envs.text.parsing import plain, whole_number
from envs.text.task import Question, Task, Verdict

NAMES = "abcdefgh"
LETTERS = "abcdeilnorst"
MOST_LINES, LONGEST_LINE = 60, 40
"""Of the steps."""
LARGEST = 9999
BLOCKS = (
    "numbers",
    "values",
    "if",
    "for",
    "for if",
    "while",
    "function",
    "nested",
)
"""What the programs of each level have, beside what those before it have in their lines."""
SPACE = (1e5, 1e7, 1e7, 1e7, 1e7, 1e7, 1e7, 1e7)
"""Programs of each level: at least so many."""
_NAME = re.compile(r'"[^"]*"|\b[a-z]\b')


class Output(Task):
    """Say what a program prints. `data` is the program."""

    title = "Output"
    about = "what a small Python program prints"
    instructions = "What does this Python program print? Answer with that, line for line."
    levels = len(BLOCKS)
    alphabet = "".join(sorted(f'{ascii_lowercase}{digits}TF \n"()[]+-*/%=<>,.:'))
    strategies = ("trace",)

    def generate(self, rng: np.random.Generator, level: int) -> Question:
        lots = floats(rng)
        while True:
            program = Writer(lots).program(BLOCKS[level - 1])
            if _is_good(program):
                return Question(program, program, _canonical(program), level)

    def understand(self, prompt: str) -> Question:
        try:
            printed, _ = _ran(prompt)
        except (SyntaxError, Raised, Unknown) as error:
            raise ValueError(f"{prompt[:60]!r} is no program that can be followed: {error}") from None
        if not printed.strip():
            raise ValueError(f"{prompt[:60]!r} prints nothing")
        return Question(prompt, prompt, _canonical(prompt), 0)

    def answer(self, question: Question) -> str:
        return _ran(question.data)[0]

    def work(self, question: Question, strategy: str) -> str:
        return "\n".join(_ran(question.data)[1])

    def check(self, answer: str, question: Question) -> Verdict:
        wanted = _ran(question.data)[0]
        number = whole_number(wanted)
        if number is not None:
            said = whole_number(answer)
            right = said == number
            return Verdict(float(right), right, said is not None, "" if right else "another number")
        right = _normal(answer) == _normal(wanted)
        return Verdict(float(right), right, bool(answer.strip()), "" if right else "another output")

    def check_steps(self, steps: str, question: Question) -> float:
        return right_lines(steps, _ran(question.data)[1])

    def chance(self, question: Question) -> float:
        """Of any other digits, letters and signs in the places of those that are printed."""
        ways = 1.0
        for c in _ran(question.data)[0]:
            ways *= 10 if c.isdigit() else len(LETTERS) if c.isalpha() else 1
        return 1 / (2 * ways)

    def space(self, level: int) -> float:
        """At least: 1 over the share of pairs, of 10,000 draws, that are one problem; less where none is."""
        return SPACE[level - 1]


class Writer:
    """Writes programs, by random numbers in [0, 1)."""

    def __init__(self, lots: Iterator[float]) -> None:
        self.lots = lots
        self.lines: list[str] = []
        self.depth = 0
        self.kinds: dict[str, str] = {}
        """Of the names that have a value: `number`, `list`, `word`."""
        self.fixed: set[str] = set()
        """Names that a loop depends on."""
        self.last = ""
        """The name that changed last, of those that are known everywhere."""
        names = list(NAMES)
        self.fresh = [names.pop(self.below(len(names))) for _ in NAMES]

    def program(self, block: str) -> str:
        """A program with a block of this kind."""
        write: dict[str, Callable[[], None]] = {
            "numbers": lambda: self.changes(2),
            "values": lambda: self.changes(3),
            "if": self.condition,
            "for": lambda: self.loop(lambda: self.changes(1 + self.below(2))),
            "for if": lambda: self.loop(self.condition),
            "while": self.until,
            "function": self.function,
            "nested": self.nested,
        }
        self.begin("number")
        self.begin("number" if block == "numbers" else self.one_of("number", "list", "word"))
        write[block]()
        if block not in ("numbers", "values"):
            self.change(self.last)
        self.line(f"print({self.last})")
        if block in ("function", "nested"):
            self.line(f"print({next(name for name in self.kinds if name != self.last)})")
        return "\n".join(self.lines)

    # -- statements ----------------------------------------------------------------------------------------

    def begin(self, kind: str) -> str:
        """A new name for a new value."""
        name = self.fresh.pop()
        self.assign(name, kind, self.constant(kind))
        return name

    def changes(self, count: int) -> None:
        """Change so many names that there are, none twice in a row where there are others."""
        for _ in range(count):
            some = [name for name in self.kinds if name not in self.fixed]
            others = [name for name in some if name != self.last] or some
            self.change(others[self.below(len(others))])

    def change(self, name: str) -> None:
        """Change what a name stands for, which keeps its kind."""
        kind = self.kinds[name]
        if kind == "list" and self.below(3) == 0:
            way = self.one_of("{}.append({})", "{}[0]={}", "{}[-1]={}")
            self.line(way.format(name, self.number(name)))
        elif kind == "number" and self.below(2):
            self.line(f"{name}{self.one_of('+', '-', '*')}={self.number(name)}")
        else:
            self.line(f"{name}={self.changed(name, kind)}")
        self.last = name

    def condition(self) -> None:
        """An `if` with an `else`."""
        self.line(f"if {self.test()}:")
        self.indented(lambda: self.changes(1))
        self.line("else:")
        self.indented(lambda: self.changes(1))

    def loop(self, body: Callable[[], None]) -> None:
        """A `for` over numbers, a list or a word."""
        item = self.fresh.pop()
        kinds = {name: kind for name, kind in self.kinds.items() if kind != "number"}
        if kinds and self.below(2):
            name = list(kinds)[self.below(len(kinds))]
            self.line(f"for {item} in {name}:")
            of = "number" if kinds[name] == "list" else "word"
        else:
            name, of = item, "number"
            self.line(f"for {item} in range({2 + self.below(3)}):")
        fixed = {item, name} - self.fixed
        self.fixed |= fixed
        self.kinds[item] = of
        self.indented(body)
        self.fixed -= fixed
        del self.kinds[item]

    def until(self) -> None:
        """A `while` that counts a name up or down."""
        name = next(name for name, kind in self.kinds.items() if kind == "number")
        up = self.below(2)
        limit = 20 + self.below(30) if up else 1 + self.below(4)
        self.line(f"while {name}{'<' if up else '>'}{limit}:")
        way = self.one_of("{}={}*2+1", "{}+={}") if up else self.one_of("{}={}//2", "{}-={}")
        second = name if way.startswith("{}={}") else str(3 + self.below(5))
        self.fixed.add(name)
        self.indented(lambda: self.changes(1), way.format(name, second))
        self.fixed.discard(name)

    def function(self) -> None:
        """A function of two numbers, and two calls."""
        saved, self.kinds = self.kinds, {}
        self.fixed, function = set(), self.fresh.pop()
        a, b = self.fresh.pop(), self.fresh.pop()
        self.line(f"def {function}({a},{b}):")
        self.kinds = {a: "number", b: "number"}
        self.indented(self.condition, f"return {a}{self.one_of('+', '-', '*')}{b}")
        self.kinds = saved
        for _ in range(2):
            some = [name for name, kind in self.kinds.items() if kind == "number"]
            name = some[self.below(len(some))]
            self.assign(name, "number", f"{function}({name},{self.number(name)})")

    def nested(self) -> None:
        """A loop in a loop, with an `if`."""
        self.begin(self.one_of("list", "word"))
        self.loop(lambda: self.loop(self.condition))

    # -- expressions ---------------------------------------------------------------------------------------

    def constant(self, kind: str) -> str:
        """A value, written down."""
        if kind == "number":
            return str(2 + self.below(18))
        if kind == "list":
            return f"[{','.join(str(self.below(20)) for _ in range(3))}]"
        return f'"{"".join(self.one_of(*LETTERS) for _ in range(3))}"'

    def number(self, but: str = "") -> str:
        """A number: a constant, or what a name other than `but` gives."""
        ways = [str(1 + self.below(9))]
        for name, kind in self.kinds.items():
            if name != but and kind == "number":
                ways += [name, name]
            elif kind == "list":
                ways.append(f"{name}[{self.below(2)}]")
            elif kind == "word":
                ways.append(f"len({name})")
        return ways[self.below(len(ways))]

    def changed(self, name: str, kind: str) -> str:
        """An expression of a name's kind, made of it."""
        if kind == "number":
            pattern = self.one_of("{1}-{0}", "{0}+{1}", "{0}*{1}", "{0}%{2}", "{0}//{2}", "abs({0}-{1})")
        elif kind == "list":
            pattern = self.one_of("{0}[::-1]", "sorted({0})", "{0}[1:]+[{1}]", "{0}+[{1}]", "[{1}]+{0}")
        else:
            pattern = self.one_of(
                "{0}[::-1]", '{0}+"{3}"', '"{3}"+{0}', "{0}[1:]+{0}[0]", "{0}*2", "{0}[:-1]"
            )
        return pattern.format(name, self.number(name), 2 + self.below(8), self.one_of(*LETTERS))

    def test(self) -> str:
        """A condition."""
        name = list(self.kinds)[self.below(len(self.kinds))]
        kind = self.kinds[name]
        if kind == "number":
            pattern = self.one_of("{0}>{1}", "{0}<{1}", "{0}%2==0", "{0}%3==1")
        elif kind == "list":
            pattern = self.one_of("sum({0})>{2}", "{1} in {0}", "{0}[0]>{0}[-1]")
        else:
            pattern = self.one_of('"{3}" in {0}', "len({0})>{1}")
        return pattern.format(name, self.number(name), 10 + self.below(30), self.one_of(*LETTERS))

    # -- parts ---------------------------------------------------------------------------------------------

    def assign(self, name: str, kind: str, text: str) -> None:
        self.line(f"{name}={text}")
        self.kinds[name], self.last = kind, name

    def line(self, text: str) -> None:
        self.lines.append(" " * self.depth + text)

    def indented(self, body: Callable[[], None], *more: str) -> None:
        self.depth += 1
        body()
        for text in more:
            self.line(text)
        self.depth -= 1

    def one_of(self, *some: str) -> str:
        return some[self.below(len(some))]

    def below(self, limit: int) -> int:
        return int(next(self.lots) * limit)


@lru_cache(4096)
def _ran(program: str) -> tuple[str, tuple[str, ...]]:
    """(what a program prints, its steps). Raises `SyntaxError`, `Raised`, `Unknown`."""
    machine = interpreter.run(program)
    return "\n".join(machine.printed), tuple([f"{line} {what}" for line, what in machine.traced])


def _is_good(program: str) -> bool:
    """Whether a program comes to an end, soon, and its values stay small."""
    try:
        printed, steps = _ran(program)
    except (Raised, Unknown):
        return False
    short = len(steps) <= MOST_LINES and max(map(len, steps)) <= LONGEST_LINE
    small = all(int(number) <= LARGEST for step in steps for number in re.findall(r"\d+", step))
    return short and small and all(any(map(str.isalnum, line)) for line in printed.split("\n"))


def _canonical(program: str) -> str:
    """A program with its names in the order in which they come."""
    names: dict[str, str] = {}

    def renamed(found: re.Match[str]) -> str:
        text = found[0]
        return text if text[0] == '"' else names.setdefault(text, ascii_lowercase[len(names) % 26])

    return _NAME.sub(renamed, program)


def _normal(text: str) -> list[str]:
    """Lines without spaces, by which outputs are compared."""
    return ["".join(line.split()) for line in plain(text).split("\n")]
