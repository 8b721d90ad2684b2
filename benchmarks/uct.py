"""UCT with random playouts against OpenSpiel's: simulations a second from connect four's empty board.

Both search on one thread, without proofs, by the same rule with the same constant, 1,000 simulations a move;
ours one board at a call, and 64. OpenSpiel's search and playouts are its C++ `MCTSBot`, called from Python.
They take turns, and the best turn of each counts.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

import envs
from benchmarks.race import Turn, race
from benchmarks.report import Row, main
from envs.rng import from_seeds
from move37.build import set_threads
from search.uct import UCT

SIMULATIONS, C, BOARDS = 1000, 1.4, (1, 64)
ROUNDS, SECONDS = 6, 0.5
PEER, REACH = "OpenSpiel's C++ MCTS", 16.0


def ours(n: int, simulations: int = SIMULATIONS) -> Turn:
    """A move on `n` empty boards."""
    env = envs.make("board/ConnectFour-v0", n=n, seed=0)
    obs, _ = env.reset(seed=0)
    agent = UCT(env.single_observation_space, env.single_action_space, simulations=simulations, c=C)
    rng, first = from_seeds(np.arange(n)), np.ones(n, bool)

    def turn() -> int:
        agent.act(obs, rng=rng, first=first)
        return n * simulations

    return turn


def open_spiel(simulations: int = SIMULATIONS) -> Turn:
    """A move of OpenSpiel's on the empty board."""
    import pyspiel

    game = pyspiel.load_game("connect_four")
    playouts = pyspiel.RandomRolloutEvaluator(1, 0)
    bot = pyspiel.MCTSBot(game, playouts, C, simulations, 1000, False, 0, False)  # 1000 MB, no proofs, seed 0
    state = game.new_initial_state()

    def turn() -> int:
        return bot.mcts_search(state).explore_count

    return turn


def rows() -> Iterator[Row]:
    """A row for each number of boards."""
    set_threads(1)
    turns = {f"{n} at once": ours(n) for n in BOARDS} | {PEER: open_spiel()}
    rate = race(turns, ROUNDS, SECONDS)
    for n in BOARDS:
        what = f"UCT, connect four, {SIMULATIONS:,} a move, {n} at once"
        yield Row(what, PEER, rate[f"{n} at once"], rate[PEER], REACH, unit="simulations/s")


if __name__ == "__main__":
    main(rows, __doc__)
