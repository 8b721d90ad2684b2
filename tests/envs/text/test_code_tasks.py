"""Functions and repair, against another reading of their words and Python itself.

`is_right` is a judge that `python -m envs.text.check` can use.
"""

from __future__ import annotations

import re
import sys
import time

import numpy as np
import pytest

import envs
from envs.text import load
from envs.text.check import check_task, mutate
from envs.text.code import functions, language, running
from envs.text.code.functions import ARGUMENTS, LEVELS, SPACE, Functions, Spec, hidden_tests
from envs.text.code.interpreter import STEPS, Unknown, parse
from envs.text.code.repair import Repair
from envs.text.parsing import write
from envs.text.split import side

FUNCTIONS, REPAIR = load("Functions"), load("Repair")
BOTH = (FUNCTIONS, REPAIR)


def questions(task, count, seed=0, levels=None):
    for level in levels or range(1, task.levels + 1):
        rng = np.random.default_rng([seed, level])
        yield from (task.generate(rng, level) for _ in range(count))


# -- another reading of the words --------------------------------------------------------------------------


def asked_of(words: list[str], value) -> bool:
    name, rest = words[0], words[1:]
    if name in ("even", "odd"):
        return bool(value & 1) == (name == "odd")
    if name in ("above", "total"):
        return (sum(value) if name == "total" else value) > int(rest[0])
    if name == "below":
        return value < int(rest[0])
    if name == "multiple":
        return value % int(rest[0]) == 0
    if name == "longer":
        return len(value) > int(rest[0])
    assert name == "has"
    return (rest[0] if isinstance(value, str) else int(rest[0])) in value


def done_to_number(words, x):
    name = words[0]
    if name == "digits":
        return [ord(c) - ord("0") for c in str(x).strip("-")]
    if name in ("square", "negate", "abs"):
        return {"square": x * x, "negate": 0 - x, "abs": x if x > 0 else -x}[name]
    k = int(words[1])
    if name == "over":
        return (x - x % k) // k
    if name == "mod":
        return x - k * (x // k)
    return {
        "plus": x + k,
        "minus": x - k,
        "times": x * k,
        "atleast": k if x < k else x,
        "atmost": k if x > k else x,
    }[name]


def done_to_list(words, x):
    name, rest = words[0], words[1:]
    if name == "each":
        return [done(rest, n) for n in x]
    if name == "keep":
        return list(filter(lambda n: asked_of(rest, n), x))
    if name == "count":
        return len([n for n in x if asked_of(rest, n)])
    if name == "differences":
        return [x[i] - x[i - 1] for i in range(1, len(x))]
    if name == "append":
        return [*x, int(rest[0])]
    if name == "prepend":
        return [int(rest[0]), *x]
    if name == "sum":
        total = 0
        for n in x:
            total += n
        return total
    if name in ("largest", "smallest"):
        ordered = sorted(x)
        return (ordered[-1] if name == "largest" else ordered[0]) if x else 0
    return done_to_both(words, x, [])


def done_to_word(words, x):
    name, rest = words[0], words[1:]
    simple = {
        "append": lambda: x + rest[0],
        "prepend": lambda: rest[0] + x,
        "replace": lambda: rest[1].join(x.split(rest[0])),
        "without": lambda: "".join(x.split(rest[0])),
        "repeat": lambda: "".join([x] * int(rest[0])),
        "double": lambda: re.sub("(.)", r"\1\1", x),
        "vowels": lambda: re.sub("[^aeiou]", "", x),
        "letters": lambda: ["abcdefghijklmnopqrstuvwxyz".index(c) + 1 for c in x],
        "tally": lambda: len(x.split(rest[0])) - 1,
    }
    return simple[name]() if name in simple else done_to_both(words, x, "")


def done_to_both(words, x, empty):
    name, items = words[0], list(x)
    if name == "length":
        return len(items)
    k = int(words[1]) if len(words) > 1 else 0
    if name == "reverse":
        made = list(reversed(items))
    elif name == "first":
        made = [c for i, c in enumerate(items) if i < k]
    elif name == "last":
        made = [c for i, c in enumerate(items) if i >= len(items) - k]
    elif name == "skip":
        made = [c for i, c in enumerate(items) if i >= k]
    elif name == "rotate":
        made = [c for i, c in enumerate(items) if i >= k] + [c for i, c in enumerate(items) if i < k]
    elif name == "alternate":
        made = [c for i, c in enumerate(items) if i % 2 == 0]
    elif name == "sort":
        made = sorted(items)
    else:
        assert name == "unique"
        made = [c for i, c in enumerate(items) if c not in items[:i]]
    return "".join(made) if empty == "" else made


def done(words: list[str], x):
    """What some words make of a value."""
    if words[0] == "if":
        then, otherwise = words.index("then"), words.index("else")
        branch = words[then + 1 : otherwise] if asked_of(words[1:then], x) else words[otherwise + 1 :]
        return done(branch, x)
    return {int: done_to_number, list: done_to_list, str: done_to_word}[type(x)](words, x)


def plainly(prompt: str, x):
    """What the function of a prompt gives."""
    head, _, text = prompt.split("\n")[0].partition(": ")
    times = 1
    if head.startswith("again"):
        times, x = x, int(head.split()[1])
    for _ in range(times):
        for stage in text.split(", "):
            x = done(stage.split(" "), x)
    return x


def inputs(prompt: str):
    """Many arguments, other than those of the tests."""
    rng = np.random.default_rng(5)
    kind = prompt.split(":")[0].split(" ")[0]
    if kind == "number":
        return list(range(-15, 45))
    if kind == "again":
        return list(range(9))
    sizes = rng.integers(9, size=150).tolist()
    if kind == "list":
        return [rng.integers(-9, 21, size=size).tolist() for size in sizes]
    return ["".join(rng.choice(list(language.LETTERS), size=size)) for size in sizes]


def called(program: str, arguments) -> list[str]:
    """What Python says that a program of ours, or one that is nearly so, gives."""
    known: dict = {}
    try:
        exec(program, known)
        function = known["f"]
    except Exception as error:
        return [type(error).__name__]
    out = []
    for x in arguments:
        try:
            out.append(running.canonical(function(list(x) if isinstance(x, list) else x)))
        except Exception as error:
            out.append(f"<{type(error).__name__}>")
    return out


def is_right(program: str, question) -> bool:
    """Whether a program does what the prompt says, on many arguments."""
    arguments = inputs(question.prompt)
    return called(program.strip(), arguments) == [repr(plainly(question.prompt, x)) for x in arguments]


# -- the families ------------------------------------------------------------------------------------------


class FewFunctions(Functions):
    levels = 3


class FewRepairs(Repair):
    levels = 2


@pytest.mark.parametrize("task", [FewFunctions(), FewRepairs()])
def test_they_hold_to_the_contract(task):
    check_task(task, problems=6, right=is_right, seconds=5)


@pytest.mark.slow
@pytest.mark.parametrize("task", BOTH)
def test_they_hold_to_the_contract_on_many_problems(task):
    check_task(task, problems=400, seed=1, right=is_right, seconds=5)


@pytest.mark.parametrize("task", BOTH)
def test_answers_are_right_by_another_reading_of_the_words(task):
    kinds = set()
    for question in questions(task, 12):
        assert is_right(task.answer(question), question), question.prompt
        kinds.add((question.level, question.prompt.split(":")[0].split(" ")[0]))
        for line in question.prompt.split("\n")[1:3]:
            argument, _, value = re.fullmatch(r"f\((.*)\)(=)(.*)", line).groups()
            x = (
                int(argument) if argument.lstrip("-").isdigit() else eval(argument)
            )  # ours, from the generator
            assert plainly(question.prompt, x) == eval(value)
    assert {kind for _, kind in kinds} == {"number", "list", "word", "again"}
    assert all((level, "again") in kinds for level, size in enumerate(LEVELS, 1) if size.again)


def test_the_tests_are_what_the_words_say():
    for question in questions(FUNCTIONS, 25, seed=3):
        tests = hidden_tests(Spec(*question.data[:3]))
        assert len(tests.arguments) == len(tests.values) >= 9
        for x, value in zip(tests.arguments, tests.values):
            assert plainly(question.prompt, list(x) if isinstance(x, list) else x) == value


def test_every_word_of_the_language_comes_up():
    seen = set()
    for question in questions(FUNCTIONS, 150, levels=[2, 3, 4, 8]):
        seen |= set(re.findall("[a-z]+", question.prompt.split("\n")[0]))
    words = {name for table in (language.WORDS, language.TESTS) for kind in table.values() for name in kind}
    assert words | {"each", "keep", "count", "if"} <= seen


def test_every_stage_makes_a_difference():
    for question in questions(FUNCTIONS, 15, seed=4):
        spec = Spec(*question.data[:3])
        head, _, text = question.prompt.split("\n")[0].partition(": ")
        stages = text.split(", ")
        for i in range(len(stages)):
            left = [*stages[:i], *stages[i + 1 :]]
            shorter, arguments = f"{head}: {', '.join(left)}", hidden_tests(spec).arguments
            try:
                values = [plainly(shorter, x) for x in arguments] if left else list(arguments)
            except (
                KeyError,
                AssertionError,
                TypeError,
                IndexError,
                ValueError,
            ):  # the stages no longer fit together
                continue
            assert values != list(hidden_tests(spec).values) or (not left and spec.start is not None)


def test_a_level_has_at_least_as_many_problems_as_it_says():
    for level, count in ((1, 1200), (5, 800)):
        keys = [q.key for q in questions(FUNCTIONS, count, seed=6, levels=[level])]
        assert len(set(keys)) > 0.25 * min(SPACE[level - 1], count)


def test_a_problem_in_other_words_is_the_same_problem():
    texts = ["list: sort, reverse", "list: each negate, sort, each negate"]
    keys = [functions.key(functions.understood(shown(text))[0]) for text in texts]
    assert keys[0] == keys[1]
    assert keys[0] != functions.key(functions.understood(shown("list: sort"))[0])


def shown(head: str) -> str:
    """A prompt about lists with examples."""
    examples = [[3, 1, 2], [5, -1]]
    return "\n".join([head, *(f"f({e})={plainly(head, e)}".replace(" ", "") for e in examples)])


@pytest.mark.parametrize(
    "prompt",
    [
        "list: sort\nf([2,1])=[1,2]",
        "list: sort\nf([2,1])=[2,1]\nf([3,1])=[1,3]",
        "list: sort,reverse\nf([2,1])=[2,1]\nf([3,1])=[3,1]",
        "list: plus 3\nf([2,1])=[2,1]\nf([3,1])=[3,1]",
        "list: first 99\nf([2,1])=[2,1]\nf([3,1])=[3,1]",
        "number: plus 03\nf(1)=4\nf(2)=5",
        "number: plus 3\nf(01)=4\nf(2)=5",
        "again 2: square\nf(1)=4\nf(2)=16",
        "again 2: plus 3\nf(100)=302\nf(2)=8",
        'word: reverse\nf("a\'b")="b\'a"\nf("ab")="ba"',
        'word: if has a then if has b then reverse else sort else double\nf("ab")="ba"\nf("b")="bb"',
    ],
)
def test_what_no_generator_writes_is_not_understood(prompt):
    with pytest.raises(ValueError, match=r"."):
        FUNCTIONS.understand(prompt)


@pytest.mark.parametrize("task", BOTH)
def test_the_head_of_a_file_shows_what_the_family_writes(task):
    head = sys.modules[type(task).__module__].__doc__
    shown = [
        "\n".join(line[4:] for line in block.splitlines())
        for block in re.findall(r"(?:^    .+\n)+", head, re.MULTILINE)
    ]
    question = task.understand(shown[0])
    assert shown[1:] == [task.work(question, strategy) for strategy in task.strategies]
    assert f"`{task.answer(question)}`" in head
    assert not task.verify(write(shown[0].split("\n")[-1]), question).success


# -- repair ------------------------------------------------------------------------------------------------


def tokens(program: str) -> list[str]:
    return re.findall(r'"[a-z]*"|[a-z]+(?:\.[a-z]+)?|\d+|\*\*|//|==|:+|\s+|.', program)


def test_the_program_to_mend_has_one_token_wrong_and_fails():
    for question in questions(REPAIR, 15):
        wrong, right = "\n".join(question.prompt.split("\n")[3:]), REPAIR.answer(question)
        assert sum(a != b for a, b in zip(tokens(wrong), tokens(right), strict=True)) == 1
        tests = hidden_tests(Spec(*question.data[:3]))
        assert called(wrong, tests.arguments) != [repr(value) for value in tests.values], question.prompt
        assert not REPAIR.verify(write(wrong), question).success


def test_all_programs_of_a_function_are_on_one_side_of_a_split():
    by_key: dict[str, set[str]] = {}
    for question in questions(REPAIR, 200, levels=[1]):
        assert side("Repair", question.key) == side("Repair", REPAIR.understand(question.prompt).key)
        by_key.setdefault(question.key, set()).add(question.prompt.split("\n")[-1])
    assert max(map(len, by_key.values())) > 1


# -- programs that were written ----------------------------------------------------------------------------

SUM = FUNCTIONS.understand("list: each times 2, sum\nf([1,2])=6\nf([3])=6")


@pytest.mark.parametrize(
    "program",
    [
        "def f(x):\n    return sum(x) * 2",
        "def f(x):\n total=0\n for n in x:\n  total+=2*n\n return total",
        "import functools\ndef f(x): return functools.reduce(lambda a, b: a + 2 * b, x, 0)",
        "class Doubler:\n def __call__(self, x): return 2 * sum(x)\nf=Doubler()",
        "f = lambda x: 0 if not x else 2 * x[0] + f(x[1:])",
        "def f(x):\n x.append(0)\n while len(x) > 1: x[0] += x.pop()\n return x[0] * 2",
        "def f(x):\n    '''Twice the sum.'''\n    return 2*sum(x)  # 2+2=4",
    ],
)
def test_a_function_is_right_however_it_is_written(program):
    verdict = FUNCTIONS.verify(write(program), SUM)
    assert verdict.success
    assert verdict.parts["tests"] == 1


@pytest.mark.parametrize(
    ("program", "error"),
    [
        ("def g(x): return 2*sum(x)", "no function f"),
        ("2*sum(x)", "no function f"),
        ("f=2", "TypeError"),
        ("def f(x): return 2*sum(x", "SyntaxError"),
        ("def f(x): return float(2*sum(x))", "not"),
        ("def f(x):\n while 1: pass", "timeout"),
        ("def f(x): return f(x)", "RecursionError"),
        ("import os\ndef f(x): os._exit(0)", "killed"),
        ("def f(x): raise SystemExit(0)", ""),
        ("class E(int):\n def __eq__(s, o): return True\ndef f(x): return E()", "unsupported"),
        ("class E:\n def __repr__(s): return '6'\ndef f(x): return E()", "unsupported"),
        ("def f(x): return '12'", "not"),
        ("f=lambda x:True", "True"),
    ],
)
def test_a_function_that_is_wrong_is_told_how(program, error):
    verdict = FUNCTIONS.verify(write(program), SUM)
    assert not verdict.success
    assert verdict.reward == 0
    assert error in verdict.error
    assert verdict.parsed == (error not in ("no function f", "SyntaxError"))


def test_the_part_tests_is_the_share_that_is_passed():
    arguments = hidden_tests(Spec(*SUM.data[:3])).arguments
    for program in ("f=lambda x:0", "def f(x):\n import math\n return 0"):  # one is followed, one is run
        passed = FUNCTIONS.verify(write(program), SUM).parts["tests"]
        assert 0 < passed < 0.5
        assert passed == sum(sum(x) == 0 for x in arguments) / len(arguments)


def test_a_batch_is_judged_as_one_by_one(monkeypatch):
    rng = np.random.default_rng(0)
    some = list(questions(FUNCTIONS, 6, seed=8))
    answers = [mutate(rng, FUNCTIONS.answer(q), FUNCTIONS.alphabet) for q in some]
    calls = [(write(a), q) for a, q in zip(answers, some)]
    calls += [("nothing", some[0]), (write(FUNCTIONS.answer(some[1])), some[1])]
    running._known.clear()
    together = FUNCTIONS.verify_many(calls)
    running._known.clear()
    assert together == [FUNCTIONS.verify(*call) for call in calls]
    assert sum(v.success for v in together) >= 1
    monkeypatch.setattr(running, "follow", lambda program, tests: None)
    running._known.clear()
    sandboxed = FUNCTIONS.verify_many(calls)
    told = [[(v.success, v.parsed, v.parts.get("tests")) for v in found] for found in (sandboxed, together)]
    assert told[0] == told[1]


@pytest.mark.filterwarnings("ignore::SyntaxWarning")
def test_what_is_followed_comes_to_what_python_does():
    """Spoilt programs: where there is an answer without running them, it is Python's."""
    rng = np.random.default_rng(1)
    followed = broken = 0
    for question in questions(FUNCTIONS, 14, seed=9):
        tests = hidden_tests(Spec(*question.data[:3]))
        for _ in range(8):
            program = mutate(rng, FUNCTIONS.answer(question), FUNCTIONS.alphabet)
            if rng.random() < 0.5:
                program = mutate(rng, program, FUNCTIONS.alphabet)
            if not running.defines_f(program):
                continue
            given = running.follow(program, tests)
            if given is None:
                continue
            if not given.parsed:
                broken += 1
                with pytest.raises(SyntaxError):
                    compile(program, "", "exec")
                continue
            followed += 1
            assert list(given.values) == called(program, tests.arguments), program
    assert followed > 150
    assert broken > 150


ODD = (
    *("yield", "yield x", "return", "if 0:return x", "if 0:yield", "if 0:break", "break", "continue", "pass"),
    *(
        "global x",
        "global a;a=x",
        "nonlocal x",
        "import os",
        "del x",
        "if 0:del x",
        "if 0:import x",
        "print(x)",
    ),
    *("class x:pass", "if 0:\n  class x:pass", "try:pass\n except E as x:pass", "with x as x:pass", "x:int"),
    *("match x:\n  case x:pass", "(x:=3)", "x=[x:=n for n in [1]]", "*x,=x", "x=[*x]", "len=3", "max=min"),
    *("x=max(x,default=0,default=1)", "__debug__=1", "a=__debug__", "__builtins__=3", "await x", "x,x=x,x"),
    *("for a in (b for b in x):x.append(1)", "for a in (x+b for b in [1,2]):x=x+1", "x=[n for x in [1,2]]"),
    *("x=[f for f in [1]]", "x=x if x else x", "def x():pass", "def f(x):return x", "f=lambda x:x", "x=f"),
    *("x=sum(x.pop() for n in x)", "x=[x.pop() for n in x]", "x=[n for n in x if n]", "x=[x for x in x]"),
    *("x=max((n for n in x))", "x=sorted(x,reverse=x)", "x=list(zip(x,x))", "x=str(x)", "x[0]=x", "x[:1]=x"),
    *(
        "async def g():pass",
        "async for n in x:pass",
        "x=[n async for n in x]",
        "x=lambda:x",
        "x=x.y",
        "x.y=1",
    ),
    *(
        "while x:\n  x=x[1:]",
        "for x in x:\n  x=x",
        "for n in x:\n  x=x+x",
        "a=x\n a.append(1)",
        "x+=x",
        "x+=1",
    ),
)
"""Lines that change what a program is, where they are never reached too, or are seldom written."""


def spoilt(rng, program: str) -> str:
    """A program with odd lines put in, and now and then a character changed."""
    if program.startswith("f=lambda x:"):
        program = program.replace("f=lambda x:", "def f(x):\n return ")
    lines = program.split("\n")
    for _ in range(int(rng.integers(1, 3))):
        at, depth = int(rng.integers(len(lines) + 1)), int(0.8 + rng.random())
        lines.insert(at, " " * depth + ODD[int(rng.integers(len(ODD)))])
    program = "\n".join(lines)
    return mutate(rng, program, FUNCTIONS.alphabet) if rng.random() < 0.2 else program


def require_as_python(program: str, tests) -> str:
    """What is said of a program that is not run is what Python says; tells whether anything is."""
    given = running.follow(program, tests)
    if given is None:
        return "unknown"
    if not given.parsed:
        with pytest.raises(SyntaxError):
            compile(program, "", "exec")
        return "broken"
    assert list(given.values) == called(program, tests.arguments), program
    return "followed"


@pytest.mark.filterwarnings("ignore::SyntaxWarning")
def test_odd_lines_are_followed_as_python_has_them_or_not_at_all():
    rng = np.random.default_rng(3)
    counts = dict.fromkeys(("unknown", "broken", "followed"), 0)
    for question in questions(FUNCTIONS, 12, seed=10):
        tests = hidden_tests(Spec(*question.data[:3]))
        for _ in range(30):
            counts[require_as_python(spoilt(rng, FUNCTIONS.answer(question)), tests)] += 1
    assert min(counts.values()) > 200, counts


NO_FOLLOWED = (
    "def f(x):\n return (x*3)-7\n yield",
    "def f(x):\n if 0:\n  global f;import os\n return x*3-7",
    "def f(x):\n if 0:import x\n return x*3-7",
    "def f(x):\n n=1\n if 0:del n\n return x*3-7",
    "def f(x):\n if 0:\n  class n:pass\n return x*3-7",
    "def f(x):\n if 0:\n  try:n=1\n  except E as n:n=1\n return x*3-7",
    "def f(x):\n if 0:\n  match x:\n   case n:n=1\n return x*3-7",
    "def f(x):\n if 0:await x\n return x*3-7",
    "def f(x):\n if 0:nonlocal x\n return x*3-7",
    "def f(x):\n if 0:\n  async for n in x:n=1\n return x*3-7",
    "def f(x):\n if 0:\n  def x():return 1\n return x*3-7",
    "def f(x):\n if 0:n=lambda x:x\n return x*3-7",
    "def f(x):\n if 0:n=(n async for n in x)\n return x*3-7",
    "def f(x):\n return (y:=x*3)-7",
    "def f(x):\n return max(*[x*3-7,x*3-7])",
    "def f(x):\n if 0:n=__debug__=1\n return x*3-7",
    "__builtins__={}\ndef f(x):\n return abs(x)",
    "def f(x):\n x=[x]\n for a in (b for b in x):x.append(1)\n return 1",
    "def f(x):\n k=1\n for a in (b+k for b in [1,2,3]):k=k+1\n return a",
    "def f(x):\n k=[1]\n return [k.pop() for a in (k.append(b) for b in [1,2,3])]",
    "k=[]\ndef f(x):\n return sum(k.append(1) for b in [1,2])+len(k)",
    "def f(x):\n print(x)\n return x*3-7",
    "def f(x):\n a=['a'*300]*300\n while 1:print(a)",
    "def f(x):\n while 1:print(x)",
    "def f(x):\n a=['a'*9]*30\n b=[a]*300\n while 1:b=b[:]",
    "def f(x):\n a=[['a'*300]*300]*300\n return a",
)


@pytest.mark.parametrize("program", NO_FOLLOWED)
def test_what_python_may_have_otherwise_is_not_followed(program):
    tests = functions.Tests("number", ARGUMENTS["number"], ())
    began = time.process_time()
    given = running.follow(program, tests)
    assert given is None or not given.parsed
    assert time.process_time() - began < 0.2
    if given is not None:
        with pytest.raises(SyntaxError):
            compile(program, "", "exec")


@pytest.mark.parametrize(
    "more",
    [
        "if 0:return",
        "if 0:return 3",
        "if 0:break",
        "if 0:continue",
        "if 0:yield",
        "if 0:await f",
        "if 0:nonlocal f",
        "if 0:\n *a=1",
        "if 0:max(1,default=0,default=1)",
        "if 0:__debug__=1",
        "def g(a,a):return 1",
        "if 0:\n async for a in []:a=1",
        "if 0:a=[a async for a in []]",
        "if 0:a=[(b:=c) for b in []]",
        "def g(a):\n if 0:\n  b=1\n  global b\n return 1",
    ],
)
def test_a_program_with_an_error_in_a_line_that_is_not_reached_is_none(more):
    program = f"f=lambda x:sum(x)*2\n{more}"
    verdict = FUNCTIONS.verify(write(program), SUM)
    assert (verdict.success, verdict.reward, verdict.parsed) == (False, 0, False)
    assert FUNCTIONS.verify(write(program.split("\n")[0]), SUM).success


def test_a_generator_in_place_of_a_function_is_wrong():
    question = FUNCTIONS.understand("number: times 3, minus 7\nf(1)=-4\nf(3)=2")
    assert FUNCTIONS.verify(write("def f(x):\n return (x*3)-7"), question).success
    for program in ("def f(x):\n return (x*3)-7\n yield", "def f(x):\n yield (x*3)-7"):
        assert FUNCTIONS.verify(write(program), question).reward == 0


def test_a_program_may_stand_in_a_block():
    for task in BOTH:
        for question in questions(task, 2, seed=11):
            gold = task.answer(question)
            for text in (
                f"```python\n{gold}\n```",
                f"\n```\n{gold}\n```\n",
                f"Here it is:\n```py\n{gold}\n```",
            ):
                verdict = task.verify(write(text), question)
                assert verdict.success
                assert verdict.reward == 1
            for text in (
                f"```python\n{gold}",
                f"```\n{gold}\n```\n```\nf=lambda x:()\n```",
                f"```\n\n```\n{gold}",
            ):
                assert task.verify(write(text), question).reward == 0
    block = write("```python\ndef f(x):\n    return sum(x) * 2\n```")
    assert [v.success for v in FUNCTIONS.verify_many([(block, SUM)] * 2)] == [True, True]


def test_each_branch_makes_a_difference():
    """A branch that is left out is seen in the tests."""
    seen = 0
    for question in questions(FUNCTIONS, 12, seed=12, levels=[4, 6, 7, 8]):
        spec = Spec(*question.data[:3])
        head, _, text = question.prompt.split("\n")[0].partition(": ")
        stages = text.split(", ")
        for i, stage in enumerate(stages):
            found = re.fullmatch("(if .+ then )(.+)( else )(.+)", stage)
            if not found:
                continue
            kind = type(
                plainly(f"{head}: {', '.join(stages[:i])}", hidden_tests(spec).arguments[0])
                if i
                else hidden_tests(spec).arguments[0]
            )
            nothing = "plus 0" if kind is int else "skip 0"
            test, yes, otherwise, no = found.groups()
            for other in (f"{test}{nothing}{otherwise}{no}", f"{test}{yes}{otherwise}{nothing}"):
                without = f"{head}: {', '.join([*stages[:i], other, *stages[i + 1 :]])}"
                values = [plainly(without, x) for x in hidden_tests(spec).arguments]
                assert values != list(hidden_tests(spec).values), question.prompt
                seen += 1
    assert seen > 90


@pytest.mark.parametrize(
    "program",
    [
        "f=lambda x:" + "-" * 400 + "1",
        "f=lambda x:" + "not " * 200 + "x",
        "f=lambda x:" + "(" * 200 + "x",
        "f=lambda x:" + "([{" * 60,
        "f=lambda x:" + "{(" * 14 + "x:" * 50,
        "f=" + "lambda x:" * 90 + "x",
        "f=lambda x:" + "x[" * 29 + "0" + "]" * 29 + "[0]" * 100,
        "f=lambda x:9**9**9**9",
        "f=lambda x:'a'*10**9",
        "f=lambda x:list(range(10**9))",
        "f=lambda x:[0]*10**9",
        "f=lambda x:int('9'*300)**99**9",
        "def f(x):\n y=[]\n for i in range(40):\n  z=[]\n  y.append(z)\n  y.append(z)\n  y=z\n return y==y",
        "def f(x):\n for i in range(40):\n  x=[x,x]\n return x",
        "def f(x):\n for i in range(40):\n  x=x+x\n return x",
        "def f(x):\n x=x\n while x>-1:\n  x=x+1",
        "def f(x):\n return f(x-1)+f(x-1)",
        "f=lambda x:[[n for n in range(300)]for m in range(300)]",
        "f=lambda x:sorted(sorted(sorted(range(300))))" * 8,
    ],
)
def test_nothing_keeps_the_interpreter_long(program):
    tests = functions.Tests("number", ARGUMENTS["number"], ())
    began = time.process_time()
    running.follow(program, tests)
    assert time.process_time() - began < 1


def test_the_interpreter_gives_up_at_its_bounds():
    for text in ("x" * 1001, "(" * 31, "é=1", "'\\x00'"):
        with pytest.raises(Unknown):
            parse(text)
    tests = functions.Tests("number", tuple(range(10)), ())
    assert running.follow("f=lambda x:x+1", tests).values == tuple(map(str, range(1, 11)))
    assert (
        running.follow(f"def f(x):\n for i in range(x):\n  for j in range({STEPS}):\n   x=1", tests) is None
    )


def test_an_environment_of_functions_learns_what_its_options_say():
    env = envs.make("text/Functions-v0", n=6, level=[1, 5], split="test", seed=0)
    obs, _ = env.reset()
    task = env.dealer.entries[0].task
    answers = [task.completion(task.understand(prompt)) for prompt in obs]
    _, rewards, terminated, _, info = env.step([*answers[:3], *[write("f=lambda x:x")] * 3])
    assert terminated.all()
    assert rewards.tolist() == [1, 1, 1, 0, 0, 0]
    assert info["parts"]["tests"][:3].tolist() == [1, 1, 1]
    env.close()
