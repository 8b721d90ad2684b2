"""Commands about tournaments: tournament, rate."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from move37 import telling
from move37.arguments import Debug, Json, print_json

Column = tuple[str, str, Any]


def tournament(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="A YAML file.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="KEY.SUB=VALUE", help="Put in place of the file's.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Its folder. [default: runs/<config's name>]")
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Let agents play each other, and rate them.

    Stopped, it goes on where it was when it is called again, and ends with the same table.
    """
    from move37.tournament.play import RATINGS, run_tournament
    from move37.tournament.watch import Live, Watcher

    telling.tell_of_compiling()
    told = run_tournament(config, overrides or [], out=out, watcher=Watcher() if json else Live())
    if json:
        print_json(told)
        return
    tell_standings(told)
    folder = out or Path("runs") / config.stem
    print(f"wrote {folder / RATINGS}, {', '.join(told['figures'])}")


def rate(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE", help="Tournament folders, games.jsonl or .pgn.")
    ],
    anchor: Annotated[
        str | None, typer.Option(metavar="NAME", help="Whose rating is 0, instead of the mean.")
    ] = None,
    pgn: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the games as PGN.")] = None,
    sgf: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also as SGF: a folder's, of go, othello, gomoku, hex."),
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Rate games that were played, here or elsewhere."""
    from move37.tournament.rate import rate_files

    told = rate_files(files, anchor, pgn, sgf)
    if json:
        print_json(told)
        return
    tell_standings(told)
    for file in (pgn, sgf):
        if file:
            print(f"wrote {file}")


def tell_standings(told: Mapping[str, Any]) -> None:
    """The table, and what else a reader of it should know."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    rows, ahead = told["players"], told["superiority"]
    table.add_column("", justify="right")
    table.add_column("player", no_wrap=True)
    for name in ("elo", "95 %", "games", "score", "field", "> next", "s a move", "visits"):
        table.add_column(name, justify="right", no_wrap=True)
    for k, row in enumerate(rows):
        half = (row["high"] - row["low"]) / 2
        next_one = f"{ahead[k][k + 1]:.1%}" if k + 1 < len(rows) else ""
        cells = [f"{row['elo']:.0f}", f"± {half:.0f}" if half else "anchor", f"{row['games']:,}"]
        cells += [f"{row['score']:.3f}", f"{row['field']:.3f}", next_one, _small(row["seconds_a_move"])]
        table.add_row(str(k + 1), row["name"], *cells, _small(row["visits_a_move"]))
    console = Console(highlight=False, markup=False)
    console.print(table)
    for line in remarks(told):
        console.print(line, soft_wrap=True)


def _small(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def remarks(told: Mapping[str, Any]) -> list[str]:
    """What a table does not show: a line each."""
    first, draws = told["first_move"], told["draws"]["share"]
    since = f"{told['anchor']} is at {told['anchor_elo']:g}" if told["anchor"] else "0 is the mean of all"
    said = [
        "score: in its games; field: expected against all; > next: how likely stronger than the next one",
        f"{told['games']:,} games, {told['distinct']:,} of them different; {since}; moving first is worth "
        f"{first['elo']:.0f} ± {1.96 * first['error']:.0f} Elo; equals draw {draws:.0%} of their games",
    ]
    if told["distinct"] < 0.9 * told["games"]:
        said.append("many games are the same, move for move: ratings.json has intervals by different ones")
    said += [f"{count} × {what}" for what, count in told["forfeits"].items()]
    said += [
        f"a circle: {' > '.join([*circle['players'], circle['players'][0]])} ({circle['strength']:.1%} sure)"
        for circle in told["cycles"][:3]
    ]
    said += [
        f"a surprise: {row['winner']} got {row['points']:g} points more from {row['loser']} than ratings say "
        f"({row['z']:.1f} standard errors)"
        for row in told["surprises"][:3]
    ]
    if "sprt" in told:
        test = told["sprt"]
        words = {"accept": f"at least {test['elo1']:g}", "reject": f"at most {test['elo0']:g}"}
        verdict = words.get(test["verdict"], "not decided")
        said.append(f"SPRT [{test['elo0']:g}, {test['elo1']:g}]: {verdict} Elo; LLR {test['llr']:.2f}")
    return said
