"""Five arcade games on a grid of 10×10 cells, after MinAtar, light enough for millions of steps a second.

`register` tells Gymnasium of `arcade/<Name>-v0` (all six actions) and `arcade/<Name>-v1` (those that matter).
"""

from __future__ import annotations

import re
from importlib import import_module
from typing import TYPE_CHECKING

import gymnasium

if TYPE_CHECKING:
    from envs.arcade.game import Game

ABOUT = {
    "Asterix": "gather gold and dodge enemies on a 10x10 grid",
    "Breakout": "knock a wall down with ball and paddle on a 10x10 grid",
    "Freeway": "cross a road full of cars, again and again, on a 10x10 grid",
    "Seaquest": "rescue divers under water, mind the oxygen, on a 10x10 grid",
    "SpaceInvaders": "shoot waves of invaders on a 10x10 grid",
}
"""Each game's name, and a line for people."""
GAMES = {name: re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower() for name in ABOUT}
"""Each game's name and its module, which is loaded when first asked for."""
VERSIONS = {"v0": False, "v1": True}
"""Has it only the actions that matter?"""


def load(id: str) -> tuple[Game, bool]:
    """The game of an id such as `arcade/Breakout-v1`, and whether it has the minimal actions only (`-v1`)."""
    name, _, version = id.removeprefix("arcade/").partition("-")
    if name not in GAMES or version not in VERSIONS:
        raise ValueError(
            f"no arcade game '{id}'; there are arcade/<{'|'.join(GAMES)}>-<{'|'.join(VERSIONS)}>"
        )
    return import_module(f"envs.arcade.{GAMES[name]}").GAME, VERSIONS[version]


def register() -> None:
    """Tell Gymnasium of all games; safe to call again."""
    for id in (f"arcade/{name}-{version}" for name in GAMES for version in VERSIONS):
        if id not in gymnasium.registry:
            gymnasium.register(
                id,
                entry_point="envs.arcade.single:ArcadeEnv",
                vector_entry_point="envs.arcade.vector:make_vec",
                kwargs={"game": id},  # not "id": gymnasium.make_vec hands them to make(id, ...)
            )
