"""A learner here and others like it on Ray, which share its gradient steps (see `agents.parallel`)."""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from agents.parallel import Seat, together
from envs.paths import folders, look_in
from rollouts.agent import Learner, Metrics
from rollouts.build import build_agent
from rollouts.fleet import PATIENCE, FleetError
from rollouts.heap import keep_heap
from rollouts.rollout import Rollout
from rollouts.roster import in_few_words

RETRIES = 5
"""Updates in a row in which a learner may be lost."""


class Team:
    """`learners` learners: the one that is handed to `learn`, and Ray actors that hold copies of it.

    `spec` (`{"path", "options"}`) and the spaces say how the copies are built; each has a core, and where
    the learner is on a GPU, a GPU. All get every rollout, through the object store. A copy that is lost, or
    silent for `patience` seconds, costs the rest of that update: the next one is with a new team, which
    begins as the learner here is. Raises `FleetError` where that happens in more than `RETRIES` updates in a
    row, or where the copies find no place.
    """

    def __init__(
        self,
        spec: Mapping[str, Any],
        spaces: Sequence[Any],
        *,
        learners: int,
        threads: int | None = None,
        patience: float = 600.0,
    ) -> None:
        self.spec, self.spaces, self.learners = spec, spaces, learners
        self.threads, self.patience = threads, patience
        self.restarts, self._failures = 0, 0
        self._others: list[Any] = []
        self._news: list[str] = []

    def learn(self, learner: Learner, rollout: Rollout) -> Metrics:
        """What `learner.learn(rollout)` does, with the others' help."""
        import ray

        told: Metrics = {"learners": self.learners, "learners/restarts": self.restarts}
        metrics: Metrics | None = None
        answers: list[Any] = []
        begun = time.monotonic()
        try:
            if not self._others:
                self._begin(learner)
            shared = ray.put(rollout)
            answers = [other.learn.remote(shared, learner.progress) for other in self._others]
            with together(Seat(0, self.learners)):
                metrics = learner.learn(rollout)
            ray.get(answers, timeout=self.patience)
        except FleetError:
            raise
        except (RuntimeError, ray.exceptions.RayError) as error:
            why = self._lost(answers, time.monotonic() - begun) if answers else in_few_words(error)
            if why is None:
                raise
            self._replace(why, error)
            if metrics is None:
                learner.load_state_dict(learner.state_dict())  # which leaves nothing half done
                self._news[-1] += ". The rest of an update is lost"
            return (metrics or {}) | told | {"learners/restarts": self.restarts}
        self._failures = 0
        return metrics | told

    def take_news(self) -> list[str]:
        """What befell learners since this was last called, a line each."""
        news, self._news = self._news, []
        return news

    def close(self) -> None:
        """Let the others go."""
        import ray
        import torch.distributed as dist

        for other in self._others:
            ray.kill(other, no_restart=True)
        self._others = []
        if dist.is_initialized():
            dist.destroy_process_group()

    # -- within ----------------------------------------------------------------------------------------

    def _begin(self, learner: Learner) -> None:
        """Start the others with the state of `learner`, and meet them in a process group."""
        import ray
        import torch.distributed as dist

        on_gpu = str(self.spec["options"]["device"]).startswith("cuda")
        actor: Any = ray.remote(num_cpus=1, num_gpus=int(on_gpu))(Other)
        self._others = [actor.remote() for _ in range(self.learners - 1)]
        told = self.spec, self.spaces, ray.put(learner.state_dict()), folders(), self.threads
        built = [other.build.remote(*told) for other in self._others]
        done, late = ray.wait(built, num_returns=len(built), timeout=PATIENCE)
        if late:
            there = ray.cluster_resources()
            has = f"Ray has {there.get('CPU', 0):g} cores and {there.get('GPU', 0):g} GPUs in all"
            self.close()
            said = f"{len(late)} of them found no place within {PATIENCE:g} seconds"
            raise FleetError(f"{self.learners} learners: {said}; {has}")
        ray.get(done)
        limit = timedelta(seconds=self.patience)
        here = ray.util.get_node_ip_address()
        store = dist.TCPStore(here, 0, self.learners, True, limit, wait_for_workers=False)
        meeting = (here, store.port, self.learners, self.patience, on_gpu)
        met = [other.meet.remote(rank, *meeting) for rank, other in enumerate(self._others, 1)]
        meet(store, 0, self.learners, limit, on_gpu)
        ray.get(met)

    def _lost(self, answers: Sequence[Any], waited: float) -> str | None:
        """Why one of the others did not answer; None where what went wrong went wrong here."""
        import ray

        done, silent = ray.wait(list(answers), num_returns=len(answers), timeout=5.0)
        said = None
        for answer in done:
            try:
                ray.get(answer)
            except ray.exceptions.RayTaskError as error:
                said = said or in_few_words(error.cause)
            except ray.exceptions.RayError:
                return "killed, or out of memory"
        return f"no answer in {self.patience:g} seconds" if silent and waited >= self.patience else said

    def _replace(self, why: str, error: Exception) -> None:
        """Another team, for the next update."""
        self.close()
        self.restarts += 1
        self._failures += 1
        if self._failures > RETRIES:
            raise FleetError(f"learners were lost in {self._failures} updates in a row ({why})") from error
        self._news.append(f"a learner was lost ({why}); others take the places of all but this process' own")


class Other:
    """A learner on Ray that does as the one in the driver's process does."""

    learner: Learner

    def __init__(self) -> None:
        os.environ.setdefault("OMP_NUM_THREADS", "1")  # read by torch, which is loaded later
        keep_heap()

    def build(
        self,
        spec: Mapping[str, Any],
        spaces: Sequence[Any],
        state: Any,
        where: Sequence[str],
        threads: int | None,
    ) -> None:
        """Make the learner, in the `state` of the driver's."""
        look_in(where)
        import torch

        torch.set_num_threads(threads or 1)
        options = dict(spec["options"])
        if str(options["device"]).startswith("cuda"):
            options["device"] = "cuda"  # the one that Ray gave
        made: Any = build_agent({**spec, "options": options}, *spaces)
        made.load_state_dict(copy.deepcopy(state))  # what comes from the object store cannot be written to
        self.learner = made

    def meet(self, rank: int, host: str, port: int, learners: int, patience: float, on_gpu: bool) -> None:
        """Join the process group that the driver's learner has opened."""
        import torch.distributed as dist

        limit = timedelta(seconds=patience)
        meet(dist.TCPStore(host, port, learners, False, limit), rank, learners, limit, on_gpu)
        self.seat = Seat(rank, learners)

    def learn(self, rollout: Rollout, progress: float) -> None:
        """Learn with the others; where that fails here, they are told by the end of the group."""
        import torch.distributed as dist

        self.learner.progress = progress
        try:
            with together(self.seat):
                self.learner.learn(rollout)
        except BaseException:
            dist.destroy_process_group()
            raise


def meet(store: Any, rank: int, learners: int, limit: timedelta, on_gpu: bool) -> None:
    """The process group of a team, over `store`."""
    import torch.distributed as dist

    backend = "nccl" if on_gpu else "gloo"
    dist.init_process_group(backend, store=store, rank=rank, world_size=learners, timeout=limit)
