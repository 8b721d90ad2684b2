"""Data-parallel learning: all learners have the rollout and the same draws, each its share of every batch.

What they find is summed (gradients, and what is told of a step), so that all of them take the step that one
alone would have taken, up to rounding. Outside `together` a learner is alone, and nothing here has an effect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
import torch.distributed as dist


class Seat(NamedTuple):
    """Which of how many learners this process is."""

    rank: int
    learners: int


_seat = Seat(0, 1)


@contextmanager
def together(seat: Seat) -> Iterator[None]:
    """What is learned inside is learned with the others of the process group, who must do the same."""
    global _seat
    before, _seat = _seat, seat
    try:
        yield
    finally:
        _seat = before


def learners() -> int:
    """How many learn together."""
    return _seat.learners


class Part(NamedTuple):
    """A learner's part of the rows of a batch."""

    own: slice
    rows: int
    """How many there are in all."""
    weight: float = 1.0
    """0 of one row that is another's, where there are fewer rows than learners."""

    def mean(self, values: torch.Tensor) -> torch.Tensor:
        """What this part's `values` add to the mean over all rows."""
        return self.weight * values.sum() / self.rows


def share(rows: int) -> Part:
    """The learner's part of so many rows (one at least), which are shared out evenly."""
    rank, learners = _seat
    own = slice(rows * rank // learners, rows * (rank + 1) // learners)
    return Part(own, rows) if own.start < own.stop else Part(slice(0, 1), rows, 0.0)


def add_up(tensors: Sequence[torch.Tensor]) -> None:
    """Each becomes, in place, its sum over the learners, in one exchange."""
    if _seat.learners == 1 or not tensors:
        return
    bucket = torch.cat([tensor.reshape(-1).to(tensors[0]) for tensor in tensors])
    dist.all_reduce(bucket)
    for tensor, total in zip(tensors, bucket.split([tensor.numel() for tensor in tensors])):
        tensor.copy_(total.view_as(tensor))


def add_up_gradients(parameters: Sequence[torch.Tensor], told: torch.Tensor | None = None) -> None:
    """Gradients become their sums, and so does `told`; a parameter that no learner used keeps none."""
    if _seat.learners == 1:
        return
    used = torch.tensor([float(p.grad is not None) for p in parameters], device=parameters[0].device)
    for p in parameters:
        p.grad = torch.zeros_like(p) if p.grad is None else p.grad
    add_up([*[p.grad for p in parameters if p.grad is not None], used, *([] if told is None else [told])])
    for p, by in zip(parameters, used.tolist()):
        p.grad = p.grad if by else None


def everyones(told: list[Any]) -> list[Any]:
    """What each learner has to tell, one list after the other."""
    if _seat.learners == 1:
        return told
    lists: list[list[Any]] = [[] for _ in range(_seat.learners)]
    dist.all_gather_object(lists, told)
    return [one for some in lists for one in some]


def in_shares(rows: int, compute: Callable[[slice], torch.Tensor]) -> torch.Tensor:
    """`compute` of all `rows`, of which each learner computes its share: `[rows, ...]`."""
    part = share(rows)
    return put_together(compute(part.own), part)


def put_together(values: torch.Tensor, part: Part) -> torch.Tensor:
    """The `values` of all learners' parts of the rows: `[rows, ...]`."""
    if _seat.learners == 1:
        return values
    whole = values.new_zeros((part.rows, *values.shape[1:]))
    whole[part.own] = part.weight * values
    add_up([whole])
    return whole


class _Sum(torch.autograd.Function):
    """A sum over the learners, whose gradient is one too."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor) -> torch.Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return _Sum.forward(ctx, gradient)


class SharedNorm(torch.nn.BatchNorm2d):
    """Batch norm whose batch is that of all learners together (each of which must have rows of its own)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or _seat.learners == 1:
            return super().forward(x)
        wide = x.float()
        count = wide.new_full((1,), x.numel() / x.shape[1])
        sums = _Sum.apply(torch.cat([count, wide.sum((0, 2, 3))]))
        mean = sums[1:] / sums[0]
        off = wide - mean[:, None, None]
        variance = _Sum.apply(off.square().sum((0, 2, 3))) / sums[0]
        with torch.no_grad():
            known: Any = self  # that it tracks is all that torch does not know
            known.running_mean.lerp_(mean, self.momentum)
            known.running_var.lerp_(variance * sums[0] / (sums[0] - 1), self.momentum)
            known.num_batches_tracked += 1
        normal = off * (variance + self.eps).rsqrt()[:, None, None]
        return (normal * self.weight[:, None, None] + self.bias[:, None, None]).to(x.dtype)
