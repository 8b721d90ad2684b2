"""Openings: where the games of a match or a tournament begin. No two are the same, nor mirror images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from envs.board.batch import observe_states, open_line
from envs.board.game import OPEN, Game, outcome
from envs.board.moves import play_moves
from envs.board.symmetry import canonical
from envs.kernels import kernel
from envs.rng import from_seeds
from rollouts.agent import Agent
from rollouts.problems import seeds_from
from search.arena import NONE, Openings

DRAWN = 256
"""Openings that are drawn at once."""
FRUITLESS = 10_000
"""After so many draws in a row that give no other opening, all are taken to be found."""
Keep = Callable[[np.ndarray], np.ndarray]
"""Which of some positions, uint64 `[k, words]`, may be openings: bool `[k]`."""


def draw_openings(
    game: Game, count: int, plies: tuple[int, int], seed: int, keep: Keep | None = None
) -> Openings:
    """`count` openings of `plies` (least, most) random plies that leave the game open; fewer where no more
    are found. They follow from `seed`, and the first ones are the same for any `count`.
    """
    found, names, fruitless, k = list[tuple[np.ndarray, np.ndarray]](), set[bytes](), 0, 0
    while len(found) < count and fruitless < FRUITLESS:
        drawn = drawn_by(game, plies, seeds_from([seed, 0, k], DRAWN))
        called = names_of(game, drawn.states)
        new = [i for i, name in enumerate(called) if name not in names and name not in called[:i]]
        fit = np.array(new)[keep(drawn.states[new])] if keep and new else np.array(new, np.int64)
        found += [(drawn.states[i], drawn.moves[i]) for i in fit]
        names.update(called)
        fruitless = 0 if len(fit) else fruitless + DRAWN
        k += 1
    states, moves = zip(*found[:count]) if found else ((), ())
    shape = len(states), plies[1]
    return Openings(
        np.array(states, np.uint64).reshape(-1, game.words), np.reshape(moves, shape).astype("i2")
    )


def drawn_by(game: Game, plies: tuple[int, int], seeds: np.ndarray) -> Openings:
    """What a batch of games begins with by these seeds (ints `[k]`), and the moves that lead there."""
    states, masks = np.zeros((len(seeds), game.words), np.uint64), np.zeros((len(seeds), game.actions), bool)
    moves = np.full((len(seeds), plies[1]), NONE, np.int16)
    draw_all(game.code, states, masks, from_seeds(seeds), *plies, moves)
    return Openings(states, moves)


@kernel
def draw_all(code, states, masks, rng, least, most, moves):  # type: ignore[no-untyped-def]
    """Begin a game in every row, as a batch does, and write the moves."""
    for i in range(len(states)):
        open_line(code, states, masks, rng, least, most, moves[i], i)


def names_of(game: Game, states: np.ndarray) -> list[bytes]:
    """A name for each position, the same for all its mirror images."""
    return canonical(game, observe_states(game, states))


def balanced(judge: Agent, game: Game, window: float, seed: int = 0) -> Keep:
    """Keeps positions whose value, by a judge that tells values, is within ± `window` of 0."""

    def keep(states: np.ndarray) -> np.ndarray:
        rng = seeds_from([seed, 4], len(states)).astype(np.uint64)
        first = np.ones(len(states), bool)
        decision = judge.act(observe_states(game, states), rng=rng, first=first, explore=False)
        if "value" not in decision.fields:
            raise ValueError("tells no values of positions, so it cannot judge openings")
        return np.abs(decision.fields["value"]) <= window

    return keep


def read_openings(path: str | Path, game: Game) -> Openings:
    """The openings in a text file: a line each, its moves as people write them; `#` begins a comment.

    Raises `ValueError` that names the line: moves that are none, a game that is over, the same position (or
    its mirror image) again.
    """
    lines, seen = list[tuple[np.ndarray, list[int]]](), dict[bytes, int]()
    for number, text in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), 1):
        words = text.partition("#")[0].replace(",", " ").split()
        if not words:
            continue
        try:
            state = play_moves(game, " ".join(words))
            if outcome(state) != OPEN:
                raise ValueError("the game is over there")
            (name,) = names_of(game, state[None])
            if name in seen:
                raise ValueError(f"the same position as in line {seen[name]}, or its mirror image")
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}") from None
        seen[name] = number
        lines.append((state, [game.parse_move(word) for word in words]))
    if not lines:
        raise ValueError(f"{path}: holds no openings: a line each, such as '{game.move_text(0)}'")
    moves = np.full((len(lines), max(len(line) for _, line in lines)), NONE, np.int16)
    for row, (_, line) in zip(moves, lines):
        row[: len(line)] = line
    return Openings(np.stack([state for state, _ in lines]), moves)


def first_position(game: Game, count: int = 1) -> Openings:
    """The first position, `count` times."""
    return Openings(game.new(count), np.zeros((count, 0), np.int16))
