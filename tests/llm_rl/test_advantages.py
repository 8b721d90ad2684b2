import itertools
from fractions import Fraction

import numpy as np
import pytest

from envs.options import OptionError
from llm_rl import advantages as module
from llm_rl.advantages import (
    ADVANTAGES,
    UNGROUPED,
    check_advantages,
    describe,
    has_signal,
    soft_overlong,
)

GROUPED = [name for name in ADVANTAGES if name not in UNGROUPED]
K = 3


def advantages(method, rewards, group, valid, **how):
    return module.advantages(method, rewards, group, valid, k=K if method == "pkpo" else 1, **how)


def arrays(rewards, group=None, valid=None):
    n = len(rewards)
    return (
        np.array(rewards, np.float32),
        np.zeros(n, np.int64) if group is None else np.array(group, np.int64),
        np.ones(n, bool) if valid is None else np.array(valid, bool),
    )


def plain(method, rewards, group, valid, ddof):
    """Sequence by sequence, in fractions where there is no root."""
    r = [Fraction(float(x)) for x in rewards]
    out = []
    for i in range(len(r)):
        mine = [j for j in range(len(r)) if valid[j] and group[j] == group[i] and group[i] >= 0]
        all_valid = [j for j in range(len(r)) if valid[j] and (method == "batch_std" or group[j] >= 0)]
        others = all_valid if method == "batch_std" else mine
        if not valid[i] or len({r[j] for j in others}) < 2:
            out.append(0.0)
            continue
        mean = sum(r[j] for j in others) / len(others)
        if method == "pkpo":
            out.append(float(raised(r[i], [r[j] for j in mine if j != i], min(K, len(mine)))))
            continue
        if method == "maxrl":
            out.append(float((r[i] - mean) / mean) if mean > 0 else 0.0)
            continue
        if method == "leave_one_out":
            out.append(float(r[i] - sum(r[j] for j in mine if j != i) / (len(mine) - 1)))
            continue
        scale = 1.0
        if method in ("group_std", "batch_std"):
            scale = np.sqrt(float(sum((r[j] - mean) ** 2 for j in others) / (len(others) - ddof)))
        elif method == "group_mean_batch_std":
            scale = np.sqrt(
                float(sum(deviation(r, group, valid, j) ** 2 for j in all_valid) / (len(all_valid) - ddof))
            )
        out.append(float(r[i] - mean) / scale)
    return out


def raised(reward, others, k):
    """k times by how much a reward raises the best of k − 1 others, on average over all choices of them."""
    chosen = list(itertools.combinations(others, k - 1))
    return k * sum(max(reward - max(few), Fraction(0)) for few in chosen) / len(chosen)


def deviation(r, group, valid, i):
    mine = [r[j] for j in range(len(r)) if valid[j] and group[j] == group[i]]
    return r[i] - sum(mine) / len(mine)


@pytest.mark.parametrize("ddof", [0, 1])
@pytest.mark.parametrize("method", ADVANTAGES)
def test_every_method_is_its_formula(method, ddof):
    """Groups out of order, of any name, of one, with invalid members; and sequences of no group."""
    for seed in range(20):
        g = np.random.default_rng(seed)
        group = g.choice([-1, 3, 1 << 40, 8, 0, 77], 24)
        group[5] = 99
        rewards = g.choice([0.0, 0.1, 0.5, 1.0, -0.25], 24).astype(np.float32)
        valid = g.random(24) < 0.8
        mine = advantages(method, rewards, group, valid, ddof=ddof)
        assert mine.dtype == np.float64
        np.testing.assert_allclose(mine, plain(method, rewards, group, valid, ddof), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("method", ADVANTAGES)
@pytest.mark.parametrize("reward", [0.35, 0.1, 1 / 3, 1e6 + 0.1, -0.7, 0.0])
@pytest.mark.parametrize("size", [2, 3, 7, 8, 16, 100])
def test_equal_rewards_give_exactly_nothing(method, reward, size):
    """A mean of eight 0.35 is not 0.35 in floating point, and a tiny deviation would make much of it."""
    for rewards in (np.full(size, reward, np.float32), np.full(size, reward)):
        _, group, valid = arrays(rewards)
        np.testing.assert_array_equal(advantages(method, rewards, group, valid), 0.0)
        assert not has_signal(rewards, group, valid).any()


def test_rewards_that_were_summed_in_another_order_are_equal():
    """In float32 0.1 + 0.6 + 0.7 and 0.7 + 0.6 + 0.1 differ in the last digit."""
    orders = np.array([[0.1, 0.6, 0.7], [0.7, 0.6, 0.1]], np.float32)
    one, two = orders[:, 0] + orders[:, 1] + orders[:, 2]
    assert one != two
    assert not has_signal(*arrays([one, two, one])).any()
    assert not advantages("group_std", *arrays([one, two, one])).any()
    assert has_signal(*arrays([1.4, 1.4001, 1.4])).all()
    assert has_signal(*arrays([1e-9, 0.0])).all()  # small, but not beside anything large


@pytest.mark.parametrize("method", GROUPED)
def test_the_last_valid_one_of_a_group_teaches_nothing(method):
    """Not its raw reward, which a mean of 0 and a deviation of 1 would leave."""
    found = advantages(method, *arrays([1.0, 0.5, 1.0, 0.0], [7, 8, 8, -1], [1, 1, 0, 1]))
    np.testing.assert_array_equal(found, 0.0)


@pytest.mark.parametrize("method", GROUPED)
def test_a_group_of_one_is_refused_before_anything_is_played(method):
    with pytest.raises(OptionError, match="group_size must be at least 2, not 1") as error:
        check_advantages(method, 1)
    assert error.value.option == "group_size"
    check_advantages(method, 2, (2, 1) if method == "pkpo" else None)
    check_advantages("batch_std", 1)
    with pytest.raises(OptionError, match="did you mean 'group_mean'"):
        check_advantages("group_meen", 8)


@pytest.mark.parametrize("method", ADVANTAGES)
def test_groups_go_by_their_ids_and_not_by_order_or_reward(method):
    rewards, group, valid = arrays(
        [1, 0, 0, 1, 1, 0, 3, 2], [4, 4, 9, 9, 4, 9, 2, 2], [1, 1, 1, 1, 1, 0, 1, 1]
    )
    order = np.random.default_rng(0).permutation(8)
    found = advantages(method, rewards, group, valid)
    np.testing.assert_allclose(advantages(method, rewards[order], group[order], valid[order]), found[order])
    names = np.array([0, 1, 2, 3, 50, 5, 6, 7, 8, 12])[group]  # other names, in another order
    np.testing.assert_allclose(advantages(method, rewards, names, valid), found)
    apart = advantages("group_mean", *arrays([1, 0, 3, 2], [0, 0, 1, 1]))
    np.testing.assert_allclose(apart, [0.5, -0.5, 0.5, -0.5])  # one problem's luck is not another's


@pytest.mark.parametrize("method", ADVANTAGES)
@pytest.mark.parametrize("nonsense", [np.nan, np.inf, 1e30, 0.0])
def test_what_a_failed_verifier_said_is_in_no_mean(method, nonsense):
    """An invalid sample is left out: it is not a wrong one."""
    rewards, group, valid = arrays([1, 0, nonsense, 1, 0, 0], [0, 0, 0, 1, 1, 1], [1, 1, 0, 1, 1, 1])
    found = advantages(method, rewards, group, valid)
    assert found[2] == 0
    kept = advantages(method, rewards[valid], group[valid], valid[valid])
    np.testing.assert_allclose(found[valid], kept)
    assert (kept != 0).all() or (method == "pkpo" and kept.any())


def test_the_deviation_says_what_it_divides_by():
    rewards, group, valid = arrays([1, 0, 0, 0])
    for ddof, deviation in [(0, np.sqrt(3 / 16)), (1, 0.5)]:
        found = advantages("group_std", rewards, group, valid, ddof=ddof)
        np.testing.assert_allclose(found, (rewards - 0.25) / deviation)


def test_the_deviation_makes_a_small_difference_as_strong_as_a_solution():
    """Why rewards for form are kept small, and unscaled (or given only with the right answer)."""
    form, solved = arrays([0.0, 0.1, 0.0, 0.1]), arrays([0.0, 1.0, 0.0, 1.0])
    scaled, plainly = "group_std", "group_mean"
    np.testing.assert_allclose(advantages(scaled, *form), advantages(scaled, *solved), rtol=1e-6)
    np.testing.assert_allclose(advantages(plainly, *form), advantages(plainly, *solved) / 10, rtol=1e-6)


def test_batch_methods_see_the_whole_batch():
    rewards, group, valid = arrays([1, 0, 5, 5, 9, 3], [0, 0, 1, 1, 2, 2])
    found = advantages("batch_std", rewards, group, valid)
    np.testing.assert_allclose([found.mean(), found.std(ddof=1)], [0, 1], atol=1e-12)
    found = advantages("group_mean_batch_std", rewards, group, valid)
    np.testing.assert_array_equal(found[2:4], 0.0)  # a group without signal stays at 0
    np.testing.assert_allclose(found[4] / found[0], 6.0)
    np.testing.assert_allclose(np.sqrt((found**2).sum() / 5), 1.0)


def test_dynamic_sampling_keeps_or_drops_whole_groups():
    rewards, group, valid = arrays(
        [1, 0, 1, 1, 0, 0, 1, 0, 0.5], [3, 5, 3, 5, 8, 8, 2, 2, -1], [1, 1, 1, 1, 1, 1, 1, 0, 1]
    )
    kept = has_signal(rewards, group, valid)
    np.testing.assert_array_equal(kept, [0, 1, 0, 1, 0, 0, 0, 0, 0])
    for number in np.unique(group):
        assert len(set(kept[group == number])) == 1
    whole = has_signal(*arrays([1, 0, 1], [0, 0, 0], [1, 1, 0]))
    assert whole.all()  # an invalid one stays with its group; its advantage is 0


def test_overlong_answers_are_punished_gently_at_first():
    """DAPO eq. 13, with its own numbers: 16,384 expected tokens and 4,096 more."""
    lengths = np.array([0, 100, 16384, 16385, 18432, 20480, 20481, 99999])
    wanted = [0, 0, 0, -1 / 4096, -0.5, -1, -1, -1]
    np.testing.assert_allclose(soft_overlong(lengths, 20480, 4096), wanted)
    for buffer in (0, -3, 11):
        with pytest.raises(OptionError, match=f"overlong_buffer must be from 1 to 10, not {buffer}"):
            soft_overlong(lengths, 10, buffer)


def test_the_batch_is_described():
    """Groups: 0 mixed, 1 all right, 2 all wrong, 3 with one valid member; one sequence of no group."""
    rewards, group, valid = arrays(
        [1, 0, 1, 1, 0.1, 0, 1, 1, 0, 1], [0, 0, 1, 1, 2, 2, 2, 3, 3, -1], [1, 1, 1, 1, 1, 1, 0, 1, 0, 1]
    )
    success = (rewards == 1).astype(np.float32)  # one of the invalid ones has it
    lengths = np.array([4, 9, 5, 6, 7, 8, 100, 1, 100, 2])
    truncated = np.array([0, 1, 0, 0, 0, 1, 0, 0, 1, 0])
    assert describe(rewards, group, valid, lengths, success, truncated) == pytest.approx(
        {
            "zero_variance": 1 / 3,  # group 2 differs in form; group 3 cannot be compared
            "all_right": 1 / 3,
            "all_wrong": 1 / 3,
            "answer_tokens": 42 / 8,
            "answer_tokens_right": 18 / 5,
            "answer_tokens_wrong": 24 / 3,
            "truncated": 2 / 8,
            "invalid": 2 / 10,
        }
    )


def test_what_is_not_defined_is_not_told():
    rewards, group, valid = arrays([0, 0], [-1, -1])
    found = describe(rewards, group, valid, np.array([3, 4]), np.zeros(2), np.zeros(2))
    assert set(found) == {"answer_tokens", "answer_tokens_wrong", "truncated", "invalid"}
    nothing = describe(*arrays([]), np.zeros(0, int), np.zeros(0), np.zeros(0))
    assert nothing == {}
    assert advantages("group_std", *arrays([])).shape == (0,)
