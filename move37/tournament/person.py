"""A person among the entrants of a tournament, at this terminal."""

from __future__ import annotations

import numpy as np

from envs.board.game import Game, play
from move37.play import SEATS, Terminal
from move37.tournament.gamelog import GameRecord
from rollouts.agent import Agent, Decision, Memory, Obs
from search.arena import NONE

PERSON = "person"
"""As an entrant's `player`."""
GONE = "the input ended, and so this game does not count; all before are kept: the same command goes on"


class Person(Agent):
    """Someone who is asked for each move, in one game at a time; `quit` gives it up."""

    def __init__(self, game: Game, terminal: Terminal) -> None:
        self.game, self.terminal = game, terminal
        self.asks, self.opponent, self.known = "your move", "", 0

    def sit(self, title: str, names: tuple[str, str], seat: int, opening: list[str]) -> None:
        """A game begins between `names`, who has seat 0 first; this person has `seat`."""
        men = [f"{name} ({self.terminal.man(self.game, k)})" for k, name in enumerate(names)]
        told = ", ".join(f"{man} moves {SEATS[k]}" for k, man in enumerate(men))
        after = f"; after the opening {' '.join(opening)}" if opening else ""
        self.terminal.say(f"{title}: {told}{after}")
        self.asks, self.opponent, self.known = f"{men[seat]}, your move", names[1 - seat], len(opening)

    def hear(self, record: GameRecord) -> None:
        """That game is over."""
        state, moves = self.game.new()[0], record.moves.split()
        for word in [*record.opening.split(), *moves]:
            play(self.game.code, state, self.game.parse_move(word))
        winner = {1.0: f"{record.first} won", 0.5: "a draw", 0.0: f"{record.second} won"}[record.points]
        why = f" ({record.why})" if record.why else ""
        plies = "1 ply" if len(moves) == 1 else f"{len(moves)} plies"
        self.terminal.say(f"{self.game.board_text(state)}\n{winner} after {plies}{why}\n")

    def act(
        self, obs: Obs, *, rng: np.ndarray, first: np.ndarray, memory: Memory = None, explore: bool = True
    ) -> Decision:
        rows = zip(obs["state"], obs["action_mask"], obs["moves"])
        told = np.array([self._ask(state, mask, moves[moves != NONE]) for state, mask, moves in rows])
        return Decision(told, fields={"forfeit": np.where(told >= 0, "", "left")})

    def _ask(self, state: np.ndarray, mask: np.ndarray, moves: np.ndarray) -> int:
        """The action of someone who sees a position and what was played since the last one; -1: gives up."""
        say, game = self.terminal.say, self.game
        for action in moves[self.known :].tolist():
            say(f"{self.opponent} plays {game.move_text(action)}")
        self.known = len(moves) + 1
        say(game.board_text(state))
        legal = {game.move_text(int(k)).lower(): int(k) for k in np.flatnonzero(mask)}
        for line in self.terminal.lines(f"{self.asks} (moves, quit): "):
            word = line.lower()
            if word in legal:
                return legal[word]
            if word == "quit":
                return -1
            say(" ".join(legal) if word == "moves" else f"'{line}' is not legal (or: moves, quit)")
        raise KeyboardInterrupt(GONE)
