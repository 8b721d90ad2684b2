"""Objectives of several tries: their expected gradient is the exact one, over all groups that there are."""

import itertools
from fractions import Fraction
from math import comb

import numpy as np
import pytest

from agents.networks import to_arrays
from envs.options import OptionError
from llm_rl.advantages import advantages, check_advantages, has_signal, teaches
from llm_rl.objectives import EntropyBonus, make_objective
from tests.llm_rl.test_grpo import learner_of, low_ones, rollout_of

SMALL = [(n, k) for n in range(2, 6) for k in range(1, n + 1)]
BINARY = np.array([1.0, 0.0, 1.0, 0.0])
GRADED = np.array([0.35, -0.2, 1.0, 0.35])
LOGITS = [np.array([0.3, 1.2, -1.0, 0.1]), np.array([-4.0, 3.0, -3.5, 0.0]), np.array([2.0, -1.0, 1.5, -3.0])]


def chances(logits):
    weights = np.exp(logits)
    return weights / weights.sum()


def expected_gradient(method, n, rewards, logits, **how):
    """E[mean of A ∇log p] over all groups of n answers, one by one: float64, in the shape of `logits`."""
    p, total = chances(logits), np.zeros(len(logits))
    group, valid = np.zeros(n, np.int64), np.ones(n, bool)
    for drawn in itertools.product(range(len(logits)), repeat=n):
        drawn = list(drawn)
        advantage = advantages(method, rewards[drawn], group, valid, **how)
        score = np.eye(len(logits))[drawn] - p
        total += p[drawn].prod() * (advantage[:, None] * score).mean(axis=0)
    return total


def exact_gradient(value, logits):
    """Of `value(probabilities)`, by a complex step: no error but rounding."""
    gradient = np.zeros(len(logits))
    for i in range(len(logits)):
        moved = logits.astype(complex)
        moved[i] += 1e-30j
        gradient[i] = value(chances(moved)).imag / 1e-30
    return gradient


def best_of(k, rewards):
    """p ↦ E[the largest of k rewards]."""

    def value(p):
        total = 0.0
        for drawn in itertools.product(range(len(p)), repeat=k):
            total = total + np.prod(p[list(drawn)]) * max(rewards[i] for i in drawn)
        return total

    return value


@pytest.mark.parametrize(("n", "k"), SMALL)
def test_pkpo_follows_the_gradient_of_pass_at_k(n, k):
    for logits in LOGITS:
        found = expected_gradient("pkpo", n, BINARY, logits, k=k)
        wanted = exact_gradient(lambda p: 1 - (1 - p[BINARY > 0].sum()) ** k, logits)
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("n", "k"), [(2, 1), (2, 2), (3, 2), (4, 2), (4, 3), (5, 3), (5, 5)])
def test_pkpo_follows_the_gradient_of_the_best_of_k(n, k):
    for logits in LOGITS:
        found = expected_gradient("pkpo", n, GRADED, logits, k=k)
        np.testing.assert_allclose(found, exact_gradient(best_of(k, GRADED), logits), rtol=0, atol=1e-12)


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_maxrl_follows_the_gradient_of_the_first_terms_of_the_log_likelihood(n):
    """log p = −Σ (1 − p)ᵗ / t; of n tries, whose mean is subtracted, come n − 1 terms and not n."""

    def terms(last):
        return lambda p: -sum((1 - p[BINARY > 0].sum()) ** t / t for t in range(1, last + 1))

    for logits in LOGITS:
        found = expected_gradient("maxrl", n, BINARY, logits)
        np.testing.assert_allclose(found, exact_gradient(terms(n - 1), logits), rtol=0, atol=1e-12)
        assert np.abs(found - exact_gradient(terms(n), logits)).max() > 1e-9


@pytest.mark.parametrize(("n", "k"), [(4, 2), (4, 3), (5, 4)])
def test_other_k_would_be_noticed(n, k):
    logits = LOGITS[0]
    found = expected_gradient("pkpo", n, BINARY, logits, k=k)
    other = exact_gradient(lambda p: 1 - (1 - p[BINARY > 0].sum()) ** (k - 1), logits)
    assert np.abs(found - other).max() > 1e-3


@pytest.mark.parametrize("n", range(2, 31))
def test_pkpo_is_its_formula_in_fractions(n):
    """k if right, else k ρ(n − 1, c, k − 1); less k ρ(n − 1, c of the others, k − 1)."""

    def rho(m, c, k):
        return 1 - Fraction(comb(m - c, k), comb(m, k))

    group, valid = np.zeros(n, np.int64), np.ones(n, bool)
    for c in range(n + 1):
        rewards = np.random.default_rng(c).permutation(np.arange(n) < c).astype(float)
        for k in range(2, n + 1):
            right = k * (1 - rho(n - 1, c - 1, k - 1)) if c else 0
            wrong = k * (rho(n - 1, c, k - 1) - rho(n - 1, c, k - 1)) if c < n else 0
            found = advantages("pkpo", rewards, group, valid, k=k)
            wanted = np.where(rewards > 0, float(right), float(wrong))
            np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=0)


def test_pkpo_at_1_leaves_one_out_and_maxrl_divides_by_the_mean():
    g = np.random.default_rng(0)
    rewards, group, valid = g.choice([0, 0.5, 1.0], 60), g.integers(-1, 8, 60), g.random(60) < 0.8
    same = advantages("leave_one_out", rewards, group, valid)
    np.testing.assert_array_equal(advantages("pkpo", rewards, group, valid, k=1), same)
    found = advantages("maxrl", rewards, group, valid)
    for number in range(8):
        mine = valid & (group == number)
        if mine.sum() > 1 and rewards[mine].mean() > 0:
            np.testing.assert_allclose(found[mine], rewards[mine] / rewards[mine].mean() - 1, atol=1e-12)
    negative = advantages("maxrl", np.array([-1.0, 0.5, 0.5]), np.zeros(3, int), np.ones(3, bool))
    np.testing.assert_array_equal(negative, 0.0)  # a mean of 0 says nothing of likelihood


def test_a_group_that_lost_tries_takes_its_size_for_k():
    rewards, group, valid = np.array([1.0, 0, 0, 9]), np.zeros(4, int), np.array([1, 1, 1, 0], bool)
    found = advantages("pkpo", rewards, group, valid, k=4)
    np.testing.assert_allclose(found, [*advantages("pkpo", rewards[:3], group[:3], valid[:3], k=3), 0])
    assert found[0] > 0


def test_groups_in_which_any_k_hold_a_right_one_teach_nothing():
    """Two of four are right, so of any three one is; at k = 2 there is something to learn."""
    rewards, group, valid = np.array([1.0, 1, 0, 0, 1, 0]), np.array([0, 0, 0, 0, 1, 1]), np.ones(6, bool)
    assert has_signal(rewards, group, valid).all()
    for k, wanted in ((4, [0, 0, 0, 0, 1, 1]), (3, [1] * 6)):
        advantage = advantages("pkpo", rewards, group, valid, k=k)
        np.testing.assert_array_equal(teaches("pkpo", advantage, group, valid), np.array(wanted, bool))


# -- in the learner ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"advantage": "pkpo"}, "advantage 'pkpo' needs k, of how many tries the best one counts"),
        ({"advantage": "pkpo", "k": 5}, "k must be from 1 to group_size = 4, not 5"),
        ({"advantage": "pkpo", "k": [5, 1]}, "k must be from 1 to group_size = 4, not 5 to 1"),
        ({"advantage": "pkpo", "k": 0}, "k must be|k must be from 1|greater than or equal to 1"),
        ({"advantage": "pkpo", "k": [4, 2, 1]}, "k"),
        ({"advantage": "maxrl", "k": 2}, "advantage 'maxrl' has no k; 'pkpo' has"),
        ({"entropy_target": -1.0}, "entropy_target"),
    ],
)
def test_wrong_options_are_told(options, said):
    with pytest.raises(OptionError, match=said) as error:
        learner_of(**options)
    assert error.value.option.split(".")[0] in ("k", "entropy_target")


def test_k_goes_from_one_end_to_the_other():
    learner, sampler = learner_of(advantage="pkpo", k=[4, 1])
    told = []
    for learner.progress in (0.0, 0.2, 0.5, 0.9, 1.0):
        told.append(learner.learn(rollout_of(learner, sampler, low_ones))["k"])
    assert told == [4, 3, 2, 1, 1]
    check_advantages("pkpo", 4, (1, 4))


@pytest.mark.parametrize("drop", [True, False])
def test_what_pkpo_has_nothing_to_say_of_is_left_out(drop):
    """Half of each group is right: at k = 4 of 4 no try raises the best one."""

    def half(rollout):
        return np.arange(rollout.shape[1]) % 2 + np.zeros(rollout.shape)

    learner, sampler = learner_of(advantage="pkpo", k=4, drop_equal=drop)
    metrics = learner.learn(rollout_of(learner, sampler, half))
    assert metrics["zero_variance"] == 0
    assert metrics["learned_from"] == (0 if drop else 1)
    assert metrics.get("grad_norm", 0) == 0


# -- the entropy bonus ---------------------------------------------------------------------------------------


def test_a_coefficient_without_a_target_stays():
    bonus = EntropyBonus(0.01, None, 0.005)
    bonus.steer(np.full(5, -9.0))
    assert bonus.now == bonus.coef == 0.01


def test_the_coefficient_grows_below_the_target_and_falls_above():
    bonus, told = EntropyBonus(0.0, 0.5, 0.01), []
    for entropy in (0.4, 0.3, 0.6, 0.4, 0.7, 0.7, 0.7, 0.2):
        bonus.steer(np.array([-entropy - 0.1, -entropy + 0.1], np.float32))
        told.append((bonus.now, bonus.coef))
    wanted = [(0.01, 0.01), (0.02, 0.02), (0, 0.01), (0.02, 0.02), (0, 0.01), (0, 0), (0, 0), (0.01, 0.01)]
    np.testing.assert_allclose(told, wanted, atol=1e-12)


def test_entropy_is_held_at_its_target():
    """A reward for one and the same token takes all entropy away, but for what the controller keeps."""

    def entropy_after(**options):
        learner, sampler = learner_of(lr=3e-3, warmup=0, drop_equal=False, **options)
        token = learner.actor.tokenizer.encode("7")[0]

        def sevens(rollout):
            return ((rollout.fields["tokens"] == token) & rollout.fields["token_mask"]).sum(-1) / 8

        return [learner.learn(rollout_of(learner, sampler, sevens))["entropy"] for _ in range(28)]

    free, held = entropy_after(), entropy_after(entropy_target=4.0, entropy_step=0.05)
    assert held[:15] == free[:15]  # while it is above the target there is no bonus
    assert free[-1] < 2.5
    assert 3.9 < min(held[-8:]) <= max(held[-8:]) < 4.4


def test_the_controller_goes_on_from_what_it_saved():
    options = {"entropy_target": 9.0, "entropy_step": 0.1}
    learner, sampler = learner_of(**options)
    for _ in range(3):
        metrics = learner.learn(rollout_of(learner, sampler, low_ones))
    assert metrics["entropy_coef"] == pytest.approx(0.3)
    twin, _ = learner_of(**options)
    twin.load_state_dict(learner.state_dict())
    rollout = rollout_of(learner, sampler, low_ones)
    assert twin.learn(rollout) == learner.learn(rollout)
    for name, array in to_arrays(learner.actor.network).items():
        np.testing.assert_array_equal(to_arrays(twin.actor.network)[name], array)


def test_a_kl_in_the_loss_takes_nothing_off_the_reward():
    rows = np.full((2, 3), -1.0, np.float32), np.full((2, 3), -2.0, np.float32), np.ones((2, 3), bool)
    for where, wanted in (("loss", 0.0), ("reward", 0.5)):
        objective = make_objective("clip", None, {"coef": 0.5, "estimator": "k1", "where": where}, None)
        np.testing.assert_array_equal(objective.penalty(*rows), np.full((2, 3), wanted))
    assert not make_objective("clip", None, None, None).penalty(*rows).any()
