"""Games a second of a match: UCT with 100 simulations against a PPO policy, on connect four.

* ours: `search.arena.play_games`, both agents in batches.
* a loop: the same two agents, asked for a move at a time in a plain loop over PettingZoo's connect four, as
  people write it.

The policy has the network of `configs/train/ppo_connect_four.yaml`, untrained: how it plays takes no time.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from gymnasium.spaces import Discrete

from agents.policy import PolicyActor
from benchmarks.race import Turn, race
from benchmarks.report import Row, main
from envs.board import load
from envs.board.batch import observe_states
from envs.board.game import play
from envs.board.spaces import observation_space
from envs.rng import from_seeds
from rollouts.agent import Agent
from search.arena import Fixtures, play_games
from search.openings import draw_openings
from search.uct import UCT

GAMES, SAMPLE, PLIES, SIMULATIONS = 1000, 20, 4, 100
NETWORK = {"kind": "grid", "channels": 64, "hidden": 256}
ROUNDS = 2


def players() -> list[Agent]:
    """The two who play."""
    game = load("connect_four")
    uct = UCT(observation_space(game), Discrete(game.actions), simulations=SIMULATIONS)
    return [uct, PolicyActor(observation_space(game), Discrete(game.actions), network=NETWORK)]


def ours(games: int = GAMES) -> Turn:
    """All games of a match."""
    game, agents = load("connect_four"), players()
    openings = draw_openings(game, games // 2, (PLIES, PLIES), seed=0)
    numbers = np.arange(games)
    who = np.stack([numbers % 2, 1 - numbers % 2], axis=1)
    drawn = openings.take(numbers // 2 % len(openings))

    def turn() -> int:
        play_games(game, agents, Fixtures(who, drawn, from_seeds(numbers)), slots=games)
        return games

    return turn


def loop(games: int = SAMPLE) -> Turn:
    """Some games of the same match, one after the other."""
    from pettingzoo.classic import connect_four_v3

    game, agents, env = load("connect_four"), players(), connect_four_v3.env()
    dice, number = np.random.default_rng(0), 0

    def turn() -> int:
        nonlocal number
        for _ in range(games):
            state, rng, ply = game.new(), from_seeds([number]), 0
            env.reset(seed=number)
            for name in env.agent_iter():
                seen, _, ended, cut, _ = env.last()
                if ended or cut:
                    env.step(None)
                    continue
                if ply < PLIES:
                    action = int(dice.choice(np.flatnonzero(seen["action_mask"])))
                else:
                    agent = agents[(number + (name == env.possible_agents[1])) % 2]
                    obs = observe_states(game, state)  # PettingZoo's own has no state to search from
                    first = np.array([ply < PLIES + 2])
                    action = int(agent.act(obs, rng=rng, first=first, explore=False).actions[0])
                play(game.code, state[0], action)
                env.step(action)
                ply += 1
            number += 1
        return games

    return turn


def rows() -> Iterator[Row]:
    """One row."""
    rate = race({"ours": ours(), "loop": loop()}, rounds=ROUNDS, seconds=1.0)
    what = f"UCT {SIMULATIONS} against PPO, {GAMES:,} games"
    yield Row(what, "a plain loop over PettingZoo", rate["ours"], rate["loop"], unit="games/s")


if __name__ == "__main__":
    main(rows, __doc__)
