"""What is played: every environment of the suite, made by one call, `envs.make`.

Importing it is light beside Gymnasium: kernels and emulators are loaded when something is made.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, get_type_hints

import gymnasium
from gymnasium.envs.registration import find_highest_version

from envs import arcade, board, text
from envs.nearest import nearest

if TYPE_CHECKING:
    from envs.base import BatchEnv

__all__ = ["make", "names", "register"]

ACTION_SETS = {"v1": "the actions that matter", "v0": "all six actions"}
PACKAGES = {  # Gymnasium's own: the package of the entry point, what it is, what it needs
    "classic_control": ("classic control", ""),
    "toy_text": ("toy text", ""),
    "box2d": ("Box2D physics", "gymnasium[box2d]"),
    "mujoco": ("MuJoCo physics", "gymnasium[mujoco]"),
}


def make(id: str, n: int = 1, seed: int | None = None, **options: Any) -> BatchEnv:
    """`n` slots of an environment.

    `id` is `arcade/<Name>-v0` or `-v1`, `board/<Name>-v0`, `text/<Name>-v0`, `ALE/<Name>-v5`,
    `pettingzoo/<family>/<name>`, an id registered with Gymnasium (also `package.module:Id-v0`, where that
    module registers it), or an import path `package.module:Class` (a `gymnasium.Env`, `VectorEnv`,
    `BatchEnv`, PettingZoo `AECEnv` or `ParallelEnv` class or a function that returns one, an
    `envs.text.task.Task` class, or a function annotated to return an `envs.board.game.Game`); the working
    folder is searched too. `options` go to the environment. With a `seed`, slot `i` is reset with `seed + i`
    at once, so that everything after, a reset without a seed too, is determined.

    Raises `ValueError` with one line for an unknown id (it names the nearest) and for wrong options
    (`envs.options.OptionError`, which names the option).
    """
    if n < 1:
        raise ValueError(f"an environment needs at least one slot, not n={n}")
    env = _make(id, n, options)
    if seed is not None:
        env.reset(seed=seed)
    return env


def names() -> dict[str, str]:
    """Every id that `make` knows, with a line about it: ours, Atari, Gymnasium's newest versions."""
    ours = (names_of() for names_of, _ in FAMILIES.values())
    return {k: v for found in (*ours, _gymnasium_names()) for k, v in found.items()}


def register() -> None:
    """Register the suite's own ids with Gymnasium. Importing `envs` does it; again does nothing.

    So `gymnasium.make("envs:arcade/Breakout-v1")` works in any process.
    """
    arcade.register()
    for id in _board_names():
        if id not in gymnasium.registry:
            gymnasium.register(id, entry_point="envs.board.single:BoardEnv", kwargs={"game": id})
    for id in _text_names():
        if id not in gymnasium.registry:
            gymnasium.register(id, entry_point="envs.text.env:TextEnv", kwargs={"task": id})


def _make(id: str, n: int, options: dict[str, Any]) -> BatchEnv:
    from envs import gym
    from envs.options import OptionError, check_options
    from envs.paths import load_module, names_attribute, resolve

    names_of, path = FAMILIES.get(id.partition("/")[0], (dict, ""))
    if id in names_of():
        family = resolve(arcade.batch_class(id) if id.startswith("arcade/") else path)
        check_options(f"environment '{id}'", family, options, given=("id", "n"))
        return family(id, n, **options)
    if names_attribute(id):
        creator = resolve(id)
        if _makes_game(creator):
            return resolve(FAMILIES["board"][1])(id, n, **options)
        if _is_task(creator):
            return resolve(FAMILIES["text"][1])(id, n, **options)
        return gym.make_imported(id, creator, n, options)
    if ":" in id:
        load_module(id)  # which registers the id
    elif id not in gymnasium.registry:
        import ale_py  # noqa: F401 (registers Atari's older ids)
    try:
        spec = gymnasium.spec(id.rpartition(":")[2])
    except gymnasium.error.Error:
        raise OptionError("id", f"unknown environment '{id}'; {_nearest(id)}") from None
    return gym.make_registered(spec, n, options)


def _makes_game(creator: Any) -> bool:
    try:
        made = get_type_hints(creator).get("return")
    except (NameError, TypeError, AttributeError):  # annotations that cannot be read
        return False
    return (getattr(made, "__module__", ""), getattr(made, "__name__", "")) == ("envs.board.game", "Game")


def _is_task(creator: Any) -> bool:
    lineage = creator.__mro__ if isinstance(creator, type) else ()
    return any((c.__module__, c.__name__) == ("envs.text.task", "Task") for c in lineage)


def _nearest(id: str) -> str:
    """'did you mean ...?', comparing whole ids and bare names, whatever the case."""
    whole = {name.lower(): name for name in names()}
    bare: dict[str, str] = {}
    for key, name in whole.items():
        bare.setdefault(re.sub(r"^.*/|-v\d+$", "", key), name)
    near = nearest(id.lower(), [*whole, *bare], k=3)
    found = list(dict.fromkeys({**bare, **whole}[key] for key in near))
    return f"did you mean {' or '.join(found)}?" if found else "`move37 envs` lists what there is"


def _arcade_names() -> dict[str, str]:
    return {
        f"arcade/{game}-{version}": f"{about}, {actions}"
        for game, about in arcade.ABOUT.items()
        for version, actions in ACTION_SETS.items()
    }


def _board_names() -> dict[str, str]:
    return {f"board/{name}-v0": about for name, about in board.ABOUT.items()}


def _text_names() -> dict[str, str]:
    return {f"text/{name}-v0": about for name, about in text.ABOUT.items()}


def _atari_names() -> dict[str, str]:
    from envs.atari import games

    return {id: f"Atari 2600 {rom.replace('_', ' ')}, 84x84 grey pixels" for id, rom in games().items()}


def _pettingzoo_names() -> dict[str, str]:
    from envs import zoo

    return zoo.names()


def _gymnasium_names() -> dict[str, str]:
    """The newest version of each registered id, but for those that only raise an error."""
    about = {}
    for id, spec in gymnasium.registry.items():
        ours = spec.namespace in FAMILIES
        newest = spec.version == find_highest_version(spec.namespace, spec.name)
        entry = spec.entry_point or spec.vector_entry_point
        only_raises = getattr(entry, "__name__", "").startswith("_raise")
        if not (ours or only_raises or str(entry).startswith("ale_py")) and newest:
            about[id] = _about(str(entry))
    return dict(sorted(about.items()))


def _about(entry: str) -> str:
    package = entry.removeprefix("gymnasium.envs.").split(".")[0]
    if not entry.startswith("gymnasium.envs."):
        return f"registered with Gymnasium by {entry.split('.')[0]}"
    what, needs = PACKAGES.get(package, ("functional", "gymnasium[jax]"))
    return f"Gymnasium, {what}" + (f" (needs {needs})" if needs else "")


FAMILIES: dict[str, tuple[Callable[[], dict[str, str]], str]] = {
    "arcade": (_arcade_names, "envs.arcade.vector:Arcade"),
    "board": (_board_names, "envs.board.vector:Board"),
    "text": (_text_names, "envs.text.batch:TextBatch"),
    "ALE": (_atari_names, "envs.atari:Atari"),
    "pettingzoo": (_pettingzoo_names, "envs.zoo:make"),
}
"""By the prefix of an id: what there is, and the `BatchEnv` class, built as `cls(id, n, **options)`."""

register()
