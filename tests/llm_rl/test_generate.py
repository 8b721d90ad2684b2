import itertools

import numpy as np
import pytest
import torch

import llm_rl.decoder as decoder_module
import llm_rl.generate as generate_module
from envs.rng import from_seeds, uniform
from llm_rl.decoder import PackedDecoder, TorchDecoder, room
from llm_rl.generate import Generator, Stop
from llm_rl.kernels import LOWEST, narrow, soften, widen
from llm_rl.model import LanguageModel, ModelOptions
from llm_rl.sampling import NOTHING, Sampling, choose, restricted
from llm_rl.tokenizer import CharTokenizer, FileTokenizer
from tests.llm_rl.small_models import BASE, FAMILIES, logits_of, packed, sequences, small

torch.set_num_threads(1)

TOKENS = CharTokenizer("0123456789+=")
assert TOKENS.size == BASE["vocab"]
LENGTHS = [5, 1, 9, 5, 3, 12, 5]


class Endless(CharTokenizer):
    """Nothing ends a completion."""

    ends = ()


def packed_decoder(model, one_dnn=True, dtype=torch.float32):
    with pytest.MonkeyPatch.context() as patch:
        if not one_dnn:
            patch.setattr(decoder_module, "one_dnn_takes", lambda dtype: False)
        return PackedDecoder(model, dtype)


DECODERS = {
    "packed": packed_decoder,
    "plain products": lambda model: packed_decoder(model, one_dnn=False),
    "torch": lambda model: TorchDecoder(model, torch.device("cpu"), torch.float32),
}


def fed(decoder, prompts, of, tails):
    """The logits `[rows, steps + 1, vocab]` of prompts that are continued by given tokens, step by step."""
    state = decoder.start(prompts, np.array(of), tails.shape[1])
    seen = [state.logits.numpy().copy()]
    for column in tails.T:
        state.step(torch.from_numpy(column.copy()))
        seen.append(state.logits.numpy().copy())
    return np.stack(seen, 1)


def uncached(model, prompt, tail):
    return logits_of(model, np.concatenate([prompt, tail]))[len(prompt) - 1 :]


# -- keys and values that are kept -------------------------------------------------------------------------


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("family", FAMILIES)
def test_cached_and_uncached_logits_agree(family, decoder, monkeypatch):
    """Prompts of mixed length, some shared; the cache grows, and prompts are read in several goes."""
    monkeypatch.setattr(decoder_module, "FIRST_ROOM", 2)
    monkeypatch.setattr(decoder_module, "PREFILL", 10)
    model, prompts = small(family), sequences(LENGTHS)
    of = [3, 0, 1, 2, 3, 4, 5, 6, 3, 5, 1]
    tails = np.stack(sequences([9] * len(of), seed=1))
    given = fed(DECODERS[decoder](model), prompts, of, tails)
    expected = np.stack([uncached(model, prompts[p], tail) for p, tail in zip(of, tails)])
    assert expected.std() > 0.3
    np.testing.assert_allclose(given, expected, atol=1e-5)


@pytest.mark.parametrize("decoder", DECODERS)
def test_rows_that_are_kept_go_on_alike(decoder, monkeypatch):
    monkeypatch.setattr(decoder_module, "FIRST_ROOM", 3)
    model, prompts = small("qwen3"), sequences([4, 7])
    of, tails = np.array([0, 1, 0, 1, 0, 0]), np.stack(sequences([8] * 6, seed=1))
    state, rows = DECODERS[decoder](model).start(prompts, of, 8), np.arange(6)
    for t in range(8):
        if t in (2, 5):
            kept = np.array([4, 1, 3, 0] if t == 2 else [2, 0])
            state.keep(kept)
            rows = rows[kept]
        state.step(torch.from_numpy(tails[rows, t]))
        for row, logits in zip(rows, state.logits):
            expected = uncached(model, prompts[of[row]], tails[row, : t + 1])[-1]
            np.testing.assert_allclose(logits, expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["packed", "torch"])
@pytest.mark.parametrize("family", ["ours", "qwen2", "qwen3"])
def test_in_bfloat16_logits_are_near(family, kind):
    model, prompts, of = small(family), sequences([6, 3]), [0, 1, 1]
    tails = np.stack(sequences([20] * 3, seed=1))
    made = (
        packed_decoder(model, dtype=torch.bfloat16)
        if kind == "packed"
        else TorchDecoder(model, torch.device("cpu"), torch.bfloat16)
    )
    error = fed(made, prompts, of, tails) - fed(packed_decoder(model), prompts, of, tails)
    assert 1e-4 < np.abs(error).max() < 0.15
    assert error.std() < 0.03


def test_a_decoder_is_a_copy():
    model, prompts, tails = small(), sequences([4]), np.stack(sequences([3]))
    for make in DECODERS.values():
        made = make(model)
        before = fed(made, prompts, [0], tails)
        with torch.no_grad():
            for weight in model.parameters():
                weight.mul_(0.9)
        np.testing.assert_array_equal(fed(made, prompts, [0], tails), before)
        assert np.abs(fed(make(model), prompts, [0], tails) - before).max() > 0.01


def test_batch_sizes_are_few_and_none_is_much_too_large():
    sizes = [room(n) for n in range(1, 513)]
    assert all(n <= size <= max(n + 0.25 * n, 1) for n, size in enumerate(sizes, 1))
    assert len(set(sizes)) <= 32
    assert sizes == sorted(sizes)


# -- kernels -----------------------------------------------------------------------------------------------


def test_exponentials_are_exact_to_float32():
    scores = np.concatenate([np.linspace(-90, 0, 5001), [-1e4, LOWEST, 0.0]]).astype(np.float32) + np.float32(
        2
    )
    given = scores.copy()
    total = soften(given, len(given), np.float32(2))
    expected = np.exp(scores.astype(np.float64) - 2)
    np.testing.assert_allclose(given, expected, rtol=5e-6, atol=1e-37)
    assert total == pytest.approx(expected.sum(), rel=1e-5)


def test_bfloat16_is_rounded_as_torch_rounds():
    from envs.kernels import kernel

    @kernel
    def through(x, bits, back):
        for i in range(len(x)):
            bits[i] = narrow(x[i], bits)
            back[i] = widen(bits[i])

    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(size=1000) * 10.0 ** rng.integers(-30, 30, 1000), [0.0, -0.0, 1.00390625]])
    x = x.astype(np.float32)
    bits, back = np.zeros(len(x), np.uint16), np.zeros(len(x), np.float32)
    through(x, bits, back)
    expected = torch.from_numpy(x).bfloat16()
    np.testing.assert_array_equal(bits, expected.view(torch.uint16).numpy())
    np.testing.assert_array_equal(back, expected.float().numpy())


# -- completions -------------------------------------------------------------------------------------------


def complete(model, prompts, sampling, seeds=None, tokenizer=TOKENS, **options):
    rng = from_seeds(range(len(prompts)) if seeds is None else seeds)
    return Generator(model, tokenizer, **options)(prompts, rng, sampling)


def by_hand(model, prompt, seed, sampling, ends=(2,)):
    """Token by token, without any cache."""
    rng, row, said = from_seeds([seed]), list(prompt), []
    while len(said) < min(sampling.max_new, model.options.context - len(prompt)):
        logits = restricted(torch.from_numpy(logits_of(model, np.array(row))[-1:]), sampling)[0].double()
        if sampling.greedy:
            token = int(logits.argmax())
        else:
            below = logits.softmax(-1).cumsum(-1).numpy()
            token = int((below <= uniform(rng)[0]).sum())
        row.append(token)
        said.append(token)
        if token in ends:
            return said, True, rng
    return said, False, rng


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(max_new=20),
        Sampling(max_new=20, temperature=0.6, top_k=9, top_p=0.9),
        Sampling(max_new=20, greedy=True),
    ],
    ids=["plain", "restricted", "greedy"],
)
def test_completions_are_those_written_without_cache_and_batch(sampling):
    model, prompts = small("qwen3"), sequences([4, 9, 4, 1, 6] * 3)
    rng = from_seeds(range(15))
    made = Generator(model, TOKENS)(prompts, rng, sampling)
    ended = []
    for i, prompt in enumerate(prompts):
        said, over, after = by_hand(model, prompt, i, sampling)
        assert made.tokens[i, : made.lengths[i]].tolist() == said
        assert (made.tokens[i, made.lengths[i] :] == 0).all()
        assert made.ended[i] == over
        assert rng[i] == after[0]  # a number a token was drawn, and none where the choice is greedy
        ended.append(over)
    assert 0 < sum(ended) < len(ended) or sampling.greedy


@pytest.mark.parametrize("sampling", [Sampling(max_new=25), Sampling(max_new=25, temperature=1.5, top_p=0.7)])
def test_log_probs_are_those_that_a_learner_finds(sampling):
    """Rows end at different times, so what is kept of them moves; groups share their prompts."""
    model, prompts = small("llama"), [p for p in sequences([4, 9, 2]) for _ in range(12)]
    made = complete(model, prompts, sampling)
    assert len(set(made.lengths)) > 5
    rows = [np.concatenate([p, t[:k]]) for p, t, k in zip(prompts, made.tokens, made.lengths)]
    longest = max(map(len, rows))
    wrote = np.array([[len(p) <= t < len(row) for t in range(longest)] for p, row in zip(prompts, rows)])
    with torch.no_grad():
        scored = model.log_probs(packed(rows, wrote, np.repeat([0, 1, 2], 12)), sampling)[0]
    np.testing.assert_allclose(made.log_probs[made.mask], scored, atol=1e-5)
    assert (made.log_probs[~made.mask] == 0).all()


@pytest.mark.parametrize("threads", [1, 2])
def test_a_row_does_not_depend_on_its_neighbours(threads, monkeypatch):
    """Alone, in a batch, in another order, shared out among threads, or with others' rows gone: the same."""
    model, prompts = small(), sequences([3, 8, 3, 5] * 10)
    prompts[7] = prompts[3]
    sampling, seeds = Sampling(max_new=12), np.arange(40) + 100
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        whole = complete(model, prompts, sampling, seeds)
        monkeypatch.setattr(generate_module, "ROWS", 7)
        pieces = complete(model, prompts, sampling, seeds)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    order = np.random.default_rng(0).permutation(40)
    mixed = complete(model, [prompts[i] for i in order], sampling, seeds[order])
    assert len(set(whole.lengths)) > 3
    for i in range(40):
        alone = complete(model, [prompts[i]], sampling, seeds[i : i + 1])
        place, k = int(np.flatnonzero(order == i)[0]), whole.lengths[i]
        for other, row in ((alone, 0), (pieces, i), (mixed, place)):
            assert other.lengths[row] == k
            assert other.ended[row] == whole.ended[i]
            np.testing.assert_array_equal(other.tokens[row, :k], whole.tokens[i, :k])
            np.testing.assert_allclose(other.log_probs[row, :k], whole.log_probs[i, :k], atol=1e-5)


def test_finished_rows_leave_the_batch(monkeypatch):
    model, sizes = small(), []
    step = decoder_module.PackedState.step
    monkeypatch.setattr(
        decoder_module.PackedState,
        "step",
        lambda self, tokens: (sizes.append(len(tokens)), step(self, tokens)),
    )
    made = complete(model, sequences([4] * 32), Sampling(max_new=50))
    alive = [int((made.lengths > t).sum()) for t in range(1, made.lengths.max())]
    assert alive[0] > 1.5 * alive[-1]
    assert len(sizes) == len(alive)
    assert all(a <= size <= room(a) for a, size in zip(alive, sizes))


def test_a_group_reads_its_prompt_once(monkeypatch):
    model, read = small(), []
    attend = decoder_module.attend
    monkeypatch.setattr(decoder_module, "attend", lambda *a: (read.append(len(a[4])), attend(*a)))
    complete(model, [sequences([9])[0]] * 12, Sampling(max_new=3), tokenizer=Endless("0123456789+="))
    assert read == [9, 9, 12, 12, 12, 12]  # a layer each; and the last tokens are not read


def test_samples_have_the_distribution_of_the_model():
    model, n = small(), 4000
    prompts = [np.array([5, 3, 7])] * n
    for sampling in (Sampling(max_new=2), Sampling(max_new=2, temperature=0.8, top_k=6)):
        made = complete(model, prompts, sampling, tokenizer=Endless("0123456789+="))
        first = restricted(torch.from_numpy(logits_of(model, prompts[0])[-1]), sampling).softmax(-1).numpy()
        seen = np.bincount(made.tokens[:, 0], minlength=BASE["vocab"])
        assert (seen[first == 0] == 0).all()
        kept = first > 0
        statistic = ((seen - n * first)[kept] ** 2 / (n * first)[kept]).sum()
        assert statistic < kept.sum() - 1 + 5 * np.sqrt(2 * kept.sum())
        likeliest = int(first.argmax())
        after = logits_of(model, np.append(prompts[0], likeliest))[-1]
        second = restricted(torch.from_numpy(after), sampling).softmax(-1).numpy()
        followed = made.tokens[made.tokens[:, 0] == likeliest, 1]
        share = np.bincount(followed, minlength=BASE["vocab"]) / len(followed)
        assert np.abs(share - second).max() < 4 * np.sqrt(0.25 / len(followed))


def test_a_temperature_near_zero_is_greedy():
    model, prompts = small(), sequences([3, 6, 4])
    cold = complete(model, prompts, Sampling(max_new=10, temperature=1e-3))
    greedy = complete(model, prompts, Sampling(max_new=10, greedy=True))
    np.testing.assert_array_equal(cold.tokens, greedy.tokens)


# -- ends --------------------------------------------------------------------------------------------------


def says(*tokens, vocab=BASE["vocab"]):
    """A model that goes on from the k-th of `tokens` to the next one, whatever stood before."""
    options = ModelOptions(vocab=vocab, layers=1, width=vocab + vocab % 2, hidden=2, heads=1, tied=False)
    model = LanguageModel(options)
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
        model.norm.weight.fill_(1.0)
        model.embed.weight[torch.arange(vocab), torch.arange(vocab)] = 1.0
        for a, b in itertools.pairwise(tokens):
            model.head.weight[b, a] = 20.0
    return model


def test_the_end_token_is_part_of_the_completion():
    a, b, c = TOKENS.encode("123")
    made = complete(says(a, b, c, TOKENS.eos, a), [np.array([a])], Sampling(max_new=9))
    assert made.tokens.tolist() == [[b, c, TOKENS.eos]]
    assert made.ended.all()
    assert TOKENS.decode_batch(made.tokens, made.lengths) == ["23"]


def test_a_completion_that_is_cut_is_not_ended():
    a, b, c = TOKENS.encode("123")
    made = complete(says(a, b, c, a), [np.array([a]), np.array([b, b])], Sampling(max_new=4))
    assert TOKENS.decode_batch(made.tokens, made.lengths) == ["2312", "3123"]
    assert not made.ended.any()
    short = complete(says(a, b, c, a), [np.full(1022, a), np.array([a])], Sampling(max_new=4))
    assert short.lengths.tolist() == [2, 4]  # of a context of 1,024
    assert not short.ended.any()


@pytest.mark.parametrize(
    ("stop", "said"),
    [
        (["</answer>"], "3</answer>"),
        (["12"], "3</answer>12"),
        (["=3"], "3</answer>12+=3"),  # the = of the prompt does not count
        (["=3</answer>"], "3</answer>12+=3</answer>"),
        (["4", "1=", "2+"], "3</answer>12+"),
        (["21", "3</answer>1+"], None),
        (["=3</answer>12+=3"], None),
        ([], None),
    ],
)
def test_a_stop_text_ends_a_completion_where_it_is_whole(stop, said):
    cycle = TOKENS.encode("=3</answer>12+=")
    for n in (1, 5):
        made = complete(says(*cycle), [cycle[:1]] * n, Sampling(max_new=12, stop=stop))
        texts = TOKENS.decode_batch(made.tokens, made.lengths)
        assert texts == [said or "3</answer>12+=" * 2] * n
        assert (made.ended == (said is not None)).all()


def byte_pairs(folder):
    """A tokenizer of pieces of words and of bytes."""
    import tokenizers
    from tokenizers import decoders, models, pre_tokenizers, trainers

    made = tokenizers.Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=["<end>"], initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator(["the other there answers and answer: thé</answer>"] * 9, trainer)
    made.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text('{"eos_token": "<end>"}')
    return FileTokenizer(folder)


@pytest.mark.parametrize("stops", [["the"], ["é", "</answer>"], ["s and", "er:"], ["r\u00e9th"]])
def test_stop_texts_are_found_in_pieces_of_words(stops, tmp_path):
    tokenizer, rng = byte_pairs(tmp_path), np.random.default_rng(0)
    pieces = np.concatenate(
        [tokenizer.encode("the other answers and answer: thé</answer>"), tokenizer.encode("é")]
    )
    assert len(tokenizer.encode("</answer>!")) > 1
    stop, found = Stop(tokenizer, stops, tokenizer.size + 3), 0
    letters = tokenizer.encode_batch(list("theansr: ré<>/w"))
    pool = np.concatenate([pieces, *letters])
    for _ in range(300):
        row = rng.choice(pool, 12)
        if rng.random() < 0.5:
            at, text = rng.integers(0, 8), stops[rng.integers(len(stops))]
            spelt = np.concatenate(tokenizer.encode_batch(list(text)))
            row = np.concatenate([row[:at], spelt, row[at:]])
        ends = [any(s in tokenizer.decode(row[: t + 1]) for s in stops) for t in range(len(row))]
        first = ends.index(True) if any(ends) else len(row)
        for t in range(min(first + 1, len(row))):
            assert stop(row[None, : t + 1]).tolist() == [t == first]
        found += any(ends)
    assert 50 < found < 290


# -- sampling ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("temperature", "top_k", "top_p"),
    [(0.7, 5, 1.0), (1.3, 0, 0.8), (1.0, 12, 0.5), (2.0, 100, 0.01), (1.0, 1, 0.9), (1.0, 0, 1.0)],
)
def test_restricted_is_what_is_said_of_it(temperature, top_k, top_p):
    logits = torch.randn(60, 40, generator=torch.Generator().manual_seed(0)) * 3
    sampling = Sampling(temperature=temperature, top_k=top_k, top_p=top_p)
    for row, given in zip(logits.double().numpy(), restricted(logits, sampling).softmax(-1).numpy()):
        chances = np.exp(row / temperature)
        order = np.argsort(-chances)[: top_k or None].tolist()
        total, kept = sum(chances[i] for i in order), []
        while order and sum(chances[i] for i in kept) < top_p * total:
            kept.append(order.pop(0))
        expected = np.zeros(40)
        expected[kept] = chances[kept] / chances[kept].sum()
        np.testing.assert_allclose(given, expected, atol=1e-6)


def test_what_was_drawn_before_stays_possible():
    logits = torch.tensor([[3.0, 2.0, 1.0, 0.0]])
    sampling = Sampling(top_k=2)
    kept = restricted(logits, sampling, always=torch.tensor([3]))
    assert (kept != NOTHING).tolist() == [[True, True, False, True]]
    assert (restricted(logits, sampling) != NOTHING).tolist() == [[True, True, False, False]]


def test_the_ends_of_the_unit_interval_draw_possible_tokens():
    logits = torch.full((3, 5), NOTHING)
    logits[:, [1, 3]] = 0.0
    tokens, log_probs = choose(logits, Sampling(), torch.tensor([0.0, 0.5, 1 - 2**-53], dtype=torch.float64))
    assert tokens.tolist() == [1, 3, 3]
    np.testing.assert_allclose(log_probs, np.log(0.5), atol=1e-6)


# -- what is refused ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prompts", "words"),
    [
        ([], "no prompts"),
        ([[3, 4], []], "a prompt is empty"),
        ([[3] * 64], "a prompt of 64 tokens leaves no room to answer in the model's context of 64"),
        ([[3, 23]], "must be below 23"),
        ([[-1]], "must be below 23"),
    ],
)
def test_prompts_that_cannot_be_completed_are_refused(prompts, words):
    with pytest.raises(ValueError, match=words):
        complete(small(), [np.array(p, np.int64) for p in prompts], Sampling())


def test_a_tokenizer_with_more_tokens_than_the_model_is_refused():
    with pytest.raises(ValueError, match="the tokenizer has 23 tokens, and the model's vocabulary 20"):
        Generator(small(vocab=20), TOKENS)


def test_weights_that_are_no_numbers_are_told():
    model = small()
    with torch.no_grad():
        model.norm.weight[0] = torch.nan
    with pytest.raises(FloatingPointError, match="not finite"):
        complete(model, sequences([3, 4]), Sampling(max_new=4))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"temperature": 0.0}, "temperature must be greater than 0"),
        ({"top_p": 0.0}, "top_p"),
        ({"top_p": 1.5}, "top_p"),
        ({"top_k": -1}, "top_k"),
        ({"max_new": 0}, "max_new"),
        ({"stop": ("",)}, "stop"),
    ],
)
def test_sampling_that_means_nothing_is_refused(options, words):
    from agents.options import read

    with pytest.raises(ValueError, match=words):
        read(Sampling, options)
