"""Opening books for the connect-four solver: the exact scores of all positions of so many stones.

`move37 book` computes one into the user's cache folder, and goes on where it was stopped. A search from a
position with fewer stones ends at the book.
"""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from envs.kernels import cache_folder, kernel
from search.perfect.bitboard import COLUMN, COLUMNS, STRIDE, ZERO, canonical, drops, winning_spots
from search.perfect.connect_four import Book, Solver
from search.perfect.files import replace_file

MOST_STONES = 12
"""With more, positions are millions: too many to compute, and hardly faster than to search."""


def books() -> Path:
    """The folder of books in the user's cache."""
    return cache_folder().parent.parent / "books"


def book_path(stones: int) -> Path:
    """Where the book of so many stones lies in the user's cache (`MOVE37_CACHE`, as for the kernels)."""
    return books() / f"connect_four_{stones}.npz"


def compute_book(
    path: Path | str,
    stones: int,
    table_megabytes: int = 1024,
    save_seconds: float = 10.0,
    report: Callable[[str], None] = lambda line: None,
) -> Book:
    """Score all positions of `stones` stones and save them to `path`.

    Every `save_seconds` what there is goes to `path`.part, and `report` is told the rate and the time that is
    left; called again, it goes on there. Raises `ValueError` for more than `MOST_STONES`, and where the file
    is damaged or another book; `OSError` where it cannot be written.
    """
    if not 0 <= stones <= MOST_STONES:
        raise ValueError(f"a book of {stones} stones; it can have 0 to {MOST_STONES}")
    path = Path(path)
    part = path.with_name(f"{path.name}.part")
    keys, mine, mask = _quiet_positions(stones).T
    scores = _saved_scores(path if path.exists() else part, stones, keys)
    path.parent.mkdir(parents=True, exist_ok=True)
    solver, had, begun = Solver(table_megabytes), len(scores), time.monotonic()
    saved = begun
    report(f"{had:,} of {len(keys):,} positions are there")
    while len(scores) < len(keys):
        one = slice(len(scores), len(scores) + 1)
        scores = np.concatenate([scores, solver.score(mine[one], mask[one])])
        now = time.monotonic()
        if now - saved >= save_seconds:
            _save(part, stones, keys, scores)
            report(_progress(len(scores), len(keys), (now - begun) / (len(scores) - had)))
            saved = now
    if not path.exists():
        _save(path, stones, keys, scores)
        part.unlink(missing_ok=True)
    return Book(stones, keys, scores)


def _progress(done: int, of: int, seconds: float) -> str:
    """How far it is, at so many seconds a position."""
    left = seconds * (of - done)
    time_left = (
        f"{left:.0f} s" if left < 120 else f"{left / 60:.0f} min" if left < 7200 else f"{left / 3600:.1f} h"
    )
    return f"{done:,} of {of:,} positions, {seconds:.3g} s each: about {time_left} left"


def load_book(path: Path | str) -> Book:
    """A book that `compute_book` finished.

    Raises `FileNotFoundError` where there is none, `ValueError` where it is damaged.
    """
    return Book(*_load(Path(path)))


def deepest_book() -> Book | None:
    """Of the books in the user's cache that of most stones, which helps most; None where there is none.

    Raises `ValueError` where it is damaged.
    """
    paths = [path for stones in range(MOST_STONES, -1, -1) if (path := book_path(stones)).exists()]
    return load_book(paths[0]) if paths else None


@kernel
def successors(mine, mask, out):  # type: ignore[no-untyped-def]
    """Write (key, mine, mask) of every position one move on that is not won into `out`; returns how many."""
    n = 0
    for i in range(len(mine)):
        wins = winning_spots(mine[i], mask[i])
        for column in range(COLUMNS):
            move = drops(mask[i]) & (COLUMN << np.uint64(STRIDE * column))
            if move != ZERO and move & wins == ZERO:
                out[n, 1], out[n, 2] = mine[i] ^ mask[i], mask[i] | move
                out[n, 0] = canonical(out[n, 1], out[n, 2])
                n += 1
    return n


@kernel
def can_win(mine, mask, out):  # type: ignore[no-untyped-def]
    """Write into `out`, bool `[n]`, whether the player to move wins at once."""
    for i in range(len(mine)):
        out[i] = winning_spots(mine[i], mask[i]) & drops(mask[i]) != ZERO


def all_positions(stones: int) -> np.ndarray:
    """Every position that games reach with so many stones and go on from, one of each mirror pair.

    Returns (key, mine, mask), uint64 `[n, 3]`, by rising key.
    """
    layer = np.zeros((1, 3), np.uint64)
    for _ in range(stones):
        out = np.empty((COLUMNS * len(layer), 3), np.uint64)
        out = out[: successors(layer[:, 1], layer[:, 2], out)]
        layer = out[np.unique(out[:, 0], return_index=True)[1]]
    return layer


def _quiet_positions(stones: int) -> np.ndarray:
    """Those of `all_positions` where the player to move cannot win at once: the others need no book."""
    layer = all_positions(stones)
    wins = np.empty(len(layer), bool)
    can_win(layer[:, 1], layer[:, 2], wins)
    return layer[~wins]


def _saved_scores(path: Path, stones: int, keys: np.ndarray) -> np.ndarray:
    """The scores that a book holds so far, none where there is no file."""
    if not path.exists():
        return np.zeros(0, np.int8)
    had, its_keys, scores = _load(path)
    if had != stones or not np.array_equal(keys, its_keys):
        raise ValueError(f"{path}: a book of {had} stones, not {stones}")
    return scores


def _load(path: Path) -> tuple[int, np.ndarray, np.ndarray]:
    try:
        with np.load(path) as file:
            return int(file["stones"]), file["keys"], file["scores"]
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such book; `move37 book` computes one") from None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: missing or damaged ({error})") from None


def _save(path: Path, stones: int, keys: np.ndarray, scores: np.ndarray) -> None:
    content = io.BytesIO()
    np.savez(content, stones=stones, keys=keys, scores=scores)
    replace_file(path, content.getvalue())
