"""LoRA: the mathematics against plain matrices, what is frozen, runs that learn by it, what they export."""

import json
import shutil
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import envs
import move37
from agents.options import OptionError
from envs.rng import from_seeds
from llm_rl.decoder import PackedDecoder, TorchDecoder, make_decoder
from llm_rl.folder import SETTINGS, load_folder, places, save_folder
from llm_rl.folder import WEIGHTS as MODEL
from llm_rl.lora import CONFIG, WEIGHTS, LoraOptions, adapters, attach, fingerprint, merged, save_adapters
from llm_rl.model import LanguageModel, ModelOptions
from llm_rl.policy import PRINTABLE, LanguagePolicy
from llm_rl.tokenizer import CharTokenizer
from move37.checkpoint import CheckpointFolder
from move37.errors import UserError
from rollouts.build import build_agent
from rollouts.sampler import Sampler
from tests.llm_rl.small_models import FAMILIES, logits_of, packed, sequences, small, written_out
from tests.move37.runs import plain
from tests.move37.test_resume import same

torch.set_num_threads(1)

TOKENS = CharTokenizer(envs.make("text/Addition-v0", 1).single_observation_space.alphabet + PRINTABLE)
SHAPE = {"layers": 2, "width": 32, "hidden": 48, "heads": 4, "context": 96, "vocab": TOKENS.size}
SOME = [{}, {"targets": ["q", "v"], "rank": 3, "alpha": 1.5}, {"targets": ["k", "o", "down"], "rank": 40}]
"""All products; parts of one; a rank beyond that of the matrices."""
THEIRS = {"q": "self_attn", "k": "self_attn", "v": "self_attn", "o": "self_attn"}


def adapted(family="llama", seed=3, **options):
    """A small model whose adapters do something, and its own copy before it had any."""
    model, before = small(family), small(family)
    attach(model, LoraOptions(**options))
    stir(model, seed)
    return model, before


def stir(model, seed=3):
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn(weight.shape, generator=rng))


def by_hand(model, before, options):
    """`before` with `alpha / rank · B·A` on its matrices, named as Hugging Face does; float64."""
    before.double()
    matrices, found = places(before), dict(adapters(model))
    for name, a in found.items():
        if name.endswith(".lora_A.weight"):
            b = found[name.replace("lora_A", "lora_B")]
            place = name.removeprefix("base_model.model.").replace("lora_A.", "")
            scale = options.get("alpha", 32.0) / options.get("rank", 16)
            matrices[place] += scale * b.detach().double() @ a.detach().double()
    return before


def loss_of(model, batch):
    return -model.log_probs(batch)[0].mean()


def scored(lengths=(9, 14, 5)):
    rows = sequences(lengths)
    wrote = np.zeros((len(rows), max(lengths)), bool)
    for row, length in zip(wrote, lengths):
        row[2:length] = True
    return packed(rows, wrote)


# -- the mathematics ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_it_begins_as_the_model_that_it_adapts_to_the_last_bit(family):
    model, (row,) = small(family), sequences([20])
    expected = logits_of(model, row)
    attach(model, LoraOptions())
    np.testing.assert_array_equal(logits_of(model, row), expected)
    np.testing.assert_array_equal(logits_of(merged(model), row), expected)


@pytest.mark.parametrize("options", SOME)
@pytest.mark.parametrize("family", FAMILIES)
def test_it_is_the_model_with_the_products_added_to_its_matrices(family, options):
    model, before = adapted(family, **options)
    (row,) = sequences([20])
    was = logits_of(before, row)
    whole = by_hand(model, before, options)
    expected = logits_of(whole, row)
    assert np.abs(expected - was).max() > 0.05
    np.testing.assert_allclose(logits_of(model.double(), row), expected, atol=1e-12)
    np.testing.assert_allclose(logits_of(merged(model), row), expected, atol=1e-12)
    np.testing.assert_allclose(expected, written_out(whole, row), atol=1e-6)  # angles are of 32 bits


@pytest.mark.parametrize("options", SOME)
def test_its_gradient_is_that_of_the_whole_matrices_seen_through_the_other_factor(options):
    """Of L(W + s·B·A): dL/dB = s · dL/dW · Aᵀ, and dL/dA = s · Bᵀ · dL/dW."""
    model, before = adapted("qwen3", **options)
    whole, batch = by_hand(model, before, options), scored()
    loss_of(model.double(), batch).backward()
    for weight in whole.parameters():
        weight.grad = None
    loss_of(whole, batch).backward()
    for weight in whole.parameters():
        weight.data = weight.grad  # so that `places` gives the gradients by name
    gradients = places(whole)
    scale = options.get("alpha", 32.0) / options.get("rank", 16)
    found = dict(adapters(model))
    assert len(found) == 2 * 2 * len(options.get("targets", "qkvogud"))
    for name in found:
        if name.endswith(".lora_A.weight"):
            a, b = found[name], found[name.replace("lora_A", "lora_B")]
            full = gradients[name.removeprefix("base_model.model.").replace("lora_A.", "")]
            torch.testing.assert_close(a.grad, scale * b.T @ full, atol=1e-12, rtol=1e-9)
            torch.testing.assert_close(b.grad, scale * full @ a.T, atol=1e-12, rtol=1e-9)
            assert b.grad.abs().max() > 1e-6


def test_a_gradient_step_leaves_all_but_the_adapters_as_it_was():
    model, _ = adapted("qwen2")
    held = {name: x.clone() for name, x in model.named_buffers()}
    assert {name.rpartition(".")[2] for name, _ in model.named_parameters()} == {"a", "b"}
    optimiser = torch.optim.AdamW(model.parameters(), 1e-2)
    before = loss_of(model, scored())
    before.backward()
    optimiser.step()
    assert loss_of(model, scored()) < before
    assert all(x.grad is None for x in model.buffers())
    for name, x in model.named_buffers():
        assert torch.equal(x, held[name]), name
    assert set(model.state_dict()) == {name for name, _ in model.named_parameters()} | {"base"}


@pytest.mark.parametrize("family", FAMILIES)
def test_activations_that_are_computed_once_more_give_the_same_gradient(family):
    kept, again = adapted(family)[0], adapted(family)[0]
    again.recompute = True
    held = []
    for model in (kept, again):
        with saved_bytes() as saved:
            loss = loss_of(model, scored())
        loss.backward()
        held.append(sum(saved))
    for a, b in zip(kept.parameters(), again.parameters()):
        assert torch.equal(a.grad, b.grad)
    assert held[1] < 0.5 * held[0]


@contextmanager
def saved_bytes():
    """Appends the size of each tensor that is kept for a gradient, weights and views once each."""
    sizes, seen = [], set()

    def pack(x):
        key = x.untyped_storage().data_ptr()
        if key not in seen:
            seen.add(key)
            sizes.append(x.untyped_storage().nbytes())
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        yield sizes


@pytest.mark.parametrize("family", FAMILIES)
def test_what_generates_has_its_matrices(family):
    """The packed decoder of CPUs, and the one of all other devices."""
    model, _ = adapted(family)
    prompts = sequences([7, 11])
    expected = [logits_of(model, row)[-1] for row in prompts]
    made = make_decoder(model)
    assert isinstance(made, PackedDecoder)
    for decoder in (made, TorchDecoder(merged(model), torch.device("cpu"), torch.float32)):
        state = decoder.start(prompts, np.arange(2), 4)
        np.testing.assert_allclose(state.logits.numpy(), expected, atol=1e-5)


def test_matrices_lie_in_bfloat16_where_they_lose_nothing_by_it():
    model = small("llama")
    with torch.no_grad():
        model.blocks[0].gate.weight.copy_(model.blocks[0].gate.weight.bfloat16())
    plain_, batch = small("llama"), scored()
    plain_.load_state_dict(model.state_dict())
    for each, halve in ((model, True), (plain_, False)):
        attach(each, LoraOptions(), halve=halve)
        stir(each)
    assert model.blocks[0].gate.weight.dtype == torch.bfloat16
    assert model.blocks[0].up.weight.dtype == torch.float32
    with torch.autocast("cpu", torch.bfloat16):
        told = [each.log_probs(batch)[0] for each in (model, plain_)]
    assert torch.equal(*told)
    for a, b in zip(merged(model).parameters(), merged(plain_).parameters()):
        assert torch.equal(a, b)


# -- policies ----------------------------------------------------------------------------------------------


def folder_of(tmp_path, family="llama", seed=0, name="base"):
    made = LanguageModel(ModelOptions(**{**SHAPE, **FAMILIES[family], "context": 96}), seed=seed)
    save_folder(tmp_path / name, made, TOKENS)
    return str(tmp_path / name)


def policy_of(folder, seed=0, lora=True, **options):
    env = envs.make("text/Addition-v0", 4, level=1)
    spaces = env.single_observation_space, env.single_action_space
    model = {"folder": folder, **({} if lora is None else {"lora": lora})}
    return LanguagePolicy(*spaces, seed=seed, **{"model": model, "max_new": 8, **options})


@pytest.mark.parametrize("family", FAMILIES)
def test_what_was_drawn_is_what_the_learner_finds(family, tmp_path):
    policy = policy_of(folder_of(tmp_path, family), temperature=0.9)
    stir(policy.network)
    policy.refresh()
    env = envs.make("text/Addition-v0", 8, level=1)
    rollout = Sampler(env, seed=3).collect(policy, episodes=16, group_size=4)
    found = policy.sequences(rollout)
    with torch.no_grad():
        log_prob = policy.score(rollout, found).log_prob
    np.testing.assert_allclose(log_prob.numpy(), found.old_log_prob[found.mask], atol=1e-5)


def test_only_adapters_travel_and_a_worker_opens_the_folder_itself(tmp_path):
    policy = policy_of(folder_of(tmp_path), seed=4, lora={"rank": 2, "targets": ["q", "down"]})
    stir(policy.network)
    policy.refresh()
    sizes = {name: x.shape for name, x in policy.weights().items()}
    assert sizes.pop("base") == (32,)
    per_block = {(2, 32), (32, 2), (2, 48)}
    assert set(sizes.values()) == per_block
    assert len(sizes) == 2 * 4
    env = envs.make("text/Addition-v0", 1, level=1)
    twin = build_agent(policy.spec(), env.single_observation_space, env.single_action_space)
    twin.load_weights(policy.weights())
    ask = [{"rng": from_seeds([1, 2]), "first": np.ones(2, bool)} for _ in range(2)]
    said = policy.act(("1+2=", "3+3="), **ask[0])
    assert said.actions == twin.act(("1+2=", "3+3="), **ask[1]).actions
    assert json.loads(json.dumps(policy.spec())) == policy.spec()


def test_adapters_of_another_folder_are_refused(tmp_path):
    first, second = folder_of(tmp_path), folder_of(tmp_path, seed=1, name="other")
    policy, other = policy_of(first), policy_of(second)
    with pytest.raises(
        ValueError, match=rf"{second}: holds another model than .* \(its fingerprint is"
    ) as told:
        other.load_weights(policy.weights())
    assert "\n" not in str(told.value)
    with pytest.raises(ValueError, match=r"adapters \(LoRA\) alone, .*`move37 export`"):
        policy_of(first, lora=None).load_weights(policy.weights())
    with pytest.raises(ValueError, match=r"a whole model's, and model\.lora learns adapters"):
        policy.load_weights(policy_of(first, lora=None).weights())
    with pytest.raises(ValueError, match=r"\.a is \(16, 32\), not \(2, 32\)"):
        policy_of(first, lora={"rank": 2}).load_weights(policy.weights())


def test_a_fingerprint_is_of_the_model_and_not_of_its_files(tmp_path):
    folder = folder_of(tmp_path)
    model = load_folder(folder)[0]
    before, changed = fingerprint(model), load_folder(folder)[0]
    path = tmp_path / "base" / SETTINGS
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"max_position_embeddings": 77, "note": "moved"}, indent=1))
    np.testing.assert_array_equal(fingerprint(load_folder(folder)[0]), before)
    path.write_text(json.dumps(config | {"rms_norm_eps": 1e-3}))
    assert (fingerprint(load_folder(folder)[0]) != before).any()
    with torch.no_grad():
        changed.blocks[1].up.weight.mul_(1.01)
    assert (fingerprint(changed) != before).any()


@pytest.mark.parametrize(
    ("model", "option", "said"),
    [
        ({"lora": True}, "model.lora", r"model\.lora learns beside a model that is there: name its folder"),
        ({"folder": "", "lora": {"rank": 0}}, "model.lora.rank", r"model\.lora\.rank must be .* not 0"),
        ({"folder": "", "lora": {"r": 8}}, "model.lora.r", r"model\.lora has no 'r'; .*rank"),
        ({"folder": "", "lora": {"targets": []}}, "model.lora.targets", "at least 1 item"),
        (
            {"folder": "", "lora": {"targets": ["qkv"]}},
            "model.lora.targets",
            "must be 'q', 'k', .* not 'qkv'",
        ),
        ({"folder": "", "lora": {"alpha": -1.0}}, "model.lora.alpha", "must be greater than 0"),
    ],
)
def test_options_that_do_not_fit_are_named(model, option, said, tmp_path):
    if "folder" in model:
        model["folder"] = folder_of(tmp_path)
    env = envs.make("text/Addition-v0", 1)
    with pytest.raises(OptionError, match=said) as told:
        LanguagePolicy(env.single_observation_space, env.single_action_space, model=model)
    assert told.value.option == option


# -- runs --------------------------------------------------------------------------------------------------

COMMON = {"seed": 3, "device": "cpu", "threads": 1, "log": {"every": 0}}
WORTH = "tests.llm_rl.test_resume_text:worth"


def sft(folder, **model):
    return COMMON | {
        "env": {"id": "text/Addition-v0", "n": 8, "level": 1},
        "agent": {
            "kind": "imitation",
            "student": {
                "kind": "language",
                "model": {"folder": folder, "lora": {"rank": 4}, **model},
                "max_new": 8,
            },
            "expert": {"kind": "solver", "strategies": {"direct": 1.0}},
            "episodes": 16,
            "batch_size": 8,
            "lr": 1e-2,
            "warmup": 1,
        },
        "budget": {"env_steps": 16 * 4},
        "checkpoint": {"every": 32},
    }


def grpo(folder, **changes):
    return COMMON | {
        "env": {"id": "text/Addition-v0", "n": 8, "level": 1},
        "agent": {
            "kind": "grpo",
            "model": {"folder": folder, "lora": {"rank": 4}},
            "max_new": 8,
            "problems": 2,
            "group_size": 4,
            "kl": {"coef": 0.01},
            "lr": 1e-2,
            "warmup": 1,
            **changes,
        },
        "reward": {WORTH: 0.1},
        "budget": {"env_steps": 8 * 4},
        "checkpoint": {"every": 16},
    }


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return folder_of(tmp_path_factory.mktemp("folders"), "qwen2")


@pytest.fixture(scope="module")
def first(base, tmp_path_factory):
    """A run of imitation that learned by adapters."""
    return move37.train(sft(base), out=tmp_path_factory.mktemp("runs") / "sft")


@pytest.fixture(scope="module")
def second(base, first, tmp_path_factory):
    """A run of trial that goes on from there."""
    config = grpo(base) | {"init": str(first.path)}
    return move37.train(config, out=tmp_path_factory.mktemp("runs") / "grpo")


def test_imitation_learns_by_adapters_alone(first, base):
    losses = [line["loss"] for line in first.metrics()]
    assert losses[-1] < losses[0] - 0.2
    state = CheckpointFolder(first.path).load()["learner"]
    assert all(name == "base" or name.endswith((".a", ".b")) for name in state["student"])
    assert len(state["optimiser"]) == len(state["student"]) - 1 == 2 * 7 * 2
    saved = sum(x.stat().st_size for x in (first.path / "checkpoints" / "last").rglob("*.safetensors"))
    numbers = sum(x.size for name, x in first.agent.weights().items() if name != "base")
    assert saved < 4 * 4 * numbers + 32_000  # weights twice and two moments, and their names
    assert first.agent.choice.folder == base


def test_trial_goes_on_from_adapters(first, second):
    lines = second.metrics()
    assert lines[0]["ratio_mean"] == pytest.approx(1, abs=1e-5)
    assert lines[0]["ratio_max"] == pytest.approx(1, abs=1e-5)
    assert lines[0]["kl"] == pytest.approx(0, abs=1e-9)  # its reference is what it began with
    assert lines[-1]["kl"] > 1e-6
    reference = CheckpointFolder(second.path).load()["learner"]["reference"]
    same(reference, first.agent.weights())
    assert any((second.agent.weights()[name] != x).any() for name, x in reference.items())


@pytest.mark.parametrize("name", ["first", "second"])
def test_a_run_resumes_exactly(name, request, tmp_path):
    straight = request.getfixturevalue(name)
    shutil.copytree(straight.path, tmp_path / "run", symlinks=True)
    again = CheckpointFolder(tmp_path / "run")
    *_, older, newest = again.whole()
    shutil.rmtree(again.folder / newest)
    (again.folder / "last").unlink()
    assert int(older) < int(newest)
    resumed = move37.resume(tmp_path / "run", trust=True)
    assert plain(resumed.metrics()) == plain(straight.metrics())
    states = [CheckpointFolder(run.path).load() for run in (straight, resumed)]
    for state in states:
        state.pop("seconds")
    same(*states)


def test_a_run_does_not_go_on_beside_another_model(first, base, tmp_path):
    run, folder = tmp_path / "run", tmp_path / "base"
    shutil.copytree(first.path, run, symlinks=True)
    folder_of(tmp_path, "qwen2", seed=9)
    there = [f"agent.student.model.folder={folder}"]
    with pytest.raises(UserError, match="holds another model than the one that the adapters") as told:
        move37.train(sft(str(folder)) | {"init": str(run)}, out=tmp_path / "new")
    assert "\n" not in str(told.value)
    (run / "config.yaml").write_text((run / "config.yaml").read_text().replace(base, str(folder)))
    with pytest.raises(UserError, match="holds another model than the one that the adapters"):
        move37.resume(run, trust=True, overrides=["budget.env_steps=96"])
    shutil.rmtree(folder)
    with pytest.raises(UserError, match=f"{folder}: there is no such folder"):
        move37.resume(run, trust=True, overrides=["budget.env_steps=96", *there])


@pytest.mark.parametrize("model", [{"checkpoint": True}, {"lora": {"rank": 4, "targets": ["q", "v"]}}])
def test_other_ways_learn_too(base, model, tmp_path):
    run = move37.train(sft(base, **model), ["budget.env_steps=32"], out=tmp_path / "run")
    losses = [line["loss"] for line in run.metrics()]
    assert losses[-1] < losses[0]


# -- out of here -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_merged_opens_in_transformers(family, tmp_path):
    from transformers import AutoModelForCausalLM

    model, before = adapted(family)
    alphabet = CharTokenizer("0123456789+=")
    save_folder(tmp_path / "merged", model, alphabet)
    (row,) = sequences([20])
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "merged").eval()
    with torch.no_grad():
        found = theirs(torch.from_numpy(row)[None]).logits[0].numpy()
    np.testing.assert_allclose(found, written_out(by_hand(model, before, {}), row), atol=1e-4)


def test_what_a_run_exports_says_what_it_says(second, tmp_path):
    second.export(tmp_path / "merged")
    again = policy_of(str(tmp_path / "merged"), lora=None)
    ask = {"first": np.ones(2, bool), "explore": False}
    texts = ("1+2=", "3+3=")
    said = [each.act(texts, rng=from_seeds([1, 2]), **ask).actions for each in (second.agent, again)]
    assert said[0] == said[1]
    assert "base" not in again.weights()


@pytest.mark.parametrize("options", SOME)
def test_adapters_lie_as_peft_has_them(options, tmp_path):
    """Read back by what its documentation says of the layout: B·A times lora_alpha / r beside each matrix."""
    model, before = adapted("qwen2", **options)
    save_folder(tmp_path / "base", before, CharTokenizer("0123456789+="))
    save_adapters(tmp_path / "adapters", model, LoraOptions(**options), tmp_path / "base")
    config = json.loads((tmp_path / "adapters" / CONFIG).read_text())
    found = load_file(tmp_path / "adapters" / WEIGHTS)
    matrices = load_file(tmp_path / "base" / MODEL)
    assert config["base_model_name_or_path"] == str(tmp_path / "base")
    assert (config["peft_type"], config["task_type"], config["bias"]) == ("LORA", "CAUSAL_LM", "none")
    touched = 0
    for name in matrices:
        layer = f"base_model.model.{name.removesuffix('.weight')}"
        if name.endswith(tuple(f"{module}.weight" for module in config["target_modules"])):
            a, b = found.pop(f"{layer}.lora_A.weight"), found.pop(f"{layer}.lora_B.weight")
            assert a.shape[0] == b.shape[1] == config["r"]
            matrices[name] += config["lora_alpha"] / config["r"] * b @ a
            touched += 1
    assert not found
    assert touched == 2 * len(config["target_modules"])
    save_file(matrices, tmp_path / "base" / MODEL)
    (row,) = sequences([20])
    whole = load_folder(tmp_path / "base")[0]
    np.testing.assert_allclose(logits_of(whole, row), logits_of(model, row), atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_adapters_open_in_peft(family, tmp_path):
    peft = pytest.importorskip("peft")
    from transformers import AutoModelForCausalLM

    model, before = adapted(family, rank=3, targets=["q", "v", "gate"])
    save_folder(tmp_path / "base", before, CharTokenizer("0123456789+="))
    options = LoraOptions(rank=3, targets=["q", "v", "gate"])
    save_adapters(tmp_path / "adapters", model, options, tmp_path / "base")
    theirs = peft.PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(tmp_path / "base"), tmp_path / "adapters"
    ).eval()
    (row,) = sequences([20])
    with torch.no_grad():
        found = theirs(torch.from_numpy(row)[None]).logits[0].numpy()
    np.testing.assert_allclose(found, logits_of(model, row), atol=1e-5)


def test_adapters_are_saved_over_nothing_else(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    model, _ = adapted()
    with pytest.raises(ValueError, match=r"holds other files \(notes\.txt\)"):
        save_adapters(tmp_path, model, LoraOptions(), "base")


def test_a_run_exports_its_adapters_from_the_shell(second, tmp_path, capsys):
    from move37.cli import main

    assert main(["export", str(second.path), str(tmp_path / "adapters"), "--adapters", "--trust"]) == 0
    assert "peft opens it" in capsys.readouterr().out
    found = load_file(tmp_path / "adapters" / WEIGHTS)
    wanted = dict(adapters(second.agent.network))
    assert found.keys() == wanted.keys()
    for name, x in wanted.items():
        assert torch.equal(found[name], x)


def test_a_run_without_adapters_has_none_to_export(base, tmp_path):
    run = move37.train(sft(base, lora=False), ["budget.env_steps=16"], out=tmp_path / "run")
    with pytest.raises(UserError, match=r"learned without adapters \(model\.lora\): leave --adapters out"):
        run.export(tmp_path / "adapters", adapters=True)
