"""One experiment over several seeds of training: what they say together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from move37.passk.draw import CHANCE, coloured, finish, grid_of, log_k
from move37.plots import save_figure


def together(each: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    """By set of problems: `k`, `chance`, each policy's curves of all seeds, and each seed's crossovers.

    `each` is what every seed's `passk.json` holds.
    """
    first = next(iter(each.values()))
    told: dict[str, Any] = {"env": first["env"], "samples": first["samples"], "seeds": list(each), "sets": {}}
    for name, one in first["sets"].items():
        sets = {seed: run["sets"][name] for seed, run in each.items()}
        most = min(len(s["k"]) for s in sets.values())
        told["sets"][name] = {
            "problems": one["problems"],
            "k": one["k"][:most],
            "chance": one.get("chance", [])[:most],
            "policies": {
                policy: _curves([s["policies"][policy] for s in sets.values()], most)
                for policy in one["policies"]
            },
            "solved": {
                policy: {
                    str(seed): {k: v["count"] for k, v in s["against_base"][policy]["solved"].items()}
                    for seed, s in sets.items()
                }
                for policy in one["against_base"]
            },
            "crossovers": _of_each(sets, one["against_base"], "crossover"),
            "crossovers_proved": _of_each(sets, one["against_base"], "crossover_proved"),
            "warnings": sorted({line for s in sets.values() for line in s["warnings"]}),
        }
    return told


def _curves(seeds: Sequence[Mapping[str, Any]], most: int) -> dict[str, list[Any]]:
    """A policy's curves and tokens, a list each with an entry a seed; empty where there are none."""
    found: dict[str, list[Any]] = {}
    for name in ("pass", "proved", "majority"):
        found[name] = [one[name]["value"][:most] for one in seeds if name in one]
    best = [
        one["best_of"]["log_prob_a_token"]["value"][:most]
        for one in seeds
        if "log_prob_a_token" in one["best_of"]
    ]
    return found | {"likeliest_a_token": best, "tokens": [one["tokens"] for one in seeds if "tokens" in one]}


def _of_each(sets: Mapping[int, Any], policies: Any, what: str) -> dict[str, Any]:
    """By policy and seed: where the base overtakes; nothing where that was not asked."""
    found = {
        policy: {
            str(k): s["against_base"][policy][what]
            for k, s in sets.items()
            if what in s["against_base"][policy]
        }
        for policy in policies
    }
    return {policy: seeds for policy, seeds in found.items() if seeds}


def draw_together(path: Path, told: Mapping[str, Any]) -> None:
    """A panel a set: the mean of all seeds' curves, and each seed's as a thin line."""
    figure, grid = grid_of(1, len(told["sets"]))
    for axis, (name, one) in zip(grid[0], told["sets"].items()):
        for colour, (policy, curves) in coloured(one):
            for curve in curves["pass"]:
                axis.plot(one["k"], curve, color=colour, linewidth=0.7, alpha=0.6)
            axis.plot(one["k"], np.mean(curves["pass"], axis=0), color=colour, linewidth=2, label=policy)
            if curves["proved"]:
                axis.plot(one["k"], np.mean(curves["proved"], axis=0), ":", color=colour, linewidth=1.3)
        if any(curves["proved"] for curves in one["policies"].values()):
            axis.plot([], [], ":", color="black", linewidth=1.3, label="every step right")
        if one["chance"]:
            axis.plot(one["k"], one["chance"], "--", color=CHANCE, linewidth=1.3, label="chance")
        log_k(axis, f"{name}: {one['problems']} problems", "pass@k")
    count = len(told["seeds"])
    finish(figure, f"{told['env']}, {told['samples']:,} tries a problem; {count} seeds, and their mean")
    save_figure(figure, path)
