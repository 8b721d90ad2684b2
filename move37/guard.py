"""What may happen to a run from outside, or go wrong in it: Ctrl-C, a full disk, NaN, a lost worker."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from move37.errors import RunError, in_one_line
from move37.run import Run
from move37.tally import Tally
from rollouts.fleet import FleetError


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """The first Ctrl-C only makes the yielded function answer True; the second stops at once."""
    asked = False

    def note(number: int, frame: Any) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def told_of_failure(run: Run, tally: Tally) -> Iterator[None]:
    """What fails while the loop turns, as a `RunError`: what went wrong, what is saved, how to go on."""
    try:
        yield
    except (FloatingPointError, FleetError, OSError) as error:
        cure = "once its cause is gone"
        if isinstance(error, FloatingPointError):
            cure = "with a lower learning rate (agent.lr=…), or rewards clipped or scaled down"
        good = run.checkpoint_folder.newest()
        kept = f"the checkpoint of {int(good):,} env steps is good" if good else "there is no checkpoint yet"
        reason = getattr(error, "strerror", None) or in_one_line(error)
        raise RunError(
            f"{run.path}: stopped after {tally.env_steps:,} env steps: {reason}; {kept}. "
            f"Go on {cure}: move37 train --resume {run.path}"
        ) from error


@contextmanager
def told_of_disk(run: Run) -> Iterator[None]:
    """What cannot be written before the loop turns, as a `RunError`."""
    try:
        yield
    except OSError as error:
        raise RunError(f"{run.path}: cannot be written: {error.strerror}") from error


def without_games(state: Mapping[str, Any]) -> dict[str, Any]:
    """A sampler's state whose games are lost: who takes it up begins new ones, by seeds not used before."""
    if "workers" in state:
        return {**state, "workers": [without_games(worker) for worker in state["workers"]]}
    return {**state, "playing": True, "env": None}
