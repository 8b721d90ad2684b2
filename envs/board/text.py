"""Moves and boards as text, and what makes a position impossible: what most games share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from envs.board.game import DRAW, FIRST_WON, OPEN, OUTCOMES, SECOND_WON, outcome, ply, to_play

MEN = ".xo"
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def draw(board: np.ndarray, columns: Sequence[str] | None = None, rows: Sequence[str] | None = None) -> str:
    """A board `[rows, columns]` of 0 (empty), 1 (first) and 2 (second), a line a row, with its labels."""
    width = max(map(len, rows)) + 1 if rows else 0
    lines = []
    for k, row in enumerate(board):
        label = f"{rows[k]:>{width - 1}} " if rows else ""
        lines.append(label + " ".join(MEN[man] for man in row))
    if columns:
        lines.append(" " * width + " ".join(columns))
    return "\n".join(lines)


def cell_text(cell: int, rows: int, columns: int) -> str:
    """A cell by its column's letter and its row's number, counted from the bottom: `c4`."""
    return f"{LETTERS[cell % columns]}{rows - cell // columns}"


def parse_cell(word: str, rows: int, columns: int) -> int:
    """The reverse of `cell_text` (`ValueError` for what is no cell)."""
    word = word.strip().lower()
    column, row = LETTERS.find(word[:1]), word[1:]
    if len(word) < 2 or not 0 <= column < columns or not row.isdecimal() or not 1 <= int(row) <= rows:
        last = cell_text(columns - 1, rows, columns)
        raise ValueError(f"'{word}' is no cell; a1 to {last} are")
    return (rows - int(row)) * columns + column


def parse_column(word: str, columns: int) -> int:
    """A column, counted from 1, as an action (`ValueError` for what is none)."""
    if not word.strip().isdecimal() or not 1 <= int(word) <= columns:
        raise ValueError(f"'{word.strip()}' is no column; 1 to {columns} are")
    return int(word) - 1


def turn_flaw(state: np.ndarray, first: int, second: int) -> str:
    """What is wrong where each ply places a stone and players take turns, with so many stones of each."""
    if not 0 <= first - second <= 1:
        return f"{first} stones against {second}, where players take turns"
    if ply(state) != first + second:
        return f"{first + second} stones after {ply(state)} plies"
    return "it is the other player's turn" if to_play(state) != first - second else ""


def win_flaw(state: np.ndarray, first: bool, second: bool, full: bool) -> str:
    """What is wrong with the outcome where each player has, or has not, a winning line."""
    if first and second:
        return "both players have won"
    expected = FIRST_WON if first else SECOND_WON if second else DRAW if full else OPEN
    if outcome(state) != expected:
        return f"its outcome is '{OUTCOMES[outcome(state)]}', but the board says '{OUTCOMES[expected]}'"
    mover_won = to_play(state) == (0 if first else 1)
    return "the winner did not move last" if (first or second) and mover_won else ""
