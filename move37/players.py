"""A name becomes an opponent: `uct:1000`, `perfect`, `random`, a run folder, an import path."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gymnasium.spaces import Discrete

from envs.board.game import Game
from envs.board.spaces import game_of, observation_space
from envs.nearest import nearest
from envs.options import check_options
from envs.paths import is_import_path
from move37.build import WRONG
from move37.errors import UserError, in_one_line
from move37.registry import AGENTS, agent_class
from move37.run import Run
from rollouts.agent import Agent, Learner

DIGITS = 1000
"""Of a number behind a name, at most: Python reads no more than 4,300."""
HURRY_FROM = 14
"""The ply of a match from which the perfect player wins as soon, and loses as late, as it can."""
DEEP = 8
"""A book of so many stones leaves no opening that takes long."""
SLOW = (
    "perfect has no deep opening book of connect four: its moves of the first 8 plies take up to minutes "
    "each, but only once (see move37 book --help)"
)
PLAYERS = "a run folder, uct:1000, alphabeta:6, perfect, random or package.module:Class"


def player(
    name: str,
    game: Game,
    *,
    checkpoint: str = "last",
    trust: bool = False,
    match: bool = False,
    options: Mapping[str, Any] | None = None,
) -> Agent:
    """The agent that `name` stands for, to play `game`.

    `checkpoint` is which one of a run folder. `trust` allows import paths to be followed, `name` itself among
    them. In a `match` the perfect player begins to hurry late, which is much faster. `options` go on top of
    what the name says. Where a player's moves will take long, stderr is told. Raises `UserError`: an unknown
    name, a number that is missing or none, a player of another game.
    """
    kind, colon, number = name.partition(":")
    given = dict(options or {})
    if kind in AGENTS:
        option = AGENTS[kind].number
        named = option is not None and option[0] in given and not colon
        chosen = {} if named else _options(name, kind, number if colon else None)
        if kind == "perfect" and match:
            chosen["hurry_from"] = HURRY_FROM
        agent = _build(name, kind, game, chosen | given)
        if kind == "perfect" and game.name == "connect_four" and not _has_deep_book():
            print(f"move37: {SLOW}", file=sys.stderr)
        return agent
    if is_folder(name):
        return run_player(name, game, checkpoint, trust, given)
    if is_import_path(name):
        if not trust:
            raise UserError(f"player '{name}' is code, which would run here; if you trust it, say --trust")
        return _build(name, name, game, given)
    near = nearest(kind, AGENTS)
    meant = f"did you mean '{near[0]}{colon}{number}'?" if near else f"a player is {PLAYERS}"
    raise UserError(f"no player '{name}'; {meant}")


def is_folder(name: str) -> bool:
    """Whether there is a folder of that name (there is none of a name that is no path at all)."""
    try:
        return Path(name).is_dir()
    except (OSError, ValueError):
        return False


def _has_deep_book() -> bool:
    from search.perfect.book import MOST_STONES, book_path

    return any(book_path(stones).exists() for stones in range(DEEP, MOST_STONES + 1))


def _options(name: str, kind: str, number: str | None) -> dict[str, int]:
    """The option that the number behind a name sets; none where the kind takes no number."""
    takes = AGENTS[kind].number
    if takes is None:
        if number is not None:
            raise UserError(f"player '{name}': {kind} takes no number")
        return {}
    option, usual = takes
    if number is None:
        raise UserError(f"player '{name}' needs a number ({option}), as in {kind}:{usual}")
    if not (number.isascii() and number.isdecimal() and len(number) <= DIGITS and int(number) > 0):
        said = f"{option} must be a whole number from 1, as in {kind}:{usual}, not '{number:.40}'"
        raise UserError(f"player '{name}': {said}")
    return {option: int(number)}


def _build(name: str, path: str, game: Game, options: Mapping[str, Any]) -> Agent:
    kind: Any = agent_class(path)
    if issubclass(kind, Learner):
        raise UserError(f"player '{name}' would begin untrained; name the folder of a run that trained it")
    try:
        check_options(f"player '{name}'", kind, options, given=("observation_space", "action_space"))
        agent: Agent = kind(observation_space(game), Discrete(game.actions), **options)
    except WRONG as error:
        raise UserError(f"player '{name}': {in_one_line(error)}") from error
    return agent


def run_player(
    name: str,
    game: Game,
    checkpoint: str = "last",
    trust: bool = False,
    budget: Mapping[str, Any] | None = None,
) -> Agent:
    """The agent of a run folder, where it plays the same game (`UserError` where not); see `Run.agent_at`."""
    run = Run.load(name, trust=trust)
    theirs = game_of_run(run)
    if theirs is None or not same(theirs, game):
        played = described(theirs, game) if theirs else run.config.env.id
        raise UserError(f"{name} plays {played}, not {described(game, theirs or game)}")
    return run.agent_at(checkpoint, **(budget or {}))


def game_of_run(run: Run) -> Game | None:
    """The board game that a run plays; None where it plays something else."""
    env = run.make_env(1)
    try:
        return game_of(env.single_observation_space)
    except ValueError:
        return None
    finally:
        env.close()


def same(one: Game, other: Game) -> bool:
    """Whether two games are the same, with the same options."""
    return (one.name, dict(one.options)) == (other.name, dict(other.options))


def described(game: Game, beside: Game) -> str:
    """A game's title, with the options that tell it from another of the same title."""
    differing = {k: v for k, v in game.options.items() if beside.options.get(k) != v}
    if game.title != beside.title or not differing:
        return game.title
    return f"{game.title} with {', '.join(f'{k} {v}' for k, v in differing.items())}"
