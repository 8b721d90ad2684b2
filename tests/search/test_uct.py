"""UCT: against a plain one written here, on games that are solved, and in strength."""

from __future__ import annotations

import math

import numpy as np
import pytest
from gymnasium import spaces

import envs
from envs.board import connect_four, load
from envs.board.game import OPEN, PLAYOUT, legal, outcome, play, ply, to_play, value_of
from envs.board.moves import play_moves
from envs.board.spaces import observation_space
from envs.board.vector import Board
from envs.options import OptionError
from envs.rng import from_seeds, next_below
from rollouts.agent import Agent, Decision
from rollouts.build import build_agent
from search import uct
from search.match import play_match
from search.uct import UCT
from tests.envs.nim import NIM

F = np.float32
GAMES = {
    "tic_tac_toe": ({}, 0),  # with options, and from so many random plies
    "connect_four": ({}, 20),
    "othello": ({"size": 6}, 24),
    NIM: ({"pile": 12, "again": True}, 0),
}


def make(game, **options):
    return UCT(observation_space(game), spaces.Discrete(game.actions), **options)


def openings(game, plies, n):
    obs, _ = Board(game.name, n, random_plies=plies, **game.options).reset(seed=0)
    return obs["state"]


def legal_moves(game, state):
    mask = np.zeros(game.actions, bool)
    legal(game.code, state, mask)
    return np.flatnonzero(mask).tolist()


def children(game, state):
    """The positions after each move."""
    for action in legal_moves(game, state):
        after = state.copy()
        play(game.code, after, action)
        yield after


# -- against a plain one -----------------------------------------------------------------------------------


class Plain:
    """A node of a tree of objects. All values are for who moves at it."""

    def __init__(self, game, state, exact):
        self.game, self.state, self.exact, self.mover = game, state, exact, to_play(state)
        self.known = None if outcome(state) == OPEN else value_of(outcome(state), self.mover)
        self.untried = legal_moves(game, state)
        self.children, self.visits, self.sums = {}, {}, {}

    def value_known(self, action):
        """What is proven of a move."""
        child = self.children[action]
        if not self.exact or child.known is None:
            return None
        return child.known if child.mover == self.mover else -child.known

    def simulate(self, rng, c):
        """One simulation from here; returns its value."""
        if self.known is not None:
            return self.known
        if self.untried:
            action, child = self.expand(rng)
            value = child.play_out(rng) if child.known is None else child.known
        else:
            action = self.choose(c)
            child = self.children[action]
            value = child.simulate(rng, c)
        value = value if child.mover == self.mover else -value
        self.visits[action] += 1
        self.sums[action] += value
        if self.exact:
            self.prove()
        return value if self.known is None else self.known

    def expand(self, rng):
        drawn = next_below(rng, 0, len(self.untried))
        self.untried[0], self.untried[drawn] = self.untried[drawn], self.untried[0]
        action, after = self.untried.pop(0), self.state.copy()
        play(self.game.code, after, action)
        self.children[action] = Plain(self.game, after, self.exact)
        self.visits[action], self.sums[action] = 0, 0
        return action, self.children[action]

    def play_out(self, rng):
        state = self.state.copy()
        if self.game.code[0][PLAYOUT]:  # the game's own
            return value_of(uct.play_out(self.game.code, state, rng, 0, np.zeros(1, bool)), self.mover)
        while outcome(state) == OPEN:
            moves = legal_moves(self.game, state)
            play(self.game.code, state, moves[next_below(rng, 0, len(moves))])
        return value_of(outcome(state), self.mover)

    def choose(self, c):
        scale = F(c * math.sqrt(math.log(sum(self.visits.values()))))
        scores = {}
        for action, n in self.visits.items():
            known = self.value_known(action)
            if known != -1:
                total = self.sums[action] if known is None else known * n
                scores[action] = (F(total) + scale * np.sqrt(F(n))) / F(n)
        return max(scores, key=scores.__getitem__)  # the first of equals

    def prove(self):
        known = [self.value_known(action) for action in self.children]
        if 1 in known or not (self.untried or None in known):
            self.known = max(k for k in known if k is not None)


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("name", GAMES)
def test_it_searches_as_a_plain_one_does(name, exact):
    options, plies = GAMES[name]
    game = load(name, options)
    states = openings(game, plies, 4)
    found = make(game, simulations=200, c=0.8, exact=exact).search(states, from_seeds(range(4)))
    for b, state in enumerate(states):
        root, rng = Plain(game, state, exact), from_seeds([b])
        for _ in range(200):
            if root.known is None:
                root.simulate(rng, 0.8)
        for action in range(game.actions):
            visits = root.visits.get(action, 0)
            assert found.visits[b, action] == visits
            if visits:
                known = root.value_known(action)
                q = root.sums[action] / visits if known is None else known
                assert found.q[b, action] == pytest.approx(q, abs=1e-6)
        if root.known is not None:
            assert found.value[b] == root.known
            assert root.value_known(int(found.best[b])) == root.known
        else:
            alive = [a for a in root.visits if root.value_known(a) != -1]
            mean = sum(root.sums[a] for a in alive) / sum(root.visits[a] for a in alive)
            assert found.value[b] == pytest.approx(mean, abs=1e-6)
            assert found.best[b] == max(alive, key=lambda a: (root.visits[a], root.sums[a]))


@pytest.mark.parametrize("workers", [1, 3])
def test_a_game_is_searched_alike_in_any_batch_and_on_any_threads(workers, monkeypatch):
    game = load("connect_four")
    states = openings(game, 6, 20)
    alone = [make(game, simulations=300).search(states[b : b + 1], from_seeds([b])) for b in range(20)]
    monkeypatch.setattr(uct, "workers_for", lambda n: min(n, workers))
    rng = from_seeds(range(20))
    found = make(game, simulations=300).search(states, rng)
    for b in range(20):
        for ours, single in zip(found, alone[b]):
            np.testing.assert_array_equal(ours[b], single[0])
    assert len(set(map(bytes, found.visits))) == 20  # and every game by its own generator
    again = make(game, simulations=300).search(states, rng)
    assert (again.visits != found.visits).any()  # which moves on


# -- what it finds -----------------------------------------------------------------------------------------


def test_visits_are_the_simulations():
    game = load("connect_four")
    found = make(game, simulations=500).search(game.new(3), from_seeds(range(3)))
    assert found.visits.dtype == np.int32
    assert found.visits.sum(axis=1).tolist() == [500] * 3
    mean = (found.visits * found.q).sum(axis=1) / 500
    np.testing.assert_allclose(found.value, mean, atol=1e-6)
    assert (found.best == 3).all()  # the only first move that wins


@pytest.mark.parametrize("again", [False, True])
def test_it_proves_nim(again):
    game = load(NIM, {"pile": 12, "again": again})

    def worth(left):  # for who is to move, by the rules in words
        if left == 0:
            return 1 if again else -1
        same = again and left > 2  # whether who takes two moves again
        two = [worth(left - 2) if same else -worth(left - 2)] if left > 1 else []
        return max([-worth(left - 1), *two])

    states = game.new(12)
    states[:, 1] = np.arange(1, 13)
    found = make(game, simulations=5000, exact=True).search(states, from_seeds(range(12)))
    assert found.value.tolist() == [worth(left) for left in range(1, 13)]
    assert found.visits.sum(axis=1).max() < 5000  # what is proven needs no more


def test_it_proves_tic_tac_toe():
    game = load("tic_tac_toe")

    def worth(state):
        if outcome(state) != OPEN:
            return value_of(outcome(state), to_play(state))
        return max(-worth(after) for after in children(game, state))

    states = openings(game, 4, 60)
    found = make(game, simulations=2000, exact=True).search(states, from_seeds(range(60)))
    expected = [worth(state) for state in states]
    assert set(expected) == {-1, 0, 1}
    np.testing.assert_array_equal(found.value, expected)
    assert found.visits.sum(axis=1).max() < 2000


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize(("moves", "best"), [("1 2 1 2 1 2", "1"), ("1 2 1 2 1", "1"), ("4 1 5 1", "3 6")])
def test_it_wins_blocks_and_opens_both_ends(moves, best, exact):
    game = load("connect_four")
    states = np.repeat(play_moves(game, moves)[None], 8, axis=0)
    found = make(game, simulations=2000, exact=exact).search(states, from_seeds(range(8)))
    assert {game.move_text(a) for a in found.best} <= set(best.split())


def test_with_fewer_simulations_than_moves_it_still_plays():
    game = load("connect_four")
    found = make(game, simulations=1).search(game.new(700), from_seeds(range(700)))
    counts = np.bincount(found.best, minlength=7)
    assert (abs(counts - 100) < 45).all()  # any, by lot (standard deviation 9)
    assert (found.visits.sum(axis=1) == 1).all()


def test_a_lost_game_is_played_on():
    game = load(NIM, {"pile": 3})
    found = make(game, simulations=100, exact=True).search(game.new(4), from_seeds(range(4)))
    assert (found.value == -1).all()
    assert (found.visits[np.arange(4), found.best] == found.visits.max(axis=1)).all()


# -- as an agent -------------------------------------------------------------------------------------------


def test_it_acts_on_observations_and_can_be_built_again():
    env = envs.make("board/ConnectFour-v0", 5, random_plies=4)
    obs, _ = env.reset(seed=0)
    agent = UCT(env.single_observation_space, env.single_action_space, simulations=50, c=2, exact=True)
    other = build_agent(agent.spec(), env.single_observation_space, env.single_action_space)
    decisions = [a.act(obs, rng=from_seeds(range(5)), first=np.ones(5, bool)) for a in (agent, other)]
    assert set(decisions[0].fields) == {"visits", "q", "value"}
    assert obs["action_mask"][np.arange(5), decisions[0].actions].all()
    np.testing.assert_array_equal(decisions[0].actions, decisions[1].actions)
    np.testing.assert_array_equal(decisions[0].fields["visits"], decisions[1].fields["visits"])


def test_what_does_not_fit_is_told():
    game = load("tic_tac_toe")
    with pytest.raises(ValueError, match="no board game's") as error:
        UCT(spaces.Box(0, 1, (4,)), spaces.Discrete(2))
    assert "\n" not in str(error.value)
    for options, said in [({"simulations": 0}, "simulations"), ({"c": -1.0}, "c must be")]:
        with pytest.raises(OptionError, match=said):
            make(game, **options)


class OpenSpiel(Agent):
    """OpenSpiel's MCTS with random playouts, on connect four.

    It scores a move that ends the game by the outcome alone, without the bonus for exploration that all
    others get. So it tries won moves too seldom where `c` is large, unless it looks for proofs (`exact`).
    """

    def __init__(self, simulations, c, exact):
        import pyspiel

        self.game = pyspiel.load_game("connect_four")
        playouts = pyspiel.RandomRolloutEvaluator(1, 1)
        self.bot = pyspiel.MCTSBot(self.game, playouts, c, simulations, -1, exact, 1, False)

    def act(self, obs, *, rng, first, memory=None, explore=True):
        return Decision(np.array([self.bot.step(self.position(row)) for row in obs["state"]]))

    def position(self, words):
        """The same position there, by some moves that lead to it."""
        moves, theirs = np.zeros(connect_four.CELLS, np.int64), self.game.new_initial_state()
        assert connect_four.drop_order(words[1], words[2], 0b1111111, moves)
        for action in moves[: ply(words)]:
            theirs.apply_action(action)
        return theirs


def match_openspiel(c, exact):
    """The 95 % interval of our score against it, both with 400 simulations a move, over 500 openings."""
    pytest.importorskip("pyspiel")
    env = envs.make("board/ConnectFour-v0", 500, random_plies=4)
    spaces = env.single_observation_space, env.single_action_space
    ours = UCT(*spaces, simulations=400, c=c, exact=exact)
    return play_match(env, ours, OpenSpiel(400, c, exact), pairs=500).interval


@pytest.mark.slow
@pytest.mark.parametrize(("c", "exact"), [(1.0, False), (1.0, True), (2.0, True)])
def test_it_is_as_strong_as_openspiels(c, exact):
    low, high = match_openspiel(c, exact)
    assert low < 0.5 < high
    assert high - low < 0.07


@pytest.mark.slow
def test_it_is_stronger_than_openspiels_where_exploring_much_costs_that_its_wins():
    low, _ = match_openspiel(2.0, exact=False)
    assert low > 0.5
