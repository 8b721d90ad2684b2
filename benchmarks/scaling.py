"""What each part of a training costs, what follows for any number of workers, and whether that holds here.

* costs: of PPO, DQN, AlphaZero and GRPO by their configs, on one core: playing a fragment, learning from it,
  handing it over and sending weights out, by actors that do nothing else. A worker has `SLOTS` slots.
* model: env steps a second with so many workers, from these costs alone (see `in_step` and `playing_on`).
* check: PPO whose environment naps, so that the number of cores is no matter: what the model says from one
  worker's costs, and what is measured with more of them, on one node and on four simulated ones.

`python -m benchmarks.scaling FILE` measures and writes FILE; with `--tell` it only prints FILE's tables, as
they stand in docs/scaling.md.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fleet import Mail, bytes_of, learner, seconds
from envs.arcade.vector import Arcade
from move37.build import build, set_threads
from move37.config import load_config
from move37.origin import Origin
from rollouts.asynchronous import AsyncFleet
from rollouts.fleet import Fleet
from rollouts.reward import Reward
from rollouts.rollout import Rollout, concatenate

FAMILIES: dict[str, tuple[str, int, list[str]]] = {
    "PPO": ("ppo_breakout", 64, []),
    "DQN": ("dqn_breakout", 32, ["agent.learning_starts=0"]),
    "AlphaZero": ("alphazero_connect_four", 32, ["agent.window=20_000"]),
    "GRPO": (
        "grpo_reversal",
        128,
        ["init=null", "agent.problems=16", "reward={benchmarks.scaling:chance: 1.0}"],
    ),
}
"""By name: a config, the slots of a worker, and what is changed of the config."""
WORKERS = (1, 8, 64, 256, 1000)
WIRE = 1.25e9
"""Bytes a second that a machine sends or takes in: 10 Gbit/s."""
SECONDS = 8.0
NAPS = 0.02
CHECKED = (1, 2, 4, 8)


@dataclass(frozen=True)
class Costs:
    """Of a fragment: what one worker plays on one request. Seconds, but for bytes."""

    rows: int
    """Env steps in it."""
    play: float
    """For a worker, on a core of its own."""
    learn: float
    """For the learner, on one core."""
    take: float
    """For the driver, to get it and put it beside the others."""
    send: float
    """For the driver, to give new weights to the object store, once an update."""
    bytes_in: int
    """Of the fragment."""
    bytes_out: int
    """Of the weights."""


def in_step(costs: Costs, workers: int) -> float:
    """Env steps a second where all wait for all: first they play, then they are learned from, one by one."""
    turn = costs.play + costs.send + workers * (costs.take + costs.learn)
    return workers * costs.rows / max(turn, workers * costs.bytes_in / WIRE)


def playing_on(costs: Costs, workers: int) -> float:
    """Env steps a second where nobody waits: what is played, or what can be learned from, or be sent."""
    half = max(1, workers // 2)  # an update is of so many fragments at least
    most = half * costs.rows / (costs.send + half * (costs.take + costs.learn))
    return min(workers * costs.rows / costs.play, most, WIRE * costs.rows / costs.bytes_in)


def saturates(costs: Costs) -> float:
    """How many workers one learner can keep up with."""
    return costs.play / (costs.take + costs.learn)


def chance(rollout: Rollout) -> np.ndarray:
    """A reward by chance: the tries at a problem then differ, and all are learned from."""
    return np.random.default_rng(int(rollout.episode.max())).random(rollout.shape).astype(np.float32)


# -- costs ---------------------------------------------------------------------------------------------


def costs_of(name: str, slots: int, changes: Sequence[str]) -> Costs:
    """Those of a config, by turning its loop for `SECONDS` here, after as long a warm-up."""
    overrides = [f"env.n={slots}", "threads=1", "device=cpu", "evaluate={}", *changes]
    config = load_config(f"configs/train/{name}.yaml", overrides)
    parts = build(config, Origin("config", ()))
    actor, wants = parts.learner.actor, parts.learner.wants
    playing = learning = 0.0
    rows, limit = 0, time.perf_counter() + SECONDS
    for _ in range(2):
        playing, learning, rows, turns = 0.0, 0.0, 0, 0
        while time.perf_counter() < limit or not rows:
            begun = time.perf_counter()
            rollout = parts.sampler.collect(actor, **wants)
            played = time.perf_counter()
            parts.reward(rollout)
            parts.learner.learn(rollout)
            playing, learning = playing + played - begun, learning + time.perf_counter() - played
            rows, turns = rows + rollout.decisions, turns + 1
        limit = time.perf_counter() + SECONDS
    take, send = moved(rollout, actor.weights())
    sizes = {"bytes_in": bytes_of(vars(rollout)), "bytes_out": bytes_of(actor.weights())}
    return Costs(rows // turns, playing / turns, learning / turns, take, send, **sizes)


def moved(fragment: Rollout, weights: Mapping[str, np.ndarray]) -> tuple[float, float]:
    """(to take a fragment in, to put weights out): the least of several tries, with actors that are idle."""
    import ray

    actor: Any = ray.remote(num_cpus=0)(Mail)
    mail, few = [actor.remote(fragment) for _ in range(4)], 2

    def take(workers: int) -> None:
        answers = [one.answer.remote([sent]) for one in mail[:workers]]
        ray.wait(answers, num_returns=workers, fetch_local=False)
        begun.append(time.perf_counter())
        concatenate(ray.get(answers))
        spent[workers].append(time.perf_counter() - begun[-1])

    sent, begun, spent = ray.put(dict(weights)), [0.0], {few: [0.0], len(mail): [0.0]}
    for workers in spent:
        spent[workers].clear()
        for _ in range(20):
            take(workers)
    slope = (min(spent[len(mail)]) - min(spent[few])) / (len(mail) - few)
    sending = min(seconds(lambda: ray.put(dict(weights))) for _ in range(20))
    for one in mail:
        ray.kill(one)
    return max(slope, 0.0), sending


# -- check ---------------------------------------------------------------------------------------------


class Napping(Arcade):
    """Breakout each step of which takes `NAPS` seconds longer."""

    def __init__(self, n: int = 1) -> None:
        super().__init__("Breakout-v1", n)

    def step(self, actions: np.ndarray) -> Any:
        time.sleep(NAPS)
        return super().step(actions)


def rate(kind: type[Fleet], workers: int, updates: int = 12) -> tuple[float, float]:
    """(env steps, seconds of learning) a second of PPO on so many workers that nap, 16 slots each."""
    learns, reward = learner(n_steps=16, epochs=4, minibatch_size=256), Reward({"env": 1.0})
    fleet = kind({"id": "benchmarks.scaling:Napping"}, n=16 * workers, workers=workers, patience=120.0)
    try:
        steps = learning = 0.0
        seen: set[int] = set()
        begun = time.perf_counter()
        done = 0
        while done < updates:
            rollout = fleet.collect(learns.actor, **learns.wants)
            taken = time.perf_counter()
            reward(rollout)
            learns.learn(rollout)
            fleet.sync(learns)
            if len(seen) < fleet.n:  # until all have begun
                seen |= set(np.flatnonzero(rollout.valid[0]).tolist())
                steps, learning, begun = 0.0, 0.0, time.perf_counter()
                continue
            steps, learning, done = (
                steps + rollout.decisions,
                learning + time.perf_counter() - taken,
                done + 1,
            )
        return steps / (time.perf_counter() - begun), learning / steps
    finally:
        fleet.close()


def checks(kinds: Mapping[str, type[Fleet]], workers: Sequence[int], nodes: int) -> Iterator[dict[str, Any]]:
    """What the model says from one worker's costs, and what is measured."""
    costs = None
    for count in (1, *workers):
        for name, kind in kinds.items():
            measured, learn = rate(kind, count)
            if costs is None:
                costs = Costs(256, 256 / measured - 256 * learn, 256 * learn, 0.0, 0.0, 1, 1)
            said = (in_step if name == "in step" else playing_on)(costs, count)
            yield {"nodes": nodes, "workers": count, "kind": name, "model": said, "measured": measured}


# -- telling -------------------------------------------------------------------------------------------


def measure() -> dict[str, Any]:
    """All of it; starts Ray, twice."""
    import logging

    import ray
    from ray.cluster_utils import Cluster

    set_threads(1)
    quiet: Any = {"log_to_driver": False, "logging_level": logging.ERROR}
    ray.init(address="local", num_cpus=max(CHECKED), include_dashboard=False, **quiet)
    found: dict[str, Any] = {"costs": {}, "checks": []}
    for family, about in FAMILIES.items():
        found["costs"][family] = asdict(costs_of(*about))
        print(family, found["costs"][family], flush=True)
    kinds: dict[str, type[Fleet]] = {"in step": Fleet, "async": AsyncFleet}
    found["checks"] += list(checks(kinds, CHECKED[1:], nodes=1))
    ray.shutdown()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    for _ in range(3):
        cluster.add_node(num_cpus=2)
    ray.init(address=cluster.address, **quiet)
    found["checks"] += [one for one in checks(kinds, CHECKED[-1:], nodes=4) if one["workers"] > 1]
    ray.shutdown()
    cluster.shutdown()
    return found


def tables(found: Mapping[str, Any]) -> Iterator[str]:
    """The lines of docs/scaling.md's tables."""
    families = {name: Costs(**costs) for name, costs in found["costs"].items()}
    yield "| | env steps | play | learn | take in | send out | bytes in | bytes out |"
    yield "|---|---|---|---|---|---|---|---|"
    for name, c in families.items():
        times = " | ".join(f"{1000 * x:,.2f} ms" for x in (c.play, c.learn, c.take, c.send))
        yield f"| {name} | {c.rows:,} | {times} | {c.bytes_in:,} | {c.bytes_out:,} |"
    yield ""
    yield "| env steps a second | " + " | ".join(f"{w:,}" for w in WORKERS) + " | a learner keeps up with |"
    yield "|---|" + "---|" * (len(WORKERS) + 1)
    for name, c in families.items():
        for kind, model in (("in step", in_step), ("async", playing_on)):
            rates = " | ".join(f"{model(c, w):,.0f}" for w in WORKERS)
            yield f"| {name}, {kind} | {rates} | {saturates(c):.1f} workers |"
    yield ""
    yield "| nodes | workers | | model | measured | measured / model |"
    yield "|---|---|---|---|---|---|"
    for one in found["checks"]:
        share = one["measured"] / one["model"]
        figures = f"{one['model']:,.0f} | {one['measured']:,.0f} | {share:.2f}"
        yield f"| {one['nodes']} | {one['workers']} | {one['kind']} | {figures} |"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("--tell", action="store_true", help="print the tables of FILE")
    given = parser.parse_args()
    if not given.tell:
        given.file.write_text(json.dumps(measure(), indent=1))
    print("\n".join(tables(json.loads(given.file.read_text()))))
