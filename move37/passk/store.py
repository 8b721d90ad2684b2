"""Samples on disk: `samples/part-<policy>-<problems>-<i>-<j>.parquet`, each whole or absent."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from move37.config import changes
from move37.errors import UserError, in_one_line
from rollouts.storage import sync_to_disk

SAMPLES = "samples"
WHAT = b"move37"
"""Where a part says what its tries depend on."""
TYPES = {"answer": pa.string(), "completion": pa.list_(pa.string())}
"""Of columns that may hold nothing but None."""
PART = "part/"
"""Before the names of what else the environment tells of an episode."""


def write_part(path: Path, columns: Mapping[str, Any], what: Mapping[str, Any]) -> None:
    """Write a part, and `what` its tries depend on."""
    table = pa.table({name: pa.array(values, TYPES.get(name)) for name, values in columns.items()})
    told = json.dumps(what, sort_keys=True)
    beside = path.with_name(f".{path.name}")
    try:
        pq.write_table(
            table.replace_schema_metadata({WHAT: told.encode()}),
            beside,
            compression="zstd",
            write_page_checksum=True,
        )
        sync_to_disk(beside)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def is_written(path: Path, rows: int, what: Mapping[str, Any]) -> bool:
    """Whether a part is there, with so many rows.

    False too where it is damaged. `UserError` where it is of another experiment: what was different.
    """
    try:
        schema, found = pq.read_schema(path), pq.read_metadata(path).num_rows
        told = json.loads((schema.metadata or {})[WHAT])
    except (OSError, pa.ArrowException, KeyError, ValueError):
        return False
    changed = changes(told, json.loads(json.dumps(what)))
    if changed:
        said = f"was sampled otherwise: {'; '.join(changed[:3])}"
        raise UserError(f"{path}: {said}; name another folder (--out DIR)")
    return found == rows


def read_columns(paths: Sequence[Path], names: Sequence[str]) -> dict[str, np.ndarray]:
    """Columns of several parts, one after another; texts as numbers, equal ones alike and −1 for none.

    Raises `UserError` for a part that is damaged or lacks one.
    """
    tables = []
    for path in paths:
        try:
            tables.append(pq.read_table(path, columns=list(names), page_checksum_verification=True))
        except (OSError, pa.ArrowException, KeyError, ValueError) as error:
            said = "is damaged; without it, the same command samples it again"
            raise UserError(f"{path}: {said} ({in_one_line(error)[:80]})") from None
        missing = set(names) - set(tables[-1].column_names)
        if missing:
            raise UserError(f"{path}: holds no {', '.join(sorted(missing))}: it is no part of ours")
    whole = pa.concat_tables(tables)
    return {name: _plain(whole[name]) for name in names}


def _plain(column: Any) -> np.ndarray:
    if pa.types.is_string(column.type):
        coded = column.combine_chunks().dictionary_encode()
        return coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return column.to_numpy()


def has_column(path: Path, name: str) -> bool:
    """Whether a part holds a column of that name (`UserError` where it cannot be read)."""
    try:
        return name in pq.read_schema(path).names
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{path}: cannot be read: {error}".splitlines()[0]) from None
