"""Matches: pairs and their interval, on agents and games whose results are known."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest

import envs
from agents.random import Random
from rollouts.agent import Agent, Decision
from search.alphabeta import AlphaBeta
from search.match import Match, pair_interval, play_match
from search.uct import UCT
from tests.envs.nim import NIM

CONNECT_FOUR = "board/ConnectFour-v0"


def build(kind, env, **options):
    return kind(env.single_observation_space, env.single_action_space, **options)


class Leftmost(Agent):
    """Plays the first legal action, and notes what it saw and whether it remembers its own moves."""

    def __init__(self, opening=0):
        self.opening, self.seen = opening, []

    def act(self, obs, *, rng, first, memory=None, explore=True):
        moves = np.zeros(len(first), int) if memory is None else np.where(first, 0, memory["moves"])
        ply = (obs["state"][:, 0] & np.uint64(0xFFFF)).astype(int)
        assert (moves == (ply - self.opening) // 2).all()
        assert not explore
        self.seen += [(bytes(state), int(seat)) for state, seat in zip(obs["state"], obs["to_play"])]
        return Decision(obs["action_mask"].argmax(axis=1), memory={"moves": moves + 1})


# -- the interval ------------------------------------------------------------------------------------------


def per_game(pairs):
    """What would be said by one who took the two games of a pair for independent ones."""
    counts = np.array(pairs)
    mean = counts @ np.arange(5) / 4 / counts.sum()
    width = 1.96 * math.sqrt(mean * (1 - mean) / (2 * counts.sum()))
    return mean - width, mean + width


def coverage(interval, chances, n):
    """How often the interval of `n` pairs holds the true score: exactly, over all that may come up."""
    true = np.dot(chances, np.arange(5)) / 4
    total = 0.0
    for bars in combinations(range(n + 4), 4):
        pairs = np.diff((-1, *bars, n + 4)) - 1
        low, high = interval(pairs)
        if low <= true <= high:
            ways = math.factorial(n) // math.prod(map(math.factorial, pairs.tolist()))
            total += ways * math.prod(p**k for p, k in zip(chances, pairs.tolist()))
    return total


@pytest.mark.parametrize(
    ("chances", "widest"),
    [
        ((0.25, 0, 0.5, 0, 0.25), 0.97),  # independent games, level
        ((0.04, 0, 0.32, 0, 0.64), 0.98),  # independent games, 0.8
        ((0.05, 0.2, 0.4, 0.25, 0.1), 0.98),  # with draws
        ((0.45, 0, 0.1, 0, 0.45), 0.97),  # the opening favours one style: both games go the same way
        ((0.001, 0.004, 0.045, 0.15, 0.8), 1.0),  # nearly all won
        ((0.02, 0.03, 0.9, 0.03, 0.02), 1.0),  # the opening decides: nearly all pairs are split
    ],
)
def test_the_interval_holds_the_score_as_often_as_it_says(chances, widest):
    assert 0.95 <= coverage(pair_interval, chances, 20) <= widest


def test_games_of_a_pair_are_not_independent():
    assert coverage(per_game, (0.45, 0, 0.1, 0, 0.45), 20) < 0.85


def test_the_interval_is_sure_of_nothing():
    low, high = pair_interval((0, 0, 0, 0, 10))
    assert 0.7 < low < 0.85
    assert high == 1.0
    assert pair_interval((10, 0, 0, 0, 0)) == pytest.approx((0, 1 - low))
    low, high = pair_interval((0, 0, 1, 0, 0))
    assert (low, high) == (0, 1)
    low, high = pair_interval((0, 0, 10_000, 0, 0))
    assert 0.499 < low < 0.5 < high < 0.501


# -- what is played ----------------------------------------------------------------------------------------


def test_an_agent_is_level_with_itself():
    env = envs.make(CONNECT_FOUR, 80, random_plies=3)
    match = play_match(env, Leftmost(3), Leftmost(3), pairs=40)  # which leaves nothing to chance
    assert match.score == 0.5
    assert match.pairs == (0, 0, 40, 0, 0)
    assert match.wins == match.losses
    assert match.games == match.openings == 40


def test_colours_are_swapped_within_a_pair():
    env = envs.make(CONNECT_FOUR, 40, random_plies=2)
    a, b = Leftmost(2), Leftmost(2)
    play_match(env, a, b, pairs=20)
    first = {seat: [s for s, who in a.seen[:20] if who == seat] for seat in (0, 1)}
    assert len(first[0]) == 20  # the first ply of all games: ours in one of each pair,
    assert first[0] == [s for s, _ in b.seen[:20]]  # theirs in the other, from the same opening
    assert {who for _, who in a.seen} == {who for _, who in b.seen} == {0, 1}


def test_who_moves_first_wins_or_loses_by_the_pile():
    env = envs.make(NIM, 8, pile=8)  # won by who moves first, which both know
    match = play_match(env, build(AlphaBeta, env, depth=9), build(AlphaBeta, env, depth=9), pairs=1)
    assert (match.wins, match.draws, match.losses, match.pairs) == (1, 0, 1, (0, 0, 1, 0, 0))
    match = play_match(env, build(AlphaBeta, env, depth=9), Leftmost(), pairs=1)
    assert match.pairs == (0, 0, 0, 0, 1)  # who takes one at a time does not


def test_the_stronger_wins_and_games_before_our_first_move_count():
    env = envs.make(CONNECT_FOUR, 60, random_plies=8)  # so late that some are won at once
    strong, weak = build(AlphaBeta, env, depth=4), build(Random, env)
    there, back = (play_match(env, *who, pairs=60) for who in ((strong, weak), (weak, strong)))
    assert there.interval[0] > 0.8
    assert back.interval[1] < 0.2
    for match in (there, back):
        assert sum(match.pairs) == 60
        assert match.wins + match.draws + match.losses == 120
        assert np.dot(match.pairs, np.arange(5)) / 240 == match.score


def test_uct_beats_chance():
    env = envs.make(CONNECT_FOUR, 20, random_plies=2)
    match = play_match(env, build(UCT, env, simulations=400), build(Random, env), pairs=10)
    assert match.wins == 20
    assert match.pairs == (0, 0, 0, 0, 10)
    assert match.games == 20


@pytest.mark.parametrize("slots", [2, 7, 64])
def test_results_do_not_depend_on_how_many_play_at_once(slots):
    env, wide = (envs.make(CONNECT_FOUR, n, random_plies=4) for n in (slots, 24))
    one, other = (
        play_match(e, build(UCT, e, simulations=20), build(Random, e), pairs=12, seed=5) for e in (env, wide)
    )
    assert one == other
    assert play_match(wide, build(UCT, wide, simulations=20), build(Random, wide), pairs=12, seed=6) != one


def turned(state, flipped, turns):
    """A state of tic-tac-toe, mirrored and turned, as bytes."""
    cells = [(int(word) >> np.arange(9) & 1).reshape(3, 3) for word in state[1:3]]
    moved = [np.rot90(board[:, ::-1] if flipped else board, turns).reshape(-1) for board in cells]
    return bytes(state[:1]) + b"".join(bytes(board) for board in moved)


@pytest.mark.parametrize("slots", [6, 64])
def test_openings_are_different_by_symmetries_too_and_played_once_where_there_are_no_more(slots):
    env = envs.make("board/TicTacToe-v0", slots, random_plies=4)
    a = Leftmost(4)
    match = play_match(env, a, a, pairs=200, seed=3)
    begun = {state for state, _ in a.seen if (np.frombuffer(state, np.uint64)[0] & np.uint64(0xFFFF)) == 4}
    states = [np.frombuffer(state, np.uint64) for state in begun]
    names = [
        min(turned(s, flipped, turns) for flipped in (False, True) for turns in range(4)) for s in states
    ]
    # Boards up to symmetry, by ply, are published: 1, 3, 12, 38, 108, …
    assert len(set(names)) == len(names) == match.openings == sum(match.pairs) == match.games == 108
    assert match.wins + match.draws + match.losses == 216
    few = play_match(env, a, a, pairs=20, seed=3)
    assert few.openings == 20


def test_a_match_is_told_in_a_line():
    match = Match(wins=12, draws=2, losses=6, pairs=(2, 0, 3, 2, 3), games=20)
    assert match.score == 0.65
    assert str(match).startswith("12 won, 2 drawn, 6 lost: 0.650 [")
    assert "\n" not in str(match)


def test_what_does_not_fit_is_told():
    env = envs.make("CartPole-v1", 4)
    with pytest.raises(ValueError, match="no board game's"):
        play_match(env, Leftmost(), Leftmost(), pairs=1)
    for n, pairs in ((1, 1), (2, 0)):
        env = envs.make(CONNECT_FOUR, n)
        with pytest.raises(ValueError, match="at least, not"):
            play_match(env, Leftmost(), Leftmost(), pairs=pairs)
