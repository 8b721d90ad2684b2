"""From steps to n-step items (Sutton, 1988): windows that open at each decision and close n rewards later."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from envs.kernels import kernel


@dataclass(frozen=True)
class Items:
    """Finished windows, `[k]` each. The target of each is `returns + discounts · max Q(boots)`."""

    index: np.ndarray
    """int64: where the decision's observation is stored."""
    returns: np.ndarray
    """float32: Σ over its rewards, each discounted by what lies before it."""
    discounts: np.ndarray
    """float32: Π γ · sign · (1 − terminated) over its rows: γ^k with the true k, 0 after a true end."""
    boots: np.ndarray
    """int64: where the observation to bootstrap from is stored; the item's own where the discount is 0."""


class Accumulator:
    """The open windows of every slot, oldest first, which wait for rewards from one fragment to the next."""

    def __init__(self, slots: int, n_step: int) -> None:
        self.index = np.zeros((slots, n_step), np.int64)
        self.sums = np.zeros((slots, n_step, 2), np.float64)  # return and discount so far
        self.count = np.zeros(slots, np.int64)
        self.episode = np.full(slots, -1, np.int64)

    def add(
        self,
        index: np.ndarray,
        finals: np.ndarray,
        rewards: np.ndarray,
        discounts: np.ndarray,
        ended: np.ndarray,
        episode: np.ndarray,
    ) -> Items:
        """Take in a fragment (all `[T, n]`) and return the windows that it closed.

        `index` says where each row's observation is stored (−1: the row is no data), `finals` where the
        true last observation of a truncated row is; `discounts` is γ · sign · (1 − terminated) of each
        single row. A window closes after n rewards, or at an end. Where a slot goes on with another episode
        than its open windows' (its game was dropped midway), these are dropped too.
        """
        rows, slots = index.shape
        room = rows * slots + self.index.size
        where = np.empty((room, 2), np.int64)
        sums = np.empty((room, 2), np.float64)
        k = _accumulate(
            *(index, finals, rewards.astype(np.float64), discounts.astype(np.float64), ended, episode),
            *(self.index, self.sums, self.count, self.episode, where, sums),
        )
        halves = sums[:k].astype(np.float32)
        return Items(where[:k, 0], halves[:, 0], halves[:, 1], where[:k, 1])

    def oldest(self) -> int | None:
        """The smallest index that still waits, or None."""
        waiting = self.index[:, 0][self.count > 0]
        return int(waiting.min()) if len(waiting) else None

    def get_state(self) -> dict[str, np.ndarray]:
        """Arrays by name."""
        return {name: getattr(self, name).copy() for name in ("index", "sums", "count", "episode")}

    @classmethod
    def from_state(cls, state: dict[str, np.ndarray]) -> Accumulator:
        """The accumulator that `get_state` described."""
        slots, n_step = state["index"].shape
        made = cls(slots, n_step)
        for name, array in state.items():
            getattr(made, name)[...] = array
        return made


@kernel
def _accumulate(  # type: ignore[no-untyped-def]
    index, finals, rewards, discounts, ended, episode, open_index, open_sums, count, open_episode, where, sums
):
    n_step, k = open_index.shape[1], 0
    for t in range(index.shape[0]):
        for s in range(index.shape[1]):
            if index[t, s] < 0:
                continue
            if open_episode[s] != episode[t, s]:
                count[s], open_episode[s] = 0, episode[t, s]
            if count[s] == n_step:  # the oldest has its n rewards: it bootstraps from here
                where[k, 0], where[k, 1] = open_index[s, 0], index[t, s]
                sums[k] = open_sums[s, 0]
                k += 1
                count[s] -= 1
                for j in range(count[s]):
                    open_index[s, j] = open_index[s, j + 1]
                    open_sums[s, j] = open_sums[s, j + 1]
            last = count[s]
            open_index[s, last], open_sums[s, last, 0], open_sums[s, last, 1] = index[t, s], 0.0, 1.0
            count[s] += 1
            for j in range(count[s]):
                open_sums[s, j, 0] += open_sums[s, j, 1] * rewards[t, s]
                open_sums[s, j, 1] *= discounts[t, s]
            if ended[t, s]:
                for j in range(count[s]):
                    where[k, 0] = open_index[s, j]
                    where[k, 1] = finals[t, s] if open_sums[s, j, 1] != 0.0 else open_index[s, j]
                    sums[k] = open_sums[s, j]
                    k += 1
                count[s] = 0
    return k
