"""The connect-four solver: against published scores, a slow plain search, and itself."""

from __future__ import annotations

import os
import re
import time
from functools import cache

import numpy as np
import pytest

from search.perfect import bitboard, book, positions
from search.perfect.connect_four import ILLEGAL, Book, Solver
from search.perfect.notation import check_positions, from_moves, to_moves

# Lines of Pascal Pons's test sets: the moves, and the score for the player to move.
PONS = {
    "2252576253462244111563365343671351441": -1,
    "7422341735647741166133573473242566": 1,
    "23163416124767223154467471272416755633": 0,
    "32164625": 11,
    "6146": 18,
    "243335424257": 12,
}
CELLS = [(column, row) for column in range(7) for row in range(6)]
DIRECTIONS = ((1, 0), (0, 1), (1, 1), (1, -1))
QUADS = [
    quad
    for column, row in CELLS
    for dx, dy in DIRECTIONS
    if set(quad := tuple((column + i * dx, row + i * dy) for i in range(4))) <= set(CELLS)
]


def plain_columns(moves):
    """A board written as plainly as can be: the owners of each column's stones, from the foot up."""
    columns = [()] * 7
    for ply, move in enumerate(moves):
        columns[int(move) - 1] += (ply % 2,)
    return tuple(columns)


def won(columns, player):
    held = {(c, r) for c, stack in enumerate(columns) for r, who in enumerate(stack) if who == player}
    return any(held.issuperset(quad) for quad in QUADS)


@cache
def plain_scores(columns):
    """The score of each move by minimax over the whole game tree."""
    stones = sum(map(len, columns))
    player, scores = stones % 2, []
    for c, stack in enumerate(columns):
        after = (*columns[:c], (*stack, player), *columns[c + 1 :])
        if len(stack) == 6:
            scores.append(ILLEGAL)
        elif won(after, player):
            scores.append(22 - (stones // 2 + 1))
        else:
            scores.append(-max(plain_scores(after)) if stones < 41 else 0)
    return scores


def random_moves(rng, stones):
    """A game of so many moves, uniform among those that have not ended."""
    while True:
        moves = ""
        for _ in range(stones):
            moves += str(rng.choice([c for c in "1234567" if moves.count(c) < 6]))
        try:
            mine, mask = from_moves(moves)
            check_positions(mine, mask)
        except ValueError:
            continue
        return moves


def words(all_moves):
    mine, mask = zip(*(from_moves(moves) for moves in all_moves))
    return np.array(mine), np.array(mask)


def mirror(moves):
    return "".join(str(8 - int(move)) for move in moves)


@pytest.fixture(scope="module")
def solver():
    return Solver(64)


@pytest.mark.parametrize(("moves", "score"), PONS.items())
def test_scores_are_those_published(solver, moves, score):
    assert solver.score(*from_moves(moves)) == score


def signs(scores):
    scores = np.asarray(scores)
    return np.where(scores == ILLEGAL, ILLEGAL, np.sign(scores))


def check_against_plain(solver, rng, stones, n):
    for _ in range(n):
        moves = random_moves(rng, stones)
        want, position = plain_scores(plain_columns(moves)), from_moves(moves)
        assert solver.scores(*position).tolist() == want, moves
        assert solver.outcomes(*position).tolist() == signs(want).tolist(), moves
        assert solver.score(*position) == max(want), moves


def test_late_positions_equal_plain_minimax(solver):
    rng = np.random.default_rng(1)
    for stones in range(32, 42):
        check_against_plain(solver, rng, stones, 6)


@pytest.mark.slow
def test_earlier_positions_equal_plain_minimax(solver):
    rng = np.random.default_rng(2)
    for stones in (26, 27, 28, 29, 30):
        check_against_plain(solver, rng, stones, 10)


def test_middle_positions_agree_with_themselves(solver):
    rng = np.random.default_rng(3)
    games = [random_moves(rng, stones) for stones in range(15, 29) for _ in range(10)]
    position, mirrored = words(games), words([mirror(moves) for moves in games])
    scores, best = solver.scores(*position), solver.score(*position)
    np.testing.assert_array_equal(scores.max(axis=1), best)
    np.testing.assert_array_equal(Solver(1).scores(*mirrored)[:, ::-1], scores)
    np.testing.assert_array_equal(Solver(1).outcomes(*position), signs(scores))
    for bound in (best - 3, best, best + 1, best + 4):
        np.testing.assert_array_equal(Solver(1).at_least(*position, bound), bound <= best)


def test_one_position_and_a_batch_give_the_same(solver):
    games = ["44455554221", "4455", "32164625"]
    one = [solver.scores(*from_moves(moves)).tolist() for moves in games[::2]]
    assert solver.scores(*words(games[::2])).tolist() == one
    assert [int(s) for s in solver.score(*words(games))] == [-15, 18, 11]
    none = np.zeros(0, np.uint64)
    assert solver.scores(none, none).shape == (0, 7)


def test_perfect_play_lasts_as_long_as_the_score_says(solver):
    rng = np.random.default_rng(4)
    for stones in range(16, 36):
        moves = random_moves(rng, stones)
        left = positions.moves_left(int(solver.score(*from_moves(moves))), stones)
        over = False
        while not over and len(moves) < 42:
            moves += str(int(solver.scores(*from_moves(moves)).argmax()) + 1)
            mine, mask = from_moves(moves)
            over = bitboard.has_four(mine ^ mask)
        assert len(moves) == stones + left


def test_nodes_are_counted(solver):
    before = solver.nodes
    solver.score(*from_moves("3251571231557"[:12]))
    assert solver.nodes > before


@pytest.mark.slow
def test_the_empty_board_and_its_moves():
    scores = Solver(1024).scores(*from_moves(""))
    assert scores.tolist() == [-2, -1, 0, 1, 0, -1, -2]


@pytest.mark.slow
def test_a_thousand_middle_positions_take_less_than_a_minute(solver):
    rng = np.random.default_rng(5)
    position = words([random_moves(rng, int(rng.integers(15, 29))) for _ in range(1000)])
    begun, fresh = time.process_time(), Solver()
    scores = fresh.scores(*position)
    assert time.process_time() - begun < 60
    assert (scores.max(axis=1) >= -21).all()


# Moves in text, and positions that are none.


def test_bits_are_where_the_drawing_says():
    mine, mask = from_moves("4123")
    assert (int(mine), int(mask)) == (1 << 21 | 1 << 7, 1 << 21 | 1 << 0 | 1 << 7 | 1 << 14)
    mine, mask = from_moves("777")
    assert (int(mine), int(mask)) == (1 << 43, 0b111 << 42)


@pytest.mark.parametrize(
    ("moves", "said"),
    [
        ("448", "move 3 of '448': '8' is no column; they are 1 to 7"),
        ("4x", "move 2 of '4x': 'x' is no column"),
        ("4444444", "move 7 of '4444444': column 4 is full"),
        ("12121212", "move 8 of '12121212': the game was over, with four in a row"),
    ],
)
def test_wrong_moves_are_named(moves, said):
    with pytest.raises(ValueError, match=said):
        from_moves(moves)


def test_a_position_goes_back_to_moves_that_lead_to_it():
    rng = np.random.default_rng(6)
    for stones in range(42):
        position = from_moves(random_moves(rng, stones))
        moves = to_moves(*position)
        assert len(moves) == stones
        assert from_moves(moves) == position


def test_stones_that_cannot_have_been_dropped_in_turn():
    # The second player's stone lies at the foot of the only column, below the first player's.
    with pytest.raises(ValueError, match="no game leads to the position"):
        to_moves(np.uint64(0b10), np.uint64(0b11))


@pytest.mark.parametrize(
    ("mine", "mask", "said"),
    [
        (0, 1 << 6, "has a stone outside the board or above an empty cell"),
        (0, 1 << 49, "has a stone outside the board or above an empty cell"),
        (0, 0b10, "has a stone outside the board or above an empty cell"),
        (1 << 7, 0b1, "has a stone of the player to move that is not among all stones"),
        (0, 0b11, "has 0 stones of the player to move and 2 of the other"),
        (0b11, 0b11, "has 2 stones of the player to move and 0 of the other"),
        (*from_moves("1212121"), "is over: it has four in a row"),
    ],
)
def test_wrong_positions_are_named(solver, mine, mask, said):
    for method in (solver.score, solver.scores, solver.outcomes):
        with pytest.raises(ValueError, match=f"the position {said}"):
            method(np.uint64(mine), np.uint64(mask))
    good = from_moves("44")
    batch = [np.array([a, b], np.uint64) for a, b in zip(good, (mine, mask))]
    with pytest.raises(ValueError, match=f"position 1 {said}"):
        solver.scores(*batch)


def test_a_full_board_is_over(solver):
    rows = ["ooxxxoo", "xxoooxx"] * 3  # from the foot up: 21 stones each, no four in a row
    mine = sum(1 << 7 * c + r for r, row in enumerate(rows) for c, who in enumerate(row) if who == "x")
    with pytest.raises(ValueError, match="the position is over: the board is full"):
        solver.score(np.uint64(mine), bitboard.BOARD)


def test_shapes_and_sizes(solver):
    with pytest.raises(ValueError, match=r"words of shapes \(2,\) and \(3,\)"):
        solver.score(np.zeros(2, np.uint64), np.zeros(3, np.uint64))
    with pytest.raises(ValueError, match="a table of 0 MB is too small"):
        Solver(0)


# Opening books.


def flipped(bits):
    return sum((int(bits) >> 7 * column & 127) << 7 * (6 - column) for column in range(7))


def test_all_positions_are_as_many_as_published():
    """OEIS A212693: distinct positions after n moves, in which mirror images are two."""
    for stones, published in enumerate([1, 7, 49, 238, 1120, 4263, 16422]):
        layer = book.all_positions(stones)
        assert (layer[1:, 0] > layer[:-1, 0]).all()
        symmetric = sum(flipped(mine) == mine and flipped(mask) == mask for _, mine, mask in layer)
        assert 2 * len(layer) - symmetric == published


def test_a_book_ends_the_search(solver):
    moves = "32751571231557"
    exact = solver.scores(*from_moves(moves))
    entries = {}
    for first in "1234567":
        for second in "1234567":
            mine, mask = from_moves(moves + first + second)
            try:
                check_positions(mine, mask)
            except ValueError:
                continue
            if not bitboard.winning_spots(mine, mask) & bitboard.drops(mask):
                entries[bitboard.canonical(mine, mask)] = solver.score(mine, mask)
    keys = np.array(sorted(entries), np.uint64)
    right = Book(len(moves) + 2, keys, np.array([entries[key] for key in keys], np.int8))
    with_book = Solver(1, right)
    assert with_book.scores(*from_moves(moves)).tolist() == exact.tolist()
    assert with_book.nodes < 500
    # A book that says otherwise is believed: it is read, not searched again.
    wrong = Solver(1, Book(right.stones, keys, np.zeros(len(keys), np.int8)))
    assert wrong.score(*from_moves(moves)) == 0 != solver.score(*from_moves(moves))


class Stopped(Exception):
    pass


@pytest.fixture
def fake_solver(monkeypatch):
    """Scores that cost nothing; solving stops after so many positions."""

    class Fake:
        solved, limit = 0, 10**9

        def __init__(self, megabytes):
            pass

        def score(self, mine, mask):
            Fake.solved += len(mine)
            if Fake.solved > Fake.limit:
                raise Stopped
            return ((mine + mask) % np.uint64(37)).astype(np.int8) - np.int8(18)

    monkeypatch.setattr(book, "Solver", Fake)
    return Fake


def test_a_book_is_resumed_and_whole(tmp_path, fake_solver):
    want = book.compute_book(tmp_path / "want.npz", 4)
    assert len(want.keys) == len(want.scores) == 568

    fake_solver.solved, fake_solver.limit = 0, 300
    with pytest.raises(Stopped):
        book.compute_book(tmp_path / "book.npz", 4, save_seconds=0.0)
    with pytest.raises(FileNotFoundError, match="no such book"):
        book.load_book(tmp_path / "book.npz")
    fake_solver.solved, fake_solver.limit = 0, 272
    book.compute_book(tmp_path / "book.npz", 4)
    got = book.load_book(tmp_path / "book.npz")
    assert got.stones == want.stones
    np.testing.assert_array_equal(got.keys, want.keys)
    np.testing.assert_array_equal(got.scores, want.scores)
    assert sorted(os.listdir(tmp_path)) == ["book.npz", "want.npz"]


def test_wrong_books_are_named(tmp_path, fake_solver):
    path = tmp_path / "book.npz"
    with pytest.raises(FileNotFoundError, match="no such book"):
        book.load_book(path)
    book.compute_book(path, 2)
    with pytest.raises(ValueError, match="a book of 2 stones, not 3"):
        book.compute_book(path, 3)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match="missing or damaged"):
        book.load_book(path)
    with pytest.raises(ValueError, match="a book of 13 stones; it can have 0 to 12"):
        book.compute_book(path, 13)


def test_a_book_lies_in_the_users_cache():
    path = book.book_path(6)
    assert path.name == "connect_four_6.npz"
    assert path.parent.name == "books"


def test_the_deepest_book_of_the_cache_is_used(tmp_path, fake_solver, monkeypatch):
    monkeypatch.setenv("MOVE37_CACHE", str(tmp_path))
    assert book.deepest_book() is None
    for stones in (3, 2):
        book.compute_book(book.book_path(stones), stones)
    assert book.deepest_book().stones == 3


def test_a_book_says_how_fast_it_goes_and_how_long_it_takes(tmp_path, fake_solver):
    told = []
    book.compute_book(tmp_path / "book.npz", 2, save_seconds=0.0, report=told.append)
    assert told[0] == "0 of 25 positions are there"
    assert len(told) == 26
    assert re.fullmatch(r"14 of 25 positions, [0-9.e-]+ s each: about \d+ s left", told[14])
    assert book._progress(10, 20, 30.0) == "10 of 20 positions, 30 s each: about 5 min left"
    assert book._progress(715, 77_715, 0.9) == "715 of 77,715 positions, 0.9 s each: about 19.2 h left"
