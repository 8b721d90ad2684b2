"""Who talks: an agent that reads text and answers with text, token by token."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

import numpy as np
import torch
from gymnasium import spaces
from pydantic import Field

from agents.networks import from_arrays, to_arrays
from agents.options import Count, OptionError, Options, Positive, Precision, checked, read
from envs.text.spaces import TextSpace
from envs.text.task import Task
from llm_rl.folder import load_folder
from llm_rl.generate import Generation, Generator
from llm_rl.model import LanguageModel, sized
from llm_rl.packing import pack
from llm_rl.sampling import Sampling
from llm_rl.sequences import Scores, Sequences, whole_episodes
from llm_rl.tokenizer import CharTokenizer, Tokenizer
from rollouts.agent import Agent, Decision, Memory
from rollouts.rollout import Rollout

PRINTABLE = "\n" + string.ascii_letters + string.digits + string.punctuation + " "
"""Characters of every vocabulary that we make: so that a model of one task can read all others."""
SAMPLES = 3
"""Problems of a level that are looked at to see whether the context has room for them."""


class ModelChoice(Options):
    """Which model: a fresh one of a `size`, or what lies in a `folder` in the Hugging Face layout."""

    size: Literal["XS", "S", "M", "L"] = "S"
    context: Count = 512
    """Tokens of a whole episode at most, of a fresh model."""
    folder: str | None = None

    @property
    def own(self) -> dict[str, Any]:
        """What it chose: the size and the context of a fresh model, or the folder."""
        return self.model_dump(include={"size", "context"} if self.folder is None else {"folder"})


class LanguagePolicy(Agent):
    """A language model with its tokenizer and its way of sampling.

    * `model`: see `ModelChoice`. A fresh one reads characters: those of the task, and all printable ones.
    * `max_new`: tokens of a completion at most; `temperature`, `top_k`, `top_p`: see `llm_rl.sampling`.
    * `precision`: "bf16" for faster sampling; what is drawn is then of a slightly different model.

    Decisions carry `tokens` (int32 `[n, L]`: what is new to read, then what was written), `token_mask`
    (bool: where the agent wrote), `log_prob` (float32, by the distribution that was drawn from),
    `token_count` (int32 `[n]`) and `cut` (bool `[n]`: stopped by `max_new` or the context, not by itself).
    With `explore=False` it writes the likeliest token each time. In tasks of many turns its memory is
    `tokens` (int32 `[n, context]`), all that was read and written so far, and their `count`.

    Raises `ValueError` for spaces of no text task, and for a model that lacks the task's characters or has no
    room for the problems of any level; `OptionError` for options out of range, and those of a fresh model
    beside a `folder`; and in `act` `ValueError` for a prompt that leaves no room in the context. A dialogue
    that has filled the context gets no more words: what is said there is empty, and `cut`.
    """

    @checked
    def __init__(
        self,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        *,
        seed: int = 0,
        device: str = "cpu",
        model: Mapping[str, Any] | None = None,
        max_new: Count = 64,
        temperature: Positive = 1.0,
        top_k: Annotated[int, Field(ge=0)] = 0,
        top_p: Positive = 1.0,
        precision: Precision = "fp32",
    ) -> None:
        if not isinstance(observation_space, TextSpace) or not isinstance(action_space, TextSpace):
            raise ValueError(f"a language model reads and writes text, not {observation_space}")
        self.choice = read(ModelChoice, model or {}, "model")
        self.precision, self.device = precision, device
        told = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "max_new": max_new}
        self.sampling = read(Sampling, {**told, "stop": action_space.stops})
        self.several_turns = action_space.turns > 1
        self.network, self.tokenizer = self._open(observation_space.alphabet + action_space.alphabet, seed)
        self._check_room(observation_space)
        self.network.to(device).eval()
        self.generator = Generator(self.network, self.tokenizer, device=device, precision=precision)

    def _open(self, alphabet: str, seed: int) -> tuple[LanguageModel, Tokenizer]:
        if self.choice.folder is not None:
            for name in sorted(self.choice.model_fields_set - {"folder"}):
                said = "is of a fresh model, and model.folder names one that is there: leave one of them out"
                raise OptionError(f"model.{name}", f"model.{name} {said}")
            model, tokenizer = load_folder(self.choice.folder)
            tokenizer.require(alphabet, "the task")
            return model, tokenizer
        made = CharTokenizer(alphabet + PRINTABLE)
        return LanguageModel(sized(self.choice.size, made.size, context=self.choice.context), seed=seed), made

    def _check_room(self, space: TextSpace) -> None:
        """Raise `OptionError` where `max_new` alone fills the context, `ValueError` where problems do.

        A space tells its families, not their levels: so those are refused of which no level fits.
        """
        context, most = self.network.options.context, self.sampling.max_new
        if most >= context:
            said = f"must be below the model's context ({context} tokens), which holds the prompt too"
            raise OptionError("max_new", f"max_new ({most}) {said}")
        for name, task in space.tasks().items():
            longest: dict[int, int] = {}
            for level in range(1, task.levels + 1):
                longest[level] = self._longest(task, level)
                if longest[level] < context:
                    break
            else:
                level = min(longest, key=longest.__getitem__)
                raise ValueError(
                    f"problems of {name} have up to {longest[level]} tokens at level {level}, the shortest "
                    f"of its levels: a model's context of {context} tokens leaves no room to answer"
                )

    def _longest(self, task: Task, level: int) -> int:
        """Tokens of the longest of a few problems."""
        rng = np.random.default_rng(0)
        prompts = [task.generate(rng, level).prompt for _ in range(SAMPLES)]
        return max(len(row) for row in self._read(prompts, np.ones(SAMPLES, bool)))

    # -- acting ----------------------------------------------------------------------------------------

    def act(
        self, obs: Any, *, rng: np.ndarray, first: np.ndarray, memory: Memory = None, explore: bool = True
    ) -> Decision:
        new = self._read(obs, first)
        before = [new[i][:0] for i in range(len(new))]
        if memory is not None:
            counts = np.where(first, 0, memory["count"])
            before = [row[:count] for row, count in zip(memory["tokens"], counts)]
        room = self.network.options.context
        full = [not first[i] and len(before[i]) + len(new[i]) >= room for i in range(len(new))]
        new = [row[:0] if over else row for row, over in zip(new, full)]
        contexts = [np.concatenate(pair) for pair in zip(before, new)]
        sampling = self.sampling if explore else self.sampling.model_copy(update={"greedy": True})
        made = self._complete(contexts, np.flatnonzero(~np.array(full, bool)), rng, sampling)
        said = self.tokenizer.decode_batch(made.tokens, made.lengths)
        written = [row[:length] for row, length in zip(made.tokens, made.lengths)]
        kept = None
        if self.several_turns:
            spoken = [np.concatenate(pair) for pair in zip(contexts, written)]
            tokens, count = _padded(spoken, self.network.options.context)
            kept = {"tokens": tokens, "count": count}
        return Decision(tuple(said), kept, _fields(new, made))

    def _complete(
        self, contexts: list[np.ndarray], rows: np.ndarray, rng: np.ndarray, sampling: Sampling
    ) -> Generation:
        """Completions of the contexts at `rows`, and none of the others."""
        n = len(contexts)
        if len(rows) == n:
            return self.generator(contexts, rng, sampling)
        whole = Generation(
            np.zeros((n, sampling.max_new), np.int64),
            np.zeros((n, sampling.max_new), np.float32),
            np.zeros(n, np.int64),
            np.zeros(n, bool),
        )
        if len(rows):
            states = rng[rows]
            made = self.generator([contexts[i] for i in rows], states, sampling)
            rng[rows], width = states, made.tokens.shape[1]
            whole.tokens[rows, :width], whole.log_probs[rows, :width] = made.tokens, made.log_probs
            whole.lengths[rows], whole.ended[rows] = made.lengths, made.ended
        return whole

    def _read(self, texts: Sequence[str], first: np.ndarray) -> list[np.ndarray]:
        """The tokens of what is new to read: a beginning token where an episode begins."""
        new = self.tokenizer.encode_batch(texts)
        bos = self.tokenizer.bos
        if bos is None:
            return new
        return [np.concatenate([[bos], row]) if begins else row for row, begins in zip(new, first)]

    # -- being learned ---------------------------------------------------------------------------------

    def sequences(self, rollout: Rollout) -> Sequences:
        """The whole episodes of a rollout, whoever spoke there.

        What another agent said is read as this model would write it: to a stop string, or to its end token.
        """
        if "tokens" in rollout.fields:
            return whole_episodes(rollout)
        time, slot = np.nonzero(rollout.valid)
        heard = self._read(rollout.obs[time, slot].tolist(), rollout.first[time, slot])
        said = self._write(rollout.actions[time, slot].tolist())
        tokens, count = _padded([np.concatenate(pair) for pair in zip(heard, said)])
        place, begin = np.arange(tokens.shape[1]), np.array([len(h) for h in heard])[:, None]
        mask = (place >= begin) & (place < count[:, None])
        fields = {"tokens": tokens, "token_mask": mask, "token_count": count}
        fields["log_prob"] = np.zeros(mask.shape, np.float32)
        laid = {name: _lay(rollout.shape, (time, slot), rows) for name, rows in fields.items()}
        return whole_episodes(replace(rollout, fields=laid))

    def _write(self, texts: Sequence[str]) -> list[np.ndarray]:
        """The tokens of what was said, with an end token where no stop string ends it."""
        end = [self.tokenizer.eos]
        stopped = [any(text.endswith(stop) for stop in self.sampling.stop) for text in texts]
        rows = self.tokenizer.encode_batch(texts)
        return [row if stop else np.concatenate([row, end]) for row, stop in zip(rows, stopped)]

    def score(self, rollout: Rollout, part: Sequences) -> Scores:
        """Of each token that was written: see `Scores`.

        The distribution is the one that is sampled from: its temperature and its limits are the same here. A
        group's prompt is read once.
        """
        batch = pack(part.tokens, part.lengths, part.mask, part.group).to(self.device)
        with torch.autocast(self.device, torch.bfloat16, enabled=self.precision == "bf16"):
            hidden = self.network(batch)[batch.predictors]
            return Scores(*self.network.score(hidden, batch.targets, self.sampling), hidden)

    @property
    def width(self) -> int:
        """How many numbers the last layer reads of a token."""
        return self.network.options.width

    def examples(self, rollout: Rollout) -> dict[str, np.ndarray]:
        """What imitation learns from: whole episodes, rows first."""
        found = self.sequences(rollout)
        return {
            "tokens": found.tokens,
            "lengths": found.lengths,
            "mask": found.mask,
            "episode": found.episode,
        }

    def log_likelihood(self, examples: Mapping[str, np.ndarray]) -> torch.Tensor:
        """Of each token that was said, given all before it: `[K]`, at temperature 1."""
        batch = pack(examples["tokens"], examples["lengths"], examples["mask"]).to(self.device)
        with torch.autocast(self.device, torch.bfloat16, enabled=self.precision == "bf16"):
            return self.network.log_probs(batch)[0]

    def refresh(self) -> None:
        """The network has learned: write as it does now."""
        self.generator.load(self.network)

    # -- weights ---------------------------------------------------------------------------------------

    def weights(self) -> dict[str, np.ndarray]:
        return to_arrays(self.network)

    def load_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        from_arrays(self.network, weights)
        self.refresh()

    def spec(self) -> dict[str, Any]:
        drawn = self.sampling.model_dump(include={"max_new", "temperature", "top_k", "top_p"})
        options = {"model": self.choice.own, "precision": self.precision, **drawn}
        return {"path": "llm_rl.policy:LanguagePolicy", "options": options}


def _fields(new: Sequence[np.ndarray], made: Generation) -> dict[str, np.ndarray]:
    """What a decision carries of `new` tokens that were read, and of those that were then written."""
    read_counts = np.array([len(row) for row in new])
    count = read_counts + made.lengths
    shape = len(new), int(count.max())
    tokens, log_prob = np.zeros(shape, np.int32), np.zeros(shape, np.float32)
    for i, row in enumerate(new):
        tokens[i, : len(row)] = row
    rows, places = np.nonzero(made.mask)
    at = rows, read_counts[rows] + places
    mask = np.zeros(shape, bool)
    tokens[at], log_prob[at], mask[at] = made.tokens[rows, places], made.log_probs[rows, places], True
    return {
        "tokens": tokens,
        "token_mask": mask,
        "log_prob": log_prob,
        "token_count": count.astype(np.int32),
        "cut": ~made.ended,
    }


def _padded(rows: Sequence[np.ndarray], width: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Tokens as int32 `[n, width or more]`, zeros after their ends, and their lengths, int32 `[n]`."""
    count = np.array([len(row) for row in rows], np.int32)
    tokens = np.zeros((len(rows), int(count.max(initial=width))), np.int32)
    for i, row in enumerate(rows):
        tokens[i, : len(row)] = row
    return tokens, count


def _lay(shape: tuple[int, int], at: tuple[np.ndarray, np.ndarray], rows: np.ndarray) -> np.ndarray:
    """Rows at their (time, slot), `[T, n, ...]`, zeros elsewhere."""
    out = np.zeros((*shape, *rows.shape[1:]), rows.dtype)
    out[at] = rows
    return out
