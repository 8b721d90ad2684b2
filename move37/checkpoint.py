"""Checkpoints of a run: whole or not there, the last two kept, no pickle.

checkpoints/<env_steps>/        everything: tree.json, arrays.safetensors, and `actor/`
checkpoints/best-<env_steps>/   `actor/` only: the weights that act, and how to build who uses them
checkpoints/kept-<env_steps>/   the same, kept for good (`checkpoint.snapshots`)
checkpoints/segments/           immutable chunks that several checkpoints share
checkpoints/last, best          links
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from move37.errors import RunError, UserError, command
from rollouts.storage import TREE, load_tree, save_tree, segment_names, sync_to_disk, whole_folder

FORMAT = 1
KEPT, KEPT_NAME = 2, "kept-"


class CheckpointFolder:
    """The `checkpoints/` of the run at `run`. `go_on` words the command that goes on with that."""

    def __init__(self, run: Path, go_on: Callable[[], str] | None = None):
        self.run = run
        self.go_on = go_on or partial(command, "train --resume", run)
        self.folder = run / "checkpoints"
        self.segments = self.folder / "segments"
        self.best_saved: str | None = None
        """The `best` of the newest checkpoint: it stays until the next one, for a resume goes back to it."""

    def save(self, step: int, state: Mapping[str, Any], actor: Mapping[str, Any]) -> None:
        """Write everything as checkpoint `step`, point `last` at it, and drop all but the newest two.

        Raises `RunError` when the disk is full; earlier checkpoints are then as they were.
        """
        with self._whole(str(step)) as beside:
            save_tree(beside, {"format": FORMAT, **state}, self.segments)
            _save_actor(beside, actor)
        self._link("last", str(step))
        for name in self.whole()[:-KEPT]:
            shutil.rmtree(self.folder / name)
        self.best_saved = self._best()
        self._drop_bests()
        self._drop_segments()

    def save_best(self, step: int, actor: Mapping[str, Any]) -> None:
        """Write the acting weights alone and point `best` at them (`RunError` as in `save`)."""
        name = f"best-{step}"
        with self._whole(name) as beside:
            _save_actor(beside, actor)
        self._link("best", name)
        self._drop_bests()

    def save_snapshot(self, step: int, actor: Mapping[str, Any]) -> None:
        """Write the acting weights alone, for good (`RunError` as in `save`); what is there already stays."""
        if not (self.folder / f"{KEPT_NAME}{step}").is_dir():
            with self._whole(f"{KEPT_NAME}{step}") as beside:
                _save_actor(beside, actor)

    def snapshots(self) -> list[str]:
        """The env steps of the weights that are kept for good, in order."""
        names = (p.name.removeprefix(KEPT_NAME) for p in self.folder.glob(f"{KEPT_NAME}*") if p.is_dir())
        return sorted((name for name in names if name.isdecimal()), key=int)

    def restore_best(self, step: int | None) -> None:
        """Go back to the `best` of the newest checkpoint, saved at `step` (None: there was none yet)."""
        name = f"best-{step}"
        if step is None:
            (self.folder / "best").unlink(missing_ok=True)
        elif not (self.folder / name).is_dir():  # of an older checkpoint: only a later one is left
            return
        elif self._best() != name:
            self._link("best", name)
        self.best_saved = self._best()
        self._drop_bests()

    def load(self) -> dict[str, Any] | None:
        """The state in the newest whole checkpoint; None where the run has none yet.

        Raises `UserError` where it is damaged or no checkpoint of ours, and says how to go on.
        """
        name = self.newest()
        if name is None:
            return None
        if [path.name for path in (self.folder / name).iterdir()] == ["actor"]:
            said = (
                "holds the weights that act, and nothing else: play and evaluate it, or begin with it (init)"
            )
            raise UserError(f"{self.folder / name}: {said}")
        try:
            state = load_tree(self.folder / name, self.segments)
        except ValueError as error:
            raise UserError(f"{error}; {self._cure(name)}") from None
        if not isinstance(state, dict) or state.get("format") != FORMAT:
            raise UserError(f"{self.folder / name}: no checkpoint of format {FORMAT}; {self._cure(name)}")
        return state

    def load_actor(self, name: str = "last") -> dict[str, Any]:
        """`{"spec", "weights"}` of the agent in checkpoint `name` (`last`, `best`, or env steps).

        Raises `UserError` where it is missing or damaged.
        """
        found = self.newest() if name == "last" else name
        if found in self.snapshots() and found not in self.whole():
            found = f"{KEPT_NAME}{found}"
        elif found is None or (name != "last" and name not in self.names()):
            raise UserError(
                f"{self.folder}: no checkpoint '{name}'; there is: {', '.join(self.names()) or 'none'}"
            )
        try:
            actor = load_tree(self.folder / found / "actor")
        except ValueError as error:
            damaged = (self.folder / found).resolve()
            others = [n for n in self.names() if (self.folder / n).resolve() != damaged]
            raise UserError(f"{error}; other checkpoints: {', '.join(others) or 'none'}") from None
        if not isinstance(actor, dict) or not isinstance(actor.get("spec"), dict) or "weights" not in actor:
            raise UserError(f"{self.folder / found / 'actor'}: no agent of ours")
        return actor

    def whole(self) -> list[str]:
        """The names (env steps) of the whole checkpoints, oldest first."""
        names = (p.name for p in self.folder.glob("*") if p.name.isdecimal() and p.is_dir())
        return sorted(names, key=int)

    def newest(self) -> str | None:
        """What `last` points at; the newest whole one where the link is gone."""
        link = self.folder / "last"
        if link.is_dir():
            return link.resolve().name
        return next(reversed(self.whole()), None)

    def names(self) -> list[str]:
        """All that can be asked for: env steps, oldest first, then `last` and `best` where there are such."""
        steps = sorted({*self.whole(), *self.snapshots()}, key=int)
        return steps + [n for n in ("last", "best") if (self.folder / n).is_dir()]

    @contextmanager
    def _whole(self, name: str) -> Iterator[Path]:
        """A folder to write in, which becomes `name` at the end, or vanishes on any error."""
        try:
            with whole_folder(self.folder / name) as beside:
                yield beside
        except (OSError, SafetensorError) as error:
            raise RunError(self._failure(error)) from error

    def _failure(self, error: Exception) -> str:
        self._drop_segments()
        good = self.newest()
        kept = f"the last good one is {self.folder / good}" if good else "there is none before it"
        reason = getattr(error, "strerror", None) or str(error)
        return (
            f"{self.folder}: a checkpoint could not be written ({reason}); {kept}. "
            f"Free some room, then go on with: {self.go_on()}"
        )

    def _link(self, link: str, name: str) -> None:
        beside = self.folder / f".{link}"
        beside.unlink(missing_ok=True)
        beside.symlink_to(name)
        os.replace(beside, self.folder / link)
        sync_to_disk(self.folder)

    def _best(self) -> str | None:
        """The folder that `best` points at."""
        link = self.folder / "best"
        return link.resolve().name if link.is_dir() else None

    def _drop_bests(self) -> None:
        """Delete all acting weights but the best, and the best of the newest checkpoint."""
        for folder in self.folder.glob("best-*"):
            if folder.name not in (self._best(), self.best_saved):
                shutil.rmtree(folder)

    def _drop_segments(self) -> None:
        """Delete the segments that no kept checkpoint lists (all stay where a list cannot be read)."""
        try:
            listed = {
                s
                for n in self.whole()
                for s in segment_names(json.loads((self.folder / n / TREE).read_text()))
            }
        except (OSError, ValueError):
            return
        for file in self.segments.glob("*.safetensors"):
            if file.stem not in listed:
                file.unlink()

    def _cure(self, name: str) -> str:
        older = [n for n in self.whole() if n != name]
        if older:
            return f"remove {self.folder / name} and resume again to go on from {older[-1]} env steps"
        return f"remove {self.folder / name} and resume again to start from the beginning"


def _save_actor(folder: Path, actor: Mapping[str, Any]) -> None:
    (folder / "actor").mkdir()
    save_tree(folder / "actor", actor)
    sync_to_disk(folder / "actor")
