"""Random network distillation: what it finds new, how it is scaled, and that it goes on exactly."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import envs
import move37
from agents.curiosity import Curiosity
from agents.random import Random
from rollouts.reward import Reward
from rollouts.rollout import Rollout
from rollouts.sampler import Sampler
from rollouts.storage import load_tree, save_tree

QUICK = {"lr": 1e-3, "share": 1.0, "minibatch_size": 64, "features": 8}


def played(obs: np.ndarray, ends: list[tuple[int, int, str, np.ndarray]] = ()) -> Rollout:
    """A rollout that saw `obs` `[T + 1, n, ...]`; `ends` are (time, slot, what, last observation)."""
    shape = obs.shape[0] - 1, obs.shape[1]
    flags = {name: np.zeros(shape, bool) for name in ("terminated", "truncated", "first")}
    for t, i, what, _ in ends:
        flags[what][t, i] = True
    final = np.stack([e[3] for e in ends]) if ends else obs[0, :0]
    return Rollout(
        obs=obs,
        actions=np.zeros(shape, np.int64),
        env_rewards=np.zeros(shape, np.float32),
        valid=np.ones(shape, bool),
        sign=np.ones(shape, np.float32),
        final_obs=final,
        final_at=np.array([e[:2] for e in ends], np.int64).reshape(-1, 2),
        **{name: np.zeros(shape, np.int64) for name in ("episode", "group", "seed")},
        **flags,
    )


def vectors(rng, steps: int = 40, n: int = 4, centre: float = 0.0) -> np.ndarray:
    return rng.normal(centre, 1, (steps + 1, n, 5)).astype(np.float32)


def errors(term: Curiosity, obs: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return term.pair(torch.as_tensor(obs)).numpy()


def test_the_error_falls_on_what_it_has_seen_and_stays_on_what_it_has_not():
    rng = np.random.default_rng(0)
    planes = rng.random((2, 20, 6, 6, 3)) < 0.3  # two sets of pictures
    term, means = Curiosity(**QUICK), []
    for _ in range(30):
        r = played(planes[0][rng.integers(20, size=(41, 4))])
        term(r)
        means.append([errors(term, x).mean() for x in planes])
        term.learn(r)
    before, after = means[0], means[-1]
    assert 0.5 < before[0] / before[1] < 2
    assert after[0] < 0.1 * before[0]
    assert after[1] > 10 * after[0]


def test_the_first_reward_is_the_standardised_error_over_the_deviation_of_its_returns():
    rng = np.random.default_rng(1)
    obs = vectors(rng, centre=3.0)
    last = rng.normal(3, 1, (2, 5)).astype(np.float32)
    r = played(obs, [(7, 1, "terminated", last[0]), (20, 2, "truncated", last[1])])
    led_to = obs[1:].copy()
    led_to[7, 1], led_to[20, 2] = last
    flat = led_to.reshape(-1, 5).astype(np.float64)
    seen = np.clip((led_to - flat.mean(0)) / np.sqrt(flat.var(0) + 1e-8), -5, 5).astype(np.float32)
    for episodic in (False, True):
        term = Curiosity(episodic=episodic, gamma=0.9, **QUICK)
        reward = term(r)
        with torch.inference_mode():
            x = torch.as_tensor(seen.reshape(-1, 5))
            error = (term.pair.predictor(x) - term.pair.target(x)).square().mean(-1).numpy().reshape(40, 4)
        running, returns = np.zeros(4), np.empty((40, 4))
        for t in range(40):
            for i in range(4):
                returns[t, i] = running[i] = 0.9 * running[i] + error[t, i]
                if episodic and (r.terminated | r.truncated)[t, i]:
                    running[i] = 0
        if not episodic:
            error[7, 1] += 0.9 * returns.mean()  # life goes on
        np.testing.assert_allclose(reward, error / returns.std(), rtol=2e-3)
        assert reward.dtype == np.float32


def test_padding_is_neither_rewarded_nor_learned_from():
    rng = np.random.default_rng(2)
    obs = vectors(rng)
    wild = obs.copy()
    wild[21:, 3] = 1e6
    rewards, terms = [], []
    for seen in (obs, wild):
        r = played(seen)
        r.valid[20:, 3] = False
        term = Curiosity(**QUICK)
        rewards.append(term(r))
        term.learn(r)
        terms.append(term)
    np.testing.assert_array_equal(*rewards)
    assert (rewards[0][20:, 3] == 0).all()
    for name, x in terms[0].state_dict()["networks"].items():
        np.testing.assert_array_equal(x, terms[1].state_dict()["networks"][name])


def test_the_target_never_moves_and_seeds_differ():
    rng = np.random.default_rng(3)
    r = played(vectors(rng))
    terms = [Curiosity(seed=seed, **QUICK) for seed in (0, 0, 1)]
    first = [term(r) for term in terms]
    np.testing.assert_array_equal(first[0], first[1])
    assert (first[0] != first[2]).any()
    target = [p.clone() for p in terms[0].pair.target.parameters()]
    predictor = [p.clone() for p in terms[0].pair.predictor.parameters()]
    terms[0].learn(r)
    assert all(torch.equal(a, b) for a, b in zip(target, terms[0].pair.target.parameters()))
    assert not any(torch.equal(a, b) for a, b in zip(predictor, terms[0].pair.predictor.parameters()))


@pytest.mark.parametrize("begun", [False, True])
def test_a_saved_term_goes_on_exactly(tmp_path, begun):
    rng = np.random.default_rng(4)
    term, other = Curiosity(**QUICK), Curiosity(**{**QUICK, "seed": 9})
    if begun:
        r = played(vectors(rng))
        term(r), term.learn(r)
    save_tree(tmp_path, term.state_dict())
    other.load_state_dict(load_tree(tmp_path))
    other.seed = term.seed  # of networks that are not made yet
    for _ in range(3):
        r = played(vectors(rng))
        np.testing.assert_array_equal(term(r), other(r))
        assert term.learn(r) == other.learn(r)


@pytest.mark.parametrize("name", ["curiosity", "counts"])
def test_a_run_with_a_bonus_resumes_exactly(tmp_path, name):
    options = QUICK if name == "curiosity" else {"episodic": True}
    config = {
        "env": {"id": "arcade/KeyMaze-v1", "n": 4, "level": 1},
        "agent": {"kind": "ppo", "n_steps": 32, "network": {"kind": "vector"}, "anneal_lr": False},
        "reward": {"env": 1.0, name: {"weight": 0.1, **options}},
        "budget": {"env_steps": 512},
        "threads": 1,
        "log": {"every": 0},
    }
    whole = move37.train(config, out=tmp_path / "whole").metrics()
    move37.train(config, ["budget.env_steps=256"], out=tmp_path / "parts")
    parts = move37.resume(tmp_path / "parts", overrides=["budget.env_steps=512"]).metrics()
    for one, other in zip(whole, parts, strict=True):
        assert one[f"reward/{name}"] > 0
        timeless = {k for k in one if not k.startswith("time/")}
        assert {k: one[k] for k in timeless} == {k: other[k] for k in timeless}


@pytest.mark.parametrize(
    "id", ["CartPole-v1", "arcade/Breakout-v1", "board/ConnectFour-v0", "board/TicTacToe-v0"]
)
def test_it_sees_what_the_suite_has(id):
    env = envs.make(id, 4)
    agent = Random(env.single_observation_space, env.single_action_space)
    sampler, reward = Sampler(env, seed=0), Reward({"env": 1.0, "curiosity": {"weight": 0.1, **QUICK}})
    for _ in range(2):
        r = sampler.collect(agent, steps=16)
        reward(r)
        metrics = reward.learn(r)
    assert r.terms["curiosity"].shape == (16, 4)
    assert (r.terms["curiosity"] > 0).all()
    np.testing.assert_allclose(r.rewards, r.env_rewards + 0.1 * r.terms["curiosity"], rtol=1e-5)
    assert metrics["reward/curiosity/loss"] > 0


def test_pixels_and_whole_numbers_are_seen_too():
    rng = np.random.default_rng(5)
    for obs in (rng.integers(256, size=(4, 2, 40, 40, 2)).astype(np.uint8), rng.integers(9, size=(6, 2))):
        term = Curiosity(**QUICK)
        assert np.isfinite(term(played(obs))).all()
        assert np.isfinite(term.learn(played(obs))["loss"])


def test_wrong_options_and_observations_are_an_error_in_one_line():
    for options, said in [
        ({"lr": 0.0}, "lr must be greater than 0"),
        ({"share": 2.0}, "share must be less than or equal to 1"),
        ({"gama": 0.9}, "has no option 'gama'; did you mean 'gamma'"),
        ({"episodic": 1}, "episodic of reward term 'curiosity' must be true or false"),
    ]:
        with pytest.raises(ValueError, match=said) as caught:
            Reward({"curiosity": options})
        assert caught.value.option == f"curiosity.{min(options)}"
    text = played(vectors(np.random.default_rng(6)))
    text.obs = (("a", "b"), ("c", "d"))
    with pytest.raises(ValueError, match="curiosity needs observations in arrays of numbers"):
        Curiosity()(text)
    term = Curiosity(network={"kind": "pixels"})
    with pytest.raises(ValueError, match="a pixels network needs observations of 3 axes"):
        term(played(vectors(np.random.default_rng(7))))
