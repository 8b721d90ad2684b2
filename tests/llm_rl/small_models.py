"""Small models with weights far from their first ones, and the same models written out plainly in float64."""

import math

import numpy as np
import torch

from agents.networks import seeded
from llm_rl.model import LanguageModel, Llama3Scaling, ModelOptions
from llm_rl.packing import pack, padded

BASE = {"vocab": 23, "layers": 2, "width": 32, "hidden": 48, "heads": 4, "context": 64}
SCALING = Llama3Scaling(
    factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32
)
FAMILIES = {
    "ours": {},
    "llama": {"kv_heads": 2, "tied": False, "rope_theta": 5e5, "rope_scaling": SCALING, "norm_eps": 1e-5},
    "qwen2": {"kv_heads": 1, "qkv_bias": True},
    "qwen3": {"kv_heads": 2, "qk_norm": True, "head_dim": 12, "tied": False},
}


def small(family="ours", seed=0, **changes):
    """A model of which no weight is what it begins with: gains are not 1, biases not 0."""
    model = LanguageModel(ModelOptions(**{**BASE, **FAMILIES[family], **changes}), seed=seed)
    with seeded(seed + 1), torch.no_grad():
        for weight in model.parameters():
            weight.add_((0.3 if weight.ndim == 1 else 0.1) * torch.randn_like(weight))
    return model


def sequences(lengths, vocab=BASE["vocab"], seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(0, vocab, length) for length in lengths]


def packed(rows, wrote=None, group=None):
    return pack(*padded(rows), wrote, group)


def logits_of(model, row):
    """`[len(row), vocab]`, without a cache."""
    with torch.no_grad():
        return model.logits(model(packed([row]))).numpy()


# -- written out -------------------------------------------------------------------------------------------


def norm(x, gain, eps):
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + eps) * gain


def angle(options, position, j):
    """The angle that numbers j and j + dim / 2 of a head turn by at a position."""
    plain = options.rope_theta ** (-2 * j / options.dim)
    if options.rope_scaling is not None:
        s, wavelength = options.rope_scaling, 2 * math.pi / plain
        if wavelength > s.original_max_position_embeddings / s.low_freq_factor:
            plain /= s.factor
        elif wavelength >= s.original_max_position_embeddings / s.high_freq_factor:
            share = s.original_max_position_embeddings / wavelength - s.low_freq_factor
            share /= s.high_freq_factor - s.low_freq_factor
            plain = (1 - share) * plain / s.factor + share * plain
    return position * plain


def turned(options, head, position):
    half, out = options.dim // 2, np.empty_like(head)
    for j in range(half):
        c, s = math.cos(angle(options, position, j)), math.sin(angle(options, position, j))
        out[j], out[half + j] = head[j] * c - head[half + j] * s, head[half + j] * c + head[j] * s
    return out


def written_out(model, row):
    """The logits of one sequence, token by token and head by head: float64 `[len(row), vocab]`."""
    o, w = model.options, {k: v.detach().double().numpy() for k, v in model.state_dict().items()}
    dim, queries, groups = o.dim, o.heads * o.dim, o.groups * o.dim
    xs, layers = [w["embed.weight"][t].copy() for t in row], []
    for i in range(o.layers):
        p, keys, values, after = f"blocks.{i}.", [], [], []
        for t, x in enumerate(xs):
            qkv = w[p + "attention.qkv.weight"] @ norm(x, w[p + "norm.weight"], o.norm_eps)
            if o.qkv_bias:
                qkv = qkv + w[p + "attention.qkv.bias"]
            q = qkv[:queries].reshape(-1, dim)
            k, v = qkv[queries:].reshape(2, -1, dim)
            assert k.size == groups
            if o.qk_norm:
                q = norm(q, w[p + "attention.q_norm.weight"], o.norm_eps)
                k = norm(k, w[p + "attention.k_norm.weight"], o.norm_eps)
            keys.append([turned(o, head, t) for head in k])
            values.append(v)
            seen = []
            for h, head in enumerate(q):
                g, head = h // (o.heads // o.groups), turned(o, head, t)
                weights = np.exp([head @ key[g] / math.sqrt(dim) for key in keys])
                seen.append(sum(a * value[g] for a, value in zip(weights / weights.sum(), values)))
            x = x + w[p + "attention.out.weight"] @ np.concatenate(seen)
            read = norm(x, w[p + "mlp_norm.weight"], o.norm_eps)
            gate, up = w[p + "gate.weight"] @ read, w[p + "up.weight"] @ read
            after.append(x + w[p + "down.weight"] @ (gate / (1 + np.exp(-gate)) * up))
        xs = after
        layers.append(xs)
    head = w["embed.weight"] if o.tied else w["head.weight"]
    return np.array([head @ norm(x, w["norm.weight"], o.norm_eps) for x in xs])
