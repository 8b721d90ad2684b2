import math

import numpy as np
import pytest

from rollouts.counts import Counts, going_on, hashed
from rollouts.reward import Normalise, Reward
from rollouts.sampler import Sampler
from rollouts.storage import load_tree, save_tree
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


@pytest.mark.parametrize("episodic", [False, True])
def test_counts_are_those_of_a_plain_dict(episodic, tmp_path):
    rng, env = np.random.default_rng(0), Walk(4)
    sampler, term, plain = Sampler(env, seed=0), Counts(episodic=episodic), {}
    for k in range(6):
        r = sampler.collect(coin(env), steps=20)
        r.obs = rng.integers(6, size=(21, 4, 1))
        r.final_obs = rng.integers(6, size=(len(r.final_at), 1))
        r.valid[15:, k % 4] = False
        final = {(t, i): x for (t, i), x in zip(r.final_at, r.final_obs)}
        expected = np.zeros((20, 4))
        for t, i in np.ndindex(20, 4):
            if r.valid[t, i]:
                seen = int(final.get((t, i), r.obs[t + 1, i])[0])
                key = (r.episode[t, i], seen) if episodic else seen
                plain[key] = plain.get(key, 0) + 1
                expected[t, i] = 1 / np.sqrt(plain[key])
        np.testing.assert_allclose(term(r), expected, rtol=1e-6)
        if k == 2:  # saved and loaded
            save_tree(tmp_path, term.state_dict())
            term = Counts(episodic=episodic)
            term.load_state_dict(load_tree(tmp_path))
    if episodic:  # only what still goes on is kept
        assert set(term.episodes) <= set(going_on(r))
        assert term.learn(r) == {}
    else:
        assert term.learn(r) == {"states": len(plain)}


def test_rows_have_the_same_hash_only_where_they_are_equal():
    rng = np.random.default_rng(0)
    for rows in (rng.random((4_000, 3, 5)) < 0.5, rng.integers(9, size=(4_000, 3)), np.arange(4_000)):
        codes = hashed(rows)
        whole = [x.tobytes() for x in rows]
        assert len(set(codes.tolist())) == len(set(whole))
        assert len(set(zip(codes.tolist(), whole))) == len(set(whole))
        np.testing.assert_array_equal(codes[7:9], hashed(rows[7:9]))


def test_counts_sees_the_planes_of_a_dict_and_refuses_floats_and_text():
    r = rollout()
    planes = np.random.default_rng(0).random((21, 4, 2, 2, 1)) < 0.5
    r.obs, final = planes, np.zeros((len(r.final_at), 2, 2, 1), bool)
    r.final_obs = final
    alone = Counts()(r)
    r.obs, r.final_obs = {"planes": planes, "to_play": planes}, {"planes": final, "to_play": final}
    np.testing.assert_array_equal(Reward({"counts": 1.0}).terms["counts"](r), alone)
    r.obs, r.final_obs = planes.astype(np.float32), final.astype(np.float32)
    with pytest.raises(ValueError, match=r"counts needs observations that repeat.* not float32"):
        Counts()(r)
    r.obs = (("a",), ("b",))
    with pytest.raises(ValueError, match="counts needs observations in arrays of numbers"):
        Counts()(r)
    with pytest.raises(ValueError, match="has no option 'episodical'; did you mean 'episodic'"):
        Reward({"counts": {"episodical": True}})
    with pytest.raises(ValueError, match="no reward term 'count'; did you mean 'counts'"):
        Reward({"count": 1.0})
