"""Arithmetic with a calculator at hand, which does one operation of two numbers at a time.

    calc:(12+37)*58-9
    > <tool>12+37</tool>
    <result>49</result>
    > <tool>49*58</tool>
    <result>2842</result>
    > <tool>2842-9</tool>
    <result>2833</result>
    > <answer>2833</answer>

So an agent has to plan what to calculate first, and to carry results over; whole expressions are refused (an
`error`), as is all else that is not two whole numbers with + - or * between. By the strategy "steps" it
works by hand, in one turn: `12+37=49`, `49*58=2842`, `2842-9=2833`, a line each.

A turn is over with `</tool>`, and the episode with an answer. Only the answer counts: a `<result>` that the
agent writes itself is a text like any other, and tells nobody anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from string import digits
from typing import NamedTuple

import numpy as np

from envs.text.dialogues.spoken import answered, tool_call
from envs.text.lines import right_lines
from envs.text.numbers.columns import judge_number
from envs.text.numbers.expressions import Node, evaluate, parse
from envs.text.numbers.expressions import write as spell
from envs.text.parsing import END_RESULT, END_TOOL, RESULT, TOOL, plain, read, write
from envs.text.task import DIRECT, Dialogue, Question, Verdict

PROMPT = "calc:"
ERROR = "error"
LARGEST = 999_999
"""No number on the way to the answer is larger, or below 0."""
LONGEST_CALL = 20
"""Characters beyond which nothing is a call."""
_CALL = re.compile(r"([0-9]{1,6})([-+*])([0-9]{1,6})")


class Size(NamedTuple):
    """How many operations, on numbers of how many digits."""

    operations: int
    digits: int


LEVELS = (Size(2, 2), Size(3, 2), Size(4, 2), Size(4, 3), Size(6, 3))


class Calculator(Dialogue):
    """Work out an expression, one operation at a time.

    `data` is the tree of the expression (a `Node` of `envs.text.numbers.expressions`). The steps are its
    operations, from the left and the innermost bracket on, calculated or worked out by hand; what the
    calculator refused is a wrong one. The part `calls` is how often it gave a result.
    """

    title = "Calculator"
    about = "work out an expression with a calculator that does one operation at a time"
    instructions = (
        "Work out the expression after 'calc:'. To use a calculator write one operation of two whole "
        "numbers, as in <tool>12*37</tool>, and wait for its <result>. It knows + - and *, one operation in "
        "a turn. Answer with the value of the whole expression. You have 10 turns."
    )
    levels = len(LEVELS)
    turns = 10
    strategies = ("tool", "steps")
    alphabet = "".join(sorted({*digits, *PROMPT, *ERROR, *"+-*()=\n"}))

    def generate(self, rng: np.random.Generator, level: int) -> Question:
        size = LEVELS[level - 1]
        while True:
            lots = iter(rng.random(3 * size.operations + 1).tolist())  # which is quicker than one by one
            tree, _ = _grow(lots, size.operations, size.digits)
            if all(0 <= value <= LARGEST for *_, value in operations(tree)):
                return _ask(tree, level)

    def understand(self, prompt: str) -> Question:
        if not prompt.startswith(PROMPT):
            raise ValueError(f"'{prompt:.60}' asks for no calculation; that begins with '{PROMPT}'")
        tree = parse(prompt[len(PROMPT) :])
        if isinstance(tree, int) or "/" in prompt:
            raise ValueError(f"'{prompt:.60}' must have operations, + - and * only")
        if not all(0 <= number <= LARGEST for a, _, b, value in operations(tree) for number in (a, b, value)):
            raise ValueError(f"'{prompt:.60}' leaves the numbers from 0 to {LARGEST}")
        return _ask(tree, 0)

    def answer(self, question: Question) -> str:
        return str(operations(question.data)[-1][3])

    def work(self, question: Question, strategy: str) -> str:
        return "\n".join(_lines(question.data))

    def check(self, answer: str, question: Question) -> Verdict:
        return judge_number(answer, operations(question.data)[-1][3])

    def check_steps(self, steps: str, question: Question) -> float:
        return right_lines(steps, _lines(question.data))

    def chance(self, question: Question) -> float:
        """Of any number from 0 to the largest."""
        return 1 / (LARGEST + 1)

    def space(self, level: int) -> float:
        """Sums without brackets alone (a lower bound)."""
        size = LEVELS[level - 1]
        return float(9 * 10 ** (size.digits - 1)) ** (size.operations + 1)

    def reply(self, question: Question, said: Sequence[str]) -> str | None:
        """The calculator's result; `error` where it was not asked for one."""
        if answered(said[-1]):
            return None
        result = _calculate(_call(said[-1]))
        return f"{RESULT}{ERROR if result is None else result}{END_RESULT}"

    def judge(self, question: Question, said: Sequence[str]) -> Verdict:
        steps, calls = [], 0
        for each in said:
            steps += [thought] if (thought := read(each).steps) else []
            if answered(each):
                break
            call = _call(each)
            result = _calculate(call)
            calls += result is not None
            steps.append("refused" if result is None else f"{call}={result}")
        done = self.check_steps("\n".join(steps), question) if steps else 0.0
        final = read(said[-1]) if said else read("")
        if final.answer is None:
            parts = {"calls": float(calls), "steps": done, "proved": 0.0}
            return Verdict(0.0, False, False, final.error, parts)
        found = self.check(final.answer, question)
        proved = float(found.success and done == 1.0)
        parts = {"calls": float(calls), "steps": done, "proved": proved}
        return Verdict(found.reward, found.success, found.parsed, found.error, parts)

    def script(
        self, question: Question, said: Sequence[str], heard: Sequence[str], strategy: str | None = None
    ) -> str:
        """The next operation, and the answer after the last; by hand everything at once."""
        if strategy in (DIRECT, "steps"):
            return self.completion(question, strategy)
        done = 0
        todo = operations(question.data)
        for told in heard:
            done += done < len(todo) and told == f"{RESULT}{todo[done][3]}{END_RESULT}"
        if done == len(todo):
            return write(self.answer(question))
        a, op, b, _ = todo[done]
        return f"{TOOL}{a}{op}{b}{END_TOOL}"


def operations(tree: Node) -> list[tuple[int, str, int, int]]:
    """(number, operator, number, result) of each operation, in the order in which they can be done.

    From the left; what is in brackets comes before what needs it. Only for trees of + - and *.
    """
    done: list[tuple[int, str, int, int]] = []

    def value(node: Node) -> int:
        if isinstance(node, int):
            return node
        op, a, b = node[0], value(node[1]), value(node[2])
        result = a + b if op == "+" else a - b if op == "-" else a * b
        done.append((a, op, b, result))
        return result

    value(tree)
    return done


def _ask(tree: Node, level: int) -> Question:
    text = spell(tree)
    return Question(f"{PROMPT}{text}", tree, text, level)


def _grow(lots: Iterator[float], count: int, digits: int) -> tuple[Node, int]:
    """(a random tree of `count` operations, its value), which keeps to 0 … `LARGEST` where that is easy.

    `lots` are random numbers in [0, 1), 3 · `count` + 1 of which are taken.
    """
    if not count:
        least = 10 ** (digits - 1)
        number = least + int(next(lots) * 9 * least)
        return number, number
    before = int(next(lots) * count)
    (left, a), (right, b) = _grow(lots, before, digits), _grow(lots, count - 1 - before, digits)
    op = "+-*"[int(next(lots) * 3)]
    if op == "-" and a < b:
        left, right, a, b = right, left, b, a
    if op == "*" and a * b > LARGEST:
        op = "+"
    return _joined(op, left, right), a + b if op == "+" else a - b if op == "-" else a * b


def _joined(op: str, left: Node, right: Node) -> Node:
    """`left op right` as it is read without needless brackets: a+(b-c) is (a+b)-c, a*(b*c) is (a*b)*c."""
    if op != "-" and not isinstance(right, int) and (right[0] == "*") == (op == "*"):
        return right[0], _joined(op, left, right[1]), right[2]
    return op, left, right


def _lines(tree: Node) -> list[str]:
    return [f"{a}{op}{b}={value}" for a, op, b, value in operations(tree)]


def _call(completion: str) -> str:
    """What the calculator is asked, if there is one call; else nothing."""
    return plain(tool_call(completion) or "")[:LONGEST_CALL]


def _calculate(call: str) -> int | None:
    """The result of one operation of two numbers; None for anything else."""
    if not _CALL.fullmatch(call):
        return None
    try:
        return int(evaluate(call))
    except ValueError:  # such as a number that begins with 0
        return None
