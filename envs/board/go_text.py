"""Go in text, and what makes a state of it impossible."""

from __future__ import annotations

import numpy as np

from envs.board import text
from envs.board.game import OPEN, OUTCOMES, outcome, ply, to_play
from envs.board.go_bits import (
    BITS,
    EVER,
    FIRST_BIT,
    HISTORY,
    KEYS,
    LAST,
    PASSED,
    SIZE,
    STONES,
    STRIDE,
    WORDS,
    board_at,
)
from envs.board.go_board import renew, winner

LETTERS = "abcdefghjklmnopqrst"


def move_text(action: int, size: int) -> str:
    """`d4`, or `pass`; the letter i is left out."""
    return "pass" if action == size * size else f"{LETTERS[action % size]}{size - action // size}"


def parse_move(word: str, size: int) -> int:
    """The reverse of `move_text` (`ValueError` for what is no move)."""
    word = word.strip().lower()
    for action in range(size * size + 1):
        if word == move_text(action, size):
            return action
    but = ", and no column is called i" if word[:1] == "i" else ""
    raise ValueError(f"'{word}' is no move; a1 to {move_text(size - 1, size)} and pass are{but}")


def board_text(state: np.ndarray, rules: np.ndarray) -> str:
    """The board from above: x first (black), o second (white)."""
    size = int(rules[SIZE])
    board = np.zeros((size, size), np.int8)
    for seat in (0, 1):
        for bit in bits(state, rules, STONES + seat):
            board[divmod(bit, size + 1)] = 1 + seat
    return text.draw(board, LETTERS[:size], [str(row) for row in range(size, 0, -1)])


def bits(state: np.ndarray, rules: np.ndarray, board: int) -> list[int]:
    """The bits that are set in a bitboard."""
    at = board_at(rules, board)
    words = state[at : at + rules[WORDS]]
    return np.flatnonzero(np.unpackbits(words.view(np.uint8), bitorder="little")).tolist()


def flaw(state: np.ndarray, rules: np.ndarray) -> str:
    """See `Game.flaw`. Of the history there are only hashes: whether each move was legal cannot be seen."""
    return (
        stones_flaw(state, rules)
        or history_flaw(state, rules)
        or end_flaw(state, rules)
        or notes_flaw(state, rules)
    )


def stones_flaw(state: np.ndarray, rules: np.ndarray) -> str:
    """What is wrong with the stones."""
    stride, board = int(rules[STRIDE]), sum(1 << bit for bit in cells(rules))
    first, second = (sum(1 << bit for bit in bits(state, rules, STONES + seat)) for seat in (0, 1))
    if (first | second) & ~board:
        return "a stone lies outside the board"
    if first & second:
        return "a cell holds two stones"
    for stones in (first, second):
        alive, before = board & ~(first | second), 0
        while alive != before:
            before = alive
            alive |= (alive << 1 | alive >> 1 | alive << stride | alive >> stride) & stones
        if stones & ~alive:
            return "a chain has no liberty"
    return ""


def history_flaw(state: np.ndarray, rules: np.ndarray) -> str:
    """What is wrong with the positions so far."""
    plies, history = ply(state), state[rules[HISTORY] :]
    position = np.uint64(0)
    for seat in (0, 1):
        for bit in bits(state, rules, STONES + seat):
            position ^= KEYS[seat * BITS + bit]
    if history[0] or history[plies] != position or history[plies + 1 :].any():
        return "its history does not lead from the empty board to this position"
    moved = history[1 : plies + 1] != history[:plies]
    if len(set(history[: plies + 1].tolist())) != 1 + moved.sum():
        return "a position came up twice"
    return ""


def end_flaw(state: np.ndarray, rules: np.ndarray) -> str:
    """What is wrong with the turn, the last move and the outcome."""
    plies, history, last = ply(state), state[rules[HISTORY] :], int(state[LAST])
    if to_play(state) != plies % 2:
        return "it is the other player's turn"
    passed = (history[1 : plies + 1] == history[:plies]).tolist()
    theirs = [FIRST_BIT + bit for bit in bits(state, rules, STONES + 1 - to_play(state))]
    if last not in ([0] if not passed else [PASSED] if passed[-1] else theirs):
        return "its last move is not the one that led here"
    twice = [k for k in range(1, plies) if passed[k - 1] and passed[k]]
    if twice and twice[0] != plies - 1:
        return "the game went on after two passes"
    over = twice or plies == len(history) - 1
    expected = winner(state.copy(), rules) if over else OPEN
    if outcome(state) != expected:
        return f"its outcome is '{OUTCOMES[outcome(state)]}', but the board says '{OUTCOMES[expected]}'"
    return ""


def notes_flaw(state: np.ndarray, rules: np.ndarray) -> str:
    """What is wrong with all else; most of it follows from the stones and the history."""
    anew = state.copy()
    anew[LAST + 1 : rules[HISTORY]] = 0
    for board in (STONES, STONES + 1, EVER, EVER + 1):
        at = board_at(rules, board)
        anew[at : at + rules[WORDS]] = state[at : at + rules[WORDS]]
    for seat in (0, 1):
        ever = set(bits(state, rules, EVER + seat))
        if not set(bits(state, rules, STONES + seat)) <= ever <= set(cells(rules)):
            return "where it says that stones were ever put cannot be"
    renew(anew, rules)
    same = (anew == state).all()
    return "" if same else "what it notes of the board does not fit the stones and the history"


def cells(rules: np.ndarray) -> list[int]:
    """The bits of all cells."""
    size, stride = int(rules[SIZE]), int(rules[STRIDE])
    return [row * stride + column for row in range(size) for column in range(size)]
