import json
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import envs
from agents.networks import seeded
from envs.rng import from_seeds
from llm_rl.folder import INDEX, SETTINGS, WEIGHTS, load_folder, save_folder
from llm_rl.generate import Generator
from llm_rl.policy import LanguagePolicy
from llm_rl.sampling import Sampling
from llm_rl.tokenizer import CONFIG, FILE, CharTokenizer
from tests.llm_rl.small_models import BASE, FAMILIES, logits_of, sequences, small

torch.set_num_threads(1)

PAGE = Path(__file__).resolve().parents[2] / "docs" / "language.md"
TOKENS = CharTokenizer("0123456789+=")
PEERS = {
    "llama": ("LlamaConfig", {"tie_word_embeddings": True, "num_key_value_heads": 4}),
    "llama 3": (
        "LlamaConfig",
        {
            "head_dim": 12,
            "rms_norm_eps": 1e-5,
            "rope_parameters": {
                "rope_type": "llama3",
                "rope_theta": 5e5,
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 32,
            },
        },
    ),
    "qwen2": ("Qwen2Config", {"tie_word_embeddings": True}),
    "qwen3": ("Qwen3Config", {"head_dim": 20}),
}


def peer(name, seed=0):
    """A model of `transformers` with random weights, none as it begins with."""
    import transformers

    kind, changes = PEERS[name]
    config = getattr(transformers, kind)(
        **{
            "vocab_size": TOKENS.size,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 64,
            "eos_token_id": 2,
            "pad_token_id": 0,
            **changes,
        }
    )
    torch.manual_seed(seed)
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.15 * torch.randn_like(weight))
    return model


def their_logits(model, row):
    with torch.no_grad():
        return model(torch.from_numpy(row)[None]).logits[0].numpy()


def written(folder, model=None):
    save_folder(folder, model or small(), TOKENS)
    return folder


def edit(path, **changes):
    content = json.loads(path.read_text())
    content |= changes
    path.write_text(json.dumps({k: v for k, v in content.items() if v != "gone"}))


# -- transformers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PEERS)
def test_what_transformers_saves_opens_here(name, tmp_path):
    theirs, (row,) = peer(name), sequences([20])
    theirs.save_pretrained(tmp_path)
    TOKENS.save(tmp_path)
    model, tokenizer = load_folder(tmp_path)
    expected = their_logits(theirs, row)
    assert expected.std() > 0.3
    np.testing.assert_allclose(logits_of(model, row), expected, atol=1e-5)
    assert tokenizer.ends == (2,)
    assert not any(weight.is_meta for weight in [*model.parameters(), *model.buffers()])


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_saved_opens_in_transformers(family, tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, (row,) = small(family), sequences([20])
    written(tmp_path / "model", model)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "model").eval()
    assert type(theirs).__name__.lower().startswith("llama" if family == "ours" else family)
    np.testing.assert_allclose(logits_of(model, row), their_logits(theirs, row), atol=1e-5)
    read = AutoTokenizer.from_pretrained(tmp_path / "model")
    text = "<think>1+2=3</think><answer>3</answer>"
    assert read(text).input_ids == [1, *TOKENS.encode(text)]
    assert read([text, "1"], padding=True).input_ids[1][-2:] == [1, *TOKENS.encode("1")]  # to the left
    assert set(read(text)) == {"input_ids", "attention_mask"}
    assert read.decode([1, *TOKENS.encode(text), 2], skip_special_tokens=True) == text
    assert (read.pad_token_id, read.bos_token_id, read.eos_token_id) == (0, 1, 2)


def test_what_is_saved_writes_there_what_it_writes_here(tmp_path):
    from transformers import AutoModelForCausalLM

    model, prompts = small("qwen2"), sequences([7, 7, 7, 7], seed=3)
    theirs = AutoModelForCausalLM.from_pretrained(written(tmp_path / "model", model))
    ids = torch.from_numpy(np.stack(prompts))
    said = theirs.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=15, do_sample=False)
    made = Generator(model, TOKENS)(prompts, from_seeds(range(4)), Sampling(max_new=15, greedy=True))
    for row, tokens, length in zip(said[:, 7:], made.tokens, made.lengths):
        assert row[:length].tolist() == tokens[:length].tolist()
    assert theirs.generation_config.do_sample
    assert not theirs.generation_config.top_k  # what is drawn there is what is drawn here


def test_transformers_says_what_the_policy_says_as_the_page_shows(tmp_path, monkeypatch, capsys):
    env = envs.make("text/Reversal-v0", 1)
    spaces = env.single_observation_space, env.single_action_space
    policy = LanguagePolicy(*spaces, model={"size": "XS", "context": 64}, max_new=16)
    with seeded(1), torch.no_grad():
        for weight in policy.network.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    policy.refresh()
    save_folder(tmp_path / "reverser", policy.network, policy.tokenizer)
    opened = LanguagePolicy(*spaces, model={"folder": str(tmp_path / "reverser")}, max_new=16)
    for text in ("reverse:hello", "reverse:a", "3+4="):
        ask = {"rng": from_seeds([1]), "first": np.ones(1, bool), "explore": False}
        (said,) = policy.act((text,), **ask).actions
        assert len(said) > 5
        assert opened.act((text,), **ask).actions == (said,)  # it begins with one bos, not with two
        monkeypatch.chdir(tmp_path)
        (code,) = re.findall(r"```py\n(.*?)```", PAGE.read_text(), re.DOTALL)
        assert "reverse:hello" in code
        capsys.readouterr()
        exec(code.replace("reverse:hello", text), {})
        assert capsys.readouterr().out == said + "\n"


# -- here --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_comes_back(family, tmp_path):
    model = small(family)
    again, tokenizer = load_folder(written(tmp_path / "model", model))
    assert isinstance(tokenizer, CharTokenizer)
    assert tokenizer.alphabet == TOKENS.alphabet
    for (name, a), b in zip(model.state_dict().items(), again.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    filled = {"kv_heads": model.options.groups, "head_dim": model.options.dim}
    assert again.options == model.options.model_copy(update=filled)
    written(tmp_path / "model", small(family, seed=5))  # over the old one
    assert not torch.equal(load_folder(tmp_path / "model")[0].norm.weight, model.norm.weight)


def test_shards_are_read(tmp_path):
    model = small("llama")
    whole = load_file(written(tmp_path / "m", model) / WEIGHTS)
    names = sorted(whole)
    parts = {"a.safetensors": names[:7], "b.safetensors": names[7:]}
    for file, own in parts.items():
        save_file({name: whole[name] for name in own}, tmp_path / "m" / file)
    (tmp_path / "m" / WEIGHTS).unlink()
    index = {"weight_map": {name: file for file, own in parts.items() for name in own}}
    (tmp_path / "m" / INDEX).write_text(json.dumps(index))
    for a, b in zip(model.parameters(), load_folder(tmp_path / "m")[0].parameters()):
        assert torch.equal(a, b)
    (tmp_path / "m" / "b.safetensors").unlink()
    with pytest.raises(ValueError, match=r"b\.safetensors is missing, which .*index"):
        load_folder(tmp_path / "m")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_widened(dtype, tmp_path):
    folder = written(tmp_path / "m")
    whole = {name: x.to(dtype) for name, x in load_file(folder / WEIGHTS).items()}
    save_file(whole, folder / WEIGHTS)
    model = load_folder(folder)[0]
    assert model.norm.weight.dtype == torch.float32
    assert torch.equal(model.norm.weight, whole["model.norm.weight"].float())


def test_a_tied_head_that_is_written_out_is_passed_over(tmp_path):
    folder = written(tmp_path / "m")
    whole = load_file(folder / WEIGHTS)
    save_file({**whole, "lm_head.weight": whole["model.embed_tokens.weight"].clone()}, folder / WEIGHTS)
    assert torch.equal(load_folder(folder)[0].embed.weight, small().embed.weight)


def test_older_configs_are_read(tmp_path):
    """As transformers 4 wrote them."""
    model = small("llama")
    folder = written(tmp_path / "m", model)
    edit(folder / SETTINGS, rope_parameters="gone")
    assert load_folder(folder)[0].options.rope_scaling == model.options.rope_scaling
    assert load_folder(folder)[0].options.rope_theta == 5e5
    edit(folder / SETTINGS, head_dim="gone", num_key_value_heads=2, use_sliding_window="gone")
    assert load_folder(folder)[0].options.dim == 8


# -- what is refused ---------------------------------------------------------------------------------------


def test_there_is_no_such_folder(tmp_path):
    with pytest.raises(ValueError, match="nowhere: there is no such folder"):
        load_folder(tmp_path / "nowhere")


@pytest.mark.parametrize("name", [SETTINGS, WEIGHTS, FILE])
def test_a_missing_file_is_named(name, tmp_path):
    (written(tmp_path / "m") / name).unlink()
    with pytest.raises(ValueError, match=f"{name} is missing") as said:
        load_folder(tmp_path / "m")
    assert "\n" not in str(said.value)


@pytest.mark.parametrize("name", [SETTINGS, WEIGHTS, FILE])
def test_a_damaged_file_is_named(name, tmp_path):
    path = written(tmp_path / "m") / name
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(ValueError, match=f"{name}: damaged"):
        load_folder(tmp_path / "m")


class Bomb:
    """Whoever opens it runs code."""

    def __reduce__(self):
        return pytest.fail, ("it was opened",)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt"])
def test_pickle_is_never_opened(name, tmp_path):
    folder = written(tmp_path / "m")
    (folder / WEIGHTS).unlink()
    (folder / name).write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ValueError, match=r"weights as pickle are not read, .*save them as safetensors"):
        load_folder(folder)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model_type": "gpt2"}, "model_type 'gpt2' is not supported; llama, qwen2, qwen3 are"),
        ({"model_type": "gone"}, "model_type None is not supported"),
        ({"hidden_act": "gelu"}, "hidden_act 'gelu' is not supported"),
        ({"attention_bias": True}, "attention_bias true is not supported for llama"),
        ({"mlp_bias": True}, "mlp_bias True is not supported"),
        ({"use_sliding_window": True}, "use_sliding_window True is not supported"),
        ({"layer_types": ["sliding_attention"]}, "layer_types other than full_attention"),
        ({"quantization_config": {"bits": 4}}, "quantization_config .* is not supported"),
        ({"rope_parameters": {"rope_type": "yarn"}}, "rope_type 'yarn' is not supported"),
        ({"num_hidden_layers": "gone"}, "num_hidden_layers is missing"),
        ({"num_hidden_layers": "two"}, "num_hidden_layers: layers must be a valid integer"),
        ({"num_attention_heads": 0}, "num_attention_heads: heads must be greater"),
        ({"num_key_value_heads": 3}, "kv_heads .3. must divide heads"),
        ({"rope_parameters": {"rope_type": "llama3"}}, "rope_scaling"),
        ({"num_hidden_layers": 3}, r"the weights lack model\.layers\.2\.\S+, and \d+ more"),
        ({"num_hidden_layers": 1}, r"the tensor model\.layers\.1\.\S+ has no place in the model"),
        ({"intermediate_size": 50}, r"proj\.weight is \[\d+, \d+\], and by config\.json it is \["),
        ({"tie_word_embeddings": False}, r"the weights lack lm_head\.weight$"),
        ({"vocab_size": 20}, "tokenizer.json has 23 tokens, more than the vocab_size of 20"),
    ],
)
def test_a_config_that_does_not_fit_is_told_in_a_line(changes, words, tmp_path):
    folder = written(tmp_path / "m")
    edit(folder / SETTINGS, **changes)
    with pytest.raises(ValueError, match=words) as said:
        load_folder(folder)
    assert str(folder) in str(said.value)
    assert "\n" not in str(said.value)


def test_quantised_weights_are_refused(tmp_path):
    folder = written(tmp_path / "m")
    whole = load_file(folder / WEIGHTS)
    save_file({**whole, "model.norm.weight": torch.zeros(BASE["width"], dtype=torch.int8)}, folder / WEIGHTS)
    with pytest.raises(ValueError, match=r"model\.norm\.weight is torch\.int8; quantised weights"):
        load_folder(folder)


def test_a_tokenizer_without_an_end_is_refused(tmp_path):
    folder = written(tmp_path / "m")
    (folder / CONFIG).unlink()
    for name in (SETTINGS, "generation_config.json"):
        edit(folder / name, eos_token_id="gone")
    content = json.loads((folder / FILE).read_text())
    content["model"]["vocab"] |= {"more": 23}  # so that it is not one of ours
    (folder / FILE).write_text(json.dumps(content))
    edit(folder / SETTINGS, vocab_size=24)
    with pytest.raises(ValueError, match="the tokenizer has no token that ends a text"):
        load_folder(folder)


def test_nothing_is_saved_over_other_files(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"holds other files \(notes\.txt\)"):
        save_folder(tmp_path, small(), TOKENS)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_model_of_no_family_is_not_saved(tmp_path):
    with pytest.raises(ValueError, match="qkv_bias and qk_norm together"):
        save_folder(tmp_path / "m", small("qwen3", qkv_bias=True), TOKENS)
    assert not (tmp_path / "m").exists()


def test_a_disk_that_is_full_leaves_the_old_folder(tmp_path, monkeypatch):
    folder = written(tmp_path / "m", small(seed=1))

    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr("llm_rl.folder.save_file", full)
    with pytest.raises(OSError, match="no space"):
        written(tmp_path / "m", small(seed=2))
    assert torch.equal(load_folder(folder)[0].norm.weight, small(seed=1).norm.weight)
    assert [path.name for path in tmp_path.iterdir()] == ["m"]
