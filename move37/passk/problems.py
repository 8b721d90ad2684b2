"""The problems of an experiment: different ones, by seeds, and what is known of each without a try."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any

import envs
from envs.base import BatchEnv
from envs.board.game import to_play
from envs.board.moves import play_moves
from envs.board.vector import Board
from envs.options import OptionError
from envs.text.batch import TextBatch
from move37.build import told
from move37.origin import Origin
from move37.passk.config import PasskConfig, ProblemsConfig
from move37.samples import deal
from rollouts.problems import Problem, Uniform, seeds_from
from search.openings import read_openings
from search.perfect.positions import CLASSES, load_positions

MISSES = 10_000
"""Problems in a row that were there before, after which there are no more."""


@dataclass(frozen=True)
class Tried:
    """A problem, and what a reader should know of it."""

    name: str
    """A text problem's canonical form, a position's moves, else the seed."""
    seed: int
    options: Mapping[str, Any] | None = None
    seat: int | None = None
    """Whose turn it is in a position."""
    level: int = 0
    chance: float | None = None
    """The probability that an answer drawn evenly from all of the right form is right; None: not known."""

    @property
    def problem(self) -> Problem:
        """As a Sampler takes it."""
        return Problem(self.seed, self.options, self.seat)

    def plain(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def options_of(config: PasskConfig, name: str) -> dict[str, Any]:
    """The environment's options for a set of problems."""
    return {**config.env.options, **config.problems[name].env}


def make_slots(config: PasskConfig, name: str, n: int, origin: Origin) -> BatchEnv:
    """`n` slots of the environment of a set of problems (`UserError` where it cannot be made)."""
    with told(origin, f"problems.{name}.env" if config.problems[name].env else "env"):
        return envs.make(config.env.id, n, **options_of(config, name))


def find_problems(config: PasskConfig, name: str, origin: Origin) -> list[Tried]:
    """The problems of a set: the same for every policy (`UserError` where there are not so many)."""
    wanted = config.problems[name]
    seed = int(seeds_from([config.seed, *name.encode()], 1)[0])
    with closing(make_slots(config, name, 1, origin)) as env, told(origin, f"problems.{name}"):
        if wanted.positions or wanted.puzzles:
            return _positions(env, wanted)
        if isinstance(env, TextBatch):
            return _text(env, wanted.count, seed)
        return [Tried(str(p.seed), p.seed) for p in Uniform(seed).take(wanted.count)]


def _text(env: TextBatch, count: int, seed: int) -> list[Tried]:
    found: dict[str, Tried] = {}
    stream, misses = Uniform(seed), 0
    while len(found) < count:
        (problem,) = stream.take(1)
        episode = deal(env, problem.seed)
        question, task = episode.question, episode.entry.task
        key = f"{episode.entry.name}: {question.key}"
        misses = misses + 1 if key in found else 0
        if misses == MISSES:
            raise OptionError("count", f"only {len(found)} different problems were found, not {count}")
        if key not in found:
            shown: dict[str, Any] = {"level": episode.entry.level, "chance": float(task.chance(question))}
            found[key] = Tried(question.prompt, problem.seed, **shown)
    return list(found.values())


def _positions(env: BatchEnv, wanted: ProblemsConfig) -> list[Tried]:
    """Positions of a board game, each with its mover."""
    if not isinstance(env, Board):
        raise OptionError(
            "positions", "positions and puzzles are of board games (board/…), with every seat in view"
        )
    source = _puzzles(env, wanted.puzzles) if wanted.puzzles else _lines(env, str(wanted.positions))
    found: list[Tried] = []
    for moves in source:
        state = play_moves(env.game, moves)
        found.append(Tried(moves, len(found), {"moves": moves}, int(to_play(state))))
        if len(found) == wanted.count:
            return found
    raise OptionError("count", f"there are only {len(found)} such positions, not {wanted.count}")


def _puzzles(env: Board, kind: str) -> Iterator[str]:
    if env.game.name != "connect_four":
        raise OptionError("puzzles", f"puzzles are of connect four, not {env.game.title}")
    if kind not in CLASSES:
        raise OptionError("puzzles", f"no puzzles '{kind}'; there are {', '.join(CLASSES)}")
    known = load_positions()
    for number, moves, scores in zip(known.classes, known.moves, known.scores):
        if CLASSES[number] == kind and scores.max() > 0:
            yield " ".join(moves)


def _lines(env: Board, path: str) -> Iterator[str]:
    for line in read_openings(path, env.game).moves:
        yield " ".join(env.game.move_text(int(move)) for move in line if move >= 0)
