"""Arcade games on a grid of 10×10 cells, light enough for millions of steps a second: MinAtar's, and a maze.

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
    "KeyMaze": "find keys, doors and one distant treasure in a maze of rooms of 10x10 cells",
}
"""Each game's name, and a line for people."""
MODULES = {name: re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower() for name in ABOUT}
"""Each game's name and its module, which is loaded when first asked for."""
OWN_BATCH = {"KeyMaze": "envs.arcade.key_maze:KeyMaze"}
"""Games whose batch is another class than `envs.arcade.vector:Arcade`."""
GAMES = {name: module for name, module in MODULES.items() if name not in OWN_BATCH}
"""The games of MinAtar."""
VERSIONS = {"v0": False, "v1": True}
"""Has it only the actions that matter?"""


def load(id: str) -> tuple[Game, bool]:
    """The game of an id such as `arcade/Breakout-v1`, and whether it has the minimal actions only (`-v1`)."""
    name, _, version = id.removeprefix("arcade/").partition("-")
    if name not in MODULES or version not in VERSIONS:
        raise ValueError(
            f"no arcade game '{id}'; there are arcade/<{'|'.join(MODULES)}>-<{'|'.join(VERSIONS)}>"
        )
    return import_module(f"envs.arcade.{MODULES[name]}").GAME, VERSIONS[version]


def batch_class(id: str) -> str:
    """The import path of the class that plays a batch of the game of an id."""
    return OWN_BATCH.get(id.removeprefix("arcade/").partition("-")[0], "envs.arcade.vector:Arcade")


def register() -> None:
    """Tell Gymnasium of all games; safe to call again."""
    for id in (f"arcade/{name}-{version}" for name in MODULES for version in VERSIONS):
        if id not in gymnasium.registry:
            gymnasium.register(
                id,
                entry_point="envs.arcade.single:ArcadeEnv",
                vector_entry_point="envs.arcade.vector:make_vec",
                kwargs={"game": id},  # not "id": gymnasium.make_vec hands them to make(id, ...)
            )
