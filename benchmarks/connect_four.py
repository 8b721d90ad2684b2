"""The tables of docs/results.md on connect four, as Markdown, from what `move37 eval … --json` printed.

python -m benchmarks.connect_four docs/results/connect_four
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from search.perfect.positions import load_positions
from search.scorecard import chance_rates

REFERENCE = {
    "end-easy": 0,
    "middle-easy": 0,
    "middle-medium": 3,
    "beginning-easy": 0,
    "beginning-medium": 2,
    "beginning-hard": 7,
}
"""Percent of moves that lose value, of AlphaZero.jl's agent after 15 to 30 hours with a GPU."""
VARIANTS = {
    "base": "PUCT, exact backup, playout cap (the config's own)",
    "gumbel": "Gumbel instead of PUCT",
    "inexact": "without exact backup",
    "reuse": "with tree reuse",
    "uncapped": "without playout cap: 50 simulations every move, which is the cap's mean",
    "unproven": "exact backup, but the value learns the game's outcome only",
}
"""The runs of the ablation, by the names of their files."""


def scorecard(found: dict[str, Any]) -> list[str]:
    """A row a class, beside the reference and what random legal moves lose."""
    chance = chance_rates(load_positions())
    lines = [
        "| class | moves that lose value | AlphaZero.jl, 15 to 30 hours with a GPU | random moves |",
        "|---|---|---|---|",
    ]
    for row in found["scorecard"]:
        if row["class"] in REFERENCE:
            low, high = (100 * x for x in row["interval"])
            rate = f"{100 * row['rate']:.1f} % [{low:.1f}, {high:.1f}]"
            random = f"{100 * chance[row['class']]:.1f} %"
            lines.append(f"| {row['class']} | {rate} | {REFERENCE[row['class']]} % | {random} |")
    return lines


def ablation(folder: Path) -> list[str]:
    """A row a variant: its rate in each class, and over all."""
    lines = ["| search | all | " + " | ".join(REFERENCE) + " |", "|---" * (2 + len(REFERENCE)) + "|"]
    for name, about in VARIANTS.items():
        path = folder / f"ablation_{name}.json"
        if path.exists():
            rows = {row["class"]: row for row in json.loads(path.read_text())["scorecard"]}
            low, high = (100 * x for x in rows["all"]["interval"])
            whole = f"**{100 * rows['all']['rate']:.1f}** [{low:.1f}, {high:.1f}]"
            each = " | ".join(f"{100 * rows[kind]['rate']:.1f}" for kind in REFERENCE)
            lines.append(f"| {about} | {whole} | {each} |")
    return lines


def matches(folder: Path) -> list[str]:
    """A row an opponent of the ten-minute run."""
    lines = ["| opponent | score | games | distinct |", "|---|---|---|---|"]
    for path in sorted(folder.glob("ten_minutes_*.json")):
        found = json.loads(path.read_text())
        low, high = found["interval"]
        score = f"{found['score']:.3f} [{low:.3f}, {high:.3f}]"
        lines.append(f"| `{found['against']}` | {score} | {found['games']} | {found['distinct_games']} |")
    return lines


def curve(folder: Path) -> list[str]:
    """A row an evaluation of the two hours."""
    lines = ["| minutes | plies | " + " | ".join(REFERENCE) + " |", "|---" * (2 + len(REFERENCE)) + "|"]
    for text in (folder / "curve.jsonl").read_text().splitlines():
        found = json.loads(text)
        rates = [found[f"eval/mistakes_{kind.replace('-', '_')}"] for kind in REFERENCE]
        each = " | ".join(f"{100 * rate:.1f}" for rate in rates)
        lines.append(f"| {found['time/total'] / 60:.0f} | {found['env_steps']:,} | {each} |")
    return lines


def tables(folder: Path) -> dict[str, str]:
    """All tables, by name."""
    two_hours = json.loads((folder / "two_hours.json").read_text())
    found = {"scorecard": scorecard(two_hours), "curve": curve(folder), "matches": matches(folder)}
    return {name: "\n".join(lines) for name, lines in (found | {"ablation": ablation(folder)}).items()}


if __name__ == "__main__":
    for name, table in tables(Path(sys.argv[1])).items():
        print(f"{name}\n\n{table}\n")
