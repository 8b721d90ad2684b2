"""One trial: an ordinary run, turned by Ray Tune from line to line of metrics."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envs.paths import enter
from move37.disk import write_text
from move37.errors import RunError, UserError, in_one_line
from move37.guard import told_of_failure
from move37.loop import Session
from move37.observer import Observer
from move37.origin import Origin
from move37.run import Run
from move37.sweep.config import Sweep, overrides
from move37.sweep.record import LINEAGE, lineage, run_folder, value_of
from rollouts.fleet import FleetError
from rollouts.storage import TREE, segment_names, sync_to_disk

if TYPE_CHECKING:
    from ray.tune import Trainable
else:
    Trainable = object  # see `move37.sweep.schedulers.joined`

CHECKPOINTS, NEW, OLD = "checkpoints", "checkpoints.new", "checkpoints.old"
FROM = "from.json"
PATIENCE = 60.0
"""Seconds to wait for a process that still holds a run: one of a sweep that was killed just now."""


@dataclass(frozen=True)
class Task:
    """What all trials of a sweep know."""

    sweep: Sweep
    folder: Path
    """The sweep's, absolute."""
    folders: tuple[str, ...]
    """Where the driver looks for modules; the first is its working folder, which paths in configs are of."""


class Lines(Observer):
    """Keeps the line of metrics that a turn wrote."""

    def __init__(self) -> None:
        self.line: Mapping[str, float] = {}

    def update(self, record: Mapping[str, float]) -> None:
        self.line = record


class TrialRun(Trainable):
    """A trial's process: `step` trains until the next line of metrics and tells Tune what is compared.

    It begins at the last checkpoint of its run folder, so a trial whose process died goes on exactly. All is
    saved before anything is told that may have the trial stopped. What goes wrong in training is the trial's
    end, not an error to Tune, which would try the same again: only lost processes are tried again.
    """

    def setup(self, config: dict[str, Any], task: Task) -> None:  # type: ignore[override]
        self.task, self.values = task, config["draw"]["set"]
        self.session: Session | None = None
        self.held = ExitStack()
        self.asked = 0  # env steps of the last line with the metric
        enter(task.folders)  # for Tune would have trials work in folders of its own

    def reset_config(self, config: dict[str, Any]) -> bool:
        """Another trial in this process."""
        self.cleanup()
        self.values, self.asked = config["draw"]["set"], 0
        enter(self.task.folders)
        return True

    def step(self) -> dict[str, Any]:
        try:
            session = self.session or self._open()
            return self._next_line(session)
        except Exception as error:
            self._close()
            return {"failed": _said(error), "done": True}

    def cleanup(self) -> None:
        """Save, and let go of the run."""
        try:
            if self.session:
                self.session.save()
        finally:
            self._close()

    # -- the run ---------------------------------------------------------------------------------------

    @property
    def number(self) -> int:
        """The trial's own, which stays when it takes over another's values."""
        return int(self.trial_name)

    def _open(self) -> Session:
        sweep, path = self.task.sweep, run_folder(self.task.folder, self.number)
        origin = Origin(f"trial {self.number}", tuple(overrides(self.values)))
        config = sweep.trial_config(self.values, origin.file)
        path.mkdir(parents=True, exist_ok=True)
        mend(path)
        run = Run(path, config, trust=True)
        self._lock(run)
        self.lines = Lines()
        self.session = self.held.enter_context(Session(run, self.lines, origin, whole=path))
        run.write_config()
        return self.session

    def _lock(self, run: Run) -> None:
        until = time.monotonic() + PATIENCE
        while True:
            try:
                self.held.enter_context(run.locked())
                return
            except UserError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)

    def _close(self) -> None:
        self.session = None
        self.held.close()

    def _next_line(self, session: Session) -> dict[str, Any]:
        self.lines.line = {}
        with told_of_failure(session.run, session.tally):
            try:
                while not (self.lines.line or session.reason):
                    session.turn()
            except FleetError:
                session.save(games=False)
                raise
        told = self._told(self.lines.line)
        if session.reason:
            session.save()
            self._close()
            told |= {"done": True, "ends": True}
        elif self._may_be_stopped(told):
            session.save()
        return told

    def _told(self, line: Mapping[str, float]) -> dict[str, Any]:
        """What Tune is told of a line: the metric only where it is known."""
        metric = self.task.sweep.config.metric
        value = value_of(line, metric)
        told: dict[str, Any] = {k: line[k] for k in ("env_steps", "time/total") if k in line}
        told |= {"names": [] if metric in line else list(line)}
        return told | ({} if value is None else {metric: value})

    def _may_be_stopped(self, told: Mapping[str, Any]) -> bool:
        """Whether the line has the metric, and is the first that does beyond a rung."""
        if self.task.sweep.config.metric not in told:
            return False
        before, self.asked = self.asked, int(told["env_steps"])
        return any(before < rung <= self.asked for rung in self.task.sweep.rungs)

    # -- populations -----------------------------------------------------------------------------------

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """The run's checkpoint, for others to take over. It is copied, as the run soon has newer ones."""
        session = self.session or self._open()
        session.save()
        copy_newest(session.run.path, self.number, Path(checkpoint_dir))

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Take over another trial's checkpoint; this trial's own is in its run folder, or a newer one."""
        given = json.loads((Path(checkpoint) / FROM).read_text())
        if given["number"] == self.number:
            return
        path = run_folder(self.task.folder, self.number)
        path.mkdir(parents=True, exist_ok=True)
        try:
            self._lock(Run(path, self.task.sweep.base, trust=True))
            take_over(path, Path(checkpoint), given, self.values)
        finally:
            self._close()


def _said(error: BaseException) -> str:
    """What a table tells of a failure: its cause, without how to go on."""
    if isinstance(error, RunError) and error.__cause__:
        return _said(error.__cause__)
    return str(error) if isinstance(error, (UserError, RunError)) else in_one_line(error)


def copy_newest(run: Path, number: int, to: Path) -> None:
    """Copy a run's newest whole checkpoint, what it shares with others, and its best weights: plain files."""
    source = run / CHECKPOINTS
    names = {link: (source / link).resolve().name for link in ("last", "best") if (source / link).is_dir()}
    for name in names.values():
        shutil.copytree(source / name, to / CHECKPOINTS / name)
    segments = segment_names(json.loads((source / names["last"] / TREE).read_text()))
    (to / CHECKPOINTS / "segments").mkdir()
    for name in segments:
        shutil.copy2(source / "segments" / f"{name}.safetensors", to / CHECKPOINTS / "segments")
    told = {"number": number, "env_steps": int(names["last"]), "links": names}
    (to / FROM).write_text(json.dumps(told))


def take_over(run: Path, given: Path, told: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    """Put what `copy_newest` gave in place of a run's own checkpoints, and write down whose it is.

    Told again what was done already (its process died since), it does nothing.
    """
    mend(run)
    taken = lineage(run)
    entry = {"env_steps": told["env_steps"], "from": told["number"], "set": dict(values)}
    if taken and taken[-1] == entry:
        return
    shutil.copytree(given / CHECKPOINTS, run / NEW)
    for link, name in told["links"].items():
        (run / NEW / link).symlink_to(name)
    sync_to_disk(run / NEW)
    if (run / CHECKPOINTS).exists():
        (run / CHECKPOINTS).rename(run / OLD)
    (run / NEW).rename(run / CHECKPOINTS)
    write_text(run / LINEAGE, "".join(json.dumps(one) + "\n" for one in [*taken, entry]))
    mend(run)


def mend(run: Path) -> None:
    """Finish or undo what a process that died while it took over has left."""
    if (run / NEW).exists() and (run / OLD).exists() and not (run / CHECKPOINTS).exists():
        (run / NEW).rename(run / CHECKPOINTS)
    for name in (NEW, OLD):
        shutil.rmtree(run / name, ignore_errors=True)
