"""Names in a config, and what they stand for: the only place where a name becomes a class."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from move37.errors import UserError

IMPORT_PATH = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*(-v\d+)?$")
"""What may be followed into code: `package.module:Name` (Gymnasium also imports `module:Name-v0`)."""


@dataclass(frozen=True)
class Entry:
    """What a name stands for: an import path, a line for people, and the path of options that it presets."""

    path: str
    about: str
    preset: str = ""


AGENTS = {
    "ppo": Entry(
        "agents.ppo:PPO",
        "Proximal Policy Optimisation: on-policy, choices or continuous actions (Schulman 2017)",
    ),
    "dqn": Entry("agents.dqn:DQN", "Deep Q-Network: off-policy, discrete actions, replay (Mnih 2015)"),
    "rainbow": Entry(
        "agents.dqn:DQN", "DQN with all six improvements switched on (Hessel 2018)", "agents.dqn:RAINBOW"
    ),
    "random": Entry("agents.random:Random", "plays any legal action with equal chance; learns nothing"),
}


def agent_class(kind: str) -> type:
    """The class of an agent named by a short name or an import path `package.module:Class`.

    Raises `UserError` where there is none or it is no `rollouts.agent.Agent`.
    """
    from envs.paths import resolve
    from rollouts.agent import Agent

    if kind not in AGENTS and ":" not in kind:
        raise UserError(f"unknown agent '{kind}'; {suggest(kind, AGENTS)}")
    try:
        found = resolve(AGENTS[kind].path if kind in AGENTS else kind)
    except ValueError as error:
        raise UserError(f"agent {error}") from None
    if not (isinstance(found, type) and issubclass(found, Agent)):
        raise UserError(f"'{kind}' is no rollouts.agent.Agent")
    return found


def preset(kind: str) -> dict[str, Any]:
    """The options that a short name sets before the config's own."""
    from envs.paths import resolve

    path = AGENTS[kind].preset if kind in AGENTS else ""
    return dict(resolve(path)) if path else {}


def suggest(name: str, known: Iterable[str]) -> str:
    """'did you mean x?' where something is near, else all that there is."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"did you mean '{near[0]}'?" if near else f"there is: {', '.join(known) or 'nothing'}"


def import_paths(node: Any) -> list[str]:
    """Every string in plain data, dict keys too, that reads like an import path."""
    if isinstance(node, Mapping):
        return [p for k, v in node.items() for p in import_paths(k) + import_paths(v)]
    if isinstance(node, (list, tuple)):
        return [p for v in node for p in import_paths(v)]
    return [node] if isinstance(node, str) and IMPORT_PATH.match(node) else []
