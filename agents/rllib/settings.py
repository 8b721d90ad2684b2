"""From a config's keys to RLlib's own config object. Imports RLlib only where one is made."""

from __future__ import annotations

import inspect
import logging
import warnings
from collections.abc import Mapping
from dataclasses import fields
from importlib import import_module
from typing import Any, Literal, get_args

from gymnasium import spaces

from agents.options import OptionError
from agents.rllib.view import View
from envs.nearest import suggest

Name = Literal["PPO", "APPO", "IMPALA", "DQN", "SAC"]
ALGORITHMS: tuple[str, ...] = get_args(Name)
SECTIONS = ("training", "env_runners", "rl_module", "learners", "reporting", "fault_tolerance", "environment")
"""Methods of RLlib's config whose parameters are the keys."""
OURS = {
    "env_config": "env",
    "num_env_runners": "sampler.workers",
    "num_envs_per_env_runner": "env.n (all workers share it)",
    "num_gpus_per_learner": "device",
    "local_gpu_idx": "device",
    "model": "agent.config.model_config (RLlib's new API stack)",
    "hiddens": "agent.config.model_config.head_fcnet_hiddens (RLlib's new API stack)",
    "lr_schedule": "agent.config.lr as [[env_steps, lr], …]",
    "entropy_coeff_schedule": "agent.config.entropy_coeff as [[env_steps, x], …]",
}
"""Keys that are said elsewhere, and where."""
LEFT_OUT = ("observation_space", "action_space", "rl_module_spec", "env_runner_cls", "learner_class")
"""Parameters that no plain data can be."""
STEPS = 1000
"""Env steps that an iteration of APPO and IMPALA takes at least, where theirs would be ten seconds."""


def make_config(algorithm: str, given: Mapping[str, Any], view: View, action_space: spaces.Space) -> Any:
    """RLlib's `AlgorithmConfig` for what the network sees, with all `given` keys put in.

    Raises `OptionError` that names a key which is unknown, is said elsewhere or is no setting of a network,
    and `ValueError` for actions that the algorithm cannot play.
    """
    _check_actions(algorithm, view, action_space)
    config = _blank(algorithm)
    known = _keys(config)
    for key, value in given.items():
        if key in OURS:
            raise OptionError(f"config.{key}", f"say {OURS[key]} instead of '{key}'")
        if key not in known:
            raise OptionError(f"config.{key}", f"RLlib's {algorithm} has no '{key}'; {suggest(key, known)}")
        if key == "model_config":
            _check_network(config, value)
        getattr(config, known[key])(**{key: value})
    if view.actions:
        from ray.rllib.core.rl_module.rl_module import RLModuleSpec

        from agents.rllib.modules import masked

        config.rl_module(rl_module_spec=RLModuleSpec(module_class=masked(algorithm)))
    return config


def make_module(config: Any, view: View, action_space: spaces.Space) -> Any:
    """The part of RLlib's module that acts, on its own: neither an `Algorithm` nor Ray is there."""
    from ray.rllib.core import DEFAULT_MODULE_ID

    there = {DEFAULT_MODULE_ID: (view.space, action_space)}
    return config.get_rl_module_spec(spaces=there, inference_only=True).build()


def quieten() -> None:
    """RLlib's log lines, which nobody can act on, are left out; what goes wrong is raised."""
    for name in ("ray.rllib", "ray.tune", "ray._common.deprecation"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"ray\.rllib|gymnasium")


def _blank(algorithm: str) -> Any:
    module = import_module(f"ray.rllib.algorithms.{algorithm.lower()}")
    quieten()
    config = getattr(module, f"{algorithm}Config")().learners(num_learners=0)  # it learns in this process
    if config.min_time_s_per_iteration:  # an iteration by the clock is another one each time
        config.reporting(min_time_s_per_iteration=0)
        if not config.min_sample_timesteps_per_iteration:
            config.reporting(min_sample_timesteps_per_iteration=STEPS)
    return config


def _keys(config: Any) -> dict[str, str]:
    """Every key that there is, and the method that takes it."""
    from ray._common.deprecation import DEPRECATED_VALUE

    found: dict[str, str] = {}
    for section in SECTIONS:
        for kind in type(config).__mro__:
            method = vars(kind).get(section)
            for p in inspect.signature(method).parameters.values() if method else ():
                current = p.kind is p.KEYWORD_ONLY and p.default is not DEPRECATED_VALUE
                if current and p.name not in (*LEFT_OUT, *OURS):
                    found.setdefault(p.name, section)
    return found


def _check_network(config: Any, given: Any) -> None:
    from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig

    option = "config.model_config"
    if not isinstance(given, Mapping):
        raise OptionError(option, f"model_config must be a mapping of keys, not {given!r:.60}")
    known = {f.name for f in fields(DefaultModelConfig)} | set(config._model_config_auto_includes)
    for key in given:
        if key not in known:
            said = f"RLlib's networks have no '{key}'; {suggest(key, known)}"
            raise OptionError(f"{option}.{key}", said)
    if given.get("use_lstm"):
        said = "move37 keeps no memory for RLlib's networks; its own ppo and impala have lstm"
        raise OptionError(f"{option}.use_lstm", said)


def _check_actions(algorithm: str, view: View, action_space: spaces.Space) -> None:
    """`ValueError` where the algorithm cannot play these actions."""
    kinds: dict[str, tuple[type, ...]] = {"DQN": (spaces.Discrete,), "SAC": (spaces.Discrete, spaces.Box)}
    plays = kinds.get(algorithm, (spaces.Discrete, spaces.MultiDiscrete, spaces.Box))
    if not isinstance(action_space, plays):
        names = " and ".join(kind.__name__ for kind in plays)
        raise OptionError("algorithm", f"RLlib's {algorithm} plays {names} actions, not {action_space}")
    if view.actions and (algorithm == "SAC" or not isinstance(action_space, spaces.Discrete)):
        said = "takes no action masks, which this environment has; PPO, APPO, IMPALA and DQN do"
        raise OptionError("algorithm", f"RLlib's {algorithm} {said}")
