"""Arithmetic as people type it, read by a parser of our own: `(3+5)*8-14/7`. Text is never run as code.

    sum     = product { ("+" | "-") product }
    product = operand { ("*" | "/") operand }
    operand = number | "(" sum ")"

Numbers are whole and unsigned. Values are exact fractions. Everything else is an error: powers, `//`,
decimals, `1e3`, `0x1F`, a sign before a number, `2(3)`. Time is linear in the length, which is limited.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import TypeAlias

LONGEST = 400
"""Characters beyond which nothing is an expression."""
DEEPEST = 40
"""Brackets within brackets, at most."""
Node: TypeAlias = "int | tuple[str, Node, Node]"
"""A number, or (operator, left, right)."""

_TOKENS = re.compile(r"[0-9]+|[-+*/()]| +")
_RANK = {"+": 1, "-": 1, "*": 2, "/": 2}
_END = ""


class ExpressionError(ValueError):
    """What is wrong with an expression, in a line for people."""


def parse(text: str) -> Node:
    """The tree of an expression (`ExpressionError` for anything else)."""
    tokens = _split(text)
    tree, at = _sum(tokens, 0, 0)
    if tokens[at] != _END:
        raise _unexpected(tokens, at, "an operator")
    return tree


def value(tree: Node) -> Fraction:
    """What a tree amounts to (`ExpressionError` where it divides by 0)."""
    return Fraction(_value(tree))


def evaluate(text: str) -> Fraction:
    """What an expression amounts to (`ExpressionError` where it is none, or divides by 0)."""
    return value(parse(text))


def literals(tree: Node) -> list[int]:
    """The numbers in a tree, from left to right."""
    if isinstance(tree, int):
        return [tree]
    return literals(tree[1]) + literals(tree[2])


def write(tree: Node) -> str:
    """The shortest text of the same value, its numbers in the same order: `a+(b-c)` becomes `a+b-c`."""
    if isinstance(tree, int):
        return str(tree)
    op, left, right = tree
    rank = _RANK[op]
    before = _bracketed(left, _rank(left) < rank)
    after = _bracketed(right, _rank(right) < rank or (_rank(right) == rank and op in "-/"))
    return f"{before}{op}{after}"


def _bracketed(tree: Node, brackets: bool) -> str:
    return f"({write(tree)})" if brackets else write(tree)


def _rank(tree: Node) -> int:
    return 3 if isinstance(tree, int) else _RANK[tree[0]]


def _value(tree: Node) -> int | Fraction:
    """An int where it can be: that is faster."""
    if isinstance(tree, int):
        return tree
    op, a, b = tree[0], _value(tree[1]), _value(tree[2])
    if op == "+":
        return a + b
    if op == "-":
        return a - b
    if op == "*":
        return a * b
    if b == 0:
        raise ExpressionError(f"{write(tree):.60} divides by 0")
    return Fraction(a) / b if a % b else a // b


def _split(text: str) -> list[str]:
    """Numbers, operators and brackets, and an end; spaces fall away."""
    if len(text) > LONGEST:
        raise ExpressionError(f"an expression of {len(text)} characters; {LONGEST} are the most")
    tokens, at = [], 0
    for found in _TOKENS.finditer(text):
        if found.start() != at:
            break
        at = found.end()
        token = found.group()
        if not token.isspace():
            tokens.append(token)
    if at < len(text):
        raise ExpressionError(
            f"'{text[at]}' does not belong in an expression of whole numbers and + - * / ( )"
        )
    tokens.append(_END)
    return tokens


def _sum(tokens: list[str], at: int, depth: int) -> tuple[Node, int]:
    """(tree, the token after it), as of each of these."""
    tree, at = _product(tokens, at, depth)
    while tokens[at] in ("+", "-"):
        op = tokens[at]
        right, at = _product(tokens, at + 1, depth)
        tree = (op, tree, right)
    return tree, at


def _product(tokens: list[str], at: int, depth: int) -> tuple[Node, int]:
    tree, at = _operand(tokens, at, depth)
    while tokens[at] in ("*", "/"):
        op = tokens[at]
        right, at = _operand(tokens, at + 1, depth)
        tree = (op, tree, right)
    return tree, at


def _operand(tokens: list[str], at: int, depth: int) -> tuple[Node, int]:
    token = tokens[at]
    if token == "(":
        if depth == DEEPEST:
            raise ExpressionError(f"more than {DEEPEST} brackets within each other")
        tree, at = _sum(tokens, at + 1, depth + 1)
        if tokens[at] != ")":
            raise _unexpected(tokens, at, "an operator or ')'")
        return tree, at + 1
    if not token.isdigit():
        raise _unexpected(tokens, at, "a number or '('")
    if token[0] == "0" and len(token) > 1:
        raise ExpressionError(f"'{token:.20}' begins with 0; write it without")
    return int(token), at + 1


def _unexpected(tokens: list[str], at: int, wanted: str) -> ExpressionError:
    found = f"'{tokens[at]:.20}'" if tokens[at] != _END else "the end"
    before = "".join(tokens[:at])
    where = f" after '{before[-20:]}'" if before else ""
    return ExpressionError(f"{found}{where}, where {wanted} is due")
