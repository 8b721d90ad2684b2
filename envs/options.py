"""Options that people give to environments, checked before anything is built."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from envs.base import Array

SlotOptions = dict[str, Any] | None


def check_options(
    what: str,
    creator: Callable[..., Any],
    options: Mapping[str, Any],
    *,
    also: Iterable[str] = (),
    given: Iterable[str] = (),
) -> None:
    """Raise `ValueError` where `creator` has no such option, or asks for one that is missing.

    `also` are options that are taken on the way; `given` are parameters that the caller fills in itself.
    """
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
                raise ValueError(f"{what} has no option '{name}'; {_suggest(name, known)}")
    missing = [k for k, p in named.items() if p.default is p.empty and k not in options and k not in given]
    if missing:
        raise ValueError(f"{what} needs the option{'s' * (len(missing) > 1)} {', '.join(missing)}")


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


def _suggest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean '{near[0]}'?" if near else f"it has: {', '.join(known) or 'none'}"
