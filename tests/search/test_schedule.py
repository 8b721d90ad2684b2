"""Schedules: who meets whom, and that they follow from results alone."""

from __future__ import annotations

import random
from itertools import combinations

import pytest

from search.schedule import Plan, Standing, byes, meetings, next_round, points, swiss_round


def test_round_robin_has_every_meeting_once_an_opening():
    plan = Plan("round_robin", 5, pairs=3)
    pairs = next_round(plan, [])
    assert len(pairs) == 30
    assert len({pair.opening for pair in pairs}) == 30
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


def play(players, rounds, strength, seed):
    """A Swiss tournament in which the stronger wins mostly."""
    dice, played = random.Random(seed), []
    for number in range(rounds):
        pairs = next_round(Plan("swiss", players, pairs=2, rounds=rounds), played)
        standing = Standing(
            {
                (pair.a, pair.b): float(dice.random() < 1 / (1 + 10 ** (strength[pair.b] - strength[pair.a])))
                for pair in pairs
            }
        )
        assert len(pairs) == 2 * len(standing.meetings) == 2 * (players // 2)
        assert min(p.opening for p in pairs) == number * 2 * (players // 2)
        played.append(standing)
    return played


@pytest.mark.parametrize("players", [4, 7, 12, 15])
def test_swiss_has_no_rematch_and_one_bye_at_most(players):
    for seed in range(20):
        strength = [seed * k % players / 3 for k in range(players)]
        played = play(players, players // 2, strength, seed)
        met = [frozenset(m) for standing in played for m in standing.meetings]
        assert len(met) == len(set(met))
        idle = [p for standing in played for p in byes(players, standing)]
        assert len(idle) == len(set(idle)) == (len(played) if players % 2 else 0)
        assert sum(points(players, played)) == pytest.approx(len(played) * ((players + 1) // 2))


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
    with pytest.raises(ValueError, match="after 1 rounds of 2 players nobody is left"):
        swiss_round(2, played)


def test_the_schedule_is_a_function_of_results():
    played = play(9, 4, [k / 2 for k in range(9)], seed=3)
    plan = Plan("swiss", 9, pairs=2, rounds=5)
    assert next_round(plan, played) == next_round(plan, list(played))
    other = [*played[:3], Standing({m: 1 - won for m, won in played[3].meetings.items()})]
    assert next_round(plan, played) != next_round(plan, other)
