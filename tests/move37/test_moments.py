"""Moves that surprised: from a checkpoint to the terminal."""

import json

import numpy as np
import pytest

import move37
from envs.board import load
from envs.board.moves import play_moves
from move37.build import build
from move37.cli import main
from move37.config import make_config
from move37.moments import find, marked
from move37.origin import Origin
from move37.run import Run
from search.moments import as_moments

AGENT = {
    "kind": "alphazero",
    "network": {"kind": "mlp", "hidden": [4]},
    "search": {"simulations": 4},
    "replay_capacity": 200,
    "window": 100,
    "batch_size": 16,
}


def noted(path, *found):
    """A run of AlphaZero on tic-tac-toe whose checkpoint holds these moments, all of them after a1 b2."""
    config = make_config({"env": {"id": "board/TicTacToe-v0"}, "agent": AGENT, "budget": {"env_steps": 64}})
    run, learner = Run.create(path, config), build(config, Origin("config")).learner
    if found:
        learner.moments = as_moments(np.array(found, np.float32))
        learner.moment_states = np.stack([play_moves(load("tic_tac_toe"), "a1 b2")] * len(found))
    actor = {"spec": learner.actor.spec(), "weights": learner.actor.weights()}
    run.checkpoint_folder.save(64, {"learner": learner.state_dict()}, actor)
    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that noted three."""
    found = (0.5, 1, 0.0004, 0.6, 0.25), (1.25, 0, 0.0001, 0.75, 0.5), (0.25, 8, 0.0002, 0.5, 0.0)
    return noted(tmp_path_factory.mktemp("moments") / "run", *found)


def test_the_best_come_first_with_their_numbers(run):
    moments = find(run)
    assert [m.move for m in moments] == ["a3", "b3", "c1"]
    assert [m.ply for m in moments] == [2, 2, 2]
    first = moments[0]
    assert (first.visits, first.value, first.liked_value) == (0.75, 0.5, -0.75)
    assert first.prior == pytest.approx(0.0001)
    assert first.board.splitlines() == ["3 X . .", "2 . o .", "1 x . .", "  a b c"]
    np.testing.assert_array_equal(first.state, play_moves(load("tic_tac_toe"), "a1 b2"))


def test_the_command_draws_them(run, capsys):
    assert main(["moments", str(run.path), "--top", "2"]) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[0] == (
        "1. a3 at ply 3: prior 0.010%, 75% of the visits, value +0.50 "
        "(best move that the policy liked: -0.75)"
    )
    assert "3 X . ." in said
    assert "2. b3" in said
    assert "3. " not in said


def test_the_command_prints_json(run, capsys):
    assert main(["moments", str(run.path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["run"] == str(run.path)
    assert [m["move"] for m in found["moments"]] == ["a3", "b3", "c1"]
    assert found["moments"][2]["liked_value"] == -0.25


def test_none_are_one_line(capsys, tmp_path):
    empty = noted(tmp_path / "run")
    assert find(empty) == []
    assert main(["moments", str(empty.path)]) == 0
    assert capsys.readouterr().out.startswith(f"{empty.path}: no moments yet")
    assert main(["moments", str(empty.path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["moments"] == []


def test_a_run_of_another_kind_is_told(tmp_path, capsys):
    agent = {"kind": "ppo", "n_steps": 8, "epochs": 1, "minibatch_size": 16}
    config = {"env": {"id": "CartPole-v1", "n": 2}, "agent": agent, "budget": {"env_steps": 16}}
    run = move37.train(config, out=tmp_path / "run")
    assert main(["moments", str(run.path)]) == 2
    said = f"move37: {run.path}: only alphazero keeps moments; this is a run of ppo\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize(
    ("name", "options", "moves", "move", "expected"),
    [
        ("othello", {"size": 4}, "", "a2", ["1 . . . .", "2 X x x .", "3 . x o .", "4 . . . ."]),
        ("connect_four", {}, "4 4", "4", [". . . X . . ."]),
        ("breakthrough", {"size": 5}, "a2-a d4-d", "a3-b", ["4 o X o . o", "3 . . . o ."]),
    ],
)
def test_the_move_s_own_man_is_marked(name, options, moves, move, expected):
    game = load(name, options)
    before, after = (game.board_text(play_moves(game, text)) for text in (moves, f"{moves} {move}"))
    mover = "xo"[len(moves.split()) % 2]
    drawn = marked(before, after, mover)
    assert drawn.lower() == after
    assert drawn.count(mover.upper()) == 1
    assert all(line in drawn for line in expected)
