"""The command sweep."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from move37 import telling
from move37.arguments import ConfigFile, Debug, Json, Out, Overrides, print_json

NARROW = 8
"""Characters of a column's name that are not too many."""
FEW = 3
"""Keys for which a table has room to spare."""


def sweep(
    config: ConfigFile,
    overrides: Overrides = None,
    out: Out = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Train many runs that differ in some keys, and find the best.

    Stopped, it goes on where it was when it is called again.
    """
    from move37.sweep.run import run_sweep
    from move37.sweep.watch import Live, Watcher

    telling.tell_of_compiling()
    told = run_sweep(config, overrides or [], out=out, watcher=Watcher() if json else Live())
    if json:
        print_json(told)
        return
    tell_sweep(told)
    print(f"wrote {told['best']['config']}, {told['figure']}")


def tell_sweep(told: Mapping[str, Any]) -> None:
    """The table, the best first, and what it does not show."""
    from rich.console import Console
    from rich.table import Table

    from move37.plots import short
    from move37.progress import clock

    rows = told["trials"]
    keys = list(rows[0]["set"])
    between = (0, 1, 0, 0) if len(keys) > FEW else (0, 1)
    table = Table(box=None, header_style="bold", pad_edge=False, padding=between)
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("trial", justify="right", no_wrap=True)
    for name in (*(short_key(key, keys) for key in keys), told["metric"], "env steps", "time"):
        table.add_column(folded(name), justify="right")
    table.add_column("end")
    for rank, row in enumerate(rows, start=1):
        value = "–" if row["value"] is None else f"{row['value']:.4g}"
        cells = [str(row["number"]), *(cell(row["set"][key]) for key in keys), value]
        cells += [short(row["env_steps"]), clock(row["seconds"])]
        table.add_row(str(rank), *cells, row["ended"])
    console = Console(highlight=False, markup=False)
    console.print(table)
    for line in remarks(told):
        console.print(line, soft_wrap=True)


def cell(value: Any) -> str:
    """A value as a table shows it."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def folded(name: str) -> str:
    """A long name over two lines: numbers need the room."""
    head, line, tail = name.partition("_")
    return f"{head}_\n{tail}" if line and len(name) > NARROW else name


def short_key(key: str, keys: list[str]) -> str:
    """The end of a key, where no other one has it."""
    end = key.split(".")[-1]
    return key if sum(other.split(".")[-1] == end for other in keys) > 1 else end


def remarks(told: Mapping[str, Any]) -> list[str]:
    """What the table does not show: a line each."""
    rows = told["trials"]
    said = [f"{told['metric']}: the last of each trial; {told['env_steps']:,} env steps in all"]
    swaps = sum(len(row["taken"]) for row in rows)
    if swaps:
        times = "once a trial took" if swaps == 1 else f"{swaps} times a trial took"
        said = [f"{told['metric']}: the last of each trial; values: those that it ended with"]
        said.append(f"{times} over a better one's weights, and the env steps that they had")
    return said + [f"trial {row['number']} failed: {row['said']}" for row in rows if row["ended"] == "failed"]
