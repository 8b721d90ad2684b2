"""The figure of a sweep: the metric against each key, and the curves of all trials."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from move37.plots import COLOURS, save_figure, short
from move37.sweep.config import Sweep
from move37.sweep.record import FAILED, FINISHED, STOPPED, Trial, best_of, lines_of, value_of

Array = np.ndarray
BLUE, RED, GREY, ORANGE = COLOURS[0], COLOURS[1], "#8a8a8a", COLOURS[4]
LOOKS = {
    FINISHED: {"marker": "o", "color": BLUE, "s": 34, "linewidths": 0},
    STOPPED: {"marker": "o", "facecolors": "white", "edgecolors": GREY, "s": 30, "linewidths": 1.2},
    FAILED: {"marker": "x", "color": RED, "s": 40, "linewidths": 1.6},
}
WORDS = {FINISHED: "finished", STOPPED: "stopped: others were better", FAILED: "failed"}
COLUMNS = 4
"""Keys side by side, at most."""
SPREAD = 0.12
"""How far from its place a point lies, where there is a place a value, so that equal ones show."""
LONGEST = 14
"""Characters of a value's label."""


def draw(sweep: Sweep, folder: Path, rows: Sequence[Trial], path: Path) -> None:
    """A PNG at `path`: a panel a key, and below them all curves (`OSError` where it cannot be written)."""
    from matplotlib.figure import Figure

    keys = list(sweep.config.over)
    columns = min(len(keys), COLUMNS)
    lines = math.ceil(len(keys) / columns)
    size = (max(3.3 * columns, 7.5), 2.9 * lines + 4.2)
    figure = Figure(figsize=size, dpi=130, layout="constrained")
    grid = figure.add_gridspec(lines + 1, columns, height_ratios=[2.9] * lines + [4.2])
    best = best_of(list(rows))
    first: Any = None
    for k, key in enumerate(keys):
        first = axis = figure.add_subplot(grid[k // columns, k % columns], sharey=first)
        _draw_key(axis, sweep, key, rows, best)
        if k % columns == 0:
            axis.set_ylabel(sweep.config.metric)
        else:
            axis.tick_params(labelleft=False)
    below = figure.add_subplot(grid[lines, :])
    _draw_curves(below, sweep, folder, rows, best)
    handles, labels = below.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False, fontsize=9)
    figure.suptitle(_title(sweep, rows, best), fontsize=11, x=0.01, ha="left")
    save_figure(figure, path)


def _title(sweep: Sweep, rows: Sequence[Trial], best: Trial | None) -> str:
    steps = short(sum(trial.env_steps for trial in rows))
    what = f"{sweep.base.agent.kind} on {sweep.base.env.id}, {sweep.config.search.kind}"
    said = f"{what}: {len(rows)} trials, {steps} env steps"
    return f"{said}; best: trial {best.number}, {sweep.config.metric} {best.value:.4g}" if best else said


def _plain(axis: Any) -> None:
    axis.margins(y=0.1)
    axis.grid(alpha=0.25, linewidth=0.6)
    axis.spines[["top", "right"]].set_visible(False)
    axis.set_axisbelow(True)


# -- a key -------------------------------------------------------------------------------------------------


def _draw_key(axis: Any, sweep: Sweep, key: str, rows: Sequence[Trial], best: Trial | None) -> None:
    """The metric against a key's values; who has no figure is a cross at the bottom."""
    places, labels = _places(sweep, key, rows)
    for how, look in LOOKS.items():
        mine = [i for i, t in enumerate(rows) if t.ended == how and t.value is not None and how != FAILED]
        axis.scatter(places[mine], [float(rows[i].value or 0.0) for i in mine], **look, zorder=3)
    lost = [i for i, t in enumerate(rows) if t.ended == FAILED]
    on_floor = axis.get_xaxis_transform()  # x as in data, y as a share of the panel
    axis.scatter(
        places[lost], np.full(len(lost), 0.03), transform=on_floor, **LOOKS[FAILED], zorder=3, clip_on=False
    )
    if best is not None:
        at = [t.number for t in rows].index(best.number)
        ring = {"facecolors": "none", "edgecolors": ORANGE, "linewidths": 2.0}
        axis.scatter(places[at], best.value, s=120, **ring, zorder=4)
    _plain(axis)
    axis.set_xlabel(key)
    if labels:
        axis.set_xticks(range(len(labels)), labels)
        axis.set_xlim(-0.5, len(labels) - 0.5)
        return
    low, high = sweep.config.over[key].ends or (0.0, 1.0)
    if sweep.config.over[key].log:
        axis.set_xscale("log")
        low, high = np.log([low, high])
    margin = 0.05 * (high - low)
    limits = np.array([low - margin, high + margin])
    axis.set_xlim(np.exp(limits) if sweep.config.over[key].log else limits)


def _places(sweep: Sweep, key: str, rows: Sequence[Trial]) -> tuple[Array, list[str]]:
    """Where trials are on a key's axis, `[trials]`, and the labels of its places, where it has such."""
    values = [trial.set[key] for trial in rows]
    if sweep.config.over[key].ends:
        return np.array(values, dtype=np.float64), []
    choices = sweep.config.over[key].extremes
    places = np.array([choices.index(value) for value in values], dtype=np.float64)
    for place in range(len(choices)):
        mine = sorted(np.flatnonzero(places == place).tolist(), key=lambda i: rows[i].number)
        places[mine] += np.linspace(-SPREAD, SPREAD, len(mine)) if len(mine) > 1 else 0.0
    return places, [_label(choice) for choice in choices]


def _label(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else json.dumps(value).replace('"', "")
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


# -- curves ------------------------------------------------------------------------------------------------


def _draw_curves(axis: Any, sweep: Sweep, folder: Path, rows: Sequence[Trial], best: Trial | None) -> None:
    """The metric of each trial against env steps, the best on top, with how each ended."""
    from matplotlib.ticker import FuncFormatter

    for trial in reversed(rows):
        steps, values = _curve(folder, trial, sweep.config.metric)
        if not len(steps):
            continue
        top = best is not None and trial.number == best.number
        colour = {FINISHED: BLUE, FAILED: RED}.get(trial.ended, GREY)
        width, alpha = (2.4, 1.0) if top else (1.1, 0.75)
        begun = _begun(steps, trial)
        broken = [np.insert(points, begun, np.nan) for points in (steps, values)]
        axis.plot(*broken, color=colour, linewidth=width, alpha=alpha, zorder=3 if top else 2)
        axis.scatter(steps[-1:], values[-1:], **LOOKS[trial.ended], zorder=4)
        axis.scatter(steps[begun], values[begun], marker="^", color=ORANGE, s=36, linewidths=0, zorder=4)
    for rung in sweep.rungs:
        axis.axvline(rung, color="#999999", linewidth=1, linestyle=":", zorder=1)
    _legend(axis, sweep, rows, best)
    _plain(axis)
    axis.set_xlim(left=0)
    axis.set_xlabel("env steps")
    axis.set_ylabel(sweep.config.metric)
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))


def _begun(steps: Array, trial: Trial) -> Array:
    """Of a curve, the points with which another one's weights go on, `[at most as often as it took over]`."""
    found = np.searchsorted(steps, [taken["env_steps"] for taken in trial.taken], side="right")
    return np.unique(found[found < len(steps)]).astype(int)


def _legend(axis: Any, sweep: Sweep, rows: Sequence[Trial], best: Trial | None) -> None:
    """What is on the figure, by empty points of the same look."""
    for how, look in LOOKS.items():
        if any(trial.ended == how for trial in rows):
            axis.scatter([], [], **look, label=WORDS[how])
    if any(trial.taken for trial in rows):
        axis.scatter(
            [], [], marker="^", color=ORANGE, s=36, linewidths=0, label="took over a better one's weights"
        )
    if sweep.rungs:
        axis.plot([], [], color="#999999", linewidth=1, linestyle=":", label="rungs")
    if best is not None:
        ring = {"facecolors": "none", "edgecolors": ORANGE, "linewidths": 2.0}
        axis.scatter([], [], s=90, **ring, label="the best")


def _curve(folder: Path, trial: Trial, metric: str) -> tuple[Array, Array]:
    """Env steps and values where the metric is known, `[points]` each."""
    found = [
        (line["env_steps"], value)
        for line in lines_of(folder, trial.number)
        if (value := value_of(line, metric)) is not None
    ]
    steps, values = np.array(found, dtype=np.float64).reshape(-1, 2).T
    return steps, values
