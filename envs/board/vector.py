"""Every board game as one `gymnasium.vector.VectorEnv`: `n` games a call."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.spaces import Discrete
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from envs.base import Array, BatchEnv, State, slot_seeds
from envs.board import batch, creator_of, load, name_of
from envs.board.game import OPEN, Game, outcome
from envs.board.moves import check_saved, illegal, over_there, position_of
from envs.board.render import FPS, MODES, render
from envs.board.spaces import observation_space
from envs.options import OptionError, check_options, split_options
from envs.rng import from_seeds

TRIES = 1000
"""Random openings that are tried before it is said that there is none of the kind."""


class Board(BatchEnv):
    """`n` slots of one board game of two seats; see `envs.base.BatchEnv` for what every batch promises.

    An observation is a dict: `planes` (bool `[n, rows, columns, planes]`, from the view of the seat to move;
    `game.planes` names them), `action_mask` (bool `[n, actions]`), `to_play` (int64 `[n]`) and `state`
    (uint64 `[n, words]`, from which a planner may start). A game's last move earns 1, 0 or −1; all others
    earn 0. The parts say at a game's end how it went.

    Each game begins after `random_plies` random legal plies (or `[least, most]` of them), drawn from its
    slot's generator; an opening never ends the game. A seed begins a slot wholly anew; a reset without one
    begins the next game of the slot's own generator.
    """

    metadata = {  # noqa: RUF012
        "autoreset_mode": AutoresetMode.SAME_STEP,
        "render_modes": list(MODES),
        "render_fps": FPS,
    }
    parts = ("draws", "first_wins", "second_wins")  # in the order of OUTCOMES
    seats = 2
    can_save = True

    def __init__(
        self,
        id: str,
        n: int = 1,
        *,
        random_plies: int | Sequence[int] = 0,
        render_mode: str | None = None,
        **options: Any,
    ) -> None:
        """`id` is `board/<Name>-v0`, or `package.module:function` of a `Game`; `options` go to the game.

        Raises `ValueError` for an unknown game or an option out of range.
        """
        if n < 1:
            raise ValueError(f"a board game needs at least one slot, not {n}")
        if render_mode not in (None, *MODES):
            said = f"render_mode must be {' or '.join(MODES)}, not '{render_mode}'"
            raise OptionError("render_mode", said)
        self.game: Game = load_id(id, options)
        self.random_plies, self.render_mode = _openings(self.game, random_plies), render_mode
        self.action_names = tuple(map(self.game.move_text, range(self.game.actions)))
        self.num_envs = n
        self.single_observation_space = observation_space(self.game)
        self.single_action_space = Discrete(self.game.actions)
        self.observation_space = batch_space(self.single_observation_space, n)
        self.action_space = batch_space(self.single_action_space, n)
        self._states = np.zeros((n, self.game.words), np.uint64)
        self._masks = np.zeros((n, self.game.actions), bool)
        self._rng = np.zeros(n, np.uint64)
        self._all = np.ones(n, bool)
        self._ready = False

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> tuple[dict[str, Array], dict[str, Any]]:
        """Begin new games, in all slots or where `options["reset_mask"]` says so.

        A slot's own options are its game's first position: `{"moves": "4 4 3"}`, as people write them, or
        `{"state": [...]}`, its words. `ValueError` names the slot where these are no open position.
        """
        own, mask, slots = split_options(options, self.num_envs)
        if own:
            raise ValueError("a board game takes its options from envs.make; a slot's own are in 'slots'")
        if not self._ready:
            mask = np.ones(self.num_envs, bool)
        given = {i: self._position(i, slots[i] or {}) for i in np.flatnonzero(mask).tolist() if slots[i]}
        seeds = slot_seeds(seed, self.num_envs)
        anew = [i for i in np.flatnonzero(mask) if seeds[i] is not None or not self._ready]
        drawn = (seeds[i] for i in anew)
        self._rng[anew] = from_seeds([secrets.randbits(64) if s is None else s for s in drawn])
        self._ready = True
        self._begin(mask)
        for i, state in given.items():
            self._states[i] = state
        if given:
            batch.legal_all(self.game.code, self._states, self._masks, mask)
        return self._observe(self._all), {}

    def step(
        self, actions: Array, where: Array | None = None
    ) -> tuple[dict[str, Array], Array, Array, Array, dict[str, Any]]:
        """Play one ply in every slot, or in those of `where`; games that end begin again at once.

        Where the action is `FORFEIT` (−1) the mover gives the game up, and has lost it there. Raises
        `ValueError` for an illegal action, which is told with its slot; nothing is played then.
        """
        if not self._ready:
            raise ResetNeeded("call reset before step")
        n = self.num_envs
        actions, where = self._check(actions, self._all if where is None else where)
        rewards, seat_rewards = np.zeros(n, np.float32), np.zeros((n, 2), np.float32)
        outcomes, terminated = np.zeros((len(self.parts), n), np.float32), np.zeros(n, bool)
        rules, told = (self.game.code, self._states, self._masks), (rewards, seat_rewards, outcomes)
        ended = batch.step_all(*rules, actions, where, *told, terminated)
        info: dict[str, Any] = {"seat_rewards": seat_rewards, "parts": dict(zip(self.parts, outcomes))}
        if ended:
            info |= {"final_obs": self._observe(terminated), "_final_obs": terminated.copy()}
            self._begin(terminated)
        return self._observe(self._all), rewards, terminated, np.zeros(n, bool), info

    def get_state(self) -> State:
        """The position and the generator of every slot."""
        if not self._ready:
            raise ResetNeeded("call reset before get_state")
        game = {"game": self.game.name, "options": dict(self.game.options)}
        return {**game, "rng": self._rng.copy(), "states": self._states.copy()}

    def set_state(self, state: Mapping[str, Any]) -> dict[str, Array]:
        """Put back what `get_state` gave (`ValueError` where it is impossible or of another game or size)."""
        check_saved(self.game, state, ("rng", "states"))
        states, rng = self.game.check(state["states"]), np.asarray(state["rng"])
        if len(states) != self.num_envs:
            raise ValueError(f"a state of {len(states)} slots cannot fill {self.num_envs}")
        if rng.shape != (self.num_envs,) or rng.dtype != np.uint64:
            wanted = f"rng of a state must be uint64 [{self.num_envs}]"
            raise ValueError(f"{wanted}, not {rng.dtype} {list(rng.shape)}")
        for slot, position in enumerate(states):
            if outcome(position) != OPEN:
                raise ValueError(f"slot {slot}: {over_there(position)}")
        self._rng[:], self._states[:] = rng, states
        batch.legal_all(self.game.code, self._states, self._masks, self._all)
        self._ready = True
        return self._observe(self._all)

    def render(self) -> Any:
        """Slot 0 as `render_mode` has it: uint8 `[height, width, 3]`, a text in colours, or None."""
        return self.picture_of({"state": self._states})

    def picture_of(self, obs: Mapping[str, Array]) -> Any:
        """The same of an observation's slot 0, such as the last one of a game."""
        return render(self.render_mode, self.game, obs["state"][0]) if self.render_mode else None

    def _begin(self, where: Array) -> None:
        rules = self.game.code, self._states, self._masks
        batch.begin_all(*rules, self._rng, *self.random_plies, batch.FOREVER, where)

    def _observe(self, where: Array) -> dict[str, Array]:
        """What the slots of `where` show; the other rows are undefined."""
        obs = batch.empty_obs(self.game, self.num_envs)
        batch.observe_all(self.game.code, self._states, self._masks, where, *batch.arrays(obs))
        return obs

    def _check(self, actions: Array, where: Array) -> tuple[Array, Array]:
        """The actions and the mask as kernels take them (`ValueError` for what is not legal)."""
        actions, where, n = np.asarray(actions), np.asarray(where), self.num_envs
        if actions.shape != (n,) or actions.dtype.kind not in "iu":
            raise ValueError(f"actions must be integers [{n}], not {actions.dtype} {list(actions.shape)}")
        if where.shape != (n,) or where.dtype != bool:
            raise ValueError(f"where must be bool [{n}], not {where.dtype} {list(where.shape)}")
        actions = np.ascontiguousarray(actions, np.int64)
        where = np.ascontiguousarray(where)
        slot = batch.first_illegal(self._masks, actions, where)
        if slot >= 0:
            said = illegal(self.game, self._states[slot], self._masks[slot], int(actions[slot]))
            raise ValueError(f"slot {slot}: {said}")
        return actions, where

    def _position(self, slot: int, options: Mapping[str, Any]) -> Array:
        """The position that a slot's options name."""
        try:
            return position_of(self.game, options)
        except ValueError as error:
            raise ValueError(f"slot {slot}: {error}") from None


def load_id(id: str, options: Mapping[str, Any]) -> Game:
    """The game of `board/<Name>-v0`, or what else `envs.board.name_of` knows.

    Raises `OptionError` for options that neither the game nor `Board` has, `ValueError` for an unknown game.
    """
    name = name_of(id)
    own = {"random_plies": Any, "render_mode": str | None}
    check_options(f"environment '{id}'", creator_of(name), options, also=own)
    return load(name, options)


def _openings(game: Game, plies: int | Sequence[int]) -> tuple[int, int]:
    """(least, most) random plies, where the game has open positions after so many (`OptionError` else)."""
    ends = plies if isinstance(plies, (list, tuple)) else [plies, plies]
    if len(ends) != 2 or any(isinstance(k, bool) or not isinstance(k, Integral) for k in ends):
        said = f"random_plies must be a whole number or [least, most], not {plies!r:.60}"
        raise OptionError("random_plies", said)
    least, most = (int(k) for k in ends)  # type: ignore[arg-type]
    if not 0 <= least <= most < game.longest:
        said = f"random_plies must be in [0, {game.longest - 1}], least before most, not {plies}"
        raise OptionError("random_plies", said)
    state, mask, rng = game.new(), np.zeros((1, game.actions), bool), np.zeros(1, np.uint64)
    if batch.begin_all(game.code, state, mask, rng, most, most, TRIES, np.ones(1, bool)) >= 0:
        said = (
            f"no game of {game.title} that is still open after {most} random plies was found; ask for fewer"
        )
        raise OptionError("random_plies", said)
    return least, most
