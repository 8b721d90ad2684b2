"""A game between an agent of ours and whoever sends commands of GTP: what each command does."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from typing import NamedTuple

import numpy as np

from agents.threads import begin
from envs.board.batch import observe_states
from envs.board.game import OPEN, OUTCOMES, Game, legal, outcome, play, to_play
from envs.board.go_board import area
from envs.rng import from_seeds
from rollouts.agent import Agent
from search.gtp import COLOURS, action_at, vertex

SYNTAX = "syntax error"
ILLEGAL = "illegal move"
NO_SCORE = "cannot score"
RESIGN = "resign"


class Failure(Exception):
    """A command failed; says why, in the words of the protocol where it has any."""


class Position(NamedTuple):
    """Where a game stands."""

    state: np.ndarray
    """uint64 `[words]`."""
    moves: tuple[int, ...]
    """The actions that led here."""


class GtpGame:
    """A game that commands change; `agent`, who goes by `name`, makes the moves that they ask for.

    `commands` are functions by the commands' names: they take the words behind it, and return the answer, or
    raise `Failure`.
    """

    def __init__(self, game: Game, agent: Agent, name: str, seed: int = 0) -> None:
        self.game, self.agent, self.name = game, agent, name
        self.rng = from_seeds([seed])
        self.positions: list[Position] = []
        """Those that `undo` goes back through; the last is the present one."""
        self.commands: dict[str, Callable[[list[str]], str]] = {
            "protocol_version": lambda words: "2",
            "name": lambda words: name,
            "version": lambda words: version("move37"),
            "known_command": lambda words: str(_one(words) in self.commands).lower(),
            "list_commands": lambda words: "\n".join(self.commands),
            "quit": lambda words: "",
            "boardsize": self.boardsize,
            "clear_board": self.clear_board,
            "komi": self.komi,
            "play": self.play,
            "genmove": self.genmove,
            "reg_genmove": self.reg_genmove,
            "undo": self.undo,
            "showboard": lambda words: "\n" + game.board_text(self.positions[-1].state),
        }
        if game.name == "go":
            self.commands["final_score"] = self.final_score
        self.clear_board([])

    def boardsize(self, words: list[str]) -> str:
        """Columns, or columns and rows, which must be those of the agent's board. Clears it."""
        rows, columns = self.game.shape
        sizes = [_whole(word) for word in words]
        if not sizes:
            raise Failure(SYNTAX)
        if sizes not in ([columns], [columns, rows]):
            raise Failure("unacceptable size")
        return self.clear_board([])

    def clear_board(self, words: list[str]) -> str:
        self.positions = [Position(self.game.new()[0], ())]
        return ""

    def komi(self, words: list[str]) -> str:
        """Must be the game's own; games that have none take any."""
        ours = self.game.options.get("komi")
        try:
            komi = float(_one(words))
        except ValueError:
            raise Failure(SYNTAX) from None
        if ours is not None and komi != ours:
            raise Failure(f"komi is {ours} here")
        return ""

    def play(self, words: list[str]) -> str:
        if len(words) != 2:
            raise Failure(SYNTAX)
        seat = _seat(words[0])
        try:
            action = action_at(self.game, words[1])
        except ValueError:
            raise Failure(SYNTAX) from None
        position = self._turn_of(seat)
        if position is None or not self._legal(position)[action]:
            raise Failure(ILLEGAL)
        self.positions.append(self._after(position, action))
        return ""

    def genmove(self, words: list[str]) -> str:
        position, action = self._chosen(words, self.rng)
        if action < 0:
            return RESIGN
        self.positions.append(self._after(position, action))
        return vertex(self.game, action)

    def reg_genmove(self, words: list[str]) -> str:
        """What `genmove` would answer, and nothing is changed."""
        _, action = self._chosen(words, self.rng.copy())
        return RESIGN if action < 0 else vertex(self.game, action)

    def undo(self, words: list[str]) -> str:
        if len(self.positions) == 1:
            raise Failure("cannot undo")
        self.positions.pop()
        return ""

    def final_score(self, words: list[str]) -> str:
        """Of go, once it is over: by area, with all stones alive."""
        state = self.positions[-1].state
        if outcome(state) == OPEN:
            raise Failure(NO_SCORE)
        score = area(state.copy(), self.game.code[1]) - self.game.options["komi"]
        return f"{'B' if score > 0 else 'W'}+{abs(score):g}" if score else "0"

    def _chosen(self, words: list[str], rng: np.ndarray) -> tuple[Position, int]:
        """Where the agent is asked for a colour's move, and its action; −1 where it gives up."""
        seat = _seat(_one(words))
        position = self._turn_of(seat)
        if position is None:
            raise Failure(f"it is {COLOURS[1 - seat]}'s turn")
        if outcome(position.state) != OPEN:
            raise Failure(f"the game is over ({OUTCOMES[outcome(position.state)]})")
        obs = observe_states(self.game, position.state[None])
        obs["moves"] = np.array([position.moves], np.int16)
        ask = partial(self.agent.act, obs, rng=rng, first=np.array([True]), explore=False)
        action = int(begin(ask).result().actions[0])
        if action >= 0 and not (action < self.game.actions and self._legal(position)[action]):
            raise Failure(f"{self.name} answered an illegal move")
        return position, action

    def _turn_of(self, seat: int) -> Position | None:
        """The present position, with a pass before where it is the other's turn; None where none is legal."""
        position = self.positions[-1]
        if to_play(position.state) == seat:
            return position
        passing = _pass(self.game)
        if passing is None or not self._legal(position)[passing]:
            return None
        return self._after(position, passing)

    def _legal(self, position: Position) -> np.ndarray:
        """Which actions are legal, bool `[actions]`."""
        mask = np.zeros(self.game.actions, bool)
        legal(self.game.code, position.state, mask)
        return mask

    def _after(self, position: Position, action: int) -> Position:
        state = position.state.copy()
        play(self.game.code, state, action)
        return Position(state, (*position.moves, action))


def _one(words: list[str]) -> str:
    if len(words) != 1:
        raise Failure(SYNTAX)
    return words[0]


def _whole(word: str) -> int:
    if not (word.isascii() and word.isdecimal() and len(word) < 10):
        raise Failure(SYNTAX)
    return int(word)


def _seat(word: str) -> int:
    """The seat of a colour: `b`, `black`, `w`, `white`, in capitals too."""
    for seat, colour in enumerate(COLOURS):
        if word.lower() in (colour, colour[0]):
            return seat
    raise Failure(SYNTAX)


def _pass(game: Game) -> int | None:
    """The action that is a pass, where the game has one."""
    try:
        return game.parse_move("pass")
    except ValueError:
        return None
