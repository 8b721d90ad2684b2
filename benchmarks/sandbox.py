"""Programs checked a second: ours in the sandbox, the peer one `subprocess.run([python, "-c", …])` each.

The program is a function of a few lines, checked on five hidden calls. Ours compares the values here; the
peer's process is given the calls and prints the values, compared here as well. Both run two at once.
The peer has no limits and nothing that keeps a program in; ours has all walls that this system offers. All
programs are right, and both sides have to say so. They take turns, and the best turn of each counts.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from benchmarks.race import Turn, race
from benchmarks.report import Row, main
from envs.text.sandbox import Program, Sandbox, canonical

AT_ONCE, ROUNDS, SECONDS = 2, 3, 1.0
SOURCE = """
def runs(text):
    out = []
    for letter in text:
        if out and out[-1][0] == letter:
            out[-1] = (letter, out[-1][1] + 1)
        else:
            out.append((letter, 1))
    return out
"""
HIDDEN = {
    "": [],
    "a": [("a", 1)],
    "aab": [("a", 2), ("b", 1)],
    "abba": [("a", 1), ("b", 2), ("a", 1)],
    "zzzz": [("z", 4)],
}
VALUES = tuple(map(canonical, HIDDEN.values()))
PEERS = {"subprocess.run, python -c": (), "subprocess.run, python -I -S -c": ("-I", "-S")}
OURS, THEIRS = 100, 8
"""Programs a turn."""


def ours(box: Sandbox) -> Turn:
    """A batch in the sandbox."""
    programs = [Program(SOURCE, calls=tuple(("runs", (text,)) for text in HIDDEN))] * OURS

    def turn() -> int:
        for outcome in box.run(programs):
            _demand(outcome.values)
        return OURS

    return turn


def peer(pool: ThreadPoolExecutor, flags: tuple[str, ...]) -> Turn:
    """As many processes of the usual kind."""
    code = f"{SOURCE}\nfor text in {list(HIDDEN)!r}: print(repr(runs(text)))"

    def check(_: int) -> None:
        command = [sys.executable, *flags, "-c", code]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        _demand(tuple(done.stdout.splitlines()))

    def turn() -> int:
        list(pool.map(check, range(THEIRS)))
        return THEIRS

    return turn


def _demand(values: tuple[str, ...]) -> None:
    if values != VALUES:
        raise RuntimeError(f"{values} is not right")


def rows() -> Iterator[Row]:
    """A row for each peer."""
    with Sandbox(AT_ONCE, seconds=60.0) as box, ThreadPoolExecutor(AT_ONCE) as pool:
        turns = {"ours": ours(box)} | {name: peer(pool, flags) for name, flags in PEERS.items()}
        rate = race(turns, ROUNDS, SECONDS)
        what = f"programs, 5 calls each, 2 at once ({len(box.walls)} walls)"
    for name in PEERS:
        yield Row(what, name, rate["ours"], rate[name], 5.0 if not PEERS[name] else None, "programs/s")


if __name__ == "__main__":
    main(rows, __doc__)
