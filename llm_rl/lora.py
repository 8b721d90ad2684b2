"""LoRA: a folder's model learns by small matrices beside its own, which stay as they are (Hu et al., 2021).

A frozen matrix W becomes W + (alpha / rank) · B·A, with A `[rank, inputs]` and B `[outputs, rank]`. B begins
at 0, so learning begins with the folder's model (2106.09685, section 4.1). All that lies in the folder is
then no parameter and in no state: `parameters` and `state_dict` are those of the adapters, and so are
optimisers, checkpoints, what travels to workers, and the copy that a KL is measured from. What tells the
folder's model from others goes with them: `base`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from safetensors.torch import save_file
from torch import nn

from agents.networks import seeded
from agents.options import Count, Options, Positive
from llm_rl.model import LanguageModel
from rollouts.storage import sync_to_disk, whole_folder

Target = Literal["q", "k", "v", "o", "gate", "up", "down"]
LAYERS: dict[str, tuple[Target, ...]] = {
    "attention.qkv": ("q", "k", "v"),
    "attention.out": ("o",),
    "gate": ("gate",),
    "up": ("up",),
    "down": ("down",),
}
"""The products of a block, and the targets whose outputs each has side by side."""
PEFT = {name: f"self_attn.{name}_proj" for name in "qkvo"} | {
    name: f"mlp.{name}_proj" for name in ("gate", "up", "down")
}
"""What the targets are called in the Hugging Face layout."""
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
SAMPLED = 1024
"""Numbers of each tensor, at most, that a fingerprint is taken of (twice as many at the worst)."""


class LoraOptions(Options):
    """Which products learn, and by how much."""

    rank: Count = 16
    alpha: Positive = 32.0
    """The adapters' part is times `alpha / rank`."""
    targets: list[Target] = Field(list(get_args(Target)), min_length=1)


class Adapter(nn.Module):
    """`x -> scale · B·A·x`. A is drawn as widely as in `peft`, so that the same learning rates will do."""

    def __init__(self, inputs: int, outputs: int, options: LoraOptions) -> None:
        super().__init__()
        self.scale = options.alpha / options.rank
        self.a = nn.Parameter(torch.randn(options.rank, inputs) * (3 * inputs) ** -0.5)
        self.b = nn.Parameter(torch.zeros(outputs, options.rank))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.scale * F.linear(F.linear(x, self.a), self.b)

    def product(self) -> torch.Tensor:
        """What it adds to the matrix: float32 `[outputs, inputs]`."""
        return self.scale * (self.b @ self.a)


class Adapted(nn.Module):
    """A frozen `nn.Linear`, whose outputs are `parts` (name and size) side by side, some with an adapter."""

    def __init__(self, linear: nn.Linear, parts: Mapping[Target, int], options: LoraOptions) -> None:
        super().__init__()
        self.register_buffer("weight", linear.weight, persistent=False)
        self.register_buffer("bias", linear.bias, persistent=False)
        self.weight: torch.Tensor
        self.bias: torch.Tensor | None
        self.parts = dict(parts)
        self.adapters = nn.ModuleDict(
            {
                name: Adapter(linear.in_features, size, options)
                for name, size in parts.items()
                if name in options.targets
            }
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.linear(x, self.weight, self.bias)
        pieces = y.split([*self.parts.values()], -1)
        added = [
            piece + self.adapters[name](x) if name in self.adapters else piece
            for name, piece in zip(self.parts, pieces)
        ]
        return added[0] if len(added) == 1 else torch.cat(added, -1)

    def merged(self) -> torch.Tensor:
        """The one matrix that does the same: float32 `[outputs, inputs]`."""
        whole = self.weight.to(next(self.parameters()).dtype, copy=True)
        for name, rows in zip(self.parts, whole.split([*self.parts.values()])):
            if name in self.adapters:
                rows += self.adapters[name].product()  # type: ignore[operator]
        return whole


def attach(model: LanguageModel, options: LoraOptions, *, seed: int = 0, halve: bool = False) -> None:
    """Freeze all of `model`, and put adapters to its products; nothing else of it will learn.

    With `halve` frozen matrices whose numbers bfloat16 has exactly, as most folders' are, lie in it: for
    models whose products are made in it anyway, which then come out the same in half of the memory.
    """
    base = fingerprint(model)
    freeze(model)
    dim, groups = model.options.dim, model.options.groups
    sizes = {"q": model.options.heads * dim, "k": groups * dim, "v": groups * dim}
    with seeded(seed):
        for block in model.blocks:
            for path, names in LAYERS.items():
                linear: Any = block.get_submodule(path)  # type: ignore[attr-defined]
                if halve:
                    _halve(linear)
                if set(names) & set(options.targets):
                    parts = {name: sizes.get(name, linear.out_features) for name in names}
                    block.set_submodule(path, Adapted(linear, parts, options))  # type: ignore[attr-defined]
    model.register_buffer("base", torch.from_numpy(base))


def freeze(model: nn.Module) -> None:
    """Make buffers, which no state holds, of all parameters."""
    for module in model.modules():
        for name, weight in [*module.named_parameters(recurse=False)]:
            delattr(module, name)
            module.register_buffer(name, weight.data, persistent=False)


def merged(model: LanguageModel) -> LanguageModel:
    """A model of plain matrices that does the same; itself where it has no adapters.

    What has no adapter is shared with `model`.
    """
    layers = {name: layer for name, layer in model.named_modules() if isinstance(layer, Adapted)}
    if not layers:
        return model
    with torch.device("meta"):
        plain = LanguageModel(model.options)
    plain.frequencies = model.frequencies
    state, held = {}, dict(model.named_buffers())
    with torch.no_grad():
        for name in plain.state_dict():
            owner, _, kind = name.rpartition(".")
            changed = owner in layers and kind == "weight"
            state[name] = layers[owner].merged() if changed else held[name]
    plain.load_state_dict(state, assign=True)
    return plain.eval()


def fingerprint(model: LanguageModel) -> np.ndarray:
    """What tells a model from others: a SHA-256 (uint8 `[32]`) of options and some numbers of each tensor.

    It does not depend on the files that it was read from, their precision, or the length of the context.
    """
    told = model.options.model_copy(update={"kv_heads": model.options.groups, "head_dim": model.options.dim})
    digest = sha256(told.model_dump_json(exclude={"context"}, exclude_defaults=True).encode())
    for name, weight in sorted(model.state_dict().items()):
        step = max(1, weight.numel() // SAMPLED) | 1  # odd, so that it goes through all columns
        digest.update(f"{name} {list(weight.shape)}".encode())
        digest.update(weight.detach().flatten()[::step].float().cpu().numpy().tobytes())
    return np.frombuffer(digest.digest(), np.uint8).copy()


def check_base(model: LanguageModel, weights: Mapping[str, np.ndarray], folder: str | None) -> None:
    """Raise `ValueError` where `weights` are adapters of another model than that of `folder`, or of none."""
    theirs, ours = weights.get("base"), dict(model.named_buffers()).get("base")
    if theirs is None and ours is None:
        return
    if ours is None:
        said = (
            "give model.folder and model.lora as there, or begin with the folder that `move37 export` writes"
        )
        raise ValueError(f"the weights are adapters (LoRA) alone, of another run's folder: {said}")
    if theirs is None:
        raise ValueError("the weights are a whole model's, and model.lora learns adapters: leave it out")
    if theirs.tobytes() != ours.cpu().numpy().tobytes():
        told = f"its fingerprint is {_short(ours.cpu().numpy())}, not {_short(theirs)}"
        raise ValueError(f"{folder}: holds another model than the one that the adapters belong to ({told})")


def _short(base: np.ndarray) -> str:
    return base.tobytes()[:6].hex()


def _halve(linear: nn.Linear) -> None:
    """Hold a matrix in bfloat16 where that has all its numbers."""
    half = linear.weight.bfloat16()
    if torch.equal(half.float(), linear.weight):
        linear.weight = half  # type: ignore[assignment]


# -- as peft has them --------------------------------------------------------------------------------------


def save_adapters(folder: Path | str, model: LanguageModel, options: LoraOptions, base: str) -> None:
    """Write the adapters alone as `peft` reads them, whole or not at all; `base` is the folder they are of.

    Raises `ValueError` where `folder` holds other files.
    """
    folder = Path(folder)
    others = {path.name for path in folder.iterdir()} - {CONFIG, WEIGHTS} if folder.exists() else set()
    if others:
        raise ValueError(f"{folder}: holds other files ({min(others)}); nothing is saved over them")
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": str(Path(base).resolve()),
        "r": options.rank,
        "lora_alpha": options.alpha,
        "lora_dropout": 0.0,
        "target_modules": [PEFT[name].rpartition(".")[2] for name in options.targets],
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
    }
    weights = {name: x.detach().cpu().contiguous() for name, x in adapters(model)}
    with whole_folder(folder) as beside:
        save_file(weights, beside / WEIGHTS, {"format": "pt"})
        (beside / CONFIG).write_text(json.dumps(config, indent=2), encoding="utf-8")
        for path in beside.iterdir():
            sync_to_disk(path)


def adapters(model: LanguageModel) -> Iterator[tuple[str, torch.Tensor]]:
    """All A and B by their names in `peft`."""
    for i, block in enumerate(model.blocks):
        for layer in (x for x in block.modules() if isinstance(x, Adapted)):  # type: ignore[attr-defined]
            for name, adapter in layer.adapters.items():
                assert isinstance(adapter, Adapter)
                place = f"base_model.model.model.layers.{i}.{PEFT[name]}"
                yield f"{place}.lora_A.weight", adapter.a
                yield f"{place}.lora_B.weight", adapter.b
