import math

import numpy as np
import pytest
from scipy.stats import trim_mean

from move37.stats import bootstrap_interval, interquartile_mean, mean, smooth


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 7, 8, 11, 40])
def test_interquartile_mean_equals_the_plain_one(n):
    scores = np.random.default_rng(n).normal(size=n)
    middle = sorted(scores.tolist())
    for _ in range(n // 4):
        middle = middle[1:-1]
    assert interquartile_mean(scores) == pytest.approx(sum(middle) / len(middle))
    assert interquartile_mean(scores) == pytest.approx(trim_mean(scores, 0.25))


def test_interquartile_mean_ignores_an_outlier_and_keeps_other_axes():
    scores = np.array([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0], [1e9, -1e9]])
    np.testing.assert_allclose(interquartile_mean(scores), [2.5, 15.0])
    with pytest.raises(ValueError, match="at least one"):
        interquartile_mean(np.array([]))


def test_bootstrap_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = 0
    for trial in range(200):
        low, high = bootstrap_interval([rng.normal(3.0, 1.0, size=50)], mean, resamples=300, seed=trial)
        hits += low <= 3.0 <= high
    assert 0.88 <= hits / 200 <= 0.99  # 95 % minus what a percentile bootstrap of 50 lacks


def test_bootstrap_interval_is_that_of_a_plain_loop():
    scores = [np.array([1.0, 4.0, 2.0, 8.0, 5.0]), np.array([10.0, 12.0, 15.0])]
    rng = np.random.default_rng(5)
    drawn = [
        interquartile_mean(np.concatenate([rng.choice(s, size=len(s)) for s in scores]))
        for _ in range(20_000)
    ]
    low, high = bootstrap_interval(scores, resamples=20_000)
    assert low == pytest.approx(np.quantile(drawn, 0.025), abs=0.3)
    assert high == pytest.approx(np.quantile(drawn, 0.975), abs=0.3)


def test_strata_are_resampled_apart():
    low, high = bootstrap_interval([np.zeros(10), np.full(10, 100.0)], mean)
    assert low == high == 50.0  # each task always keeps its ten scores
    pooled = bootstrap_interval([np.concatenate([np.zeros(10), np.full(10, 100.0)])], mean)
    assert pooled[1] - pooled[0] > 20


def test_bootstrap_of_curves_has_the_curve_s_shape():
    low, high = bootstrap_interval([np.random.default_rng(0).normal(size=(5, 7))], resamples=50)
    assert low.shape == high.shape == (7,)
    assert (low <= high).all()


def test_one_run_has_no_interval():
    low, high = bootstrap_interval([[3.0]])
    assert math.isnan(low)
    assert math.isnan(high)
    with pytest.raises(ValueError, match="every stratum"):
        bootstrap_interval([[1.0], []])


def test_smooth_is_a_running_mean_of_what_is_known():
    values = np.array([math.nan, 1.0, 3.0, math.nan, 5.0])
    expected = [math.nan, 1.0, 2.0, 3.0, 5.0]
    np.testing.assert_allclose(smooth(values, 2), expected)
    np.testing.assert_allclose(smooth(np.arange(5.0), 1), np.arange(5.0))
