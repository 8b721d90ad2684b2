"""Tasks of ARC in JSON, as its repositories have them: a file a task, with its examples and its tests.

{"train": [{"input": [[0, 5], [5, 0]], "output": [[5, 0], [0, 5]]}, …], "test": [{"input": …, "output": …}]}

A file may also have many of them by name, as its competitions do: {"007bbfb7": {"train": …, "test": …}, …}
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from envs.options import OptionError

FORM = 'a task of ARC is {"train": [{"input", "output"}, …], "test": [{"input", "output"}, …]}'
SIDE = 30
"""Rows and columns of a grid, at most."""
Pair = tuple[str, str]
Problem = tuple[tuple[Pair, ...], str, str]
"""(examples, input, output) of a test, grids as rows of digits."""


def read_problems(path: str) -> list[Problem]:
    """All problems of a file, or of all `*.json` files of a folder, by name; one for each test input.

    Raises `OptionError`, which says what is wrong in which file and field.
    """
    place = Path(path).expanduser()
    if not place.exists():
        raise OptionError("path", f"path: there is no file or folder '{path}'")
    files = sorted(place.glob("*.json")) if place.is_dir() else [place]
    if not files:
        raise OptionError("path", f"path: the folder '{path}' has no .json files")
    return [problem for file in files for problem in _problems(file)]


def _problems(file: Path) -> Iterator[Problem]:
    try:
        text = file.read_text(encoding="utf-8")
        if not text.strip():
            raise OptionError("path", f"{file}: is empty; {FORM}")
        found = json.loads(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":
            raise OptionError("path", f"{file}: has several JSON texts, as JSONL does; {FORM}") from None
        raise OptionError("path", f"{file}: line {error.lineno} is no JSON: {error.msg}; {FORM}") from None
    except RecursionError:
        raise OptionError("path", f"{file}: lists are nested too deeply") from None
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError("path", f"{file}: cannot be read as text: {error}") from None
    fields = found if isinstance(found, dict) else {}
    named = {f"{name}.": task for name, task in fields.items() if isinstance(task, dict)}
    for where, task in (named if fields and len(named) == len(fields) else {"": fields}).items():
        yield from _of_task(file, where, task)


def _of_task(file: Path, where: str, task: dict[str, Any]) -> Iterator[Problem]:
    """A problem for each test input. `where` is the task's name and a dot, where it has one."""
    train = [_pair(file, f"{where}train[{i}]", pair) for i, pair in _listed(file, where, task, "train")]
    for i, pair in _listed(file, where, task, "test"):
        yield (tuple(train), *_pair(file, f"{where}test[{i}]", pair))


def _listed(file: Path, where: str, task: dict[str, Any], field: str) -> Iterator[tuple[int, Any]]:
    found = task.get(field)
    if not isinstance(found, list) or not found:
        raise OptionError("path", f"{file}: '{where}{field}' must be a list of one or more pairs; {FORM}")
    return enumerate(found)


def _pair(file: Path, where: str, pair: Any) -> Pair:
    if not isinstance(pair, dict):
        raise OptionError("path", f"{file}: {where} must have an 'input' and an 'output', not {pair!r:.40}")
    return _grid(file, f"{where}.input", pair), _grid(file, f"{where}.output", pair)


def _grid(file: Path, where: str, pair: dict[str, Any]) -> str:
    """A grid as rows of digits."""
    field = where.rpartition(".")[2]
    if field not in pair:
        raise OptionError("path", f"{file}: {where} is missing (an answer can only be checked against one)")
    rows = pair[field]
    if not isinstance(rows, list) or not 1 <= len(rows) <= SIDE:
        raise OptionError("path", f"{file}: {where} must be a list of 1 to {SIDE} rows, not {rows!r:.40}")
    for i, row in enumerate(rows):
        if not isinstance(row, list) or not 1 <= len(row) <= SIDE:
            said = f"must be a list of 1 to {SIDE} colours, not {row!r:.40}"
            raise OptionError("path", f"{file}: {where}[{i}] {said}")
        if len(row) != len(rows[0]):
            said = f"has {len(row)} cells, the first row {len(rows[0])}"
            raise OptionError("path", f"{file}: {where}[{i}] {said}; all rows must be of one length")
        for j, colour in enumerate(row):
            if type(colour) is not int or not 0 <= colour <= 9:
                said = f"must be a colour from 0 to 9, not {colour!r:.40}"
                raise OptionError("path", f"{file}: {where}[{i}][{j}] {said}")
    return "\n".join(["".join(map(str, row)) for row in rows])
