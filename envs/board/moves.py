"""Moves as people give them: played one by one, and refused in words where they are not legal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from envs.board.game import OPEN, OUTCOMES, Game, legal, outcome, play

SHOWN = 12
"""Legal moves that a refusal names at most."""


def position_of(game: Game, options: Mapping[str, Any]) -> np.ndarray:
    """The open position, uint64 `[words]`, that an episode's options name.

    They are `{"moves": "4 4 3"}`, as people write them, or `{"state": [...]}`, the words.

    Raises `ValueError` where these are no position of the game, or one in which it is over.
    """
    if set(options) not in ({"moves"}, {"state"}):
        named = ", ".join(sorted(options)) or "nothing"
        raise ValueError(f"a position is given by 'moves' or by 'state', not by {named}")
    if "moves" in options:
        state = play_moves(game, options["moves"])
    else:
        state = _checked(game, options["state"])
    if outcome(state) != OPEN:
        raise ValueError(over_there(state))
    return state


def play_moves(game: Game, moves: str) -> np.ndarray:
    """The state, uint64 `[words]`, after `moves` from the first position, such as `4 4 3`.

    Raises `ValueError` for what is no move or not legal, with its number in the row.
    """
    if not isinstance(moves, str):
        raise ValueError(f"moves are a text such as '{game.move_text(0)}', not {moves!r:.60}")
    state, mask = game.new()[0], np.zeros(game.actions, bool)
    for number, word in enumerate(moves.replace(",", " ").split(), 1):
        legal(game.code, state, mask)
        try:
            action = game.parse_move(word)
        except ValueError as error:
            raise ValueError(f"move {number}: {error}") from None
        if not mask[action]:
            raise ValueError(f"move {number}: {illegal(game, state, mask, action)}")
        play(game.code, state, action)
    return state


def illegal(game: Game, state: np.ndarray, mask: np.ndarray, action: int) -> str:
    """Why an action cannot be played where `mask` says what can."""
    if not 0 <= action < game.actions:
        return f"there is no action {action}; {game.actions} are counted from 0"
    name = game.move_text(action)
    if outcome(state) != OPEN:
        return f"{name} comes after the end ({OUTCOMES[outcome(state)]})"
    there = [game.move_text(int(k)) for k in np.flatnonzero(mask)]
    more = f" and {len(there) - SHOWN} more" if len(there) > SHOWN else ""
    return f"{name} (action {action}) is not legal; legal are {' '.join(there[:SHOWN])}{more}"


def check_saved(game: Game, state: Any, names: Iterable[str]) -> None:
    """`ValueError` where a saved state lacks one of `names`, or is of another game or other options."""
    missing = [name for name in ("game", "options", *names) if name not in state]
    if missing:
        raise ValueError(f"a state as get_state gives it has {', '.join(missing)} too")
    ours, theirs = (game.name, dict(game.options)), (state["game"], dict(state["options"]))
    if theirs != ours:
        raise ValueError(f"a state of {theirs[0]} {theirs[1]} cannot continue {ours[0]} {ours[1]}")


def over_there(state: np.ndarray) -> str:
    """That nothing can begin where a game is over."""
    return f"the game is over there ({OUTCOMES[outcome(state)]})"


def _checked(game: Game, given: Any) -> np.ndarray:
    try:
        words = np.array([int(word) for word in given], np.uint64)
    except (TypeError, ValueError, OverflowError):
        said = f"a state is a list of words, whole numbers below 2**64, not {given!r:.60}"
        raise ValueError(said) from None
    try:
        return game.check(words[None])[0]
    except ValueError as error:
        raise ValueError(str(error).removeprefix("slot 0 ")) from None
