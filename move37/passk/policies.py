"""Who tries: a line of an experiment's config becomes an agent."""

from __future__ import annotations

from typing import Any

from agents.replay.storage import digest
from envs.base import BatchEnv
from envs.board.spaces import game_of
from envs.board.vector import Board
from envs.options import check_options
from envs.text.spaces import TextSpace
from move37.build import WRONG
from move37.errors import UserError, in_one_line
from move37.passk.config import PasskConfig, PolicyConfig
from move37.players import player
from move37.registry import agent_class, preset
from move37.run import SPACES, Run
from rollouts.agent import Agent, Learner

SAMPLING = ("temperature", "top_k", "top_p", "max_new")
"""What a language model's tries must have in common to be compared."""


def policy_agent(config: PasskConfig, name: str, env: BatchEnv, trust: bool = False) -> Agent:
    """The agent of a policy, to act in `env` (`UserError` that names it, where it cannot).

    `trust` allows the import paths of a run folder to be followed into code; the config's own are.
    """
    policy = config.policies[name]
    try:
        return _of_run(config, policy, env, trust) if policy.run else _player(policy, env)
    except UserError as error:
        raise UserError(f"policies.{name}: {error}") from None
    except WRONG as error:
        raise UserError(f"policies.{name}: {in_one_line(error)}") from error


def _of_run(config: PasskConfig, policy: PolicyConfig, env: BatchEnv, trust: bool) -> Agent:
    run = Run.load(str(policy.run), trust=trust, device=config.device)
    theirs = run.make_env(1)
    theirs.close()
    one, other = theirs.single_observation_space, env.single_observation_space
    if type(one) is not type(other) or not (isinstance(one, TextSpace) or one == other):
        raise UserError(f"{policy.run} acts in {run.config.env.id}, which shows other observations than here")
    return run.agent_at(policy.checkpoint, **policy.options)


def _player(policy: PolicyConfig, env: BatchEnv) -> Agent:
    assert policy.player
    if isinstance(env, Board):
        game = game_of(env.single_observation_space)
        return player(policy.player, game, trust=True, options=policy.options)
    kind: Any = agent_class(policy.player)
    if issubclass(kind, Learner):
        raise UserError(f"'{policy.player}' would begin untrained; name the folder of a run that trained it")
    check_options(f"player '{policy.player}'", kind, policy.options, given=SPACES)
    options = preset(policy.player) | policy.options
    return kind(env.single_observation_space, env.single_action_space, **options)


def described(policy: PolicyConfig) -> dict[str, Any]:
    """What a policy's tries depend on, as plain data: with the very weights, where it has some."""
    told = policy.model_dump(exclude_none=True)
    if policy.run:
        saved = Run.load(policy.run, trust=True).saved_agent(policy.checkpoint)
        told |= {"checkpoint": "", "run": "", "spec": saved["spec"], "weights": digest(saved["weights"])}
    return told


def settings(agent: Agent) -> dict[str, Any]:
    """How a language model draws its words; nothing for other agents."""
    sampling = getattr(agent, "sampling", None)
    return {name: getattr(sampling, name) for name in SAMPLING} if sampling is not None else {}
