"""Games in the formats of others: PGN in and out, SGF out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from envs.board.game import DRAW, FIRST_WON, OUTCOMES, SECOND_WON, Game
from move37.errors import UserError, in_one_line
from move37.tournament.gamelog import GameRecord, shown, text_of, visible

PGN_RESULTS = {"1-0": OUTCOMES[FIRST_WON], "1/2-1/2": OUTCOMES[DRAW], "0-1": OUTCOMES[SECOND_WON]}
SGF_GAMES = {"go": 1, "othello": 2, "gomoku": 4, "hex": 11}
"""The numbers that SGF gives games (`GM`)."""


def as_pgn(record: GameRecord, title: str) -> str:
    """A game in PGN, with moves as this suite writes them: programs that rate games read the headers."""
    result = next(text for text, outcome in PGN_RESULTS.items() if outcome == record.outcome)
    tags = {"Event": title, "Round": record.round + 1, "White": record.first, "Black": record.second}
    tags |= {"Result": result, "Variant": title, "Opening": record.opening, "Board": record.game}
    tags |= {"Termination": record.why} if record.why else {}
    head = [f'[{name} "{_quoted(visible(str(value)))}"]' for name, value in tags.items()]
    moves = visible(f"{record.opening} {record.moves}").split()
    numbered = [f"{k // 2 + 1}. {move}" if k % 2 == 0 else move for k, move in enumerate(moves)]
    return "\n".join(head) + "\n\n" + " ".join([*numbered, result]) + "\n\n"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


PGN_TOKEN = re.compile(
    r"\{[^}]*\}|;[^\n]*|^%[^\n]*"  # comments
    r"|(?P<endless>\{)"
    r'|\[\s*(?P<tag>\w+)\s+"(?P<value>(?:[^"\\\n]|\\.)*)"\s*\]'
    r"|(?P<bracket>[()])"
    r"|(?P<word>[^\s{}()\[\];]+)",
    re.MULTILINE,
)


def read_pgn(path: Path) -> tuple[list[GameRecord], list[str]]:
    """The games of a PGN file, and what is wrong with those left out (`UserError` where it holds none).

    Moves are taken as they are written, by no rules of any game. Games without a result (`*`) are left out.
    Neighbours with colours swapped and one `Opening` are a pair.
    """
    found, wrong, before = list[GameRecord](), list[str](), dict[str, str]()
    text = text_of(path)
    for line, tags, moves in _pgn_games(text):
        if tags.get("Result") == "*":
            continue
        try:
            record = _from_tags(tags, moves)
        except ValueError as error:
            wrong.append(f"{path}, line {line}: {error}; left out")
            continue
        swapped = (before.get("White"), before.get("Black")) == (record.second, record.first)
        same = bool(tags.get("Opening")) and before.get("Opening") == tags["Opening"]
        twin = bool(found) and swapped and same and found[-1].game % 2 == 0
        found.append(replace(record, game=found[-1].game + 1 if twin else 2 * len(found)))
        before = tags
    if not found:
        said = f"; {wrong[0].removeprefix(f'{path}, ')}" if wrong else ""
        raise UserError(f"{path}: holds no game with a result in PGN ([White], [Black], [Result]){said}")
    return found, wrong


def _pgn_games(text: str) -> Iterator[tuple[int, dict[str, str], list[str]]]:
    """Each game of a PGN: the line of its first tag, its tags, and its moves without variations.

    A game begins at a tag that follows moves or a result, or that the game before has already.
    """
    tags, moves = dict[str, str](), list[str]()
    begun, line, last, depth, ended = 0, 1, 0, 0, False
    for token in PGN_TOKEN.finditer(text):
        line, last = line + text.count("\n", last, token.start()), token.start()
        if token["endless"]:  # what follows is all comment
            break
        if name := token["tag"]:
            if moves or ended or name in tags:
                yield begun, tags, moves
                tags, moves, depth, ended = {}, [], 0, False
            begun = begun if tags else line
            tags[name] = re.sub(r"\\(.)", r"\1", token["value"])
        elif token["bracket"]:
            depth = depth + 1 if token["bracket"] == "(" else max(depth - 1, 0)
        elif token["word"] and tags and not depth and not ended:
            ended = token["word"] in (*PGN_RESULTS, "*")
            move = re.sub(r"^\d+\.+|^\$.*", "", token["word"])  # without its number; `$1` is a remark
            moves += [move] if move and not ended else []
    if tags:
        yield begun, tags, moves


def _from_tags(tags: dict[str, str], moves: list[str]) -> GameRecord:
    """The game of some tags, without its number (`ValueError` that says what is wrong with it)."""
    missing = [name for name in ("White", "Black", "Result") if not tags.get(name, "").strip()]
    if missing:
        raise ValueError(f"a game without {' and '.join(missing)}")
    if tags["Result"] not in PGN_RESULTS:
        raise ValueError(f"Result must be {', '.join(PGN_RESULTS)} or *, not {shown(tags['Result'])}")
    if tags["White"] == tags["Black"]:
        raise ValueError(f"{shown(tags['White'])} plays itself")
    opening = tags.get("Opening", "").split()
    opening = opening if moves[: len(opening)] == opening else []  # others write a name there
    rest, outcome = moves[len(opening) :], PGN_RESULTS[tags["Result"]]
    return GameRecord(-1, 0, tags["White"], tags["Black"], " ".join(opening), " ".join(rest), outcome)


def as_sgf(record: GameRecord, game: Game) -> str:
    """A game in SGF (`UserError` for games that SGF does not know, and for what is no move of the game)."""
    if game.name not in SGF_GAMES:
        raise UserError(f"SGF knows no {game.title}; it knows {', '.join(SGF_GAMES)}")
    size, result = game.shape[0], {1.0: "B+", 0.5: "0", 0.0: "W+"}[record.points]
    tags = {"GM": SGF_GAMES[game.name], "FF": 4, "CA": "UTF-8", "SZ": size, "PB": record.first}
    tags |= {"PW": record.second, "RE": result + ("F" if record.why and record.points != 0.5 else "")}
    tags |= {"KM": game.options["komi"]} if "komi" in game.options else {}
    head = "".join(f"{name}[{_escaped(visible(str(value)))}]" for name, value in tags.items())
    opened, moves = len(record.opening.split()), f"{record.opening} {record.moves}".split()
    try:
        nodes = [f";{'BW'[k % 2]}[{_sgf_move(game, move)}]" for k, move in enumerate(moves)]
    except ValueError as error:
        raise UserError(f"game {record.game}: {in_one_line(error)}") from None
    if opened:
        nodes[opened - 1] += "C[opening ends here]"
    return f"(;{head}{''.join(nodes)})\n"


def _sgf_move(game: Game, move: str) -> str:
    """Two letters, column and row from the top left; hex has its own names; a pass is empty."""
    action, (rows, columns) = game.parse_move(move), game.shape
    if action >= rows * columns:
        return "" if game.name != "hex" else "swap-pieces"
    if game.name == "hex":
        return move
    row, column = divmod(action, columns)
    return f"{chr(97 + column)}{chr(97 + row)}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("]", "\\]")
