"""The entrants of a tournament at their table: which batches of games there are, and how one is played."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from agents.threads import begin
from envs.board.game import OUTCOMES, Game
from envs.board.vector import load_id
from envs.options import OptionError
from move37.build import set_threads, told
from move37.errors import UserError
from move37.exam import opening_plies
from move37.origin import Origin
from move37.players import player
from move37.tournament.config import TournamentConfig
from move37.tournament.entrants import Entrant, entrant_agent
from move37.tournament.gamelog import GameRecord
from move37.tournament.person import PERSON, Person
from rollouts.agent import Agent
from rollouts.problems import seeds_from
from search.arena import NONE, Fixtures, Openings, Played, play_games
from search.openings import balanced, draw_openings, first_position, read_openings
from search.schedule import SWISS, Pair, Plan, Standing, next_round, rounds


@dataclass(frozen=True)
class Batch:
    """Games of a round that are played together."""

    round: int
    games: Mapping[int, Pair]
    """By their numbers. In those with an even one `a` of the pair moves first."""


class Tournament:
    """The entrants of a config at their table, and all that they have played so far."""

    def __init__(self, config: TournamentConfig, origin: Origin, trust: bool = False) -> None:
        self.config, self.origin, self.trust = config, origin, trust
        set_threads(config.threads)
        with told(origin, "env"):
            self.game: Game = load_id(config.env.id, config.env.options)
        self.entrants = _rungs(config, origin) if config.ladder else dict(config.entrants)
        self.names = list(self.entrants)
        if config.anchor is not None and config.anchor not in self.names:  # of a ladder
            said = f"no snapshot '{config.anchor}'; there are {', '.join(self.names)}"
            raise UserError(f"{origin.of(('anchor',))}: anchor: {said}")
        self.alone = any(entrant.timed for entrant in self.entrants.values())
        self.records: list[GameRecord] = []

    @cached_property
    def agents(self) -> list[Agent]:
        """The entrants' agents, built when they are first asked for."""
        try:
            return [entrant_agent(name, e, self.game, self.trust) for name, e in self.entrants.items()]
        except UserError as error:
            raise UserError(f"{self.origin.file}: {error}") from None

    @cached_property
    def openings(self) -> Openings:
        """Where games begin (`UserError` where there is nowhere)."""
        with told(self.origin, "openings"):
            return openings_of(self.config, self.game)

    @cached_property
    def budgets(self) -> list[str]:
        """What each entrant is and may spend: with the very weights, where it has some."""
        return [entrant.budget for entrant in self.entrants.values()]

    def prepare(self) -> None:
        """Build all that is needed, so that what does not fit is told before anything is played."""
        assert self.agents
        assert len(self.openings)
        assert self.budgets

    @property
    def pairs(self) -> int:
        """Openings of a meeting: fewer than asked for, where there are no more."""
        return min(self.config.pairs, len(self.openings))

    @cached_property
    def plan(self) -> Plan:
        """Its schedule, in numbers."""
        config, count = self.config, len(self.names)
        newcomers = tuple(self.names.index(name) for name in config.newcomers)
        length = config.rounds or max(1, (count - 1).bit_length())
        return Plan(config.schedule, count, self.pairs, length, newcomers)

    @property
    def total(self) -> int:
        """Games that there will be, if nothing stops it before."""
        plan = self.plan
        each = len(next_round(plan, []))
        return 2 * each * rounds(plan)

    def at_once(self, pair: Pair) -> int:
        """Games of a batch, at most: few, where each takes long."""
        two = [self.entrants[self.names[player]] for player in (pair.a, pair.b)]
        if any(entrant.player == PERSON for entrant in two):
            return 1
        return 2 if self.alone or any(entrant.gtp for entrant in two) else self.config.at_once

    def rounds(self) -> Iterator[Batch]:
        """The games of each round, in the order of play.

        A Swiss round follows from `records`: the games of rounds before must be there when it is asked for.
        """
        plan, number, played = self.plan, 0, list[Standing]()
        for r in range(rounds(plan)):
            games = [pair for pair in next_round(plan, played) for _ in range(2)]
            yield Batch(r, dict(enumerate(games, number)))
            number += len(games)
            if plan.format == SWISS:
                played.append(self._standing(r))

    def batches(self, games: Batch, known: Container[int]) -> list[Batch]:
        """The games that are not `known`, as they are played together: the smallest batches first."""
        sizes = {number: self.at_once(pair) for number, pair in games.games.items() if number not in known}
        found = []
        for size in sorted(set(sizes.values())):
            numbers = [number for number in sizes if sizes[number] == size]
            parts = [numbers[k : k + size] for k in range(0, len(numbers), size)]
            found += [Batch(games.round, {n: games.games[n] for n in part}) for part in parts]
        return found

    def _standing(self, number: int) -> Standing:
        won: dict[tuple[int, int], list[float]] = {}
        for record in self.records:
            if record.round == number:
                first, second = self.names.index(record.first), self.names.index(record.second)
                swapped = record.game % 2
                meeting = (second, first) if swapped else (first, second)
                won.setdefault(meeting, []).append(1 - record.points if swapped else record.points)
        return Standing({meeting: float(np.mean(points)) for meeting, points in won.items()})

    def play(self, batch: Batch, report: Callable[[int], None] = lambda done: None) -> list[GameRecord]:
        """Play a batch. What comes out follows from the config and the batch alone."""
        fixtures = self.fixtures(batch)
        person = self._seat_person(batch, fixtures)
        records = self.written(batch, fixtures, self.play_fixtures(fixtures, report))
        if person:
            person.hear(records[0])
        return records

    def _seat_person(self, batch: Batch, fixtures: Fixtures) -> Person | None:
        """Tell people, whose batches are of one game, that it begins; one of them, where somebody plays."""
        names = tuple(self.names[player] for player in fixtures.players[0])
        opening = moves_text(self.game, fixtures.openings.moves[0]).split()
        title = f"game {min(batch.games) + 1:,} of {self.total:,}"
        people = [(seat, self.agents[player]) for seat, player in enumerate(fixtures.players[0])]
        there = [(seat, agent) for seat, agent in people if isinstance(agent, Person)]
        for seat, agent in there:
            agent.sit(title, names, seat, opening)
        return there[0][1] if there else None

    def play_fixtures(self, fixtures: Fixtures, report: Callable[[int], None] = lambda done: None) -> Played:
        """Play some games between the entrants."""
        explore = [entrant.explore for entrant in self.entrants.values()]
        slots = 1 if self.alone else len(fixtures)
        options: Any = {"slots": slots, "explore": explore, "report": report}
        return begin(partial(play_games, self.game, self.agents, fixtures, **options)).result()

    def check(self, batch: Batch, known: Mapping[int, GameRecord]) -> None:
        """`UserError` where a `known` game, by its number, is another than it would be now."""
        fixtures = self.fixtures(batch)
        for k, number in enumerate(batch.games):
            there = known.get(number)
            for name, now in self._stated(fixtures, k).items() if there else ():
                if (was := getattr(there, name)) != now:
                    said = f"{name} was {was}, would be {now}"
                    raise UserError(f"game {number} was played by another tournament than this: {said}")

    def _stated(self, fixtures: Fixtures, k: int) -> dict[str, Any]:
        """What is known of a game before it is played, as the log has it."""
        first, second = fixtures.players[k].tolist()
        return {
            "first": self.names[first],
            "second": self.names[second],
            "opening": moves_text(self.game, fixtures.openings.moves[k]),
            "seed": int(fixtures.rng[k]),
            "budgets": (self.budgets[first], self.budgets[second]),
        }

    def fixtures(self, batch: Batch) -> Fixtures:
        """The games of a batch, to be played."""
        games = batch.games.items()
        players = [(pair.b, pair.a) if number % 2 else (pair.a, pair.b) for number, pair in games]
        openings = self.openings.take([self._opening(pair) for pair in batch.games.values()])
        rng = [seeds_from([self.config.seed, 1, number], 1)[0] for number in batch.games]
        return Fixtures(np.array(players), openings, np.array(rng).astype(np.uint64))

    def _opening(self, pair: Pair) -> int:
        """Which opening a pair has: those of one meeting are all different."""
        return (pair.opening + pair.meeting * 7919) % len(self.openings)  # meetings begin at different ones

    def written(self, batch: Batch, fixtures: Fixtures, played: Played) -> list[GameRecord]:
        """The games of a batch as the log has them."""
        found = []
        for k, number in enumerate(batch.games):
            seconds, nodes = played.seconds[k].tolist(), played.nodes[k].tolist()
            found.append(
                GameRecord(
                    game=number,
                    round=batch.round,
                    moves=moves_text(self.game, played.moves[k]),
                    outcome=OUTCOMES[int(played.outcomes[k])],
                    why=played.why[k],
                    seconds=(round(seconds[0], 6), round(seconds[1], 6)),
                    nodes=(nodes[0], nodes[1]),
                    **self._stated(fixtures, k),
                )
            )
        return found


def moves_text(game: Game, moves: np.ndarray) -> str:
    """Actions (ints `[plies]`, up to the first `NONE`) as people write them."""
    return " ".join(game.move_text(int(action)) for action in moves[moves != NONE])


def openings_of(config: TournamentConfig, game: Game) -> Openings:
    """The openings of a tournament (`OptionError` where there are none)."""
    wanted = config.openings
    if wanted.file is not None:
        try:
            return read_openings(wanted.file, game)
        except OSError as error:
            raise OptionError("file", f"{wanted.file}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise OptionError("file", f"{wanted.file}: is no text") from None
        except ValueError as error:
            raise OptionError("file", str(error)) from None
    plies = opening_plies(game) if wanted.plies is None else wanted.plies
    least, most = plies if isinstance(plies, list) else (plies, plies)
    if not least <= most < game.longest:
        said = f"plies must be in [0, {game.longest - 1}], least before most, not {plies}"
        raise OptionError("plies", said)
    if most == 0:
        return first_position(game)
    keep = None
    if wanted.judge is not None:
        try:
            judge = player(wanted.judge, game, trust=True)
        except UserError as error:
            raise OptionError("judge", str(error)) from None
        keep = balanced(judge, game, wanted.window, config.seed)
    count = max(wanted.count, config.pairs) if config.sprt else wanted.count
    try:
        found = begin(partial(draw_openings, game, count, (least, most), config.seed, keep)).result()
    except ValueError as error:
        raise OptionError("judge", f"'{wanted.judge}' {error}") from None
    if not len(found):
        raise OptionError("plies", f"no opening of {plies} random plies that is open and balanced was found")
    return found


def _rungs(config: TournamentConfig, origin: Origin) -> dict[str, Entrant]:
    """The entrants of a ladder, by their env steps."""
    wanted = config.ladder
    assert wanted is not None
    with told(origin, "ladder"):
        steps = _snapshots(wanted.run)
        chosen = sorted({*steps[:: wanted.every], *steps[-1:]}, key=int)
        if len(chosen) < 2:
            said = f"{wanted.run} has {len(steps)} snapshots: train it with checkpoint.snapshots"
            raise OptionError("run", said)
        return {
            step: Entrant(run=wanted.run, checkpoint=step, simulations=wanted.simulations) for step in chosen
        }


def _snapshots(run: str) -> list[str]:
    from move37.run import Run

    try:
        return Run.load(run).checkpoint_folder.snapshots()
    except UserError as error:
        raise OptionError("run", str(error)) from None
