"""Options of agents: their ranges, and how one that does not fit is told, in one line that names it."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, ParamSpec, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from envs.nearest import suggest
from envs.options import OptionError

P = ParamSpec("P")
M = TypeVar("M", bound=BaseModel)

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Precision = Literal["fp32", "bf16"]

OTHERS = ("seed", "device")
"""Keyword-only parameters of every agent that are no options of its own."""


class Options(BaseModel):
    """Options that belong together: frozen, finite, typed without conversion, no other keys than its own."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def options_of(init: Callable[..., None]) -> type[Options]:
    """What an agent's `__init__` takes as options: its keyword-only parameters, but for `OTHERS`."""
    hints = typing.get_type_hints(init, include_extras=True)
    fields: dict[str, Any] = {}
    for p in inspect.signature(init).parameters.values():
        if p.kind is p.KEYWORD_ONLY and p.name not in OTHERS:
            fields[p.name] = hints.get(p.name, Any), ... if p.default is p.empty else p.default
    return create_model(init.__qualname__, __base__=Options, **fields)


def checked(init: Callable[P, None]) -> Callable[P, None]:
    """An `__init__` whose keyword-only options are first held against their annotations (`OptionError`)."""

    @functools.cache
    def model() -> type[Options]:
        return options_of(init)

    @functools.wraps(init)
    def checking(*args: P.args, **options: P.kwargs) -> None:
        read(model(), {k: v for k, v in options.items() if k in model().model_fields})
        init(*args, **options)

    return checking


def switched(model: type[M], given: bool | Mapping[str, Any], section: str) -> M | None:
    """What belongs to a switch: None where it is off, the defaults where it is True, else as `read` does."""
    if given is False:
        return None
    return read(model, {} if given is True else given, section)


def read(model: type[M], given: Mapping[str, Any], section: str = "") -> M:
    """`given` as a `model`, defaults filled in; `section` is the option whose keys these are, if any.

    Raises `OptionError` for the first that does not fit.
    """
    try:
        return model.model_validate(dict(given))
    except ValidationError as error:
        problem = max(error.errors(), key=lambda x: len(x["loc"]))  # the arm of a union that fits best
    key = str(problem["loc"][0]) if problem["loc"] else ""
    option = ".".join(filter(None, (section, key)))
    if problem["type"] == "extra_forbidden":
        known = suggest(key, model.model_fields, "it has")
        raise OptionError(option, f"{section} has no '{key}'; {known}")
    said = problem["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    raise OptionError(option, f"{option} {said}, not {problem['input']!r:.60}")
