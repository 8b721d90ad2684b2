"""A few small files of Python with one fault among them, to be found and mended.

    mend:hat owl
    > <tool>test</tool>
    <result>1 of 10 wrong: owl_a(4) is 5, not 19</result>
    > <tool>cat owl.py</tool>
    <result>1 # x times 3, plus 7
    2 def owl_a(x):
    3     return x * 3 - 7</result>
    > <think>owl_a 3</think><tool>edit owl.py 3     return x * 3 + 7</tool>
    <result>ok</result>
    > <tool>test</tool>
    <result>all 10 right</result>
    > <answer>done</answer>

Tools: `ls` names the files and how many lines each has; `cat FILE` shows one, its lines numbered; `grep
WORD` shows the lines of all files that have the word; `edit FILE LINE TEXT` puts another text into a line;
`test` calls functions. All files are one program, which runs in the sandbox (`envs.text.sandbox`). Anything
else is answered by which tools there are, and counted (`malformed`).

The comment above a function is right. The episode ends with an answer, and is a success where that is
`done` and the functions do what they should, for other numbers than those of `test`. The steps are what was
found in the functions that were read, a line each: `owl_a 3`, line 3 of its file is wrong, or `owl_a ok`;
the one with the fault must be among them. There are as many turns as 8 times the files, and 8 more.
"""

from __future__ import annotations

import math
import re
import string
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from envs.text.dialogues import small_programs as programs
from envs.text.dialogues.small_programs import Function, Seen, stem
from envs.text.dialogues.spoken import answered, only, tool_call
from envs.text.parsing import END_RESULT, END_THINK, END_TOOL, RESULT, THINK, TOOL, read, write
from envs.text.sandbox import Outcome, Program, shared
from envs.text.task import DIRECT, Dialogue, Question, Verdict
from envs.text.words.words import words

PROMPT, DONE, OK, TEST, NOTHING = "mend:", "done", "ok", "test", "nothing found"
HELP = "tools: ls, cat FILE, grep WORD, edit FILE LINE TEXT, test"
SECONDS = 2.0
"""A test's."""
MOST_FILES, MOST_FOUND = 15, 20
LONGEST_COMMAND, LONGEST_RESULT, LONGEST_ERROR = 300, 4000, 200
_EDIT = re.compile(r"edit ([a-z]+\.py) ([1-9][0-9]{0,3})(?: (.*))?")
_FAILED = re.compile(r"[0-9]+ of [0-9]+ wrong: ([a-z]+_[a-z])\(")
_NUMBER = re.compile(r"[0-9]+ ?")
Files = tuple[tuple[str, ...], ...]
"""The lines of each file."""
Test = tuple[str, int, int]
"""A function, a number, and what it should give."""


Tested = tuple[Files, tuple[Test, ...]]
Data = tuple[Any, ...]


class Size(NamedTuple):
    """How many files, of how many functions each."""

    files: int
    functions: int


LEVELS = (Size(2, 1), Size(2, 3), Size(4, 3), Size(6, 4), Size(10, 5), Size(15, 6))


class SmallFiles(Dialogue):
    """Find and mend the fault in a few files.

    `data` is (names of the files without `.py`, functions), functions as in `small_programs.Function`. The
    problem, of train or of test, is the names: any functions may come up. The parts `tests`, `edits` and
    `malformed` are the share of the hidden tests that are right in the end (0 without an answer), how many
    lines were put in, and how many turns had neither a tool's call nor an answer.
    """

    title = "Small files"
    runs_programs = True
    about = "find and mend the fault in a few files of Python"
    instructions = (
        "After 'mend:' stand the names of a few Python files, such as owl for owl.py, which are read as "
        "one program. One line of one function is wrong; the comment above each function says what it "
        "should do. Write one tool call in a turn and wait for its <result>: <tool>ls</tool>, <tool>cat "
        "owl.py</tool>, <tool>grep WORD</tool>, <tool>edit owl.py 3     return x + 1</tool>, which "
        "replaces line 3, or <tool>test</tool>. When the fault is mended answer <answer>done</answer>. You "
        "have 8 turns, and 8 more for each file."
    )
    levels = len(LEVELS)
    turns = 8 + 8 * MOST_FILES
    strategies = ("search",)
    alphabet = "\n" + "".join(sorted(f"{string.ascii_letters}{string.digits}{string.punctuation} "))

    def generate(self, rng: np.random.Generator, level: int) -> Question:
        size, every = LEVELS[level - 1], words()
        stems = tuple(sorted(every[i] for i in rng.permutation(len(every))[: size.files].tolist()))
        functions = programs.draw(rng, stems, size.functions)
        return _ask(stems, tuple(map(tuple, functions)), level)

    def understand(self, prompt: str) -> Question:
        """The functions are None: they are what the prompt does not tell."""
        stems = tuple(prompt.removeprefix(PROMPT).split(" "))
        right = prompt.startswith(PROMPT) and len(stems) <= MOST_FILES and list(stems) == sorted({*stems})
        if not right or not _known().issuperset(stems):
            raise ValueError(f"'{prompt:.60}' names no files, as '{PROMPT}hat owl' does (in order)")
        return _ask(stems, None, 0)

    def limit(self, question: Question) -> int:
        return 8 + 8 * len(question.data[0])

    def answer(self, question: Question) -> str:
        """What is said when the fault is mended."""
        return DONE

    def work(self, question: Question, strategy: str) -> str:
        """What is found in every function."""
        return "\n".join(sorted(_truth(question.data)))

    def check(self, answer: str, question: Question) -> Verdict:
        """Nothing was mended, so nothing is right."""
        return Verdict(0.0, False, answer == DONE, "nothing was mended", _parts(0.0, 0, 0))

    def check_steps(self, steps: str, question: Question) -> float:
        truth, lines = _truth(question.data), [line.strip() for line in steps.strip().split("\n")]
        named = any(line in truth and not line.endswith(OK) for line in lines)
        return sum(line in truth for line in lines) / len(lines) if named else 0.0

    def chance(self, question: Question) -> float:
        """Of an answer alone: nothing is mended by it."""
        return 0.0

    def space(self, level: int) -> float:
        """Choices of names: the functions are no part of the problem."""
        return float(math.comb(len(words()), LEVELS[level - 1].files))

    def reply(self, question: Question, said: Sequence[str]) -> str | None:
        return only(self.reply_many([(question, said)]))

    def reply_many(self, calls: Sequence[tuple[Question, Sequence[str]]]) -> list[str | Exception | None]:
        """All tests run beside each other."""
        out: list[str | Exception | None] = []
        tested: dict[int, Tested] = {}
        for i, (question, said) in enumerate(calls):
            files, command = _after(question.data, tuple(said[: self.turns])), _command(said[-1])
            if command == TEST:
                tested[i] = files, _shown(question.data)
            told = _told(command, question.data[0], files) or HELP
            out.append(None if answered(said[-1]) else f"{RESULT}{told}{END_RESULT}")
        for i, found in _run(tested).items():
            if isinstance(found, Exception):
                out[i] = found
            else:
                out[i] = f"{RESULT}{_failure(found, tested[i][1])}{END_RESULT}"
        return out

    def judge(self, question: Question, said: Sequence[str]) -> Verdict:
        return only(self.judge_many([(question, said)]))

    def judge_many(self, calls: Sequence[tuple[Question, Sequence[str]]]) -> list[Verdict | Exception]:
        """The hidden tests of all who said that they are done run beside each other."""
        tested: dict[int, Tested] = {}
        for i, (question, said) in enumerate(calls):
            if said and read(said[-1]).answer == DONE:
                tested[i] = _after(question.data, tuple(said[: self.turns])), _hidden(question.data)
        ran = _run(tested)
        out: list[Verdict | Exception] = []
        for i, (question, said) in enumerate(calls):
            found = ran.get(i)
            if isinstance(found, Exception):
                out.append(found)
            else:
                out.append(self._judged(question, said, _share(found, tested[i][1]) if found else 0.0))
        return out

    def script(
        self, question: Question, said: Sequence[str], heard: Sequence[str], strategy: str | None = None
    ) -> str:
        """Test; read what failed and what that calls, until one is not as its comment says; mend it."""
        search = _Search(question.data[0])
        for mine, theirs in zip(said, heard):
            search.hear(_command(mine), theirs.removeprefix(RESULT).removesuffix(END_RESULT))
        command = search.next()
        if command == DONE:
            return write(DONE)
        thought = "" if strategy == DIRECT else "\n".join(search.found)
        return (f"{THINK}{thought}{END_THINK}" if thought else "") + f"{TOOL}{command}{END_TOOL}"

    def _judged(self, question: Question, said: Sequence[str], share: float) -> Verdict:
        """What an episode is worth, at the end of which that share of the hidden tests is right."""
        commands = [_command(text) for text in said if not answered(text)]
        files = _after(question.data, ())
        told = [_told(command, question.data[0], files) for command in commands]
        malformed = told.count("")
        edits = sum(each == OK and command != TEST for each, command in zip(told, commands))
        lines = "\n".join(thought for text in said if (thought := read(text).steps))
        steps = self.check_steps(lines, question) if lines else 0.0
        final = read(said[-1]) if said else read("")
        success, parsed = share == 1.0, final.answer == DONE
        error = "" if success else "not mended" if parsed else final.error or f"the answer must be {DONE}"
        parts = _parts(share, edits, malformed) | {"steps": steps, "proved": float(success and steps == 1.0)}
        return Verdict(float(success), success, parsed, error, parts)


class _Search:
    """What the solver knows, from what it heard of the files."""

    def __init__(self, stems: Sequence[str]) -> None:
        self.stems = stems
        self.seen: dict[str, list[Seen]] = {}
        """The functions of each file that was read."""
        self.suspects: list[str] = []
        """The functions that failed."""
        self.mend = ""
        """The command that does."""
        self.tested = self.mended = False
        self.found: list[str] = []
        """The steps that follow from what was heard last."""

    def hear(self, command: str, told: str) -> None:
        """A command and what was told."""
        self.found = []
        name, _, file = command.partition(" ")
        if name == TEST:
            failed = _FAILED.match(told)
            self.suspects += [failed[1]] if failed else []
            self.tested = True
        elif name == "edit":
            self.mended, self.tested = True, False
        elif name == "cat":
            functions = programs.read([_NUMBER.sub("", line, count=1) for line in told.split("\n")])
            self.seen[file.removesuffix(".py")] = functions
            self.found = [_finding(each) for each in functions]
            wrong = [each for each in functions if each.line]
            self.mend = f"edit {file} {wrong[0].line} {wrong[0].text}" if wrong else self.mend

    def next(self) -> str:
        """The next command; `done` at the end."""
        if self.mend and not self.mended:
            return self.mend
        if not self.tested:
            return TEST
        unread = None if self.mended else self._unread()
        return DONE if unread is None else f"cat {unread}.py"

    def _unread(self) -> str | None:
        """The first file not read yet of a suspect or of what it calls, else any; None if all were read."""
        known = {each.function.name: each.function for file in self.seen.values() for each in file}
        suspects = list(dict.fromkeys(self.suspects))
        for name in suspects:
            if stem(name) in self.stems and stem(name) not in self.seen:
                return stem(name)
            suspects += [f for f in known[name].called if f not in suspects] if name in known else []
        return next((each for each in self.stems if each not in self.seen), None)


@lru_cache(maxsize=1)
def _known() -> frozenset[str]:
    """The names that files can have."""
    return frozenset(words())


def _ask(stems: tuple[str, ...], functions: tuple[Any, ...] | None, level: int) -> Question:
    asked = " ".join(stems)
    return Question(f"{PROMPT}{asked}", (stems, functions), asked, level)


def _parts(tests: float, edits: int, malformed: int) -> dict[str, float]:
    return {"tests": tests, "edits": float(edits), "malformed": float(malformed)}


def _finding(seen: Seen) -> str:
    """As a step has it."""
    return f"{seen.function.name} {seen.line or OK}"


# -- files, and what is done to them -----------------------------------------------------------------------


@lru_cache(maxsize=1024)
def _functions(data: Data) -> tuple[Function, ...]:
    return tuple(Function(*each) for each in data[1])


@lru_cache(maxsize=1024)
def _truth(data: Data) -> frozenset[str]:
    """What there is to be found, in any of the functions."""
    return frozenset(
        _finding(each) for lines in programs.files(_functions(data)) for each in programs.read(lines)
    )


@lru_cache(maxsize=1024)
def _shown(data: Data) -> tuple[Test, ...]:
    """What `test` tests."""
    functions = _functions(data)
    return programs.tests(functions, programs.tops(functions), programs.SHOWN)


@lru_cache(maxsize=1024)
def _hidden(data: Data) -> tuple[Test, ...]:
    """What is tested in the end: every function."""
    functions = _functions(data)
    return programs.tests(functions, [each.name for each in functions], programs.HIDDEN)


@lru_cache(maxsize=4096)
def _after(data: Data, said: tuple[str, ...]) -> Files:
    """The files after all that was said, which are told from those before the last of it."""
    if not said:
        return programs.files(_functions(data))
    files = _after(data, said[:-1])
    found = _EDIT.fullmatch(_command(said[-1]))
    place = _place(data[0], files, found[1], int(found[2])) if found else None
    if found is None or place is None:
        return files
    file, line = place
    lines = (*files[file][:line], found[3] or "", *files[file][line + 1 :])
    return (*files[:file], lines, *files[file + 1 :])


def _place(stems: Sequence[str], files: Files, file: str, line: int) -> tuple[int, int] | None:
    """The places of a file and of a line in it, from 0 on; None where there is none."""
    names = [f"{each}.py" for each in stems]
    if file not in names or not 1 <= line <= len(files[names.index(file)]):
        return None
    return names.index(file), line - 1


def _command(completion: str) -> str:
    """What a tool is asked, in one line; nothing where that is not so, or where there is an answer."""
    call = ("" if answered(completion) else tool_call(completion) or "").strip()
    return call if call.isascii() and call.isprintable() and len(call) <= LONGEST_COMMAND else ""


def _told(command: str, stems: Sequence[str], files: Files) -> str:
    """What a command is answered, but for what `test` finds; nothing where it is none."""
    name, _, rest = command.partition(" ")
    if command == TEST:
        return OK
    if command == "ls":
        return "\n".join(f"{each}.py {len(lines)}" for each, lines in zip(stems, files))
    if name == "grep" and rest:
        numbered = [
            f"{each}.py {line}" for each, lines in zip(stems, files) for line in _numbered(lines, rest)
        ]
        return "\n".join(numbered[:MOST_FOUND])[:LONGEST_RESULT] or NOTHING
    if name == "cat" and (place := _place(stems, files, rest, 1)):
        return "\n".join(_numbered(files[place[0]]))[:LONGEST_RESULT]
    edit = _EDIT.fullmatch(command)
    return OK if edit and _place(stems, files, edit[1], int(edit[2])) else ""


def _numbered(lines: Sequence[str], word: str = "") -> list[str]:
    """Lines that have a word, with their numbers."""
    return [f"{i} {line}" for i, line in enumerate(lines, 1) if word in line]


# -- tests -------------------------------------------------------------------------------------------------


def _run(tested: Mapping[int, Tested]) -> dict[int, Outcome | Exception]:
    """What came of each test, or why the sandbox could not run it; the same test is run once."""
    different = list(dict.fromkeys(tested.values()))
    if not different:
        return {}
    asked = [
        Program(
            "\n".join("\n".join(lines) for lines in files),
            calls=tuple((name, (x,)) for name, x, _ in tests),
            seconds=SECONDS,
        )
        for files, tests in different
    ]
    try:
        ran: Sequence[Outcome | Exception] = shared().run(asked)
    except Exception as error:
        ran = [error] * len(asked)
    found = dict(zip(different, ran, strict=True))
    return {i: found[each] for i, each in tested.items()}


def _wrong(outcome: Outcome, tests: Sequence[Test]) -> list[tuple[Test, str]]:
    """The tests that are not right, and what was given instead, or nothing."""
    given = [*outcome.values, *[""] * len(tests)]
    return [(test, text) for test, text in zip(tests, given) if text != str(test[2])]


def _share(outcome: Outcome, tests: Sequence[Test]) -> float:
    """Of the tests, those that are right."""
    return 1 - len(_wrong(outcome, tests)) / len(tests)


def _failure(outcome: Outcome, tests: Sequence[Test]) -> str:
    """What `test` tells."""
    wrong = _wrong(outcome, tests)
    if not wrong:
        return f"all {len(tests)} right"
    (name, x, right), text = wrong[0]
    said = f"{name}({x}) is {text:.40}, not {right}" if text else outcome.error
    told = f"{len(wrong)} of {len(tests)} wrong: {' '.join(said.split())}"[:LONGEST_ERROR]
    return "".join(c if c in SmallFiles.alphabet else "?" for c in told)
