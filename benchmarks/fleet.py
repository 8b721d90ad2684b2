"""What Ray workers cost and save: PPO's policy on arcade Breakout, two workers.

* sampling: `Fleet`, with new weights each time and the rollouts joined, against two processes that have a
  `Sampler` each and tell nobody what they played; and `AsyncFleet`, whose workers do not wait for each other.
  They take turns, and the best turn of each counts.
* what crosses between driver and workers in an update: in bytes, and how long it takes by actors that take
  weights and give such rollouts, which are then joined, and do nothing else.
* learning: two learners, a core each, that share every gradient step, against one with a core.
* one of the two takes `SLOWER` times as long for a step: PPO whose workers play on while it learns, against
  PPO whose workers wait. A step's length is a nap here, so that cores are no matter.
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import envs
from agents.ppo import PPO
from agents.team import Team
from benchmarks.race import Turn, speed
from benchmarks.report import Row, main
from envs.arcade.vector import Arcade
from move37.build import set_threads
from rollouts.agent import Agent
from rollouts.asynchronous import AsyncFleet
from rollouts.fleet import Fleet
from rollouts.reward import Reward
from rollouts.rollout import Rollout, concatenate
from rollouts.sampler import Sampler

GAME: dict[str, Any] = {"id": "arcade/Breakout-v1"}
N, STEPS, WORKERS = 256, 128, 2
COLLECTS, WARM, TURNS = 4, 6, 12
"""Collects a turn; turns until the object store has its pages in every process, and those that count."""
LONG, REST = 1.5, 0.7
"""Seconds of a turn, and until workers that play on have done what is ahead of them."""
NETWORK = {"kind": "grid", "channels": 16, "hidden": 128}
NAP, SLOWER, UPDATES = 0.005, 5, 40
REACH, REACH_UNEVEN = 0.9, 1.6


class Uneven(Arcade):
    """Breakout whose steps take `nap` seconds longer, and `SLOWER` times that for who first takes a file."""

    def __init__(self, n: int = 1, *, nap: float = NAP, file: str = "") -> None:
        super().__init__("Breakout-v1", n)
        try:
            os.unlink(file)
        except OSError:
            self.nap = nap
        else:
            self.nap = SLOWER * nap

    def step(self, actions: np.ndarray) -> Any:
        time.sleep(self.nap)
        return super().step(actions)


def learner(**options: Any) -> PPO:
    """PPO with the network of `configs/train/ppo_breakout.yaml`."""
    env = envs.make(**GAME)
    return PPO(env.single_observation_space, env.single_action_space, network=NETWORK, **options)


def play_alone(pipe: Any, worker: int) -> None:
    """A process that plays when told to, and only says that it has."""
    set_threads(1)
    sampler, actor = Sampler(envs.make(n=N // WORKERS, **GAME), worker=worker), learner().actor
    while pipe.recv():
        for _ in range(COLLECTS):
            sampler.collect(actor, steps=STEPS)
        pipe.send(True)


@contextmanager
def bare() -> Iterator[Turn]:
    """Processes with a sampler each, and nothing between them."""
    spawn = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    for worker in range(WORKERS):
        here, there = spawn.Pipe()
        process = spawn.Process(target=play_alone, args=(there, worker), daemon=True)
        process.start()
        pipes.append(here)
        processes.append(process)

    def turn() -> int:
        for pipe in pipes:
            pipe.send(True)
        for pipe in pipes:
            pipe.recv()
        return COLLECTS * STEPS * N

    yield turn
    for pipe, process in zip(pipes, processes):
        pipe.send(False)
        process.join()


def on_ray(fleet: Fleet, agent: Agent) -> Turn:
    """The same by a fleet, each time by other weights."""
    weights = agent.weights()

    def turn() -> int:
        steps = 0
        for _ in range(COLLECTS):
            agent.load_weights({name: array * np.float32(0.999) for name, array in weights.items()})
            steps += fleet.collect(agent, steps=STEPS).decisions
            fleet.sync(agent)
        return steps

    return turn


def sampling() -> Iterator[Row]:
    """Fleets against processes without Ray."""
    agent = learner().actor
    in_step, playing_on = (kind(GAME, n=N, workers=WORKERS) for kind in (Fleet, AsyncFleet))
    what = f"sampling Breakout, {WORKERS} workers × {N // WORKERS}"
    with bare() as peer:
        turns = {"in step": on_ray(in_step, agent), "async": on_ray(playing_on, agent), "bare": peer}
        best = taking_turns(turns)
    yield Row(what, "as many bare samplers", best["in step"], best["bare"], REACH)
    yield Row(f"{what}, async", "as many bare samplers", best["async"], best["bare"])
    playing_on.close()
    yield from moved(in_step, agent)
    in_step.close()


def taking_turns(turns: Mapping[str, Turn]) -> dict[str, float]:
    """Env steps a second of each, in its best turn."""
    best = dict.fromkeys(turns, 0.0)
    for turn in [*turns.values()] * WARM:
        turn()
    for _ in range(TURNS):
        for who, turn in turns.items():
            best[who] = max(best[who], from_within(turn))
    return best


def from_within(turn: Turn) -> float:
    """Env steps a second in the midst of playing: what was done before anybody asked does not count."""
    turn()
    found = speed(turn, LONG)
    time.sleep(REST)
    return found


class Mail:
    """An actor that takes weights and gives a rollout, and does nothing else."""

    def __init__(self, rollout: Rollout) -> None:
        self.rollout = rollout

    def answer(self, weights: list[Any]) -> Rollout:
        """The rollout, after the weights have come."""
        import ray

        ray.get(weights[0])
        return self.rollout


def moved(fleet: Fleet, agent: Agent) -> Iterator[Row]:
    """What an update moves, and how long that takes beside its collecting; the least of several tries."""
    import ray

    actor: Any = ray.remote(num_cpus=0)(Mail)
    half = Sampler(envs.make(n=N // WORKERS, **GAME)).collect(agent, steps=STEPS)
    mail, weights = [actor.remote(half) for _ in range(WORKERS)], agent.weights()

    def move() -> Rollout:
        sent = ray.put(weights)
        return concatenate(ray.get([one.answer.remote([sent]) for one in mail]))

    whole = move()
    moving = min(seconds(move) for _ in range(TURNS * COLLECTS))
    collecting = min(seconds(lambda: fleet.collect(agent, steps=STEPS)) for _ in range(TURNS))
    yield Row(
        "weights out, an update",
        "the rollout that comes back",
        bytes_of(weights),
        bytes_of(vars(whole)),
        unit="bytes",
    )
    yield Row("moving both, an update", "all of its collecting", moving, collecting, unit="s")


def seconds(turn: Callable[[], Any]) -> float:
    """How long it takes."""
    begun = time.perf_counter()
    turn()
    return time.perf_counter() - begun


def bytes_of(told: Any) -> int:
    """How large all arrays in it are."""
    if isinstance(told, dict):
        return sum(bytes_of(value) for value in told.values())
    return told.nbytes if isinstance(told, np.ndarray) else 0


def learning() -> Iterator[Row]:
    """PPO's updates by several learners, against one."""
    options: dict[str, Any] = {"n_steps": STEPS, "minibatch_size": 2048, "epochs": 3}
    alone, shared = learner(**options), learner(**options)
    rollout = Sampler(envs.make(n=N, **GAME)).collect(alone.actor, steps=STEPS)
    Reward({"env": 1.0})(rollout)
    env, made = envs.make(**GAME), {"device": "cpu", "network": NETWORK, **options}
    spec = {"path": "agents.ppo:PPO", "options": made}
    team = Team(spec, (env.single_observation_space, env.single_action_space), learners=WORKERS)
    turns = {"one": lambda: alone.learn(rollout), "team": lambda: team.learn(shared, rollout)}
    best = dict.fromkeys(turns, float("inf"))
    for _ in range(TURNS + 1):
        for who, turn in turns.items():
            best[who] = min(best[who], seconds(turn))
    team.close()
    yield Row(f"an update, {WORKERS} learners", "one learner", best["team"], best["one"], unit="s")


def uneven(kind: type[Fleet]) -> float:
    """Env steps a second of PPO, one of whose workers is slow."""
    learns, reward = learner(n_steps=16, epochs=1, minibatch_size=512), Reward({"env": 1.0})
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "slow"
        file.touch()
        fleet = kind({"id": "benchmarks.fleet:Uneven", "file": str(file)}, n=32, workers=WORKERS)
        try:
            return _speed_of_learning(fleet, learns, reward)
        finally:
            fleet.close()


def _speed_of_learning(fleet: Fleet, learns: PPO, reward: Reward) -> float:
    def update() -> Rollout:
        rollout = fleet.collect(learns.actor, **learns.wants)
        reward(rollout)
        learns.learn(rollout)
        fleet.sync(learns)
        return rollout

    slots: set[int] = set()
    while len(slots) < fleet.n:  # until both have begun
        slots |= set(np.flatnonzero(update().valid[0]).tolist())
    begun = time.perf_counter()
    steps = sum(update().decisions for _ in range(UPDATES))
    return steps / (time.perf_counter() - begun)


def rows() -> Iterator[Row]:
    """The table; starts Ray."""
    import logging

    import ray

    set_threads(1)
    quiet: Any = {"log_to_driver": False, "logging_level": logging.ERROR}
    ray.init(address="local", num_cpus=2 * WORKERS, include_dashboard=False, **quiet)
    try:
        yield from sampling()
        yield from learning()
        rate = {kind: uneven(kind) for kind in (AsyncFleet, Fleet)}
        said = f"PPO, one of {WORKERS} workers {SLOWER}× slower, async"
        yield Row(said, "in step", rate[AsyncFleet], rate[Fleet], REACH_UNEVEN)
    finally:
        ray.shutdown()


if __name__ == "__main__":
    main(rows, __doc__)
