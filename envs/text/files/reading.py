"""Reading a file of problems: JSON objects, one a line (JSONL), or a list of them (JSON).

Errors are `OptionError`s of the option `path`, and name the file, the line and the field.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from envs.options import OptionError

FORMS = "a JSON object a line (JSONL), or a JSON list of them"
OTHERS = {
    b"PAR1": "a Parquet file",
    b"\x1f\x8b": "compressed by gzip",
    b"PK\x03\x04": "a zip archive",
    b"\x28\xb5\x2f\xfd": "compressed by Zstandard",
}
"""What files of problems are often mistaken for, by their first bytes."""
FILES = 8
"""That are remembered."""


@dataclass(frozen=True)
class Row:
    """The fields of one problem, and where they stand."""

    file: str
    """The file's name."""
    number: int
    """Its line, or its place in a JSON list, from 1."""
    fields: Mapping[str, Any]
    kind: str = "line"

    @property
    def place(self) -> str:
        """As errors have it: `gsm8k.jsonl, line 3`."""
        return f"{self.file}, {self.kind} {self.number}"

    def error(self, said: str) -> OptionError:
        """What is wrong with this problem."""
        return OptionError("path", f"{self.place}: {said}")

    def has(self, *names: str) -> bool:
        """Whether each of these fields is there, and not null."""
        return all(self.fields.get(name) is not None for name in names)

    def text(self, *names: str) -> str:
        """The first of these fields that is there, which must be a text with something in it."""
        name = self._first(names)
        value = self.fields[name]
        if not isinstance(value, str) or not value.strip():
            raise self.error(f"the field '{name}' must be a text with something in it, not {short(value)}")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """A field that is a list of texts; it may be empty."""
        value = self.fields[self._first((name,))]
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.error(f"the field '{name}' must be a list of texts, not {short(value)}")
        return tuple(value)

    def _first(self, names: tuple[str, ...]) -> str:
        for name in names:
            if self.has(name):
                return name
        has = ", ".join(self.fields) or "none"
        raise self.error(f"no field {' or '.join(map(repr, names))}; it has: {has:.200}")


def read_rows(path: str | Path) -> tuple[Row, ...]:
    """All problems of a file, in its order; empty lines are passed over.

    Raises `OptionError` for a file that is missing, empty, not UTF-8, or not of the form. A file is read
    again only when it has changed.
    """
    path = Path(path)
    try:
        found = path.stat()
    except OSError as error:
        raise OptionError("path", f"{path}: {error.strerror or error}") from None
    if path.is_dir():
        raise OptionError("path", f"{path}: is a folder, and a file of problems is {FORMS}")
    return _read(path, found.st_mtime_ns, found.st_size)


@lru_cache(FILES)
def _read(path: Path, changed: int, size: int) -> tuple[Row, ...]:
    text = _text(path)
    rows = tuple(_listed(path, text) if text.lstrip().startswith("[") else _lines(path, text))
    if not rows:
        raise OptionError("path", f"{path}: is empty, and a file of problems is {FORMS}")
    return rows


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise OptionError("path", f"{path}: {error.strerror or error}") from None
    for begin, what in OTHERS.items():
        if content.startswith(begin):
            raise OptionError("path", f"{path}: is {what}, and a file of problems is {FORMS}")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        said = f"line {line}: is not UTF-8 (byte 0x{content[error.start]:02x}); save the file as UTF-8"
        raise OptionError("path", f"{path}, {said}") from None


def _lines(path: Path, text: str) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), 1):  # no other sign ends a line of JSONL
        if line.strip():
            place = Row(path.name, number, {})
            yield _row(place, _json(place, line))


def _listed(path: Path, text: str) -> Iterator[Row]:
    items = _json(Row(path.name, 1, {}), text)
    for number, item in enumerate(items, 1):
        yield _row(Row(path.name, number, {}, "item"), item)


def _json(place: Row, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, " if error.lineno > 1 else ""
        raise place.error(f"is no JSON: {error.msg} ({where}column {error.colno})") from None
    except (ValueError, RecursionError) as error:  # numbers too long, brackets too deep
        raise place.error(f"is no JSON: {error}") from None


def _row(place: Row, fields: Any) -> Row:
    if not isinstance(fields, dict):
        raise place.error(f'must be a JSON object, such as {{"question": …}}, not {short(fields)}')
    return Row(place.file, place.number, fields, place.kind)


def short(value: Any) -> str:
    """A value as errors show it."""
    return f"{value!r:.60}"


__all__ = ["Row", "read_rows", "short"]
