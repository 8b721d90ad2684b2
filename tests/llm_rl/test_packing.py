"""Packed sequences of mixed lengths teach what padded rows do."""

import numpy as np
import pytest
import torch

from llm_rl.packing import ALIKE, pack
from tests.llm_rl.small_models import BASE, FAMILIES, small

LENGTHS = np.array([3, 40, 17, 2, 33, 34, 8, 21, 39, 5])


def batch(seed=0):
    rng = np.random.default_rng(seed)
    tokens = rng.integers(0, BASE["vocab"], (len(LENGTHS), LENGTHS.max()))
    place = np.arange(LENGTHS.max())
    return tokens, (place >= LENGTHS[:, None] // 2) & (place < LENGTHS[:, None])


def gradients(model, packs):
    """Of minus the sum of the log-probabilities of what is scored, over several packed batches."""
    model.double().zero_grad()
    for packed in packs:
        (-model.log_probs(packed)[0].sum()).backward()
    return [weight.grad for weight in model.parameters()]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_gradient_is_that_of_padded_rows_and_of_single_sequences(family):
    tokens, wrote = batch()
    rows = range(len(LENGTHS))
    whole = gradients(small(family), [pack(tokens, LENGTHS, wrote)])
    padded = gradients(small(family), [pack(tokens, np.full(len(LENGTHS), LENGTHS.max()), wrote)])
    each = (pack(tokens[i : i + 1], LENGTHS[i : i + 1], wrote[i : i + 1, : LENGTHS[i]]) for i in rows)
    alone = gradients(small(family), each)
    for a, b, c in zip(whole, padded, alone):
        assert a.abs().max() > 1e-3
        torch.testing.assert_close(a, b, atol=1e-9, rtol=1e-9)
        torch.testing.assert_close(a, c, atol=1e-9, rtol=1e-9)


def test_layers_see_each_token_once_and_attention_little_padding():
    tokens, wrote = batch()
    packed = pack(tokens, LENGTHS, wrote)
    assert len(packed.tokens) == LENGTHS.sum()
    seen = np.concatenate([sheet.shape[0] * [sheet.shape[1]] for sheet in packed.sheets])
    assert sorted(packed.home.tolist()) == sorted(set(packed.home.tolist()))
    np.testing.assert_array_less(sorted(seen), np.sort(LENGTHS) / ALIKE + 1e-9)
    assert len(packed.sheets) < len(LENGTHS)
