"""IMPALA, and what PPO makes of a rollout by older weights."""

import numpy as np
import pytest
import torch

import envs
from agents.experience import experience_of, log_probs
from agents.impala import IMPALA
from agents.ppo import PPO
from envs import rng
from rollouts.reward import Reward
from rollouts.rollout import concatenate
from rollouts.sampler import Sampler
from rollouts.storage import load_tree, save_tree
from tests.toys import Walk

torch.set_num_threads(1)
TOY = {"n_steps": 16, "minibatch_size": 256, "lr": 1e-2, "normalise_obs": True}


def learner_for(env, kind=IMPALA, **options):
    return kind(env.single_observation_space, env.single_action_space, **options)


def collect(env, agent, steps=16, newest=0):
    rollout = Sampler(env, seed=1).collect(agent, steps=steps)
    Reward({"env": 1.0})(rollout)
    rollout.newest = newest
    return rollout


def train(env, updates, learner):
    sampler, reward, returns = Sampler(env, seed=1), Reward({"env": 1.0}), []
    for i in range(updates):
        learner.progress = i / updates
        rollout = sampler.collect(learner.actor, **learner.wants)
        reward(rollout)
        learner.learn(rollout)
        returns += list(rollout.ended["return"])
    return float(np.mean(returns[-len(returns) // 4 :]))


def older(learner, scale=0.3):
    """A learner like it, whose weights are a little different: it stands for older ones."""
    env = Walk(1)
    twin = learner_for(env, type(learner), **TOY)
    g = np.random.default_rng(0)
    twin.load_weights(
        {k: v + (scale * g.normal(size=v.shape)).astype(v.dtype) if "policy" in k else v
         for k, v in learner.weights().items()}
    )  # fmt: skip
    return twin


def test_values_of_a_walk_that_ends_or_is_cut():
    learner = learner_for(Walk(64, longest=4), gamma=0.5, trace_lambda=0.9, **TOY)
    train(Walk(64, longest=4), 150, learner)
    obs = np.array([[1, 2], [0, 2], [2, 3], [3, 3]], np.float32)
    value = learner.act(obs, rng=rng.from_seeds(range(4)), first=np.zeros(4, bool)).fields["value"]
    np.testing.assert_allclose(value[:2], [1, 1.5], atol=0.05)
    assert value[2] == pytest.approx(1 + 0.5 * value[3], abs=0.05)


def test_what_the_policy_itself_did_has_a_ratio_of_one_and_older_weights_have_not():
    learner = learner_for(Walk(32), **TOY)
    own = learner.learn(collect(Walk(32), learner.actor))
    assert own["importance"] == pytest.approx(1.0, abs=1e-5)
    assert own["importance_max"] == pytest.approx(1.0, abs=1e-5)
    learner = learner_for(Walk(32), **TOY)
    metrics = learner.learn(collect(Walk(32), older(learner, 0.1).actor, steps=64))
    assert metrics["importance_max"] > 1.05
    assert metrics["importance"] == pytest.approx(1.0, abs=0.1)  # its mean is 1 under who acted


@pytest.mark.parametrize("kind", [PPO, IMPALA])
def test_after_a_restart_it_goes_on_number_for_number(kind, tmp_path):
    a = learner_for(Walk(8), kind, **TOY)
    rollouts = [collect(Walk(8), a.actor, newest=i) for i in range(2)]
    a.learn(rollouts[0])
    save_tree(tmp_path, a.state_dict())
    b = learner_for(Walk(8), kind, seed=9, **TOY)
    b.load_state_dict(load_tree(tmp_path))
    assert a.learn(rollouts[1]) == b.learn(rollouts[1])
    for name, array in a.weights().items():
        np.testing.assert_array_equal(array, b.weights()[name])


def test_ppo_corrects_what_older_weights_did_and_leaves_its_own_alone():
    learner = learner_for(Walk(16), PPO, **TOY, gae_lambda=1.0)
    own, stale = collect(Walk(16), learner.actor), collect(Walk(16), learner.actor, newest=1)
    assert (own.stale, stale.stale) == (False, True)
    numbers, metrics = learner._corrected(stale, experience_of(stale, learner.actor))
    np.testing.assert_allclose(numbers[:4], learner._numbers(own)[0], atol=1e-4)  # by the same weights
    np.testing.assert_allclose(numbers[4], 1.0, atol=1e-4)
    assert metrics["importance"] == pytest.approx(1.0, abs=1e-5)

    old = collect(Walk(16), older(learner).actor, newest=1)
    numbers, metrics = learner._corrected(old, experience_of(old, learner.actor))
    np.testing.assert_allclose(numbers[0], log_probs(experience_of(old, learner.actor), learner.actor))
    ratio = np.minimum(np.exp(numbers[0] - old.fields["log_prob"]), 1.0)
    np.testing.assert_allclose(numbers[4], ratio, rtol=1e-4)
    ends = old.terminated | old.truncated
    last = old.terminated  # there the advantage is r − V, by hand
    np.testing.assert_allclose(numbers[2][last], (old.rewards - numbers[1])[last], rtol=1e-4, atol=1e-5)
    assert metrics["importance_max"] > 1.05
    assert ends.any()


def test_the_first_step_on_old_data_begins_where_the_policy_is():
    """Ratios are measured from the policy when learning begins: none is outside the clip yet."""
    learner = learner_for(Walk(16), PPO, **(TOY | {"minibatch_size": 4096, "lr": 0.0}), epochs=1)
    metrics = learner.learn(collect(Walk(16), older(learner, 1.0).actor, newest=1))
    assert metrics["clip_fraction"] == 0
    assert abs(metrics["approx_kl"]) < 1e-6


@pytest.mark.parametrize("kind", [PPO, IMPALA])
def test_what_the_policy_would_never_do_now_teaches_it_nothing(kind):
    """Whatever was done in rows whose ratio is next to nothing, the gradient is the same."""
    options, gradients = {"minibatch_size": 4096, "lr": 0.0, "epochs": 1, "entropy_coef": 0.0}, []
    for other in (False, True):
        learner = learner_for(Walk(16), kind, n_steps=16, max_grad_norm=None, **options)
        rollout = collect(Walk(16), learner.actor, newest=1)
        log_prob, actions = rollout.fields["log_prob"].copy(), rollout.actions.copy()
        log_prob[:, ::2] += 20.0
        actions[:, ::2] = 2 - actions[:, ::2] if other else actions[:, ::2]
        rollout.fields, rollout.actions = {**rollout.fields, "log_prob": log_prob}, actions
        learner.learn(rollout)
        named = learner.actor.network.named_parameters()
        gradients.append({name: p.grad.numpy() for name, p in named if "policy" in name})
    assert gradients[0]
    for name, gradient in gradients[0].items():
        np.testing.assert_allclose(gradients[1][name], gradient, rtol=1e-4, atol=1e-7)


def test_a_rollout_of_several_workers_is_as_old_as_each_of_them():
    learner = learner_for(Walk(2), **TOY)
    first, second = collect(Walk(2), learner.actor), collect(Walk(2), learner.actor, newest=3)
    second.version[:] = 2
    both = concatenate([first, second])
    assert both.newest == 3
    assert both.lag.tolist() == [3, 3, 1, 1]


@pytest.mark.slow
def test_cartpole_is_balanced():
    env = envs.make("CartPole-v1", n=16, seed=0)
    learner = learner_for(env, n_steps=20, lr=2e-3, gamma=0.98, entropy_coef=0.001, minibatch_size=64)
    assert train(env, 1000, learner) > 400
