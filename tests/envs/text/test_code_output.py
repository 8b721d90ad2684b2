"""What programs print, against Python itself: its output, and what its tracer sees line by line."""

from __future__ import annotations

import ast
import contextlib
import io
import re
import sys

import numpy as np
import pytest

from envs.text import load
from envs.text.check import check_task
from envs.text.code import interpreter
from envs.text.code.interpreter import Raised, Unknown
from envs.text.parsing import write

OUTPUT = load("Output")


def questions(count, seed=0):
    for level in range(1, OUTPUT.levels + 1):
        rng = np.random.default_rng([seed, level])
        yield from (OUTPUT.generate(rng, level) for _ in range(count))


def printed(program: str) -> str:
    """What Python prints; the programs are the family's own."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(program, {})
    return out.getvalue()


def text(value) -> str:
    return (
        str(value).replace("'", '"').replace(" ", "")
        if isinstance(value, list)
        else (f'"{value}"' if isinstance(value, str) else str(value))
    )


def happened(program: str) -> list[str]:
    """The steps, from what Python's tracer tells: names after each line, conditions from where it goes on."""
    lines = program.split("\n")
    steps: list[str] = []
    last: list[tuple] = []  # of each frame: the line that is being done

    def after(frame, line):
        """What a line has done, now that it is over."""
        code = lines[line - 1].strip()
        names = {**frame.f_globals, **frame.f_locals}
        if name := re.match(r"([a-z])(?:\[.*?\])?[-+*/]*=(?!=)|([a-z])\.append|for ([a-z]) ", code):
            found = next(filter(None, name.groups()))
            steps.append(f"{line} {found}={text(names[found])}")
        elif code.startswith("print"):
            steps.append(f"{line} print {names[code[6]]}")

    def tracer(frame, event, argument):
        if frame.f_code.co_filename != "program":
            return None
        if event == "call" and frame.f_code.co_name != "<module>":
            order = frame.f_code.co_varnames[: frame.f_code.co_argcount]
            steps.extend(f"{frame.f_lineno} {name}={text(frame.f_locals[name])}" for name in order)
            last.append((None,))
        elif event == "call":
            last.append((None,))
        elif event in ("line", "return"):
            (line,) = last[-1]
            if line is not None:
                code = lines[line - 1].strip()
                if code.startswith(("if", "while")):
                    steps.append(f"{line} {event == 'line' and frame.f_lineno == line + 1}")
                elif code.startswith("for"):
                    if event == "line" and frame.f_lineno == line + 1:
                        after(frame, line)
                elif code.startswith("return"):
                    steps.append(f"{line} return {text(argument)}")
                elif not code.startswith("def"):
                    after(frame, line)
            last[-1] = (frame.f_lineno,)
            if event == "return":
                last.pop()
        return tracer

    compiled = compile(program, "program", "exec")
    with contextlib.redirect_stdout(io.StringIO()):
        sys.settrace(tracer)
        try:
            exec(compiled, {})
        finally:
            sys.settrace(None)
    return steps


def test_it_holds_to_the_contract():
    check_task(OUTPUT, problems=40)


@pytest.mark.slow
def test_it_holds_to_the_contract_on_many_problems():
    check_task(OUTPUT, problems=800, seed=1)


def test_answers_are_what_python_prints():
    for question in questions(60):
        assert printed(question.prompt) == OUTPUT.answer(question) + "\n"


def test_steps_are_what_python_does():
    for question in questions(40, seed=1):
        assert OUTPUT.work(question, "trace").split("\n") == happened(question.prompt), question.prompt


def test_programs_are_of_their_level():
    kinds = {
        1: (ast.Assign, ast.AugAssign),
        3: (ast.If,),
        4: (ast.For,),
        5: (ast.For, ast.If),
        6: (ast.While,),
        7: (ast.FunctionDef, ast.If, ast.Return),
        8: (ast.For, ast.If),
    }
    for question in questions(20, seed=2):
        nodes = list(ast.walk(ast.parse(question.prompt)))
        for kind in kinds.get(question.level, ()):
            assert question.level == 1 or any(isinstance(node, kind) for node in nodes), question.prompt
        if question.level == 8:
            assert sum(isinstance(node, ast.For) for node in nodes) == 2
        if question.level >= 7:
            assert OUTPUT.answer(question).count("\n") == 1


def test_programs_that_differ_in_names_are_one_problem():
    one, other = "a=3\nb=a+4\nprint(b)", "h=3\nc=h+4\nprint(c)"
    assert OUTPUT.understand(one).key == OUTPUT.understand(other).key
    assert OUTPUT.understand(one).key != OUTPUT.understand("a=3\nb=a+4\nprint(a)").key


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("[1, 2]\nab", 1),
        ("[1,2]\nab", 1),
        (" [1, 2] \n ab", 1),
        ("[1, 2] ab", 0),
        ("[1,2]\nAB", 0),
        ("ab", 0),
    ],
)
def test_lines_are_compared_without_spaces(answer, right):
    question = OUTPUT.understand('a=[1,2]\nb="ab"\nprint(a)\nprint(b)')
    assert OUTPUT.verify(write(answer), question).success == right


def test_the_head_shows_what_the_family_writes():
    head = sys.modules[type(OUTPUT).__module__].__doc__
    shown = [
        "\n".join(line[4:] for line in b.splitlines()) for b in re.findall(r"(?:^    .+\n)+", head, re.M)
    ]
    question = OUTPUT.understand(shown[0])
    assert shown[1] == OUTPUT.work(question, "trace")
    assert f"`{OUTPUT.answer(question)}`" in head


@pytest.mark.parametrize(
    ("program", "raises"),
    [
        ("a=1//0", Raised),
        ("a=[1][3]", Raised),
        ("a=b", Raised),
        ("a=len(3)", Raised),
        ("a,b=[1]", Raised),
        ("import os", Unknown),
        ("a=__import__", Unknown),
        ("a=open", Unknown),
        ("a=(1).__class__", Unknown),
        ("a=[].__class__()", Unknown),
        ("print(f'{1}')", Unknown),
        ("a=1.5", Unknown),
        ("a=eval('1')", Unknown),
        ("while 1:\n a=1", Unknown),
        ("def f(x):\n return f(x)\na=f(1)", Unknown),
        ("a=10**99", Unknown),
        ("a=[0]*999", Unknown),
        ("a='x'*999", Unknown),
        ("f=lambda x,x:x", SyntaxError),
        ("return 3", SyntaxError),
        ("a=1\nif 0:\n import os", Unknown),
        ("def a():\n return 1\n yield", Unknown),
        ("len=3", Unknown),
        ("a=[['b'*50]*5]*5", Unknown),
        ("print('a'*300+'b')", Unknown),
        ("a='b'*90\nprint(a,a,a,a)", Unknown),
        ("a='b'*250\nwhile 1:print(a)", Unknown),
        ("a=1 if", SyntaxError),
    ],
)
def test_what_the_interpreter_does_not_do(program, raises):
    with pytest.raises(raises):
        interpreter.run(program)


def test_what_is_told_is_bounded():
    for line in ("print(a)", "a=a", "a[0]=a[0]"):
        machine = interpreter.Machine(tracing=True)
        with pytest.raises(Unknown):
            machine.run(interpreter.parse(f"a=['b'*250]\nwhile 1:{line}"))
        assert sum(len(what) for _, what in machine.traced) < 110_000
        assert sum(map(len, machine.printed)) < 110_000


def test_a_function_that_is_called_in_a_comprehension_sees_the_programs_names():
    program = "n=100\ndef g(x):\n return n+x\na=[g(n) for n in [1,2]]\nprint(a)\nprint(n)"
    assert "\n".join(interpreter.run(program).printed) + "\n" == printed(program)
