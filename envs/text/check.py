"""What every family must hold to, checked on random problems: `check_task`."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from envs.paths import resolve
from envs.text import load
from envs.text.deal import Entry
from envs.text.episode import Episode, let_solve, speak
from envs.text.parsing import ANSWER, END_ANSWER, END_THINK, TAGS, THINK, number, plain, whole_number, write
from envs.text.task import DIRECT, Dialogue, Question, Task, Verdict
from envs.text.verifiers import Verifiers

WRONG = 20
"""Mutated answers a problem."""
LINES = 12
"""Step lines a strategy that are mutated, at most."""
CONSTANT = 400
"""Problems of a level on which the best constant answer is measured."""
SEED = 37
HUGE = 100_000
Judge = Callable[[str, Question], bool]
PLAIN = (int, float, str, bool, type(None))


def check_task(
    task: Task,
    problems: int = 200,
    seed: int = 0,
    *,
    right: Judge | None = None,
    right_steps: Judge | None = None,
    seconds: float = 1.0,
) -> None:
    """Make about `problems` problems, evenly over the levels, and hold the family to its contract.

    Answers and steps are mutated, and must then be wrong. A mutant may be right by another way; whether it is
    must not be asked of the family itself. So `right` and `right_steps` say it, judges of an answer and of
    worked steps that are written apart from the family. Without them the family's own answer counts as the
    only one (in any normal form), and so do its own steps.

    Raises `AssertionError` with one line: what is wrong, and for which prompt. It cannot tell whether a
    consistent family is the one that was meant. `seconds` is the longest that a verdict may take.
    """
    check_description(task)
    keys: dict[str, str] = {}
    for level in range(1, task.levels + 1):
        rng = np.random.default_rng([seed, level])
        cases = [
            _case(task, rng, level, right, right_steps, seconds) for _ in range(-(-problems // task.levels))
        ]
        others = [task.answer(case.question) for case in cases]
        for i, case in enumerate(cases):
            check_question(case)
            if isinstance(task, Dialogue):
                check_dialogue(case)
            else:
                key = keys.setdefault(case.question.prompt, case.question.key)
                case.require(key == case.question.key, "equal prompts have different keys")
                check_right(case)
                check_steps(case, rng)
            check_wrong(case, rng, others)
            if i == 0:  # it takes as long as fifty others
                check_garbage(case)
        check_constant(task, level)


class Case:
    """One problem, and what is asked of the family about it."""

    def __init__(
        self, task: Task, question: Question, right: Judge | None, right_steps: Judge | None, seconds: float
    ) -> None:
        self.task, self.question, self.seconds = task, question, seconds
        self.right = right or self._only_answer
        self.right_steps = right_steps or self._only_steps

    def require(self, holds: Any, said: str) -> None:
        """Raise `AssertionError` where something does not hold."""
        if not holds:
            where = f"level {self.question.level}, {self.question.prompt!r}"
            raise AssertionError(f"{self.task.title}: {said} ({where:.300})")

    def verify(self, completion: str, what: str) -> Verdict:
        """The verdict on a completion, which must be one, and in time."""
        for again in (False, True):  # the first time something may have to be compiled, or a machine pauses
            started = time.perf_counter()
            try:
                verdict = self.task.verify(completion, self.question)
            except Exception as error:
                self.require(False, f"verify raises {type(error).__name__}: {error!s:.80} for {what}")
            if time.perf_counter() - started < self.seconds:
                break
            self.require(not again, f"verify takes too long for {what}")
        self.require(0 <= verdict.reward <= 1, f"the reward of {what} is {verdict.reward}")
        steps, proved = verdict.parts["steps"], verdict.parts["proved"]
        self.require(0 <= steps <= 1, f"the steps of {what} are worth {steps}")
        self.require(proved == (verdict.success and steps == 1), f"proved is {proved} for {what}")
        self.require(verdict.parsed or not verdict.success, f"{what} is right and was not parsed")
        return verdict

    def episode(self) -> tuple[Episode, Verifiers]:
        """The problem as one that can be talked about."""
        entry = Entry(self.task.title, self.task, self.question.level, {})
        verifiers = Verifiers({entry.name: (self.task, {})}, deadline=0)
        return Episode(entry, self.question, self.question.prompt), verifiers

    def require_wrong(self, completion: str, what: str) -> None:
        """A completion must not be a success, nor earn as much."""
        verdict = self.verify(completion, what)
        self.require(not verdict.success and verdict.reward < 1, f"{what} is taken as right")

    def _only_answer(self, answer: str, question: Question) -> bool:
        return same(answer, self.task.answer(question))

    def _only_steps(self, steps: str, question: Question) -> bool:
        return any(steps == self.task.work(question, strategy) for strategy in self.task.strategies)


# -- what is checked ---------------------------------------------------------------------------------------


def check_description(task: Task) -> None:
    """What a family says of itself."""

    def require(holds: Any, said: str) -> None:
        if not holds:
            raise AssertionError(f"{type(task).__name__}: {said}")

    for name in ("title", "about", "instructions", "alphabet"):
        text = getattr(task, name, None)
        require(isinstance(text, str) and text, f"{name} must be a text, not {text!r:.60}")
    require("\n" not in task.about, "about must be one line")
    require(
        isinstance(task.levels, int) and task.levels >= 1, f"levels count from 1, not {task.levels!r:.60}"
    )
    require(len(set(task.alphabet)) == len(task.alphabet), "the alphabet has a character twice")
    ways = task.strategies
    require(isinstance(ways, tuple) and ways, "strategies must be a tuple of one or more names")
    require(
        DIRECT not in ways and len(set(ways)) == len(ways), f"strategies must differ, and from '{DIRECT}'"
    )
    require(task.turns >= 1, f"turns count from 1, not {task.turns}")
    require(task.turns == 1 or isinstance(task, Dialogue), "only a Dialogue has several turns")
    for level in range(1, task.levels + 1):
        try:
            require(task.space(level) >= 1, f"level {level} has {task.space(level)} problems")
        except NotImplementedError:
            return


def check_question(case: Case) -> None:
    """The problem itself: plain data, in the alphabet, understood from its prompt, with a chance."""
    task, question = case.task, case.question
    case.require(_is_plain(question.data), f"its data is not plain: {question.data!r:.80}")
    case.require(question.prompt and isinstance(question.prompt, str), "it has no prompt")
    case.require(isinstance(question.key, str) and question.key, "it has no key")
    _check_alphabet(case, question.prompt, "the prompt")
    try:
        read = task.understand(question.prompt)
    except ValueError as error:
        case.require(False, f"its own prompt is not understood: {error}")
    if isinstance(task, Dialogue):
        case.require(read.prompt == question.prompt, f"its prompt is understood as '{read.prompt:.80}'")
        case.require(read.key == question.key, "its key holds what the prompt does not tell")
    else:
        case.require(read == replace(question, level=0), f"its prompt is understood as {read!r:.160}")
    chance = task.chance(question)
    case.require(0 <= chance < 1, f"chance is {chance}")


def check_right(case: Case) -> None:
    """The family's own answers, worked out in each way and in other dress, are right."""
    task, question = case.task, case.question
    for strategy in (DIRECT, *task.strategies):
        completion = task.completion(question, strategy)
        what = f"its own answer by '{strategy}'"
        verdict, worked = case.verify(completion, what), float(strategy != DIRECT)
        right = verdict.success and verdict.reward == 1 and verdict.parsed and not verdict.error
        case.require(right, f"{what} is taken as wrong: {verdict.error}")
        case.require(verdict.parts["steps"] == worked, f"the steps of {what} are {verdict.parts['steps']}")
        _check_alphabet(case, completion, what)
    answer = task.answer(question)
    for dressed in dresses(answer):
        verdict = case.verify(write(dressed), f"its answer as {dressed!r}")
        case.require(verdict.success, f"its answer is wrong when it is written {dressed!r:.80}")
    case.require(case.right(answer, question), "the judge finds its answer wrong")
    twice = f"{write(answer)} so {write(f' {answer} ')}"
    case.require(case.verify(twice, "the same answer twice").success, "the same answer twice is wrong")


def check_wrong(case: Case, rng: np.random.Generator, others: Sequence[str]) -> None:
    """Mutated answers are wrong, unless the judge says they are right; so are other problems' answers."""
    task, question = case.task, case.question
    answer, there = task.answer(question), set(others)
    mutants = [mutate(rng, answer, task.alphabet) for _ in range(2 * WRONG)][: WRONG - 4]
    mutants += rng.choice(sorted(there), size=4).tolist()
    for mutant in mutants:
        if not case.right(mutant, question):
            case.require_wrong(write(mutant), f"the wrong answer {mutant!r:.80}")


def check_steps(case: Case, rng: np.random.Generator) -> None:
    """A line that is changed, missing, twice, or out of place: the steps are worth less than 1."""
    task, question = case.task, case.question
    for strategy in task.strategies:
        work = task.work(question, strategy)
        lines = work.split("\n")
        case.require(work and all(lines), f"the steps of '{strategy}' have an empty line")
        at = rng.permutation(len(lines))[:LINES].tolist()
        changed = [[*lines[:i], mutate(rng, lines[i], task.alphabet), *lines[i + 1 :]] for i in at]
        changed += [[*lines[:i], *lines[i + 1 :]] for i in at]
        changed += [[*lines[: i + 1], *lines[i:]] for i in at]
        changed += [[*lines[:i], lines[i + 1], lines[i], *lines[i + 2 :]] for i in at if i + 1 < len(lines)]
        changed += [[*lines, "?"], ["?", *lines], lines * 2, ["?"], [work[: len(work) // 2]]]
        changed += [[task.answer(question)], [f"{question.prompt}{task.answer(question)}"]]
        for steps in map("\n".join, changed):
            if not steps or case.right_steps(steps, question):
                continue
            what = f"the steps {short(steps, 160)} (of '{strategy}')"
            verdict = case.verify(write(task.answer(question), steps), what)
            case.require(verdict.parts["steps"] < 1, f"{what} are all taken as right")
            case.require(verdict.success, f"{what} make its right answer wrong")


def check_garbage(case: Case) -> None:
    """Nothing makes it raise or take long, and nothing but an answer is one."""
    task, question = case.task, case.question
    answer = task.answer(question)
    strange = [*garbage(), *hacks(answer, question.prompt)]
    for text in strange:
        case.require_wrong(text, f"{short(text)}")
    for text in ("", answer, f"the answer is {answer}", f"{THINK}{write(answer)}{END_THINK}"):
        case.require(not case.verify(text, f"{short(text)}").parsed, f"{short(text)} is parsed as an answer")
    for text in garbage():
        verdict = case.verify(f"{THINK}{text}{END_THINK}{write(answer)}", f"the steps {short(text)}")
        case.require(verdict.parts["steps"] < 1, f"the steps {short(text)} are taken as right")
    for text in ("", " ", "\0", "?", f"{question.prompt}\n?", f"?{question.prompt}", "٣" * 9, "(" * HUGE):
        check_not_understood(case, text)
    for text in strange if isinstance(task, Dialogue) else ():
        check_said_again(case, text)


def check_not_understood(case: Case, text: str) -> None:
    """What is no prompt of the family is refused, and in the right way."""
    try:
        case.task.understand(text)
    except ValueError:
        return
    except Exception as error:
        case.require(False, f"understand raises {type(error).__name__} for {short(text)}, not ValueError")
    case.require(False, f"another text is understood as a problem: {short(text)}")


def check_said_again(case: Case, text: str) -> None:
    """A dialogue in which nothing else is said ends without an error, and in no success."""
    episode, verifiers = case.episode()
    while not episode.over:
        (turn,) = speak([episode], [text], verifiers)
    verdict, what = turn.verdict, f"{short(text)}, again and again,"
    assert verdict is not None
    case.require(not turn.failed, f"{what} makes it raise: {verdict.error}")
    case.require(not verdict.success and verdict.reward < 1, f"{what} is taken as right")


def check_dialogue(case: Case) -> None:
    """A solver that knows what was told to it gets there within the turns; garbage ends too."""
    task = case.task
    for strategy in (None, *task.strategies):
        episode = let_solve(*case.episode(), strategy)
        what = f"the solver's dialogue by '{strategy}'"
        for text in (*episode.said, *(turn.told for turn in episode.turns)):
            _check_alphabet(case, text, what)
        last = episode.turns[-1]
        assert last.verdict is not None
        right = last.terminated and last.verdict.success and last.verdict.reward == 1
        case.require(right, f"{what} fails: {last.verdict.error}")


def check_constant(task: Task, level: int) -> None:
    """No answer that is always the same solves more than its share of a level."""
    answer, share = best_constant(task, level)
    if share <= task.constant:
        return
    most = max(task.constant, float(np.mean([task.chance(each) for each in measured(task, level)])) + 0.1)
    if share > most:
        said = f"{short(answer, 40)} solves {share:.0%} of level {level}, and {most:.0%} at most is allowed"
        raise AssertionError(f"{task.title}: the answer {said}; see Task.constant")


def best_constant(task: Task, level: int) -> tuple[str, float]:
    """The most frequent of the family's own answers, and the share of `measured` that it solves."""
    questions = measured(task, level)
    ((answer, _),) = Counter(map(task.answer, questions)).most_common(1)
    return answer, float(np.mean([task.check(answer, question).success for question in questions]))


def measured(task: Task, level: int) -> list[Question]:
    """Problems of a level, always the same ones."""
    rng = np.random.default_rng([SEED, level])
    return [task.generate(rng, level) for _ in range(CONSTANT)]


# -- texts ---------------------------------------------------------------------------------------------------


def same(one: str, other: str) -> bool:
    """Whether two answers differ in their dress at most: spaces, case, or the way to write one number."""
    if number(one) is not None and number(one) == number(other):
        return True
    return "".join(plain(one).split()).casefold() == "".join(plain(other).split()).casefold()


def short(text: str, most: int = 80) -> str:
    """How a text begins, quoted."""
    return f"{text[:most]!r:.{most}}"


def mutate(rng: np.random.Generator, text: str, alphabet: str) -> str:
    """`text` with one character changed, added or taken away, two neighbours swapped, or cut, or doubled."""
    characters = [c for c in alphabet if not c.isspace()]
    places = [i for i, c in enumerate(text) if not c.isspace()]
    kind, i = int(rng.integers(8)), places[int(rng.integers(len(places)))]
    c = characters[int(rng.integers(len(characters)))]
    if kind < 3 or (kind > 4 and len(text) < 2):
        return text[:i] + c + text[i + 1 :]
    if kind == 3:
        return text[:i] + c + text[i:]
    if kind == 4:
        return text + text
    if kind == 5:
        return text[:i] + text[i + 1 :]
    if kind == 6:
        return text[:i] + text[i + 1 : i + 2] + text[i] + text[i + 2 :]
    return text[: len(text) // 2]


def dresses(answer: str) -> Iterator[str]:
    """Other ways to write the same answer."""
    yield f"  {answer}\n"
    wide = "".join(chr(ord(c) + 0xFEE0) if c.isdigit() else c for c in answer)
    yield wide.replace("-", "\u2212")
    value = whole_number(answer)
    if value is not None:
        yield from (
            f"{value:,}",
            f"${value}$",
            f"\\boxed{{{value}}}",
            f"{value}.",
            f"{value}.0",
            f"{value:+}",
        )


def garbage() -> Iterator[str]:
    """Texts that answer nothing."""
    for text in ("", " ", "\n", "\0", "None", "nan", "inf", "-", "+", ".", ",", "=", "()", "\ud800", "💥"):
        yield text
        yield f"{ANSWER}{text}{END_ANSWER}"
    for text in ("1e999", "0x1", "9**9**9**9", "1/0", "__import__('os').abort()", "x²", "١٢", "\\boxed{"):
        yield f"{ANSWER}{text}{END_ANSWER}"
    for text in ("9" * HUGE, "(" * HUGE, "-" * HUGE, "1+" * HUGE, "\n" * HUGE, "a b " * HUGE, "é" * HUGE):
        yield f"{ANSWER}{text}{END_ANSWER}"
    for text in ("9" * 4000, "(" * 2000 + ")" * 2000, "1+" * 2000, "a\n" * 2000, ", " * 2000, "1 " * 2000):
        yield f"{ANSWER}{text}{END_ANSWER}"
    for tag in TAGS:
        yield tag
        yield tag * 2000
    yield ANSWER + END_ANSWER
    yield END_ANSWER + ANSWER
    yield THINK + ANSWER + END_THINK + END_ANSWER
    yield f"{ANSWER}{ANSWER}{END_ANSWER}{END_ANSWER}"


def hacks(answer: str, prompt: str) -> Iterator[str]:
    """Texts that hold a right answer without giving it as the one answer."""
    yield write(f"{answer} ? {answer}")
    yield write(f"?{answer}")
    yield write(f"{answer} or not")
    yield write(f"the answer is {answer}, I think")
    yield f"{ANSWER}{answer}"
    yield f"{answer}{END_ANSWER}"
    yield f"{write(answer)}{write('?')}"
    yield f"{write('?')}{write(answer)}"
    yield f"{write(answer)}{THINK}no{END_THINK}{write('?')}"
    yield f"{write(answer)}{THINK}no{END_THINK}"
    yield write(f"{prompt}{answer}")
    yield write(" ".join(map(str, range(-99, 999))))


def _case(
    task: Task,
    rng: np.random.Generator,
    level: int,
    right: Judge | None,
    right_steps: Judge | None,
    seconds: float,
) -> Case:
    """A fresh problem, which must depend on nothing but the generator."""
    before = rng.bit_generator.state
    question = task.generate(rng, level)
    after = rng.bit_generator.state
    rng.bit_generator.state = before
    again = task.generate(rng, level)
    case = Case(task, question, right, right_steps, seconds)
    case.require(question == again, f"the same generator makes another problem, '{again.prompt:.80}'")
    case.require(rng.bit_generator.state == after, "the same generator is drawn from differently")
    case.require(question.level == level, f"its level is {question.level}, not {level}")
    return case


def _is_plain(data: Any) -> bool:
    return type(data) in PLAIN or (type(data) is tuple and all(map(_is_plain, data)))


def _check_alphabet(case: Case, text: str, what: str) -> None:
    for tag in TAGS:
        text = text.replace(tag, "")
    strange = sorted(set(text) - set(case.task.alphabet))
    case.require(not strange, f"{what} has {strange!r:.60}, which the alphabet lacks")


# -- from the shell ----------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m envs.text.check my_tasks:Proofs` says in a line whether it holds.

    Returns the exit code: 0 where it does, 1 where it does not, 2 where there is no such family or judge.
    """
    parser = argparse.ArgumentParser(prog="python -m envs.text.check", description=__doc__)
    parser.add_argument("task", metavar="NAME", help="package.module:Class, or a family of this suite")
    parser.add_argument("--problems", type=int, default=200, metavar="N", help="about so many (200)")
    parser.add_argument("--right", metavar="PATH", help="package.module:function, a judge of answers")
    parser.add_argument("--right-steps", metavar="PATH", help="a judge of worked steps")
    given = parser.parse_args(arguments)
    try:
        task = load(given.task)
        judges = [path and resolve(path) for path in (given.right, given.right_steps)]
    except Exception as error:  # what a user's module does as it is imported
        print(f"{type(error).__name__}: {error}" if type(error) is not ValueError else error, file=sys.stderr)
        return 2
    try:
        check_task(task, given.problems, right=judges[0], right_steps=judges[1])
    except AssertionError as error:
        print(error)
        return 1
    except Exception as error:
        print(f"{task.title}: raises {type(error).__name__}: {error}")
        return 1
    print(f"{task.title}: holds on {given.problems} problems, levels 1 to {task.levels}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
