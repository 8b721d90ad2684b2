"""RLlib as a learner: one of its algorithms trains, on our environments and into our run folder."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces

from agents.backend import Backend, Played
from agents.options import checked
from agents.rllib.actor import RLlibActor, check_arrays
from agents.rllib.callbacks import LENGTHS, RETURNS, STEPS, GoesOn, account, count
from agents.rllib.settings import Name
from envs.paths import folders
from rollouts.agent import Metrics
from rollouts.problems import seeds_from

MODULE = "default_policy"
"""RLlib's name for the one module that there is."""


class RLlib(Backend):
    """An algorithm of RLlib's (Liang et al., 2018; Ray 2.60, the new API stack) on PyTorch.

    * `algorithm`: PPO, APPO, IMPALA, DQN or SAC.
    * `config`: RLlib's own keys in one mapping: the parameters of its `AlgorithmConfig.training`,
      `env_runners`, `rl_module`, `learners`, `environment`, `reporting` and `fault_tolerance`.
    * `opponent`: of board games, each seat in turn: an agent as a config's `agent` is written, or
      `{run: RUN}`; None moves by chance.

    `env.n` slots are shared out to `sampler.workers` env runners; with 0 they are played in this process.
    Metrics are RLlib's own, as `rllib/…`. Raises `OptionError` for keys that RLlib has not and actions that
    the algorithm cannot play, and `ValueError` for observations that are no numbers.
    """

    actor: RLlibActor
    lacks = (
        "RLlib goes on from its weights and its optimiser's state, with other games; what else it holds "
        "(a replay buffer, coefficients that it adapts) begins anew"
    )

    @checked
    def __init__(
        self,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        *,
        seed: int = 0,
        device: str = "cpu",
        algorithm: Name = "PPO",
        config: Mapping[str, Any] | None = None,
        opponent: Mapping[str, Any] | None = None,
    ) -> None:
        self.wants: dict[str, Any] = {}
        self.seed, self.device, self.opponent = seed, device, opponent
        self.actor = RLlibActor(
            observation_space, action_space, seed=seed, device=device, algorithm=algorithm, config=config
        )
        self.algo: Any = None
        self.env_steps = 0

    def begin(self, where: Mapping[str, Any], n: int, workers: int) -> None:
        """See `Backend.begin`. Env runners are Ray actors of RLlib's own; it learns in this process."""
        from agents.rllib.env import Single

        told = {"where": dict(where), "opponent": self.opponent, "filters": self.actor.filters}
        told["folders"] = folders()
        Single(told).close()  # what does not fit is raised here as it is
        settings = self.actor.settings.copy(copy_frozen=False)
        settings.environment(env=Single, env_config=told, disable_env_checking=True)
        settings.env_runners(num_env_runners=workers, num_envs_per_env_runner=n // max(workers, 1))
        settings.debugging(seed=self.seed % 2**31, log_level="ERROR").callbacks(on_episode_end=account)
        kind, _, index = self.device.partition(":")
        settings.learners(num_gpus_per_learner=int(kind == "cuda"), local_gpu_idx=int(index or 0))
        check_cores(settings)
        try:
            with hushed():
                self.algo = settings.build_algo()
        except ValueError as error:  # which ends with how to switch off what found it
            raise ValueError(str(error).partition("\nTo suppress")[0]) from error
        self._fetch()

    def train(self) -> Played:
        """One iteration of RLlib's."""
        result = self.algo.train()
        played = result["env_runners"]
        before, self.env_steps = self.env_steps, int(played[STEPS])
        told = {"return": played.get(RETURNS, ()), "length": played.get(LENGTHS, ())}
        ended = {name: np.atleast_1d(np.asarray(v, float)) for name, v in told.items()}  # one is no list
        self._fetch()
        return Played(self.env_steps - before, ended, _metrics(result.get("learners", {}).get(MODULE, {})))

    def close(self) -> None:
        """Stop RLlib, and take away the empty folder that it makes."""
        if self.algo is not None:
            folder = Path(self.algo.logdir)
            self.algo.stop()
            with suppress(OSError):
                folder.rmdir()
                folder.parent.rmdir()

    def state_dict(self) -> dict[str, Any]:
        """Weights, target networks too, and what the optimisers remember of each: arrays and numbers."""
        state = self.algo.learner_group.get_state()["learner"]
        optimisers = {name: _moments(one) for name, one in state["optimizer"].items()}
        return {
            "module": dict(state["rl_module"][MODULE]),
            "optimisers": optimisers,
            "env_steps": self.env_steps,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        whole = self.algo.learner_group.get_state()
        mine = whole["learner"]
        check_arrays(state["module"], mine["rl_module"][MODULE])
        mine["rl_module"][MODULE] = {name: np.array(array) for name, array in state["module"].items()}
        for name, moments in state["optimisers"].items():
            mine["optimizer"][name]["state"]["state"] = {
                int(i): {k: np.asarray(v) for k, v in one.items()} for i, one in moments.items()
            }
        self.algo.learner_group.set_state({"learner": {**mine, "weights_seq_no": 0}})
        self.env_steps = int(state["env_steps"])
        seed = int(seeds_from([self.seed, self.env_steps], 1)[0] % 2**31)
        count(self.algo.metrics, self.env_steps)
        self.algo.env_runner_group.foreach_env_runner(GoesOn(seed, self.env_steps))
        self._share()

    def load_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        self.actor.load_weights(weights)
        if self.algo is not None:
            arrays = {name: np.array(array) for name, array in weights.items() if name != "epsilon"}
            self.algo.learner_group.set_weights({MODULE: arrays})
            self._share()

    def _share(self) -> None:
        """Give the newest weights to all who act."""
        self.algo.env_runner_group.sync_weights(
            from_worker_or_learner_group=self.algo.learner_group, inference_only=True
        )
        self._fetch()

    def _fetch(self) -> None:
        """Let the actor act by the newest weights."""
        whole = self.algo.learner_group.get_state(components="learner/rl_module", inference_only=True)
        epsilon = epsilon_at(self.actor.settings, self.env_steps)
        self.actor.load_weights({**whole["learner"]["rl_module"][MODULE], "epsilon": np.array(epsilon)})


def check_cores(settings: Any) -> None:
    """`ValueError` where Ray has fewer cores than RLlib's actors need: it would wait for ever."""
    import ray

    runners, learners = settings.num_env_runners, settings.num_learners
    asked = runners * settings.num_cpus_per_env_runner + learners
    there = ray.cluster_resources().get("CPU", 0)
    if asked > there:
        said = f"{runners} env runners and {learners} learners of RLlib's ask for {asked} cores"
        raise ValueError(f"{said}, and Ray has {there:.0f}; fewer sampler.workers fit")


@contextmanager
def hushed() -> Iterator[None]:
    """Without Ray's complaint on the standard error about how RLlib starts its actors."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def epsilon_at(settings: Any, env_steps: int) -> float:
    """How often DQN plays a random action then: a number, or a line through `[[env_steps, epsilon], …]`."""
    epsilon = getattr(settings, "epsilon", 0.0) if settings.algo_class.__name__ == "DQN" else 0.0
    if isinstance(epsilon, (int, float)):
        return float(epsilon)
    at, values = zip(*epsilon)
    return float(np.interp(env_steps, at, values))


def _moments(optimiser: Mapping[str, Any]) -> dict[str, Any]:
    remembered = optimiser["state"]["state"].items()
    return {str(i): {k: np.asarray(v) for k, v in one.items()} for i, one in remembered}


def _metrics(told: Mapping[str, Any]) -> Metrics:
    """RLlib's numbers about what it learned, by its own names."""
    skipped = ("num_", "throughput", "timer", "weights_seq_no", "connector")
    return {
        f"rllib/{name}": float(value)
        for name, value in told.items()
        if isinstance(value, (int, float, np.number)) and not any(word in name for word in skipped)
    }
