import numpy as np
import pytest
from scipy import stats

from agents.replay.sum_tree import draw_leaves, new_tree, set_leaves
from envs.rng import GAMMA, MIX_1, MIX_2, from_seeds, uniform


def leaves_of(tree):
    return tree[len(tree) // 2 :]


@pytest.mark.parametrize("size", [1, 2, 3, 8, 100])
def test_has_room_for_every_leaf_and_sums_like_a_plain_array(size):
    rng, plain, tree = np.random.default_rng(size), np.zeros(size), new_tree(size)
    assert len(leaves_of(tree)) >= size
    for _ in range(50):
        at, values = rng.integers(0, size, 7), rng.random(7) * 10.0 ** rng.integers(-6, 6)
        set_leaves(tree, at, values)
        for i, value in zip(at, values):  # the last of equal leaves wins
            plain[i] = value
        np.testing.assert_array_equal(leaves_of(tree)[:size], plain)
        for node in range(1, len(tree) // 2):
            assert tree[node] == tree[2 * node] + tree[2 * node + 1]
    assert tree[1] == pytest.approx(plain.sum(), rel=1e-12)


def test_equal_leaves_give_equal_trees_whatever_came_before():
    rng, old, new = np.random.default_rng(0), new_tree(37), new_tree(37)
    for _ in range(100):
        set_leaves(old, rng.integers(0, 37, 5), rng.random(5))
    set_leaves(new, np.arange(37), leaves_of(old)[:37].copy())
    np.testing.assert_array_equal(old, new)


def test_draws_are_in_proportion_and_stratified():
    weights = np.array([1.0, 0.0, 3.0, 0.5, 0.0, 5.5, 2.0, 0.25])
    tree, rng, k = new_tree(8), from_seeds([3]), 16
    set_leaves(tree, np.arange(8), weights)
    counts, edges = np.zeros(8, np.int64), np.concatenate([[0], weights.cumsum()])
    for _ in range(2000):
        out = np.zeros(k, np.int64)
        draw_leaves(tree, rng, out)
        counts += np.bincount(out, minlength=8)
        low, high = np.arange(k) / k * weights.sum(), np.arange(1, k + 1) / k * weights.sum()
        assert (edges[out] < high).all()
        assert (edges[out + 1] > low).all()
    assert counts[weights == 0].sum() == 0
    some = weights > 0
    expected = weights[some] / weights.sum() * counts.sum()
    assert stats.chisquare(counts[some], expected).pvalue > 1e-3


def test_single_draws_are_independent_of_the_strata():
    tree, rng, weights = new_tree(5), from_seeds([1]), np.array([5.0, 1.0, 0.0, 3.0, 1.0])
    set_leaves(tree, np.arange(5), weights)
    out = np.concatenate([draw_one(tree, rng) for _ in range(20_000)])
    counts = np.bincount(out, minlength=5)[weights > 0]
    assert stats.chisquare(counts, weights[weights > 0] / weights.sum() * len(out)).pvalue > 1e-3


def draw_one(tree, rng):
    out = np.zeros(1, np.int64)
    draw_leaves(tree, rng, out)
    return out


def test_never_draws_a_leaf_of_weight_zero_even_where_rounding_is_at_its_worst():
    tree, rng = new_tree(64), from_seeds([0])
    full = np.array([0, 17, 31, 62])
    set_leaves(tree, full, np.array([1e-300, 1e300, 1e-12, 1e284]))
    out = np.zeros(50_000, np.int64)
    draw_leaves(tree, rng, out)
    assert set(out) <= set(full)


def test_the_largest_draw_there_is_does_not_fall_off_the_end():
    tree, out = new_tree(4), np.zeros(2, np.int64)
    set_leaves(tree, np.array([0, 1]), np.array([1.0, 2.0]))  # leaves 2 and 3 stay empty
    last = (unmix(2**64 - 1) - 2 * int(GAMMA)) % 2**64  # the second draw from here is 1 − 2⁻⁵³
    rng = np.array([last], np.uint64)
    assert uniform(rng.copy(), 2)[0, 1] == 1 - 2.0**-53
    draw_leaves(tree, rng, out)
    assert out[1] == 1


def unmix(z):
    """The inverse of SplitMix64's output function."""
    for shift, factor in ((31, int(MIX_2)), (27, int(MIX_1)), (30, 1)):
        out = z
        for _ in range(3):
            out = z ^ (out >> shift)
        z = out * pow(factor, -1, 2**64) % 2**64
    return z
