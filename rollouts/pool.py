"""A pool of opponents: past weights of a learner that plays itself, and other agents that stay as they are.

A share of the games is against the learner as it is now (80 % in OpenAI Five, 2019), the rest against members
of the pool: all alike, the newest, or by prioritised fictitious self-play (Vinyals et al., 2019).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from rollouts.agent import Agent, Decision, Memory, Metrics, Obs
from rollouts.storage import Segment

CHOICES = ("uniform", "latest", "variance", "squared")
RECENT = 200
"""Games against a member that its win rate is of: the newest ones, for the learner changes."""
FEWEST = 20
"""Below so many games against a member, its win rate is taken to be 0.5."""
STAYS = -1
"""In place of the env steps at which a member joined: it is no past self, and never leaves."""


class Frozen(Agent):
    """`agent`, which is nobody else's, with `weights` for good."""

    def __init__(self, agent: Agent, weights: Mapping[str, np.ndarray]) -> None:
        self.agent, self.shares_memory = agent, agent.shares_memory
        self.kept = {name: np.array(array, order="C") for name, array in weights.items()}
        self.digest = digest(self.kept)
        agent.load_weights(self.kept)

    def act(
        self, obs: Obs, *, rng: np.ndarray, first: np.ndarray, memory: Memory = None, explore: bool = True
    ) -> Decision:
        return self.agent.act(obs, rng=rng, first=first, memory=memory, explore=explore)

    def weights(self) -> dict[str, np.ndarray]:
        return self.kept

    def spec(self) -> dict[str, Any]:
        return self.agent.spec()


@dataclass
class Member:
    """One opponent, and how the learner fared against it."""

    agent: Frozen
    joined: int = STAYS
    """The learner's env steps at that time."""
    leaves: bool = False
    """Whether it only plays on what it has begun; its place is free when the next one joins."""
    games: int = 0
    seats: np.ndarray = field(default_factory=partial(np.zeros, 0, np.int8))
    """The learner's seat in each of the last `RECENT` games, the newest last."""
    points: np.ndarray = field(default_factory=partial(np.zeros, 0, np.float32))
    """The learner's points in them: 1, 0.5 or 0."""

    @property
    def win_rate(self) -> float:
        """The learner's points a game, draws as half ones; 0.5 while too little is known."""
        return float(self.points.mean()) if len(self.points) >= FEWEST else 0.5

    def count(self, seats: np.ndarray, returns: np.ndarray) -> None:
        """Note games that the learner ended in these seats with these returns, oldest first."""
        points = (np.sign(returns) + 1) / 2
        self.games += len(points)
        self.seats = np.concatenate([self.seats, seats.astype(np.int8)])[-RECENT:]
        self.points = np.concatenate([self.points, points.astype(np.float32)])[-RECENT:]


class Pool:
    """Opponents of a learner: itself, the agents `stay`, and at most `keep` of its past weights.

    `new` makes an agent for past weights to act with. A share `itself` of the games is against the learner as
    it is now, the others against members drawn by `choose` (see `chances`). Where `every` is given, the
    learner's weights join at the start and then every so many env steps; where there are too many, one
    leaves (see `least_missed`). It is drawn no more, and its place is taken when the next one joins: until
    then games against it must be over, so `every` is to be no less than all games in progress can last.

    Places (`opponents`, `odds`, and `rollout.ended["opponent"]`): 0 is the learner, the others are members.
    """

    def __init__(
        self,
        new: Callable[[], Agent],
        *,
        every: int | None = None,
        keep: int = 16,
        itself: float = 0.8,
        choose: str = "uniform",
        stay: Sequence[Agent] = (),
    ) -> None:
        if choose not in CHOICES:
            raise ValueError(f"choose is one of {', '.join(CHOICES)}, not '{choose}'")
        self.new, self.every, self.keep, self.itself, self.choose = new, every, keep, itself, choose
        self.members = [Member(Frozen(agent, agent.weights())) for agent in stay]
        self.due = 0

    def opponents(self, learner: Agent) -> list[Agent]:
        """Who plays, by place; for `Sampler.collect`."""
        return [learner, *(member.agent for member in self.members)]

    def odds(self) -> list[float]:
        """Each place's chance of a game."""
        there = [member for member in self.members if not member.leaves]
        if not there:
            return [1.0] + [0.0] * len(self.members)
        newest = int(np.argmax([member.joined for member in there]))
        shares = iter(chances(self.choose, [member.win_rate for member in there], newest))
        others = [0.0 if m.leaves else (1 - self.itself) * float(next(shares)) for m in self.members]
        return [self.itself, *others]

    def count(self, ended: Mapping[str, np.ndarray]) -> None:
        """Take in the games of a rollout that ended (`rollout.ended`)."""
        order = np.argsort(ended["time"], kind="stable")
        place = np.asarray(ended["opponent"])[order]
        seats, returns = np.asarray(ended["seat"])[order], np.asarray(ended["return"])[order]
        for i, member in enumerate(self.members, 1):
            member.count(seats[place == i], returns[place == i])

    def grow(self, weights: Callable[[], Mapping[str, np.ndarray]], step: int) -> None:
        """Have the learner's `weights` join, if that is due after `step` env steps."""
        if self.every is None or step < self.due:
            return
        self.due = step + self.every
        member = Member(Frozen(self.new(), weights()), step)
        free = next((i for i, m in enumerate(self.members) if m.leaves), len(self.members))
        self.members[free : free + 1] = [member]
        own = sorted((m for m in self.members if m.joined != STAYS and not m.leaves), key=lambda m: m.joined)
        while len(own) > self.keep:
            own.pop(least_missed([m.joined for m in own])).leaves = True

    def metrics(self) -> Metrics:
        """`pool/size`, and of the win rates that are known `pool/win_rate` (mean) and `pool/worst`."""
        there = [member for member in self.members if not member.leaves]
        known = [member.win_rate for member in there if len(member.points) >= FEWEST]
        found: Metrics = {"pool/size": len(there)}
        if known:
            found |= {"pool/win_rate": float(np.mean(known)), "pool/worst": min(known)}
        return found

    def get_state(self) -> dict[str, Any]:
        """Everything; weights, which never change, as Segments."""
        return {"due": self.due, "members": [_saved(member) for member in self.members]}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `get_state` gave (`ValueError` where other agents stay than did then)."""
        stay = [member.agent.agent for member in self.members if member.joined == STAYS]
        were = sum(saved["joined"] == STAYS for saved in state["members"])
        if were != len(stay):
            raise ValueError(f"the pool was saved with {were} agents that stay, not {len(stay)}")
        agents = [*stay, *(self.new() for _ in state["members"][were:])]
        self.members = [_restored(agent, saved) for agent, saved in zip(agents, state["members"])]
        self.due = int(state["due"])


def chances(choose: str, win_rates: Sequence[float], newest: int) -> np.ndarray:
    """Each member's chance to be drawn, which add up to 1; `win_rates` are the learner's, in [0, 1].

    `uniform`: all alike. `latest`: only the `newest`. Prioritised fictitious self-play (Vinyals et al.,
    2019): `variance`, by x (1 − x), seeks equals; `squared`, by (1 − x)², seeks whom the learner loses to.
    Where that is 0 for all (every x is 1, say), all alike.
    """
    x = np.asarray(win_rates, np.float64)
    if choose == "latest":
        return np.eye(len(x))[newest]
    weights = {"uniform": np.ones_like(x), "variance": x * (1 - x), "squared": (1 - x) ** 2}[choose]
    return weights / weights.sum() if weights.sum() > 0 else np.full(len(x), 1 / len(x))


def least_missed(joined: Sequence[int]) -> int:
    """Which of two or more past selves, which `joined` at these env steps (rising), may leave.

    It is the one between the nearest neighbours, the oldest of equals, so that the pool stays spread over
    the whole training, and at most twice as densely over its newest part as over the rest. The first and
    the last stay; of two, the first leaves.
    """
    gaps = [after - before for before, after in zip(joined, joined[2:])]
    return 1 + gaps.index(min(gaps)) if gaps else 0


def digest(weights: Mapping[str, np.ndarray]) -> str:
    """Equal for equal weights."""
    total = hashlib.sha256()  # which processors have instructions for
    for name, array in weights.items():
        total.update(f"{name} {array.dtype} {array.shape}".encode())
        total.update(np.ascontiguousarray(array).data)
    return total.hexdigest()


def _saved(member: Member) -> dict[str, Any]:
    told = {name: getattr(member, name) for name in ("joined", "leaves", "games", "seats", "points")}
    return told | {"weights": Segment(f"member-{member.agent.digest}", member.agent.kept)}


def _restored(agent: Agent, saved: Mapping[str, Any]) -> Member:
    weights = saved["weights"].arrays
    frozen, told = Frozen(agent, weights), {k: saved[k] for k in ("leaves", "seats", "points")}
    return Member(frozen, int(saved["joined"]), games=int(saved["games"]), **told)
