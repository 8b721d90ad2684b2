"""Schedules: who meets whom, and that they follow from results alone."""

from __future__ import annotations

import math
import random
import time
from itertools import combinations

import pytest

from search.schedule import Plan, Standing, byes, meetings, next_round, points, swiss_lengths, swiss_round


def test_round_robin_has_every_meeting_once_an_opening():
    plan = Plan("round_robin", 5, pairs=3)
    pairs = next_round(plan, [])
    assert len(pairs) == 30
    assert len({(pair.meeting, pair.opening) for pair in pairs}) == 30
    assert all(sorted(p.meeting for p in pairs if p.opening == k) == list(range(10)) for k in range(3))
    for a, b in combinations(range(5), 2):
        assert sum((pair.a, pair.b) == (a, b) for pair in pairs) == 3
    longer = next_round(Plan("round_robin", 5, pairs=7), [])
    assert longer[:30] == pairs  # a tournament can be made longer


def test_a_gauntlet_is_newcomers_against_the_others():
    assert set(meetings(Plan("gauntlet", 5, pairs=1, newcomers=(1, 4)))) == {
        (n, o) for n in (1, 4) for o in (0, 2, 3)
    }


def test_a_ladders_rungs_meet_near_and_far_ones():
    met = meetings(Plan("ladder", 9, pairs=1))
    assert {b - a for a, b in met} == {1, 2, 4, 8}
    assert len(met) == 8 + 7 + 5 + 1


def play(players, rounds, strength, seed, draws=0.0):
    """A Swiss tournament in which the stronger wins mostly."""
    dice, played = random.Random(seed), []
    for _ in range(rounds):
        meetings = {}
        for a, b in swiss_round(players, played):
            won = float(dice.random() < 1 / (1 + 10 ** (strength[b] - strength[a])))
            meetings[a, b] = 0.5 if dice.random() < draws else won
        assert len(meetings) == players // 2
        played.append(Standing(meetings))
    return played


def are_connected(players, played):
    """Whether a walk along meetings comes to all players."""
    reached, ahead = {0}, [0]
    edges = [meeting for standing in played for meeting in standing.meetings]
    while ahead:
        here = ahead.pop()
        near = {b for a, b in edges if a == here} | {a for a, b in edges if b == here}
        ahead += near - reached
        reached |= near
    return len(reached) == players


@pytest.mark.parametrize("players", [2, 3, 4, 5, 6, 7, 8, 12, 15, 24, 33])
def test_swiss_of_any_length_has_no_rematch_and_one_bye_at_most(players):
    lengths = swiss_lengths(players)
    assert lengths[-1] == math.ceil(players / 2)
    assert max(1, math.ceil(math.log2(players))) in lengths  # what is taken where nothing is said
    for seed in range(20 if players < 20 else 3):
        strength = [seed * k % players / 3 for k in range(players)]
        played = play(players, lengths[-1], strength, seed, draws=(0, 0.5, 1)[seed % 3])
        met = [frozenset(m) for standing in played for m in standing.meetings]
        assert len(met) == len(set(met))
        idle = [p for standing in played for p in byes(players, standing)]
        assert len(idle) == len(set(idle)) == (len(played) if players % 2 else 0)
        assert sum(points(players, played)) == pytest.approx(len(played) * ((players + 1) // 2))
        assert all(are_connected(players, played[:k]) for k in lengths)


def test_swiss_of_equals_connects_them():
    """Eight who draw all games: neighbours alone would make two groups of four."""
    played = play(8, 2, [0.0] * 8, seed=0, draws=1)
    assert set(played[0].meetings) == {(0, 1), (2, 3), (4, 5), (6, 7)}
    assert are_connected(8, played)
    assert not any(are_connected(k, played[:1]) for k in range(3, 9))


def test_swiss_of_many_players_is_paired_at_once():
    began = time.perf_counter()
    play(50, 25, [k / 10 for k in range(50)], seed=1)
    assert time.perf_counter() - began < 5


def test_swiss_parts_a_pair_for_two_who_are_left_over():
    """0 and 1 head the table, and 2 and 3 have met: so 0 may not take 1."""
    found = swiss_round(4, [Standing({(2, 3): 0.5})])
    assert {frozenset(pair) for pair in found} == {frozenset({0, 2}), frozenset({1, 3})}


def test_the_meetings_of_a_swiss_tournament_have_numbers_and_openings_of_their_own():
    played, seen = play(7, 3, [0.0] * 7, seed=0), []
    for k in range(4):
        pairs = next_round(Plan("swiss", 7, pairs=10, rounds=4), played[:k])
        assert [p.meeting for p in pairs] == 10 * [3 * k, 3 * k + 1, 3 * k + 2]
        assert [p.opening for p in pairs] == [n for n in range(10) for _ in range(3)]
        seen += [(p.meeting, p.a, p.b) for p in pairs]
    assert len(set(seen)) == 12


def test_swiss_pairs_equals_and_finds_the_strongest():
    players = 16
    played = play(players, 4, [float(-k) for k in range(players)], seed=0)
    assert points(players, played)[0] == 4.0
    had = points(players, played[:3])
    for a, b in played[3].meetings:
        assert abs(had[a] - had[b]) <= 1


def test_swiss_tells_that_nobody_is_left():
    played = [
        Standing({(0, 1): 1.0}),
    ]
    with pytest.raises(ValueError, match="players 0 and 1 have nobody left to meet"):
        swiss_round(2, played)


def test_the_schedule_is_a_function_of_results():
    played = play(9, 4, [k / 2 for k in range(9)], seed=3)
    plan = Plan("swiss", 9, pairs=2, rounds=5)
    assert next_round(plan, played) == next_round(plan, list(played))
    other = [*played[:3], Standing({m: 1 - won for m, won in played[3].meetings.items()})]
    assert next_round(plan, played) != next_round(plan, other)
