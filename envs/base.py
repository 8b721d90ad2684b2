"""What every environment of the suite is: a batch of slots stepped in lockstep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv

Array = np.ndarray
State = dict[str, Any]
"""A saved environment: nested dicts and lists of arrays, numbers, strings and None; never objects."""
FORFEIT = -1
"""As an action where there are several seats: the mover gives the game up, and loses it."""


class BatchEnv(VectorEnv):
    """`n` slots of one environment, stepped together, each restarted in the step that ends it.

    The contract, beyond `gymnasium.vector.VectorEnv`:

    * `AutoresetMode.SAME_STEP`: where an episode ended, `obs` is already the next episode's first and
      `info["final_obs"]` holds the true last one (an array in the layout of `obs`; rows where nothing
      ended are undefined). `terminated | truncated` says where.
    * `rewards` are float32 `[n]` and raw. `terminated` is a true end; a time limit is `truncated`.
    * `info["parts"]` maps each name in `parts` to float32 `[n]`: what happened in this step. `success`
      is 1 where an episode ended in success, else 0, where the environment has such a notion.
    * Arrays that `reset` and `step` return belong to the caller: later steps leave them alone.
    * `reset(seed=[...], options={"reset_mask": mask})` restarts the masked slots only and returns the
      whole batch's obs. `options["slots"]`, a list of one dict (or None) a slot, gives each slot its own
      options. An int seed means `seed + i` for slot `i` (Gymnasium's rule).
    * With one seat, `step` steps every slot. Who plays whole episodes has idle slots at the end: these are
      stepped with action 0 (text: ""), and what comes of it is thrown away.
    * With `seats > 1` the obs is a dict that holds `to_play` (int `[n]`, the seat to move); `rewards` are
      the mover's and `info["seat_rewards"]`, float32 `[n, seats]`, has everyone's. `step` then takes
      `where`, a bool `[n]`: slots outside it stay as they are, with reward 0 and no end. The action
      `FORFEIT` gives a game up: it ends, the mover has lost it.
    """

    metadata: dict[str, Any] = {"autoreset_mode": AutoresetMode.SAME_STEP, "render_modes": []}  # noqa: RUF012
    parts: tuple[str, ...] = ()
    seats: int = 1
    slots_per_game: int = 1
    """Slots that share a game of simultaneous moves, one for each agent; `n` is a multiple of it."""
    can_save: bool = False

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Restart all slots, or those in `options["reset_mask"]`; returns the whole batch's obs."""
        raise NotImplementedError

    def picture_of(self, obs: Any) -> Any:
        """What `render` would show of an observation of slot 0; None where that is not known.

        So the end of an episode can be seen, whose slot already shows the next one.
        """
        return None

    def get_state(self) -> State:
        """Everything that the coming steps depend on, generators included (where `can_save`)."""
        raise NotImplementedError(f"the state of {type(self).__name__} cannot be saved")

    def set_state(self, state: Mapping[str, Any]) -> Any:
        """Put back what `get_state` gave; returns the batch's current obs."""
        raise NotImplementedError(f"the state of {type(self).__name__} cannot be restored")


def slot_seeds(seed: int | Sequence[int | None] | None, n: int) -> list[int | None]:
    """One seed a slot, from what `VectorEnv.reset` accepts (`ValueError` when a list is not `n` long)."""
    if seed is None:
        return [None] * n
    if isinstance(seed, (int, np.integer)):
        return [int(seed) + i for i in range(n)]
    seeds = [None if s is None else int(s) for s in seed]
    if len(seeds) != n:
        raise ValueError(f"{len(seeds)} seeds for {n} slots")
    return seeds
