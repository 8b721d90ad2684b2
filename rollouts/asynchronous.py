"""A fleet whose workers play on while the learner learns, as far as its weights may be behind."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import astuple, replace
from typing import Any, NamedTuple

import numpy as np

from rollouts import tree
from rollouts.agent import Metrics
from rollouts.fleet import Fleet
from rollouts.problems import Problem, Problems
from rollouts.rollout import Rollout, concatenate
from rollouts.roster import Answer, Lost, Roster
from rollouts.worker import Board, Cast


class Fragment(NamedTuple):
    """What a worker did on one request."""

    rollout: Rollout
    seconds: float
    problems: Sequence[Problem] | None
    """What it was asked to play, where that was said."""

    @property
    def version(self) -> int:
        """That of the weights that acted."""
        return int(self.rollout.version[0])

    @property
    def pace(self) -> float:
        """Env steps a second."""
        return self.rollout.decisions / max(self.seconds, 1e-9)


class AsyncFleet(Fleet):
    """A `Fleet` that waits for half of its workers, and whose workers wait for nobody.

    Each has `in_flight` requests ahead of it, and takes the newest weights when it begins one. `collect`
    returns one fragment, the oldest, of every worker that has any, as soon as half of them have; the slots of
    the others are idle in that rollout (`valid` 0, and `episode` what goes on there). So a column is always
    the same slot's stream of rows. What is more than `max_lag` versions old is dropped: of steps together
    with all that follows in those games, and the worker begins others; of whole episodes alone, and the same
    problems are asked for again.

    A worker that has no core yet, or is replaced, is not waited for as long as there is another one.
    """

    in_step = False
    roster: Roster

    def __init__(
        self,
        env: Mapping[str, Any],
        *,
        n: int,
        workers: int,
        seed: int = 0,
        problems: Problems | None = None,
        patience: float = 600.0,
        gpus: float = 0.0,
        in_flight: int = 2,
        max_lag: int = 8,
    ) -> None:
        shared: dict[str, Any] = {"seed": seed, "problems": problems, "patience": patience, "gpus": gpus}
        super().__init__(env, n=n, workers=workers, **shared)
        self.in_flight, self.max_lag, self.dropped = in_flight, max_lag, 0
        self.stock: list[deque[Fragment]] = [deque() for _ in range(workers)]
        """What has come and was not handed over yet, by place."""
        self._wants: Mapping[str, Any] | None = None
        self._again: deque[Sequence[Problem]] = deque()  # shares to be asked for before new ones
        self._afresh = [False] * workers  # whether a place's next request must begin new games
        self._episode = np.full(n, -1, np.int64)  # what goes on in each slot
        self._last = [(math.nan, math.nan)] * workers  # of what was taken last: steps a second, lag
        self._lineups: dict[int, tuple[str, ...]] = {}  # of opponents, by the version of who learns
        self._board = _board_here()

    def get_state(self) -> dict[str, Any]:
        """What is known here: games in progress are not, so they start afresh; problems are asked again."""
        return self.without_workers() | {"version": self.version, "workers": []}

    def without_workers(self) -> dict[str, Any]:
        playing = self._wants is not None
        return self._shared() | {"dropped": self.dropped, "playing": playing, "asked": self._asked()}

    def set_state(self, state: Mapping[str, Any]) -> bool:
        self._take_up(state)
        self.dropped = int(state.get("dropped", 0))
        self._again = deque([Problem(*one) for one in share] for share in state.get("asked", ()))
        return self._begin_anew(state)

    def close(self) -> None:
        import ray

        super().close()
        ray.kill(self._board)

    # -- within ----------------------------------------------------------------------------------------

    def _play(self, cast: Cast, wants: Mapping[str, Any]) -> Rollout:
        """What has been done by half of the workers at least."""
        if self._wants not in (None, wants):
            said = f"workers that play on go on with what they began with, {self._wants}"
            raise ValueError(f"{said}: they cannot be asked for {wants}")
        self._wants = wants
        self._put_up(cast)
        chosen = self._gather()
        self._fill()
        for fragment in chosen.values() if cast.opponents else ():
            self._credit(fragment.rollout, cast.lineup)
        rollout = self._side_by_side(chosen)
        for k, fragment in chosen.items():
            self._last[k] = fragment.pace, float(self.version - fragment.version)
        self.told = self._tell(list(chosen.values()))
        return rollout

    def _put_up(self, cast: Cast) -> None:
        """Have who begins a request from now on play by the `cast`."""
        self._lineups = {v: told for v, told in self._lineups.items() if self.version - v <= self.max_lag}
        self._lineups |= {self.version: cast.lineup} if cast.opponents else {}
        self._cast = cast
        self._show()

    def _show(self) -> None:
        """Put the cast on the board, or on another where that was lost."""
        import ray

        try:
            ray.get(self._board.put_up.remote(self._cast))
        except ray.exceptions.RayActorError:
            self._board = _board_here()
            ray.get(self._board.put_up.remote(self._cast))

    def _credit(self, rollout: Rollout, lineup: Sequence[str]) -> None:
        """Name opponents by the places that they have now, in the `lineup`; −1 is one that has left."""
        then = self._lineups[int(rollout.version[0])]
        places = [0]
        for place, known in enumerate(then[1:], 1):
            stayed = place < len(lineup) and lineup[place] == known
            moved = lineup.index(known, 1) if known in lineup[1:] else -1
            places.append(place if stayed else moved)
        table = np.array([*places, -1])  # at −1, too
        rollout.ended = {**rollout.ended, "opponent": table[rollout.ended["opponent"]]}

    def _gather(self) -> dict[int, Fragment]:
        """The oldest fragment of every place that has one, once that are half of those that play."""
        while True:
            self._drop()
            self._fill()
            have = [k for k, stock in enumerate(self.stock) if stock]
            if have and 2 * len(have) >= len(self.roster.joined):
                return {k: self.stock[k].popleft() for k in have}
            for answer in sorted(self.roster.answered(), key=lambda answer: answer.error is not None):
                self._take(answer)  # who is lost last, for that may be the end

    def _fill(self) -> None:
        """Give every worker that has begun something to do."""
        assert self._wants is not None
        for k in self.roster.joined:
            waiting = sum(r.method == "play" and r.wanted for r in self.roster.places[k].queue)
            for _ in range(self.in_flight - waiting - len(self.stock[k])):
                problems = self._again.popleft() if self._again else self._share(self._wants)
                self.roster.ask(k, "play", problems, self._board, self._afresh[k], **self._wants)
                self._afresh[k] = False

    def _take(self, answer: Answer) -> None:
        """Put what a worker did in stock; where it was lost, begin another one."""
        k, request, value, error = answer
        if isinstance(error, Lost):
            self._show()  # who looks at a board that is lost is lost as well
            for lost in self.roster.replace(k, error):
                self._ask_again(lost.args[0])
            if not self.stock[k]:
                self._leave(k)
            self._afresh[k] = False
        elif error is not None:
            raise error
        elif request.method == "play" and request.wanted:
            rollout, seconds = value
            self.stock[k].append(Fragment(rollout, seconds, request.args[0]))

    def _drop(self) -> None:
        """Take out of stock what is too old, and what goes on from there."""
        for k, stock in enumerate(self.stock):
            while stock and self.version - stock[0].version > self.max_lag:
                self._ask_again(stock.popleft().problems)
                self.dropped += 1
                if self._wants and "steps" in self._wants:
                    self._abandon(k)

    def _abandon(self, k: int) -> None:
        """Let the games of a place be: whatever it does in them is dropped, and then it begins others."""
        ahead = [r for r in self.roster.places[k].queue if r.method == "play" and r.wanted]
        self.dropped += len(self.stock[k]) + len(ahead)
        self.stock[k].clear()
        for request in ahead:
            request.wanted = False
        self._afresh[k] = True
        self._leave(k)

    def _leave(self, k: int) -> None:
        """Nothing goes on in the slots of a place any more."""
        self._episode[self._slots(k)] = -1

    def _ask_again(self, problems: Sequence[Problem] | None) -> None:
        if problems is not None:
            self._again.append(problems)

    def _side_by_side(self, chosen: Mapping[int, Fragment]) -> Rollout:
        """Fragments as a rollout of all slots, those of other places idle."""
        like = next(iter(chosen.values())).rollout
        whole = concatenate([chosen[k].rollout if k in chosen else idle(like) for k in range(self.workers)])
        whole.newest = self.version
        for k in range(self.workers):
            slots = self._slots(k)
            if k not in chosen:
                whole.episode[:, slots], whole.version[slots] = self._episode[slots], self.version
            elif self._wants and "steps" in self._wants:
                self._episode[slots] = chosen[k].rollout.episode[-1]
        return whole

    def _slots(self, k: int) -> slice:
        each = self.n // self.workers
        return slice(k * each, (k + 1) * each)

    def _tell(self, chosen: Sequence[Fragment]) -> Metrics:
        lag = [self.version - fragment.version for fragment in chosen]
        speed = [fragment.pace for fragment in chosen]
        return {
            "fleet/workers": len(self.roster.joined),
            "fleet/restarts": self.roster.restarts,
            "fleet/dropped": self.dropped,
            "fleet/lag": float(np.mean(lag)),
            "fleet/lag_max": float(np.max(lag)),
            "fleet/queue": float(sum(map(len, self.stock)) + self.roster.done()),
            "fleet/steps_per_second_min": min(speed),
            "fleet/steps_per_second_max": max(speed),
        }

    def _by_worker(self) -> dict[str, list[float]]:
        return {"steps_per_second": [one[0] for one in self._last], "lag": [one[1] for one in self._last]}

    def _asked(self) -> list[list[list[Any]]]:
        """The problems that were dealt out and not handed over yet, as plain data."""
        queues = [r.args[0] for place in self.roster.places for r in place.queue if r.method == "play"]
        stock = [fragment.problems for fragments in self.stock for fragment in fragments]
        shares = [share for share in (*stock, *queues, *self._again) if share is not None]
        return [[list(astuple(problem)) for problem in share] for share in shares]


def idle(like: Rollout) -> Rollout:
    """As many rows and slots as `like` has, in which nobody did anything."""
    rows = like.shape[0]
    names = (
        "actions",
        "env_rewards",
        "terminated",
        "truncated",
        "valid",
        "first",
        "episode",
        "group",
        "seed",
    )
    blank = {name: tree.blank(getattr(like, name), rows) for name in (*names, "parts", "fields")}
    blank |= {name: tree.blank(getattr(like, name), 0) for name in ("final_at", "ended")}
    if like.obs is not None:
        blank |= {"obs": tree.blank(like.obs, rows + 1), "final_obs": tree.blank(like.final_obs, 0)}
    return replace(like, sign=np.ones_like(like.sign), memory=None, **blank)


def _board_here() -> Any:
    """A `Board` on this machine, which needs no core of its own."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    options: Any = {"num_cpus": 0, "scheduling_strategy": here}
    return ray.remote(**options)(Board).remote()
