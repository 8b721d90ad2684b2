import math

import numpy as np
import pytest

from rollouts.reward import Normalise, Reward
from rollouts.sampler import Sampler
from tests.toys import Walk, coin


def rollout(steps=20, **kwargs):
    env = Walk(4)
    r = Sampler(env, **kwargs).collect(coin(env), steps=steps)
    r.env_rewards = np.random.default_rng(0).normal(0, 3, r.shape).astype(np.float32)
    return r


def test_the_weighted_sum_and_its_terms():
    r = rollout()
    reward = Reward(
        {"env": 0.5, "clip": {"weight": 2.0, "low": -1, "high": 0.25}, "success": 3.0}, ("success",)
    )
    reward(r)
    clipped = np.minimum(np.maximum(r.env_rewards, -1), 0.25)
    np.testing.assert_allclose(
        r.rewards, 0.5 * r.env_rewards + 2 * clipped + 3 * r.parts["success"], rtol=1e-6
    )
    assert set(r.terms) == {"env", "clip", "success"}
    assert reward.learn(r)["reward/success"] == pytest.approx(r.parts["success"].mean())


def length(rollout):
    """A user's term, by import path."""
    return np.ones(rollout.shape, np.float32)


def test_a_users_term_joins_by_import_path():
    r = rollout()
    Reward({"env": 1.0, "tests.rollouts.test_reward:length": -0.5})(r)
    np.testing.assert_allclose(r.rewards, r.env_rewards - 0.5, rtol=1e-6)


def test_a_term_a_token_beside_a_term_a_row():
    r = rollout()
    written = np.random.default_rng(1).integers(0, 4, r.shape)  # of three tokens; none in some rows
    mask = np.arange(3) < written[..., None]
    per_token = np.random.default_rng(2).normal(size=mask.shape).astype(np.float32)
    reward = Reward({"env": 2.0})
    reward.terms["kl"], reward.weights["kl"] = lambda _: per_token, -0.1
    with pytest.raises(ValueError, match="`token_mask`"):
        reward(r)
    r.fields["token_mask"] = mask
    reward(r)
    expected = -0.1 * per_token
    for t, s in np.ndindex(*r.shape):
        expected[t, s, written[t, s] - 1] += 2 * r.env_rewards[t, s]
    np.testing.assert_allclose(r.rewards, expected, rtol=1e-5, atol=1e-6)


def test_an_unknown_term_names_those_on_offer():
    with pytest.raises(ValueError, match=r"no reward term 'succes[^']*'; did you mean 'success'\?"):
        Reward({"succes": 1.0}, ("success",))
    with pytest.raises(ValueError, match=r"reward term 'clip' has no option 'hi'; did you mean 'high'\?"):
        Reward({"clip": {"weight": 1.0, "hi": 2}})
    with pytest.raises(ValueError, match="low of reward term 'clip' must be a number, not 'x'"):
        Reward({"clip": {"weight": 1.0, "low": "x"}})
    with pytest.raises(ValueError, match="weight of reward term 'clip' must be a finite number, not 'x'"):
        Reward({"clip": {"weight": "x"}})
    for options in ({"gamma": 7.0}, {"gamma": math.nan}, {"clip": 0.0}, {"weight": math.nan}):
        with pytest.raises(ValueError, match=min(options)):
            Reward({"normalise": options})
    with pytest.raises(ValueError, match="takes a weight"):
        Reward({"success": {"weight": 1.0, "low": 2}}, ("success",))


def test_normalise_divides_by_the_deviation_of_discounted_returns():
    r, gamma = rollout(30), 0.9
    seen, running = [], np.zeros(4)
    for t in range(30):
        running = running * gamma + r.env_rewards[t]
        seen.append(running.copy())
        running[r.terminated[t] | r.truncated[t]] = 0
    term = Normalise(gamma=gamma, clip=1e9)
    np.testing.assert_allclose(term(r), r.env_rewards / np.std(seen), rtol=1e-4)
    other = Normalise(gamma=gamma, clip=1e9)
    other.load_state_dict(term.state_dict())
    np.testing.assert_array_equal(term(r), other(r))
