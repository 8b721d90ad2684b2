"""What RLlib's env runners do for us besides playing."""

from __future__ import annotations

from typing import Any

STEPS = "num_env_steps_sampled_lifetime"
RETURNS, LENGTHS = "move37_returns", "move37_lengths"


def account(*, episode: Any, metrics_logger: Any, **kwargs: Any) -> None:
    """Tells an episode that ended, by the environment's own account: raw, and over all its fragments."""
    info = episode.get_infos(-1)
    metrics_logger.log_value(RETURNS, info["return"], reduce="item_series")
    metrics_logger.log_value(LENGTHS, info["length"], reduce="item_series")


class GoesOn:
    """Has an env runner go on after so many env steps, with other games than those that it began with."""

    def __init__(self, seed: int, env_steps: int) -> None:
        self.seed, self.env_steps = seed, env_steps

    def __call__(self, runner: Any) -> None:
        from ray.rllib.utils.debug import update_global_seed_if_necessary

        runner.set_state({STEPS: self.env_steps})
        runner._seed = self.seed + (runner.worker_index or 0)  # for its first reset, which is still to come
        update_global_seed_if_necessary("torch", runner._seed)


def count(metrics: Any, env_steps: int) -> None:
    """Has an algorithm's metrics count on from so many env steps, by which its schedules go."""
    from ray.rllib.utils.metrics.metrics_logger import MetricsLogger

    told = MetricsLogger(root=False)
    told.log_value(STEPS, env_steps, reduce="lifetime_sum", with_throughput=True)
    metrics.aggregate([told.reduce()], key="env_runners")
