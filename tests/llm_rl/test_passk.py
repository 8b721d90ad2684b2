import time
from fractions import Fraction
from itertools import combinations
from math import comb

import numpy as np
import pytest

from llm_rl.passk import (
    chance_at_k,
    corrected,
    crossover,
    difference_interval,
    interval,
    mean_interval,
    over_problems,
    over_tries,
    pass_at_k,
    pass_hat_k,
    perplexity,
    scarce,
    solved_sets,
)

KS = 2 ** np.arange(9)


# -- estimators --------------------------------------------------------------------------------------------


def test_estimators_are_exact_for_all_n_up_to_30():
    for n in range(1, 31):
        counts, ks = np.arange(n + 1), np.arange(1, n + 1)
        some = [[float(1 - Fraction(comb(n - c, k), comb(n, k))) for k in ks] for c in counts]
        every = [[float(Fraction(comb(c, k), comb(n, k))) for k in ks] for c in counts]
        np.testing.assert_allclose(pass_at_k(n, counts, ks), some, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(pass_hat_k(n, counts, ks), every, rtol=1e-12, atol=1e-30)


@pytest.mark.parametrize("c", range(8))
def test_they_are_shares_of_subsets(c):
    tries = [1] * c + [0] * (7 - c)
    for k in range(1, 8):
        subsets = list(combinations(tries, k))
        assert pass_at_k(7, c, k) == pytest.approx(np.mean([any(s) for s in subsets]), abs=1e-14)
        assert pass_hat_k(7, c, k) == pytest.approx(np.mean([all(s) for s in subsets]), abs=1e-14)


@pytest.mark.parametrize("c", [0, 1, 5, 800, 999_999])
def test_a_million_tries(c):
    n = 10**6
    for k in (1, 7, 900, 500_000, n - 3, n):
        missed = Fraction(1)
        for j in range(min(c, k)):
            missed *= Fraction(n - j - max(c, k), n - j)
            if missed < Fraction(1, 10**40):
                break
        assert pass_at_k(n, c, k) == pytest.approx(float(1 - missed), rel=1e-9, abs=1e-12)


def test_shapes():
    n, c = np.array([8, 16, 32]), np.array([1, 0, 32])
    assert pass_at_k(8, 2, 4).shape == ()
    assert pass_at_k(n, c, 4).shape == (3,)
    assert pass_at_k(32, c, [1, 2]).shape == (3, 2)
    curve = pass_at_k(n, c, [1, 2, 8])
    assert curve.shape == (3, 3)
    assert curve.dtype == np.float64
    np.testing.assert_array_equal(curve[:, 1], pass_at_k(n, c, 2))
    np.testing.assert_array_equal(curve, [[1 / 8, 1 / 4, 1], [0, 0, 0], [1, 1, 1]])


@pytest.mark.parametrize("p", [0.0, 1e-4, 0.03, 0.5, 0.97, 1.0])
def test_the_expectation_over_tries_is_the_truth(p):
    """Unlike that of 1 − (1 − c/n)^k, which draws with replacement."""
    n, ks = 20, np.array([1, 3, 10, 20])
    counts = np.arange(n + 1)
    chances = np.array([comb(n, c) * p**c * (1 - p) ** (n - c) for c in counts])
    np.testing.assert_allclose(chances @ pass_at_k(n, counts, ks), 1 - (1 - p) ** ks, atol=1e-13)
    np.testing.assert_allclose(chances @ pass_hat_k(n, counts, ks), p**ks, atol=1e-13)
    replaced = chances @ chance_at_k(counts / n, ks)
    if p in (0.03, 0.5):
        assert (replaced[1:] < 1 - (1 - p) ** ks[1:] - 1e-8).all()


def test_one_right_of_256_is_certain_among_all():
    assert pass_at_k(256, 1, 256) == 1
    assert chance_at_k(1 / 256, 256) == pytest.approx(0.633, abs=1e-3)


@pytest.mark.parametrize(
    ("n", "c", "k", "said"),
    [
        (3, 0, 5, r"k=5 needs as many tries at each problem; problem 0 has 3"),
        ([9, 4, 9], [0, 1, 2], [1, 8], r"k=8 .* problem 1 has 4"),
        ([8, 8], [1, 9], 2, r"problem 1 has 9 right of 8"),
        (8, -1, 2, r"problem 0 has -1 right"),
        (8, 1, 0, r"from 1 on, not 0"),
        (8, 0.3, 1, r"c is a count of tries, a whole number, not 0.3"),
    ],
)
def test_what_cannot_be_estimated_is_an_error(n, c, k, said):
    for estimate in (pass_at_k, pass_hat_k):
        with pytest.raises(ValueError, match=said):
            estimate(n, c, k)


def test_large_k_are_scarce():
    np.testing.assert_array_equal(scarce([64, 128], [1, 16, 17, 64]), [False, False, True, True])


def test_chance():
    for p in (0.0, 1e-15, 1e-6, 0.2, 1.0):
        for k in (1, 10, 1000):
            exact = float(1 - (1 - Fraction(p)) ** k)
            assert chance_at_k(p, k) == pytest.approx(exact, rel=1e-12, abs=0)
    assert chance_at_k([0.1, 0.2], [1, 2, 3]).shape == (2, 3)
    np.testing.assert_allclose(
        corrected(np.array([0.5, 0.2, 1.0]), np.array([0.2, 0.2, 1.0])), [0.375, 0, np.nan]
    )


def test_perplexity_is_a_tokens():
    assert perplexity(np.log([1 / 8, 1 / 4]), np.array([3, 2])) == pytest.approx(2)
    assert perplexity(np.log([0.5**3, 1.0]), np.array([3, 1])) == pytest.approx(
        2**0.75
    )  # by token, not by sample
    with pytest.raises(ValueError, match="at least one token"):
        perplexity(np.zeros(0), np.zeros(0, int))


def test_solved_sets():
    sets = solved_sets([3, 0, 1, 0, 9], [1, 0, 0, 2, 9])
    assert [s.tolist() for s in (sets.only_base, sets.both, sets.only_trained, sets.neither)] == [
        [2],
        [0, 4],
        [3],
        [1],
    ]
    with pytest.raises(ValueError, match="same problems"):
        solved_sets([1, 2], [1])


# -- intervals ---------------------------------------------------------------------------------------------


def test_a_bootstrap_is_of_problems_and_repeats():
    curve = np.random.default_rng(0).random((40, 3))
    draws = over_problems(curve, 4000)
    np.testing.assert_array_equal(draws, over_problems(curve, 4000))
    assert (draws != over_problems(curve, 4000, seed=1)).any()
    np.testing.assert_allclose(draws.mean(axis=0), curve.mean(axis=0), atol=0.005)
    np.testing.assert_allclose(draws.std(axis=0), curve.std(axis=0) / np.sqrt(40), rtol=0.05)
    found = mean_interval(curve)
    np.testing.assert_allclose(found.value, curve.mean(axis=0))
    assert ((found.low < found.value) & (found.value < found.high)).all()


def test_a_paired_interval_is_narrower():
    g = np.random.default_rng(1)
    a = g.random((50, 2))
    b = a + g.normal(0, 0.02, a.shape)
    paired = difference_interval(a, b)
    alone = mean_interval(a)
    assert (paired.high - paired.low < 0.2 * (alone.high - alone.low)).all()
    with pytest.raises(ValueError, match="same problems"):
        difference_interval(a, b[:-1])


def test_problems_that_are_all_alike_tell_no_interval():
    found = mean_interval(np.array([[1.0, 0.2], [1.0, 0.4]]))
    assert found.value[0] == 1
    assert np.isnan([found.low[0], found.high[0]]).all()
    assert np.isfinite([found.low[1], found.high[1]]).all()


@pytest.mark.parametrize(("n", "k"), [(4, 1), (4, 4), (64, 8)])
def test_intervals_over_problems_hold_the_truth_95_times_in_100(n, k):
    """Also where tries are few: their luck is in what differs between problems."""
    a, b, problems, g = 0.6, 2.0, 120, np.random.default_rng(n + k)
    j = np.arange(k)
    truth = 1 - np.prod((b + j) / (a + b + j))
    hits, widths, wider, lower = 0, [], [], []
    for _ in range(500):
        c = g.binomial(n, g.beta(a, b, problems))
        curve = pass_at_k(n, c, [k])
        found = mean_interval(curve, resamples=1000)
        hits += found.low[0] <= truth <= found.high[0]
        widths.append(found.high[0] - found.low[0])
        if n == 4 and len(wider) < 20:
            chosen = g.integers(problems, size=(400, problems))
            twice = pass_at_k(n, g.binomial(n, c[chosen] / n), k).mean(axis=1)
            wider.append(np.ptp(np.quantile(twice, [0.025, 0.975])))
            lower.append(twice.mean() - curve.mean())
    assert 0.92 <= hits / 500 <= 0.98
    if n == 4 and k == 1:  # drawing the tries again as well counts their luck twice
        assert np.mean(wider) > 1.1 * np.mean(widths)
    elif n == 4:  # and with replacement it finds less than there is
        assert np.mean(lower) < -0.05


@pytest.mark.parametrize("n", [64, 65])
def test_intervals_over_tries_hold_the_truth_of_these_problems(n):
    g, ks, repetitions = np.random.default_rng(33), np.array([1, 4, 16]), 200
    p = g.beta(0.5, 3, 60)
    truth, hits = chance_at_k(p, ks).mean(axis=0), 0
    for seed in range(repetitions):
        c = g.binomial(n, p)
        found = interval(pass_at_k(n, c, ks).mean(axis=0), over_tries(n, c, ks, 300, seed))
        hits = hits + ((found.low <= truth) & (truth <= found.high))
    assert (hits >= 0.91 * repetitions).all()
    assert (hits <= 0.99 * repetitions).all()


def test_tries_of_different_numbers_and_too_few_of_them():
    c = np.array([0, 3, 8, 20])
    draws = over_tries([8, 8, 16, 40], c, [1, 4], 20_000)
    np.testing.assert_allclose(
        draws.mean(axis=0), pass_at_k([8, 8, 16, 40], c, [1, 4]).mean(axis=0), atol=0.005
    )
    with pytest.raises(ValueError, match="k=8 needs twice as many tries at each problem; one has 8"):
        over_tries([8, 16], [1, 1], [1, 8])


# -- crossover ---------------------------------------------------------------------------------------------


def lines(base, trained, noise=0.01, problems=60):
    """Curves of problems whose means are these, alike up to a little that differs."""
    wobble = noise * np.linspace(-1, 1, problems)[:, None]
    return np.asarray(base) + 0 * wobble, np.asarray(trained) + wobble


def test_a_crossover_is_where_the_lines_meet():
    steps = np.log2(KS)
    found = crossover(*lines(0.1 + 0.1 * steps, 0.37 + 0.03 * steps), KS)
    assert found.k_star == pytest.approx(2 ** (0.27 / 0.07))
    assert found.low < found.k_star < found.high < 16
    assert found.clear == 16
    assert found.without == 0
    assert found.said.startswith("the base overtakes at k=14 [14, 15]; from k=16 the difference is beyond")
    assert "resamples" not in found.said


@pytest.mark.parametrize(
    ("difference", "k_star", "said"),
    [
        ([-3, -2, -1], None, "no crossover up to k=4: the trained is above throughout"),
        ([-3, -2, 0], None, "no crossover up to k=4: the base is nowhere above"),
        ([1, 2, 3], None, "no crossover up to k=4: the base is above from k=1 on; from k=1 the difference"),
        ([0, 2, 3], None, "no crossover up to k=4: the base is above from k=2 on; from k=2 the difference"),
        ([0, 2, 0], None, "no crossover up to k=4: the base is above at k=2; at k=2 the difference"),
        ([0, 0, 0], None, "no crossover up to k=4: the curves are the same"),
        ([1, -2, -3], None, "no crossover up to k=4: the base is above at first, the trained from k=2 on"),
        ([1, -1, 1], 2**1.5, "the base overtakes at k=2.8 [2.8, 2.8]; from k=4 the difference"),
        ([-1, 0, 1], 2, "the base overtakes at k=2 ["),
        (
            [-1, 1, -1],
            2**0.5,
            "the base overtakes at k=1.4 [1.4, 1.4], and at k=4 the trained is above again",
        ),
    ],
)
def test_every_way_that_curves_can_lie(difference, k_star, said):
    found = crossover(*lines(np.array(difference) / 10 + 0.5, np.full(3, 0.5), noise=1e-4), [1, 2, 4])
    assert found.k_star == (None if k_star is None else pytest.approx(k_star))
    assert found.said.startswith(said)
    assert not np.isnan([found.low, found.high]).any()


def test_one_k_alone_and_curves_that_do_not_fit():
    assert crossover(*lines([0.5], [0.4]), [8]).said.startswith(
        "no crossover up to k=8: the base is above from k=8"
    )
    with pytest.raises(ValueError, match="same problems"):
        crossover(np.zeros((3, 2)), np.zeros((4, 2)), [1, 2])
    with pytest.raises(ValueError, match="2 problems at least, not 1"):
        crossover(np.zeros((1, 2)), np.zeros((1, 2)), [1, 2])
    with pytest.raises(ValueError, match="ascending"):
        crossover(np.zeros((3, 2)), np.zeros((3, 2)), [2, 1])


def test_a_crossover_at_the_edge_says_what_is_not_sure():
    """The trained is above in some resamples at the largest k: the interval is open there."""
    g = np.random.default_rng(0)
    base, trained = lines([0.2, 0.4, 0.61], [0.5, 0.5, 0.6])
    found = crossover(base + g.normal(0, 0.3, (60, 1)), trained, [1, 4, 16])
    assert 0.1 < found.without < 0.6
    assert found.high == np.inf
    assert found.clear is None
    assert "beyond 16]; at no k is the difference beyond its interval; " in found.said
    assert "% of resamples have no crossover" in found.said
    below = crossover(base - 0.05 + g.normal(0, 0.3, (60, 1)), trained, [1, 4, 16])
    assert below.k_star is None
    assert "% of resamples have one" in below.said


def test_intervals_of_crossovers_hold_the_truth():
    """The base solves all problems sometimes, the trained most of them often and the others never."""
    g, n, problems, hits, clear = np.random.default_rng(5), 256, 150, 0, []
    a, b, never, better = 0.6, 4.0, 0.25, 6.0
    nodes = (np.arange(200_000) + 0.5) / 200_000
    from scipy.special import betaincinv

    mean = [chance_at_k(betaincinv(x, b, nodes[::20]), KS).mean(axis=0) for x in (a, better * a)]
    truth = crossover(*lines(mean[0], (1 - never) * mean[1]), KS, resamples=10).k_star
    for _ in range(200):
        rates = g.beta(a, b, problems), g.beta(better * a, b, problems) * (g.random(problems) > never)
        base, trained = (pass_at_k(n, g.binomial(n, p), KS) for p in rates)
        found = crossover(base, trained, KS, resamples=500)
        hits += found.low <= truth <= found.high
        clear.append(found.clear)
    assert 10 < truth < 200
    assert 0.91 <= hits / 200 <= 0.99


# -- speed -------------------------------------------------------------------------------------------------


def test_statistics_of_four_policies_take_no_time():
    g = np.random.default_rng(0)
    counts = g.binomial(1024, g.beta(0.4, 2, (4, 300)))
    start = time.process_time()
    curves = [pass_at_k(1024, c, KS) for c in counts]
    for curve in curves:
        mean_interval(curve)
        crossover(curves[0], curve, KS)
    assert time.process_time() - start < 3
