"""The pictures of a tournament: ratings, crosstable, strength against what it costs, a run's ladder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from move37.plots import COLOURS, save_figure, short

if TYPE_CHECKING:
    from move37.tournament.table import Tournament

COSTS = {"visits_a_move": "visits a move", "seconds_a_move": "seconds a move"}


def draw(folder: Path, told: Mapping[str, Any], tournament: Tournament) -> list[Path]:
    """Draw what there is to see of `standings` into a folder; the files."""
    rows, made = told["players"], [folder / "ratings.png"]
    families = {name: entrant.family for name, entrant in tournament.entrants.items()}
    draw_ratings(made[0], told, families)
    if tournament.config.ladder:
        made.append(folder / "ladder.png")
        draw_ladder(made[-1], rows, told)
    elif any(len(at_cost(rows, families, family, "visits_a_move")) > 1 for family in families.values()):
        made.append(folder / "strength.png")
        draw_strength(made[-1], rows, told, families)
    return made


def draw_ratings(path: Path, told: Mapping[str, Any], families: Mapping[str, str]) -> None:
    """Ratings with their 95 % intervals, and who scored what against whom."""
    from matplotlib.figure import Figure

    rows = told["players"]
    count, names = len(rows), [row["name"] for row in rows]
    figure = Figure(figsize=(12, 1.4 + 0.42 * count), dpi=130, layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[1, 1.15])
    y, elo = np.arange(count), np.array([row["elo"] for row in rows])
    reach = np.abs(np.array([[row["low"], row["high"]] for row in rows]).T - elo)
    for k, family in enumerate(dict.fromkeys(families[name] for name in names)):
        mine = [i for i in range(count) if families[names[i]] == family]
        colour = COLOURS[k % len(COLOURS)]
        left.errorbar(elo[mine], y[mine], xerr=reach[:, mine], fmt="o", color=colour, capsize=3, label=family)
    left.set_yticks(y, names)
    left.set_ylim(count - 0.4, -0.6)
    left.set_xlabel(rating_name(told))
    left.grid(axis="x", alpha=0.25, linewidth=0.6)
    left.spines[["top", "right"]].set_visible(False)
    _crosstable(right, told, names)
    figure.suptitle(title(told), fontsize=10, x=0.01, ha="left")
    save_figure(figure, path)


def title(told: Mapping[str, Any]) -> str:
    """What was played, in a line."""
    first, share = told["first_move"], told["draws"]["share"]
    said = f"{told['games']:,} games of {told['game']}, {told['distinct']:,} of them different"
    moving = f"moving first is worth {first['elo']:.0f} ± {1.96 * first['error']:.0f} Elo"
    return f"{said}; {moving}, equals draw {share:.0%}"


def rating_name(told: Mapping[str, Any]) -> str:
    """What ratings are counted from."""
    if told["anchor"] is None:
        return "Elo above the mean of all, with 95 % intervals"
    return f"Elo, {told['anchor']} at {told['anchor_elo']:g}, with 95 % intervals"


def _crosstable(axis: Any, told: Mapping[str, Any], names: Sequence[str]) -> None:
    """The score of row against column, where they met."""
    points, played = np.array(told["points"]), np.array(told["played"])
    scores = np.where(played > 0, points / np.maximum(played, 1), np.nan)
    axis.imshow(scores, cmap="RdYlBu", vmin=0, vmax=1, aspect="auto")
    for i, j in zip(*np.nonzero(played)):
        ink = "white" if abs(scores[i, j] - 0.5) > 0.38 else "black"
        axis.text(j, i, f"{100 * scores[i, j]:.0f}", ha="center", va="center", fontsize=8, color=ink)
    axis.set_xticks(range(len(names)), names, rotation=35, ha="right", fontsize=8)
    axis.set_yticks(range(len(names)), names, fontsize=8)
    axis.set_title("score of row against column, %", fontsize=10, loc="left")


def at_cost(
    rows: Sequence[Mapping[str, Any]], families: Mapping[str, str], family: str, cost: str
) -> list[Mapping[str, Any]]:
    """The rows of a family by what their moves cost, where that is known."""
    known = [row for row in rows if families[row["name"]] == family and row[cost] is not None]
    return sorted(known, key=lambda row: row[cost])


def draw_strength(
    path: Path, rows: Sequence[Mapping[str, Any]], told: Mapping[str, Any], families: Mapping[str, str]
) -> None:
    """Ratings against what a move costs: visits of the search, and seconds on this machine."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter

    figure = Figure(figsize=(11, 4.2), dpi=130, layout="constrained")
    order = list(dict.fromkeys(families.values()))
    for axis, (cost, called) in zip(figure.subplots(1, 2, sharey=True), COSTS.items()):
        for k, family in enumerate(order):
            mine = at_cost(rows, families, family, cost)
            if not mine:
                continue
            x, elo = [row[cost] for row in mine], np.array([row["elo"] for row in mine])
            reach = np.abs(np.array([[r["low"], r["high"]] for r in mine]).reshape(-1, 2).T - elo)
            colour = COLOURS[k % len(COLOURS)]
            axis.errorbar(x, elo, yerr=reach, fmt="o-", color=colour, capsize=3, label=family)
        axis.set_xscale("log")
        axis.set_xlabel(called)
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
        axis.grid(alpha=0.25, linewidth=0.6)
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False, fontsize=8)
    figure.axes[0].set_ylabel("Elo")
    figure.suptitle(f"{told['game']}: strength against what a move costs", fontsize=10, x=0.01, ha="left")
    save_figure(figure, path)


def draw_ladder(path: Path, rows: Sequence[Mapping[str, Any]], told: Mapping[str, Any]) -> None:
    """A run's rating over its training."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter

    figure = Figure(figsize=(6.5, 4.2), dpi=130, layout="constrained")
    axis = figure.subplots()
    rungs = sorted(rows, key=lambda row: int(row["name"]))
    steps, elo = [int(row["name"]) for row in rungs], [row["elo"] for row in rungs]
    axis.plot(steps, elo, "o-", color=COLOURS[0])
    axis.fill_between(
        steps, [row["low"] for row in rungs], [row["high"] for row in rungs], color=COLOURS[0], alpha=0.18
    )
    axis.set_xlabel("env steps")
    axis.set_ylabel(rating_name(told))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    axis.grid(alpha=0.25, linewidth=0.6)
    axis.spines[["top", "right"]].set_visible(False)
    figure.suptitle(f"{told['game']}: one run's checkpoints", fontsize=10, x=0.01, ha="left")
    save_figure(figure, path)
