"""Rates games from files: tournaments of ours, or PGN that others wrote."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from envs.board.vector import load_id
from move37.config import read_yaml
from move37.disk import told_of_disk
from move37.errors import UserError
from move37.tournament.config import GameConfig
from move37.tournament.gamelog import GameRecord, as_pgn, as_sgf, read_games, read_pgn
from move37.tournament.play import CONFIG, GAMES, write_text
from move37.tournament.standings import standings


def rate_files(
    files: Sequence[Path], anchor: str | None = None, pgn: Path | None = None, sgf: Path | None = None
) -> dict[str, Any]:
    """The standings of all games in some files (see `standings`), which may also be written as PGN or SGF.

    Raises `UserError` for files that hold no games, and where these do not connect all players.
    """
    records = list[GameRecord]()
    for file in files:
        found = _read(file)
        last = max((record.game for record in records), default=-1) + 1
        shift = last + last % 2  # pairs of one file are none with those of another
        records += [replace(r, game=r.game + shift) if r.game >= 0 else r for r in found]
    if not records:
        raise UserError(f"{', '.join(map(str, files))}: no games")
    names = list(dict.fromkeys(name for r in records for name in (r.first, r.second)))
    if anchor is not None and anchor not in names:
        raise UserError(f"--anchor {anchor}: no player of that name; there are {', '.join(names[:20])}")
    title = _title(files[0])
    if pgn:
        _write(pgn, "".join(as_pgn(record, title) for record in records))
    if sgf:
        game = _game(files[0])
        if game is None:
            raise UserError(f"--sgf {sgf}: {files[0]} is no tournament's folder, so its game is not known")
        _write(sgf, "".join(as_sgf(record, game) for record in records))
    return standings(records, names, anchor) | {"game": title}


def _write(path: Path, text: str) -> None:
    with told_of_disk(path):
        write_text(path, text)


def _read(file: Path) -> list[GameRecord]:
    path = file / GAMES if file.is_dir() else file
    if not path.is_file():
        raise UserError(f"{path}: there is no such file")
    if path.suffix.lower() == ".pgn":
        return read_pgn(path)
    records, wrong = read_games(path)
    for said in wrong:
        print(f"move37: {said}", file=sys.stderr)
    return records


def _game(file: Path) -> Any:
    """The game of a tournament's folder; None for other files."""
    folder = file if file.is_dir() else file.parent
    if not (folder / CONFIG).is_file():
        return None
    data = read_yaml(folder / CONFIG)
    env = GameConfig.model_validate(data["env"])
    return load_id(env.id, env.options)


def _title(file: Path) -> str:
    game = _game(file)
    return game.title if game else file.stem
