"""The same `collect` on many workers, in step: Ray actors, or plain objects in this process."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from envs.paths import folders
from rollouts.agent import Agent, Metrics
from rollouts.build import placed
from rollouts.pool import Frozen, digest
from rollouts.problems import Problem, Problems
from rollouts.rollout import Rollout, concatenate
from rollouts.roster import FleetError, Here, Roster
from rollouts.worker import Cast, Order

__all__ = ["PATIENCE", "Fleet", "FleetError"]

PATIENCE = 120.0
"""Seconds within which every worker must have been given a core."""
LOOK_SECONDS = 5.0
"""Between two looks at workers and the object store."""
ONE_BY_ONE = 16
"""So many workers are told of singly; of more, the least, the middle and the most."""


class Fleet:
    """Plays on `workers` workers with `n / workers` slots each and returns their rollouts as one.

    Synchronous: all workers act by the same weights and the order is fixed, so on Ray and in one process
    (`local=True`) the rollouts are equal, number for number. Weights go out once through the object store;
    the version that acted comes back on the rollout. A stream of `problems` is dealt out from here, each
    worker its share in order; without one, each worker has its own. Where a worker has `gpus` (one, or a
    share), the agents in it act there.

    A worker that is lost, or gives no answer for `patience` seconds, is replaced (see `Roster`): by a new
    one, with other seeds and episodes, which is asked for the same. Raises `FleetError` where that does not
    help, or where a worker finds no core; what is wrong in one from the start is raised here as it was there.
    """

    in_step = True

    def __init__(
        self,
        env: Mapping[str, Any],
        *,
        n: int,
        workers: int,
        seed: int = 0,
        problems: Problems | None = None,
        patience: float = 600.0,
        gpus: float = 0.0,
        local: bool = False,
    ) -> None:
        if workers < 1 or n % workers:
            raise ValueError(f"{n} slots cannot be shared out evenly to {workers} workers")
        self.n, self.problems, self.local, self.version = n, problems, local, 0
        self._device = {"device": "cuda"} if gpus else {}
        self.told: Metrics = {}
        """What the workers and the stream of problems have to say of the last rollout."""
        self._looked = -math.inf
        self._sent: dict[str, Any] = {}  # references to the weights of the last collect, by digest
        where = folders()

        def opening(number: int) -> tuple[Any, ...]:
            return dict(env), n // workers, seed, number, where

        self.roster: Here | Roster
        if local:
            self.roster = Here(workers, opening)
        else:
            limits: dict[str, Any] = {"cores_within": PATIENCE, "patience": patience, "gpus": gpus}
            self.roster = Roster(workers, opening, in_step=self.in_step, **limits)

    @property
    def workers(self) -> int:
        """How many there are."""
        return len(self.roster.numbers)

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
        k = self.workers
        if episodes is not None and episodes % (k * group_size):
            raise ValueError(
                f"{episodes} episodes cannot be shared out in groups of {group_size} to {k} workers"
            )
        wants: dict[str, Any] = {"group_size": group_size, "explore": explore, "keep_obs": keep_obs}
        wants |= {"steps": steps} if episodes is None else {"episodes": episodes // k}
        orders = self._orders([agent, *opponents])
        rollout = self._play(Cast(self.version, orders[0], orders[1:], odds), wants)
        if self.problems is not None and episodes is not None:
            self.told |= self.problems.learn(rollout)
        return rollout

    def sync(self, learner: Agent) -> None:
        """The learner has new weights: the next `collect` sends them out."""
        self.version += 1

    def take_news(self) -> list[str]:
        """What befell workers since this was last called, a line each."""
        return self.roster.take_news()

    def look(self) -> Metrics:
        """How things stand on Ray: `fleet/worker_<place>/steps_per_second`, of what each did last, and
        what its object store holds.

        Equal runs differ in these. Nothing where all is in this process, or for `LOOK_SECONDS` after a look.
        """
        if self.local or time.monotonic() < self._looked + LOOK_SECONDS:
            return {}
        found = by_worker(self._by_worker()) | object_store()
        self._looked = time.monotonic()
        return found

    def get_state(self) -> dict[str, Any]:
        """The states of all workers, and of the problem stream that they share."""
        workers = self.roster.each("get_state", [()] * self.workers)
        return {"version": self.version, "workers": workers} | self._shared()

    def without_workers(self) -> dict[str, Any]:
        """What of the state is known here, where workers are lost: others begin anew, with other numbers."""
        first = self.roster.next
        numbers = list(range(first, first + self.workers))
        return self._shared() | {"numbers": numbers, "next": first + self.workers}

    def set_state(self, state: Mapping[str, Any]) -> bool:
        """Go on from what `get_state` gave. False where games in progress had to start afresh."""
        self._take_up(state)
        if not state["workers"]:  # they did not play in step, so nobody knew where they were
            return self._begin_anew(state)
        if len(state["workers"]) != self.workers:
            raise ValueError(f"the run was saved with {len(state['workers'])} workers, not {self.workers}")
        numbers = [int(number) for number in state.get("numbers", range(self.workers))]
        if numbers != self.roster.numbers:
            self.roster.open(numbers)
        return all(self.roster.each("set_state", [(s,) for s in state["workers"]]))

    def close(self) -> None:
        """Let the workers go."""
        self.roster.close()

    # -- within ----------------------------------------------------------------------------------------

    def _play(self, cast: Cast, wants: Mapping[str, Any]) -> Rollout:
        """What all workers do, side by side."""
        before = None if self.problems is None else self.problems.get_state()
        args = [(self._share(wants), cast) for _ in range(self.workers)]
        try:
            rollout = concatenate(self.roster.each("collect", args, **wants))
        except FleetError:
            if self.problems is not None:
                self.problems.set_state(before)  # type: ignore[arg-type]  # whoever goes on is asked for these
            raise
        self.told = {"fleet/workers": self.workers, "fleet/restarts": self.roster.restarts}
        return rollout

    def _by_worker(self) -> dict[str, list[float]]:
        """What is known of each worker, by name and place; NaN where it is not."""
        import ray

        asked = [place.actor.pace.remote() for place in self.roster.places]  # type: ignore[union-attr]
        ready, _ = ray.wait(asked, num_returns=len(asked), timeout=1.0)
        paces = dict.fromkeys(asked, math.nan)
        for answer in ready:
            with suppress(ray.exceptions.RayError):  # it is lost, as the next request to it will tell
                paces[answer] = ray.get(answer)
        return {"steps_per_second": list(paces.values())}

    def _share(self, wants: Mapping[str, Any]) -> list[Problem] | None:
        """The next problems of the stream, for one request, where one is dealt out."""
        if self.problems is None or "episodes" not in wants:
            return None
        return self.problems.take(wants["episodes"] // wants["group_size"])

    def _orders(self, agents: Sequence[Agent]) -> list[Order]:
        """Weights go to the object store only where the last `collect` did not send the same ones."""
        specs = [placed(agent.spec(), self._device) for agent in agents]
        weights = [agent.weights() for agent in agents]
        digests = [a.digest if isinstance(a, Frozen) else digest(w) for a, w in zip(agents, weights)]
        if self.local:
            return list(zip(specs, weights, digests))
        import ray

        self._sent = {d: self._sent[d] if d in self._sent else ray.put(w) for d, w in zip(digests, weights)}
        return [(spec, [self._sent[d]], d) for spec, d in zip(specs, digests)]

    def _shared(self) -> dict[str, Any]:
        """What the workers have in common."""
        return {
            "problems": None if self.problems is None else self.problems.get_state(),
            "numbers": self.roster.numbers,
            "next": self.roster.next,
            "restarts": self.roster.restarts,
        }

    def _take_up(self, state: Mapping[str, Any]) -> None:
        """All but the workers' own states."""
        self.version = int(state["version"])
        if self.problems is not None:
            self.problems.set_state(state["problems"])
        self.roster.next = max(self.roster.next, int(state.get("next", 0)))
        self.roster.restarts = int(state.get("restarts", 0))
        self.roster.went_well = self.version > 0

    def _begin_anew(self, state: Mapping[str, Any]) -> bool:
        """Give all workers numbers that nobody had in the run; False where games in progress were lost."""
        first = self.roster.next
        self.roster.next += self.workers
        self.roster.open(range(first, self.roster.next))
        return not state.get("playing", True)


def by_worker(known: Mapping[str, Sequence[float]]) -> Metrics:
    """`fleet/worker_3/lag` and so on; of more than `ONE_BY_ONE` workers `fleet/workers/lag_min` and so on."""
    told: Metrics = {}
    for name, values in known.items():
        if len(values) <= ONE_BY_ONE:
            told |= {f"fleet/worker_{k}/{name}": v for k, v in enumerate(values) if math.isfinite(v)}
        elif np.isfinite(values).any():
            least, middle, most = np.nanquantile(values, [0.0, 0.5, 1.0]).tolist()
            told |= {f"fleet/workers/{name}_{k}": v for k, v in (("min", least), ("median", middle))}
            told[f"fleet/workers/{name}_max"] = most
    return told


def object_store() -> Metrics:
    """Bytes that Ray's object store holds on all machines, and their share of what it has room for."""
    import ray

    room = ray.cluster_resources().get("object_store_memory", 0.0)
    used = room - ray.available_resources().get("object_store_memory", room)
    return {"fleet/object_store/bytes": used, "fleet/object_store/share": used / max(room, 1.0)}
