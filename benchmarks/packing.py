"""Tokens learned from a second: sequences of mixed lengths, packed as here against padded batches.

4 layers × 256 (4.2 million parameters), 24 sequences of 16 to 512 tokens, their lengths drawn evenly or by a
log-normal law (most are short, a few long), half of each to be scored. An update is forward, backward and
AdamW; only the tokens of the sequences count, no padding.

* ours: `llm_rl.packing`, in micro-batches of as many tokens as `kind: grpo` takes unless told otherwise.
* padded: the same model in micro-batches of 8 sequences in the order in which they came, each padded to its
  longest, as TRL's trainers do; sorted: those of about one length together, which makes padding cheapest. All
  layers see the padding, which stands behind; the last one only the tokens that are scored.
* padded, transformers: the same batches through `transformers`' model of the same weights.

The gradients are compared first: they must be the same.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.race import Turn, race
from benchmarks.report import Row, main
from llm_rl.folder import load_folder, places, save_folder
from llm_rl.likelihood import MICRO_TOKENS, micro_batches
from llm_rl.model import LanguageModel, ModelOptions
from llm_rl.packing import pack
from llm_rl.tokenizer import CharTokenizer

SEQUENCES, SHORTEST, LONGEST, TOGETHER = 24, 16, 512, 8
LR = 1e-5
ROUNDS = 2
REACH = 1.5
Batch = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Tokens `[S, L]`, lengths `[S]`, what is scored `[S, L]`."""


def lengths(law: str) -> np.ndarray:
    """Of the sequences: int64 `[SEQUENCES]`."""
    rng = np.random.default_rng(0)
    if law == "uniform":
        return rng.integers(SHORTEST, LONGEST + 1, SEQUENCES)
    drawn = rng.lognormal(np.log(80), 0.8, SEQUENCES)
    return drawn.clip(SHORTEST, LONGEST).astype(np.int64)


def sequences(law: str, vocab: int) -> Batch:
    """Random ones, of which the second half is scored."""
    each = lengths(law)
    tokens = np.random.default_rng(1).integers(16, vocab, (SEQUENCES, int(each.max())))  # no special ones
    place = np.arange(tokens.shape[1])
    return tokens, each, (place >= each[:, None] // 2) & (place < each[:, None])


def model() -> LanguageModel:
    """Of random weights: how fast it is does not depend on them."""
    return LanguageModel(ModelOptions(vocab=64, layers=4, width=256, hidden=1024, heads=4, tied=False))


def packed(network: LanguageModel, batch: Batch) -> Iterator[torch.Tensor]:
    """The loss of each micro-batch: minus the sum of what was scored, over how much there is in all."""
    tokens, each, wrote = batch
    for rows in micro_batches(each, np.arange(SEQUENCES), MICRO_TOKENS):
        found, _ = network.log_probs(pack(tokens[rows], each[rows], wrote[rows]))
        yield -found.sum() / wrote.sum()


def padded(network: LanguageModel, batch: Batch, sort: bool) -> Iterator[torch.Tensor]:
    """The same in padded rows: what is past an end is one more token of its sequence, that is not scored."""
    for tokens, wrote in in_rows(batch, sort):
        rows, width = tokens.shape
        found, _ = network.log_probs(pack(tokens, np.full(rows, width), wrote))
        yield -found.sum() / batch[2].sum()


def theirs(network: Any, batch: Batch, sort: bool) -> Iterator[torch.Tensor]:
    """The same by a model of `transformers`; behind the ends is nothing that a mask would have to hide."""
    for tokens, wrote in in_rows(batch, sort):
        found = torch.from_numpy(tokens)
        hidden = network.model(found, use_cache=False).last_hidden_state[:, :-1]
        scored = torch.from_numpy(wrote[:, 1:])
        logits = network.lm_head(hidden[scored])
        targets = found[:, 1:][scored][:, None]
        yield -logits.log_softmax(-1).gather(-1, targets).sum() / batch[2].sum()


def in_rows(batch: Batch, sort: bool) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """`TOGETHER` sequences at a time, to the end of their longest; by length if `sort`."""
    tokens, each, wrote = batch
    order = np.argsort(each, kind="stable") if sort else np.arange(SEQUENCES)
    for rows in np.array_split(order, SEQUENCES // TOGETHER):
        longest = each[rows].max()
        yield tokens[rows, :longest], wrote[rows, :longest]


def turn_of(network: torch.nn.Module, losses: Callable[[], Iterator[torch.Tensor]], tokens: int) -> Turn:
    """An update, of all micro-batches."""
    optimiser = torch.optim.AdamW(network.parameters(), LR, fused=True)

    def turn() -> int:
        optimiser.zero_grad()
        for loss in losses():
            loss.backward()
        optimiser.step()
        return tokens

    return turn


def gradients(network: LanguageModel, losses: Iterator[torch.Tensor]) -> dict[str, np.ndarray]:
    """By the names of the Hugging Face layout."""
    network.zero_grad()
    for loss in losses:
        loss.backward()
    twin = LanguageModel(network.options)
    for own, other in zip(network.parameters(), twin.parameters()):
        assert own.grad is not None
        other.data = own.grad
    return {name: x.numpy() for name, x in places(twin).items()}


def check(batch: Batch, peer: Any, own: LanguageModel) -> None:
    """`RuntimeError` where another way has another gradient."""
    right = gradients(own, packed(own, batch))
    for sort in (False, True):
        found = gradients(own, padded(own, batch, sort))
        peer.zero_grad()
        for loss in theirs(peer, batch, sort):
            loss.backward()
        foreign = {name: x.grad.numpy() for name, x in peer.named_parameters()}
        for name, x in right.items():
            largest = np.abs(x).max()
            for other in (found[name], foreign[name]):
                if np.abs(other - x).max() > 1e-4 * largest:
                    raise RuntimeError(
                        f"the gradients of {name} differ by {np.abs(other - x).max() / largest}"
                    )


def rows() -> Iterator[Row]:
    """For each law of lengths, packing against each kind of padding."""
    from transformers import AutoModelForCausalLM

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "model"
        save_folder(folder, model(), CharTokenizer(["\n", *map(chr, range(32, 84))]))

        def own() -> LanguageModel:
            return load_folder(folder)[0]

        def foreign() -> Any:
            return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).train()

        for law in ("uniform", "log-normal"):
            yield from compare(law, own, foreign)


def compare(law: str, own: Callable[[], LanguageModel], foreign: Callable[[], Any]) -> Iterator[Row]:
    """The rows of one law of lengths."""
    batch = sequences(law, 64)
    check(batch, foreign(), own())
    tokens = int(batch[1].sum())
    network = own()
    turns = {"ours": turn_of(network, lambda: packed(network, batch), tokens)}
    for name, sort in (("padded", False), ("padded, sorted", True)):
        turns[name] = _turn(padded, own(), batch, sort)
        turns[f"{name}, transformers"] = _turn(theirs, foreign(), batch, sort)
    rate = race(turns, ROUNDS, 0.0)
    for name in [*turns][1:]:
        reach = None if "sorted" in name else REACH
        yield Row(f"learns from {law} lengths", name, rate["ours"], rate[name], reach, "tokens/s")


def _turn(way: Callable[..., Iterator[torch.Tensor]], network: Any, batch: Batch, sort: bool) -> Turn:
    return turn_of(network, lambda: way(network, batch, sort), int(batch[1].sum()))


if __name__ == "__main__":
    main(rows, __doc__)
