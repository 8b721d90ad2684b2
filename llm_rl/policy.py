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
from agents.options import Count, OptionError, Options, Positive, Precision, checked, read, switched
from envs.base import FORFEIT
from envs.board.wording import Wording
from envs.text.parsing import END_ANSWER
from envs.text.spaces import TextSpace
from envs.text.task import Task
from llm_rl.boards import alone, in_words
from llm_rl.folder import load_folder
from llm_rl.generate import Generation, Generator
from llm_rl.lora import LoraOptions, attach, check_base
from llm_rl.model import LanguageModel, sized
from llm_rl.packing import Packed, pack
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
    lora: bool | dict[str, Any] = False
    """Learn by adapters beside a folder's model, which stays as it is: see `llm_rl.lora.LoraOptions`."""
    checkpoint: bool = False
    """Compute activations once more for the gradients, to hold fewer of them."""

    @property
    def own(self) -> dict[str, Any]:
        """What it chose: the size and the context of a fresh model, or the folder and its adapters."""
        if self.folder is None:
            return self.model_dump(include={"size", "context"})
        return self.model_dump(include={"folder"} if self.lora is False else {"folder", "lora"})

    def adapters(self) -> LoraOptions | None:
        """How it learns by adapters, if it does (`OptionError` for what does not fit)."""
        options = switched(LoraOptions, self.lora, "model.lora")
        if options is not None and self.folder is None:
            said = "learns beside a model that is there: name its folder, model.folder"
            raise OptionError("model.lora", f"model.lora {said}")
        return options


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

    On a board (see `envs.board.wording`) each position is a prompt for itself, and the answer in what it
    writes is the action: `FORFEIT` where that is no legal move; `forfeit` (objects `[n]`) says why.

    Raises `ValueError` for spaces of no text task and no game with a wording, and for a model that lacks the
    characters or has no room for the problems of any level; `OptionError` for options out of range, and those
    of a fresh model beside a `folder`; and in `act` `ValueError` for a prompt that leaves no room in the
    context. A dialogue that has filled the context gets no more words: what it says is empty, and `cut`.
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
        if isinstance(observation_space, TextSpace) and isinstance(action_space, TextSpace):
            self.wording, stops, turns = None, action_space.stops, action_space.turns
            alphabet = observation_space.alphabet + action_space.alphabet
        else:
            self.wording, stops, turns = in_words(observation_space, action_space), (END_ANSWER,), 1
            alphabet = self.wording.alphabet
        self.choice = read(ModelChoice, model or {}, "model")
        self.precision, self.device = precision, device
        told = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "max_new": max_new}
        self.sampling = read(Sampling, {**told, "stop": stops})
        self.several_turns = turns > 1
        self.network, self.tokenizer = self._open(alphabet, seed)
        self._check_room(observation_space)
        self.network.to(device).eval().recompute = self.choice.checkpoint
        self.generator = Generator(self.network, self.tokenizer, device=device, precision=precision)

    def _open(self, alphabet: str, seed: int) -> tuple[LanguageModel, Tokenizer]:
        lora = self.choice.adapters()
        if self.choice.folder is not None:
            for name in sorted(self.choice.model_fields_set & {"size", "context"}):
                said = "is of a fresh model, and model.folder names one that is there: leave one of them out"
                raise OptionError(f"model.{name}", f"model.{name} {said}")
            model, tokenizer = load_folder(self.choice.folder)
            tokenizer.require(alphabet, "the task")
            if lora is not None:
                attach(model, lora, seed=seed, halve=self.precision == "bf16")
            return model, tokenizer
        made = CharTokenizer(alphabet + PRINTABLE)
        return LanguageModel(sized(self.choice.size, made.size, context=self.choice.context), seed=seed), made

    def _check_room(self, space: spaces.Space) -> None:
        """Raise `OptionError` where `max_new` alone fills the context, `ValueError` where problems do.

        A space tells its families, not their levels: so those are refused of which no level fits.
        """
        context, most = self.network.options.context, self.sampling.max_new
        if most >= context:
            said = f"must be below the model's context ({context} tokens), which holds the prompt too"
            raise OptionError("max_new", f"max_new ({most}) {said}")
        if self.wording is not None:
            count = len(self._read([self.wording.empty], np.ones(1, bool))[0])
            if count >= context:
                said = f"positions of {self.wording.title} have {count} tokens"
                raise ValueError(f"{said}: a model's context of {context} tokens leaves no room to answer")
            return
        assert isinstance(space, TextSpace)
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
        sampling = self.sampling if explore else self.sampling.model_copy(update={"greedy": True})
        if self.wording is not None:
            return self._move(self.wording, obs, rng, sampling)
        new = self._read(obs, first)
        before = [new[i][:0] for i in range(len(new))]
        if memory is not None:
            counts = np.where(first, 0, memory["count"])
            before = [row[:count] for row, count in zip(memory["tokens"], counts)]
        room = self.network.options.context
        full = [not first[i] and len(before[i]) + len(new[i]) >= room for i in range(len(new))]
        new = [row[:0] if over else row for row, over in zip(new, full)]
        contexts = [np.concatenate(pair) for pair in zip(before, new)]
        made = self._complete(contexts, np.flatnonzero(~np.array(full, bool)), rng, sampling)
        said = self.tokenizer.decode_batch(made.tokens, made.lengths)
        written = [row[:length] for row, length in zip(made.tokens, made.lengths)]
        kept = None
        if self.several_turns:
            spoken = [np.concatenate(pair) for pair in zip(contexts, written)]
            tokens, count = _padded(spoken, self.network.options.context)
            kept = {"tokens": tokens, "count": count}
        return Decision(tuple(said), kept, _fields(new, made))

    def _move(self, wording: Wording, obs: Any, rng: np.ndarray, sampling: Sampling) -> Decision:
        """A move in each position, or why there is none."""
        new = self._read(wording.positions(obs), np.ones(len(rng), bool))
        made = self.generator(new, rng, sampling)
        said = self.tokenizer.decode_batch(made.tokens, made.lengths)
        actions, why = wording.read(said, obs["action_mask"])
        return Decision(actions, fields=_fields(new, made) | {"forfeit": why})

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
        fields = _told(heard, self._write(rollout.actions[time, slot].tolist()))
        fields["log_prob"] = np.zeros(fields["tokens"].shape, np.float32)
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
        batch = self._pack(part.tokens, part.lengths, part.mask, part.group)
        with torch.autocast(self.device, torch.bfloat16, enabled=self.precision == "bf16"):
            hidden = self.network(batch)[batch.predictors]
            return Scores(*self.network.score(hidden, batch.targets, self.sampling), hidden)

    @property
    def width(self) -> int:
        """How many numbers the last layer reads of a token."""
        return self.network.options.width

    def examples(self, rollout: Rollout) -> dict[str, np.ndarray]:
        """What imitation learns from: whole episodes, rows first; on a board, moves."""
        if self.wording is not None:
            return self._moves(self.wording, rollout)
        found = self.sequences(rollout)
        return {
            "tokens": found.tokens,
            "lengths": found.lengths,
            "mask": found.mask,
            "episode": found.episode,
        }

    def log_likelihood(self, examples: Mapping[str, np.ndarray]) -> torch.Tensor:
        """Of each token that was said, given all before it: `[K]`, at temperature 1."""
        batch = self._pack(examples["tokens"], examples["lengths"], examples["mask"])
        with torch.autocast(self.device, torch.bfloat16, enabled=self.precision == "bf16"):
            return self.network.log_probs(batch)[0]

    def _moves(self, wording: Wording, rollout: Rollout) -> dict[str, np.ndarray]:
        """The moves of a rollout, whoever made them, rows first; giving up is none."""
        at = np.nonzero(rollout.valid & (rollout.actions != FORFEIT))
        if "tokens" in rollout.fields:
            found = {name: array[at] for name, array in rollout.fields.items()}
        else:
            positions = wording.positions({name: array[at] for name, array in rollout.obs.items()})
            heard = self._read(positions, np.ones(len(positions), bool))
            found = _told(heard, self._write(wording.moves(rollout.actions[at])))
        return {
            "tokens": found["tokens"],
            "lengths": found["token_count"].astype(np.int64),
            "mask": found["token_mask"],
            "episode": rollout.episode[at],
        }

    def _pack(
        self, tokens: np.ndarray, lengths: np.ndarray, mask: np.ndarray, group: np.ndarray | None = None
    ) -> Packed:
        """Episodes as the network reads them: on a board, each decision alone."""
        if self.wording is not None:
            tokens, lengths, mask, group = alone(tokens, lengths, mask)
        return pack(tokens, lengths, mask, group).to(self.device)

    def refresh(self) -> None:
        """The network has learned: write as it does now."""
        self.generator.load(self.network)

    # -- weights ---------------------------------------------------------------------------------------

    def weights(self) -> dict[str, np.ndarray]:
        return to_arrays(self.network)

    def load_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        check_base(self.network, weights, self.choice.folder)
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


def _told(heard: Sequence[np.ndarray], said: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """The same of tokens that another was told, and said, but for their log-probabilities."""
    tokens, count = _padded([np.concatenate(pair) for pair in zip(heard, said)])
    place, begin = np.arange(tokens.shape[1]), np.array([len(row) for row in heard])[:, None]
    mask = (place >= begin) & (place < count[:, None])
    return {"tokens": tokens, "token_mask": mask, "token_count": count}


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
