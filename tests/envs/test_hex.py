"""Hex: against OpenSpiel's, with and without swap; small boards walked to the end; impossible positions."""

from __future__ import annotations

from functools import cache
from itertools import product

import numpy as np
import pytest

from envs.board import load
from envs.board.game import FIRST_WON, OPEN, SECOND_WON, outcome, play, ply, to_play
from envs.board.hex import LARGEST, mark, stones
from envs.board.perft import perft
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

PLAIN, SWAPPING = load("hex"), load("hex", {"swap": True})
SMALL, SMALL_SWAPPING = load("hex", {"size": 4}), load("hex", {"size": 4, "swap": True})
RARE = ["first won", "second won"]


def twin(size: int, swap: bool) -> Twin:
    game = load("hex", {"size": size, "swap": swap})

    def same_stones(ours: np.ndarray, theirs) -> None:
        drawn = np.array(str(theirs).split()).reshape(size, size)
        np.testing.assert_array_equal(stones(ours), [drawn == "x", drawn == "o"])
        seen, seat = planes_of(game, ours), to_play(ours)
        np.testing.assert_array_equal(seen[..., seat], drawn == "x")
        np.testing.assert_array_equal(seen[..., 1 - seat], drawn == "o")
        assert (seen[..., 2] == (seat == 0)).all()
        assert not swap or (seen[..., 3] == (ply(ours) == 1)).all()

    return Twin(
        game,
        f"hex(board_size={size},swap={swap})",
        agree=same_stones,
        events=lambda before, action, after: ["swap"] if action == size * size else [],
    )


@pytest.mark.parametrize("size", [2, 3, 5, 11, LARGEST])
def test_plays_as_openspiel_does(size):
    lockstep(twin(size, swap=False), moves=2_000, seed=size, rare=RARE)


@pytest.mark.parametrize("size", [2, 3, 4])
def test_plays_as_openspiel_does_with_swap(size):
    lockstep(twin(size, swap=True), moves=2_000, seed=size, rare=[*RARE, "swap"])


@pytest.mark.slow
@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("size", [4, 7, 11, LARGEST])
def test_plays_as_openspiel_does_for_long(size, swap):
    lockstep(twin(size, swap), moves=50_000, seed=size, rare=RARE)


def joined(mine: np.ndarray) -> bool:
    """Whether stones, bool `[rows, columns]`, join the top to the bottom; plainly."""
    size = len(mine)
    found = {(0, column) for column in range(size) if mine[0, column]}
    to_do = list(found)
    while to_do:
        row, column = to_do.pop()
        for down, right in ((0, 1), (0, -1), (-1, 0), (-1, 1), (1, 0), (1, -1)):
            near = (row + down, column + right)
            if near not in found and min(near) >= 0 and max(near) < size and mine[near]:
                found.add(near)
                to_do.append(near)
    return any(row == size - 1 for row, _ in found)


def board_of(rows: np.ndarray) -> np.ndarray:
    """A state without header and marks from 0 (empty), 1 and 2, `[rows, columns]`."""
    state = np.zeros(1 + len(rows), np.uint64)
    for row, column in np.argwhere(rows):
        state[1 + row] |= np.uint64(1 << int(column) + 21 * (int(rows[row, column]) - 1))
    return state


def test_every_full_board_has_one_winner():
    for men in product((1, 2), repeat=9):
        board = np.array(men).reshape(3, 3)
        state = board_of(board)
        won = [joined(board == 1), joined((board == 2).T)]
        assert won[0] != won[1]
        assert [mark(state, 3, seat) for seat in (0, 1)] == won


@pytest.mark.parametrize("size", [7, 11, LARGEST])
def test_joined_as_a_plain_search_finds(size):
    """Boards that are full but for a few cells: about half of these have long winding chains."""
    dice, ends = np.random.default_rng(size), []
    for _ in range(100):
        board = dice.choice(3, p=[0.04, 0.48, 0.48], size=(size, size))
        state = board_of(board)
        won = [mark(state, size, seat) for seat in (0, 1)]
        assert won == [joined(board == 1), joined((board == 2).T)]
        ends.append(won.index(True) if any(won) else 2)
    assert len(set(ends)) == 3


def test_joined_along_a_spiral():
    """The longest way round: marks go down, up and down again."""
    rows = ["x o x x x", "x o x o x", "x o x o x", "x x x o x", "o o o o x"]
    state = board_of(np.array([[".xo".index(man) for man in row.split()] for row in rows]))
    assert mark(state, 5, 0)
    assert not mark(state, 5, 1)


def test_plies():
    assert [perft(PLAIN, depth) for depth in (1, 2)] == [121, 121 * 120]
    assert [perft(SWAPPING, depth) for depth in (1, 2, 3)] == [121, 121 * 121, 121 * 120 * 119 + 121 * 120]


def best_play(game) -> int:
    """The outcome when both play their best."""

    @cache
    def best(position: bytes) -> int:
        state = np.frombuffer(position, np.uint64).copy()
        if outcome(state) != OPEN:
            return outcome(state)
        mine = FIRST_WON + to_play(state)
        for action in np.flatnonzero(mask_of(game, state)):
            after = state.copy()
            play(game.code, after, action)
            if best(after.tobytes()) == mine:
                return mine
        return FIRST_WON + SECOND_WON - mine

    return best(game.new()[0].tobytes())


@pytest.mark.parametrize("size", [2, 3])
def test_who_wins_with_best_play(size):
    """The first player without swap (Nash), the second with it: whatever stands first wins or loses."""
    assert best_play(load("hex", {"size": size})) == FIRST_WON
    assert best_play(load("hex", {"size": size, "swap": True})) == SECOND_WON


def played(game, words: str) -> np.ndarray:
    state = game.new()[0]
    for word in words.split():
        action = game.parse_move(word)
        assert outcome(state) == OPEN
        assert mask_of(game, state)[action]
        play(game.code, state, action)
    return state


def test_a_swap_mirrors_the_stone_and_takes_it():
    state = played(SMALL_SWAPPING, "c1 swap")
    assert (ply(state), to_play(state)) == (2, 0)
    assert np.argwhere(stones(state)).tolist() == [[1, 2, 0]]  # the second player's, on a3
    assert mask_of(SMALL_SWAPPING, state).sum() == 15
    assert outcome(played(SMALL_SWAPPING, "c1 swap a1 b3 b1 c3 c1 d3")) == SECOND_WON  # along the third row


def test_swap_only_answers_the_first_stone():
    for words, legal in (
        ("", False),
        ("a1", True),
        ("a1 b1", False),
        ("a1 swap", False),
        ("b2 swap c3", False),
    ):
        state = played(SMALL_SWAPPING, words)
        assert mask_of(SMALL_SWAPPING, state)[16] == legal
        assert planes_of(SMALL_SWAPPING, state)[..., 3].all() == legal
    assert len(SMALL.planes) == 3
    assert SMALL.actions == 16


def test_playouts_are_random_play():
    three, three_swapping = (load("hex", {"size": 3, "swap": swap}) for swap in (False, True))
    assert_playouts(three, random_states(three, games=2, seed=1))
    assert_playouts(three_swapping, random_states(three_swapping, games=2, seed=2))
    states = random_states(SMALL, games=10, seed=3)
    assert_playouts(SMALL, [state for state in states if ply(state) in (7, 8)])


@pytest.mark.parametrize("game", [SMALL, SMALL_SWAPPING, PLAIN], ids=lambda game: game.title)
def test_symmetric(game):
    assert len(game.cell_maps) == 2
    assert_symmetric(game, games=10, seed=4)


def test_texts():
    for game in (SMALL, SMALL_SWAPPING, PLAIN, load("hex", {"size": LARGEST})):
        assert_texts(game)
    assert [SMALL_SWAPPING.move_text(action) for action in (0, 2, 12, 16)] == ["a1", "c1", "a4", "swap"]
    lines = SMALL.board_text(played(SMALL, "c1 a2 d4")).splitlines()
    assert lines == ["  a b c d", "1 . . x .", " 2 o . . .", "  3 . . . .", "   4 . . . x"]
    for game, word in ((SMALL, "swap"), (SMALL_SWAPPING, "e1"), (SMALL, "a5")):
        with pytest.raises(ValueError, match=f"'{word}' is no cell; a1 to d4 are"):
            game.parse_move(word)


def test_every_position_that_is_played_is_possible():
    for game in (SMALL, SMALL_SWAPPING, PLAIN, SWAPPING):
        game.check(random_states(game, games=5, seed=5))


WON = "a1 d1 a2 d2 a3 d3 a4"
JOINED, SECOND = 42, 21


@pytest.mark.parametrize(
    ("words", "row", "word", "header", "flaw"),
    [
        ("c2", 1, 1 << 4, None, "a stone lies outside the board"),
        ("c2", 2, 1 << 63, None, "a stone lies outside the board"),
        ("c2 d2", 2, 1 << 2 | 1 << 2 + SECOND, None, "a cell holds two stones"),
        ("c2 d3", 3, 0, None, "1 stones after 2 plies"),
        ("c2 d3", 2, 0, None, "0 stones against 1"),
        ("c2 d3", 0, 0, 2 | 1 << 16, "it is the other player's turn"),
        ("c2 d3", 0, 0, 2 | FIRST_WON << 17, "its outcome is 'first won', but the board says 'open'"),
        ("c2 d3", 2, 1 << 2 | 1 << 2 + JOINED, None, "its marks of what is joined to a side are wrong"),
        ("c1 d3", 1, 1 << 2, None, "its marks of what is joined to a side are wrong"),
        (WON, 0, 0, 7 | 1 << 16, "its outcome is 'open', but the board says 'first won'"),
        (
            WON,
            1,
            0b1001 << JOINED | 0b1 | 0b110 << SECOND,
            8 | FIRST_WON << 17,
            "the winner did not move last",
        ),
    ],
)
def test_impossible_positions(words, row, word, header, flaw):
    state = played(SMALL, words)
    state[row] = word if row else state[0]
    state[0] = state[0] if header is None else header
    with pytest.raises(ValueError, match=f"slot 0 holds no position of hex: .*{flaw}"):
        SMALL.check(state[None])


def test_a_swap_is_impossible_without_the_rule():
    state = played(SMALL_SWAPPING, "c1 swap")
    assert SMALL_SWAPPING.flaw(state) == ""
    assert SMALL.flaw(state) == "0 stones against 1, where players take turns"


def reachable(game) -> set[bytes]:
    """Every position that can come up."""
    known: set[bytes] = set()
    to_do = [game.new()[0]]
    while to_do:
        state = to_do.pop()
        if state.tobytes() in known:
            continue
        known.add(state.tobytes())
        for action in np.flatnonzero(mask_of(game, state)):
            after = state.copy()
            play(game.code, after, action)
            to_do.append(after)
    return known


@pytest.mark.parametrize("swap", [False, True])
def test_nothing_else_is_possible(swap):
    """Of all boards of size 3, plies and turns, those without a flaw are those that come up."""
    game, possible = load("hex", {"size": 3, "swap": swap}), set()
    for men in product((0, 1, 2), repeat=9):
        if abs(men.count(1) - men.count(2)) > 1:
            continue  # to save time
        state = board_of(np.array(men).reshape(3, 3))
        won = [mark(state, 3, seat) for seat in (0, 1)]
        end = FIRST_WON if won[0] else SECOND_WON if won[1] else OPEN
        count = 9 - men.count(0)
        for plies, turn in ((count, 0), (count, 1), (count + 1, 0), (count + 1, 1)):
            state[0] = plies | turn << 16 | end << 17
            if not game.flaw(state):
                possible.add(state.tobytes())
    assert possible == reachable(game)


@pytest.mark.parametrize("size", [1, LARGEST + 1])
def test_sizes_out_of_range(size):
    with pytest.raises(OptionError, match=f"size of hex must be 2 to 19, not {size}"):
        load("hex", {"size": size})
