"""A disk that is full or closed to us, a folder that another process works in: told in one line."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from move37.errors import RunError, UserError
from rollouts.storage import sync_to_disk

LOCK = ".lock"
PROBE = 4096
"""Bytes written to see whether there is room for any."""


@contextmanager
def told_of_disk(path: Path) -> Iterator[None]:
    """An `OSError` inside, as a `RunError` that `path` cannot be written."""
    try:
        yield
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror or error}") from error


def check_writable(path: Path) -> None:
    """Raises `RunError` where no file can be written beside `path`: before the work that it is to hold."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with told_of_disk(path):
        try:
            beside.write_bytes(bytes(PROBE))
        finally:
            beside.unlink(missing_ok=True)


@contextmanager
def locked(folder: Path, said: str) -> Iterator[None]:
    """Keep other processes from working in a folder (`UserError` with what is `said` where one does)."""
    try:
        opened = open(folder / LOCK, "w")  # noqa: SIM115 (closed below)
    except OSError as error:
        raise RunError(f"{folder}: cannot be written: {error.strerror}") from error
    with opened as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(f"{folder}: {said}") from None
        yield


def write_text(path: Path, text: str) -> None:
    """Write a file, whole or not at all."""
    beside = path.with_name(f".{path.name}")
    try:
        beside.write_text(text, encoding="utf-8")
        sync_to_disk(beside)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
    sync_to_disk(path.parent)
