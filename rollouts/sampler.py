"""Plays an agent in an environment and returns rollouts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from envs.base import BatchEnv
from envs.rng import from_seeds, uniform
from rollouts import tree
from rollouts.agent import Agent, Memory, Metrics
from rollouts.problems import Problem, Problems, Uniform, seeds_from
from rollouts.recorder import Accounts, Recorder, Row
from rollouts.rollout import Rollout
from rollouts.seat import Seat

WORKER_SHIFT = 40  # an episode's id is its worker's number above this bit, a counter below


class Sampler:
    """Plays in one batched environment, in this process.

    `collect(agent, steps=T)` gives fragments: an episode goes on in the next one. `collect(agent, episodes=E,
    group_size=G)` gives whole episodes: E / G problems, each tried G times, assigned to slots in advance (so
    that short episodes are not over-sampled).

    `seed` and `worker` fix every episode and every random choice; equal ones give equal rollouts. Whole
    episodes are truncated after `longest` rows, for there are games that a player never ends.
    """

    def __init__(
        self,
        env: BatchEnv,
        *,
        seed: int = 0,
        worker: int = 0,
        problems: Problems | None = None,
        longest: int | None = None,
    ) -> None:
        self.longest = longest
        self.env, self.seed, self.worker = env, int(seed), int(worker)
        self.n, self.seats = env.num_envs, env.seats
        self.problems: Problems = problems or Uniform(int(seeds_from([seed, worker, 2], 1)[0]))
        self.version, self.episodes, self.restarts = 0, 0, 0
        self.told: Metrics = {}
        """What the stream of problems has to say of the last rollout."""
        self.obs: Any = None
        self._odds: Sequence[float] | None = None
        self._all = np.arange(self.n)

    # -- what others use -------------------------------------------------------------------------------

    def collect(
        self,
        agent: Agent,
        *,
        steps: int | None = None,
        episodes: int | None = None,
        group_size: int = 1,
        opponents: Sequence[Agent] = (),
        odds: Sequence[float] | None = None,
        explore: bool = True,
        keep_obs: bool = True,
    ) -> Rollout:
        """Play `steps` rows in every slot, or `episodes` whole episodes.

        With `opponents`, each episode has one of them in the seats that `agent` does not hold (its own seat
        alternates, but in groups it is the one that is to move first): they take turns, or are drawn by
        `odds`, a weight each, one for each group. Games in progress go on with whom
        they began with, by the place in the list, which may grow. Without any, `agent` holds every seat.
        `keep_obs=False` leaves out what only learning needs (obs and final obs). Raises `ValueError` for
        numbers that do not fit together.
        """
        if (steps is None) == (episodes is None):
            raise ValueError("collect needs either steps= or episodes=")
        if opponents and self.seats == 1:
            raise ValueError("this environment has one seat: there is no place for opponents")
        if not opponents and self.seats > 2:
            raise ValueError(
                f"self-play is for two seats, where one's gain is the other's loss; here are {self.seats}: "
                "give opponents"
            )
        if odds is not None and (len(odds) != len(opponents) or min(odds) < 0 or not sum(odds) > 0):
            raise ValueError(f"{len(opponents)} opponents need as many odds, none below 0, not {list(odds)}")
        self._odds = odds
        if steps is not None:
            return self._collect_steps(agent, steps, opponents, explore, keep_obs)
        assert episodes is not None
        if episodes < 1 or episodes % group_size:
            raise ValueError(f"{episodes} episodes cannot be shared out in groups of {group_size}")
        return self._collect_episodes(agent, episodes, group_size, opponents, explore, keep_obs)

    def sync(self, learner: Agent) -> None:
        """The agent that acts here is the learner's own: only the version of its weights moves on."""
        self.version += 1

    def restart(self) -> None:
        """Let games in progress be: a stream of steps begins anew, with other ones."""
        self.obs, self.restarts = None, self.restarts + 1

    def get_state(self) -> dict[str, Any]:
        """Everything that the coming rollouts depend on; `env` is None where it cannot be saved."""
        state: dict[str, Any] = {
            "version": self.version,
            "episodes": self.episodes,
            "restarts": self.restarts,
            "problems": self.problems.get_state(),
            "playing": self.obs is not None,
        }
        if self.obs is None or not self.env.can_save:
            return state | {"env": None}
        slots = {name: getattr(self, name).copy() for name in _SLOT_ARRAYS}
        chairs = [{"first": c.first.copy(), "memory": c.memory} for c in self._chairs]
        return state | {
            "env": self.env.get_state(),
            "slots": slots,
            "chairs": chairs,
            "accounts": self._accounts.get_state(),
        }

    def set_state(self, state: Mapping[str, Any]) -> bool:
        """Go on from what `get_state` gave. False where games in progress had to start afresh."""
        self.version, self.episodes = int(state["version"]), int(state["episodes"])
        self.restarts = int(state["restarts"])
        self.problems.set_state(state["problems"])
        self.obs = None
        if state["env"] is None:
            self.restarts += int(state["playing"])  # fresh games, by fresh seeds
            return not state["playing"]
        self._clear([self.seats > 1 and len(saved["first"]) == self.n for saved in state["chairs"]])
        self.obs = self.env.set_state(state["env"])
        for name in _SLOT_ARRAYS:
            setattr(self, name, np.array(state["slots"][name]))
        for chair, saved in zip(self._chairs, state["chairs"]):
            chair.first, chair.memory = np.array(saved["first"]), tree.copy(saved["memory"])
        self._accounts.set_state(state["accounts"])
        return True

    # -- the two ways to collect -----------------------------------------------------------------------

    def _collect_steps(
        self, agent: Agent, steps: int, opponents: Sequence[Agent], explore: bool, keep_obs: bool
    ) -> Rollout:
        recorder = Recorder(keep_obs)
        if self.obs is None:
            self._start(agent, opponents, explore, recorder)
        elif (len(self._chairs) > 1) != bool(opponents) or len(self._chairs) > 1 + len(opponents):
            raise ValueError("games in progress go on with all the opponents that they began with")
        for newcomer in opponents[len(self._chairs) - 1 :]:
            self._chairs.append(Seat(self.n, self.seats, newcomer.shares_memory))
        memory = self._chairs[0].memory
        for _ in range(steps):
            self._row(agent, opponents, self._all, explore, recorder, self._go_on)
        return self._finish(recorder, memory)

    def _collect_episodes(
        self,
        agent: Agent,
        episodes: int,
        group_size: int,
        opponents: Sequence[Agent],
        explore: bool,
        keep_obs: bool,
    ) -> Rollout:
        problems = self.problems.take(episodes // group_size)
        self._clear([a.shares_memory for a in (agent, *opponents)])
        self._next = np.arange(self.n)  # slot i plays the episodes i, i + n, i + 2n, …
        first_id, self.episodes = self.episodes, self.episodes + episodes

        def begin(slots: np.ndarray) -> None:
            slots = slots[self._next[slots] < episodes]
            tries = self._next[slots]
            self._next[slots] += self.n
            self._live[slots] = True
            if len(slots):
                named = [problems[t // group_size] for t in tries]
                ids = first_id + tries
                groups = self._ids(ids - tries % group_size) if group_size > 1 else -1
                self._begin_problems(slots, named, ids, groups, ids // group_size)

        def end(slots: np.ndarray) -> None:
            self._live[slots] = False
            begin(slots)

        self._live[:] = False
        begin(self._all)
        recorder = Recorder(keep_obs)
        self._reply(opponents, explore, recorder, end)
        while self._live.any():
            slots = self._all if self._live.all() else np.flatnonzero(self._live)
            self._row(agent, opponents, slots, explore, recorder, end, self.longest)
        if not recorder.length:
            raise ValueError(f"in none of the {episodes} episodes was it ever the agent's turn")
        rollout = self._finish(recorder, None)
        self.restart()
        self.told = self.problems.learn(rollout)
        return rollout

    # -- one row ---------------------------------------------------------------------------------------

    def _row(
        self,
        agent: Agent,
        opponents: Sequence[Agent],
        slots: np.ndarray,
        explore: bool,
        recorder: Recorder,
        end: Any,
        longest: int | None = None,
    ) -> None:
        """One decision of the agent in `slots`, and all that follows until its next one."""
        chair, seat, valid = self._chairs[0], self._to_play(self.obs), self._live.copy()
        first = chair.first[chair.lanes(self._all, seat)]
        before = {"first": first & valid, "valid": valid, "episode": self._episode.copy()}
        recorder.before(self.obs, group=self._group.copy(), seed=self._seed.copy(), **before)
        decision = chair.decide(agent, self.obs, self._rng, slots, seat, explore)
        actions, fields = decision.actions, dict(decision.fields)
        if len(slots) < self.n:
            actions = tree.scatter(actions, slots, self.n)
            fields = {k: tree.scatter(v, slots, self.n) for k, v in fields.items()}
        row = self._step(actions, valid, seat)
        if opponents:
            self._answer(row, valid, seat, opponents, explore)
        self._accounts.add(row, valid)
        if longest is not None:
            self._cut(row, valid & (self._accounts.lengths >= longest))
        recorder.after(actions, fields, row)
        ended = np.flatnonzero((row.terminated | row.truncated) & valid)
        if len(ended):
            recorder.close(self._account(ended))
            end(ended)
        if opponents:
            self._reply(opponents, explore, recorder, end)

    def _step(self, actions: Any, where: np.ndarray, seat: np.ndarray) -> Row:
        """Step the environment in the slots `where`; `seat` is the agent's there."""
        if self.seats == 1:
            obs, rewards, terminated, truncated, info = self.env.step(actions)
            rewards = rewards[:, None]
        else:
            obs, _, terminated, truncated, info = self.env.step(actions, where=where)  # type: ignore
            rewards = info["seat_rewards"]
        parts = dict(info.get("parts", {}))
        if not where.all():
            terminated, truncated = terminated & where, truncated & where
            rewards = np.where(where[:, None], rewards, 0).astype(np.float32)
            parts = {name: np.where(where, part, 0).astype(np.float32) for name, part in parts.items()}
        ended = terminated | truncated
        final_obs = info["final_obs"] if ended.any() else None
        self.obs = obs
        sign = np.ones(self.n, np.float32)
        if self.seats > 1:
            following = self._to_play(obs)
            if final_obs is not None:
                following = np.where(ended, self._to_play(final_obs), following)
            sign[following != seat] = -1.0
        return Row(rewards, seat, terminated, truncated, sign, final_obs, parts)

    def _cut(self, row: Row, late: np.ndarray) -> None:
        """Truncate the `late` episodes, but for those that have just ended by themselves."""
        late = late & ~row.terminated & ~row.truncated
        if late.any():
            slots, row.truncated = np.flatnonzero(late), row.truncated | late
            base = tree.blank(self.obs, self.n) if row.final_obs is None else row.final_obs
            row.final_obs = tree.put(base, slots, tree.take(self.obs, slots))

    def _answer(
        self, row: Row, valid: np.ndarray, seat: np.ndarray, opponents: Sequence[Agent], explore: bool
    ) -> None:
        """Let the opponents move until each game is back at `seat` or over; their moves are part of `row`."""
        while True:
            ended = row.terminated | row.truncated
            waiting = valid & ~ended & (self._to_play(self.obs) != seat)
            if not waiting.any():
                return
            actions = self._opponents_act(opponents, waiting, explore)
            more = self._step(actions, waiting, seat)
            row.seat_rewards = row.seat_rewards + more.seat_rewards
            row.sign = np.where(waiting, more.sign, row.sign)
            row.terminated, row.truncated = row.terminated | more.terminated, row.truncated | more.truncated
            row.parts = {name: value + more.parts[name] for name, value in row.parts.items()}
            if more.final_obs is not None:
                slots = np.flatnonzero(more.terminated | more.truncated)
                base = more.final_obs if row.final_obs is None else row.final_obs
                row.final_obs = tree.put(base, slots, tree.take(more.final_obs, slots))

    def _reply(self, opponents: Sequence[Agent], explore: bool, recorder: Recorder, end: Any) -> None:
        """Let the opponents open games in which the agent's seat does not move first.

        A game that is over before the agent's turn has an account, but no row.
        """
        while opponents:
            waiting = self._live & (self._to_play(self.obs) != self._seat)
            if not waiting.any():
                return
            row = self._step(self._opponents_act(opponents, waiting, explore), waiting, self._seat)
            self._accounts.add(row, np.zeros(self.n, bool))
            over = np.flatnonzero(row.terminated | row.truncated)
            if len(over):
                recorder.close(self._account(over))
                end(over)

    def _opponents_act(self, opponents: Sequence[Agent], waiting: np.ndarray, explore: bool) -> Any:
        to_play, out = self._to_play(self.obs), None
        for i, opponent in enumerate(opponents):
            slots = np.flatnonzero(waiting & (self._opponent == i))
            if len(slots):
                chair = self._chairs[1 + i]
                actions = chair.decide(opponent, self.obs, self._rng, slots, to_play, explore).actions
                out = tree.put(tree.blank(actions, self.n) if out is None else out, slots, actions)
        return out

    # -- slots and episodes ----------------------------------------------------------------------------

    def _clear(self, shared: Sequence[bool]) -> None:
        """Empty slots and chairs; `shared` says of each agent whether it shares its memory among seats."""
        self._chairs = [Seat(self.n, self.seats, s) for s in shared]
        self._accounts = Accounts(self.n, self.seats, self.env.parts)
        self._live = np.ones(self.n, bool)
        self._rng = np.zeros(self.n, np.uint64)
        self._episode, self._seed = np.zeros(self.n, np.int64), np.zeros(self.n, np.int64)
        self._group = np.full(self.n, -1, np.int64)
        self._seat, self._opponent = np.zeros(self.n, np.int64), np.zeros(self.n, np.int64)

    def _start(self, agent: Agent, opponents: Sequence[Agent], explore: bool, recorder: Recorder) -> None:
        """Begin a stream of steps: every slot by its own seed."""
        self._clear([a.shares_memory for a in (agent, *opponents)])
        seeds = seeds_from([self.seed, self.worker, 0, self.restarts], 2 * self.n)
        self._seed, self._rng = seeds[: self.n].copy(), seeds[self.n :].astype(np.uint64)
        self.obs, _ = self.env.reset(seed=self._seed.tolist())
        self._go_on(self._all)
        self._reply(opponents, explore, recorder, self._go_on)

    def _go_on(self, slots: np.ndarray) -> None:
        """The environment has begun new episodes in `slots` by itself: give them ids and seats."""
        ids = self.episodes + np.arange(len(slots))
        self.episodes += len(slots)
        self._name(slots, ids, ids)

    def _begin_problems(
        self, slots: np.ndarray, problems: Sequence[Problem], ids: np.ndarray, groups: Any, turns: np.ndarray
    ) -> None:
        """Begin named problems in `slots`; an episode's randomness is its own, whatever its slot.

        Those of a group face one position, so the agent has the seat that is to move there, against one
        opponent, by whose `turns` it is.
        """
        mask = np.zeros(self.n, bool)
        mask[slots] = True
        seeds: list[int] = [0] * self.n
        options: list[Any] = [None] * self.n
        for slot, problem in zip(slots, problems):
            seeds[slot], options[slot] = problem.seed, problem.options
        settings: dict[str, Any] = {"reset_mask": mask}
        if any(options):
            settings["slots"] = options
        if self.obs is None:
            self.obs, _ = self.env.reset(seed=self._stand_ins(seeds, mask))
            if any(options):
                self.obs, _ = self.env.reset(seed=seeds, options=settings)
        else:
            self.obs, _ = self.env.reset(seed=seeds, options=settings)
        self._seed[slots] = [p.seed for p in problems]
        self._group[slots] = groups
        for slot, episode in zip(slots, ids):
            self._rng[slot] = np.uint64(seeds_from([self.seed, self.worker, 1, episode], 1)[0])
        self._name(slots, ids, turns)
        if np.any(np.asarray(groups) != -1):
            self._seat[slots] = self._to_play(self.obs)[slots]
        for slot, problem in zip(slots, problems):
            if problem.seat is not None:
                self._seat[slot] = problem.seat

    def _stand_ins(self, seeds: list[int], mask: np.ndarray) -> list[int]:
        """Idle slots must be reset once too, by any seed."""
        return [s if m else i for i, (s, m) in enumerate(zip(seeds, mask))]

    def _name(self, slots: np.ndarray, ids: np.ndarray, turns: np.ndarray) -> None:
        self._episode[slots] = self._ids(ids)
        for chair in self._chairs:
            chair.begin(slots)
        if self.seats > 1:
            self._seat[slots] = turns % self.seats
            self._opponent[slots] = self._draw(turns)

    def _draw(self, turns: np.ndarray) -> np.ndarray:
        """The opponent in each of these episodes: in turn, or by the odds and a generator of its own."""
        if self._odds is None:
            return (turns // self.seats) % max(1, len(self._chairs) - 1)
        seed = int(seeds_from([self.seed, self.worker, 3], 1)[0])
        below = np.cumsum(self._odds)
        return np.searchsorted(below / below[-1], uniform(from_seeds(seed + turns)), side="right")

    def _ids(self, counts: np.ndarray) -> np.ndarray:
        """Ids that no other worker gives."""
        return counts + (self.worker << WORKER_SHIFT)

    def _to_play(self, obs: Any) -> np.ndarray:
        return obs["to_play"] if self.seats > 1 else np.zeros(self.n, np.int64)

    def _account(self, slots: np.ndarray) -> dict[str, np.ndarray]:
        """What is told of the episodes that ended in `slots`."""
        names = {"episode": self._episode, "slot": self._all, "seed": self._seed, "group": self._group}
        if len(self._chairs) > 1:
            names |= {"seat": self._seat, "opponent": self._opponent}
        seat = names.get("seat", np.zeros(self.n, np.int64))[slots]
        return {name: array[slots] for name, array in names.items()} | self._accounts.close(slots, seat)

    def _finish(self, recorder: Recorder, memory: Memory) -> Rollout:
        recorder.close(self._account(self._all[:0]))  # that no episode ended is told in the same types
        return recorder.finish(self.obs, memory, np.full(self.n, self.version, np.int64))


_SLOT_ARRAYS = ("_rng", "_episode", "_seed", "_group", "_seat", "_opponent")
