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
    "Equations": "envs.text.numbers.equations:Equations",
    "Sequences": "envs.text.numbers.sequences:Sequences",
    "Counting": "envs.text.numbers.grids:Counting",
    "KnightsAndKnaves": "envs.text.logic.knights:KnightsAndKnaves",
    "Sudoku": "envs.text.logic.sudoku:Sudoku",
    "Proof": "envs.text.logic.proofs:Proof",
    "Satisfiability": "envs.text.logic.satisfiability:Satisfiability",
    "Coloring": "envs.text.puzzles.coloring:Coloring",
    "ShortestPath": "envs.text.puzzles.shortest_path:ShortestPath",
    "Maze": "envs.text.puzzles.maze:Maze",
    "Hanoi": "envs.text.puzzles.hanoi:Hanoi",
    "River": "envs.text.puzzles.river:River",
    "Geometry": "envs.text.logic.geometry:Geometry",
    "Parity": "envs.text.words.parity:Parity",
    "Sorting": "envs.text.words.sorting:Sorting",
    "Reversal": "envs.text.words.reversal:Reversal",
    "LetterCount": "envs.text.words.letters:LetterCount",
    "Writing": "envs.text.words.writing:Writing",
    "Crossword": "envs.text.words.crossword:Crossword",
    "Arc": "envs.text.grids.arc:Arc",
    "Functions": "envs.text.code.functions:Functions",
    "Repair": "envs.text.code.repair:Repair",
    "Output": "envs.text.code.output:Output",
    "GuessNumber": "envs.text.dialogues.guess:GuessNumber",
    "Calculator": "envs.text.dialogues.calculator:Calculator",
    "Mastermind": "envs.text.dialogues.mastermind:Mastermind",
    "TwentyQuestions": "envs.text.dialogues.twenty:TwentyQuestions",
    "TextMaze": "envs.text.dialogues.maze:TextMaze",
    "PythonTool": "envs.text.dialogues.python_tool:PythonTool",
    "SmallFiles": "envs.text.dialogues.small_files:SmallFiles",
}
"""The name in an id, `text/<name>-v0`, and where the family is: all that make their problems themselves."""
OUTSIDE: dict[str, str] = {
    "Problems": "envs.text.files.kinds:open_problems",
    "ReasoningGym": "envs.text.adapters.reasoning_gym:ReasoningGym",
    "Programs": "envs.text.files.programs:open_programs",
}
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
    "Equations": "solve linear equations in one to three unknowns",
    "Sequences": "how a sequence of numbers goes on",
    "Counting": "count the paths through a grid, or the squares in it",
    "KnightsAndKnaves": "who tells the truth and who lies",
    "Sudoku": "size=9 (4 too): fill a grid so that every row, column and box holds every digit once",
    "Proof": "prove a formula, each line by a rule",
    "Satisfiability": "values for which every clause of a formula holds",
    "Coloring": "colour a graph so that no two joined vertices have the same colour",
    "ShortestPath": "a shortest path in a graph whose edges have lengths",
    "Maze": "the shortest way through a maze",
    "Hanoi": "move a tower of discs from one position to another",
    "River": "bring goods over a river, some of which must not be left alone together",
    "Geometry": "an angle that follows from others, at parallels and in triangles",
    "Parity": "is the number of ones even or odd",
    "Sorting": "put letters, numbers or words in order",
    "Reversal": "write letters or words backwards",
    "LetterCount": "count how often a letter occurs in a word or several",
    "Writing": "write words with given first letters, lengths, syllables, and without some letters",
    "Crossword": "fill a grid with words that are given, or given as scrambled letters",
    "Arc": "path=null: find the rule that turns each grid into another, and apply it",
    "Functions": "write a Python function, checked by hidden tests",
    "Repair": "mend a Python function in which one token is wrong",
    "Output": "what a small Python program prints",
    "GuessNumber": "find a secret number by being told higher or lower",
    "Calculator": "work out an expression with a calculator that does one operation at a time",
    "Mastermind": "find a secret code by being told how many of its pegs are right",
    "TwentyQuestions": "find out which thing is meant by asking what it is like",
    "TextMaze": "find the way through a maze of which only the exits are told",
    "PythonTool": "answer questions about numbers, letters and tables by programs",
    "SmallFiles": "find and mend the fault in a few files of Python",
    "Problems": "path=FILE: the problems of a local file, such as GSM8K, MATH, MBPP or multiple choice",
    "Programs": "path=FILE: programs from stdin to stdout, from a local file as APPS and CodeContests are",
    "ReasoningGym": "task=NAME, config={}: a task of the package reasoning-gym",
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
