"""Which GPU is whose, where Ray gives GPUs to workers and learners."""

from __future__ import annotations

import os
from typing import Any

_holders: list[Any] = []


class Holder:
    """Keeps a GPU from being given to anybody else."""

    def gpu(self) -> str:
        """The id of the one that it has."""
        import ray

        return str(ray.get_gpu_ids()[0])


def reserve_gpu(within: float = 60.0) -> str:
    """Set a GPU of this machine apart for this process, for as long as it lives: `cuda:<index>`.

    Raises `ValueError` where Ray has none left here `within` so many seconds.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    if not _holders:
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        options: Any = {"num_cpus": 0, "num_gpus": 1, "scheduling_strategy": here}
        _holders.append(ray.remote(**options)(Holder).remote())
    try:
        gpu = ray.get(_holders[0].gpu.remote(), timeout=within)
    except (ray.exceptions.GetTimeoutError, ray.exceptions.RayActorError):
        _holders.clear()
        free = ray.available_resources().get("GPU", 0)
        said = (
            f"Ray has no GPU left on this machine ({free:g} in all are free); learn on the CPU (device=cpu)"
        )
        raise ValueError(said) from None
    visible = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return f"cuda:{visible.index(gpu) if gpu in visible else gpu}"


def forget_gpus() -> None:
    """What was reserved is given up: Ray ends."""
    _holders.clear()
