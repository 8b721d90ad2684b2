"""Games on paper: `games.jsonl`, a line a game, and the formats of others: PGN in and out, SGF out."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from envs.board.game import DRAW, FIRST_WON, OUTCOMES, SECOND_WON, Game
from move37.errors import UserError
from rollouts.storage import sync_to_disk

POINTS = {OUTCOMES[FIRST_WON]: 1.0, OUTCOMES[DRAW]: 0.5, OUTCOMES[SECOND_WON]: 0.0}
"""Of the first player, by how a game ended."""
PGN_RESULTS = {"1-0": OUTCOMES[FIRST_WON], "1/2-1/2": OUTCOMES[DRAW], "0-1": OUTCOMES[SECOND_WON]}
SGF_GAMES = {"go": 1, "othello": 2, "gomoku": 4, "hex": 11}
"""The numbers that SGF gives games (`GM`)."""


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
    """The games of a `games.jsonl`, in its order, and what is wrong with the lines that hold none."""
    found, wrong = list[GameRecord](), list[str]()
    if not path.exists():
        return found, wrong
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        try:
            found.append(_record(json.loads(line)))
        except (ValueError, TypeError, KeyError) as error:
            said = "is no JSON" if isinstance(error, json.JSONDecodeError) else f"is no game: {error}"
            wrong.append(f"{path}, line {number}: {said}; left out")
    return found, wrong


def _record(data: Any) -> GameRecord:
    if not isinstance(data, dict):
        raise ValueError("a game is a mapping")
    known = {field.name for field in fields(GameRecord)}
    for name in ("first", "second", "outcome"):
        if not isinstance(data.get(name), str):
            raise ValueError(f"'{name}' must be a text, not {data.get(name)!r:.40}")
    if data["outcome"] not in POINTS:
        raise ValueError(f"outcome must be one of {', '.join(POINTS)}, not '{data['outcome']:.40}'")
    if data["first"] == data["second"]:
        raise ValueError(f"'{data['first']}' plays itself")
    plain: dict[str, Any] = {"game": -1, "round": 0, "opening": "", "moves": ""}
    plain |= {name: tuple(v) if isinstance(v, list) else v for name, v in data.items() if name in known}
    if not isinstance(plain["game"], int):
        raise ValueError(f"'game' must be a whole number, not {plain['game']!r:.40}")
    return GameRecord(**plain)


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
    head = [f'[{name} "{_quoted(str(value))}"]' for name, value in tags.items()]
    moves = f"{record.opening} {record.moves}".split()
    numbered = [f"{k // 2 + 1}. {move}" if k % 2 == 0 else move for k, move in enumerate(moves)]
    return "\n".join(head) + "\n\n" + " ".join([*numbered, result]) + "\n\n"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def read_pgn(path: Path) -> list[GameRecord]:
    """The games of a PGN file, by their tags alone (`UserError` that names the line, for none).

    Games without a result (`*`) are left out. Neighbours with colours swapped and one `Opening` are a pair.
    """
    found, tags, begun = list[GameRecord](), dict[str, str](), 0
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    for number, line in enumerate([*lines, '[Event ""]'], 1):
        tag = re.fullmatch(r'\s*\[(\w+)\s+"((?:[^"\\]|\\.)*)"\]\s*', line)
        if tag is None:
            continue
        if tag[1] == "Event" and tags:
            found += _from_tags(tags, f"{path}, line {begun}", len(found), found)
            tags = {}
        if not tags:
            begun = number
        tags[tag[1]] = re.sub(r"\\(.)", r"\1", tag[2])
    if not found:
        raise UserError(f"{path}: holds no game with a result in PGN ([White], [Black], [Result])")
    return found


def _from_tags(
    tags: dict[str, str], where: str, number: int, before: Sequence[GameRecord]
) -> list[GameRecord]:
    if tags.get("Result") == "*":
        return []
    missing = [name for name in ("White", "Black", "Result") if name not in tags]
    if missing:
        raise UserError(f"{where}: a game without {' and '.join(missing)}")
    if tags["Result"] not in PGN_RESULTS:
        raise UserError(f"{where}: Result must be {', '.join(PGN_RESULTS)} or *, not '{tags['Result']:.20}'")
    if tags["White"] == tags["Black"]:
        raise UserError(f"{where}: '{tags['White']}' plays itself")
    game = 2 * number  # alone, but where the game before is its twin
    twin = before[-1] if before else None
    swapped = twin is not None and (twin.first, twin.second) == (tags["Black"], tags["White"])
    if twin and swapped and tags.get("Opening") and twin.opening == tags["Opening"] and twin.game % 2 == 0:
        game = twin.game + 1
    outcome = PGN_RESULTS[tags["Result"]]
    return [GameRecord(game, 0, tags["White"], tags["Black"], tags.get("Opening", ""), "", outcome)]


def as_sgf(record: GameRecord, game: Game) -> str:
    """A game in SGF (`UserError` for games that SGF does not know)."""
    if game.name not in SGF_GAMES:
        raise UserError(f"SGF knows no {game.title}; it knows {', '.join(SGF_GAMES)}")
    size, result = game.shape[0], {1.0: "B+", 0.5: "0", 0.0: "W+"}[record.points]
    tags = {"GM": SGF_GAMES[game.name], "FF": 4, "CA": "UTF-8", "SZ": size, "PB": record.first}
    tags |= {"PW": record.second, "RE": result + ("F" if record.why and record.points != 0.5 else "")}
    tags |= {"KM": game.options["komi"]} if "komi" in game.options else {}
    head = "".join(f"{name}[{_escaped(str(value))}]" for name, value in tags.items())
    moves = f"{record.opening} {record.moves}".split()
    nodes = "".join(f";{'BW'[k % 2]}[{_sgf_move(game, move)}]" for k, move in enumerate(moves))
    return f"(;{head}{nodes})\n"


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
