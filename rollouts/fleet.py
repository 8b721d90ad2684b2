"""The same `collect` on many workers: Ray actors, or plain objects in this process."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import envs
from rollouts.agent import Agent, Metrics
from rollouts.build import build_agent
from rollouts.pool import Frozen, digest
from rollouts.problems import Listed, Problem, Problems
from rollouts.rollout import Rollout, concatenate
from rollouts.sampler import Sampler

Order = tuple[dict[str, Any], Any, str]
"""An agent on its way to a worker: how to build it, its weights (or a reference to them), their digest."""

PATIENCE = 120.0
"""Seconds within which every worker must have been given a core."""


class FleetError(RuntimeError):
    """A worker was lost, or never came; says which, or how many cores there are."""


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

    def collect(
        self,
        problems: Sequence[Problem] | None,
        *,
        version: int,
        agent: Order,
        opponents: Sequence[Order],
        **wants: Any,
    ) -> Rollout:
        """What `Sampler.collect` gives, by the weights in the orders, on `problems` where they are given."""
        self.sampler.version = version
        if problems is not None:
            self.sampler.problems = Listed(problems, shuffle=False)
        return self.sampler.collect(
            self._agent("self", *agent),
            opponents=[self._agent(f"opponent {i}", *order) for i, order in enumerate(opponents)],
            **wants,
        )

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


class Fleet:
    """Plays on `workers` workers with `n / workers` slots each and returns their rollouts as one.

    Synchronous: all workers act by the same weights and the order is fixed, so on Ray and in one process
    (`local=True`) the rollouts are equal, number for number. Weights go out once through the object store;
    the version that acted comes back on the rollout. A stream of `problems` is dealt out from here, each
    worker its share in order; without one, each worker has its own. Raises `FleetError` when a worker is lost
    or finds no core; what is wrong in a worker is raised here as it was there.
    """

    def __init__(
        self,
        env: Mapping[str, Any],
        *,
        n: int,
        workers: int,
        seed: int = 0,
        problems: Problems | None = None,
        local: bool = False,
    ) -> None:
        if workers < 1 or n % workers:
            raise ValueError(f"{n} slots cannot be shared out evenly to {workers} workers")
        self.n, self.problems, self.local, self.version = n, problems, local, 0
        self.told: Metrics = {}
        """What the stream of problems has to say of the last rollout."""
        self._sent: dict[str, Any] = {}  # references to the weights of the last collect, by digest
        folders = [os.getcwd(), *sys.path]
        places = [(dict(env), n // workers, seed, i, folders) for i in range(workers)]
        self.workers: list[Any] = [Worker() if local else _remote_worker() for _ in places]
        try:
            self._wait_for_cores()
            self._each("open", places)
        except BaseException:
            self.close()
            raise

    def collect(
        self,
        agent: Agent,
        *,
        steps: int | None = None,
        episodes: int | None = None,
        group_size: int = 1,
        opponents: Sequence[Agent] = (),
        odds: Sequence[float] | None = None,
        explore: bool = True,
        keep_obs: bool = True,
    ) -> Rollout:
        """What `Sampler.collect` does, on every worker at once; `episodes` are shared out evenly."""
        k = len(self.workers)
        if episodes is not None and episodes % (k * group_size):
            raise ValueError(
                f"{episodes} episodes cannot be shared out in groups of {group_size} to {k} workers"
            )
        wants: dict[str, Any] = {"group_size": group_size, "explore": explore, "keep_obs": keep_obs}
        wants |= {"steps": steps} if episodes is None else {"episodes": episodes // k}
        orders = self._orders([agent, *opponents])
        wants |= {"version": self.version, "agent": orders[0], "opponents": orders[1:], "odds": odds}
        if self.problems is None or episodes is None:
            return concatenate(self._each("collect", [(None,)] * k, **wants))
        shares = [(self.problems.take(episodes // (k * group_size)),) for _ in range(k)]
        rollout = concatenate(self._each("collect", shares, **wants))
        self.told = self.problems.learn(rollout)
        return rollout

    def sync(self, learner: Agent) -> None:
        """The learner has new weights: the next `collect` sends them out."""
        self.version += 1

    def get_state(self) -> dict[str, Any]:
        """The states of all workers, and of the problem stream that they share."""
        problems = None if self.problems is None else self.problems.get_state()
        workers = self._each("get_state", [()] * len(self.workers))
        return {"version": self.version, "problems": problems, "workers": workers}

    def set_state(self, state: Mapping[str, Any]) -> bool:
        """Go on from what `get_state` gave. False where games in progress had to start afresh."""
        if len(state["workers"]) != len(self.workers):
            raise ValueError(
                f"the run was saved with {len(state['workers'])} workers, not {len(self.workers)}"
            )
        self.version = int(state["version"])
        if self.problems is not None:
            self.problems.set_state(state["problems"])
        return all(self._each("set_state", [(s,) for s in state["workers"]]))

    def close(self) -> None:
        """Let the workers go."""
        if not self.local:
            import ray

            for worker in self.workers:
                ray.kill(worker)
        self.workers = []

    def _orders(self, agents: Sequence[Agent]) -> list[Order]:
        """Weights go to the object store only where the last `collect` did not send the same ones."""
        specs, weights = [agent.spec() for agent in agents], [agent.weights() for agent in agents]
        digests = [a.digest if isinstance(a, Frozen) else digest(w) for a, w in zip(agents, weights)]
        if self.local:
            return list(zip(specs, weights, digests))
        import ray

        self._sent = {d: self._sent[d] if d in self._sent else ray.put(w) for d, w in zip(digests, weights)}
        return [(spec, [self._sent[d]], d) for spec, d in zip(specs, digests)]

    def _wait_for_cores(self) -> None:
        """Every worker has begun, else `FleetError`. (Ray itself would wait for ever.)"""
        if self.local:
            return
        import ray

        asked = len(self.workers)
        there = [worker.__ray_ready__.remote() for worker in self.workers]
        ready, missing = ray.wait(there, num_returns=asked, timeout=PATIENCE)
        if missing:
            cores = ray.cluster_resources().get("CPU", 0)
            raise FleetError(
                f"{asked} workers need {asked} cores, and Ray has {cores:g} in all: "
                f"{len(ready)} of them began within {PATIENCE:g} seconds; use fewer workers or more cores"
            )

    def _each(self, method: str, args: Sequence[tuple[Any, ...]], **kwargs: Any) -> list[Any]:
        if self.local:
            return [getattr(w, method)(*a, **kwargs) for w, a in zip(self.workers, args)]
        import ray

        answers = [getattr(w, method).remote(*a, **kwargs) for w, a in zip(self.workers, args)]
        out, wrong = [], []
        for i, answer in enumerate(answers):  # all of them, for Ray complains of errors that nobody asks for
            try:
                out.append(ray.get(answer))
            except ray.exceptions.RayTaskError as error:
                wrong.append(error.cause)  # the worker's own words
            except ray.exceptions.RayError as error:
                wrong.append(FleetError(f"worker {i} of {len(self.workers)} was lost ({_reason(error)})"))
        if wrong:
            raise wrong[0]
        return out


def _remote_worker() -> Any:
    import ray

    return ray.remote(num_cpus=1)(RemoteWorker).remote()


def _reason(error: Exception) -> str:
    """Why Ray gave an actor up, in a few words."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if "Error:" in lines[-1] else "killed, or out of memory"
