"""Tree search on connect four, 256 games at once: simulations a second.

* guided: with a ResNet of 5 blocks of 64 channels, in bf16 and fp32, against the same network alone with
  batches of 256, and against mctx with pgx and a network of that size.
* constant: with an evaluation that costs nothing, so the tree and the rules alone, against the same of mctx.

All begin 6 random plies into a game, with root noise, and take turns, ours on one thread and on two; the best
turn of each counts. mctx has what XLA takes, all cores, and computes in fp32 (in bf16 it is slower).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

import envs
from agents.options import read
from benchmarks.race import THREADS, Turn, speed
from benchmarks.report import Row, main
from envs.board import load
from envs.board.batch import observe_states
from envs.rng import from_seeds
from move37.build import set_threads
from search.mcts import Evaluator as Evaluate
from search.mcts import Search, SearchOptions
from search.networks import Evaluator, PolicyValueNet

GAME, PEER, GAMES, PLIES = "connect_four", "mctx + pgx", 256, 6
SIMULATIONS = (64, 32)
NETWORK = {"blocks": 5, "channels": 64}
GUIDED_ROUNDS, CONSTANT_ROUNDS, SECONDS = 2, 4, 0.3
REACH_BARE, REACH_GUIDED, REACH_CONSTANT = 0.8, 4.0, 3.0


def opened(games: int) -> np.ndarray:
    """Positions `PLIES` random plies into a game, uint64 `[games, words]`."""
    return envs.make("board/ConnectFour-v0", n=games, seed=0, random_plies=PLIES).reset(seed=0)[0]["state"]


def evaluator(precision: Any, network: Mapping[str, Any] = NETWORK) -> Evaluator:
    """A network for connect four, as searches ask it."""
    game = load(GAME)
    shape = (*game.shape, len(game.planes))
    return Evaluator(PolicyValueNet(shape, game.actions, network=network), precision=precision)


def constant(planes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A uniform policy, and a value of 0."""
    return np.zeros((len(planes), load(GAME).actions), np.float32), np.zeros(len(planes), np.float32)


def bare(evaluate: Evaluate, games: int = GAMES) -> Turn:
    """A turn of the network alone: the positions from which the searches begin."""
    planes = observe_states(load(GAME), opened(games))["planes"]

    def turn() -> int:
        evaluate(planes)
        return games

    return turn


def ours(evaluate: Evaluate, simulations: int, rule: Any = "puct", games: int = GAMES) -> Turn:
    """A search of all games at once."""
    options = read(SearchOptions, {"simulations": simulations, "rule": rule}, "search")
    search = Search(load(GAME), evaluate, options)
    states, rng = opened(games), from_seeds(np.arange(games))

    def turn() -> int:
        before = search.simulated
        search.run(states, rng, noisy=True)
        return search.simulated - before

    return turn


def compare(turns: Mapping[str, Turn], rounds: int) -> dict[str, float]:
    """The best rate of each, kernels and torch on as many threads."""
    best = dict.fromkeys(turns, 0.0)
    for turn in turns.values():
        turn()
    for _ in range(rounds):
        for threads in THREADS:
            set_threads(threads)
            for who, turn in turns.items():
                best[who] = max(best[who], speed(turn, SECONDS))
    return best


def guided() -> Iterator[Row]:
    """Two rows for each precision and number of simulations."""
    import pgx

    from benchmarks import mctx_pgx

    env = pgx.make(GAME)  # type: ignore[arg-type]
    turns, net = {}, mctx_pgx.network(env, **NETWORK)
    for precision in ("bf16", "fp32"):
        evaluate = evaluator(precision)
        turns[precision] = bare(evaluate)
        turns |= {f"{k}, {precision}": ours(evaluate, k) for k in SIMULATIONS}
    turns |= {f"{k}, {PEER}": mctx_pgx.turn_of(env, net, "puct", GAMES, k, PLIES) for k in SIMULATIONS}
    rate = compare(turns, GUIDED_ROUNDS)
    for k in SIMULATIONS:
        for precision in ("bf16", "fp32"):
            what, mine = f"search, {GAMES} × {k}, 5×64 in {precision}", rate[f"{k}, {precision}"]
            yield Row(what, "bare network", mine, rate[precision], REACH_BARE, "simulations/s")
            yield Row(what, PEER, mine, rate[f"{k}, {PEER}"], REACH_GUIDED, "simulations/s")


def trees() -> Iterator[Row]:
    """A row for each rule and number of simulations."""
    import pgx

    from benchmarks import mctx_pgx

    env = pgx.make(GAME)  # type: ignore[arg-type]
    net, kinds = mctx_pgx.constant(env), [(rule, k) for rule in ("puct", "gumbel") for k in SIMULATIONS]
    turns = {f"{rule}, {k}": ours(constant, k, rule) for rule, k in kinds}
    turns |= {f"{r}, {k}, {PEER}": mctx_pgx.turn_of(env, net, r, GAMES, k, PLIES) for r, k in kinds}
    rate = compare(turns, CONSTANT_ROUNDS)
    for rule, k in kinds:
        name = f"{rule}, {k}"
        what = f"search, {GAMES} × {k}, constant, {rule}"
        yield Row(what, PEER, rate[name], rate[f"{name}, {PEER}"], REACH_CONSTANT, "simulations/s")


def rows() -> Iterator[Row]:
    """With a network, then without."""
    yield from guided()
    yield from trees()


if __name__ == "__main__":
    main(rows, __doc__)
