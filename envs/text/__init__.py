"""Text tasks whose answers can be checked: a file for each family, and faces that are the same for all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from envs.text.task import Task

NAMES = {
    "Addition": "envs.text.addition:Addition",
    "Subtraction": "envs.text.subtraction:Subtraction",
    "Multiplication": "envs.text.multiplication:Multiplication",
    "ChainSum": "envs.text.chain_sum:ChainSum",
    "Modular": "envs.text.modular:Modular",
    "Dag": "envs.text.dag:Dag",
    "Countdown": "envs.text.countdown:Countdown",
    "KnightsAndKnaves": "envs.text.knights:KnightsAndKnaves",
    "Sudoku": "envs.text.sudoku:Sudoku",
    "Proof": "envs.text.proofs:Proof",
    "Parity": "envs.text.parity:Parity",
    "Sorting": "envs.text.sorting:Sorting",
    "Reversal": "envs.text.reversal:Reversal",
    "LetterCount": "envs.text.letters:LetterCount",
    "GuessNumber": "envs.text.guess:GuessNumber",
    "Calculator": "envs.text.calculator:Calculator",
}
"""The name in an id, `text/<name>-v0`, and where the family is."""
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
    """The family of a name in `NAMES` (or at an import path `package.module:Class`), made with `options`.

    Raises `OptionError` for an option that does not fit, `ValueError` for an unknown family.
    """
    from envs.nearest import suggest
    from envs.options import check_options
    from envs.paths import is_import_path, resolve
    from envs.text.task import Task

    if name not in NAMES and not is_import_path(name):
        raise ValueError(f"no family of text tasks '{name}'; {suggest(name, list(NAMES))}")
    make: Any = resolve(NAMES.get(name, name))
    check_options(f"task '{name}'", make, dict(options or {}))
    task = make(**(options or {}))
    if not isinstance(task, Task):
        raise ValueError(f"'{name}' made a {type(task).__name__}, not an envs.text.task.Task")
    return task
