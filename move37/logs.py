"""What a run writes down: `metrics.jsonl`, `samples.jsonl`, and the same for TensorBoard."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rollouts.storage import sync_to_disk

if TYPE_CHECKING:
    from move37.samples import Sample

METRICS, SAMPLES = "metrics.jsonl", "samples.jsonl"
Record = dict[str, float]
"""One line: flat numbers by name; what is not known yet is NaN (null in the file)."""


class MetricsLog:
    """Appends records to the run at `run`, after those of the first `updates` updates: later ones are cut.

    So it does with samples of what a text agent says, in a file of their own where there are any.
    """

    def __init__(self, run: Path, updates: int):
        self.run = run
        self.lines = _Lines(run / METRICS, updates)
        self.samples = _Lines(run / SAMPLES, updates) if (run / SAMPLES).exists() else None
        self.board = _Board(run, purge_step=int(self.lines.last.get("env_steps", 0)) + 1)

    def write(self, record: Mapping[str, float], beside: Mapping[str, float] | None = None) -> None:
        """Append one line; what is `beside` it goes to TensorBoard alone."""
        self.lines.write({k: v if math.isfinite(v) else None for k, v in record.items()})
        self.board.write({**record, **(beside or {})})

    def write_samples(self, samples: Sequence[Sample], env_steps: int, updates: int) -> None:
        """Append a line a sample (see `move37.samples`); its `slot` is its place among them."""
        if not samples:
            return
        from move37.samples import markdown

        self.samples = self.samples or _Lines(self.run / SAMPLES, updates)
        place = {"env_steps": env_steps, "updates": updates}
        self.samples.write(*(place | {"slot": i} | sample for i, sample in enumerate(samples)))
        self.board.write_texts({f"samples/{i}": markdown(s) for i, s in enumerate(samples)}, env_steps)

    def sync(self) -> None:
        """Wait until all lines are on the disk: before a checkpoint that counts on them."""
        self.lines.sync()
        if self.samples is not None:
            self.samples.sync()

    def close(self) -> None:
        self.lines.close()
        if self.samples is not None:
            self.samples.close()
        self.board.close()


class _Lines:
    """A file of JSON lines: those of the first `updates` updates stay, and what is written follows them."""

    def __init__(self, path: Path, updates: int):
        kept = [line for line, record in _whole_lines(path) if record.get("updates", 0) <= updates]
        self.last: dict[str, Any] = json.loads(kept[-1]) if kept else {}
        beside = path.with_name(f".{path.name}")
        beside.write_text("".join(kept), encoding="utf-8")
        sync_to_disk(beside)
        os.replace(beside, path)
        self.file = open(path, "a", encoding="utf-8")  # noqa: SIM115 (closed in close)

    def write(self, *records: Mapping[str, Any]) -> None:
        """Append a line each, all at once."""
        self.file.write("".join(json.dumps(record) + "\n" for record in records))
        self.file.flush()

    def sync(self) -> None:
        os.fsync(self.file.fileno())

    def close(self) -> None:
        self.file.close()


def read_metrics(path: Path) -> list[Record]:
    """All whole records in a `metrics.jsonl`, oldest first; none where there is no file."""
    return [{k: math.nan if v is None else v for k, v in record.items()} for _, record in _whole_lines(path)]


def read_samples(path: Path) -> list[Sample]:
    """All whole lines of a `samples.jsonl`, oldest first; none where there is no file."""
    return [sample for _, sample in _whole_lines(path)]


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

    def write_texts(self, texts: Mapping[str, str], step: int) -> None:
        """Texts in Markdown, by name."""
        from tensorboard.plugins.text.metadata import create_summary_metadata
        from tensorboard.util.tensor_util import make_tensor_proto

        values = [
            self.summary.Value(
                tag=name, metadata=create_summary_metadata(name, ""), tensor=make_tensor_proto(text)
            )
            for name, text in texts.items()
        ]
        self.writer.add_event(
            self.event(wall_time=time.time(), step=step, summary=self.summary(value=values))
        )

    def close(self) -> None:
        self.writer.close()
