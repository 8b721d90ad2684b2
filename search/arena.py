"""Many games at once between agents of any kind: whoever is to move in any of them is asked in one batch.

Slots are filled again as games end. Nothing that an agent does is a reason to stop: a move that is not legal,
or none, or an answer that is none loses that game, and the reason is kept. Where it raises, or its answer has
not the form of a `Decision` (its `visits`, `nodes` or `forfeit` too), it is asked about each row alone: only
rows in which it fails again are lost.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from envs.base import FORFEIT
from envs.board.batch import observe_states
from envs.board.game import FIRST_WON, OPEN, SECOND_WON, Game, outcome, play
from envs.board.moves import illegal
from envs.kernels import kernel
from rollouts.agent import Agent, Decision
from rollouts.seat import Seat

NONE = FORFEIT
"""In arrays of moves: after the end. As an agent's action: it gives up (`fields["forfeit"]` says why)."""
SLOTS = 256
"""Games at once, where it is not said."""
FAILS = (Exception, SystemExit)
"""What an agent may raise and the games go on. Ctrl-C is not its own."""
LONGEST = 200
"""Characters of a reason at most."""


class BadAnswer(ValueError):
    """What an agent answered has not the form of a `Decision`."""


@dataclass(frozen=True)
class Openings:
    """Where games begin: positions, and the moves that lead there from the first one."""

    states: np.ndarray
    """uint64 `[k, words]`."""
    moves: np.ndarray
    """int16 `[k, plies]`: actions; `NONE` after the last."""

    def __len__(self) -> int:
        return len(self.states)

    def take(self, index: Any) -> Openings:
        """Those at `index` (ints `[m]`, or a slice)."""
        return Openings(self.states[index], self.moves[index])


@dataclass(frozen=True)
class Fixtures:
    """Games to be played: who against whom, by numbers of players, and from where."""

    players: np.ndarray
    """int64 `[g, 2]`: who has seat 0, who seat 1."""
    openings: Openings
    rng: np.ndarray
    """uint64 `[g]`: a generator a game."""

    def __len__(self) -> int:
        return len(self.players)


@dataclass(frozen=True)
class Played:
    """How games went, in the order of their fixtures."""

    outcomes: np.ndarray
    """int64 `[g]`: DRAW, FIRST_WON or SECOND_WON."""
    moves: np.ndarray
    """int16 `[g, plies]`: all, from the opening's end on; `NONE` after the last."""
    why: list[str]
    """What ended a game other than its rules: what the loser did, in a line of `LONGEST` printable characters
    at most. Empty for most."""
    seconds: np.ndarray
    """float64 `[g, 2]`: of each seat's thought, its share of the batches it was in."""
    nodes: np.ndarray
    """int64 `[g, 2]`: visits that each seat's searches made; 0 for who does not search."""


def play_games(
    game: Game,
    players: Sequence[Agent],
    fixtures: Fixtures,
    *,
    slots: int = SLOTS,
    explore: bool | Sequence[bool] = False,
    report: Callable[[int], None] = lambda done: None,
) -> Played:
    """Play all fixtures, `slots` at once.

    Agents see `observe_states` of the games in which they move, and in `moves` (int16 `[n, plies]`) how these
    came there. `explore` is for all, or for each player. `report` is told how many games are done.
    """
    each = [explore] * len(players) if isinstance(explore, bool) else list(explore)
    arena = Arena(game, players, fixtures, min(slots, max(1, len(fixtures))), each)
    done = 0
    while arena.turn():
        if arena.done != done:
            done = arena.done
            report(done)
    return arena.played()


class Arena:
    """Games in progress, a slot each."""

    def __init__(
        self, game: Game, players: Sequence[Agent], fixtures: Fixtures, slots: int, explore: Sequence[bool]
    ) -> None:
        self.game, self.players, self.fixtures, self.explore = game, players, fixtures, explore
        self.chairs = [Seat(slots, 2, player.shares_memory) for player in players]
        self.states = np.repeat(game.new(), slots, axis=0)
        self.rng = np.zeros(slots, np.uint64)
        self.number = np.full(slots, NONE)  # of the fixture in each slot
        self.begun = self.done = 0
        count, self.opened = len(fixtures), fixtures.openings.moves.shape[1]
        self.lines = np.full((count, self.opened + game.longest), NONE, np.int16)  # openings and moves
        self.lines[:, : self.opened] = fixtures.openings.moves
        self.lengths = (fixtures.openings.moves != NONE).sum(axis=1)
        self.outcomes, self.why = np.full(count, OPEN), [""] * count
        self.seconds, self.nodes = np.zeros((count, 2)), np.zeros((count, 2), np.int64)

    def turn(self) -> bool:
        """One ply in every game that goes on; False where all are over."""
        self._fill()
        live = np.flatnonzero(self.number != NONE)
        if not len(live):
            return False
        obs = self._observe(live)
        masks, seats = obs["action_mask"].copy(), obs["to_play"].copy()  # agents may write into theirs
        movers = self.fixtures.players[self.number, seats]
        actions = np.full(len(self.states), NONE)
        for player in np.unique(movers[live]).tolist():
            rows = live[movers[live] == player]
            actions[rows] = self._ask(player, obs, rows, seats)
        self._play(actions, masks, live, seats)
        return True

    def _observe(self, live: np.ndarray) -> dict[str, np.ndarray]:
        """What agents are shown of all slots; of those that are not `live`, whatever there is."""
        obs = observe_states(self.game, self.states)
        longest = self.lengths[self.number[live]].max()
        return obs | {"moves": self.lines[self.number, :longest]}

    def _fill(self) -> None:
        """Begin the next fixtures in the slots that are free."""
        free = np.flatnonzero(self.number == NONE)[: len(self.fixtures) - self.begun]
        if not len(free):
            return
        new = np.arange(self.begun, self.begun + len(free))
        self.begun += len(free)
        self.number[free] = new
        self.states[free], self.rng[free] = self.fixtures.openings.states[new], self.fixtures.rng[new]
        for chair in self.chairs:
            chair.begin(free)

    def _ask(self, player: int, obs: dict[str, np.ndarray], rows: np.ndarray, seats: np.ndarray) -> Any:
        """The actions of a player in the slots `rows`; why it does not play is noted.

        Where it fails, it is asked about each row alone: one bad row costs no other game.
        """
        try:
            return self._decide(player, obs, rows, seats)
        except FAILS as error:
            if len(rows) == 1:
                self.why[self.number[rows[0]]] = raised(error)
                return np.array([NONE])
        fresh = self._observe(rows)
        return np.concatenate([self._ask(player, fresh, row, seats) for row in rows[:, None]])

    def _decide(self, player: int, obs: dict[str, np.ndarray], rows: np.ndarray, seats: np.ndarray) -> Any:
        """A player's actions in the slots `rows`, checked; what they took, and why there are none, is noted.

        Where it raises, its chair and the generators are as they were before.
        """
        games, chair, began = self.number[rows], self.chairs[player], time.perf_counter()
        first, memory, rng = chair.first.copy(), chair.memory, self.rng.copy()
        try:
            decision = chair.decide(self.players[player], obs, rng, rows, seats, self.explore[player])
            actions, nodes = actions_of(decision, len(rows)), nodes_of(decision, len(rows))
            reasons = reasons_of(decision, len(rows))
        except FAILS:
            chair.first, chair.memory = first, memory
            raise
        finally:
            self.seconds[games, seats[rows]] += (time.perf_counter() - began) / len(rows)
        self.rng[rows] = rng[rows]
        self.nodes[games, seats[rows]] += nodes
        for k in np.flatnonzero(actions == NONE):
            self.why[games[k]] = reasons[k] or "gave no move"
        return actions

    def _play(self, actions: np.ndarray, masks: np.ndarray, live: np.ndarray, seats: np.ndarray) -> None:
        """Play the actions of the slots `live`; settle the games that end."""
        legal = np.zeros(len(actions), bool)
        inside = live[(actions[live] >= 0) & (actions[live] < self.game.actions)]
        legal[inside] = masks[inside, actions[inside]]
        for slot in live[~legal[live]]:
            number = self.number[slot]
            if not self.why[number]:
                said = illegal(self.game, self.states[slot], masks[slot], int(actions[slot]))
                self.why[number] = f"illegal move: {said}"
            self.outcomes[number] = FIRST_WON if seats[slot] else SECOND_WON
        rows = np.flatnonzero(legal)
        games = self.number[rows]
        self.lines[games, self.lengths[games]] = actions[rows]
        self.lengths[games] += 1
        ends = np.zeros(len(actions), np.int64)
        play_all(self.game.code, self.states, actions, legal, ends)
        over = rows[ends[rows] != OPEN]
        self.outcomes[self.number[over]] = ends[over]
        ended = live[self.outcomes[self.number[live]] != OPEN]
        self.number[ended] = NONE
        self.done += len(ended)

    def played(self) -> Played:
        """How all games went."""
        opened = (self.fixtures.openings.moves != NONE).sum(axis=1)
        rows, most = np.arange(len(opened))[:, None], int((self.lengths - opened).max(initial=0))
        columns = opened[:, None] + np.arange(most)
        moves = np.pad(self.lines, ((0, 0), (0, most)), constant_values=NONE)[rows, columns]
        return Played(self.outcomes, moves, self.why, self.seconds, self.nodes)


def actions_of(decision: Decision, count: int) -> np.ndarray:
    """A decision's actions, int64 `[count]` (`BadAnswer` for what are none)."""
    actions = np.asarray(decision.actions)
    if actions.shape != (count,) or actions.dtype.kind not in "iu":
        raise BadAnswer(f"actions must be integers [{count}], not {form(actions)}")
    return actions.astype(np.int64)


def nodes_of(decision: Decision, count: int) -> np.ndarray:
    """Nodes that were searched for each row, int64 `[count]`: what it tells itself, or visits at the root.

    Raises `BadAnswer` for what are no counts.
    """
    name = "nodes" if "nodes" in decision.fields else "visits"
    if name not in decision.fields:
        return np.zeros(count, np.int64)
    told = np.asarray(decision.fields[name])
    axes, wanted = (1, f"[{count}]") if name == "nodes" else (2, f"[{count}, actions]")
    if told.ndim != axes or len(told) != count or told.dtype.kind not in "iuf":
        raise BadAnswer(f"{name} must be counts {wanted}, not {form(told)}")
    if not ((told >= 0) & (told <= 2**53)).all():
        raise BadAnswer(f"{name} must be counts from 0 to 2**53")
    return told.reshape(count, -1).sum(axis=1).astype(np.int64)


def reasons_of(decision: Decision, count: int) -> list[str]:
    """Why it gives no move, for each row; empty where it does not say (`BadAnswer` for what is no text)."""
    told = np.asarray(decision.fields.get("forfeit", [""] * count))
    if told.shape != (count,) or not all(isinstance(text, str) for text in told):
        raise BadAnswer(f"forfeit must be texts [{count}], not {form(told)}")
    return [one_line(text) for text in told]


def form(array: np.ndarray) -> str:
    """The dtype and shape of an array, as people read them."""
    return f"{array.dtype} {list(array.shape)}"


def raised(error: BaseException) -> str:
    """That an agent raised this, in a line; or what is wrong with its answer."""
    if isinstance(error, BadAnswer):
        return one_line(str(error))
    try:
        text = str(error)
    except FAILS:  # a text that cannot be made
        text = ""
    return one_line(f"raised {type(error).__name__}" + (f": {text}" if text else ""))


def one_line(text: str) -> str:
    """The first `LONGEST` characters, those that cannot be printed (line ends, lone surrogates) as blanks."""
    shown = "".join(c if c.isprintable() else " " for c in text[: 2 * LONGEST])
    return " ".join(shown.split())[:LONGEST]


@kernel
def play_all(code, states, actions, where, ends):  # type: ignore[no-untyped-def]
    """Play a legal action in each slot of `where`, and write the outcome of these."""
    for i in range(len(states)):
        if where[i]:
            play(code, states[i], actions[i])
            ends[i] = outcome(states[i])
