"""The same `collect` on many workers: Ray actors, or plain objects in this process."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import envs
from rollouts.agent import Agent
from rollouts.build import build_agent
from rollouts.rollout import Rollout, concatenate
from rollouts.sampler import Sampler

Order = tuple[dict[str, Any], Any, int]
"""An agent on its way to a worker: how to build it, its weights (or a reference to them), their version."""


class FleetError(RuntimeError):
    """A worker was lost; says which."""


class Worker:
    """A Sampler and the copies of the agents that play in it; the same class here and on Ray."""

    sampler: Sampler

    def open(
        self, env: Mapping[str, Any], n: int, seed: int, worker: int, folders: Sequence[str] = ()
    ) -> None:
        """Make the environment. (Not in `__init__`, whose errors Ray would only quote.)"""
        sys.path[:] = dict.fromkeys([*folders, *sys.path])  # the working folder first, as in the driver
        self.sampler = Sampler(envs.make(n=n, **env), seed=seed, worker=worker)
        self._agents: dict[str, tuple[int, Agent]] = {}

    def collect(self, agent: Order, opponents: Sequence[Order], **wants: Any) -> Rollout:
        """What `Sampler.collect` gives, after taking over the newest weights."""
        self.sampler.version = agent[2]
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

    def _agent(self, place: str, spec: dict[str, Any], weights: Any, version: int) -> Agent:
        key = f"{place} {spec}"
        if key not in self._agents:
            env = self.sampler.env
            agent = build_agent(spec, env.single_observation_space, env.single_action_space)
            self._agents[key] = (-1, agent)
        known, agent = self._agents[key]
        if known != version:
            if isinstance(weights, list):  # a reference, which is fetched only when it is news
                import ray

                weights = ray.get(weights[0])
            agent.load_weights(weights)
            self._agents[key] = (version, agent)
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
    the version that acted comes back on the rollout. Raises `FleetError` when a worker is lost; what is wrong
    in a worker is raised here as it was there.
    """

    def __init__(
        self, env: Mapping[str, Any], *, n: int, workers: int, seed: int = 0, local: bool = False
    ) -> None:
        if workers < 1 or n % workers:
            raise ValueError(f"{n} slots cannot be shared out evenly to {workers} workers")
        self.n, self.local, self.version = n, local, 0
        self._sent: dict[int, tuple[int, Any]] = {}
        folders = [os.getcwd(), *sys.path]
        places = [(dict(env), n // workers, seed, i, folders) for i in range(workers)]
        self.workers: list[Any] = [Worker() if local else _remote_worker() for _ in places]
        try:
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
        order = self._order(agent, self.version)
        return concatenate(self._call("collect", order, [self._order(o, 0) for o in opponents], **wants))

    def sync(self, learner: Agent) -> None:
        """The learner has new weights: the next `collect` sends them out."""
        self.version += 1

    def get_state(self) -> dict[str, Any]:
        """The states of all workers."""
        return {"version": self.version, "workers": self._call("get_state")}

    def set_state(self, state: Mapping[str, Any]) -> bool:
        """Go on from what `get_state` gave. False where games in progress had to start afresh."""
        if len(state["workers"]) != len(self.workers):
            raise ValueError(
                f"the run was saved with {len(state['workers'])} workers, not {len(self.workers)}"
            )
        self.version = int(state["version"])
        return all(self._each("set_state", [(s,) for s in state["workers"]]))

    def close(self) -> None:
        """Let the workers go."""
        if not self.local:
            import ray

            for worker in self.workers:
                ray.kill(worker)
        self.workers = []

    def _order(self, agent: Agent, version: int) -> Order:
        """The agent's weights go to the object store once a version."""
        if self.local:
            return agent.spec(), agent.weights(), version
        import ray

        sent = self._sent.get(id(agent))
        if sent is None or sent[0] != version:
            sent = self._sent[id(agent)] = (version, ray.put(agent.weights()))
        return agent.spec(), [sent[1]], version

    def _call(self, method: str, *args: Any, **kwargs: Any) -> list[Any]:
        return self._each(method, [args] * len(self.workers), **kwargs)

    def _each(self, method: str, args: Sequence[tuple[Any, ...]], **kwargs: Any) -> list[Any]:
        if self.local:
            return [getattr(w, method)(*a, **kwargs) for w, a in zip(self.workers, args)]
        import ray

        answers = [getattr(w, method).remote(*a, **kwargs) for w, a in zip(self.workers, args)]
        out = []
        for i, answer in enumerate(answers):
            try:
                out.append(ray.get(answer))
            except ray.exceptions.RayTaskError as error:
                raise error.cause from error  # the worker's own words
            except ray.exceptions.RayError as error:
                raise FleetError(f"worker {i} of {len(self.workers)} was lost ({_reason(error)})") from None
        return out


def _remote_worker() -> Any:
    import ray

    return ray.remote(num_cpus=1)(RemoteWorker).remote()


def _reason(error: Exception) -> str:
    """Why Ray gave an actor up, in a few words."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if "Error:" in lines[-1] else "killed, or out of memory"
