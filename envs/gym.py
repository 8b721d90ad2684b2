"""Any Gymnasium environment as a `BatchEnv`: single ones here, foreign vectors in `envs.vectors`."""

from __future__ import annotations

import dataclasses
import inspect
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.registration import EnvSpec, load_env_creator
from gymnasium.vector import SyncVectorEnv, VectorEnv

from envs import saving
from envs.base import Array, BatchEnv, State, slot_seeds
from envs.options import SlotOptions, check_options, split_options
from envs.spaces import Actions, Layout, describe
from envs.vectors import OneSlot, Vectors, cannot_restart

CARTPOLE = "gymnasium.envs.classic_control.cartpole:CartPoleEnv"


class Singles(BatchEnv):
    """`n` single environments, stepped in a plain loop.

    * Observations: see `envs.spaces.Layout`.
    * Actions: Discrete ones count from 0 whatever the environment's `start`. Box actions are clipped to the
      bounds on their way to the environment only; whoever sampled them keeps what was sampled.
    * `parts`: a class attribute of the environment that names keys of its step info. `success` is read from
      `is_success` or `success` in the info of an episode's last step.
    * Options given to `reset` also hold for a slot's automatic restarts, until the next `reset` of that slot.
    * `can_save` holds for Gymnasium's classic control and for environments with `get_state` and `set_state`.
    """

    def __init__(self, environments: Sequence[gymnasium.Env]):
        """Raises `ValueError` where the environments differ in their spaces or these cannot be batched."""
        self.envs = list(environments)
        self.num_envs = n = len(self.envs)
        head = self.envs[0]
        for env in self.envs[1:]:
            if env.observation_space != head.observation_space or env.action_space != head.action_space:
                raise ValueError(f"the slots of {head} differ in their spaces; a batch needs equal ones")
        self._layout = Layout.of(head.observation_space)
        self._actions = Actions(head.action_space)
        describe(self, head, self._layout, self._actions, n)
        self.can_save = all(map(saving.can_save, self.envs))
        self._now: list[Any] = [None] * n  # each slot's current observation, flat
        self._options: list[SlotOptions] = [None] * n

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Restart all slots, or those of `reset_mask`; see `BatchEnv`."""
        own, mask, slots = split_options(options, self.num_envs)
        if not mask.all() and any(obs is None for obs in self._now):
            raise ValueError("the first reset must be of all slots")
        seeds = slot_seeds(seed, self.num_envs)
        for i in np.flatnonzero(mask).tolist():
            self._options[i] = {**own, **(slots[i] or {})} or None
            self._restart(i, seeds[i])
        return self._layout.stack(self._now), {}

    def step(self, actions: Any) -> tuple[Any, Array, Array, Array, dict[str, Any]]:
        """Step every slot; see `BatchEnv`."""
        self._check_begun()
        n = self.num_envs
        rewards: list[Any] = [0.0] * n
        terminated, truncated = [False] * n, [False] * n
        infos: list[dict[str, Any]] = [{}] * n
        for i, (env, action) in enumerate(zip(self.envs, self._actions(actions), strict=True)):
            obs, rewards[i], terminated[i], truncated[i], infos[i] = env.step(action)
            self._now[i] = self._layout.flat(obs)
        ends = np.array(terminated, bool), np.array(truncated, bool)
        ended = np.flatnonzero(ends[0] | ends[1]).tolist()
        final_obs = obs = self._layout.stack(self._now)
        info = {"final_obs": final_obs, "parts": self._read_parts(infos, ended)}
        for i in ended:
            self._restart(i, None)
        if ended:
            obs = self._layout.stack(self._now)
        return obs, np.array(rewards, np.float32), *ends, info

    def get_state(self) -> State:
        """See `BatchEnv`; observations, generators, elapsed steps and options included."""
        if not self.can_save:
            return super().get_state()
        self._check_begun()
        slots = [saving.save(env) for env in self.envs]
        return {"obs": self._layout.stack(self._now), "slots": slots, "options": list(self._options)}

    def set_state(self, state: Mapping[str, Any]) -> Any:
        """See `BatchEnv`. Raises `ValueError` where the state is of another number of slots."""
        if not self.can_save:
            return super().set_state(state)
        if len(state["slots"]) != self.num_envs:
            raise ValueError(f"a state of {len(state['slots'])} slots for {self.num_envs}")
        for env, slot in zip(self.envs, state["slots"]):
            saving.restore(env, slot)
        self._options = list(state["options"])
        self._now = [self._layout.row(self._layout.batch(state["obs"]), i) for i in range(self.num_envs)]
        return self._layout.stack(self._now)

    def render(self) -> Any:
        """Slot 0's picture (made with `render_mode="rgb_array"`: uint8 `[height, width, 3]`)."""
        quieten_pygame()
        try:
            return self.envs[0].render()
        except (ImportError, gymnasium.error.DependencyNotInstalled) as error:
            raise ValueError(
                f"drawing {self.envs[0].unwrapped} needs what is not installed: {error}"
            ) from None

    def close_extras(self, **kwargs: Any) -> None:
        for env in self.envs:
            env.close()

    def _check_begun(self) -> None:
        if self._now[0] is None:
            raise gymnasium.error.ResetNeeded("call reset first")

    def _restart(self, i: int, seed: int | None) -> None:
        obs, _ = self.envs[i].reset(seed=seed, options=self._options[i])
        self._now[i] = self._layout.flat(obs)

    def _read_parts(self, infos: Sequence[Mapping[str, Any]], ended: Sequence[int]) -> dict[str, Array]:
        parts = {k: np.array([v.get(k, 0) for v in infos], np.float32) for k in self.parts if k != "success"}
        if "success" in self.parts:
            parts["success"] = np.zeros(self.num_envs, np.float32)
            for i in ended:
                parts["success"][i] = infos[i].get("is_success", infos[i].get("success", 0))
        return parts


def make_registered(spec: EnvSpec, n: int, options: Mapping[str, Any]) -> BatchEnv:
    """`n` slots of a registered environment; `max_episode_steps` is an option of every single one.

    Raises `ValueError` for wrong options or a package that is not installed.
    """
    what = f"environment '{spec.id}'"
    with told(what):
        if spec.entry_point is None:
            vector = _load(spec.vector_entry_point)
            check_options(what, vector, options, given=("num_envs",), preset=spec.kwargs)
            return batch_of(vector, n, {**spec.kwargs, **options})
        limit = {"max_episode_steps": int | None}
        check_options(what, _load(spec.entry_point), options, also=limit, preset=spec.kwargs)
        # the wrappers that only look for mistakes cost a fifth of a CartPole step
        lean = dataclasses.replace(spec, order_enforce=False, disable_env_checker=True)
        singles = [gymnasium.make(lean, **options) for _ in range(n)]
        if spec.entry_point == CARTPOLE and options.get("render_mode") != "human":
            from envs.cartpole import CartPoles

            return CartPoles(singles)
        return Singles(singles)


def make_imported(path: str, creator: Any, n: int, options: Mapping[str, Any]) -> BatchEnv:
    """`n` slots of what an import path names: a `gymnasium.Env`, `VectorEnv` or `BatchEnv` class, or a
    function that returns one (a single environment; a batch where it has a parameter `n` or `num_envs`).

    PettingZoo's `AECEnv` and `ParallelEnv` count as single environments; `per_agent` is then an option too
    (see `envs.zoo.batch_of`). Raises `ValueError` for anything else and for wrong options.
    """
    if not callable(creator):
        raise ValueError(f"'{path}' is no environment class, and no function that returns an environment")
    single = isinstance(creator, type) and issubclass(creator, gymnasium.Env)
    size = None if single else _size_parameter(creator)
    what = f"environment '{path}'"
    check_options(what, creator, options, also=_zoo_options(creator, options), given=(size,) if size else ())
    own = {k: v for k, v in options.items() if k not in _zoo_options(creator, options)}
    with told(what):
        if size:
            return batch_of(creator, n, own, size)
        first = creator(**own)
        if not isinstance(first, gymnasium.Env):
            return _zoo_of(path, first, partial(creator, **own), n, options.get("per_agent"))
        check_options(what, creator, options)  # again, now that it is known not to be PettingZoo's
        return Singles([first, *(creator(**own) for _ in range(n - 1))])


def batch_of(
    creator: Callable[..., Any], n: int, options: Mapping[str, Any], size: str = "num_envs"
) -> BatchEnv:
    """`n` slots of what `creator` builds when told so by its parameter `size`."""
    env = creator(**{size: n}, **options)
    if isinstance(env, VectorEnv) and type(env) is not SyncVectorEnv and cannot_restart(env):
        env.close()
        return Singles([OneSlot(creator(**{size: 1}, **options)) for _ in range(n)])
    return adapt(env)


def adapt(env: Any) -> BatchEnv:
    """A `BatchEnv` of any environment object: a single one, a vector of any mode, or a `BatchEnv` as it is.

    Raises `ValueError` where it is none of these or its ends cannot be told.
    """
    if isinstance(env, BatchEnv):
        return env
    if isinstance(env, gymnasium.Env):
        return Singles([env])
    if type(env) is SyncVectorEnv:
        return Singles(env.envs)
    if isinstance(env, VectorEnv):
        return Vectors(env)
    raise ValueError(f"a {type(env).__name__} is no Gymnasium environment")


@contextmanager
def told(what: str) -> Iterator[None]:
    """Whatever a foreign constructor raises, as a `ValueError` of one line."""
    try:
        yield
    except ValueError:
        raise
    except (ImportError, gymnasium.error.DependencyNotInstalled) as error:
        said = " ".join(str(error).split())
        raise ValueError(f"{what} needs what is not installed: {said}") from None
    except Exception as error:
        said = " ".join(str(error).split())
        raise ValueError(f"{what} cannot be made: {type(error).__name__}: {said}") from error


def _zoo_options(creator: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of `options` that are ours if `creator` gives a PettingZoo environment, and their types."""
    parameters = inspect.signature(creator).parameters
    ours = "per_agent" in options and not {"per_agent", "n", "num_envs"} & parameters.keys()
    return {"per_agent": bool | None} if ours else {}


def _zoo_of(path: str, first: Any, creator: Callable[[], Any], n: int, per_agent: bool | None) -> BatchEnv:
    """`n` slots of a PettingZoo environment (`ValueError` for anything else)."""
    from envs import zoo

    if not zoo.is_game(first):
        raise ValueError(f"'{path}' gave a {type(first).__name__}, not a gymnasium.Env or a PettingZoo one")
    return zoo.batch_of(f"environment '{path}'", first, creator, n, per_agent)


def _load(entry: Any) -> Any:
    return load_env_creator(entry) if isinstance(entry, str) else entry


def quieten_pygame() -> None:
    """Pygame opens sound and screen even to draw into arrays, and complains where there are none."""
    os.environ.setdefault("SDL_AUDIODRIVER", "dummy")
    if sys.platform == "linux" and not {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys():
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")


def _size_parameter(creator: Callable[..., Any]) -> str | None:
    parameters = inspect.signature(creator).parameters
    return next((name for name in ("n", "num_envs") if name in parameters), None)
