"""On a GPU: what learns on the CPU learns there, goes on from a checkpoint, plays alike, and seldom waits."""

import numpy as np
import pytest
import torch

import envs
from agents.dqn import DQN, RAINBOW
from agents.ppo import PPO
from envs.rng import from_seeds
from rollouts.build import build_agent
from rollouts.reward import Reward
from rollouts.sampler import Sampler
from rollouts.storage import load_tree, save_tree

gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
NETWORK = {"channels": 8, "hidden": 32}
OFTEN = {"replay_capacity": 2000, "learning_starts": 32, "target_every": 64, "network": NETWORK}
KINDS = {
    "ppo": (PPO, {"n_steps": 16, "minibatch_size": 32, "target_kl": 1.0, "network": NETWORK}),
    "ppo in bf16": (PPO, {"n_steps": 16, "minibatch_size": 32, "precision": "bf16", "network": NETWORK}),
    "dqn": (DQN, OFTEN),
    "rainbow": (DQN, {**OFTEN, **RAINBOW}),
}


def turn(learner, sampler, reward):
    rollout = sampler.collect(learner.actor, **learner.wants)
    reward(rollout)
    return rollout, learner.learn(rollout)


@gpu
@pytest.mark.parametrize("case", KINDS)
def test_it_learns_on_a_gpu_and_goes_on_from_a_checkpoint(case, tmp_path):
    kind, options = KINDS[case]
    env = envs.make("arcade/Breakout-v1", n=8, seed=0)
    spaces = env.single_observation_space, env.single_action_space
    learner, sampler, reward = (
        kind(*spaces, device="cuda", **options),
        Sampler(env, seed=1),
        Reward({"env": 1.0}),
    )
    before = learner.weights()
    for _ in range(6):
        metrics = turn(learner, sampler, reward)[1]
    assert np.isfinite(list(metrics.values())).all()
    after = learner.weights()
    assert any((before[name] != after[name]).any() for name in before)
    (tmp_path / "state").mkdir()
    save_tree(tmp_path / "state", learner.state_dict(), tmp_path / "segments")
    again = kind(*spaces, device="cuda", seed=9, **options)
    again.load_state_dict(load_tree(tmp_path / "state", tmp_path / "segments"))
    rollout, metrics = turn(learner, sampler, reward)
    assert again.learn(rollout) == pytest.approx(metrics, rel=0.02, abs=1e-3)


@gpu
@pytest.mark.parametrize("case", ["ppo", "rainbow"])
def test_an_actor_plays_alike_on_both(case):
    kind, options = KINDS[case]
    env = envs.make("arcade/Breakout-v1", n=64, seed=0)
    spaces = env.single_observation_space, env.single_action_space
    learner, obs = kind(*spaces, device="cuda", **options), env.reset(seed=0)[0]
    actor = build_agent(learner.actor.spec(), *spaces)
    actor.load_weights(learner.weights())
    played = [
        x.act(obs, rng=from_seeds(range(64)), first=np.zeros(64, bool), explore=False).actions
        for x in (learner, actor)
    ]
    assert (played[0] == played[1]).mean() > 0.95


def counting(read, reads):
    def counted(x):
        reads.append(1)
        return read(x)

    return counted


@pytest.mark.parametrize("case", ["ppo", "dqn"])
def test_a_number_is_read_once_a_minibatch_for_which_a_gpu_would_make_the_host_wait(case, monkeypatch):
    kind, options = KINDS[case]
    env = envs.make("arcade/Breakout-v1", n=8, seed=0)
    learner = kind(env.single_observation_space, env.single_action_space, **options)
    sampler, reward, reads = Sampler(env, seed=1), Reward({"env": 1.0}), []
    for _ in range(3):
        turn(learner, sampler, reward)
    rollout = sampler.collect(learner.actor, **learner.wants)
    reward(rollout)
    for name in ("__float__", "__int__", "__bool__", "item", "tolist"):
        monkeypatch.setattr(torch.Tensor, name, counting(getattr(torch.Tensor, name), reads))
    begun = getattr(learner, "gradient_steps", 0)
    metrics = learner.learn(rollout)
    monkeypatch.undo()
    steps = metrics.get("gradient_steps") or learner.gradient_steps - begun
    assert steps > 4
    assert len(reads) == steps + 1  # and once for the metrics
