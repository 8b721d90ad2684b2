"""Walks that go wrong where a file says so, who learns on them, and a ledger that keeps to the rules."""

from __future__ import annotations

import os
import time
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from envs import rng as rand
from rollouts.agent import Agent, Decision, Learner
from tests.toys import Coin, Walk

KINDS = ("die", "hang", "raise")


class Faulty(Walk):
    """A walk in which, after `after` steps, the first to take the file of a fault's name has that fault.

    Whoever takes the file `slow` takes `nap` seconds a step from then on.
    """

    def __init__(self, n=1, folder="", after=0, nap=0.2, longest=6, seed=None):
        super().__init__(n, longest=longest)
        self.folder, self.after, self.nap, self.taken = Path(folder), after, nap, 0
        self.slow = self.takes("slow")

    def takes(self, name):
        """Whether this one was the first to take it."""
        try:
            os.unlink(self.folder / name)
        except OSError:
            return False
        return True

    def step(self, actions):
        self.taken += 1
        if self.taken > self.after:
            self.slow |= self.takes("slow")
            if self.takes("die"):
                os._exit(1)
            if self.takes("hang"):
                time.sleep(1e6)
            if self.takes("raise") or (self.folder / "always").exists():
                raise ZeroDivisionError("the walk\nwent wrong")
        if self.slow:
            time.sleep(self.nap)
        return super().step(actions)


class Signs(Faulty):
    """A faulty walk that shows one of three signs at a time, and pays 1 for the action of its number, else 0.

    Each observation has `wide` numbers more, that say nothing: large answers stay where they were made.
    """

    def __init__(self, n=1, wide=0, **options):
        super().__init__(n, **options)
        self.wide = wide
        self.single_observation_space = gym.spaces.Box(0, 99, (5 + wide,), np.float32)
        self.observation_space = gym.spaces.Box(0, 99, (n, 5 + wide), np.float32)

    @property
    def sign(self):
        return (self.steps * 7 + self.limit) % 3

    def _obs(self):
        return np.concatenate(
            [super()._obs(), np.eye(3)[self.sign], np.zeros((self.num_envs, self.wide))], 1
        ).astype(np.float32)

    def step(self, actions):
        right = np.asarray(actions) == self.sign
        obs, _, *rest = super().step(actions)
        return obs, right.astype(np.float32), *rest


class HabitActor(Agent):
    """Answers each sign by its own odds."""

    def __init__(self, observation_space, action_space, *, device="cpu"):
        self.odds = np.zeros((3, 3))

    def act(self, obs, *, rng, first, memory=None, explore=True):
        chances = self.chances(obs)
        drawn = rand.uniform(rng)[:, None] if explore else 0.5
        return Decision((chances.cumsum(1) < drawn).sum(1).clip(max=2))

    def chances(self, obs):
        """`[n, 3]`."""
        odds = np.exp(obs[:, 2:5] @ self.odds)
        return odds / odds.sum(1, keepdims=True)

    def weights(self):
        return {"odds": self.odds.copy()}

    def load_weights(self, weights):
        self.odds = np.array(weights["odds"])


class Habit(Learner):
    """Learns to answer signs, by REINFORCE, without torch: its workers begin in no time."""

    def __init__(self, observation_space, action_space, *, seed=0, device="cpu", n_steps=6, lr=0.05):
        self.actor, self.lr = HabitActor(observation_space, action_space), lr
        self.wants = {"steps": n_steps}

    def learn(self, rollout):
        obs, actions, rewards = (
            x[rollout.valid] for x in (rollout.obs[:-1], rollout.actions, rollout.rewards)
        )
        push = (rewards - rewards.mean())[:, None] * (np.eye(3)[actions] - self.actor.chances(obs))
        self.actor.odds = self.actor.odds + self.lr * obs[:, 2:5].T @ push
        return {}

    def state_dict(self):
        return self.actor.weights()

    def load_state_dict(self, state):
        self.actor.load_weights(state)


def faulty(folder, **options):
    """The environment, as a fleet takes it."""
    return {"id": "tests.faults:Faulty", "folder": str(folder), **options}


class ByVersion(Coin):
    """Its weights say which version they are of."""

    def spec(self):
        return {"path": "tests.faults:ByVersion", "options": {}}


class Ledger:
    """Looks at every rollout of steps that a fleet of walks gives.

    No step is torn or missing in a slot's stream: an episode goes on where it was, or is never seen again.
    """

    def __init__(self, workers):
        self.workers, self.rows = workers, 0
        self.last: dict[int, tuple[int, int]] = {}  # by slot: the episode that goes on, and steps made in it
        self.over: set[int] = set()
        self.lost: set[int] = set()
        self.seeds: dict[int, set[int]] = {}  # by the number of the worker
        self.paid: dict[int, list[float]] = {}  # by episode that goes on, row by row

    def add(self, r):
        """Hold one rollout to the rules."""
        for part in np.split(r.valid, self.workers, axis=1):
            assert part.all() or not part.any()  # a whole request, or nothing
        if "bias" in r.fields:
            assert (r.fields["bias"] == r.version)[r.valid].all()
        for slot in range(r.shape[1]):
            for t in np.flatnonzero(r.valid[:, slot]):
                self.row(r, t, slot)
        self.rows += r.decisions
        assert sorted(r.ended["episode"]) == sorted(r.episode[(r.terminated | r.truncated) & r.valid])
        for episode, length, total in zip(*(r.ended[name] for name in ("episode", "length", "return"))):
            paid = self.paid.pop(int(episode))
            assert (length, total) == (len(paid), pytest.approx(sum(paid)))
        return r

    def row(self, r, t, slot):
        episode, (steps, limit) = int(r.episode[t, slot]), r.obs[t, slot][:2].astype(int)
        assert episode not in self.over
        assert episode not in self.lost
        self.paid.setdefault(episode, []).append(float(r.env_rewards[t, slot]))
        before = self.last.pop(slot, None)
        if before is not None and before[0] == episode:
            assert before[1] == steps
        else:
            assert steps == 0
            assert r.first[t, slot]
            if before is not None:
                self.lost.add(before[0])
                self.paid.pop(before[0])
        if r.terminated[t, slot] or r.truncated[t, slot]:
            assert steps + 1 == limit
            self.over.add(episode)
        else:
            self.last[slot] = (episode, steps + 1)
        self.seeds.setdefault(episode >> 40, set()).add(int(r.seed[t, slot]))

    def check_seeds(self):
        """No two workers ever played by the same seeds."""
        every = [seed for seeds in self.seeds.values() for seed in seeds]
        assert len(every) == len(set(every))
