"""Board games: the rules of each in a file of its own, and faces that are the same for all."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from envs.board.game import Game

NAMES = {
    "TicTacToe": "tic_tac_toe",
    "ConnectFour": "connect_four",
    "Othello": "othello",
    "Hex": "hex",
    "Gomoku": "gomoku",
    "Breakthrough": "breakthrough",
    "Go": "go",
}
"""The name in an id, `board/<name>-v0`, and the file of the game."""
ABOUT = {
    "TicTacToe": "three in a row on 3x3",
    "ConnectFour": "four in a row, 7 wide and 6 high",
    "Othello": "size=8 (4, 6 too): turn over what you enclose",
    "Hex": "size=11 (2 to 19): join your two sides; swap=true for the swap rule",
    "Gomoku": "size=15 (5 to 19): five in a row",
    "Breakthrough": "size=8 (5 to 8): a man to the other side",
    "Go": "size=9 (2 to 19), komi=7.5: area scoring, positional superko",
}


def id_of(name: str) -> str:
    """The environment's id, of a game by its name; of one at an import path, that is the id too."""
    return next((f"board/{key}-v0" for key, file in NAMES.items() if file == name), name)


def name_of(text: str) -> str:
    """The name of a game that is told by its name (`hex`), its id (`board/Hex-v0`), or an import path.

    Raises `ValueError` for what is none of these.
    """
    from envs.nearest import suggest
    from envs.paths import is_import_path

    bare = text.removeprefix("envs:").removeprefix("board/").removesuffix("-v0")
    name = NAMES.get(bare, bare)
    if name in NAMES.values():
        return name
    if is_import_path(text) and "/" not in text:
        return text
    known = map(id_of, NAMES.values()) if "/" in text else NAMES.values()
    raise ValueError(f"no game '{text}'; {suggest(text, known)}")


def load(name: str, options: Mapping[str, Any] | None = None) -> Game:
    """The game that `name` stands for (see `name_of`), made with `options`.

    Raises `OptionError` for an option that does not fit, `ValueError` for an unknown game.
    """
    return _load(name_of(name), tuple(sorted((options or {}).items())))


def creator_of(name: str) -> Any:
    """The function that makes the game of a name (as of `name_of`)."""
    from envs.paths import resolve

    return resolve(f"envs.board.{name}:make" if name in NAMES.values() else name)


@lru_cache(maxsize=64)
def _load(name: str, options: tuple[tuple[str, Any], ...]) -> Game:
    from envs.board.game import Game
    from envs.options import check_options

    make = creator_of(name)
    check_options(f"game '{name}'", make, dict(options))
    game = make(**dict(options))
    if not isinstance(game, Game):
        raise ValueError(f"'{name}' made a {type(game).__name__}, not an envs.board.game.Game")
    return game
