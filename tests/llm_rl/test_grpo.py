"""GRPO as a learner: what it learns from, and that its gradient does not depend on how it is computed."""

import numpy as np
import pytest

import envs
from agents.networks import to_arrays
from agents.options import OptionError
from llm_rl.grpo import GRPO
from rollouts.reward import Reward
from rollouts.rollout import concatenate
from rollouts.sampler import Sampler
from rollouts.storage import load_tree, save_tree

MODEL = {"size": "XS", "context": 64}


def learner_of(id="text/Parity-v0", **options):
    env = envs.make(id, 8, level=1)
    spaces = env.single_observation_space, env.single_action_space
    options = {"problems": 4, "group_size": 4, "max_new": 8, "model": MODEL, **options}
    return GRPO(*spaces, **options), Sampler(env, seed=1)


def rollout_of(learner, sampler, reward):
    """A rollout whose rewards are those of `reward(its valid rows)`, for a fresh model solves nothing."""
    rollout = sampler.collect(learner.actor, **learner.wants)
    Reward({"env": 1.0})(rollout)
    rollout.rewards = np.where(rollout.valid, reward(rollout), 0).astype(np.float32)
    return rollout


def low_ones(rollout):
    """Worth more the more tokens are of the first half of the vocabulary."""
    return ((rollout.fields["tokens"] < 50) & rollout.fields["token_mask"]).sum(-1)


def weights_after(reward=low_ones, **options):
    learner, sampler = learner_of(**options)
    metrics = learner.learn(rollout_of(learner, sampler, reward))
    return to_arrays(learner.actor.network), metrics


def test_on_the_first_pass_every_ratio_is_1():
    _, metrics = weights_after()
    assert metrics["ratio_mean"] == pytest.approx(1, abs=1e-4)
    assert metrics["ratio_max"] == pytest.approx(1, abs=1e-3)
    assert metrics["clip_fraction_low"] == metrics["clip_fraction_high"] == 0
    assert metrics["gradient_steps"] == 1
    assert metrics["grad_norm"] > 0


@pytest.mark.parametrize("aggregation", ["token_mean", "sequence_mean", "constant"])
def test_micro_batches_do_not_change_the_step(aggregation):
    whole, _ = weights_after(aggregation=aggregation, micro_tokens=100_000)
    parts, _ = weights_after(aggregation=aggregation, micro_tokens=1)
    for name in whole:
        np.testing.assert_allclose(parts[name], whole[name], atol=2e-6, err_msg=name)


def test_groups_that_agree_count_in_the_means_where_they_are_not_dropped():
    """Half of the groups agree: dropped the others' gradient is twice as large."""

    def first_groups(rollout):
        return low_ones(rollout) * (rollout.group < np.median(rollout.group[rollout.valid]))

    (_, kept), (_, dropped) = (weights_after(first_groups, drop_equal=drop) for drop in (False, True))
    assert kept["learned_from"] == 1
    assert kept["zero_variance"] == 1 - dropped["learned_from"] == 0.5
    assert dropped["grad_norm"] == pytest.approx(2 * kept["grad_norm"], rel=1e-4)


def test_groups_that_agree_teach_nothing():
    learner, sampler = learner_of()
    before = to_arrays(learner.actor.network)
    metrics = learner.learn(rollout_of(learner, sampler, lambda r: np.full(r.shape, 0.35)))
    assert metrics["zero_variance"] == 1
    assert metrics["learned_from"] == 0
    for name, array in to_arrays(learner.actor.network).items():
        np.testing.assert_array_equal(array, before[name])


@pytest.mark.parametrize("options", [{}, {"advantage": "pkpo", "k": 2}, {"advantage": "maxrl"}])
def test_it_makes_more_of_what_pays(options):
    learner, sampler = learner_of(problems=8, group_size=8, lr=3e-3, warmup=0, **options)
    token = learner.actor.tokenizer.encode("7")[0]

    def sevens(rollout):
        return ((rollout.fields["tokens"] == token) & rollout.fields["token_mask"]).sum(-1)

    means = []
    for _ in range(12):
        rollout = rollout_of(learner, sampler, sevens)
        means.append(rollout.rewards[rollout.valid].mean())
        learner.learn(rollout)
    assert np.mean(means[-3:]) > 3 * np.mean(means[:3])


def test_the_reference_is_what_learning_began_with():
    learner, sampler = learner_of(kl={"coef": 0.1}, lr=3e-3, warmup=0)
    first = learner.learn(rollout_of(learner, sampler, low_ones))
    assert first["kl"] == pytest.approx(0, abs=1e-6)
    for _ in range(4):
        later = learner.learn(rollout_of(learner, sampler, low_ones))
    assert later["kl"] > 1e-4


def test_it_goes_on_from_what_it_saved():
    learner, sampler = learner_of(
        kl={"coef": 0.1, "where": "reward", "estimator": "k1"}, minibatches=2, epochs=2
    )
    learner.learn(rollout_of(learner, sampler, low_ones))
    twin, _ = learner_of(kl={"coef": 0.1, "where": "reward", "estimator": "k1"}, minibatches=2, epochs=2)
    twin.load_state_dict(learner.state_dict())
    rollout = rollout_of(learner, sampler, low_ones)
    assert twin.learn(rollout) == learner.learn(rollout)


def test_without_groups_the_batch_is_one():
    before = to_arrays(learner_of(problems=16, group_size=1, advantage="batch_std")[0].actor.network)
    after, metrics = weights_after(problems=16, group_size=1, advantage="batch_std")
    assert metrics["learned_from"] == 1
    assert any((after[name] != before[name]).any() for name in before)


# -- sampling again for groups that teach nothing ------------------------------------------------------------


def signal_in(wanted):
    """A reward by which so many of the (first) groups of a rollout differ within, and all others do not."""

    def reward(rollout):
        groups = np.unique(rollout.group[rollout.valid])[:wanted]
        return np.where(np.isin(rollout.group, groups), low_ones(rollout), 0.35)

    return reward


def test_groups_that_agree_are_replaced_by_sampling_more():
    """Of 4 problems a rollout 2, 1, 0 and 3 teach: the step is made with the fourth, of all 6 groups."""
    learner, sampler = learner_of(resample=5)
    before, told, rollouts = to_arrays(learner.actor.network), [], []
    for wanted in (2, 1, 0, 3):
        assert all((x == before[name]).all() for name, x in to_arrays(learner.actor.network).items())
        rollouts.append(rollout_of(learner, sampler, signal_in(wanted)))
        told.append(learner.learn(rollouts[-1]))
    assert [metrics["gradient_steps"] for metrics in told] == [0, 0, 0, 1]
    assert [metrics["zero_variance"] for metrics in told] == [0.5, 0.75, 1.0, 0.25]
    assert ["loss" in metrics for metrics in told] == [False, False, False, True]
    assert told[-1]["learned_from"] == 6 / 16
    assert told[-1]["ratio_mean"] == pytest.approx(1, abs=1e-4)
    assert learner.held is None
    again, _ = learner_of()  # the same groups in one rollout make the same step
    again.learn(concatenate(rollouts))
    for name, array in to_arrays(learner.actor.network).items():
        np.testing.assert_array_equal(to_arrays(again.actor.network)[name], array)


def test_no_more_is_sampled_than_was_said():
    learner, sampler = learner_of(resample=2)
    told = [learner.learn(rollout_of(learner, sampler, signal_in(w))) for w in (0, 1, 0, 0, 0, 0, 4)]
    assert [metrics["gradient_steps"] for metrics in told] == [0, 0, 1, 1, 1, 1, 2]
    assert [metrics.get("learned_from") for metrics in told] == [None, None, 1 / 12, None, None, 0.0, 1.0]


def test_what_is_held_is_saved(tmp_path):
    learner, sampler = learner_of(resample=3)
    for wanted in (1, 2):
        learner.learn(rollout_of(learner, sampler, signal_in(wanted)))
    save_tree(tmp_path, learner.state_dict())
    twin, _ = learner_of(resample=3)
    twin.load_state_dict(load_tree(tmp_path))
    rollout = rollout_of(learner, sampler, signal_in(1))
    assert twin.learn(rollout) == learner.learn(rollout)
    assert learner.steps == 1
    for name, array in to_arrays(learner.actor.network).items():
        np.testing.assert_array_equal(to_arrays(twin.actor.network)[name], array)


# -- others than language models -----------------------------------------------------------------------------


def test_it_learns_to_act_too():
    env = envs.make("CartPole-v1", 8)
    learner = GRPO(
        env.single_observation_space,
        env.single_action_space,
        problems=4,
        group_size=4,
        max_new=500,
        policy={"path": "agents.ppo:PPO", "options": {}},
        lr=3e-3,
        warmup=0,
    )
    sampler, lengths = Sampler(env, seed=0), []
    for _ in range(25):
        rollout = sampler.collect(learner.actor, **learner.wants)
        Reward({"env": 1.0})(rollout)
        metrics = learner.learn(rollout)
        lengths.append(rollout.ended["length"].mean())
    assert "all_wrong" not in metrics  # there is no success in it
    assert np.mean(lengths[-5:]) > 1.7 * np.mean(lengths[:5])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"group_size": 1}, "group_size must be at least 2"),
        ({"loss": "clipp"}, "no loss 'clipp'"),
        ({"overlong_buffer": 99}, "overlong_buffer must be from 1 to 8"),
        ({"resample": 1, "advantage": "batch_std"}, "'batch_std' has no groups to sample again for"),
        ({"clip": {"lo": 0.1}}, "clip has no 'lo'"),
        ({"clip": {"dual": 1.1}}, r"clip\.dual must be above 1 \+ clip\.high = 1\.2"),
    ],
)
def test_wrong_options_are_told(options, said):
    with pytest.raises(OptionError, match=said):
        learner_of(**options)


def test_what_does_not_fit_a_language_model_is_told_by_the_options_own_name():
    with pytest.raises(OptionError) as error:
        learner_of(max_new=1000)
    assert error.value.option == "max_new"


def test_a_policy_that_has_no_probabilities_cannot_learn_by_it():
    env = envs.make("CartPole-v1", 1)
    with pytest.raises(OptionError, match="cannot score what it did"):
        GRPO(
            env.single_observation_space,
            env.single_action_space,
            policy={"path": "agents.dqn:DQN", "options": {}},
        )
