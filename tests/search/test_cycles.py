"""Who beats whom: crosstables, cycles, and α-rank against OpenSpiel's."""

from __future__ import annotations

import numpy as np
import pytest
from open_spiel.python.egt import alpharank
from scipy.stats import norm

from search.cycles import Cycle, alpha_rank, crosstable, cycles, duels
from search.ratings import Games, fit
from search.sprt import estimate

CIRCLE = np.array([[0.5, 1, 0], [0, 0.5, 1], [1, 0, 0.5]])


def in_pairs(scores, pairs, seed=0):
    """So many pairs of each pairing, each game won by row with the chance `scores`, lost else."""
    rng = np.random.default_rng(seed)
    a, b = (np.repeat(side, pairs) for side in np.triu_indices(len(scores), 1))
    first, second = np.concatenate([a, b]), np.concatenate([b, a])
    points = (rng.random(len(first)) < scores[first, second]).astype(float)
    return Games(first, second, points, np.tile(np.arange(len(a)), 2))


# -- by their own games ------------------------------------------------------------------------------------


def test_a_crosstable_counts_both_colours():
    games = Games(np.array([0, 1, 0, 2]), np.array([1, 0, 1, 1]), np.array([1, 0.5, 0, 1]), np.full(4, -1))
    points, count = crosstable(games, 4)
    assert points.tolist() == [[0, 1.5, 0, 0], [1.5, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
    assert count.tolist() == [[0, 3, 0, 0], [3, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]]


def test_duels_are_what_pairs_say_with_two_more():
    rng = np.random.default_rng(1)
    half_points = rng.choice(5, 30, p=[0.1, 0.2, 0.2, 0.2, 0.3])
    split = half_points.clip(0, 2), half_points - half_points.clip(0, 2)
    first, second = np.repeat([0, 1], 30), np.repeat([1, 0], 30)
    points = np.concatenate([split[0] / 2, 1 - split[1] / 2])
    games = Games(first, second, points, np.tile(np.arange(30), 2))
    likely = duels(games, 3)
    counts = np.bincount(half_points, minlength=5) + np.eye(5)[[0, 4]].sum(axis=0)
    assert likely[0, 1] == pytest.approx(estimate(counts).superiority)
    assert likely[1, 0] == pytest.approx(1 - likely[0, 1])
    assert np.isnan(likely[[0, 1, 2], [0, 1, 2]]).all()
    assert np.isnan(likely[2]).all()


def test_games_that_stand_alone_are_weighed_alone():
    games = Games(np.zeros(6, int), np.ones(6, int), np.array([1, 1, 1, 1, 1, 0.0]), np.full(6, -1))
    won, lost = 5 + 1, 1 + 1  # with one more of each
    spread = 0.25 * 8 - (0.5 * (won - lost)) ** 2 / 8
    assert duels(games, 2)[0, 1] == pytest.approx(norm.cdf(0.5 * (won - lost) / np.sqrt(spread)))


# -- cycles ------------------------------------------------------------------------------------------------


def test_a_circle_is_found_once_and_ratings_have_none():
    games = in_pairs(0.2 + 0.6 * CIRCLE, 40)
    found = cycles(duels(games, 3))
    assert [cycle[:3] for cycle in found] == [(0, 1, 2)]
    likely = duels(games, 3)
    assert found[0].strength == min(likely[0, 1], likely[1, 2], likely[2, 0]) > 0.99
    assert cycles(fit(games, 3).superiority(), least=0.5) == []


def test_cycles_are_all_threes_that_go_round():
    rng = np.random.default_rng(2)
    upper = np.triu(rng.random((7, 7)), 1)
    likely = upper + np.tril(1 - upper.T, -1) + np.diag(np.full(7, np.nan))
    likely[2, 5] = likely[5, 2] = np.nan  # never met
    plain = set()
    for a in range(7):
        for b in range(7):
            for c in range(7):
                least = min(likely[a, b], likely[b, c], likely[c, a])
                if a == min(a, b, c) and len({a, b, c}) == 3 and {2, 5} - {a, b, c} and least > 0.5:
                    plain.add(Cycle(a, b, c, least))
    found = cycles(likely, least=0.5)
    assert set(found) == plain
    assert len(found) == len(plain) > 2
    assert [one.strength for one in found] == sorted([one.strength for one in plain], reverse=True)
    assert cycles(likely, least=found[1].strength) == found[:2]


def test_players_in_one_line_have_no_cycle():
    assert cycles(duels(in_pairs(np.array([[0.5, 0.8, 0.9], [0.2, 0.5, 0.8], [0.1, 0.2, 0.5]]), 40), 3)) == []


# -- α-rank ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [0.3, 2.0, 100.0])
def test_a_circle_shares_alike(alpha):
    np.testing.assert_allclose(alpha_rank(CIRCLE, alpha=alpha), 1 / 3)


def test_who_beats_all_has_all():
    line = np.where(np.tri(5, k=-1, dtype=bool), 0.9, 0.1)
    np.fill_diagonal(line, 0.5)
    np.testing.assert_allclose(alpha_rank(line), [0, 0, 0, 0, 1], atol=1e-9)
    assert (np.diff(alpha_rank(line, alpha=0.05)) > 0).all()


def test_a_circle_above_the_rest_shares_all():
    scores = np.full((5, 5), 0.5)
    scores[:3, :3], scores[:3, 3:], scores[3:, :3] = CIRCLE, 1, 0
    order = np.array([3, 0, 4, 1, 2])
    np.testing.assert_allclose(alpha_rank(scores)[order], np.array([1, 1, 1, 0, 0])[order] / 3, atol=1e-9)
    np.testing.assert_allclose(alpha_rank(scores[np.ix_(order, order)]), alpha_rank(scores)[order], atol=1e-9)


def test_a_long_line_and_a_steep_law_stay_finite():
    line = np.where(np.tri(60, k=-1, dtype=bool), 1.0, 0.0) + np.eye(60) / 2
    np.testing.assert_allclose(alpha_rank(line, alpha=1e6), np.eye(60)[-1], atol=1e-9)


def test_equals_share_alike():
    np.testing.assert_allclose(alpha_rank(np.full((4, 4), 0.5)), 0.25)


@pytest.mark.parametrize(("alpha", "population"), [(0.1, 50), (1.0, 50), (2.0, 10)])
def test_it_is_openspiels(alpha, population):
    rng = np.random.default_rng(3)
    for _ in range(5):
        upper = np.triu(rng.random((6, 6)), 1)
        scores = upper + np.tril(1 - upper.T, -1) + np.eye(6) / 2
        _, _, share, *_ = alpharank.compute([scores], m=population, alpha=alpha)
        np.testing.assert_allclose(alpha_rank(scores, alpha=alpha, population=population), share, atol=1e-6)
