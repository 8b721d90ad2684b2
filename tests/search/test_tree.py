"""What is done to one node of a tree, and how much room a tree takes."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from envs.board import load
from envs.board.moves import play_moves
from envs.rng import from_seeds
from search import tree as tree_module
from search.mcts import Search, SearchOptions
from search.tree import (
    DRAWN,
    LOST,
    NONE,
    ROOT,
    UNKNOWN,
    WON,
    Tree,
    add_node,
    back_up,
    make_trees,
    node_bytes,
    set_evaluation,
)
from tests.envs.nim import NIM
from tests.search.plain import constant, legal_moves


def planted(game, state, nodes=20):
    """A tree with its root, evaluated as worth nothing."""
    tree = Tree(*(array[0] for array in make_trees(game, 1, nodes)))
    tree.states[ROOT] = state
    add_node(tree, game.code, NONE, NONE, np.zeros(game.actions, bool))
    return tree


def visit(tree, game, parent, action, value=0.5, exact=True):
    """Add what lies behind an action, worth so much to who moves there if it is open; returns the node."""
    via = tree.edges["action"][parent, : tree.nodes["count"][parent]].tolist().index(action)
    index = add_node(tree, game.code, np.int64(parent), np.int64(via), np.zeros(game.actions, bool))
    if tree.nodes["proven"][index] == UNKNOWN:
        tree.nodes["value"][index] = value
    back_up(tree, np.int64(index), exact)
    return index


def test_a_node_holds_its_legal_moves_with_their_shares_of_the_policy():
    game = load("connect_four")
    tree = planted(game, play_moves(game, "1 1 1 1 1 1 4"))
    count = tree.nodes["count"][ROOT]
    assert tree.edges["action"][ROOT, :count].tolist() == [1, 2, 3, 4, 5, 6]
    logits = np.array(
        [np.inf, 1000, 1001, -1e9, 1000, -500, 999], np.float32
    )  # what is illegal counts for nothing
    set_evaluation(tree, ROOT, logits, np.float32(0.25))
    parts = np.exp(np.array([0, 1, -np.inf, 0, -np.inf, -1.0]))
    np.testing.assert_allclose(tree.edges["prior"][ROOT, :count], parts / parts.sum(), rtol=1e-6)
    assert tree.nodes["value"][ROOT] == 0.25


def test_a_value_changes_sign_only_where_the_mover_changes():
    game = load(NIM, {"pile": 9, "again": True})
    tree = planted(game, game.new()[0])
    handed, again = visit(tree, game, ROOT, 0), visit(tree, game, ROOT, 1)  # who takes two moves once more
    assert tree.nodes["sign"][[handed, again]].tolist() == [-1, 1]
    below = visit(tree, game, again, 0, value=0.125)
    assert tree.nodes["sign"][below] == -1
    assert tree.edges["value"][ROOT, :2].tolist() == [-0.5, 0.5 - 0.125]
    assert tree.edges["visits"][ROOT, :2].tolist() == [1, 2]
    assert tree.nodes["total"][again] == 0.5 - 0.125
    assert tree.nodes["visits"][ROOT] == 3  # its own evaluation was not counted here


def test_a_pass_changes_the_sign():
    game = load("othello", {"size": 6})
    state = play_moves(game, "c2 d2 e3 b2 b1 f2 e4 e5 f4 c5 c1 e2 f5")
    assert [game.move_text(move) for move in legal_moves(game, state)] == ["pass"]
    tree = planted(game, state)
    passed = visit(tree, game, ROOT, game.actions - 1)
    assert tree.nodes["sign"][passed] == -1
    assert tree.edges["value"][ROOT, 0] == -0.5


def proofs(game, moves, tries, exact=True):
    """What the root's edges and the root are proven to be, after a visit to each of `tries`."""
    tree = planted(game, play_moves(game, moves))
    for text in tries:
        visit(tree, game, ROOT, game.parse_move(text), exact=exact)
    count = tree.nodes["count"][ROOT]
    return tree.edges["proven"][ROOT, :count].tolist(), tree.nodes["proven"][ROOT], tree


def test_one_won_move_proves_a_win_and_otherwise_all_must_be_known():
    game = load("tic_tac_toe")
    winning = "a1 b1 a2 b2"  # a3 wins
    assert proofs(game, winning, ["c3"])[:2] == ([UNKNOWN] * 5, UNKNOWN)
    edges, root, tree = proofs(game, winning, ["c3", "a3"])
    assert (sorted(edges), root) == ([UNKNOWN] * 4 + [WON], WON)
    assert tree.nodes["total"][ROOT] == -0.5 + 1
    assert proofs(game, winning, ["c3", "a3"], exact=False)[:2] == ([UNKNOWN] * 5, UNKNOWN)
    last = "a3 b3 c3 b2 a2 c2 b1 a1"  # only c1 is left, and draws
    assert proofs(game, last, ["c1"])[:2] == ([DRAWN], DRAWN)


def test_what_is_proven_goes_up_as_far_as_it_decides():
    """Nim from three stones, which are lost: whatever is taken, the other takes the rest."""
    game = load(NIM, {"pile": 3, "again": False})
    tree = planted(game, game.new()[0])  # three are lost
    one, two = visit(tree, game, ROOT, 0), visit(tree, game, ROOT, 1)
    visit(tree, game, one, 1)  # of two stones the other takes both, and wins
    assert (tree.nodes["proven"][one], tree.nodes["proven"][ROOT]) == (WON, UNKNOWN)
    assert tree.edges["proven"][ROOT, :2].tolist() == [LOST, UNKNOWN]
    assert tree.edges["value"][ROOT, 0] == -2  # the first visit was worth −0.5; now both count as lost
    visit(tree, game, two, 0)
    assert tree.nodes["proven"][ROOT] == LOST
    assert tree.nodes["value"][ROOT] != -1  # its own evaluation stays as it was


def test_a_proven_node_hands_up_its_exact_value():
    game = load(NIM, {"pile": 3, "again": False})
    tree = planted(game, game.new()[0])
    one = visit(tree, game, ROOT, 0)
    visit(tree, game, one, 1)
    before = tree.nodes["total"][ROOT]
    back_up(tree, np.int64(one), True)
    assert tree.nodes["total"][ROOT] == before - 1


# -- room --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "options", "told"), [("connect_four", {}, 228), ("go", {"size": 9}, 3652)])
def test_a_node_takes_as_many_bytes_as_is_said(name, options, told):
    game = load(name, options)
    assert node_bytes(game) == told
    assert sum(array.nbytes for array in make_trees(game, 2, 5)) == 10 * told
    assert f"{told:,}" in (tree_module.__doc__ or "")


def test_go_fits_its_memory():
    """256 games of go 9×9 with 800 simulations in 2 GB: trees, and all that a search takes beside them."""
    game = load("go", {"size": 9})
    search = Search(game, constant(game), SearchOptions())
    tracemalloc.start()
    search.run(game.new(16), from_seeds(range(16)), 100)
    peak, trees = tracemalloc.get_traced_memory()[1], 16 * 101 * node_bytes(game)
    tracemalloc.stop()
    assert trees <= peak < 1.2 * trees
    assert 256 * 801 * node_bytes(game) + 256 // 16 * (peak - trees) < 2e9


WHOLE = """
from pathlib import Path
from resource import getpagesize
from envs.board import load
from envs.rng import from_seeds
from search import tree as tree_module
from search.mcts import Search, SearchOptions
from tests.search.plain import constant
game = load("go", {"size": 9})
taken = lambda: int(Path("/proc/self/statm").read_text().split()[1]) * getpagesize()
before = taken()
search = Search(game, constant(game), SearchOptions(exact=False))
search.run(game.new(256), from_seeds(range(256)), 800)
assert (search.trees.nodes["size"][:, 0] == 801).all()
print(taken() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="there is no /proc here")
def test_go_fits_its_memory_when_all_of_it_is_touched():
    root = Path(__file__).parents[2]
    told = subprocess.run([sys.executable, "-c", WHOLE], capture_output=True, text=True, check=True, cwd=root)
    assert 0.5 * 256 * 801 * 3652 < int(told.stdout) < 2e9


def test_trees_that_no_machine_holds_are_told():
    with pytest.raises(
        MemoryError, match=r"1 trees of .* take .* GB in go 19×19, more than there is; ask for"
    ):
        make_trees(load("go", {"size": 19}), 1, 10**12)
