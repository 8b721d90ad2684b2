"""Verifiers that err: at the rates that were asked for, each try by itself, and told honestly."""

import json

import gymnasium
import numpy as np
import pytest

import envs
from envs.options import OptionError
from envs.text.episode import speak
from rollouts.agent import Agent, Decision
from rollouts.sampler import Sampler

NOISE = {"right": 0.3, "wrong": 0.1}
ID = "text/Parity-v0"


class Solver(Agent):
    """Says what is right where its row's generator is even, else something wrong."""

    def __init__(self, env):
        self.env = env

    def act(self, obs, *, rng, first, memory=None, explore=True):
        rng += np.uint64(1)
        said = [
            solution(self.env, text) if r % 2 else "<answer>7</answer>" for text, r in zip(obs, rng.tolist())
        ]
        return Decision(np.array(said, object), memory=memory)


def solution(env, prompt):
    (task, _) = env.dealer.families["Parity"]
    return task.completion(task.understand(prompt)) if prompt else ""


def answers(env, obs, right):
    return [solution(env, text) if r else "<answer>7</answer>" for text, r in zip(obs, right)]


def test_verdicts_are_wrong_as_often_as_was_said():
    env = envs.make(ID, 500, noise=NOISE, seed=1)
    obs, _ = env.reset(seed=1)
    right = np.arange(500) % 2 == 0
    judged, true, rewards = [], [], []
    for _ in range(20):
        obs, reward, _, _, info = env.step(answers(env, obs, right))
        judged.append(info["parts"]["success"])
        true.append(info["parts"]["true_success"])
        rewards.append(reward)
    assert (np.array(true) == right).all()
    assert (np.array(rewards) == np.array(judged)).all()
    flipped = np.array(judged) != right
    for which, share in ((right, 0.3), (~right, 0.1)):  # 5,000 each: 4.5 deviations
        assert flipped[:, which].mean() == pytest.approx(share, abs=4.5 * np.sqrt(share * (1 - share) / 5000))
    for lag in (flipped[1:] & flipped[:-1], flipped[:, 2:] & flipped[:, :-2]):  # neither by time nor by slot
        assert lag[:, right[: lag.shape[1]]].mean() == pytest.approx(0.09, abs=0.02)


@pytest.mark.parametrize(
    ("noise", "wanted"), [({"right": 1.0}, (0, 0)), ({"wrong": 1}, (1, 1)), ({}, (1, 0))]
)
def test_certain_noise_is_certain(noise, wanted):
    env = envs.make(ID, 2, noise=noise, seed=0)
    obs, _ = env.reset()
    _, rewards, _, _, info = env.step(answers(env, obs, [True, False]))
    assert tuple(rewards) == wanted == tuple(info["parts"]["success"])
    assert info["parts"]["true_success"].tolist() == [1, 0]
    words = [verdict["error"] for verdict in info["verdicts"]]
    assert [word == "noise: it was right" for word in words] == [wanted[0] == 0, False]
    assert (words[1] == "") == (wanted[1] == 1)


def collected(n=6, episodes=96, group_size=24, **options):
    env = envs.make(ID, n, noise=NOISE, **options)
    sampler = Sampler(env, seed=5)
    return sampler, sampler.collect(Solver(env), episodes=episodes, group_size=group_size)


@pytest.mark.parametrize("n", [1, 6, 24])
def test_tries_at_one_problem_do_not_share_a_coin(n):
    """With one slot the tries of a group come one after another in it, by the same seed each time."""
    _, rollout = collected(n)
    wrong = rollout.parts["success"] != rollout.parts["true_success"]
    seeds = rollout.seed[rollout.valid]
    for group in np.unique(rollout.group[rollout.valid]):
        mine = rollout.valid & (rollout.group == group)
        assert len(set(rollout.seed[mine])) == 1
        assert 0 < wrong[mine & (rollout.parts["true_success"] > 0)].sum() < mine.sum() / 2
    assert len(set(seeds)) == 4


def test_the_same_seeds_and_tries_give_the_same_verdicts():
    (_, one), (_, two) = collected(), collected()
    for name in ("success", "true_success"):
        np.testing.assert_array_equal(one.parts[name], two.parts[name])
    sampler, _ = collected()
    again = Sampler(sampler.env, seed=5)  # in an environment that was used before
    third = again.collect(Solver(sampler.env), episodes=96, group_size=24)
    np.testing.assert_array_equal(third.parts["success"], one.parts["success"])
    more = sampler.collect(Solver(sampler.env), episodes=96, group_size=24)
    assert (more.parts["success"] != one.parts["success"]).any()


def test_problems_are_those_without_noise():
    envs_ = [envs.make(ID, 4, seed=2, noise=noise) for noise in (None, NOISE)]
    begun = [env.reset(seed=2)[0] for env in envs_]
    for _ in range(5):
        assert begun[0] == begun[1]
        begun = [env.step(["x"] * 4)[0] for env in envs_]


@pytest.mark.parametrize("id", [ID, "text/GuessNumber-v0"])
def test_it_goes_on_from_what_was_saved(id):
    env, other = (envs.make(id, 64, noise={"right": 0.5, "wrong": 0.5}, seed=s) for s in (1, 2))
    env.reset(seed=1)
    for _ in range(3):
        env.step(["<answer>1</answer>"] * 64)
    other.set_state(json.loads(json.dumps(env.get_state())))
    for _ in range(8):
        told = [one.step(["<answer>1</answer>"] * 64) for one in (env, other)]
        for name in ("success", "true_success"):
            np.testing.assert_array_equal(*(info["parts"][name] for *_, info in told))
        np.testing.assert_array_equal(told[0][1], told[1][1])


def test_without_noise_nothing_changes():
    env = envs.make(ID, 2, seed=0)
    env.reset()
    assert "true_success" not in env.parts
    assert set(env.get_state()) == {"id", "slots"}
    noisy = envs.make(ID, 2, seed=0, noise={"right": 1.0})
    noisy.set_state(env.get_state())  # what was begun without goes on with it
    assert "judges" in noisy.get_state()
    env.set_state(noisy.get_state())


def test_a_verifier_that_failed_is_not_turned_round():
    env = envs.make("tests.envs.text.guard_toys:Faulty", 8, noise={"wrong": 1.0}, deadline=0.0, seed=0)
    env.reset()
    *_, info = env.step(["raise it"] * 8)
    assert info["parts"]["error"].all()
    assert not info["parts"]["success"].any()
    env.close()


def test_a_single_environment_errs_too():
    env = gymnasium.make(f"envs:{ID}", noise=NOISE).unwrapped
    found = []
    for seed in (3, None, None, 3, None, None):
        obs, _ = env.reset(seed=seed)
        found += [(obs, env.step("<answer>7</answer>")[1]) for _ in range(1)]
    assert found[:3] == found[3:]  # a seed begins all anew
    judged = []
    for _ in range(400):
        env.reset()
        *_, info = env.step("<answer>7</answer>")
        assert info["parts"]["true_success"] == 0
        judged.append(info["parts"]["success"])
    assert 0.04 < np.mean(judged) < 0.17


def test_episodes_told_once_more_are_told_as_they_are():
    env = envs.make(ID, 1, noise={"right": 1.0}, seed=0)
    obs, _ = env.reset()
    (episode,) = env._episodes
    text = answers(env, obs, [True])
    speak([episode], text, env.verifiers)
    assert "wrong: noise: it was right" in episode.transcript()


@pytest.mark.parametrize(
    ("noise", "said"),
    [
        (0.1, r"noise must be \{right: 0.1, wrong: 0.05\} or null, not 0.1"),
        ({"rigth": 0.1}, "noise has no 'rigth'; did you mean 'right'"),
        ({"right": 1.5}, "noise.right must be a probability, from 0 to 1, not 1.5"),
        ({"wrong": -0.1}, "noise.wrong must be a probability"),
        ({"wrong": True}, "noise.wrong must be a probability"),
        ({"wrong": float("nan")}, "noise.wrong must be a probability"),
    ],
)
@pytest.mark.parametrize("id", [ID, "text/Mixed-v0"])
def test_what_does_not_fit_is_told(id, noise, said):
    with pytest.raises(OptionError, match=said) as error:
        envs.make(id, 1, noise=noise)
    assert error.value.option == "noise"
