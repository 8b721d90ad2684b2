"""Who plays in a fleet: a Sampler with the agents in it, and where those on Ray find new weights."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

import envs
from envs.options import OptionError
from envs.paths import enter, look_in
from rollouts.agent import Agent
from rollouts.build import build_agent
from rollouts.heap import keep_heap
from rollouts.problems import Listed, Problem
from rollouts.rollout import Rollout
from rollouts.sampler import WORKER_SHIFT, Sampler

Order = tuple[dict[str, Any], Any, str]
"""An agent on its way to a worker: how to build it, its weights (or a reference to them), their digest."""


class Cast(NamedTuple):
    """Who plays: what a request is played by."""

    version: int
    """Of the weights of the agent that learns."""
    agent: Order
    opponents: Sequence[Order]
    odds: Sequence[float] | None

    @property
    def lineup(self) -> tuple[str, ...]:
        """The digests of the opponents' weights, by place."""
        return tuple(digest for _, _, digest in self.opponents)


class Worker:
    """A Sampler and the copies of the agents that play in it; the same class here and on Ray."""

    sampler: Sampler

    def open(
        self, env: Mapping[str, Any], n: int, seed: int, worker: int, folders: Sequence[str] = ()
    ) -> None:
        """Make the environment. (Not in `__init__`, whose errors Ray would only quote.)"""
        look_in(folders)
        self.sampler = Sampler(envs.make(n=n, **env), seed=seed, worker=worker)
        self._agents: dict[str, tuple[str, Agent]] = {}
        self._lineups: list[tuple[int, tuple[str, ...]]] = []  # from the count of episodes on that began so

    def collect(self, problems: Sequence[Problem] | None, cast: Cast, **wants: Any) -> Rollout:
        """What `Sampler.collect` gives, by the weights of the cast, on `problems` where they are given."""
        self.sampler.version = cast.version
        if problems is not None:
            self.sampler.problems = Listed(problems, shuffle=False)
        opponents = [self._agent(f"opponent {i}", *order) for i, order in enumerate(cast.opponents)]
        agent = self._agent("self", *cast.agent)
        begun = self.sampler.episodes
        rollout = self.sampler.collect(agent, opponents=opponents, odds=cast.odds, **wants)
        if opponents:
            self._credit(rollout, begun, cast.lineup)
        return rollout

    def get_state(self) -> dict[str, Any]:
        """See `Sampler.get_state`."""
        return self.sampler.get_state()

    def set_state(self, state: Mapping[str, Any]) -> bool:
        """See `Sampler.set_state`."""
        return self.sampler.set_state(state)

    def _credit(self, rollout: Rollout, begun: int, lineup: tuple[str, ...]) -> None:
        """An opponent whose place was given to another while the game went on is −1: it was neither's game.

        `begun` is how many episodes had begun before.
        """
        if not self._lineups or self._lineups[-1][1][1:] != lineup[1:]:  # the learner, at 0, may learn
            self._lineups.append((begun, lineup))
        counts = np.asarray(rollout.ended["episode"]) & ((1 << WORKER_SHIFT) - 1)
        which = np.searchsorted([first for first, _ in self._lineups], counts, side="right") - 1
        places = np.array(rollout.ended["opponent"])
        for i, (k, place) in enumerate(zip(np.maximum(which, 0), places)):
            if place and self._lineups[k][1][place] != lineup[place]:
                places[i] = -1
        rollout.ended = {**rollout.ended, "opponent": places}

    def _agent(self, place: str, spec: dict[str, Any], weights: Any, digest: str) -> Agent:
        key = f"{place} {spec}"
        if key not in self._agents:
            env = self.sampler.env
            agent = build_agent(spec, env.single_observation_space, env.single_action_space)
            self._agents[key] = ("", agent)
        known, agent = self._agents[key]
        if known != digest:
            if isinstance(weights, list):  # a reference, which is fetched only when it is news
                import ray

                weights = ray.get(weights[0])
            agent.load_weights(weights)
            self._agents[key] = (digest, agent)
        return agent


class RemoteWorker(Worker):
    """A worker with a process, and a core, of its own."""

    def __init__(self) -> None:
        # read by torch and Atari games, which are loaded later: the cores belong to other workers
        os.environ.update(OMP_NUM_THREADS="1", OMP_WAIT_POLICY="passive")
        keep_heap()
        self._pace = math.nan

    def open(
        self, env: Mapping[str, Any], n: int, seed: int, worker: int, folders: Sequence[str] = ()
    ) -> None:
        """Make the environment, in the driver's working folder if it is there."""
        self._folders = folders
        enter(folders)
        with placed_errors(folders):
            super().open(env, n, seed, worker, folders)

    def collect(self, problems: Sequence[Problem] | None, cast: Cast, **wants: Any) -> Rollout:
        """See `Worker.collect`."""
        begun = time.perf_counter()
        rollout = super().collect(problems, cast, **wants)
        self._pace = rollout.decisions / max(time.perf_counter() - begun, 1e-9)
        return rollout

    def _agent(self, place: str, spec: dict[str, Any], weights: Any, digest: str) -> Agent:
        with placed_errors(self._folders):
            return super()._agent(place, spec, weights, digest)

    def pace(self) -> float:
        """Env steps a second of what it did last (NaN where it did nothing)."""
        return self._pace

    def play(
        self, problems: Sequence[Problem] | None, board: Any, afresh: bool, **wants: Any
    ) -> tuple[Rollout, float]:
        """What `collect` gives by the newest cast on the `board`, and the seconds that it took.

        `afresh` begins new games, whatever is in progress.
        """
        import ray

        begun = time.perf_counter()
        if afresh:
            self.sampler.restart()
        rollout = self.collect(problems, ray.get(board.newest.remote()), **wants)
        return rollout, time.perf_counter() - begun


@contextmanager
def placed_errors(folders: Sequence[str]) -> Iterator[None]:
    """What does not fit on this machine is told with its address, and with what may be missing here."""
    try:
        yield
    except (ValueError, OSError, ImportError) as error:
        said = f"{error} ({here(error, folders)})"
        option = getattr(error, "option", None)
        raise (OptionError(option, said) if option else ValueError(said)) from error


def here(error: Exception, folders: Sequence[str]) -> str:
    """Where a worker met an `error`, and what to do if only workers meet it."""
    import ray

    where = f"in a worker on {ray.util.get_node_ip_address()}"
    if folders and not os.path.isdir(folders[0]):
        where += f", which has no folder {folders[0]}: files and modules of yours must be there too"
    elif isinstance(error, ImportError) or "no module named" in str(error).lower():
        where += ": a module must be on every machine, installed or at the same path"
    elif isinstance(error, OSError):
        where += ": a file must be on every machine, at the same path"
    elif getattr(error, "option", None) == "id":
        where += ": what a script registers is known in it alone; name its module, as in my_module:My-v0"
    return where


class Board:
    """Where the driver puts up who plays from now on."""

    def put_up(self, cast: Cast) -> None:
        """Requests that begin from now on are played by this cast."""
        self.cast = cast

    def newest(self) -> Cast:
        """The cast that was put up last."""
        return self.cast
