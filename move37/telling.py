"""What commands tell: `eval`, `study`, and all that compile before they begin."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def tell_of_compiling() -> None:
    """A line on stderr where a command will be silent for long, as its kernels were never compiled."""
    from envs.kernels import cold

    if cold():
        print("move37: compiling kernels, once for this version: up to a minute", file=sys.stderr, flush=True)


def tell_evaluation(run: Path, result: dict[str, Any], checkpoint: str) -> None:
    """An evaluation in lines: return and success with intervals, and each skill where there are several."""
    low, high = result["interval"]
    interval = f" [{low:.4g}, {high:.4g}]" if math.isfinite(low) else ""
    seat = " of the first player, against itself" if result.get("self_play") else ""
    told = [f"mean return{seat} {result['mean_return']:.4g}{interval}"]
    if "success" in result:
        success = f"success {_percent(result['success'], result['success_interval'])}"
        told.insert(0 if "skills" in result else 1, success)
    sure = " (95 % interval)" if math.isfinite(low) or "success" in result else ""
    print(f"{run}: {', '.join(told)}{sure}")
    played = "1 episode" if result["episodes"] == 1 else f"{result['episodes']} episodes"
    steps = "1 step" if result["mean_length"] == 1 else f"{result['mean_length']:.4g} steps"
    print(f"{played} of {steps}, checkpoint {checkpoint}")
    if result.get("invalid"):
        print(
            f"not judged: {result['invalid']:.1%} of the episodes, as the verifier failed; they do not count"
        )
    if result.get("parts"):
        print("parts: " + ", ".join(f"{name} {value:.1%}" for name, value in result["parts"].items()))
    width = max(map(len, result.get("skills", {})), default=0)
    for name, skill in result.get("skills", {}).items():
        right = _percent(skill["success"], skill["interval"])
        print(f"{name:<{width}}  success {right} of {skill['episodes']}")


def _percent(share: float, interval: Sequence[float]) -> str:
    low, high = interval
    return f"{share:.1%} [{low:.1%}, {high:.1%}]"


def tell_study(told: dict[str, Any]) -> None:
    """A row a stage: its seeds, what they took, and the mean of their last values, with their range.

    Then of each experiment on pass@k where, by every seed, the base overtakes.
    """
    print("\n".join(study_table(told)))
    for name, one in told.get("passk", {}).items():
        print("\n".join(["", *crossover_lines(name, one)]))


def crossover_lines(name: str, told: dict[str, Any]) -> list[str]:
    """A line for each set of problems, policy and seed: where the base overtakes."""
    return [
        f"{name}, {problems}, {policy}, seed {seed}: {found['said']}"
        for problems, one in told["sets"].items()
        for policy, seeds in one["crossovers"].items()
        for seed, found in seeds.items()
    ]


def study_table(told: dict[str, Any]) -> list[str]:
    """The same as lines of a table in Markdown."""
    stages: dict[str, list[dict[str, Any]]] = {}
    for row in told["stages"]:
        stages.setdefault(row["stage"], []).append(row)
    known = ("stage", "seed", "env_steps", "seconds", "eval/low", "eval/high")
    metrics = list(dict.fromkeys(name for row in told["stages"] for name in row if name not in known))
    heads = ["stage", "seeds", "env steps", *metrics]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for stage, rows in stages.items():
        cells = [stage, str(len(rows)), f"{sum(row['env_steps'] for row in rows) / len(rows):,.0f}"]
        for name in metrics:
            values = [row[name] for row in rows if name in row]
            cells.append(_range(values) if values else "")
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def passk_table(told: dict[str, Any]) -> list[str]:
    """An experiment on pass@k over seeds (`move37.passk.seeds.together`), as a table in Markdown.

    A row a set of problems and policy: pass@k at the smallest, a middle and the largest k, means over seeds
    with their range, and where each seed's base overtakes.
    """
    ks = next(iter(told["sets"].values()))["k"]
    places = sorted({0, len(ks) // 2, len(ks) - 1})
    heads = ["problems", "policy", *(f"pass@{ks[p]}" for p in places), "the base overtakes at k"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for problems, one in told["sets"].items():
        for policy, curves in one["policies"].items():
            for key, name in (("pass", policy), ("proved", f"{policy}, every step right")):
                if curves[key]:
                    cells = [_range([curve[p] for curve in curves[key]]) for p in places]
                    seeds = one["crossovers" if key == "pass" else "crossovers_proved"].get(policy, {})
                    crossed = ", ".join(_crossed(found) for found in seeds.values())
                    lines.append(f"| {' | '.join([problems, name, *cells, crossed])} |")
    return lines


def _crossed(found: dict[str, Any]) -> str:
    """k* and its interval; or who is ahead at the largest k, where there is none."""
    if found["k"] is None:
        return f"none ({found['ahead']} ahead)" if found["ahead"] else "none"
    ends = ["∞" if found[end] is None else f"{found[end]:.3g}" for end in ("low", "high")]
    return f"{found['k']:.3g} [{', '.join(ends)}]"


def tournament_table(told: dict[str, Any]) -> list[str]:
    """What a tournament told (`ratings.json`), as a table in Markdown: a row a player, the best first."""
    lines = ["| player | Elo | 95 % | games | score | s a move |", "|---" * 6 + "|"]
    for row in told["players"]:
        interval = f"[{row['low']:.0f}, {row['high']:.0f}]" if row["low"] < row["high"] else "anchor"
        seconds = f"{row['seconds_a_move']:.2g}" if row["seconds_a_move"] else ""
        cells = [row["name"], f"{row['elo']:.0f}", interval, f"{row['games']:,}", f"{row['score']:.3f}"]
        cells.append(seconds)
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _range(values: list[float]) -> str:
    """Mean, and least and largest where there are several."""
    form = (lambda x: f"{x:.3f}") if max(map(abs, values)) < 10 else (lambda x: f"{x:,.1f}")
    spread = f" ({form(min(values))} to {form(max(values))})" if len(values) > 1 else ""
    return form(sum(values) / len(values)) + spread
