import numpy as np
import pytest

from agents.returns import gae, next_values, vtrace


def random_rollout(seed, t=12, n=5):
    g = np.random.default_rng(seed)
    return {
        "rewards": g.normal(size=(t, n)).astype(np.float32),
        "values": g.normal(size=(t, n)).astype(np.float32),
        "following": g.normal(size=(t, n)).astype(np.float32),
        "terminated": g.random((t, n)) < 0.2,
        "truncated": g.random((t, n)) < 0.2,
        "valid": g.random((t, n)) < 0.8,
        "sign": g.choice([-1.0, 1.0], (t, n)).astype(np.float32),
    }


def plain_advantage(r, t, i, gamma, gae_lambda):
    """The sum of all later errors of row t, each weighted by everything in between; rows from scratch."""
    if not r["valid"][t, i]:
        return 0.0
    total, weight = 0.0, 1.0
    for s in range(t, len(r["rewards"])):
        if not r["valid"][s, i]:
            continue
        discount = gamma * r["sign"][s, i] * (1 - r["terminated"][s, i])
        total += weight * (r["rewards"][s, i] + discount * r["following"][s, i] - r["values"][s, i])
        if r["terminated"][s, i] or r["truncated"][s, i]:
            break
        weight *= gae_lambda * discount
    return total


@pytest.mark.parametrize("seed", range(5))
def test_gae_is_the_plain_sum_of_later_errors(seed):
    r = random_rollout(seed)
    plain = [[plain_advantage(r, t, i, 0.9, 0.8) for i in range(5)] for t in range(12)]
    np.testing.assert_allclose(gae(**r, gamma=0.9, gae_lambda=0.8), plain, rtol=1e-4, atol=1e-5)


def test_the_winner_is_praised_and_the_loser_blamed_where_players_alternate():
    def column(*numbers):
        return np.array(numbers, np.float32)[:, None]

    advantage = gae(
        column(0, 0, 1),  # the third move wins for the player who made the first
        column(0, 0, 0),
        column(0, 0, 9),
        terminated=column(0, 0, 1).astype(bool),
        truncated=column(0, 0, 0).astype(bool),
        valid=column(1, 1, 1).astype(bool),
        sign=column(-1, -1, -1),
        gamma=1.0,
        gae_lambda=1.0,
    )
    np.testing.assert_array_equal(advantage[:, 0], [1, -1, 1])


def test_next_values_skip_padding_and_use_the_true_last_observation():
    values = np.arange(5, dtype=np.float32)[:, None]  # rows 0..3, and 4 for bootstrapping
    valid = np.array([1, 0, 0, 1], bool)[:, None]
    following = next_values(values, valid, np.array([77.0]), np.array([[3, 0]]))
    assert following[0, 0] == 3.0  # the next row that is data
    assert following[3, 0] == 77.0
    assert next_values(values, valid, np.zeros(0), np.zeros((0, 2), int))[3, 0] == 4.0


def test_a_value_counts_on_after_a_limit_and_not_after_an_end():
    flag, no = np.ones((1, 1), bool), np.zeros((1, 1), bool)
    one = np.ones((1, 1), np.float32)
    common = {"valid": flag, "sign": one, "gamma": 0.5, "gae_lambda": 1.0}
    assert gae(one, one, 8 * one, terminated=no, truncated=flag, **common) == 1 + 0.5 * 8 - 1
    assert gae(one, one, 8 * one, terminated=flag, truncated=no, **common) == 0
    assert gae(one, one, 8 * one, terminated=flag, truncated=flag, **common) == 0


def plain_vtrace(r, t, i, log_ratio, gamma, trace_lambda, rho_max, c_max):
    """(target, advantage before its weight ρ) of row t by the sums of equation 1, from scratch."""
    value = r["values"][t, i]
    if not r["valid"][t, i]:
        return value, 0.0
    rows = [s for s in range(t, len(r["rewards"])) if r["valid"][s, i]]
    target, advantage, weight = value, 0.0, 1.0
    for s in rows:
        ratio = np.exp(log_ratio[s, i])
        discount = gamma * r["sign"][s, i] * (1 - r["terminated"][s, i])
        error = r["rewards"][s, i] + discount * r["following"][s, i] - r["values"][s, i]
        target += weight * min(rho_max, ratio) * error
        scale = weight if s == t else weight / (trace_lambda * min(c_max, np.exp(log_ratio[t, i])))
        advantage += scale * (error if s == t else min(rho_max, ratio) * error)
        if r["terminated"][s, i] or r["truncated"][s, i]:
            break
        weight *= discount * trace_lambda * min(c_max, ratio)
    return target, advantage


@pytest.mark.parametrize(("rho_max", "c_max", "trace_lambda"), [(1, 1, 1), (2, 0.7, 0.9), (0.5, 3, 1)])
def test_vtrace_is_the_plain_sum_of_corrected_errors(rho_max, c_max, trace_lambda):
    r = random_rollout(3)
    log_ratio = np.random.default_rng(7).normal(size=r["rewards"].shape).astype(np.float32)
    cut = {"gamma": 0.9, "trace_lambda": trace_lambda, "rho_max": rho_max, "c_max": c_max}
    plain = np.array([[plain_vtrace(r, t, i, log_ratio, **cut) for i in range(5)] for t in range(12)])
    targets, advantages = vtrace(log_ratio, **r, **cut)
    np.testing.assert_allclose(targets, plain[..., 0], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(advantages, plain[..., 1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("trace_lambda", [1.0, 0.8])
def test_vtrace_of_what_the_policy_itself_did_is_gae(trace_lambda):
    """With λ = 1 its targets are the n-step returns (Espeholt et al., 2018, remark 1)."""
    r = random_rollout(1)
    r["following"] = next_values(
        np.concatenate([r["values"], np.ones((1, 5), np.float32)]),
        r["valid"],
        np.zeros(0),
        np.zeros((0, 2), int),
    )
    targets, advantages = vtrace(np.zeros((12, 5), np.float32), **r, gamma=0.9, trace_lambda=trace_lambda)
    by_gae = gae(**r, gamma=0.9, gae_lambda=trace_lambda)
    np.testing.assert_allclose(targets - r["values"], by_gae, rtol=1e-4, atol=1e-5)
    if trace_lambda == 1.0:
        np.testing.assert_allclose(advantages, by_gae, rtol=1e-4, atol=1e-5)
