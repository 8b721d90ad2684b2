"""Models in the Hugging Face layout: what is trained here opens in `transformers`, and the reverse.

A folder holds `config.json`, `model.safetensors` (or shards and `model.safetensors.index.json`),
`tokenizer.json` and `generation_config.json`. Nothing in it is run: weights as pickle are refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from agents.options import OptionError, read
from llm_rl.lora import merged
from llm_rl.model import LanguageModel, Llama3Scaling, ModelOptions, frequencies
from llm_rl.tokenizer import CONFIG as TOKENIZER_CONFIG
from llm_rl.tokenizer import FILE as TOKENIZER
from llm_rl.tokenizer import Tokenizer, load_tokenizer, read_json
from rollouts.storage import sync_to_disk, whole_folder

SETTINGS, WEIGHTS, GENERATION = "config.json", "model.safetensors", "generation_config.json"
INDEX = f"{WEIGHTS}.index.json"
WRITTEN = {SETTINGS, WEIGHTS, GENERATION, TOKENIZER, TOKENIZER_CONFIG}
CLASSES = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM"}

NAMES = {
    "layers": "num_hidden_layers",
    "width": "hidden_size",
    "hidden": "intermediate_size",
    "heads": "num_attention_heads",
    "kv_heads": "num_key_value_heads",
    "head_dim": "head_dim",
    "context": "max_position_embeddings",
    "vocab": "vocab_size",
    "norm_eps": "rms_norm_eps",
    "tied": "tie_word_embeddings",
}
"""What options are called in `config.json`."""
DEFAULTS = {"context": 2048, "norm_eps": 1e-6, "tied": False}
REFUSED = {
    "hidden_act": ("silu", None),
    "mlp_bias": (False, None),
    "use_sliding_window": (False, None),
    "quantization_config": (None,),
}
"""What a config may say of things that are not here."""


def save_folder(folder: Path | str, model: LanguageModel, tokenizer: Tokenizer) -> None:
    """Write a folder, whole or not at all; one of ours that is there is replaced. Adapters are merged.

    Raises `ValueError` where `folder` holds other files, and for a model that no family of `CLASSES` has.
    """
    folder, model = Path(folder), merged(model)
    others = {path.name for path in folder.iterdir()} - WRITTEN if folder.exists() else set()
    if others:
        raise ValueError(f"{folder}: holds other files ({min(others)}); nothing is saved over them")
    ends = list(tokenizer.ends) if len(tokenizer.ends) > 1 else tokenizer.eos
    tokens = {"pad_token_id": tokenizer.pad, "bos_token_id": tokenizer.bos, "eos_token_id": ends}
    config = {**config_of(model.options), **tokens}
    sampling = {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0}
    weights = {name: x.contiguous() for name, x in places(model).items()}
    with whole_folder(folder) as beside:
        save_file(weights, beside / WEIGHTS, {"format": "pt"})
        tokenizer.save(beside)
        for name, content in ((SETTINGS, config), (GENERATION, {**sampling, **tokens})):
            (beside / name).write_text(json.dumps(content, indent=2), encoding="utf-8")
        for path in beside.iterdir():
            sync_to_disk(path)


def load_folder(folder: Path | str) -> tuple[LanguageModel, Tokenizer]:
    """The model, in float32, and the tokenizer of a local folder.

    Raises `ValueError`, in a line that names the file, for what is missing, damaged or not supported, for
    weights of other shapes than the config's, and for a tokenizer that does not fit.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder}: there is no such folder")
    for name in (SETTINGS, TOKENIZER):
        if not (folder / name).exists():
            needs = f"{SETTINGS}, {WEIGHTS} and {TOKENIZER}"
            raise ValueError(f"{folder / name} is missing: a model's folder has {needs}")
    options = options_of(read_json(folder / SETTINGS), folder / SETTINGS)
    tokenizer = load_tokenizer(folder)
    if tokenizer.size > options.vocab:
        raise ValueError(
            f"{folder / TOKENIZER} has {tokenizer.size} tokens, more than the vocab_size of {options.vocab} "
            f"in {SETTINGS}"
        )
    try:
        with torch.device("meta"):
            model = LanguageModel(options)
    except OptionError as error:
        raise ValueError(f"{folder / SETTINGS}: {error}") from None
    model.to_empty(device="cpu").frequencies = frequencies(options)
    _fill(places(model), folder)
    return model, tokenizer


def places(model: LanguageModel) -> dict[str, torch.Tensor]:
    """Where each tensor of the Hugging Face layout lies in a model: views of its weights, by name."""
    options, found = model.options, {"model.embed_tokens.weight": model.embed.weight.data}
    inner, keys = options.heads * options.dim, options.groups * options.dim
    for i, block in enumerate(model.blocks):
        attention, layer = block.attention, f"model.layers.{i}"
        for kind in ("weight", "bias") if options.qkv_bias else ("weight",):
            parts = getattr(attention.qkv, kind).data.split([inner, keys, keys])
            found |= {f"{layer}.self_attn.{x}_proj.{kind}": part for x, part in zip("qkv", parts)}
        found |= {
            f"{layer}.input_layernorm.weight": block.norm.weight.data,
            f"{layer}.self_attn.o_proj.weight": attention.out.weight.data,
            f"{layer}.post_attention_layernorm.weight": block.mlp_norm.weight.data,
            f"{layer}.mlp.gate_proj.weight": block.gate.weight.data,
            f"{layer}.mlp.up_proj.weight": block.up.weight.data,
            f"{layer}.mlp.down_proj.weight": block.down.weight.data,
        }
        for name, norm in (("q_norm", attention.q_norm), ("k_norm", attention.k_norm)):
            if norm is not None:
                found[f"{layer}.self_attn.{name}.weight"] = norm.weight.data
    found["model.norm.weight"] = model.norm.weight.data
    if model.head is not None:
        found["lm_head.weight"] = model.head.weight.data
    return found


# -- config.json -------------------------------------------------------------------------------------------


def config_of(options: ModelOptions) -> dict[str, Any]:
    """`config.json` for options; `ValueError` for those that no family has."""
    kind = "qwen3" if options.qk_norm else "qwen2" if options.qkv_bias else "llama"
    if options.qk_norm and options.qkv_bias:
        raise ValueError("qkv_bias and qk_norm together are in no Hugging Face family: it cannot be saved")
    rope: dict[str, Any] = {"rope_type": "default", "rope_theta": options.rope_theta}
    if options.rope_scaling is not None:
        rope |= {"rope_type": "llama3", **options.rope_scaling.model_dump()}
    filled = options.model_copy(update={"kv_heads": options.groups, "head_dim": options.dim})
    return {
        "architectures": [CLASSES[kind]],
        "model_type": kind,
        "dtype": "float32",
        "hidden_act": "silu",
        "attention_bias": kind == "qwen2",
        "use_sliding_window": False,
        "rope_parameters": rope,
        "rope_theta": options.rope_theta,  # as it was before version 5 of transformers, which others read
        "rope_scaling": None if options.rope_scaling is None else rope,
        **{theirs: getattr(filled, ours) for ours, theirs in NAMES.items()},
    }


def options_of(config: Mapping[str, Any], path: Path) -> ModelOptions:
    """The options that a `config.json` (of `path`) tells; `ValueError` where they are not supported."""
    kind = config.get("model_type")
    if kind not in CLASSES:
        raise ValueError(f"{path}: model_type {kind!r} is not supported; {', '.join(CLASSES)} are")
    for key, allowed in REFUSED.items():
        if config.get(key) not in allowed:
            raise ValueError(f"{path}: {key} {config[key]!r:.60} is not supported")
    if kind != "qwen2" and config.get("attention_bias"):
        raise ValueError(f"{path}: attention_bias true is not supported for {kind}")
    if set(config.get("layer_types") or ()) - {"full_attention"}:
        raise ValueError(f"{path}: layer_types other than full_attention are not supported")
    given: dict[str, Any] = dict(DEFAULTS)
    given |= {ours: config[theirs] for ours, theirs in NAMES.items() if config.get(theirs) is not None}
    given |= {"qkv_bias": kind == "qwen2", "qk_norm": kind == "qwen3", **_rope(config, path)}
    for name in ("layers", "width", "hidden", "heads", "vocab"):
        if name not in given:
            raise ValueError(f"{path}: {NAMES[name]} is missing")
    try:
        return read(ModelOptions, given)
    except OptionError as error:
        raise ValueError(f"{path}: {NAMES.get(error.option, error.option)}: {error}") from None


def _rope(config: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Theta and scaling, as transformers writes them since version 5 (`rope_parameters`), or did before."""
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    kind = rope.get("rope_type", rope.get("type", "default"))
    theta = rope.get("rope_theta", config.get("rope_theta") or 10000.0)
    if kind not in ("default", "llama3"):
        raise ValueError(f"{path}: rope_type {kind!r} is not supported; default and llama3 are")
    scaling = None
    if kind == "llama3":
        scaling = {name: rope[name] for name in Llama3Scaling.model_fields if name in rope}
    return {"rope_theta": theta, "rope_scaling": scaling}


# -- weights -----------------------------------------------------------------------------------------------


def _fill(places: Mapping[str, torch.Tensor], folder: Path) -> None:
    """Copy every tensor of the folder's weights to its place; `ValueError` where they do not fit."""
    missing = set(places)
    for path in _shards(folder):
        for name, tensor in _tensors(path):
            if name == "lm_head.weight" and name not in places:
                continue  # a copy of the embedding, which some write out
            if name not in places:
                raise ValueError(f"{path}: the tensor {name} has no place in the model of {SETTINGS}")
            place = places[name]
            if tensor.shape != place.shape:
                is_, says = list(tensor.shape), list(place.shape)
                raise ValueError(f"{path}: {name} is {is_}, and by {SETTINGS} it is {says}")
            if not tensor.is_floating_point() or tensor.element_size() < 2:
                raise ValueError(f"{path}: {name} is {tensor.dtype}; quantised weights are not supported")
            place.copy_(tensor)
            missing.discard(name)
    if missing:
        more = f", and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise ValueError(f"{folder}: the weights lack {min(missing)}{more}")


def _shards(folder: Path) -> list[Path]:
    if (folder / WEIGHTS).exists():
        return [folder / WEIGHTS]
    shards = read_json(folder / INDEX).get("weight_map")
    if isinstance(shards, Mapping) and all(isinstance(name, str) for name in shards.values()):
        paths = [folder / Path(name).name for name in sorted(set(shards.values()))]
        for path in paths:
            if not path.exists():
                raise ValueError(f"{path} is missing, which {INDEX} names")
        return paths
    if (folder / INDEX).exists():
        raise ValueError(f"{folder / INDEX}: damaged (no weight_map)")
    if list(folder.glob("*.bin")) or list(folder.glob("*.pt")) or list(folder.glob("*.pth")):
        raise ValueError(
            f"{folder / WEIGHTS} is missing; weights as pickle are not read, for opening them can run code: "
            "save them as safetensors"
        )
    raise ValueError(f"{folder / WEIGHTS} is missing")


def _tensors(path: Path) -> Iterator[tuple[str, torch.Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 (it is no mapping)
                yield name, file.get_tensor(name)
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{path}: damaged ({error})") from None
