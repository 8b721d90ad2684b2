"""From a name to an agent: how workers, and whoever opens a checkpoint, build one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from envs.paths import resolve
from rollouts.agent import Agent


def build_agent(spec: Mapping[str, Any], observation_space: Any, action_space: Any) -> Agent:
    """The agent that `spec` (`{"path", "options"}`, see `Agent.spec`) describes."""
    kind: Any = resolve(spec["path"])
    is_agent = isinstance(kind, type) and issubclass(kind, Agent)
    if not is_agent:
        raise ValueError(f"'{spec['path']}' is no rollouts.agent.Agent")
    return kind(observation_space, action_space, **spec.get("options", {}))
