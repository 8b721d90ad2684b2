"""The arcade games as one `gymnasium.vector.VectorEnv`: `n` games a call."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from envs.arcade import batch_class, load
from envs.arcade.game import ACTIONS, SIZE, translate
from envs.arcade.render import MODES, render
from envs.base import BatchEnv, State, slot_seeds
from envs.options import OptionError, split_options
from envs.paths import resolve
from envs.rng import from_seeds


class Arcade(BatchEnv):
    """`n` slots of one game; see `envs.base.BatchEnv` for what every batch of slots promises.

    Observations are bool `[n, 10, 10, channels]` (y, x, channel), named in `channels`; rewards float32 `[n]`.
    The actions of a `-v1` are those that matter in the game, of a `-v0` all six; `action_names` says which.
    With probability `sticky` a slot repeats its last action instead (also the last one of the game before);
    `ramping` lets the difficulty rise. There is no time limit: a game ends by its rules, as `terminated`.

    A slot plays the same game from the same seed, whatever the size of the batch. A seed begins a slot
    wholly anew; a reset without one begins the next game of the slot's own generator.
    """

    metadata = {  # noqa: RUF012
        "autoreset_mode": AutoresetMode.SAME_STEP,
        "render_modes": list(MODES),
        "render_fps": 15,
    }
    can_save = True

    def __init__(
        self,
        id: str,
        n: int = 1,
        *,
        sticky: float = 0.1,
        ramping: bool = True,
        render_mode: str | None = None,
    ) -> None:
        """Raises `ValueError` for an unknown game or an option out of range."""
        if n < 1:
            raise ValueError(f"an arcade game needs at least one slot, not {n}")
        if not 0 <= sticky <= 1:
            raise OptionError("sticky", f"sticky is a chance; it must be in [0, 1], not {sticky}")
        if render_mode not in (None, *MODES):
            said = f"render_mode must be {' or '.join(MODES)}, not '{render_mode}'"
            raise OptionError("render_mode", said)
        self.game, minimal = load(id)
        self.sticky, self.ramping, self.render_mode = float(sticky), bool(ramping), render_mode
        self._actions = np.array(self.game.minimal if minimal else range(len(ACTIONS)), np.int64)
        self.action_names = tuple(ACTIONS[k] for k in self._actions)
        self.channels = self.game.channels
        self.num_envs = n
        self._shape = (n, SIZE, SIZE, len(self.channels))
        self.single_observation_space = Box(0, 1, self._shape[1:], np.bool_)  # type: ignore[arg-type]
        self.single_action_space = Discrete(len(self._actions))
        self.observation_space = batch_space(self.single_observation_space, n)
        self.action_space = batch_space(self.single_action_space, n)
        self._games = np.zeros(n, self.game.state)
        self._rng = np.zeros(n, np.uint64)
        self._ready = False

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin new games, in all slots or where `options["reset_mask"]` says so."""
        own, mask, slots = split_options(options, self.num_envs)
        if own or any(slots):
            raise ValueError("an arcade game takes no options at reset; its options are those of envs.make")
        if not self._ready:
            mask = np.ones(self.num_envs, bool)
        seeds = slot_seeds(seed, self.num_envs)
        anew = [i for i in np.flatnonzero(mask) if seeds[i] is not None or not self._ready]
        drawn = (seeds[i] for i in anew)
        self._rng[anew] = from_seeds([secrets.randbits(64) if s is None else s for s in drawn])
        self._games["last_action"][anew] = 0
        self._ready = True
        return self._begin(mask), {}

    def step(
        self, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Play one step of every game; those that end begin again at once."""
        if not self._ready:
            raise ResetNeeded("call reset before step")
        n = self.num_envs
        obs, final_obs = np.empty(self._shape, np.bool_), np.empty(self._shape, np.bool_)
        rewards, terminated = np.empty(n, np.float32), np.empty(n, np.bool_)
        ended = self.game.step(
            self._games,
            self._rng,
            self._translate(actions),
            self.sticky,
            self.ramping,
            obs.reshape(n, -1),
            final_obs.reshape(n, -1),
            rewards,
            terminated,
        )
        info = {"final_obs": final_obs, "_final_obs": terminated.copy()} if ended else {}
        return obs, rewards, terminated, np.zeros(n, np.bool_), info

    def get_state(self) -> State:
        """Every field of every game, and the generators, as arrays with slots first."""
        if not self._ready:
            raise ResetNeeded("call reset before get_state")
        fields = {name: self._games[name].copy() for name in self.game.state.names or ()}
        return {"game": self.game.name, "rng": self._rng.copy(), "fields": fields}

    def set_state(self, state: Mapping[str, Any]) -> np.ndarray:
        """Put back what `get_state` gave (`ValueError` where it is impossible or of another game or size)."""
        if state["game"] != self.game.name:
            raise ValueError(f"a state of {state['game']} cannot continue {self.game.name}")
        if len(state["rng"]) != self.num_envs:
            raise ValueError(f"a state of {len(state['rng'])} slots cannot fill {self.num_envs}")
        for name, (low, high) in self.game.limits.items():
            values = np.asarray(state["fields"][name])
            if values.min() < low or values.max() > high:
                raise ValueError(f"'{name}' in a state of {self.game.name} must be in [{low}, {high}]")
        self._rng[:] = state["rng"]
        for name in self.game.state.names or ():
            self._games[name] = state["fields"][name]
        self._ready = True
        return self._begin(np.zeros(self.num_envs, bool))

    def render(self) -> Any:
        """Slot 0 as `render_mode` has it: uint8 `[320, 320, 3]`, or a text of coloured blocks, or None."""
        return self.picture_of(self._begin(np.zeros(self.num_envs, bool)))

    def picture_of(self, obs: np.ndarray) -> Any:
        """The same of an observation's slot 0, such as the last one of a game."""
        return render(self.render_mode, self.game.name, obs[0]) if self.render_mode else None

    def _begin(self, mask: np.ndarray) -> np.ndarray:
        """Restart the games in `mask` and draw them all."""
        obs = np.empty(self._shape, np.bool_)
        self.game.begin(self._games, self._rng, mask, obs.reshape(self.num_envs, -1))
        return obs

    def _translate(self, actions: np.ndarray) -> np.ndarray:
        """The actions as indices into `ACTIONS`, checked."""
        actions = np.asarray(actions)
        if actions.shape != (self.num_envs,) or actions.dtype.kind not in "iu":
            raise ValueError(
                f"actions must be integers [{self.num_envs}], not {actions.dtype} {list(actions.shape)}"
            )
        out = np.empty(self.num_envs, np.int64)
        bad = translate(actions.astype(np.int64, copy=False), self._actions, out)
        if bad >= 0:
            raise ValueError(
                f"action {actions[bad]} in slot {bad}: there are {len(self._actions)}, counted from 0"
            )
        return out


def make_vec(num_envs: int, game: str, **options: Any) -> Arcade:
    """What `gymnasium.make_vec` calls."""
    return resolve(batch_class(game))(game, num_envs, **options)
