"""The arcade games as Gymnasium environments: resets, states, pictures, and what a batch promises."""

from __future__ import annotations

import subprocess
import sys
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

import envs
from envs.arcade import GAMES, register
from envs.arcade.render import ansi, frame
from envs.arcade.vector import Arcade

register()
IDS = [f"arcade/{name}-v1" for name in GAMES]


def some_actions(env: Arcade, steps: int, seed: int = 0) -> np.ndarray:
    """Random, but the same in slot `i` whatever the number of slots."""
    slots = [
        np.random.default_rng([seed, i]).integers(len(env.action_names), size=steps)
        for i in range(env.num_envs)
    ]
    return np.stack(slots, axis=1)


def play(env: Arcade, actions: np.ndarray) -> list[tuple[np.ndarray, ...]]:
    """What each step returned; `final_obs` only where an episode ended."""
    rows = []
    for a in actions:
        obs, rewards, terminated, truncated, info = env.step(a)
        assert not truncated.any()
        final = info["final_obs"][terminated] if terminated.any() else np.zeros((0, *obs.shape[1:]), bool)
        rows.append((obs, rewards, terminated, final))
    return rows


def assert_equal(rows, others) -> None:
    for row, other in zip(rows, others, strict=True):
        for x, y in zip(row, other, strict=True):
            np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("name", GAMES)
@pytest.mark.parametrize("version", ["v0", "v1"])
def test_single_environment_passes_gymnasiums_check(name, version):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*is out of date.*")  # said of any -v0
        env = gymnasium.make(f"arcade/{name}-{version}", render_mode="rgb_array")
        check_env(env.unwrapped)
    assert env.action_space.n == (6 if version == "v0" else len(env.unwrapped._batch.action_names))


@pytest.mark.parametrize("id", IDS)
def test_gymnasium_makes_the_batch_too(id):
    env = gymnasium.make_vec(id, num_envs=3, sticky=0.25)
    assert isinstance(env.unwrapped, Arcade)
    assert env.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    obs, _ = env.reset(seed=5)
    assert obs.shape == env.observation_space.shape
    assert env.observation_space.contains(obs)
    assert env.unwrapped.sticky == 0.25


@pytest.mark.parametrize("id", IDS)
def test_a_batch_of_one_plays_the_games_of_a_batch_of_a_thousand(id):
    many = Arcade(id, 1_000)
    many.reset(seed=3)
    actions = some_actions(many, 200)
    rows = play(many, actions)
    for i in (0, 1, 999):
        one = Arcade(id, 1)
        one.reset(seed=3 + i)
        for k, row in enumerate(play(one, actions[:, i : i + 1])):
            for x, y in zip(row[:3], rows[k][:3], strict=True):
                np.testing.assert_array_equal(x[0], y[i])


@pytest.mark.parametrize("id", IDS)
def test_a_single_environment_plays_the_games_of_a_slot(id):
    batch, single = envs.make(id, 1), gymnasium.make(id).unwrapped
    assert isinstance(batch, Arcade)
    first, _ = batch.reset(seed=9)
    obs, _ = single.reset(seed=9)
    np.testing.assert_array_equal(obs, first[0])
    ends = 0
    for action in some_actions(batch, 3_000 if "Freeway" in id else 400):
        expected, rewards, terminated, _, info = batch.step(action)
        obs, reward, over, _, _ = single.step(int(action[0]))
        assert (reward, over) == (rewards[0], terminated[0])
        np.testing.assert_array_equal(obs, info["final_obs"][0] if over else expected[0])
        if over:
            ends += 1
            with pytest.raises(ResetNeeded):
                single.step(0)
            np.testing.assert_array_equal(single.reset()[0], expected[0])
    assert ends


@pytest.mark.parametrize("id", IDS)
def test_a_saved_state_goes_on_exactly(id):
    env = Arcade(id, 16)
    env.reset(seed=1)
    play(env, some_actions(env, 150))
    state, actions = env.get_state(), some_actions(env, 200, seed=2)
    last = env.step(actions[0])[0]
    rows = play(env, actions[1:])
    other = Arcade(id, 16)
    other.set_state(state)
    np.testing.assert_array_equal(other.step(actions[0])[0], last)
    assert_equal(play(other, actions[1:]), rows)
    np.testing.assert_array_equal(other.set_state(env.get_state()), rows[-1][0])


def test_a_state_of_another_game_or_size_is_refused():
    env = Arcade(IDS[0], 2)
    env.reset(seed=0)
    with pytest.raises(ValueError, match="cannot continue"):
        Arcade(IDS[1], 2).set_state(env.get_state())
    with pytest.raises(ValueError, match="2 slots cannot fill 3"):
        Arcade(IDS[0], 3).set_state(env.get_state())


@pytest.mark.parametrize("id", IDS)
def test_an_impossible_state_is_refused(id):
    env = Arcade(id, 3)
    env.reset(seed=0)
    for name, (low, high) in env.game.limits.items():
        for wrong in (low - 1, high + 1):
            state = env.get_state()
            state["fields"][name] = state["fields"][name].astype(np.int64)
            state["fields"][name][1] = wrong
            with pytest.raises(ValueError, match=f"'{name}' in a state"):
                env.set_state(state)


@pytest.mark.parametrize("id", IDS)
def test_a_masked_reset_leaves_the_other_slots_alone(id):
    env, twin = Arcade(id, 4), Arcade(id, 4)
    for e in (env, twin):
        e.reset(seed=1)
    actions = some_actions(env, 120)
    play(env, actions[:60]), play(twin, actions[:60])
    mask = np.array([False, True, False, True])
    before, rest = env.get_state(), ~mask
    obs, _ = env.reset(seed=[7, 8, None, None], options={"reset_mask": mask})
    np.testing.assert_array_equal(obs[rest], twin.set_state(twin.get_state())[rest])
    np.testing.assert_array_equal(env.get_state()["rng"][rest], before["rng"][rest])
    fresh = Arcade(id, 1)
    np.testing.assert_array_equal(obs[1], fresh.reset(seed=8)[0][0])
    for a in actions[60:]:
        ours, theirs, alone = env.step(a), twin.step(a), fresh.step(a[1:2])
        np.testing.assert_array_equal(ours[0][rest], theirs[0][rest])
        np.testing.assert_array_equal(ours[0][1], alone[0][0])


def test_a_seed_begins_anew_and_a_reset_without_goes_on():
    env = Arcade("arcade/Breakout-v0", 3, sticky=1.0)
    first, _ = env.reset(seed=4)
    generators = env.get_state()["rng"]
    env.set_state({**env.get_state(), "fields": {**env.get_state()["fields"], "last_action": np.full(3, 1)}})
    env.reset()
    assert (env.get_state()["rng"] != generators).all()
    assert (env.get_state()["fields"]["last_action"] == 1).all()
    again, _ = env.reset(seed=4)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(env.get_state()["rng"], generators)
    assert (env.get_state()["fields"]["last_action"] == 0).all()


def test_without_a_seed_games_differ():
    starts = [Arcade("arcade/Freeway-v1", 4).reset()[0] for _ in range(2)]
    assert (starts[0] != starts[1]).any()


def test_sticky_and_ramping_are_options():
    env = Arcade("arcade/Breakout-v1", 64, sticky=0.0)
    env.reset(seed=0)
    actions = some_actions(env, 50)
    for a in actions:
        env.step(a)
        np.testing.assert_array_equal(env.get_state()["fields"]["last_action"], env._actions[a])
    for ramping in (True, False):
        env = Arcade("arcade/Asterix-v1", 64, ramping=ramping)
        env.reset(seed=0)
        play(env, some_actions(env, 300))
        assert env.get_state()["fields"]["ramp_level"].any() == ramping


@pytest.mark.parametrize("id", IDS)
def test_returned_arrays_belong_to_the_caller(id):
    env = Arcade(id, 32)
    env.reset(seed=2)
    actions = some_actions(env, 60)
    rows = play(env, actions)
    kept = [tuple(x.copy() for x in row) for row in rows]
    play(env, actions)
    env.reset()
    assert_equal(rows, kept)
    for row in rows:
        row[0][:] = True  # and what the caller does to them changes no game
    other = Arcade(id, 32)
    other.reset(seed=2)
    assert_equal(play(other, actions), kept)


@pytest.mark.parametrize("name", GAMES)
def test_pictures(name):
    env = Arcade(f"arcade/{name}-v1", 2, render_mode="rgb_array")
    obs, _ = env.reset(seed=0)
    for a in some_actions(env, 40):
        before, obs = obs, env.step(a)[0]
    picture = env.render()
    assert picture.shape == (320, 320, 3)
    assert picture.dtype == np.uint8
    np.testing.assert_array_equal(picture, frame(name, obs[0]))
    assert (picture != frame(name, before[0])).any()
    for c, channel in enumerate(env.channels):  # every channel shows, but for those that say a direction
        lone = np.zeros_like(obs[0])
        lone[5, 5, c] = True
        shows = (frame(name, lone) != frame(name, np.zeros_like(lone))).any()
        assert shows == (channel not in ("alien_left", "alien_right"))
    text = ansi(name, obs[0])
    assert len(text.splitlines()) == 20
    assert text.count("▀") == 20 * 40


def test_things_face_away_from_their_trails():
    shapes = []
    for behind in (3, 5):
        obs = np.zeros((10, 10, 10), bool)
        obs[4, 4, 5] = obs[4, behind, 3] = True
        shapes.append(frame("Seaquest", obs)[128:160, 128:160, 0] > 200)
    np.testing.assert_array_equal(shapes[0], shapes[1][:, ::-1])
    assert (shapes[0] != shapes[1]).any()


def test_wrong_use_is_an_error_in_one_line():
    with pytest.raises(ValueError, match="no arcade game 'arcade/Pong-v1'"):
        Arcade("arcade/Pong-v1")
    with pytest.raises(ValueError, match="at least one slot"):
        Arcade(IDS[0], 0)
    with pytest.raises(ValueError, match=r"sticky .* in \[0, 1\], not 2"):
        Arcade(IDS[0], sticky=2)
    with pytest.raises(ValueError, match="render_mode must be rgb_array or ansi, not 'human'"):
        Arcade(IDS[0], render_mode="human")
    env = Arcade(IDS[0], 2)
    with pytest.raises(ResetNeeded):
        env.step(np.array([0, 0]))
    env.reset(seed=0)
    before = env.get_state()
    for wrong in ([0, 5], [-1, 0]):
        with pytest.raises(ValueError, match=r"action -?\d in slot \d: there are 5"):
            env.step(np.array(wrong))
    with pytest.raises(ValueError, match="actions must be integers"):
        env.step(np.array([0.0, 1.0]))
    with pytest.raises(ValueError, match="actions must be integers"):
        env.step(np.array([0, 1, 2]))
    np.testing.assert_array_equal(env.get_state()["rng"], before["rng"])
    with pytest.raises(ValueError, match="3 seeds for 2 slots"):
        env.reset(seed=[1, 2, 3])
    with pytest.raises(ValueError, match="reset_mask"):
        env.reset(options={"reset_mask": np.array([1, 0])})
    with pytest.raises(ValueError, match="takes no options"):
        env.reset(options={"level": 3})


def test_registering_loads_no_kernels():
    code = "import sys, envs.arcade as a; a.register(); print('numba' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"
