"""Board games: random legal moves a second. Ours and pgx's moves come with the planes and the legal actions.

All play to the end and begin again. They take turns, so that the machine's moods fall on all, and the best
turn of each counts. Ours and those that play one game at a time have one thread; pgx has what XLA takes, all.

* ours: `envs.make`; a kernel draws the actions from the masks, and both are called from Python.
* pgx: the step is jitted and vmapped with the draw in it, begins ended games again by itself, and is given
  its random numbers for free. Its hex always has the swap rule, so ours has it too.
* OpenSpiel: a loop in Python over its C++ states, which lists the legal actions and draws no observation.
* OpenSpiel's C++ playouts: the search's random rollouts from the first position, which show nothing to
  anybody; their moves are counted by the mean length of `SAMPLE` games of the loop above.
* PettingZoo: connect four, with its observation and mask.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

import numpy as np

import envs
from benchmarks.race import Turn, race
from benchmarks.report import Row, main
from envs.kernels import kernel
from envs.rng import from_seeds, next_below

N, STEPS, ROUNDS, SECONDS = 1024, 50, 3, 0.3
PGX_STEPS, SAMPLE, PLAYOUTS = 20, 500, 200
PLAYED_OUT = "OpenSpiel's C++ playouts"


@dataclass(frozen=True)
class Contest:
    """A game, what it is called elsewhere ("" where it is not), and the ratio asked for."""

    id: str
    options: dict[str, Any] = field(default_factory=dict)
    pgx: str = ""
    open_spiel: str = ""
    pettingzoo: bool = False
    reach: float | None = None


CONTESTS = {
    "connect four": Contest("ConnectFour", {}, "connect_four", "connect_four", True, reach=5.0),
    "othello": Contest("Othello", {"size": 8}, "othello", "othello", reach=10.0),
    "go 9×9": Contest("Go", {"size": 9}, "go_9x9", "go(board_size=9)", reach=2.0),
    "hex 11×11": Contest("Hex", {"size": 11, "swap": True}, "hex", "hex(board_size=11)"),
    "gomoku 15×15": Contest("Gomoku", {"size": 15}, "", "gomoku(size=15)"),
    "breakthrough": Contest("Breakthrough", {"size": 8}, "", "breakthrough"),
    "tic-tac-toe": Contest("TicTacToe", {}, "tic_tac_toe", "tic_tac_toe"),
}


@kernel
def draw(masks, rng, actions):  # type: ignore[no-untyped-def]
    """Write a legal action of each row of `masks`, each by its own generator: any, until one is legal."""
    for i in range(len(masks)):
        action = next_below(rng, i, masks.shape[1])
        while not masks[i, action]:
            action = next_below(rng, i, masks.shape[1])
        actions[i] = action


def ours(contest: Contest, n: int = N) -> Turn:
    """A turn of ours: `STEPS` moves in each of `n` games, which are at all their stages."""
    env = envs.make(f"board/{contest.id}-v0", n=n, seed=0, **contest.options)
    obs, _ = env.reset(seed=0)
    rng, actions = from_seeds(np.arange(n)), np.zeros(n, np.int64)

    def turn() -> int:
        nonlocal obs
        for _ in range(STEPS):
            draw(obs["action_mask"], rng, actions)
            obs = env.step(actions)[0]
        return STEPS * n

    for _ in range(10):
        turn()
    return turn


def pgx(name: str, n: int = N) -> Turn:
    """The same of pgx, of fewer moves."""
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    import jax
    import jax.numpy as jnp
    import pgx as suite
    from pgx.experimental import auto_reset

    env = suite.make(name)  # type: ignore[arg-type]
    once = auto_reset(env.step, env.init)

    def step(state: Any, key: Any, u: Any) -> Any:
        counted = jnp.cumsum(state.legal_action_mask)
        return once(state, jnp.argmax(counted > u * counted[-1]), key)

    keys = jax.random.split(jax.random.PRNGKey(0), (PGX_STEPS + 1, n))
    state = jax.jit(jax.vmap(env.init))(keys[-1])
    rows = list(zip(keys[:-1], jax.random.uniform(jax.random.PRNGKey(1), (PGX_STEPS, n))))
    jax.block_until_ready(rows)
    played = jax.jit(jax.vmap(step), donate_argnums=0)  # in place, which is faster

    def turn() -> int:
        nonlocal state
        for key, u in rows:
            state = played(state, key, u)
        jax.block_until_ready(state)
        return PGX_STEPS * n

    return turn


def open_spiel(name: str) -> Turn:
    """A game of OpenSpiel, from Python."""
    import pyspiel

    game, uniform = pyspiel.load_game(name), Random(0).random

    def turn() -> int:
        state, moves = game.new_initial_state(), 0
        while not state.is_terminal():
            legal = state.legal_actions()
            state.apply_action(legal[int(uniform() * len(legal))])
            moves += 1
        return moves

    return turn


def playouts(name: str) -> Turn:
    """About as many moves as `PLAYOUTS` random games of OpenSpiel have, all in C++."""
    import pyspiel

    played = open_spiel(name)
    moves = round(PLAYOUTS * sum(played() for _ in range(SAMPLE)) / SAMPLE)
    game = pyspiel.load_game(name)
    bot = pyspiel.MCTSBot(game, pyspiel.RandomRolloutEvaluator(PLAYOUTS, 0), 2.0, 1, 100, False, 0, False)
    state = game.new_initial_state()

    def turn() -> int:
        bot.mcts_search(state)  # its one simulation evaluates the root
        return moves

    return turn


def pettingzoo() -> Turn:
    """A game of PettingZoo's connect four."""
    from pettingzoo.classic import connect_four_v3

    env, uniform = connect_four_v3.env(), Random(0).random

    def turn() -> int:
        env.reset()
        moves, (obs, _, over, _, _) = 0, env.last()
        while not over:
            legal = np.flatnonzero(obs["action_mask"])
            env.step(int(legal[int(uniform() * len(legal))]))
            moves, (obs, _, over, _, _) = moves + 1, env.last()
        return moves

    return turn


def turns_of(contest: Contest) -> dict[str, Turn]:
    """Ours, then each peer's under the name of its row."""
    turns = {"ours": ours(contest)}
    if contest.pgx:
        turns["pgx"] = pgx(contest.pgx)
    if contest.open_spiel:
        turns["OpenSpiel, no planes"] = open_spiel(contest.open_spiel)
        turns[PLAYED_OUT] = playouts(contest.open_spiel)
    if contest.pettingzoo:
        turns["PettingZoo"] = pettingzoo()
    return turns


def rows() -> Iterator[Row]:
    """A row for each game and peer."""
    for name, contest in CONTESTS.items():
        rate = race(turns_of(contest), ROUNDS, SECONDS)
        for peer in list(rate)[1:]:
            reach = None if peer == PLAYED_OUT else contest.reach
            yield Row(f"{name}, {N} games", peer, rate["ours"], rate[peer], reach, unit="moves/s")


if __name__ == "__main__":
    main(rows, __doc__)
