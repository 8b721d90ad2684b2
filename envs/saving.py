"""Exact states of single Gymnasium environments, as plain data (no pickle)."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.wrappers import OrderEnforcing, PassiveEnvChecker, TimeLimit

from envs.base import State

CLASSIC = {
    "gymnasium.envs.classic_control.acrobot:AcrobotEnv": ("state",),
    "gymnasium.envs.classic_control.cartpole:CartPoleEnv": ("state", "steps_beyond_terminated"),
    "gymnasium.envs.classic_control.continuous_mountain_car:Continuous_MountainCarEnv": ("state",),
    "gymnasium.envs.classic_control.mountain_car:MountainCarEnv": ("state",),
    "gymnasium.envs.classic_control.pendulum:PendulumEnv": ("state", "last_u"),
}
"""The attributes that change as these play; all else is fixed when they are made."""
PLAIN_WRAPPERS = (OrderEnforcing, PassiveEnvChecker, TimeLimit)


def can_save(env: gymnasium.Env) -> bool:
    """Whether the whole state is known to be plain: Gymnasium's classic control, or an environment that
    declares `get_state` and `set_state` itself, under no wrappers but Gymnasium's usual ones.
    """
    while isinstance(env, gymnasium.Wrapper):
        if type(env) not in PLAIN_WRAPPERS:
            return False
        env = env.env
    return _path(env) in CLASSIC or _declares(env)


def save(env: gymnasium.Env) -> State:
    """The state of an environment for which `can_save` holds."""
    inner: Any = env.unwrapped
    if _declares(inner):
        own = inner.get_state()
    else:
        own = {name: _plain(getattr(inner, name)) for name in CLASSIC[_path(inner)]}
    return {
        "own": own,
        "generator": inner.np_random.bit_generator.state,
        "elapsed": [w._elapsed_steps for w in _time_limits(env)],
    }


def restore(env: gymnasium.Env, state: State) -> None:
    """Put back what `save` gave."""
    env.reset()  # so that wrappers know that there was a reset
    inner: Any = env.unwrapped
    if _declares(inner):
        inner.set_state(state["own"])
    else:
        for name, value in state["own"].items():
            setattr(inner, name, np.array(value) if isinstance(value, np.ndarray) else value)
    inner.np_random.bit_generator.state = state["generator"]
    for wrapper, elapsed in zip(_time_limits(env), state["elapsed"]):
        wrapper._elapsed_steps = elapsed


def _path(env: gymnasium.Env) -> str:
    return f"{type(env).__module__}:{type(env).__qualname__}"


def _declares(env: Any) -> bool:
    return callable(getattr(env, "get_state", None)) and callable(getattr(env, "set_state", None))


def _time_limits(env: gymnasium.Env) -> list[Any]:
    found = []
    while isinstance(env, gymnasium.Wrapper):
        if isinstance(env, TimeLimit):
            found.append(env)
        env = env.env
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, (tuple, np.ndarray)):
        return np.array(value)
    return value.item() if isinstance(value, np.generic) else value
