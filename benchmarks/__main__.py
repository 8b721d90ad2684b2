"""All benchmarks, in one table: `python -m benchmarks [NAME ...] [--json FILE] [--long]`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module

from benchmarks.report import Row, add_json, tell

ACTING = ("startup", "atari", "arcade", "ppo", "dqn", "atari_ppo", "fleet", "rllib", "ppo_learning")
SEARCHING = ("boards", "network", "uct", "search", "solver", "memory", "tournament")
TALKING = ("text", "sandbox", "generation", "packing", "grpo", "passk")
NAMES = ACTING + SEARCHING + TALKING
PEERS = (
    "datasets",
    "jax",
    "mctx",
    "minatar",
    "pgx",
    "pyspiel",
    "reasoning_gym",
    "stable_baselines3",
    "transformers",
    "trl",
)


def rows(names: Sequence[str], long: bool) -> Iterator[Row]:
    """The rows of each benchmark in turn."""
    for name in names:
        module = import_module(f"benchmarks.{name}")
        yield from module.rows()
        if long and name == "ppo_learning":
            yield from module.rows([module.BREAKOUT])


def main() -> int:
    """Print the table; the exit code is 2 where a peer is not installed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of: {', '.join(NAMES)}")
    parser.add_argument("--long", action="store_true", help="learn arcade Breakout too: up to 20 minutes")
    add_json(parser)
    given = parser.parse_args()
    unknown = sorted(set(given.names) - set(NAMES))
    if unknown:
        parser.error(f"there is no benchmark '{unknown[0]}'; there are {', '.join(NAMES)}")
    try:
        tell(rows(given.names or NAMES, given.long), given.json)
    except ModuleNotFoundError as error:
        if error.name not in PEERS:
            raise
        print(f"{error.name} is not installed: pip install -e '.[bench]', or `make bench`", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
