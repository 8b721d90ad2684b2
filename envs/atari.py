"""Atari 2600 games by ale-py's own vector environment, with raw scores and true ends.

The protocol is the classic one (Mnih et al., 2015; Machado et al., 2018): 84×84 grey, the maximum of the last
two of 4 frames, 4 of these stacked, up to 30 frames of FIRE (where the game has it) and no-ops at the start,
the minimal action set, 108,000 frames at most. Sticky actions are off unless asked for (`sticky=0.25` is what
`gymnasium.make("ALE/...-v5")` sets; ale-py's vector environment itself says 0).

Different from ale-py's defaults: rewards are never clipped, a lost life neither ends nor restarts an
episode, an ended slot restarts in the same step, and every whole number from 0 up is a seed. Left as it is:
where a game is over between the frames that are shown, the last observation shows the frame before (a
truncated episode's is exact).
"""

from __future__ import annotations

import os
from functools import cache
from typing import Any

import numpy as np
from ale_py import roms
from ale_py.vector_env import AtariVectorEnv
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode

from envs.base import Array, BatchEnv, slot_seeds
from envs.options import OptionError, split_options

NO_SINGLE_PLAYER = ("combat", "joust", "maze_craze", "warlords")
FRAME_SKIP = 4
MAX_SEED = 2**31  # ale-py takes 31 bits


class _Vector(AtariVectorEnv):
    def __init__(self, *args: Any, **options: Any):
        self.metadata = {}  # ale-py writes into it, and VectorEnv's own is shared by every class
        super().__init__(*args, **options)


class Atari(BatchEnv):
    """`n` slots of one game. obs uint8 `[n, 4, 84, 84]`, newest frame last, zeros before the first.

    Options: `sticky`, the chance that a frame repeats the last action; `full_actions`, all 18 actions;
    `max_frames`, after which an episode is truncated (those before the first observation are not counted);
    `life_loss`, which adds the part `life_lost` (1 where a life was lost, the last one included; unknown and
    so 0 where the episode is truncated); `num_threads` (0: `OMP_NUM_THREADS`, else one a
    core).
    """

    render_mode = "rgb_array"

    def __init__(
        self,
        id: str,
        n: int = 1,
        *,
        sticky: float = 0.0,
        full_actions: bool = False,
        max_frames: int = 108_000,
        life_loss: bool = False,
        num_threads: int = 0,
    ):
        """Raises `ValueError` for an unknown game or an option out of range."""
        if id not in games():
            raise ValueError(f"unknown Atari game '{id}'")
        if not 0 <= sticky < 1:
            raise OptionError("sticky", f"sticky is a chance; it must be in [0, 1), not {sticky}")
        if max_frames < FRAME_SKIP:
            said = f"max_frames must be at least the {FRAME_SKIP} frames of one step, not {max_frames}"
            raise OptionError("max_frames", said)
        if num_threads < 0:
            raise OptionError("num_threads", f"num_threads must be 0 or more, not {num_threads}")
        self.game = games()[id]
        self._env = _Vector(
            self.game,
            n,
            num_threads=min(n, num_threads or _threads()),
            max_num_frames_per_episode=max_frames,
            repeat_action_probability=sticky,
            full_action_space=full_actions,
            autoreset_mode=AutoresetMode.SAME_STEP,
            frameskip=FRAME_SKIP,
            reward_clipping=False,
            episodic_life=False,
            life_loss_info=False,
        )
        self.num_envs = n
        self.metadata = {**BatchEnv.metadata, "render_modes": ["rgb_array"], "render_fps": 15}
        self.parts = ("life_lost",) if life_loss else ()
        self.single_observation_space = self._env.single_observation_space
        self.single_action_space = self._env.single_action_space
        self._choices = len(self._env.ale.get_action_set())
        self.observation_space, self.action_space = self._env.observation_space, self._env.action_space
        self._lives = np.full(n, -1)  # -1 before the first reset
        self._frame = np.zeros((84, 84), np.uint8)

    def reset(
        self, *, seed: Any = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """Restart all slots, or those of `reset_mask`; see `BatchEnv`. Seeds of 31 bits are ale-py's own."""
        own, mask, slots = split_options(options, self.num_envs)
        if own or any(slots):
            raise ValueError("an Atari game takes no options at reset; its options are those of envs.make")
        if not mask.all() and self._lives[0] < 0:
            raise ValueError("the first reset must be of all slots")
        seeds = slot_seeds(seed, self.num_envs)
        ale_seeds = np.array([_ale_seed(seeds[i]) for i in np.flatnonzero(mask)], np.int64)
        obs: Any
        obs, info = self._env.reset(seed=ale_seeds, options={"reset_mask": mask})
        self._lives = info["lives"]
        self._frame[:] = obs[0, -1]
        return obs, {}

    def step(self, actions: Any) -> tuple[Array, Array, Array, Array, dict[str, Any]]:
        """Step every slot (4 frames); see `BatchEnv`."""
        obs, rewards, terminated, truncated, info = self._env.step(self._checked(actions))
        parts = {}
        if self.parts:
            lost = (info["lives"] < self._lives) & ~truncated | terminated & (self._lives > 0)
            parts["life_lost"] = lost.astype(np.float32)
        self._lives = info["lives"]
        self._frame[:] = obs[0, -1]
        out = {"final_obs": info.get("final_obs", obs), "parts": parts}
        return obs, rewards.astype(np.float32), terminated, truncated, out

    def _checked(self, actions: Any) -> Array:
        """The actions as int64 `[n]`; ale-py dies of those that the game has not."""
        if self._lives[0] < 0:
            raise ResetNeeded("call reset first")
        actions = np.asarray(actions, np.int64)
        if actions.shape != (self.num_envs,) or actions.min() < 0 or actions.max() >= self._choices:
            raise ValueError(
                f"actions {actions.tolist()}; there must be {self.num_envs} in [0, {self._choices})"
            )
        return actions

    def render(self) -> Any:
        """Slot 0's newest frame, uint8 `[420, 336, 3]`, grey, about the shape of a television picture."""
        return np.repeat(self._frame.repeat(5, axis=0).repeat(4, axis=1)[:, :, None], 3, axis=2)


@cache
def games() -> dict[str, str]:
    """From id (`ALE/MsPacman-v5`) to ale-py's name (`ms_pacman`), for every game of one player."""
    found = (rom for rom in sorted(roms.get_all_rom_ids()) if rom not in NO_SINGLE_PLAYER)
    return {f"ALE/{rom.title().replace('_', '')}-v5": rom for rom in found}


def _threads() -> int:
    """As many as the environment says (workers beside each other have one), else one a core."""
    said = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    if said.isdecimal() and int(said):
        return int(said)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _ale_seed(seed: int | None) -> int:
    """What ale-py takes: 31 bits as they are, larger seeds hashed, -1 to go on with the slot's numbers."""
    if seed is None:
        return -1
    if 0 <= seed < MAX_SEED:
        return seed
    return int(np.random.SeedSequence(seed).generate_state(1)[0] % MAX_SEED)
