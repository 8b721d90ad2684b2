"""What a policy remembers: an LSTM between its encoder and its heads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from rollouts.rollout import Rollout

State = tuple[torch.Tensor, torch.Tensor]
"""Hidden state and cell, `[B, size]` each."""


class Recurrence(nn.Module):
    """One LSTM cell (Hochreiter and Schmidhuber, 1997), orthogonal weights of gain 1 and no bias to begin."""

    def __init__(self, features: int, size: int) -> None:
        super().__init__()
        self.out_features = size
        self.cell = nn.LSTMCell(features, size)
        for name, weights in self.cell.named_parameters():
            if "bias" in name:
                nn.init.zeros_(weights)
            else:  # each gate its own
                weights.data.copy_(
                    torch.cat([nn.init.orthogonal_(torch.empty_like(w)) for w in weights.chunk(4)])
                )

    def forward(self, features: torch.Tensor, state: State) -> State:
        """One step: `[B, features]` and the state before it, to the state after."""
        return self.cell(features.float(), state)

    def unroll(self, features: torch.Tensor, story: Story) -> State:
        """The states after each of `T` rows, `[T, n, size]` each, of `features` `[T, n, features]`."""
        state, hidden, cells = story.state, [], []
        for t, row in enumerate(features.float()):
            kept = ~story.first[t, :, None]
            before = (state[0] * kept, state[1] * kept)
            after = self.cell(row, before)
            there = story.valid[t, :, None]  # who did not decide has seen nothing
            state = (torch.where(there, after[0], state[0]), torch.where(there, after[1], state[1]))
            hidden.append(state[0])
            cells.append(state[1])
        return torch.stack(hidden), torch.stack(cells)


class Story:
    """What rows must be read in order for: where episodes begin, who decided, and what was known before."""

    def __init__(self, first: torch.Tensor, valid: torch.Tensor, state: State) -> None:
        """`first` and `valid` are bool `[T, n]`, the state is `[n, size]` each."""
        self.first, self.valid, self.state = first, valid, state

    def take(self, slots: torch.Tensor) -> Story:
        """That of some slots."""
        state = self.state[0][slots], self.state[1][slots]
        return Story(self.first[:, slots], self.valid[:, slots], state)


def story_of(rollout: Rollout, size: int, device: torch.device) -> Story:
    """A rollout's, by an agent that remembers `size` numbers and as many cells."""
    first, valid = (torch.as_tensor(x, device=device) for x in (rollout.first, rollout.valid))
    none = np.zeros((rollout.shape[1], size), np.float32)
    memory: Mapping[str, Any] = rollout.memory or {"hidden": none, "cell": none}
    return Story(first, valid, read_memory(memory, device))


def read_memory(memory: Mapping[str, Any], device: torch.device) -> State:
    """An agent's memory as tensors."""
    hidden, cell = (torch.as_tensor(memory[name], device=device) for name in ("hidden", "cell"))
    return hidden, cell


def write_memory(state: State) -> dict[str, np.ndarray]:
    """The reverse of `read_memory`."""
    return {"hidden": state[0].cpu().numpy(), "cell": state[1].cpu().numpy()}
