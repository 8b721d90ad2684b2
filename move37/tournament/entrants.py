"""Who plays in a tournament: a line of its config becomes an agent."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import numpy as np
from gymnasium.spaces import Discrete
from pydantic import BeforeValidator, Field, model_validator

from agents.replay.storage import digest
from envs.board.batch import observe_states
from envs.board.game import Game
from envs.board.spaces import observation_space
from envs.paths import is_import_path
from move37.build import WRONG
from move37.config import Count, Seconds, Section
from move37.errors import UserError, in_one_line
from move37.play import Terminal
from move37.players import is_folder, player, run_player
from move37.registry import AGENTS
from move37.run import Run
from move37.tournament.person import PERSON, Person
from rollouts.agent import Agent
from search.tree import node_bytes

MOST, MEMORY = 2_000_000, 10**9
"""Simulations of a search by the clock, at most, and the bytes that its tree may take."""


class Entrant(Section):
    """One who plays: exactly one of `player`, `run` and `gtp`."""

    player: str | None = None
    """As on the command line: `uct:100`, `perfect`, `random`, `package.module:Class`; or `person`."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Of a `player` or `gtp`."""
    run: str | None = None
    """A run folder."""
    checkpoint: Annotated[str, BeforeValidator(lambda given: str(given))] = "last"
    simulations: Count | None = None
    """A move, of a run that searches."""
    gtp: str | None = None
    """The command of an engine that speaks GTP."""
    seconds: Seconds | None = None
    """A move: what a search takes, or what an engine may take at most."""
    explore: bool = False
    """Whether it draws its moves as in training, rather than play the best."""

    @model_validator(mode="after")
    def _one(self) -> Entrant:
        given = [name for name in ("player", "run", "gtp") if getattr(self, name)]
        if len(given) != 1:
            raise ValueError(f"must have one of player, run and gtp, not {' and '.join(given) or 'none'}")
        if not self.run and (self.simulations or self.checkpoint != "last"):
            raise ValueError("simulations and checkpoint are of a run (uct:100 makes 100 simulations)")
        return self

    @property
    def family(self) -> str:
        """Its kind, by which entrants are drawn together: uct, alphazero, ppo, gtp, …"""
        if self.run:
            return Run.load(self.run).config.agent.kind.rpartition(":")[2]
        if self.gtp:
            return "gtp"
        assert self.player
        return (
            self.player.rpartition(":")[2] if is_import_path(self.player) else self.player.partition(":")[0]
        )

    @property
    def budget(self) -> str:
        """What it is and may spend, in a few words."""
        told = [self.player or self.gtp or self._weights()]
        told += [f"{self.simulations} simulations"] if self.simulations else []
        told += [f"{self.seconds:g} s a move"] if self.seconds else []
        return ", ".join(told)

    def _weights(self) -> str:
        """Which run, at which checkpoint, and the very weights."""
        folder = Run.load(str(self.run)).checkpoint_folder
        name = folder.newest() if self.checkpoint == "last" else self.checkpoint
        return f"{self.run} {name} (weights {digest(folder.load_actor(self.checkpoint)['weights'])[:8]})"

    @property
    def timed(self) -> bool:
        """Whether it plays by the clock, so that no two games may share a core."""
        return self.seconds is not None and not self.gtp


def as_entrant(given: Any) -> Any:
    """A text is a player, or the folder of a run."""
    if isinstance(given, str):
        return {"run": given} if is_folder(given) else {"player": given}
    return given


def entrant_agent(name: str, entrant: Entrant, game: Game, trust: bool = False) -> Agent:
    """The agent of an entrant, to play `game` (`UserError` that names it, where it cannot).

    `trust` allows the import paths of a run folder to be followed into code.
    """
    try:
        agent = _agent(entrant, game, trust)
        if entrant.run or (entrant.player or "").partition(":")[0] in AGENTS:
            warm_up(agent, game)
        return agent
    except UserError as error:
        raise UserError(f"entrants.{name}: {error}") from None
    except WRONG as error:
        raise UserError(f"entrants.{name}: {in_one_line(error)}") from error


def warm_up(agent: Agent, game: Game) -> None:
    """Have an agent of ours move once: what it compiles then counts for no game's seconds."""
    obs = observe_states(game, game.new())
    agent.act(obs, rng=np.zeros(1, np.uint64), first=np.ones(1, bool), explore=False)


def _agent(entrant: Entrant, game: Game, trust: bool) -> Agent:
    budget: dict[str, Any] = {} if entrant.seconds is None else {"seconds": entrant.seconds}
    if entrant.gtp:
        from search.gtp import GtpPlayer

        options: Any = {"command": entrant.gtp} | budget | entrant.options
        return GtpPlayer(observation_space(game), Discrete(game.actions), **options)
    if budget:
        budget["simulations"] = entrant.simulations or min(MOST, MEMORY // node_bytes(game))
    elif entrant.simulations:
        budget["simulations"] = entrant.simulations
    if entrant.run:
        return run_player(entrant.run, game, entrant.checkpoint, trust, budget)
    assert entrant.player
    if entrant.player == PERSON:
        return Person(game, Terminal(sys.stdin, sys.stdout))
    return player(entrant.player, game, trust=True, match=True, options=budget | entrant.options)
