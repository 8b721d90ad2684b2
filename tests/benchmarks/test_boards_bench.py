"""The benchmarks of games and searches count what they say they do, with small numbers."""

import numpy as np
import pytest

from benchmarks import boards, memory, search, solver, uct
from envs.board import NAMES, load
from search.networks import PolicyValueNet
from search.perfect.positions import CLASSES, Positions

SMALL = {"blocks": 1, "channels": 4}


@pytest.mark.parametrize("name", boards.CONTESTS)
def test_ours_plays_its_moves(name):
    assert boards.ours(boards.CONTESTS[name], n=4)() == 4 * boards.STEPS


def test_a_draw_is_legal_and_takes_each_legal_action():
    masks = np.zeros((2000, 5), bool)
    masks[:, [1, 4]] = True
    drawn = np.zeros(len(masks), np.int64)
    boards.draw(masks, np.arange(len(masks), dtype=np.uint64), drawn)
    assert set(drawn) == {1, 4}
    assert abs((drawn == 1).mean() - 0.5) < 0.06


@pytest.mark.parametrize("name", boards.CONTESTS)
def test_open_spiel_plays_a_whole_game(name):
    pytest.importorskip("pyspiel")
    contest = boards.CONTESTS[name]
    longest = load(NAMES[contest.id], contest.options).longest
    assert 5 <= boards.open_spiel(contest.open_spiel)() <= longest


def test_playouts_are_counted_by_the_length_of_games(monkeypatch):
    pytest.importorskip("pyspiel")
    monkeypatch.setattr(boards, "SAMPLE", 200)
    turn = boards.playouts("tic_tac_toe")
    assert turn() == pytest.approx(7.626 * boards.PLAYOUTS, rel=0.05)  # a random game's mean length


def test_pettingzoo_plays_a_whole_game():
    assert 7 <= boards.pettingzoo()() <= 42


@pytest.mark.slow
def test_pgx_plays_its_moves():
    pytest.importorskip("pgx")
    assert boards.pgx("tic_tac_toe", n=4)() == 4 * boards.PGX_STEPS


def test_uct_counts_simulations():
    pytest.importorskip("pyspiel")
    assert uct.ours(2, simulations=16)() == 32
    assert uct.open_spiel(simulations=16)() == 16


def test_a_search_counts_simulations_and_asks_the_evaluator():
    asked = []

    def evaluate(planes):
        asked.append(planes.shape)
        return search.constant(planes)

    assert search.ours(evaluate, simulations=8, games=4)() == 32
    assert set(asked[1:]) == {(4, 6, 7, 2)}
    assert search.bare(evaluate, games=3)() == 3
    assert asked[-1] == (3, 6, 7, 2)


@pytest.mark.slow
def test_the_peer_searches_with_a_network_of_our_size():
    pgx = pytest.importorskip("pgx")
    pytest.importorskip("mctx")
    import jax

    from benchmarks import mctx_pgx

    env = pgx.make("connect_four")
    weights, apply = mctx_pgx.network(env, **SMALL)
    ours = PolicyValueNet((6, 7, 2), 7, network=SMALL)
    products = sum(p.numel() for p in ours.parameters() if p.ndim > 1)
    assert sum(x.size for x in jax.tree.leaves(weights) if x.ndim > 1) == products
    logits, values = apply(weights, mctx_pgx.opened(env, 3, plies=2).observation)
    assert (logits.shape, values.shape) == ((3, 7), (3,))
    assert mctx_pgx.turn_of(env, (weights, apply), "gumbel", games=2, simulations=4, plies=1)() == 8


def test_bytes_of_the_peers_node():
    """Five numbers a node, six an edge (a test of mctx's own layout), and pgx's state."""
    pytest.importorskip("pgx")
    pytest.importorskip("mctx")
    from benchmarks import mctx_pgx

    assert mctx_pgx.empty_node_bytes(9) == 4 * (5 + 6 * 9)
    board, planes = 9 * 4, 3 * 3 * 2
    assert mctx_pgx.node_bytes("tic_tac_toe") > mctx_pgx.empty_node_bytes(9) + board + planes


def test_a_class_is_solved_to_its_end_or_until_time_is_up(monkeypatch):
    given = []

    class Four:
        """Explores four positions for each."""

        nodes = 0

        def scores(self, mine, mask):
            given.extend(mine.tolist())
            self.nodes += 4 * len(mine)

    monkeypatch.setattr(solver, "Solver", Four)
    numbers = np.arange(30, dtype=np.uint64)
    classes = np.where(numbers < 25, CLASSES.index("middle-easy"), CLASSES.index("end-easy"))
    positions = Positions(numbers, numbers, classes, ("",) * 30, np.zeros((30, 7), np.int8))
    scored, explored = solver.rates(positions, "middle-easy")
    assert given == list(range(25))
    assert explored == pytest.approx(4 * scored)
    solver.rates(positions, "middle-easy", seconds=0.0)
    assert len(given) == 25


def test_a_peak_of_memory_is_told_in_megabytes():
    resource = pytest.importorskip("resource")
    told = memory.peak(games=2, simulations=4)
    assert 50 < told <= resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
