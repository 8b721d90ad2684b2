"""A board game as a PettingZoo environment of two agents who take turns (AEC)."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from pettingzoo import AECEnv
from pettingzoo.utils.env_logger import EnvLogger

from envs.base import State
from envs.board import load
from envs.board.batch import observe_states
from envs.board.game import OPEN, OUTCOMES, TURN_BIT, Game, outcome, play, to_play, value_of
from envs.board.moves import check_saved, position_of
from envs.board.render import FPS, MODES, Window, frame, render
from envs.options import OptionError

AGENTS = ["player_0", "player_1"]
ILLEGAL = -1.0
"""What an illegal move earns; it ends the game, and the other player earns nothing (PettingZoo's custom)."""
MOVES = ("legal", "may swap")
"""Planes that show what may be played."""
KEPT = (
    "agents",
    "agent_selection",
    "rewards",
    "_cumulative_rewards",
    "terminations",
    "truncations",
    "infos",
    "_skip_agent_selection",
)
"""What PettingZoo keeps of a game beside its position."""


class BoardAEC(AECEnv[str, Any, Any]):
    """One game. `player_0` moves first; an observation is `{"observation", "action_mask"}`, both int8.

    `observation` is `[rows, columns, planes]` from the view of the agent that is asked (`game.planes` names
    the planes). `action_mask` is all zeros for the agent that is not to move, and after the end. `reset`
    takes a position in its `options`, `{"moves": "4 4 3"}` or `{"state": [...]}`.

    It can be copied, pickled, and saved in the middle of a game (`get_state`, `set_state`).
    """

    def __init__(self, game: str, *, render_mode: str | None = None, **options: Any) -> None:
        """Raises `ValueError` for an unknown game or an option out of range."""
        super().__init__()
        if render_mode not in (None, "human", *MODES):
            said = f"render_mode must be human, {' or '.join(MODES)}, not '{render_mode}'"
            raise OptionError("render_mode", said)
        self.game: Game = load(game, options)
        self.metadata = {
            "name": self.game.name,
            "render_modes": ["human", *MODES],
            "render_fps": FPS,
            "is_parallelizable": False,
        }
        self.render_mode = render_mode
        self.possible_agents = list(AGENTS)
        self.agents: list[str] = []
        shape = (*self.game.shape, len(self.game.planes))
        self.observation_spaces = {agent: self._observations(shape) for agent in AGENTS}
        self.action_spaces: dict[str, spaces.Space] = {
            agent: spaces.Discrete(self.game.actions) for agent in AGENTS
        }
        self._state = self.game.new()[0]
        self._window: Window | None = None

    def _observations(self, shape: tuple[int, ...]) -> spaces.Space:
        mask = spaces.Box(0, 1, (self.game.actions,), np.int8)
        return spaces.Dict(observation=spaces.Box(0, 1, shape, np.int8), action_mask=mask)

    def observation_space(self, agent: str) -> spaces.Space:
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Space:
        return self.action_spaces[agent]

    def reset(self, seed: int | None = None, options: Mapping[str, Any] | None = None) -> None:
        """Begin a game, from the position in `options` where there is one.

        A seed changes nothing, nor do other options (PettingZoo's own test gives such).
        """
        named = {key: options[key] for key in ("moves", "state") if key in options} if options else {}
        self._state = position_of(self.game, named) if named else self.game.new()[0]
        self.agents = list(AGENTS)
        self.rewards = dict.fromkeys(AGENTS, 0.0)
        self._cumulative_rewards = dict.fromkeys(AGENTS, 0.0)
        self.terminations = dict.fromkeys(AGENTS, False)
        self.truncations = dict.fromkeys(AGENTS, False)
        self.infos: dict[str, dict[str, Any]] = {agent: {} for agent in AGENTS}
        self.agent_selection = AGENTS[to_play(self._state)]
        self._skip_agent_selection: str | None = None
        if self.render_mode == "human":
            self.render()

    def observe(self, agent: str) -> dict[str, np.ndarray]:
        """What `agent` sees; the planes are always from its own view.

        Who is not to move has no moves: neither in the mask, nor in the planes of `MOVES`.
        """
        seat, state = AGENTS.index(agent), self._state.copy()
        theirs = to_play(state) != seat
        if theirs:
            state[0] ^= TURN_BIT
        obs = observe_states(self.game, state[None])
        mask, planes = (obs[name][0].astype(np.int8) for name in ("action_mask", "planes"))
        if theirs:
            planes[..., [name in MOVES for name in self.game.planes]] = 0
        playing = agent in self.agents and not self.terminations[agent] and not theirs
        return {"observation": planes, "action_mask": mask * np.int8(playing)}

    def step(self, action: Any) -> None:
        """Play an action (None for an agent whose game is over); an illegal one loses."""
        if not self.agents:
            raise ResetNeeded("call reset before step, also after a game's end")
        agent = self.agent_selection
        if self.terminations[agent]:
            self._was_dead_step(action)
            return
        if not self.action_spaces[agent].contains(action):
            said = f"{agent} played {action!r}; actions are whole numbers from 0 to {self.game.actions - 1}"
            raise ValueError(said)
        self._cumulative_rewards[agent] = 0.0
        if self.observe(agent)["action_mask"][action]:
            self._play(int(action))
        else:
            EnvLogger.warn_on_illegal_move()
            self.rewards = {each: ILLEGAL if each == agent else 0.0 for each in AGENTS}
            self.terminations = dict.fromkeys(AGENTS, True)
        self._accumulate_rewards()
        if self.render_mode == "human":
            self.render()

    def _play(self, action: int) -> None:
        play(self.game.code, self._state, action)
        end = outcome(self._state)
        if end == OPEN:
            self.agent_selection = AGENTS[to_play(self._state)]
            return
        self.rewards = {agent: float(value_of(end, seat)) for seat, agent in enumerate(AGENTS)}
        self.terminations = dict.fromkeys(AGENTS, True)
        self.infos = {agent: {"outcome": OUTCOMES[end]} for agent in AGENTS}
        self.agent_selection = AGENTS[1 - AGENTS.index(self.agent_selection)]

    def state(self) -> np.ndarray:
        """The position as one array of words, uint64 `[words]`."""
        return self._state.copy()

    def get_state(self) -> State:
        """Everything that the rest of the game depends on."""
        if not hasattr(self, "terminations"):
            raise ResetNeeded("call reset before get_state")
        game = {"game": self.game.name, "options": dict(self.game.options), "state": self._state.copy()}
        return game | {name: copy.deepcopy(getattr(self, name)) for name in KEPT}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `get_state` gave (`ValueError` where it is impossible or of another game)."""
        check_saved(self.game, state, ("state", *KEPT))
        self._state = self.game.check(np.asarray(state["state"])[None])[0].copy()
        for name in KEPT:
            setattr(self, name, copy.deepcopy(state[name]))

    def render(self) -> Any:
        """The board as `render_mode` has it: uint8 `[height, width, 3]`, a coloured text, or a window."""
        if self.render_mode is None:
            return None
        if self.render_mode != "human":
            return render(self.render_mode, self.game, self._state)
        self._window = self._window or Window(self.game.title)
        self._window.show(frame(self.game, self._state))
        return None

    def close(self) -> None:
        if self._window is not None:
            self._window.close()
            self._window = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_window": None}  # a window is nobody else's

    def __str__(self) -> str:
        return self.game.name


def env(game: str, **options: Any) -> BoardAEC:
    """`BoardAEC(game, **options)`, by the name that PettingZoo's modules use; there is nothing to wrap."""
    return BoardAEC(game, **options)
