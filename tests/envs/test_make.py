"""One call makes every environment, and says what is wrong in one line."""

import os
import subprocess
import sys
import warnings

import gymnasium
import numpy as np
import pytest

import envs
from envs import paths
from envs.base import BatchEnv
from envs.options import OptionError

OWN = """
import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete
from envs import make
from envs.base import BatchEnv

class Corridor(gymnasium.Env):
    action_space = Discrete(2)

    def __init__(self, length, prize=1.0):
        self.length, self.prize = length, prize
        self.observation_space = Box(0, length, (1,))

    def reset(self, *, seed=None, options=None):
        self.at = 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.at += int(action)
        done = self.at == self.length
        return np.array([self.at], np.float32), self.prize * done, done, False, {}

def corridor(length=2):
    return Corridor(length)

def many(n, id="CartPole-v1"):
    return make(id, n)

def nothing():
    return 3

class Late:
    pass

gymnasium.register("Corridor-v0", entry_point=Corridor, kwargs={"length": 3}, max_episode_steps=2)
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A module in the working folder, which is not on the path."""
    (tmp_path / "corridors.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    monkeypatch.setattr(gymnasium.envs.registration, "registry", dict(gymnasium.registry))
    yield
    sys.modules.pop("corridors", None)
    gymnasium.registry.pop("Corridor-v0", None)


def test_an_import_path_gives_the_users_own_environment(own):
    env = envs.make("corridors:Corridor", n=2, length=2, prize=5.0)
    assert isinstance(env, BatchEnv)
    assert env.reset()[0].tolist() == [[0], [0]]
    env.step([1, 0])
    obs, rewards, terminated, _, info = env.step([1, 1])
    assert rewards.tolist() == [5, 0]
    assert terminated.tolist() == [True, False]
    assert obs.tolist() == [[0], [1]]
    assert info["final_obs"][0].tolist() == [2]
    assert envs.make("corridors:corridor", n=3, length=4).single_observation_space.high == 4
    assert envs.make("corridors:many", n=3).num_envs == 3
    registered = envs.make("corridors:Corridor-v0", n=2)
    registered.reset()
    registered.step([1, 1])
    assert registered.step([1, 1])[3].tolist() == [True, True]


FOLLOWED = ["module:Name", "a.b_1:Name.part", "module:Name-v0", "module:some-space/Name.2-v1"]
REFUSED = [
    "my-mod:Name",
    "évil:Name-v0",
    "a:b:c",
    ".a:b",
    "a.:b",
    "a/b:c",
    "a:/b",
    "a:b/c/d",
    "a:b\n",
    "a:",
    ":b",
]


@pytest.mark.parametrize("path", FOLLOWED + REFUSED)
def test_nothing_is_imported_but_what_counts_as_an_import_path(monkeypatch, path):
    asked = []
    monkeypatch.setattr(paths.importlib, "import_module", lambda name: asked.append(name) or sys)
    for follow in (paths.resolve, envs.make):
        with pytest.raises(ValueError, match=r"^[^\n]*$"):
            follow(path)
    assert paths.is_import_path(path) == (path in FOLLOWED)
    assert asked == ([path.partition(":")[0]] * 2 if path in FOLLOWED else [])


@pytest.mark.parametrize(
    ("id", "options", "message"),
    [
        ("corridors:Corridor", {}, "needs the option length"),
        ("corridors:Corridor", {"lenght": 3}, "no option 'lenght'; did you mean 'length'"),
        ("corridors:Nowhere", {}, "has no 'Nowhere'"),
        ("corridors:np", {}, "no environment class"),
        ("corridors:Late", {}, "gave a Late, not a gymnasium.Env"),
        ("corridors:nothing", {}, "gave a int, not a gymnasium.Env"),
        ("caves:Corridor", {}, "no module named 'caves'"),
        (
            "CartPole-v1",
            {"gravity": 3},
            "no option 'gravity'; it has: max_episode_steps, sutton_barto_reward",
        ),
        ("CartPole-v1", {"n": 0}, "at least one slot"),
        ("Brekout", {}, "did you mean arcade/Breakout-v1 or ALE/Breakout-v5"),
        ("cartpole", {}, "did you mean CartPole-v1"),
        ("CartPole-v9", {}, "did you mean CartPole-v1"),
        ("ALE/Pong", {}, "did you mean ALE/Pong-v5"),
        ("arcade/Breakout", {}, "did you mean arcade/Breakout-v1"),
        ("not an id at all", {}, "`move37 envs` lists"),
        ("ALE/Pong-v5", {"sticki": 0.1}, "did you mean 'sticky'"),
        ("arcade/Breakout-v1", {"ramp": False}, "did you mean 'ramping'"),
        (
            "arcade/Breakout-v1",
            {"sticky": "x"},
            "sticky of environment 'arcade/Breakout-v1' must be a number, not 'x'",
        ),
        ("arcade/Breakout-v1", {"sticky": True}, "must be a number, not True"),
        ("arcade/Breakout-v1", {"sticky": 2}, "must be in [0, 1], not 2"),
        ("arcade/Breakout-v1", {"ramping": 1}, "must be true or false, not 1"),
        ("arcade/Breakout-v1", {"render_mode": "human"}, "must be rgb_array or ansi, not 'human'"),
        ("ALE/Pong-v5", {"max_frames": 1e3}, "must be a whole number, not 1000.0"),
        ("ALE/Pong-v5", {"max_frames": 3}, "must be at least the 4 frames of one step, not 3"),
        ("ALE/Pong-v5", {"num_threads": -1}, "must be 0 or more, not -1"),
        ("CartPole-v1", {"max_episode_steps": "x"}, "must be a whole number or null, not 'x'"),
        ("CartPole-v1", {"max_episode_steps": 0}, "cannot be made: AssertionError: "),
        ("Pendulum-v1", {"g": "x"}, "g of environment 'Pendulum-v1' must be a number, not 'x'"),
        ("FrozenLake-v1", {"map_name": "9x9"}, "cannot be made: KeyError: '9x9'"),
        (
            "corridors:Corridor",
            {"length": 2, "prize": "x"},
            "prize of environment 'corridors:Corridor' must be",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_line(own, id, options, message):
    with pytest.raises(ValueError, match=r"^[^\n]*$") as error:
        envs.make(id, **options)
    assert message in str(error.value)


def test_what_an_option_may_be(own):
    """A whole number stands for a number, numpy's too; a default of 0 asks for any number."""
    assert envs.make("arcade/Breakout-v1", sticky=np.float32(0.5)).sticky == 0.5
    assert envs.make("arcade/Breakout-v1", sticky=1).sticky == 1
    assert envs.make("CartPole-v1", max_episode_steps=3).num_envs == 1
    assert envs.make("MountainCar-v0", goal_velocity=0.02).envs[0].unwrapped.goal_velocity == 0.02
    assert envs.make("FrozenLake-v1", map_name="8x8").single_observation_space.n == 64
    with pytest.raises(OptionError) as error:
        envs.make("arcade/Breakout-v1", sticky="x")
    assert error.value.option == "sticky"


def test_an_environment_draws_without_a_word_where_there_is_no_screen():
    code = (
        "import envs; env = envs.make('CartPole-v1', seed=0, render_mode='rgb_array'); "
        "print(env.render().shape, (env.render() != 255).any())"
    )
    bare = {k: v for k, v in os.environ.items() if "DISPLAY" not in k and not k.startswith("SDL")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=bare, check=True)
    assert done.stdout == "(400, 600, 3) True\n"
    assert done.stderr == ""


def test_gymnasium_makes_our_ids_where_nothing_was_imported():
    code = (
        "import gymnasium; env = gymnasium.make('envs:arcade/Breakout-v1', sticky=0.0); "
        "print(env.reset(seed=0)[0].shape, env.action_space.n)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "(10, 10, 4) 3\n"


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "Box2D", None)
    for name in [m for m in sys.modules if m.startswith("gymnasium.envs.box2d")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ValueError, match=r"LunarLander-v3' needs what is not installed: .*box2d"):
        envs.make("LunarLander-v3")


def test_what_is_listed_can_be_made():
    listed = envs.names()
    assert {"arcade/SpaceInvaders-v1", "ALE/MsPacman-v5", "CartPole-v1", "Ant-v5"} <= set(listed)
    assert not {"CartPole-v0", "Ant-v2", "Breakout-v4", "ALE/Combat-v5"} & set(listed)
    assert all(about and "\n" not in about for about in listed.values())
    ids = [k for k, v in listed.items() if k.startswith("arcade/") or "classic" in v or "toy" in v]
    assert len(ids) == 12 + 5 + 6
    for id in ids:
        env = envs.make(id, n=2, seed=0)
        env.action_space.seed(0)
        for _ in range(3):
            obs, *_ = env.step(env.action_space.sample())
        assert env.observation_space.contains(obs), id


@pytest.mark.parametrize("id", ["CartPole-v1", "arcade/Breakout-v1", "ALE/Breakout-v5"])
def test_a_seed_settles_everything(id):
    def play(seed):
        env = envs.make(id, n=2, seed=seed)
        shown = [env.reset()[0]]
        for _ in range(40):
            shown.append(env.step(np.array([1, 0]))[0])
        return np.array(shown)

    first = play(3)
    np.testing.assert_array_equal(first, play(3))
    assert not np.array_equal(first, play(4))


def test_ids_are_registered_once_and_with_gymnasium():
    before = len(gymnasium.registry)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        envs.register()
    assert len(gymnasium.registry) == before
    assert "arcade/Breakout-v1" in gymnasium.registry


def test_import_is_light_and_registers():
    code = (
        "import sys, envs, gymnasium; assert 'arcade/Breakout-v1' in gymnasium.registry; "
        "print(sorted({'numba', 'torch', 'ale_py', 'ray', 'cv2'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
