r"""A small interpreter of a small Python.

    machine = run("a=3\nfor i in range(2):\n a=a*2\nprint(a)")
    machine.printed == ["12"]
    machine.traced == [(1, "a=3"), (2, "i=0"), (3, "a=6"), (2, "i=1"), (3, "a=12"), (4, "print 12")]

It walks the tree that `ast.parse` makes of a text; nothing is handed to Python to run. It knows numbers,
texts, lists, assignments, `if`, `for`, `while`, functions, comprehensions, and the functions and methods that
are listed here. All that it knows is as in Python; what it does not know, also in lines that are never
reached, and what goes beyond its bounds on steps, depth and size, is `Unknown`. So any text may be given to
it, and what it says is so.
"""

from __future__ import annotations

import ast
import builtins
import operator
import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

STEPS, DEPTH = 50_000, 30
"""Statements and expressions in all, long values for more than one, and calls within calls."""
LARGEST, LONGEST = 10**60, 300
"""The largest number, and the longest text or list, with all that is in it."""
LONGEST_STORY = 100_000
"""Characters of all that is printed and told."""
LONGEST_PROGRAM, DEEPEST = 1000, 30
"""Characters, and brackets and signs before a value that are open at once."""

OPERATORS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": abs,
    "int": int,
    "len": len,
    "list": list,
    "max": max,
    "min": min,
    "ord": ord,
    "range": range,
    "sorted": sorted,
    "str": str,
    "sum": sum,
}
ITERATING = ("list", "max", "min", "sorted", "sum", "join")
"""Those that take what can only be gone through once: `zip(…)`, or a comprehension without brackets."""
METHODS: dict[type, tuple[str, ...]] = {
    list: ("append", "count", "pop", "reverse", "sort"),
    str: ("count", "join", "replace"),
}
STATEMENTS = (ast.Assign, ast.AugAssign, ast.If, ast.While, ast.For, ast.FunctionDef, ast.Return, ast.Expr)
PARTS = (
    *(ast.Module, ast.arguments, ast.arg, ast.keyword, ast.comprehension, ast.Load, ast.Store),
    *(ast.Tuple, ast.Slice, ast.Attribute, ast.Lambda, ast.GeneratorExp),
    *(ast.USub, ast.Not, ast.And, ast.Or),
)
"""Parts of a program that are known, beside `STATEMENTS`, `EXPRESSIONS` and `OPERATORS`."""
_OPEN = re.compile(r"[(\[{]|[-+~]|\bnot\b|\blambda\b|\bif\b")


class Unknown(Exception):
    """The program is not known here, or goes beyond the bounds; says how."""


class Raised(Exception):
    """The program raises an error: its name, such as `TypeError`."""


class _Return(Exception):
    """A function returns."""

    def __init__(self, value: Any) -> None:
        self.value = value


@dataclass(frozen=True)
class Function:
    """A function that the program defines."""

    parameters: tuple[str, ...]
    local: frozenset[str]
    """Names that it gives a value to."""
    line: int
    body: list[ast.stmt] | ast.expr


@dataclass
class Machine:
    """A program being run."""

    tracing: bool = False
    scopes: list[dict[str, Any]] = field(default_factory=lambda: [{}])
    """The names of the program, and of each call that has not returned."""
    calls: list[Function] = field(default_factory=list)
    printed: list[str] = field(default_factory=list)
    traced: list[tuple[int, str]] = field(default_factory=list)
    """(line, what happened there): `a=6`, `i=0`, `True` of a condition, `return 3`, `print 12`."""
    mentioned: frozenset[str] = frozenset()
    """All names to which the program gives a meaning anywhere."""
    steps: int = 0
    length: int = 0
    """Of all that is told."""

    def run(self, program: ast.Module) -> None:
        """Run the whole of it. Raises `Unknown` and `Raised`."""
        self.mentioned = _mentioned(program)
        self._guarded(lambda: self._block(program.body))

    def call(self, name: str, *arguments: Any) -> Any:
        """What a function that the program has defined returns. Raises `Unknown` and `Raised`."""
        return self._guarded(lambda: self._call(name, list(arguments)))

    def _guarded(self, act: Callable[[], Any]) -> Any:
        try:
            return act()
        except (Unknown, Raised):
            raise
        except (ZeroDivisionError, LookupError, TypeError, ValueError) as error:
            raise Raised(type(error).__name__) from None
        except Exception as error:
            raise Unknown(f"{type(error).__name__}: {error}") from None

    # -- statements ----------------------------------------------------------------------------------------

    def _block(self, body: list[ast.stmt]) -> None:
        for statement in body:
            self._step()
            self._do(statement)

    def _do(self, node: ast.stmt) -> None:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Lambda(args=arguments, body=body)):
                self._scope()[name] = _function(arguments, node.lineno, body)
            case ast.Assign(targets=[target], value=value):
                self._assign(target, self._value(value))
            case ast.AugAssign(target=ast.Name(id=name) as target, op=op, value=value):
                self._add(target, op, self._name(name), self._value(value))
            case ast.If(test=test, body=body, orelse=otherwise):
                self._block(body if self._condition(test, node.lineno) else otherwise)
            case ast.While(test=test, body=body, orelse=[]):
                while self._condition(test, node.lineno):
                    self._block(body)
            case ast.For(target=ast.Name() as target, iter=items, body=body, orelse=[]):
                for item in self._items(items):
                    self._step()
                    self._assign(target, item)
                    self._block(body)
            case ast.FunctionDef(name=name, args=arguments, body=body, decorator_list=[], returns=None):
                self._scope()[name] = _function(arguments, node.lineno, body)
            case ast.Return(value=value) if value is not None and self.calls:
                found = self._value(value)
                self._tell(node.lineno, "return ", found)
                raise _Return(found)
            case ast.Expr(value=ast.Call() as call):
                self._act(call)
            case _:
                raise Unknown(f"line {node.lineno} is no statement that is known")

    def _assign(self, target: ast.expr, value: Any) -> None:
        match target:
            case ast.Name(id=name):
                self._scope()[name] = value
                self._tell(target.lineno, f"{name}=", value)
            case ast.Tuple(elts=parts):
                items = list(value)
                if len(items) != len(parts):
                    raise ValueError
                for part, item in zip(parts, items):
                    self._assign(part, item)
            case ast.Subscript(value=ast.Name(id=name), slice=index) if not isinstance(index, ast.Slice):
                owner = self._name(name)
                owner[self._value(index)] = _simple(value)
                self._tell(target.lineno, f"{name}=", owner)
            case _:
                raise Unknown("nothing can be assigned to that")

    def _add(self, target: ast.Name, op: ast.operator, old: Any, more: Any) -> None:
        """`a+=…`, which changes a list itself."""
        if isinstance(old, list):
            raise Unknown("lists are not added to")
        self._assign(target, _bounded(self._binary(op, old, more)))

    def _condition(self, test: ast.expr, line: int) -> bool:
        found = bool(self._value(test))
        self._tell(line, "", found)
        return found

    def _act(self, call: ast.Call) -> None:
        """A call as a statement: `print`, or a method that changes a list."""
        match call.func:
            case ast.Name(id="print") if not call.keywords:
                if not self.tracing:
                    raise Unknown("what it prints is not told")
                text = " ".join([str(self._value(argument)) for argument in call.args])
                self.printed.append(_bounded(text))
                self._told(call.lineno, f"print {text}")
            case ast.Attribute(value=ast.Name(id=name)):
                self._called(call)
                self._tell(call.lineno, f"{name}=", self._name(name))
            case _:
                raise Unknown("such a call is not known")

    # -- expressions ---------------------------------------------------------------------------------------

    def _value(self, node: ast.expr) -> Any:
        self._step()
        known = EXPRESSIONS.get(type(node))
        if known is None:
            raise Unknown(f"a {type(node).__name__} is not known")
        value = _bounded(known(self, node))
        self.steps += _size(value) // 8
        return value

    def _constant(self, node: ast.Constant) -> Any:
        return node.value

    def _named(self, node: ast.Name) -> Any:
        return self._name(node.id)

    def _binary_of(self, node: ast.BinOp) -> Any:
        return self._binary(node.op, self._value(node.left), self._value(node.right))

    def _unary(self, node: ast.UnaryOp) -> Any:
        value = self._value(node.operand)
        if isinstance(node.op, ast.USub):
            return -value
        if isinstance(node.op, ast.Not):
            return not value
        raise Unknown("such a sign is not known")

    def _either(self, node: ast.BoolOp) -> Any:
        for each in node.values:
            found = self._value(each)
            if bool(found) is isinstance(node.op, ast.Or):
                break
        return found

    def _compared(self, node: ast.Compare) -> Any:
        if len(node.ops) > 1:
            raise Unknown("two comparisons at once are not known")
        return self._binary(node.ops[0], self._value(node.left), self._value(node.comparators[0]))

    def _chosen(self, node: ast.IfExp) -> Any:
        return self._value(node.body if self._value(node.test) else node.orelse)

    def _listed(self, node: ast.List) -> Any:
        return [_flat(self._value(part)) for part in node.elts]

    def _part(self, node: ast.Subscript) -> Any:
        value, index = self._value(node.value), node.slice
        if not isinstance(index, ast.Slice):
            return value[self._value(index)]
        parts = [
            None if part is None else self._value(part) for part in (index.lower, index.upper, index.step)
        ]
        return value[slice(*parts)]

    def _list_comprehension(self, node: ast.ListComp) -> Any:
        return [_flat(value) for value in self._comprehended(node)]

    def _comprehended(self, node: ast.ListComp | ast.GeneratorExp) -> Iterator[Any]:
        """What a comprehension goes through; what happens in it is not told."""
        if len(node.generators) != 1:
            raise Unknown("two loops in one expression are not known")
        (loop,) = node.generators
        items, told = self._items(loop.iter), self.tracing
        self.scopes.append({**self._scope()})
        self.tracing = False
        try:
            for item in items:
                self._step()
                self._assign(loop.target, item)
                if all(self._value(test) for test in loop.ifs):
                    yield self._value(node.elt)
        finally:
            self.scopes.pop()
            self.tracing = told

    def _called(self, call: ast.Call) -> Any:
        self._step()
        match call.func:
            case ast.Attribute(value=ast.Name(id="dict"), attr="fromkeys"):
                if len(call.args) != 1 or call.keywords:
                    raise Unknown("such a call is not known")
                return dict.fromkeys(self._value(call.args[0]))
            case ast.Attribute(value=owner, attr=name) if not call.keywords:
                return self._method(self._value(owner), name, call)
            case ast.Name(id=name) if self._is_own(name) and not call.keywords:
                return self._call(name, [self._value(argument) for argument in call.args])
            case ast.Name(id=name) if name in FUNCTIONS:
                if any(keyword.arg in (None, "key") for keyword in call.keywords):
                    raise Unknown("such a call is not known")
                arguments = self._arguments(name, call)
                named = {str(keyword.arg): self._value(keyword.value) for keyword in call.keywords}
                return FUNCTIONS[name](*arguments, **named)
            case ast.Name(id=name):
                self._found(name)
        raise Unknown("such a call is not known")

    # -- parts ---------------------------------------------------------------------------------------------

    def _binary(self, op: ast.operator | ast.cmpop, a: Any, b: Any) -> Any:
        act = OPERATORS.get(type(op))
        if act is None:
            raise Unknown(f"{type(op).__name__} is not known")
        if isinstance(op, ast.Mult) and not (_size(a) * _repeats(b) <= LONGEST >= _size(b) * _repeats(a)):
            raise Unknown("a value is too long")
        if isinstance(op, ast.Pow) and not (type(b) is int and 0 <= b < 100):
            raise Unknown("such a power is not known")
        if isinstance(op, ast.Mod) and isinstance(a, str):
            raise Unknown("a text with % is not known")
        return act(a, b)

    def _items(self, node: ast.expr) -> Iterable[Any]:
        """What is gone through once."""
        match node:
            case ast.Call(func=ast.Name(id="zip"), args=arguments, keywords=[]):
                return map(_flat, zip(*[self._value(argument) for argument in arguments]))
        return self._value(node)

    def _arguments(self, name: str, call: ast.Call) -> list[Any]:
        if name not in ITERATING or len(call.args) != 1:
            return [self._value(argument) for argument in call.args]
        (argument,) = call.args
        if isinstance(argument, ast.GeneratorExp):
            return [list(self._comprehended(argument))]
        return [self._items(argument)]

    def _method(self, owner: Any, name: str, call: ast.Call) -> Any:
        if not hasattr(owner, name):
            raise Raised("AttributeError")
        if name not in METHODS.get(type(owner), ()):
            raise Unknown(f"a {type(owner).__name__} has no {name} here")
        arguments = self._arguments(name, call)
        if name == "append":
            arguments = list(map(_simple, arguments))
        if isinstance(owner, str):
            _check_length((len(owner) + 1) * sum(map(_size, arguments)) if name != "count" else 0)
        return getattr(owner, name)(*arguments)

    def _call(self, name: str, arguments: list[Any]) -> Any:
        function = self._found(name)
        if not isinstance(function, Function) or len(arguments) != len(function.parameters):
            raise Unknown("that cannot be called so")
        if len(self.calls) > DEPTH:
            raise Unknown("calls go too deep")
        self.calls.append(function)
        self.scopes.append(dict(zip(function.parameters, arguments)))
        try:
            if isinstance(function.body, ast.expr):
                return self._value(function.body)
            for parameter, value in zip(function.parameters, arguments):
                self._tell(function.line, f"{parameter}=", value)
            self._block(function.body)
        except _Return as found:
            return found.value
        finally:
            self.scopes.pop()
            self.calls.pop()
        return None

    def _name(self, name: str) -> Any:
        value = self._found(name)
        if isinstance(value, Function):
            raise Unknown("a function is no value here")
        return value

    def _found(self, name: str) -> Any:
        local = self.calls[-1].local if self.calls else ()
        for scope in self.scopes[-1:] if name in local else (self.scopes[-1], self.scopes[0]):
            if name in scope:
                return scope[name]
        if name in self.mentioned or hasattr(builtins, name) or name.startswith("__"):
            raise Unknown(f"no name {name} is known")
        raise Raised("NameError")

    def _is_own(self, name: str) -> bool:
        """Whether the program gives a name a meaning of its own."""
        return any(name in scope for scope in self.scopes) or any(name in call.local for call in self.calls)

    def _scope(self) -> dict[str, Any]:
        return self.scopes[-1]

    def _tell(self, line: int, what: str, value: Any) -> None:
        if self.tracing:
            self._told(line, f"{what}{show(value)}")

    def _told(self, line: int, what: str) -> None:
        self.traced.append((line, what))
        self.length += len(what)
        if self.length > LONGEST_STORY:
            raise Unknown("too much happens")

    def _step(self) -> None:
        self.steps += 1
        if self.steps > STEPS:
            raise Unknown("it takes too long")


EXPRESSIONS: dict[type, Callable[[Machine, Any], Any]] = {
    ast.Constant: Machine._constant,
    ast.Name: Machine._named,
    ast.BinOp: Machine._binary_of,
    ast.UnaryOp: Machine._unary,
    ast.BoolOp: Machine._either,
    ast.Compare: Machine._compared,
    ast.IfExp: Machine._chosen,
    ast.List: Machine._listed,
    ast.Subscript: Machine._part,
    ast.ListComp: Machine._list_comprehension,
    ast.Call: Machine._called,
}


KNOWN = (*STATEMENTS, *EXPRESSIONS, *OPERATORS, *PARTS)


def run(source: str) -> Machine:
    """A program that was run to its end, and told what happened. Raises `Unknown` and `Raised`."""
    machine = Machine(tracing=True)
    machine.run(parse(source))
    return machine


def parse(source: str) -> ast.Module:
    """The tree of a program, of parts that are known.

    Raises `SyntaxError` where it is no Python, `Unknown` where it is too long or has other parts.
    """
    if len(source) > LONGEST_PROGRAM or not source.isascii() or len(_OPEN.findall(source)) > 10 * DEEPEST:
        raise Unknown("the program is too long")
    if max(_depths(source)) > DEEPEST or "\\" in source or "\0" in source:
        raise Unknown("the program is too deep")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            tree = ast.parse(source)
            _check_parts(tree)
            compile(tree, "program", "exec", dont_inherit=True)  # finds errors that the parser does not
        except (ValueError, RecursionError, MemoryError) as error:
            raise Unknown(f"{type(error).__name__}: {error}") from None
    return tree


def show(value: Any) -> str:
    """A value as Python writes it, without spaces, and with the double quotes that programs here have."""
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, list):
        return f"[{','.join(map(show, value))}]"
    return str(value)


def _function(arguments: ast.arguments, line: int, body: list[ast.stmt] | ast.expr) -> Function:
    odd = (arguments.vararg, arguments.kwarg, *arguments.kwonlyargs, *arguments.posonlyargs)
    names = tuple([argument.arg for argument in arguments.args])
    annotated = any(argument.annotation for argument in arguments.args)
    if any(odd) or arguments.defaults or annotated or len(set(names)) < len(names):
        raise Unknown("parameters must be plain names")
    return Function(names, frozenset(_stored(_inside(body))), line, body)


def _inside(body: list[ast.stmt] | ast.expr) -> list[ast.AST]:
    parts = [body] if isinstance(body, ast.expr) else body
    return [node for part in parts for node in ast.walk(part)]


def _check_parts(tree: ast.Module) -> None:
    """Raise `Unknown` for what is not known, be it reached or not."""
    for name in _mentioned(tree):
        if hasattr(builtins, name) or name.startswith("__"):
            raise Unknown(f"another meaning of {name} is not known")
    for node in ast.walk(tree):
        if not isinstance(node, KNOWN):
            raise Unknown(f"a {type(node).__name__} is not known")
        match node:
            case ast.comprehension() if node.is_async or isinstance(node.target, ast.Subscript):
                raise Unknown("such a loop is not known")
            case ast.FunctionDef(body=body) | ast.Lambda(body=body):
                if any(isinstance(inner, (ast.FunctionDef, ast.Lambda)) for inner in _inside(body)):
                    raise Unknown("functions in functions are not known")
            case ast.GeneratorExp():
                _check_lazy(node)


def _check_lazy(node: ast.GeneratorExp) -> None:
    """Here all of it is made before any is used, so nothing in it may change a value."""
    for call in ast.walk(node):
        match call:
            case ast.Call(func=ast.Name(id=name)) if name not in FUNCTIONS:
                raise Unknown(f"{name} in a comprehension without brackets is not known")
            case ast.Call(func=ast.Attribute(attr=name)) if name not in (*METHODS[str], "fromkeys"):
                raise Unknown(f"{name} in a comprehension without brackets is not known")


def _stored(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """The names that are given a value."""
    for node in nodes:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def _mentioned(program: ast.Module) -> frozenset[str]:
    nodes = list(ast.walk(program))
    arguments = [node.arg for node in nodes if isinstance(node, ast.arg)]
    functions = [node.name for node in nodes if isinstance(node, ast.FunctionDef)]
    return frozenset([*_stored(nodes), *arguments, *functions])


def _depths(source: str) -> Iterator[int]:
    """How many brackets are open, and signs in a row, along a text."""
    depth = row = 0
    yield 0
    for c in source:
        depth += (c in "([{") - (c in ")]}")
        row = row + 1 if c in "-+~ " else 0
        yield max(depth, row)


def _bounded(value: Any) -> Any:
    kind = type(value)
    if kind is int:
        if not -LARGEST < value < LARGEST:
            raise Unknown("a number is too large")
    elif kind is str or kind is list or kind is tuple or kind is dict:
        _check_length(_size(value))
    elif kind is range:
        _check_range(value)
    elif kind is not bool and value is not None:
        raise Unknown(f"a {kind.__name__} is not known")
    return value


def _check_length(length: int) -> None:
    if length > LONGEST:
        raise Unknown("a value is too long")


def _check_range(value: range) -> None:
    if max(abs(value.start), abs(value.stop)) > LONGEST:
        raise Unknown("a range is too long")


def _flat(value: Any) -> Any:
    """A value as part of a list. One that is a list must be of simple values, or it may be endless."""
    if isinstance(value, (list, tuple)):
        for part in value:
            _simple(part)
        return value
    return _simple(value)


def _simple(value: Any) -> Any:
    if not isinstance(value, (int, str, type(None))):
        raise Unknown("lists are not known in such places")
    return value


def _size(value: Any) -> int:
    """How many parts and characters are in a value, those of its parts too."""
    if isinstance(value, str):
        return len(value)
    return len(value) + sum(map(_size, value)) if isinstance(value, (list, tuple, dict)) else 0


def _repeats(value: Any) -> int:
    """How often it repeats what it is multiplied with."""
    return max(value, 0) if isinstance(value, int) else 0
