"""The moves of a run's self-play that surprised most: found by the search where the policy saw nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from envs.board.game import Game, play, ply, to_play
from move37.errors import UserError
from move37.players import game_of_run
from move37.run import Run
from search.moments import as_moments

MEN = "xo"


@dataclass(frozen=True)
class Moment:
    """One of them. Values are the mover's, in [−1, 1]."""

    move: str
    ply: int
    """Plies that were played before it."""
    prior: float
    """What the policy gave it."""
    visits: float
    """The share of the search's visits that it got."""
    value: float
    liked_value: float
    """The best value among the moves that the policy liked."""
    board: str
    """The position after it, its own stone in capitals."""
    state: tuple[int, ...]
    """The position before it, as words."""


def find(run: Run) -> list[Moment]:
    """The moments that the run's last checkpoint kept, by how much better they were than what was liked.

    Raises `UserError` for a run that keeps none: of another agent, or without a checkpoint.
    """
    game = game_of_run(run)
    state = run.checkpoint_folder.load()
    if state is None:
        raise UserError(f"{run.path}: no checkpoint yet")
    kept = state["learner"].get("moments")
    if game is None or not isinstance(kept, dict):
        raise UserError(f"{run.path}: only alphazero keeps moments; this is a run of {run.config.agent.kind}")
    noted = as_moments(kept["found"])
    order = np.argsort(-noted["gain"], kind="stable")
    return [describe(game, kept["states"][k], noted[k]) for k in order]


def describe(game: Game, state: np.ndarray, noted: np.void) -> Moment:
    """A moment from what was noted of it (a `search.moments.MOMENT`)."""
    action, after = int(noted["action"]), state.copy()
    play(game.code, after, action)
    return Moment(
        move=game.move_text(action),
        ply=int(ply(state)),
        prior=float(noted["prior"]),
        visits=float(noted["visits"]),
        value=float(noted["value"]),
        liked_value=float(noted["value"] - noted["gain"]),
        board=marked(game.board_text(state), game.board_text(after), MEN[to_play(state)]),
        state=tuple(map(int, state)),
    )


def marked(before: str, after: str, man: str) -> str:
    """The board `after` a move of `man`, with a capital where it came to stand (not where one was turned)."""
    came = [i for i, (old, new) in enumerate(zip(before, after)) if old != new == man]
    on_empty = [i for i in came if before[i] == "."]
    letters = list(after)
    for i in on_empty or came:
        letters[i] = man.upper()
    return "".join(letters)


def drawn(moment: Moment, number: int) -> str:
    """A moment for people: its numbers, and the board."""
    search = f"{moment.visits:.0%} of the visits, value {moment.value:+.2f}"
    said = f"{number}. {moment.move} at ply {moment.ply + 1}: prior {moment.prior:.3%}, {search}"
    return f"{said} (best move that the policy liked: {moment.liked_value:+.2f})\n{moment.board}"
