"""Text to tokens and back: a token a character, or what any Hugging Face `tokenizer.json` says."""

from __future__ import annotations

import itertools
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
from tokenizers import AddedToken, Regex, decoders, models, pre_tokenizers, processors

from envs.text.parsing import TAGS

FILE, CONFIG = "tokenizer.json", "tokenizer_config.json"
PAD, BOS, EOS = "<pad>", "<bos>", "<eos>"
NONE = "\ufffd"
"""What ids that are no tokens are decoded as."""


class Tokenizer(ABC):
    """Text to token ids (int64 arrays) and back."""

    size: int
    """Ids are below it."""
    pad: int
    """Never one of `ends`: what is learned must have an end, and padding must not be learned."""
    bos: int | None
    ends: tuple[int, ...]
    """The tokens that end a completion; the first is the usual one."""

    @property
    def eos(self) -> int:
        """The usual end."""
        return self.ends[0]

    @abstractmethod
    def encode(self, text: str) -> np.ndarray:
        """The tokens of a text, without `bos` and `eos`; `ValueError` for characters that are in no token."""

    @abstractmethod
    def decode(self, ids: Sequence[int] | np.ndarray) -> str:
        """The text of tokens; `pad`, `bos` and `ends` have none. Ids that are no tokens do not raise."""

    @abstractmethod
    def pieces(self) -> list[str]:
        """What each token, alone, adds to a text."""

    @abstractmethod
    def save(self, folder: Path | str) -> None:
        """Write `tokenizer.json` and `tokenizer_config.json` into a folder, as `transformers` reads them.

        Its usual call there gives what a model reads here: `bos`, where there is one, and then `encode`.
        """

    def encode_batch(self, texts: Sequence[str]) -> list[np.ndarray]:
        """`encode` of each."""
        return [self.encode(text) for text in texts]

    def decode_batch(self, tokens: np.ndarray, lengths: np.ndarray) -> list[str]:
        """`decode` of each row `tokens[i, : lengths[i]]`."""
        return [self.decode(row[:length]) for row, length in zip(tokens, lengths)]

    def require(self, characters: str, what: str) -> None:
        """Raise `ValueError` where `what` needs characters that are in no token."""
        lacking = "".join(c for c in dict.fromkeys(characters) if not self._knows(c))
        if lacking:
            raise ValueError(f"{what} needs characters that the vocabulary lacks: {lacking!r}")

    def _knows(self, character: str) -> bool:
        try:
            return len(self.encode(character)) > 0
        except ValueError:
            return False


class CharTokenizer(Tokenizer):
    """A token a character of `alphabet`, so one a digit; the tags of text tasks are tokens too.

    Ids: `<pad>`, `<bos>`, `<eos>`, the tags, then the characters in order. Texts of these characters and tags
    come back exactly. `<pad>`, `<bos>` and `<eos>` in a text are characters like others, no tokens.
    """

    pad, bos = 0, 1
    ends: tuple[int, ...] = (2,)

    def __init__(self, alphabet: Iterable[str]) -> None:
        self.alphabet = sorted(set("".join(alphabet)))
        self.names = [PAD, BOS, EOS, *TAGS, *self.alphabet]
        self.size = len(self.names)
        assert self.pad not in self.ends
        # while numpy looks characters up, a tag stands as a sign, a character that is not in the alphabet
        signs = itertools.islice(
            (c for c in map(chr, itertools.count()) if c not in self.alphabet), len(TAGS) + 1
        )
        self.between, *self.signs = signs
        first = len((PAD, BOS, EOS))
        codes = [0] * first + [ord(c) for c in (*self.signs, *self.alphabet)]
        self.codes = np.array([*codes, ord(self.between), ord(NONE)], np.uint32)
        self.ids = np.full(max(codes) + 2, -1)
        self.ids[codes[first:]] = np.arange(first, self.size)
        self.ids[ord(self.between)] = self.size

    def encode(self, text: str) -> np.ndarray:
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[np.ndarray]:
        whole = "".join(texts)
        strange = [sign for sign in (self.between, *self.signs) if sign in whole]
        joined = self.between.join(texts)
        for tag, sign in zip(TAGS, self.signs):
            joined = joined.replace(tag, sign)
        codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), np.uint32)
        ids = self.ids[np.minimum(codes, len(self.ids) - 1)]
        unknown = np.flatnonzero(ids < 0)
        if strange or len(unknown):
            character = strange[0] if strange else chr(codes[unknown[0]])
            raise ValueError(
                f"the character {character!r} is not in the vocabulary; it has: {''.join(self.alphabet)!r}"
            )
        breaks = np.flatnonzero(ids == self.size)
        starts, stops = [0, *(breaks + 1)], [*breaks, len(ids)]
        return [ids[start:stop] for start, stop in zip(starts, stops)][: len(texts)]

    def decode(self, ids: Sequence[int] | np.ndarray) -> str:
        ids = np.asarray(ids, np.int64).reshape(1, -1)
        return self.decode_batch(ids, np.array([ids.shape[1]]))[0]

    def decode_batch(self, tokens: np.ndarray, lengths: np.ndarray) -> list[str]:
        n, longest = tokens.shape
        ids = np.full((n, longest + 1), self.size)
        ids[:, :longest] = np.where((tokens < 0) | (tokens >= self.size), self.size + 1, tokens)
        ids[np.arange(n), lengths] = self.size
        heard = (np.arange(longest + 1) <= lengths[:, None]) & (ids > max(self.pad, self.bos, self.eos))
        text = self.codes[ids[heard]].tobytes().decode("utf-32-le", "surrogatepass")
        for tag, sign in zip(TAGS, self.signs):
            text = text.replace(sign, tag)
        return text.split(self.between)[:n]

    def pieces(self) -> list[str]:
        return ["", "", "", *self.names[3:]]

    def save(self, folder: Path | str) -> None:
        vocabulary = {name: i for i, name in enumerate(self.names)}
        made = tokenizers.Tokenizer(models.WordLevel(vocabulary, unk_token=NONE))  # which is none: an error
        made.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
        made.decoder = decoders.Fuse()
        made.add_special_tokens([AddedToken(x, normalized=False, special=True) for x in (PAD, BOS, EOS)])
        made.add_tokens([AddedToken(x, normalized=False) for x in TAGS])
        made.post_processor = _begins_with(BOS, self.bos)
        made.save(str(Path(folder) / FILE))
        _write(Path(folder) / CONFIG, pad_token=PAD, bos_token=BOS, eos_token=EOS)


class FileTokenizer(Tokenizer):
    """What a folder's `tokenizer.json` says.

    Which tokens end a completion is told by `eos_token` in `tokenizer_config.json`, and by `eos_token_id` in
    `generation_config.json` or `config.json`. Raises `ValueError` where a file is missing or damaged, and
    where there is no such token.
    """

    def __init__(self, folder: Path | str) -> None:
        folder = Path(folder)
        self.texts = {name: _text(folder / name) for name in (FILE, CONFIG) if (folder / name).exists()}
        try:
            self.tokenizer = tokenizers.Tokenizer.from_str(self.texts[FILE])
        except KeyError:
            raise ValueError(f"{folder / FILE} is missing") from None
        except Exception as error:  # the library raises nothing more special
            raise ValueError(f"{folder / FILE}: not a tokenizer ({error})") from None
        self.size = 1 + max(self.tokenizer.get_vocab().values())
        config = read_json(folder / CONFIG)
        self.bos = self._id(config.get("bos_token"))
        self.ends = tuple(dict.fromkeys(self._ends(folder, config)))
        if not self.ends:
            raise ValueError(
                f"{folder}: the tokenizer has no token that ends a text: eos_token in {CONFIG} must name one "
                "of its tokens, or no completion would ever end"
            )
        pad = self._id(config.get("pad_token"))
        self.unknown = self._id(getattr(self.tokenizer.model, "unk_token", None))
        self.silent = {*self.ends, self.bos, pad}
        free = (i for i in range(self.size) if i not in self.ends)
        self.pad = pad if pad is not None and pad not in self.ends else next(free)

    def encode(self, text: str) -> np.ndarray:
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[np.ndarray]:
        try:
            found = self.tokenizer.encode_batch(list(texts), add_special_tokens=False)
        except Exception as error:  # the library raises nothing more special
            raise ValueError(f"a text has characters that are not in the vocabulary ({error})") from None
        for text, one in zip(texts, found):
            if self.unknown in one.ids:
                raise ValueError(f"a text has characters that are not in the vocabulary: {text!r:.60}")
        return [np.array(one.ids, np.int64) for one in found]

    def decode(self, ids: Sequence[int] | np.ndarray) -> str:
        heard = [int(i) for i in ids if 0 <= i < self.size and i not in self.silent]
        return self.tokenizer.decode(heard, skip_special_tokens=False)

    def pieces(self) -> list[str]:
        before = self.encode("a").tolist()  # some decoders strip the space before the first token
        start = len(self.tokenizer.decode(before))
        texts = self.tokenizer.decode_batch(
            [[*before, i] for i in range(self.size)], skip_special_tokens=False
        )
        return ["" if i in self.silent else text[start:] for i, text in enumerate(texts)]

    def save(self, folder: Path | str) -> None:
        (Path(folder) / FILE).write_text(self._as_read_here(), encoding="utf-8")
        if CONFIG in self.texts:
            (Path(folder) / CONFIG).write_text(self.texts[CONFIG], encoding="utf-8")
        else:
            _write(Path(folder) / CONFIG, eos_token=str(self.tokenizer.id_to_token(self.eos)))

    def _as_read_here(self) -> str:
        """`tokenizer.json` as it was, unless its usual call adds other tokens than `bos`."""
        if self.tokenizer.encode("").ids == [i for i in (self.bos,) if i is not None]:
            return self.texts[FILE]
        made = tokenizers.Tokenizer.from_str(self.texts[FILE])
        made.post_processor = None
        if self.bos is not None:
            made.post_processor = _begins_with(str(made.id_to_token(self.bos)), self.bos)
        return str(made.to_str())

    def _ends(self, folder: Path, config: Mapping[str, Any]) -> Iterable[int]:
        named = self._id(config.get("eos_token"))
        if named is not None:
            yield named
        for name in ("generation_config.json", "config.json"):
            ids = read_json(folder / name).get("eos_token_id")
            for i in ids if isinstance(ids, list) else [ids]:
                if isinstance(i, int) and 0 <= i < self.size:
                    yield i

    def _id(self, token: Any) -> int | None:
        """The id of a token that a config names (a text, or an object with its `content`)."""
        name = token.get("content") if isinstance(token, Mapping) else token
        return self.tokenizer.token_to_id(name) if isinstance(name, str) else None


def load_tokenizer(folder: Path | str) -> Tokenizer:
    """The tokenizer in a folder: a `CharTokenizer` where one was saved, else a `FileTokenizer`."""
    model = read_json(Path(folder) / FILE).get("model") or {}
    vocabulary = model.get("vocab")
    if model.get("type") == "WordLevel" and isinstance(vocabulary, Mapping):
        ours = CharTokenizer(name for name in vocabulary if len(name) == 1)
        if vocabulary == {name: i for i, name in enumerate(ours.names)}:
            return ours
    return FileTokenizer(folder)


def _begins_with(token: str, id: int) -> processors.TemplateProcessing:
    """What puts a token before every text, where special tokens are asked for."""
    return processors.TemplateProcessing(
        single=[token, "$A"], pair=[token, "$A", "$B"], special_tokens=[(token, id)]
    )


def _write(path: Path, **tokens: str) -> None:
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        "model_input_names": ["input_ids", "attention_mask"],  # older transformers would add another
        "padding_side": "left",  # of several prompts: what is written follows their ends
    }
    path.write_text(json.dumps({**config, **tokens}, indent=2), encoding="utf-8")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: cannot be read ({error})") from None


def read_json(path: Path) -> dict[str, Any]:
    """What a file holds, nothing where there is none; `ValueError` where it is damaged."""
    if not path.exists():
        return {}
    try:
        found = json.loads(_text(path))
    except ValueError as error:
        raise ValueError(f"{path}: damaged ({error})") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path}: damaged (not a JSON object)")
    return found
