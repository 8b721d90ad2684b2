"""Names of opponents: whom they stand for, and what is said of those that stand for nobody."""

from dataclasses import replace

import numpy as np
import pytest

import move37
from envs.board import load
from envs.board.batch import observe_states
from move37 import Run
from move37.errors import UserError
from move37.players import described, player, same
from rollouts.agent import Agent, Decision

TINY = {"kind": "ppo", "n_steps": 8, "epochs": 1, "minibatch_size": 16}


def train(path, env):
    return move37.train({"env": {"n": 2, **env}, "agent": TINY, "budget": {"env_steps": 16}}, out=path)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder of tiny runs: `hex3`, `hex4`, `cartpole`."""
    path = tmp_path_factory.mktemp("players")
    for size in (3, 4):
        train(path / f"hex{size}", {"id": "board/Hex-v0", "size": size})
    train(path / "cartpole", {"id": "CartPole-v1"})
    return path


class Last(Agent):
    """Plays the last legal action."""

    def __init__(self, observation_space, action_space):
        self.n = int(action_space.n)

    def act(self, obs, *, rng, first, memory=None, explore=True):
        return Decision(self.n - 1 - obs["action_mask"][:, ::-1].argmax(axis=1))


LAST = f"{__name__}:Last"


def moves(agent, game):
    obs = observe_states(game, game.new(3))
    return agent.act(obs, rng=np.arange(3, dtype=np.uint64), first=np.ones(3, bool), explore=False).actions


def test_names_stand_for_agents_with_their_number():
    game = load("tic_tac_toe")
    found = {name: player(name, game) for name in ("uct:30", "alphabeta:2", "random")}
    assert [type(agent).__name__ for agent in found.values()] == ["UCT", "AlphaBeta", "Random"]
    assert found["uct:30"].settings.simulations == 30
    assert found["alphabeta:2"].depth == 2
    assert all(((moves(agent, game) >= 0) & (moves(agent, game) < 9)).all() for agent in found.values())


def test_a_run_folder_stands_for_its_agent(runs):
    game, path = load("hex", {"size": 3}), runs / "hex3"
    found, own = player(str(path), game), Run.load(path).agent
    np.testing.assert_array_equal(moves(found, game), moves(own, game))
    with pytest.raises(UserError, match="no checkpoint '5'"):
        player(str(path), game, checkpoint="5")


def test_an_import_path_needs_trust():
    game = load("tic_tac_toe")
    assert moves(player(LAST, game, trust=True), game).tolist() == [8, 8, 8]
    with pytest.raises(UserError, match=r"is code, which would run here; .* --trust"):
        player(LAST, game)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("uct", r"player 'uct' needs a number \(simulations\), as in uct:1000"),
        ("uct:", "simulations must be a whole number from 1, as in uct:1000, not ''"),
        ("uct:many", "must be a whole number from 1, as in uct:1000, not 'many'"),
        ("alphabeta:0", "depth must be a whole number from 1, as in alphabeta:6, not '0'"),
        ("alphabeta:-3", "not '-3'"),
        ("uct:1e3", "not '1e3'"),
        ("uct:100000000", "simulations must be less than or equal to 10000000, not 100000000"),
        ("uct:99999999999999999999", "simulations must be less than or equal to 10000000"),
        ("alphabeta:99999999999999999999", "depth must be less than or equal to 1000"),
        ("uct:" + "9" * 5000, "simulations must be a whole number from 1"),
        ("random:5", "random takes no number"),
        ("utc:100", r"no player 'utc:100'; did you mean 'uct:100'\?"),
        ("somebody", "no player 'somebody'; a player is a run folder, uct:1000"),
        ("alphazero", "would begin untrained; name the folder of a run"),
        ("configs", "no run folder"),
    ],
)
def test_a_wrong_name_is_told_in_one_line(name, words):
    with pytest.raises(UserError, match=words) as told:
        player(name, load("tic_tac_toe"))
    assert "\n" not in str(told.value)


def test_a_player_of_another_game_is_refused(runs):
    hex4 = load("hex", {"size": 4})
    with pytest.raises(UserError, match=r"hex3 plays hex 3×3, not hex 4×4$"):
        player(str(runs / "hex3"), hex4)
    with pytest.raises(UserError, match=r"hex4 plays hex 4×4, not tic-tac-toe$"):
        player(str(runs / "hex4"), load("tic_tac_toe"))
    with pytest.raises(UserError, match=r"cartpole plays CartPole-v1, not tic-tac-toe$"):
        player(str(runs / "cartpole"), load("tic_tac_toe"))
    assert player(str(runs / "hex4"), hex4)


def test_games_of_one_title_are_told_apart_by_their_options():
    light, heavy = (replace(load("hex", {"size": 3}), options={"size": 3, "komi": k}) for k in (0.5, 7.5))
    assert described(light, heavy) == "hex 3×3 with komi 0.5"
    assert described(light, load("tic_tac_toe")) == "hex 3×3"
    assert not same(light, heavy)
    assert same(light, light)
