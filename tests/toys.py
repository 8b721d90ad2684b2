"""Small environments and agents whose answers are known by hand."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
from gymnasium.vector.utils import batch_space

from envs import rng as rand
from envs.base import BatchEnv, slot_seeds
from rollouts.agent import Agent, Decision


class Toy(BatchEnv):
    """What the toys share: seeds, masked resets, saving. A subclass gives `_begin(slots, seeds, options)`."""

    can_save = True
    saved: tuple[str, ...] = ()

    def __init__(self, n, observation_space, action_space):
        self.num_envs = n
        self.single_observation_space, self.single_action_space = observation_space, action_space
        self.observation_space, self.action_space = (
            batch_space(observation_space, n),
            batch_space(action_space, n),
        )

    def reset(self, *, seed=None, options=None):
        options = options or {}
        mask = options.get("reset_mask", np.ones(self.num_envs, bool))
        per_slot = options.get("slots") or [None] * self.num_envs
        seeds = slot_seeds(seed, self.num_envs)
        slots = np.flatnonzero(mask)
        self._begin(slots, [seeds[i] for i in slots], [per_slot[i] or {} for i in slots])
        return self._obs(), {}

    def get_state(self):
        return {k: np.array(getattr(self, k)) for k in self.saved}

    def set_state(self, state):
        for k in self.saved:
            setattr(self, k, np.array(state[k]))
        return self._obs()


class Walk(Toy):
    """A walk of random length: obs is [steps so far, length]; reward 1 a step; even lengths end, odd are cut.

    The part `success` is 1 at a true end.
    """

    parts = ("success",)
    saved = ("steps", "limit", "rng")

    def __init__(self, n=1, longest=6, seed=None):
        super().__init__(n, gym.spaces.Box(0, 99, (2,), np.float32), gym.spaces.Discrete(3))
        self.longest = longest
        self.steps, self.limit = np.zeros(n, np.int64), np.ones(n, np.int64)
        self.rng = np.zeros(n, np.uint64)

    def _obs(self):
        return np.stack([self.steps, self.limit], 1).astype(np.float32)

    def _new_limits(self, slots):
        draws = self.rng[slots]
        self.limit[slots] = 1 + (rand.uniform(draws) * self.longest).astype(np.int64)
        self.rng[slots] = draws
        self.steps[slots] = 0

    def _begin(self, slots, seeds, options):
        self.rng[slots] = rand.from_seeds([s or 0 for s in seeds])
        self._new_limits(slots)
        for slot, o in zip(slots, options):
            self.limit[slot] = o.get("length", self.limit[slot])

    def step(self, actions):
        assert len(actions) == self.num_envs
        self.steps += 1
        over = self.steps >= self.limit
        terminated, truncated = over & (self.limit % 2 == 0), over & (self.limit % 2 == 1)
        final = self._obs()
        self._new_limits(np.flatnonzero(over))
        info = {"final_obs": final, "parts": {"success": terminated.astype(np.float32)}}
        return self._obs(), np.ones(self.num_envs, np.float32), terminated, truncated, info


class Nim(Toy):
    """Two players take 1 or 2 stones in turn; who takes the last one wins +1, the other −1."""

    seats = 2
    parts = ("success",)
    saved = ("stones", "to_play", "rng")

    def __init__(self, n=1, most=7, seed=None):
        space = gym.spaces.Dict(
            planes=gym.spaces.Box(0, 9, (1,), np.float32),
            action_mask=gym.spaces.MultiBinary(2),
            to_play=gym.spaces.Discrete(2),
        )
        super().__init__(n, space, gym.spaces.Discrete(2))
        self.most = most
        self.stones, self.to_play = np.ones(n, np.int64), np.zeros(n, np.int64)
        self.rng = np.zeros(n, np.uint64)

    def _obs(self):
        return {
            "planes": self.stones[:, None].astype(np.float32),
            "action_mask": (self.stones[:, None] >= [1, 2]).astype(np.int8),
            "to_play": self.to_play.copy(),
        }

    def _deal(self, slots):
        draws = self.rng[slots]
        self.stones[slots] = 1 + (rand.uniform(draws) * self.most).astype(np.int64)
        self.rng[slots], self.to_play[slots] = draws, 0

    def _begin(self, slots, seeds, options):
        self.rng[slots] = rand.from_seeds([s or 0 for s in seeds])
        self._deal(slots)

    def step(self, actions, where=None):
        where = np.ones(self.num_envs, bool) if where is None else where
        take = np.where(where, np.asarray(actions) + 1, 0)
        assert (take <= self.stones).all(), "an illegal move"
        mover, self.stones = self.to_play.copy(), self.stones - take
        self.to_play = np.where(where, 1 - self.to_play, self.to_play)
        won = where & (self.stones == 0)
        final = self._obs()
        seat_rewards = np.zeros((self.num_envs, 2), np.float32)
        seat_rewards[won, mover[won]], seat_rewards[won, 1 - mover[won]] = 1, -1
        self._deal(np.flatnonzero(won))
        info = {
            "final_obs": final,
            "seat_rewards": seat_rewards,
            "parts": {"success": (won & (mover == 0)).astype(np.float32)},
        }
        return self._obs(), won.astype(np.float32), won, np.zeros(self.num_envs, bool), info


class Echo(Toy):
    """Text: the task says a word; say it back, letter by letter, over as many turns as it has letters."""

    parts = ("success", "format")
    saved = ()
    words = ("go", "hex", "move", "reward")

    def __init__(self, n=1, seed=None):
        super().__init__(n, gym.spaces.Text(40, min_length=0), gym.spaces.Text(8, min_length=0))
        self.word, self.at, self.right = ["go"] * n, [0] * n, [True] * n

    def _obs(self):
        return tuple(f"say {w}" if a == 0 else "next" for w, a in zip(self.word, self.at))

    def _begin(self, slots, seeds, options):
        for slot, seed, o in zip(slots, seeds, options):
            self.word[slot] = o.get("word") or self.words[(seed or 0) % len(self.words)]
            self.at[slot], self.right[slot] = 0, True

    def get_state(self):
        return {"word": list(self.word), "at": list(self.at), "right": list(self.right)}

    def set_state(self, state):
        self.word, self.at = list(state["word"]), list(state["at"])
        self.right = list(state["right"])
        return self._obs()

    def step(self, actions):
        n = self.num_envs
        rewards, over = np.zeros(n, np.float32), np.zeros(n, bool)
        parts = {"success": np.zeros(n, np.float32), "format": np.zeros(n, np.float32)}
        for i, said in enumerate(actions):
            self.right[i] &= said == self.word[i][self.at[i]]
            parts["format"][i] = len(said) == 1
            self.at[i] += 1
            over[i] = self.at[i] == len(self.word[i])
            rewards[i] = parts["success"][i] = over[i] and self.right[i]
        final = tuple("over" if o else "next" for o in over)
        self._begin(np.flatnonzero(over), [0] * n, [{}] * n)
        return self._obs(), rewards, over, np.zeros(n, bool), {"final_obs": final, "parts": parts}


class Speller(Agent):
    """Plays Echo: remembers the word (as codes) and how far it is; errs on a coin of the row's own."""

    def __init__(self, observation_space=None, action_space=None, error=0.0):
        self.error, self.asked = error, 0

    def act(self, obs, *, rng, first, memory=None, explore=True):
        n = len(first)
        self.asked += n
        memory = memory or {"word": np.zeros((n, 8), np.int64), "at": np.zeros(n, np.int64)}
        word, at = memory["word"].copy(), memory["at"].copy()
        for i in np.flatnonzero(first):
            codes = [ord(c) for c in obs[i].removeprefix("say ")]
            word[i], at[i] = codes + [0] * (8 - len(codes)), 0
        wrong = rand.uniform(rng) < (self.error if explore else 0.0)
        said = tuple("?" if w else chr(row[k]) for row, k, w in zip(word, at, wrong))
        tokens = np.array([[ord(c) for c in s] for s in said])
        fields = {"tokens": np.pad(tokens, [(0, 0), (0, int(at.max()))]), "log_prob": np.zeros((n, 1))}
        return Decision(said, {"word": word, "at": at + 1}, fields)

    def spec(self):
        return {"path": "tests.toys:Speller", "options": {"error": self.error}}


class Coin(Agent):
    """Acts uniformly over the legal actions by the rows' own generators; its memory counts its decisions."""

    def __init__(self, observation_space, action_space, device="cpu"):
        self.n_actions, self.bias = int(action_space.n), 0.0

    def act(self, obs, *, rng, first, memory=None, explore=True):
        n = len(first)
        count = np.where(first, 0, memory["count"] if memory else np.zeros(n, np.int64))
        u = rand.uniform(rng)
        mask = obs["action_mask"] if isinstance(obs, dict) else np.ones((n, self.n_actions))
        actions = (np.cumsum(mask / mask.sum(1, keepdims=True), 1) <= u[:, None]).sum(1)
        fields = {"u": u, "count": count, "bias": np.full(n, self.bias)}
        return Decision(actions, {"count": count + 1}, fields)

    def weights(self):
        return {"bias": np.array([self.bias])}

    def load_weights(self, weights):
        self.bias = float(weights["bias"][0])

    def spec(self):
        return {"path": "tests.toys:Coin", "options": {}}


def coin(env):
    """A Coin for `env`."""
    return Coin(env.single_observation_space, env.single_action_space)
