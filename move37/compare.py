"""Several runs side by side: interquartile means with stratified bootstrap intervals, and their curves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from move37.config import Config, parse_config, read_yaml
from move37.errors import UserError
from move37.logs import METRICS, read_metrics
from move37.origin import Origin
from move37.plots import Curve, save_curves
from move37.run import CONFIG
from move37.stats import bootstrap_interval, interquartile_mean, smooth

Array = np.ndarray
POINTS = 150
"""Points of a drawn curve."""
EVALUATION, TRAINING = "last evaluation", "last training episodes"
WINDOW = 0.05
"""Share of a run's records that a curve and a score without evaluations are averaged over."""
ALL_TASKS = "all (0 to 1)"
"""The row over several tasks, in which each task's scores are brought to 0 (worst run) to 1 (best)."""


@dataclass(frozen=True)
class Trace:
    """One run: who it belongs to, and its records as arrays `[records]`."""

    group: str
    task: str
    path: Path
    env_steps: Array
    seconds: Array
    returns: Array
    evaluations: Array
    """The evaluation's mean return where there was one, else NaN."""


@dataclass(frozen=True)
class Row:
    """One line of the table: a group on a task, its runs' scores in one number, and what they took."""

    group: str
    task: str
    basis: str
    """What scores are: `EVALUATION`, `TRAINING`, or empty over all tasks."""
    runs: int
    score: float
    low: float
    high: float
    env_steps: float
    seconds: float


def find_runs(paths: Sequence[str | Path]) -> dict[str, list[Path]]:
    """Run folders by group: each folder given is a group of all runs in it; `x/seed-<n>` belongs to `x`.

    A folder in which runs of one task differ in more than their seeds is no group: each set-up in it is one.
    A run found twice counts once. Raises `UserError` for a folder with no run in it.
    """
    groups: dict[Path, list[Path]] = {}
    for path in (Path(p).resolve() for p in paths):
        runs = [path] if _is_run(path) else sorted(filter(_is_run, (p.parent for p in path.rglob(METRICS))))
        if not runs:
            raise UserError(f"{path}: {'no run in this folder' if path.is_dir() else 'no such folder'}")
        alike = len({_set_up(run) for run in runs}) == len({_set_up(run)[0] for run in runs})
        for run in runs:
            mine = path if alike and run != path else _owner(run)
            groups.setdefault(mine, []).append(run)
    names = _short_names([str(owner) for owner in groups])
    return {names[str(owner)]: list(dict.fromkeys(runs)) for owner, runs in groups.items()}


def load_trace(path: Path, group: str) -> Trace:
    """The trace of the run at `path` (`UserError` where nothing was logged yet)."""
    records = read_metrics(path / METRICS)
    if not records:
        raise UserError(f"{path}: nothing in {METRICS} yet")

    def column(name: str) -> Array:
        try:
            return np.array([record.get(name, math.nan) for record in records], dtype=np.float64)
        except (TypeError, ValueError):
            raise UserError(f"{path / METRICS}: '{name}' is not a number in every line") from None

    return Trace(
        group,
        _config(path).env.id,
        path,
        column("env_steps"),
        column("time/total"),
        column("return"),
        column("eval/return"),
    )


def compare(paths: Sequence[str | Path]) -> tuple[list[Row], list[Trace]]:
    """The table (a row a task and group, then one over all tasks for who played all) and its traces."""
    traces = [load_trace(run, group) for group, runs in find_runs(paths).items() for run in runs]
    tasks = list(dict.fromkeys(t.task for t in traces))
    groups = list(dict.fromkeys(t.group for t in traces))
    basis = {task: basis_of([t for t in traces if t.task == task]) for task in tasks}
    score = np.array([_score(t, basis[t.task]) for t in traces])
    rows = []
    for task in tasks:
        for group in groups:
            mine = [i for i, t in enumerate(traces) if (t.task, t.group) == (task, group)]
            if mine:
                rows.append(_row(group, task, basis[task], [traces[i] for i in mine], [score[mine]]))
    scaled = to_unit(score, [t.task for t in traces])
    for group in groups if len(tasks) > 1 else ():
        mine = [i for i, t in enumerate(traces) if t.group == group]
        strata = [scaled[[i for i in mine if traces[i].task == task]] for task in tasks]
        if all(map(len, strata)):
            rows.append(_row(group, ALL_TASKS, "", [traces[i] for i in mine], strata))
    return rows, traces


def basis_of(traces: Sequence[Trace]) -> str:
    """What runs of one task are scored by: their last evaluation where each has one, else training."""
    return EVALUATION if all(np.isfinite(t.evaluations).any() for t in traces) else TRAINING


def to_unit(scores: Array, tasks: Sequence[str]) -> Array:
    """Scores on a scale from 0 (the task's worst run) to 1 (its best); 0.5 where all are equal."""
    out = np.empty_like(scores)
    for task in set(tasks):
        mine = np.array([t == task for t in tasks])
        low, high = scores[mine].min(), scores[mine].max()
        out[mine] = (scores[mine] - low) / (high - low) if high > low else 0.5
    return out


def curve(traces: Sequence[Trace], x_name: str) -> Curve:
    """The interquartile mean over runs against `env_steps` or `seconds`, as far as the shortest run went."""
    xs = [getattr(t, x_name) for t in traces]
    grid = np.linspace(max(x[0] for x in xs), min(x[-1] for x in xs), POINTS)
    lines = []
    for x, trace in zip(xs, traces):
        y = smooth(trace.returns, _window(trace))
        known = np.isfinite(y) & np.isfinite(x)
        unknown = np.full(POINTS, np.nan)
        lines.append(np.interp(grid, x[known], y[known], left=np.nan) if known.any() else unknown)
    low, high = bootstrap_interval([lines], resamples=500)
    return Curve(grid, interquartile_mean(np.array(lines)), low, high)


def draw(traces: Sequence[Trace], path: Path) -> None:
    """A PNG at `path`: a row a task, return against env steps and against seconds."""
    panels = []
    for task in dict.fromkeys(t.task for t in traces):
        axes: dict[str, dict[str, Curve]] = {}
        for x_name, label in (("env_steps", "env steps"), ("seconds", "seconds")):
            groups: dict[str, list[Trace]] = {}
            for trace in traces:
                if trace.task == task and np.isfinite(getattr(trace, x_name)).all():
                    groups.setdefault(trace.group, []).append(trace)
            axes[label] = {name: curve(members, x_name) for name, members in groups.items()}
        panels.append((task, axes))
    save_curves(path, panels)


def as_dicts(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The table for a machine: `interval` is [low, high]."""
    plain = [asdict(row) for row in rows]
    return [{"interval": [row.pop("low"), row.pop("high")], **row} for row in plain]


def _score(trace: Trace, basis: str) -> float:
    if basis == EVALUATION:
        return float(trace.evaluations[np.isfinite(trace.evaluations)][-1])
    return float(smooth(trace.returns, _window(trace))[-1])


def _row(group: str, task: str, basis: str, traces: Sequence[Trace], strata: Sequence[Array]) -> Row:
    low, high = bootstrap_interval(strata)
    score = float(interquartile_mean(np.concatenate(strata)))
    steps, seconds = (
        float(np.mean([x[-1] for x in xs])) for xs in zip(*((t.env_steps, t.seconds) for t in traces))
    )
    return Row(group, task, basis, len(traces), score, float(low), float(high), steps, seconds)


def _window(trace: Trace) -> int:
    return max(round(WINDOW * len(trace.returns)), 1)


def _is_run(path: Path) -> bool:
    return (path / CONFIG).is_file() and (path / METRICS).is_file()


def _owner(run: Path) -> Path:
    return run.parent if run.name.startswith("seed-") else run


def _config(run: Path) -> Config:
    return parse_config(read_yaml(run / CONFIG), Origin(str(run / CONFIG)))


def _set_up(run: Path) -> tuple[str, str]:
    """(the task, all that makes runs on it comparable as seeds of one)."""
    config = _config(run)
    return config.env.id, repr((config.env, config.agent, config.reward))


def _short_names(paths: Sequence[str]) -> Mapping[str, str]:
    """For each path the shortest ending that no other one has."""
    names = {}
    for path in paths:
        parts = Path(path).parts
        endings = ("/".join(parts[-k:]) for k in range(1, len(parts) + 1))
        shared = [p for p in paths if p != path]
        names[path] = next((e for e in endings if not any(p.endswith("/" + e) for p in shared)), path)
    return names
