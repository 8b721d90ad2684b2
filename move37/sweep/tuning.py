"""A sweep's trials on Ray Tune, which starts them, stops those that are worse, and lets others take over."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from envs.paths import folders
from move37.cluster import start_ray, stop_ray
from move37.errors import UserError
from move37.sweep.config import PBT, Sweep
from move37.sweep.record import Trial
from move37.sweep.schedulers import joined, scheduler
from move37.sweep.trial import Task, TrialRun

if TYPE_CHECKING:
    from ray.tune import Callback, PlacementGroupFactory, Stopper, Tuner
else:
    Callback = Stopper = object  # see `joined`

STORE = ".tune"
"""Where Tune keeps its own state, which nobody reads again, and copies of checkpoints that trials swap."""
KEPT = 4
"""Copies a trial: who takes one over may come for it late."""
LIVES = 3
"""How often a trial whose process was lost is started again."""
CALM = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}
"""Tune's settings: it leaves folders, signals, and what is told, to us."""


class Book(Protocol):
    """Who is told of trials."""

    def warn(self, text: str) -> None:
        """Something to know."""

    def heard(self, number: int, told: Mapping[str, Any]) -> None:
        """A line of metrics."""

    def ended(self, number: int, said: str, *, failed: bool, done: bool) -> None:
        """A trial is over: `done` by itself, else stopped by others."""

    def stopping(self) -> bool:
        """Whether all shall stop."""


def run_trials(sweep: Sweep, folder: Path, trials: Sequence[Trial], book: Book) -> None:
    """Run those of `trials` that have not ended to their end, or until the book says stop.

    Trials go on from their run folders, and the scheduler knows what all lines of metrics told before. A Ray
    that was not there is started, and ended again.
    """
    os.environ.update(CALM)
    logging.getLogger("ray.tune").setLevel(logging.ERROR)
    left = [trial for trial in trials if not trial.ended]
    here, address = os.cpu_count() or 1, sweep.config.cluster.address
    started = start_ray(address, at_once(sweep, len(left), here) * sweep.cores, sweep.origin)
    shutil.rmtree(folder / STORE, ignore_errors=True)
    try:
        shared = started and address == "none"
        cores = here if shared else rays_cores()
        count = at_once(sweep, len(left), cores)
        check_cores(sweep, count, cores, book, shared=shared)
        make_tuner(sweep, folder.resolve(), trials, left, count, book).fit()
    finally:
        shutil.rmtree(folder / STORE, ignore_errors=True)
        if started:
            stop_ray()


def make_tuner(
    sweep: Sweep, folder: Path, trials: Sequence[Trial], left: Sequence[Trial], count: int, book: Book
) -> Tuner:
    """The tuner of the trials that are left, so many at once."""
    from ray import tune

    kind = sweep.config.search.kind
    task = Task(sweep, folder, tuple(folders()))
    trainable = tune.with_resources(
        tune.with_parameters(joined(TrialRun, tune.Trainable), task=task), resources(sweep, count)
    )
    drawn = [{"number": trial.number, "set": dict(trial.set)} for trial in left]
    return tune.Tuner(
        trainable,
        param_space={"draw": tune.grid_search(drawn)},
        tune_config=tune.TuneConfig(
            scheduler=scheduler(sweep, folder, trials, room(sweep, count)),
            max_concurrent_trials=None if kind == PBT else count,
            reuse_actors=True,
            trial_name_creator=_name,
            trial_dirname_creator=_name,
        ),
        run_config=tune.RunConfig(
            name=STORE,
            storage_path=str(folder),
            stop=joined(StopAll, tune.Stopper)(book),
            callbacks=[joined(Ear, tune.Callback)(book)],
            failure_config=tune.FailureConfig(max_failures=LIVES),
            checkpoint_config=tune.CheckpointConfig(num_to_keep=KEPT, checkpoint_at_end=False),
            verbose=0,
        ),
    )


def at_once(sweep: Sweep, trials: int, cores: int) -> int:
    """How many trials run side by side on so many `cores`: a whole population does."""
    if sweep.config.search.kind == PBT:
        return trials
    return min(sweep.config.parallel or max(cores // sweep.cores, 1), trials)


def rays_cores() -> int:
    """Those that Ray has in all."""
    import ray

    return int(ray.cluster_resources().get("CPU", 0))


def check_cores(sweep: Sweep, count: int, cores: int, book: Book, *, shared: bool) -> None:
    """Tell where there are fewer `cores` than trials ask for (`UserError` where not even one has enough).

    `shared`: Ray was started here with a core for everybody, however many there are.
    """
    asked = f"{count} trials at once, of {sweep.cores} core{'s' if sweep.cores > 1 else ''} each"
    if shared and count * sweep.cores > cores:
        book.warn(f"{asked}: they share the {cores} cores that there are")
    elif not shared and sweep.cores > cores:
        place = sweep.origin.place("cluster", "", "address")
        raise UserError(f"{place}: a trial takes {sweep.cores} cores, and Ray has {cores}")
    elif count * sweep.cores > cores:
        book.warn(f"{asked}: Ray has {cores}, so that some wait for others")


def room(sweep: Sweep, count: int) -> bool:
    """Whether Ray has cores for so many trials at once."""
    return rays_cores() >= count * sweep.cores


def resources(sweep: Sweep, count: int) -> PlacementGroupFactory:
    """A core for the learner and one a worker; a share of the GPUs, where there are any and it wants one."""
    import ray
    from ray import tune

    learner: dict[str, float] = {"CPU": 1}
    gpus = ray.cluster_resources().get("GPU", 0)
    if gpus and sweep.base.device != "cpu":
        learner["GPU"] = min(gpus / count, 1.0)
    return tune.PlacementGroupFactory([learner, *[{"CPU": 1.0}] * (sweep.cores - 1)])


def _name(trial: Any) -> str:
    """A trial's number, from the draw that it began with."""
    return str(trial.config["draw"]["number"])


class Told:
    """Has a book, and leaves it out of what Tune keeps of its state, which nobody reads."""

    def __init__(self, book: Book):
        self.book = book

    def __getstate__(self) -> dict[str, Any]:
        return {}


class StopAll(Told, Stopper):
    """Stops all trials, each after its line, where somebody asks for it."""

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self.book.stopping()


class Ear(Told, Callback):
    """Tells the book."""

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        self.book.heard(int(str(trial)), result)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        last = trial.last_result
        ends = "ends" in last
        self.book.ended(int(str(trial)), last.get("failed", ""), failed="failed" in last, done=ends)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        said = f"its process was lost {LIVES + 1} times"
        self.book.ended(int(str(trial)), said, failed=True, done=False)
