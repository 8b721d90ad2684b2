"""RLlib beside ours, on CartPole: how fast both play with a policy, and how PPO of each learns.

    python -m benchmarks.rllib [--json FILE]                sampling, as rows
    python -m benchmarks.rllib --parity DIR [--seeds 0,1,2] [--env-steps 200000]

Sampling: two workers on Ray with 8 and with 256 games each; the network is two dense layers of 64 for the
policy (ours has as many again for the value, and notes log-probabilities and values). Ours are a `Fleet`
and an `AsyncFleet`; RLlib's are its `SingleAgentEnvRunner` actors with Gymnasium's own CartPole, each asked
for as many steps, at once. Nobody learns, so that weights stay. All take turns, and the best turn counts.

Parity: both are trained by `move37 train` with equal hyper-parameters (`docs/rllib.md` says which details
differ) into DIR, which must not be there; the curves of every seed go to `docs/results/rllib_parity.json`
and the figure to `docs/img/rllib_parity.png`.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import envs
import move37
from agents.policy import PolicyActor
from benchmarks.race import Turn, speed
from benchmarks.report import Row, add_json, tell
from rollouts.asynchronous import AsyncFleet
from rollouts.fleet import Fleet

ENV = "CartPole-v1"
WORKERS, GAMES, ROUNDS = 2, (8, 256), 5
STEPS = {8: 1024, 256: 128}
"""Steps that each game is asked for at once, by how many games a worker has."""
REACH_EQUAL, REACH_BEST = 6.0, 20.0
SECONDS = 2.0
"""How long a turn takes, at least."""
DOCS = Path(__file__).parent.parent / "docs"
NETWORK = {"fcnet_hiddens": [64, 64], "fcnet_activation": "tanh"}

OURS: dict[str, Any] = {
    "kind": "ppo",
    "n_steps": 32,
    "minibatch_size": 256,
    "epochs": 10,
    "lr": 1e-3,
    "anneal_lr": False,
    "gamma": 0.98,
    "gae_lambda": 0.8,
    "clip": 0.2,
    "entropy_coef": 0.0,
    "value_coef": 0.5,
    "max_grad_norm": 0.5,
    "network": {"kind": "vector", "hidden": [64, 64], "activation": "tanh"},
}
THEIRS: dict[str, Any] = {
    "kind": "rllib",
    "algorithm": "PPO",
    "config": {
        "train_batch_size_per_learner": 1024,
        "minibatch_size": 256,
        "num_epochs": 10,
        "lr": 1e-3,
        "gamma": 0.98,
        "lambda_": 0.8,
        "clip_param": 0.2,
        "entropy_coeff": 0.0,
        "vf_loss_coeff": 0.25,  # ours is of half the squared error
        "vf_clip_param": 1e9,
        "use_kl_loss": False,
        "grad_clip": 0.5,
        "grad_clip_by": "global_norm",
        "model_config": {
            **NETWORK,
            "fcnet_kernel_initializer": "orthogonal_",
            "fcnet_kernel_initializer_kwargs": {"gain": 2**0.5},
            "fcnet_bias_initializer": "zeros_",
        },
    },
}


# -- sampling ----------------------------------------------------------------------------------------------


def on_fleet(kind: type[Fleet], games: int) -> Turn:
    """Ours: a rollout of all workers."""
    made = envs.make(ENV)
    spaces = made.single_observation_space, made.single_action_space
    agent = PolicyActor(*spaces, network={"hidden": [64, 64]})
    fleet = kind({"id": ENV}, n=games * WORKERS, workers=WORKERS)
    return lambda: fleet.collect(agent, steps=STEPS[games]).decisions


def on_runners(games: int) -> Turn:
    """RLlib's: the episodes of all env runners."""
    import ray
    from ray.rllib.algorithms.ppo import PPOConfig
    from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner

    config = PPOConfig().environment(ENV).rl_module(model_config=NETWORK).debugging(seed=0)
    config.env_runners(num_env_runners=WORKERS, num_envs_per_env_runner=games)
    actor: Any = ray.remote(num_cpus=0)(SingleAgentEnvRunner)
    runners = [actor.remote(config=config, worker_index=1 + i, num_workers=WORKERS) for i in range(WORKERS)]

    def turn() -> int:
        asked = [runner.sample.remote(num_timesteps=STEPS[games] * games) for runner in runners]
        return sum(len(episode) for episodes in ray.get(asked) for episode in episodes)

    return turn


def sampling() -> dict[str, float]:
    """Env steps a second of each, at its best turn."""
    turns: dict[str, Turn] = {}
    for games in GAMES:
        turns |= {f"{kind.__name__} {games}": on_fleet(kind, games) for kind in (Fleet, AsyncFleet)}
        turns[f"RLlib {games}"] = on_runners(games)
    best = dict.fromkeys(turns, 0.0)
    for turn in turns.values():
        turn()
    for _ in range(ROUNDS):
        for name, turn in turns.items():
            best[name] = max(best[name], speed(turn, SECONDS))
    return best


def rows() -> Iterator[Row]:
    """The table; starts Ray."""
    import logging

    import ray
    import torch

    from agents.rllib.settings import quieten

    torch.set_num_threads(1)
    quiet: Any = {"log_to_driver": False, "logging_level": logging.ERROR}
    cores = WORKERS * 2 * len(GAMES)  # for fleets that take turns: no more than two workers are at work
    ray.init(address="local", num_cpus=cores, include_dashboard=False, **quiet)
    try:
        quieten()
        best = sampling()
    finally:
        ray.shutdown()
    least = GAMES[0]
    for games in GAMES:
        ours = max(best[f"Fleet {games}"], best[f"AsyncFleet {games}"])
        what = f"CartPole with the policy, {WORKERS} workers × {games}"
        reach = REACH_EQUAL if games == least else None
        yield Row(what, "RLlib's env runners", ours, best[f"RLlib {games}"], reach)
    mine = max(speed for name, speed in best.items() if not name.startswith("RLlib"))
    theirs = max(speed for name, speed in best.items() if name.startswith("RLlib"))
    yield Row("the same, our best", "RLlib's best", mine, theirs, REACH_BEST)


# -- parity ------------------------------------------------------------------------------------------------


def train(folder: Path, seeds: Sequence[int], env_steps: int) -> None:
    """Train both, a run a seed, in `folder`."""
    for name, agent in (("ours", OURS), ("rllib", THEIRS)):
        config: dict[str, Any] = {"seeds": list(seeds), "device": "cpu", "threads": 1, "agent": agent}
        config |= {"env": {"id": ENV, "n": 32}, "budget": {"env_steps": env_steps}, "log": {"every": 0}}
        run = move37.train(config, out=folder / name)
        print(f"trained {run.path}", flush=True)


def curves(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Of each, a run a seed: the training return against env steps and seconds, and env steps a second."""
    told: dict[str, list[dict[str, Any]]] = {}
    for name in ("ours", "rllib"):
        for run in move37.Run.load(folder / name).runs():
            lines = run.metrics()
            found: dict[str, Any] = {"seed": run.config.seed, "steps_per_second": _rate(lines)}
            for key, metric in (("env_steps", "env_steps"), ("seconds", "time/total"), ("return", "return")):
                found[key] = [round(float(line[metric]), 3) for line in lines]
            told.setdefault(name, []).append(found)
    return told


def _rate(lines: Sequence[Mapping[str, float]]) -> float:
    """The median of updates, of which the first ones warm up."""
    return round(statistics.median(line["time/steps_per_second"] for line in lines), 1)


def parity(folder: Path, seeds: Sequence[int], env_steps: int, docs: Path = DOCS) -> None:
    """Train, write the curves, draw."""
    from move37.compare import compare, draw

    train(folder, seeds, env_steps)
    runs = curves(folder)
    told = {"env": ENV, "ours": OURS, "theirs": THEIRS, "runs": runs}
    (docs / "results" / "rllib_parity.json").write_text(json.dumps(told) + "\n")
    table, traces = compare([folder / "ours", folder / "rllib"])
    draw(traces, docs / "img" / "rllib_parity.png")
    for row in table:
        print(row)
    for name, found in runs.items():
        print(name, "steps/s:", [run["steps_per_second"] for run in found])


def main() -> None:
    """Either of the two."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parity", type=Path, metavar="DIR", help="train both PPOs into DIR")
    parser.add_argument("--seeds", default="0,1,2", metavar="S,S")
    parser.add_argument("--env-steps", type=int, default=200_000)
    add_json(parser)
    given = parser.parse_args()
    if given.parity is None:
        tell(rows(), given.json)
    else:
        parity(given.parity, [int(seed) for seed in given.seeds.split(",")], given.env_steps)


if __name__ == "__main__":
    main()
