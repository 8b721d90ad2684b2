"""Who decides which trials of a sweep go on: Tune's schedulers, which begin with what was told before."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from move37.sweep.config import ASHA, PBT, Range, Sweep
from move37.sweep.record import Trial, lines_of, value_of
from move37.sweep.values import within

if TYPE_CHECKING:
    from ray.tune.schedulers import ASHAScheduler, PopulationBasedTraining, TrialScheduler
else:
    ASHAScheduler = PopulationBasedTraining = object  # see `joined`


RUNNING = "RUNNING"
"""Tune's word for a trial that has a process."""
MAKE_WAY = 30.0
"""Seconds for which a trial may be without a process before one that waits for it gives up its own."""


def joined(ours: type, theirs: type) -> Any:
    """A class of ours as one of Tune's too: so nobody imports Ray who only wants to look at a sweep."""
    return type(ours.__name__, (ours, theirs), {"__doc__": ours.__doc__})


def scheduler(sweep: Sweep, folder: Path, trials: Sequence[Trial], room: bool) -> TrialScheduler:
    """Who decides which trials go on, knowing what there is of them in the folder.

    `room`: are there cores for all of them at once?
    """
    from ray.tune import schedulers

    search, metric = sweep.config.search, sweep.config.metric
    known = {trial.number: lines_of(folder, trial.number) for trial in trials}
    given: dict[str, Any] = {"time_attr": "env_steps", "metric": metric, "mode": "max"}
    if search.kind == ASHA:
        grace = {"grace_period": sweep.rungs[0], "reduction_factor": search.reduction}
        halving = joined(Halving, schedulers.ASHAScheduler)(
            known, max_t=sweep.steps, stop_last_trials=False, **grace, **given
        )
        for trial in trials:
            if trial.ended:
                halving.remember(trial.number)
        return halving
    if search.kind == PBT:
        return joined(Population, schedulers.PopulationBasedTraining)(
            {number: int(lines[-1]["env_steps"]) if lines else 0 for number, lines in known.items()},
            room,
            perturbation_interval=sweep.every,
            hyperparam_mutations={"draw": {"set": mutations(sweep)}},
            custom_explore_fn=lambda config: _tidied(config, sweep),
            quantile_fraction=search.share,
            resample_probability=search.resample,
            log_config=False,
            require_attrs=False,
            **given,
        )
    return schedulers.FIFOScheduler()


class Halving(ASHAScheduler):
    """ASHA (Li et al., 2020) that begins with what lines of metrics told before, by number of trial."""

    def __init__(self, known: Mapping[int, Sequence[Mapping[str, float]]], **options: Any):
        super().__init__(**options)
        self.known = known

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        super().on_trial_add(tune_controller, trial)
        self._feed(trial, int(str(trial)))

    def remember(self, number: int) -> None:
        """A trial that is over: others are held against it."""
        gone: Any = SimpleNamespace(trial_id=f"ended {number}")
        super().on_trial_add(None, gone)  # type: ignore[arg-type]
        self._feed(gone, number)

    def _feed(self, trial: Any, number: int) -> None:
        for line in self.known[number]:
            value = value_of(line, str(self._metric))
            if value is not None:
                told = {"env_steps": line["env_steps"], str(self._metric): value}
                self.on_trial_result(None, trial, told)  # type: ignore[arg-type]


class Population(PopulationBasedTraining):
    """Population-based training (Jaderberg et al., 2017) whose trials may be on their way already.

    `steps` has how many env steps each has done, by number. Nobody goes on while another one is a whole
    exchange behind: who began first would else be done before there is anybody to be compared with. Where
    there is `room` for all, nobody makes way for another one (a process takes seconds to begin again), unless
    somebody else has the cores after all.
    """

    def __init__(self, steps: Mapping[int, int], room: bool, **options: Any):
        super().__init__(**options)
        self.steps, self.room = steps, room
        self._waiting: list[Any] = []
        self._without: dict[Any, float] = {}  # since when trials have had no process, which others wait for

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        super().on_trial_add(tune_controller, trial)
        state, steps = self._trial_state[trial], self.steps[int(str(trial))]
        interval = int(self._perturbation_interval)
        state.last_train_time, state.last_perturbation_time = steps, steps // interval * interval

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        decision = super().on_trial_result(tune_controller, trial, result)
        exchanged = self._trial_state[trial].last_train_time == result.get("env_steps")
        if decision not in (self.CONTINUE, self.PAUSE):
            return decision
        waits = exchanged and self._is_ahead(tune_controller, trial)
        if not self.room:
            return self.PAUSE if waits else decision
        if waits:
            self._waiting.append(trial)
        return self.NOOP if waits else self.CONTINUE

    def choose_trial_to_run(self, tune_controller: Any) -> Any:
        self._wake(tune_controller)
        self._make_way(tune_controller)
        chosen = super().choose_trial_to_run(tune_controller)
        return None if chosen and self._is_ahead(tune_controller, chosen) else chosen

    def _wake(self, tune_controller: Any) -> None:
        """Let those go on who need wait no longer, and forget those that are over."""
        self._waiting = [trial for trial in self._waiting if trial.status == RUNNING]
        for trial in [t for t in self._waiting if not self._is_ahead(tune_controller, t)]:
            self._waiting.remove(trial)
            tune_controller._tune_controller._schedule_trial_train(trial)  # nothing public does

    def _make_way(self, tune_controller: Any) -> None:
        """Take its process from one that waits, where another has been without one for too long."""
        now, live = time.monotonic(), tune_controller.get_live_trials()
        without = [t for t in live if t.status != RUNNING and not self._is_ahead(tune_controller, t)]
        self._without = {trial: self._without.get(trial, now) for trial in without}
        if self._waiting and any(now - since > MAKE_WAY for since in self._without.values()):
            self._without.clear()
            tune_controller.pause_trial(self._waiting.pop(0))

    def _is_ahead(self, tune_controller: Any, trial: Any) -> bool:
        live = [self._trial_state[t].last_train_time for t in tune_controller.get_live_trials()]
        here = self._trial_state[trial].last_train_time
        return bool(here >= min(live, default=here) + self._perturbation_interval)


def mutations(sweep: Sweep) -> dict[str, Any]:
    """Of each key, what Tune draws anew from, or goes on in."""
    return {key: _domain(given) for key, given in sweep.config.over.items()}


def _domain(given: Range) -> Any:
    from ray import tune

    if given.log:
        return tune.loguniform(*given.log)
    return tune.uniform(*given.uniform) if given.uniform else given.choose


def _tidied(config: dict[str, Any], sweep: Sweep) -> dict[str, Any]:
    """The changed draw, within its ranges."""
    draw = config["draw"]
    return {**config, "draw": {**draw, "set": within(draw["set"], sweep)}}
