"""Reads prompts, then one token a row at each step, with all keys and values kept: generation runs on it.

A decoder is a copy of a model for that purpose. On a CPU the gains of the norms are folded into the weights,
which lie as oneDNN likes them, and kernels do what stands between the products; elsewhere all is torch.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
import torch.nn.functional as F

from agents.options import Precision
from agents.precision import DTYPES, one_dnn_takes
from llm_rl.kernels import add_and_norm, attend
from llm_rl.lora import merged
from llm_rl.model import Block, LanguageModel
from llm_rl.packing import padded

PREFILL = 2048
"""Tokens of prompts that are read at a time, on a CPU."""
FIRST_ROOM = 64
"""Tokens a row that a cache has room for at first; it doubles when that is full."""


class State(ABC):
    """Rows that are being continued. Rows that have the same prompt share what is known of it."""

    logits: torch.Tensor
    """float32 `[rows, vocab]`: of the token that comes next."""

    @abstractmethod
    def step(self, tokens: torch.Tensor) -> None:
        """Append a token to every row (int64 `[rows]`)."""

    @abstractmethod
    def keep(self, rows: np.ndarray) -> None:
        """Only these rows (ints) go on, in this order. Until the next step, `logits` are still everyone's."""


class Decoder(ABC):
    """A copy of a model, which `start` sets to work."""

    @abstractmethod
    def start(self, prompts: Sequence[np.ndarray], of: np.ndarray, max_new: int) -> State:
        """Read the prompts, all different; row `i` goes on from prompt `of[i]`, by up to `max_new` tokens."""


def make_decoder(model: LanguageModel, *, device: str = "cpu", precision: Precision = "fp32") -> Decoder:
    """The decoder for a device. In bf16 only the products are, all but the last."""
    model = merged(model)
    if torch.device(device).type == "cpu":
        return PackedDecoder(model, DTYPES[precision])
    return TorchDecoder(model, torch.device(device), DTYPES[precision])


def room(n: int) -> int:
    """The next of few batch sizes, at most a quarter more: oneDNN keeps 1,024 plans, one a size and layer."""
    step = 1 << max(0, (n - 1).bit_length() - 3)
    return -(-n // step) * step


# -- on a CPU ----------------------------------------------------------------------------------------------

Product = Callable[..., torch.Tensor]


class PackedDecoder(Decoder):
    """See `make_decoder`."""

    def __init__(self, model: LanguageModel, dtype: torch.dtype) -> None:
        self.options, self.dtype, self.turns = model.options, dtype, model.turns
        with torch.no_grad():
            self.table = array(model.embed.weight.float().clone())
            self.layers = [PackedLayer(block, dtype) for block in model.blocks]
            self.head = product((model.last * model.norm.weight).float())

    def start(self, prompts: Sequence[np.ndarray], of: np.ndarray, max_new: int) -> State:
        return PackedState(self, prompts, of, max_new)


class PackedLayer:
    """The products of one block, and the gains `[2, dim]` of its queries and keys (`[2, 0]` without)."""

    def __init__(self, block: Block, dtype: torch.dtype) -> None:
        attention, gain = block.attention, block.mlp_norm.weight
        bias = None if attention.qkv.bias is None else attention.qkv.bias.to(dtype, copy=True)
        self.qkv = product((attention.qkv.weight * block.norm.weight).to(dtype), bias)
        self.out = product(attention.out.weight.to(dtype))
        self.gate = product((block.gate.weight * gain).to(dtype), then="swish")
        self.up = product((block.up.weight * gain).to(dtype), then="mul")
        self.down = product(block.down.weight.to(dtype))
        norms = [norm.weight.float() for norm in (attention.q_norm, attention.k_norm) if norm is not None]
        self.gains = array(torch.stack(norms)) if norms else np.zeros((2, 0), np.float32)


def product(weight: torch.Tensor, bias: torch.Tensor | None = None, then: str = "none") -> Product:
    """`x -> x · weightᵀ + bias`; then `swish` of that, or `mul`, which takes what to multiply by."""
    if one_dnn_takes(weight.dtype):
        packed = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), 128)  # rows that it is best for
        call = torch.ops.mkldnn._linear_pointwise
        if then == "mul":
            return lambda x, other: call.binary(x, other, packed, bias, "mul")
        return lambda x: call(x, packed, bias, then, [], "")
    weight = weight.clone()
    if then == "mul":
        return lambda x, other: F.linear(x, weight, bias) * other
    if then == "swish":
        return lambda x: F.silu(F.linear(x, weight, bias))
    return lambda x: F.linear(x, weight, bias)


def array(x: torch.Tensor) -> np.ndarray:
    """The same memory as numpy; bfloat16 as uint16."""
    return (x.view(torch.uint16) if x.dtype == torch.bfloat16 else x).detach().numpy()


class PackedState(State):
    """Rows of a `PackedDecoder`: what they wrote has a cache of its own, beside that of the prompts."""

    def __init__(
        self, decoder: PackedDecoder, prompts: Sequence[np.ndarray], of: np.ndarray, max_new: int
    ) -> None:
        self.decoder, self.max_new, self.length = decoder, max_new, 0
        lengths = np.array([len(p) for p in prompts])
        longest = int(lengths.max())
        with torch.inference_mode():
            turns = decoder.turns(torch.arange(longest + max_new))[:, :, 0, decoder.options.dim // 2 :]
            self.turns = array(turns.transpose(0, 1).contiguous())
        self.prompts = self._cache(len(prompts), longest)
        self.logits = self._read(prompts, lengths)[torch.from_numpy(of)]
        self.own = self._cache(len(of), min(max_new, FIRST_ROOM))
        self.where = np.stack([of, lengths[of], np.arange(len(of)), np.zeros_like(of)], 1).astype(np.int64)
        self._make_room(len(of))

    def step(self, tokens: torch.Tensor) -> None:
        self.length += 1
        if self.length > self.own[0].shape[3]:
            self._grow()
        self.where[:, 3] = self.length
        with torch.inference_mode():
            last = self._through(array(tokens), self.where, self.own)
            self.logits = self.decoder.head(last)[: len(tokens)]

    def keep(self, rows: np.ndarray) -> None:
        self.where = self.where[rows]
        self._make_room(len(rows))

    def _read(self, prompts: Sequence[np.ndarray], lengths: np.ndarray) -> torch.Tensor:
        """Fill the cache of the prompts, some at a time; returns the logits after each."""
        logits, first, ends = [], 0, np.cumsum(lengths)
        while first < len(prompts):
            begin = ends[first] - lengths[first]
            stop = max(first + 1, int(np.searchsorted(ends, begin + PREFILL, side="right")))
            rows = np.repeat(np.arange(first, stop), lengths[first:stop])
            places = begin + np.arange(len(rows)) - (ends - lengths)[rows]
            where = np.stack([np.zeros_like(rows), np.zeros_like(rows), rows, places + 1], 1)
            self._make_room(len(rows))
            with torch.inference_mode():
                wanted = ends[first:stop] - begin - 1
                last = self._through(np.concatenate(prompts[first:stop]), where, self.prompts, wanted)
                logits.append(self.decoder.head(last)[: len(wanted)])
            first = stop
        return torch.cat(logits)

    def _through(
        self, tokens: np.ndarray, where: np.ndarray, own: list[np.ndarray], wanted: np.ndarray | None = None
    ) -> torch.Tensor:
        """All layers, over a token a row of `where`: what the last product reads, float32 `[room, width]`.

        Of the `wanted` rows only, if told: the last layer does not go on with others.
        """
        decoder, eps = self.decoder, self.decoder.options.norm_eps
        stream, x, normed, seen, looked, last = self.buffers
        np.take(decoder.table, tokens, axis=0, out=stream[: len(tokens)], mode="clip")
        change = normed[:0]
        for layer, prompts, mine in zip(decoder.layers, self.prompts, own):
            add_and_norm(stream, change, normed, eps)
            attend(array(layer.qkv(x)), self.turns, prompts, mine, where, layer.gains, eps, looked)
            if wanted is not None and layer is decoder.layers[-1]:
                for rows in (stream, looked):
                    rows[: len(wanted)] = rows[wanted]
                n = room(len(wanted))
                stream, x, normed, seen, last = stream[:n], x[:n], normed[:n], seen[:n], last[:n]
            change = array(layer.out(seen))
            add_and_norm(stream, change, normed, eps)
            change = array(layer.down(layer.up(x, layer.gate(x))))
        add_and_norm(stream, change, array(last), eps)
        return last

    def _make_room(self, rows: int) -> None:
        """Buffers for a step of so many rows."""
        options, dtype, n = self.decoder.options, self.decoder.dtype, room(rows)
        x, seen, last = (
            torch.zeros(n, options.width, dtype=dtype),
            torch.zeros(n, options.heads * options.dim, dtype=dtype),
            torch.zeros(n, options.width),
        )
        self.buffers = np.zeros((n, options.width), np.float32), x, array(x), seen, array(seen), last

    def _cache(self, rows: int, length: int) -> list[np.ndarray]:
        """Room for keys and values: `[2, rows, heads, length, dim]` a layer."""
        options = self.decoder.options
        dtype = np.float32 if self.decoder.dtype == torch.float32 else np.uint16
        shape = 2, rows, options.groups, length, options.dim
        return [np.empty(shape, dtype) for _ in range(options.layers)]

    def _grow(self) -> None:
        """Twice the room, for the rows that are still there."""
        slots, full = self.where[:, 2], self.own[0].shape[3]
        for i, new in enumerate(self._cache(len(slots), min(2 * full, self.max_new))):
            new[:, :, :, :full] = self.own[i][:, slots]
            self.own[i] = new
        self.where[:, 2] = np.arange(len(slots))


# -- anywhere ----------------------------------------------------------------------------------------------


class TorchDecoder(Decoder):
    """See `make_decoder`."""

    def __init__(self, model: LanguageModel, device: torch.device, dtype: torch.dtype) -> None:
        self.model, self.device, self.dtype = copy.deepcopy(model).to(device).eval(), device, dtype
        self.model.requires_grad_(False)
        for block in self.model.blocks:
            for layer in block.modules():
                if isinstance(layer, torch.nn.Linear):
                    layer.to(dtype)

    def start(self, prompts: Sequence[np.ndarray], of: np.ndarray, max_new: int) -> State:
        return TorchState(self, prompts, of, max_new)


class TorchState(State):
    """Rows of a `TorchDecoder`: a prompt is read once, and what is known of it copied to its rows."""

    def __init__(
        self, decoder: TorchDecoder, prompts: Sequence[np.ndarray], of: np.ndarray, max_new: int
    ) -> None:
        self.model, self.device, self.dtype = decoder.model, decoder.device, decoder.dtype
        tokens, lengths = padded(prompts)
        self.longest, last = tokens.shape[1], np.arange(len(prompts)) * tokens.shape[1] + lengths - 1
        rows = self._put(of)
        with self._precision():
            hidden, read = self._read(self._put(tokens))
            self.logits = self.model.logits(hidden[self._put(last)])[rows]
            self.lengths = self._put(lengths)[rows]
            self.cache = [F.pad(known[:, rows], (0, 0, 0, max_new)) for known in read]

    def step(self, tokens: torch.Tensor) -> None:
        with self._precision():
            self.logits = self.model.logits(self._append(tokens.to(self.device)))

    def keep(self, rows: np.ndarray) -> None:
        index = self._put(rows)
        with self._precision():
            self.lengths = self.lengths[index]
            self.cache = [known[:, index] for known in self.cache]

    def _read(self, tokens: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Read padded prompts `[P, T]`; the padding stands after all that could see it.

        Returns what the last product reads, and a layer's keys and values each, `[2, P, heads, T, dim]`.
        """
        x, read = self.model.embed(tokens.flatten()).float(), []
        turns = self.model.turns(torch.arange(tokens.shape[1], device=self.device).repeat(len(tokens)))
        for block in self.model.blocks:
            projected = block.attention.project(block.norm(x), turns)
            q, k, v = (y.unflatten(0, tokens.shape) for y in projected)
            read.append(torch.stack([k, v]).transpose(2, 3))
            x = x + block.attention.out(block.attention.look(q, k, v))
            x = x + block.mlp(block.mlp_norm(x))
        return self.model.norm(x), read

    def _append(self, tokens: torch.Tensor) -> torch.Tensor:
        """One token more in every row: what the last product reads."""
        x, turns = self.model.embed(tokens).float(), self.model.turns(self.lengths)
        rows, grouped = torch.arange(len(tokens), device=self.device), self.cache[0].shape[2] < self.heads
        self.longest += 1
        seen = torch.arange(self.longest, device=self.device) <= self.lengths[:, None]
        for block, known in zip(self.model.blocks, self.cache):
            q, k, v = block.attention.project(block.norm(x), turns)
            known[0, rows, :, self.lengths], known[1, rows, :, self.lengths] = k, v
            keys, values = known[:, :, :, : self.longest]
            y = F.scaled_dot_product_attention(
                q[:, :, None], keys, values, attn_mask=seen[:, None, None], enable_gqa=grouped
            )
            x = x + block.attention.out(y.flatten(1))
            x = x + block.mlp(block.mlp_norm(x))
        self.lengths += 1
        return self.model.norm(x)

    @property
    def heads(self) -> int:
        """Heads of queries."""
        return self.model.options.heads

    def _put(self, x: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(x).to(self.device)

    @contextmanager
    def _precision(self) -> Iterator[None]:
        """Without gradients, products in the decoder's precision."""
        autocast = torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)
        with torch.inference_mode(), autocast:
            yield
