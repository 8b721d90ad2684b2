"""Memory of search trees: bytes a node of each game, and the peak of a process that searches go.

A node of ours and of mctx holds its position and has room for all moves. mctx's positions are pgx's states,
which hold observations too; of a game that pgx has not, there is none. The peak is the whole process's: 256
games of go 9×9, 800 simulations each, with a network of 2 blocks of 32 channels.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from agents.options import read
from benchmarks.boards import CONTESTS
from benchmarks.report import Row, main
from envs.board import NAMES, load
from envs.rng import from_seeds
from search.mcts import Search, SearchOptions
from search.networks import Evaluator, PolicyValueNet
from search.tree import node_bytes

GAMES, SIMULATIONS = 256, 800
ASKED = 2000.0


def peak(games: int = GAMES, simulations: int = SIMULATIONS) -> float:
    """The most MB that this process ever held, after a search of so many games of go 9×9."""
    game = load("go", {"size": 9})
    shape = (*game.shape, len(game.planes))
    network = PolicyValueNet(shape, game.actions, network={"blocks": 2, "channels": 32})
    search = Search(game, Evaluator(network), read(SearchOptions, {"simulations": simulations}, "search"))
    search.run(game.new(games), from_seeds(np.arange(games)))
    status = Path("/proc/self/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))  # Linux alone tells
    return int(line.split()[1]) / 1000  # kB


def peak_of_its_own(games: int = GAMES, simulations: int = SIMULATIONS) -> float:
    """`peak` in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(peak, (games, simulations))


def rows() -> Iterator[Row]:
    """A row a game, and the peak."""
    from benchmarks import mctx_pgx

    for name, contest in CONTESTS.items():
        game = load(NAMES[contest.id], contest.options)
        if contest.pgx:
            against, peer = "mctx + pgx", mctx_pgx.node_bytes(contest.pgx)
        else:
            against, peer = "mctx, without positions", mctx_pgx.empty_node_bytes(game.actions)
        yield Row(f"a tree's node, {name}", against, node_bytes(game), peer, unit="bytes")
    what = f"search, {GAMES} × {SIMULATIONS} of go 9×9, peak"
    yield Row(what, "asked for", peak_of_its_own(), ASKED, 1.0, unit="MB")


if __name__ == "__main__":
    main(rows, __doc__)
