"""Trees of arrays on disk: `tree.json` beside `arrays.safetensors`. No pickle: opening one runs no code."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

TREE, ARRAYS = "tree.json", "arrays.safetensors"


@dataclass(frozen=True)
class Segment:
    """An immutable, named chunk of data that many checkpoints share; written once, referred to by name."""

    name: str
    arrays: Mapping[str, np.ndarray]


def save_tree(folder: Path | str, tree: Any, segments: Path | str | None = None) -> list[str]:
    """Write `tree` (dicts, lists, arrays, numbers, strings, None, Segments) into an existing `folder`.

    Segments go to the folder `segments`, each file once. Returns the names of those that the tree refers to.
    Raises `TypeError` for anything else in the tree, `OSError` when the disk is full.
    """
    folder, arrays, names = Path(folder), {}, []

    def pack(node: Any, path: str) -> Any:
        if isinstance(node, Segment):
            if segments is None:
                raise TypeError(f"{path}: a Segment needs a folder for segments")
            _write_segment(Path(segments), node)
            names.append(node.name)
            return {"$segment": node.name}
        if hasattr(node, "detach"):
            node = node.detach().cpu().numpy()
        if isinstance(node, np.ndarray) and node.dtype == object:
            return {"$text": node.tolist()}
        if isinstance(node, np.ndarray):
            while path in arrays:  # a key with a slash may spell another's path
                path += "'"
            arrays[path] = np.ascontiguousarray(node).reshape(node.shape)
            return {"$array": path}
        if isinstance(node, np.generic):
            return node.item()
        if isinstance(node, Mapping):
            return {_key(k, path): pack(v, f"{path}/{k}" if path else str(k)) for k, v in node.items()}
        if isinstance(node, (list, tuple)):
            return [pack(v, f"{path}/{i}") for i, v in enumerate(node)]
        if node is None or isinstance(node, (bool, int, float, str)):
            return node
        raise TypeError(f"{path}: {type(node).__name__} cannot be saved as plain data")

    packed = pack(tree, "")
    save_file(arrays, str(folder / ARRAYS))
    (folder / TREE).write_text(json.dumps(packed), encoding="utf-8")
    for name in (ARRAYS, TREE):
        sync_to_disk(folder / name)
    return names


def load_tree(folder: Path | str, segments: Path | str | None = None) -> Any:
    """Read back what `save_tree` wrote; arrays come as numpy, tuples as lists.

    Raises `ValueError` that names the file when it is missing, truncated or foreign.
    """
    folder = Path(folder)
    try:
        packed = json.loads((folder / TREE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder / TREE}: missing or damaged ({error})") from None
    arrays = _load_arrays(folder / ARRAYS)

    def unpack(node: Any) -> Any:
        if isinstance(node, list):
            return [unpack(v) for v in node]
        if not isinstance(node, dict):
            return node
        if "$array" in node:
            if node["$array"] not in arrays:
                raise ValueError(f"{folder / ARRAYS}: the array '{node['$array']}' is missing")
            return arrays[node["$array"]]
        if "$text" in node:
            return np.array(node["$text"], dtype=object)
        if "$segment" in node:
            name = os.path.basename(node["$segment"])
            path = Path(segments or folder) / f"{name}.safetensors"
            return Segment(name, _load_arrays(path))
        return {k: unpack(v) for k, v in node.items()}

    return unpack(packed)


@contextmanager
def whole_folder(folder: Path | str) -> Iterator[Path]:
    """A folder to write in, which replaces `folder` at the end, or vanishes on any error."""
    folder = Path(folder).resolve()
    beside, old = folder.with_name(f".tmp-{folder.name}"), folder.with_name(f".old-{folder.name}")
    for leftover in (beside, old):
        shutil.rmtree(leftover, ignore_errors=True)
    beside.mkdir(parents=True)
    try:
        yield beside
        sync_to_disk(beside)
        if folder.exists():
            folder.rename(old)
        beside.rename(folder)
        sync_to_disk(folder.parent)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def segment_names(node: Any) -> Iterator[str]:
    """The names of all segments that a packed tree (the content of `tree.json`) refers to."""
    if isinstance(node, dict):
        if "$segment" in node:
            yield node["$segment"]
        for value in node.values():
            yield from segment_names(value)
    elif isinstance(node, list):
        for value in node:
            yield from segment_names(value)


def sync_to_disk(path: Path | str) -> None:
    """Wait until a file's (or folder's) content is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_segment(folder: Path, segment: Segment) -> None:
    path = folder / f"{segment.name}.safetensors"
    if path.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    beside = folder / f".{segment.name}.tmp"
    try:
        arrays = {k: np.ascontiguousarray(v).reshape(np.shape(v)) for k, v in segment.arrays.items()}
        save_file(arrays, str(beside))
        sync_to_disk(beside)
        os.replace(beside, path)
        sync_to_disk(folder)
    finally:
        beside.unlink(missing_ok=True)


def _load_arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        return load_file(str(path))
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise ValueError(f"{path}: missing or damaged ({error})") from None


def _key(key: Any, path: str) -> str:
    if not isinstance(key, str) or key.startswith("$"):
        raise TypeError(f"{path}: the key {key!r} is not a plain string")
    return key
