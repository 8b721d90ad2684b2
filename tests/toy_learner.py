"""A learner small enough to know by hand, for tests of what is around it."""

from __future__ import annotations

import numpy as np

from envs import rng as rand
from rollouts.agent import Agent, Decision, Learner


class ToyActor(Agent):
    """Plays action `a` of three with a chance that grows with the weight `bias[a]`."""

    def __init__(self, observation_space, action_space, *, device="cpu"):
        self.bias = np.zeros(3)

    def act(self, obs, *, rng, first, memory=None, explore=True):
        noise = rand.uniform(rng, 3) if explore else np.zeros((len(first), 3))
        return Decision(np.argmax(self.bias + noise, axis=1))

    def weights(self):
        return {"bias": self.bias.copy()}

    def load_weights(self, weights):
        if np.shape(weights["bias"]) != (3,):
            raise ValueError(f"bias is of shape {np.shape(weights['bias'])}, not (3,)")
        self.bias = np.array(weights["bias"])


class ToyLearner(Learner):
    """Moves each bias by its own noise times the mean reward."""

    def __init__(
        self,
        observation_space,
        action_space,
        *,
        seed: int = 0,
        device: str = "cpu",
        n_steps: int = 4,
        lr: float = 0.1,
        layers: tuple[int, ...] = (3,),
        nan_at: int | None = None,
    ) -> None:
        if lr <= 0:
            raise ValueError(f"lr must be above 0, not {lr}")
        self.actor = ToyActor(observation_space, action_space)
        self.wants = {"steps": n_steps}
        self.generator, self.lr, self.layers = np.random.default_rng(seed), lr, list(layers)
        self.nan_at, self.updates = nan_at, 0

    def learn(self, rollout):
        if self.updates == self.nan_at:
            raise FloatingPointError("the gradient is not finite")
        self.updates += 1
        noise = self.generator.standard_normal(3)
        self.actor.bias = self.actor.bias + self.lr * noise * rollout.rewards[rollout.valid].mean()
        return {"lr": self.lr * (1 - self.progress), "noise": float(noise[0])}

    def state_dict(self):
        return {
            "actor": self.actor.weights(),
            "generator": self.generator.bit_generator.state,
            "updates": self.updates,
            "layers": self.layers,
        }

    def load_state_dict(self, state):
        if state["layers"] != self.layers:
            raise ValueError(f"the network has layers {state['layers']}, not {self.layers}")
        self.actor.load_weights(state["actor"])
        self.generator.bit_generator.state = state["generator"]
        self.updates = state["updates"]


def toy_config(**changes):
    """A run of the toy learner on walks: 16 steps an update, a line each, 160 steps in all."""
    config = {
        "env": {"id": "tests.toys:Walk", "n": 4},
        "agent": {"kind": "tests.toy_learner:ToyLearner"},
        "budget": {"env_steps": 160},
        "log": {"every": 16},
        "device": "cpu",
        "threads": 1,
    }
    return {k: v for k, v in (config | changes).items() if v is not None}
