"""Small PettingZoo environments whose answers are known by hand."""

from __future__ import annotations

import numpy as np
from gymnasium.spaces import Box, Dict, Discrete
from pettingzoo import AECEnv, ParallelEnv
from pettingzoo.utils import AgentSelector


class Turns(AECEnv):
    """What the turn-based toys share: agents move round and round until all have left."""

    metadata = {"name": "turns_v0", "is_parallelizable": False}  # noqa: RUF012
    render_mode = None

    def __init__(self, agents):
        self.possible_agents = [f"player_{i}" for i in range(agents)]

    def observation_space(self, agent):
        return self.observation_spaces[agent]

    def action_space(self, agent):
        return self.action_spaces[agent]

    def _begin(self, seed):
        if seed is not None:
            self.rng = np.random.default_rng(seed)
        self.agents = self.possible_agents[:]
        self.rewards, self._cumulative_rewards = dict.fromkeys(self.agents, 0), dict.fromkeys(self.agents, 0)
        self.terminations, self.truncations = (
            dict.fromkeys(self.agents, False),
            dict.fromkeys(self.agents, False),
        )
        self.infos = {agent: {} for agent in self.agents}
        self._order = AgentSelector(self.agents)
        self.agent_selection = self._order.next()

    def step(self, action):
        mover = self.agent_selection
        if self.terminations[mover] or self.truncations[mover]:
            self._was_dead_step(action)
            self._order.reinit(self.agents)
            if self.agents and not (
                self.terminations[self.agent_selection] or self.truncations[self.agent_selection]
            ):
                while self._order.next() != self.agent_selection:
                    pass
            return
        self._cumulative_rewards[mover] = 0
        self._clear_rewards()
        self._move(mover, action)
        self.agent_selection = self._order.next()
        self._accumulate_rewards()
        self._deads_step_first()


class Gifts(Turns):
    """Three agents give: action `a` is worth `a` to everyone but the mover, and costs the mover 1.

    Agent `i` terminates after `lives[i]` moves of its own; all are truncated after `limit` moves. obs is
    [agent from 1, its moves, the game's random number]; the mask (in the info) forbids its last action.
    """

    def __init__(self, lives=(2, 3, 5), limit=99):
        super().__init__(len(lives))
        self.lives, self.limit = lives, limit
        self.observation_spaces = dict.fromkeys(self.possible_agents, Box(-9, 99, (3,), np.float32))
        self.action_spaces = dict.fromkeys(self.possible_agents, Discrete(3))

    def reset(self, seed=None, options=None):
        self._begin(seed)
        self.number = (options or {}).get("number", int(self.rng.integers(50)))
        self.moves = dict.fromkeys(self.agents, 0)
        for agent in self.agents:
            self.infos[agent] = {"action_mask": np.array([1, 1, 1], np.int8)}

    def observe(self, agent):
        return np.array([1 + int(agent[-1]), self.moves[agent], self.number], np.float32)

    def _move(self, mover, action):
        assert self.infos[mover]["action_mask"][action], "an illegal move"
        self.moves[mover] += 1
        self.rewards = {agent: action if agent != mover else -1 for agent in self.agents}
        self.infos[mover]["action_mask"] = np.array([a != action for a in range(3)], np.int8)
        self.terminations[mover] = self.moves[mover] == self.lives[int(mover[-1])]
        if sum(self.moves.values()) >= self.limit:
            self.truncations = dict.fromkeys(self.agents, True)


class Relay(Turns):
    """Two agents, one aim: the first sees a bit, the second only what the first then did.

    Both get 1 where the second does as the bit says. Random play gets a half, perfect play 1.
    """

    def __init__(self):
        super().__init__(2)
        self.observation_spaces = dict.fromkeys(self.possible_agents, Box(0, 1, (3,), np.float32))
        self.action_spaces = dict.fromkeys(self.possible_agents, Discrete(2))

    def reset(self, seed=None, options=None):
        self._begin(seed)
        self.bit, self.said = int(self.rng.integers(2)), None

    def observe(self, agent):
        second = agent == self.possible_agents[1]
        seen = self.said if second else self.bit
        return np.array([second, seen == 0, seen == 1], np.float32)

    def _move(self, mover, action):
        if mover == self.possible_agents[1]:
            self.rewards = dict.fromkeys(self.agents, int(action == self.bit))
            self.terminations = dict.fromkeys(self.agents, True)
        self.said = action if self.said is None else self.said


class Beacons(ParallelEnv):
    """Each agent sees its own beacon (0, 1 or 2, drawn anew each step) and gets 1 for naming it.

    Agent `i` terminates after `lives[i]` steps; who is left after `limit` steps is truncated. Perfect play
    gets `lives[i]` (or `limit`). Without a seed a reset is random: whoever forgets one notices.
    """

    metadata = {"name": "beacons_v0"}  # noqa: RUF012
    render_mode = None

    def __init__(self, lives=(2, 9), limit=5, kinds=3):
        self.lives, self.limit, self.kinds = lives, limit, kinds
        self.possible_agents = [f"agent_{i}" for i in range(len(lives))]
        self.seen = Dict(observation=Box(0, 1, (kinds,), np.float32), time=Discrete(limit + 1))
        self.choices = Discrete(kinds, start=1)

    def observation_space(self, agent):
        return self.seen

    def action_space(self, agent):
        return self.choices

    def reset(self, seed=None, options=None):
        self.rng, self.time = np.random.default_rng(seed), 0
        self.agents = self.possible_agents[:]
        return self._observe(self.agents), {agent: {} for agent in self.agents}

    def step(self, actions):
        assert set(actions) == set(self.agents)
        before, self.time = self.agents, self.time + 1
        rewards = {a: float(actions[a] - 1 == self.lit[a]) for a in before}
        terminated = {a: self.time >= self.lives[int(a[-1])] for a in before}
        truncated = {a: self.time >= self.limit and not terminated[a] for a in before}
        self.agents = [a for a in before if not (terminated[a] or truncated[a])]
        return self._observe(before), rewards, terminated, truncated, {a: {} for a in before}

    def _observe(self, agents):
        self.lit = {a: int(self.rng.integers(self.kinds)) for a in agents}
        return {
            a: {"observation": np.eye(self.kinds, dtype=np.float32)[self.lit[a]], "time": self.time}
            for a in agents
        }


class Stained(Beacons):
    """A reset does not take back everything: its time starts where the last game's stopped."""

    def reset(self, seed=None, options=None):
        before = getattr(self, "time", 0)
        super().reset(seed, options)
        self.time = before % 3
        return self._observe(self.agents), {agent: {} for agent in self.agents}


class Unequal(Beacons):
    """Its agents differ in their actions."""

    def action_space(self, agent):
        return Discrete(2 + int(agent[-1]))


class Wide(ParallelEnv):
    """Two agents with numbers for actions, which are their rewards; it ends after 5 steps."""

    metadata = {"name": "wide_v0"}  # noqa: RUF012
    render_mode = None
    possible_agents = ("left", "right")
    seen, choices = Box(-1, 1, (2,), np.float32), Box(-1, 1, (1,), np.float32)

    def observation_space(self, agent):
        return self.seen

    def action_space(self, agent):
        return self.choices

    def reset(self, seed=None, options=None):
        self.agents, self.time = list(self.possible_agents), 0
        self.obs = np.random.default_rng(seed).uniform(-1, 1, 2).astype(np.float32)
        return dict.fromkeys(self.agents, self.obs), {a: {} for a in self.agents}

    def step(self, actions):
        assert all(self.choices.contains(action) for action in actions.values())
        self.time += 1
        self.obs *= -0.5  # one buffer for ever: whoever keeps it sees it change
        over = dict.fromkeys(self.agents, self.time == 5)
        answer = dict.fromkeys(self.agents, self.obs), {a: float(x[0]) for a, x in actions.items()}
        infos = {a: {} for a in self.agents}
        self.agents = [] if self.time == 5 else self.agents
        return *answer, over, dict.fromkeys(over, False), infos
