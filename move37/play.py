"""A person against an agent, on any board game: in a terminal, or through a pipe."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import wait
from typing import Any, TypeVar

import numpy as np

from agents.threads import begin
from envs.board.game import OPEN, OUTCOMES, Game, legal, outcome, play, to_play, value_of
from envs.board.moves import illegal
from envs.board.render import LOOKS, Look, ansi
from envs.rng import from_seeds
from move37.errors import UserError
from move37.terminal import Prompt
from rollouts.agent import Agent
from search.thoughts import GivesUp, Thought, ask, think

T = TypeVar("T")

SEATS = ("first", "second")
MEN = "xo"
WORDS = ("hint", "undo", "moves", "quit")
TOP = 5
"""Moves that a hint shows."""
COLUMNS = {
    "scores": ("score", "d"),
    "visits": ("visits", ",d"),
    "q": ("value", "+.2f"),
    "prior": ("prior", ".1%"),
}
"""What a hint tells of a move: its heading and its format."""
PATIENCE = 1.0
"""Seconds of thought after which a terminal is told so."""


class Duel:
    """One game between a person, in `seat`, and `opponent`, whom the person knows as `name`."""

    def __init__(self, game: Game, opponent: Agent, name: str, seat: int, seed: int = 0) -> None:
        self.game, self.opponent, self.name, self.seat = game, opponent, name, seat
        self.rng = from_seeds([seed])
        self.states = [game.new()[0]]
        self.actions: list[int] = []

    @property
    def state(self) -> np.ndarray:
        """The position, uint64 `[words]`."""
        return self.states[-1]

    @property
    def plies(self) -> str:
        """How long the game is so far, in words."""
        return "1 ply" if len(self.actions) == 1 else f"{len(self.actions)} plies"

    @property
    def over(self) -> bool:
        return outcome(self.state) != OPEN

    @property
    def persons_turn(self) -> bool:
        return to_play(self.state) == self.seat

    def mask(self) -> np.ndarray:
        """Which actions are legal, bool `[actions]`."""
        mask = np.zeros(self.game.actions, bool)
        legal(self.game.code, self.state, mask)
        return mask

    def play(self, action: int) -> None:
        """Play an action of whoever is to move (`ValueError`, in words, where it is not legal)."""
        mask = self.mask()
        if not (0 <= action < len(mask) and mask[action]):
            raise ValueError(illegal(self.game, self.state, mask, action))
        state = self.state.copy()
        play(self.game.code, state, action)
        self.states.append(state)
        self.actions.append(action)

    def answer(self) -> str:
        """Let the opponent move; returns its move as text (`UserError` where there is no legal one)."""
        try:
            action = ask(self.opponent, self.game, self.state, self.rng).best
            self.play(action)
        except GivesUp as error:
            raise UserError(f"{self.name} gives up ({error}): you won after {self.plies}") from None
        except ValueError as error:
            raise UserError(f"{self.name} moved against the rules: {error}") from None
        return self.game.move_text(action)

    def undo(self) -> bool:
        """Go back to the person's decision before this one; False where there was none."""
        for count in range(len(self.actions) - 1, -1, -1):
            if to_play(self.states[count]) == self.seat:
                del self.states[count + 1 :], self.actions[count:]
                return True
        return False

    def thought(self) -> Thought:
        """What the opponent thinks of the position; the game's own chance is left as it is."""
        return think(self.opponent, self.game, self.state, self.rng.copy())

    def result(self) -> dict[str, Any]:
        """The game in plain data. `score` is the person's: 1, 0.5 or 0; None where it is not over."""
        end = outcome(self.state)
        return {
            "game": self.game.name,
            "options": dict(self.game.options),
            "against": self.name,
            "as": SEATS[self.seat],
            "moves": [self.game.move_text(action) for action in self.actions],
            "outcome": OUTCOMES[end],
            "score": (1 + value_of(end, self.seat)) / 2 if self.over else None,
        }


class Terminal(Prompt):
    """Where a person plays; in colours where both ends are a real terminal."""

    def draw(self, duel: Duel) -> None:
        self.say(ansi(duel.game, duel.state) if self.live else duel.game.board_text(duel.state))

    def man(self, game: Game, seat: int) -> str:
        """How the men of a seat are drawn."""
        if not self.live:
            return MEN[seat]
        look = LOOKS.get(game.name, Look())
        board, man = (";".join(map(str, colour)) for colour in (look.board, look.men[seat]))
        return f"\x1b[48;2;{board}m\x1b[38;2;{man}m ● \x1b[0m"

    def wait_for(self, name: str, thought: Callable[[], T]) -> T:
        """What `thought()` comes to. After a second, say that it may take longer, above all the first time.

        It runs in a thread of its own, so that Ctrl-C stops even a search that does not look up.
        """
        found = begin(thought)
        wait([found], PATIENCE)
        if self.live and not found.done():
            self.say(f"{name} is thinking (the first time, it also compiles)")
        return found.result()


def converse(duel: Duel, terminal: Terminal) -> None:
    """Play the game to its end, or until the person leaves."""
    mine, theirs = (terminal.man(duel.game, seat) for seat in (duel.seat, 1 - duel.seat))
    terminal.say(f"{duel.game.title}: you are {mine} and move {SEATS[duel.seat]}, {duel.name} is {theirs}")
    aims = duel.game.aims
    if any(aims):
        terminal.say(f"{mine} {aims[duel.seat]}, {theirs} {aims[1 - duel.seat]}")
    while play_on(duel, terminal) and taken_back(duel, terminal):
        pass


def play_on(duel: Duel, terminal: Terminal) -> bool:
    """Play to the end, and say how it ended; False where the person leaves."""
    while not duel.over:
        if duel.persons_turn:
            terminal.draw(duel)
            if not move(duel, terminal):
                terminal.say(f"left after {duel.plies}")
                return False
        else:
            terminal.say(f"{duel.name} plays {terminal.wait_for(duel.name, duel.answer)}")
    terminal.draw(duel)
    worth = value_of(outcome(duel.state), duel.seat)
    verdict = {1: "you won", 0: "a draw", -1: f"{duel.name} won"}[worth]
    terminal.say(f"{verdict} after {duel.plies}")
    return True


def taken_back(duel: Duel, terminal: Terminal) -> bool:
    """Whether the person, whose game is over, goes back to their last decision."""
    for line in terminal.lines("undo, or quit: "):
        if line.lower() == "undo" and duel.undo():
            return True
        if line.lower() in ("", "quit"):
            return False
        terminal.say("the game is over: undo or quit")
    return False


def move(duel: Duel, terminal: Terminal) -> bool:
    """Read until the person has moved or taken a move back; False where they leave."""
    for line in terminal.lines(f"your move ({', '.join(WORDS)}): "):
        word = line.lower()
        if word == "quit":
            return False
        if word == "undo":
            if duel.undo():
                return True
            terminal.say("there is nothing to undo")
        elif word == "hint":
            terminal.say(hint(duel, terminal))
        elif word == "moves":
            terminal.say(" ".join(duel.game.move_text(int(a)) for a in np.flatnonzero(duel.mask())))
        elif word:
            try:
                duel.play(_move(duel.game, line))
                return True
            except ValueError as error:
                terminal.say(f"{error} (or: {', '.join(WORDS)})")
    return False


def hint(duel: Duel, terminal: Terminal) -> str:
    """What the opponent thinks, in words."""
    try:
        return told(duel, terminal.wait_for(duel.name, duel.thought))
    except GivesUp as error:
        return f"{duel.name} would give up: {error}"


def _move(game: Game, word: str) -> int:
    """The action that a person typed (`ValueError` where the game has none of that name)."""
    action = game.parse_move(word)
    if not 0 <= action < game.actions:
        raise ValueError(f"'{word}' is no move of {game.name}")
    return action


def told(duel: Duel, thought: Thought) -> str:
    """A thought as a table of the moves, the best first, and the line that would follow."""
    name = duel.game.move_text
    value = "" if thought.value is None else f" (the position's value: {round(thought.value, 2) + 0.0:+.2f})"
    lines = [f"{duel.name} would play {name(thought.best)}{value}"]
    known = [column for column in COLUMNS if column in thought.moves]
    if known:
        lines.append("  move" + "".join(f"{COLUMNS[column][0]:>9}" for column in known))
        ranking = thought.moves[known[0]]
        legal = np.flatnonzero(duel.mask()).tolist()
        for action in sorted(legal, key=lambda a: (a != thought.best, -ranking[a]))[:TOP]:
            cells = (format(thought.moves[column][action], COLUMNS[column][1]) for column in known)
            lines.append(f"{name(action):>6}" + "".join(f"{cell:>9}" for cell in cells))
    if len(thought.line) > 1:
        lines.append("and then: " + " ".join(map(name, thought.line[1:])))
    return "\n".join(lines)
