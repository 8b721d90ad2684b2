"""A disk that is full or closed to us: told in one line with the file that was asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from move37.errors import RunError

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
