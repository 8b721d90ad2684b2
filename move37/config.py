"""A config: one YAML file a run, strict. What does not fit is told in one line with its key and its cure."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from move37.config_errors import explain
from move37.errors import UserError
from move37.origin import Origin
from move37.registry import agent_class, preset
from move37.yaml_text import dump_yaml, parse_yaml
from rollouts.agent import Learner

Count = Annotated[int, Field(ge=1)]
Threads = Annotated[int, Field(ge=1, le=256)]  # as many as any machine can use: thousands end the process
Seconds = Annotated[float, Field(gt=0)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]


class Section(BaseModel):
    """A part of a config: frozen, typed without conversion, finite, no other keys than its own."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Named(Section):
    """A section whose further keys are the options of what it names."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True, allow_inf_nan=False)

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class EnvConfig(Named):
    """What is played: an id of `envs.make`, `n` slots, and the environment's own options."""

    id: str
    n: Count = 1

    @model_validator(mode="before")
    @classmethod
    def _seed_is_above(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and "seed" in data:
            raise ValueError(f"has no seed of its own: it is a key at the top, as in seed={data['seed']}")
        return data


class AgentConfig(Named):
    """Who learns: a short name (see `move37 agents`) or `package.module:Class`, and its options."""

    kind: str


class CurriculumConfig(Section):
    """Seeks families and levels whose problems are solved now and then: see `rollouts.problems.Seeking`."""

    floor: Annotated[float, Field(ge=0, le=1)] = 0.2
    memory: Count = 32


class PoolConfig(Section):
    """Opponents of PPO and DQN on board games: see `rollouts.pool.Pool`."""

    every: Count | None = None
    """The learner's weights join at the start, and then every so many env steps; without it they never do."""
    keep: Count = 16
    """So many of its past weights, at most."""
    self: Annotated[float, Field(ge=0, le=1)] = 0.8
    """The share of games that are against the learner as it is now."""
    choose: Literal["uniform", "latest", "variance", "squared"] = "uniform"
    """How members are drawn for the other games: see `rollouts.pool.chances`."""
    runs: list[str] = []
    """Members that stay: run folders, or other players such as `uct:100` (see `move37.players`)."""

    @model_validator(mode="after")
    def _some(self) -> PoolConfig:
        if self.every is None and not self.runs:
            raise ValueError("needs every (env steps), or runs (whom to play)")
        return self


class SamplerConfig(Section):
    """Who plays: `workers` Ray actors that share the `n` slots; 0 = this process."""

    workers: Annotated[int, Field(ge=0)] = 0
    asynchronous: bool = Field(default=False, alias="async")
    """Workers play on while the learner learns: see `rollouts.asynchronous.AsyncFleet`."""
    in_flight: Count = 2
    """Of `async`: requests that each worker has ahead of it."""
    max_lag: Annotated[int, Field(ge=0)] = 8
    """Of `async`: updates that the weights which acted may be behind; what is older is dropped."""
    patience: Seconds = 600.0
    """Seconds without an answer after which a worker counts as lost, and is replaced; a learner likewise."""
    gpus: Annotated[float, Field(ge=0)] = 0.0
    """GPUs of each worker, or a share of one (0.25), on which its agents act; 0: on its core."""
    curriculum: CurriculumConfig | None = None
    """For learners of whole episodes, in text tasks of several levels or families."""
    pool: PoolConfig | None = None
    """Whom to play, in board games, beside the learner itself."""

    @model_validator(mode="after")
    def _workers_for_async(self) -> SamplerConfig:
        if self.gpus and not self.workers:
            raise ValueError("gpus is what each worker has: give workers too (device says where learning is)")
        if self.asynchronous and not self.workers:
            raise ValueError("async is for workers, which play while the learner learns: give workers too")
        return self


class Budget(Section):
    """When to stop: at whichever is reached first."""

    env_steps: Count | None = None
    tokens: Count | None = None
    """What the learner writes or imitates, of learners that count tokens (language models)."""
    seconds: Seconds | None = None
    """Seconds of collecting, learning, evaluating and saving, over all resumes."""
    target_return: float | None = None
    """The mean raw return of the last 100 finished training episodes (not before there are 100)."""
    target_success: Annotated[float, Field(gt=0, le=1)] | None = None
    """The share of successes in an evaluation, where the environment knows of any."""

    @model_validator(mode="after")
    def _some(self) -> Budget:
        if all(getattr(self, name) is None for name in type(self).model_fields):
            raise ValueError(f"needs at least one of {', '.join(type(self).model_fields)}")
        return self


class Evaluate(Section):
    """Evaluation beside training, in fresh environments whose seeds are the same each time."""

    every: Count | None = None
    """Env steps between evaluations; without it there are none."""
    episodes: Count = 100
    explore: bool = False
    """Actions as in training (sampled, or with exploration) rather than the best known."""
    env: dict[str, Any] = {}
    """Options of the environment that evaluations change, such as `{split: test}`."""
    against: str | None = None
    """Board games: whom to play the episodes against, such as `uct:1000` (see `move37.players`)."""
    scorecard: Annotated[int, Field(ge=0, le=1000)] = 0
    """Connect four: positions a class (of six) in which moves are held to perfect play; 0: none."""

    @model_validator(mode="after")
    def _some_time(self) -> Evaluate:
        for name in ("against", "scorecard"):
            if getattr(self, name) and self.every is None:
                raise ValueError(f"{name} is looked at every so many env steps: give every too")
        if self.against and self.episodes % 2:
            raise ValueError(
                f"against plays openings in pairs, both colours: episodes must be even, not {self.episodes}"
            )
        return self


class Checkpoints(Section):
    """How often everything is saved: every so many env steps where `every` is given, else by the clock."""

    every: Count | None = None
    every_seconds: Seconds = 300.0
    snapshots: Count | None = None
    """Env steps between weights that are kept for good, from the first on: for a ladder of one run."""


class Log(Section):
    """How often a line of metrics is written: means over the updates since the last."""

    every: Annotated[int, Field(ge=0)] = 1000
    """Env steps between two lines; 0: a line an update."""


class Cluster(Section):
    """The Ray cluster for `workers`: `none` starts one on this machine; `auto`, `host:port` and
    `ray://host:port` join one (the last from a machine that is not part of it).
    """

    address: str = "none"

    @field_validator("address")
    @classmethod
    def _known_address(cls, address: str) -> str:
        if not re.fullmatch(r"none|auto|(ray://)?[\w.-]+:\d{1,5}", address):
            raise ValueError("must be none, auto or host:port, or ray://host:port")
        return address


class Config(Section):
    """A run, whole: see the docstrings of its sections. Made by `load_config` or `make_config`."""

    format: Literal[1] = 1
    seed: Seed = 0
    seeds: list[Seed] = Field(default_factory=list)
    """Train each of these, in `<run>/seed-<s>`; empty: `seed` alone."""
    device: str = "auto"
    threads: Threads | None = None
    """CPU threads of torch and of kernels: without it what `OMP_NUM_THREADS` says, else all cores.

    One is often faster for small networks, and on a machine that others use. Equal runs need equal threads.
    """
    learners: Count = 1
    """Learners that share every gradient step: this process and Ray actors, with a GPU each if it has one."""
    env: EnvConfig
    agent: AgentConfig
    init: str | None = None
    """A run folder whose policy learning begins with: its last weights, of the same architecture."""
    reward: dict[str, float | dict[str, Any]] = {"env": 1.0}
    sampler: SamplerConfig = SamplerConfig()
    budget: Budget
    evaluate: Evaluate = Evaluate()
    checkpoint: Checkpoints = Checkpoints()
    log: Log = Log()
    cluster: Cluster = Cluster()

    @model_validator(mode="after")
    def _target_is_measured(self) -> Config:
        if self.budget.target_success is not None and self.evaluate.every is None:
            raise ValueError("budget.target_success is of an evaluation: give evaluate.every too")
        return self

    @model_validator(mode="before")
    @classmethod
    def _one_of_seed_and_seeds(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and "seed" in data and data.get("seeds"):
            raise ValueError("give either seed or seeds, not both")
        return data

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, seeds: list[int]) -> list[int]:
        if len(set(seeds)) != len(seeds):
            raise ValueError("must be different from each other")
        return seeds

    @field_validator("device")
    @classmethod
    def _known_device(cls, device: str) -> str:
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", device):
            raise ValueError("must be auto, cpu, cuda or cuda:<index>")
        return device

    def plain(self) -> dict[str, Any]:
        """The config as nested dicts, defaults filled in; `seed` or `seeds`, whichever holds."""
        data = self.model_dump(exclude_none=True, by_alias=True) | {
            "env": self.env.model_dump(),
            "agent": self.agent.model_dump(),
        }
        data.pop("seed" if self.seeds else "seeds")
        return data

    def to_yaml(self) -> str:
        """The config as YAML, defaults filled in; `load_config` reads it back equal."""
        return dump_yaml(self.plain())

    def for_seed(self, seed: int) -> Config:
        """The same run with one seed."""
        return self.model_copy(update={"seed": seed, "seeds": []})


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """The config in the YAML file at `path`, with `overrides` such as `agent.lr=1e-3` put in.

    Raises `UserError`, one line a problem, that names the file (or override), the key and its cure.
    """
    return make_config(read_yaml(path), overrides, where=str(path))


def make_config(data: Any, overrides: Sequence[str] = (), where: str = "config") -> Config:
    """The config in nested dicts, checked wholly: the agent's options against its signature too."""
    origin = Origin(where, tuple(overrides))
    config = parse_config(with_overrides(data, origin), origin)
    options = _agent_options(config, origin)
    return config.model_copy(update={"agent": AgentConfig(kind=config.agent.kind, **options)})


def parse_config(data: Any, origin: Origin) -> Config:
    """The config in nested dicts, without a look at the agent's options (so that no code is imported)."""
    if not isinstance(data, Mapping):
        raise UserError(
            f"{origin.file}: a config is a mapping of keys such as env, agent and budget, not {data!r:.40}"
        )
    try:
        return Config.model_validate(dict(data))
    except ValidationError as error:
        raise UserError(explain(error, Config, origin)) from None


def read_yaml(path: str | Path) -> Any:
    """The plain data of the file at `path` (`UserError` where it cannot be read or is not YAML)."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{path}: not YAML: the file is not text") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    return parse_yaml(text, str(path))


def with_overrides(data: Any, origin: Origin) -> Any:
    """Nested dicts with the overrides of `origin` put in (`UserError` where these do not fit)."""
    if not isinstance(data, Mapping):
        return data
    for override in origin.overrides:
        data = _put(data, override, origin.file)
    return data


def _put(data: Mapping[str, Any], override: str, where: str) -> dict[str, Any]:
    """`data` with one `key.sub=value` put in; what it does not touch is shared."""
    key, equals, text = override.partition("=")
    path = key.strip().split(".")
    if not equals or not all(path):
        raise UserError(f"override '{override}': reads like agent.lr=1e-3")
    value = parse_yaml(text, f"override '{override}'")
    top = node = dict(data)
    for i, name in enumerate(path[:-1]):
        below = node.get(name)
        if below is not None and not isinstance(below, Mapping):
            raise UserError(
                f"override '{override}': {'.'.join(path[: i + 1])} is {below!r} in {where}: it has no keys"
            )
        node[name] = node = dict(below or {})
    node[path[-1]] = value
    if path == ["seed"]:
        top.pop("seeds", None)
    if path == ["seeds"]:
        top.pop("seed", None)
    return top


def changes(before: Any, now: Any, free: Collection[str] = ()) -> list[str]:
    """In which keys two configs, as nested dicts, differ: a line each. `free` are sections that may."""
    there, here = _flat(before), _flat(now)
    return [
        f"{key} was {there.get(key, 'not there')!s:.80}, is {here.get(key, 'not there')!s:.80}"
        for key in sorted(there | here)
        if there.get(key) != here.get(key) and key.split(".")[0] not in free
    ]


def _flat(data: Any, prefix: str = "") -> dict[str, Any]:
    """Nested dicts as one, of keys such as `env.id`."""
    if not isinstance(data, Mapping):
        return {prefix.removesuffix("."): data}
    found: dict[str, Any] = {}
    for key, value in data.items():
        found |= _flat(value, f"{prefix}{key}.")
    return found


def _agent_options(config: Config, origin: Origin) -> dict[str, Any]:
    """The agent's options, checked against its keyword-only signature, defaults filled in."""
    try:
        kind = agent_class(config.agent.kind)
    except UserError as error:
        raise UserError(f"{origin.of(('agent', 'kind'))}: agent.kind: {error}") from None
    if not issubclass(kind, Learner):
        where = f"{origin.of(('agent', 'kind'))}: agent.kind"
        raise UserError(f"{where}: '{config.agent.kind}' does not learn, so it cannot be trained")
    model = options_model(kind)
    given = preset(config.agent.kind) | config.agent.options
    try:  # as JSON, in which a list may stand for a tuple but "1" never for 1
        options = model.model_validate_json(json.dumps(given))
    except ValidationError as error:
        raise UserError(explain(error, model, origin, at=("agent",), whole=Config)) from None
    except TypeError as error:
        raise UserError(f"{origin.file}: agent: only plain data can be an option ({error})") from None
    return json.loads(json.dumps(options.model_dump()))


def options_model(kind: type) -> type[BaseModel]:
    """The model of an agent's own options, as its constructor takes them."""
    from agents.options import options_of

    return options_of(vars(kind).get("__init__", kind.__init__))  # type: ignore[misc]
