"""The scorecard's positions of connect four: a thousand in each of six classes, every move's exact score.

The classes are those of Pascal Pons's test sets (Solving Connect 4, part 2), which AlphaZero.jl's benchmark
uses too. A position's stage is by the stones on its board: beginning (at most 14), middle (15 to 28), end (29
and more). Its difficulty is by the moves that are still played if both sides play perfectly, winning as soon
and losing as late as they can: easy (fewer than 14), medium (14 to 27), hard (28 and more).

A draw k of a stage is a number of stones, uniform over the stage's range in `PLIES`, and as many legal moves,
uniform too; a game that ends earlier is no draw. Beginnings start at 7 stones: earlier ones are few, and each
takes up to minutes. Draws are taken in turn; one whose class is full, or that equals an earlier one or its
mirror image, is passed over. Every draw has a generator of its own, seeded by the seed, the stage and k.

    python -m search.perfect.positions --out connect_four_positions.txt

writes the file, and goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from search.perfect.bitboard import CELLS, COLUMNS, ROWS, canonical, has_four
from search.perfect.connect_four import BEST, ILLEGAL, Solver
from search.perfect.files import replace_file
from search.perfect.notation import from_moves

CLASSES = ("end-easy", "middle-easy", "middle-medium", "beginning-easy", "beginning-medium", "beginning-hard")
PLIES = {"end": (29, 41), "middle": (15, 28), "beginning": (7, 14)}
"""The fewest and the most stones of a drawn position, by stage."""
DIFFICULTIES = {"easy": 14, "medium": 28, "hard": CELLS + 1}
"""Fewer moves than this are still to be played."""
FILE = Path(__file__).with_name("connect_four_positions.txt")


@dataclass(frozen=True)
class Positions:
    """`n` positions, class after class.

    `mine` and `mask` are their words (uint64 `[n]`, see `search.perfect.bitboard`), `classes` their indices
    in `CLASSES` (int64 `[n]`), `moves` what leads there ("44455"), and `scores` the exact score of each move
    for the player who makes it (int8 `[n, 7]`, `ILLEGAL` where the column is full).
    """

    mine: np.ndarray
    mask: np.ndarray
    classes: np.ndarray
    moves: tuple[str, ...]
    scores: np.ndarray


@dataclass(frozen=True)
class Line:
    """A line of the file: the class, the draw of its stage, the moves and each move's score."""

    kind: str
    draw: int
    moves: str
    scores: tuple[int, ...]

    def __str__(self) -> str:
        scores = " ".join("." if score == ILLEGAL else str(score) for score in self.scores)
        return f"{self.kind} {self.draw} {self.moves} {scores}\n"

    @classmethod
    def read(cls, text: str) -> Line:
        """Raises `ValueError` where `text` is no such line."""
        kind, draw, moves, *scores = text.split()
        if kind not in CLASSES or len(scores) != COLUMNS:
            raise ValueError(f"'{text}' is no position with its class and {COLUMNS} scores")
        return cls(kind, int(draw), moves, tuple(ILLEGAL if s == "." else int(s) for s in scores))


def moves_left(score: int, stones: int) -> int:
    """How many moves a game with so many stones still lasts if it is worth `score` to the player to move."""
    if score == 0:
        return CELLS - stones
    first_wins = (score > 0) == (stones % 2 == 0)
    return 2 * (BEST + 1 - abs(score)) - first_wins - stones


def difficulty(score: int, stones: int) -> str:
    """easy, medium or hard."""
    left = moves_left(score, stones)
    return next(name for name, limit in DIFFICULTIES.items() if left < limit)


def draw_moves(seed: int, stage: str, k: int) -> str | None:
    """The moves of draw `k`, or None where that game ended earlier."""
    low, high = PLIES[stage]
    rng = np.random.default_rng([seed, low, k])
    moves = ""
    for _ in range(rng.integers(low, high + 1)):
        possible = [c for c in "1234567" if moves.count(c) < ROWS]
        moves += possible[rng.integers(len(possible))]
    try:
        mine, mask = from_moves(moves)
    except ValueError:  # four in a row before the last move
        return None
    return None if has_four(mine ^ mask) else moves


def classify(solver: Solver, moves: str, wanted: set[str]) -> str | None:
    """The difficulty of a position if it is one of those `wanted`, else None."""
    mine, mask = from_moves(moves)
    limit = max(DIFFICULTIES[name] for name in wanted)
    if limit <= CELLS - len(moves):  # see quickly whether it is harder than all that are wanted
        win = min(s for s in range(1, BEST) if moves_left(s, len(moves)) < limit)
        loss = max(s for s in range(-BEST, 0) if moves_left(s, len(moves)) < limit)
        if solver.at_least(mine, mask, loss + 1) and not solver.at_least(mine, mask, win):
            return None
    found = difficulty(solver.score(mine, mask), len(moves))
    return found if found in wanted else None


def generate(
    path: Path | str,
    seed: int = 0,
    per_class: int = 1000,
    table_megabytes: int = 1024,
    report: Callable[[str], None] = lambda line: None,
) -> None:
    """Write `per_class` positions of each class to `path`, sorted by class and draw.

    Positions are appended to `path`.part as they are found; called again, it goes on there. `report` is told
    of progress now and then. Raises `ValueError` where that file is damaged or was begun with other numbers.
    """
    path = Path(path)
    part = path.with_name(f"{path.name}.part")
    head = f"# connect four: class, draw, moves, score of columns 1 to 7 (seed {seed}, {per_class} a class)\n"
    lines = resume(part, head)
    solver, begun = Solver(table_megabytes), time.monotonic()
    with part.open("a", encoding="utf-8") as file:
        for line in find(solver, seed, per_class, lines):
            file.write(str(line))
            file.flush()
            if len(lines) % 50 == 0:
                seconds, millions = time.monotonic() - begun, solver.nodes / 1e6
                report(f"{len(lines)} positions ({line.kind}), {seconds:.0f} s, {millions:.0f} M explored")
    lines.sort(key=lambda line: (CLASSES.index(line.kind), line.draw))
    replace_file(path, (head + "".join(map(str, lines))).encode())
    part.unlink()


def find(solver: Solver, seed: int, per_class: int, lines: list[Line]) -> Iterator[Line]:
    """Append to `lines` what is still missing, and yield each new line."""
    seen = {canonical(*from_moves(line.moves)) for line in lines}
    for stage in PLIES:
        kinds = {kind for kind in CLASSES if kind.startswith(stage)}
        k = max((line.draw for line in lines if line.kind in kinds), default=-1)
        full = Counter(line.kind for line in lines)
        while wanted := {kind.split("-")[1] for kind in kinds if full[kind] < per_class}:
            k += 1
            moves = draw_moves(seed, stage, k)
            if moves is None or canonical(*from_moves(moves)) in seen:
                continue
            found = classify(solver, moves, wanted)
            if found is None:
                continue
            seen.add(canonical(*from_moves(moves)))
            scores = solver.scores(*from_moves(moves)).tolist()
            lines.append(Line(f"{stage}-{found}", k, moves, tuple(scores)))
            full[lines[-1].kind] += 1
            yield lines[-1]


def resume(part: Path, head: str) -> list[Line]:
    """The lines of a file that is being written, begun here if there is none; a torn last one is cut off."""
    text = part.read_text(encoding="utf-8") if part.exists() else ""
    whole = text[: text.rfind("\n") + 1] or head
    if not whole.startswith(head):
        raise ValueError(f"{part}: begun with other numbers: {whole.splitlines()[0]}")
    if whole != text:
        replace_file(part, whole.encode())
    return read_lines(part)


def read_lines(path: Path) -> list[Line]:
    """Raises `ValueError` that names the first line that is damaged."""
    lines = []
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines()[1:], 2):
        try:
            lines.append(Line.read(text))
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}") from None
    return lines


def load_positions(path: Path | str = FILE) -> Positions:
    """The positions of a file that `generate` wrote (by default the one that ships).

    Raises `FileNotFoundError`, or `ValueError` that names the first line that is damaged.
    """
    lines = read_lines(Path(path))
    words = np.array([from_moves(line.moves) for line in lines], np.uint64).reshape(-1, 2)
    return Positions(
        mine=words[:, 0].copy(),
        mask=words[:, 1].copy(),
        classes=np.array([CLASSES.index(line.kind) for line in lines], np.int64),
        moves=tuple(line.moves for line in lines),
        scores=np.array([line.scores for line in lines], np.int8).reshape(-1, COLUMNS),
    )


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="search.perfect.positions", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=FILE)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--per-class", type=int, default=1000)
    parser.add_argument("--table-megabytes", type=int, default=1024)
    args = parser.parse_args()

    def report(line: str) -> None:
        print(line, flush=True)

    generate(args.out, args.seed, args.per_class, args.table_megabytes, report)


if __name__ == "__main__":
    main()
