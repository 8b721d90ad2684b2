"""The metrics of a run: `metrics.jsonl`, a line a record, and the same for TensorBoard."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rollouts.storage import sync_to_disk

METRICS = "metrics.jsonl"
Record = dict[str, float]
"""One line: flat numbers by name; what is not known yet is NaN (null in the file)."""


class MetricsLog:
    """Appends records to the run at `run`, after those of the first `updates` updates: later ones are cut."""

    def __init__(self, run: Path, updates: int):
        kept = [line for line, record in _whole_lines(run / METRICS) if record.get("updates", 0) <= updates]
        last = json.loads(kept[-1]) if kept else {}
        beside = run / f".{METRICS}"
        beside.write_text("".join(kept), encoding="utf-8")
        sync_to_disk(beside)
        os.replace(beside, run / METRICS)
        self.file = open(run / METRICS, "a", encoding="utf-8")  # noqa: SIM115 (closed in close)
        self.board = _Board(run, purge_step=int(last.get("env_steps", 0)) + 1)

    def write(self, record: Mapping[str, float]) -> None:
        """Append one line."""
        plain = {k: v if math.isfinite(v) else None for k, v in record.items()}
        self.file.write(json.dumps(plain) + "\n")
        self.file.flush()
        self.board.write(record)

    def sync(self) -> None:
        """Wait until all lines are on the disk: before a checkpoint that counts on them."""
        os.fsync(self.file.fileno())

    def close(self) -> None:
        self.file.close()
        self.board.close()


def read_metrics(path: Path) -> list[Record]:
    """All whole records in a `metrics.jsonl`, oldest first; none where there is no file."""
    return [{k: math.nan if v is None else v for k, v in record.items()} for _, record in _whole_lines(path)]


def _whole_lines(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """The lines up to the first torn one, each with what it says."""
    out: list[tuple[str, dict[str, Any]]] = []
    if not path.exists():
        return out
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True):
        try:
            record = json.loads(line)
        except ValueError:
            break
        if not (isinstance(record, dict) and line.endswith("\n")):
            break
        out.append((line, record))
    return out


class _Board:
    """TensorBoard event files, written by its own background thread."""

    def __init__(self, run: Path, purge_step: int):
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self.event, self.summary = Event, Summary
        self.writer = EventFileWriter(str(run), flush_secs=10)
        start = SessionLog(status=SessionLog.START)  # hides what an earlier session wrote beyond this step
        self.writer.add_event(Event(wall_time=time.time(), step=purge_step, session_log=start))

    def write(self, record: Mapping[str, float]) -> None:
        values = [
            self.summary.Value(tag=k, simple_value=v)
            for k, v in record.items()
            if math.isfinite(v) and k not in ("env_steps", "updates")
        ]
        step = int(record["env_steps"])
        self.writer.add_event(
            self.event(wall_time=time.time(), step=step, summary=self.summary(value=values))
        )

    def close(self) -> None:
        self.writer.close()
