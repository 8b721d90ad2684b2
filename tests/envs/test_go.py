"""Go: against a plain reference, OpenSpiel's go, published counts, and what makes a position impossible."""

from __future__ import annotations

import copy
import itertools
import random
from collections import Counter

import numpy as np
import pytest

from envs.board import load
from envs.board.game import DRAW, FIRST_WON, OPEN, SECOND_WON, outcome, play, ply, to_play
from envs.board.go_bits import (
    ATARI,
    EMPTY,
    EVER,
    FILTER,
    HISTORY,
    LAST,
    LEGAL,
    STONES,
    WORK,
    add,
    board_at,
    draw_bit,
)
from envs.board.go_board import area, renew
from envs.board.go_text import stones_flaw
from envs.board.moves import play_moves
from envs.board.perft import perft
from envs.options import OptionError
from tests.envs.board_twins import (
    ENDS,
    Twin,
    assert_symmetric,
    assert_texts,
    lockstep,
    mask_of,
    planes_of,
    playout_rates,
    random_states,
)
from tests.envs.go_plain import Plain

# -- the plain reference -----------------------------------------------------------------------------------


def same(game, state, plain: Plain) -> None:
    legal = plain.legal()
    assert np.flatnonzero(mask_of(game, state)).tolist() == legal
    assert (ply(state), to_play(state), outcome(state)) == (plain.plies, plain.mover - 1, plain.outcome())
    np.testing.assert_array_equal(planes_of(game, state), plain.planes())


def against_plain(size: int, komi: float, games: int, seed: int) -> Counter[str]:
    """Random games in lock step with `Plain`; few passes, so that they last."""
    game, dice, counts = load("go", {"size": size, "komi": komi}), random.Random(seed), Counter[str]()
    for _ in range(games):
        state, plain = game.new()[0], Plain(size, komi)
        same(game, state, plain)
        while not plain.over:
            legal = plain.legal()
            counts["superko"] += bool(plain.banned)
            counts["superko without a capture"] += any(
                sum(map(bool, plain.after(cell))) > sum(map(bool, plain.board)) for cell in plain.banned
            )
            action = dice.choice(legal[:-1]) if len(legal) > 1 and dice.random() < 0.9 else legal[-1]
            play(game.code, state, action)
            plain.play(action)
            same(game, state, plain)
        counts[f"ended {ENDS.index(plain.outcome())}"] += 1
        counts["moves"] += plain.plies
        counts["at the last ply" if plain.passes < 2 else "by passes"] += 1
    return counts


BOARDS = [(2, 1, 300), (3, 0, 300), (4, -2.5, 100), (5, 3, 50)]


@pytest.mark.parametrize(("size", "komi", "games"), BOARDS)
def test_plays_as_the_plain_reference_does(size, komi, games):
    counts = against_plain(size, komi, games, seed=size)
    for event in ("superko", "superko without a capture", "at the last ply", "by passes"):
        assert counts[event], f"{event}: {counts}"
    assert counts["superko"] > 10
    assert bool(counts["ended 0"]) == (komi % 1 == 0), counts  # draws, where there can be one


@pytest.mark.slow
@pytest.mark.parametrize(("size", "komi", "games"), [*BOARDS, (7, 7, 1), (9, 7.5, 1)])
def test_plays_as_the_plain_reference_does_for_long(size, komi, games):
    against_plain(size, komi, 30 * games, seed=100 + size)


# -- OpenSpiel ---------------------------------------------------------------------------------------------


def openspiel(size: int, counts: Counter[str]) -> Twin:
    """OpenSpiel's go has the same score and the same last ply, and bans retaking a ko and suicide.

    But a stone that brings back any other earlier position is legal there, and ends the game as a draw. With
    half a point of komi there is no other draw: all of these moves, and no others, are illegal in ours.
    """

    def legal(theirs):
        ids = theirs.legal_actions()
        repeated = [k for k in ids if theirs.child(k).is_terminal() and not any(theirs.child(k).returns())]
        counts["superko"] += bool(repeated)
        return sorted(set(ids) - set(repeated))

    def agree(ours, theirs):
        rows = [line.split()[1] for line in str(theirs).splitlines()[2 : 2 + size]]
        drawn = np.array([list(row) for row in rows])
        mine, other = "XO" if to_play(ours) == 0 else "OX"
        np.testing.assert_array_equal(
            planes_of(game, ours)[..., :2], np.stack([drawn == mine, drawn == other], -1)
        )

    def events(before, action, after):
        passed_twice = before[LAST] == after[LAST] == 1
        return ["last ply"] if ply(after) == game.longest and not passed_twice else []

    game = load("go", {"size": size, "komi": 7.5})
    ids = np.append(np.arange(size**2).reshape(size, size)[::-1].reshape(-1), size**2)
    return Twin(game, f"go(board_size={size},komi=7.5)", ids, events, agree, legal)


def test_plays_as_openspiel_does():
    counts = Counter[str]()
    lockstep(openspiel(9, counts), moves=20_000, seed=1, rare=["first won", "second won", "last ply"])
    assert counts["superko"]


@pytest.mark.parametrize("size", [3, 6, 7, 10, 12, 13, 16, 19])
def test_plays_as_openspiel_does_on_other_boards(size):
    lockstep(openspiel(size, Counter()), moves=300, seed=size)


@pytest.mark.slow
def test_plays_as_openspiel_does_for_long():
    counts = Counter[str]()
    for size in range(2, 20):
        lockstep(openspiel(size, counts), moves=200_000 if size == 9 else 5_000, seed=size)
    assert counts["superko"] > 100


# -- counts ------------------------------------------------------------------------------------------------


def with_stones(game, board) -> np.ndarray:
    """A state `[words]` with these stones (0, 1, 2 a cell) and what follows from them, but no history."""
    state, rules = np.zeros(game.words, np.uint64), game.code[1]
    for cell, man in enumerate(board):
        if man:
            add(state, board_at(rules, STONES + man - 1), cell + cell // game.shape[0])
    renew(state, rules)
    return state


@pytest.mark.parametrize(("size", "count"), [(2, 57), (3, 12675)])
def test_legal_positions(size, count):
    """OEIS A094777: positions where every chain has a liberty; and many of them against the reference."""
    game, plain, legal = load("go", {"size": size}), Plain(size, 7.5), 0
    for board in itertools.product(range(3), repeat=size**2):
        state = with_stones(game, board)
        if stones_flaw(state, game.code[1]):
            continue
        legal += 1
        if legal % 10 == 0 or size == 2:
            plain.board, plain.seen = board, {(0,) * size**2}
            np.testing.assert_array_equal(planes_of(game, state), plain.planes())
            assert area(state, game.code[1]) == plain.area()
    assert legal == count


def test_sequences_of_moves():
    assert [perft(load("go"), depth) for depth in (1, 2)] == [82, 6643]


def plain_perft(plain: Plain, depth: int) -> int:
    """Sequences of exactly `depth` plies."""
    if depth == 0:
        return 1
    if depth == 1:
        return len(plain.legal())
    total = 0
    for action in plain.legal():
        after = copy.copy(plain)
        after.seen = set(plain.seen)
        after.play(action)
        total += plain_perft(after, depth - 1)
    return total


@pytest.mark.parametrize(("size", "depth"), [(2, 8), (3, 4)])
def test_sequences_of_moves_on_small_boards(size, depth):
    assert perft(load("go", {"size": size}), depth) == plain_perft(Plain(size, 7.5), depth)


# -- rules, one by one -------------------------------------------------------------------------------------


def played(moves: str, **options) -> np.ndarray:
    return play_moves(load("go", options), moves)


KO = "b3 c3 a2 d2 b1 c1 c2 b2"  # the last takes c2


def test_a_ko_is_not_retaken_at_once():
    assert load("go", {"size": 4}).board_text(played(KO, size=4)).splitlines() == [
        "4 . . . .",
        "3 . x o .",
        "2 x o . o",
        "1 . x o .",
        "  a b c d",
    ]
    with pytest.raises(ValueError, match=r"move 9: c2 \(action 10\) is not legal"):
        played(f"{KO} c2", size=4)
    retaken = played(f"{KO} d4 pass c2", size=4)  # on another board
    with pytest.raises(ValueError, match=r"b2 .* is not legal"):
        played(f"{KO} d4 pass c2 b2", size=4)
    assert ply(retaken) == 11


def test_suicide_is_illegal_and_a_capture_is_none():
    with pytest.raises(ValueError, match=r"a1 .* is not legal"):
        played("b1 pass a2 a1")
    taken = played("b1 a1 c2 b2 pass a3 a2", size=5)
    assert load("go", {"size": 5}).board_text(taken).splitlines()[3:5] == ["2 x o x . .", "1 . x . . ."]


WALLS = "c1 d1 c2 d2 c3 d3 c4 d4 c5 d5 pass pass"  # 15 cells against 10
APART = "b1 d1 b2 d2 b3 d3 b4 d4 b5 d5 pass pass"  # 10 each, and a column between that both reach
HALF_DONE = "c1 d1 c2 d2 pass d3 pass d4 pass d5 pass pass"  # 2 stones against 5 and the e column
ALONE = "c3 pass pass"


@pytest.mark.parametrize(
    ("moves", "ahead"), [(WALLS, 5), (APART, 0), (HALF_DONE, -8), (ALONE, 25), ("pass pass", 0)]
)
def test_score(moves, ahead):
    """The first player's area less the second's, which komi is held against."""
    for komi, expected in ((ahead - 0.5, FIRST_WON), (ahead, DRAW), (ahead + 0.5, SECOND_WON)):
        state = played(moves, size=5, komi=komi)
        assert outcome(state) == expected
        assert not mask_of(load("go", {"size": 5}), state).any()


def test_two_passes_in_a_row_end_the_game():
    assert outcome(played("pass a1 pass b1 pass")) == OPEN
    assert outcome(played("pass a1 pass b1 pass pass")) == SECOND_WON


def test_the_last_ply():
    """There are 8 on 2×2; the board is scored as it stands."""
    assert outcome(played("pass a1 pass b1 pass a2 b2", size=2, komi=0)) == OPEN  # b2 took three
    assert outcome(played("pass a1 pass b1 pass a2 b2 a1", size=2, komi=0)) == DRAW
    assert outcome(played("pass a1 pass b1 pass a2 b2 pass", size=2, komi=0)) == FIRST_WON


# -- playouts, symmetries, text ----------------------------------------------------------------------------


def chances(plain: Plain) -> np.ndarray:
    """Exact chances of each end where both choose at random what a playout may choose."""
    if plain.over:
        return np.array([plain.outcome() == end for end in ENDS], float)
    choices, total = plain.sensible(), np.zeros(len(ENDS))
    for action in choices:
        after = copy.copy(plain)
        after.seen = set(plain.seen)
        after.play(action)
        total += chances(after)
    return total / len(choices)


def test_playouts_are_random_play_that_fills_no_eye():
    game, dice, playouts = load("go", {"size": 3, "komi": 1}), random.Random(7), 4000
    for seed in range(12):
        state, plain = game.new()[0], Plain(3, 1)
        while plain.plies < 13 - seed % 3 and not plain.over:
            action = dice.choice(plain.legal()[:-1] or [9])
            play(game.code, state, action)
            plain.play(action)
        exact, seen = chances(plain), playout_rates(game, state, playouts, seed)
        assert (abs(seen - exact) <= 5 * np.sqrt(exact * (1 - exact) / playouts)).all(), (
            f"{seen}, not {exact}"
        )


def test_a_bit_is_drawn_from_all_words():
    game = load("go", {"size": 19})
    state, rng = game.new()[0], np.zeros(1, np.uint64)
    drawn = Counter(draw_bit(state, game.code[1], EMPTY, rng, 0) for _ in range(36_100))
    assert set(drawn) == {20 * row + column for row in range(19) for column in range(19)}
    assert 50 < min(drawn.values()) <= max(drawn.values()) < 150


@pytest.mark.parametrize("size", [4, 9])
def test_symmetric(size):
    assert_symmetric(load("go", {"size": size}), games=3, seed=size)


def test_texts():
    for size in (2, 9, 19):
        assert_texts(load("go", {"size": size}))
    game = load("go")
    assert [game.move_text(action) for action in (0, 8, 40, 72, 81)] == ["a9", "j9", "e5", "a1", "pass"]
    for word in ("k1", "a10", "a0", "", "5e", "resign"):
        with pytest.raises(ValueError, match=r"is no move; a1 to j9 and pass are$"):
            game.parse_move(word)
    with pytest.raises(ValueError, match="no column is called i"):
        game.parse_move("i5")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"size": 1}, "size of go must be 2 to 19, not 1"),
        ({"size": 20}, "size of go must be 2 to 19, not 20"),
        ({"komi": 7.3}, "komi of go must be a whole or half number from -361 to 361, not 7.3"),
        ({"komi": 400}, "not 400"),
        ({"komi": float("nan")}, "not nan"),
        ({"komi": -float("inf")}, "not -inf"),
        ({"superko": False}, "go.* has no option 'superko'"),
    ],
)
def test_options(options, said):
    with pytest.raises(OptionError, match=said):
        load("go", options)


# -- what cannot be ----------------------------------------------------------------------------------------


def test_every_position_that_is_played_is_possible():
    for size in (2, 3, 9, 19):
        game = load("go", {"size": size})
        game.check(random_states(game, games=2, seed=size))


GAME = load("go", {"size": 4, "komi": 0})
RULES = GAME.code[1]
B1, B2, C2, OUTSIDE = 16, 11, 12, 4  # bits: a stone of the first player, of the second, an empty cell, none
NOTES = "what it notes of the board does not fit the stones and the history"


@pytest.mark.parametrize(
    ("word", "bit", "flaw"),
    [
        (board_at(RULES, STONES), OUTSIDE, "a stone lies outside the board"),
        (board_at(RULES, STONES), B2, "a cell holds two stones"),
        (board_at(RULES, STONES), C2, "a chain has no liberty"),
        (board_at(RULES, STONES + 1), B2, "its history does not lead from the empty board to this position"),
        (0, 0, "its history does not lead"),  # a ply more
        (0, 16, "it is the other player's turn"),
        (0, 17, "its outcome is 'draw', but the board says 'open'"),
        (RULES[HISTORY], 0, "its history does not lead from the empty board"),
        (RULES[HISTORY] + 8, 0, "its history does not lead"),
        (RULES[HISTORY] + 9, 0, "its history does not lead"),
        (LAST, 0, "its last move is not the one that led here"),
        (board_at(RULES, EVER), B1, "where it says that stones were ever put cannot be"),
        (board_at(RULES, EVER), OUTSIDE, "where it says that stones were ever put cannot be"),
        (board_at(RULES, EMPTY), B1, NOTES),
        (board_at(RULES, ATARI), B2, NOTES),
        (board_at(RULES, LEGAL), C2, NOTES),
        (board_at(RULES, WORK), 0, NOTES),
        (board_at(RULES, EMPTY) - 1, 0, NOTES),
        (RULES[FILTER], 0, NOTES),
    ],
)
def test_impossible_positions(word, bit, flaw):
    """One bit of a possible state is changed."""
    state = played(KO, size=4, komi=0)
    assert GAME.flaw(state) == ""
    state[word] ^= np.uint64(1 << bit)
    assert flaw in GAME.flaw(state)
    with pytest.raises(ValueError, match="slot 1 holds no position of go"):
        GAME.check(np.stack([GAME.new()[0], state]))


def test_impossible_histories():
    at = RULES[HISTORY]
    twice = played(KO, size=4, komi=0)
    twice[at + 3] = twice[at + 1]
    assert GAME.flaw(twice) == "a position came up twice"
    went_on = played(KO, size=4, komi=0)
    went_on[at + 2] = went_on[at + 3] = went_on[at + 1]
    assert GAME.flaw(went_on) == "the game went on after two passes"
    unfinished = played("a1 pass pass", size=4, komi=0)
    unfinished[0] &= np.uint64(0x1FFFF)
    assert GAME.flaw(unfinished) == "its outcome is 'open', but the board says 'first won'"
