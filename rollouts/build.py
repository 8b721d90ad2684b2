"""From a name to an agent: how workers, and whoever opens a checkpoint, build one."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from typing import Any

from envs.options import OptionError, check_options
from envs.paths import resolve
from rollouts.agent import Agent, Learner


def build_agent(spec: Mapping[str, Any], observation_space: Any, action_space: Any) -> Agent:
    """The agent that `spec` (`{"path", "options"}`, see `Agent.spec`) describes."""
    kind: Any = resolve(spec["path"])
    is_agent = isinstance(kind, type) and issubclass(kind, Agent)
    if not is_agent:
        raise ValueError(f"'{spec['path']}' is no rollouts.agent.Agent")
    return kind(observation_space, action_space, **spec.get("options", {}))


def placed(spec: Mapping[str, Any], device: Mapping[str, str]) -> dict[str, Any]:
    """`spec` with `device` (`{"device": "cuda"}`, or nothing) among its options, where its agent has one."""
    if not device or "device" not in signature(resolve(spec["path"])).parameters:
        return dict(spec)
    return {**spec, "options": {**spec.get("options", {}), **device}}


def build_inner(name: str, spec: Mapping[str, Any], observation_space: Any, action_space: Any) -> Agent:
    """The agent that another one's option `name` describes, by a spec and perhaps its `weights`.

    Of a learner it is the policy. Raises `OptionError` that names the option in it that does not fit.
    """
    options = spec.get("options", {})
    try:
        check_options(name, resolve(spec["path"]), options, given=("observation_space", "action_space"))
        made = build_agent(spec, observation_space, action_space)
        if "weights" in spec:
            made.load_weights(spec["weights"])
    except OptionError as error:
        raise OptionError(f"{name}.{error.option}", str(error)) from error
    return made.policy if isinstance(made, Learner) else made
