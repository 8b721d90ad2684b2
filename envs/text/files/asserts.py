"""Tests that are written as `assert`, as calls of a program in the sandbox.

    assert sorted(f(2)) == [1, 2]    call a function added to the program, which returns sorted(f(2))
    assert abs(f(2) - 0.5) < 1e-6    call a function added to the program, which runs the assert

Values that are written out, as in the first, never enter the process of the program: they are compared with
what comes back. Of the second kind all does: the function returns a token that is drawn for this one run,
once its asserts have passed. A program that sets out to cheat can find its way around those; so can one whose
values say that they are equal to all others.
"""

from __future__ import annotations

import ast
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

CONVERTERS = {kind.__name__: kind for kind in (set, frozenset, list, tuple, sorted)}
"""What may stand around a value that is written out: `set([1, 2])`."""
WRONG = (ValueError, TypeError, SyntaxError, MemoryError, RecursionError)
"""What reading a value raises that is none."""
TOKEN = object()
"""Stands for the token of a run."""
PLAIN = """\
def _plain(value):
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    for kind in (list, tuple, set, frozenset):
        if isinstance(value, kind):
            return kind(map(_plain, value))
    for kind in (bool, int, float, str, bytes):
        if isinstance(value, kind):
            return kind(value)
    return value"""
"""Added to the program: a `Counter` is equal to a dictionary, and so on, but no plain data."""
Value = Any


@dataclass(frozen=True)
class Check:
    """One call, and what has to come back."""

    text: str
    """The test, for people."""
    name: str
    value: Value


@dataclass(frozen=True)
class Plan:
    """All tests of a problem."""

    source: str
    """What is added to the program."""
    checks: tuple[Check, ...]

    def run(self) -> tuple[tuple[tuple[str, tuple[Value, ...]], ...], tuple[Value, ...]]:
        """The calls of one run, and what has to come back from each."""
        token = secrets.token_hex(16)
        calls = [(c.name, (token,) if c.value is TOKEN else ()) for c in self.checks]
        return tuple(calls), tuple([token if c.value is TOKEN else c.value for c in self.checks])


def plan(tests: Iterable[str], setup: str = "", entry: str = "") -> Plan:
    """How tests are run: texts of `assert` statements or, with an `entry`, of a function `check(candidate)`.

    Raises `SyntaxError` for what is no Python.
    """
    made = _Maker([PLAIN, *([setup] if setup.strip() else [])], [])
    for test in tests:
        if entry:
            _of_function(made, test, entry)
        else:
            _of_statements(made, test)
    return Plan("\n".join(["", *made.source]), tuple(made.checks))


def same(said: str, value: Value) -> bool:
    """Whether the canonical repr that a call gave is of a value that is equal, as Python has it."""
    right = repr(value)
    if said == right:
        return True
    if len(said) > 1000 + 10 * len(right):
        return False
    try:
        return bool(ast.literal_eval(said) == value)
    except WRONG:
        return False


@dataclass
class _Maker:
    source: list[str]
    checks: list[Check]

    def add(self, text: str, body: str, value: Value) -> None:
        """A function that is added to the program, and called."""
        name = f"_test_{len(self.checks)}"
        parameter = "token" if value is TOKEN else ""
        lines = "\n".join(f"    {line}" for line in body.split("\n"))
        self.source.append(f"def {name}({parameter}):\n{lines}")
        self.checks.append(Check(text, name, value))

    def run(self, text: str, body: str) -> None:
        """Statements that must all run to their end."""
        self.add(text, f"{body}\nreturn token", TOKEN)


def _of_statements(made: _Maker, test: str) -> None:
    statements = ast.parse(test).body
    if all(isinstance(statement, ast.Assert) for statement in statements):
        for statement in statements:
            _of_assert(made, statement)  # type: ignore[arg-type]
    else:
        made.run(test.strip(), ast.unparse(ast.parse(test)))


def _of_function(made: _Maker, test: str, entry: str) -> None:
    """The asserts of `check(candidate)`, one by one where it has nothing else; what is beside it is kept."""
    module = ast.parse(test)
    checks = [one for one in module.body if isinstance(one, ast.FunctionDef) and one.name == "check"]
    body = checks[-1].body if checks else []
    if not body or len(checks[-1].args.args) != 1 or not all(map(_is_plain, body)):
        made.source.append(test)
        made.run(f"check({entry})", f"check({entry})")
        return
    beside = [one for one in module.body if one is not checks[-1]]
    made.source += [ast.unparse(one) for one in beside]
    rename = _Rename(checks[-1].args.args[0].arg, entry)
    for statement in body:
        if isinstance(statement, ast.Assert) and not isinstance(statement.test, ast.Constant):
            _of_assert(made, rename.visit(statement))


def _is_plain(statement: ast.stmt) -> bool:
    """An assert, or something that does nothing."""
    constant = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return isinstance(statement, (ast.Assert, ast.Pass)) or constant


def _of_assert(made: _Maker, statement: ast.Assert) -> None:
    test, text = statement.test, ast.unparse(statement)
    if isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.Eq):
        for asked, written in ((test.left, test.comparators[0]), (test.comparators[0], test.left)):
            try:
                value = _value(written)
            except WRONG:
                continue
            made.add(text, f"return _plain({ast.unparse(asked)})", value)
            return
    made.run(text, text)


def _value(node: ast.expr) -> Value:
    """What is written out (`ValueError` and others of `WRONG` for all else)."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CONVERTERS:
        if len(node.args) != 1 or node.keywords:
            raise ValueError("not one argument")
        return CONVERTERS[node.func.id](ast.literal_eval(node.args[0]))  # type: ignore[operator]
    return ast.literal_eval(node)


class _Rename(ast.NodeTransformer):
    def __init__(self, old: str, new: str) -> None:
        self.old, self.new = old, new

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.copy_location(ast.Name(self.new, node.ctx), node) if node.id == self.old else node


__all__ = ["Check", "Plan", "plan", "same"]
