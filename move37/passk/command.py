"""The command passk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from move37 import telling
from move37.arguments import Debug, Json, Out, Overrides, Trust, print_json


def passk(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="A YAML file; or samples: FILE.jsonl ...")],
    more: Overrides = None,
    out: Out = None,
    trust: Trust = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Try each problem k times, and see what learning found.

    Stopped, it goes on where it was when it is called again. Samples that others made are read as JSON lines
    of a problem and whether it was solved: one file a policy, the base first.
    """
    from move37.passk.others import is_samples, passk_of_files
    from move37.passk.run import TOLD, run_passk
    from move37.passk.watch import Live, Watcher

    if is_samples(config):
        told = passk_of_files([config, *map(Path, more or [])], out)
        folder = out
    else:
        telling.tell_of_compiling()
        folder = out or Path("runs") / config.stem
        told = run_passk(config, more or [], out=folder, watcher=Watcher() if json else Live(), trust=trust)
    if json:
        print_json(told)
        return
    tell_passk(told)
    if folder:
        print(f"wrote {', '.join([str(folder / TOLD), *told['figures']])}")


def tell_passk(told: Mapping[str, Any]) -> None:
    """A table a set of problems, and what it says in words."""
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    for name, one in told["sets"].items():
        console.print(f"{name}: {one['problems']} problems")
        console.print(_table(one))
        for line in remarks(one):
            console.print(f"  {line}", soft_wrap=True)


def _table(one: Mapping[str, Any]) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("")
    places = shown(one["k"])
    for place in places:
        table.add_column(f"pass@{one['k'][place]}", justify="right", no_wrap=True)
    for name, policy in one["policies"].items():
        cells = [_cell(policy["pass"], place) for place in places]
        table.add_row(Text(name, no_wrap=True, overflow="ellipsis"), *cells)
        for label, key in (("  steps right too", "proved"), ("  by majority", "majority")):
            if key in policy:
                table.add_row(label, *(f"{policy[key]['value'][p]:.3f}" + " " * 7 for p in places))
    if "chance" in one:
        table.add_row("chance", *(f"{one['chance'][p]:.3f}" + " " * 7 for p in places))
    return table


def shown(ks: list[int], most: int = 4) -> list[int]:
    """Which of several k a table has room for: the first, the last, and some between."""
    if len(ks) <= most:
        return list(range(len(ks)))
    return sorted({round(i * (len(ks) - 1) / (most - 1)) for i in range(most)})


def _cell(curve: Mapping[str, Any], place: int) -> str:
    """A value, and half of its interval."""
    value, low, high = (curve[key][place] for key in ("value", "low", "high"))
    return f"{value:.3f} ± {(high - low) / 2:.3f}"[:13] if low is not None else f"{value:.3f}" + " " * 7


def remarks(one: Mapping[str, Any]) -> list[str]:
    """What the table does not show: a line each."""
    said = []
    for name, versus in one["against_base"].items():
        said.append(f"{name}: {versus['crossover']['said']}")
        if "crossover_proved" in versus:
            said.append(f"  with every step right: {versus['crossover_proved']['said']}")
        counts = {key: sets["count"] for key, sets in versus["solved"].items()}
        said.append(
            f"  solved by {one['base']} alone {counts['only_base']}, by both {counts['both']}, "
            f"by {name} alone {counts['only_trained']}, by neither {counts['neither']}"
        )
        if "perplexity_under_base" in versus:
            odd = versus["perplexity_under_base"]
            told = [
                f"{key} {odd[key]:.3f} (its own {odd[f'{key}_own']:.3f})"
                for key in ("right", "wrong")
                if key in odd
            ]
            said.append(f"  perplexity of its tries under {one['base']}: {', '.join(told)}")
        if len(one["against_base"]) == 1:
            said.append(f"  {versus['next']}")
    return [*said, *(f"careful: {line}" for line in one["warnings"])]
