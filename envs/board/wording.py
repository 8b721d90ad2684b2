"""Board games in words: a position becomes text, and text becomes a move, for all games in this one place.

A position is who is to move and the stones, x the first player's and o the second's, from above:

    x:
    .x.
    o..
    ...

A move is an answer in the game's own notation, `<answer>b2</answer>`; what stands before it is free. Such a
text holds the whole position where its planes show no more than whose stones stand where, who is first, and
whether the second player may swap: all games of the suite but go, in which earlier boards forbid moves. Of
others' games (PettingZoo's tictactoe and connect_four) the planes must be two, the mover's stones and the
other's, and an action a cell or a column; these are then named as in the games of the suite.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from gymnasium import spaces

from envs.base import FORFEIT
from envs.board import text
from envs.board.game import Game
from envs.board.spaces import StateSpace
from envs.text import parsing

TOLD = {"mine", "theirs", "first", "may swap"}
"""Planes that a wording tells, or that follow from what it tells."""
SHOWN = 40
"""Characters of an answer that a refusal repeats at most."""
CODES = np.frombuffer(text.MEN.encode(), np.uint8)


@dataclass(frozen=True)
class Wording:
    """The words of one game of two seats, for batches of observations and of answers."""

    title: str
    shape: tuple[int, int]
    """Rows and columns of the board."""
    actions: int
    move_text: Callable[[int], str]
    parse_move: Callable[[str], int]
    """As `envs.board.game.Game` has them."""
    mine: int = 0
    """Which plane shows the mover's stones."""
    theirs: int = 1
    """Which plane shows the other's."""

    @property
    def alphabet(self) -> str:
        """Every character of positions and moves, sorted (tags left out)."""
        moves = "".join(self.move_text(action) for action in range(self.actions))
        return "".join(sorted({*moves, *self.empty, *text.MEN}))

    @property
    def empty(self) -> str:
        """The empty board. All positions have as many characters."""
        planes = np.zeros((1, *self.shape, 1 + max(self.mine, self.theirs)))
        return self.positions({"planes": planes, "to_play": np.zeros(1, int)})[0]

    def positions(self, obs: Mapping[str, np.ndarray]) -> tuple[str, ...]:
        """The text of each row of observations (`planes` `[n, rows, columns, planes]`, `to_play` `[n]`)."""
        planes, seats = np.asarray(obs["planes"]) > 0, np.asarray(obs["to_play"])
        stones = planes[..., self.mine], planes[..., self.theirs]
        moves_second = seats[:, None, None] == 1
        first, second = np.where(moves_second, stones[::-1], stones)
        drawn = np.full((len(seats), self.shape[0], self.shape[1] + 1), ord("\n"), np.uint8)
        drawn[..., :-1] = CODES[first + 2 * second]
        movers = [text.MEN[1 + int(seat)] for seat in seats]
        return tuple(f"{man}:\n{board.tobytes().decode()}" for man, board in zip(movers, drawn))

    def moves(self, actions: Sequence[int] | np.ndarray) -> tuple[str, ...]:
        """The completion that says each action."""
        return tuple(parsing.write(self.move_text(int(action))) for action in actions)

    def read(self, said: Sequence[str], masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The action of each completion, by the legal ones (`masks`, bool `[n, actions]`).

        Returns the actions, int64 `[n]`, `FORFEIT` where it says none that is legal, and why (objects `[n]`):
        "no move: …", "illegal move: …", or empty. Raises nothing, whatever was said.
        """
        read = [self._read(text, mask) for text, mask in zip(said, masks)]
        why = np.empty(len(read), object)
        why[:] = [reason for _, reason in read]
        return np.array([action for action, _ in read], np.int64), why

    def _read(self, said: str, mask: np.ndarray) -> tuple[int, str]:
        found = parsing.read(said)
        if found.answer is None:
            return FORFEIT, f"no move: {found.error}"
        try:
            action = self.parse_move(found.answer)
        except ValueError:
            action = FORFEIT
        if not 0 <= action < self.actions:
            return FORFEIT, f"no move: {found.answer[:SHOWN]!r} is none of {self.title}"
        return (action, "") if mask[action] else (FORFEIT, f"illegal move: {self.move_text(action)}")


def wording_of(observation_space: spaces.Space, action_space: spaces.Space) -> Wording:
    """The words of the game whose spaces these are (`ValueError` where it has none, and why)."""
    parts = observation_space.spaces if isinstance(observation_space, spaces.Dict) else {}
    if not (
        parts.keys() >= {"planes", "action_mask", "to_play"} and isinstance(action_space, spaces.Discrete)
    ):
        raise ValueError(f"only games of two in turn are told in words, not {observation_space!s:.60}")
    state = parts.get("state")
    if isinstance(state, StateSpace):
        return of_game(state.game)
    return of_planes(parts["planes"], int(parts["to_play"].n), int(action_space.n))  # type: ignore[attr-defined]


def of_game(game: Game) -> Wording:
    """The words of a game (`ValueError` where its planes show more than text of the stones would)."""
    planes = game.planes
    if not {"mine", "theirs"} <= set(planes) <= TOLD:
        raise ValueError(
            f"{game.title} cannot be told in words: its planes are {', '.join(planes)}, and a text of the "
            "stones tells mine and theirs, and no more than first and may swap beside them"
        )
    told: dict[str, Any] = {name: planes.index(name) for name in ("mine", "theirs")}
    return Wording(game.title, game.shape, game.actions, game.move_text, game.parse_move, **told)


def of_planes(planes: spaces.Space, seats: int, actions: int) -> Wording:
    """The words of a game that only its spaces tell of (`ValueError` where these are not of that kind)."""
    shape = planes.shape or ()
    flags = isinstance(planes, spaces.Box) and bool(np.all(planes.low == 0) and np.all(planes.high == 1))
    if seats == 2 and flags and len(shape) == 3 and shape[2] == 2 and shape[1] <= len(text.LETTERS):
        rows, columns = shape[:2]
        title = f"a game on {rows}×{columns}"
        if actions == rows * columns:
            cell: dict[str, Any] = {"rows": rows, "columns": columns}
            named = partial(text.cell_text, **cell), partial(text.parse_cell, **cell)
            return Wording(title, (rows, columns), actions, *named)
        if actions == columns:
            named_columns = column_text, partial(text.parse_column, columns=columns)
            return Wording(title, (rows, columns), actions, *named_columns)
    raise ValueError(
        "this game cannot be told in words: that takes two players, planes [rows, columns, 2] of 0 and 1, "
        f"and an action a cell or a column, not {seats} players, {planes!s:.60} and {actions} actions"
    )


def column_text(action: int) -> str:
    """A column, counted from 1."""
    return str(action + 1)
