"""The cards of the families in `docs/families.md`, made from the families themselves.

python -m envs.text.card docs/families.md    writes them anew, between the page's two markers
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from envs.text import NAMES, load
from envs.text.check import best_constant
from envs.text.deal import Entry
from envs.text.episode import Episode, let_solve
from envs.text.split import space_of
from envs.text.task import DIRECT, Dialogue, Task
from envs.text.verifiers import Verifiers

BEGIN, END = "<!-- cards -->\n", "<!-- /cards -->\n"
PROBLEMS = 20
"""A level, from which lengths and chance are told."""
SEED = 37
LINES = 20
"""Of an example, at most."""


def cards() -> str:
    """All cards."""
    return "\n".join(card(name) for name in NAMES)


def card(name: str) -> str:
    """A family's card: what it asks, what a right completion looks like, and how hard each level is."""
    task = load(name)
    ways = ", ".join(f"`{way}`" for way in (*task.strategies, DIRECT))
    shown = "".join(c for c in task.alphabet if not c.isspace())
    lines = [
        f"### {task.title}",
        "",
        f"`text/{name}-v0`: {task.about}. Strategies: {ways}. Characters: `` {shown} ``"
        + (", space" if " " in task.alphabet else "")
        + (", new line" if "\n" in task.alphabet else "")
        + (f". Turns: {task.turns}" if isinstance(task, Dialogue) else "")
        + ".",
        "",
        f"> {' '.join(task.instructions.split())}",
        "",
    ]
    for strategy in task.strategies:
        lines += [f"By `{strategy}`:", "", "```text", *example(name, task, strategy), "```", ""]
    lines += [
        "| level | problems | chance | best constant | prompt | completion |",
        "|---|---|---|---|---|---|",
    ]
    lines += [row(name, task, level) for level in range(1, task.levels + 1)]
    lines += [line for strategy in task.strategies for line in one_liners(task, strategy)]
    return "\n".join([*lines, ""])


def one_liners(task: Task, strategy: str) -> list[str]:
    """At which levels a strategy's steps can be the problem with its answer behind it, and no more."""
    levels = []
    for level in range(1, task.levels + 1):
        rng = np.random.default_rng([SEED, level])
        questions = [task.generate(rng, level) for _ in range(PROBLEMS)]
        if any(task.work(q, strategy) == f"{q.prompt}{task.answer(q)}" for q in questions):
            levels.append(str(level))
    if not levels:
        return []
    which = ", ".join(levels)
    return [
        "",
        f"By `{strategy}` all the work of levels {which} is one line, the problem with its answer: there",
        "`proved` asks no more than `success` and that line.",
    ]


def example(name: str, task: Task, strategy: str) -> list[str]:
    """A problem of the third level, or of the last, and what the solver says."""
    shown = solved(name, task, min(3, task.levels), strategy, SEED).transcript().split("\n")
    return shown if len(shown) <= LINES else [*shown[: LINES - 3], "…", *shown[-2:]]


def row(name: str, task: Task, level: int) -> str:
    """A level: how many problems there are, how likely a guess is right, and the longest texts seen."""
    episodes = [solved(name, task, level, task.strategies[0], SEED + i) for i in range(PROBLEMS)]
    chance = float(np.mean([task.chance(e.question) for e in episodes]))
    _, constant = best_constant(task, level)
    prompt = max(len(e.question.prompt) for e in episodes)
    completion = max(sum(map(len, e.said)) for e in episodes)
    space = space_of(task, level)
    problems = "" if space is None else count(space)
    return f"| {level} | {problems} | {odds(chance)} | {100 * constant:.1f} % | {prompt} | {completion} |"


def solved(name: str, task: Task, level: int, strategy: str, seed: int) -> Episode:
    """A problem that the family's own solver has solved."""
    entry = Entry(name, task, level, {})
    question = task.generate(np.random.default_rng([seed, level]), level)
    verifiers = Verifiers({name: (task, {})}, deadline=0)
    return let_solve(Episode(entry, question, question.prompt), verifiers, strategy)


def count(number: float) -> str:
    """A large number, shortly: `55`, `4,095`, `4·10⁹`."""
    if number < 1e5:
        return f"{number:,.0f}"
    digits, power = f"{number:.0e}".split("e")
    return f"{digits}·10{str(int(power)).translate(str.maketrans('0123456789', '⁰¹²³⁴⁵⁶⁷⁸⁹'))}"


def odds(chance: float) -> str:
    """A probability as `1 in 19`."""
    return f"1 in {count(1 / chance)}" if chance > 0 else "0"


def main(arguments: Sequence[str]) -> None:
    """Write the cards into a page, or show them."""
    if not arguments:
        print(cards(), end="")
    for path in map(Path, arguments):
        before, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
        path.write_text(
            before + BEGIN + "\n" + cards() + "\n" + END + rest.partition(END)[2], encoding="utf-8"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
