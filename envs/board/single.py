"""A board game as a plain `gymnasium.Env`: one player against an opponent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from gymnasium.error import ResetNeeded

from envs.board.render import FPS, MODES, render
from envs.board.vector import TRIES, Board
from envs.options import OptionError

SEATS = ("first", "second", "alternate")
ILLEGAL = ("loss", "error")


class BoardEnv(gymnasium.Env[dict[str, Any], int]):
    """One player's view of one game: what `Board` shows a slot, whenever it is this player's turn.

    `opponent` is a callable `obs -> actions` over a batch of one (arrays with a leading axis); None plays
    legal moves at random. This player moves `first` or `second`, or by turns (`alternate`): an even seed
    begins as first, an odd one as second, and each later game changes sides. The reward is this player's.

    An illegal action ends the game and earns −1, for learners that know no masks; with `illegal="error"` it
    is a `ValueError`. (`action_masks` gives the mask to those that ask for it by this name.) `reset` takes a
    position in its options, `{"moves": "4 4 3"}` or `{"state": [...]}`. Other options are those of `Board`.
    """

    metadata = {"render_modes": list(MODES), "render_fps": FPS}  # noqa: RUF012

    def __init__(
        self,
        game: str,
        *,
        opponent: Callable[[dict[str, np.ndarray]], Any] | None = None,
        seat: str = "alternate",
        illegal: str = "loss",
        render_mode: str | None = None,
        **options: Any,
    ) -> None:
        for name, given, known in (("seat", seat, SEATS), ("illegal", illegal, ILLEGAL)):
            if given not in known:
                raise OptionError(
                    name, f"{name} must be {', '.join(known[:-1])} or {known[-1]}, not '{given}'"
                )
        if opponent is not None and not callable(opponent):
            said = (
                f"opponent must be a callable obs -> actions, or None for random moves, not {opponent!r:.60}"
            )
            raise OptionError("opponent", said)
        self._board = Board(game, 1, render_mode=render_mode, **options)
        self.opponent, self.seat, self.illegal = opponent, seat, illegal
        self.render_mode = render_mode
        self.observation_space = self._board.single_observation_space
        self.action_space = self._board.single_action_space
        self._obs: dict[str, np.ndarray] = {}  # what the batch of one showed last
        self._playing = False
        self._games, self._mine = -1, 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Begin a game; returns what this player sees when it first is to move, and its `seat` (0 or 1).

        Raises `ValueError` for options that are no position, or one that the opponent always ends at once.
        """
        super().reset(seed=seed)
        self._games = self._games + 1 if seed is None else seed
        self._mine = self._games % 2 if self.seat == "alternate" else SEATS.index(self.seat)
        seeds = None if seed is None else [seed]
        given = {"slots": [options]} if options else None
        for _ in range(TRIES):
            obs, _, over = self._answer(self._board.reset(seed=seeds, options=given)[0])
            if not over:
                break
            seeds = None  # the opponent won before this player had a move: no game, so the next one
        else:
            raise ValueError("the opponent ends every game from there before this player has a move")
        self._obs, self._playing = obs, True
        return self._shown(), {"seat": self._mine}

    def step(self, action: int) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Play an action, and whatever the opponent answers."""
        if not self._playing:
            raise ResetNeeded("call reset before step, also after an episode's end")
        if self.illegal == "loss" and self.action_space.contains(action) and not self.action_masks()[action]:
            self._playing, reward = False, -1.0
        else:
            obs, reward, over = self._play(action)
            if not over:
                obs, reward, over = self._answer(obs)
            self._obs, self._playing = obs, not over
        return self._shown(), reward, not self._playing, False, {"seat": self._mine}

    def action_masks(self) -> np.ndarray:
        """Which actions are legal now, bool `[actions]`."""
        if not self._obs:
            raise ResetNeeded("call reset before action_masks")
        return self._obs["action_mask"][0].copy()

    def render(self) -> Any:
        """The position as `render_mode` has it; see `Board.render`."""
        if self.render_mode is None:
            return None
        if not self._obs:
            raise ResetNeeded("call reset before render")
        return render(self.render_mode, self._board.game, self._obs["state"][0])

    def _shown(self) -> dict[str, Any]:
        return {name: array[0].copy() for name, array in self._obs.items()}

    def _play(self, action: Any) -> tuple[dict[str, np.ndarray], float, bool]:
        """One ply: (the position after it, this player's reward, is it over)."""
        try:
            obs, _, terminated, _, info = self._board.step(np.array([action]))
        except ValueError as error:
            raise ValueError(str(error).removeprefix("slot 0: ")) from None
        over = bool(terminated[0])
        return info["final_obs"] if over else obs, float(info["seat_rewards"][0, self._mine]), over

    def _answer(self, obs: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], float, bool]:
        """Let the opponent move until it is this player's turn, or over."""
        reward, over = 0.0, False
        while not over and obs["to_play"][0] != self._mine:
            try:
                obs, reward, over = self._play(self._ask(obs))
            except ValueError as error:
                self._playing = False
                raise ValueError(f"the opponent's move: {error}") from None
        return obs, reward, over

    def _ask(self, obs: dict[str, np.ndarray]) -> Any:
        if self.opponent is not None:
            return np.asarray(self.opponent(obs)).reshape(-1)[0]
        return self.np_random.choice(np.flatnonzero(obs["action_mask"][0]))
