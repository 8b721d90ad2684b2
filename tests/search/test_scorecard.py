"""The scorecard: positions as states, mistakes counted one by one, intervals as in the books."""

import numpy as np
import pytest
from scipy.stats import binomtest

from envs.board import load
from envs.board.game import OPEN, outcome
from envs.board.moves import play_moves
from envs.rng import uniform
from rollouts.agent import Agent, Decision
from search import scorecard as module
from search.perfect.connect_four import ILLEGAL, Solver
from search.perfect.notation import from_moves
from search.perfect.positions import CLASSES, Positions
from search.scorecard import ALL, Row, as_states, chance_rates, few, scorecard, wilson_interval

GAME = load("connect_four")


def late_games(count=60, stones=(29, 36)):
    """Moves of random games that still go on so late."""
    rng, found = np.random.default_rng(0), []
    while len(found) < count:
        moves, goal = "", rng.integers(*stones)
        while len(moves) < goal:
            free = [c for c in "1234567" if moves.count(c) < 6]
            moves += str(rng.choice(free))
            if outcome(play_moves(GAME, " ".join(moves))) != OPEN:
                break
        else:
            found.append(moves)
    return found


@pytest.fixture(scope="module")
def positions():
    """Sixty late positions, solved; their classes are dealt out in turn."""
    moves = tuple(late_games())
    mine, mask = (np.array(words, np.uint64) for words in zip(*map(from_moves, moves)))
    scores = Solver(1).scores(mine, mask)
    return Positions(mine, mask, np.arange(len(moves)) % 3, moves, scores)


class Known(Agent):
    """Chooses by the scores of the positions: `choose(scores [actions], u) -> action`."""

    def __init__(self, positions, choose):
        self.scores = {s.tobytes(): x for s, x in zip(as_states(positions), positions.scores)}
        self.choose, self.batches = choose, []

    def act(self, obs, *, rng, first, memory=None, explore=True):
        assert not explore
        assert first.all()
        assert obs["action_mask"].shape == (len(rng), 7)
        self.batches.append(len(rng))
        drawn = uniform(rng)
        found = [self.choose(self.scores[s.tobytes()], u) for s, u in zip(obs["state"], drawn)]
        return Decision(np.array(found))


def anything(scores, u):
    legal = np.flatnonzero(scores != ILLEGAL)
    return legal[int(u * len(legal))]


def worst(scores, u):
    return np.where(scores == ILLEGAL, 100, scores).argmin()


def test_positions_are_the_states_that_their_moves_lead_to(positions):
    played = np.stack([play_moves(GAME, " ".join(moves)) for moves in positions.moves])
    np.testing.assert_array_equal(as_states(positions), played)
    assert {int(state[0] >> np.uint64(16)) & 1 for state in played} == {0, 1}  # both players are to move
    GAME.check(as_states(positions))


def test_a_perfect_player_makes_no_mistake(positions):
    rows = scorecard(Known(positions, lambda scores, u: scores.argmax()), positions)
    assert [(row.name, row.positions) for row in rows] == [*((name, 20) for name in CLASSES[:3]), (ALL, 60)]
    assert [row.mistakes for row in rows] == [0, 0, 0, 0]
    assert rows[-1].interval[0] == 0


@pytest.mark.parametrize("choose", [anything, worst])
def test_mistakes_are_moves_whose_outcome_is_worse_than_the_best(positions, choose):
    made = {}

    def noted(scores, u):
        action = choose(scores, u)
        made.setdefault(scores.tobytes(), []).append(action)
        return action

    rows = scorecard(Known(positions, noted), positions)
    expected = [0, 0, 0]
    for scores, kind in zip(positions.scores, positions.classes):
        score = scores[made[scores.tobytes()].pop(0)]
        best = max(s for s in scores if s != ILLEGAL)
        expected[kind] += (best > 0 and score <= 0) or (best == 0 and score < 0)
    assert [row.mistakes for row in rows[:-1]] == expected
    assert rows[-1].mistakes == sum(expected) > 0
    assert rows[-1].rate == sum(expected) / 60


def test_the_rate_of_chance_is_the_mean_over_all_legal_moves(positions):
    shares = {name: [] for name in CLASSES[:3]}
    for scores, kind in zip(positions.scores.tolist(), positions.classes):
        made = [score for score in scores if score != ILLEGAL]
        losing = [max(made) > 0 >= score or max(made) == 0 > score for score in made]
        shares[CLASSES[kind]].append(sum(losing) / len(losing))
    rates = chance_rates(positions)
    assert list(rates) == [*CLASSES[:3], ALL]
    of_all = np.concatenate(list(shares.values())).mean()
    assert rates == pytest.approx({name: np.mean(some) for name, some in shares.items()} | {ALL: of_all})
    many = [scorecard(Known(positions, anything), positions, seed=seed)[-1].rate for seed in range(100)]
    assert np.mean(many) == pytest.approx(rates[ALL], abs=0.03)


def test_a_slower_win_is_no_mistake(positions):
    won = few_where(positions, (positions.scores > 0).sum(axis=1) > 1)

    def slowest_win(scores, u):
        return np.where(scores > 0, scores, 100).argmin()

    assert len(won.mine) > 5
    assert scorecard(Known(won, slowest_win), won)[-1].mistakes == 0


def few_where(positions, where):
    moves = tuple(m for m, kept in zip(positions.moves, where) if kept)
    arrays = (positions.mine, positions.mask, positions.classes)
    return Positions(*(array[where] for array in arrays), moves, positions.scores[where])


def test_the_batch_changes_nothing_and_the_seed_names_the_chance(positions, monkeypatch):
    at_once = scorecard(Known(positions, anything), positions)
    other = scorecard(Known(positions, anything), positions, seed=1)
    agent = Known(positions, anything)
    monkeypatch.setattr(module, "BATCH", 7)
    told = []
    assert scorecard(agent, positions, report=lambda *counts: told.append(counts)) == at_once != other
    assert agent.batches == [7] * 8 + [4]
    assert told == [(done, 60) for done in (7, 14, 21, 28, 35, 42, 49, 56, 60)]


def test_an_illegal_move_is_told_with_its_position(positions):
    full = few_where(positions, (positions.scores == ILLEGAL).any(axis=1))
    wrong = Known(full, lambda scores, u: int(np.argmax(scores == ILLEGAL)))
    with pytest.raises(ValueError, match=rf"not legal: column \d is full after {full.moves[0]}"):
        scorecard(wrong, full)


def test_few_are_the_first_of_every_class(positions):
    kept = few(positions, 4)
    assert np.bincount(kept.classes).tolist() == [4, 4, 4]
    assert kept.moves == tuple(positions.moves[k] for k in [0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11])
    np.testing.assert_array_equal(as_states(kept)[0], as_states(positions)[0])
    assert len(few(positions, 1000).mine) == 60


@pytest.mark.parametrize(("count", "of"), [(0, 1000), (1, 1), (3, 1000), (20, 60), (1000, 1000)])
def test_the_interval_is_wilsons(count, of):
    wanted = binomtest(count, of).proportion_ci(0.95, method="wilson")
    assert wilson_interval(count, of) == pytest.approx((wanted.low, wanted.high), abs=1e-6)
    assert Row("all", of, count).interval == wilson_interval(count, of)
