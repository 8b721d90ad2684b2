"""Commands about board games: perft, play, book, moments."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from move37 import telling
from move37.arguments import Checkpoint, Debug, Json, RunFolder, Trust, print_json

if TYPE_CHECKING:
    from envs.board.game import Game
    from search.match import Match
    from search.scorecard import Row

GameName = Annotated[
    str, typer.Argument(metavar="GAME", help="By its name or id, such as connect_four or board/Go-v0.")
]
GameOptions = Annotated[
    list[str] | None, typer.Argument(metavar="KEY=VALUE", help="The game's options, such as komi=6.5.")
]
Size = Annotated[int | None, typer.Option(metavar="N", help="The board's, the same as size=N.")]


def perft(
    game: GameName,
    options: GameOptions = None,
    depth: Annotated[int, typer.Option(min=0, max=1000, metavar="N", help="Plies of a sequence.")] = 4,
    size: Size = None,
    ended: Annotated[
        bool, typer.Option("--ended", help="Count games that end earlier too, once each.")
    ] = False,
    divide: Annotated[bool, typer.Option("--divide", help="Also how many begin with each move.")] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Count a game's sequences of exactly so many plies.

    By this count rules are compared with what others publish.
    """
    from agents.threads import begin
    from envs.board import perft as counting

    played = load_game(game, options, size)
    counting.perft(played, 2)  # compiles, where need be, before the clock runs
    begun = time.perf_counter()
    by_move = divide and depth > 0
    work: Any = partial(_divide if by_move else counting.perft, played, depth, ended=ended)
    found = begin(work).result()
    moves, count = (found, sum(found.values())) if by_move else ({}, found)
    seconds = time.perf_counter() - begun
    if json:
        counted = {"game": played.name, "options": dict(played.options), "depth": depth, "count": count}
        print_json(counted | {"seconds": seconds} | ({"moves": moves} if divide else {}))
        return
    for move, number in moves.items():
        print(f"{move:>8} {number:,}")
    plies = "1 ply" if depth == 1 else f"{depth} plies"
    sequences = "1 sequence" if count == 1 else f"{count:,} sequences"
    print(f"{played.title}: {sequences} of {plies} in {seconds:.3g} s")


def play(
    game: GameName,
    options: GameOptions = None,
    against: Annotated[
        str,
        typer.Option(metavar="PLAYER", help="A run folder, uct:1000, alphabeta:6, perfect or random."),
    ] = "uct:1000",
    seat: Annotated[str, typer.Option("--as", metavar="SEAT", help="first or second.")] = "first",
    size: Size = None,
    checkpoint: Checkpoint = "last",
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Of the opponent's chance.")] = 0,
    trust: Trust = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Play a board game against an agent.

    Type moves as the board is labelled, or hint, undo, moves, quit. Moves may come through a pipe too.
    """
    from move37.errors import UserError
    from move37.play import SEATS, Duel, Terminal, converse
    from move37.players import player

    if seat not in SEATS:
        raise UserError(f"--as {seat}: must be first or second")
    played = load_game(game, options, size)
    opponent = player(against, played, checkpoint=checkpoint, trust=trust)
    duel = Duel(played, opponent, against, SEATS.index(seat), seed)
    terminal = Terminal(sys.stdin, sys.stderr if json else sys.stdout)
    converse(duel, terminal)
    if json:
        print_json(duel.result())


def book(
    stones: Annotated[
        int, typer.Option(min=1, max=12, metavar="N", help="Its positions have so many stones.")
    ] = 2,
    table_megabytes: Annotated[
        int, typer.Option(min=1, max=1 << 20, metavar="M", help="Memory for positions met before.")
    ] = 1024,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Compute an opening book of connect four.

    The perfect player reads it. Stopped, it goes on where it was when it is called again. How long it takes
    grows with the stones: minutes for 2, hours for 4, a day for 8.
    """
    from agents.threads import begin
    from move37.disk import told_of_disk
    from move37.errors import UserError
    from search.perfect.book import book_path, compute_book

    path = book_path(stones)
    out = sys.stderr if json else sys.stdout
    work = partial(compute_book, path, stones, table_megabytes, report=partial(print, file=out, flush=True))
    try:
        with told_of_disk(path):
            found = begin(work).result()
    except (ValueError, MemoryError) as error:
        raise UserError(str(error) or f"--table-megabytes {table_megabytes}: there is no such room") from None
    if json:
        print_json({"path": path, "stones": stones, "positions": len(found.keys)})
        return
    print(f"{path}: all {len(found.keys):,} positions of {stones} stones")


def moments(
    run: RunFolder,
    top: Annotated[int, typer.Option(min=1, metavar="N", help="How many, the best first.")] = 5,
    trust: Trust = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """The moves that surprised most in a run's self-play.

    Moves that the policy gave less than 1 in 1,000, and that the search found better than all that it liked.
    """
    from dataclasses import asdict

    from move37.moments import drawn, find
    from move37.run import Run

    found = find(Run.load(run, trust=trust))[:top]
    if json:
        print_json({"run": run, "moments": [asdict(moment) for moment in found]})
        return
    if not found:
        print(f"{run}: no moments yet: its search never chose what its policy had all but ruled out")
        return
    print("\n\n".join(drawn(moment, number) for number, moment in enumerate(found, 1)))


def load_game(name: str, words: Sequence[str] | None, size: int | None) -> Game:
    """The game of a name or an id, with options such as `komi=6.5` (`UserError` where they do not fit)."""
    from envs.board import load
    from move37.errors import UserError, in_one_line
    from move37.yaml_text import parse_yaml

    telling.tell_of_compiling()
    options: dict[str, Any] = {} if size is None else {"size": size}
    for word in words or ():
        key, equals, text = word.partition("=")
        if not equals or not key.isidentifier():
            raise UserError(f"'{word}': an option of a game reads like size=9")
        if key in options:
            before = f"--size {size}" if size is not None and key == "size" else f"{key}={options[key]}"
            raise UserError(f"'{word}': {key} is given twice; {before} stands there too")
        options[key] = parse_yaml(text, f"option '{word}'")
    try:
        return load(name, options)
    except (ValueError, TypeError) as error:
        raise UserError(in_one_line(error)) from error


def _divide(game: Game, depth: int, ended: bool) -> dict[str, int]:
    """`perft` by the first move."""
    import numpy as np

    from envs.board.game import OPEN, legal, outcome, play
    from envs.board.perft import perft

    start, mask, found = game.new()[0], np.zeros(game.actions, bool), {}
    legal(game.code, start, mask)
    for action in np.flatnonzero(mask).tolist():
        state = start.copy()
        play(game.code, state, action)
        over = outcome(state) != OPEN and depth > 1
        found[game.move_text(action)] = int(ended) if over else perft(game, depth - 1, state, ended)
    return found


# -- what `eval` tells -------------------------------------------------------------------------------------


def tell_match(run: Path, against: str, match: Match, asked: int, json: bool) -> None:
    """How a match of which so many games were `asked` for went, in lines or as JSON."""
    low, high = match.interval
    total = match.wins + match.draws + match.losses
    if json:
        counts = {"wins": match.wins, "draws": match.draws, "losses": match.losses, "pairs": match.pairs}
        found = {
            "run": run,
            "against": against,
            "score": match.score,
            "interval": [low, high],
            "games": total,
        }
        print_json(found | counts | {"openings": match.openings, "distinct_games": match.games})
        return
    print(f"{run} against {against}: score {match.score:.3f} [{low:.3f}, {high:.3f}] (95 % interval)")
    print(f"{total} games: {match.wins} won, {match.draws} drawn, {match.losses} lost")
    openings = "1 opening" if match.openings == 1 else f"{match.openings} different openings"
    few = f": there are no more for the {asked} games asked for" if total < asked else ""
    print(f"{openings}, each with both colours{few}; {match.games} different games")


def tell_progress(done: int, of: int) -> None:
    """How far a scorecard is, in a terminal only, in a line that vanishes."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{done:,} of {of:,} positions" if done < of else "\r\x1b[K", end="", file=sys.stderr)
        sys.stderr.flush()


def scorecard_json(rows: Sequence[Row]) -> dict[str, Any]:
    """A scorecard as plain data, under its name; nothing where there is none."""
    plain = [
        {
            "class": row.name,
            "positions": row.positions,
            "mistakes": row.mistakes,
            "rate": row.rate,
            "interval": row.interval,
        }
        for row in rows
    ]
    return {"scorecard": plain} if plain else {}


def tell_scorecard(rows: Sequence[Row]) -> None:
    """A scorecard as a table."""
    print("\nmoves that lose value under perfect play")
    print(f"{'class':<18}{'positions':>9}{'mistakes':>9}{'rate':>9}   95 % interval")
    for row in rows:
        low, high = row.interval
        print(
            f"{row.name:<18}{row.positions:>9,}{row.mistakes:>9,}{row.rate:>9.2%}   [{low:.2%}, {high:.2%}]"
        )
