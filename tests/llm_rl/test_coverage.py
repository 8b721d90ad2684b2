from fractions import Fraction
from math import comb

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.stats import betabinom

from llm_rl import coverage
from llm_rl.coverage import BetaTail, estimate_variance, fit_beta_tail, fit_power_law, forecast, plan
from llm_rl.passk import chance_at_k, difference_interval, pass_at_k

KS = 2 ** np.arange(11)


# -- power law ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("a", "b"), [(-3.5, -0.3), (-0.4, -0.8), (-6.0, -0.05)])
def test_a_power_law_is_found_again(a, b):
    exact = np.exp(a * KS**b)
    law = fit_power_law(KS, exact)
    assert law.a == pytest.approx(a, rel=1e-6)
    assert law.b == pytest.approx(b, rel=1e-6)
    np.testing.assert_allclose(law.residuals, 0, atol=1e-8)
    np.testing.assert_allclose(law.at(10**6), np.exp(a * 10 ** (6 * b)))


def test_residuals_show_what_is_no_power_law():
    tail = BetaTail(0.5, 5, zero=0.3)  # levels off at 0.7
    law = fit_power_law(KS, tail.at(KS))
    assert np.abs(law.residuals).max() > 0.01
    np.testing.assert_allclose(law.residuals, tail.at(KS) - law.at(KS), atol=1e-12)


def test_a_power_law_needs_two_points():
    with pytest.raises(ValueError, match="at two k at least, not at 1"):
        fit_power_law([1, 2, 4], [0.0, 0.5, 1.0])


# -- tail --------------------------------------------------------------------------------------------------


def test_coverage_of_a_tail_is_the_mean_over_its_problems():
    tail = BetaTail(0.7, 3.0, zero=0.1, one=0.2)
    rates = tail.rates(200_000)
    assert (np.diff(rates) >= 0).all()
    ks = np.array([1, 10, 1000, 10**6])
    np.testing.assert_allclose(tail.at(ks), [chance_at_k(rates, k).mean() for k in ks], atol=1e-4)
    a, b, k = Fraction(7, 10), Fraction(3), 5
    missed = Fraction(1)
    for j in range(k):
        missed *= (b + j) / (a + b + j)
    assert tail.at(k) == pytest.approx(float(Fraction(2, 10) + Fraction(7, 10) * (1 - missed)))


@pytest.mark.parametrize(("zero", "one"), [(False, False), (True, False), (False, True), (True, True)])
def test_the_likelihood_is_that_of_counts(zero, one):
    g = np.random.default_rng(0)
    n = g.choice([4, 9], 50)
    c = g.binomial(n, g.beta(0.5, 0.5, 50))
    x = np.array([-0.3, 0.8, *g.normal(size=zero + one)])
    a, b = np.exp(x[:2])
    odds = dict(zip(["zero"] * zero + ["one"] * one, np.exp(x[2:])))
    total = 1 + sum(odds.values())
    like = betabinom(n, a, b).pmf(c) / total
    like += odds.get("zero", 0) / total * (c == 0) + odds.get("one", 0) / total * (c == n)
    ways = np.log([comb(int(m), int(r)) for m, r in zip(n, c)])
    counts = coverage._counted(n, c)
    value, gradient = coverage._loss(x, counts, zero, one)
    assert value == pytest.approx(-np.mean(np.log(like) - ways))
    numeric = approx_fprime(x, lambda y: coverage._loss(y, counts, zero, one)[0], 1e-7)
    np.testing.assert_allclose(gradient, numeric, atol=1e-5)


def test_a_tail_is_found_again():
    g = np.random.default_rng(2)
    p = g.beta(0.4, 2.5, 20_000)
    group = g.random(20_000)
    p[group < 0.15], p[group > 0.95] = 0, 1
    found = fit_beta_tail(128, g.binomial(128, p), zero=True, one=True)
    np.testing.assert_allclose([found.alpha, found.beta], [0.4, 2.5], rtol=0.08)
    np.testing.assert_allclose([found.zero, found.one], [0.15, 0.05], atol=0.02)
    plain = fit_beta_tail(128, g.binomial(128, g.beta(0.4, 2.5, 20_000)), zero=True, one=True)
    np.testing.assert_allclose([plain.zero, plain.one], 0, atol=0.02)


@pytest.mark.parametrize("c", [[0, 0, 0], [8, 8, 8]])
def test_nothing_to_forecast_from(c):
    with pytest.raises(ValueError, match="some tries that were right and some that were not"):
        forecast(8, c, [100])


def repeated(repetitions, resamples, problems=120, alpha=0.25, beta=3.0):
    """(share of intervals that hold the distribution's coverage at 10^6, and that of the drawn problems)."""
    g, k = np.random.default_rng(8), 10**6
    truth, hits = BetaTail(alpha, beta).at(k), np.zeros(2)
    for seed in range(repetitions):
        p = g.beta(alpha, beta, problems)
        found = forecast(1024, g.binomial(1024, p), k, resamples=resamples, seed=seed)
        own = chance_at_k(p, k).mean()
        hits += [
            found.coverage.low[0] <= truth <= found.coverage.high[0],
            found.these.low[0] <= own <= found.these.high[0],
        ]
    return hits / repetitions


def test_forecasts_hold_the_truth():
    """Of 30, at 95 %, 25 or fewer have a chance of 0.3 %; half would be forecasts of a wrong width."""
    population, own = repeated(30, 60)
    assert population >= 25 / 30
    assert own >= 25 / 30


@pytest.mark.slow
def test_forecasts_hold_the_truth_95_times_in_100():
    """200 repetitions: a standard error of 1.5 %, and 120 problems are not many."""
    population, own = repeated(200, 200)
    assert 0.90 <= population <= 0.985
    assert 0.90 <= own <= 1


def test_what_is_expected_of_these_problems_is_the_mean_over_their_rates():
    g = np.random.default_rng(0)
    n, c = np.array([8, 8, 8, 16, 4]), np.array([0, 0, 3, 0, 4])
    tail, ks, counts = BetaTail(0.5, 2.0, zero=0.3, one=0.1), np.array([1, 50]), coverage._counted(n, c)
    drawn = np.stack([coverage._drawn_rates(counts, tail, g) for _ in range(6000)])
    curve = chance_at_k(drawn, ks).mean(axis=(0, 1))
    np.testing.assert_allclose(coverage._expected(counts, tail, ks), curve, atol=0.01)
    # by the rule of Bayes over a fine grid of rates: a problem that 8 tries did not solve
    inner = BetaTail(0.5, 2.0).rates(200_000)
    missed = 0.6 * np.mean((1 - inner) ** 8)
    again = 0.6 * np.mean((1 - inner) ** 8 * (1 - (1 - inner) ** 50)) / (missed + 0.3)
    alone = coverage._Counts(np.array([8]), np.array([0]), np.array([1]))
    np.testing.assert_allclose(coverage._expected(alone, tail, ks)[1], again, atol=1e-4)


def test_a_forecast_repeats_and_shows_its_residuals():
    g = np.random.default_rng(4)
    c = g.binomial(1024, g.beta(0.3, 3, 150))
    found = forecast(1024, c, [1, 10**6], measured_ks=KS, resamples=20)
    again = forecast(1024, c, [1, 10**6], measured_ks=KS, resamples=20)
    np.testing.assert_array_equal(found.coverage.low, again.coverage.low)
    np.testing.assert_array_equal(found.these.high, again.these.high)
    np.testing.assert_allclose(found.residuals, pass_at_k(1024, c, KS).mean(axis=0) - found.tail.at(KS))
    assert np.abs(found.residuals).max() < 0.05
    assert ((found.coverage.low < found.coverage.value) & (found.coverage.value < found.coverage.high)).all()
    two_kinds = g.binomial(1024, np.where(np.arange(150) < 75, 0.5, 0.002))
    assert np.abs(forecast(1024, two_kinds, 1, measured_ks=KS, resamples=2).residuals).max() > 0.05


# -- planning ----------------------------------------------------------------------------------------------


def test_the_variance_of_an_estimate_is_exact():
    for p in (Fraction(0), Fraction(1, 50), Fraction(1, 3), Fraction(1)):
        n, k = 12, 5
        chances = [comb(n, c) * p**c * (1 - p) ** (n - c) for c in range(n + 1)]
        values = [1 - Fraction(comb(n - c, k), comb(n, k)) for c in range(n + 1)]
        mean = sum(w * v for w, v in zip(chances, values))
        exact = sum(w * (v - mean) ** 2 for w, v in zip(chances, values))
        np.testing.assert_allclose(estimate_variance(np.array([float(p)]), n, k), float(exact), atol=1e-13)


def seen(base, trained, design, k, g, repetitions=300):
    """The share of experiments in which the paired interval shows a difference."""
    shown = 0
    for _ in range(repetitions):
        drawn = g.integers(len(base), size=design.problems)
        curves = [
            pass_at_k(design.samples, g.binomial(design.samples, p[drawn]), [k]) for p in (base, trained)
        ]
        found = difference_interval(curves[1], curves[0], resamples=400)
        shown += found.low[0] > 0
    return shown / repetitions


def test_a_plan_has_the_power_that_it_promises():
    g, k = np.random.default_rng(0), 4
    base = g.beta(0.5, 2, 2000)
    trained = np.clip(base * 1.15 + g.normal(0, 0.05, 2000), 0, 1)
    difference = (chance_at_k(trained, k) - chance_at_k(base, k)).mean()
    made = plan(base, trained, k, difference)
    assert made.cheapest in made.designs
    assert made.cheapest.total == min(d.total for d in made.designs)
    for design in made.designs[::2]:
        assert seen(base, trained, design, k, g) == pytest.approx(0.8, abs=0.08)
        quarter = coverage.Design(design.problems // 4, design.samples, 0)
        assert seen(base, trained, quarter, k, g) < 0.5


def test_a_plan_says_what_to_do():
    made = plan(np.full(5, 0.2), np.full(5, 0.3), 1, 0.1, samples=[4, 8])
    needed = (1.959964 + 0.841621) ** 2 / 0.01 * (0.16 + 0.21)
    assert [d.problems for d in made.designs] == [int(np.ceil(needed / n)) for n in (4, 8)]
    assert made.said == (
        "to see a difference of 10 points at k=1 with power 0.8 take 73 problems × 4 samples "
        "(584 in all, of both policies)"
    )
    with pytest.raises(ValueError, match="above 0"):
        plan(np.full(5, 0.2), np.full(5, 0.3), 1, 0)
    with pytest.raises(ValueError, match="same problems"):
        plan(np.full(5, 0.2), np.full(4, 0.3), 1, 0.1)
    with pytest.raises(ValueError, match="k=8 needs as many tries"):
        plan(np.full(5, 0.2), np.full(5, 0.3), 8, 0.1, samples=[4])
