"""Who plays in a fleet: a Sampler with the agents in it, and where those on Ray find new weights."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import envs
from rollouts.agent import Agent
from rollouts.build import build_agent
from rollouts.problems import Listed, Problem
from rollouts.rollout import Rollout
from rollouts.sampler import Sampler

Order = tuple[dict[str, Any], Any, str]
"""An agent on its way to a worker: how to build it, its weights (or a reference to them), their digest."""


class Cast(NamedTuple):
    """Who plays: what a request is played by."""

    version: int
    """Of the weights of the agent that learns."""
    agent: Order
    opponents: Sequence[Order]
    odds: Sequence[float] | None


class Worker:
    """A Sampler and the copies of the agents that play in it; the same class here and on Ray."""

    sampler: Sampler

    def open(
        self, env: Mapping[str, Any], n: int, seed: int, worker: int, folders: Sequence[str] = ()
    ) -> None:
        """Make the environment. (Not in `__init__`, whose errors Ray would only quote.)"""
        sys.path[:] = dict.fromkeys([*folders, *sys.path])  # the working folder first, as in the driver
        self.sampler = Sampler(envs.make(n=n, **env), seed=seed, worker=worker)
        self._agents: dict[str, tuple[str, Agent]] = {}

    def collect(self, problems: Sequence[Problem] | None, cast: Cast, **wants: Any) -> Rollout:
        """What `Sampler.collect` gives, by the weights of the cast, on `problems` where they are given."""
        self.sampler.version = cast.version
        if problems is not None:
            self.sampler.problems = Listed(problems, shuffle=False)
        opponents = [self._agent(f"opponent {i}", *order) for i, order in enumerate(cast.opponents)]
        agent = self._agent("self", *cast.agent)
        return self.sampler.collect(agent, opponents=opponents, odds=cast.odds, **wants)

    def get_state(self) -> dict[str, Any]:
        """See `Sampler.get_state`."""
        return self.sampler.get_state()

    def set_state(self, state: Mapping[str, Any]) -> bool:
        """See `Sampler.set_state`."""
        return self.sampler.set_state(state)

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


class Board:
    """Where the driver puts up who plays from now on."""

    def put_up(self, cast: Cast) -> None:
        """Requests that begin from now on are played by this cast."""
        self.cast = cast

    def newest(self) -> Cast:
        """The cast that was put up last."""
        return self.cast
