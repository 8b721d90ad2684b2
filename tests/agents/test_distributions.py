import numpy as np
import pytest
import torch
from gymnasium import spaces

from agents.distributions import make_distribution
from envs import rng

DISCRETE = make_distribution(spaces.Discrete(5))
MULTI = make_distribution(spaces.MultiDiscrete([3, 2, 4]))
BOX = make_distribution(spaces.Box(-1, 1, (2, 3)))


def params(size, rows=7):
    return torch.randn(rows, size, generator=torch.Generator().manual_seed(1))


def test_discrete_against_torch():
    x, actions = params(5), torch.arange(7) % 5
    log_prob, entropy = DISCRETE.evaluate(x, actions, None)
    reference = torch.distributions.Categorical(logits=x)
    torch.testing.assert_close(log_prob, reference.log_prob(actions))
    torch.testing.assert_close(entropy, reference.entropy())


def test_multi_discrete_is_the_sum_over_its_choices():
    x, actions = params(9), torch.stack([torch.arange(7) % k for k in (3, 2, 4)], dim=1)
    log_prob, entropy = MULTI.evaluate(x, actions, None)
    parts = [torch.distributions.Categorical(logits=part) for part in x.split([3, 2, 4], dim=1)]
    torch.testing.assert_close(log_prob, sum(p.log_prob(a) for p, a in zip(parts, actions.T)))
    torch.testing.assert_close(entropy, sum(p.entropy() for p in parts))


def test_gaussian_sums_over_dimensions():
    x, actions = params(12), params(6).reshape(7, 2, 3) * 2
    log_prob, entropy = BOX.evaluate(x, actions, None)
    reference = torch.distributions.Normal(x[:, :6], x[:, 6:].exp())
    torch.testing.assert_close(log_prob, reference.log_prob(actions.reshape(7, 6)).sum(1))
    torch.testing.assert_close(entropy, reference.entropy().sum(1))


def test_a_mask_leaves_the_distribution_over_legal_actions():
    x, mask = params(5), torch.tensor([[1, 0, 1, 0, 1]] * 7).bool()
    x.requires_grad_()
    log_prob, entropy = DISCRETE.evaluate(x, torch.full((7,), 2), mask)
    reference = torch.distributions.Categorical(logits=x[:, [0, 2, 4]])
    torch.testing.assert_close(log_prob, reference.log_prob(torch.ones(7)))
    torch.testing.assert_close(entropy, reference.entropy())
    (log_prob + entropy).sum().backward()
    assert torch.isfinite(x.grad).all()
    assert (x.grad[:, [1, 3]] == 0).all()


def test_one_legal_action_is_certain_and_has_no_entropy():
    mask = torch.eye(5).bool()
    log_prob, entropy = DISCRETE.evaluate(params(5, 5), torch.arange(5), mask)
    torch.testing.assert_close(log_prob, torch.zeros(5))
    torch.testing.assert_close(entropy, torch.zeros(5))


@pytest.mark.parametrize("distribution", [DISCRETE, MULTI, BOX])
@pytest.mark.parametrize("best", [False, True])
def test_the_log_prob_of_a_sample_is_that_of_the_evaluation(distribution, best):
    x = params(distribution.size, 64)
    described = distribution.describe(x, None).numpy()
    choose = (described,) if best else (described, rng.from_seeds(range(64)))
    actions, log_prob = (distribution.best if best else distribution.sample)(*choose)
    assert actions.shape == (64, *distribution.shape)
    evaluated, _ = distribution.evaluate(x, torch.from_numpy(actions), None)
    np.testing.assert_allclose(log_prob, evaluated.numpy(), rtol=1e-5, atol=1e-5)


def test_samples_come_as_often_as_they_should_and_never_illegally():
    probabilities = np.array([0.5, 0.0, 0.2, 0.3, 0.0], np.float32)
    with np.errstate(divide="ignore"):
        described = np.maximum(np.log(probabilities), np.finfo(np.float32).min)[None].repeat(100_000, 0)
    actions, _ = DISCRETE.sample(described, rng.from_seeds(range(100_000)))
    np.testing.assert_allclose(np.bincount(actions, minlength=5) / 1e5, probabilities, atol=0.006)
    assert not np.isin(actions, [1, 4]).any()


def test_gaussian_samples_have_mean_and_deviation():
    described = np.array([[1.0, -2.0, *[0.0] * 4, np.log(0.5), 0.7, *[0.0] * 4]], np.float32).repeat(
        50_000, 0
    )
    actions, _ = BOX.sample(described, rng.from_seeds(range(50_000)))
    flat = actions.reshape(-1, 6)
    assert flat.dtype == np.float32
    np.testing.assert_allclose(flat[:, :2].mean(0), [1, -2], atol=0.03)
    np.testing.assert_allclose(flat[:, :2].std(0), [0.5, np.exp(0.7)], rtol=0.02)


@pytest.mark.parametrize("distribution", [DISCRETE, MULTI, BOX])
def test_a_rows_sample_depends_on_its_own_generator_only(distribution):
    described = distribution.describe(params(distribution.size, 8), None).numpy()
    together, states = distribution.sample(described, rng.from_seeds(range(8)))[0], rng.from_seeds(range(8))
    alone = distribution.sample(described[3:4], states[3:4])[0]
    np.testing.assert_array_equal(alone[0], together[3])
    again = distribution.sample(described[3:4], states[3:4])[0]
    assert distribution is not BOX or (again != alone).all()  # and the generator moves on


def test_the_best_is_the_likeliest_of_each_choice_counted_from_the_start():
    distribution = make_distribution(spaces.MultiDiscrete([3, 2], start=[10, -1]))
    described = np.log(np.array([[0.1, 0.7, 0.2, 0.9, 0.1]], np.float32))
    actions, log_prob = distribution.best(described)
    assert actions.tolist() == [[11, -1]]
    np.testing.assert_allclose(log_prob, np.log(0.7 * 0.9), rtol=1e-6)
    evaluated, _ = distribution.evaluate(torch.from_numpy(described), torch.from_numpy(actions), None)
    np.testing.assert_allclose(evaluated.numpy(), log_prob, rtol=1e-5)


def test_an_action_space_that_no_policy_covers_is_named():
    with pytest.raises(ValueError, match="Text"):
        make_distribution(spaces.Text(5))
