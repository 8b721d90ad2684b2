"""What does not fit a config, in words: the place, the key and its cure."""

from __future__ import annotations

import re
import typing
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from move37.origin import Origin

LENGTHS = {"too_short": ("min_length", "least"), "too_long": ("max_length", "most")}
"""Of lists and mappings: what pydantic calls the limit, and which one it is."""


def explain(
    error: ValidationError,
    model: type[BaseModel],
    origin: Origin,
    *,
    at: tuple[str, ...] = (),
    whole: type[BaseModel] | None = None,
) -> str:
    """One line a problem of the `model` that was checked: of all of a config, or of its section `at`."""
    lines: dict[str, str] = {}
    for problem in error.errors(include_url=False):
        path = at + tuple(str(part) for part in _plain_path(problem["loc"]))
        key = ".".join(path)
        if problem["type"] == "extra_forbidden":
            message = f"unknown key{_nearest(path, problem['input'], model, at, whole or model)}"
        elif problem["type"] == "missing":
            message = "is missing"
        elif problem["type"] in LENGTHS:
            name, end = LENGTHS[problem["type"]]
            count, given = problem["ctx"][name], problem["input"]
            message = f"takes at {end} {count} {'entry' if count == 1 else 'entries'}, not {given!r:.60}"
        else:
            said = problem["msg"].removeprefix("Value error, ")
            message = re.sub(r"^Input should be( a valid dictionary or instance of .*)?", _must_be, said)
            if message is not said and problem["type"] != "value_error":
                message += f", not {problem['input']!r:.60}"
        start = f"{origin.of(tuple(key.split('.')))}: {key}: " if key else f"{origin.file}: "
        lines.setdefault(key, start + message)
    return "\n".join(lines.values())


def _must_be(match: re.Match[str]) -> str:
    return "must be a mapping of keys" if match[1] else "must be"


def _plain_path(loc: tuple[Any, ...]) -> list[Any]:
    """A pydantic location without the parts that name the arms of a union."""
    arms = re.compile(
        r"(float|int|str|bool|none|dict\[|list\[|tuple\[|constrained-|literal\[|function-|json-or-|Mapping)"
    )
    return [part for i, part in enumerate(loc) if i == 0 or not (isinstance(part, str) and arms.match(part))]


def _nearest(
    path: tuple[str, ...], given: Any, model: type[BaseModel], at: tuple[str, ...], whole: type[BaseModel]
) -> str:
    """The right key that is nearest to an unknown one: in its own section, else anywhere.

    Of an unknown section, what is `given` in it may be known elsewhere.
    """
    from envs.nearest import nearest

    here = model
    for name in path[len(at) : -1]:
        field = here.model_fields.get(name)  # there is none of a name that a mapping gives
        here = (field and _section(field.annotation)) or here
    kinds = {field.alias or name: field.annotation for name, field in here.model_fields.items()}
    sections = [name for name, kind in kinds.items() if _section(kind) or typing.get_origin(kind) is dict]
    elsewhere = {name.rsplit(".")[-1]: name for name in _all_keys(whole)}
    near = nearest(path[-1], sections if isinstance(given, Mapping) else kinds)
    if near:
        return f"; did you mean '{'.'.join((*path[:-1], near[0]))}'?"
    moved = [elsewhere[key] for key in given if key in elsewhere] if isinstance(given, Mapping) else []
    if moved:
        return f"; did you mean '{moved[0]}'?"
    near = nearest(path[-1], elsewhere, cutoff=0.8)
    if near:
        return f"; did you mean '{elsewhere[near[0]]}'?"
    return f"; the keys here are {', '.join(kinds)}"


def _all_keys(model: type[BaseModel], prefix: str = "") -> list[str]:
    keys = []
    for name, field in model.model_fields.items():
        keys.append(prefix + (field.alias or name))
        inner = _section(field.annotation)
        if inner is not None:
            keys += _all_keys(inner, f"{prefix}{name}.")
    return keys


def _section(annotation: Any) -> type[BaseModel] | None:
    """The section that an annotation names, perhaps as an option, or by name in a mapping."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_section, typing.get_args(annotation))), None)
