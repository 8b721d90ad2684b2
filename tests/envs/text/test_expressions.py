"""The expression parser, against Python's own arithmetic on fractions, and what it must refuse."""

from __future__ import annotations

import re
import time
from fractions import Fraction

import numpy as np
import pytest

from envs.text.numbers.expressions import (
    DEEPEST,
    LONGEST,
    ExpressionError,
    evaluate,
    literals,
    parse,
    value,
    write,
)


def pythons(text: str) -> Fraction:
    """What Python makes of an expression that this file has written itself."""
    return eval(re.sub(r"\d+", r"Fraction(\g<0>)", text), {"Fraction": Fraction})


def random_text(rng: np.random.Generator, numbers: int) -> str:
    """An expression with brackets here and there, needed or not, and spaces."""
    if numbers == 1:
        text = str(rng.integers(100))
    else:
        left = int(rng.integers(1, numbers))
        op = rng.choice(["+", "-", "*", "/", " + ", "* ", " /"])
        text = f"{random_text(rng, left)}{op}{random_text(rng, numbers - left)}"
    return f"({text})" if rng.random() < 0.4 else text


def test_values_are_those_of_python():
    rng = np.random.default_rng(0)
    divided = 0
    for _ in range(500):
        text = random_text(rng, int(rng.integers(1, 8)))
        try:
            right = pythons(text)
        except ZeroDivisionError:
            divided += 1
            with pytest.raises(ExpressionError, match="divides by 0"):
                evaluate(text)
            continue
        assert evaluate(text) == right
        assert literals(parse(text)) == [int(n) for n in re.findall(r"\d+", text)]
    assert divided < 100


def test_what_is_written_is_the_same_with_as_few_brackets_as_can_be():
    rng, without = np.random.default_rng(1), 0
    for _ in range(300):
        tree = parse(random_text(rng, int(rng.integers(1, 8))))
        text = write(tree)
        assert literals(parse(text)) == literals(tree)
        assert write(parse(text)) == text
        try:
            right = value(tree)
        except ExpressionError:
            continue
        assert evaluate(text) == right
        for pair in bracket_pairs(text):
            bare = "".join(c for i, c in enumerate(text) if i not in pair)
            without += 1
            assert shape(parse(bare)) != shape(tree)
    assert without > 100


def bracket_pairs(text: str) -> list[tuple[int, int]]:
    opened, pairs = [], []
    for i, c in enumerate(text):
        if c == "(":
            opened.append(i)
        elif c == ")":
            pairs.append((opened.pop(), i))
    return pairs


def shape(tree) -> list[tuple[int, int]]:
    """What each number does to the value: whether it is taken away, and whether it divides, all the way down.

    Trees of one shape are equal as formulas: sums of sums and products of products are flat.
    """
    if isinstance(tree, int):
        return [tree]
    op, left, right = tree
    kind, minus = ("sum", "-") if op in "+-" else ("product", "/")
    parts = []
    for side, turned in ((left, False), (right, op == minus)):
        inner = shape(side)
        same = inner[0] == kind
        parts += [(not t if turned else t, x) for t, x in inner[1]] if same else [(turned, inner)]
    return [kind, parts]


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("((1))", "1"),
        ("(1+2)+3", "1+2+3"),
        ("1+(2-3)", "1+2-3"),
        ("1-(2-3)", "1-(2-3)"),
        ("1-(2+3)", "1-(2+3)"),
        ("2*(3/4)", "2*3/4"),
        ("2/(3/4)", "2/(3/4)"),
        ("2/(3*4)", "2/(3*4)"),
        ("(1+2)*3", "(1+2)*3"),
        ("(1*2)+3", "1*2+3"),
        ("3-(1*2)", "3-1*2"),
    ],
)
def test_brackets_stay_where_they_matter(text, written):
    assert write(parse(text)) == written


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the end, where a number"),
        ("98**97**96", "'\\*' after '98\\*'"),
        ("7//2", "'/' after '7/'"),
        ("-7", "'-', where a number"),
        ("3+-7", "'-' after '3\\+'"),
        ("+7", "'\\+', where"),
        ("3--7", "'-' after"),
        ("1.5", "'\\.' does not belong"),
        ("1,5", "','"),
        ("1e3", "'e'"),
        ("0x1F", "'x'"),
        ("07", "begins with 0"),
        ("00", "begins with 0"),
        ("1_000", "'_'"),
        ("2(3)", "'\\(' after '2', where an operator"),
        ("(2)(3)", "'\\(' after '\\(2\\)', where an operator"),
        ("(2)3", "'3' after"),
        ("2 3", "'3' after '2'"),
        ("(2+3", "the end after '\\(2\\+3', where an operator or '\\)'"),
        ("2+3)", "'\\)' after '2\\+3'"),
        ("()", "'\\)' after '\\('"),
        ("2+", "the end after"),
        ("2^3", "'\\^'"),
        ("2=2", "'='"),
        ("x", "'x'"),
        ("٣+1", "'٣'"),
        ("２+1", "'２'"),
        ("²", "'²'"),
        ("1 +\u00a02", "does not belong"),
        ("__import__('os')", "'_'"),
        ("1/0", "1/0 divides by 0"),
        ("1/(2-2)", "divides by 0"),
        ("1" * (LONGEST + 1), f"{LONGEST} are the most"),
        ("(" * (DEEPEST + 1) + "1" + ")" * (DEEPEST + 1), f"more than {DEEPEST} brackets"),
    ],
)
def test_everything_else_is_refused_in_one_line(text, said):
    with pytest.raises(ExpressionError, match=said) as error:
        evaluate(text)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 160


def test_what_is_within_the_limits_is_read_and_quick():
    deep = "(" * DEEPEST + "1" + ")" * DEEPEST
    long = "+".join(["1"] * (LONGEST // 2))
    large = "*".join(["9"] * (LONGEST // 2))
    fractions = "/".join(["97"] * (LONGEST // 3))
    started = time.perf_counter()
    assert evaluate(deep) == 1
    assert evaluate(long) == LONGEST // 2
    assert evaluate(large) == 9 ** (LONGEST // 2)
    assert evaluate(fractions) == Fraction(97, 97 ** (LONGEST // 3 - 1))
    assert evaluate("9" * LONGEST) == int("9" * LONGEST)
    for text in ("(" * 10**6, "1+" * 10**6, "9" * 10**6, " " * 10**6, "\ud800" * 10**6):
        with pytest.raises(ExpressionError):
            parse(text)
    assert time.perf_counter() - started < 1


def test_garbage_raises_nothing_else():
    rng, read = np.random.default_rng(2), 0
    alphabet = list("0123456789+-*/() .,eEx_^=%é²\n\0")
    for _ in range(5000):
        text = "".join(
            rng.choice(alphabet[:16] if rng.random() < 0.5 else alphabet, size=int(rng.integers(9)))
        )
        try:
            evaluate(text)
        except ExpressionError:
            continue
        read += 1
        assert set(text) <= set("0123456789+-*/() \n")
        assert evaluate(text) == pythons(text)
    assert read > 50
