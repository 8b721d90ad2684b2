"""Encoders: what turns a batch of observations into features, for grids, pixels and vectors."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from gymnasium import spaces
from pydantic import Field
from torch import nn

from agents.options import Count, OptionError, Options, read
from envs.nearest import suggest


class Grid(Options):
    """What a `grid` network may set."""

    channels: Count = 16
    hidden: Count = 128


class Pixels(Options):
    """What a `pixels` network may set."""

    hidden: Count = 512


class Vector(Options):
    """What a `vector` network may set."""

    hidden: list[Count] = Field([64, 64], strict=False)
    activation: Literal["tanh", "relu", "silu"] = "tanh"


KINDS: dict[str, type[Options]] = {"grid": Grid, "pixels": Pixels, "vector": Vector}

SMALLEST = {"grid": 3, "pixels": 36}
"""The shortest side that the convolutions of each kind leave something of."""

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {"tanh": nn.Tanh, "relu": nn.ReLU, "silu": nn.SiLU}


def seen_space(observation_space: spaces.Space) -> spaces.Space:
    """The part of an observation that an encoder sees: `planes` of a dict, else all of it."""
    if not isinstance(observation_space, spaces.Dict):
        return observation_space
    if "planes" not in observation_space.spaces:
        raise ValueError(f"a dict observation needs `planes`; this one has {', '.join(observation_space)}")
    return observation_space["planes"]


def split_obs(obs: Any) -> tuple[Any, Any]:
    """`(what the encoder sees, action mask or None)` of a batch of observations."""
    if isinstance(obs, Mapping):
        return obs["planes"], obs.get("action_mask")
    return obs, None


def resolve_network(observation_space: spaces.Space, network: Mapping[str, Any] | None) -> dict[str, Any]:
    """`network` with its kind picked by the space where it names none, and all defaults filled in.

    Raises `OptionError` for an unknown kind or key, values out of range, a kind that cannot see this space.
    """
    space, given = seen_space(observation_space), dict(network or {})
    kind = given.pop("kind", None) or natural_kind(space)
    if str(kind) not in KINDS:
        raise OptionError("network.kind", f"network kind {kind!r} is not known; {suggest(str(kind), KINDS)}")
    options = {"kind": kind, **read(KINDS[kind], given, "network").model_dump()}
    if kind == "vector":
        return options
    shape = space.shape or ()
    if len(shape) != 3:
        needs = f"observations of 3 axes, not of shape {shape}"
        raise OptionError("network.kind", f"a {kind} network needs {needs}")
    if min(shape[:2] if kind == "grid" or planes_last(shape) else shape[1:]) < SMALLEST[kind]:
        needs = f"{SMALLEST[kind]} pixels a side at least; observations here have shape {shape}"
        raise OptionError("network.kind", f"a {kind} network needs {needs}")
    return options


def natural_kind(space: spaces.Space) -> str:
    """`pixels` for uint8 images, `grid` for other arrays of 3 axes, else `vector`.

    Raises `ValueError` for what no network sees, and for a grid that seems to have its planes first.
    """
    if not isinstance(space, (spaces.Box, spaces.MultiBinary, spaces.Discrete)):
        raise ValueError(f"no network for observations in {space}; a Box, MultiBinary or Discrete is needed")
    shape = space.shape or ()
    if len(shape) != 3:
        return "vector"
    if space.dtype == np.uint8 and sorted(shape)[1] >= SMALLEST["pixels"]:
        return "pixels"
    if shape[0] < min(shape[1:]):
        raise OptionError(
            "network.kind",
            f"observations of shape {shape} look as if planes came first, and a grid network takes "
            "[rows, columns, planes]: transpose them, or say which it is by network.kind, grid (as they are) "
            "or pixels (planes first)",
        )
    return "grid"


def planes_last(shape: tuple[int, ...]) -> bool:
    """Whether a picture of this shape is `[rows, columns, planes]`: planes are the fewest."""
    return shape[2] < min(shape[:2])


def make_encoder(observation_space: spaces.Space, network: Mapping[str, Any] | None = None) -> nn.Module:
    """An encoder with `out_features`, for raw observations `[B, ...]` of a single `observation_space`.

    `network` is `{"kind": "grid" | "pixels" | "vector", ...}` (see `KINDS`), or None to pick by the space.
    The encoder casts and scales (uint8 by 1/255) and knows the layout, so it is fed what the environment
    gave. Raises `ValueError` as `resolve_network` does.
    """
    space, options = seen_space(observation_space), resolve_network(observation_space, network)
    kind = options.pop("kind")
    if kind == "vector":
        return VectorEncoder(space, **options)
    return (GridEncoder if kind == "grid" else PixelEncoder)(space.shape, **options)  # type: ignore[arg-type]


def as_float(x: torch.Tensor) -> torch.Tensor:
    """float32, with uint8 scaled from 0..255 to 0..1."""
    if x.dtype == torch.uint8:
        return x.float().div_(255)
    if x.dtype == torch.bool:
        x = x.view(torch.uint8)  # which torch casts six times faster
    return x.float()


def flat(x: torch.Tensor) -> torch.Tensor:
    """`[B, C, H, W]` in channels-last memory as `[B, H·W·C]`, without a copy."""
    return x.permute(0, 2, 3, 1).flatten(1)


def channels_last_(module: nn.Module) -> None:
    """Lays the weights of all convolutions out as channels-last memory, in place."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            layer.weight.data = layer.weight.data.contiguous(memory_format=torch.channels_last)


class GridEncoder(nn.Module):
    """One 3×3 convolution and one dense layer, for `[B, H, W, C]` (Young and Tian, 2019, section 4).

    An HWC batch seen as NCHW is already in channels-last memory, the fastest for convolutions on a CPU.
    """

    def __init__(self, shape: tuple[int, int, int], channels: int, hidden: int) -> None:
        super().__init__()
        height, width, planes = shape
        self.out_features = hidden
        self.conv = nn.Conv2d(planes, channels, 3)
        channels_last_(self)
        self.dense = nn.Linear(channels * (height - 2) * (width - 2), hidden)

    def forward(self, obs: torch.Tensor) -> torch.Tensor:
        x = F.relu_(self.conv(as_float(obs).permute(0, 3, 1, 2)))
        return F.relu_(self.dense(flat(x)))


class PixelEncoder(nn.Module):
    """The network of Mnih et al. (2015) for `[B, C, H, W]`, or `[B, H, W, C]`: planes are the fewest."""

    def __init__(self, shape: tuple[int, int, int], hidden: int) -> None:
        super().__init__()
        self.out_features = hidden
        self.planes_last = planes_last(shape)
        planes, height, width = (shape[2], *shape[:2]) if self.planes_last else shape
        self.conv1 = nn.Conv2d(planes, 32, 8, stride=4)
        self.conv2 = nn.Conv2d(32, 64, 4, stride=2)
        self.conv3 = nn.Conv2d(64, 64, 3)
        channels_last_(self)
        height, width = (((side - 8) // 4 + 1 - 4) // 2 + 1 - 2 for side in (height, width))
        self.dense = nn.Linear(64 * height * width, hidden)

    def forward(self, obs: torch.Tensor) -> torch.Tensor:
        x = obs.permute(0, 3, 1, 2) if self.planes_last else obs
        x = as_float(x.contiguous(memory_format=torch.channels_last))  # bytes are reordered before floats
        for conv in (self.conv1, self.conv2, self.conv3):
            x = F.relu_(conv(x))
        return F.relu_(self.dense(flat(x)))


class VectorEncoder(nn.Module):
    """Dense layers over a flattened observation; a `Discrete` one is seen one-hot."""

    def __init__(self, space: spaces.Space, hidden: list[int], activation: str) -> None:
        super().__init__()
        self.one_hot = int(space.n) if isinstance(space, spaces.Discrete) else 0
        self.start = int(space.start) if isinstance(space, spaces.Discrete) else 0
        sizes = [self.one_hot or int(np.prod(space.shape or ())), *hidden]
        self.out_features = sizes[-1]
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(sizes):
            layers += [nn.Linear(before, after), ACTIVATIONS[activation]()]
        self.layers = nn.Sequential(*layers)

    def forward(self, obs: torch.Tensor) -> torch.Tensor:
        x = F.one_hot(obs.long() - self.start, self.one_hot) if self.one_hot else obs.flatten(1)
        return self.layers(as_float(x))


def orthogonal_(module: nn.Module, gain: float) -> None:
    """Orthogonal weights of the given gain and zero biases, in every dense and convolutional layer."""
    for layer in module.modules():
        if isinstance(layer, (nn.Linear, nn.Conv2d)):
            layer.weight.data.copy_(nn.init.orthogonal_(torch.empty(layer.weight.shape), gain))
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Torch draws from `seed` inside, and goes on outside as if nothing had been drawn."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def to_arrays(module: nn.Module) -> dict[str, np.ndarray]:
    """All parameters and buffers as numpy copies, by name."""
    return {name: np.array(x.detach().cpu(), order="C") for name, x in module.state_dict().items()}


def from_arrays(module: nn.Module, arrays: Mapping[str, np.ndarray]) -> None:
    """Take over what `to_arrays` gave; `ValueError` that names what does not fit, before any change."""
    own = module.state_dict()
    for name in [*own, *arrays]:
        if name not in arrays or name not in own:
            where = "missing from the weights" if name not in arrays else "not part of this network"
            raise ValueError(f"the weights are of another architecture: {name} is {where}")
        shape, needed = tuple(arrays[name].shape), tuple(own[name].shape)
        if shape != needed:
            raise ValueError(f"the weights are of another architecture: {name} is {shape}, not {needed}")
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(torch.as_tensor(arrays[name]))
