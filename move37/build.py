"""From a config to the objects of a run: environment, learner, reward, sampler. Also device and threads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import envs
from agents.backend import Backend
from agents.team import Team
from envs.base import BatchEnv
from envs.board import id_of
from envs.board.spaces import game_of
from envs.options import OptionError
from envs.text.mixed import choices
from move37.cluster import CLIENT, check_room, start_ray, stop_ray
from move37.config import Config
from move37.errors import RunError, UserError, in_one_line
from move37.origin import Origin
from move37.registry import agent_class, with_inner
from rollouts.agent import Learner, Metrics
from rollouts.asynchronous import AsyncFleet
from rollouts.fleet import Fleet, FleetError
from rollouts.heap import keep_heap
from rollouts.placement import reserve_gpu
from rollouts.pool import Pool
from rollouts.problems import Problems, Seeking, seeds_from
from rollouts.reward import Reward
from rollouts.rollout import Rollout
from rollouts.sampler import Sampler

WRONG = (ValueError, TypeError, RuntimeError, LookupError, ArithmeticError, AttributeError, MemoryError)
"""What building and restoring raise where the input is at fault: of ours, torch, numpy, and users' code."""
SHARED = {"normalise": ("gamma",), "curiosity": ("gamma", "seed", "device")}
"""Options of reward terms that a run has a value for."""


@dataclass
class Parts:
    """All that the loop turns."""

    learner: Learner
    reward: Reward
    sampler: Sampler | Fleet
    env: BatchEnv
    """The environment itself; with workers, one slot of it for a look at its spaces."""
    pool: Pool | None = None
    """Whom the learner plays, where it does not hold every seat."""
    team: Team | None = None
    """Who shares the learner's gradient steps, where there are several learners."""
    ends: ExitStack = field(default_factory=ExitStack)
    """What ends with the run: Ray, where it was started or joined for it."""

    def learn(self, rollout: Rollout) -> Metrics:
        """What the learner makes of a rollout, alone or with others."""
        return self.team.learn(self.learner, rollout) if self.team else self.learner.learn(rollout)

    def take_news(self) -> list[str]:
        """What befell workers and learners since this was last called, a line each."""
        who: tuple[Any, ...] = (self.sampler, self.team)
        told = [one.take_news() for one in who if hasattr(one, "take_news")]
        return [line for lines in told for line in lines]

    def close(self) -> None:
        """Let environments, workers and learners go, then Ray, even where one of these fails at it."""
        who: tuple[Any, ...] = (self.team, self.sampler, self.learner, self.env)
        for one in who:
            if hasattr(one, "close"):
                self.ends.callback(one.close)
        self.ends.close()


def build(config: Config, origin: Origin) -> Parts:
    """The objects that `config` names.

    Raises `UserError` that names the key, and the file or override, for what does not fit; `RunError` where a
    worker is lost.
    """
    with ExitStack() as ends:
        parts = _assemble(config, origin, ends)
        parts.ends = ends.pop_all()
    return parts


def _assemble(config: Config, origin: Origin, ends: ExitStack) -> Parts:
    """What `build` gives; what is to be undone after the run, or where this fails, is told to `ends`."""
    set_threads(config.threads)
    workers, actors = config.sampler.workers, config.sampler.workers + config.learners - 1
    env = make_env(config, 1 if workers else config.env.n, origin)
    kind: Any = agent_class(config.agent.kind)
    _check_shares(config, 1 if issubclass(kind, Backend) else env.slots_per_game, origin)
    with told(origin, "device"):
        device = pick_device(config.device)
    if actors and start_ray(config.cluster.address, actors, origin):
        ends.callback(stop_ray)
    outside = config.cluster.address.startswith(CLIENT)  # this machine is no part of the cluster
    if outside and config.learners > 1:
        said = "learners meet on one network: start the run on a machine of the cluster, not by ray://"
        raise UserError(f"{origin.of(('learners',))}: learners: {said}")
    _check_room(config, device, origin)
    if device == "cuda" and not outside and (config.learners > 1 or config.sampler.gpus):
        with told(origin, "device"):
            device = reserve_gpu()
    with told(origin, "agent"):
        spaces = env.single_observation_space, env.single_action_space
        options = {"seed": config.seed, "device": device, **with_inner(config.agent.options)}
        learner = kind(*spaces, **options)
    if isinstance(learner, Backend):
        return _backend(config, origin, learner, env, ends)
    if config.budget.tokens is not None and not hasattr(learner, "tokens"):
        said = f"counts what a language model writes, and agent '{config.agent.kind}' writes nothing"
        raise UserError(f"{origin.place('budget', said, 'tokens')} {said}: limit env_steps or seconds")
    with told(origin, "env"):
        _check_seats(learner, env, config)
    with told(origin, "reward"):
        reward = Reward(reward_terms(config, device), env.parts)
    with told(origin, "sampler"):
        _check_opponents(learner, env, config)
        problems = _problems(config, env, learner)
        pool = _pool(config, env, learner, device)
    team = None
    if config.learners > 1:
        spec = {"path": f"{kind.__module__}:{kind.__qualname__}", "options": options}
        limits: dict[str, Any] = {"threads": config.threads, "patience": config.sampler.patience}
        team = Team(spec, spaces, learners=config.learners, **limits)
    if workers:
        sampler: Sampler | Fleet = _fleet(config, origin, problems)
    else:
        sampler = Sampler(env, seed=config.seed, problems=problems)
    return Parts(learner, reward, sampler, env, pool, team)


def _backend(config: Config, origin: Origin, learner: Backend, env: BatchEnv, ends: ExitStack) -> Parts:
    """The objects of a run whose learner collects for itself: sampler and reward only stand by.

    Raises `UserError` where the config asks for what such a run lacks.
    """
    kind, workers, n = config.agent.kind, config.sampler.workers, config.env.n
    sampler = config.sampler.model_dump(by_alias=True)
    asked = {f"sampler.{name}": sampler[name] for name in ("async", "curriculum", "pool")}
    asked |= {"budget.tokens": config.budget.tokens, "learners": config.learners > 1}
    for key, wanted in asked.items():
        if wanted:
            said = f"has no meaning for {kind}, which collects for itself and learns by itself"
            raise UserError(f"{origin.of(tuple(key.split('.')))}: {key} {said}")
    if config.reward != {"env": 1.0}:
        said = f"{kind} learns from the environment's own rewards: {{env: 1.0}} is all that it can be"
        raise UserError(f"{origin.of(('reward',))}: reward: {said}")
    if start_ray(config.cluster.address, workers, origin):
        ends.callback(stop_ray)
    with told(origin, "agent"):
        learner.begin({"id": config.env.id, **config.env.options}, n, workers)
    reward, sampler_of = Reward({"env": 1.0}, env.parts), Sampler(env, seed=config.seed)
    return Parts(learner, reward, sampler_of, env)


def _pool(config: Config, env: BatchEnv, learner: Learner, device: str) -> Pool | None:
    """The pool of `sampler.pool` (`OptionError` where the game or the learner has no use of it)."""
    if config.sampler.pool is None:
        return None
    from move37.league import make_pool

    return make_pool(config.sampler.pool, config, env, learner, device)


def _problems(config: Config, env: BatchEnv, learner: Learner) -> Problems | None:
    """The stream of the config's curriculum (`OptionError` where there is nothing to choose)."""
    wanted = config.sampler.curriculum
    if wanted is None:
        return None
    if "episodes" not in learner.wants:
        said = f"a curriculum starts whole episodes, and {config.agent.kind} goes on from step to step"
        raise OptionError("curriculum", said)
    seed = int(seeds_from([config.seed, 0, 2], 1)[0])
    return Seeking(choices(config.env.id, env.parts), seed, **wanted.model_dump())


def _check_shares(config: Config, together: int, origin: Origin) -> None:
    """`UserError` where the slots, of which `together` make a game, cannot be shared out to the workers."""
    workers, n = config.sampler.workers, config.env.n
    if workers and n % (workers * together):
        place, whole = origin.place("sampler", "", "workers"), f", games of {together} whole" * (together > 1)
        raise UserError(f"{place}: {n} slots (env.n) cannot be shared out evenly to {workers} workers{whole}")


def _check_seats(learner: Learner, env: BatchEnv, config: Config) -> None:
    """`OptionError` where the learner plays itself, and the environment has but one seat of a board game."""
    if learner.plays_itself and env.seats == 1:
        right = id_of(game_of(env.single_observation_space).name)
        said = f"{config.env.id} is one player's view of a game, and {config.agent.kind} plays all its seats"
        raise OptionError("id", f"{said}; {right} has them")


def _check_opponents(learner: Learner, env: BatchEnv, config: Config) -> None:
    """`OptionError` where tries are compared, which are of one player, and nobody else is there to play."""
    if "group_size" in learner.wants and env.seats > 1 and config.sampler.pool is None:
        said = f"{config.agent.kind} compares one player's tries, and {config.env.id} has {env.seats} seats"
        raise OptionError("pool", f'{said}: say whom it plays, such as {{self: 0.0, runs: ["uct:50"]}}')


def reward_terms(config: Config, device: str) -> dict[str, Any]:
    """The terms of the config. Those in `SHARED` go by the run's seed and device and the agent's `gamma`,
    unless told otherwise.
    """
    run = {"seed": config.seed, "device": device} | dict(config.agent.options)
    terms: dict[str, Any] = dict(config.reward)
    for name, given in terms.items():
        shared = {option: run[option] for option in SHARED.get(name, ()) if option in run}
        if shared:
            terms[name] = shared | (dict(given) if isinstance(given, Mapping) else {"weight": given})
    return terms


def make_env(
    config: Config, n: int, origin: Origin, seed: int | None = None, *, section: str = "env", **options: Any
) -> BatchEnv:
    """`n` slots of the config's environment, with `options` (of a `section`) on top (else `UserError`)."""
    with told(origin, section):
        return envs.make(config.env.id, n, seed, **{**config.env.options, **options})


def make_eval_env(config: Config, n: int, origin: Origin) -> BatchEnv:
    """`n` slots of what evaluations play (else `UserError`)."""
    return make_env(config, n, origin, section="evaluate.env", **eval_options(config))


def eval_options(config: Config) -> dict[str, Any]:
    """Options of the environment that evaluations change."""
    return {**from_the_start(config), **config.evaluate.env}


def from_the_start(config: Config) -> dict[str, Any]:
    """What has a board game begin at its first position, where training's games begin with random plies."""
    return {"random_plies": 0} if "random_plies" in config.env.options else {}


def pick_device(device: str) -> str:
    """`auto` is the GPU where there is one. Raises `ValueError` for a GPU that is not there."""
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda"):
        index = int(device.partition(":")[2] or 0)
        if index >= torch.cuda.device_count():
            raise ValueError(f"{device} is not there ({torch.cuda.device_count()} GPUs are); try device=auto")
    return device


def set_threads(threads: int | None = None) -> int:
    """Let torch and kernels, which take turns in this process, use `threads` CPU threads each (returned).

    None takes torch's default: `OMP_NUM_THREADS`, else a thread a core. What they free, they keep.
    """
    import numba
    import torch

    keep_heap()
    threads = threads or torch.get_num_threads()
    # numba first: its pool, when it starts, sets OpenMP's number of threads, which torch shares
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))  # type: ignore[attr-defined]
    torch.set_num_threads(threads)
    return threads


def begin_with(learner: Learner, path: str, origin: Origin) -> None:
    """Take over the weights of the run at `path` (`UserError` where there are none, or they do not fit)."""
    from move37.run import Run

    with told(origin, "init"):
        try:
            run = Run.load(path)
            weights = run.checkpoint_folder.load_actor()["weights"]
        except UserError as error:
            raise ValueError(str(error)) from None
        try:
            learner.load_weights(weights)
        except WRONG as error:
            raise ValueError(f"{path}, a run of {run.config.env.id}: {in_one_line(error)}") from error


@contextmanager
def told(origin: Origin, section: str) -> Iterator[None]:
    """What does not fit in a section of the config, as a `UserError` with its place."""
    try:
        yield
    except FleetError as error:
        raise RunError(f"{origin.file}: {error}") from error
    except WRONG as error:
        said = in_one_line(error)
        place = origin.place(section, said, getattr(error, "option", None))
        raise UserError(f"{place}: {said}") from error


def _check_room(config: Config, device: str, origin: Origin) -> None:
    """`UserError` where Ray lacks cores or GPUs for the workers and the learners that are actors.

    Who plays on waits for nobody, so one worker with a core is enough.
    """
    wanted, others = config.sampler, config.learners - 1
    workers = min(wanted.workers, 1) if wanted.asynchronous else wanted.workers
    named = [f"{wanted.workers} workers"] * bool(wanted.workers) + [f"{config.learners} learners"] * bool(
        others
    )
    if named:
        gpus = workers * wanted.gpus + others * (device == "cuda")
        key = ("sampler", "gpus" if wanted.gpus else "workers") if wanted.workers else ("learners",)
        place = f"{origin.of(key)}: {'.'.join(key)}"
        room = {"CPU": workers + others, "GPU": gpus}
        check_room(config.cluster.address, room, " and ".join(named), place)


def _fleet(config: Config, origin: Origin, problems: Problems | None) -> Fleet:
    """The workers of `sampler.workers`, on Ray."""
    wanted = config.sampler
    given: dict[str, Any] = {"n": config.env.n, "workers": wanted.workers}
    given |= {"seed": config.seed, "problems": problems}
    given |= {"patience": wanted.patience, "gpus": wanted.gpus}
    with told(origin, "env"):
        where = {"id": config.env.id, **config.env.options}
        if wanted.asynchronous:
            return AsyncFleet(where, **given, in_flight=wanted.in_flight, max_lag=wanted.max_lag)
        return Fleet(where, **given)
