"""What `move37 eval --tasks` takes, and what it does."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from move37.arguments import print_json

Tasks = Annotated[
    str | None, typer.Option(metavar="FILE", help="Problems to solve instead: GSM8K, MATH, … as JSONL.")
]
Format = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Of the file: gsm8k, …, or programs. [default: by its fields]"),
]
Template = Annotated[
    str | None,
    typer.Option(metavar="TEXT", help="How to ask, with {question} in it and \\n for a new line."),
]
Shots = Annotated[
    int | None,
    typer.Option(min=0, metavar="N", help="Of the first problems, those shown solved. [default: 0]"),
]
Answer = Annotated[
    str | None,
    typer.Option(metavar="WAY", help="tags, boxed, hash, last_number, code or likelihood. [default: tags]"),
]
Tries = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="At each problem; their mean is told. [default: 1]")
]
MaxNew = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Tokens of an answer at most. [default: the run's]")
]


def refuse(given: Mapping[str, Any], said: str) -> None:
    """Raise `UserError` where an option is given that is out of place here; `said` is why."""
    from move37.errors import UserError

    for name, value in given.items():
        if value is not None:
            raise UserError(f"--{name.replace('_', '-')} is {said}")


def evaluate(run: Path, file: str, given: Mapping[str, Any], how: Mapping[str, Any], json: bool) -> None:
    """Have a language model solve the problems of a file, and tell how many it does."""
    from move37.file_exam import Paper, examine, tell

    rest = {name: given[name] for name in ("format", "template", "shots") if given[name] is not None}
    if "template" in rest:
        rest["template"] = rest["template"].replace("\\n", "\n")
    options = {name: given[name] for name in ("tries", "max_new") if given[name] is not None}
    told = examine(run, Paper(file, given["answer"], rest), **options, **how, report=_tell_progress)
    if json:
        print_json({"run": run, "checkpoint": how["checkpoint"], **told})
        return
    tell(run, told)


def _tell_progress(done: int, of: int) -> None:
    """How far it is, in a terminal only, in a line that vanishes."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{done:,} of {of:,} texts" if done < of else "\r\x1b[K", end="", file=sys.stderr)
        sys.stderr.flush()
