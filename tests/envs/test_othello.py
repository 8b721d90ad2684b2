"""Othello: against OpenSpiel's, plain rules for other sizes, a solved board, impossible positions."""

from __future__ import annotations

import random

import numpy as np
import pytest

from envs.board import load
from envs.board.game import DRAW, FIRST_WON, OPEN, SECOND_WON, legal, outcome, play, ply, to_play
from envs.board.moves import play_moves
from envs.options import OptionError
from tests.envs.board_twins import (
    Twin,
    assert_playouts,
    assert_symmetric,
    assert_texts,
    lockstep,
    mask_of,
    planes_of,
    random_states,
)

GAME = load("othello")
CELLS = 64
PASS = CELLS
RARE = ["pass", "early end", "wipe-out", "first won", "second won"]
WIPE_OUT = "e6 f4 e3 f6 g5 d6 e7 f5 c5"
"""One of the shortest games that there are: black takes all in nine plies."""
STEPS = [(row, column) for row in (-1, 0, 1) for column in (-1, 0, 1) if row or column]


def discs(state: np.ndarray) -> int:
    return (int(state[1]) | int(state[2])).bit_count()


def events(before, action, after):
    if action == PASS:
        yield "pass"
    if outcome(after) != OPEN and discs(after) < CELLS:
        yield "early end"
    if 0 in after[1:]:
        yield "wipe-out"


def same_discs(ours, theirs):
    """Their board as text, `x` and `o`, is what our planes show."""
    rows = [line.split()[1:-1] for line in str(theirs).splitlines() if line[:1].isdigit()]
    mine, other = "xo" if to_play(ours) == 0 else "ox"
    drawn = np.array(rows)
    np.testing.assert_array_equal(planes_of(GAME, ours), np.stack([drawn == mine, drawn == other], axis=-1))


TWIN = Twin(GAME, "othello", events=events, agree=same_discs)


def test_plays_as_openspiel_does():
    wipe_out = [GAME.parse_move(word) for word in WIPE_OUT.split()]
    lockstep(TWIN, moves=10_000, seed=1, rare=RARE, openings=[wipe_out])


@pytest.mark.slow
def test_plays_as_openspiel_does_for_long():
    lockstep(TWIN, moves=400_000, seed=2, rare=[*RARE, "draw"])


class Plain:
    """Othello by walking from a cell, on a board of 0 (empty), 1 (first) and 2 (second)."""

    def __init__(self, size):
        self.size, self.mover, self.half = size, 1, size // 2
        self.board = np.zeros((size, size), int)
        low, high = self.half - 1, self.half
        self.board[low, high] = self.board[high, low] = 1
        self.board[low, low] = self.board[high, high] = 2

    def turned(self, cell, mover):
        found = []
        for down, right in STEPS if self.board[divmod(cell, self.size)] == 0 else ():
            row, column = divmod(cell, self.size)
            run = []
            while True:
                row, column = row + down, column + right
                if not (0 <= row < self.size and 0 <= column < self.size) or self.board[row, column] == 0:
                    break
                if self.board[row, column] == mover:
                    found += run
                    break
                run.append((row, column))
        return found

    def legal(self, mover):
        return [cell for cell in range(self.size**2) if self.turned(cell, mover)]

    def play(self, action):
        if action < self.size**2:
            for where in [divmod(action, self.size), *self.turned(action, self.mover)]:
                self.board[where] = self.mover
        self.mover = 3 - self.mover

    def outcome(self):
        if self.legal(1) or self.legal(2):
            return OPEN
        first, second = (np.count_nonzero(self.board == man) for man in (1, 2))
        return DRAW if first == second else FIRST_WON if first > second else SECOND_WON


@pytest.mark.parametrize("size", [4, 6])
def test_other_sizes_play_by_the_plain_rules(size):
    game, dice, passes, ends = load("othello", {"size": size}), random.Random(size), 0, set()
    for _ in range(20):
        state, plain = game.new()[0], Plain(size)
        while outcome(state) == OPEN:
            actions = np.flatnonzero(mask_of(game, state)).tolist()
            assert actions == (plain.legal(plain.mover) or [size**2])
            action = dice.choice(actions)
            passes += action == size**2
            play(game.code, state, action)
            plain.play(action)
            assert outcome(state) == plain.outcome()
            assert to_play(state) == plain.mover - 1
            mine, theirs = plain.board == plain.mover, plain.board == 3 - plain.mover
            np.testing.assert_array_equal(planes_of(game, state), np.stack([mine, theirs], axis=-1))
        assert not mask_of(game, state).any()
        ends.add(outcome(state))
    assert passes
    assert {FIRST_WON, SECOND_WON} <= ends


def test_second_player_wins_on_4x4():
    """Feinstein, 1993: by all lines of play."""
    game, known = load("othello", {"size": 4}), {}

    def best(state):
        """The outcome that the mover can reach: 1, 0 or −1 for the first player."""
        if outcome(state) != OPEN:
            return {DRAW: 0, FIRST_WON: 1, SECOND_WON: -1}[outcome(state)]
        key = state.tobytes()
        if key not in known:
            choose = max if to_play(state) == 0 else min
            known[key] = choose(best(after) for after in children(game, state))
        return known[key]

    assert best(game.new()[0]) == -1


def children(game, state):
    for action in np.flatnonzero(mask_of(game, state)):
        after = state.copy()
        play(game.code, after, action)
        yield after


def test_a_wipe_out_ends_the_game():
    state = play_moves(GAME, WIPE_OUT)
    assert outcome(state) == FIRST_WON
    assert (int(state[1]).bit_count(), int(state[2])) == (13, 0)
    assert ply(state) == 9
    assert legal(GAME.code, state, np.ones(GAME.actions, bool)) == 0


def test_a_pass_is_legal_only_where_nothing_else_is():
    masks = [mask_of(GAME, state) for state in random_states(GAME, games=30, seed=3)]
    passes = [mask for mask in masks if mask[PASS]]
    assert passes
    assert all(mask.sum() == 1 for mask in passes)


def test_playouts_are_random_play():
    states = random_states(GAME, games=60, seed=4)
    late = [state for state in states if outcome(state) == OPEN and discs(state) == 58]
    stuck = [state for state in states if mask_of(GAME, state)[PASS] and discs(state) > 56]
    assert stuck
    assert_playouts(GAME, late[:10] + stuck[:10])


@pytest.mark.parametrize("size", [4, 6, 8])
def test_symmetric(size):
    """All eight ways to look at the board, though only four keep the first position."""
    game = load("othello", {"size": size})
    first = np.repeat(game.new(), 8, axis=0)
    for image, cell_map in zip(first, game.cell_maps, strict=True):
        for word in (1, 2, 3):
            bits = int(first[0, word])  # the first symmetry changes nothing
            image[word] = sum((bits >> int(cell) & 1) << k for k, cell in enumerate(cell_map))
    assert_symmetric(game, games=5, seed=5, first=first)


@pytest.mark.parametrize("size", [4, 6, 8])
def test_texts(size):
    assert_texts(load("othello", {"size": size}))


def test_moves_are_written_as_in_print():
    first = [GAME.move_text(int(action)) for action in np.flatnonzero(mask_of(GAME, GAME.new()[0]))]
    assert first == ["d3", "c4", "f5", "e6"]
    with pytest.raises(ValueError, match="'i1' is no cell; a1 to h8 are"):
        GAME.parse_move("i1")
    assert GAME.board_text(play_moves(GAME, "d3")).splitlines() == [
        "1 . . . . . . . .",
        "2 . . . . . . . .",
        "3 . . . x . . . .",
        "4 . . . x x . . .",
        "5 . . . x o . . .",
        "6 . . . . . . . .",
        "7 . . . . . . . .",
        "8 . . . . . . . .",
        "  a b c d e f g h",
    ]


@pytest.mark.parametrize("size", [0, 3, 5, 7, 10])
def test_sizes_out_of_range(size):
    with pytest.raises(OptionError, match=f"must be 4, 6 or 8, not {size}"):
        load("othello", {"size": size})


def test_every_position_that_is_played_is_possible():
    for size in (4, 6, 8):
        game = load("othello", {"size": size})
        game.check(random_states(game, games=10, seed=6))


MIDDLE_FIRST, MIDDLE_SECOND = 1 << 28 | 1 << 35, 1 << 27 | 1 << 36
TURN = 1 << 16


@pytest.mark.parametrize(
    ("header", "first", "second", "flaw"),
    [
        (0, MIDDLE_FIRST, MIDDLE_SECOND | 1 << 28, "a cell holds two discs"),
        (0, MIDDLE_FIRST, 1 << 27, "one of the four cells in the middle is empty"),
        (1 | TURN, MIDDLE_FIRST, MIDDLE_SECOND, "0 discs placed in 1 plies"),
        (3 | TURN, MIDDLE_FIRST | 1 << 19, MIDDLE_SECOND, "1 discs placed in 3 plies"),
        (1, MIDDLE_FIRST | MIDDLE_SECOND, 1 << 19, "it is the other player's turn"),
        (DRAW << 17, MIDDLE_FIRST, MIDDLE_SECOND, "its outcome is 'draw', but the board says 'open'"),
        (1 | TURN, MIDDLE_FIRST | MIDDLE_SECOND | 1 << 19, 0, "but the board says 'first won'"),
        (1 | TURN, MIDDLE_FIRST | 1, MIDDLE_SECOND, "a disc touches none that leads to the middle"),
        (4, MIDDLE_FIRST | 0b1111 << 29, MIDDLE_SECOND, "a disc touches none"),  # h4, and a5 behind the edge
    ],
)
def test_impossible_positions(header, first, second, flaw):
    state = np.array([header, first, second, 0], np.uint64)
    assert flaw in GAME.flaw(state)
    with pytest.raises(ValueError, match="slot 0 holds no position of othello"):
        GAME.check(state[None])


def test_the_cells_to_place_are_those_of_the_board():
    for state in random_states(GAME, games=3, seed=7):
        state[3] ^= np.uint64(1 << 20)
        assert "other cells to place" in GAME.flaw(state)


def test_discs_outside_a_smaller_board():
    small = load("othello", {"size": 6})
    state = small.new()[0]
    state[1] |= np.uint64(1 << 36)
    assert small.flaw(state) == "a disc lies outside the board"
