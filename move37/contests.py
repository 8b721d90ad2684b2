"""Commands about tournaments: tournament, rate."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from move37 import telling
from move37.arguments import ConfigFile, Debug, Json, Out, Overrides, Trust, print_json


def tournament(
    config: ConfigFile,
    overrides: Overrides = None,
    out: Out = None,
    trust: Trust = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Let agents play each other, and rate them.

    Stopped, it goes on where it was when it is called again, and ends with the same table.
    """
    from move37.tournament.play import RATINGS, run_tournament
    from move37.tournament.watch import Live, Watcher

    telling.tell_of_compiling()
    watcher = Watcher() if json else Live()
    told = run_tournament(config, overrides or [], out=out, watcher=watcher, trust=trust)
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
    anchor_elo: Annotated[float, typer.Option(metavar="X", help="At this, rather than 0.")] = 0.0,
    pgn: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the games as PGN.")] = None,
    sgf: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also as SGF: a folder's, of go, othello, gomoku, hex."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also write ratings.json and ratings.png there.")
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Rate games that were played, here or elsewhere."""
    from move37.tournament.play import RATINGS
    from move37.tournament.rate import rate_files

    told = rate_files(files, anchor=anchor, anchor_elo=anchor_elo, pgn=pgn, sgf=sgf, out=out)
    if json:
        print_json(told)
        return
    tell_standings(told)
    for file in (pgn, sgf, *((out / RATINGS, out / "ratings.png") if out else ())):
        if file:
            print(f"wrote {file}")


def tell_standings(told: Mapping[str, Any]) -> None:
    """The table, and what else a reader of it should know. Names give way to numbers, where both are long."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from move37.tournament.draw import half
    from move37.tournament.gamelog import visible

    table = Table(box=None, header_style="bold", pad_edge=False)
    rows, ahead = told["players"], told["superiority"]
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("player")
    for name in ("elo", "95 %", "games", "score", "field", "> next", "s a move", "visits"):
        table.add_column(name, justify="right", no_wrap=True)
    for k, row in enumerate(rows):
        reach = half(told, row)
        next_one = f"{ahead[k][k + 1]:.1%}" if k + 1 < len(rows) else ""
        cells = [f"{row['elo']:z.0f}", f"± {reach:.0f}" if reach else "anchor", f"{row['games']:,}"]
        cells += [f"{row['score']:.3f}", f"{row['field']:.3f}", next_one, _small(row["seconds_a_move"])]
        cropped = Text(visible(row["name"]), no_wrap=True, overflow="ellipsis")
        table.add_row(str(k + 1), cropped, *cells, _small(row["visits_a_move"]))
    console = Console(highlight=False, markup=False)
    console.print(table)
    for line in remarks(told):
        console.print(visible(line), soft_wrap=True)


def _small(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def remarks(told: Mapping[str, Any]) -> list[str]:
    """What a table does not show: a line each."""
    from move37.tournament.draw import counted, many_alike, worth

    since = f"{told['anchor']} is at {told['anchor_elo']:z.6g}" if told["anchor"] else "0 is the mean of all"
    games, same = counted(told), told["games"] - told["distinct"]
    said = [
        "score: in its games; field: expected against all; > next: how likely stronger than the next one",
        f"{games}, {told['distinct']:,} of them different; {since}; {worth(told)}",
    ]
    if many_alike(told):
        said.append(f"{same:,} of {games} were played before, move for move: ± is by the different ones")
    said += [f"{count} × {what}" for what, count in told["forfeits"].items()]
    said += [
        f"a circle: {' > '.join([*circle['players'], circle['players'][0]])} ({circle['strength']:.1%} sure)"
        for circle in told["cycles"][:3]
    ]
    said += [
        f"a surprise: {row['winner']} got {row['points']:g} point{'' if row['points'] == 1 else 's'} more "
        f"from {row['loser']} than ratings say (by chance: {row['chance']:.2g})"
        for row in told["surprises"][:3]
    ]
    return said + ([sprt_verdict(told["sprt"])] if "sprt" in told else [])


def sprt_verdict(test: Mapping[str, Any]) -> str:
    """What a sequential test of two says, and the Elo behind the score, where there is one."""
    from search.sprt import estimate

    one, two = test.get("players", ("the first", "the second"))
    low, high, pairs = test["elo0"], test["elo1"], sum(test["pairs"])
    words = {
        "accept": f"accepted, better than {low:z.6g}",
        "reject": f"rejected, not {high:z.6g} better",
        "go on": "open",
    }
    verdict, unit = words[test["verdict"]], "pair" if pairs == 1 else "pairs"
    against = f"SPRT: {one} against {two}, [{low:z.6g}, {high:z.6g}] Elo"
    said = f"{against}: {verdict} (LLR {test['llr']:z.1f} after {pairs:,} {unit})"
    if not pairs:
        return said
    found = estimate(test["pairs"])
    elo, least, most = (f"{value:z.0f}".replace("inf", "∞") for value in (found.elo, *found.elo_interval))
    biased = "" if test["verdict"] == "go on" else ", which such a stop biases"
    return f"{said}; by the score {elo} Elo [{least}, {most}]{biased}"
