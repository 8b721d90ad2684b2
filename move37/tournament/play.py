"""Plays a tournament to its end, in its folder, from wherever it was."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count, takewhile
from pathlib import Path
from typing import Any

import numpy as np

from move37.config import changes, read_yaml
from move37.disk import locked, told_of_disk, write_text
from move37.errors import UserError
from move37.guard import interruptible
from move37.tournament.config import TournamentConfig, load_tournament
from move37.tournament.draw import draw
from move37.tournament.fleet import Here, Workers
from move37.tournament.gamelog import GameLog, GameRecord, few, read_games
from move37.tournament.standings import standings
from move37.tournament.table import Tournament
from move37.tournament.watch import Watcher
from move37.yaml_text import dump_yaml
from search.schedule import SWISS
from search.sprt import decide, llr

CONFIG, GAMES, RATINGS = "config.yaml", "games.jsonl", "ratings.json"
FREE = ("pairs", "rounds", "workers", "cluster", "threads", "anchor", "anchor_elo")
"""What may change under a tournament that has begun: how long it is, where it is played, how it is told."""


def run_tournament(
    path: str | Path,
    overrides: Sequence[str] = (),
    *,
    out: Path | None = None,
    watcher: Watcher | None = None,
    trust: bool = False,
) -> dict[str, Any]:
    """Play the tournament of a config to its end in the folder `out` (`runs/<name>`), or go on with it there.

    `trust` allows import paths in run folders to be followed into code; the config's own are. Returns what
    `ratings.json` then holds (see `standings`). Raises `UserError` for what does not fit, for
    another config than the folder's too, and `KeyboardInterrupt` after Ctrl-C: batches that were played are
    kept.
    """
    config, origin = load_tournament(path, overrides)
    folder, watcher = out or Path("runs") / Path(path).stem, watcher or Watcher()
    check_same(folder, config)
    tournament = Tournament(config, origin, trust)
    tournament.prepare()
    if tournament.pairs < config.pairs:
        said = f"there are {len(tournament.openings)} openings, so a meeting has {tournament.pairs} pairs"
        watcher.warn(f"{said}, not {config.pairs}")
    with told_of_disk(folder):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        with locked(folder, "another process plays this tournament"), told_of_disk(folder):
            write_text(folder / CONFIG, dump_yaml(config.plain()))
            verdict = play_out(tournament, folder, watcher)
    finally:
        watcher.close()
    told = standings(tournament.records, tournament.names, config.anchor, config.anchor_elo)
    told |= verdict | {"game": tournament.game.title, "pairs": tournament.pairs}
    with told_of_disk(folder):
        write_text(folder / RATINGS, json.dumps(told, indent=1, ensure_ascii=False) + "\n")
        told["figures"] = [str(figure) for figure in draw(folder, told, tournament)]
    return told


def play_out(tournament: Tournament, folder: Path, watcher: Watcher) -> dict[str, Any]:
    """Play what is not played yet; what a test of two entrants came to, where there is one."""
    known = known_games(tournament, folder / GAMES, watcher)
    log = GameLog(folder / GAMES, known.values())
    hall: Here | Workers = (Workers if tournament.config.workers else Here)(tournament)
    verdict: dict[str, Any] = {}
    try:
        with interruptible("this batch") as stopped, told_where(folder / GAMES):
            for games, new in all_games(tournament, hall, known, watcher):
                tournament.records += games
                if new:
                    log.add(games)
                    watcher.played()
                verdict = tested(tournament)
                if stopped():
                    said = f"stopped after {len(tournament.records):,} games, all kept"
                    raise KeyboardInterrupt(f"{said}; the same command goes on")
                if over(verdict):
                    break
    finally:
        hall.close()
        log.close()
    known |= {record.game: record for record in tournament.records}
    GameLog(folder / GAMES, [known[number] for number in sorted(known)]).close()  # in order, each once
    return verdict


def known_games(tournament: Tournament, path: Path, watcher: Watcher) -> dict[int, GameRecord]:
    """The games that were played, by number (`UserError` where there are more than there will be)."""
    records, wrong = read_games(path)
    for said in few(wrong):
        watcher.warn(said)
    known = {record.game: record for record in records}
    strange = [number for number in known if not 0 <= number < tournament.total]
    if strange:
        said = f"holds {len(strange)} games beyond the {tournament.total} of this tournament"
        raise UserError(f"{path}: {said}, which can be made longer, not shorter")
    return known


def all_games(
    tournament: Tournament, hall: Here | Workers, known: Mapping[int, GameRecord], watcher: Watcher
) -> Iterator[tuple[list[GameRecord], bool]]:
    """Some games after the other, and whether they were played just now: of each round those that are known,
    then those of each batch.

    They must be in the tournament's records before the next are asked for.
    """
    for games in tournament.rounds():
        tournament.check(games, known)
        yield [known[number] for number in games.games if number in known], False
        missing = tournament.batches(games, known)
        if missing:
            watcher.start(tournament)
        for records in hall.play(missing, watcher.during):
            yield records, True


@contextmanager
def told_where(path: Path) -> Iterator[None]:
    """A `UserError` inside, with the file that it is of."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{path}: {error}; name another folder (--out DIR)") from None


def tested(tournament: Tournament) -> dict[str, Any]:
    """Where the test of two entrants stands, asked after each pair in their order; nothing without one."""
    wanted = tournament.config.sprt
    if wanted is None:
        return {}
    told: dict[str, Any] = wanted.model_dump() | {"players": tournament.names}
    half_points = pair_points(tournament.records, tournament.names[0])
    seen = np.cumsum([np.zeros(5), *np.eye(5)[half_points]], axis=0).astype(int)  # from none on
    verdicts = decide(seen, wanted.elo0, wanted.elo1, alpha=wanted.alpha, beta=wanted.beta).tolist()
    at = next((k for k, verdict in enumerate(verdicts) if verdict != "go on"), -1)
    ratio = round(float(llr(seen[at], wanted.elo0, wanted.elo1)), 6)
    return {"sprt": told | {"pairs": seen[at].tolist(), "llr": ratio, "verdict": verdicts[at]}}


def over(verdict: Mapping[str, Any]) -> bool:
    """Whether a test has come to its end."""
    return bool(verdict) and verdict["sprt"]["verdict"] != "go on"


def pair_points(records: Iterable[GameRecord], name: str) -> list[int]:
    """Half points of `name`, 0 to 4, in each pair before the first that is not whole."""
    points = {r.game: int(2 * (r.points if r.first == name else 1 - r.points)) for r in records}
    whole = takewhile(lambda k: 2 * k in points and 2 * k + 1 in points, count())
    return [points[2 * k] + points[2 * k + 1] for k in whole]


# -- the folder --------------------------------------------------------------------------------------------


def check_same(folder: Path, config: TournamentConfig) -> None:
    """`UserError` where the folder holds another tournament, or something else."""
    if not (folder / CONFIG).is_file():
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UserError(
                f"{folder}: is there already and holds no tournament; name another folder (--out DIR)"
            )
        return
    there = read_yaml(folder / CONFIG)
    if not isinstance(there, Mapping):
        said = f"is damaged: no config, but {there!r:.40}"
        raise UserError(f"{folder / CONFIG}: {said}; put it back, or name another folder (--out DIR)")
    free = set(FREE) - ({"pairs"} if config.schedule == SWISS else set())
    changed = changes(there, config.plain(), free)
    if changed:
        raise UserError(f"{folder}: holds a tournament of another config: {'; '.join(changed[:5])}")
