"""Generated tokens a second: 4 layers × 256 (4.2 million parameters), batch 128, prompts of 16, 48 new each.

Against `generate` of `transformers` with the same weights and sampling, and against the products with weights
alone. Prompts are all different, or (groups) 16 with 8 rows each, as GRPO asks for them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from agents.networks import to_arrays
from agents.options import Precision
from benchmarks.race import Turn, race
from benchmarks.report import Row, main
from envs.rng import from_seeds
from llm_rl.folder import save_folder
from llm_rl.generate import Generator
from llm_rl.model import LanguageModel, ModelOptions
from llm_rl.sampling import Sampling
from llm_rl.tokenizer import CharTokenizer

ROWS, PROMPT, NEW, GROUP = 128, 16, 48, 8
ROUNDS, SECONDS = 6, 2.0
REACH: dict[Precision, float] = {"fp32": 1.3, "bf16": 3.0}
PEER, PRODUCTS = "transformers generate, fp32", "its weight products alone, {}"


class Endless(CharTokenizer):
    """Nothing ends a completion, so that all write as much."""

    ends = ()


def model_and_tokenizer() -> tuple[LanguageModel, CharTokenizer]:
    """Of random weights: what is written does not matter, how fast does."""
    tokenizer = CharTokenizer(map(chr, range(32, 85)))
    options = ModelOptions(vocab=tokenizer.size, layers=4, width=256, hidden=1024, heads=4)
    return LanguageModel(options), tokenizer


def prompts(tokenizer: CharTokenizer, groups: bool) -> list[np.ndarray]:
    """Random prompts, one a row or one a group."""
    rng = np.random.default_rng(0)
    different = [rng.integers(16, tokenizer.size, PROMPT) for _ in range(ROWS)]
    return [different[i // GROUP] for i in range(ROWS)] if groups else different


def ours(precision: Precision, groups: bool) -> Turn:
    """All completions, once."""
    model, tokenizer = model_and_tokenizer()
    generator = Generator(model, Endless(tokenizer.alphabet), precision=precision)
    asked, sampling = prompts(tokenizer, groups), Sampling(max_new=NEW)

    def turn() -> int:
        return int(generator(asked, from_seeds(range(ROWS)), sampling).lengths.sum())

    return turn


def transformers(precision: Precision) -> Turn:
    """The same by `generate`."""
    from transformers import AutoModelForCausalLM

    model, tokenizer = model_and_tokenizer()
    with tempfile.TemporaryDirectory() as folder:
        save_folder(Path(folder) / "model", model, tokenizer)
        dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
        peer: Any = AutoModelForCausalLM.from_pretrained(Path(folder) / "model", dtype=dtype).eval()
    peer.generation_config.eos_token_id = None
    asked = torch.from_numpy(np.stack(prompts(tokenizer, groups=False)))
    mask = torch.ones_like(asked)

    def turn() -> int:
        with torch.inference_mode():
            said = peer.generate(asked, attention_mask=mask, max_new_tokens=NEW, do_sample=True)
        return int(said[:, PROMPT:].numel())

    return turn


def products(precision: Precision) -> Turn:
    """One token for every row, of which only the products with weights are made."""
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    arrays = to_arrays(model_and_tokenizer()[0]).values()
    weights = [torch.from_numpy(x).to(dtype) for x in arrays if x.ndim == 2]
    inputs = {x.shape[1]: torch.rand(ROWS, x.shape[1]).to(dtype) for x in weights}

    def turn() -> int:
        with torch.inference_mode():
            for weight in weights:
                torch.nn.functional.linear(inputs[weight.shape[1]], weight)
        return ROWS

    return turn


def rows() -> Iterator[Row]:
    """A row for each precision and kind of prompts, against both peers."""
    turns = {PEER: transformers("fp32"), "transformers generate, bf16": transformers("bf16")}
    for precision in REACH:
        turns |= {PRODUCTS.format(precision): products(precision)}
        turns |= {
            f"{precision}, {kind}": ours(precision, kind == "groups") for kind in ("distinct", "groups")
        }
    rate = race(turns, ROUNDS, SECONDS)
    for precision, reach in REACH.items():
        mine = rate[f"{precision}, distinct"]
        yield Row(f"generates, {precision}", PEER, mine, rate[PEER], reach, unit="tokens/s")
        grouped = rate[f"{precision}, groups"]
        yield Row(f"generates, {precision}, groups of {GROUP}", PEER, grouped, rate[PEER], unit="tokens/s")
        alone = PRODUCTS.format(precision)
        yield Row(f"generates, {precision}", alone, mine, rate[alone], unit="tokens/s")
    theirs = "transformers generate, bf16"
    yield Row("generates, bf16", theirs, rate["bf16, distinct"], rate[theirs], unit="tokens/s")


if __name__ == "__main__":
    main(rows, __doc__)
