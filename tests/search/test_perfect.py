"""Perfect tic-tac-toe, and the scorecard's positions of connect four."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from search.perfect import positions
from search.perfect.bitboard import canonical, count
from search.perfect.connect_four import ILLEGAL, Solver
from search.perfect.notation import from_moves
from search.perfect.positions import CLASSES, difficulty, generate, load_positions, moves_left
from search.perfect.tic_tac_toe import LINES, WEIGHTS, best_moves, index, solve

EMPTY = np.zeros(9, np.int64)


def boards():
    """Every board of the table, int [19683, 9], by its row."""
    rows = np.arange(3**9)
    out = rows[:, None] // WEIGHTS % 3
    np.testing.assert_array_equal(index(out), rows)
    return out


def test_tic_tac_toe_has_as_many_boards_as_published():
    table, plies = solve(), (boards() != 0).sum(axis=1)
    by_ply = [int((table.reachable & (plies == ply)).sum()) for ply in range(10)]
    assert by_ply == [1, 9, 72, 252, 756, 1260, 1520, 1140, 390, 78]
    assert table.reachable.sum() == 5478
    assert (table.reachable & ~table.over).sum() == 4520


def test_tic_tac_toe_values_follow_from_those_one_move_on():
    """Ends are what the lines say, and every other value is the best of those that follow: all of minimax."""
    table, all_boards = solve(), boards()
    lines = all_boards[:, np.array(LINES)]
    has_line = ((lines == lines[:, :, :1]) & (lines != 0)).all(axis=2).any(axis=1)
    assert table.value[0] == 0
    for row in np.flatnonzero(table.reachable):
        board = all_boards[row]
        assert table.over[row] == (has_line[row] or (board != 0).all())
        if table.over[row]:
            assert table.value[row] == -int(has_line[row])
            assert not table.best[row].any()
            continue
        mover = 1 + np.count_nonzero(board) % 2
        values = {cell: -table.value[row + mover * WEIGHTS[cell]] for cell in np.flatnonzero(board == 0)}
        assert table.value[row] == max(values.values())
        best = [cell for cell, value in values.items() if value == table.value[row]]
        assert np.flatnonzero(table.best[row]).tolist() == best == best_moves(board).tolist()


@pytest.mark.parametrize("perfect_seat", [1, 2])
def test_perfect_tic_tac_toe_never_loses(perfect_seat):
    rng, results = np.random.default_rng(0), Counter()
    for _ in range(300):
        board, mover = EMPTY.copy(), 1
        while not solve().over[index(board)]:
            moves = best_moves(board) if mover == perfect_seat else np.flatnonzero(board == 0)
            board[rng.choice(moves)] = mover
            mover = 3 - mover
        lost = solve().value[index(board)]  # of the player who would be next
        results[int(-lost if mover != perfect_seat else lost)] += 1
    assert results[-1] == 0
    assert results[1] > 150


def test_the_only_answer_to_a_corner_is_the_centre():
    assert best_moves([1, 0, 0, 0, 0, 0, 0, 0, 0]).tolist() == [4]
    assert best_moves(EMPTY).tolist() == list(range(9))


@pytest.mark.parametrize(
    ("board", "said"),
    [
        ([0] * 8, "a board is 9 numbers 0, 1 or 2"),
        ([3] + [0] * 8, "a board is 9 numbers 0, 1 or 2"),
        ([2] + [0] * 8, "no game leads to the board"),
        ([1, 1, 1, 2, 2, 2, 0, 0, 0], "no game leads to the board"),
        ([1, 1, 1, 2, 2, 0, 0, 0, 0], "the game is over on the board"),
    ],
)
def test_wrong_boards_are_named(board, said):
    with pytest.raises(ValueError, match=said):
        best_moves(np.array(board))


# The positions that ship.


@pytest.fixture(scope="module")
def shipped():
    return load_positions()


def test_six_thousand_positions_ship(shipped):
    assert np.bincount(shipped.classes).tolist() == [1000] * len(CLASSES)
    assert positions.FILE.stat().st_size <= 500_000
    assert len({canonical(mine, mask) for mine, mask in zip(shipped.mine, shipped.mask)}) == 6000
    full = (shipped.mask[:, None] >> np.arange(5, 49, 7, dtype=np.uint64)) & np.uint64(1) == 1
    np.testing.assert_array_equal(shipped.scores == ILLEGAL, full)


def test_shipped_positions_are_of_their_class(shipped):
    ranges = {"beginning": range(15), "middle": range(15, 29), "end": range(29, 42)}
    for kind, moves, scores in zip(shipped.classes, shipped.moves, shipped.scores):
        stage, level = CLASSES[kind].split("-")
        assert len(moves) in ranges[stage]
        assert difficulty(int(scores.max()), len(moves)) == level


def test_shipped_scores_are_the_solvers(shipped):
    """A sample of each class, and fewer of the one that is slow."""
    rng, solver = np.random.default_rng(0), Solver(64)
    for kind in range(len(CLASSES)):
        every = np.flatnonzero(shipped.classes == kind)
        every = every[count_stones(shipped.mask[every]) >= 12] if kind >= 3 else every
        some = rng.choice(every, 4 if kind >= 4 else 40, replace=False)
        np.testing.assert_array_equal(
            solver.scores(shipped.mine[some], shipped.mask[some]), shipped.scores[some]
        )


def count_stones(mask):
    return np.array([count(word) for word in mask])


@pytest.mark.parametrize(
    ("score", "stones", "left"),
    [(1, 0, 41), (-2, 0, 40), (0, 0, 42), (18, 4, 3), (-15, 11, 2), (1, 34, 7), (21, 1, 1)],
)
def test_moves_left(score, stones, left):
    assert moves_left(score, stones) == left


def test_classes_end_where_they_should():
    assert [difficulty(0, stones) for stones in (14, 15, 28, 29)] == ["hard", "medium", "medium", "easy"]
    # A win with the tenth stone from the start: the 19th, and so 19 moves.
    assert moves_left(12, 0) == 19
    assert difficulty(12, 0) == "medium"


@pytest.fixture
def quick_stages(monkeypatch):
    monkeypatch.setattr(positions, "PLIES", {"end": (29, 41), "middle": (15, 28)})


def test_generation_goes_on_where_it_stopped(tmp_path, quick_stages, monkeypatch):
    """Stopped after any line, even within one, it writes the file that it writes in one go."""
    want, got = tmp_path / "want.txt", tmp_path / "got.txt"
    generate(want, seed=3, per_class=6, table_megabytes=1)
    assert [line.split()[0] for line in want.read_text().splitlines()[1:]] == [
        kind for kind in CLASSES[:3] for _ in range(6)
    ]

    class Stopped(Exception):
        pass

    class Stopping(Solver):
        left = 7

        def scores(self, mine, mask):
            self.left -= 1
            if self.left == 0:
                raise Stopped
            return super().scores(mine, mask)

    monkeypatch.setattr(positions, "Solver", Stopping)
    part = tmp_path / "got.txt.part"
    for _ in range(2):
        with pytest.raises(Stopped):
            generate(got, seed=3, per_class=6, table_megabytes=1)
        assert not got.exists()
        part.write_bytes(part.read_bytes()[:-4])  # the last line is torn
    monkeypatch.setattr(positions, "Solver", Solver)
    generate(got, seed=3, per_class=6, table_megabytes=1)
    assert got.read_text() == want.read_text()
    assert not part.exists()


def test_another_seed_does_not_go_on(tmp_path, quick_stages):
    (tmp_path / "f.txt.part").write_text("# something else\n")
    with pytest.raises(ValueError, match=r"f\.txt\.part: begun with other numbers: # something else"):
        generate(tmp_path / "f.txt", seed=4, per_class=1, table_megabytes=1)


@pytest.mark.parametrize(
    "line", ["middle-hard 3 44 1 1 1 1 1 1 1", "end-easy 3 44 1 1", "end-easy 3 44 1 1 1 1 1 1 x"]
)
def test_damaged_lines_are_named(tmp_path, line):
    path = tmp_path / "positions.txt"
    path.write_text(f"# head\nend-easy 1 44 0 0 0 0 0 0 0\n{line}\n")
    with pytest.raises(ValueError, match=r"positions\.txt, line 3"):
        load_positions(path)


def test_a_file_reads_as_arrays(tmp_path):
    path = tmp_path / "positions.txt"
    path.write_text("# head\nmiddle-easy 7 4444443 -1 -2 3 . 0 1 2\n")
    read = load_positions(path)
    assert (read.mine[0], read.mask[0]) == from_moves("4444443")
    assert read.scores.dtype == np.int8
    assert read.scores.tolist() == [[-1, -2, 3, ILLEGAL, 0, 1, 2]]
    assert read.classes.tolist() == [CLASSES.index("middle-easy")]
    assert read.moves == ("4444443",)
