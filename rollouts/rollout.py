"""What happened: the Rollout, named arrays with axes [time, slot, ...]."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from rollouts import tree
from rollouts.agent import Memory, Obs
from rollouts.storage import ARRAYS, TREE, load_tree, save_tree, whole_folder


@dataclass
class Rollout:
    """`T` rows of `n` slots. Arrays are `[T, n]` unless a shape is given.

    A row is one decision of the agent and what came of it, up to its next decision.
    """

    obs: Obs
    """`[T + 1, n, ...]`: what each row's decision saw; the last row is for bootstrapping."""
    actions: Any
    """`[T, n, ...]`, as the agent sampled them."""
    env_rewards: np.ndarray
    """float32: the environment's own, raw, from the view of the seat that decided."""
    terminated: np.ndarray
    """bool: a true end, after which there is nothing to gain."""
    truncated: np.ndarray
    """bool: cut by a limit; the value of the true last observation counts on."""
    valid: np.ndarray
    """bool: 0 is padding or an idle slot: not data."""
    first: np.ndarray
    """bool: the row's decision began an episode (of that seat, where one agent holds several)."""
    sign: np.ndarray
    """float32: −1 where what follows the row (next or final obs) is another player's to move, else 1."""
    episode: np.ndarray
    """int64: an id, unique in the run."""
    group: np.ndarray
    """int64: slots with the same group faced the same problem; −1 where there are no groups."""
    seed: np.ndarray
    """int64: the seed that named the row's problem (with `steps=`, the slot's first seed)."""
    final_obs: Obs
    """`[k, ...]`: the true last observations, in the order of `final_at`."""
    final_at: np.ndarray
    """int64 `[k, 2]`: (time, slot) of each row of `final_obs`; exactly the rows with an end."""
    memory: Memory = None
    """The agent's memory before the first row, rows first: one a slot, or `slot · seats + seat` (unless it is
    shared among seats)."""
    version: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    """int64 `[n]`: the version of the weights that acted in each slot."""
    newest: int = 0
    """The version of the weights when the rollout was handed over."""
    parts: Mapping[str, np.ndarray] = field(default_factory=dict)
    """float32 each: what the environment says happened, by name."""
    fields: Mapping[str, np.ndarray] = field(default_factory=dict)
    """`[T, n, ...]` each: what the agent's decisions carried (`log_prob`, `value`, `tokens`)."""
    ended: Mapping[str, np.ndarray] = field(default_factory=dict)
    """One entry an episode that ended here, with its whole account: `episode`, `slot`, `time`, `seed`,
    `group`, `return` (raw), `length` (rows) and the sum of every part. Where an opponent ended it before the
    agent's turn, `length` is 0 and `time` is the row before (−1: there is none). With several seats also
    `seat_returns` (`[k, seats]`, everyone's); `return` is then that of the agent's seat, and where it holds
    them all, of seat 0. Against opponents also that `seat`, and which `opponent` it was, by place
    (−1: its place was given to another)."""
    rewards: np.ndarray | None = None
    """float32: what the learner maximises, set by `Reward`."""
    terms: dict[str, np.ndarray] = field(default_factory=dict)
    """The unweighted terms of `rewards`, by name."""

    @property
    def shape(self) -> tuple[int, int]:
        """`(T, n)`."""
        return self.valid.shape  # type: ignore[return-value]

    @property
    def lag(self) -> np.ndarray:
        """int64 `[n]`: by how many versions the weights that acted in each slot are behind."""
        return self.newest - self.version

    @property
    def stale(self) -> bool:
        """Whether any of it is of older weights than the newest."""
        return bool((self.lag > 0).any())

    @property
    def decisions(self) -> int:
        """How many rows are data: the env steps that this rollout holds."""
        return int(self.valid.sum())

    def save(self, folder: Path | str) -> None:
        """Write it as `folder`, safetensors and JSON: whole, or not at all and what was saved there stays.

        Raises `ValueError` where `folder` holds anything but a saved tree.
        """
        folder = Path(folder)
        if folder.exists() and not {p.name for p in folder.iterdir()} <= {TREE, ARRAYS}:
            raise ValueError(f"{folder}: holds other files; nothing is saved over them")
        with whole_folder(folder) as beside:
            save_tree(beside, {f.name: getattr(self, f.name) for f in fields(self)})

    @classmethod
    def load(cls, folder: Path | str) -> Rollout:
        """Read back what `save` wrote (`ValueError` that names a damaged or foreign file)."""
        saved = load_tree(folder)
        known = {f.name for f in fields(cls)}
        if not isinstance(saved, dict) or set(saved) != known:
            raise ValueError(f"{folder}: not a saved rollout")
        return cls(**saved)


def concatenate(rollouts: Sequence[Rollout]) -> Rollout:
    """Rollouts of several workers side by side, as one batch of slots; short ones are padded (`valid` 0)."""
    starts = np.cumsum([0] + [r.shape[1] for r in rollouts[:-1]])
    joined: dict[str, Any] = {}
    for f in fields(Rollout):
        parts = [getattr(r, f.name) for r in rollouts]
        if all(part is None for part in parts):
            joined[f.name] = None
        elif f.name == "newest":
            joined[f.name] = max(parts)
        elif f.name == "memory":
            joined[f.name] = tree.concatenate(_memories(rollouts), axis=0)
        elif f.name in ("final_obs", "version", "ended"):
            joined[f.name] = tree.concatenate(parts, axis=0)
        elif f.name == "final_at":
            joined[f.name] = np.concatenate([at + np.array([0, start]) for at, start in zip(parts, starts)])
        else:
            joined[f.name] = tree.concatenate(parts, axis=1)
    counts = [len(r.ended["slot"]) for r in rollouts]
    joined["ended"]["slot"] = joined["ended"]["slot"] + np.repeat(starts, counts)
    return Rollout(**joined)


def _memories(rollouts: Sequence[Rollout]) -> list[Memory]:
    """Those of all rollouts, some of which begin with one: blank where there was none yet."""
    like, slots = next((r.memory, r.shape[1]) for r in rollouts if r.memory is not None)
    lanes = tree.rows(like) // slots
    return [tree.blank(like, lanes * r.shape[1]) if r.memory is None else r.memory for r in rollouts]
