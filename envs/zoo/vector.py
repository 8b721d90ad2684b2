"""Batches of PettingZoo games, and the two ways to seat their agents."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Dict, Discrete, MultiBinary, Space
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from envs.base import FORFEIT, Array, BatchEnv, State, slot_seeds
from envs.gym import quieten_pygame, told
from envs.options import SlotOptions, split_options
from envs.spaces import Actions, Layout
from envs.zoo.games import Game, TurnGame


class DifferentGame(ValueError):
    """Saved moves that no longer lead to the saved observations."""


class Games(BatchEnv):
    """What both ways to seat agents share.

    * Observations: an array, or a dict in which the agent's own observation is `planes` (PettingZoo calls it
      `observation`). With Discrete actions there is always an `action_mask`, from the observation, from the
      info, or full. Actions are as in `envs.gym.Singles`.
    * A game is named by `(seed, options)`. Those that begin by themselves get seeds drawn from the last given
      one, so that everything is determined whatever an environment does without a seed.
    * A saved game is its seed, its options and the moves so far; `set_state` plays them again. `can_save`
      tries that on one of them: it is False where a seed does not settle all, or a reset leaves traces.
    """

    def __init__(self, games: Sequence[Game], slots: int, seats: int, spare: Callable[[], Games] | None):
        """`slots` of the batch for each game; `spare` makes a batch of one more game (None: cannot save).

        Raises `ValueError` for spaces that cannot be batched.
        """
        self.games = list(games)
        head, self.slots_per_game, self.seats = games[0], slots, seats
        self.num_envs = n = len(self.games) * slots
        agent = head.agents[0]
        self._layout = Layout.of(head.env.observation_space(agent))
        self._actions = Actions(head.env.action_space(agent))
        self.single_action_space = self._actions.space
        self._describe_observations(seats)
        self.observation_space = batch_space(self.single_observation_space, n)
        self.action_space = batch_space(self.single_action_space, n)
        self.metadata = {**head.env.metadata, "autoreset_mode": AutoresetMode.SAME_STEP}
        self.render_mode, self.spec = getattr(head.env, "render_mode", None), None
        self._seeds = [0] * len(self.games)
        self._options: list[SlotOptions] = [None] * len(self.games)
        self._moves: list[list[Any]] = [[] for _ in self.games]
        self._dealers = [np.random.default_rng() for _ in self.games]
        self._begun, self._spare = False, spare

    @property
    def can_save(self) -> bool:  # type: ignore[override]
        """Whether the longest game in progress, played again in a fresh environment, leads to where it is."""
        if self._spare is None or not self._begun:
            return self._spare is not None
        k, state = self.slots_per_game, self.get_state()
        g = int(np.argmax([len(moves) for moves in self._moves]))
        seen = _rows(state["obs"], slice(g * k, (g + 1) * k))
        try:
            self._spare().set_state({"obs": seen, "games": [state["games"][g]]})
        except DifferentGame:
            return False
        return True

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Restart all slots, or those of `reset_mask`; see `BatchEnv`.

        Slots of one game restart together (else `ValueError`), by the seed and options of its first slot.
        """
        own, mask, slots = split_options(options, self.num_envs)
        masks = mask.reshape(len(self.games), self.slots_per_game)
        if (masks.any(1) != masks.all(1)).any():
            g = int(np.argmax(masks.any(1) != masks.all(1)))
            which = f"{g * self.slots_per_game} to {(g + 1) * self.slots_per_game - 1}"
            raise ValueError(
                f"slots {which} play one game: all of them restart, or none "
                f"(collect episodes in multiples of the {self.slots_per_game} agents)"
            )
        if not (self._begun or mask.all()):
            raise ValueError("the first reset must be of all slots")
        seeds = slot_seeds(seed, self.num_envs)
        for g in np.flatnonzero(masks[:, 0]).tolist():
            first = g * self.slots_per_game
            self._options[g] = {**own, **(slots[first] or {})} or None
            self._start(g, seeds[first])
        self._begun = True
        return self._shown(), {}

    def get_state(self) -> State:
        """See `BatchEnv`; games in progress are their seeds and moves."""
        self._check_begun()
        games = [
            {"seed": seed, "options": options, "moves": np.array(moves), "dealer": dealer.bit_generator.state}
            for seed, options, moves, dealer in zip(self._seeds, self._options, self._moves, self._dealers)
        ]
        return {"obs": self._shown(), "games": games}

    def set_state(self, state: Mapping[str, Any]) -> Any:
        """See `BatchEnv`. Raises `ValueError` where the state is of another number of games, and
        `DifferentGame` where its moves now lead elsewhere.
        """
        if len(state["games"]) != len(self.games):
            raise ValueError(f"a state of {len(state['games'])} games for {len(self.games)}")
        for g, saved in enumerate(state["games"]):
            self._options[g] = saved["options"]
            self._start(g, saved["seed"])
            self._dealers[g].bit_generator.state = saved["dealer"]
            for move in saved["moves"]:
                self._play(g, move)
            self._show(g)
        self._begun, obs = True, self._shown()
        if not _equal(obs, state["obs"]):
            raise DifferentGame(f"{self.games[0].env}: the saved moves do not lead to the saved observations")
        return obs

    def render(self) -> Any:
        """The picture or text of slot 0's game; None where it was made without a `render_mode`."""
        if self.render_mode is None:
            return None
        quieten_pygame()
        with told(f"drawing {self.games[0].env}"):
            return self.games[0].env.render()

    def close_extras(self, **kwargs: Any) -> None:
        for game in self.games:
            game.env.close()

    def _describe_observations(self, seats: int) -> None:
        """The single observation space, and one array for each of its names."""
        whole, actions = self._layout.space, self.single_action_space
        found = whole.spaces if isinstance(whole, Dict) else {"": whole}
        if not self._layout.leaves:
            raise ValueError(f"observation space {whole} cannot be batched (arrays and dicts of arrays can)")
        plain = "planes" if "planes" not in found else "observation"
        self._names = {name: plain if name in ("", "observation") else name for name in found}
        spaces: dict[str, Space] = {self._names[name]: space for name, space in found.items()}
        self._masked = isinstance(actions, Discrete)
        if isinstance(actions, Discrete):
            spaces["action_mask"] = MultiBinary(int(actions.n))
            self._names.pop("action_mask", None)
            self._wait = np.arange(int(actions.n)) == 0
        if seats > 1:
            spaces["to_play"] = Discrete(seats)
        self._bare = spaces.keys() == {"planes"} and not isinstance(whole, Dict)
        self.single_observation_space = spaces["planes"] if self._bare else Dict(spaces)
        self._now = {k: np.zeros((self.num_envs, *(s.shape or ())), s.dtype) for k, s in spaces.items()}

    def _start(self, g: int, seed: int | None) -> None:
        """Begin a game, by a seed drawn from the last given one where there is none."""
        if seed is not None:
            self._dealers[g] = np.random.default_rng(seed)
        self._seeds[g] = int(self._dealers[g].integers(2**31)) if seed is None else seed
        self._moves[g] = []
        self.games[g].reset(self._seeds[g], self._options[g])
        self._show(g)

    def _restart(self, over: Sequence[int]) -> tuple[Any, Any]:
        """`(obs, final_obs)` after a step that ended the games `over`, which begin anew."""
        final_obs = self._shown()
        for g in over:
            self._start(g, None)
        return (self._shown() if over else final_obs), final_obs

    def _play(self, g: int, move: Any) -> Array:
        """One step of game `g`; `move` is one action, or one for each agent, as the environment has them."""
        game = self.games[g]
        self._moves[g].append(move)
        own = move.tolist() if self._masked else move  # Python's own numbers
        return game.step(self._by_agent(game, own))

    def _by_agent(self, game: Any, move: Any) -> Any:
        """A move as actions by the numbers of their agents."""
        return move

    def _show(self, g: int) -> None:
        """Write what the agents of game `g` observe now."""
        raise NotImplementedError

    def _write(self, i: int, g: int, j: int) -> None:
        """Write what agent `j` of game `g` observes into row `i`: zeros where it is gone."""
        game = self.games[g]
        view = game.view(j)
        obs, info = view or (None, {})
        row = {} if obs is None else self._layout.flat(obs)
        row = row if isinstance(row, dict) else {"": row}
        for own, name in self._names.items():
            self._now[name][i] = row[own] if row else 0
        if self._masked:
            mask = row.get("action_mask", info.get("action_mask", np.ones_like(self._wait)))
            # what was legal at the end may be asked of a final observation
            shown = view and np.any(mask) if game.over else game.acting[j]
            self._now["action_mask"][i] = mask if shown else self._wait

    def _shown(self) -> Any:
        return self._now["planes"].copy() if self._bare else {k: v.copy() for k, v in self._now.items()}

    def _check_begun(self) -> None:
        if not self._begun:
            raise gymnasium.error.ResetNeeded("call reset first")


class SeatedGames(Games):
    """Games in turn: one slot a game, and a seat for each agent, in the order of `possible_agents`.

    Where one agent holds all seats, returns flip their sign with the mover: right for two seats whose rewards
    cancel out, and for nothing else. With `zero_sum` a step that breaks this is a `ValueError`; without,
    and with more seats than two, the games are for `collect(agent, opponents=[...])` only.

    An agent that leaves early just moves no more. The game is truncated where one of its last agents was.
    """

    def __init__(
        self, games: Sequence[TurnGame], spare: Callable[[], Games] | None = None, zero_sum: bool = True
    ):
        super().__init__(games, 1, len(games[0].agents), spare)
        self.zero_sum = zero_sum

    def step(
        self, actions: Any, where: Array | None = None
    ) -> tuple[Any, Array, Array, Array, dict[str, Any]]:
        """Move in the slots `where`; see `BatchEnv`. An illegal move is a `ValueError`.

        Where actions are Discrete, `FORFEIT` gives a game up: −1 for the mover, 1 shared out to the others.
        """
        self._check_begun()
        n = self.num_envs
        where = np.ones(n, bool) if where is None else where
        movers = self._now["to_play"].copy()
        rewards = np.zeros((n, self.seats), np.float32)
        terminated, truncated = np.zeros((2, n), bool)
        gives_up = where & (np.asarray(actions) == FORFEIT) if self._masked else np.zeros(n, bool)
        if self._masked:
            self._check_legal(np.asarray(actions), where & ~gives_up)
        rewards[gives_up], terminated[gives_up] = 1 / (self.seats - 1), True
        rewards[gives_up, movers[gives_up]] = -1
        sent = self._actions(actions)
        for i in np.flatnonzero(where & ~gives_up).tolist():
            game = self.games[i]
            there = ~(game.terminated | game.truncated)
            rewards[i] = self._play(i, sent[i])
            self._show(i)
            if game.over:
                truncated[i] = (game.truncated & there).any()
                terminated[i] = not truncated[i]
        if self.zero_sum:
            self._check_cancelling(rewards)
        obs, final_obs = self._restart(np.flatnonzero(terminated | truncated).tolist())
        info = {"final_obs": final_obs, "seat_rewards": rewards, "parts": {}}
        return obs, rewards[np.arange(n), movers], terminated, truncated, info

    def _by_agent(self, game: Any, move: Any) -> Any:
        return {game.turn: move}

    def _show(self, g: int) -> None:
        game: Any = self.games[g]
        self._write(g, g, game.turn)
        self._now["to_play"][g] = game.turn

    def _check_legal(self, actions: Array, where: Array) -> None:
        mask = self._now["action_mask"]
        legal = mask.take(np.clip(actions, 0, mask.shape[1] - 1) + np.arange(len(mask)) * mask.shape[1])
        wrong = where & ~((actions >= 0) & (actions < mask.shape[1]) & (legal > 0))
        if wrong.any():
            i = int(np.argmax(wrong))
            raise ValueError(
                f"slot {i}: action {actions[i]} is illegal; legal: {np.flatnonzero(mask[i]).tolist()}"
            )

    def _check_cancelling(self, rewards: Array) -> None:
        uneven = np.abs(rewards.sum(1)) > 1e-4 * np.abs(rewards).max(1)
        if uneven.any():
            i = int(np.argmax(uneven))
            raise ValueError(
                f"{self.games[i].env}: a step gave {rewards[i].tolist()}, which do not "
                "cancel out as self-play by seats needs; make it with per_agent=true (a slot an agent), "
                "or with per_agent=false to play against opponents only"
            )


class SharedGames(Games):
    """Games of any kind: one slot for each game and agent, game by game, so that `k` slots are one game.

    A slot's rewards are its agent's own, and all slots of a game end with it. An agent whose turn it is not
    passes: it sees the game go on, and what it does is ignored. One that leaves early passes until the end,
    sees zeros and gets no rewards ("death masking", Yu et al., 2022), so that its return is
    exact and the slot never idles; its episode ends as terminated or truncated as it left. Where actions
    are Discrete, a pass has action 0 as its only legal one, which a policy gradient cannot push.

    In idle slots (see `BatchEnv`) action 0 may be illegal; an illegal action plays the first legal one.
    """

    def __init__(self, games: Sequence[Game], spare: Callable[[], Games] | None = None):
        super().__init__(games, len(games[0].agents), 1, spare)

    def step(self, actions: Any) -> tuple[Any, Array, Array, Array, dict[str, Any]]:
        """Step every slot; see `BatchEnv`."""
        self._check_begun()
        k, shape = self.slots_per_game, (len(self.games), self.slots_per_game)
        rewards = np.zeros(shape, np.float32)
        terminated, truncated = np.zeros((2, *shape), bool)
        if self._masked:
            mask, actions = self._now["action_mask"], np.asarray(actions)
            legal = np.take_along_axis(mask, actions[:, None], 1)[:, 0] > 0
            actions = np.where(legal, actions, mask.argmax(1))
        sent = self._actions(actions)
        for g, game in enumerate(self.games):
            rewards[g] = self._play(g, sent[g * k : (g + 1) * k])
            self._show(g)
            if game.over:
                terminated[g], truncated[g] = ~game.truncated, game.truncated
        over = np.flatnonzero((terminated | truncated).any(1)).tolist()
        obs, final_obs = self._restart(over)
        ends = terminated.reshape(-1), truncated.reshape(-1)
        return obs, rewards.reshape(-1), *ends, {"final_obs": final_obs, "parts": {}}

    def _show(self, g: int) -> None:
        for j in range(self.slots_per_game):
            self._write(g * self.slots_per_game + j, g, j)


class Glimpse(SharedGames):
    """One slot of a game that takes more: it shows what a slot is like, and cannot be played."""

    def __init__(self, game: Game):
        super().__init__([game])
        self.num_envs = 1
        self.observation_space = batch_space(self.single_observation_space, 1)
        self.action_space = batch_space(self.single_action_space, 1)

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Raises `ValueError`."""
        k = self.slots_per_game
        raise ValueError(
            f"{self.games[0].env} is played by {k} agents, a slot each: n must be a multiple of {k}"
        )


def _rows(obs: Any, rows: slice) -> Any:
    return {name: array[rows] for name, array in obs.items()} if isinstance(obs, dict) else obs[rows]


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, Mapping):
        return all(np.array_equal(a[name], b[name]) for name in a)
    return np.array_equal(a, b)
