"""Tree reuse: what is kept of a tree is what a plain search keeps, and where it begins afresh."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium.spaces import Discrete

import envs
from agents.options import read
from envs.board import load
from envs.board.game import OPEN, outcome
from envs.board.spaces import observation_space
from envs.options import OptionError
from envs.rng import from_seeds
from rollouts.sampler import Sampler
from rollouts.storage import load_tree, save_tree
from search.mcts import Search, SearchOptions
from search.planner import Planner
from search.tree import ROOT, UNKNOWN
from tests.envs.nim import NIM
from tests.search.plain import PlainSearch, after, hashed, legal_moves, openings

GAMES = {
    "connect_four": ({}, 4),  # with options, and from so many random plies
    "othello": ({"size": 6}, 18),
    NIM: ({"pile": 16, "again": True}, 0),
}


def make(game, **options):
    return Search(game, hashed(game), SearchOptions(reuse=True, **options))


def visits_of(root, actions):
    counts = np.zeros(actions, int)
    for move, child in root.children.items():
        counts[move] = len(child.values)
    return counts


def play_on(game, states, moves):
    """The positions after the moves, and which of the games go on."""
    states = np.array([after(game, state, move) for state, move in zip(states, moves)])
    return states, np.array([outcome(state) == OPEN for state in states])


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("name", GAMES)
def test_a_game_is_searched_as_a_plain_search_does_that_keeps_its_tree(name, exact):
    """Positions one and two moves on, in turn; the plain search walks down its own tree."""
    options, plies = GAMES[name]
    game = load(name, options)
    states, rng = openings(game, plies, 6), from_seeds(range(6))
    search = make(game, simulations=40, exact=exact)
    plain = PlainSearch(game, hashed(game), search.options)
    roots, kept, reused = list(states), None, 0
    for turn in range(5):
        found = search.run(states, rng, kept=kept)
        roots = [plain.run(root, 40) for root in roots]
        for b, root in enumerate(roots):
            np.testing.assert_array_equal(found.visits[b], visits_of(root, game.actions))
            if not exact or root.proven is None:
                assert found.value[b] == pytest.approx(np.mean(root.values), abs=1e-5)
        ways = [moves_on(game, state, found.best[b], 1 + turn % 2) for b, state in enumerate(states)]
        going = [b for b, way in enumerate(ways) if way is not None]
        reused += len(going)
        states = np.array([after(game, states[b], *ways[b]) for b in going])
        roots = [walk(roots[b], ways[b]) or s for b, s in zip(going, states)]
        kept = {name: array[going] for name, array in found.trees.items()}
        rng = rng[going].copy()
    assert reused > 12


def moves_on(game, state, first, count):
    """The first move and a reply, so many moves in all; None where the game is over then."""
    way = [int(first)]
    while len(way) < count and outcome(after(game, state, *way)) == OPEN:
        way.append(legal_moves(game, after(game, state, *way))[0])
    return way if outcome(after(game, state, *way)) == OPEN else None


def walk(root, way):
    """The node there, or None where the plain search has not been."""
    for move in way:
        if root is None:
            return None
        root = root.children.get(move)
    return root


def test_a_first_move_and_an_unknown_position_begin_afresh():
    game = load("connect_four")
    states, search = openings(game, 4, 4), make(game, simulations=50)
    before = search.run(states, from_seeds(range(4)))
    then, _ = play_on(game, states, before.best)
    then[3] = openings(game, 9, 1)[0]  # nowhere in the tree
    first = np.array([True, False, True, False])
    found = search.run(then, from_seeds(range(4)), kept=before.trees, first=first)
    alone = search.run(then, from_seeds(range(4)))
    for b, fresh in enumerate([True, False, True, True]):
        assert (found.visits[b].sum() == 50) == fresh
        assert np.array_equal(found.visits[b], alone.visits[b]) == fresh
    assert found.visits[1].sum() == before.visits[1].max() - 1 + 50


def test_what_is_kept_depends_on_no_batch_and_survives_a_copy():
    game = load("connect_four")
    states, search = openings(game, 4, 12), make(game, simulations=50)
    first = search.run(states, from_seeds(range(12)), noisy=True)
    then, _ = play_on(game, states, first.best)
    found = search.run(then, from_seeds(range(12)), noisy=True, kept=first.trees)
    rows = np.array([7, 2])
    copied = {name: array[rows] for name, array in first.trees.items()}
    for array in copied.values():
        array.flags.writeable = False  # as out of an object store
    some = make(game, simulations=50).run(then[rows], from_seeds(rows), noisy=True, kept=copied)
    for name in ("visits", "q", "prior", "policy", "value"):
        np.testing.assert_array_equal(getattr(found, name)[rows], getattr(some, name))
    for name in found.trees:
        np.testing.assert_array_equal(found.trees[name][rows], some.trees[name])


def test_noise_is_put_on_the_new_root_once():
    game = load("connect_four")
    states, search = openings(game, 4, 10), make(game, simulations=50)
    first = search.run(states, from_seeds(range(10)), noisy=True)
    then, _ = play_on(game, states, first.best)
    found = search.run(then, from_seeds(range(10)), noisy=True, kept=first.trees)
    clean = search.run(then, from_seeds(range(10)))
    np.testing.assert_array_equal(found.prior, clean.prior)
    calm = search.run(then, from_seeds(range(10)), kept=first.trees)
    prior = search.trees.edges["prior"][:, ROOT]
    assert (calm.visits.sum(1) > 50).all()
    for b in range(10):
        np.testing.assert_array_equal(prior[b], clean.prior[b])


def test_a_tree_is_kept_only_while_there_is_room():
    """In a game of one line, every node of the last tree is kept: until twice the simulations are reached."""
    game = load(NIM, {"pile": 60, "again": False})
    search = make(game, simulations=4, exact=False)
    liked = np.float32([[50, 0]])  # always to take one
    search.evaluator = lambda planes: (liked.repeat(len(planes), 0), np.zeros(len(planes), np.float32))
    states, kept, sizes = game.new(), None, []
    for _ in range(9):
        found = search.run(states, from_seeds([0]), kept=kept)
        sizes.append(int(search.trees.nodes["size"][0, ROOT]))
        assert search.trees.nodes.shape == (1, 3 * 4 + 1)
        kept, states = found.trees, play_on(game, states, [0])[0]
    assert sizes == [5, 8, 11, 5, 8, 11, 5, 8, 11]  # 5, 5 − 1 + 4, 8 − 1 + 4; 11 − 1 + 4 are too many


def test_a_proven_position_stays_proven_and_needs_no_more():
    game = load("tic_tac_toe")
    states, search = openings(game, 3, 60), make(game, simulations=300)
    found = search.run(states, from_seeds(range(60)))
    then, going = play_on(game, states, found.best)
    rows = np.flatnonzero(going & (found.proven != UNKNOWN))
    assert len(rows) > 10
    before, kept = search.evaluated, {name: array[rows] for name, array in found.trees.items()}
    again = search.run(then[rows], from_seeds(range(len(rows))), kept=kept)
    np.testing.assert_array_equal(again.value, -found.value[rows])
    assert search.evaluated == before


def test_gumbel_cannot_go_on_from_visits():
    with pytest.raises(OptionError, match=r"search\.reuse must be false with the rule 'gumbel', not True"):
        read(SearchOptions, {"rule": "gumbel", "reuse": True}, "search")
    assert not read(SearchOptions, {"rule": "gumbel"}, "search").reuse


# -- as an agent's memory ----------------------------------------------------------------------------------


def planner(**options):
    game = load("connect_four")
    options = {"network": {"kind": "mlp", "hidden": [8]}, "eval_simulations": 150, **options}
    search = {"simulations": 20, "reuse": True}
    return Planner(observation_space(game), Discrete(game.actions), search=search, **options)


def sampler(n=4):
    return Sampler(envs.make("board/ConnectFour-v0", n), seed=3)


def assert_same_rollouts(one, other):
    np.testing.assert_equal(dict(one.fields), dict(other.fields))
    np.testing.assert_equal(one.obs, other.obs)
    np.testing.assert_equal(one.memory, other.memory)


@pytest.mark.parametrize("options", [{}, {"resign": {}, "fast": {"simulations": 6}}])
def test_a_run_that_was_interrupted_goes_on_with_its_trees(options, tmp_path):
    agent, whole, part, resumed = planner(**options), sampler(), sampler(), sampler()
    for s in (whole, part):
        s.collect(agent, steps=7)
    save_tree(tmp_path, part.get_state())
    assert resumed.set_state(load_tree(tmp_path))
    expected = whole.collect(agent, steps=30)
    assert_same_rollouts(resumed.collect(planner(**options), steps=30), expected)
    assert expected.terminated.any()


def test_moves_of_both_seats_and_replies_of_others_keep_the_tree():
    agent = planner()
    for opponents in ([], [planner()]):
        rollout = sampler().collect(agent, episodes=6, opponents=opponents, explore=False)
        visits = rollout.fields["visits"].sum(-1)
        first = rollout.first & rollout.valid
        assert (visits[first] <= 150).all()
        assert (visits[rollout.valid & ~first] > 150).mean() > 0.5


def other_weights(agent, seed=1):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=w.shape).astype(w.dtype) for name, w in agent.weights().items()}


def test_trees_of_other_weights_begin_afresh():
    """What the old network said is in them; the very same weights, loaded anew, go on."""
    agent, env = planner(), envs.make("board/ConnectFour-v0", 4)

    def think(obs, memory=None):
        rng, first = from_seeds(range(4)), np.zeros(4, bool)
        return agent.act(obs, rng=rng, first=first, memory=memory, explore=False)

    obs, _ = env.reset(seed=0)
    begun = think(obs)
    obs, *_ = env.step(begun.actions)
    agent.load_weights(agent.weights())
    before = think(obs, begun.memory)
    assert (before.fields["visits"].sum(1) > 150).all()

    agent.load_weights(other_weights(agent))
    now = think(obs, begun.memory)
    np.testing.assert_equal(now.fields, think(obs).fields)
    assert (now.fields["prior"] != before.fields["prior"]).any()

    mixed = {name: np.concatenate([old[:2], now.memory[name][2:]]) for name, old in before.memory.items()}
    obs, *_ = env.step(now.actions)
    visits = think(obs, mixed).fields["visits"].sum(1)
    assert (visits[:2] == 150).all()
    assert (visits[2:] > 150).all()


def test_the_same_weights_are_known_in_every_process():
    twin = planner()
    twin.load_weights(planner(seed=7).weights())
    assert planner(seed=7).version == twin.version != planner().version
    agent = planner()
    with torch.no_grad():
        for parameter in agent.network.parameters():
            parameter += 1
    assert agent.version == planner().version
    agent.refresh()
    assert agent.version != planner().version


def test_a_memory_without_trees_begins_afresh():
    states, first = load("connect_four").new(2), np.zeros(2, bool)
    for explore in (False, True):
        found = [
            planner().act({"state": states}, rng=from_seeds([1, 2]), first=first, memory=m, explore=explore)
            for m in (None, {}, {"resigned": np.ones(2, bool), "control": np.ones(2, bool)})
        ]
        for other in found[1:]:
            np.testing.assert_equal(other.fields, found[0].fields)
