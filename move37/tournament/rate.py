"""Rates games from files: tournaments of ours, or PGN that others wrote."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from envs.board import name_of
from envs.board.game import Game
from envs.board.vector import load_id
from envs.paths import is_import_path
from move37.config import read_yaml
from move37.disk import told_of_disk, write_text
from move37.errors import UserError
from move37.tournament.config import GameConfig
from move37.tournament.draw import draw_ratings
from move37.tournament.formats import as_pgn, as_sgf, read_pgn
from move37.tournament.gamelog import GameRecord, few, read_games, visible
from move37.tournament.play import CONFIG, GAMES, RATINGS
from move37.tournament.standings import standings


@dataclass(frozen=True)
class Source:
    """A file with games, and what is known of it."""

    file: Path
    records: list[GameRecord]
    wrong: list[str]
    """What is wrong with lines that hold no game."""
    game: Game | None
    """That of the tournament's config beside it."""


def rate_files(
    files: Sequence[Path],
    *,
    anchor: str | None = None,
    anchor_elo: float = 0.0,
    pgn: Path | None = None,
    sgf: Path | None = None,
    out: Path | None = None,
) -> dict[str, Any]:
    """The standings of all games in some files (see `standings`).

    The games may also be written as PGN or SGF, and the standings with their picture into the folder `out`.
    Raises `UserError` for files that hold no games or those of several games, and where these do not connect
    all players.
    """
    if anchor_elo and anchor is None:
        raise UserError(f"--anchor-elo {anchor_elo:g}: of whom? Name it too (--anchor NAME)")
    if not math.isfinite(anchor_elo):
        raise UserError(f"--anchor-elo {anchor_elo:g}: must be a finite number")
    sources = [read_source(file) for file in files]
    for said in few([said for source in sources for said in source.wrong]):
        print(f"move37: {said}", file=sys.stderr)
    check_one_game(sources)
    records = together(sources)
    if not records:
        raise UserError(f"{', '.join(map(str, files))}: no games")
    names = list(dict.fromkeys(name for r in records for name in (r.first, r.second)))
    if anchor is not None and anchor not in names:
        raise UserError(f"--anchor {anchor}: no player of that name; there are {', '.join(names[:20])}")
    played = sgf_text(sources, sgf) if sgf else ""
    title = next((source.game.title for source in sources if source.game), files[0].resolve().stem)
    told = standings(records, names, anchor, anchor_elo) | {"game": title}
    if sgf:
        _write(sgf, played)
    if pgn:
        _write(pgn, "".join(as_pgn(record, title) for record in records))
    return told | ({"figures": write_standings(out, told)} if out else {})


def read_source(file: Path) -> Source:
    """The games of a tournament's folder, a `games.jsonl` or a PGN file (`UserError` where it is none)."""
    try:
        path = file / GAMES if file.is_dir() and (file / GAMES).exists() else file
        if not path.is_file():
            said = "is a folder" + (f" without {GAMES}" if path.name != GAMES else ", not a file")
            raise UserError(f"{path}: {said if path.is_dir() else 'there is no such file'}")
    except OSError as error:  # a name that is too long, a folder that is closed to us
        raise UserError(f"{visible(str(file)):.200}: cannot be read: {error.strerror}") from None
    records, wrong = (read_pgn if path.suffix.lower() == ".pgn" else read_games)(path)
    if wrong and not records:
        raise UserError(f"{path}: holds no games: {wrong[0].removeprefix(f'{path}, ').partition(';')[0]}")
    return Source(path, records, wrong, game_of(path.parent))


def game_of(folder: Path) -> Game | None:
    """The game of a tournament's folder; None where it is not known, or code of others would be run."""
    try:
        env = GameConfig.model_validate(read_yaml(folder / CONFIG)["env"])
        options = {name: value for name, value in env.options.items() if name != "n"}  # slots of a run
        return None if is_import_path(name_of(env.id)) else load_id(env.id, options)
    except (UserError, ValueError, TypeError, KeyError):
        return None


def check_one_game(sources: Sequence[Source]) -> None:
    """`UserError` that names the games, where files are of several."""
    games = [source.game for source in sources if source.game is not None]
    kinds = {(game.name, str(sorted(game.options.items()))): game for game in games}
    if len(kinds) < 2:
        return
    alike = len({game.title for game in kinds.values()}) < len(kinds)
    told = [f"{game.title} {dict(game.options)}" if alike else game.title for game in kinds.values()]
    raise UserError(f"these are games of {' and of '.join(told)}: rate them apart")


def together(sources: Sequence[Source]) -> list[GameRecord]:
    """All records, numbered so that a pair of one file is none with those of another."""
    records, end = list[GameRecord](), 0
    for source in sources:
        records += [replace(r, game=r.game + end) if r.game >= 0 else r for r in source.records]
        last = max((record.game for record in source.records), default=-1)
        end += last + 1 + (last + 1) % 2
    return records


def sgf_text(sources: Sequence[Source], sgf: Path) -> str:
    """All records in SGF, by the games of their folders (`UserError` where one is not known)."""
    found = []
    for source in sources:
        if source.game is None or source.file.suffix.lower() == ".pgn":
            said = "is no tournament's folder, so how its moves are written is not known"
            raise UserError(f"--sgf {sgf}: {source.file} {said}")
        try:
            found += [as_sgf(record, source.game) for record in source.records]
        except UserError as error:
            raise UserError(f"--sgf {sgf}: {source.file}: {error}") from None
    return "".join(found)


def write_standings(out: Path, told: dict[str, Any]) -> list[str]:
    """Write standings and their picture into a folder; the pictures' names."""
    with told_of_disk(out):
        out.mkdir(parents=True, exist_ok=True)
        write_text(out / RATINGS, json.dumps(told, indent=1, ensure_ascii=False) + "\n")
        draw_ratings(out / "ratings.png", told, {})
    return [str(out / "ratings.png")]


def _write(path: Path, text: str) -> None:
    with told_of_disk(path):
        write_text(path, text)
