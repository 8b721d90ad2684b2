"""Names in a config, and what they stand for: the only place where a name becomes a class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from move37.errors import UserError


@dataclass(frozen=True)
class Entry:
    """What a name stands for: an import path and a line for people."""

    path: str
    about: str
    preset: str = ""
    """The path of options that the name sets."""
    number: tuple[str, int] | None = None
    """The option that a number behind the name sets, as in `uct:1000`, and a usual one."""


AGENTS = {
    "ppo": Entry(
        "agents.ppo:PPO",
        "Proximal Policy Optimisation: on-policy, choices or continuous actions (Schulman 2017)",
    ),
    "impala": Entry(
        "agents.impala:IMPALA",
        "actor-critic that learns from what older weights did: V-trace (Espeholt 2018)",
    ),
    "dqn": Entry("agents.dqn:DQN", "Deep Q-Network: off-policy, discrete actions, replay (Mnih 2015)"),
    "rainbow": Entry(
        "agents.dqn:DQN", "DQN with all six improvements switched on (Hessel 2018)", "agents.dqn:RAINBOW"
    ),
    "imitation": Entry(
        "agents.imitation:Imitation",
        "does as an expert does: supervised fine-tuning, behaviour cloning, rejection sampling",
    ),
    "rllib": Entry(
        "agents.rllib.learner:RLlib",
        "an algorithm of RLlib's, which collects for itself: PPO, APPO, IMPALA, DQN or SAC (Liang 2018)",
    ),
    "grpo": Entry(
        "llm_rl.grpo:GRPO",
        "learns from several tries at each problem: language models and others (Shao 2024)",
    ),
    "language": Entry(
        "llm_rl.policy:LanguagePolicy",
        "a language model: it reads and writes text, and others teach it",
    ),
    "solver": Entry("llm_rl.solver:Solver", "works out every text task, step by step"),
    "alphazero": Entry(
        "search.alphazero:AlphaZero",
        "AlphaZero: self-play with tree search, on board games (Silver 2018)",
    ),
    "uct": Entry(
        "search.uct:UCT",
        "tree search with random playouts, on board games; uct:1000 makes 1,000 a move",
        number=("simulations", 1000),
    ),
    "alphabeta": Entry(
        "search.alphabeta:AlphaBeta",
        "alpha-beta search, on board games; alphabeta:6 looks six plies ahead",
        number=("depth", 6),
    ),
    "perfect": Entry("search.perfect.agent:Perfect", "never loses value; tic-tac-toe and connect four"),
    "random": Entry("agents.random:Random", "plays any legal action with equal chance; learns nothing"),
}

INNER = ("student", "expert", "policy", "opponent")
"""Options of agents that are agents themselves, written as a config's `agent` is, or as `{run: RUN}`."""


def agent_class(kind: str) -> type:
    """The class of an agent named by a short name or an import path `package.module:Class`.

    Raises `UserError` where there is none or it is no `rollouts.agent.Agent`.
    """
    from envs.nearest import suggest
    from envs.paths import resolve
    from rollouts.agent import Agent

    if kind not in AGENTS and ":" not in kind:
        raise UserError(f"unknown agent '{kind}'; {suggest(kind, sorted(AGENTS))}")
    try:
        found = resolve(AGENTS[kind].path if kind in AGENTS else kind)
    except ValueError as error:
        raise UserError(f"agent {error}") from None
    if not (isinstance(found, type) and issubclass(found, Agent)):
        raise UserError(f"'{kind}' is no rollouts.agent.Agent")
    return found


def with_inner(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of an agent, in which agents inside are told by `path` and `options` instead of by `kind`.

    One that is told by `run`, a run folder, is its agent, with its last `weights`. Raises `OptionError` that
    names the option, where that is no agent.
    """
    inner = {name: options[name] for name in INNER if isinstance(options.get(name), Mapping)}
    return {**options, **{name: _inner(name, dict(given)) for name, given in inner.items()}}


def _inner(name: str, given: dict[str, Any]) -> dict[str, Any]:
    from envs.options import OptionError

    key = next((key for key in ("kind", "run") if key in given), None)
    if key is None:
        said = f"{name} needs a kind, as agent has one, or a run folder as run"
        raise OptionError(name, f"{said}; it has {', '.join(given) or 'nothing'}")
    value = given.pop(key)
    try:
        if key == "run":
            return _of_run(value, given)
        found = agent_class(value)
    except UserError as error:
        raise OptionError(f"{name}.{key}", str(error)) from None
    return {"path": f"{found.__module__}:{found.__qualname__}", "options": preset(value) | given}


def _of_run(path: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The agent of the run at `path`, with `options` on top of its own."""
    from move37.run import Run

    saved = Run.load(path).saved_agent()
    spec = saved["spec"]
    return {**spec, "options": {**spec.get("options", {}), **options}, "weights": saved["weights"]}


def preset(kind: str) -> dict[str, Any]:
    """The options that a short name sets before the config's own."""
    from envs.paths import resolve

    path = AGENTS[kind].preset if kind in AGENTS else ""
    return dict(resolve(path)) if path else {}


def import_paths(node: Any) -> list[str]:
    """Every import path in plain data, dict keys too: all the code that it could name."""
    from envs.paths import is_import_path

    if isinstance(node, Mapping):
        return [p for k, v in node.items() for p in import_paths(k) + import_paths(v)]
    if isinstance(node, (list, tuple)):
        return [p for v in node for p in import_paths(v)]
    return [node] if isinstance(node, str) and is_import_path(node) else []
