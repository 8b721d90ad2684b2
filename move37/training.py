"""Training from a config, or on from where a run stopped: one loop a seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

from move37.config import Config, load_config, make_config
from move37.disk import told_of_disk
from move37.errors import UserError
from move37.loop import Session
from move37.observer import Observer
from move37.origin import Origin
from move37.run import CONFIG, Run

BEGUN_WITH = ("seed", "seeds", "env.id", "agent.kind")
"""What makes a run that run: no override on resume may change it."""


def train(
    config: Config | Mapping[str, Any] | str | Path,
    overrides: Sequence[str] = (),
    *,
    out: str | Path | None = None,
    observer: Any = None,
) -> Run:
    """Train as `config` (a YAML file, nested dicts, or a `Config`) says, into the run folder `out`.

    `overrides` such as `agent.lr=1e-3` go on top. `out` is `runs/<the file's name>` where it is not given
    (`runs/<agent>` for a config without a file). `observer` is told how it goes (see `Observer`). Raises
    `UserError` for bad input (a run folder that exists, too), `RunError` for a failure while running, and
    `KeyboardInterrupt` after Ctrl-C, when the update in progress is done and saved.
    """
    if isinstance(config, (str, Path)):
        origin, checked = Origin(str(config), tuple(overrides)), load_config(config, overrides)
        name = Path(config).stem
    else:
        data = config.plain() if isinstance(config, Config) else config
        origin, checked = Origin("config", tuple(overrides)), make_config(data, overrides)
        name = checked.agent.kind.rpartition(":")[2]
    run = Run.create(out or Path("runs") / name, checked)
    try:
        _train_seeds(run, observer or Observer(), origin)
    finally:
        run.remove_if_empty()
    return run


def resume(path: str | Path, observer: Any = None, trust: bool = False, overrides: Sequence[str] = ()) -> Run:
    """Go on with the run in the folder `path` as if nothing had happened, to the end of its budget.

    `overrides` such as `budget.env_steps=20e6` change its config for good. `trust` allows import paths in the
    folder to be followed into code. Raises as `train` does; where an override does not fit, the run
    stays as it was.
    """
    run = Run.load(path, trust)
    run.check_trust()
    origin = Origin(str(run.path / CONFIG), tuple(overrides))
    begun, run.config = run.config, make_config(run.config.plain(), overrides, origin.file)
    for key in BEGUN_WITH:
        if attrgetter(key)(begun) != attrgetter(key)(run.config):
            said = f"{key} cannot change in a run that has begun; begin a new run (move37 train CONFIG)"
            raise UserError(f"{origin.of(tuple(key.split('.')))}: {said}")
    run.trust = True  # what is left to follow was said by the caller
    _train_seeds(run, observer or Observer(), origin)
    return run


def _train_seeds(run: Run, observer: Any, origin: Origin) -> None:
    """Train the run, or one run a seed inside it, each from where it stands.

    A config is written only when all that it names was built and has taken up its checkpoint.
    """
    for one in _one_a_seed(run):
        with one.locked(), Session(one, observer, origin, whole=run.path) as session:
            with told_of_disk(one.path):
                run.write_config()
                one.write_config()
            session.train()


def _one_a_seed(run: Run) -> Iterator[Run]:
    if not run.config.seeds:
        yield run
    for seed in run.config.seeds:
        path, config = run.path / f"seed-{seed}", run.config.for_seed(seed)
        yield Run(path, config, trust=True) if (path / CONFIG).exists() else Run.create(path, config)
