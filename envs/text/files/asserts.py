"""Tests that are written as `assert`, as calls of a program in the sandbox.

    assert sorted(f(2)) == [1, 2]    what sorted(f(2)) is comes back, and is compared here
    assert f(2) is None              so is what f(2) is
    assert abs(f(2) - 0.5) < 1e-6    so is what f(2) is; how far it is from 0.5 is found out here
    assert math.isclose(f(2), 0.5)   likewise
    assert f(2) > f(1)               whether it holds comes back
    x = f(2); assert x == 3          statements run beside the program, as does a `check` with a loop

Values that are written out, as in the first four, never enter the process of the program. In the last all is
there: a token comes back that is drawn for this one run, once the statements have run to their end.

Each test begins by naming anew the builtins that it uses, and what a prompt defines beside the function that
is asked for; so it is no use for a program to define an `abs` or `range` of its own. One that looks for the
frames of its callers, or changes modules, can still get around statements, and around values that say that
they are equal to all others.
"""

from __future__ import annotations

import ast
import builtins
import math
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from envs.text.jail import canonical

CONVERTERS = {kind.__name__: kind for kind in (set, frozenset, list, tuple, sorted, float)}
"""What may stand around a value that is written out: `set([1, 2])`."""
BUILTINS = frozenset(name for name in vars(builtins) if not name.startswith("_"))
MOST = 1000
"""Characters of a number, at most."""
WRONG = (ValueError, TypeError, SyntaxError, MemoryError, RecursionError, ArithmeticError)
"""What reading a value raises that is none."""
TOKEN = object()
"""Stands for the token of a run."""
PLAIN = """\
def _plain(value):
    from builtins import bool, bytes, dict, float, frozenset, int, isinstance, list, map, set, str, tuple
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
class Exactly:
    """What has to come back is this value of this type: `is True`."""

    value: Value


@dataclass(frozen=True)
class Near:
    """What has to come back is a number that differs from this one by less, as `math.isclose` has it."""

    value: float
    relative: float = 0.0
    absolute: float = 0.0
    strict: bool = False
    """Whether it must differ by less than `absolute`, and not by just as much."""

    def holds(self, said: Value) -> bool:
        if self.strict:
            return bool(abs(said - self.value) < self.absolute)
        return math.isclose(said, self.value, rel_tol=self.relative, abs_tol=self.absolute)


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


def plan(tests: Iterable[str], setup: str = "", entry: str = "", prompt: str = "", answer: str = "") -> Plan:
    """How tests are run: texts of `assert` statements or, with an `entry`, of a function `check(candidate)`.

    `prompt` may define more than the function asked for, which is what the tests then mean by it. What a
    right `answer` or `setup` defines is not taken for a builtin of the same name.

    Raises `SyntaxError` for tests and a setup that are no Python.
    """
    helpers = [one for one in _statements(prompt) if _is_helper(one, entry)]
    own = {entry}.union(*(_defined(code) for code in (ast.parse(setup).body, helpers, _statements(answer))))
    made = _Maker(helpers, own, [PLAIN, *([setup] if setup.strip() else [])])
    for test in tests:
        if entry:
            _of_function(made, test, entry)
        else:
            _of_statements(made, test)
    return Plan("\n".join(["", *made.source]), tuple(made.checks))


def same(said: str, value: Value) -> bool:
    """Whether the canonical text that a call gave is of a value that is as it has to be."""
    if isinstance(value, Exactly):
        return said == canonical(value.value)
    right = "" if isinstance(value, Near) else canonical(value)
    if said == right:
        return True
    if len(said) > MOST + 10 * len(right):
        return False
    try:
        found = _value(ast.parse(said, mode="eval").body)
        return value.holds(found) if isinstance(value, Near) else bool(found == value)
    except WRONG:
        return False


@dataclass
class _Maker:
    helpers: Sequence[ast.stmt]
    """What the prompt defines."""
    own: set[str]
    """Names that are no builtins here."""
    source: list[str]
    checks: list[Check] = field(default_factory=list)

    def add(self, text: str, body: str, value: Value) -> None:
        """A function that is added to the program, and called."""
        name = f"_test_{len(self.checks)}"
        parameter = "token" if value is TOKEN else ""
        (function,) = ast.parse(f"def {name}({parameter}):\n    pass").body
        assert isinstance(function, ast.FunctionDef)
        function.body = ast.parse(body).body
        self.source.append(ast.unparse(self.pinned(function)))
        self.checks.append(Check(text, name, value))

    def pinned(self, function: ast.stmt) -> ast.stmt:
        """A function that begins with what it means by its names, whatever the program means by them."""
        if not isinstance(function, ast.FunctionDef):
            return function
        used = _used([function])
        helpers = list(self.helpers) if used & _defined(self.helpers) else []
        names = sorted((used | _used(helpers)) & BUILTINS - self.own)
        head = [ast.ImportFrom("builtins", [ast.alias(name) for name in names], 0)] if names else []
        function.body = [*head, *helpers, *function.body]
        return function

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
    made.own |= _defined(module.body)
    checks = [one for one in module.body if isinstance(one, ast.FunctionDef) and one.name == "check"]
    body = checks[-1].body if checks else []
    if not body or len(checks[-1].args.args) != 1 or not all(map(_is_plain, body)):
        made.source += map(ast.unparse, map(made.pinned, module.body))
        made.run(f"check({entry})", f"check({entry})")
        return
    beside = [one for one in module.body if one is not checks[-1]]
    made.source += map(ast.unparse, map(made.pinned, beside))
    rename = _Rename(checks[-1].args.args[0].arg, entry)
    for statement in body:
        if isinstance(statement, ast.Assert) and not isinstance(statement.test, ast.Constant):
            _of_assert(made, rename.visit(statement))


def _is_plain(statement: ast.stmt) -> bool:
    """An assert, or something that does nothing."""
    constant = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return isinstance(statement, (ast.Assert, ast.Pass)) or constant


def _of_assert(made: _Maker, statement: ast.Assert) -> None:
    asked, value = _compared(statement.test, made.own)
    text, call = ast.unparse(statement), ast.unparse(asked)
    whole = asked is statement.test
    made.add(text, f"return not not ({call})" if whole else f"return _plain({call})", value)


def _compared(test: ast.expr, own: set[str]) -> tuple[ast.expr, Value]:
    """What has to be worked out beside the program, and what it has to be: of most tests, all of it true."""
    if isinstance(test, ast.Call):
        return _close(test, own) or (test, True)
    if not isinstance(test, ast.Compare) or len(test.ops) != 1:
        return test, True
    left, right, sign = test.left, test.comparators[0], test.ops[0]
    if isinstance(sign, ast.Is) and isinstance(right, ast.Constant) and right.value in (None, True, False):
        return left, Exactly(right.value)
    if isinstance(sign, ast.Eq):
        for asked, written in ((left, right), (right, left)):
            if found := _written(written):
                return asked, found[0]
    if isinstance(sign, (ast.Gt, ast.GtE)):
        left, right = right, left
    if isinstance(sign, (ast.Lt, ast.LtE, ast.Gt, ast.GtE)):
        return _less_apart(left, right, isinstance(sign, (ast.Lt, ast.Gt)), own) or (test, True)
    return test, True


def _close(test: ast.Call, own: set[str]) -> tuple[ast.expr, Near] | None:
    """`math.isclose(call, number, rel_tol=…, abs_tol=…)`, its defaults as Python has them."""
    given = {word.arg: word.value for word in test.keywords}
    if (
        _name(test.func, own) != "isclose"
        or len(test.args) != 2
        or not given.keys() <= {"rel_tol", "abs_tol"}
    ):
        return None
    relative, absolute = given.get("rel_tol", ast.Constant(1e-9)), given.get("abs_tol", ast.Constant(0.0))
    return _near(test.args[0], test.args[1], relative, absolute)


def _less_apart(
    distance: ast.expr, most: ast.expr, strict: bool, own: set[str]
) -> tuple[ast.expr, Near] | None:
    """`abs(call - number) < number`."""
    if not isinstance(distance, ast.Call) or _name(distance.func, own) not in ("abs", "fabs"):
        return None
    apart = distance.args[0] if len(distance.args) == 1 else None
    if not isinstance(apart, ast.BinOp) or not isinstance(apart.op, ast.Sub):
        return None
    return _near(apart.left, apart.right, ast.Constant(0.0), most, strict)


def _near(
    left: ast.expr, right: ast.expr, relative: ast.expr, absolute: ast.expr, strict: bool = False
) -> tuple[ast.expr, Near] | None:
    """What has to be near what, where one of both and the tolerances are written out."""
    for asked, written in ((left, right), (right, left)):
        found = [_written(one) for one in (written, relative, absolute)]
        numbers = [one[0] for one in found if one and isinstance(one[0], (int, float))]
        if len(numbers) == 3 and min(numbers[1:]) >= 0:
            return asked, Near(numbers[0], numbers[1], numbers[2], strict)
    return None


def _written(node: ast.expr) -> tuple[Value] | None:
    """The value that is written out, if one is that can come back from the sandbox."""
    try:
        value = _value(node)
        canonical(value)
    except WRONG:
        return None
    return (value,)


def _value(node: ast.expr) -> Value:
    """What is written out (`ValueError` and others of `WRONG` for all else)."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CONVERTERS:
        if len(node.args) > 1 or node.keywords:
            raise ValueError("more than one argument")
        return CONVERTERS[node.func.id](*map(_value, node.args))  # type: ignore[operator]
    if isinstance(node, ast.Dict):
        if None in node.keys:
            raise ValueError("not written out")
        return {_value(key): _value(value) for key, value in zip(node.keys, node.values) if key}
    for kind, made in ((ast.List, list), (ast.Tuple, tuple), (ast.Set, set)):
        if isinstance(node, kind):
            return made(map(_value, node.elts))
    return ast.literal_eval(node)


def _name(node: ast.expr, own: set[str]) -> str:
    """Of a function that is Python's: `abs`, and `isclose` of `math.isclose`."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "math":
        return node.attr
    return node.id if isinstance(node, ast.Name) and node.id not in own else ""


# -- names ---------------------------------------------------------------------------------------------------


def _statements(code: str) -> list[ast.stmt]:
    """Of a program; none where it is no Python. It may end before the body of a function."""
    for whole in (code, f"{code}\n    pass"):
        try:
            return ast.parse(whole).body
        except WRONG:
            continue
    return []


def _is_helper(statement: ast.stmt, entry: str) -> bool:
    """Whether a prompt's statement can be said again within a function, and is not the one asked for."""
    if isinstance(statement, ast.ImportFrom):
        return statement.module != "__future__" and statement.names[0].name != "*"
    return entry not in _defined([statement])


def _defined(statements: Iterable[ast.stmt]) -> set[str]:
    """The names that statements give a meaning to."""
    found = set()
    for one in statements:
        if isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(one.name)
        elif isinstance(one, (ast.Import, ast.ImportFrom)):
            found.update((alias.asname or alias.name).partition(".")[0] for alias in one.names)
        else:
            inside = (node for node in ast.walk(one) if isinstance(node, ast.Name))
            found.update(node.id for node in inside if isinstance(node.ctx, ast.Store))
    return found


def _used(statements: Iterable[ast.stmt]) -> set[str]:
    return {node.id for one in statements for node in ast.walk(one) if isinstance(node, ast.Name)}


class _Rename(ast.NodeTransformer):
    def __init__(self, old: str, new: str) -> None:
        self.old, self.new = old, new

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.copy_location(ast.Name(self.new, node.ctx), node) if node.id == self.old else node


__all__ = ["Check", "Plan", "plan", "same"]
