"""Gradient steps: the one place where gradients are applied, and optimisers that save and load exactly."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from agents.options import OptionError
from agents.parallel import add_up_gradients


def make_adam(module: nn.Module, lr: float, eps: float) -> torch.optim.Adam:
    """Adam over all parameters of `module`, as one fused kernel."""
    return torch.optim.Adam(module.parameters(), lr=lr, eps=eps, fused=True)


def gather_gradients(optimiser: torch.optim.Optimizer, told: torch.Tensor | None = None) -> torch.Tensor:
    """Sum the gradients, and what is `told` of the step, over all learners; their global norm, on the device.

    Each learner's loss must count its own rows only, and be divided by how many rows there are in all.
    """
    add_up_gradients([p for group in optimiser.param_groups for p in group["params"]], told)
    return nn.utils.get_total_norm([p.grad for p in _learned(optimiser) if p.grad is not None])


def apply_gradients(
    optimiser: torch.optim.Optimizer, total: torch.Tensor, norm: float, max_norm: float | None
) -> None:
    """Check the gradients, clip them to the global norm `max_norm`, step.

    `total` is `gather_gradients(optimiser)`, and `norm` its value: reading it is what a GPU's host waits for,
    so the caller does that, together with what else it wants to know. Raises `FloatingPointError` where a
    gradient is not finite; the weights are then as they were.
    """
    if not math.isfinite(norm):
        raise FloatingPointError(
            f"the gradient is not finite (norm {norm}); the weights were left as they were"
        )
    if max_norm is not None and norm > max_norm:
        nn.utils.clip_grads_with_norm_(_learned(optimiser), max_norm, total)
    optimiser.step()


def _learned(optimiser: torch.optim.Optimizer) -> list[torch.Tensor]:
    """The parameters that have gradients."""
    return [p for group in optimiser.param_groups for p in group["params"] if p.grad is not None]


def set_lr(optimiser: torch.optim.Optimizer, lr: float) -> None:
    """Use this learning rate from now on."""
    for group in optimiser.param_groups:
        group["lr"] = lr


def line_of(option: str, value: float | Sequence[float]) -> tuple[float, float]:
    """A schedule's start and end, from one number or two (`OptionError` otherwise)."""
    ends = [float(x) for x in value] if isinstance(value, Sequence) else [float(value)] * 2
    if len(ends) != 2 or min(ends) < 0:
        raise OptionError(option, f"{option} must be a number or [start, end], at least 0, not {value}")
    return ends[0], ends[1]


def scheduled_lr(lr: float, progress: float, final: float = 0.0, step: int = 0, warmup: int = 0) -> float:
    """`lr` after a linear rise over `warmup` steps, on a half cosine down to `final · lr` at the end."""
    rise = min(1.0, (step + 1) / max(warmup, 1))
    return lr * rise * (final + (1 - final) * 0.5 * (1 + math.cos(math.pi * progress)))


def optimiser_state(optimiser: torch.optim.Optimizer) -> dict[str, Any]:
    """What the optimiser remembers of each parameter, as numpy copies: `{"0": {"exp_avg": …}, …}`."""
    state = optimiser.state_dict()["state"]
    return {str(i): {k: np.array(v.cpu(), order="C") for k, v in s.items()} for i, s in state.items()}


def load_optimiser_state(optimiser: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Put back what `optimiser_state` gave. Raises `ValueError` where a shape does not fit."""
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    if state and sorted(state, key=int) != [str(i) for i in range(len(parameters))]:
        raise ValueError(f"the optimiser state is of {len(state)} parameters, not of {len(parameters)}")
    loaded = {int(i): {k: torch.as_tensor(v) for k, v in s.items()} for i, s in state.items()}
    for i, moments in loaded.items():
        for name, value in moments.items():
            if value.ndim == 0:
                continue
            if value.shape != parameters[i].shape:
                shapes = f"{tuple(value.shape)}, not {tuple(parameters[i].shape)}"
                raise ValueError(f"the optimiser state is of another architecture: {name} of {i} is {shapes}")
            # the same memory layout as the parameter: a fused step walks both as they lie
            moments[name] = torch.empty_like(parameters[i]).copy_(value)
    optimiser.load_state_dict(optimiser.state_dict() | {"state": loaded})
