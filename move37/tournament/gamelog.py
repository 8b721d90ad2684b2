"""Games on paper: `games.jsonl`, a line a game."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from envs.board.game import DRAW, FIRST_WON, OUTCOMES, SECOND_WON
from move37.errors import UserError
from rollouts.storage import sync_to_disk

POINTS = {OUTCOMES[FIRST_WON]: 1.0, OUTCOMES[DRAW]: 0.5, OUTCOMES[SECOND_WON]: 0.0}
"""Of the first player, by how a game ended."""
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
    for number, line in enumerate(text_of(path).split("\n"), 1):
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


def text_of(path: Path) -> str:
    """What is in a file; nothing where there is none (`UserError` where it cannot be read)."""
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
            raise ValueError(f"'{name}' must be {wanted}, not {shown(data.get(name))}")
    if plain["outcome"] not in POINTS:
        raise ValueError(f"outcome must be one of {', '.join(POINTS)}, not {shown(plain['outcome'])}")
    if plain["first"] == plain["second"]:
        raise ValueError(f"{shown(plain['first'])} plays itself")
    return GameRecord(**plain)


def shown(value: Any) -> str:
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
