"""Graph colouring: give every vertex one of k colours, so that no two that are joined have the same.

    3:ab ac ad bc be cd de

Before the colon is the number of colours, after it the edges. Every right colouring is taken:

    a1b2c3d2e1

Steps suppose and conclude, each line from the colours that are left to a vertex (all but those of its
coloured neighbours, and those that were found wrong):

    ?a1        suppose that a has colour 1: only right where each vertex has two or more colours left
    ?b2
    c>3        3 is the only colour left to c
    d>2
    ?e1

and, where they lead nowhere,

    d!a1       d has no colour left: what was supposed last is wrong, what followed from it is taken back,
               and a may not have colour 1

They are complete when all vertices have colours (the vertex with the fewest colours left comes first: Brélaz,
New methods to color the vertices of a graph, 1979).

Problems are made around a hidden colouring: its colours are drawn evenly, then edges evenly from all pairs of
different colours. With 2.3 edges a vertex and 3 colours, or 4.3 and 4, problems are the hardest.
"""

from __future__ import annotations

import math
import re

import numpy as np

from envs.kernels import kernel
from envs.rng import next_below
from envs.text.draws import kernel_rng
from envs.text.parsing import LONGEST_ANSWER
from envs.text.task import Question, Task, Verdict

SIZES = ((6, 9, 3), (7, 12, 3), (8, 15, 3), (10, 21, 3), (14, 31, 3), (18, 41, 3), (26, 60, 3), (26, 112, 4))
"""Vertices, edges and colours, by level."""
LETTERS = "abcdefghijklmnopqrstuvwxyz"
COLOURS = "123456789"
MOST_LINES = 500
"""Lines beyond which nothing is a solution."""
MOST_COUNTED = 1_000_000
"""Colourings that are counted, at most (those that differ in more than the first vertex's colour)."""
SUPPOSED, FORCED, WRONG = range(3)
IMPOSSIBLE, TOO_LONG = -1, -2

_FORM = re.compile(r"([1-9]):((?:[a-z]{2})(?: [a-z]{2}){0,324})")
_LINE = re.compile(r"(?:\?|([a-z])([>!]))([a-z])?([1-9])")
_GAPS = re.compile(r"[\s,;:=]+")


class Coloring(Task):
    """Six vertices and three colours at level 1, 26 and four at level 8."""

    title = "Graph colouring"
    about = "colour a graph so that no two joined vertices have the same colour"
    instructions = (
        "Before the colon is a number of colours k, after it are the edges of a graph, each as the two "
        "vertices that it joins. Give every vertex a colour from 1 to k so that no edge joins two of the "
        "same colour. Answer with every vertex in turn and its colour, such as a1b2c3."
    )
    levels = len(SIZES)
    alphabet = LETTERS + COLOURS + " :?>!\n"
    strategies = ("suppose",)

    def generate(self, rng: np.random.Generator, level: int) -> Question:
        vertices, edges, colours = SIZES[level - 1]
        text = np.empty(3 * edges, np.uint8)
        draw(kernel_rng(rng), vertices, colours, text, MOST_LINES)
        drawn = text[:-1].tobytes().decode()
        prompt = f"{colours}:{drawn}"
        return Question(prompt, (colours, drawn), prompt, level)

    def understand(self, prompt: str) -> Question:
        found = _FORM.fullmatch(prompt)
        edges = found[2].split(" ") if found else []
        if found is None or any(edge[0] >= edge[1] for edge in edges) or len(set(edges)) < len(edges):
            raise ValueError(f"{prompt!r:.60} does not read like 3:ab ac bc, each edge once")
        lines, _, _ = _solved((int(found[1]), found[2]))
        if lines < 0:
            why = "no colouring fits" if lines == IMPOSSIBLE else f"more than {MOST_LINES} steps solve"
            raise ValueError(f"{why} {prompt!r:.60}")
        return Question(prompt, (int(found[1]), found[2]), f"{found[1]}:{' '.join(sorted(edges))}", 0)

    def answer(self, question: Question) -> str:
        return _solved(question.data)[1].tobytes().decode().replace(" ", "")

    def work(self, question: Question, strategy: str) -> str:
        count, _, trace = _solved(question.data)
        return "\n".join([_line(*step) for step in trace[:count].tolist()])

    def check(self, answer: str, question: Question) -> Verdict:
        colours, edges = question.data
        said = _GAPS.sub("", answer) if len(answer) <= LONGEST_ANSWER else ""
        names, given = said[::2], said[1::2]
        known, allowed = vertices(edges), COLOURS[:colours]
        if len(names) != len(known) or set(names) != known or not given or given.strip(allowed):
            parsed = f"not each of {''.join(sorted(known))} once, with a colour from 1 to {colours}"
            return Verdict(0.0, False, False, parsed)
        if len(given) != len(names):
            return Verdict(0.0, False, False, f"{names[-1]} has no colour")
        coloured = edges.translate(str.maketrans(names, given))
        wrong = next((edges[at : at + 2] for c in allowed if (at := coloured.find(c + c)) >= 0), "")
        return Verdict(float(not wrong), not wrong, True, f"{wrong} joins two of a colour" if wrong else "")

    def check_steps(self, steps: str, question: Question) -> float:
        lines = [line.strip() for line in steps.strip().split("\n", MOST_LINES)]
        if len(lines) > MOST_LINES:
            return 0.0
        case = Case(*question.data)
        right = sum([case.take(line) for line in lines])
        return right / max(len(lines), right + len(case.left) - len(case.coloured))

    def chance(self, question: Question) -> float:
        """Of any colours. (Where there are more than a million colourings it is more likely than that.)"""
        colours, edges = question.data
        return float(count(_bytes(edges), colours, MOST_COUNTED)) / float(colours) ** len(vertices(edges))

    def space(self, level: int) -> float:
        """At least: with the colours in turn, a b c a b c …"""
        n, edges, colours = SIZES[level - 1]
        pairs = sum(1 for j in range(n) for i in range(j) if (j - i) % colours)
        return float(math.comb(pairs, edges))


class Case:
    """Which colours are left to each vertex at a point of an argument, and what was supposed on the way."""

    def __init__(self, colours: int, edges: str) -> None:
        self.edges = [(edge[0], edge[1]) for edge in edges.split(" ")]
        self.left = {vertex: frozenset(COLOURS[:colours]) for vertex in vertices(edges)}
        self.coloured: frozenset[str] = frozenset()
        self.supposed: list[tuple[dict[str, frozenset[str]], frozenset[str], str]] = []
        """(what was left before, what was coloured, what was supposed)."""

    def take(self, line: str) -> bool:
        """Go on by a line, if it is right."""
        found = _LINE.fullmatch(line)
        if found is None:
            return False
        by, how, vertex, colour = found.groups()
        if how == ">" and vertex is None:
            return self.left.get(by) == {colour} and self._colour(by, colour)
        if vertex is None or vertex not in self.left or how == ">":
            return False
        if how == "!":
            return self._take_back(by, vertex + colour)
        open_to = [colours for each, colours in self.left.items() if each not in self.coloured]
        if colour not in self.left[vertex] or any(len(colours) < 2 for colours in open_to):
            return False
        before = dict(self.left), self.coloured, vertex + colour
        if not self._colour(vertex, colour):
            return False
        self.supposed.append(before)
        return True

    def _colour(self, vertex: str, colour: str) -> bool:
        if vertex in self.coloured:
            return False
        self.coloured |= {vertex}
        self.left[vertex] = frozenset(colour)
        for one, other in self.edges:
            if vertex in (one, other):
                neighbour = other if one == vertex else one
                self.left[neighbour] -= {colour}
        return True

    def _take_back(self, by: str, wrong: str) -> bool:
        if self.left.get(by) != frozenset() or not self.supposed or self.supposed[-1][2] != wrong:
            return False
        self.left, self.coloured, _ = self.supposed.pop()
        self.left[wrong[0]] -= {wrong[1]}
        return True


def vertices(edges: str) -> set[str]:
    """The vertices that edges join."""
    return set(edges) - {" "}


def _bytes(edges: str) -> np.ndarray:
    return np.frombuffer(edges.encode(), np.uint8)


def _solved(data: tuple[int, str]) -> tuple[int, np.ndarray, np.ndarray]:
    """(how many steps, or why there are none; the answer's bytes, spaces for other letters; the steps)."""
    answer, trace = np.empty(2 * len(LETTERS), np.uint8), np.empty((MOST_LINES, 4), np.int64)
    return solve(_bytes(data[1]), data[0], answer, trace), answer, trace


def _line(kind: int, by: int, vertex: int, colour: int) -> str:
    if kind == FORCED:
        return f"{LETTERS[vertex]}>{colour}"
    return f"{'?' if kind == SUPPOSED else LETTERS[by] + '!'}{LETTERS[vertex]}{colour}"


# -- kernels: edges are their text, colours a bit mask ----------------------------------------------------


@kernel
def draw(rng, vertices, colours, text, most):  # type: ignore[no-untyped-def]
    """Write different edges into `text` (uint8, three for each), in order, that a hidden colouring allows.

    Those that take more than `most` steps are drawn anew.
    """
    answer, trace = np.empty(52, np.uint8), np.empty((most, 4), np.int64)
    while True:
        draw_edges(rng, vertices, colours, text)
        if solve(text[:-1], colours, answer, trace) >= 0:
            return


@kernel
def draw_edges(rng, vertices, colours, text):  # type: ignore[no-untyped-def]
    """`draw`, whatever it takes to solve."""
    joined = np.zeros((vertices, vertices), np.bool_)
    hidden, wanted = np.empty(vertices, np.int64), len(text) // 3
    pairs = 0
    while pairs < wanted:
        for i in range(vertices):
            hidden[i] = next_below(rng, 0, colours)
        pairs = 0
        for j in range(vertices):
            for i in range(j):
                pairs += hidden[i] != hidden[j]
    while wanted > 0:
        i, j = next_below(rng, 0, vertices), next_below(rng, 0, vertices)
        if i < j and hidden[i] != hidden[j] and not joined[i, j]:
            joined[i, j] = True
            wanted -= 1
    at = 0
    for i in range(vertices):
        for j in range(i + 1, vertices):
            if joined[i, j]:
                text[at], text[at + 1], text[at + 2] = 97 + i, 97 + j, 32
                at += 3


@kernel
def graph(text, neighbours):  # type: ignore[no-untyped-def]
    """Fill in the neighbours of each vertex, as bit masks (int64 `[26]`)."""
    neighbours[:] = 0
    for at in range(0, len(text), 3):
        i, j = np.int64(text[at]) - 97, np.int64(text[at + 1]) - 97
        neighbours[i] |= 1 << j
        neighbours[j] |= 1 << i


@kernel
def members(mask):  # type: ignore[no-untyped-def]
    """How many bits are set."""
    size = 0
    while mask:
        mask &= mask - 1
        size += 1
    return size


@kernel
def next_vertex(neighbours, left, coloured):  # type: ignore[no-untyped-def]
    """(the open vertex with the fewest colours left, then with most open neighbours; how many colours)."""
    found, fewest, most = -1, 64, -1
    for v in range(26):
        if neighbours[v] == 0 or coloured >> v & 1:
            continue
        size = members(left[v])
        if size > fewest:
            continue
        degree = members(neighbours[v] & ~coloured)
        if size < fewest or degree > most:
            found, fewest, most = v, size, degree
    return found, fewest


@kernel
def take_from(neighbours, left, v, bit):  # type: ignore[no-untyped-def]
    """Give `v` a colour."""
    left[v] = bit
    mask, u = neighbours[v], 0
    while mask:
        if mask & 1:
            left[u] &= ~bit
        mask >>= 1
        u += 1


@kernel
def solve(text, colours, answer, trace):  # type: ignore[no-untyped-def]
    """Fill in `answer` (uint8 `[52]`, such as a1, and spaces) and `trace` (int64 `[most, 4]`).

    A step is its kind, who has no colour left, the vertex and its colour. Returns the number of steps,
    `IMPOSSIBLE`, or `TOO_LONG`.
    """
    neighbours, left = np.empty(26, np.int64), np.full(26, (1 << colours) - 1)
    graph(text, neighbours)
    saved, coloureds, guesses = np.empty((26, 26), np.int64), np.empty(26, np.int64), np.empty(26, np.int64)
    coloured, depth, steps = 0, 0, 0
    while True:
        v, fewest = next_vertex(neighbours, left, coloured)
        if v == -1:
            break
        if steps == len(trace):
            return TOO_LONG
        kind, by = FORCED if fewest == 1 else SUPPOSED, v
        if fewest == 0:
            if depth == 0:
                return IMPOSSIBLE
            depth -= 1
            kind, v = WRONG, guesses[depth]
            left[:], coloured = saved[depth], coloureds[depth]
        bit = left[v] & -left[v]
        trace[steps, 0], trace[steps, 1], trace[steps, 2], trace[steps, 3] = kind, by, v, members(bit - 1) + 1
        steps += 1
        if kind == WRONG:
            left[v] &= ~bit
            continue
        if kind == SUPPOSED:
            saved[depth], coloureds[depth], guesses[depth] = left, coloured, v
            depth += 1
        take_from(neighbours, left, v, bit)
        coloured |= 1 << v
    for v in range(26):
        answer[2 * v] = 97 + v if neighbours[v] else 32
        answer[2 * v + 1] = 49 + members(left[v] - 1) if neighbours[v] else 32
    return steps


@kernel
def count(text, colours, most):  # type: ignore[no-untyped-def]
    """How many colourings there are (those with the first vertex in its first colour count up to `most`)."""
    neighbours, left = np.empty(26, np.int64), np.full((27, 26), (1 << colours) - 1)
    graph(text, neighbours)
    order, to_try = np.empty(26, np.int64), np.empty(26, np.int64)
    coloured, depth, found = 0, 0, 0
    v, _ = next_vertex(neighbours, left[0], coloured)
    order[0], to_try[0] = v, 1
    while depth >= 0 and found < most:
        v = order[depth]
        if to_try[depth] == 0:
            depth -= 1
            if depth >= 0:
                coloured &= ~(1 << order[depth])
            continue
        bit = to_try[depth] & -to_try[depth]
        to_try[depth] ^= bit
        left[depth + 1] = left[depth]
        take_from(neighbours, left[depth + 1], v, bit)
        coloured |= 1 << v
        u, _ = next_vertex(neighbours, left[depth + 1], coloured)
        if u == -1:
            found += 1
            coloured &= ~(1 << v)
            continue
        depth += 1
        order[depth], to_try[depth] = u, left[depth, u]
    return found * colours
