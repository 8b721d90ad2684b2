"""How good a board game's player is: a match against another one, and how often its moves lose value."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from agents.threads import begin
from envs.base import BatchEnv
from envs.board.game import Game
from envs.board.spaces import game_of
from envs.options import OptionError
from envs.paths import is_import_path
from move37.build import make_env, set_threads, told
from move37.config import Config
from move37.errors import UserError
from move37.evaluate import SEED, SLOTS
from move37.origin import Origin
from move37.players import game_of_run, player
from move37.run import Run
from rollouts.agent import Agent
from search.match import Match, play_match
from search.perfect.positions import Positions, load_positions
from search.scorecard import ALL, Report, Row, few, scorecard

RANDOM_PLIES = 4
"""Random plies that a match's openings begin with, in all but the shortest games (see `opening_plies`).

Without them, equal players play equal games."""


@dataclass(frozen=True)
class Exam:
    """What evaluations beside training measure of a board game's player, instead of plain episodes.

    It is made once, before training, so that a name that is wrong is told at once.
    """

    pairs: int
    explore: bool
    env: BatchEnv
    opponent: Agent | None
    positions: Positions | None

    def take(self, agent: Agent) -> tuple[dict[str, float], float]:
        """The metrics, and the score that the best agent has most of: the match's, else fewest mistakes."""
        found, score = {}, 0.0
        if self.positions is not None:
            rows = {row.name: row.rate for row in scorecard(agent, self.positions)}
            score = -rows[ALL]
            found = {"eval/mistakes": rows.pop(ALL)}
            found |= {f"eval/mistakes_{name.replace('-', '_')}": rate for name, rate in rows.items()}
        if self.opponent is not None:
            options: Any = {"pairs": self.pairs, "seed": SEED, "explore": self.explore}
            match = begin(partial(play_match, self.env, agent, self.opponent, **options)).result()
            score = match.score
            found |= as_metrics(match)
        return found, score


def make_exam(config: Config, env: BatchEnv, origin: Origin) -> Exam:
    """What the config's `evaluate` asks of a board game's player.

    `env` is the run's. Raises `UserError` that names the key, for an opponent that is none, and for what is
    not of this game.
    """
    wanted = config.evaluate
    with told(origin, "evaluate"):
        game = _board_game(env, "against" if wanted.against else "scorecard")
        opponent = _opponent(wanted.against, game) if wanted.against else None
        positions = few(_positions(game), wanted.scorecard) if wanted.scorecard else None
    openings = make_env(config, min(wanted.episodes, SLOTS), origin, random_plies=opening_plies(game))
    return Exam(wanted.episodes // 2, wanted.explore, openings, opponent, positions)


def _board_game(env: BatchEnv, option: str) -> Game:
    try:
        return game_of(env.single_observation_space)
    except ValueError:
        raise OptionError(option, "is for board games only") from None


def _opponent(name: str, game: Game) -> Agent:
    try:
        return player(
            name, game, trust=is_import_path(name), match=True
        )  # the config's own code: trusted, as the rest
    except UserError as error:
        raise OptionError("against", str(error)) from error


def _positions(game: Game) -> Positions:
    if game.name != "connect_four":
        raise OptionError("scorecard", f"is of connect four only, not of {game.title}")
    return load_positions()


def as_metrics(match: Match) -> dict[str, float]:
    """A match as an evaluation tells it: returns are those of its games, 1, 0 or −1."""
    score, (low, high) = match.score, match.interval
    found = {"eval/score": score, "eval/score_low": low, "eval/score_high": high}
    returns = {"return": score, "low": low, "high": high}
    return found | {f"eval/{name}": 2 * value - 1 for name, value in returns.items()}


# -- of a run that is there --------------------------------------------------------------------------------


def match_of(
    run: Run,
    against: str,
    games: int = 100,
    *,
    random_plies: int | None = None,
    checkpoint: str = "last",
    explore: bool | None = None,
    seed: int | None = None,
    simulations: int | None = None,
) -> Match:
    """The run's agent against another player (see `move37.players`): every opening with both colours.

    Openings are `random_plies` long, else `opening_plies`. Raises `UserError` for an odd number of games, a
    player that is none, openings of a length that the game has not, and a run of no board game.
    """
    set_threads(run.config.threads)
    if games % 2:
        raise UserError(f"{games} games: every opening is played with both colours, so their number is even")
    game = game_of_run(run)
    if game is None:
        raise UserError(f"{run.path}: plays {run.config.env.id}, which is no board game: it has no opponents")
    opponent = player(against, game, trust=run.trust, match=True)
    agent = run.agent_at(checkpoint, simulations)
    env = _openings(run, min(games, SLOTS), game, random_plies)
    explore, seed = run.explores(explore), SEED if seed is None else seed
    options: Any = {"pairs": games // 2, "seed": seed, "explore": explore}
    return begin(partial(play_match, env, agent, opponent, **options)).result()


def has_scorecard(run: Run) -> bool:
    """Whether a run plays what there is a scorecard of: connect four."""
    game = game_of_run(run)
    return game is not None and game.name == "connect_four"


def opening_plies(game: Game) -> int:
    """How many random plies the openings of a match have: `RANDOM_PLIES`, or half of a shorter game."""
    return min(RANDOM_PLIES, game.longest // 2)


def _openings(run: Run, n: int, game: Game, plies: int | None) -> BatchEnv:
    try:
        return run.make_env(n, random_plies=opening_plies(game) if plies is None else plies)
    except UserError as error:
        if plies is not None and getattr(error.__cause__, "option", None) == "random_plies":
            raise UserError(f"--random-plies {plies}: {error.__cause__}") from None
        raise


def scorecard_of(
    run: Run,
    each: int = 1000,
    *,
    checkpoint: str = "last",
    simulations: int | None = None,
    report: Report = lambda done, of: None,
) -> list[Row]:
    """The scorecard of a run on connect four, `each` positions a class; nothing for runs of other games.

    `report` is told how many positions of how many are done.
    """
    set_threads(run.config.threads)
    if not has_scorecard(run):
        return []
    agent = run.agent_at(checkpoint, simulations)
    return scorecard(agent, few(load_positions(), each), report=report)
