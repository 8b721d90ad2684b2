"""Questions about numbers, letters and tables, with Python at hand: what a program prints is told.

    sum of 3,17,5,90?
    > <tool>print(3+17+5+90)</tool>
    <result>115</result>
    > <answer>115</answer>

Every call is a fresh program in the sandbox (`envs.text.sandbox`): nothing is left of those before it.
Where the question has a table, the program finds it in its standard input. Of what is printed the first 200
characters are told, or the error if there was one. A turn with neither an answer nor one whole call is told
how to call; such turns are counted (`malformed`). The first answer ends the episode.

By the strategy "steps" it works by hand, in one turn: what is to be put together, and then that, from the
left.

    sum of 3,17,5,90?
    > <think>3,17,5,90
    3+17=20
    20+5=25
    25+90=115</think><answer>115</answer>

A program is taken to print the same whenever it is run. A `<result>` that the agent writes itself counts for
nothing. See `envs.text.dialogues.data_questions` for what is asked.
"""

from __future__ import annotations

import string
import textwrap
from collections.abc import Iterable, Sequence

import numpy as np

from envs.text.dialogues import data_questions as questions
from envs.text.dialogues.spoken import answered, only, tool_call
from envs.text.lines import right_lines
from envs.text.numbers.columns import judge_number
from envs.text.parsing import END_RESULT, END_TOOL, RESULT, TOOL, read, whole_number, write
from envs.text.sandbox import Outcome, Program, shared
from envs.text.task import DIRECT, Dialogue, Question, Verdict

SECONDS = 2.0
"""A program's."""
LONGEST_PROGRAM, LONGEST_RESULT = 4000, 200
KEPT = 10_000
"""Programs whose results are kept, so that the same one is not run again."""
HELP = f"write a program, as in {TOOL}print(1+2){END_TOOL}"
SILENT = "nothing was printed"
Run = tuple[str, str]
"""A program, and what it reads."""


class PythonTool(Dialogue):
    """Answer a question by a program.

    `data` is as in `data_questions`. Right steps are those by hand, or a last program that printed the right
    answer. The parts `calls` and `malformed` are how many programs were run, and how many turns had neither
    a program nor an answer.
    """

    title = "Python tool"
    runs_programs = True
    about = "answer questions about numbers, letters and tables by programs"
    instructions = (
        "Answer the question with a number. 'count of aek in' asks how often any of these letters occurs. "
        "To run a Python program write it as in <tool>print(3+17)</tool>, one in a turn, and wait for the "
        "<result>, which is what it prints (200 characters at most). Every program starts afresh and has 2 "
        "seconds; if there is a table above the question, it is the program's standard input. You have 8 "
        "turns."
    )
    levels = len(questions.LEVELS)
    turns = 8
    strategies = ("tool", "steps")
    alphabet = "\n" + "".join(sorted(f"{string.ascii_letters}{string.digits}{string.punctuation} "))

    def generate(self, rng: np.random.Generator, level: int) -> Question:
        return _ask(questions.draw(rng, level), level)

    def understand(self, prompt: str) -> Question:
        return _ask(questions.parse(prompt), 0)

    def answer(self, question: Question) -> str:
        return str(questions.result(question.data))

    def work(self, question: Question, strategy: str) -> str:
        return "\n".join(questions.by_hand(question.data))

    def check(self, answer: str, question: Question) -> Verdict:
        return judge_number(answer, questions.result(question.data))

    def check_steps(self, steps: str, question: Question) -> float:
        return right_lines(steps, questions.by_hand(question.data))

    def chance(self, question: Question) -> float:
        """Of any number with as many digits as the answer."""
        digits = len(self.answer(question))
        return 1 / (10 if digits == 1 else 9 * 10 ** (digits - 1))

    def space(self, level: int) -> float:
        return questions.space(level)

    def reply(self, question: Question, said: Sequence[str]) -> str | None:
        return only(self.reply_many([(question, said)]))

    def reply_many(self, calls: Sequence[tuple[Question, Sequence[str]]]) -> list[str | Exception | None]:
        """All programs run beside each other."""
        runs = [_run(question, said[-1]) for question, said in calls]
        printed = _printed(runs)
        out: list[str | Exception | None] = []
        for (_, said), run in zip(calls, runs):
            found = HELP if run is None else printed[run]
            over = run is None and answered(said[-1])
            out.append(None if over else f"{RESULT}{found}{END_RESULT}" if isinstance(found, str) else found)
        return out

    def judge(self, question: Question, said: Sequence[str]) -> Verdict:
        return only(self.judge_many([(question, said)]))

    def judge_many(self, calls: Sequence[tuple[Question, Sequence[str]]]) -> list[Verdict | Exception]:
        """The last program of each is run again, unless what it printed is still known."""
        runs = [[run for text in said if (run := _run(question, text))] for question, said in calls]
        printed = _printed([run for each in runs for run in each[-1:]])
        out: list[Verdict | Exception] = []
        for (question, said), each in zip(calls, runs):
            last = printed[each[-1]] if each else ""
            out.append(last if isinstance(last, Exception) else self._judged(question, said, len(each), last))
        return out

    def script(
        self, question: Question, said: Sequence[str], heard: Sequence[str], strategy: str | None = None
    ) -> str:
        """The program, and then what it printed; by hand everything at once."""
        if strategy in (DIRECT, "steps"):
            return self.completion(question, strategy)
        call = f"{TOOL}{questions.program(question.data)}{END_TOOL}"
        for mine, theirs in zip(said, heard):
            told = theirs.removeprefix(RESULT).removesuffix(END_RESULT)
            if mine == call and whole_number(told) is not None:
                return write(told)
        return call

    def _judged(self, question: Question, said: Sequence[str], calls: int, printed: str) -> Verdict:
        """What an episode is worth, in which so many programs were run; what the last of them printed."""
        lines = "\n".join(thought for each in said if (thought := read(each).steps))
        right = whole_number(printed) == questions.result(question.data)
        steps = max(float(right), self.check_steps(lines, question) if lines else 0.0)
        final = read(said[-1]) if said else read("")
        malformed = len(said) - calls - sum(map(answered, said))
        parts = {"calls": float(calls), "malformed": float(malformed), "steps": steps, "proved": 0.0}
        if final.answer is None:
            return Verdict(0.0, False, False, final.error, parts)
        found = self.check(final.answer, question)
        parts["proved"] = float(found.success and steps == 1.0)
        return Verdict(found.reward, found.success, found.parsed, found.error, parts)


def _ask(data: questions.Data, level: int) -> Question:
    return Question(questions.spell(data), data, questions.key(data), level)


def _run(question: Question, completion: str) -> Run | None:
    """The program that a completion has run, if it answers nothing and holds one; else nothing."""
    call = None if answered(completion) else tool_call(completion)
    if call is None or not call.isascii() or len(call) > LONGEST_PROGRAM:
        return None
    program = textwrap.dedent(call).strip()
    return (program, questions.table(question.data)) if program else None


_kept: dict[Run, str] = {}
"""What programs printed."""


def _printed(runs: Iterable[Run | None]) -> dict[Run, str | Exception]:
    """What is told of each program, or why the sandbox could not run it."""
    found: dict[Run, str | Exception] = {run: _kept.get(run, "") for run in runs if run is not None}
    new = [run for run, told in found.items() if not told]
    if not new:
        return found
    try:
        outcomes = shared().run([Program(source, stdin=text, seconds=SECONDS) for source, text in new])
    except Exception as error:
        return found | dict.fromkeys(new, error)
    fresh = {run: _told(outcome) for run, outcome in zip(new, outcomes, strict=True)}
    if len(_kept) + len(fresh) > KEPT:
        _kept.clear()
    _kept.update(fresh)
    return found | fresh


def _told(outcome: Outcome) -> str:
    """What is told of what came of a program."""
    said = outcome.stdout.rstrip() or SILENT
    if outcome.status != "ok":
        said = f"error: {' '.join(outcome.error.split())}"
    return "".join(c if c in PythonTool.alphabet else "?" for c in said[:LONGEST_RESULT])
