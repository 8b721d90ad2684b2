"""What a sweep keeps of its trials: `trials.json`, and the run folders in `trials/`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from move37.disk import write_text
from move37.errors import UserError
from move37.logs import METRICS, Record, read_metrics

TRIALS, FOLDER, LINEAGE = "trials.json", "trials", "lineage.jsonl"
FINISHED, STOPPED, FAILED = "finished", "stopped", "failed"


@dataclass(frozen=True)
class Trial:
    """A trial, and how it ended, where it did."""

    number: int
    set: Mapping[str, Any]
    """Its values by key; those that it ended with, where they change on the way."""
    ended: str = ""
    """`finished` (its budget is spent), `stopped` (others were better), `failed`, or not yet."""
    said: str = ""
    """Of one that failed: why."""
    value: float | None = None
    """The metric's last value."""
    env_steps: int = 0
    seconds: float = 0.0
    taken: list[dict[str, Any]] = field(default_factory=list)
    """Population-based: whom it took over from, when, and the values it went on with."""


def run_folder(folder: Path, number: int) -> Path:
    """Where a trial's run is."""
    return folder / FOLDER / str(number)


def read_trials(folder: Path) -> list[Trial]:
    """The trials of the sweep in `folder`, none where it has not begun (`UserError` for a damaged file)."""
    path = folder / TRIALS
    try:
        return [Trial(**row) for row in json.loads(path.read_text(encoding="utf-8"))]
    except FileNotFoundError:
        return []
    except (ValueError, TypeError) as error:
        said = f"{path}: is damaged ({error}); put it back, or remove it: trials go on by their run folders"
        raise UserError(said) from None


def write_trials(folder: Path, trials: list[Trial]) -> None:
    """Put them in the folder, whole or not at all; a line a trial."""
    rows = ",\n".join(json.dumps(asdict(trial), ensure_ascii=False) for trial in trials)
    write_text(folder / TRIALS, f"[\n{rows}\n]\n")


def lines_of(folder: Path, number: int) -> list[Record]:
    """The lines of metrics of a trial's run."""
    return read_metrics(run_folder(folder, number) / METRICS)


def value_of(line: Mapping[str, float], metric: str) -> float | None:
    """The metric in a line; None where it is not known there."""
    value = line.get(metric, math.nan)
    return value if isinstance(value, (int, float)) and math.isfinite(value) else None


def last_of(lines: list[Record], metric: str) -> dict[str, Any]:
    """The metric's last value, and how far a run went."""
    values = [value for line in lines if (value := value_of(line, metric)) is not None]
    last = lines[-1] if lines else {}
    steps, seconds = int(last.get("env_steps", 0)), round(float(last.get("time/total", 0.0)), 3)
    return {"value": values[-1] if values else None, "env_steps": steps, "seconds": seconds}


def lineage(run: Path) -> list[dict[str, Any]]:
    """Whom a run took over from: `env_steps`, `from`, `set`, oldest first."""
    try:
        return [json.loads(line) for line in (run / LINEAGE).read_text(encoding="utf-8").splitlines()]
    except FileNotFoundError:
        return []


def ranked(trials: list[Trial]) -> list[Trial]:
    """The best first; those without a figure and those that failed last."""

    def order(trial: Trial) -> tuple[bool, float, int]:
        value = -math.inf if trial.value is None else trial.value
        return trial.ended == FAILED, -value, trial.number

    return sorted(trials, key=order)


def best_of(trials: list[Trial]) -> Trial | None:
    """The best that did not fail; None where no trial has a figure."""
    good = [t for t in ranked(trials) if t.ended in (FINISHED, STOPPED) and t.value is not None]
    return good[0] if good else None
