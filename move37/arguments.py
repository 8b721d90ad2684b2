"""Arguments that several commands take, and how they all print JSON."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated, Any

import typer

RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, such as runs/demo.")]
ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG", help="A YAML file.")]
Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="KEY.SUB=VALUE", help="Put in place of the file's.")
]
Out = Annotated[Path | None, typer.Option(metavar="DIR", help="Its folder. [default: runs/<config's name>]")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object, for a machine.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Trust = Annotated[
    bool, typer.Option("--trust", help="Follow import paths in a run folder: they run its code.")
]
Explore = Annotated[
    bool | None,
    typer.Option(
        "--explore/--no-explore", help="Act as in training, or the best known. [default: as evaluated]"
    ),
]
Seed = Annotated[int | None, typer.Option(min=0, metavar="N", help="Names the episodes that are played.")]
Checkpoint = Annotated[str, typer.Option(metavar="NAME", help="last, best, or a number of env steps.")]


def print_json(data: Any) -> None:
    """One JSON object on stdout; what is not a finite number is null."""
    print(json.dumps(_finite(data)))


def _finite(data: Any) -> Any:
    if isinstance(data, dict):
        return {str(k): _finite(v) for k, v in data.items()}
    if isinstance(data, (list, tuple)):
        return [_finite(v) for v in data]
    if isinstance(data, Path):
        return str(data)
    return None if isinstance(data, float) and not math.isfinite(data) else data
