"""Samples an experiment in its folder, from wherever it was, and tells what came of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from envs.text import noise
from move37.disk import locked, told_of_disk, write_text
from move37.errors import UserError
from move37.guard import interruptible
from move37.origin import Origin
from move37.passk.config import PasskConfig, load_passk
from move37.passk.draw import draw
from move37.passk.policies import settings
from move37.passk.report import Field, Tries, report_on
from move37.passk.sampling import Experiment, bounds_of, sample_all
from move37.passk.store import PART, SAMPLES, has_column, is_written, read_columns, write_part
from move37.passk.watch import Watcher
from move37.run import Run
from move37.yaml_text import dump_yaml

CONFIG, PROBLEMS, TOLD, BOUNDS = "config.yaml", "problems.json", "passk.json", "samples/tries.json"
PROVED, TRUTH = f"{PART}proved", f"{PART}{noise.TRUTH}"


def run_passk(
    path: str | Path,
    overrides: Sequence[str] = (),
    *,
    out: Path | None = None,
    watcher: Watcher | None = None,
    trust: bool = False,
) -> dict[str, Any]:
    """Sample what is not sampled yet in the folder `out` (`runs/<name>`), and tell what the samples say.

    `trust` allows import paths in run folders to be followed into code; the config's own are. Returns what
    `passk.json` then holds (see `report`), and the figures. Raises `UserError` for what does not
    fit, and `KeyboardInterrupt` after Ctrl-C: parts that were sampled are kept.
    """
    config, origin = load_passk(path, overrides)
    return passk(config, origin, out or Path("runs") / Path(path).stem, watcher or Watcher(), trust)


def passk(
    config: PasskConfig, origin: Origin, folder: Path, watcher: Watcher, trust: bool = False
) -> dict[str, Any]:
    """The same for a config."""
    check_folder(folder)
    experiment = Experiment(config, origin, trust)
    experiment.prepare()
    with told_of_disk(folder):
        (folder / SAMPLES).mkdir(parents=True, exist_ok=True)
    with locked(folder, "another process samples this experiment"), told_of_disk(folder):
        experiment.bounds = bounds_of(config.samples, known_bounds(folder))
        write_text(folder / BOUNDS, json.dumps(experiment.bounds))
        sample_missing(experiment, folder, watcher)
        write_text(folder / CONFIG, dump_yaml(config.plain()))
        known = {name: [p.plain() for p in them] for name, them in experiment.problems.items()}
        write_text(folder / PROBLEMS, json.dumps(known, ensure_ascii=False))
        told = report(experiment, folder)
        write_text(folder / TOLD, json.dumps(told, indent=1, ensure_ascii=False) + "\n")
        return told | {"figures": [str(figure) for figure in draw(folder, told)]}


def check_folder(folder: Path) -> None:
    """`UserError` where there is something else in the folder."""
    ours = not folder.exists() or (folder / SAMPLES).is_dir()
    if not ours and not (folder.is_dir() and not any(folder.iterdir())):
        raise UserError(
            f"{folder}: is there already and holds no pass@k experiment; name another folder (--out DIR)"
        )


def known_bounds(folder: Path) -> list[int]:
    """Where the blocks of tries end of which there is a part; none where there are none."""
    try:
        found = json.loads((folder / BOUNDS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except ValueError:
        raise UserError(f"{folder / BOUNDS}: is damaged; name another folder (--out DIR)") from None
    blocks = [int(path.stem.rpartition("-")[2]) for path in (folder / SAMPLES).glob("part-*.parquet")]
    return [int(bound) for bound in found[: max(blocks, default=-1) + 1]]


def sample_missing(experiment: Experiment, folder: Path, watcher: Watcher) -> None:
    """Sample the parts that are not there yet."""
    parts = list(experiment.parts())
    there = [part for part in parts if is_written(part.path(folder), part.count, experiment.what(part))]
    missing = [part for part in parts if part not in there]
    for part in missing:
        if part.path(folder).exists():
            watcher.warn(f"{part.path(folder)}: is damaged; it is sampled again")
    if not missing:
        return
    watcher.start(sum(p.count for p in parts), sum(p.count for p in there))
    try:
        with interruptible("this part") as stopped:
            for part, columns in sample_all(experiment, missing):
                write_part(part.path(folder), columns, experiment.what(part))
                watcher.sampled(part, columns)
                if stopped():
                    raise KeyboardInterrupt("stopped; what was sampled is kept: the same command goes on")
    finally:
        experiment.close()
        watcher.close()


def report(experiment: Experiment, folder: Path) -> dict[str, Any]:
    """What the samples of a folder say: by set of problems what `move37.passk.report.report_on` tells."""
    config = experiment.config
    told: dict[str, Any] = {"env": config.env.id, "samples": config.samples, "base": config.first}
    told["sets"] = {
        name: report_on(field_of(experiment, folder, name), config.first, config.k, config.seed)
        for name in config.problems
    }
    return told


def field_of(experiment: Experiment, folder: Path, name: str) -> Field:
    """A set of problems with all tries at it."""
    problems = experiment.problems[name]
    chances = [p.chance for p in problems]
    known = np.array(chances, np.float64) if all(c is not None for c in chances) else None
    policies = experiment.config.policies
    paths = {
        policy: [p.path(folder) for p in experiment.parts() if (p.policy, p.problems) == (policy, name)]
        for policy in policies
    }
    tries = {policy: read_tries(files) for policy, files in paths.items()}
    drawn = {policy: settings(experiment.agent(policy, name)) for policy in policies}
    trained = {policy: training_tokens(p.run, p.checkpoint) for policy, p in policies.items() if p.run}
    training = {policy: tokens for policy, tokens in trained.items() if tokens is not None}
    levels = np.array([p.level for p in problems], np.int64)
    return Field(name, [p.name for p in problems], tries, known, drawn, training, levels)


def read_tries(paths: Sequence[Path]) -> Tries:
    """The tries in some parts of one policy on one set."""
    more = [
        n for n in ("answer", PROVED, TRUTH, "base_log_prob") if all(has_column(path, n) for path in paths)
    ]
    found = read_columns(paths, ["problem", "success", "invalid", "tokens", "log_prob", "cut", *more])
    return Tries(
        problem=found["problem"].astype(np.int64),
        success=found["success"],
        invalid=found["invalid"],
        tokens=found["tokens"],
        log_prob=found["log_prob"],
        answer=found.get("answer"),
        proved=found[PROVED] > 0 if PROVED in found else None,
        base_log_prob=found.get("base_log_prob"),
        cut=found["cut"],
        truth=found[TRUTH] > 0 if TRUTH in found else None,
    )


def training_tokens(run: str | None, checkpoint: str = "last") -> float | None:
    """Tokens that a run was trained on up to a checkpoint, with all that it began with.

    None where it counts none, or one of these is not there.
    """
    total, seen = 0.0, set[str]()
    while run is not None and run not in seen:
        seen.add(run)
        try:
            there = Run.load(run, trust=True)
        except UserError:  # what it began with is elsewhere
            return None
        until = float(checkpoint) if checkpoint.isdecimal() else np.inf
        counted = [m["tokens"] for m in there.metrics() if "tokens" in m and m["env_steps"] <= until]
        if not counted:
            return None
        total, run, checkpoint = total + counted[-1], there.config.init, "last"
    return total
