"""The stones of a game of go, as kernels: chains and captures, repetition, where to play, and the area.

A chain is found by a flood that grows all cells of a word at once: quick enough to keep no lists of chains.
What is kept is which stones are in atari: that alone decides what a move captures, and where it may live.
"""

from __future__ import annotations

import numpy as np

from envs.board.bits import ONE, ZERO, count
from envs.board.game import DRAW, FIRST_WON, OPEN, SECOND_WON, outcome, pass_turn, ply, to_play
from envs.board.go_bits import (
    ATARI,
    BITS,
    EMPTY,
    EVER,
    FILTER,
    FILTER_BITS,
    FIRST_BIT,
    HISTORY,
    KEYS,
    KOMI,
    LAST,
    LEGAL,
    PASSED,
    SIZE,
    STONES,
    STRIDE,
    WORDS,
    WORK,
    add,
    around,
    board_at,
    clear,
    draw_bit,
    drop,
    has,
    lowest,
    neighbours,
)
from envs.kernels import kernel

# -- chains ------------------------------------------------------------------------------------------------


@kernel
def flood(state, rules, board, hurried):  # type: ignore[no-untyped-def]
    """Grow WORK over all that hangs together with it on a bitboard.

    Where `hurried`, stop as soon as two empty cells beside it are seen, and return False.
    """
    work, empty, at = board_at(rules, WORK), board_at(rules, EMPTY), board_at(rules, board)
    stride, growing = np.uint64(rules[STRIDE]), True
    while growing:
        growing = False
        for w in range(rules[WORDS]):
            allowed, before, grown = state[at + w], ZERO, state[work + w]
            grown |= around(state[work + w - 1], ZERO, state[work + w + 1], stride) & allowed
            while grown != before:
                before, beside = grown, around(ZERO, grown, ZERO, stride)
                free = beside & state[empty + w]
                if hurried and free & (free - ONE):
                    return False
                grown |= beside & allowed
            growing |= grown != state[work + w]
            state[work + w] = grown
    return True


@kernel
def take(state, rules, seat, bit):  # type: ignore[no-untyped-def]
    """WORK becomes what a stone of `seat` at `bit` captures."""
    work, theirs, atari = board_at(rules, WORK), board_at(rules, STONES + 1 - seat), board_at(rules, ATARI)
    clear(state, rules, WORK)
    found = False
    for near in neighbours(rules, bit):
        if has(state, theirs, near) and has(state, atari, near):
            add(state, work, near)
            found = True
    if found:
        flood(state, rules, STONES + 1 - seat, False)


@kernel
def lift(state, rules, seat):  # type: ignore[no-untyped-def]
    """Take the stones in WORK, which are of `seat`, off the board; WORK becomes the cells beside them."""
    work, empty, atari = board_at(rules, WORK), board_at(rules, EMPTY), board_at(rules, ATARI)
    stones, stride, low = board_at(rules, STONES + seat), np.uint64(rules[STRIDE]), ZERO
    for w in range(rules[WORDS]):
        taken = state[work + w]
        state[stones + w] ^= taken
        state[empty + w] |= taken
        state[atari + w] &= ~taken
        state[work + w] = around(low, taken, state[work + w + 1], stride)
        low = taken


@kernel
def relieve(state, rules, seat):  # type: ignore[no-untyped-def]
    """The chains of `seat` that have a stone in WORK are in atari no more."""
    work, stones, atari = board_at(rules, WORK), board_at(rules, STONES + seat), board_at(rules, ATARI)
    found = ZERO
    for w in range(rules[WORDS]):
        state[work + w] &= state[stones + w] & state[atari + w]
        found |= state[work + w]
    if found:
        flood(state, rules, STONES + seat, False)
        for w in range(rules[WORDS]):
            state[atari + w] &= ~state[work + w]


@kernel
def mark_atari(state, rules, seat, bit):  # type: ignore[no-untyped-def]
    """Mark the chain of `seat` at `bit` if it has one liberty."""
    work, empty, atari = board_at(rules, WORK), board_at(rules, EMPTY), board_at(rules, ATARI)
    clear(state, rules, WORK)
    add(state, work, bit)
    if not flood(state, rules, STONES + seat, True):
        return
    liberties, stride = 0, np.uint64(rules[STRIDE])
    for w in range(rules[WORDS]):
        beside = around(state[work + w - 1], state[work + w], state[work + w + 1], stride)
        liberties += count(beside & state[empty + w])
    if liberties == 1:
        for w in range(rules[WORDS]):
            state[atari + w] |= state[work + w]


# -- plies -------------------------------------------------------------------------------------------------


@kernel
def place(state, rules, bit):  # type: ignore[no-untyped-def]
    """The mover puts a stone at `bit`, where it may, and takes what that captures."""
    seat = to_play(state)
    mine, theirs = board_at(rules, STONES + seat), board_at(rules, STONES + 1 - seat)
    position = hash_after(state, rules, bit)  # WORK: the stones that are captured
    lift(state, rules, 1 - seat)  # WORK: the cells beside them
    for near in neighbours(rules, bit):
        if has(state, mine, near):
            add(state, board_at(rules, WORK), near)
    relieve(state, rules, seat)
    add(state, mine, bit)
    add(state, board_at(rules, EVER + seat), bit)
    drop(state, board_at(rules, EMPTY), bit)
    mark_atari(state, rules, seat, bit)
    for near in neighbours(rules, bit):
        if has(state, theirs, near):
            mark_atari(state, rules, 1 - seat, near)
    state[LAST] = np.uint64(FIRST_BIT + bit)
    pass_turn(state)
    remember(state, rules, position)


@kernel
def place_none(state, rules):  # type: ignore[no-untyped-def]
    """The mover passes."""
    position = state[rules[HISTORY] + ply(state)]
    state[LAST] = np.uint64(PASSED)
    pass_turn(state)
    remember(state, rules, position)


@kernel
def hash_after(state, rules, bit):  # type: ignore[no-untyped-def]
    """The hash of the position after the mover's stone at `bit`; WORK becomes what that captures."""
    seat, work = to_play(state), board_at(rules, WORK)
    take(state, rules, seat, bit)
    position = state[rules[HISTORY] + ply(state)] ^ KEYS[seat * BITS + bit]
    for w in range(rules[WORDS]):
        taken = state[work + w]
        while taken:
            position ^= KEYS[(1 - seat) * BITS + 64 * w + lowest(taken)]
            taken &= taken - ONE
    return position


@kernel
def filter_bit(rules, position):  # type: ignore[no-untyped-def]
    """Which bit of the filter stands for a hash."""
    return np.int64(position & np.uint64(rules[FILTER_BITS] - 1))


@kernel
def remember(state, rules, position):  # type: ignore[no-untyped-def]
    """Note the hash of the position after this ply."""
    state[rules[HISTORY] + ply(state)] = position
    add(state, rules[FILTER], filter_bit(rules, position))


@kernel
def repeats(state, rules, bit):  # type: ignore[no-untyped-def]
    """Whether the mover's stone at `bit` would bring back an earlier position (WORK is used).

    In that position the mover had a stone there: where it never had, there is nothing to look for.
    """
    if not has(state, board_at(rules, EVER + to_play(state)), bit):
        return False
    position = hash_after(state, rules, bit)
    if not has(state, rules[FILTER], filter_bit(rules, position)):
        return False
    found = False
    for k in range(rules[HISTORY], rules[HISTORY] + ply(state) + 1):
        found |= state[k] == position
    return found


# -- where to play, and what it comes to -------------------------------------------------------------------


@kernel
def write_alive(state, rules):  # type: ignore[no-untyped-def]
    """LEGAL becomes where the mover's stone would live, whether it brings back a position or not.

    It lives beside an empty cell, a chain of its own with a second liberty, or a chain that it captures.
    """
    mine, theirs = board_at(rules, STONES + to_play(state)), board_at(rules, STONES + 1 - to_play(state))
    empty, atari, legal = board_at(rules, EMPTY), board_at(rules, ATARI), board_at(rules, LEGAL)
    low, here, stride = ZERO, ZERO, np.uint64(rules[STRIDE])
    for w in range(rules[WORDS] + 1):  # the word after the last is empty in each of them
        high = (
            state[empty + w] | (state[mine + w] & ~state[atari + w]) | (state[theirs + w] & state[atari + w])
        )
        if w > 0:
            state[legal + w - 1] = around(low, here, high, stride) & state[empty + w - 1]
        low, here = here, high


@kernel
def write_legal(state, rules):  # type: ignore[no-untyped-def]
    """LEGAL becomes where the mover may play (WORK is used)."""
    write_alive(state, rules)
    legal, ever = board_at(rules, LEGAL), board_at(rules, EVER + to_play(state))
    for w in range(rules[WORDS]):
        asked = state[legal + w] & state[ever + w]
        while asked:
            bit = 64 * w + lowest(asked)
            asked &= asked - ONE
            if repeats(state, rules, bit):
                drop(state, legal, bit)


@kernel
def renew(state, rules):  # type: ignore[no-untyped-def]
    """Write what follows from the header, the stones and the history: EMPTY, ATARI, LEGAL and the filter."""
    first, second, empty = board_at(rules, STONES), board_at(rules, STONES + 1), board_at(rules, EMPTY)
    clear(state, rules, ATARI)
    clear(state, rules, LEGAL)
    clear(state, rules, EMPTY)
    bits = rules[SIZE] * rules[STRIDE]
    for bit in range(bits):
        if bit % rules[STRIDE] < rules[SIZE] and not (has(state, first, bit) or has(state, second, bit)):
            add(state, empty, bit)
    for bit in range(bits):
        for seat in range(2):
            if has(state, board_at(rules, STONES + seat), bit):
                mark_atari(state, rules, seat, bit)
    for k in range(ply(state) + 1):
        add(state, rules[FILTER], filter_bit(rules, state[rules[HISTORY] + k]))
    if outcome(state) == OPEN:
        write_legal(state, rules)
    clear(state, rules, WORK)


@kernel
def is_eye(state, rules, bit):  # type: ignore[no-untyped-def]
    """Whether an empty cell is an eye of the mover, as playouts see it.

    Its neighbours are all the mover's; of its diagonal cells at most one is the opponent's, at the edge none.
    """
    seat, size, stride = to_play(state), rules[SIZE], rules[STRIDE]
    theirs, empty = board_at(rules, STONES + 1 - seat), board_at(rules, EMPTY)
    for near in neighbours(rules, bit):
        if has(state, empty, near) or has(state, theirs, near):
            return False
    row, column = bit // stride, bit % stride
    against = np.int64(row == 0 or column == 0 or row == size - 1 or column == size - 1)
    for corner in (bit - stride - 1, bit - stride + 1, bit + stride - 1, bit + stride + 1):
        against += has(state, theirs, corner)
    return against < 2


@kernel
def draw_move(state, rules, rng, i):  # type: ignore[no-untyped-def]
    """A bit where the mover may play and fills no eye, each as likely; −1: there is none (LEGAL is used)."""
    write_alive(state, rules)
    while True:
        bit = draw_bit(state, rules, LEGAL, rng, i)
        if bit < 0 or not (is_eye(state, rules, bit) or repeats(state, rules, bit)):
            return bit
        drop(state, board_at(rules, LEGAL), bit)


@kernel
def area(state, rules):  # type: ignore[no-untyped-def]
    """The area of seat 0 less that of seat 1 (WORK is used).

    All empty cells that a seat reaches are counted for it: what both reach is no one's, and cancels.
    """
    work, empty, stride = board_at(rules, WORK), board_at(rules, EMPTY), np.uint64(rules[STRIDE])
    difference = 0
    for seat in range(2):
        stones = board_at(rules, STONES + seat)
        for w in range(rules[WORDS]):
            beside = around(state[stones + w - 1], state[stones + w], state[stones + w + 1], stride)
            state[work + w] = beside & state[empty + w]
        flood(state, rules, EMPTY, False)
        for w in range(rules[WORDS]):
            cells = count(state[stones + w]) + count(state[work + w])
            difference += cells if seat == 0 else -cells
    return difference


@kernel
def winner(state, rules):  # type: ignore[no-untyped-def]
    """The outcome of the board as it stands (WORK is used)."""
    score = 2 * area(state, rules) - rules[KOMI]
    if score == 0:
        return DRAW
    return FIRST_WON if score > 0 else SECOND_WON
