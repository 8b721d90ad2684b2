"""Errors that are told to a person in one line, and the commands that they advise."""

from __future__ import annotations

import shlex
from pathlib import Path


class UserError(Exception):
    """Bad input: what was wrong, where (file, key, value), and what would be right. Exit code 2."""


class RunError(Exception):
    """A failure while running, with what was saved and how to go on. Exit code 1."""


def in_one_line(error: BaseException) -> str:
    """What an error says, in one line; with its type where the words alone say little."""
    said = " ".join(str(error).split())
    alone = isinstance(error, (ValueError, TypeError, RuntimeError, FloatingPointError)) and said
    return said if alone else f"{type(error).__name__}: {said}".removesuffix(": ")


def command(verb: str, run: str | Path, trust: bool = False) -> str:
    """`move37 watch 'my runs/demo' --trust`: what a person can paste. `trust`: does the run name code."""
    return f"move37 {verb} {shlex.quote(str(run))}" + (" --trust" if trust else "")
