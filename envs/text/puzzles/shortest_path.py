"""Shortest paths in a graph whose edges have lengths.

    a-e:ab4 ac7 bc1 bd9 cd3 de2

From where to where stands before the colon, after it the edges with their lengths; they may be walked either
way. The answer is a shortest path, any if there are several:

    abcde

Steps settle vertices, the nearest first, with their distance from the start and the vertex before (Dijkstra,
A note on two problems in connexion with graphs, 1959):

    b4a
    c5b
    d8c
    e10d

They are complete when the goal is settled.
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

SIZES = ((4, 5), (5, 7), (6, 10), (8, 14), (10, 20), (14, 30), (20, 44), (26, 65))
"""Vertices and edges, by level."""
LETTERS = "abcdefghijklmnopqrstuvwxyz"
LONGEST = 9
"""An edge, at most; at least it is 1."""
FAR = 1 << 30

_FORM = re.compile(r"[a-z]-[a-z]:[a-z]{2}[1-9](?: [a-z]{2}[1-9]){0,324}")
_GAPS = re.compile(r"[\s,>-]+")
_LINE = re.compile(r"([a-z])([1-9][0-9]{0,5})([a-z])")


class ShortestPath(Task):
    """Four vertices at level 1, 26 at level 8. The shortest path has two edges or more."""

    title = "Shortest path"
    about = "a shortest path in a graph whose edges have lengths"
    instructions = (
        "The two letters before the colon are the start and the goal. After it are the edges of a graph, "
        "each as the two vertices that it joins and its length; edges may be walked either way. Find a "
        "path from the start to the goal whose total length is as small as possible. Answer with its "
        "vertices in turn, the start and the goal too, such as acbe."
    )
    levels = len(SIZES)
    alphabet = LETTERS + "0123456789 -:\n"
    strategies = ("dijkstra",)

    def generate(self, rng: np.random.Generator, level: int) -> Question:
        vertices, edges = SIZES[level - 1]
        text = np.empty(4 + 4 * edges, np.uint8)
        draw(kernel_rng(rng), vertices, text)
        return _ask(text[:-1].tobytes().decode(), level)

    def understand(self, prompt: str) -> Question:
        edges = prompt[4:].split(" ")
        in_order = sorted({edge[:2] for edge in edges}) == [edge[:2] for edge in edges]
        if _FORM.fullmatch(prompt) is None or not in_order or any(edge[0] >= edge[1] for edge in edges):
            raise ValueError(f"{prompt!r:.60} does not read like a-c:ab4 ac7 bc1, its edges in order")
        if prompt[0] == prompt[2] or solved(_bytes(prompt))[0] < 2:
            raise ValueError(f"{prompt!r:.60}: no path, or a single edge at most, leads from start to goal")
        return _ask(prompt, 0)

    def answer(self, question: Question) -> str:
        size, path, _, _ = solved(_bytes(question.data))
        return path[: size + 1].tobytes().decode()

    def work(self, question: Question, strategy: str) -> str:
        _, _, settled, lines = solved(_bytes(question.data))
        return "\n".join([f"{LETTERS[v]}{far}{LETTERS[u]}" for v, far, u in settled[:lines].tolist()])

    def check(self, answer: str, question: Question) -> Verdict:
        path = _GAPS.sub("", answer) if len(answer) <= LONGEST_ANSWER else ""
        if len(path) < 2 or not path.isascii() or not path.isalpha() or not path.islower():
            return Verdict(0.0, False, False, "not a row of vertices")
        start, goal = question.data[0], question.data[2]
        if path[0] != start or path[-1] != goal:
            return Verdict(0.0, False, True, f"not from {start} to {goal}")
        longer = excess(_bytes(question.data), _bytes(path))
        if longer < 0:
            return Verdict(0.0, False, True, f"{path[~longer : ~longer + 2]} is no edge")
        return Verdict(float(longer == 0), longer == 0, True, f"longer by {longer}" if longer else "")

    def check_steps(self, steps: str, question: Question) -> float:
        lines = [line.strip() for line in steps.strip().split("\n", len(LETTERS))]
        settling = Settling(question.data)
        right = sum([settling.take(line) for line in lines])
        return right / max(len(lines), right + (not settling.complete()))

    def chance(self, question: Question) -> float:
        """Of all rows of different vertices from the start to the goal."""
        others = len(set(question.data[4:]) & set(LETTERS)) - 2
        rows = sum(math.perm(others, between) for between in range(others + 1))
        return float(ways(_bytes(question.data))) / rows

    def space(self, level: int) -> float:
        """At least: from the first vertex to the last where all are joined in turn, but not those two."""
        vertices, edges = SIZES[level - 1]
        pairs = math.comb(vertices, 2)
        return float(math.comb(pairs - vertices, edges - vertices + 1)) * float(LONGEST) ** edges


class Settling:
    """Which vertices are settled, and how far they are."""

    def __init__(self, prompt: str) -> None:
        self.goal = prompt[2]
        self.far = {prompt[0]: 0}
        edges = [(edge[0], edge[1], int(edge[2])) for edge in prompt[4:].split(" ")]
        self.edges = edges + [(other, one, length) for one, other, length in edges]

    def complete(self) -> bool:
        """Whether the goal is settled."""
        return self.goal in self.far

    def take(self, line: str) -> bool:
        """Settle a vertex, if the line is right."""
        found = _LINE.fullmatch(line)
        if found is None or self.complete():
            return False
        vertex, far, before = found[1], int(found[2]), found[3]
        reached = [
            (self.far[one] + length, other, one)
            for one, other, length in self.edges
            if one in self.far and other not in self.far
        ]
        if (far, vertex, before) not in reached or far > min(reached)[0]:
            return False
        self.far[vertex] = far
        return True


def _ask(prompt: str, level: int) -> Question:
    """The question; from either end, it is the same problem."""
    return Question(
        prompt, prompt, prompt if prompt[0] < prompt[2] else f"{prompt[2::-1]}{prompt[3:]}", level
    )


def _bytes(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), np.uint8)


def solved(text: np.ndarray) -> tuple[int, np.ndarray, np.ndarray, int]:
    """(edges of the shortest path, -1 without one; its letters; what is settled; how many those are)."""
    path, settled = np.empty(len(LETTERS), np.uint8), np.empty((len(LETTERS), 3), np.int64)
    size, lines = solve(text, path, settled)
    return size, path, settled, lines


# -- kernels: a graph is the text of its prompt -----------------------------------------------------------


@kernel
def draw(rng, vertices, text):  # type: ignore[no-untyped-def]
    """Write a prompt into `text` (uint8; four and four for each edge), edges in order.

    A tree joins every vertex to one before it, in an order drawn evenly; further edges are drawn evenly.
    """
    order = np.arange(vertices)
    path, settled = np.empty(26, np.uint8), np.empty((26, 3), np.int64)
    size = 0
    while size < 2:
        lengths = np.zeros((vertices, vertices), np.int64)
        for i in range(vertices - 1, 0, -1):
            j = next_below(rng, 0, i + 1)
            order[i], order[j] = order[j], order[i]
        for i in range(1, vertices):
            u, v = order[i], order[next_below(rng, 0, i)]
            lengths[min(u, v), max(u, v)] = 1 + next_below(rng, 0, 9)
        more = len(text) // 4 - vertices
        while more > 0:
            u, v = next_below(rng, 0, vertices), next_below(rng, 0, vertices)
            if u < v and lengths[u, v] == 0:
                lengths[u, v] = 1 + next_below(rng, 0, 9)
                more -= 1
        goal = 1 + next_below(rng, 0, vertices - 1)
        text[0], text[1], text[2], text[3] = 97 + order[0], 45, 97 + order[goal], 58
        at = 4
        for u in range(vertices):
            for v in range(u + 1, vertices):
                if lengths[u, v]:
                    text[at], text[at + 1], text[at + 2], text[at + 3] = (
                        97 + u,
                        97 + v,
                        48 + lengths[u, v],
                        32,
                    )
                    at += 4
        size, _ = solve(text[:-1], path, settled)


@kernel
def matrix(text):  # type: ignore[no-untyped-def]
    """The lengths of all edges, int64 `[26, 26]`, 0 where there is none."""
    lengths = np.zeros((26, 26), np.int64)
    for at in range(4, len(text), 4):
        u, v = np.int64(text[at]) - 97, np.int64(text[at + 1]) - 97
        lengths[u, v] = lengths[v, u] = np.int64(text[at + 2]) - 48
    return lengths


@kernel
def solve(text, path, settled):  # type: ignore[no-untyped-def]
    """Fill in `path` (uint8 `[26]`) and `settled` (int64 `[26, 3]`: vertex, distance, the vertex before).

    Returns (edges of the path, or -1 where there is none; vertices settled after the start).
    """
    lengths = matrix(text)
    start, goal = np.int64(text[0]) - 97, np.int64(text[2]) - 97
    far, before, done = np.full(26, FAR), np.full(26, -1), np.zeros(26, np.bool_)
    far[start] = 0
    lines = 0
    while True:
        u = -1
        for v in range(26):
            if not done[v] and far[v] < FAR and (u == -1 or far[v] < far[u]):
                u = v
        if u == -1:
            return -1, lines
        done[u] = True
        if u != start:
            settled[lines, 0], settled[lines, 1], settled[lines, 2] = u, far[u], before[u]
            lines += 1
        if u == goal:
            break
        for v in range(26):
            if lengths[u, v] and far[u] + lengths[u, v] < far[v]:
                far[v], before[v] = far[u] + lengths[u, v], u
    size, at = 0, goal
    while at != start:
        at = before[at]
        size += 1
    at = goal
    for i in range(size, -1, -1):
        path[i] = 97 + at
        at = before[at]
    return size, lines


@kernel
def excess(text, path):  # type: ignore[no-untyped-def]
    """By how much a path is longer than the shortest one; ~i where there is no edge after its i-th vertex."""
    lengths, total = matrix(text), 0
    for i in range(len(path) - 1):
        length = lengths[np.int64(path[i]) - 97, np.int64(path[i + 1]) - 97]
        if length == 0:
            return ~i
        total += length
    best, settled = np.empty(26, np.uint8), np.empty((26, 3), np.int64)
    _, lines = solve(text, best, settled)
    return total - settled[lines - 1, 1]


@kernel
def ways(text):  # type: ignore[no-untyped-def]
    """How many shortest paths there are."""
    path, settled = np.empty(26, np.uint8), np.empty((26, 3), np.int64)
    _, lines = solve(text, path, settled)
    lengths, far, count = matrix(text), np.full(26, -1), np.zeros(26, np.int64)
    start = np.int64(text[0]) - 97
    far[start], count[start] = 0, 1
    for i in range(lines):
        v = settled[i, 0]
        far[v] = settled[i, 1]
        for u in range(26):
            if lengths[u, v] and far[u] >= 0 and far[u] + lengths[u, v] == far[v]:
                count[v] += count[u]
    return count[np.int64(text[2]) - 97]
