"""The config of a pass@k experiment: one YAML file, strict."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError, field_validator, model_validator

from move37.config import (
    Cluster,
    Count,
    Named,
    Section,
    Seed,
    Threads,
    read_yaml,
    with_overrides,
)
from move37.config_errors import explain
from move37.errors import UserError
from move37.origin import Origin
from move37.players import is_folder

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]*")
"""Of policies and sets of problems: a part of file names."""


class TaskConfig(Named):
    """What is tried: an id of `envs.make`, and the environment's own options."""

    id: str


class ProblemsConfig(Section):
    """A set of different problems."""

    count: Count
    env: dict[str, Any] = Field(default_factory=dict)
    """Options of the environment for these problems, such as `{split: test}`."""
    positions: str | None = None
    """Board games: a file with the positions to begin with, a line of moves each."""
    puzzles: str | None = None
    """Connect four: positions of a class of the scorecard (`middle-medium`) that the mover can win."""

    @model_validator(mode="after")
    def _one_source(self) -> ProblemsConfig:
        if self.positions and self.puzzles:
            raise ValueError("has positions or puzzles, not both")
        return self


class PolicyConfig(Section):
    """Who tries: a `run`, or a `player` by name or import path."""

    run: str | None = None
    """A run folder."""
    checkpoint: Annotated[str, BeforeValidator(str)] = "last"
    player: str | None = None
    """`random`, `solver`, `uct:100` and others of `move37 agents`, or `package.module:Class`."""
    options: dict[str, Any] = Field(default_factory=dict)
    """On top of the agent's own: a language model's `temperature` or `max_new`, a search's simulations."""
    explore: bool = True
    """Whether it draws its actions, as in training; what always does its best has one try, not k."""

    @model_validator(mode="after")
    def _one(self) -> PolicyConfig:
        if (self.run is None) == (self.player is None):
            raise ValueError("must have either run or player")
        if self.player and self.checkpoint != "last":
            raise ValueError("checkpoint is of a run")
        return self


def as_policy(given: Any) -> Any:
    """A text is the folder of a run, or a player."""
    if isinstance(given, str):
        return {"run": given} if is_folder(given) or "/" in given else {"player": given}
    return given


class PasskConfig(Section):
    """An experiment: each policy tries each problem `samples` times."""

    seed: Seed = 0
    device: str = "auto"
    threads: Threads | None = None
    env: TaskConfig
    problems: Annotated[dict[str, ProblemsConfig], Field(min_length=1)]
    policies: Annotated[dict[str, PolicyConfig], Field(min_length=1)]
    base: str | None = None
    """Whom the others are held against; without it the first."""
    samples: Annotated[int, Field(ge=2)] = 256
    k: list[Count] | None = None
    """Where pass@k is told; without it at powers of two up to a quarter of `samples`."""
    against: str | None = None
    """Board games: who holds the other seat, such as `perfect`; success is to win."""
    success: float | None = None
    """Where the environment has no notion of success: the return from which an episode is one."""
    reference: Annotated[int, Field(ge=0)] = 8
    """Language models: of so many tries a problem the base's log-probability is taken, for perplexity."""
    longest: Count = 10_000
    """Steps after which an episode is cut."""
    workers: Annotated[int, Field(ge=0)] = 0
    """Ray actors that the samples are shared out to; 0: this process."""
    cluster: Cluster = Cluster()

    @field_validator("policies", mode="before")
    @classmethod
    def _short(cls, given: Any) -> Any:
        return {name: as_policy(p) for name, p in given.items()} if isinstance(given, Mapping) else given

    @field_validator("problems", "policies")
    @classmethod
    def _names(cls, given: dict[str, Any]) -> dict[str, Any]:
        for name in given:
            if not NAME.fullmatch(name):
                raise ValueError(f"'{name}' is no name for a file: letters, digits and _")
        return given

    @model_validator(mode="after")
    def _fits(self) -> PasskConfig:
        if self.base is not None and self.base not in self.policies:
            raise ValueError(f"base: no policy '{self.base}'; there are {', '.join(self.policies)}")
        if self.k is not None and (not self.k or max(self.k) > self.samples):
            raise ValueError(f"k must be from 1 to samples ({self.samples}), not {self.k}")
        return self

    @property
    def first(self) -> str:
        """The base's name."""
        return self.base or next(iter(self.policies))

    def plain(self) -> dict[str, Any]:
        """The config as nested dicts, defaults filled in."""
        return self.model_dump(exclude_none=True) | {"env": self.env.model_dump()}


def load_passk(path: str | Path, overrides: Sequence[str] = ()) -> tuple[PasskConfig, Origin]:
    """The config in a YAML file, with overrides put in (`UserError` that names what does not fit)."""
    origin = Origin(str(path), tuple(overrides))
    return parse_passk(with_overrides(read_yaml(path), origin), origin), origin


def parse_passk(data: Any, origin: Origin) -> PasskConfig:
    """The config in nested dicts (`UserError` that names what does not fit)."""
    if not isinstance(data, Mapping):
        raise UserError(f"{origin.file}: an experiment is a mapping of env, problems, policies and more")
    if "stages" in data:
        raise UserError(
            f"{origin.file}: is a study: move37 study {origin.file} trains its stages and tries them"
        )
    try:
        return PasskConfig.model_validate(dict(data))
    except ValidationError as error:
        raise UserError(explain(error, PasskConfig, origin)) from None
