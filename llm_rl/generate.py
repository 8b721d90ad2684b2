"""Batched generation: prompts in, completions out.

Rows with the same prompt (a group) share what is known of it; rows that are over leave the batch; each row
has a generator of its own, so what its neighbours write changes it by no more than rounding.

Turns: whoever goes on with a conversation gives all of it as the prompt. What an agent remembers between
turns, and a checkpoint holds, is then tokens, true under any weights, and not keys and values (a thousand
times as large) of weights that were; and a token is read faster than it is written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from agents.options import Precision
from agents.threads import share_out
from envs.rng import uniform
from llm_rl.decoder import State, make_decoder, room
from llm_rl.model import LanguageModel
from llm_rl.sampling import Sampling, choose, skip
from llm_rl.tokenizer import Tokenizer

ROWS = 512
"""Rows that are continued together; more take more memory and no less time each."""
FEWEST = 16
"""Rows for which a thread of their own is worth while."""


@dataclass(frozen=True)
class Generation:
    """Completions: tokens `[n, longest]`, zeros after their ends."""

    tokens: np.ndarray
    """int64"""
    log_probs: np.ndarray
    """float32: of each token, under the distribution that it was drawn from."""
    lengths: np.ndarray
    """int64 `[n]`; the token that ended it counts."""
    ended: np.ndarray
    """bool `[n]`: over by itself; else it was truncated."""

    @property
    def mask(self) -> np.ndarray:
        """Where there are tokens: bool `[n, longest]`."""
        return np.arange(self.tokens.shape[1]) < self.lengths[:, None]


class Stop:
    """Says which completions are over: by a token that ends, or by a text that stands in what was written."""

    def __init__(self, tokenizer: Tokenizer, texts: Sequence[str], vocab: int) -> None:
        self.tokenizer, self.texts = tokenizer, texts
        self.at_once = np.zeros(vocab, bool)
        self.at_once[list(tokenizer.ends)] = True
        self.perhaps = np.zeros(vocab, bool)
        """Tokens that may be the last piece of a text that began before them."""
        self.window = max((len(text.encode()) for text in texts), default=0)
        for token, piece in enumerate(tokenizer.pieces() if texts else ()):
            tails = (text[k:] for text in texts for k in range(1, len(text)))
            self.at_once[token] |= any(text in piece for text in texts)
            self.perhaps[token] = "\ufffd" in piece or any(piece.startswith(tail) for tail in tails)

    def __call__(self, written: np.ndarray) -> np.ndarray:
        """Whether the last of the tokens so far, `[n, length]`, ended its row: bool `[n]`."""
        over = self.at_once[written[:, -1]]
        for row in np.flatnonzero(self.perhaps[written[:, -1]] & ~over):
            text = self.tokenizer.decode(written[row, -self.window :])
            over[row] = any(stop in text for stop in self.texts)
        return over


class Generator:
    """Completes prompts with a copy of `model`, so `load` it again after each learning phase.

    In `bf16` all products but the last are; what is drawn is then of a slightly different model, and
    `log_probs` are of that one.
    """

    def __init__(
        self,
        model: LanguageModel,
        tokenizer: Tokenizer,
        *,
        device: str = "cpu",
        precision: Precision = "fp32",
    ) -> None:
        if tokenizer.size > model.options.vocab:
            raise ValueError(
                f"the tokenizer has {tokenizer.size} tokens, and the model's vocabulary {model.options.vocab}"
            )
        self.tokenizer, self.device, self.precision = tokenizer, device, precision
        self.options = model.options
        self._stops: dict[tuple[str, ...], Stop] = {}
        self.load(model)

    def load(self, model: LanguageModel) -> None:
        """Write as `model` does now."""
        self.decoder = make_decoder(model, device=self.device, precision=self.precision)

    def __call__(self, prompts: Sequence[np.ndarray], rng: np.ndarray, sampling: Sampling) -> Generation:
        """Complete each prompt (its tokens, ints).

        `rng` (uint64 `[n]`, advanced in place) gives one number a token, none where the choice is greedy.
        Raises `ValueError` for an empty prompt, one that leaves no room in the context, and unknown tokens;
        `FloatingPointError` where the model's logits are not finite.
        """
        limits = np.minimum(sampling.max_new, self.options.context - self._lengths(prompts))
        n, longest = len(limits), int(limits.max())
        distinct, of = alike(prompts)
        uniforms = None if sampling.greedy else torch.from_numpy(uniform(rng.copy(), longest))
        out = Generation(
            np.zeros((n, longest), np.int64),
            np.zeros((n, longest), np.float32),
            np.zeros(n, np.int64),
            np.zeros(n, bool),
        )
        batches, stop = self._shared_out(of), self._stop(sampling.stop)

        def work(i: int) -> None:
            for rows in batches[i]:
                names, mine = np.unique(of[rows], return_inverse=True)
                with torch.inference_mode():
                    state = self.decoder.start([distinct[p] for p in names], mine, int(limits[rows].max()))
                    _continue(state, rows, limits, uniforms, sampling, stop, out)

        side_by_side(work, len(batches))
        if not np.isfinite(out.log_probs).all():
            raise FloatingPointError("the model's logits are not finite: its weights are of no use")
        if not sampling.greedy:
            skip(rng, out.lengths)
        longest = int(out.lengths.max())
        return Generation(out.tokens[:, :longest], out.log_probs[:, :longest], out.lengths, out.ended)

    def _lengths(self, prompts: Sequence[np.ndarray]) -> np.ndarray:
        """The lengths of prompts that can be completed, else `ValueError`."""
        lengths = np.array([len(p) for p in prompts], np.int64)
        if not len(lengths) or not lengths.all():
            raise ValueError(
                "a prompt is empty: one token at least is needed" if len(lengths) else "no prompts"
            )
        longest, context = int(lengths.max()), self.options.context
        if longest >= context:
            raise ValueError(
                f"a prompt of {longest} tokens leaves no room to answer in the model's context of {context}"
            )
        used = np.concatenate(prompts)
        if used.min() < 0 or used.max() >= self.options.vocab:
            raise ValueError(
                f"token ids in prompts must be below {self.options.vocab}, the model's vocabulary"
            )
        return lengths

    def _shared_out(self, of: np.ndarray) -> list[list[np.ndarray]]:
        """Batches of rows for each thread; rows with the same prompt are together, as far as it goes."""
        threads = torch.get_num_threads() if torch.device(self.device).type == "cpu" else 1
        workers = max(1, min(threads, len(of) // FEWEST))
        parts = np.array_split(np.argsort(of, kind="stable"), workers)
        return [np.array_split(part, -(-len(part) // ROWS)) for part in parts]

    def _stop(self, texts: tuple[str, ...]) -> Stop:
        if texts not in self._stops:
            self._stops[texts] = Stop(self.tokenizer, texts, self.options.vocab)
        return self._stops[texts]


def _continue(
    state: State,
    rows: np.ndarray,
    limits: np.ndarray,
    uniforms: torch.Tensor | None,
    sampling: Sampling,
    stop: Stop,
    out: Generation,
) -> None:
    """Write completions of some `rows` of `out`, which are those of `state`."""
    on = np.ones(len(rows), bool)
    for t in range(int(limits[rows].max())):
        drawn = None if uniforms is None else uniforms[torch.from_numpy(rows), t]
        tokens, log_probs = choose(state.logits, sampling, drawn)
        here = rows[on]
        out.tokens[here, t] = tokens.cpu().numpy()[on]
        out.log_probs[here, t] = log_probs.cpu().numpy()[on]
        out.lengths[here] = t + 1
        out.ended[here] = stop(out.tokens[here, : t + 1])
        on[on] = ~out.ended[here] & (t + 1 < limits[here])
        if not on.any():
            return
        if room(int(on.sum())) < room(len(on)):
            kept = np.flatnonzero(on)
            state.keep(kept)
            rows, tokens, on = rows[kept], tokens[torch.from_numpy(kept).to(tokens.device)], on[kept]
        state.step(tokens)


def side_by_side(work: Callable[[int], None], workers: int) -> None:
    """Call `work(0)` to `work(workers - 1)`, each on one thread of its own."""
    if workers == 1:
        work(0)
        return

    def alone(i: int) -> None:
        torch.set_num_threads(1)
        work(i)

    threads = torch.get_num_threads()
    try:
        share_out(alone, workers)
    finally:
        torch.set_num_threads(threads)  # it is what threads to come begin with


def alike(prompts: Sequence[np.ndarray]) -> tuple[list[np.ndarray], np.ndarray]:
    """The distinct prompts, and which of them each is (int64 `[n]`)."""
    number: dict[bytes, int] = {}
    of = [number.setdefault(np.asarray(p, np.int64).tobytes(), len(number)) for p in prompts]
    return [np.frombuffer(key, np.int64) for key in number], np.array(of, np.int64)
