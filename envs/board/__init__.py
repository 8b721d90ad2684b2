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


def load(name: str, options: Mapping[str, Any] | None = None) -> Game:
    """The game in the file `name` (or at an import path `package.module:function`), made with `options`.

    Raises `OptionError` for an option that does not fit, `ValueError` for an unknown game.
    """
    return _load(name, tuple(sorted((options or {}).items())))


@lru_cache(maxsize=64)
def _load(name: str, options: tuple[tuple[str, Any], ...]) -> Game:
    from envs.board.game import Game
    from envs.nearest import suggest
    from envs.options import check_options
    from envs.paths import is_import_path, resolve

    if name not in NAMES.values() and not is_import_path(name):
        raise ValueError(f"no game '{name}'; {suggest(name, list(NAMES.values()))}")
    make: Any = resolve(name if is_import_path(name) else f"envs.board.{name}:make")
    check_options(f"game '{name}'", make, dict(options))
    game = make(**dict(options))
    if not isinstance(game, Game):
        raise ValueError(f"'{name}' made a {type(game).__name__}, not an envs.board.game.Game")
    return game
