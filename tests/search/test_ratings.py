"""Ratings: published vectors, a plain reference, and simulated tournaments whose truth is known."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import binom, norm

from search.davidson import Table, information, maximum, spread_prior, start
from search.ratings import ELO, Games, bootstrap, connected, fit, residuals, sample_intervals

STRENGTHS = np.array([-150.0, -60, 0, 40, 170]) / ELO


def played(*rows):
    """Games that stand alone: (first, second, won by first, drawn, lost) a row."""
    columns = [], [], []
    for first, second, *results in rows:
        for points, count in zip((1, 0.5, 0), results):
            for column, value in zip(columns, (first, second, points)):
                column.extend([value] * count)
    first, second, points = columns
    return Games(np.array(first), np.array(second), np.array(points, float), np.full(len(first), -1))


def permuted(games, order):
    return Games(*(column[order] for column in (games.first, games.second, games.points, games.pair)))


def law(d, nu):
    """Chances of a win, a draw and a loss, `[..., 3]`."""
    odds = np.stack([np.exp(d / 2), nu + 0 * d, np.exp(-d / 2)], axis=-1)
    return odds / odds.sum(axis=-1, keepdims=True)


def simulated(rng, theta, first_move=0.3, nu=0.8, openings=0.0, pairs=20):
    """A round robin of so many pairs each, whose openings favour one side with a deviation of `openings`."""
    a, b = (np.repeat(side, pairs) for side in np.triu_indices(len(theta), 1))
    favour = np.tile(rng.normal(0, openings, len(a)), 2)
    first, second = np.concatenate([a, b]), np.concatenate([b, a])
    chances = law(theta[first] - theta[second] + first_move + favour, nu).cumsum(axis=1)
    points = 1 - (rng.random(len(first))[:, None] > chances[:, :2]).sum(axis=1) / 2
    return Games(first, second, points, np.tile(np.arange(len(a)), 2))


def truth(theta, first_move=0.3, nu=0.8, openings=0.0):
    """What ratings come to as games grow many, `[k + 2]`: the model that is nearest, where openings differ.

    Found by minimising the cross-entropy of the chances over all openings, not by what is tested.
    """
    k = len(theta)
    favour, weights = np.polynomial.hermite_e.hermegauss(31)
    gaps = theta[:, None] - theta + first_move
    real = np.average(law(gaps[..., None] + openings * favour, nu), axis=2, weights=weights)
    apart = ~np.eye(k, dtype=bool)

    def loss(x):
        model = law(x[:k, None] - x[:k] + x[k], np.exp(x[k + 1]))
        return -(real * np.log(model))[apart].sum() + x[:k].sum() ** 2

    found = minimize(
        loss, np.append(theta - theta.mean(), [first_move, np.log(nu)]), options={"gtol": 1e-8}
    ).x
    return np.append(found[: k + 1] * ELO, np.exp(found[-1]))


# -- published numbers -------------------------------------------------------------------------------------

THREE = played((0, 1, 7, 0, 3), (0, 2, 8, 0, 2), (1, 2, 6, 0, 4))
PLAIN = {"prior": 0.0, "draws": False, "first_move": False}


def test_three_players_as_published():
    found = fit(THREE, 3, errors="games", **PLAIN)
    np.testing.assert_allclose(found.elo, [128.6502, -25.9017, -102.7485], atol=5e-5)
    np.testing.assert_allclose(found.error, [60.18, 54.98, 57.98], atol=5e-3)
    difference, error = found.differences()
    np.testing.assert_allclose(error[0, 1:], [99.64, 104.61], atol=5e-3)
    assert difference[0, 1] == pytest.approx(128.6502 + 25.9017, abs=1e-4)
    np.testing.assert_allclose(found.intervals[:, 1] - found.elo, 1.96 * found.error, rtol=1e-4)


def test_errors_with_all_others_fixed_are_others():
    count, points = np.zeros((2, 3, 3))
    np.add.at(count, (THREE.first, THREE.second), 1)
    np.add.at(points, (THREE.first, THREE.second), THREE.points)
    x = np.append(fit(THREE, 3, **PLAIN).elo / ELO, [0.0, -np.inf])
    own = np.diag(information(x, Table(count, points, 0 * count, spread_prior(count, 0.0), 0.0)))[:3]
    np.testing.assert_allclose(ELO / np.sqrt(own), [90.1, 82.4, 86.5], atol=0.05)


def test_expected_scores_are_logistic():
    elo = np.array([0, 35, 100, 200, 400])
    found = replace(fit(played(*((k, k + 1, 1, 0, 1) for k in range(4))), 5, **PLAIN), elo=elo)
    np.testing.assert_allclose(found.scores()[1:, 0], [0.5502, 0.6401, 0.7597, 0.9091], atol=5e-5)


# -- a plain reference -------------------------------------------------------------------------------------


class Reference:
    """The model game by game: what a game's outcomes say (`told`), how likely they are, and no more."""

    def __init__(self, games, players, prior, draws, first_move):
        self.k, self.fitted = players, np.append(np.ones(players, bool), [first_move, draws])
        self.units, alone = {}, 10**6
        for one in zip(games.first, games.second, games.points, games.pair):
            alone += 1
            self.units.setdefault(one[3] if one[3] >= 0 else alone, []).append(self.game(*one[:3]))
        self.extra = self.pseudo(games, prior)

    def unit_vector(self, **at):
        vector = np.zeros(self.k + 2)
        for name, value in at.items():
            vector[int(name[1:])] = value
        return vector

    def game(self, first, second, points):
        who = self.unit_vector(**{f"_{first}": 1, f"_{second}": -1, f"_{self.k}": 1})
        draw = self.unit_vector(**{f"_{self.k + 1}": 1})
        if self.fitted[-1]:
            return (1, [who, who / 2 + draw, 0 * who], {1: 0, 0.5: 1, 0: 2}[points], None)
        return (1, [who, 0 * who], None, who * points)

    def pseudo(self, games, prior):
        """The prior's games, as (weight, what outcomes say, outcome, –)."""
        found = []
        for a, b in combinations(range(self.k), 2):
            met = ((games.first == a) & (games.second == b)) | ((games.first == b) & (games.second == a))
            each = [((games.first == who) | (games.second == who)).sum() for who in (a, b)]
            weight = prior * met.sum() * (1 / each[0] + 1 / each[1])
            who = self.unit_vector(**{f"_{a}": 1, f"_{b}": -1})
            found += [(weight / 2, [who, 0 * who], k, None) for k in (0, 1)]
        first, draw = self.unit_vector(**{f"_{self.k}": 1}), self.unit_vector(**{f"_{self.k + 1}": 1})
        for said in ([first, 0 * first], [draw, 0 * draw]):
            found += [(prior / 2, said, k, None) for k in (0, 1)]
        return found

    def chances(self, x, said):
        # A draw of equals has a weight of ν beside 1 + 1, so that against their sum its log-odds lack log 2.
        draw = len(said) == 2 and said[0][-1] == 1 and not said[0][:-1].any()
        odds = np.array([one @ x for one in said]) - (np.array([np.log(2), 0]) if draw else 0)
        share = np.exp(odds - odds.max())
        return share / share.sum()

    def likelihood(self, x):
        total = 0.0
        for weight, said, outcome, between in self.all_games():
            chance = self.chances(x, said)
            if outcome is None:
                points = between[between != 0][0] / said[0][between != 0][0] if between.any() else 0.0
                total += weight * (points * np.log(chance[0]) + (1 - points) * np.log(chance[1]))
            else:
                total += weight * np.log(chance[outcome])
        return total

    def all_games(self):
        return [game for unit in self.units.values() for game in unit] + self.extra

    def slope(self, x, game):
        _, said, outcome, between = game
        mean = self.chances(x, said) @ np.array(said)
        return (said[outcome] if outcome is not None else between) - mean

    def spread(self, x, game):
        weight, said, *_ = game
        chance, said = self.chances(x, said), np.array(said)
        mean = chance @ said
        return weight * (said - mean).T @ np.diag(chance) @ (said - mean)

    def maximum(self):
        free = np.flatnonzero(self.fitted)[1:]  # the first player stays at 0

        def loss(part):
            x = np.zeros(self.k + 2)
            x[free] = part
            return -self.likelihood(x)

        found = np.zeros(self.k + 2)
        found[free] = minimize(loss, np.zeros(len(free)), options={"gtol": 1e-7}).x
        return found

    def covariance(self, x, errors):
        """Of θ relative to the first player, f and λ."""
        free = np.flatnonzero(self.fitted)[1:]
        bread = np.linalg.inv(sum(self.spread(x, game) for game in self.all_games())[np.ix_(free, free)])
        if errors == "games":
            return bread
        meat = sum(game[0] * np.outer(self.slope(x, game), self.slope(x, game)) for game in self.extra)
        meat = meat[np.ix_(free, free)]
        for unit in self.units.values():
            own = sum(self.spread(x, game) for game in unit)[np.ix_(free, free)]
            slope = sum(self.slope(x, game) for game in unit)[free]
            without = np.linalg.solve(np.eye(len(free)) - own @ bread, slope)
            meat = meat + np.outer(without, without)
        return bread @ meat @ bread


@pytest.mark.parametrize("errors", ["pairs", "games"])
@pytest.mark.parametrize(
    ("draws", "first_move"), [(True, True), (False, True), (True, False), (False, False)]
)
def test_a_plain_reference_agrees(draws, first_move, errors):
    games = simulated(np.random.default_rng(3), STRENGTHS[:4], openings=1.0, pairs=3)
    games.pair[::7] = -1  # some stand alone,
    games.pair[[5, 11, 17]] = 900  # and some are three
    options = {"prior": 0.7, "draws": draws, "first_move": first_move}
    found = fit(games, 4, anchor=0, errors=errors, **options)
    plain = Reference(games, 4, **options)
    x = plain.maximum()
    np.testing.assert_allclose(found.elo, ELO * x[:4], atol=1e-2)
    assert found.first_move == pytest.approx(ELO * x[4], abs=1e-2)
    assert found.draw == pytest.approx(np.exp(x[5]) if draws else 0, abs=1e-4)
    covariance = plain.covariance(x, errors)
    np.testing.assert_allclose(found.covariance[1:, 1:], ELO**2 * covariance[:3, :3], rtol=1e-3)
    if first_move:
        assert found.first_move_error == pytest.approx(ELO * np.sqrt(covariance[3, 3]), rel=1e-3)
    if draws:
        assert found.draw_error == pytest.approx(found.draw * np.sqrt(covariance[-1, -1]), rel=1e-3)


# -- what must not matter ----------------------------------------------------------------------------------


def test_the_order_of_games_does_not_matter():
    rng = np.random.default_rng(0)
    games = simulated(rng, STRENGTHS, openings=1.0, pairs=4)
    games.pair[:9] = -1
    mixed = permuted(games, rng.permutation(len(games.first)))
    one, other = fit(games, 5), fit(mixed, 5)
    assert (one.elo == other.elo).all()
    assert (one.covariance == other.covariance).all()
    assert (one.first_move, one.draw_error) == (other.first_move, other.draw_error)
    assert (bootstrap(games, 5, 20) == bootstrap(mixed, 5, 20)).all()
    np.testing.assert_array_equal(residuals(games, one), residuals(mixed, other))


def test_the_numbers_of_players_and_pairs_do_not_matter():
    games = simulated(np.random.default_rng(1), STRENGTHS, openings=1.0, pairs=4)
    new = np.array([3, 0, 4, 1, 2])
    renamed = Games(new[games.first], new[games.second], games.points, 1000 - 3 * games.pair)
    one, other = fit(games, 5), fit(renamed, 5)
    np.testing.assert_allclose(other.elo[new], one.elo, atol=1e-6)
    np.testing.assert_allclose(other.covariance[np.ix_(new, new)], one.covariance, atol=1e-6)


def test_an_anchor_moves_all_alike():
    games = simulated(np.random.default_rng(2), STRENGTHS)
    mean, anchored = fit(games, 5), fit(games, 5, anchor=3, anchor_elo=1500)
    assert anchored.elo[3] == 1500
    assert anchored.error[3] == 0
    assert mean.elo.sum() == pytest.approx(0, abs=1e-6)
    for one, other in zip(mean.differences(), anchored.differences()):
        np.testing.assert_allclose(one, other, atol=1e-5)
    np.testing.assert_allclose(anchored.error, mean.differences()[1][3], atol=1e-5)
    np.testing.assert_allclose(bootstrap(games, 5, 9, anchor=3, anchor_elo=1500)[:, 3], 1500)


def test_a_game_and_its_mirror_image_are_one():
    """Who moved first, its points and the first move's advantage are turned round together."""
    games = simulated(np.random.default_rng(4), STRENGTHS, pairs=6)
    turned = Games(games.second, games.first, 1 - games.points, games.pair)
    one, other = fit(games, 5), fit(turned, 5)
    np.testing.assert_allclose(one.elo, other.elo, atol=1e-6)
    assert one.first_move == pytest.approx(-other.first_move)


@pytest.mark.parametrize("far", [3.0, 10.0, 40.0])
def test_the_maximum_is_found_from_afar(far):
    rng = np.random.default_rng(16)
    count = rng.integers(0, 30, (6, 6)) * (1 - np.eye(6))
    points = rng.integers(0, count + 1).astype(float)
    table = Table(
        count, points, rng.integers(0, np.minimum(points, count - points) + 1), 0 * count + 0.1, 0.5
    )
    fitted = np.ones(8, bool)
    near = maximum(start(fitted), table, fitted)
    begun = far * rng.normal(size=8)
    begun[:6] -= begun[:6].mean()
    np.testing.assert_allclose(maximum(begun, table, fitted), near, atol=1e-6)


# -- what comes out ----------------------------------------------------------------------------------------


def test_draws_and_the_first_move_are_recovered():
    theta, rng = np.array([-1.0, 0.2, 0.8]), np.random.default_rng(5)
    found = fit(simulated(rng, theta, first_move=0.4, nu=1.3, pairs=20_000), 3)
    assert found.first_move == pytest.approx(0.4 * ELO, abs=4 * found.first_move_error)
    assert found.draw == pytest.approx(1.3, abs=4 * found.draw_error)
    assert found.first_move_error < 2
    assert found.draw_error < 0.02
    assert found.draw_share == pytest.approx(1.3 / 3.3, abs=0.005)
    np.testing.assert_allclose(found.elo, theta * ELO, atol=5)
    chances = law(theta[:, None] - theta + 0.4, 1.3)
    np.testing.assert_allclose(found.scores_first(), chances @ [1, 0.5, 0], atol=0.006)


def test_scores_and_likelihoods_hang_together():
    found = fit(simulated(np.random.default_rng(6), STRENGTHS), 5)
    scores, likely = found.scores(), found.superiority()
    np.testing.assert_allclose(scores + scores.T, 1)
    np.testing.assert_allclose(likely + likely.T, 1)
    np.testing.assert_allclose(found.field(), [(scores[k].sum() - 0.5) / 4 for k in range(5)])
    assert found.field().mean() == pytest.approx(0.5)
    difference, error = found.differences()
    assert likely[4, 0] == pytest.approx(norm.cdf(difference[4, 0] / error[4, 0]))
    assert likely[2, 2] == 0.5
    assert (found.scores_first() > scores).all()  # as f is above 0


@pytest.mark.parametrize("errors", ["pairs", "games"])
def test_a_perfect_scorer_stays_finite_and_nobody_is_sure(errors):
    games = played((0, 1, 20, 0, 0), (1, 0, 0, 0, 20), (1, 2, 6, 2, 4), (2, 1, 6, 2, 4))
    found = fit(games, 3, errors=errors)
    assert 500 < found.elo[0] - found.elo[1] < 1200
    assert 200 < found.differences()[1][0, 1] < 600
    assert found.superiority()[0, 1] > 0.95
    longer = fit(played((0, 1, 200, 0, 0), (1, 0, 0, 0, 200), (1, 2, 6, 2, 4)), 3, errors=errors)
    assert longer.elo[0] - longer.elo[1] > found.elo[0] - found.elo[1] + 200
    sampled = bootstrap(games, 3, 50)
    assert np.isfinite(sampled).all()


def test_with_no_prior_a_perfect_scorer_is_an_error():
    infinite = "a prior above 0 keeps them finite"
    for rows in (((0, 1, 5, 0, 0),), ((0, 1, 5, 0, 5), (0, 2, 3, 0, 0), (1, 2, 3, 0, 0))):
        with pytest.raises(ValueError, match=infinite):
            fit(played(*rows), 1 + max(row[1] for row in rows), **PLAIN)
    level, first = played((0, 1, 5, 0, 5), (1, 0, 5, 0, 5)), played((0, 1, 5, 0, 0), (1, 0, 5, 0, 0))
    with pytest.raises(ValueError, match=infinite):
        fit(level, 2, prior=0.0)  # nobody ever drew
    with pytest.raises(ValueError, match=infinite):
        fit(first, 2, prior=0.0, draws=False)  # who moved first always won
    assert fit(level, 2, prior=0.0, draws=False).elo == pytest.approx(0)
    with pytest.raises(ValueError, match="a bootstrap needs a prior"):
        bootstrap(level, 2, 5, prior=0.0)
    with pytest.raises(ValueError, match="not -1"):
        fit(level, 2, prior=-1)


def test_two_equal_shares_need_no_prior_to_be_equal():
    found = fit(played((0, 1, 6, 3, 4), (1, 0, 6, 3, 4)), 2)
    np.testing.assert_allclose(found.elo, 0, atol=1e-6)
    assert found.first_move > 0


def test_a_long_ladder_of_perfect_scores():
    games = played(*((k, k + 1, 0, 0, 50) for k in range(30)), *((k + 1, k, 50, 0, 0) for k in range(30)))
    found = fit(games, 31)
    steps = np.diff(found.elo)
    assert (steps > 500).all()
    assert np.isfinite(found.error).all()


def test_groups_that_no_games_connect_are_named():
    games = played((0, 3, 1, 1, 1), (5, 4, 1, 0, 1), (4, 1, 2, 0, 0))
    assert connected(games, 7) == [[0, 3], [1, 4, 5], [2], [6]]
    assert connected(played(*((k + 1, k, 1, 0, 0) for k in range(9))), 10) == [list(range(10))]
    with pytest.raises(
        ValueError, match=r"connect these 4 groups of players: \[0, 3\], \[1, 4, 5\], \[2\], \[6\]"
    ):
        fit(games, 7)


@pytest.mark.parametrize(
    ("games", "players", "said"),
    [
        (played((0, 1, 1, 0, 1)), 1, "2 players at least"),
        (played((0, 2, 1, 0, 1)), 2, "from 0 to 1, not 0 to 2"),
        (played((0, 1, 1, 0, 0), (1, 1, 1, 0, 1)), 2, "game 1 has player 1 on both sides"),
        (Games(np.array([0]), np.array([1]), np.array([0.3]), np.array([-1])), 2, "worth 0, 0.5 or 1"),
    ],
)
def test_games_that_are_none_are_told(games, players, said):
    with pytest.raises(ValueError, match=said):
        fit(games, players)


# -- how sure ----------------------------------------------------------------------------------------------


def test_games_of_a_pair_are_one_observation():
    """Each game twice, in one pair, says no more than once."""
    games = simulated(np.random.default_rng(7), STRENGTHS, pairs=30)
    once = replace(games, pair=np.arange(len(games.first)))
    twice = Games(*(np.tile(column, 2) for column in (once.first, once.second, once.points, once.pair)))
    single, double = fit(once, 5), fit(twice, 5)
    np.testing.assert_allclose(double.error, single.error, rtol=0.03)
    naive = fit(twice, 5, errors="games")
    np.testing.assert_allclose(naive.error, single.error / np.sqrt(2), rtol=0.1)
    np.testing.assert_allclose(bootstrap(twice, 5, 400).std(axis=0), single.error, rtol=0.15)


def test_openings_that_favour_a_side_make_pairs_surer_than_their_games():
    games = simulated(np.random.default_rng(8), STRENGTHS, openings=3.0, pairs=60)
    assert (fit(games, 5).error < 0.85 * fit(games, 5, errors="games").error).all()


def test_draws_as_half_wins_give_the_mean_and_too_wide_errors_by_games():
    games = simulated(np.random.default_rng(9), STRENGTHS / 4, nu=4.0, pairs=100)
    by_pairs, by_games = (fit(games, 5, draws=False, errors=errors) for errors in ("pairs", "games"))
    full = fit(games, 5)
    assert (by_pairs.error < 0.75 * by_games.error).all()
    np.testing.assert_allclose(by_pairs.field(), full.field(), atol=0.01)
    assert (by_pairs.draw, by_pairs.draw_error) == (0, 0)


def test_bootstrap_and_errors_by_pairs_agree():
    games = simulated(np.random.default_rng(10), STRENGTHS, openings=1.5, pairs=40)
    found, sampled = fit(games, 5), bootstrap(games, 5, 500, seed=1)
    np.testing.assert_allclose(sampled.std(axis=0), found.error, rtol=0.15)
    np.testing.assert_allclose(np.cov(sampled.T), found.covariance, atol=0.15 * found.error.max() ** 2)
    np.testing.assert_allclose(sample_intervals(sampled), found.intervals, atol=0.4 * found.error.max())
    assert (sampled == bootstrap(games, 5, 500, seed=1)).all()
    assert (sampled[:9] != bootstrap(games, 5, 9, seed=2)).all()


def test_a_large_bootstrap_in_parts():
    rng = np.random.default_rng(11)
    games = simulated(rng, rng.normal(0, 0.8, 20), openings=1.0, pairs=11)  # 4,180 games
    found, sampled = fit(games, 20), bootstrap(games, 20, 600)
    assert sampled.shape == (600, 20)
    np.testing.assert_allclose(sampled.std(axis=0), found.error, rtol=0.25)


def held(runs, seed, **world):
    """Of so many tournaments, how often the 95 % intervals hold the truth: of ratings, differences, f, ν."""
    rng, real = np.random.default_rng(seed), truth(STRENGTHS, **{k: world[k] for k in world if k != "pairs"})
    elo, found = real[:5], []
    for _ in range(runs):
        ratings = fit(simulated(rng, STRENGTHS, **world), 5)
        low, high = ratings.intervals.T
        difference, error = ratings.differences()
        off = np.abs(difference - (elo[:, None] - elo)) <= 1.96 * error
        first = abs(ratings.first_move - real[5]) <= 1.96 * ratings.first_move_error
        draw = abs(ratings.draw - real[6]) <= 1.96 * ratings.draw_error
        found.append([*((low <= elo) & (elo <= high)), *off[np.triu_indices(5, 1)], first, draw])
    return np.mean(found, axis=0)


WORLDS = [
    {"openings": 0.0, "pairs": 20},
    {"openings": 1.5, "pairs": 20},
    {"openings": 1.5, "pairs": 40, "first_move": 1.0, "nu": 0.3},
]


@pytest.mark.parametrize("world", WORLDS[1:2])
def test_intervals_hold_the_truth_as_often_as_they_say(world):
    runs = 250
    share = held(runs, 0, **world)
    assert (share >= binom.ppf(1e-4, runs, 0.95) / runs).all()
    assert (share <= binom.ppf(1 - 1e-4, runs, 0.955) / runs).all()
    assert share[:15].mean() == pytest.approx(0.95, abs=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("world", WORLDS)
def test_intervals_hold_the_truth_as_often_as_they_say_over_many(world):
    np.testing.assert_allclose(held(4000, 1, **world), 0.95, atol=0.02)


# -- what no rating can say --------------------------------------------------------------------------------


def test_residuals_find_a_planted_cycle():
    rng = np.random.default_rng(12)
    games = simulated(rng, STRENGTHS, openings=1.0, pairs=30)
    cycle = np.zeros((5, 5))
    cycle[[0, 1, 2], [1, 2, 0]] = 1
    cycle -= cycle.T
    wins = cycle[games.first, games.second]  # 1, −1, and 0 outside the cycle
    turned = (wins != 0) & (rng.random(len(wins)) < 0.6)
    games = replace(games, points=np.where(turned, (1 + wins) / 2, games.points))
    found = residuals(games, fit(games, 5))
    strange = {(a, b): z for a, b, z in zip(found.a, found.b, found.standard) if abs(z) > 3}
    assert set(strange) == {(0, 1), (0, 2), (1, 2)}
    assert strange[0, 1] > 0
    assert strange[1, 2] > 0
    assert strange[0, 2] < 0


def standard_scores(openings, pairs, errors="pairs"):
    rng, found = np.random.default_rng(13), []
    for _ in range(100):
        games = simulated(rng, STRENGTHS, openings=openings, pairs=pairs)
        found.append(residuals(games, fit(games, 5, errors=errors)).standard)
    return np.array(found)


def test_residuals_of_what_the_model_says_are_standard_ones():
    few, many = standard_scores(openings=0.0, pairs=4), standard_scores(openings=4.0, pairs=20)
    assert few.std() == pytest.approx(0.97, abs=0.06)
    assert many.std() == pytest.approx(1, abs=0.08)
    assert (np.abs(np.append(few, many)) > 3).mean() < 0.01
    assert standard_scores(openings=4.0, pairs=20, errors="games").std() < 0.75  # pairs spread less


def test_residuals_are_of_a_pairing_with_both_colours():
    games = simulated(np.random.default_rng(15), STRENGTHS, pairs=6)
    ratings = fit(games, 5)
    found = residuals(games, ratings)
    there, back = ((games.first == a) & (games.second == b) for a, b in ((1, 3), (3, 1)))
    points = games.points[there].sum() + (1 - games.points[back]).sum()
    row = np.flatnonzero((found.a == 1) & (found.b == 3))[0]
    assert (found.games == 12).all()
    assert found.points[row] == points
    assert found.residual[row] == pytest.approx(points - 12 * ratings.scores()[1, 3])


def test_what_the_first_move_explains_is_no_cycle():
    """In a ring of 3, each nearly always moves first against the next, and so beats it."""
    first, second = np.repeat([[0, 1, 2, 1, 2, 0], [1, 2, 0, 0, 1, 2]], [90, 90, 90, 10, 10, 10], axis=1)
    rng, theta, scores = np.random.default_rng(1), np.array([0, 0.3, -0.3]), []
    for _ in range(150):
        chances = law(theta[first] - theta[second] + 0.8, 0.8).cumsum(axis=1)
        points = 1 - (rng.random(len(first))[:, None] > chances[:, :2]).sum(axis=1) / 2
        games = Games(first, second, points, np.full(len(first), -1))
        scores.append(residuals(games, fit(games, 3, errors="games")).standard)
    assert np.std(scores) == pytest.approx(1, abs=0.15)
    blind = residuals(games, fit(games, 3, first_move=False, errors="games"))
    assert (np.abs(blind.standard) > 3).all()


def test_residuals_sum_to_nothing_over_a_players_pairings():
    games = simulated(np.random.default_rng(14), STRENGTHS, pairs=30)
    found = residuals(games, fit(games, 5, prior=1e-6))
    for k in range(5):
        total = found.residual[found.a == k].sum() - found.residual[found.b == k].sum()
        assert total == pytest.approx(0, abs=1e-3)


def test_two_players_leave_no_room_for_residuals():
    for rows in (((0, 1, 30, 0, 0), (1, 0, 0, 0, 30)), ((0, 1, 7, 2, 3), (1, 0, 4, 1, 6))):
        games = played(*rows)
        for errors in ("pairs", "games"):
            found = residuals(games, fit(games, 2, first_move=False, errors=errors))
            assert abs(found.standard[0]) < 1e-3


def test_what_the_prior_takes_from_a_perfect_scorer_is_no_surprise():
    games = played(
        (0, 1, 40, 0, 0), (1, 0, 0, 0, 40), (0, 2, 2, 0, 0), (2, 0, 0, 0, 2), (1, 2, 6, 2, 4), (2, 1, 6, 2, 4)
    )
    found = residuals(games, fit(games, 3))
    assert found.residual[0] > 0.4
    assert (np.abs(found.standard) < 0.3).all()


# -- the page ----------------------------------------------------------------------------------------------


def test_the_page_of_ratings_runs():
    page = (Path(__file__).parents[2] / "docs" / "ratings.md").read_text(encoding="utf-8")
    known = {}
    (block,) = re.findall(r"```python\n(.*?)```", page, re.S)
    exec(block, known)
    assert known["spread"].shape == (3, 2)
    assert known["strange"].shape == (3,)
    assert known["ring"] == []
    assert known["points"].sum() == len(known["games"].first) == known["count"].sum() / 2
    assert known["share"].argmax() == 0
