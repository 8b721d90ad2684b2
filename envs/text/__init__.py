"""Text tasks whose answers can be checked: a file for each family, and faces that are the same for all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from envs.text.task import Task

NAMES = {
    "Addition": "envs.text.numbers.addition:Addition",
    "Subtraction": "envs.text.numbers.subtraction:Subtraction",
    "Multiplication": "envs.text.numbers.multiplication:Multiplication",
    "ChainSum": "envs.text.numbers.chain_sum:ChainSum",
    "Modular": "envs.text.numbers.modular:Modular",
    "Dag": "envs.text.numbers.dag:Dag",
    "Countdown": "envs.text.numbers.countdown:Countdown",
    "KnightsAndKnaves": "envs.text.logic.knights:KnightsAndKnaves",
    "Sudoku": "envs.text.logic.sudoku:Sudoku",
    "Proof": "envs.text.logic.proofs:Proof",
    "Parity": "envs.text.words.parity:Parity",
    "Sorting": "envs.text.words.sorting:Sorting",
    "Reversal": "envs.text.words.reversal:Reversal",
    "LetterCount": "envs.text.words.letters:LetterCount",
    "GuessNumber": "envs.text.dialogues.guess:GuessNumber",
    "Calculator": "envs.text.dialogues.calculator:Calculator",
}
"""The name in an id, `text/<name>-v0`, and where the family is: all that make their problems themselves."""
OUTSIDE: dict[str, str] = {}
"""The same of families whose problems come from elsewhere; an option of each must say from where."""
PATHS = NAMES | OUTSIDE
"""All of them."""
MIXED = "Mixed"
"""The name in the id of several families at once (`envs.text.mixed`)."""
ABOUT = {
    "Addition": "add two numbers, column by column",
    "Subtraction": "subtract two numbers, column by column",
    "Multiplication": "multiply two numbers by partial products",
    "ChainSum": "add and subtract numbers from left to right",
    "Modular": "what an expression leaves when it is divided",
    "Dag": "modulus=23, extra=1: values that are defined by other values, to a depth",
    "Countdown": "reach a number from 3 to 6 others",
    "KnightsAndKnaves": "who tells the truth and who lies",
    "Sudoku": "size=9 (4 too): fill a grid so that every row, column and box holds every digit once",
    "Proof": "prove a formula, each line by a rule",
    "Parity": "is the number of ones even or odd",
    "Sorting": "put letters, numbers or words in order",
    "Reversal": "write letters or words backwards",
    "LetterCount": "count how often a letter occurs in a word or several",
    "GuessNumber": "find a secret number by being told higher or lower",
    "Calculator": "work out an expression with a calculator that does one operation at a time",
    MIXED: "families={Addition: [1, 2], Sorting: [1]}: several of them, drawn evenly",
}


def load(name: str, options: Mapping[str, Any] | None = None) -> Task:
    """The family of a name in `PATHS` (or at an import path `package.module:Class`), made with `options`.

    Raises `OptionError` for an option that does not fit, `ValueError` for an unknown family.
    """
    from envs.nearest import suggest
    from envs.options import check_options
    from envs.paths import is_import_path, resolve
    from envs.text.task import Task

    if name not in PATHS and not is_import_path(name):
        raise ValueError(f"no family of text tasks '{name}'; {suggest(name, list(PATHS))}")
    make: Any = resolve(PATHS.get(name, name))
    check_options(f"task '{name}'", make, dict(options or {}))
    task = make(**(options or {}))
    if not isinstance(task, Task):
        raise ValueError(f"'{name}' made a {type(task).__name__}, not an envs.text.task.Task")
    return task
