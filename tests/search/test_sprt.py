"""Elo of a score and the sequential test: published numbers, plain references, simulated error rates."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import brentq, minimize
from scipy.stats import binom, norm

from search.sprt import (
    Z,
    bounds,
    decide,
    elo_of,
    estimate,
    llr,
    normal_cdf,
    score_of,
)

GAMES = (90, 190, 120)
"""Losses, draws, wins."""
PAIRS = (10, 40, 90, 45, 15)

# -- published numbers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("elo", "score"), [(0, 0.5), (35, 0.5502), (100, 0.6401), (200, 0.7597), (400, 0.9091)]
)
def test_elo_is_logistic(elo, score):
    assert score_of(elo) == pytest.approx(score, abs=5e-5)
    assert score_of(-elo) == pytest.approx(1 - score_of(elo))
    assert elo_of(score_of(elo)) == pytest.approx(elo)


def test_the_elo_of_games_as_published():
    found = estimate(GAMES)
    assert found.elo == pytest.approx(26.11, abs=5e-3)
    assert found.elo_interval == pytest.approx((1.52, 50.96), abs=5e-3)
    assert found.score == 0.5375
    assert found.superiority == pytest.approx(0.9813, abs=5e-5)


def test_the_elo_of_pairs_as_published():
    found = estimate(PAIRS)
    assert found.elo == pytest.approx(13.03, abs=5e-3)
    assert found.elo_interval == pytest.approx((-10.06, 36.24), abs=5e-3)


def test_ratios_as_published():
    assert float(llr(GAMES, 0, 10, "bayeselo")) == pytest.approx(1.335938, abs=5e-7)  # cutechess
    assert float(llr(GAMES, 0, 10)) == pytest.approx(1.331182, abs=5e-7)  # fishtest
    assert float(llr(GAMES, 0, 10, "normal")) == pytest.approx(1.343226, abs=5e-7)
    assert float(llr(PAIRS, 0, 10)) == pytest.approx(0.577775, abs=5e-7)
    assert float(llr(PAIRS, 0, 10, "normal")) == pytest.approx(0.578703, abs=5e-7)
    assert bounds(0.05, 0.05) == pytest.approx((-2.944439, 2.944439), abs=5e-7)


@pytest.mark.parametrize("counts", [(581, 0, 581), (145.25, 290.5, 145.25)])
def test_how_many_games_it_takes(counts):
    assert estimate(counts).elo_interval == pytest.approx((-20, 20), abs=0.01)


# -- plain references --------------------------------------------------------------------------------------


def ratio_by_search(counts, elo0, elo1):
    """The ratio of the greatest likelihoods of all laws with either score, found by a general optimiser."""
    scores, counts = np.linspace(0, 1, len(counts)), np.array(counts, float)

    def greatest(score):
        def loss(logits):
            share = np.exp(logits - logits.max())
            return -counts @ np.log(share / share.sum())

        def off(logits):
            share = np.exp(logits - logits.max())
            return share @ scores / share.sum() - score

        limit = {"type": "eq", "fun": off}
        found = minimize(
            loss, np.zeros(len(counts)), constraints=limit, options={"ftol": 1e-13, "maxiter": 500}
        )
        assert found.success
        return -found.fun

    return greatest(float(score_of(elo1))) - greatest(float(score_of(elo0)))


@pytest.mark.parametrize("counts", [GAMES, PAIRS, (3, 1, 4), (1, 2, 20, 9, 30), (30, 9, 20, 2, 1)])
@pytest.mark.parametrize(("elo0", "elo1"), [(0, 10), (-30, 120)])
def test_the_ratio_is_that_of_the_greatest_likelihoods(counts, elo0, elo1):
    assert float(llr(counts, elo0, elo1)) == pytest.approx(ratio_by_search(counts, elo0, elo1), abs=1e-4)


def test_many_at_once_are_each_alone():
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 9, (50, 5)) + np.eye(5, dtype=int)[2]
    together = llr(counts, -5, 25)
    assert together.shape == (50,)
    np.testing.assert_allclose(together, [float(llr(row, -5, 25)) for row in counts], rtol=1e-12)
    np.testing.assert_allclose(llr(counts[:, ::-1], -25, 5), -together, atol=1e-9)  # the other's view


def test_the_normal_law():
    x = np.array([-9.0, -2, 0, 0.5, Z, 9])
    np.testing.assert_allclose(normal_cdf(x), norm.cdf(x), rtol=1e-12)
    assert normal_cdf(Z) == pytest.approx(0.975, abs=1e-8)


# -- results that say little -------------------------------------------------------------------------------


def test_nothing_is_sure_after_results_that_are_all_alike():
    one, ten = estimate((0, 0, 1)), estimate((0, 0, 0, 0, 10))
    assert one.elo == ten.elo == math.inf
    assert one.score_interval[0] < 0.2
    assert 0.5 < one.superiority < 0.8
    assert 0.7 < ten.score_interval[0] < 0.85
    assert ten.elo_interval == (pytest.approx(200.5, abs=0.1), math.inf)
    lost = estimate((10, 0, 0, 0, 0))
    assert lost.elo == -math.inf
    assert lost.superiority == pytest.approx(1 - ten.superiority)
    level = estimate((0, 30, 0))
    assert level.score_interval == pytest.approx((0.5 - Z * 0.5**0.5 / 32, 0.5 + Z * 0.5**0.5 / 32))
    assert level.superiority == 0.5


def test_a_test_takes_its_time():
    assert decide((0, 0, 0), 0, 50) == "go on"
    assert decide((0, 0, 0, 0, 1), 0, 50) == "go on"
    assert decide((0, 0, 0, 0, 5), 0, 50) == "go on"
    assert decide((0, 0, 0, 0, 40), 0, 50) == "accept"
    assert decide((40, 0, 0, 0, 0), 0, 50) == "reject"
    assert decide(PAIRS, 0, 10) == "go on"
    assert decide(np.array(PAIRS) * 10, 0, 10) == "accept"
    assert decide(np.array(PAIRS) * 4, 0, 10) == "go on"
    assert decide(np.array(PAIRS) * 4, 0, 10, alpha=0.2) == "accept"
    assert decide(np.array(PAIRS)[::-1] * 4, 0, 10) == "reject"
    many = [(0, 0, 0, 0, 0), (0, 0, 0, 0, 40), (40, 0, 0, 0, 0)]
    assert decide(many, 0, 50).tolist() == ["go on", "accept", "reject"]
    assert decide(np.zeros((0, 5)), 0, 50).tolist() == []


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: estimate((1, 2)), "3 .L, D, W. or 5"),
        (lambda: estimate((1, -2, 3)), "none below 0"),
        (lambda: estimate((0, 0, 0)), "no results yet"),
        (lambda: llr(GAMES, 10, 0), "elo0 must be below elo1: not 10 and 0"),
        (lambda: llr(PAIRS, 0, 10, "bayeselo"), "not for pairs"),
        (lambda: bounds(0.6, 0.5), "together below 1"),
        (lambda: bounds(0, 0.5), "above 0"),
    ],
)
def test_what_cannot_be_is_told(call, said):
    with pytest.raises(ValueError, match=said):
        call()


# -- how often it is wrong ---------------------------------------------------------------------------------


def law_of_pairs(elo, openings=1.0, nu=0.8):
    """Chances of 0 to 4 half points of two games from one opening, of whom the first player is `elo` better.

    How much openings favour who moves first has a deviation of `openings`; `elo` is that of the mean score.
    """
    favour, weights = np.polynomial.hermite_e.hermegauss(31)

    def game(d):
        odds = np.stack([np.exp(-d / 2), nu + 0 * d, np.exp(d / 2)])
        return odds / odds.sum(axis=0)

    def law(gap):
        first, second = game(gap + openings * favour), game(gap - openings * favour)
        both = [np.convolve(a, b) for a, b in zip(first.T, second.T)]
        return np.average(both, axis=0, weights=weights)

    return law(brentq(lambda gap: law(gap) @ np.arange(5) / 4 - score_of(elo), -9, 9))


def run(chances, elo0, elo1, tests, seed, alpha=0.05, beta=0.05, longest=5000):
    """Shares of tests that accept and that reject, asked after each result until they stop."""
    rng, counts = np.random.default_rng(seed), np.zeros((tests, len(chances)))
    live, ended, (low, high) = np.arange(tests), np.zeros(tests), bounds(alpha, beta)
    for _ in range(longest):
        counts[live, rng.choice(len(chances), len(live), p=chances)] += 1
        ratio = llr(counts[live], elo0, elo1)
        ended[live] = (ratio >= high) * 1 - (ratio <= low) * 1
        live = live[ended[live] == 0]
        if not len(live):
            break
    for k in range(3):  # the same by the name of the verdict
        said = {1: "accept", -1: "reject"}[ended[k]]
        assert decide(counts[k], elo0, elo1, alpha=alpha, beta=beta) == said
    return (ended == 1).mean(), (ended == -1).mean()


def at_most(risk, tests):
    return binom.ppf(1 - 1e-4, tests, risk) / tests


@pytest.mark.parametrize("openings", [0.0, 2.0])
def test_errors_are_as_rare_as_they_should_be(openings):
    tests = 300
    wrong, _ = run(law_of_pairs(0, openings), 0, 120, tests, seed=0)
    assert 0 < wrong <= at_most(0.05, tests)
    _, wrong = run(law_of_pairs(120, openings), 0, 120, tests, seed=1)
    assert 0 < wrong <= at_most(0.05, tests)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("chances", "elo0", "elo1", "alpha", "beta"),
    [
        (law_of_pairs, 0, 40, 0.05, 0.05),
        (law_of_pairs, -20, 20, 0.05, 0.1),
        (lambda elo: np.array([0.7 - score_of(elo), 0.6, score_of(elo) - 0.3]), 0, 40, 0.05, 0.05),  # games
        (lambda elo: np.array([1 - score_of(elo), 0, score_of(elo)]), 0, 60, 0.1, 0.02),  # without draws
    ],
)
def test_error_rates_over_many(chances, elo0, elo1, alpha, beta):
    tests, risks = 4000, {"alpha": alpha, "beta": beta}
    accepted, rejected = run(chances(elo0), elo0, elo1, tests, seed=2, **risks)
    assert 0.6 * alpha < accepted <= at_most(alpha, tests)
    assert accepted + rejected == 1
    accepted, rejected = run(chances(elo1), elo0, elo1, tests, seed=3, **risks)
    assert 0.5 * beta < rejected <= at_most(beta, tests)
    assert accepted + rejected == 1


def test_halfway_between_the_two_it_is_a_toss():
    accepted, rejected = run(law_of_pairs(75), 0, 150, 300, seed=4)
    assert accepted + rejected == 1
    assert accepted == pytest.approx(0.5, abs=4 * 0.5 / math.sqrt(300))


@pytest.mark.parametrize("openings", [0.0, 2.0])
def test_intervals_hold_the_score_as_often_as_they_say(openings):
    chances, runs = law_of_pairs(120, openings), 1000
    drawn = np.random.default_rng(5).multinomial(100, chances, size=runs)
    found = [estimate(counts) for counts in drawn]
    held = np.mean([one.elo_interval[0] <= 120 <= one.elo_interval[1] for one in found])
    assert binom.ppf(1e-4, runs, 0.945) / runs <= held <= binom.ppf(1 - 1e-4, runs, 0.95) / runs
