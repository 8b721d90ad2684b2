"""What may happen to a run from outside, or go wrong in it: Ctrl-C, a full disk, NaN, a lost worker."""

from __future__ import annotations

import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from move37.errors import RunError, UserError, in_one_line
from move37.run import Run
from move37.tally import Tally
from rollouts.fleet import FleetError
from rollouts.rollout import Rollout

STOPPING = "move37: stopping after {}; Ctrl-C again stops at once\n"


class InputError(Exception):
    """What was learned from is not finite."""


@contextmanager
def interruptible(what: str = "this update") -> Iterator[Callable[[], bool]]:
    """The first Ctrl-C (or SIGTERM) only makes the yielded function answer True; the second stops at once.

    `what` is told to be done first.
    """
    asked, said = False, STOPPING.format(what).encode()

    def note(number: int, frame: Any) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        os.write(2, said)  # not by print, which a signal may find at work

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def told_of_failure(run: Run, tally: Tally) -> Iterator[None]:
    """What fails while the loop turns, as a `RunError`: what went wrong, what is saved, how to go on."""
    try:
        yield
    except (UserError, RunError):
        raise
    except Exception as error:
        reason, cure = _reason_and_cure(error)
        good = run.checkpoint_folder.newest()
        kept = f"the checkpoint of {int(good):,} env steps is good" if good else "there is no checkpoint yet"
        raise RunError(
            f"{run.path}: stopped after {tally.env_steps:,} env steps: {reason}; {kept}. "
            f"Go on {cure}: {run.command('train --resume')}"
        ) from error


def _reason_and_cure(error: Exception) -> tuple[str, str]:
    cure = "once its cause is gone"
    if isinstance(error, FloatingPointError):
        lower = "with a lower learning rate (agent.lr=…), or rewards clipped or scaled down"
        return in_one_line(error), lower
    if isinstance(error, (InputError, FleetError)):
        return str(error), cure
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror, cure
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{in_one_line(error)} ({frame.filename}:{frame.lineno})", f"{cure} (--debug shows the traceback)"


@contextmanager
def told_of_input(rollout: Rollout, tally: Tally) -> Iterator[None]:
    """Where learning finds a number that is not finite, and was given such a one: that, as `InputError`."""
    try:
        yield
    except FloatingPointError as error:
        names = not_finite_inputs(rollout, tally)
        if names:
            raise InputError(f"{' and '.join(names)} not finite (NaN or infinite)") from error
        raise


def not_finite_inputs(rollout: Rollout, tally: Tally) -> list[str]:
    """What in a rollout is NaN or infinite, in words; reward terms only where the raw reward is not.

    A replay may hold rewards of earlier rollouts: those show in the tally.
    """
    found = []
    replayed = [*tally.returns, tally.sums.get("reward/env", (0.0, 0))[0]]
    if not np.isfinite([*replayed, *rollout.env_rewards[rollout.valid]]).all():
        found.append("rewards of the environment are")
    else:
        terms = rollout.terms.items()
        found += [f"reward term '{k}' is" for k, v in terms if not np.isfinite(v[rollout.valid]).all()]
    arrays = rollout.obs.values() if isinstance(rollout.obs, Mapping) else [rollout.obs]
    if any(isinstance(a, np.ndarray) and a.dtype.kind == "f" and not np.isfinite(a).all() for a in arrays):
        found.append("observations of the environment are")
    return found


def without_games(state: Mapping[str, Any]) -> dict[str, Any]:
    """A sampler's state whose games are lost: who takes it up begins new ones, by seeds not used before."""
    if "workers" in state:
        return {**state, "workers": [without_games(worker) for worker in state["workers"]]}
    return {**state, "playing": True, "env": None}
