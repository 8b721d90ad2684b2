import time
from collections import Counter
from itertools import combinations

import numpy as np
import pytest

from llm_rl import votes
from llm_rl.passk import pass_at_k
from llm_rl.votes import Votes, best_of_k, maj_at_k, tally


def brute_majority(answers, right, k):
    """`answers` are codes, −1 for none; `right` maps a code to how right it is."""
    total, subsets = 0.0, list(combinations(answers, k))
    for subset in subsets:
        counted = Counter(a for a in subset if a >= 0)
        best = [a for a in counted if counted[a] == max(counted.values())]
        total += sum(right[a] for a in best) / len(best) if best else 0
    return total / len(subsets)


def random_votes(seed, n, answers):
    g = np.random.default_rng(seed)
    codes = np.minimum(g.geometric(0.4, n), answers) - 1
    return np.where(g.random(n) < 0.2, -1, codes), g


def as_votes(answers, right):
    return tally(
        np.zeros(len(answers), int), answers, np.array([right.get(a, 0) for a in answers.tolist()]), 1
    )


@pytest.mark.parametrize("seed", range(25))
def test_majority_is_the_mean_over_all_subsets(seed):
    """With ties, tries without an answer, no right answer, and several."""
    n = 1 + seed % 11
    answers, g = random_votes(seed, n, 5)
    right = {a: float(g.random() < 0.4) for a in range(5)}
    found = maj_at_k(as_votes(answers, right), np.arange(1, n + 1))
    expected = [brute_majority(answers.tolist(), right, k) for k in range(1, n + 1)]
    np.testing.assert_allclose(found[0], expected, atol=1e-12)


def test_answers_that_are_judged_both_ways_count_by_their_share():
    counted = tally(np.zeros(4, int), np.array([7, 7, 3, -1]), np.array([1, 0, 1, 1]), 1)
    np.testing.assert_array_equal(counted.counts, [[1, 2]])
    np.testing.assert_array_equal(counted.right, [[1, 0.5]])
    np.testing.assert_array_equal(counted.unparsed, [1])
    expected = brute_majority([7, 7, 3, -1], {7: 0.5, 3: 1.0}, 3)
    assert maj_at_k(counted, 3) == pytest.approx([expected])


def test_tally_keeps_problems_apart():
    counted = tally(np.array([2, 0, 2, 0, 2]), np.array([5, 5, 9, -1, 5]), np.array([1, 0, 0, 0, 1]), 4)
    np.testing.assert_array_equal(counted.counts, [[1, 0], [0, 0], [2, 1], [0, 0]])
    np.testing.assert_array_equal(counted.right, [[0, 0], [0, 0], [1, 0], [0, 0]])
    np.testing.assert_array_equal(counted.unparsed, [1, 0, 0, 0])


def test_permutations_tend_to_the_exact_value(monkeypatch):
    answers, _ = random_votes(1, 40, 6)
    one = as_votes(answers, {1: 1.0})
    ks = np.array([1, 2, 3, 8, 20, 39, 40])
    exact = maj_at_k(one, ks)
    monkeypatch.setattr(votes, "EXACT", 0)
    drawn = maj_at_k(one, ks, permutations=20_000)
    np.testing.assert_allclose(drawn, exact, atol=5 * 0.5 / np.sqrt(20_000))
    assert drawn[0, -1] == exact[0, -1]
    np.testing.assert_array_equal(drawn, maj_at_k(one, ks, permutations=20_000))
    assert (drawn != maj_at_k(one, ks, permutations=20_000, seed=1)).any()


def test_a_problem_is_drawn_alike_in_any_company():
    answers, _ = random_votes(2, 200, 9)
    one = as_votes(answers, {0: 1.0})
    two = Votes(*(np.concatenate([part, part]) for part in one))
    np.testing.assert_array_equal(maj_at_k(one, [5, 50])[0], maj_at_k(two, [5, 50])[0])


def test_nobody_who_says_nothing_wins():
    silent = Votes(np.zeros((1, 0), np.int64), np.zeros((1, 0)), np.array([100]))
    assert maj_at_k(silent, 50) == 0
    mostly = Votes(np.array([[1]]), np.array([[1.0]]), np.array([99]))
    assert maj_at_k(mostly, 100) == 1
    assert maj_at_k(mostly, 1, permutations=5000)[0] == pytest.approx(0.01, abs=0.007)


def test_the_likeliest_answer_is_not_pass_at_1():
    """A policy that is right 4 times in 10, and wrong in two ways: its best guess is right, a try is not."""
    one = Votes(np.array([[4, 3, 3]]), np.array([[1.0, 0, 0]]), np.array([0]))
    assert pass_at_k(10, 4, 1) == pytest.approx(0.4)
    np.testing.assert_allclose(maj_at_k(one, [1, 10]), [[0.4, 1.0]])


def test_too_few_tries_for_a_vote():
    one = Votes(np.array([[4, 3], [9, 0]]), np.zeros((2, 2)), np.array([0, 0]))
    with pytest.raises(ValueError, match=r"problem 0: 7"):
        maj_at_k(one, [1, 8])


# -- best of k ---------------------------------------------------------------------------------------------


def brute_best(scores, right, k):
    total, subsets = 0.0, list(combinations(range(len(scores)), k))
    for subset in subsets:
        top = max(scores[i] for i in subset)
        best = [i for i in subset if scores[i] == top]
        total += sum(right[i] for i in best) / len(best)
    return total / len(subsets)


@pytest.mark.parametrize("seed", range(12))
def test_best_is_the_mean_over_all_subsets(seed):
    g, n = np.random.default_rng(seed), 1 + seed % 10
    scores, right = g.integers(0, 4, (3, n)) / 4 - 0.5, g.random((3, n)) < 0.5
    found = best_of_k(scores, right, np.arange(1, n + 1))
    expected = [[brute_best(s, r, k) for k in range(1, n + 1)] for s, r in zip(scores, right)]
    np.testing.assert_allclose(found, expected, atol=1e-13)
    np.testing.assert_allclose(best_of_k(scores[0], right[0], 1), right[0].mean())


def test_between_knowing_all_and_nothing():
    g, ks = np.random.default_rng(0), np.array([1, 4, 16, 64])
    right = g.random((5, 64)) < 0.2
    np.testing.assert_allclose(best_of_k(right, right, ks), pass_at_k(64, right.sum(axis=1), ks), atol=1e-12)
    np.testing.assert_allclose(best_of_k(np.zeros((5, 64)), right, 16), right.mean(axis=1))
    endless = np.where(right, -np.inf, 0)
    np.testing.assert_allclose(best_of_k(endless, right, 64), right.all(axis=1))


def test_a_score_that_is_none():
    with pytest.raises(ValueError, match="NaN"):
        best_of_k(np.array([1.0, np.nan]), np.array([0, 1]), 1)
    with pytest.raises(ValueError, match="k=3 needs as many tries"):
        best_of_k(np.zeros(2), np.zeros(2), 3)


# -- speed -------------------------------------------------------------------------------------------------


def test_votes_of_a_million_samples():
    g = np.random.default_rng(0)
    problem, answer = np.repeat(np.arange(300), 1024), g.geometric(0.02, 300 * 1024)
    maj_at_k(tally(problem[:2048], answer[:2048], answer[:2048] == 3, 2), [1])  # compiles
    start = time.process_time()
    for _ in range(4):
        maj_at_k(tally(problem, answer, answer == 3, 300), np.arange(1, 1025))
    best_of_k(g.random((1200, 1024)), g.random((1200, 1024)) < 0.3, 2 ** np.arange(9))
    assert time.process_time() - start < 3
