"""The pictures of an experiment: pass@k, problem by problem, against what it costs, and how to choose."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from move37.plots import COLOURS, save_figure, short

CHANCE = "#999999"
BINS = np.linspace(0, 1, 11)
CHOICES = {"majority": ("majority", "--"), "log_prob": ("likeliest", ":")}
"""Ways to choose one of k tries that are drawn."""


def draw(folder: Path, told: Mapping[str, Any]) -> list[Path]:
    """Draw what `passk.json` tells into its folder; the files."""
    pictures = {"passk": draw_passk, "choices": draw_choices, "forecast": draw_forecast}
    if any(
        "training_tokens" in policy for one in told["sets"].values() for policy in one["policies"].values()
    ):
        pictures["compute"] = draw_compute
    for name, picture in pictures.items():
        picture(folder / f"{name}.png", told)
    return [folder / f"{name}.png" for name in pictures]


def draw_passk(path: Path, told: Mapping[str, Any]) -> None:
    """A row a set: pass@k, success problem by problem, and where that is known pass@k by tokens."""
    counted = any("tokens" in p for one in told["sets"].values() for p in one["policies"].values())
    figure, grid = grid_of(len(told["sets"]), 3 if counted else 2)
    unit = "tokens" if told["env"].startswith("text/") else "decisions"
    for axes, (name, one) in zip(grid, told["sets"].items()):
        draw_curves(axes[0], one, f"{name}: {one['problems']} problems")
        draw_problems(axes[1], one)
        if counted:
            draw_cost(axes[2], one, unit)
    finish(figure, f"{tries_of(told)}; bands are 95 % intervals over problems")
    save_figure(figure, path)


def draw_curves(axis: Any, one: Mapping[str, Any], title: str) -> None:
    """pass@k with 95 % intervals, chance, and the curve of tries whose every step is right."""
    for colour, (name, policy) in coloured(one):
        band(axis, one["k"], policy["pass"], colour, name)
        if "proved" in policy:
            axis.plot(one["k"], policy["proved"]["value"], ":", color=colour, linewidth=1.3)
    if any("proved" in policy for policy in one["policies"].values()):
        axis.plot([], [], ":", color="black", linewidth=1.3, label="every step right")
    if "chance" in one:
        axis.plot(one["k"], one["chance"], "--", color=CHANCE, linewidth=1.3, label="chance")
    for versus in one["against_base"].values():
        if versus["crossover"]["k"] is not None:
            axis.axvline(versus["crossover"]["k"], color=CHANCE, linewidth=0.8)
    log_k(axis, title, "pass@k")
    for line in one["warnings"]:
        if "guessing" in line:
            axis.text(0.02, 0.02, "\n".join(textwrap.wrap(line, 44)), transform=axis.transAxes, fontsize=7)


def draw_problems(axis: Any, one: Mapping[str, Any]) -> None:
    """How many problems are solved how often."""
    width = 0.9 * (BINS[1] - BINS[0]) / len(one["policies"])
    for i, (colour, (name, policy)) in enumerate(coloured(one)):
        rates, left = np.array(policy["rates"]), i * width
        heights = np.histogram(rates[rates > 0], BINS)[0]
        axis.bar(BINS[:-1] + left, heights, width, align="edge", color=colour, label=name)
        axis.bar(-0.14 + left, np.count_nonzero(rates == 0), width, align="edge", color=colour)
    axis.axvline(-0.02, color=CHANCE, linewidth=0.8)
    axis.set_xticks([-0.09, 0, 0.5, 1], ["never", "0", "0.5", "1"])
    _style(axis, "success of a try, problem by problem", "share of tries that are right", "problems")


def draw_cost(axis: Any, one: Mapping[str, Any], unit: str) -> None:
    """pass@k against the tokens, or decisions, that k tries take."""
    for colour, (name, policy) in coloured(one):
        if "tokens" in policy:
            band(axis, np.array(one["k"]) * policy["tokens"], policy["pass"], colour, name)
    log_k(axis, f"the same by {unit}", "pass@k", f"{unit} a problem")


def draw_choices(path: Path, told: Mapping[str, Any]) -> None:
    """A column a set: what choosing one of k tries by vote or by likelihood gives, beside pass@k."""
    sets = told["sets"]
    figure, grid = grid_of(1, len(sets))
    for axis, (name, one) in zip(grid[0], sets.items()):
        for colour, (policy_name, policy) in coloured(one):
            axis.plot(one["k"], policy["pass"]["value"], color=colour, linewidth=1.8, label=policy_name)
            for key, (_, style) in CHOICES.items():
                curve = policy.get(key) or policy["best_of"].get(key)
                if curve:
                    axis.plot(one["k"], curve["value"], style, color=colour, linewidth=1.3)
        for said, style in CHOICES.values():
            axis.plot([], [], style, color="black", linewidth=1.3, label=said)
        log_k(axis, f"{name}: one answer of k tries", "right")
    finish(figure, tries_of(told))
    save_figure(figure, path)


def draw_forecast(path: Path, told: Mapping[str, Any]) -> None:
    """A column a set: what was measured, and what a Beta distribution of difficulties makes of it."""
    sets = told["sets"]
    figure, grid = grid_of(1, len(sets))
    for axis, (name, one) in zip(grid[0], sets.items()):
        for colour, (policy_name, policy) in coloured(one):
            axis.plot(one["k"], policy["pass"]["value"], "o", color=colour, markersize=3, label=policy_name)
            if "forecast" in policy:
                band(axis, policy["forecast"]["k"], policy["forecast"], colour)
            if "forecast_some_impossible" in policy:
                other = policy["forecast_some_impossible"]
                axis.plot(other["k"], other["value"], "--", color=colour, linewidth=1.2)
        axis.plot([], [], "--", color="black", linewidth=1.2, label="if some are impossible")
        log_k(axis, f"{name}: beyond what was tried (a model's forecast)", "coverage")
    finish(figure, f"{tries_of(told)}; bands are 95 % intervals over problems")
    save_figure(figure, path)


def draw_compute(path: Path, told: Mapping[str, Any]) -> None:
    """A row a set: right answers against tokens of training, of trying, and of both; tokens by difficulty."""
    figure, grid = grid_of(len(told["sets"]), 4)
    for axes, (name, one) in zip(grid, told["sets"].items()):
        draw_training(axes[0], one, name)
        draw_trying(axes[1], one)
        draw_total(axes[2], one)
        draw_effort(axes[3], one)
    finish(figure, tries_of(told))
    save_figure(figure, path)


def draw_training(axis: Any, one: Mapping[str, Any], title: str) -> None:
    """pass@1, and pass@k at the largest k, against tokens of training: a point a policy."""
    known = [p for p in one["policies"].values() if "training_tokens" in p]
    known.sort(key=lambda policy: policy["training_tokens"])
    tokens = [policy["training_tokens"] for policy in known]
    for colour, place in ((COLOURS[0], 0), (COLOURS[1], -1)):
        values = [policy["pass"]["value"][place] for policy in known]
        axis.plot(tokens, values, "o-", color=colour, markersize=4, label=f"pass@{one['k'][place]}")
    log_k(axis, f"{title}: training", "right", "tokens of training")


def draw_trying(axis: Any, one: Mapping[str, Any]) -> None:
    """One answer by majority of k tries, and pass@k, against the tokens of these."""
    for colour, (name, policy) in coloured(one):
        if "tokens" in policy:
            cost = np.array(one["k"]) * policy["tokens"]
            axis.plot(cost, policy["pass"]["value"], ":", color=colour, linewidth=1.3)
            if "majority" in policy:
                axis.plot(cost, policy["majority"]["value"], color=colour, linewidth=1.8, label=name)
    axis.plot([], [], ":", color="black", linewidth=1.3, label="pass@k")
    log_k(axis, "trying: one answer by majority", "right", "tokens a problem")


def draw_total(axis: Any, one: Mapping[str, Any]) -> None:
    """pass@k against all that was computed: a token of training counts three times, for its gradient."""
    for colour, (name, policy) in coloured(one):
        if "training_tokens" in policy and "tokens" in policy:
            trying = one["problems"] * np.array(one["k"]) * policy["tokens"]
            axis.plot(
                3 * policy["training_tokens"] + trying, policy["pass"]["value"], color=colour, label=name
            )
    log_k(axis, "both", "pass@k", "tokens in all, those of training × 3")


def draw_effort(axis: Any, one: Mapping[str, Any]) -> None:
    """Tokens of a try by how hard its problem is."""
    for colour, (name, policy) in coloured(one):
        levels = {k: v["tokens"] for k, v in policy.get("levels", {}).items() if "tokens" in v}
        axis.plot(list(levels), list(levels.values()), "o-", color=colour, markersize=4, label=name)
    _style(axis, "tokens by difficulty", "level", "tokens a try")


def band(axis: Any, x: Any, curve: Mapping[str, Any], colour: str, name: str | None = None) -> None:
    """A curve and its interval."""
    y, low, high = (np.array(curve[key], np.float64) for key in ("value", "low", "high"))
    axis.plot(x, y, color=colour, linewidth=1.8, label=name)
    axis.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)


def coloured(one: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """(colour, (name, policy)) of each policy."""
    return [(COLOURS[i % len(COLOURS)], item) for i, item in enumerate(one["policies"].items())]


def grid_of(rows: int, columns: int) -> tuple[Any, Any]:
    """A figure and its axes, `[rows, columns]`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(max(4.8 * columns, 6), 3.7 * rows + 0.4), dpi=130, layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def finish(figure: Any, said: str) -> None:
    """What stands above all."""
    wide = int(14 * figure.get_size_inches()[0])
    figure.suptitle("\n".join(textwrap.wrap(said, wide)), fontsize=10, x=0.01, ha="left")


def tries_of(told: Mapping[str, Any]) -> str:
    """What was tried, and how often."""
    return f"{told['env']}, {told['samples']:,} tries a problem"


def log_k(axis: Any, title: str, y_name: str, x_name: str = "k, tries a problem") -> None:
    """Style an axis whose x is on a logarithmic scale."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    if x_name.startswith("k"):
        axis.set_xscale("log", base=2)
    else:
        axis.set_xscale("log")
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    axis.set_ylim(-0.02, 1.02)
    _style(axis, title, x_name, y_name)


def _style(axis: Any, title: str, x_name: str, y_name: str) -> None:
    axis.set_title(title, fontsize=10, loc="left")
    axis.set_xlabel(x_name)
    axis.set_ylabel(y_name)
    axis.grid(alpha=0.25, linewidth=0.6)
    axis.spines[["top", "right"]].set_visible(False)
    if axis.get_legend_handles_labels()[0]:
        axis.legend(frameon=False, fontsize=8)
