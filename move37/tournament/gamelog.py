"""Games on paper: `games.jsonl`, a line a game, and the formats of others: PGN in and out, SGF out."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from envs.board.game import DRAW, FIRST_WON, OUTCOMES, SECOND_WON, Game
from move37.errors import UserError, in_one_line
from rollouts.storage import sync_to_disk

POINTS = {OUTCOMES[FIRST_WON]: 1.0, OUTCOMES[DRAW]: 0.5, OUTCOMES[SECOND_WON]: 0.0}
"""Of the first player, by how a game ended."""
PGN_RESULTS = {"1-0": OUTCOMES[FIRST_WON], "1/2-1/2": OUTCOMES[DRAW], "0-1": OUTCOMES[SECOND_WON]}
SGF_GAMES = {"go": 1, "othello": 2, "gomoku": 4, "hex": 11}
"""The numbers that SGF gives games (`GM`)."""
CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""What breaks lines or terminals, and halves of characters."""
MOST = 2**53
"""Numbers of games and rounds are below."""
WARNINGS = 10
"""Lines about lines that hold no game, at most."""


@dataclass(frozen=True)
class GameRecord:
    """One game, as a line of `games.jsonl` has it."""

    game: int
    """Its number. Games 2k and 2k + 1 are a pair: the same opening with colours swapped."""
    round: int
    first: str
    second: str
    opening: str
    """Moves as people write them."""
    moves: str
    """All that follow."""
    outcome: str
    """`first won`, `second won` or `draw`."""
    why: str = ""
    """What ended it other than the rules: what the loser did."""
    seconds: tuple[float, float] = (0.0, 0.0)
    """Of both players' thought."""
    nodes: tuple[int, int] = (0, 0)
    """Visits that their searches made."""
    seed: int = 0
    """Of the game's own generator."""
    budgets: tuple[str, str] = ("", "")
    """What both are and may spend."""

    @property
    def points(self) -> float:
        """Of the first player: 1, 0.5 or 0."""
        return POINTS[self.outcome]


def as_line(record: GameRecord) -> str:
    """A game as its line."""
    return json.dumps(asdict(record), ensure_ascii=False) + "\n"


def read_games(path: Path) -> tuple[list[GameRecord], list[str]]:
    """The games of a `games.jsonl`, in its order, and what is wrong with the lines that hold none.

    None of either where there is no file; `UserError` where it cannot be read.
    """
    found, wrong = list[GameRecord](), list[str]()
    for number, line in enumerate(_text_of(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            found.append(_record(json.loads(line)))
        except (json.JSONDecodeError, RecursionError):
            wrong.append(f"{path}, line {number}: is no JSON; left out")
        except ValueError as error:
            wrong.append(f"{path}, line {number}: is no game: {error}; left out")
    return found, wrong


def few(wrong: Sequence[str]) -> list[str]:
    """What is wrong, in `WARNINGS` lines at most."""
    if len(wrong) <= WARNINGS:
        return list(wrong)
    return [*wrong[: WARNINGS - 1], f"… and {len(wrong) - WARNINGS + 1:,} more"]


def visible(text: str) -> str:
    """A text in one line: control characters as Python writes them."""
    return CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig", errors="replace")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and not re.search(r"[\ud800-\udfff]", value)


def _is_name(value: Any) -> bool:
    return _is_text(value) and bool(value.strip())


def _is_whole(least: int, most: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and least <= value < most


def _are_numbers(value: Any) -> bool:
    return (
        isinstance(value, tuple)
        and len(value) == 2
        and all(type(v) in (int, float) and 0 <= v < MOST for v in value)
    )


def _are_texts(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(map(_is_text, value))


FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "first": (_is_name, "a text with a name"),
    "second": (_is_name, "a text with a name"),
    "outcome": (_is_text, "a text"),
    "opening": (_is_text, "a text"),
    "moves": (_is_text, "a text"),
    "why": (_is_text, "a text"),
    "game": (_is_whole(-1, MOST), "a whole number from -1 to 2^53"),
    "round": (_is_whole(0, MOST), "a whole number from 0 to 2^53"),
    "seed": (_is_whole(0, 2**64), "a whole number from 0 to 2^64"),
    "seconds": (_are_numbers, "two numbers of at least 0"),
    "nodes": (_are_numbers, "two numbers of at least 0"),
    "budgets": (_are_texts, "two texts"),
}
"""What a field of a line may be, and how that is told."""


def _record(data: Any) -> GameRecord:
    """A line's game (`ValueError` that says in one line what is wrong with it)."""
    if not isinstance(data, dict):
        raise ValueError("a game is a mapping")
    known = {name: tuple(v) if isinstance(v, list) else v for name, v in data.items() if name in FIELDS}
    plain: dict[str, Any] = dict.fromkeys(("first", "second", "outcome"))
    plain |= {"game": -1, "round": 0, "opening": "", "moves": ""} | known
    for name, value in plain.items():
        fits, wanted = FIELDS[name]
        if not fits(value):
            raise ValueError(f"'{name}' must be {wanted}, not {_shown(data.get(name))}")
    if plain["outcome"] not in POINTS:
        raise ValueError(f"outcome must be one of {', '.join(POINTS)}, not {_shown(plain['outcome'])}")
    if plain["first"] == plain["second"]:
        raise ValueError(f"{_shown(plain['first'])} plays itself")
    return GameRecord(**plain)


def _shown(value: Any) -> str:
    """What a file holds, short and in one line."""
    return visible(f"{value!r:.60}")


class GameLog:
    """The `games.jsonl` of a tournament: `kept` are those that stay of what is there."""

    def __init__(self, path: Path, kept: Iterable[GameRecord]) -> None:
        beside = path.with_name(f".{path.name}")
        beside.write_text("".join(map(as_line, kept)), encoding="utf-8")
        sync_to_disk(beside)
        os.replace(beside, path)
        self.file = open(path, "a", encoding="utf-8")  # noqa: SIM115 (closed in close)

    def add(self, records: Sequence[GameRecord]) -> None:
        """Append games, and wait until they are on the disk."""
        self.file.write("".join(map(as_line, records)))
        self.file.flush()
        os.fsync(self.file.fileno())

    def close(self) -> None:
        self.file.close()


# -- the formats of others ---------------------------------------------------------------------------------


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
    text = _text_of(path)
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
        raise ValueError(f"Result must be {', '.join(PGN_RESULTS)} or *, not {_shown(tags['Result'])}")
    if tags["White"] == tags["Black"]:
        raise ValueError(f"{_shown(tags['White'])} plays itself")
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
