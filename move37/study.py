"""A study: trainings that build on each other, over seeds, and the pictures that they tell together.

A stage is a config (`move37.config`), put on top of the study's `base`. Its `init`, the `run` that its
`agent.expert` is, the `runs` of its `sampler.pool`, and whom it is evaluated `against` may each name a stage
before it. Every stage and seed is a run folder of its own, so a study that was stopped goes on, and
what is done is skipped. After the stages come experiments on pass@k (`move37.passk`), whose policies may
name stages too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, ValidationError, model_validator

from move37 import training
from move37.config import Config, Section, Seed, make_config, read_yaml
from move37.config_errors import explain
from move37.disk import told_of_disk, write_text
from move37.errors import UserError
from move37.logs import Record
from move37.observer import Observer
from move37.origin import Origin
from move37.passk.config import PasskConfig, parse_passk
from move37.passk.watch import Watcher
from move37.plots import Curve, Panel, save_panels
from move37.run import CONFIG, Run

Array = np.ndarray
CLOCKS = {"seconds": "time/total"}
"""Names of an x axis that a line of metrics has under another one."""
Keys = tuple[str | int, ...]
NAMED: list[Keys] = [("init",), ("agent", "expert", "run"), ("evaluate", "against")]
"""Where a stage's config names one run."""
MEMBERS = ("sampler", "pool", "runs")
"""Where it names several."""
STUDY, FIGURE, PASSK = "study.json", "study.png", "passk"


class Plot(Section):
    """One panel: a metric of stages against another, mean over seeds, with the range of all seeds.

    `curves`: along `x`, where a stage goes on from its `init`'s last point. `gain`: the stage's last value
    against its `init`'s last one, a point a seed.
    """

    title: str
    kind: Literal["curves", "gain"] = "curves"
    x: str = "env_steps"
    """`env_steps`, `seconds`, or any metric that counts up, such as `tokens`."""
    y: str | dict[str, str] = "eval/success"
    """A metric, or several by what they are to be called."""
    stages: list[str] = Field(default_factory=list)
    """Which ones; empty: all."""


class Study(Section):
    """What is trained and what is drawn."""

    seeds: Annotated[list[Seed], Field(min_length=1)] = Field(default_factory=lambda: [0])
    base: dict[str, Any] = Field(default_factory=dict)
    stages: Annotated[dict[str, dict[str, Any]], Field(min_length=1)]
    plots: list[Plot] = Field(default_factory=list)
    passk: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Experiments by name, each a config of `move37.passk`; a policy may be the name of a stage."""

    @model_validator(mode="after")
    def _tells_something(self) -> Study:
        if not self.plots and not self.passk:
            raise ValueError("needs plots or passk: what is it to tell?")
        return self


def load_study(path: str | Path) -> Study:
    """The study in the YAML file at `path` (`UserError` for what does not fit, its stages' configs too)."""
    data = read_yaml(path)
    if not isinstance(data, Mapping):
        raise UserError(f"{path}: a study is a mapping of seeds, base, stages and plots, not {data!r:.40}")
    try:
        study = Study.model_validate(dict(data))
    except ValidationError as error:
        raise UserError(explain(error, Study, Origin(str(path)))) from None
    before: list[str] = []
    for name in study.stages:
        if not name.replace("_", "").replace("-", "").isalnum():
            raise UserError(f"{path}: stages: '{name}' is no name for a folder: letters, digits, - and _")
        data = stage_data(study, name)
        for keys, stage in _builds_on(data).items():
            if stage in study.stages and stage not in before:
                key = ".".join(map(str, keys))
                raise UserError(f"{path}: stages.{name}.{key}: '{stage}' does not come before it")
        make_config(data, where=f"{path}: stages.{name}")
        before.append(name)
    for i, plot in enumerate(study.plots):
        for name in plot.stages:
            if name not in study.stages:
                known = ", ".join(study.stages)
                raise UserError(f"{path}: plots.{i}.stages: no stage '{name}'; there are {known}")
    for name in study.passk:
        experiment_of(study, name, study.seeds[0], Path(), Origin(f"{path}: passk.{name}"))
    return study


def stage_data(study: Study, name: str) -> dict[str, Any]:
    """A stage's config as nested dicts: its keys on top of `base`; an agent of its own kind replaces that."""
    data = dict(study.base)
    for key, value in study.stages[name].items():
        below = data.get(key)
        merge = isinstance(value, Mapping) and isinstance(below, Mapping) and "kind" not in value
        data[key] = {**below, **value} if merge and below else value
    return data


def run_study(
    path: str | Path,
    out: Path,
    observer: Any = None,
    seeds: Sequence[int] = (),
    watcher: Watcher | None = None,
    trust: bool = False,
) -> dict[str, Any]:
    """Train and sample what is not there yet, draw, and give what `study.json` in `out` then holds.

    `seeds` are taken instead of the study's own; `watcher` sees pass@k being sampled, and `trust`
    allows import paths in run folders to be followed into code; the config's own are. Raises as
    `move37.train` and `move37.passk.run.passk` do, and `UserError` where a stage's run is there already by
    another config.
    """
    study = load_study(path)
    if seeds:
        study = study.model_copy(update={"seeds": list(seeds)})
    for name in study.stages:
        for seed in study.seeds:
            _train(stage_config(study, name, seed, out), folder_of(out, name, seed), observer, trust)
    told = report(study, out, (observer or Observer()).warn)
    if study.passk:
        told[PASSK] = {name: _sample(study, name, path, out, watcher, trust) for name in study.passk}
        with told_of_disk(out):
            write_text(out / STUDY, json.dumps(told, indent=1))
    return told


def _sample(
    study: Study, name: str, path: str | Path, out: Path, watcher: Watcher | None, trust: bool
) -> dict[str, Any]:
    """An experiment on pass@k, each seed's in `passk/<name>/seed-<s>`; what they say together."""
    from move37.passk.run import passk
    from move37.passk.seeds import draw_together, together

    origin, each = Origin(f"{path}: passk.{name}"), {}
    for seed in study.seeds:
        config = experiment_of(study, name, seed, out, origin)
        folder = out / PASSK / name / f"seed-{seed}"
        each[seed] = passk(config, origin, folder, watcher or Watcher(), trust)
    found = together(each)
    with told_of_disk(out):
        draw_together(out / f"{PASSK}_{name}.png", found)
    return found


def experiment_of(study: Study, name: str, seed: int, out: Path, origin: Origin) -> PasskConfig:
    """An experiment's config for one seed, the stages that its policies name as run folders."""
    data = dict(study.passk[name])
    policies = data.get("policies")
    if isinstance(policies, Mapping):
        data["policies"] = {k: _of_stage(study, p, seed, out) for k, p in policies.items()}
    return parse_passk({"seed": seed, **data}, origin)


def _of_stage(study: Study, policy: Any, seed: int, out: Path) -> Any:
    named = policy.get("run") if isinstance(policy, Mapping) else policy
    if named not in study.stages:
        return policy
    rest = policy if isinstance(policy, Mapping) else {}
    return {**rest, "run": str(folder_of(out, named, seed))}


def folder_of(out: Path, stage: str, seed: int) -> Path:
    """Where a stage's run of a seed lies."""
    return out / stage / f"seed-{seed}"


def stage_config(study: Study, name: str, seed: int, out: Path) -> Config:
    """A stage's config for one seed, the stages that it names as run folders."""
    data = stage_data(study, name)
    for keys, stage in _builds_on(data).items():
        if stage in study.stages:
            data = _put(data, keys, str(folder_of(out, stage, seed)))
    data.pop("seeds", None)
    return make_config(data | {"seed": seed}, where=f"stage {name}")


def _builds_on(data: Mapping[str, Any]) -> dict[Keys, str]:
    """The runs that a stage's config names, by where it does."""
    members = _at(data, MEMBERS)
    places = [*NAMED, *((*MEMBERS, i) for i in range(len(members) if isinstance(members, list) else 0))]
    return {keys: run for keys in places if isinstance(run := _at(data, keys), str)}


def _at(node: Any, keys: Keys) -> Any:
    """What lies at `keys`; None where there is nothing."""
    for key in keys:
        try:
            node = node[key]
        except (LookupError, TypeError):
            return None
    return node


def _put(node: Any, keys: Keys, value: Any) -> Any:
    """A copy of `node` with `value` at `keys`; what it does not touch is shared."""
    if not keys:
        return value
    copy: Any = list(node) if isinstance(node, list) else dict(node)
    copy[keys[0]] = _put(node[keys[0]], keys[1:], value)
    return copy


def _train(config: Config, folder: Path, observer: Any, trust: bool) -> None:
    """Train a stage, or go on with it, or skip it."""
    if not (folder / CONFIG).is_file():
        training.train(config, out=folder, observer=observer)
        return
    there = Run.load(folder).config
    if _here(there) != _here(config):
        raise UserError(f"{folder}: was made by another config; name another folder (--out DIR)")
    training.resume(folder, observer=_Quiet(observer or Observer()), trust=trust)


def _here(config: Config) -> dict[str, Any]:
    """A config as plain data, the runs that it names by whole paths: however they were written."""
    data = config.plain()
    for keys, run in _builds_on(data).items():
        data = _put(data, keys, str(Path(run).resolve()))
    return data


class _Quiet(Observer):
    """An observer that is not told of what is done already."""

    def __init__(self, observer: Any) -> None:
        self.start, self.update, self.warn = observer.start, observer.update, observer.warn  # type: ignore[method-assign]
        self.finish, self.close = observer.finish, observer.close  # type: ignore[method-assign]


# -- what it tells ---------------------------------------------------------------------------------------


def report(study: Study, out: Path, warn: Callable[[str], None] = print) -> dict[str, Any]:
    """Write `study.json` and `study.png` from the metrics in `out`; what the former holds.

    `warn` is told of metrics that a stage does not have: they are left out.
    """
    panels = [_panel(study, plot, out) for plot in study.plots]
    for plot, panel in zip(study.plots, panels):
        lines = {**{k: c.x for k, c in panel.curves.items()}, **panel.points}
        for name, line in lines.items():
            if not len(line):
                warn(f"plot '{plot.title}': {name} has no {' and '.join(_metrics(plot).values())} to draw")
    told = {"stages": rows(study, out)}
    with told_of_disk(out):
        write_text(out / STUDY, json.dumps(told, indent=1))
        if panels:
            save_panels(out / FIGURE, panels)
    return told


def rows(study: Study, out: Path) -> list[dict[str, Any]]:
    """A row a stage and seed: what it took, and the last value of each metric that is drawn."""
    drawn = {metric for plot in study.plots for metric in _metrics(plot).values()}
    found = []
    for name in study.stages:
        for seed in study.seeds:
            records = Run.load(folder_of(out, name, seed)).metrics()
            row: dict[str, Any] = {"stage": name, "seed": seed, "env_steps": int(records[-1]["env_steps"])}
            row["seconds"] = round(records[-1]["time/total"], 1)
            for metric in sorted(drawn | {"eval/low", "eval/high"}):
                known = _known(records, metric)
                if len(known):
                    row[metric] = round(float(known[-1]), 4)
            found.append(row)
    return found


def _metrics(plot: Plot) -> dict[str, str]:
    return {"": plot.y} if isinstance(plot.y, str) else plot.y


def _panel(study: Study, plot: Plot, out: Path) -> Panel:
    names, y_name = plot.stages or list(study.stages), plot.y if isinstance(plot.y, str) else "success"
    if plot.kind == "gain":
        points = {name: _gain(study, plot, name, out) for name in names if _before(study, name)}
        return Panel(plot.title, f"{y_name} before", f"{y_name} after", points=points)
    curves = {}
    for name in names:
        for label, metric in _metrics(plot).items():
            called = " ".join(filter(None, (name if len(names) > 1 else "", label))) or name
            curves[called] = _curve(study, plot, name, metric, out)
    return Panel(plot.title, plot.x.replace("_", " "), y_name.replace("_", " "), curves)


def _before(study: Study, name: str) -> str:
    """The stage that a stage goes on from; empty where there is none."""
    init = stage_data(study, name).get("init")
    return init if init in study.stages else ""


def _curve(study: Study, plot: Plot, stage: str, metric: str, out: Path) -> Curve:
    """Mean and range over seeds, at the points of the first."""
    lines = [_line(study, plot.x, stage, metric, seed, out) for seed in study.seeds]
    if not all(len(x) for x, _ in lines):
        return Curve(*np.zeros((4, 0)))
    grid = lines[0][0]
    values = np.array([np.interp(grid, x, y, left=np.nan, right=np.nan) for x, y in lines])
    known = np.isfinite(values).all(axis=0)
    grid, values = grid[known], values[:, known]
    return Curve(grid, values.mean(0), values.min(0), values.max(0))


def _line(study: Study, x: str, stage: str, metric: str, seed: int, out: Path) -> tuple[Array, Array]:
    """(x, y) of one run, which begins where the run before it ended."""
    records = Run.load(folder_of(out, stage, seed)).metrics()
    xs, ys = _column(records, CLOCKS.get(x, x)), _column(records, metric)
    known = np.isfinite(xs) & np.isfinite(ys)
    xs, ys = xs[known], ys[known]
    before = _before(study, stage)
    if not before:
        return xs, ys
    earlier = _line(study, x, before, metric, seed, out)
    xs = xs + _end(study, x, before, seed, out)
    return np.append(earlier[0][-1:], xs), np.append(earlier[1][-1:], ys)


def _end(study: Study, x: str, stage: str, seed: int, out: Path) -> float:
    """Where a stage ends on the x axis, with all before it."""
    here = _known(Run.load(folder_of(out, stage, seed)).metrics(), CLOCKS.get(x, x))
    before = _before(study, stage)
    return float(here[-1] if len(here) else 0) + (_end(study, x, before, seed, out) if before else 0.0)


def _gain(study: Study, plot: Plot, stage: str, out: Path) -> Array:
    """(before, after) of each seed, `[seeds, 2]`."""
    (metric, *_) = _metrics(plot).values()
    lines = [_line(study, plot.x, stage, metric, seed, out)[1] for seed in study.seeds]
    return np.array([(y[0], y[-1]) for y in lines if len(y)]).reshape(-1, 2)


def _column(records: Sequence[Record], name: str) -> Array:
    return np.array([record.get(name, np.nan) for record in records], np.float64)


def _known(records: Sequence[Record], name: str) -> Array:
    values = _column(records, name)
    return values[np.isfinite(values)]
