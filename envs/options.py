"""Options that people give to environments, checked before anything is built."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np

from envs.base import Array
from envs.nearest import suggest

SlotOptions = dict[str, Any] | None
PLAIN: dict[Any, tuple[Any, str]] = {
    bool: ((bool, np.bool_), "true or false"),
    int: (Integral, "a whole number"),
    float: (Real, "a number"),
    str: (str, "text"),
    type(None): (type(None), "null"),
}
"""Types that are checked: by a parameter's annotation, what may be given, and its name for people."""


class OptionError(ValueError):
    """What is wrong with one option, which is named in `option`."""

    def __init__(self, option: str, said: str):
        super().__init__(option, said)  # both, so that it can be pickled on its way from a worker
        self.option = option

    def __str__(self) -> str:
        return str(self.args[1])


def check_options(
    what: str,
    creator: Callable[..., Any],
    options: Mapping[str, Any],
    *,
    also: Mapping[str, Any] | None = None,
    given: Iterable[str] = (),
    preset: Iterable[str] = (),
) -> None:
    """Raise `OptionError` where `creator` has no such option, or not of this type, or where one is missing.

    `also` are options that are taken on the way, and their types. `given` are parameters that the caller
    fills in itself; those in `preset` have a value already. Types are checked where they are plain ones.
    """
    also, there = also or {}, {*given, *preset, *options}
    try:
        parameters = inspect.signature(creator).parameters.values()
    except ValueError:  # some compiled callables do not say
        return
    named = {
        p.name: p for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL, p.POSITIONAL_ONLY)
    }
    known = [*also, *(name for name in named if name not in given)]
    if not any(p.kind is p.VAR_KEYWORD for p in parameters):
        for name in options:
            if name not in known:
                raise OptionError(name, f"{what} has no option '{name}'; {suggest(name, known, 'it has')}")
    missing = [name for name, p in named.items() if p.default is p.empty and name not in there]
    if missing:
        words = f"{what} needs the option{'s' * (len(missing) > 1)} {', '.join(missing)}"
        raise OptionError(missing[0], words)
    hints = {**_hints(creator, named.values()), **also}
    for name, value in options.items():
        kinds = _kinds(hints.get(name, Any))
        if not _fits(value, kinds):
            wanted = " or ".join(PLAIN[kind][1] for kind in kinds)
            raise OptionError(name, f"{name} of {what} must be {wanted}, not {value!r:.60}")


def split_options(
    options: Mapping[str, Any] | None, n: int
) -> tuple[dict[str, Any], Array, list[SlotOptions]]:
    """(the environment's own options, the reset mask, options a slot) from those of a `reset`."""
    own = dict(options or {})
    mask = own.pop("reset_mask", None)
    slots = own.pop("slots", None)
    mask = np.ones(n, bool) if mask is None else np.asarray(mask)
    if mask.shape != (n,) or mask.dtype != bool:
        raise ValueError(f"reset_mask is {mask.dtype} {list(mask.shape)}; it must be bool [{n}]")
    slots = [None] * n if slots is None else list(slots)
    if len(slots) != n:
        raise ValueError(f"options for {len(slots)} slots, there are {n}")
    return own, mask, slots


def _hints(creator: Callable[..., Any], parameters: Iterable[inspect.Parameter]) -> dict[str, Any]:
    """The types of a creator's parameters: as annotated, else as its default says (a number, or a bool)."""
    like = {bool: bool, int: float, float: float}
    hints = {p.name: like[type(p.default)] for p in parameters if type(p.default) in like}
    function: Any = getattr(creator, "__init__") if isinstance(creator, type) else creator  # noqa: B009 (mypy)
    try:
        return hints | typing.get_type_hints(function)
    except (NameError, TypeError, AttributeError):  # annotations that cannot be read
        return hints


def _kinds(hint: Any) -> tuple[Any, ...]:
    """The plain types of an annotation; none where it allows for anything else too."""
    union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    kinds = typing.get_args(hint) if union else (hint,)
    return kinds if all(isinstance(kind, type) and kind in PLAIN for kind in kinds) else ()


def _fits(value: Any, kinds: tuple[Any, ...]) -> bool:
    """Whether a value is of one of these plain types; a bool is no number."""
    if isinstance(value, bool) and bool not in kinds:
        return not kinds
    return not kinds or any(isinstance(value, PLAIN[kind][0]) for kind in kinds)
