"""The search with an evaluator: against a plain one, in any batch, and on games that are solved."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from scipy import stats

from envs.board import load
from envs.board.game import OPEN, outcome, value_of
from envs.board.moves import play_moves
from envs.rng import from_seeds
from search import mcts
from search.mcts import Search, SearchOptions
from search.tree import DRAWN, LOST, ROOT, UNKNOWN, WON
from tests.envs.nim import NIM
from tests.search.plain import PlainSearch, after, constant, hashed, legal_moves, openings, true_value

GAMES = {
    "tic_tac_toe": ({}, 3),  # with options, and from so many random plies
    "connect_four": ({}, 26),
    "othello": ({"size": 6}, 25),  # late, where players pass
    NIM: ({"pile": 14, "again": True}, 2),  # who takes two moves once more
}
PROVEN = {-1: LOST, 0: DRAWN, 1: WON}


def run(game, states, seed=0, evaluate=None, simulations=None, noisy=False, **options):
    """The search and what it found."""
    search = Search(game, evaluate or hashed(game), SearchOptions(**options))
    rng = from_seeds(range(seed, seed + len(states)))
    return search, search.run(states, rng, simulations, noisy)


def assert_same(found, other, rows=slice(None)):
    for name in ("visits", "q", "prior", "policy", "best", "value", "raw_value", "proven"):
        np.testing.assert_array_equal(getattr(found, name)[rows], getattr(other, name), err_msg=name)


def used(search):
    """(states, nodes, edges) of all nodes in use, joined over the trees."""
    trees = search.trees
    at = np.arange(trees.nodes.shape[1]) < trees.nodes["size"][:, ROOT, None]
    nodes, edges = trees.nodes[at], trees.edges[at]
    return trees.states[at], nodes, edges[np.arange(edges.shape[1]) < nodes["count"][:, None]]


# -- against a plain one -----------------------------------------------------------------------------------


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("name", GAMES)
def test_it_finds_what_a_plain_search_finds(name, exact):
    options, plies = GAMES[name]
    game = load(name, options)
    states = openings(game, plies, 12)
    search, found = run(game, states, simulations=150, exact=exact, c_puct=1.5, fpu_reduction=0.3)
    plain = PlainSearch(game, hashed(game), search.options)
    for b, state in enumerate(states):
        root = plain.run(state, 150)
        counts, known = np.zeros(game.actions, int), root.proven if exact else None
        for move, child in root.children.items():
            counts[move] = len(child.values)
            assert found.q[b, move] == pytest.approx(root.q(move), abs=1e-5)
        np.testing.assert_array_equal(found.visits[b], counts)
        np.testing.assert_allclose(found.prior[b, root.moves], list(root.prior.values()), rtol=1e-5)
        assert found.proven[b] == PROVEN.get(known, UNKNOWN)
        assert found.value[b] == pytest.approx(np.mean(root.values) if known is None else known, abs=1e-5)
        assert found.raw_value[b] == pytest.approx(root.value)
    assert (found.proven != UNKNOWN).any() == exact


def test_among_equal_moves_one_is_taken_by_lot():
    game = load("connect_four")
    _, found = run(game, game.new(2100), evaluate=constant(game), simulations=1)
    assert (found.visits.sum(1) == 1).all()
    counts = found.visits.sum(0)
    assert stats.chisquare(counts).pvalue > 0.001, counts
    assert_same(run(game, game.new(2100), evaluate=constant(game), simulations=1)[1], found)


# -- whatever the batch ------------------------------------------------------------------------------------

WAYS = {
    "one leaf": {},
    "five leaves": {"leaves": 5},
    "five leaves, not exact": {"leaves": 5, "exact": False},
    "gumbel": {"rule": "gumbel"},
    "gumbel, five leaves": {"rule": "gumbel", "leaves": 5},
}


@pytest.mark.parametrize("way", WAYS)
def test_a_game_is_searched_alike_in_any_batch_by_any_threads(way, monkeypatch):
    game = load("connect_four")
    states, noisy = openings(game, 8, 16), np.arange(16) % 2 == 0
    _, found = run(game, states, simulations=60, noisy=noisy, **WAYS[way])
    for b in (0, 7):
        _, alone = run(game, states[b : b + 1], seed=b, simulations=60, noisy=noisy[b], **WAYS[way])
        assert_same(found, alone, slice(b, b + 1))
    _, again = run(game, states, simulations=60, noisy=noisy, cache=1 << 12, **WAYS[way])
    assert_same(found, again)
    monkeypatch.setattr(mcts, "SHARE", 1)
    monkeypatch.setattr(numba, "get_num_threads", lambda: 3)
    _, shared = run(game, states, simulations=60, noisy=noisy, **WAYS[way])
    assert_same(found, shared)


def test_a_cache_spares_evaluations_until_they_are_forgotten():
    game = load("tic_tac_toe")
    states = openings(game, 2, 6)
    plain, _ = run(game, states, simulations=200, exact=False)
    search, found = run(game, states, simulations=200, exact=False, cache=1 << 22)
    once = search.evaluated
    assert 0 < once < plain.evaluated  # positions come about in more than one way
    assert_same(found, search.run(states, from_seeds(range(6)), 200))
    assert search.evaluated == once  # all is known
    search.forget()
    search.run(states, from_seeds(range(6)), 200)
    assert search.evaluated == 2 * once


def test_each_game_has_its_own_number_of_simulations():
    game = load("connect_four")
    states = openings(game, 6, 4)
    wanted = np.array([1, 40, 0, 13])
    search, found = run(game, states, simulations=wanted, exact=False)
    np.testing.assert_array_equal(found.visits.sum(1), wanted)
    assert search.simulated == wanted.sum()
    for b in range(4):
        assert_same(
            found, run(game, states[b : b + 1], seed=b, simulations=int(wanted[b]), exact=False)[1], [b]
        )
    assert found.policy[2].argmax() == found.best[2] == found.prior[2].argmax()  # nothing else is known
    assert found.value[2] == found.raw_value[2]


# -- bookkeeping -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["puct", "gumbel"])
@pytest.mark.parametrize("leaves", [1, 3, 8])
@pytest.mark.parametrize("exact", [False, True])
def test_every_simulation_is_counted_once_and_none_is_left_waiting(rule, leaves, exact):
    game = load("tic_tac_toe")
    states = openings(game, 3, 20)
    search, found = run(game, states, simulations=150, rule=rule, leaves=leaves, exact=exact)
    assert found.visits.sum() == search.simulated
    assert (search.simulated < 20 * 150) == exact  # a proven root needs no more
    places, nodes, edges = used(search)
    np.testing.assert_array_equal(nodes["begun"], nodes["visits"])
    np.testing.assert_array_equal(edges["begun"], edges["visits"])
    over = np.array([outcome(state) != OPEN for state in places])
    assert over.any()
    assert (nodes["visits"][~over] > 0).all()
    assert search.evaluated == (~over).sum()  # each open position once, and none that is over
    assert (nodes["count"][over] == 0).all()
    worth = [value_of(outcome(state), int(state[0] >> np.uint64(16)) & 1) for state in places[over]]
    np.testing.assert_array_equal(nodes["value"][over], worth)


def test_no_tree_holds_more_than_it_must():
    game = load("connect_four")
    search, _ = run(game, game.new(3), simulations=50)
    assert search.trees.nodes.shape == (3, 51)
    assert (search.trees.nodes["size"][:, ROOT] <= 51).all()
    trees = search.trees
    search.run(game.new(2), from_seeds([0, 1]), 20)
    assert search.trees is trees  # a smaller search takes no new memory


def test_the_only_move_gets_every_visit():
    game = load("connect_four")
    state = play_moves(game, "1 2 1 2 2 1 2 1 1 2 1 2 3 4 3 4 4 3 4 3 3 4 3 4 5 6 5 6 6 5 6 5 5 6 5 6 7 7 7")
    assert legal_moves(game, state) == [6]
    for options in ({"exact": False}, {"rule": "gumbel", "exact": False}, {"exact": True}):
        search, found = run(game, state[None], simulations=30, noisy=True, **options)
        assert found.visits[0].tolist() == [0] * 6 + [search.simulated]
        assert found.policy[0].tolist() == [0] * 6 + [1]
        assert found.prior[0, 6] == 1
        assert found.best[0] == 6


def test_the_end_of_a_game_is_visited_again_but_never_evaluated():
    game = load("tic_tac_toe")
    state = play_moves(game, "a3 b3 c3 b2 a2 c2 b1 a1")  # c1 is free, and draws
    assert len(legal_moves(game, state)) == 1
    search, found = run(game, state[None], simulations=25, exact=False)
    assert search.evaluated == 1
    assert found.visits.sum() == 25
    assert found.q[0, found.best[0]] == 0
    assert search.trees.nodes["size"][0, ROOT] == 2


# -- noise -------------------------------------------------------------------------------------------------


def noisy_priors(count, share=0.25, total=10.83):
    game = load("connect_four")
    state = play_moves(game, "1 1 1 1 1 1 2 3")  # a column is full
    noisy = np.arange(count) % 2 == 1
    options = {"noise_share": share, "noise_total": total, "simulations": 1}
    search, found = run(game, np.repeat(state[None], count, 0), noisy=noisy, **options)
    return noisy, found.prior, search.trees.edges["prior"][:, ROOT, :6]


def test_noise_is_at_noisy_roots_alone_over_legal_moves():
    noisy, prior, mixed = noisy_priors(40)
    np.testing.assert_array_equal(mixed[~noisy], prior[~noisy, 1:])
    assert (mixed[noisy] != prior[noisy, 1:]).all()
    assert (prior[:, 0] == 0).all()
    np.testing.assert_allclose(mixed.sum(1), 1, rtol=1e-5)
    np.testing.assert_array_equal(prior, prior[:1].repeat(40, 0))  # what is told is without noise
    noise = (mixed[noisy] - 0.75 * prior[noisy, 1:]) / 0.25
    assert (noise > -1e-6).all()


@pytest.mark.parametrize("total", [1.5, 10.83])
def test_noise_is_drawn_from_its_dirichlet(total):
    """Each share of Dirichlet(a, …, a) over 6 moves is Beta(a, 5a)."""
    noisy, _, noise = noisy_priors(3000, share=1.0, total=total)
    for k in range(6):
        drawn = noise[noisy, k].astype(np.float64)
        assert stats.kstest(drawn, stats.beta(total / 6, 5 * total / 6).cdf).pvalue > 0.001


# -- games that are solved ---------------------------------------------------------------------------------


def all_positions(game):
    """Every position of a small game that is not over."""
    seen, level = {}, {game.new()[0].tobytes(): game.new()[0]}
    while level:
        seen |= level
        nexts = [after(game, s, a) for s in level.values() for a in legal_moves(game, s)]
        level = {s.tobytes(): s for s in nexts if outcome(s) == OPEN}
    return np.array(list(seen.values()))


def assert_proofs_are_right(game, search, found, states, truths):
    known = found.proven != UNKNOWN
    np.testing.assert_array_equal(found.proven[known] - DRAWN, truths[known])
    np.testing.assert_array_equal(found.value[known], truths[known])
    assert np.abs(found.value[~known]).max(initial=0) <= 1
    for b in np.flatnonzero(known)[::7]:
        best = after(game, states[b], found.best[b])
        seat = [int(s[0] >> np.uint64(16)) & 1 for s in (states[b], best)]
        sign = 1 if seat[0] == seat[1] else -1
        assert sign * true_value(game, best) == truths[b] == found.q[b, found.best[b]]
        assert found.policy[b].tolist() == np.eye(game.actions)[found.best[b]].tolist()
    places, nodes, _ = used(search)
    inner = np.flatnonzero((nodes["proven"] != UNKNOWN) & (nodes["count"] > 0))
    for i in np.random.default_rng(0).permutation(inner)[:300]:
        assert nodes["proven"][i] - DRAWN == true_value(game, places[i])


@pytest.mark.parametrize("rule", ["puct", "gumbel"])
def test_tic_tac_toe_is_never_proven_wrong(rule):
    game = load("tic_tac_toe")
    states = all_positions(game)
    assert len(states) == 4520
    states = states[1::3]
    truths = np.array([true_value(game, state) for state in states])
    search, found = run(game, states, simulations=300, rule=rule)
    assert_proofs_are_right(game, search, found, states, truths)
    assert (found.proven != UNKNOWN).mean() > 0.7
    drawn = found.proven == DRAWN
    assert drawn.sum() > 50
    assert (found.value[drawn] == 0).all()


@pytest.mark.parametrize(
    ("name", "options", "plies"), [("connect_four", {}, 31), ("othello", {"size": 6}, 26)]
)
def test_late_positions_are_never_proven_wrong(name, options, plies):
    game = load(name, options)
    states = openings(game, plies, 150)
    truths = np.array([true_value(game, state) for state in states])
    search, found = run(game, states, simulations=400)
    assert_proofs_are_right(game, search, found, states, truths)
    assert set(found.proven) >= {LOST, WON}
    assert (found.proven != UNKNOWN).mean() > 0.5


@pytest.mark.parametrize("pile", range(2, 17))
def test_who_moves_twice_keeps_the_sign_of_the_value(pile):
    game = load(NIM, {"pile": pile, "again": True})
    _, found = run(game, game.new(), simulations=600)
    assert found.proven[0] - DRAWN == true_value(game, game.new()[0]) == found.value[0]


def test_moves_that_are_proven_lost_are_not_learned_while_others_are_open():
    game = load("connect_four")
    states = openings(game, 14, 60)
    _, found = run(game, states, simulations=80)
    lost, open_roots = 0, np.flatnonzero(found.proven == UNKNOWN)
    for b in open_roots:
        for move in legal_moves(game, states[b]):
            if found.visits[b, move] and found.q[b, move] == -1:
                lost += 1
                assert found.policy[b, move] == 0
                assert found.best[b] != move
    assert lost > 10
    np.testing.assert_allclose(found.policy.sum(1), 1, rtol=1e-5)


def test_what_an_evaluator_cannot_say_makes_no_illegal_move():
    game = load("tic_tac_toe")
    states = openings(game, 4, 8)
    for rule in ("puct", "gumbel"):
        nowhere = lambda planes: (np.full((len(planes), 9), np.nan), np.full(len(planes), np.nan))  # noqa: E731
        _, found = run(game, states, evaluate=nowhere, simulations=20, rule=rule, exact=False)
        for state, best in zip(states, found.best):
            assert best in legal_moves(game, state)
