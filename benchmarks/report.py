"""What a benchmark finds, as rows of one table."""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

WIDTHS = (46, 34)
HEAD = f"{'what':<{WIDTHS[0]}}{'against':<{WIDTHS[1]}}{'ours':>13}{'peer':>13}{'ratio':>8}{'reach':>8}  ok"
LESS_IS_BETTER = ("s", "bytes", "MB")
BARE = (
    "steps/s",
    "moves/s",
    "simulations/s",
    "positions/s",
    "tokens/s",
    "problems/s",
    "programs/s",
    "games/s",
)
"""Units that are not printed beside the numbers: the row's name says what is counted."""


@dataclass(frozen=True)
class Row:
    """One figure of ours beside a peer's, both in `unit`; of time and memory less is better, else more."""

    what: str
    against: str
    ours: float
    peer: float
    reach: float | None = None
    """The ratio asked for; None where the row only tells."""
    unit: str = "steps/s"

    @property
    def ratio(self) -> float:
        """How many times better ours is."""
        return self.peer / self.ours if self.unit in LESS_IS_BETTER else self.ours / self.peer

    @property
    def ok(self) -> bool | None:
        """Is what is asked for reached? None where nothing is asked for."""
        return None if self.reach is None else self.ratio >= self.reach

    def __str__(self) -> str:
        """A line of the table under `HEAD`."""
        numbers = f"{_told(self.ours, self.unit):>13}{_told(self.peer, self.unit):>13}{self.ratio:>8.2f}"
        verdict = {None: "", True: "yes", False: "NO"}[self.ok]
        reach = "" if self.reach is None else f"{self.reach:.2f}"
        return f"{self.what:<{WIDTHS[0]}}{self.against:<{WIDTHS[1]}}{numbers}{reach:>8}  {verdict}".rstrip()

    def plain(self) -> dict[str, Any]:
        """As a JSON object."""
        return {**asdict(self), "ratio": self.ratio, "ok": self.ok}


def tell(rows: Iterable[Row], file: Path | None = None) -> list[Row]:
    """Print the table, a row as soon as it is there, and write all of it to `file` as JSON."""
    print(HEAD, flush=True)
    done = []
    for row in rows:
        print(row, flush=True)
        done.append(row)
    if file is not None:
        machine = {"cores": os.cpu_count(), "processor": _processor(), "python": platform.python_version()}
        file.write_text(json.dumps({"machine": machine, "rows": [row.plain() for row in done]}, indent=1))
    return done


def main(rows: Callable[[], Iterator[Row]], about: str | None) -> None:
    """A benchmark's own command line: its table, and `--json FILE`."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_json(parser)
    tell(rows(), parser.parse_args().json)


def add_json(parser: argparse.ArgumentParser) -> None:
    """The option `--json FILE`."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there too")


def read(file: Path) -> list[Row]:
    """The rows that `tell` wrote there."""
    names = [field.name for field in fields(Row)]
    return [Row(**{name: row[name] for name in names}) for row in json.loads(file.read_text())["rows"]]


def _told(value: float, unit: str) -> str:
    if unit == "s":
        return f"{value:.2f} s"
    if unit in BARE:
        return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
    return f"{value:,.0f} {unit}"


def _processor() -> str:
    """The processor's name, where the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
