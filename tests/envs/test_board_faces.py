"""Board games for PettingZoo and for Gymnasium, and their pictures."""

from __future__ import annotations

import copy
import pickle
import re
import subprocess
import sys
import warnings
from functools import partial

import gymnasium
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from pettingzoo.test import api_test, render_test, seed_test
from pettingzoo.utils.wrappers import TerminateIllegalWrapper

import envs
from envs.board import ABOUT, NAMES, load
from envs.board.aec import AGENTS, env
from envs.board.moves import play_moves
from envs.board.render import LOOKS, ansi, frame, men, stars
from envs.board.single import BoardEnv
from envs.board.spaces import game_of
from envs.options import OptionError
from move37 import watch
from rollouts.storage import load_tree, save_tree
from tests.toys import coin

SMALL = {"othello": {"size": 6}, "hex": {"size": 4}, "gomoku": {"size": 6}, "go": {"size": 5}}
ID = "board/ConnectFour-v0"


# -- PettingZoo --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES.values())
@pytest.mark.filterwarnings("ignore::UserWarning")  # that observations are dicts, and all zeros at first
def test_pettingzoos_own_tests(name):
    make = partial(env, name, **SMALL.get(name, {}))
    api_test(make(), num_cycles=60)
    seed_test(make, num_cycles=30)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_pettingzoos_render_test(monkeypatch):
    monkeypatch.setattr("envs.board.render.FPS", 1000)
    render_test(partial(env, "tic_tac_toe"))


def legal_move(game, seed):
    """A random legal action of the agent to move, which is the same for the same position and seed."""
    there = np.flatnonzero(game.observe(game.agent_selection)["action_mask"])
    return int(np.random.default_rng(seed).choice(there))


def finish(game, seed):
    """Play on to the end; what every `last` said."""
    said = []
    for agent in game.agent_iter():
        obs, *rest = game.last()
        said.append((agent, obs["observation"].tolist(), obs["action_mask"].tolist(), *rest))
        over = rest[1] or rest[2]
        game.step(None if over else legal_move(game, seed + len(said)))
    return said


def restored(game, folder):
    save_tree(folder, game.get_state())
    fresh = env("connect_four")
    fresh.set_state(load_tree(folder))
    return fresh


COPIES = {
    "deepcopy": lambda game, folder: copy.deepcopy(game),
    "pickle": lambda game, folder: pickle.loads(pickle.dumps(game)),
    "state": restored,
}


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("moves", [7, "one agent is dead"])
def test_a_game_goes_on_in_a_copy(how, moves, tmp_path):
    game = env("connect_four")
    game.reset()
    if moves == 7:
        for k in range(7):
            game.step(legal_move(game, k))
    else:
        game.reset(options={"moves": "1 2 1 2 1 2"})
        game.step(0)
        game.step(None)
    twin = COPIES[how](game, tmp_path)
    told = finish(game, 50)
    assert finish(twin, 50) == told
    assert len(told) >= (1 if moves != 7 else 3)


def test_a_window_is_not_copied():
    game = env("tic_tac_toe", render_mode="human")
    game.reset()
    assert game._window is not None
    assert copy.deepcopy(game)._window is None
    assert pickle.loads(pickle.dumps(game)).render_mode == "human"
    game.close()


def test_each_agent_sees_its_own_side_and_only_the_mover_has_moves():
    game = env("connect_four")
    game.reset(options={"moves": "4 4 4"})
    one, two = (game.observe(agent) for agent in AGENTS)
    assert game.agent_selection == AGENTS[1]
    assert two["action_mask"].all()
    assert not one["action_mask"].any()
    assert [int(x) for x in one["observation"].sum((0, 1))] == [2, 1]
    assert [int(x) for x in two["observation"].sum((0, 1))] == [1, 2]
    np.testing.assert_array_equal(one["observation"], two["observation"][..., ::-1])


def test_who_waits_has_no_moves_in_any_plane():
    game = env("go", size=3)
    game.reset(options={"moves": "a2 c3 b1 c2 pass"})
    one, two = (game.observe(agent)["observation"] for agent in AGENTS)
    legal, own = game.game.planes.index("legal"), game.game.planes.index("mine")
    assert game.agent_selection == AGENTS[1]
    assert two[..., legal].any()
    assert not one[..., legal].any()
    assert one[..., own].any()
    game = env("hex", size=3, swap=True)
    game.reset(options={"moves": "b2"})
    one, two = (game.observe(agent)["observation"] for agent in AGENTS)
    assert two[..., 3].all()
    assert not one[..., 3].any()


def test_winner_and_loser_are_told():
    game = env("connect_four")
    game.reset(options={"moves": "1 2 1 2 1 2"})
    game.step(0)
    assert game.rewards == {"player_0": 1, "player_1": -1}
    assert game.infos["player_0"] == {"outcome": "first won"}
    told = finish(game, 0)
    assert {(agent, reward) for agent, _, _, reward, *_ in told} == {("player_0", 1), ("player_1", -1)}
    assert not any(any(mask) for _, _, mask, *_ in told)
    with pytest.raises(ResetNeeded):
        game.step(0)


def test_an_illegal_move_loses_as_pettingzoo_has_it():
    ours, wrapped = env("connect_four"), TerminateIllegalWrapper(env("connect_four"), -1)
    for game in (ours, wrapped):
        game.reset(options={"moves": "1 1 1 1 1 1 2"})
        game.step(0)
    assert ours.rewards == wrapped.rewards == {"player_0": 0, "player_1": -1}
    assert ours.terminations == wrapped.terminations == {"player_0": True, "player_1": True}
    assert [entry[3] for entry in sorted(finish(ours, 0))] == [0, -1]
    ours.reset()
    with pytest.raises(ValueError, match="player_0 played 7; actions are whole numbers from 0 to 6"):
        ours.step(7)


def test_what_a_pettingzoo_board_refuses():
    game = env("connect_four")
    with pytest.raises(ResetNeeded):
        game.get_state()
    game.reset()
    state = game.get_state()
    with pytest.raises(ValueError, match=r"a state of connect_four .* cannot continue tic_tac_toe"):
        env("tic_tac_toe").set_state(state)
    state["state"] = state["state"] + np.uint64(1)
    with pytest.raises(ValueError, match="no position of connect_four"):
        game.set_state(state)
    with pytest.raises(ValueError, match="'9' is no column"):
        game.reset(options={"moves": "9"})
    with pytest.raises(OptionError, match="render_mode must be human, rgb_array or ansi"):
        env("connect_four", render_mode="neon")
    with pytest.raises(ValueError, match="no game 'conect_four'; did you mean 'connect_four'"):
        env("conect_four")
    with pytest.raises(ValueError, match="a state as get_state gives it has game, options, state, agents"):
        game.set_state({})


@pytest.mark.parametrize("make", [env, BoardEnv])
def test_a_game_goes_by_its_name_and_by_its_id(make):
    for name in ("hex", "board/Hex-v0", "envs:board/Hex-v0"):
        made = make(name, size=4)
        assert (made.game if make is env else game_of(made.observation_space)).title == "hex 4×4"
    for wrong, right in (("hexx", "hex"), ("board/Hexx-v0", "board/Hex-v0"), ("render", "breakthrough")):
        with pytest.raises(
            ValueError, match=f"no game '{wrong}'; (did you mean '{right}'|there is: .*{right})"
        ):
            make(wrong)


def test_an_opponent_can_be_asked():
    with pytest.raises(OptionError, match=r"opponent must be a callable obs -> actions, or None .*, not 5"):
        BoardEnv("hex", opponent=5)


# -- Gymnasium ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("title", NAMES)
def test_single_environment_passes_gymnasiums_check(title):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*is out of date.*")
        made = gymnasium.make(f"board/{title}-v0", render_mode="rgb_array", **SMALL.get(NAMES[title], {}))
        check_env(made.unwrapped)


def test_gymnasium_makes_boards_in_any_process():
    code = (
        "import gymnasium; env = gymnasium.make('envs:board/ConnectFour-v0'); print(sorted(env.reset()[0]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['action_mask', 'planes', 'state', 'to_play']"


def first_free(asked):
    """An opponent that fills the leftmost columns, and writes down what it was asked."""

    def opponent(obs):
        asked.append(obs)
        return obs["action_mask"].argmax(1)

    return opponent


def test_the_opponent_answers_in_a_batch_of_one():
    asked = []
    game = gymnasium.make(ID, opponent=first_free(asked), seat="first")
    obs, info = game.reset()
    assert info == {"seat": 0}
    assert not asked
    obs, reward, over, cut, _ = game.step(3)
    assert asked[0]["planes"].shape == (1, 6, 7, 2)
    assert asked[0]["to_play"].tolist() == [1]
    assert obs["planes"][5].argmax(1).tolist() == [
        1,
        0,
        0,
        0,
        0,
        0,
        0,
    ]  # theirs at the left, ours in the middle
    assert obs["planes"][5, 3].tolist() == [True, False]
    assert (obs["to_play"], reward, over, cut) == (0, 0, False, False)
    game.step(3)
    game.step(3)
    _, reward, over, _, _ = game.step(3)
    assert (reward, over) == (1, True)
    assert len(asked) == 3  # nobody answers a game that is won


def test_the_opponents_win_is_ours_to_lose():
    game = gymnasium.make(ID, opponent=first_free([]), seat="second")
    obs, info = game.reset()
    assert (info["seat"], obs["to_play"], int(obs["planes"].sum())) == (1, 1, 1)
    rewards = [game.step(action)[1:3] for action in (1, 2, 4)]
    assert rewards == [(0, False), (0, False), (-1, True)]
    with pytest.raises(ResetNeeded):
        game.step(0)


def test_sides_alternate_and_a_seed_says_which_begins():
    game = gymnasium.make(ID).unwrapped
    assert [game.reset()[1]["seat"] for _ in range(4)] == [0, 1, 0, 1]
    assert [game.reset(seed=s)[1]["seat"] for s in (5, None, None, 8, None)] == [1, 0, 1, 0, 1]


def episode(game, **how):
    obs, _ = game.reset(**how)
    seen, over = [obs["state"].tolist()], False
    while not over:
        obs, reward, over, _, _ = game.step(int(np.flatnonzero(obs["action_mask"])[-1]))
        seen.append([*obs["state"].tolist(), reward])
    return seen


def test_a_seed_names_an_episode_with_its_opening_and_the_random_opponent():
    one, two = (gymnasium.make(ID, random_plies=4).unwrapped for _ in range(2))
    episode(two, seed=1)
    assert episode(one, seed=7) == episode(two, seed=7)
    assert episode(one) == episode(two)
    assert episode(one, seed=7) != episode(one, seed=9)


def test_games_that_the_opponent_wins_at_once_are_drawn_anew_or_refused():
    lost = {"moves": "1 2 1 2 1 2"}  # the first player is to move, and wins in column 1
    game = gymnasium.make(ID, opponent=lambda obs: [0], seat="second").unwrapped
    with pytest.raises(ValueError, match="the opponent ends every game from there"):
        game.reset(options=lost)
    game = gymnasium.make("board/TicTacToe-v0", random_plies=6, seat="second").unwrapped
    for seed in range(60):
        obs, _ = game.reset(seed=seed)
        assert obs["action_mask"].any()
        assert obs["to_play"] == 1


def test_an_illegal_move_is_a_loss_or_an_error():
    full = {"moves": "1 1 1 1 1 1"}
    game = gymnasium.make(ID, seat="first").unwrapped
    game.reset(options=full)
    assert game.action_masks().tolist() == [False, *[True] * 6]
    assert game.step(0)[1:4] == (-1, True, False)
    strict = gymnasium.make(ID, seat="first", illegal="error").unwrapped
    strict.reset(options=full)
    with pytest.raises(ValueError, match=r"^1 \(action 0\) is not legal; legal are 2 3 4 5 6 7"):
        strict.step(0)
    strict.step(1)  # the game goes on
    for each in (game, strict):
        each.reset()
        with pytest.raises(ValueError, match="there is no action 7; 7 are counted from 0"):
            each.step(7)
    wrong = gymnasium.make(ID, seat="first", opponent=lambda obs: [9]).unwrapped
    wrong.reset()
    with pytest.raises(ValueError, match="the opponent's move: there is no action 9"):
        wrong.step(0)
    with pytest.raises(ResetNeeded):
        wrong.step(0)
    with pytest.raises(OptionError, match="seat must be first, second or alternate, not 'third'"):
        gymnasium.make(ID, seat="third")


# -- watching ----------------------------------------------------------------------------------------------


def test_a_board_can_be_watched():
    game = envs.make(ID, render_mode="rgb_array")
    moments = list(watch.play(coin(game), game, episodes=2, seed=3))
    assert sum(m.ended and not m.aftermath for m in moments) == sum(m.aftermath for m in moments) == 2
    assert {m.action for m in moments} == set("1234567")  # columns as people write them
    assert all(m.picture.shape == moments[0].picture.shape for m in moments)


# -- pictures ----------------------------------------------------------------------------------------------


def test_every_game_has_its_look_and_its_line():
    assert set(LOOKS) == set(NAMES.values())
    assert set(ABOUT) == set(NAMES)
    assert {f"board/{title}-v0" for title in NAMES} <= set(envs.names())


@pytest.mark.parametrize("name", NAMES.values())
def test_boards_are_drawn_and_each_move_shows(name):
    game = load(name, SMALL.get(name, {}))
    title = next(title for title, file in NAMES.items() if file == name)
    made = envs.make(f"board/{title}-v0", render_mode="rgb_array", **SMALL.get(name, {}))
    obs, _ = made.reset(seed=0)
    pictures = [made.render()]
    for _ in range(2):
        obs, *_ = made.step(obs["action_mask"].argmax(1))
        pictures.append(made.render())
    assert {p.dtype for p in pictures} == {np.dtype(np.uint8)}
    assert len({p.shape for p in pictures}) == 1
    assert pictures[0].shape[2] == 3
    assert min(pictures[0].shape[:2]) >= 100
    assert len({p.tobytes() for p in pictures}) == 3
    plain = re.sub(r"\x1b\[[\d;]*m", "", ansi(game, obs["state"][0]))
    counts = [int((men(game, obs["state"][0]) == k).sum()) for k in (1, 2)]
    assert plain.count("●") == sum(counts)
    for colour, count in zip(LOOKS[name].men, counts):
        assert ansi(game, obs["state"][0]).count(f"\x1b[38;2;{';'.join(map(str, colour))}m●") == count


def test_men_stand_where_they_were_put():
    game = load("connect_four")
    state = play_moves(game, "1 2 7")
    expected = np.zeros((6, 7), int)
    expected[5, [0, 1, 6]] = 1, 2, 1
    for position in (state, play_moves(game, "1 2 7 3")):  # whoever is to move
        np.testing.assert_array_equal(men(game, position)[5, [0, 1, 6]], [1, 2, 1])
    np.testing.assert_array_equal(men(game, state), expected)
    picture, (red, yellow) = frame(game, state).astype(int), LOOKS["connect_four"].men
    rows, columns = picture.shape[0] / 6.67, picture.shape[1] / 7.67  # the edge is a third of a cell
    for column, colour in ((0, red), (1, yellow), (6, red)):
        seen = picture[int(5.83 * rows), int((0.83 + column) * columns)]
        assert np.abs(seen - colour).max() < 60


def test_star_points():
    assert stars(9) == [(2, 2), (2, 6), (6, 2), (6, 6), (4, 4)]
    assert len(stars(13)) == 5
    assert len(stars(19)) == 9
    assert (9, 9) in stars(19)
    assert (3, 3) in stars(19)
    assert stars(5) == []
