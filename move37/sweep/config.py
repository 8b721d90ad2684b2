"""The config of a sweep: one YAML file, strict."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from move37.config import (
    Cluster,
    Config,
    Count,
    Section,
    Seed,
    make_config,
    read_yaml,
    with_overrides,
)
from move37.config_errors import explain
from move37.errors import UserError
from move37.origin import Origin

GRID, RANDOM, ASHA, PBT = "grid", "random", "asha", "pbt"
RANGES = ("log", "uniform", "choose")
OPTIONS = {"grace": ASHA, "reduction": ASHA, "every": PBT, "share": PBT, "resample": PBT}
"""Of a search: whose they are."""
PERTURBED = ("agent", "reward")
"""Sections whose keys may change in the middle of a run, which population-based training does."""
RUNGS = 2
"""Of ASHA, where `grace` is not given."""
ROUNDS = 10
"""Of population-based training, where `every` is not given."""

Ends = Annotated[list[float], Field(min_length=2, max_length=2)]
Share = Annotated[float, Field(ge=0, le=1)]


class Range(Section):
    """The values of a key: between two ends, or one of several."""

    log: Ends | None = None
    """Drawn so that each factor is as likely: both ends are above 0."""
    uniform: Ends | None = None
    choose: Annotated[list[Any], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _fits(self) -> Range:
        ends = self.log or self.uniform
        if [self.log, self.uniform, self.choose].count(None) != 2:
            raise ValueError(f"has one of {', '.join(RANGES)}")
        if ends and ends[0] >= ends[1]:
            raise ValueError(f"goes from the lower to the higher end, not from {ends[0]:g} to {ends[1]:g}")
        if self.log and self.log[0] <= 0:
            raise ValueError(f"log takes ends above 0, not {self.log[0]:g}")
        return self

    @property
    def ends(self) -> list[float] | None:
        """Both, where it has such."""
        return self.log or self.uniform

    @property
    def extremes(self) -> list[Any]:
        """The values that a config is checked with: both ends, or all."""
        return self.ends or self.choose or []


class Search(Section):
    """How values are sought."""

    kind: Literal["random", "grid", "asha", "pbt"] = "random"
    grace: Count | None = None
    """Of `asha`: env steps before anybody is stopped; without it, the budget over `reduction` squared."""
    reduction: Annotated[int, Field(ge=2)] = 4
    """Of `asha`: one in so many goes on, and the next rung is so many times as far."""
    every: Count | None = None
    """Of `pbt`: env steps between two exchanges; without it, a tenth of the budget."""
    share: Annotated[float, Field(gt=0, le=0.5)] = 0.25
    """Of `pbt`: the share of the worse that take over from as many of the better."""
    resample: Share = 0.25
    """Of `pbt`: how often a value is drawn anew, rather than changed by a fifth."""

    @model_validator(mode="after")
    def _of_its_kind(self) -> Search:
        for name in self.model_fields_set & OPTIONS.keys():
            if OPTIONS[name] != self.kind:
                raise ValueError(f"{name} is of {OPTIONS[name]}, not of {self.kind}")
        return self


class SweepConfig(Section):
    """A sweep, whole."""

    train: str | dict[str, Any]
    """The config that trials begin with: a file, or written out."""
    set: dict[str, Any] = Field(default_factory=dict)
    """What it is changed in for all trials, by key."""
    over: Annotated[dict[str, Range], Field(min_length=1)]
    """What trials differ in, by key."""
    search: Search = Search()
    trials: Count | None = None
    """How many; a grid has as many as its product."""
    parallel: Count | None = None
    """How many at once; without it as many as there are cores for."""
    metric: str = "eval/return"
    """What is compared: a name in a line of metrics. A trial is worth its last value, and more is better."""
    seed: Seed = 0
    """Of the draws; a run's own is a key of its config."""
    cluster: Cluster = Cluster()

    @field_validator("set", mode="before")
    @classmethod
    def _flat(cls, given: Any) -> Any:
        return dict(_by_key(given)) if isinstance(given, Mapping) else given

    @field_validator("over", mode="before")
    @classmethod
    def _ranges(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        ranges = {k: {"choose": v} if isinstance(v, list) else v for k, v in _by_key(given)}
        for key, wanted in ranges.items():
            if not isinstance(wanted, (Mapping, Range)):
                said = f"takes values such as [1, 2], or a range such as {{log: [1, 2]}}, not {wanted!r:.40}"
                raise ValueError(f"{key}: {said}")
        return ranges

    @field_validator("search", mode="before")
    @classmethod
    def _short(cls, given: Any) -> Any:
        return {"kind": given} if isinstance(given, str) else given

    @model_validator(mode="after")
    def _fits(self) -> SweepConfig:
        kind = self.search.kind
        for key in self.over:
            within = [other for other in self.over if other.startswith(f"{key}.")]
            if within:
                raise ValueError(f"over: {within[0]} is a part of {key}, which is drawn too")
            if kind == GRID and self.over[key].ends:
                raise ValueError(
                    f"over.{key}: a grid takes values one by one, as in [{_some(self.over[key])}]"
                )
            if kind == PBT and (key.split(".")[0] not in PERTURBED or key == "agent.kind"):
                raise ValueError(f"over.{key}: pbt changes runs that are on their way: only agent and reward")
        if kind == GRID and self.trials is not None:
            raise ValueError("trials: a grid has as many as its product; leave it out")
        if kind != GRID and self.trials is None:
            raise ValueError(f"trials is missing: how many {kind} shall draw")
        if kind == PBT and (self.trials or 0) < 2:
            raise ValueError(f"trials: a population is of 2 at least, not {self.trials}")
        if kind == PBT and self.parallel is not None:
            raise ValueError("parallel: a population runs side by side; leave it out")
        return self


def _some(wanted: Range) -> str:
    return ", ".join(f"{end:g}" for end in wanted.extremes)


def _by_key(given: Mapping[str, Any], above: str = "") -> list[tuple[str, Any]]:
    """Nested dicts (overrides make such) as pairs of a dotted key and its value, a range being one value."""
    from envs.nearest import nearest

    found: list[tuple[str, Any]] = []
    for name, value in given.items():
        if not isinstance(value, Mapping) or not value or set(value) & set(RANGES):
            found.append((f"{above}{name}", value))
            continue
        near = [(key, nearest(key, RANGES)) for key in value]
        wrong = next(((key, right[0]) for key, right in near if right), None)
        if wrong:
            raise ValueError(f"{above}{name}: unknown key '{wrong[0]}'; did you mean '{wrong[1]}'?")
        found += _by_key(value, f"{above}{name}.")
    return found


@dataclass(frozen=True)
class Sweep:
    """A sweep's config, with what it stands for."""

    config: SweepConfig
    origin: Origin
    base: Config
    """What trials have in common."""
    whole: frozenset[str]
    """Keys of ranges that take whole numbers only."""

    @property
    def steps(self) -> int:
        """Env steps of a trial that goes to its end."""
        return self.base.budget.env_steps or 0

    @property
    def rungs(self) -> list[int]:
        """Env steps at which ASHA asks who goes on."""
        search = self.config.search
        if search.kind != ASHA:
            return []
        found, rung = [], search.grace or max(self.steps // search.reduction**RUNGS, 1)
        while rung < self.steps:
            found.append(rung)
            rung *= search.reduction
        return found

    @property
    def every(self) -> int:
        """Env steps between two exchanges of a population."""
        return self.config.search.every or max(self.steps // ROUNDS, 1)

    @property
    def cores(self) -> int:
        """Of a trial: one a learner, and one a worker (of the most that any has)."""
        most = {"learners": self.base.learners, "sampler.workers": self.base.sampler.workers}
        drawn = {key: int(max(self.config.over[key].extremes)) for key in most if key in self.config.over}
        return sum((most | drawn).values())

    def trial_config(self, values: Mapping[str, Any], where: str = "") -> Config:
        """A trial's config, on one thread where none are given (`UserError` where its values do not fit)."""
        made = make_config(self.base.plain(), overrides(values), where or self.origin.file)
        return made.model_copy(update={"threads": made.threads or 1})

    def plain(self) -> dict[str, Any]:
        """The config as nested dicts, defaults filled in, with what trials begin with written out."""
        plain = self.config.model_dump(exclude_none=True)
        return {**plain, "train": self.base.plain(), "set": {}}


def overrides(values: Mapping[str, Any]) -> list[str]:
    """Values by key as `agent.lr=0.001`, which configs take."""
    return [f"{key}={json.dumps(value)}" for key, value in values.items()]


def load_sweep(path: str | Path, changes: Sequence[str] = ()) -> Sweep:
    """The sweep in a YAML file, with overrides put in (`UserError` that names what does not fit)."""
    origin = Origin(str(path), tuple(changes))
    return parse_sweep(with_overrides(read_yaml(path), origin), origin)


def parse_sweep(data: Any, origin: Origin) -> Sweep:
    """The sweep in nested dicts (`UserError` that names what does not fit, in the config of trials too)."""
    if not isinstance(data, Mapping):
        raise UserError(f"{origin.file}: a sweep is a mapping of train, over and more, not {data!r:.40}")
    if {"env", "agent"} <= set(data):
        said = "is the config of one run: a sweep names that (train) and what to vary (over)"
        raise UserError(f"{origin.file}: {said}")
    try:
        config = SweepConfig.model_validate(dict(data))
    except ValidationError as error:
        raise UserError(explain(error, SweepConfig, origin)) from None
    base = _base(config, origin)
    _check_base(config, base, origin)
    whole = frozenset(key for key, given in config.over.items() if _check(key, given, base, origin))
    return Sweep(config, origin, base, whole)


def _base(config: SweepConfig, origin: Origin) -> Config:
    """The config that trials have in common."""
    data: Any = config.train
    file = f"{origin.of(('train',))}: train"
    if isinstance(config.train, str):
        data, file = read_yaml(config.train), config.train
    where = f"{origin.of(('set',))}: set" if config.set else file
    try:
        return make_config(with_overrides(data, Origin(where, tuple(overrides(config.set)))), where=where)
    except UserError:
        make_config(data, where=file)  # which says it, where that is wrong by itself
        raise


def _check_base(config: SweepConfig, base: Config, origin: Origin) -> None:
    """`UserError` where the common config does not suit a sweep."""
    kind = config.search.kind
    if base.seeds and "seed" not in config.over:
        said = (
            f"a trial is one run: give it one seed (seed: 0), or sweep over it (over: {{seed: {base.seeds}}})"
        )
        raise UserError(f"{origin.of(('train',))}: train.seeds: {said}")
    if kind in (ASHA, PBT) and base.budget.env_steps is None:
        said = f"{kind} compares trials at equal env steps: limit those, as in budget.env_steps: 1e6"
        raise UserError(f"{origin.of(('train',))}: train.budget: {said}")
    if config.cluster.address.startswith("ray://"):
        said = "a sweep is steered from a machine of the cluster: call it there, with auto"
        raise UserError(f"{origin.place('cluster', '', 'address')}: {said}")
    for key in ("grace", "every"):
        given = getattr(config.search, key)
        if given is not None and given >= (base.budget.env_steps or 0):
            said = f"must be less than the budget of {base.budget.env_steps:,} env steps, not {given:,}"
            raise UserError(f"{origin.of(('search', key))}: search.{key}: {said}")
    if config.metric.startswith("eval/") and base.evaluate.every is None:
        said = f"'{config.metric}' is of evaluations: give evaluate.every too (or the metric return)"
        raise UserError(f"{origin.of(('metric',))}: metric: {said}")


def _check(key: str, given: Range, base: Config, origin: Origin) -> bool:
    """Whether a range's key takes whole numbers only (`UserError` where an extreme of it does not fit)."""
    where = f"{origin.of(('over', *key.split('.')))}: over"
    plain = base.plain()

    def fits(value: Any) -> None:
        make_config(with_overrides(plain, Origin(where, tuple(overrides({key: value})))), where=where)

    if given.ends is None:
        for value in given.extremes:
            fits(value)
        return False
    low, high = given.ends
    try:
        fits(low + (high - low) * 0.4142135)
    except UserError:
        for end in given.ends:
            fits(int(end) if end == int(end) else end)
        return True
    for end in given.ends:
        fits(end)
    return False
