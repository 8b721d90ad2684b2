"""What runs learned, as lines of `docs/results/learning.jsonl` and as a table.

    python -m benchmarks.learning RUN... [--episodes 500] [--explore]

Each RUN (a run folder, or one of seeds) is measured in fresh episodes of its last checkpoint. A line that is
there already for the same config, seed and budget is replaced. Without a RUN the table is printed as it
stands.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from move37.errors import UserError
from move37.run import Run

FILE = Path(__file__).parent.parent / "docs" / "results" / "learning.jsonl"
KEY = ("config", "seed", "env_steps")
HEAD = "| config | env | env steps | seeds | return, a seed each | mean |\n|---|---|---|---|---|---|"


def measure(run: Run, name: str, episodes: int, explore: bool | None) -> dict[str, Any]:
    """One line: who learned what in how many steps and seconds, and how well it plays."""
    found = run.evaluate(episodes, explore=explore)
    last = run.metrics()[-1]
    return {
        "config": name,
        "env": run.config.env.id,
        "seed": run.config.seed,
        "env_steps": int(last["env_steps"]),
        "seconds": round(last["time/total"]),
        "explore": run.explores(explore),
        "episodes": found["episodes"],
        "mean_return": round(found["mean_return"], 2),
        "interval": [round(x, 2) for x in found["interval"]],
    }


def read(file: Path = FILE) -> list[dict[str, Any]]:
    """The lines so far."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []


def merge(lines: Iterable[Mapping[str, Any]], file: Path = FILE) -> None:
    """Put lines into the file in the place of those with the same key, sorted."""
    by_key = {tuple(line[k] for k in KEY): dict(line) for line in [*read(file), *lines]}
    beside = file.with_suffix(".new")
    beside.write_text("".join(json.dumps(by_key[key]) + "\n" for key in sorted(by_key)))
    beside.replace(file)


def table(lines: Iterable[Mapping[str, Any]]) -> str:
    """A row for each config and number of steps, in Markdown."""
    groups: dict[tuple[str, int], list[Mapping[str, Any]]] = {}
    for line in sorted(lines, key=lambda line: (line["config"], line["env_steps"], line["seed"])):
        groups.setdefault((line["config"], line["env_steps"]), []).append(line)
    return "\n".join([HEAD, *(_row(members) for members in groups.values())])


def _row(members: list[Mapping[str, Any]]) -> str:
    first, returns = members[0], [m["mean_return"] for m in members]
    seeds = ", ".join(str(m["seed"]) for m in members)
    each = ", ".join(f"{r:.1f}" for r in returns)
    return (
        f"| `{first['config']}` | {first['env']} | {first['env_steps']:,} | {seeds} | {each} "
        f"| **{np.mean(returns):.1f}** |"
    )


def main() -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="*", type=Path, metavar="RUN")
    parser.add_argument("--episodes", type=int, default=500)
    parser.add_argument("--explore", action=argparse.BooleanOptionalAction, help="[as evaluated in training]")
    given = parser.parse_args()
    try:
        found = [run for path in given.runs for run in Run.load(path).runs()]
    except UserError as error:
        parser.error(str(error))
    for run in found:
        name = run.path.parent.name if run.path.name.startswith("seed-") else run.path.name
        line = measure(run, name, given.episodes, given.explore)
        merge([line])
        print(json.dumps(line), flush=True)
    print(table(read()))


if __name__ == "__main__":
    main()
