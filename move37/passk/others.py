"""Samples that others made: JSON lines of a problem and whether a try at it was right."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from move37.disk import told_of_disk, write_text
from move37.errors import UserError
from move37.passk.draw import draw
from move37.passk.report import Field, Tries, report_on

NAMES = ("problem", "task_id", "question_id", "name", "id", "question", "prompt")
"""What a line's problem may be called, the first that is there."""
RIGHT = ("correct", "is_correct", "passed", "success", "is_corrects", "corrects")
"""What its verdict may be called: one, or a list of several tries'."""


def is_samples(path: Path) -> bool:
    """Whether a file is told as samples, by its name."""
    return path.suffix == ".jsonl"


def passk_of_files(paths: Sequence[Path], out: Path | None = None) -> dict[str, Any]:
    """What samples say, a file a policy and the base first; `passk.json` and pictures go to `out`.

    Raises `UserError` for lines that are none, and for policies that tried different problems.
    """
    known = {name_of(path): counts_of(path) for path in paths}
    if len(known) < len(paths):
        raise UserError(f"two files are called {name_of(paths[-1])}: a policy is named by its file")
    base, first = next(iter(known.items()))
    for name, counts in known.items():
        _check_same(base, first, name, counts)
    tries = {name: _tries(first, counts) for name, counts in known.items()}
    told: dict[str, Any] = {"env": "samples of others", "base": base, "figures": []}
    told["samples"] = max(sum(map(len, c.values())) // len(c) for c in known.values())
    told["sets"] = {"all": report_on(Field("all", list(first), tries), base)}
    if out is not None:
        with told_of_disk(out):
            out.mkdir(parents=True, exist_ok=True)
            write_text(out / "passk.json", json.dumps(told, indent=1, ensure_ascii=False) + "\n")
            told["figures"] = [str(figure) for figure in draw(out, told)]
    return told


def name_of(path: Path) -> str:
    """What a policy is called, by its file: letters, digits, dots and dashes of its name."""
    return re.sub(r"[^\w.-]+", "-", path.stem).strip("-_") or "samples"


def counts_of(path: Path) -> dict[str, list[bool]]:
    """The verdicts of each problem in a file, in its order (`UserError` that names a line that has none)."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    found: dict[str, list[bool]] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            name, verdicts = _line(path, number, line)
            found.setdefault(name, []).extend(verdicts)
    if not found:
        raise UserError(f'{path}: holds no samples: a line each, such as {{"problem": 1, "correct": true}}')
    return found


def _line(path: Path, number: int, line: str) -> tuple[str, list[bool]]:
    where = f"{path}, line {number}"
    try:
        data = json.loads(line)
    except (json.JSONDecodeError, RecursionError):
        raise UserError(f"{where}: is no JSON") from None
    if not isinstance(data, Mapping):
        raise UserError(f"{where}: a sample is a mapping, not {line.strip():.40}")
    name = next((key for key in NAMES if key in data), None)
    right = next((key for key in RIGHT if key in data), None)
    if name is None or right is None:
        missing = f"problem ({', '.join(NAMES)})" if name is None else f"verdict ({', '.join(RIGHT)})"
        raise UserError(f"{where}: has no {missing}")
    verdicts = data[right] if isinstance(data[right], list) else [data[right]]
    if not all(verdict is True or verdict is False or verdict in (0, 1) for verdict in verdicts):
        raise UserError(f"{where}: {right} must be true or false, not {data[right]!r:.40}")
    return str(data[name]), [bool(verdict) for verdict in verdicts]


def _check_same(base: str, first: Mapping[str, Any], name: str, other: Mapping[str, Any]) -> None:
    missing, strange = [p for p in first if p not in other], [p for p in other if p not in first]
    if missing or strange:
        one = f"'{missing[0]:.40}' only {base}" if missing else f"'{strange[0]:.40}' only {name}"
        count = len(missing) + len(strange)
        raise UserError(f"{name} and {base} tried different problems: {count} have one alone ({one} tried)")


def _tries(order: Mapping[str, Any], counts: Mapping[str, Sequence[bool]]) -> Tries:
    """Verdicts as tries, problems numbered as in `order`."""
    problem = np.concatenate([np.full(len(counts[name]), i) for i, name in enumerate(order)])
    success = np.concatenate([np.array(counts[name], bool) for name in order])
    return Tries(problem, success, np.zeros(len(success), bool))
