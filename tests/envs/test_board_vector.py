"""The batch of board games: what `BatchEnv` promises, and learning targets on a game solved by hand."""

from __future__ import annotations

import copy
import pickle
from functools import cache

import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.spaces import Box
from gymnasium.vector.utils import batch_space

import envs
from agents.replay import Replay
from agents.returns import gae, next_values
from envs.board.batch import observe_states
from envs.board.game import OPEN, legal, observe, outcome, play, to_play
from envs.board.moves import play_moves
from envs.board.spaces import game_of
from envs.options import OptionError
from envs.rng import from_seeds, uniform
from rollouts.agent import Agent, Decision
from rollouts.sampler import Sampler
from rollouts.storage import load_tree, save_tree
from tests.envs.nim import NIM
from tests.toys import coin

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


def test_openings_that_no_game_has():
    with pytest.raises(OptionError, match=r"random_plies must be in \[0, 41\], not 42"):
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


# -- a game that a user wrote, small enough to solve by hand -----------------------------------------------


@cache
def value(left, again):
    """What so many are worth to the mover under best play, worked out by hand."""
    return max(value_of_take(left, take, again) for take in (1, 2) if take <= left)


def value_of_take(left, take, again):
    if take == left:
        return -1 if again else 1
    return value(left - take, again) * (1 if again and take == 2 else -1)


def test_the_values_are_those_that_the_books_have():
    assert [value(k, False) for k in range(1, 9)] == [1, 1, -1, 1, 1, -1, 1, 1]  # multiples of three lose
    assert [value(k, True) for k in range(1, 9)] == [-1, 1, -1, 1, -1, 1, -1, 1]


class Perfect(Agent):
    """Plays by the hand-made values, at random where it explores; shows the values."""

    def __init__(self, again, error=0.0):
        self.again, self.error = again, error

    def act(self, obs, *, rng, first, memory=None, explore=True):
        left = obs["planes"].reshape(len(rng), -1).sum(1)
        scores = np.array([[value_of_take(k, t, self.again) if t <= k else -9 for t in (1, 2)] for k in left])
        strays = uniform(rng) < self.error
        actions = np.where(strays & (left > 1), uniform(rng) < 0.5, 1 - scores[:, ::-1].argmax(1)).astype(
            np.int64
        )
        return Decision(actions, fields={"value": scores.max(1).astype(np.float32)})


def played(again, error=0.0, **how):
    env = envs.make(NIM, 6, again=again, random_plies=2, pile=9)
    rollout = Sampler(env, seed=4).collect(Perfect(again, error), **(how or {"steps": 40}))
    rollout.rewards = rollout.env_rewards
    return env, rollout


def left(planes):
    return planes.reshape(*planes.shape[:-3], -1).sum(-1)


def advantages(rollout, values, following):
    names = ("terminated", "truncated", "valid", "sign")
    given = {name: getattr(rollout, name) for name in names}
    return gae(rollout.rewards, values, following, **given, gamma=1.0, gae_lambda=1.0)


@pytest.mark.parametrize("again", [False, True])
def test_ppos_targets_are_the_outcome_from_each_movers_view(again):
    _, r = played(again)
    zero = np.zeros(r.shape, np.float32)
    target = advantages(r, zero, zero)
    solved = np.vectorize(lambda k: value(k, again))(left(r.obs["planes"][:-1]))
    whole = np.isin(r.episode, r.ended["episode"])
    assert whole.sum() > 150
    np.testing.assert_array_equal(target[whole], solved[whole])
    assert {-1, 1} == set(solved[whole])
    # the loser's last row: no reward, no end, and yet it lost
    seat = r.obs["to_play"]
    losers = (seat[:-2] != seat[1:-1]) & r.terminated[1:] & ~r.terminated[:-1] & (r.rewards[1:] == 1)
    if not again:  # there it is the last mover that loses
        assert losers.sum() > 10
    assert (r.rewards[:-1][losers] == 0).all()
    assert (target[:-1][losers] == -1).all()
    inside = r.sign[~r.terminated]
    assert set(inside) == ({1, -1} if again else {-1})


@pytest.mark.parametrize("again", [False, True])
def test_true_values_leave_nothing_to_learn_of_perfect_play(again):
    _, r = played(again)
    values = r.fields["value"]
    last = np.vectorize(lambda k: value(k, again))(left(r.obs["planes"][-1]))
    following = next_values(np.concatenate([values, last[None]]), r.valid, np.zeros(0), np.zeros((0, 2), int))
    np.testing.assert_array_equal(advantages(r, values, following), 0)


@pytest.mark.parametrize("n_step", [1, 2, 3])
@pytest.mark.parametrize("again", [False, True])
def test_dqns_targets_are_the_outcome_from_each_movers_view(again, n_step):
    env, r = played(again)
    replay = Replay(env.single_observation_space, 1000, n_step=n_step, gamma=1.0)
    replay.add(r)
    batch = replay.sample(500, from_seeds([0]))
    now, later = np.split(np.vectorize(lambda k: value(k, again) if k else 0)(left(batch.obs)), 2)
    np.testing.assert_array_equal(batch.returns + batch.discounts * later, now)
    assert (batch.discounts == 0).any()
    assert (batch.discounts != 0).any()


def test_the_sampler_plays_boards_against_opponents():
    """The loser of each game is told in its own last row, by whoever's move the game ended."""
    env = envs.make(ID, 8)
    r = Sampler(env, seed=11).collect(coin(env), opponents=[coin(env)], episodes=40)
    rows, seats = r.valid, r.obs["to_play"][:-1]
    ends = r.terminated & rows
    assert ends.sum() == 40
    assert (r.env_rewards[rows & ~ends] == 0).all()
    assert set(r.env_rewards[ends]) >= {-1, 1}
    at = r.ended["time"], r.ended["slot"]
    np.testing.assert_array_equal(r.ended["return"], r.env_rewards[at])
    own = np.take_along_axis(r.ended["seat_returns"], seats[at][:, None], 1)[:, 0]
    np.testing.assert_array_equal(own, r.ended["return"])
    np.testing.assert_array_equal(
        r.ended["seat_returns"][:, 0], r.ended["first_wins"] - r.ended["second_wins"]
    )
    assert {0, 1} == set(seats[at])
    over = (r.final_obs["state"][:, 0] >> np.uint64(17)).astype(int)
    t, slot = r.final_at.T
    np.testing.assert_array_equal(WON[over][np.arange(40), seats[t, slot]], r.env_rewards[t, slot])


def test_self_play_goes_on_as_if_nothing_had_happened(tmp_path):
    def sampler():
        return Sampler(envs.make(ID, 4, random_plies=2), seed=1)

    one, two = sampler(), sampler()
    agent = coin(one.env)
    one.collect(agent, steps=13)
    save_tree(tmp_path, one.get_state())
    assert two.set_state(load_tree(tmp_path))
    a, b = one.collect(agent, steps=30), two.collect(agent, steps=30)
    same(a.obs, b.obs)
    np.testing.assert_array_equal(a.actions, b.actions)
    np.testing.assert_array_equal(a.ended["return"], b.ended["return"])
    assert len(a.ended["return"]) > 0


def test_a_game_that_a_user_wrote():
    env = envs.make(NIM, 3, seed=0, pile=5)
    assert env.game.options["pile"] == 5
    assert pickle.loads(pickle.dumps(env.single_observation_space)) == env.single_observation_space
    with pytest.raises(OptionError, match="did you mean 'pile'"):
        envs.make(NIM, pyle=5)
    with pytest.raises(OptionError, match=r"pile of environment .* must be a whole number"):
        envs.make(NIM, pile="five")
