"""The batch of board games: what `BatchEnv` promises."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.spaces import Box
from gymnasium.vector.utils import batch_space

import envs
from envs.board.batch import observe_states
from envs.board.game import OPEN, legal, observe, outcome, play, to_play
from envs.board.moves import play_moves
from envs.board.spaces import game_of
from envs.options import OptionError
from rollouts.storage import load_tree, save_tree
from tests.envs.nim import NIM

ID = "board/ConnectFour-v0"
WON = np.array([[0, 0], [0, 0], [1, -1], [-1, 1]], np.float32)  # both seats' rewards, by outcome


def some_action(mask, slot, t):
    """A legal action, the same in a slot at a time whatever else there is."""
    there = np.flatnonzero(mask)
    return there[np.random.default_rng([slot, t]).integers(len(there))]


def choose(obs, t):
    return np.array([some_action(mask, slot, t) for slot, mask in enumerate(obs["action_mask"])])


def same(one, other, rows=slice(None)):
    assert one.keys() == other.keys()
    for name in one:
        assert one[name].dtype == other[name].dtype
        np.testing.assert_array_equal(one[name][rows], other[name][rows], name)


# -- lock-step with the rules, one game at a time ----------------------------------------------------------


class Plain:
    """One game by the rules of `Game`, a call a thing."""

    def __init__(self, game):
        self.game, self.state = game, game.new()[0]

    def obs(self):
        mask = np.zeros(self.game.actions, bool)
        planes = np.zeros((*self.game.shape, len(self.game.planes)), bool)
        legal(self.game.code, self.state, mask)
        observe(self.game.code, self.state, planes.reshape(-1))
        return {"planes": planes, "action_mask": mask, "to_play": to_play(self.state), "state": self.state}

    def step(self, action):
        """(the mover's reward, both rewards, the outcome, the final obs); begins anew after an end."""
        seat = to_play(self.state)
        play(self.game.code, self.state, action)
        end, final = outcome(self.state), copy.deepcopy(self.obs())
        if end != OPEN:
            self.state = self.game.new()[0]
        return WON[end][seat], WON[end], end, final


@pytest.mark.parametrize(("id", "n"), [(ID, 3), (ID, 150), ("board/TicTacToe-v0", 3)])
def test_a_batch_plays_as_its_games_do_one_by_one(id, n):
    env = envs.make(id, n)
    obs, _ = env.reset(seed=0)
    plain = [Plain(env.game) for _ in range(n)]
    ends = np.zeros(4, int)
    for t in range(60):
        actions = choose(obs, t)
        obs, rewards, terminated, truncated, info = env.step(actions)
        assert env.observation_space.contains(obs)
        assert rewards.dtype == info["seat_rewards"].dtype == np.float32
        assert not truncated.any()
        for i, game in enumerate(plain):
            reward, both, end, final = game.step(actions[i])
            assert (rewards[i], terminated[i]) == (reward, end != OPEN)
            np.testing.assert_array_equal(info["seat_rewards"][i], both)
            assert [info["parts"][k][i] for k in env.parts] == [end == k for k in (1, 2, 3)]
            for name, there in game.obs().items():
                np.testing.assert_array_equal(obs[name][i], there, name)
                if end != OPEN:
                    np.testing.assert_array_equal(info["final_obs"][name][i], final[name], name)
            ends[end] += 1
    assert ends[[2, 3]].all()
    assert ends[1] or n < 150


def test_a_slot_is_the_same_in_any_batch():
    few, many = (envs.make(ID, n, seed=5, random_plies=7) for n in (3, 200))
    a, b = few.reset()[0], many.reset()[0]
    for t in range(50):
        same(a, b, slice(3))
        a, b = few.step(choose(a, t))[0], many.step(choose(b, t))[0]


def test_slots_outside_where_stay_as_they_are():
    env = envs.make(ID, 6)
    before, _ = env.reset(seed=0)
    where = np.array([1, 0, 1, 0, 0, 1], bool)
    for t in range(12):
        actions = np.where(where, choose(before, t), -9)  # what is said of the others does not matter
        obs, rewards, terminated, _, info = env.step(actions, where=where)
        same(obs, before, ~where)
        assert (obs["to_play"] != before["to_play"])[where & ~terminated].all()
        assert not terminated[~where].any()
        assert not rewards[~where].any()
        assert not info["seat_rewards"][~where].any()
        before, where = obs, ~where


def test_what_was_returned_belongs_to_the_caller():
    env = envs.make(ID, 4)
    obs, _ = env.reset(seed=0)
    kept = copy.deepcopy(obs)
    after = env.step(choose(obs, 0))[0]
    same(obs, kept)
    for array in after.values():
        array[:] = 1
    twin = envs.make(ID, 4)
    twin.reset(seed=0)
    twin.step(choose(kept, 0))
    same(env.step(np.full(4, 3))[0], twin.step(np.full(4, 3))[0])


# -- beginnings --------------------------------------------------------------------------------------------


def test_random_openings_are_open_and_differ_and_go_by_the_seed():
    env = envs.make(ID, 300, random_plies=15)
    obs, _ = env.reset(seed=9)
    assert (obs["state"][:, 0] == (15 | 1 << 16)).all()  # fifteen plies, the second player's turn, open
    assert len(np.unique(obs["state"], axis=0)) > 290
    for state in obs["state"]:
        assert env.game.flaw(state) == ""
    again, _ = env.reset(seed=9)
    same(obs, again)
    assert not (env.reset()[0]["state"] == obs["state"]).all(1).any()
    mask = np.arange(300) % 2 == 0
    new, _ = env.reset(seed=[9 + i for i in range(300)], options={"reset_mask": mask})
    same(new, obs, mask)


def test_openings_are_uniform_over_legal_plies():
    obs, _ = envs.make(ID, 7000, random_plies=1).reset(seed=0)
    _, counts = np.unique(obs["state"], axis=0, return_counts=True)
    assert len(counts) == 7
    assert abs(counts - 1000).max() < 130  # more than four standard deviations


def test_openings_may_be_of_any_length_between_two():
    obs, _ = envs.make(ID, 4000, random_plies=[2, 5]).reset(seed=0)
    plies, counts = np.unique(obs["state"][:, 0] & np.uint64(0xFFFF), return_counts=True)
    assert plies.tolist() == [2, 3, 4, 5]
    assert np.abs(counts - 1000).max() < 5 * 1000**0.5
    for wrong in ([5, 2], [1], [0, 42], [0.5, 2], "ab", True):
        with pytest.raises(OptionError, match="random_plies must be"):
            envs.make(ID, random_plies=wrong)


def test_openings_that_no_game_has():
    with pytest.raises(OptionError, match=r"random_plies must be in \[0, 41\], least before most, not 42"):
        envs.make(ID, random_plies=42)
    assert envs.make("board/TicTacToe-v0", 50, seed=0, random_plies=8).reset()[0]["action_mask"].sum() == 50
    with pytest.raises(OptionError, match="still open after 39 random plies"):
        envs.make(NIM, pile=40, random_plies=39)  # one by one, 40 times


def test_an_episode_begins_where_it_is_told():
    env = envs.make(ID, 3, seed=0)
    state = play_moves(env.game, "4 4 3 5")
    slots = [{"moves": "4,4 3 5"}, None, {"state": [int(word) for word in state]}]
    obs, _ = env.reset(seed=1, options={"slots": slots})
    np.testing.assert_array_equal(obs["state"], [state, env.game.new()[0], state])
    obs, *_ = env.step(np.array([1, 0, 6]))  # 2, and there is 2 3 4? no: slot 0 has 3, 4 and now 2
    _, _, ended, _, info = env.step(np.array([6, 0, 6]))
    assert not ended.any()
    _, rewards, ended, _, info = env.step(np.array([0, 0, 1]))
    assert ended.tolist() == [True, False, False]
    assert rewards[0] == 1
    assert info["parts"]["first_wins"][0] == 1
    np.testing.assert_array_equal(env.reset()[0]["state"], env.game.new(3))


WRONG_SLOTS = {
    "4 4 9": r"slot 1: move 3: '9' is no column; 1 to 7 are",
    "1 1 1 1 1 1 1": r"slot 1: move 7: 1 \(action 0\) is not legal; legal are 2 3 4 5 6 7",
    "1 2 1 2 1 2 1": r"slot 1: the game is over there \(first won\)",
    "1 2 1 2 1 2 1 3": r"slot 1: move 8: 3 comes after the end \(first won\)",
    (0, 1, 1): r"slot 1: holds no position of connect_four: a cell holds two stones",
    (1 << 20, 0, 0): r"slot 1: holds no position of connect_four: the header has bits that mean nothing",
    (1, 2): r"slot 1: states of connect_four are uint64 \[n, 3\], not uint64 \[1, 2\]",
    (-1, 0, 0): r"slot 1: a state is a list of words, whole numbers below 2\*\*64",
}


@pytest.mark.parametrize("given", WRONG_SLOTS)
def test_a_wrong_beginning_is_told_with_its_slot_and_changes_nothing(given):
    env = envs.make(ID, 3, seed=0, random_plies=3)
    before = env.get_state()
    option = {"moves": given} if isinstance(given, str) else {"state": list(given)}
    with pytest.raises(ValueError, match=WRONG_SLOTS[given]):
        env.reset(options={"slots": [None, option, None]})
    np.testing.assert_array_equal(env.get_state()["states"], before["states"])
    with pytest.raises(ValueError, match="slot 2: a position is given by 'moves' or by 'state', not by"):
        env.reset(options={"slots": [None, None, {"mvoes": "1"}]})


# -- what is refused ---------------------------------------------------------------------------------------


def test_an_illegal_action_is_told_with_its_slot_and_nothing_is_played():
    env = envs.make(ID, 3, seed=0)
    full = {"moves": "1 1 1 1 1 1"}
    before, _ = env.reset(seed=0, options={"slots": [None, None, full]})
    with pytest.raises(ValueError, match=r"slot 2: 1 \(action 0\) is not legal; legal are 2 3 4 5 6 7"):
        env.step(np.array([0, 0, 0]))
    with pytest.raises(ValueError, match="slot 1: there is no action 7; 7 are counted from 0"):
        env.step(np.array([0, 7, 1]))
    np.testing.assert_array_equal(env.get_state()["states"], before["state"])
    for wrong in ([0, 0], [0.0, 0.0, 1.0]):
        with pytest.raises(ValueError, match=r"actions must be integers \[3\], not"):
            env.step(np.array(wrong))
    with pytest.raises(ValueError, match=r"where must be bool \[3\], not int64 \[3\]"):
        env.step(np.array([0, 0, 1]), where=np.array([1, 1, 1]))


def test_wrong_options():
    for options, said in (
        ({"random_ply": 3}, "did you mean 'random_plies'"),
        ({"random_plies": "x"}, "must be a whole number"),
        ({"render_mode": "neon"}, "must be rgb_array or ansi, not 'neon'"),
    ):
        with pytest.raises(OptionError, match=said):
            envs.make(ID, **options)
    with pytest.raises(ValueError, match="did you mean board/ConnectFour-v0"):
        envs.make("board/ConectFour-v0")
    with pytest.raises(ValueError, match=r"takes its options from envs.make"):
        envs.make(ID).reset(options={"size": 9})
    with pytest.raises(ResetNeeded):
        envs.make(ID).step(np.zeros(1, int))


def test_states_are_saved_and_restored_and_checked(tmp_path):
    env = envs.make(ID, 5, seed=3, random_plies=4)
    obs, _ = env.reset()
    for t in range(6):
        obs = env.step(choose(obs, t))[0]
    save_tree(tmp_path, env.get_state())
    saved = load_tree(tmp_path)
    twin = envs.make(ID, 5, random_plies=4)
    same(twin.set_state(saved), obs)
    for t in range(40):
        actions = choose(obs, t)
        obs, other = env.step(actions)[0], twin.step(actions)[0]
        same(obs, other)
    saved["states"][3, 1:] |= np.uint64(1)
    with pytest.raises(ValueError, match="slot 3 holds no position of connect_four"):
        twin.set_state(saved)
    with pytest.raises(ValueError, match="a state as get_state gives it has game, options, rng, states too"):
        twin.set_state({})
    with pytest.raises(ValueError, match=r"rng of a state must be uint64 \[5\], not <U1 \[\]"):
        twin.set_state(env.get_state() | {"rng": "x"})
    with pytest.raises(ValueError, match="a state of 5 slots cannot fill 2"):
        envs.make(ID, 2).set_state(env.get_state())
    with pytest.raises(ValueError, match=r"a state of connect_four .* cannot continue tic_tac_toe"):
        envs.make("board/TicTacToe-v0", 5).set_state(env.get_state())


def test_observation_spaces_know_their_game():
    env = envs.make(ID, 3, seed=0)
    space = env.single_observation_space
    for copied in (space, copy.deepcopy(space), pickle.loads(pickle.dumps(space))):
        assert copied == space
        assert game_of(copied) is game_of(copied["state"])
        assert game_of(copied).name == "connect_four"
        assert batch_space(copied, 3) == env.observation_space
    assert game_of(env.observation_space) is env.game
    assert env.observation_space.contains(env.observation_space.sample())
    assert space != envs.make("board/TicTacToe-v0").single_observation_space
    with pytest.raises(ValueError, match="no board game's"):
        game_of(Box(0, 1, (3,)))


def test_positions_without_an_environment_are_observed_alike():
    env = envs.make(ID, 6, seed=0, random_plies=9)
    obs, _ = env.reset()
    same(observe_states(env.game, obs["state"]), obs)


# -- a game that a user wrote --------------------------------------------------------------------------------


def test_a_game_that_a_user_wrote():
    env = envs.make(NIM, 3, seed=0, pile=5)
    assert env.game.options["pile"] == 5
    assert pickle.loads(pickle.dumps(env.single_observation_space)) == env.single_observation_space
    with pytest.raises(OptionError, match="did you mean 'pile'"):
        envs.make(NIM, pyle=5)
    with pytest.raises(OptionError, match=r"pile of environment .* must be a whole number"):
        envs.make(NIM, pile="five")
