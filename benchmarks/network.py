"""Policy-value networks on connect four's board: positions a second in a search, and in training.

* search: `Evaluator` (norms folded, convolutions fused) against the same network in eval mode in fp32, as it
  was trained.
* training: forward, backward and an Adam step, in bf16 against fp32.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from agents.optim import make_adam
from benchmarks.report import Row, main
from search.networks import Evaluator, PolicyValueNet

SHAPE, ACTIONS = (6, 7, 3), 7
SIZES = [(2, 32), (3, 48), (4, 32), (4, 64), (5, 64)]
NETWORKS: dict[str, dict[str, Any]] = {f"{b}×{c}": {"blocks": b, "channels": c} for b, c in SIZES}
NETWORKS["mlp 256, 256"] = {"kind": "mlp"}
BATCHES, MINIBATCHES = (64, 256, 512), (512, 1024)
SECONDS = 1.0


def rate(call: Callable[[], Any], rows: int) -> float:
    """Rows a second in the quickest of a second's calls."""
    for _ in range(3):
        call()
    quickest, end = float("inf"), time.perf_counter() + SECONDS
    while (begun := time.perf_counter()) < end:
        call()
        quickest = min(quickest, time.perf_counter() - begun)
    return rows / quickest


def searching(name: str, batch: int) -> Iterator[Row]:
    """An evaluator's rows, one a precision."""
    network = PolicyValueNet(SHAPE, ACTIONS, network=NETWORKS[name]).eval()
    planes = np.random.default_rng(0).random((batch, *SHAPE)) < 0.3
    tensor = torch.from_numpy(planes)
    with torch.inference_mode():
        peer = rate(lambda: network(tensor), batch)
    for precision in ("fp32", "bf16"):
        evaluator = Evaluator(network, precision=precision)
        ours = rate(lambda: evaluator(planes), batch)  # noqa: B023
        yield Row(f"{name}, batch {batch}, {precision}", "eval mode, fp32", ours, peer, unit="positions/s")


def training(name: str, batch: int) -> Row:
    """Gradient steps on random targets."""
    network = PolicyValueNet(SHAPE, ACTIONS, network=NETWORKS[name])
    optimiser = make_adam(network, 1e-3, 1e-8)
    planes = torch.rand(batch, *SHAPE) < 0.3
    policy, worth = torch.rand(batch, ACTIONS).softmax(1), torch.rand(batch)

    def step(bf16: bool) -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            logits, values = network(planes)
        loss = F.cross_entropy(logits, policy) + F.mse_loss(values, worth)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    ours, peer = rate(lambda: step(True), batch), rate(lambda: step(False), batch)
    return Row(f"{name}, learns {batch}, bf16", "fp32", ours, peer, unit="positions/s")


def rows() -> Iterator[Row]:
    """Every network, searching and learning."""
    for name in NETWORKS:
        for batch in BATCHES:
            yield from searching(name, batch)
        for batch in MINIBATCHES:
            yield training(name, batch)


if __name__ == "__main__":
    main(rows, __doc__)
