"""From an import path to an object: the one function that follows names into code."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping
from typing import Any

from rollouts.agent import Agent


def resolve(path: str) -> Any:
    """The object at `package.module:Name`. The working folder is searched too.

    Raises `ValueError` that says which part was not found.
    """
    module_name, _, name = path.partition(":")
    if not module_name or not name:
        raise ValueError(f"'{path}' is no import path; it reads like package.module:Name")
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise ValueError(f"'{path}': no module named '{error.name}'") from None
    for part in name.split("."):
        if not hasattr(found, part):
            raise ValueError(f"'{path}': module '{module_name}' has no '{name}'")
        found = getattr(found, part)
    return found


def build_agent(spec: Mapping[str, Any], observation_space: Any, action_space: Any) -> Agent:
    """The agent that `spec` (`{"path", "options"}`, see `Agent.spec`) describes."""
    kind: Any = resolve(spec["path"])
    if not (isinstance(kind, type) and issubclass(kind, Agent)):
        raise ValueError(f"'{spec['path']}' is no rollouts.agent.Agent")
    return kind(observation_space, action_space, **spec.get("options", {}))
