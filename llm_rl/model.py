"""A decoder-only transformer of the Llama family.

Rotary positions (Su et al., 2021), RMSNorm (Zhang and Sennrich, 2019), SwiGLU (Shazeer, 2020), grouped
heads (Ainslie et al., 2023); with biases on queries, keys and values it is a Qwen2, with norms on queries and
keys a Qwen3. Heads are laid out as in the Hugging Face layout, so weights go over unchanged.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, cast

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn
from torch.utils.checkpoint import checkpoint

from agents.networks import seeded
from agents.options import Count, OptionError, Options, Positive, read
from envs.nearest import suggest
from llm_rl.packing import Packed
from llm_rl.sampling import Sampling, restricted

AT_ONCE = 2**24
"""Logits that are held at a time: beyond, they are computed in chunks, and once more for the gradients."""

ONCE_MORE: dict[str, Any] = {"use_reentrant": False, "preserve_rng_state": False}  # nothing is drawn


class Llama3Scaling(Options):
    """How Llama 3.1 stretches rotary positions: slow angles by `factor`, fast ones not, others in part."""

    factor: Positive
    low_freq_factor: Positive
    high_freq_factor: Positive
    original_max_position_embeddings: Count


class ModelOptions(Options):
    """The architecture."""

    vocab: Count
    layers: Count
    width: Count
    hidden: Count
    """Numbers between the two products of SwiGLU."""
    heads: Count
    kv_heads: Count | None = None
    """Heads of keys and values; None: as many as of queries."""
    head_dim: Annotated[int, Field(ge=2, multiple_of=2)] | None = None
    """Numbers a head; None: `width / heads`."""
    context: Count = 1024
    """The longest sequence, in tokens."""
    tied: bool = True
    """Whether the last layer is the embedding."""
    qkv_bias: bool = False
    qk_norm: bool = False
    rope_theta: Positive = 10000.0
    rope_scaling: Llama3Scaling | None = None
    norm_eps: Positive = 1e-6

    @property
    def groups(self) -> int:
        """How many heads keys and values have."""
        return self.kv_heads or self.heads

    @property
    def dim(self) -> int:
        """Numbers a head."""
        return self.head_dim or self.width // self.heads


SIZES: dict[str, dict[str, int]] = {
    "XS": {"layers": 2, "width": 64, "hidden": 176, "heads": 2},
    "S": {"layers": 4, "width": 128, "hidden": 352, "heads": 4},
    "M": {"layers": 6, "width": 192, "hidden": 512, "heads": 6},
    "L": {"layers": 6, "width": 384, "hidden": 1024, "heads": 6},
}
"""0.1, 0.8, 2.7 and 10.6 million parameters."""


def sized(size: str, vocab: int, **changes: Any) -> ModelOptions:
    """The options of one of `SIZES` for a vocabulary, with `changes`; `OptionError` for what is not known."""
    if size not in SIZES:
        raise OptionError("size", f"size {size!r} is not known; {suggest(size, SIZES)}")
    return read(ModelOptions, {**SIZES[size], "vocab": vocab, **changes})


class LanguageModel(nn.Module):
    """Reads packed sequences; scores tokens. Its first weights are drawn from `seed`.

    With `recompute` the layers' activations are not kept for the gradients, but computed once more (Chen et
    al., 2016, 1604.06174, with a segment a layer): of each token one row a layer is kept.

    Parameters are float32. Under `torch.autocast` the products are in bfloat16; the stream between layers,
    the norms and the last layer stay in float32. Raises `OptionError` for heads that do not fit together.
    """

    recompute = False

    def __init__(self, options: ModelOptions, *, seed: int = 0) -> None:
        super().__init__()
        if options.heads % options.groups:
            raise OptionError(
                "kv_heads", f"kv_heads ({options.groups}) must divide heads ({options.heads}) without rest"
            )
        if options.dim % 2 or options.dim < 2:
            raise OptionError(
                "head_dim", f"a head has {options.dim} numbers here (width / heads); it must be even"
            )
        self.options = options
        with seeded(seed):
            self.embed = nn.Embedding(options.vocab, options.width)
            blocks = nn.ModuleList(Block(options) for _ in range(options.layers))
            self.blocks = cast("Sequence[Block]", blocks)
            self.norm = nn.RMSNorm(options.width, options.norm_eps)
            self.head = None if options.tied else nn.Linear(options.width, options.vocab, bias=False)
            self._draw()
        self.frequencies: torch.Tensor
        self.register_buffer("frequencies", frequencies(options), persistent=False)

    def forward(self, batch: Packed) -> torch.Tensor:
        """What the last layer reads of every token: float32 `[N, width]`."""
        x, turns = self.embed(batch.tokens), self.turns(batch.positions)
        again = self.recompute and torch.is_grad_enabled()
        for block in self.blocks:
            x = checkpoint(block, x, turns, batch, **ONCE_MORE) if again else block(x, turns, batch)
        return self.norm(x)

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Of the token that comes next, from what `forward` gave: float32 `[..., vocab]`."""
        with torch.autocast(hidden.device.type, enabled=False):  # noise here would be noise of every ratio
            return F.linear(hidden, self.last)

    def log_probs(self, batch: Packed, sampling: Sampling | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """The log-probabilities of the scored tokens, and entropies of what each was drawn from: `[K]`."""
        return self.score(self(batch)[batch.predictors], batch.targets, sampling)

    def score(
        self, hidden: torch.Tensor, targets: torch.Tensor, sampling: Sampling | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """As `log_probs`, from `forward`'s output before each target; without `sampling`, of the softmax."""
        chunk = max(1, AT_ONCE // self.options.vocab)
        if len(targets) <= chunk:
            return self._score(hidden, targets, sampling)
        pieces = [
            checkpoint(self._score, h, t, sampling, **ONCE_MORE)
            for h, t in zip(hidden.split(chunk), targets.split(chunk))
        ]
        return torch.cat([p[0] for p in pieces]), torch.cat([p[1] for p in pieces])

    def turns(self, positions: torch.Tensor) -> torch.Tensor:
        """Cosines, and sines with their signs, of the angles that heads are turned by: `[2, N, 1, dim]`."""
        angles = positions[:, None, None].float() * self.frequencies
        cos, sin = angles.cos(), angles.sin()
        return torch.stack([torch.cat([cos, cos], -1), torch.cat([-sin, sin], -1)])

    @property
    def last(self) -> torch.Tensor:
        """The weights of the last layer, `[vocab, width]`."""
        return self.embed.weight if self.head is None else self.head.weight

    def _score(
        self, hidden: torch.Tensor, targets: torch.Tensor, sampling: Sampling | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        logits = self.logits(hidden)
        if sampling is not None:
            logits = restricted(logits, sampling, always=targets)
        log_probs = logits.log_softmax(-1)
        entropies = -(log_probs.exp() * log_probs).sum(-1)
        return log_probs.gather(-1, targets[:, None])[:, 0], entropies

    def _draw(self) -> None:
        """First weights: normal, such that activations keep their size."""
        depth = (2 * self.options.layers) ** -0.5
        for name, weight in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(weight)
            elif weight.ndim == 2:
                added = name.endswith(("out.weight", "down.weight"))
                std = weight.shape[1] ** -0.5 * (depth if added else 1.0)
                nn.init.normal_(weight, std=0.02 if weight is self.last else std)


class Block(nn.Module):
    """Attention, then SwiGLU, each added to the stream that it reads a norm of."""

    def __init__(self, options: ModelOptions) -> None:
        super().__init__()
        width, hidden = options.width, options.hidden
        self.norm = nn.RMSNorm(width, options.norm_eps)
        self.attention = Attention(options)
        self.mlp_norm = nn.RMSNorm(width, options.norm_eps)
        self.gate = nn.Linear(width, hidden, bias=False)
        self.up = nn.Linear(width, hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: torch.Tensor, turns: torch.Tensor, batch: Packed) -> torch.Tensor:
        x = x + self.attention(self.norm(x), turns, batch)
        return x + self.mlp(self.mlp_norm(x))

    def mlp(self, x: torch.Tensor) -> torch.Tensor:
        """SwiGLU."""
        return self.down(F.silu(self.gate(x)) * self.up(x))


class Attention(nn.Module):
    """Every token looks at those before it in its own sequence."""

    def __init__(self, options: ModelOptions) -> None:
        super().__init__()
        self.heads, self.groups, self.dim = options.heads, options.groups, options.dim
        inner = self.heads * self.dim
        self.qkv = nn.Linear(options.width, inner + 2 * self.groups * self.dim, bias=options.qkv_bias)
        self.out = nn.Linear(inner, options.width, bias=False)
        self.q_norm = nn.RMSNorm(self.dim, options.norm_eps) if options.qk_norm else None
        self.k_norm = nn.RMSNorm(self.dim, options.norm_eps) if options.qk_norm else None

    def project(
        self, x: torch.Tensor, turns: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Queries, keys (both turned by positions) and values of tokens: `[N, heads, dim]` each.

        On a CPU, where attention is slower in bfloat16, they are float32 in any case.
        """
        qkv = self.qkv(x).unflatten(-1, (-1, self.dim))
        q, k, v = qkv.split([self.heads, self.groups, self.groups], 1)
        if self.q_norm is not None and self.k_norm is not None:
            wide = self.q_norm.weight.dtype
            q, k = self.q_norm(q.to(wide)), self.k_norm(k.to(wide))
        q, k = turned(q, turns), turned(k, turns)
        dtype = q.dtype if q.device.type == "cpu" else v.dtype
        return q.to(dtype), k.to(dtype), v.to(dtype)

    def forward(self, x: torch.Tensor, turns: torch.Tensor, batch: Packed) -> torch.Tensor:
        heads = torch.cat(self.project(x, turns), 1)
        tokens, parts = heads.flatten(1), [self.heads, self.groups, self.groups]
        rows = (F.embedding(sheet, tokens).unflatten(2, heads.shape[1:]) for sheet in batch.sheets)
        seen = torch.cat([self.look(*row.split(parts, 2)) for row in rows])
        return self.out(F.embedding(batch.home, seen))

    def look(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """What padded rows `[R, L, heads, dim]` see, token after token: `[R · L, heads · dim]`."""
        q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
        with torch.autocast(q.device.type, enabled=False):
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=self.groups < self.heads)
        return y.transpose(1, 2).flatten(2).flatten(0, 1)


def turned(x: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
    """Heads `[N, heads, dim]`, whose number j turns together with number j + dim / 2."""
    cos, sin = turns
    return x * cos + x.roll(x.shape[-1] // 2, -1) * sin


def frequencies(options: ModelOptions) -> torch.Tensor:
    """The angles by which a position turns each pair of numbers: float32 `[dim / 2]`."""
    exponents = torch.arange(0, options.dim, 2, dtype=torch.int64).float() / options.dim
    plain = 1.0 / (options.rope_theta**exponents)
    scaling = options.rope_scaling
    if scaling is None:
        return plain
    turns = scaling.original_max_position_embeddings * plain / (2 * math.pi)
    span = scaling.high_freq_factor - scaling.low_freq_factor
    share = ((turns - scaling.low_freq_factor) / span).clamp(0, 1)
    return plain * (share + (1 - share) / scaling.factor)
