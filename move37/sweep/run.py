"""Runs a sweep to its end, in its folder, from wherever it was."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from move37.config import changes, parse_config, read_yaml
from move37.disk import locked, told_of_disk, write_text
from move37.errors import RunError, UserError
from move37.guard import interruptible
from move37.origin import Origin
from move37.run import CONFIG
from move37.sweep.config import PBT, Sweep, load_sweep
from move37.sweep.record import (
    FAILED,
    FINISHED,
    FOLDER,
    STOPPED,
    TRIALS,
    Trial,
    best_of,
    last_of,
    lineage,
    lines_of,
    ranked,
    read_trials,
    run_folder,
    value_of,
    write_trials,
)
from move37.sweep.values import values_of
from move37.sweep.watch import Watcher
from move37.yaml_text import dump_yaml

SWEEP, BEST, FIGURE = "sweep.yaml", "best.yaml", "sweep.png"
FREE = ("trials", "parallel", "cluster")
"""What may change under a sweep that has begun: how long it is, and where it runs.

(And the metric, as long as nothing was judged by it.)
"""


def run_sweep(
    path: str | Path,
    overrides: Sequence[str] = (),
    *,
    out: str | Path | None = None,
    watcher: Watcher | None = None,
) -> dict[str, Any]:
    """Run the sweep of a config to its end in the folder `out` (`runs/<name>`), or go on with it there.

    Returns `trials` (the best first: `number`, `set`, `ended`, `value`, `env_steps`, `seconds`), `best` (its
    number, value, values and the file with its whole config) and `figure`. Raises `UserError` for what does
    not fit, `RunError` where every trial fails, and `KeyboardInterrupt` after Ctrl-C: all is kept.
    """
    sweep = load_sweep(path, overrides)
    folder, watcher = Path(out or Path("runs") / Path(path).stem), watcher or Watcher()
    check_same(folder, sweep)
    drawn = values_of(sweep)
    for number, values in enumerate(drawn):
        sweep.trial_config(values, f"{sweep.origin.file}: trial {number}")
    with told_of_disk(folder):
        (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    try:
        with locked(folder, "another process runs this sweep"), told_of_disk(folder):
            write_text(folder / SWEEP, dump_yaml(sweep.plain()))
            book = Book(sweep, folder, known_trials(folder, drawn, sweep), watcher)
            run_out(book)
    finally:
        watcher.close()
    return told_of(sweep, folder, book.trials)


def run_out(book: Book) -> None:
    """Run the trials that have not ended."""
    write_trials(book.folder, book.trials)
    if all(trial.ended for trial in book.trials):
        return
    from move37.sweep.tuning import run_trials

    book.watcher.start(book.sweep, book.trials)
    with interruptible("a line of metrics in each trial") as stopped:
        book.asked = stopped
        run_trials(book.sweep, book.folder, book.trials, book)
        if book.wrong:
            raise UserError(book.wrong)
        left = sum(not trial.ended for trial in book.trials)
        if left:
            done = f"{len(book.trials) - left} of {len(book.trials)} trials done"
            raise KeyboardInterrupt(f"stopped with {done}, all kept; the same command goes on")


class Book:
    """What is known of the trials, kept on disk as soon as one ends."""

    def __init__(self, sweep: Sweep, folder: Path, trials: list[Trial], watcher: Watcher):
        self.sweep, self.folder, self.trials, self.watcher = sweep, folder, trials, watcher
        self.asked: Callable[[], bool] = bool
        self.wrong = ""

    def stopping(self) -> bool:
        """Whether all shall stop: after Ctrl-C, or where there is no such metric."""
        return bool(self.wrong) or self.asked()

    def warn(self, text: str) -> None:
        """Something to know."""
        self.watcher.warn(text)

    def heard(self, number: int, told: Mapping[str, Any]) -> None:
        """A line of metrics of a trial."""
        self.wrong = self.wrong or self._misnamed(told.get("names", ()))
        value = value_of(told, self.sweep.config.metric)
        if "env_steps" in told:
            self.watcher.heard(number, int(told["env_steps"]), value)

    def ended(self, number: int, said: str, *, failed: bool, done: bool) -> None:
        """A trial is over, and its run folder whole."""
        how = FAILED if failed else FINISHED if done else STOPPED
        trial = ended(self.folder, self.trials[number], self.sweep.config.metric, how, said)
        if trial.value is None and not failed and not self.wrong:
            self.wrong = self._no_metric(number)
            return
        self.trials[number] = trial
        write_trials(self.folder, self.trials)
        self.watcher.ended(trial)

    def _misnamed(self, names: Sequence[str]) -> str:
        """What is wrong where a line has no such metric, but one that is spelt like it."""
        from envs.nearest import nearest

        metric = self.sweep.config.metric
        family = [name for name in names if name.startswith("eval/") == metric.startswith("eval/")]
        near = nearest(metric, family, cutoff=0.75)
        return self._wrong_metric(f"did you mean '{near[0]}'?") if near else ""

    def _no_metric(self, number: int) -> str:
        names = sorted({name for line in lines_of(self.folder, number) for name in line})
        return self._wrong_metric(f"there are {', '.join(names)}")

    def _wrong_metric(self, cure: str) -> str:
        metric = self.sweep.config.metric
        place = self.sweep.origin.of(("metric",))
        return f"{place}: metric: trials tell of no '{metric}'; {cure}"


def ended(folder: Path, trial: Trial, metric: str, how: str, said: str) -> Trial:
    """A trial as its run folder tells of it, now that it is over."""
    taken = lineage(run_folder(folder, trial.number))
    values = taken[-1]["set"] if taken else trial.set
    found = last_of(lines_of(folder, trial.number), metric)
    return replace(trial, set=values, ended=how, said=said, taken=taken, **found)


# -- the folder --------------------------------------------------------------------------------------------


def known_trials(folder: Path, drawn: Sequence[Mapping[str, Any]], sweep: Sweep) -> list[Trial]:
    """The trials that are there, those on their way with the values that they have now; then new ones."""
    there = read_trials(folder)
    if len(there) > len(drawn):
        said = f"holds {len(there)} trials, and a sweep can be made longer, not shorter"
        raise UserError(f"{folder}: {said} ({sweep.origin.of(('trials',))}: trials: {len(drawn)})")
    for trial, values in zip(there, drawn):
        if sweep.config.search.kind != PBT and dict(trial.set) != dict(values):
            said = f"trial {trial.number} is of other values than this sweep draws ({dict(values)})"
            raise UserError(f"{folder / TRIALS}: {said}; name another folder (--out DIR)")
    for k, trial in enumerate(there):
        taken = lineage(run_folder(folder, trial.number))
        if taken and not trial.ended:
            there[k] = replace(trial, set=taken[-1]["set"])
    return there + [Trial(number, drawn[number]) for number in range(len(there), len(drawn))]


def check_same(folder: Path, sweep: Sweep) -> None:
    """`UserError` where the folder holds another sweep, or something else."""
    if not (folder / SWEEP).is_file():
        inside = {p.name for p in folder.iterdir()} if folder.is_dir() else set()
        if (folder.exists() and not folder.is_dir()) or inside - {FOLDER, ".lock"}:
            raise UserError(f"{folder}: is there already and holds no sweep; name another folder (--out DIR)")
        return
    there = read_yaml(folder / SWEEP)
    if not isinstance(there, Mapping):
        said = f"is damaged: no config, but {there!r:.40}"
        raise UserError(f"{folder / SWEEP}: {said}; put it back, or name another folder (--out DIR)")
    free = set(FREE) - ({"trials"} if sweep.config.search.kind == PBT else set())
    if not any(trial.ended or lineage(run_folder(folder, trial.number)) for trial in read_trials(folder)):
        free.add("metric")  # nothing was judged by it
    changed = changes(there, sweep.plain(), free)
    if changed:
        raise UserError(f"{folder}: holds a sweep of another config: {'; '.join(changed[:5])}")


# -- the end -----------------------------------------------------------------------------------------------


def told_of(sweep: Sweep, folder: Path, trials: Sequence[Trial]) -> dict[str, Any]:
    """What a sweep came to; its figure and its best config are written."""
    from move37.sweep.draw import draw

    rows = ranked(list(trials))
    best = best_of(rows)
    if best is None:
        raise RunError(f"{folder}: every trial failed; trial {rows[0].number}: {rows[0].said}")
    with told_of_disk(folder):
        write_text(folder / BEST, best_yaml(sweep, folder, best))
        draw(sweep, folder, rows, folder / FIGURE)
    found = {"number": best.number, "value": best.value, "set": dict(best.set), "config": str(folder / BEST)}
    metric, search = sweep.config.metric, sweep.config.search.kind
    told = {"metric": metric, "search": search, "best": found, "figure": str(folder / FIGURE)}
    return told | {"env_steps": sum(t.env_steps for t in rows), "trials": [asdict(trial) for trial in rows]}


def best_yaml(sweep: Sweep, folder: Path, best: Trial) -> str:
    """The best trial's whole config, with where it comes from."""
    path = run_folder(folder, best.number) / CONFIG
    config = parse_config(read_yaml(path), Origin(str(path)))
    values = ", ".join(f"{key} {value}" for key, value in best.set.items())
    figure = f"{sweep.config.metric} {best.value:.6g} after {best.env_steps:,} env steps"
    lines = [
        f"The best trial of {sweep.origin.file}: trial {best.number}, {figure}, {best.seconds:.0f} seconds."
    ]
    lines.append(f"It drew {values}.")
    if best.taken:
        lines.append(
            f"Its values changed on the way, and its weights with them: see {path.parent / 'lineage.jsonl'}"
        )
    return "".join(f"# {line}\n" for line in lines) + config.to_yaml()
