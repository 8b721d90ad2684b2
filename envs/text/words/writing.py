"""Writing under constraints: words whose first letters, lengths, letters and syllables are told.

    first:cat;without:es

asks for three words, which begin with c, a and t, and have no e and no s: `crown autumn town`. What can be
told:

    first:cat         what the words begin with, one after the other (an acrostic)
    lengths:5 3 4     how many letters each has
    syllables:7       how many syllables all have together
    without:es        letters that no word has

All words are different, and on the list of `envs.text.words.words`. Syllables are counted by a rule, not by
ear: each row of vowels (a, e, i, o, u, y) is one; but not a last e after a consonant, unless that is an l
after another consonant, or the word has no other vowel. So `make` has 1, `apple` 2, `idea` 2.

Steps write a word a line, with its letters, its syllables, and the syllables so far:

    crown 5 1 1
    autumn 6 2 3
    town 4 1 4

Any words that keep to all constraints are right, and so are their steps.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import combinations
from string import ascii_lowercase, digits
from typing import NamedTuple
from zlib import crc32

import numpy as np

from envs.text.task import Question, Task, Verdict
from envs.text.words.words import words

COMMON = "adeilnorst"
"""Letters that may be forbidden."""
MOST_WORDS = 8
MOST_FORBIDDEN = 3


class Size(NamedTuple):
    """How many words there are, and which constraints."""

    fewest: int
    most: int
    first: bool
    lengths: bool = False
    syllables: bool = False
    without: int = 0


LEVELS = (
    Size(3, 5, True),
    Size(3, 5, True, without=2),
    Size(4, 5, False, lengths=True, without=2),
    Size(4, 6, True, syllables=True),
    Size(5, 6, False, lengths=True, syllables=True, without=3),
    Size(5, 6, True, lengths=True, without=1),
    Size(6, 8, True, lengths=True, syllables=True, without=1),
)
_PROMPT = re.compile(
    r"(?:first:([a-z]{1,8});?)?(?:lengths:([1-9]\d?(?: [1-9]\d?){0,7});?)?"
    r"(?:syllables:([1-9]\d?);?)?(?:without:([a-z]{1,3}))?",
    re.ASCII,
)
_WORDS = re.compile(r"[a-z]{1,20}(?:[\s,]+[a-z]{1,20}){0,99}", re.ASCII)
_STEP = re.compile(r"([a-z]{1,20}) (\d{1,3}) (\d{1,3}) (\d{1,3})", re.ASCII)
_VOWELS = re.compile("[aeiouy]+")
_SILENT = re.compile("(?:[aeiouy]l|[^aeiouyl])e$")


class Told(NamedTuple):
    """What a prompt tells; empty, or 0, where it tells nothing."""

    first: str
    lengths: tuple[int, ...]
    syllables: int
    without: str

    @property
    def places(self) -> int:
        """How many words are asked for."""
        return len(self.first or self.lengths)


class Writing(Task):
    """Three to five first letters at level 1, up to eight words with every constraint at level 7."""

    title = "Writing"
    about = "write words with given first letters, lengths, syllables, and without some letters"
    instructions = (
        "Write different common English words (of 3 to 10 letters) with spaces between. 'first' spells the "
        "letters that they begin with, one after the other; 'lengths' tells how many letters each has; "
        "'syllables' how many syllables they have in all, where each row of vowels (aeiouy) counts as one, "
        "but not a last e after a consonant, unless that is an l after another consonant (apple) or the word "
        "has no other vowel; 'without' lists letters that no word may have. Answer with the words alone."
    )
    levels = len(LEVELS)
    alphabet = ascii_lowercase + digits + " :;\n"
    strategies = ("words",)

    def generate(self, rng: np.random.Generator, level: int) -> Question:
        size, forbidden = LEVELS[level - 1], list(COMMON)
        while True:
            count, *drawn = rng.random(2 + MOST_FORBIDDEN + MOST_WORDS).tolist()
            some = [forbidden.pop(int(x * len(forbidden))) for x in drawn[1 : 1 + size.without]]
            forbidden += some
            without = "".join(sorted(some))
            spelt = _spellable(size.fewest, size.most)
            target = spelt[int(drawn[0] * len(spelt))]
            known, picks = _pool(without), drawn[1 + MOST_FORBIDDEN :]
            if size.first:
                sets: list[Sequence[str]] = [known.get(letter, ()) for letter in target]
            else:
                every = known[""]
                sets = [every] * (size.fewest + int(count * (size.most - size.fewest + 1)))
            chosen = [choices[int(x * len(choices))] for choices, x in zip(sets, picks) if choices]
            if len(set(chosen)) == len(sets):
                lengths = tuple(map(len, chosen)) if size.lengths else ()
                total = sum(map(syllables, chosen)) if size.syllables else 0
                return _ask(Told(target if size.first else "", lengths, total, without), level)

    def understand(self, prompt: str) -> Question:
        found = _PROMPT.fullmatch(prompt)
        first, lengths, total, without = found.groups() if found else (None,) * 4
        numbers = tuple(map(int, (lengths or "").split()))
        told = Told(first or "", numbers, int(total or 0), without or "")
        question = _ask(told, 0)
        if question.prompt != prompt or not told.places or (first and numbers and len(first) != len(numbers)):
            raise ValueError(f"{prompt!r:.60} does not read like first:cat;lengths:5 3 4;without:es")
        if written(told) is None:
            raise ValueError(f"{prompt!r:.60} cannot be kept to with words of the list")
        return question

    def answer(self, question: Question) -> str:
        return " ".join(_written(question))

    def work(self, question: Question, strategy: str) -> str:
        lines, total = [], 0
        for word in _written(question):
            total += syllables(word)
            lines.append(f"{word} {len(word)} {syllables(word)} {total}")
        return "\n".join(lines)

    def check(self, answer: str, question: Question) -> Verdict:
        said = answer.lower()
        if _WORDS.fullmatch(said) is None:
            return Verdict(0.0, False, False, "not words with spaces between")
        fault = next(faults(said.replace(",", " ").split(), Told(*question.data)), "")
        return Verdict(float(not fault), not fault, True, fault)

    def check_steps(self, steps: str, question: Question) -> float:
        told = Told(*question.data)
        lines = [line.strip() for line in steps.strip().split("\n", MOST_WORDS)]
        said: list[str] = []
        total = 0
        for place, line in enumerate(lines[: told.places]):
            found = _STEP.fullmatch(line)
            if found is None or found[1] in said or not _fits(found[1], place, told):
                break
            total += syllables(found[1])
            if found.groups()[1:] != (str(len(found[1])), str(syllables(found[1])), str(total)):
                break
            if place == told.places - 1 and told.syllables not in (0, total):
                break
            said.append(found[1])
        return len(said) / max(len(lines), told.places)

    def chance(self, question: Question) -> float:
        """Of as many words of the list in any order (an upper bound: it counts those with a word twice)."""
        told = Told(*question.data)
        ways = Counter({0: 1})
        for choices in candidates(told):
            ways = _sums(ways, _tally(choices))
        right = ways[told.syllables] if told.syllables else ways.total()
        return min(right / len(words()) ** told.places, 0.5)

    def space(self, level: int) -> float:
        """At least: each word spelt, or three lengths a place, with all letters that can be forbidden."""
        size = LEVELS[level - 1]
        if size.first:
            return float(sum(_free(word, size.without) for word in _spellable(size.fewest, size.most)))
        return float(3**size.most * math.comb(len(COMMON), size.without))


@cache
def syllables(word: str) -> int:
    """How many syllables a word has, by the rule above."""
    rows = len(_VOWELS.findall(word))
    return rows - 1 if rows > 1 and _SILENT.search(word) else rows


def faults(said: Sequence[str], told: Told) -> Iterator[str]:
    """Which constraints words do not keep to."""
    if len(said) != told.places:
        yield f"{len(said)} words, not {told.places}"
    for place, word in enumerate(said[: told.places]):
        if word not in _known():
            yield f"'{word}' is not on the list of words"
        if word in said[:place]:
            yield f"'{word}' is there twice"
        if told.first and word[0] != told.first[place]:
            yield f"'{word}' does not begin with {told.first[place]}"
        if told.lengths and len(word) != told.lengths[place]:
            yield f"'{word}' has {len(word)} letters, not {told.lengths[place]}"
        if set(word) & set(told.without):
            yield f"'{word}' has one of the letters {told.without}"
    total = sum(map(syllables, said))
    if told.syllables not in (0, total):
        yield f"{total} syllables, not {told.syllables}"


def candidates(told: Told) -> list[tuple[str, ...]]:
    """For each place, the words that may stand there."""
    firsts, lengths = told.first or [""] * told.places, told.lengths or [0] * told.places
    return [_choices(letter, length, told.without) for letter, length in zip(firsts, lengths)]


def written(told: Told) -> list[str] | None:
    """Words that keep to all constraints, always the same ones; None where there are none.

    Depth first, from a place of each list that depends on the prompt, so that answers are not all alike; a
    word is tried only where the syllables still to come can make up the rest.
    """
    choices = candidates(told)
    if any(len(each) < count for each, count in Counter(choices).items()):
        return None
    ends = [Counter({0: 1})]
    for each in reversed(choices):
        ends.append(_sums(ends[-1], _tally(each)) if told.syllables else Counter())
    return _rest(choices, ends[-2::-1], crc32(_prompt(told).encode()), told.syllables, [])


def _rest(
    choices: Sequence[tuple[str, ...]], ends: Sequence[Counter[int]], start: int, total: int, said: list[str]
) -> list[str] | None:
    """`said` with words for all places after it; `total` is 0 where syllables do not count."""
    place = len(said)
    if place == len(choices):
        return said
    each, used = choices[place], sum(map(syllables, said))
    for k in range(start, start + len(each)):
        word = each[k % len(each)]
        if word in said or (total and total - used - syllables(word) not in ends[place]):
            continue
        found = _rest(choices, ends, start, total, [*said, word])
        if found:
            return found
    return None


def _written(question: Question) -> list[str]:
    found = written(Told(*question.data))
    assert found is not None
    return found


def _fits(word: str, place: int, told: Told) -> bool:
    return (
        word in _known()
        and not set(word) & set(told.without)
        and (not told.first or word[0] == told.first[place])
        and (not told.lengths or len(word) == told.lengths[place])
    )


def _sums(one: Counter[int], other: Counter[int]) -> Counter[int]:
    """In how many ways two counts add up to each sum."""
    out: Counter[int] = Counter()
    for a, x in one.items():
        for b, y in other.items():
            out[a + b] += x * y
    return out


@cache
def _known() -> frozenset[str]:
    return frozenset(words())


@cache
def _pool(without: str) -> dict[str, tuple[str, ...]]:
    """The words without some letters, by what they begin with; all of them by ""."""
    free = tuple([word for word in words() if not set(word) & set(without)])
    return {"": free} | {c: tuple([w for w in free if w[0] == c]) for c in ascii_lowercase}


@cache
def _choices(letter: str, length: int, without: str) -> tuple[str, ...]:
    """The words that begin with a letter (any, if it is ""), have a length (any, if 0), and lack letters."""
    return tuple([word for word in _pool(without)[letter] if length in (0, len(word))])


@cache
def _tally(choices: tuple[str, ...]) -> Counter[int]:
    """How many words have how many syllables."""
    return Counter(map(syllables, choices))


@cache
def _spellable(fewest: int, most: int) -> tuple[str, ...]:
    """Words that first letters can spell."""
    return tuple([word for word in words() if fewest <= len(word) <= most and _begin(word, "")])


def _begin(word: str, without: str) -> bool:
    """Whether enough words without some letters begin with each letter of one."""
    pool = _pool(without)
    return all(len(pool[letter]) >= count for letter, count in Counter(word).items())


def _free(word: str, count: int) -> int:
    """How many sets of so many letters can be forbidden where a word is spelt."""
    return sum(_begin(word, "".join(letters)) for letters in combinations(COMMON, count))


def _prompt(told: Told) -> str:
    parts = [f"first:{told.first}"] * bool(told.first)
    parts += [f"lengths:{' '.join(map(str, told.lengths))}"] * bool(told.lengths)
    parts += [f"syllables:{told.syllables}"] * bool(told.syllables)
    parts += [f"without:{told.without}"] * bool(told.without)
    return ";".join(parts)


def _ask(told: Told, level: int) -> Question:
    prompt = _prompt(told._replace(without="".join(sorted(set(told.without)))))
    return Question(prompt, tuple(told), prompt, level)
