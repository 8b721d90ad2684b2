"""Curves: in the terminal as text, and on paper as PNG."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray
BARS = "▁▂▃▄▅▆▇█"
DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
"""A braille character's dots by row and column, as bits after U+2800."""
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555")
"""Okabe and Ito's colours, which the colour-blind can tell apart."""
STYLES = ("-", "--", ":")
"""Of lines, when there are more of them than colours."""


@dataclass(frozen=True)
class Curve:
    """A line with a band around it: `x`, `y`, `low` and `high` are `[points]`, NaN where unknown."""

    x: Array
    y: Array
    low: Array
    high: Array


def resample(values: Array, size: int) -> Array:
    """`values` (`[n]`) as at most `size` means of neighbours."""
    values = np.asarray(values, dtype=np.float64)
    if len(values) <= size:
        return values
    return np.array([part.mean() for part in np.array_split(values, size)])


def sparkline(values: Array, width: int = 24) -> str:
    """`values` as one line of bars, `width` characters at most; what is not finite is left out."""
    values = np.asarray(values, dtype=np.float64)
    values = resample(values[np.isfinite(values)], width)
    if not len(values):
        return ""
    spread = values.max() - values.min()
    levels = (values - values.min()) / spread if spread > 0 else np.full(len(values), 0.5)
    return "".join(BARS[int(level)] for level in np.round(levels * (len(BARS) - 1)))


def chart(
    x: Array, y: Array, *, width: int = 64, height: int = 11, x_name: str = "", y_name: str = ""
) -> str:
    """A curve in braille dots with its axes, `width` by `height` characters and the labels around them."""
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    if not len(x):
        return f"(no {y_name or 'value'} yet)"
    bottom, top = _round_limits(y.min(), y.max())
    labels = [short(v) for v in np.linspace(top, bottom, height)]
    margin = max(len(label) for label in labels)
    lines = [f"{y_name:>{margin}}"] if y_name else []
    for row, cells in enumerate(_braille(x, y, bottom, top, width, height)):
        shown = labels[row] if row in (0, height // 2, height - 1) else ""
        lines.append(f"{shown:>{margin}} ┤{cells}")
    left, right = short(x.min()) if len(x) > 1 else "", short(x.max())
    lines.append(" " * margin + " └" + "─" * width)
    lines.append(" " * (margin + 2) + left + x_name.center(width - len(left) - len(right)) + right)
    return "\n".join(line.rstrip() for line in lines)


def _braille(x: Array, y: Array, bottom: float, top: float, width: int, height: int) -> list[str]:
    """The dots of the curve through (x, y), as `height` strings of `width` characters."""
    columns, rows = 2 * width, 4 * height
    grid_x = np.linspace(x.min(), x.max(), columns)
    level = (np.interp(grid_x, x, y) - bottom) / (top - bottom)
    dots = np.clip(np.round((1 - level) * (rows - 1)), 0, rows - 1).astype(int)
    picture = np.zeros((rows, columns), bool)
    for column in range(columns):
        before = dots[max(column - 1, 0)]
        low, high = sorted((before, dots[column]))
        picture[low : high + 1, column] = True
    blocks = picture.reshape(height, 4, width, 2).transpose(0, 2, 1, 3)
    codes = 0x2800 + (blocks * DOTS).sum(axis=(2, 3))
    return ["".join(map(chr, line)).replace("\u2800", " ") for line in codes]


def _round_limits(low: float, high: float) -> tuple[float, float]:
    """Limits a little outside of (low, high), at a multiple of a round step."""
    spread = high - low or max(abs(high), 1.0)
    step = 10.0 ** np.floor(np.log10(spread)) / 2
    bottom, top = np.floor(low / step) * step, np.ceil(high / step) * step
    return float(bottom), float(top if top > bottom else bottom + step)


def short(value: float) -> str:
    """A number in at most six characters: 12, 3.4, 950k, 1.25M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            scale = size if letter != "k" else 1e3
            return f"{value / scale:.3g}{letter}"
    return f"{value:.4g}" if abs(value) >= 1000 else f"{value:.3g}"


@dataclass(frozen=True)
class Panel:
    """One picture of a figure: lines by name, or points (x, y) by name, `[points, 2]`."""

    title: str
    x_name: str
    y_name: str
    curves: Mapping[str, Curve] = field(default_factory=dict)
    points: Mapping[str, Array] = field(default_factory=dict)


def save_panels(path: Path, panels: Sequence[Panel]) -> None:
    """Draw panels side by side as a PNG at `path`, which appears whole or not at all.

    Points are drawn with the diagonal, where nothing changed. Raises `OSError` where the file cannot be
    written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5 * len(panels), 4.2), dpi=130, layout="constrained")
    for axis, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels):
        names = [*panel.curves, *panel.points]
        colours = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(names)}
        styles = {name: STYLES[i // len(COLOURS) % len(STYLES)] for i, name in enumerate(names)}
        _draw(axis, panel.title, panel.x_name, panel.curves, colours, styles)
        for name, points in panel.points.items():
            axis.plot(*np.asarray(points).T, "o", color=colours[name], label=name)
        if any(len(points) for points in panel.points.values()):
            both = np.concatenate([np.ravel(points) for points in panel.points.values()])
            axis.axline((both.min(), both.min()), slope=1, color="#999999", linewidth=1, linestyle=":")
        axis.set_ylabel(panel.y_name)
        if len(names) > 1:
            axis.legend(frameon=False, fontsize=8)
    save_figure(figure, path)


def save_curves(path: Path, panels: Sequence[tuple[str, Mapping[str, Mapping[str, Curve]]]]) -> None:
    """Draw curves with bands as a PNG at `path`, which appears whole or not at all.

    `panels` has a row a task: its title, and by x axis ("env steps", "seconds") the curves by name. Raises
    `OSError` where the file cannot be written.
    """
    from matplotlib.figure import Figure

    columns = max(len(axes) for _, axes in panels)
    names = list(dict.fromkeys(n for _, axes in panels for curves in axes.values() for n in curves))
    colours = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(names)}
    figure = Figure(figsize=(5.5 * columns, 3.6 * len(panels) + 0.5), dpi=130, layout="constrained")
    grid = figure.subplots(len(panels), columns, squeeze=False, sharey="row")
    for row, (title, axes) in zip(grid, panels):
        for axis, (x_name, curves) in zip(row, axes.items()):
            _draw(axis, title, x_name, curves, colours)
        row[0].set_ylabel("training return")
    if len(names) > 1:
        drawn = (axis.get_legend_handles_labels() for axis in grid.flat)
        lines = {label: line for handles, labels in drawn for line, label in zip(handles, labels)}
        figure.legend(
            lines.values(), lines.keys(), loc="outside upper center", ncols=min(len(names), 4), frameon=False
        )
    save_figure(figure, path)


def save_figure(figure: Any, path: Path) -> None:
    """Write a figure as PNG, whole or not at all (`OSError` where it cannot be)."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.png")
    try:
        figure.savefig(beside, format="png")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _draw(axis, title, x_name, curves, colours, styles=None) -> None:  # type: ignore[no-untyped-def]
    """One panel: its curves, bands, labels and a light grid."""
    from matplotlib.ticker import FuncFormatter

    for name, curve in curves.items():
        style = styles[name] if styles else "-"
        axis.plot(curve.x, curve.y, style, color=colours[name], linewidth=1.8, label=name)
        axis.fill_between(curve.x, curve.low, curve.high, color=colours[name], alpha=0.18, linewidth=0)
    axis.set_title(title, fontsize=10, loc="left")
    axis.set_xlabel(x_name)
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    axis.grid(alpha=0.25, linewidth=0.6)
    axis.spines[["top", "right"]].set_visible(False)
