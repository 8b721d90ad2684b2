"""Any PettingZoo environment as a `BatchEnv`, for agents that share their parameters.

There are two ways to seat the `k` agents of a game (see `envs.zoo.vector`):

* `SeatedGames`: one slot a game, `k` seats, a row a move. For games of two in turn whose rewards cancel out.
* `SharedGames`: one slot a game *and* agent, one seat, a row a step of the game. For all others.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pettingzoo
from pettingzoo import AECEnv, ParallelEnv
from pettingzoo.utils.conversions import aec_to_parallel

from envs.base import BatchEnv
from envs.gym import quieten_pygame, told
from envs.options import OptionError, check_options
from envs.zoo.games import Game, ParallelGame, TurnGame
from envs.zoo.vector import Glimpse, SeatedGames, SharedGames

PREFIX = "pettingzoo/"


def make(id: str, n: int, *, per_agent: bool | None = None, **options: Any) -> BatchEnv:
    """`n` slots of a registered PettingZoo environment, `pettingzoo/classic/connect_four_v3`, say.

    See `batch_of` for `per_agent`. Raises `ValueError` for wrong options or a package that is not installed.
    """
    what, key = f"environment '{id}'", id.removeprefix(PREFIX).replace("_v", "-v")
    kind: Any = "parallel" if key in pettingzoo.parallel_registry else "aec"
    entry = pettingzoo.spec(kind, key).entry_point
    with told(what), _needs(what, key.partition("/")[0]):
        quieten_pygame()
        if isinstance(entry, str):  # its `env` takes anything, and hands it on to `raw_env`
            path, _, name = entry.partition(":")
            module = importlib.import_module(path)
            check_options(what, getattr(module, "raw_env", getattr(module, name)), options)
        creator = partial(pettingzoo.make, kind, key, **options)
        return batch_of(what, creator(), creator, n, per_agent)


def batch_of(
    what: str, first: Any, creator: Callable[[], Any], n: int, per_agent: bool | None = None
) -> BatchEnv:
    """`n` slots of the environments that `creator` makes; `first` is one, and `what` says what they are.

    With `per_agent` each game has a slot for each agent (`SharedGames`), without, a seat (`SeatedGames`).
    None picks seats for two agents in turn. Moves at once always have slots.

    Raises `ValueError` where agents differ in their spaces, or (`OptionError`) where each has a slot and `n`
    is no multiple of them. One slot alone shows what a slot is like, but cannot be played.
    """
    first = game_of(what, first)
    agents = len(first.agents)
    if per_agent is None:
        seated = isinstance(first, TurnGame) and agents == 2
    elif per_agent:
        seated = False
    elif isinstance(first, TurnGame):
        seated = True
    else:
        raise OptionError("per_agent", f"{what} has simultaneous moves: per_agent cannot be false")
    if not seated and n == 1 < agents:
        return Glimpse(first)
    if not seated and n % agents:
        said = f"{what} has a slot for each of the {agents} agents of a game"
        raise OptionError("n", f"{said}: n must be a multiple of {agents}, not {n}")
    games: list[Any] = [first]
    games += [game_of(what, creator()) for _ in range((n if seated else n // agents) - 1)]
    seat: Any = partial(SeatedGames, zero_sum=per_agent is None) if seated else SharedGames
    return seat(games, spare=lambda: seat([game_of(what, creator())]))


def is_game(env: Any) -> bool:
    """Whether this is a PettingZoo environment."""
    return isinstance(env, (AECEnv, ParallelEnv))


def game_of(what: str, env: Any) -> Game:
    """A PettingZoo environment as a `Game`; one in turn that says it is parallelizable moves at once.

    Raises `ValueError` where its agents cannot share parameters.
    """
    agents = getattr(env, "possible_agents", None)
    if not agents:
        raise ValueError(f"{what} does not name its possible_agents")
    for kind in ("observation_space", "action_space"):
        spaces = {agent: getattr(env, kind)(agent) for agent in agents}
        for agent, space in spaces.items():
            if space != spaces[agents[0]]:
                raise ValueError(
                    f"{what}: agents that share parameters need equal spaces; {kind} is "
                    f"{spaces[agents[0]]} of {agents[0]}, but {space} of {agent}"
                )
    if isinstance(env, AECEnv) and env.metadata.get("is_parallelizable", False):
        env = aec_to_parallel(env)
    return TurnGame(env) if isinstance(env, AECEnv) else ParallelGame(env)


def names() -> dict[str, str]:
    """Every registered id, and a line about it; nothing is imported but the registry."""
    parallel, found = (
        pettingzoo.parallel_registry,
        {**pettingzoo.aec_registry, **pettingzoo.parallel_registry},
    )
    how = {True: "PettingZoo, simultaneous moves", False: "PettingZoo, moves in turn"}
    return {PREFIX + key.replace("-v", "_v"): how[key in parallel] for key in found}


@contextmanager
def _needs(what: str, extra: str) -> Iterator[None]:
    """A missing package, as a `ValueError` that says what to install."""
    try:
        yield
    except ImportError as error:
        said = " ".join(str(error).split())
        install = f"pip install 'pettingzoo[{extra}]'"
        raise ValueError(f"{what} needs what is not installed: {said}; {install}") from None
