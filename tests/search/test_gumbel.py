"""Gumbel AlphaZero and PUCT: equal to mctx's on the same inputs."""

from __future__ import annotations

import functools
import itertools

import numpy as np
import pytest

from envs.board import load
from envs.board.game import OPEN, outcome, to_play, value_of
from envs.rng import from_seeds
from search import mcts
from search.mcts import Search, SearchOptions
from search.rules import halving_schedule
from tests.envs.nim import NIM
from tests.search.plain import after, hashed, legal_moves, openings, planes_of

mctx = pytest.importorskip("mctx")
jax = pytest.importorskip("jax")
jnp = jax.numpy

GAMES = {
    "tic_tac_toe": ({}, 3),  # with options, and from so many random plies
    "connect_four": ({}, 31),
    NIM: ({"pile": 16, "again": True}, 0),
}
SEEDS = 4
QUICKLY = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


class Table:
    """All that follows from some positions, as arrays `[S]` or `[S, A]` that mctx looks things up in.

    In an ended game every move leads back to it, for nothing.
    """

    def __init__(self, game, roots):
        index, states = {}, []
        todo = list(roots)
        while todo:
            state = todo.pop()
            if state.tobytes() not in index:
                index[state.tobytes()] = len(states)
                states.append(state)
                todo += [after(game, state, a) for a in legal_moves(game, state)]
        shape = (len(states), game.actions)
        self.roots = np.array([index[state.tobytes()] for state in roots])
        self.next, self.legal = np.arange(shape[0])[:, None].repeat(shape[1], 1), np.zeros(shape, bool)
        self.reward, self.discount = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        for i, state in enumerate(states):
            for a in legal_moves(game, state):
                then = after(game, state, a)
                self.next[i, a], self.legal[i, a] = index[then.tobytes()], True
                if outcome(then) == OPEN:
                    self.discount[i, a] = 1 if to_play(then) == to_play(state) else -1
                else:
                    self.reward[i, a] = value_of(outcome(then), to_play(state))
        logits, value = hashed(game)(planes_of(game, np.array(states)))
        over = np.array([outcome(state) != OPEN for state in states])
        self.value = np.where(over, 0, value).astype(np.float32)
        self.logits = np.where(self.legal | over[:, None], logits, -1e9).astype(np.float32)

    def policy(self, policy, key, **options):
        """What an mctx policy does at the roots: (visits, action weights, action, value of the root)."""
        table = {k: jnp.array(v) for k, v in vars(self).items()}

        def step(_, key, action, state):
            then = table["next"][state, action]
            out = mctx.RecurrentFnOutput(
                reward=table["reward"][state, action],
                discount=table["discount"][state, action],
                prior_logits=table["logits"][then],
                value=table["value"][then],
            )
            return out, then

        at = table["roots"]
        root = mctx.RootFnOutput(prior_logits=table["logits"][at], value=table["value"][at], embedding=at)
        search = functools.partial(policy, recurrent_fn=step, invalid_actions=~table["legal"][at], **options)
        out = jax.jit(lambda key: search((), key, root), compiler_options=QUICKLY)(key)
        summary = out.search_tree.summary()
        return tuple(map(np.array, (summary.visit_counts, out.action_weights, out.action, summary.value)))


@functools.cache
def table_of(name):
    options, plies = GAMES[name]
    game = load(name, options)
    states = openings(game, plies, SEEDS)
    return game, states, Table(game, states)


def run(game, states, gumbels=None, monkeypatch=None, **options):
    """What our search finds, with these `gumbels` (`[B, A]`, by action) in place of drawn ones."""
    if gumbels is not None:
        by_edge = [
            np.pad(g[(moves := legal_moves(game, s))], (0, game.actions - len(moves)))
            for g, s in zip(gumbels, states)
        ]
        drawn = np.exp(-np.exp(-np.array(by_edge, np.float64)))  # of which Gumbel noise is made
        monkeypatch.setattr(mcts, "uniform", lambda rng, count: drawn)
    search = Search(game, hashed(game), SearchOptions(exact=False, **options))
    return search.run(states, from_seeds(range(len(states))), noisy=gumbels is not None)


CASES = [  # game, simulations, considered, rescale; compiling mctx's takes seconds each
    ("tic_tac_toe", 64, 16, True),
    ("connect_four", 32, 3, False),
    ("connect_four", 7, 16, True),
    (NIM, 40, 2, True),
]
MORE = [
    case for case in itertools.product(GAMES, (7, 32, 64), (1, 4, 16), (True, False)) if case not in CASES
]


@pytest.mark.parametrize(
    ("name", "simulations", "considered", "rescale"),
    [*CASES, *(pytest.param(*case, marks=pytest.mark.slow) for case in MORE)],
)
def test_gumbel_is_mctxs(name, simulations, considered, rescale, monkeypatch):
    game, states, table = table_of(name)
    key = jax.random.PRNGKey(simulations)
    gumbels = np.array(
        jax.random.gumbel(jax.random.split(key)[1], table.logits[table.roots].shape, np.float32)
    )
    transform = functools.partial(mctx.qtransform_completed_by_mix_value, rescale_values=rescale)
    options = {
        "num_simulations": simulations,
        "max_num_considered_actions": considered,
        "qtransform": transform,
    }
    visits, weights, action, value = table.policy(mctx.gumbel_muzero_policy, key, **options)
    found = run(
        game,
        states,
        gumbels,
        monkeypatch,
        rule="gumbel",
        simulations=simulations,
        considered=considered,
        rescale=rescale,
    )
    np.testing.assert_array_equal(found.visits, visits)
    np.testing.assert_allclose(found.policy, weights, atol=1e-5)
    np.testing.assert_array_equal(found.best, action)
    np.testing.assert_allclose(found.value, value, atol=1e-5)


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("tic_tac_toe", "connect_four")]


@pytest.mark.parametrize("name", [*SLOW, NIM])
def test_puct_is_mctxs(name):
    """With the value of untried moves put as we put it."""
    game, states, table = table_of(name)
    legal = jnp.array(table.legal)

    def untried_below_the_mean(tree, node):
        visits, state = tree.children_visits[node], tree.embeddings[node]
        prior = jax.nn.softmax(tree.children_prior_logits[node])
        tried = jnp.sum(jnp.where(visits > 0, prior, 0))
        unvisited = tree.node_values[node] - jnp.where(node == 0, 0.0, 0.2) * jnp.sqrt(tried)
        q = jnp.where(visits > 0, tree.qvalues(node), unvisited)
        return jnp.where(legal[state].any() & ~legal[state], -jnp.inf, q)

    options = {"num_simulations": 100, "qtransform": untried_below_the_mean, "dirichlet_fraction": 0.0}
    visits, weights, _, value = table.policy(mctx.muzero_policy, jax.random.PRNGKey(0), **options)
    found = run(game, states, simulations=100)
    np.testing.assert_array_equal(found.visits, visits)
    np.testing.assert_allclose(found.policy, weights, atol=1e-6)
    np.testing.assert_allclose(found.value, value, atol=1e-5)


def test_schedules_are_mctxs():
    from mctx._src.seq_halving import get_sequence_of_considered_visits

    for considered in range(1, 40):
        for simulations in (1, 2, 3, 7, 16, 50, 64, 200):
            expected = get_sequence_of_considered_visits(considered, simulations)
            assert halving_schedule(considered, simulations).tolist() == list(expected)


def test_a_schedule_by_hand():
    """Four moves, eight simulations, two rounds: all four once, the better two twice more."""
    assert halving_schedule(4, 8).tolist() == [0, 0, 0, 0, 1, 1, 2, 2]


def test_without_noise_the_choice_is_the_same_for_every_seed():
    game = load("connect_four")
    states = np.repeat(game.new(), 5, axis=0)
    search = Search(game, hashed(game), SearchOptions(rule="gumbel"))
    calm = search.run(states, from_seeds(range(5)))
    assert (calm.visits == calm.visits[0]).all()
    noisy = search.run(states, from_seeds(range(5)), noisy=True)
    assert len(np.unique(noisy.visits, axis=0)) > 1
    np.testing.assert_array_equal(noisy.prior, calm.prior)


def test_only_so_many_moves_are_considered():
    game = load("connect_four")
    search = Search(game, hashed(game), SearchOptions(rule="gumbel", considered=3, exact=False))
    found = search.run(openings(game, 4, 20), from_seeds(range(20)), noisy=True)
    assert ((found.visits > 0).sum(1) == 3).all()
    assert (found.policy > 0).sum() == (found.prior > 0).sum()  # the policy knows of all of them
