"""What every board game is: a few rules as kernels over one state, all of one signature.

A state is a row of uint64 words. Word 0, the header, is the same in every game: how many plies were played,
whose turn it is, and how the game ended. The other words are the game's own.

    header   bits 0..15 ply   bit 16 to_play   bits 17..18 outcome (0 open, 1 draw, 2 first won, 3 second won)

The rules are called by address (`envs.kernels.calling`), so that batches, searches and counts are compiled
once for all games, a user's too, and know none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numba import types

from envs.kernels import address, calling, kernel

PLY_BITS = np.uint64(0xFFFF)
ONE_PLY = np.uint64(1)
TURN_SHIFT, TURN_BIT = np.uint64(16), np.uint64(1 << 16)
OUTCOME_SHIFT, OUTCOME_BITS = np.uint64(17), np.uint64(3)
OPEN, DRAW, FIRST_WON, SECOND_WON = range(4)
MOST_ACTIONS = (1 << 15) - 1
OUTCOMES = ("open", "draw", "first won", "second won")

STATE = types.Array(types.uint64, 1, "C")
RULES = types.Array(types.int64, 1, "C")
MASK = types.Array(types.boolean, 1, "C")
GENERATORS = types.Array(types.uint64, 1, "C")

SIGNATURES = {
    "start": types.void(STATE, RULES),
    "legal": types.int64(STATE, RULES, MASK),
    "play": types.void(STATE, RULES, types.int64),
    "observe": types.void(STATE, RULES, MASK),
    "playout": types.int64(STATE, RULES, GENERATORS, types.int64),
}
"""The rules of a game, in the order of `Game.code`:

* `start(state, rules)` writes the first position.
* `legal(state, rules, mask) -> count` writes which actions are legal (none once the game is over).
* `play(state, rules, action)` plays a legal action, and keeps the header right.
* `observe(state, rules, planes)` draws bool `[rows · columns · planes]`, from the view of the seat to move.
* `playout(state, rules, rng, i) -> outcome` plays on at random to the end (on `state` itself), with the
  generator `rng[i]`. It may be left out: `legal` and `play` do the same more slowly.
"""
START, LEGAL, PLAY, OBSERVE, PLAYOUT = range(len(SIGNATURES))

call_start, call_legal, call_play, call_observe, call_playout = map(calling, SIGNATURES.values())


@dataclass(frozen=True)
class Game:
    """One game with its options fixed, such as go on 9×9 with 7.5 komi.

    `name` is the game's file or import path, and `options` what it was made with: enough to make it again.
    """

    name: str
    title: str
    options: Mapping[str, Any]
    shape: tuple[int, int]
    """Rows and columns of the board."""
    planes: tuple[str, ...]
    """What each plane of an observation `[rows, columns, planes]` shows."""
    actions: int
    words: int
    """uint64 words of a state, the header among them."""
    longest: int
    """Plies after which every game is over."""
    rules: Mapping[str, Callable[..., Any]]
    """The kernels, by the names of `SIGNATURES`."""
    numbers: tuple[int, ...] = ()
    """What the kernels get as `rules`, int64 `[k]`: a size, a komi."""
    cell_maps: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.int64))
    """int64 `[symmetries, rows · columns]`: cell `c` of the mirrored board is the board's cell `map[c]`."""
    action_maps: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.int64))
    """int64 `[symmetries, actions]`: the same for actions. The first symmetry leaves all as it is."""
    move_text: Callable[[int], str] = str
    """An action as people write it."""
    parse_move: Callable[[str], int] = int
    """The reverse (`ValueError` for what is no move of this game)."""
    board_text: Callable[[np.ndarray], str] = str
    """A state `[words]` drawn in text, a line a row."""
    aims: tuple[str, str] = ("", "")
    """What the first player does and what the second, as in "x goes up", where that differs."""
    flaw: Callable[[np.ndarray], str] = lambda state: ""
    """What makes a state `[words]` impossible, in words; empty where nothing is known against it."""

    def __post_init__(self) -> None:
        if self.actions > MOST_ACTIONS:
            said = (
                f"{self.actions} actions, where {MOST_ACTIONS} are the most: searches number them in 16 bits"
            )
            raise ValueError(f"game '{self.name}' has {said}")
        addresses = [
            address(self.rules[name], signature) if name in self.rules else 0
            for name, signature in SIGNATURES.items()
        ]
        numbers = np.array(self.numbers or (0,), np.int64)
        object.__setattr__(self, "code", (np.array(addresses, np.int64), numbers))

    code: tuple[np.ndarray, np.ndarray] = field(init=False, repr=False, compare=False)
    """What kernels are given: (addresses of the rules, their `numbers`). Good in this process only."""

    def __reduce__(self) -> Any:
        from envs.board import load

        return load, (self.name, dict(self.options))

    def __deepcopy__(self, memo: Any) -> Game:
        return self

    def new(self, n: int = 1) -> np.ndarray:
        """`n` first positions, uint64 `[n, words]`."""
        states = np.zeros((n, self.words), np.uint64)
        for state in states:
            start(self.code, state)
        return states

    def check(self, states: Any) -> np.ndarray:
        """`states` as uint64 `[n, words]`; `ValueError` that says what is wrong with which slot."""
        states = self.shaped(states)
        for slot, state in enumerate(states):
            said = self.header_flaw(int(state[0])) or self.flaw(state)
            if said:
                raise ValueError(f"slot {slot} holds no position of {self.name}: {said}")
        return states

    def shaped(self, states: Any) -> np.ndarray:
        """`states` as one block of memory; `ValueError` where they are not uint64 `[n, words]`."""
        states = np.asarray(states)
        if states.ndim != 2 or states.shape[1] != self.words or states.dtype != np.uint64:
            got = f"{states.dtype} {list(states.shape)}"
            raise ValueError(f"states of {self.name} are uint64 [n, {self.words}], not {got}")
        return np.ascontiguousarray(states)

    def header_flaw(self, header: int) -> str:
        """What makes a header impossible, in words; empty where nothing is known against it."""
        if header >> 19:
            return "the header has bits that mean nothing"
        count = header & 0xFFFF
        if count > self.longest:
            return f"{count} plies, where {self.longest} are the most"
        if count == self.longest and header >> 17 == OPEN:
            return f"it goes on after {count} plies, the most there are"
        return ""


# -- the header, for kernels -------------------------------------------------------------------------------


@kernel
def ply(state):  # type: ignore[no-untyped-def]
    """Plies played."""
    return np.int64(state[0] & PLY_BITS)


@kernel
def to_play(state):  # type: ignore[no-untyped-def]
    """The seat to move, 0 or 1 (of a game that is over: who would be)."""
    return np.int64((state[0] >> TURN_SHIFT) & ONE_PLY)


@kernel
def outcome(state):  # type: ignore[no-untyped-def]
    """OPEN, DRAW, FIRST_WON or SECOND_WON."""
    return np.int64((state[0] >> OUTCOME_SHIFT) & OUTCOME_BITS)


@kernel
def value_of(outcome, seat):  # type: ignore[no-untyped-def]
    """What an outcome is worth to a seat: 1, 0 or −1."""
    if outcome <= DRAW:
        return 0
    return 1 if outcome - FIRST_WON == seat else -1


@kernel
def pass_turn(state):  # type: ignore[no-untyped-def]
    """A ply was played, and it is the other seat's turn."""
    state[0] = (state[0] + ONE_PLY) ^ TURN_BIT


@kernel
def finish(state, outcome):  # type: ignore[no-untyped-def]
    """The game is over."""
    state[0] |= np.uint64(outcome) << OUTCOME_SHIFT


# -- the rules of any game, for kernels --------------------------------------------------------------------


@kernel
def start(code, state):  # type: ignore[no-untyped-def]
    """Write the first position."""
    call_start(code[0][START], (state, code[1]))


@kernel
def legal(code, state, mask):  # type: ignore[no-untyped-def]
    """Write which actions are legal; returns how many are."""
    return call_legal(code[0][LEGAL], (state, code[1], mask))


@kernel
def play(code, state, action):  # type: ignore[no-untyped-def]
    """Play a legal action."""
    call_play(code[0][PLAY], (state, code[1], np.int64(action)))


@kernel
def observe(code, state, planes):  # type: ignore[no-untyped-def]
    """Draw the observation of the seat to move."""
    call_observe(code[0][OBSERVE], (state, code[1], planes))
