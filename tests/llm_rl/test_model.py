import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import llm_rl.model as model_module
from agents.optim import make_adam
from llm_rl.model import SIZES, LanguageModel, ModelOptions, sized
from llm_rl.packing import pack, padded
from llm_rl.sampling import Sampling
from tests.llm_rl.small_models import BASE, FAMILIES, logits_of, packed, sequences, small, written_out

torch.set_num_threads(1)


def marks(rows, begin=1):
    """All tokens from place `begin` on are to be scored."""
    _, lengths = padded(rows)
    places = np.arange(lengths.max())
    return (places >= begin) & (places < lengths[:, None])


def gradients(model, loss):
    model.zero_grad()
    loss.backward()
    return torch.cat([p.grad.flatten() for p in model.parameters()]).numpy()


# -- the network -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_are_those_of_the_model_written_out(family):
    model, (row,) = small(family), sequences([11])
    expected = written_out(model, row)
    assert expected.std() > 0.3
    np.testing.assert_allclose(logits_of(model, row), expected, atol=2e-5)


def test_a_token_sees_those_before_it_and_no_others():
    model, (row,) = small(), sequences([12])
    before = logits_of(model, row)
    changed = row.copy()
    changed[7] = (row[7] + 1) % BASE["vocab"]
    after = logits_of(model, changed)
    np.testing.assert_array_equal(after[:7], before[:7])
    assert (np.abs(after[7:] - before[7:]).max(1) > 1e-3).all()


@pytest.mark.parametrize("size", SIZES)
def test_sizes_are_those_that_are_promised(size):
    model = LanguageModel(sized(size, 64))
    count = sum(p.numel() for p in model.parameters()) - 64 * model.options.width
    promised = {"XS": 0.1, "S": 0.8, "M": 2.7, "L": 10.6}[size]
    assert count / 1e6 == pytest.approx(promised, rel=0.05)
    assert model.options.width % model.options.heads == 0


def test_first_weights_come_from_the_seed_alone():
    torch.manual_seed(5)
    one = LanguageModel(ModelOptions(**BASE), seed=3)
    drawn = torch.rand(1)
    two, other = LanguageModel(ModelOptions(**BASE), seed=3), LanguageModel(ModelOptions(**BASE), seed=4)
    for a, b in zip(one.parameters(), two.parameters()):
        assert torch.equal(a, b)
    assert not torch.equal(one.embed.weight, other.embed.weight)
    torch.manual_seed(5)
    assert torch.equal(torch.rand(1), drawn)  # nothing was drawn from the generator that others use


@pytest.mark.parametrize("tied", [True, False])
def test_the_first_guess_is_near_uniform(tied):
    model = LanguageModel(sized("S", 64, tied=tied))
    logits = logits_of(model, np.arange(20))
    assert np.ptp(logits, axis=1).max() < 2.0


# -- packed batches ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("lengths", [[5], [3, 9, 1, 9, 4], [40, 3, 2, 1, 30, 19, 20], [7, 7, 7]])
def test_a_sequence_is_scored_the_same_in_any_batch(lengths):
    model, rows = small(), sequences(lengths)
    batch = packed(rows, marks(rows))
    assert len(batch.tokens) == sum(lengths)
    with torch.no_grad():
        together = model.log_probs(batch)[0].numpy()
    expected = [F.log_softmax(torch.from_numpy(logits_of(model, row)), -1)[:-1].numpy() for row in rows]
    alone = np.concatenate([log[np.arange(len(row) - 1), row[1:]] for log, row in zip(expected, rows)])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_sequences_of_very_different_lengths_do_not_pay_for_each_other():
    batch = packed(sequences([60] + [4] * 50))
    assert sum(sheet.numel() for sheet in batch.sheets) == 60 + 50 * 4


def test_a_group_reads_its_prompt_once_to_the_same_end_and_gradient():
    prompts, tails = sequences([9, 5], seed=1), sequences([4, 1, 6, 3, 0, 5], seed=2)
    of = [0, 1, 0, 1, 1, 0]
    rows = [np.concatenate([prompts[p], tail]) for p, tail in zip(of, tails)]
    wrote = marks(rows)
    for row, p in zip(wrote, of):
        row[: len(prompts[p])] = False
    group = np.array([7, 2, 7, 2, 2, 7])
    shared, apart = packed(rows, wrote, group), packed(rows, wrote)
    assert len(shared.tokens) <= 9 + 5 + sum(map(len, tails))
    assert len(apart.tokens) == sum(map(len, rows))
    model = small().double()
    weights = torch.linspace(-1, 2, int(wrote.sum()), dtype=torch.float64)
    results = [model.log_probs(batch)[0] for batch in (shared, apart)]
    np.testing.assert_array_equal(shared.targets, apart.targets)
    np.testing.assert_allclose(*(x.detach() for x in results), atol=1e-6)
    a, b = (gradients(model, (weights * x.double()).sum()) for x in results)
    assert np.abs(a).max() > 0.1
    np.testing.assert_allclose(a, b, atol=1e-5)


def test_only_tokens_of_one_group_are_shared():
    (row,) = sequences([8])
    rows = [row, row, row, row]
    assert len(packed(rows, group=np.array([1, 2, 1, 2])).tokens) == 16
    assert len(packed(rows, group=np.array([-1, -1, 3, 3])).tokens) == 24
    assert len(packed(rows, group=np.zeros(4, int)).tokens) == 8


def test_padding_means_nothing():
    rows = sequences([3, 7])
    tokens, lengths = padded(rows)
    strange = np.where(np.arange(10) < lengths[:, None], np.pad(tokens, [(0, 0), (0, 3)]), 99)
    for a, b in zip(vars(pack(strange, lengths)).values(), vars(pack(tokens, lengths)).values()):
        for x, y in zip(a, b):
            assert torch.equal(x, y)


def test_log_probabilities_of_a_model_made_by_hand():
    """Token i is followed by token i + 1 (of 3) with e^2 to 1 to 1; whatever stood before it."""
    model = LanguageModel(ModelOptions(vocab=3, layers=1, width=4, hidden=4, heads=1, tied=False))
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
        model.norm.weight.fill_(1.0)
        model.embed.weight[torch.arange(3), torch.arange(3)] = 1.0
        model.head.weight[(torch.arange(3) + 1) % 3, torch.arange(3)] = (
            1.0  # a stream of norm 1 becomes one of 2
        )
    rows = [np.array([0, 1, 2]), np.array([2, 1]), np.array([1, 2, 0, 2, 2])]
    right, wrong = (math.log(math.exp(x) / (math.exp(2) + 2)) for x in (2, 0))
    with torch.no_grad():
        log_probs, entropy = model.log_probs(packed(rows, marks(rows)))
        hot = model.log_probs(packed(rows, marks(rows)), Sampling(temperature=2.0))[0]
    expected = [right, right, wrong, right, right, wrong, wrong]
    np.testing.assert_allclose(log_probs, expected, atol=1e-5)
    assert entropy[0] == pytest.approx(-(math.exp(right) * right + 2 * math.exp(wrong) * wrong), abs=1e-5)
    assert hot[0] == pytest.approx(math.log(math.e / (math.e + 2)), abs=1e-5)


@pytest.mark.parametrize(
    ("lengths", "wrote", "words"),
    [
        ([3, 0], [[0, 0, 0], [0, 0, 0]], "sequence 1 is empty"),
        ([3, 2], [[1, 0, 0], [0, 0, 0]], "first token .* nothing predicts it"),
        ([3, 2], [[0, 1, 0], [0, 1, 1]], "past the end"),
    ],
)
def test_what_cannot_be_scored_is_refused(lengths, wrote, words):
    with pytest.raises(ValueError, match=words):
        pack(np.ones((2, 3), int), np.array(lengths), np.array(wrote, bool))


# -- scores ------------------------------------------------------------------------------------------------


def test_scores_are_of_the_distribution_that_is_drawn_from():
    model, rows = small(), sequences([9, 6])
    with torch.no_grad():
        log_probs, entropies = model.log_probs(
            packed(rows, marks(rows)), Sampling(temperature=0.7, top_k=4, top_p=0.8)
        )
    found = []
    for row in rows:
        for logits, target in zip(logits_of(model, row), row[1:]):
            chances = np.exp((logits - logits.max()) / 0.7)
            order = np.argsort(-chances)[:4]
            share = chances[order] / chances[order].sum()
            kept = order[: np.searchsorted(np.cumsum(share), 0.8) + 1].tolist()
            kept += [target] * (target not in kept)
            p = chances[kept] / chances[kept].sum()
            found.append((np.log(p[kept.index(target)]), -(p * np.log(p)).sum()))
    np.testing.assert_allclose(np.stack([log_probs, entropies], 1), found, atol=1e-4)


def test_a_large_vocabulary_is_scored_in_chunks_to_the_same_gradient(monkeypatch):
    model, rows = small().double(), sequences([9, 6, 12])
    batch, results = packed(rows, marks(rows)), []
    for at_once in (10**9, 5 * BASE["vocab"]):
        monkeypatch.setattr(model_module, "AT_ONCE", at_once)
        log_probs, entropies = model.log_probs(batch)
        results.append((log_probs.detach(), gradients(model, (log_probs + 0.1 * entropies).sum())))
    (a, da), (b, db) = results
    np.testing.assert_allclose(a, b, atol=1e-6)
    assert np.abs(da).max() > 0.1
    np.testing.assert_allclose(da, db, atol=1e-5)


def test_bfloat16_comes_near():
    model, rows = small("qwen3"), sequences([30, 20])
    batch = packed(rows, marks(rows))
    with torch.no_grad():
        exact = model.log_probs(batch)[0]
        with torch.autocast("cpu", torch.bfloat16):
            near = model.log_probs(batch)[0]
    assert near.dtype == torch.float32
    error = (near - exact).abs()
    assert 1e-5 < error.max() < 0.1


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_it_learns_to_copy(precision):
    """`abc=abc`: the second half needs attention to what stood there before."""
    model, rng = LanguageModel(sized("XS", 12)), np.random.default_rng(0)
    optimiser = make_adam(model, 5e-3, 1e-8)

    def batch(n):
        half = rng.integers(2, 12, (n, 3))
        tokens = np.concatenate([half, np.ones((n, 1), int), half], 1)
        wrote = np.broadcast_to(np.arange(7) >= 4, tokens.shape)
        return pack(tokens, np.full(n, 7), wrote)

    for _ in range(120):
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            loss = -model.log_probs(batch(32))[0].mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        right = model.log_probs(batch(200))[0].exp().reshape(200, 3).prod(1)
    assert right.mean() > 0.8


# -- options -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: sized("XL", 64), "size 'XL' is not known; .*L"),
        (lambda: sized("S", 64, widht=3), "widht"),
        (lambda: sized("S", 0), "vocab must be greater than or equal to 1, not 0"),
        (lambda: LanguageModel(sized("S", 64, kv_heads=3)), r"kv_heads \(3\) must divide heads \(4\)"),
        (lambda: LanguageModel(sized("S", 64, width=12)), "a head has 3 numbers .* must be even"),
        (lambda: sized("S", 64, head_dim=7), "head_dim"),
        (lambda: sized("S", 64, rope_scaling={"factor": 2.0}), "rope_scaling"),
    ],
)
def test_a_wrong_option_is_named(make, words):
    with pytest.raises(ValueError, match=words):
        make()
