"""Countdown: make a target from numbers, each of which is used exactly once, by + - * /.

    4 7 9 3=25

An answer is an expression of these numbers, each exactly as often as it is given, `+ - * /` and brackets,
that amounts exactly to the target: `7*4-9/3`. What is on the way may be a fraction or negative. (In problems
that are made, and in solutions, every step comes to a whole positive number.)

Steps join numbers. By "forward" and "products" each line joins two and lists what there is now. They differ
in which of the solutions they find: the one would rather end with a product, the other begin with it.

    9/3=3 (4 7 3)       7-3=4 (4 9 4)
    7*4=28 (3 28)       4*4=16 (9 16)
    28-3=25 (25)        16+9=25 (25)

By "search" the same lines come with attempts that fail: where two numbers are left and cannot make the
target, `no` says so and takes the last line back. By "backward" a line parts the target, or one of its
parts, and `?` marks what is still to be made:

    9/3=3 (4 7 3)       25=28?-3?
    7+4=11 (3 11)       28=7*4
    no 3 11             3=9/3
    7*4=28 (3 28)
    28-3=25 (25)
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np

from envs.options import OptionError
from envs.text.draws import kernel_rng
from envs.text.numbers.countdown_kernels import (
    LOWEST_TARGET,
    MOST_NUMBERS,
    OPERATORS,
    count_right,
    draw,
    solve,
)
from envs.text.numbers.expressions import ExpressionError, Node, literals, parse, value, write
from envs.text.parsing import write as completed
from envs.text.task import DIRECT, Question, Task, Verdict

FEWEST_NUMBERS = 3
LARGEST = 99
MOST_LINES = 100
"""Lines beyond which nothing is a solution."""
ORDERS = {"forward": "*/-+", "products": "+-*/", "backward": "-*+/", "search": "*/-+"}
"""What each strategy would have as the last operator, best first."""
ATTEMPTS = "+-*/"
"""What a search tries, in this order."""
Step = tuple[int, str, int, int]
"""(larger, operator, smaller, what they make)."""
Pool = tuple[int, ...]

_PROMPT = re.compile(r"([1-9][0-9]?(?: [1-9][0-9]?)*)=([1-9][0-9]{1,2})")
_FORWARD = re.compile(
    r"([0-9]{1,12})([-+*/])([0-9]{1,12})=([0-9]{1,12}) \(([0-9]{1,12}(?: [0-9]{1,12}){0,5})\)"
)
_BACKWARD = re.compile(r"([0-9]{1,12})=([0-9]{1,12})(\??)([-+*/])([0-9]{1,12})(\??)")


class Countdown(Task):
    """Three numbers at level 1, six at level 4, each from 1 to `largest`."""

    title = "Countdown"
    about = "reach a number from 3 to 6 others"
    instructions = (
        "Before the = are numbers, after it a target. Write an arithmetic expression that equals the target "
        "and uses each of the numbers exactly once, with + - * / and parentheses only. Answer with the "
        "expression alone, such as (3+5)*8-2."
    )
    levels = MOST_NUMBERS - FEWEST_NUMBERS + 1
    alphabet = "0123456789+-*/()=? no\n"
    strategies = tuple(ORDERS)

    def __init__(self, largest: int = LARGEST) -> None:
        if not 9 <= largest <= LARGEST:
            raise OptionError(
                "largest", f"largest of task 'Countdown' must be from 9 to {LARGEST}, not {largest}"
            )
        self.largest = largest

    def generate(self, rng: np.random.Generator, level: int) -> Question:
        numbers = np.empty(FEWEST_NUMBERS - 1 + level, np.int64)
        target = draw(kernel_rng(rng), self.largest, numbers)
        return _ask(tuple(numbers.tolist()), target, level)

    def understand(self, prompt: str) -> Question:
        found = _PROMPT.fullmatch(prompt)
        if not found:
            raise ValueError(f"{prompt!r:.60} is not numbers, '=' and a target, as in '3 5 8=24'")
        numbers, target = tuple(map(int, found[1].split(" "))), int(found[2])
        if not FEWEST_NUMBERS <= len(numbers) <= MOST_NUMBERS:
            said = f"'{prompt:.60}' has {len(numbers)} numbers, not {FEWEST_NUMBERS} to {MOST_NUMBERS}"
            raise ValueError(said)
        solution(numbers, target)
        return _ask(numbers, target, 0)

    def answer(self, question: Question) -> str:
        return write(_tree(solution(*question.data)))

    def work(self, question: Question, strategy: str) -> str:
        numbers, target = question.data
        return "\n".join(_worked(numbers, target, strategy)[1])

    def completion(self, question: Question, strategy: str | None = None) -> str:
        """As of every family; the answer is the one that the steps come to."""
        strategy = strategy or self.strategies[0]
        if strategy == DIRECT:
            return completed(self.answer(question))
        numbers, target = question.data
        tree, lines = _worked(numbers, target, strategy)
        return completed(write(tree), "\n".join(lines))

    def check(self, answer: str, question: Question) -> Verdict:
        numbers, target = question.data
        try:
            tree = parse(answer)
        except ExpressionError as error:
            return Verdict(0.0, False, False, str(error))
        used = sorted(literals(tree))
        if used != sorted(numbers):
            said = f"it uses {_list(used):.60}, not each of {_list(sorted(numbers))} once"
            return Verdict(0.0, False, True, said)
        try:
            made = value(tree)
        except ExpressionError as error:
            return Verdict(0.0, False, True, str(error))
        success = made == target
        return Verdict(float(success), success, True, "" if success else f"it is {made}, not {target}")

    def check_steps(self, steps: str, question: Question) -> float:
        """The share of steps that are right; those that were rightly taken back count neither way."""
        lines = [line.strip() for line in steps.strip().split("\n", MOST_LINES)]
        if len(lines) > MOST_LINES:
            return 0.0
        judge = _backward_right if "?" in steps else _forward_right
        depth, wrong = judge(lines, *question.data)
        return depth / max(len(question.data[0]) - 1, depth + wrong)

    def chance(self, question: Question) -> float:
        """Of an expression whose brackets, order of the numbers and operators are each drawn evenly.

        There are n! · Catalan(n - 1) · 4^(n - 1), all of which are counted: 192 for 3 numbers, 7680 for 4,
        430,080 for 5, 30,965,760 for 6. Fractions and negative numbers on the way are right, as in `check`.
        """
        numbers, target = question.data
        n = len(numbers)
        trees = math.comb(2 * n - 2, n - 1) // n
        return count_right(np.array(numbers), target) / (math.factorial(n) * trees * 4 ** (n - 1))

    def space(self, level: int) -> float:
        """At least one target for every choice of numbers: their sum, where that is large enough."""
        n = FEWEST_NUMBERS - 1 + level
        return float(math.comb(self.largest + n - 1, n) - math.comb(LOWEST_TARGET - 1, n))


@lru_cache(maxsize=1024)
def solution(numbers: Pool, target: int, strategy: str = "forward") -> tuple[Step, ...]:
    """The first solution that a strategy finds (`ValueError` where there is none of whole positive steps)."""
    order = np.array([OPERATORS.index(op) for op in ORDERS[strategy]])
    steps = np.empty((len(numbers) - 1, 4), np.int64)
    if not solve(np.array(numbers), target, order, steps):
        raise ValueError(f"'{_list(numbers)}={target}' has no solution")
    return tuple([(large, OPERATORS[op], small, made) for large, op, small, made in steps.tolist()])


def _ask(numbers: Pool, target: int, level: int) -> Question:
    return Question(
        f"{_list(numbers)}={target}", (numbers, target), f"{_list(sorted(numbers))}={target}", level
    )


def _list(numbers: Sequence[int]) -> str:
    return " ".join(map(str, numbers))


def _tree(steps: Sequence[Step]) -> Node:
    """The expression that steps amount to."""
    made: dict[int, list[Node]] = {}
    tree: Node = 0
    for large, op, small, result in steps:
        left, right = (made[x].pop() if made.get(x) else x for x in (large, small))
        tree = (op, left, right)
        made.setdefault(result, []).append(tree)
    return tree


def _worked(numbers: Pool, target: int, strategy: str) -> tuple[Node, list[str]]:
    """(expression, lines) of a strategy."""
    steps = list(solution(numbers, target, strategy))
    tree = _tree(steps)
    if strategy == "backward":
        return tree, list(_backward_lines(tree))
    if strategy == "search":
        return _search(numbers, target, steps)
    return tree, _forward_lines(numbers, _products_first(tree) if strategy == "products" else steps)


# -- forward: joining what there is ----------------------------------------------------------------------


def _join(pool: Pool, step: Step) -> Pool | None:
    """The numbers after a step; None where it takes what is not there, or reckons wrongly."""
    large, op, small, made = step
    rest = list(pool)
    for number in (large, small):
        if number not in rest:
            return None
        rest.remove(number)
    right = {"+": large + small, "-": large - small, "*": large * small, "/": made}[op]
    if made != right or (op == "/" and (small == 0 or made * small != large)):
        return None
    return (*rest, made)


def _line(step: Step, pool: Pool) -> str:
    large, op, small, made = step
    return f"{large}{op}{small}={made} ({_list(pool)})"


def _after_all(pool: Pool, steps: Sequence[Step]) -> Pool:
    """The numbers after right steps."""
    for step in steps:
        after = _join(pool, step)
        assert after is not None, "a solver's step is wrong"
        pool = after
    return pool


def _forward_lines(numbers: Pool, steps: Sequence[Step]) -> list[str]:
    return [_line(step, _after_all(numbers, steps[: k + 1])) for k, step in enumerate(steps)]


def _products_first(tree: Node) -> list[Step]:
    """The steps of an expression: products and quotients as soon as both sides are there."""
    left, done = _parts(tree), dict[int, int]()
    turned = []
    while left:
        ready = [node for node in left if all(isinstance(side, int) or id(side) in done for side in node[1:])]
        node = next((node for node in ready if node[0] in "*/"), ready[0])
        a, b = (side if isinstance(side, int) else done[id(side)] for side in node[1:])
        made = {"+": a + b, "-": a - b, "*": a * b, "/": a // b}[node[0]]
        turned.append((a, node[0], b, made))
        done[id(node)] = made
        left = [other for other in left if other is not node]
    return turned


def _parts(tree: Node) -> list[tuple[str, Node, Node]]:
    """All joints of an expression, the innermost first."""
    return [] if isinstance(tree, int) else [*_parts(tree[1]), *_parts(tree[2]), tree]


def _search(numbers: Pool, target: int, steps: list[Step]) -> tuple[Node, list[str]]:
    """The first steps as they are; from three numbers on every attempt until one succeeds."""
    sure = steps[: len(numbers) - 3]
    pool, lines = _after_all(numbers, sure), _forward_lines(numbers, sure)
    for attempt in _attempts(pool):
        left = _after_all(pool, [attempt])
        lines.append(_line(attempt, left))
        last = next((step for step in _attempts(left) if step[3] == target), None)
        if last:
            lines.append(_line(last, (target,)))
            return _tree([*sure, attempt, last]), lines
        lines.append(f"no {_list(left)}")
    raise AssertionError("a solver's steps lead nowhere")


def _attempts(pool: Pool) -> Iterator[Step]:
    """Every step to a whole positive number."""
    pairs = dict.fromkeys((max(a, b), min(a, b)) for i, a in enumerate(pool) for b in pool[i + 1 :])
    for op in ATTEMPTS:
        for large, small in pairs:
            made = {"+": large + small, "-": large - small, "*": large * small, "/": large // small}[op]
            if made and (op != "/" or made * small == large):
                yield large, op, small, made


def _forward_right(lines: list[str], numbers: Pool, target: int) -> tuple[int, int]:
    """(steps that are right and were not taken back, lines that are wrong)."""
    pools, wrong = [numbers], 0
    for line in lines:
        pool = pools[-1]
        if len(pools) > 1 and len(pool) == 2 and line == f"no {_list(pool)}" and _dead(pool, target):
            pools.pop()
            continue
        after = _after(line, pool)
        if after is None or (len(after) == 1 and after[0] != target):
            wrong += 1
        else:
            pools.append(after)
    return len(pools) - 1, wrong


def _after(line: str, pool: Pool) -> Pool | None:
    """The numbers after a line; None where it is wrong."""
    found = _FORWARD.fullmatch(line)
    if not found:
        return None
    after = _join(pool, (int(found[1]), found[2], int(found[3]), int(found[4])))
    listed = tuple(map(int, found[5].split(" ")))
    return listed if after is not None and sorted(after) == sorted(listed) else None


def _dead(pool: Pool, target: int) -> bool:
    """Whether two numbers cannot make the target."""
    large, small = max(pool), min(pool)
    made = [large + small, large - small, large * small]
    return target not in made and (small == 0 or target * small != large)


# -- backward: parting what is wanted --------------------------------------------------------------------


def _backward_lines(tree: Node) -> Iterator[str]:
    open_trees = [tree]
    while open_trees:
        node = open_trees.pop()
        assert not isinstance(node, int)
        op, left, right = node
        sides = [f"{value(side)}{'' if isinstance(side, int) else '?'}" for side in (left, right)]
        yield f"{value(node)}={sides[0]}{op}{sides[1]}"
        open_trees += [side for side in (right, left) if not isinstance(side, int)]


def _backward_right(lines: list[str], numbers: Pool, target: int) -> tuple[int, int]:
    """(lines that are right, lines that are wrong)."""
    wanted, left, right = Counter([target]), Counter(numbers), 0
    for line in lines:
        after = _parted(line, wanted, left)
        if after is not None:
            (wanted, left), right = after, right + 1
    return right, len(lines) - right


def _parted(line: str, wanted: Counter[int], left: Counter[int]) -> tuple[Counter[int], Counter[int]] | None:
    """(what is wanted, numbers that are left) after a line; None where it is wrong.

    Wrong is also what leaves less than two numbers for a wish, or numbers without one.
    """
    found = _BACKWARD.fullmatch(line)
    if not found:
        return None
    whole, large, small = int(found[1]), int(found[2]), int(found[5])
    if not wanted[whole] or _join((large, small), (large, found[4], small, whole)) is None:
        return None
    wanted, left = wanted - Counter([whole]), left.copy()
    for number, mark in ((large, found[3]), (small, found[6])):
        if mark:
            wanted[number] += 1
        elif left[number]:
            left[number] -= 1
        else:
            return None
    wishes, numbers = wanted.total(), left.total()
    return (wanted, left) if 2 * wishes <= numbers and (wishes > 0) == (numbers > 0) else None
