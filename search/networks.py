"""Policy-value networks for boards, and their fast evaluation inside a search.

The value is the expected return of the player to move, in [-1, 1].
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from agents.networks import channels_last_, flat, orthogonal_
from agents.options import Count, OptionError, Options, Precision, read
from agents.parallel import SharedNorm
from agents.precision import DTYPES, one_dnn_takes
from envs.nearest import suggest


class ResNet(Options):
    """What a `resnet` network may set: a residual tower with batch norm (Silver et al., 2018, Methods).

    `policy_channels` and `value_channels` are what each head keeps of a square: 2 and 1 in the paper.
    Up to 16 costs a CPU no more than that, whose convolutions work in steps of 16 channels.
    """

    blocks: Count = 4
    channels: Count = 64
    policy_channels: Count = 16
    value_channels: Count = 16
    value_hidden: Count = 64


class MLP(Options):
    """What an `mlp` network may set: dense layers over the whole board, for the smallest boards."""

    hidden: list[Count] = Field([256, 256], strict=False, min_length=1)


KINDS: dict[str, type[Options]] = {"resnet": ResNet, "mlp": MLP}


def resolve_network(network: Mapping[str, Any] | None) -> dict[str, Any]:
    """`network` with all defaults filled in; a `resnet` where it names no kind.

    Raises `OptionError` for an unknown kind or key, and for values out of range.
    """
    given = dict(network or {})
    kind = given.pop("kind", None) or "resnet"
    if str(kind) not in KINDS:
        raise OptionError("network.kind", f"network kind {kind!r} is not known; {suggest(str(kind), KINDS)}")
    return {"kind": kind, **read(KINDS[kind], given, "network").model_dump()}


class PolicyValueNet(nn.Module):
    """Logits of all actions and the value of the player to move, from planes `[B, H, W, C]`.

    `forward` takes planes of 0 and 1 in any dtype and gives `(logits [B, actions], values [B])`; illegal
    actions have logits too. `network` is `{"kind": "resnet" | "mlp", ...}` (see `KINDS`). Untrained, the
    policy is near uniform and the value near 0. Raises `OptionError` as `resolve_network` does.
    """

    def __init__(
        self, shape: tuple[int, int, int], actions: int, *, network: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__()
        self.dtype = torch.float32
        self.shape, self.actions, self.network = shape, actions, resolve_network(network)
        options = {key: x for key, x in self.network.items() if key != "kind"}
        self.body: Tower | Dense = (Tower if self.network["kind"] == "resnet" else Dense)(shape, **options)
        orthogonal_(self, 2**0.5)
        self.policy = nn.Linear(self.body.policy_features, actions)
        self.value = nn.Linear(self.body.value_features, 1)
        orthogonal_(self.policy, 0.01)
        orthogonal_(self.value, 0.01)
        channels_last_(self)

    def forward(self, planes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        for_policy, for_value = self.body(as_bits(planes, self.dtype))
        with torch.autocast(planes.device.type, enabled=False):  # the last layers are cheap: always in fp32
            values = torch.tanh(self.value(for_value.float())).squeeze(1)
            return self.policy(for_policy.float()), values


def as_bits(planes: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Planes of 0 and 1 as floats; bytes are not scaled."""
    if planes.dtype == torch.bool:
        planes = planes.view(torch.uint8)  # which torch casts six times faster
    return planes.to(dtype)


class Conv(nn.Module):
    """Convolution, batch norm, what skipped it if given, ReLU."""

    def __init__(self, before: int, after: int, side: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, after, side, padding=side // 2, bias=False)
        self.norm = SharedNorm(after)

    def forward(self, x: torch.Tensor, skip: torch.Tensor | None = None) -> torch.Tensor:
        x = self.norm(self.conv(x))
        return F.relu_(x if skip is None else x.add_(skip))


class Block(nn.Module):
    """Two convolutions, of which the second adds what came in."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = Conv(channels, channels, 3), Conv(channels, channels, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.first(x), skip=x)


class Tower(nn.Module):
    """A convolution, the residual blocks, and a 1×1 convolution for each head."""

    def __init__(
        self,
        shape: tuple[int, int, int],
        blocks: int,
        channels: int,
        policy_channels: int,
        value_channels: int,
        value_hidden: int,
    ) -> None:
        super().__init__()
        height, width, planes = shape
        self.policy_features, self.value_features = height * width * policy_channels, value_hidden
        self.stem = Conv(planes, channels, 3)
        self.blocks = nn.ModuleList(Block(channels) for _ in range(blocks))
        self.policy = Conv(channels, policy_channels, 1)
        self.value = Conv(channels, value_channels, 1)
        self.hidden = nn.Linear(height * width * value_channels, value_hidden)

    def forward(self, planes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.stem(planes.permute(0, 3, 1, 2))  # seen as NCHW, and channels-last memory as it lies
        for block in self.blocks:
            x = block(x)
        return flat(self.policy(x)), F.relu_(self.hidden(flat(self.value(x))))


class Dense(nn.Module):
    """Dense layers over all planes at once, shared by the heads."""

    def __init__(self, shape: tuple[int, int, int], hidden: list[int]) -> None:
        super().__init__()
        sizes = [int(np.prod(shape)), *hidden]
        self.policy_features = self.value_features = hidden[-1]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes, hidden, strict=False))

    def forward(self, planes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = planes.flatten(1)
        for layer in self.layers:
            x = F.relu_(layer(x))
        return x, x


class FoldedConv(nn.Module):
    """What `conv` computes in eval mode, as one convolution, over boards of a height and width.

    On a CPU with oneDNN, its weights lie as that library likes them, and it adds and rectifies too while
    the sums are still in registers; what skipped is then overwritten.
    """

    def __init__(self, conv: Conv, dtype: torch.dtype, board: tuple[int, int]) -> None:
        super().__init__()
        self.conv = fuse_conv_bn_eval(conv.conv, conv.norm).to(dtype)
        channels_last_(self.conv)
        self.packed: list[Any] | None = None
        weight = self.conv.weight.detach()
        shape = [self.conv.padding, self.conv.stride, self.conv.dilation, 1]
        if weight.device.type == "cpu" and one_dnn_takes(dtype):
            # the layout is good for any batch, and many times slower if the board is not told
            input_size = [1, weight.shape[1], *board]
            packed = torch.ops.mkldnn._reorder_convolution_weight(weight, *shape, input_size)
            self.packed = [packed, self.conv.bias, *shape]

    def forward(self, x: torch.Tensor, skip: torch.Tensor | None = None) -> torch.Tensor:
        if self.packed is None:
            x = self.conv(x)
            return F.relu_(x if skip is None else x.add_(skip))
        if skip is None:
            return torch.ops.mkldnn._convolution_pointwise(x, *self.packed, "relu", [], "")
        return torch.ops.mkldnn._convolution_pointwise_(skip, x, *self.packed, "add", 1.0, "relu", [], "")


def folded(network: PolicyValueNet, device: torch.device, dtype: torch.dtype) -> PolicyValueNet:
    """A copy of `network` for inference alone: batch norms folded into convolutions, the body in `dtype`."""
    network = copy.deepcopy(network).to(device).eval().requires_grad_(False)
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, Conv):
                setattr(parent, name, FoldedConv(child, dtype, network.shape[:2]))
    network.body.to(dtype)
    network.dtype = dtype
    return network


STRIDE = 16
"""Batches larger than this are padded to a multiple of it: oneDNN keeps 1,024 plans, one a layer and size."""


class Evaluator:
    """What a search asks for priors and values: `evaluator(planes) -> (logits, values)`, numpy to numpy.

    `planes` is `[B, H, W, C]`, bool or uint8 of 0 and 1; logits are float32 `[B, actions]`, values float32
    `[B]`. It holds a copy of the network, so `load` it again after each learning phase. The same planes in a
    batch of the same size give the same numbers; other sizes differ by about 1e-6 in fp32.
    """

    def __init__(
        self, network: PolicyValueNet, *, device: str = "cpu", precision: Precision = "fp32"
    ) -> None:
        self.device = torch.device(device)
        self.dtype = DTYPES[precision]
        self.load(network)

    def load(self, network: PolicyValueNet) -> None:
        """Answers as `network` does now."""
        self.network = folded(network, self.device, self.dtype)

    def __call__(self, planes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Logits and values; `ValueError` for planes of another shape."""
        rows, shape = len(planes), self.network.shape
        if planes.shape[1:] != shape:
            raise ValueError(
                f"planes for this network are [batch, {', '.join(map(str, shape))}], not {planes.shape}"
            )
        spare = -rows % STRIDE if rows > STRIDE else 0
        planes = np.ascontiguousarray(planes)
        x = torch.from_numpy(planes.view(np.uint8) if planes.dtype == bool else planes)
        if spare:
            x = F.pad(x, (0, 0, 0, 0, 0, 0, 0, spare))
        with torch.inference_mode():
            logits, values = self.network(x.to(self.device))
        return logits[:rows].cpu().numpy(), values[:rows].cpu().numpy()
