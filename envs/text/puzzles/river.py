"""River crossings: a farmer, a boat, and goods that must not be left alone together.

    abc| 1:ab bc

Before the bar are the goods on the near bank, where the farmer is, after it those on the far bank; then how
many the boat holds beside the farmer, and the pairs that may be on one bank only while the farmer is there.
This is the wolf (a), the goat (b) and the cabbage (c) of Alcuin's eighteenth problem. All are to get to the
far bank. Crossings are what the boat holds, - for nothing:

    b,-,c,b,a,-,b

Any row of such crossings is right; the part `optimal` is 1 where none is shorter. Steps are what is where
after each crossing, with * for the farmer; they may take any way:

    ac|*b
    *ac|b
    a|*bc
    *ab|c
    b|*ac
    *b|ac
    |*abc

Boats are the smallest that will do. How many goods a graph of enemies lets a boat of one size bring over:
Csorba, Hurkens and Woeginger, The Alcuin number of a graph and its connections to the vertex cover number,
2010.
"""

from __future__ import annotations

import math
import re
from itertools import pairwise

import numpy as np

from envs.kernels import kernel
from envs.rng import next_below, next_float
from envs.text.draws import kernel_rng
from envs.text.parsing import LONGEST_ANSWER
from envs.text.task import Question, Task, Verdict

SIZES = ((4, 2, 3), (5, 2, 3), (6, 2, 5), (7, 2, 5), (8, 3, 7), (9, 3, 7), (10, 3, 9))
"""By level: goods, how many of them have all the enemies, and crossings of the shortest solution at least."""
SPACE = (400, 7_830, 68_792, 2_047, 8_191, 32_767, 121_691)
"""Problems, by level: for up to six goods all of them, for more those where everything is on the near bank,
and a and b have all the enemies."""
LETTERS = "abcdefghij"
DENSITY = 0.7
"""Of the pairs that may be enemies, how many are."""
MOST_LINES = 500
"""Lines beyond which nothing is a solution."""
UNREACHED = -1

_FORM = re.compile(r"([a-j]*)\|([a-j]*) ([1-9]|10):([a-j]{2}(?: [a-j]{2}){0,44})")
_CROSSINGS = re.compile(r"(?:[a-j]{1,10}|-)(?:,(?:[a-j]{1,10}|-))*")
_SPACES = re.compile(r"\s+")


class River(Task):
    """Four goods at level 1, ten at level 7. The part `optimal`: it could not be shorter."""

    title = "River crossing"
    about = "bring goods over a river, some of which must not be left alone together"
    instructions = (
        "A farmer is at the near bank of a river with a boat. The letters before the bar are goods on the "
        "near bank, those after it on the far bank. The number is how many of them the boat holds beside "
        "the farmer, who must row. The two goods of each pair after the colon may not be on one bank "
        "while the farmer is on the other. Bring everything to the far bank. Answer with the crossings in "
        "turn, to and fro, each as the goods in the boat, or - for none, such as b,-,a."
    )
    levels = len(SIZES)
    alphabet = LETTERS + "0123456789| :,-*\n"

    def generate(self, rng: np.random.Generator, level: int) -> Question:
        goods, hubs, fewest = SIZES[level - 1]
        enemies = np.empty(goods, np.int64)
        near, boat = draw(kernel_rng(rng), hubs, DENSITY, fewest, enemies)
        return _ask(near, boat, tuple(enemies.tolist()), level)

    def understand(self, prompt: str) -> Question:
        found = _FORM.fullmatch(prompt)
        near, far, boat, pairs = found.groups() if found else ("", "", "1", "")
        letters = LETTERS[: len(near + far)]
        enemies = [0] * len(letters)
        for pair in pairs.split(" ") if found else ():
            one, other = pair[0], pair[1]
            if one < other and other in letters:
                enemies[ord(one) - ord("a")] |= _mask(other)
                enemies[ord(other) - ord("a")] |= _mask(one)
        question = _ask(_mask(near), int(boat), tuple(enemies), 0)
        if found is None or question.prompt != prompt:
            raise ValueError(f"{prompt!r:.60} does not read like ac|b 1:ab bc, all in the alphabet's order")
        if _measured(question)[0][2 * _mask(near)] in (UNREACHED, 0):
            raise ValueError(f"{prompt!r:.60} has no solution")
        return question

    def answer(self, question: Question) -> str:
        nears = _way(question)
        return ",".join([_spell(one ^ other) or "-" for one, other in pairwise(nears)])

    def work(self, question: Question, strategy: str) -> str:
        goods = len(question.data[2])
        return "\n".join([_position(near, goods, i % 2) for i, near in enumerate(_way(question))][1:])

    def check(self, answer: str, question: Question) -> Verdict:
        said = _SPACES.sub("", answer) if len(answer) <= LONGEST_ANSWER else ""
        if _CROSSINGS.fullmatch(said) is None:
            return Verdict(0.0, False, False, "not crossings such as b,-,a", {"optimal": 0.0})
        near, boat, enemies = question.data
        crossings = said.split(",")
        for i, goods in enumerate(crossings):
            load = _mask(goods)
            here = _whole(enemies) ^ near if i % 2 else near
            twice = len(goods) > max(1, load.bit_count())
            flaw = "something twice" if twice else _flaw(load, here, boat, enemies)
            if flaw:
                return Verdict(0.0, False, True, f"crossing {i + 1}, {goods}: {flaw}", {"optimal": 0.0})
            near ^= load
        if near:
            return Verdict(0.0, False, True, f"{_spell(near)} left on the near bank", {"optimal": 0.0})
        optimal = len(crossings) == len(_way(question)) - 1
        return Verdict(1.0, True, True, "", {"optimal": float(optimal)})

    def check_steps(self, steps: str, question: Question) -> float:
        lines = [line.strip() for line in steps.strip().split("\n", MOST_LINES)]
        if len(lines) > MOST_LINES:
            return 0.0
        near, boat, enemies = question.data
        right = 0
        for line in lines:
            after = _mask(line.partition("|")[0].strip("*"))
            load, here = near ^ after, _whole(enemies) ^ near if right % 2 else near
            legal = not _flaw(load, here, boat, enemies)
            if legal and line == _position(after, len(enemies), (right + 1) % 2):
                near, right = after, right + 1
        return right / max(len(lines), right + (near != 0))

    def chance(self, question: Question) -> float:
        """Of any crossings, as many as the shortest solution has, each with what the boat can hold."""
        start, boat, enemies = question.data
        far, ways = _measured(question)
        loads = sum(math.comb(len(enemies), size) for size in range(min(boat, len(enemies)) + 1))
        return float(ways[2 * start]) / float(loads) ** int(far[2 * start])

    def space(self, level: int) -> float:
        return float(SPACE[level - 1])


def _ask(near: int, boat: int, enemies: tuple[int, ...], level: int) -> Question:
    """The question; `near` and the enemies of each of the goods are bit masks."""
    pairs = [
        f"{LETTERS[i]}{LETTERS[j]}"
        for i, mask in enumerate(enemies)
        for j in range(i + 1, len(enemies))
        if mask >> j & 1
    ]
    prompt = f"{_spell(near)}|{_spell(_whole(enemies) ^ near)} {boat}:{' '.join(pairs)}"
    return Question(prompt, (near, boat, enemies), prompt, level)


def _whole(enemies: tuple[int, ...]) -> int:
    return (1 << len(enemies)) - 1


def _mask(goods: str) -> int:
    """The bit mask of goods; letters that are none are left out."""
    return sum([1 << i for i, letter in enumerate(LETTERS) if letter in goods])


def _spell(mask: int) -> str:
    return "".join([letter for i, letter in enumerate(LETTERS) if mask >> i & 1])


def _position(near: int, goods: int, crossed: int) -> str:
    banks = [_spell(near), _spell(((1 << goods) - 1) ^ near)]
    banks[crossed] = f"*{banks[crossed]}"
    return "|".join(banks)


def _flaw(load: int, here: int, boat: int, enemies: tuple[int, ...]) -> str:
    """What is wrong with a crossing from a bank, before which `here` is on it."""
    if load & ~here:
        return f"{_spell(load & ~here)} not on that bank"
    if load.bit_count() > boat:
        return "more than the boat holds"
    left = here ^ load
    for i, mask in enumerate(enemies):
        if left >> i & 1 and mask & left:
            return f"{_spell(1 << i | mask & left & -(mask & left))} alone together"
    return ""


def _measured(question: Question) -> tuple[np.ndarray, np.ndarray]:
    """How many crossings each position is from the end, and how many shortest solutions; see `measure`."""
    _, boat, enemies = question.data
    far = np.empty(2 << len(enemies), np.int64)
    ways = np.empty(len(far), np.float64)
    measure(np.array(enemies, np.int64), boat, far, ways)
    return far, ways


def _way(question: Question) -> list[int]:
    """The goods on the near bank before and after each crossing of a shortest solution."""
    near, boat, _ = question.data
    far, _ = _measured(question)
    nears = np.empty(far[2 * near] + 1, np.int64)
    nears[0] = near
    cross(far, boat, nears)
    found: list[int] = nears.tolist()
    return found


# -- kernels: at position 2m the near bank has the goods in mask m and the farmer, at 2m+1 the goods alone --


@kernel
def draw(rng, hubs, density, fewest, enemies):  # type: ignore[no-untyped-def]
    """Fill in who is an enemy of each of the goods (bit masks, int64); returns (near, boat).

    Pairs of which one is among the hubs, who are drawn evenly, are enemies with probability `density`.
    """
    goods = len(enemies)
    whole = (1 << goods) - 1
    far, ways = np.empty(2 << goods, np.int64), np.empty(2 << goods, np.float64)
    while True:
        chosen, left = 0, hubs
        while left > 0:
            bit = 1 << next_below(rng, 0, goods)
            left -= chosen & bit == 0
            chosen |= bit
        enemies[:] = 0
        for i in range(goods):
            for j in range(i):
                if chosen & (1 << i | 1 << j) and next_float(rng, 0) < density:
                    enemies[i] |= 1 << j
                    enemies[j] |= 1 << i
        near = 1 + next_below(rng, 0, whole)
        if not enemies.any() or not peaceful(enemies, whole ^ near):
            continue
        boat = 1
        measure(enemies, boat, far, ways)
        while far[2 * near] == UNREACHED:
            boat += 1
            measure(enemies, boat, far, ways)
        if far[2 * near] >= fewest:
            return near, boat


@kernel
def peaceful(enemies, bank):  # type: ignore[no-untyped-def]
    """Whether no two goods on a bank are enemies."""
    alone = True
    for i in range(len(enemies)):
        alone &= not (bank >> i & 1 and enemies[i] & bank)
    return alone


@kernel
def members(mask):  # type: ignore[no-untyped-def]
    """How many bits are set."""
    size = 0
    while mask:
        mask &= mask - 1
        size += 1
    return size


@kernel
def measure(enemies, boat, far, ways):  # type: ignore[no-untyped-def]
    """Fill in how many crossings each position is from the end, and how many shortest ways lead there.

    `UNREACHED` are positions without a solution, those too in which enemies are left alone. As crossings may
    be taken back, this goes from the end on.
    """
    whole = (1 << len(enemies)) - 1
    safe = np.empty(whole + 1, np.bool_)
    for bank in range(whole + 1):
        safe[bank] = peaceful(enemies, bank)
    far[:] = UNREACHED
    ways[:] = 0
    queue = np.empty(len(far), np.int64)
    queue[0] = 1
    far[1], ways[1] = 0, 1
    head, tail = 0, 1
    while head < tail:
        at = queue[head]
        head += 1
        near = at >> 1
        here = whole ^ near if at & 1 else near
        load = here
        while True:  # all that can be in the boat
            to = 2 * (near ^ load) + 1 - (at & 1)
            if members(load) <= boat and safe[here ^ load]:
                if far[to] == UNREACHED:
                    far[to] = far[at] + 1
                    queue[tail] = to
                    tail += 1
                if far[to] == far[at] + 1:
                    ways[to] += ways[at]
            if load == 0:
                break
            load = (load - 1) & here


@kernel
def cross(far, boat, nears):  # type: ignore[no-untyped-def]
    """Fill in a shortest way from `nears[0]` on, by the smallest boatloads there are."""
    whole = len(far) // 2 - 1
    for i in range(len(nears) - 1):
        side, near = i & 1, nears[i]
        here = whole ^ near if side else near
        best, load = -1, here
        while True:
            to = 2 * (near ^ load) + 1 - side
            nearer = members(load) <= boat and far[to] == far[2 * near + side] - 1
            if nearer and (best == -1 or members(load) < members(best)):
                best = load
            if load == 0:
                break
            load = (load - 1) & here
        nears[i + 1] = near ^ best
