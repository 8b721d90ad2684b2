"""Policies that remember: what is read in order equals what was acted, and memory is used."""

import gymnasium as gym
import numpy as np
import pytest
import torch

from agents.experience import experience_of, judge, log_probs
from agents.impala import IMPALA
from agents.options import OptionError
from agents.policy import PolicyActor
from agents.ppo import PPO
from envs import rng as rand
from rollouts.build import build_agent
from rollouts.reward import Reward
from rollouts.sampler import Sampler
from tests.toys import Toy, Walk

torch.set_num_threads(1)
LSTM = {"lstm": 8, "network": {"hidden": [8]}}


class Recall(Toy):
    """A sign is shown once; `wait` rows later its player must name it, by 0 or 1, for a reward of 1."""

    parts = ("success",)
    saved = ("sign", "steps", "rng")

    def __init__(self, n=1, wait=3, seed=None):
        super().__init__(n, gym.spaces.Box(-1, 1, (2,), np.float32), gym.spaces.Discrete(2))
        self.wait, self.sign, self.steps = wait, np.zeros(n, np.int64), np.zeros(n, np.int64)
        self.rng = np.zeros(n, np.uint64)

    def _obs(self):
        shown = np.where(self.steps == 0, 2 * self.sign - 1, 0)
        return np.stack([shown, self.steps == self.wait], 1).astype(np.float32)

    def _draw(self, slots):
        draws = self.rng[slots]
        self.sign[slots] = rand.uniform(draws) < 0.5
        self.rng[slots] = draws
        self.steps[slots] = 0

    def _begin(self, slots, seeds, options):
        self.rng[slots] = rand.from_seeds([s or 0 for s in seeds])
        self._draw(slots)

    def step(self, actions):
        over = self.steps == self.wait
        right = (over & (actions == self.sign)).astype(np.float32)
        final = self._obs()
        self.steps += 1
        self._draw(np.flatnonzero(over))
        info = {"parts": {"success": right}, "final_obs": final, "_final_obs": over}
        return self._obs(), right, over, np.zeros_like(over), info


def learner_for(env, kind=PPO, **options):
    return kind(env.single_observation_space, env.single_action_space, **options)


def collect(env, learner, times=2, **wants):
    """The last of several rollouts, so that episodes were in progress when it began."""
    sampler, reward = Sampler(env, seed=1), Reward({"env": 1.0})
    for _ in range(times):
        rollout = sampler.collect(learner.actor, **(wants or {"steps": 16}))
        reward(rollout)
    return rollout


@pytest.mark.parametrize("kind", [PPO, IMPALA])
def test_what_is_read_in_order_is_what_was_acted(kind):
    learner = learner_for(Walk(6), kind, **LSTM)
    rollout = collect(Walk(6), learner)
    assert rollout.memory["hidden"].shape == (6, 8)
    assert np.abs(rollout.memory["hidden"]).max() > 0.01
    experience = experience_of(rollout, learner.actor)
    now = log_probs(experience, learner.actor)
    np.testing.assert_allclose(now, rollout.fields["log_prob"], atol=1e-6)
    value, _ = judge(rollout, learner.actor)
    np.testing.assert_allclose(value, rollout.fields["value"], atol=1e-6)


def test_what_follows_a_row_is_valued_with_all_that_was_seen_until_then():
    env, learner = Walk(5), learner_for(Walk(5), **LSTM)
    rollout = collect(env, learner)
    _, following = judge(rollout, learner.actor)
    cut = [(t, i) for t, i in rollout.final_at if rollout.truncated[t, i]]
    assert cut
    final = {tuple(at): obs for at, obs in zip(rollout.final_at, rollout.final_obs)}

    def plain(t, i):
        """By acting all over again, from the first row on."""
        memory = {name: array[i : i + 1] for name, array in rollout.memory.items()}
        for s in range(t + 1):
            first = rollout.first[s, i : i + 1]
            memory = act(rollout.obs[s, i : i + 1], memory, first).memory
        last = final.get((t, i), rollout.obs[t + 1, i])
        return act(last[None], memory, np.zeros(1, bool)).fields["value"][0]

    def act(obs, memory, first):
        return learner.actor.act(obs, rng=rand.from_seeds([0]), first=first, memory=memory)

    for t, i in [*cut, (15, 0), (3, 2)]:
        if not rollout.terminated[t, i]:
            assert following[t, i] == pytest.approx(plain(t, i), abs=1e-6)


def test_who_did_not_decide_has_seen_nothing():
    learner = learner_for(Walk(4), **LSTM)
    rollout = collect(Walk(4), learner)
    rollout.valid[5:9, 1] = False
    before = log_probs(experience_of(rollout, learner.actor), learner.actor)
    rollout.obs[5:9, 1] = 1e3
    after = log_probs(experience_of(rollout, learner.actor), learner.actor)
    np.testing.assert_array_equal(before, after)


def test_a_part_of_the_slots_is_read_as_in_the_whole():
    learner = learner_for(Walk(6), **LSTM, minibatch_size=30, epochs=2)
    rollout = collect(Walk(6), learner)
    experience = experience_of(rollout, learner.actor)
    whole = log_probs(experience, learner.actor).reshape(-1)
    parts = list(learner._minibatches(experience))
    assert [len(p) for p in parts] == [32, 32, 16, 16] * 2
    for part in parts:
        assert len({int(i) % 6 for i in part}) * 16 == len(part)  # whole slots
        np.testing.assert_allclose(
            experience.evaluate(learner.actor, part)[0].detach().numpy(), whole[part], atol=1e-6
        )
    assert sorted(torch.cat(parts[:4]).tolist()) == list(range(96))


def test_the_gradient_of_the_state_goes_back_through_time_to_where_an_episode_began():
    learner = learner_for(Walk(3), **LSTM)
    rollout = collect(Walk(3), learner)
    obs = torch.tensor(rollout.obs[:-1], requires_grad=True)
    _, value, _ = learner.actor.unroll(obs, learner.actor.story(rollout))
    value.view(16, 3)[10, 0].backward()
    began = int(np.flatnonzero(rollout.first[:11, 0])[-1])
    moved = obs.grad[:, 0].abs().sum(-1) > 0
    assert moved[began:11].all()
    assert not moved[:began].any()
    assert not moved[11:].any()
    assert not obs.grad[:, 1:].any()


def test_memory_is_saved_with_games_in_progress():
    learner = learner_for(Recall(4), **LSTM)
    straight = Sampler(Recall(4), seed=3)
    straight.collect(learner.actor, steps=6)
    state = straight.get_state()
    expected = straight.collect(learner.actor, steps=9)
    resumed = Sampler(Recall(4), seed=3)
    resumed.set_state(state)
    rollout = resumed.collect(learner.actor, steps=9)
    np.testing.assert_array_equal(rollout.fields["value"], expected.fields["value"])
    np.testing.assert_array_equal(rollout.actions, expected.actions)


def test_an_actor_built_from_its_spec_remembers_too():
    learner = learner_for(Recall(4), **LSTM)
    env = Recall(4)
    twin = build_agent(learner.actor.spec(), env.single_observation_space, env.single_action_space)
    twin.load_weights(learner.weights())
    a, b = (Sampler(Recall(4), seed=3).collect(actor, steps=9) for actor in (learner.actor, twin))
    np.testing.assert_array_equal(a.fields["log_prob"], b.fields["log_prob"])


@pytest.mark.parametrize("kind", [PPO, pytest.param(IMPALA, marks=pytest.mark.slow)])
def test_a_sign_that_was_shown_is_remembered(kind):
    options = {
        PPO: {"n_steps": 16, "minibatch_size": 256, "lr": 5e-3},
        IMPALA: {"n_steps": 16, "minibatch_size": 128, "lr": 5e-3},
    }[kind]
    score = {}
    for lstm in (0, 16):
        learner = learner_for(Recall(64), kind, lstm=lstm, network={"hidden": [16]}, **options)
        sampler, reward, right = Sampler(Recall(64), seed=2), Reward({"env": 1.0}), []
        for i in range(80):
            learner.progress = i / 80
            rollout = sampler.collect(learner.actor, **learner.wants)
            reward(rollout)
            learner.learn(rollout)
            right += list(rollout.ended["return"])
        score[lstm] = np.mean(right[-1000:])
    assert score[0] < 0.6
    assert score[16] > 0.95


def test_what_does_not_go_with_memory_is_told():
    env = Walk(1)
    with pytest.raises(OptionError, match="share: false is for policies without lstm"):
        learner_for(env, lstm=4, share=False)
    actor = PolicyActor(env.single_observation_space, env.single_action_space, lstm=4)
    with pytest.raises(OptionError, match="which read decisions in their order"):
        actor.examples(Sampler(Walk(2), seed=0).collect(actor, steps=3))
