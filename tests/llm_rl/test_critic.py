"""PPO on tokens: its advantages, by the definition and by listing every output; and that it learns."""

import numpy as np
import pytest
import torch

import envs
from agents.networks import to_arrays
from agents.options import OptionError
from llm_rl.critic import explained_variance, normalised, token_gae, token_rewards
from llm_rl.grpo import GRPO
from llm_rl.sequences import Sequences
from tests.llm_rl.enumeration import (
    LENGTHS,
    MASK,
    OUTPUTS,
    RETURNS,
    STATE,
    expected_return,
    probabilities,
    table,
    torch_value_and_gradient,
    value_and_gradient,
)
from tests.llm_rl.test_grpo import learner_of, low_ones, rollout_of, weights_after

PPO = {"advantage": "gae", "problems": 16, "group_size": 1}


def sequences_of(mask, reward, token_reward=None):
    s, m = mask.shape
    some = np.zeros(s, np.int64)
    flags = {"valid": np.ones(s, bool), "success": None, "truncated": np.zeros(s, bool)}
    laid = {"tokens": np.zeros((s, m), np.int32), "mask": mask, "old_log_prob": np.zeros((s, m), np.float32)}
    counts = {"lengths": np.full(s, m), "episode": np.arange(s), "group": some - 1}
    return Sequences(**laid, **counts, **flags, reward=reward, token_reward=token_reward)


# -- advantages --------------------------------------------------------------------------------------------


def plain_gae(rewards, values, mask, gae_lambda):
    """By the definition, (Σ λᵏ δ), one token after the other."""
    out = np.zeros(mask.shape)
    for s in range(len(mask)):
        own = np.flatnonzero(mask[s])
        ends = [*own[1:], mask.shape[1]]
        earned = [rewards[s, at:end].sum() for at, end in zip(own, ends)]
        value = [*values[s, own], 0.0]
        errors = [earned[i] + value[i + 1] - value[i] for i in range(len(own))]
        for i, at in enumerate(own):
            out[s, at] = sum(gae_lambda**k * error for k, error in enumerate(errors[i:]))
    return out


@pytest.mark.parametrize("gae_lambda", [0.0, 0.6, 1.0])
def test_advantages_are_those_of_the_definition(gae_lambda):
    rng = np.random.default_rng(0)
    mask = rng.random((40, 9)) < 0.5
    rewards, values = rng.normal(size=(2, *mask.shape))
    found = token_gae(rewards, values, mask, gae_lambda)
    np.testing.assert_allclose(found, plain_gae(rewards, values, mask, gae_lambda), atol=1e-12)
    assert (found[~mask] == 0).all()


@pytest.mark.parametrize(("gae_lambda", "right"), [(1.0, False), (0.3, True)])
def test_their_mean_gradient_is_the_true_one(gae_lambda, right):
    """With λ = 1 whatever the values are, and with right values whatever λ is."""
    logits = table(3)
    p = probabilities(logits).real
    by_state = np.random.default_rng(5).normal(size=len(logits))
    if right:
        for state in range(len(logits)):
            through = [
                i for i, output in enumerate(OUTPUTS) if state in STATE[i, : len(output)].tolist()
            ]  # all outputs that go through this prefix
            by_state[state] = (p[through] @ RETURNS[through]) / p[through].sum()
    rewards, mask = np.zeros(MASK.shape), MASK.numpy()
    rewards[np.arange(len(rewards)), LENGTHS - 1] = RETURNS
    advantage = token_gae(rewards, by_state[STATE.numpy()], mask, gae_lambda)
    weights = torch.from_numpy(p[:, None] * advantage)
    _, found = torch_value_and_gradient(lambda scores: (weights * scores).sum(), logits)
    _, exact = value_and_gradient(expected_return, logits)
    np.testing.assert_allclose(found, exact, atol=1e-10)


def test_a_reward_comes_with_the_last_own_token_or_where_it_was_given():
    mask = np.array([[0, 1, 1, 0, 0], [0, 1, 0, 1, 0], [0, 0, 0, 0, 0]], bool)
    found = token_rewards(sequences_of(mask, np.array([2.0, -1.0, 5.0])))
    np.testing.assert_array_equal(found, [[0, 0, 2, 0, 0], [0, 0, 0, -1, 0], [0, 0, 0, 0, 0]])
    given = np.arange(15, dtype=np.float32).reshape(3, 5)
    found = token_rewards(sequences_of(mask, given.sum(1), given))
    np.testing.assert_array_equal(found, given)


def test_normalised_advantages_and_what_values_explain():
    mask = np.array([[1, 1, 0], [1, 0, 0]], bool)
    found = normalised(np.array([[1.0, 3.0, 9.0], [5.0, 9.0, 9.0]]), mask)
    assert (found[~mask] == 0).all()
    assert found[mask].mean() == pytest.approx(0)
    assert found[mask].std() == pytest.approx(1)
    assert (normalised(np.full((2, 3), 7.0), mask) == 0).all()
    returns = np.array([1.0, 2.0, 3.0])
    assert explained_variance(returns, returns) == 1
    assert explained_variance(np.full(3, 2.0), returns) == 0
    assert np.isnan(explained_variance(returns, np.ones(3)))


# -- the learner -------------------------------------------------------------------------------------------


def test_the_first_pass_of_ppo_has_ratio_1_and_values_of_0():
    _, metrics = weights_after(**PPO)
    assert metrics["ratio_mean"] == pytest.approx(1, abs=1e-4)
    assert metrics["clip_fraction_low"] == metrics["clip_fraction_high"] == 0
    assert metrics["explained_variance"] == 0  # a fresh critic says 0 everywhere
    assert metrics["value_loss"] > 0
    assert metrics["learned_from"] == 1


def test_micro_batches_do_not_change_the_step_of_ppo():
    options = {**PPO, "kl": {"coef": 0.1, "where": "reward", "estimator": "k1"}, "overlong_buffer": 4}
    whole, _ = weights_after(**options, micro_tokens=100_000)
    parts, _ = weights_after(**options, micro_tokens=1)
    for name in whole:
        np.testing.assert_allclose(parts[name], whole[name], atol=2e-6, err_msg=name)


def test_sampling_knows_no_values():
    learner, sampler = learner_of(**PPO)
    rollout = sampler.collect(learner.actor, **learner.wants)
    assert not [name for name in rollout.fields if "value" in name]
    assert not [name for name in learner.weights() if "critic" in name]


def test_ppo_makes_more_of_what_pays_and_sees_it_coming():
    """Worth is how many sevens were said: what is to come is seen in how many were said so far."""
    learner, sampler = learner_of(
        **{**PPO, "problems": 48}, lr=4e-3, warmup=0, epochs=2, minibatches=2, aggregation="token_mean"
    )
    token = learner.actor.tokenizer.encode("7")[0]

    def sevens(rollout):
        return ((rollout.fields["tokens"] == token) & rollout.fields["token_mask"]).sum(-1)

    means = []
    for _ in range(7):
        rollout = rollout_of(learner, sampler, sevens)
        means.append(rollout.rewards[rollout.valid].mean())
        metrics = learner.learn(rollout)
    assert np.mean(means[-2:]) > 8 * np.mean(means[:2])
    assert metrics["explained_variance"] > 0


def test_a_critic_learns_returns_that_the_prompt_tells():
    """Whatever is said: so no advantage has a mean but 0, and values are all that there is to learn."""
    options = {
        "problems": 32,
        "epochs": 4,
        "minibatches": 2,
        "max_new": 4,
        "critic": {"coef": 1.0, "lr": 1.0},
    }
    learner, sampler = learner_of(**{**PPO, **options}, lr=5e-3, warmup=0)

    def last_digit(rollout):
        return np.array([[str(prompt).endswith("1=") for prompt in row] for row in rollout.obs[:-1]])

    explained = []
    for _ in range(6):
        metrics = learner.learn(rollout_of(learner, sampler, last_digit))
        explained.append(metrics["explained_variance"])
    assert explained[0] == 0
    assert min(explained[-2:]) > 0.4


def test_ppo_goes_on_from_what_it_saved():
    options = {**PPO, "epochs": 2, "minibatches": 2, "critic": {"gae_lambda": 0.9, "clip": 0.2}}
    learner, sampler = learner_of(**options)
    learner.learn(rollout_of(learner, sampler, low_ones))
    twin, _ = learner_of(**options)
    twin.load_state_dict(learner.state_dict())
    rollout = rollout_of(learner, sampler, low_ones)
    assert twin.learn(rollout) == learner.learn(rollout)
    for name, array in to_arrays(learner.critic).items():
        np.testing.assert_array_equal(to_arrays(twin.critic)[name], array)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"critic": {}}, "a critic is for advantage 'gae'"),
        ({**PPO, "critic": {"lambda": 1.0}}, "critic has no 'lambda'"),
        ({**PPO, "resample": 1}, "'gae' has no groups to sample again for"),
    ],
)
def test_wrong_options_of_ppo_are_told(options, said):
    with pytest.raises(OptionError, match=said):
        learner_of(**options)


def test_ppo_of_tokens_is_for_language_models():
    env = envs.make("CartPole-v1", 1)
    with pytest.raises(OptionError, match="for others there is kind: ppo"):
        GRPO(
            env.single_observation_space,
            env.single_action_space,
            policy={"path": "agents.ppo:PPO", "options": {}},
            advantage="gae",
        )
