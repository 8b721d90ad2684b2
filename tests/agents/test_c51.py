import numpy as np
import pytest
import torch

from agents.q_losses import c51_loss, project_c51
from agents.q_networks import make_support


def slow_projection(probabilities, support, returns, discounts):
    """Algorithm 1 of Bellemare, Dabney and Munos (2017), atom by atom."""
    width = support[1] - support[0]
    out = np.zeros_like(probabilities)
    for i in range(len(returns)):
        for p, z in zip(probabilities[i], support):
            b = (min(max(returns[i] + discounts[i] * z, support[0]), support[-1]) - support[0]) / width
            low, high = int(np.floor(b + 1e-9)), int(np.ceil(b - 1e-9))
            if low == high:
                out[i, low] += p
            else:
                out[i, low] += p * (high - b)
                out[i, high] += p * (b - low)
    return out


def project(probabilities, support, returns, discounts):
    arrays = (np.asarray(x, np.float64) for x in (probabilities, support, returns, discounts))
    return project_c51(*(torch.as_tensor(x) for x in arrays)).numpy()


@pytest.mark.parametrize(("atoms", "low", "high"), [(2, 0.0, 1.0), (11, -1.0, 1.0), (51, -10.0, 10.0)])
def test_projection_is_the_papers(atoms, low, high):
    rng, support = np.random.default_rng(atoms), np.linspace(low, high, atoms)
    p = rng.dirichlet(np.ones(atoms), 200)
    returns, discounts = rng.normal(0, high, 200), rng.choice([0.0, 0.97, 0.5, -0.9, 1.0], 200)
    got = project(p, support, returns, discounts)
    np.testing.assert_allclose(got, slow_projection(p, support, returns, discounts), atol=1e-9)
    np.testing.assert_allclose(got.sum(1), 1.0)


def test_mass_on_an_atom_stays_whole():
    support, p = np.linspace(-2, 2, 5), np.array([[0.1, 0.2, 0.3, 0.4, 0.0]])
    np.testing.assert_allclose(project(p, support, [0.0], [1.0]), p)
    np.testing.assert_allclose(project(p, support, [1.0], [1.0]), [[0.0, 0.1, 0.2, 0.3, 0.4]])


def test_clamps_to_the_support_and_keeps_only_the_reward_after_a_true_end():
    support, p = np.linspace(-2, 2, 5), np.array([[0.1, 0.2, 0.3, 0.4, 0.0]] * 4)
    got = project(p, support, [9.0, -9.0, 0.25, 2.0], [1.0, 1.0, 0.0, 0.0])
    wanted = [[0, 0, 0, 0, 1], [1, 0, 0, 0, 0], [0, 0, 0.75, 0.25, 0], [0, 0, 0, 0, 1]]
    np.testing.assert_allclose(got, wanted, atol=1e-12)


def test_projection_keeps_the_mean_inside_the_support():
    rng, support = np.random.default_rng(0), np.linspace(-10, 10, 51)
    p = rng.dirichlet(np.ones(51), 100)
    returns = rng.uniform(-1, 1, 100)
    got = project(p, support, returns, np.full(100, 0.9))
    np.testing.assert_allclose(got @ support, returns + 0.9 * (p @ support))


def test_loss_and_error_are_cross_entropy_and_divergence():
    rng = np.random.default_rng(0)
    logits, targets = rng.normal(0, 3, (50, 7)), rng.dirichlet(np.ones(7), 50)
    targets[0], targets[1] = np.eye(7)[2], np.exp(logits[1]) / np.exp(logits[1]).sum()
    loss, error = (x.numpy() for x in c51_loss(torch.as_tensor(logits), torch.as_tensor(targets)))
    for i in range(50):
        q = np.exp(logits[i]) / np.exp(logits[i]).sum()
        assert loss[i] == pytest.approx(-sum(t * np.log(x) for t, x in zip(targets[i], q)))
        assert error[i] == pytest.approx(
            sum(t * np.log(t / x) for t, x in zip(targets[i], q) if t > 0), abs=1e-12
        )
    assert error[1] == pytest.approx(0, abs=1e-12)


def test_a_hopeless_prediction_still_has_a_finite_loss_and_gradient():
    logits = torch.tensor([[200.0, -200.0, 0.0]], requires_grad=True)
    loss, _ = c51_loss(logits, torch.tensor([[0.0, 1.0, 0.0]]))
    loss.sum().backward()
    assert loss.item() == pytest.approx(400.0)
    assert logits.grad is not None
    assert float(logits.grad[0, 1]) == pytest.approx(-1.0)


def test_options_are_filled_in_and_checked():
    assert make_support(False).tolist() == [0]
    np.testing.assert_allclose(make_support(True), np.linspace(-10, 10, 51), atol=1e-5)
    np.testing.assert_allclose(make_support({"v_max": 5, "atoms": 4}), [-10, -5, 0, 5])
    for wrong, said in [
        ({"atom": 3}, "atoms"),
        ({"atoms": 1}, "equal to 2"),
        ({"v_min": 11}, "v_min < v_max"),
    ]:
        with pytest.raises(ValueError, match=said):
            make_support(wrong)
