"""The config of a tournament: one YAML file, strict."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

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
from move37.tournament.entrants import Entrant, as_entrant
from move37.tournament.person import PERSON
from search.schedule import GAUNTLET, LADDER, ROUND_ROBIN, SWISS, swiss_lengths

Range = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=2, max_length=2)]
Elo = Annotated[float, Field(allow_inf_nan=False)]


class GameConfig(Named):
    """What is played: a board game's id, and its options."""

    id: str


class OpeningsConfig(Section):
    """Where games begin: random ones, or those of a `file` (a line each, moves as people write them)."""

    plies: Annotated[int, Field(ge=0)] | Range | None = None
    """Random plies, or [least, most]; without it 4, or half of a shorter game."""
    count: Count = 500
    """How many are drawn, at most: all different, by symmetries too."""
    judge: str | None = None
    """Who says what an opening is worth, such as `perfect` or `uct:2000`: only balanced ones are taken."""
    window: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """How far from 0, in [−1, 1], a balanced one may be."""
    file: str | None = None


class SprtConfig(Section):
    """Two entrants play until it is clear whether the first is `elo0` or `elo1` stronger (Wald, 1945)."""

    elo0: Elo = 0.0
    elo1: Elo = 20.0
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    beta: Annotated[float, Field(gt=0, lt=0.5)] = 0.05

    @model_validator(mode="after")
    def _apart(self) -> SprtConfig:
        if self.elo0 >= self.elo1:
            raise ValueError(f"elo0 ({self.elo0:g}) must be less than elo1 ({self.elo1:g})")
        return self


class LadderConfig(Section):
    """The entrants are the snapshots of one run (`checkpoint.snapshots`), weakest first."""

    run: str
    simulations: Count | None = None
    every: Count = 1
    """Take each so many-th; the last one always."""


class TournamentConfig(Section):
    """A tournament, whole."""

    seed: Seed = 0
    threads: Threads | None = None
    env: GameConfig
    schedule: Literal["round_robin", "gauntlet", "swiss", "ladder"] = "round_robin"
    entrants: dict[str, Entrant] = Field(default_factory=dict)
    ladder: LadderConfig | None = None
    newcomers: list[str] = Field(default_factory=list)
    """Gauntlet: who plays all the others."""
    pairs: Count = 20
    """Openings of a meeting; each is played twice, with colours swapped."""
    rounds: Count | None = None
    """Swiss: without it, as many as it takes to halve the field down to one."""
    openings: OpeningsConfig = OpeningsConfig()
    anchor: str | None = None
    """Whose rating is `anchor_elo`; without one the ratings' mean is."""
    anchor_elo: Elo = 0.0
    sprt: SprtConfig | None = None
    at_once: Annotated[int, Field(ge=2, multiple_of=2)] = 128
    """Games in a batch, at most."""
    workers: Annotated[int, Field(ge=0)] = 0
    """Ray actors that the batches are shared out to; 0: this process."""
    cluster: Cluster = Cluster()

    @field_validator("entrants", mode="before")
    @classmethod
    def _short(cls, given: Any) -> Any:
        return {name: as_entrant(e) for name, e in given.items()} if isinstance(given, Mapping) else given

    @field_validator("entrants")
    @classmethod
    def _names(cls, given: dict[str, Entrant]) -> dict[str, Entrant]:
        for name in given:
            if not name.strip() or not name.isprintable():
                raise ValueError(f"{name!r} is no name that can be printed")
        return given

    @field_validator("newcomers")
    @classmethod
    def _apart(cls, given: list[str], info: ValidationInfo) -> list[str]:
        for name in given:
            check_entrant(name, info.data.get("entrants"))
            if given.count(name) > 1:
                raise ValueError(f"'{name}' is there twice")
        return given

    @field_validator("anchor")
    @classmethod
    def _known(cls, given: str | None, info: ValidationInfo) -> str | None:
        if given is not None:
            check_entrant(given, info.data.get("entrants"))
        return given

    @field_validator("anchor_elo")
    @classmethod
    def _of_an_anchor(cls, given: float, info: ValidationInfo) -> float:
        if given and info.data.get("anchor", "wrong") is None:
            raise ValueError(f"of whom is {given:g} the rating? Name it too (anchor)")
        return given

    @field_validator("rounds")
    @classmethod
    def _connecting(cls, given: int | None, info: ValidationInfo) -> int | None:
        count = len(info.data.get("entrants") or ())
        lengths = swiss_lengths(count)
        if given and info.data.get("schedule") == SWISS and count > 1 and given not in lengths:
            why = f"fewer do not connect {count} entrants, and in more somebody has nobody left to meet"
            raise ValueError(f"must be {lengths[0]} to {lengths[-1]} ({why}; or round_robin), not {given}")
        return given

    @model_validator(mode="after")
    def _fits(self) -> TournamentConfig:
        if (self.schedule == LADDER) != (self.ladder is not None):
            raise ValueError("the schedule 'ladder' and the section ladder belong together")
        if self.ladder and self.entrants:
            raise ValueError("a ladder's entrants are the snapshots of its run: give no entrants")
        if not self.ladder and len(self.entrants) < 2:
            raise ValueError(f"a tournament takes 2 entrants at least, not {len(self.entrants)}")
        if (self.schedule == GAUNTLET) != bool(self.newcomers):
            raise ValueError("newcomers are of the schedule 'gauntlet', which has one at least")
        if self.newcomers and set(self.newcomers) == set(self.entrants):
            raise ValueError("a gauntlet needs others than newcomers")
        if self.rounds and self.schedule != SWISS:
            raise ValueError("rounds are of the schedule 'swiss'")
        if self.sprt and (len(self.entrants) != 2 or self.schedule != ROUND_ROBIN):
            raise ValueError("sprt is of two entrants who play each other (round_robin)")
        if self.workers and any(e.player == PERSON for e in self.entrants.values()):
            raise ValueError("a person sits here: workers must be 0")
        return self

    def plain(self) -> dict[str, Any]:
        """The config as nested dicts, defaults filled in."""
        return self.model_dump(exclude_none=True) | {"env": self.env.model_dump()}


def check_entrant(name: str, entrants: Collection[str] | None) -> None:
    """`ValueError` for a name that no entrant has; of a ladder, or where they are wrong, none are known."""
    if entrants and name not in entrants:
        raise ValueError(f"no entrant '{name}'; there are {', '.join(entrants)}")


def load_tournament(path: str | Path, overrides: Sequence[str] = ()) -> tuple[TournamentConfig, Origin]:
    """The config in a YAML file, with overrides put in (`UserError` that names what does not fit)."""
    origin = Origin(str(path), tuple(overrides))
    data = with_overrides(read_yaml(path), origin)
    if not isinstance(data, Mapping):
        raise UserError(f"{path}: a tournament is a mapping of env, entrants and more, not {data!r:.40}")
    try:
        return TournamentConfig.model_validate(dict(data)), origin
    except ValidationError as error:
        raise UserError(explain(error, TournamentConfig, origin)) from None
