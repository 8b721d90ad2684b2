"""The pictures of a tournament: ratings, crosstable, strength against what it costs, a run's ladder."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from move37.plots import COLOURS, save_figure, short
from move37.tournament.gamelog import visible

if TYPE_CHECKING:
    from move37.tournament.table import Tournament

COSTS = {"visits_a_move": "visits a move", "seconds_a_move": "seconds a move"}
FEW = 20
"""Players whose crosstable has room for numbers."""
LONGEST = 28
"""Letters of a name."""
SAME = 0.9
"""Where a smaller share of all games differs, intervals are by these alone."""


def draw(folder: Path, told: Mapping[str, Any], tournament: Tournament) -> list[Path]:
    """Draw what there is to see of `standings` into a folder; the files."""
    rows, made = told["players"], [folder / "ratings.png"]
    families = {name: entrant.family for name, entrant in tournament.entrants.items()}
    draw_ratings(made[0], told, families)
    if tournament.config.ladder:
        made.append(folder / "ladder.png")
        draw_ladder(made[-1], told)
    elif any(len(at_cost(rows, families, f, cost)) > 1 for f in families.values() for cost in COSTS):
        made.append(folder / "strength.png")
        draw_strength(made[-1], told, families)
    return made


def draw_ratings(path: Path, told: Mapping[str, Any], families: Mapping[str, str]) -> None:
    """Ratings with their 95 % intervals, and who scored what against whom. Colours are of `families`."""
    from matplotlib.figure import Figure

    rows = told["players"]
    count, names = len(rows), [label(row["name"]) for row in rows]
    height = 1.4 + (0.42 * count if count <= FEW else min(0.2 * count, 40))
    figure = Figure(figsize=(12, height), dpi=130, layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[1, 1.15])
    y, colours = np.arange(count), colours_of(families)
    kinds = [families.get(row["name"], "") for row in rows]
    for kind in colours if families else [""]:
        mine = [k for k in range(count) if kinds[k] == kind]
        elo, reach = [rows[k]["elo"] for k in mine], [half(told, rows[k]) for k in mine]
        style: Any = {"color": colours.get(kind, COLOURS[0]), "capsize": 3, "label": label(kind)}
        left.errorbar(elo, y[mine], xerr=reach, fmt="o", **style)
    left.set_yticks(y, names, fontsize=_letters(count))
    left.set_ylim(count - 0.4, -0.6)
    left.set_xlabel(rating_name(told))
    left.grid(axis="x", alpha=0.25, linewidth=0.6)
    left.spines[["top", "right"]].set_visible(False)
    if len(colours) > 1:
        left.legend(frameon=False, fontsize=8)
    _crosstable(right, told, names)
    figure.suptitle(label(title(told), 200), fontsize=10, x=0.01, ha="left")
    _save(figure, path)


def half(told: Mapping[str, Any], row: Mapping[str, Any]) -> float:
    """Half of a rating's 95 % interval: by different games alone, where many are the same."""
    low, high = row["distinct"] if many_alike(told) else (row["low"], row["high"])
    return (high - low) / 2


def many_alike(told: Mapping[str, Any]) -> bool:
    """Whether so many games are the same, move for move, that they cannot count as so many."""
    return told["distinct"] < SAME * told["games"]


def colours_of(families: Mapping[str, str]) -> dict[str, str]:
    """Each family's colour, in every picture."""
    return {family: COLOURS[k % len(COLOURS)] for k, family in enumerate(dict.fromkeys(families.values()))}


def label(text: str, longest: int = LONGEST) -> str:
    """A text as it is drawn: in one line, not too long, and no mathematics."""
    text = visible(text)
    return (text if len(text) <= longest else f"{text[: longest - 1]}…").replace("$", r"\$")


def _letters(count: int) -> float:
    """The size of letters beside so many rows."""
    return 8 if count <= FEW else max(2.0, min(6.0, 240 / count))


def title(told: Mapping[str, Any]) -> str:
    """What was played, in a line."""
    return f"{counted(told)} of {told['game']}, {told['distinct']:,} different; {worth(told)}"


def counted(told: Mapping[str, Any]) -> str:
    """How many games there were."""
    return f"{told['games']:,} game{'' if told['games'] == 1 else 's'}"


def worth(told: Mapping[str, Any]) -> str:
    """What the first move is worth, and how often equals draw where anyone drew."""
    first, draws = told["first_move"], told["draws"]
    said = f"moving first is worth {first['elo']:z.0f} ± {1.96 * first['error']:.0f} Elo"
    return f"{said}; equals draw {draws['share']:.0%}" if draws.get("games", 1) else said


def rating_name(told: Mapping[str, Any]) -> str:
    """What ratings are counted from."""
    of = "with 95 % intervals" + (" by different games" if many_alike(told) else "")
    if told["anchor"] is None:
        return f"Elo above the mean of all, {of}"
    return f"Elo, {label(told['anchor'])} at {told['anchor_elo']:z.6g}, {of}"


def _crosstable(axis: Any, told: Mapping[str, Any], names: Sequence[str]) -> None:
    """The score of row against column, where they met; in colours alone, where there are many."""
    points, played = np.array(told["points"]), np.array(told["played"])
    scores = np.where(played > 0, points / np.maximum(played, 1), np.nan)
    axis.imshow(scores, cmap="RdYlBu", vmin=0, vmax=1, aspect="auto")
    count, size = len(names), _letters(len(names))
    for i, j in zip(*np.nonzero(played)) if count <= FEW else ():
        ink = "white" if abs(scores[i, j] - 0.5) > 0.38 else "black"
        axis.text(j, i, f"{100 * scores[i, j]:.0f}", ha="center", va="center", fontsize=8, color=ink)
    turned: Any = {"rotation": 35, "ha": "right"} if count <= FEW else {"rotation": 90}
    axis.set_xticks(range(count), names, fontsize=size, **turned)
    axis.set_yticks(range(count), names, fontsize=size)
    axis.set_title("score of row against column, %", fontsize=10, loc="left")


def at_cost(
    rows: Sequence[Mapping[str, Any]], families: Mapping[str, str], family: str, cost: str
) -> list[Mapping[str, Any]]:
    """The rows of a family by what their moves cost, where that is known."""
    known = [row for row in rows if families[row["name"]] == family and row[cost] is not None]
    return sorted(known, key=lambda row: row[cost])


def draw_strength(path: Path, told: Mapping[str, Any], families: Mapping[str, str]) -> None:
    """Ratings against what a move costs: visits of the search, and seconds on this machine."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter

    rows = told["players"]
    costs = [cost for cost in COSTS if any(row[cost] is not None for row in rows)]
    figure = Figure(figsize=(5.5 * len(costs), 4.2), dpi=130, layout="constrained")
    panels = figure.subplots(1, len(costs), sharey=True, squeeze=False)[0]
    for axis, cost in zip(panels, costs):
        for family, colour in colours_of(families).items():
            mine = at_cost(rows, families, family, cost)
            if not mine:
                continue
            x, elo, reach = zip(*((row[cost], row["elo"], half(told, row)) for row in mine))
            axis.errorbar(x, elo, yerr=reach, fmt="o-", color=colour, capsize=3, label=label(family))
        axis.set_xscale("log")
        axis.set_xlabel(COSTS[cost])
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
        axis.grid(alpha=0.25, linewidth=0.6)
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False, fontsize=8)
    panels[0].set_ylabel(rating_name(told))
    _titled(figure, told, "strength against what a move costs")
    _save(figure, path)


def draw_ladder(path: Path, told: Mapping[str, Any]) -> None:
    """A run's rating over its training."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter

    figure = Figure(figsize=(6.5, 4.2), dpi=130, layout="constrained")
    axis = figure.subplots()
    rungs = sorted(told["players"], key=lambda row: int(row["name"]))
    steps, elo = [int(row["name"]) for row in rungs], np.array([row["elo"] for row in rungs])
    reach = np.array([half(told, row) for row in rungs])
    axis.plot(steps, elo, "o-", color=COLOURS[0])
    axis.fill_between(steps, elo - reach, elo + reach, color=COLOURS[0], alpha=0.18)
    axis.set_xlabel("env steps")
    axis.set_ylabel(rating_name(told))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    axis.grid(alpha=0.25, linewidth=0.6)
    axis.spines[["top", "right"]].set_visible(False)
    _titled(figure, told, "one run's checkpoints")
    _save(figure, path)


def _titled(figure: Any, told: Mapping[str, Any], what: str) -> None:
    figure.suptitle(f"{label(told['game'], 60)}: {what}", fontsize=10, x=0.01, ha="left")


def _save(figure: Any, path: Path) -> None:
    """Write a figure; letters that the font has not are boxes, and nobody is told of them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        save_figure(figure, path)
