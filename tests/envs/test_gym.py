"""Foreign environments keep the BatchEnv contract, whatever their autoreset mode."""

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, Graph, MultiDiscrete, Text, Tuple
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv

import envs
from envs import gym
from envs.base import BatchEnv
from envs.vectors import Vectors

CLASSIC = ("CartPole-v1", "MountainCar-v0", "Acrobot-v1", "Pendulum-v1", "MountainCarContinuous-v0")
N = 3


class Steps(gymnasium.Env):
    """obs = (random number of the episode, steps so far); action 1 ends it from step 2 on, step 4 cuts it."""

    observation_space = Box(-100, 100, (2,), np.float32)
    action_space = Discrete(2)
    parts = ("coins", "success")

    def __init__(self):
        self.obs = np.zeros(2, np.float32)  # one buffer for ever: whoever keeps it sees it change

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.obs[:] = self.np_random.integers(100) if not options else options["number"], 0
        return self.obs, {}

    def step(self, action):
        self.obs[1] += 1
        t = self.obs[1]
        terminated = bool(action == 1 and t >= 2)
        info = {"coins": 2 * t, "is_success": terminated}
        return self.obs, 100 * action + t, terminated, bool(t >= 4), info


class StepsVector(VectorEnv):
    """The same as one vector environment, in each autoreset mode, written apart from Gymnasium's."""

    parts = Steps.parts

    def __init__(self, num_envs, mode="SameStep", heeds_mask=True):
        self.num_envs, self.mode, self.heeds_mask = num_envs, AutoresetMode(mode), heeds_mask
        self.metadata = {"autoreset_mode": self.mode}
        self.single_observation_space, self.single_action_space = Steps.observation_space, Steps.action_space
        self.games = [Steps() for _ in range(num_envs)]
        self.obs = np.zeros((num_envs, 2), np.float32)
        self.waiting = np.zeros(num_envs, bool)

    def reset(self, *, seed=None, options=None):
        mask = (options or {}).get("reset_mask", np.ones(self.num_envs, bool))
        if not self.heeds_mask:
            mask = np.ones(self.num_envs, bool)
        seeds = (
            seed
            if isinstance(seed, list)
            else [None if seed is None else seed + i for i in range(self.num_envs)]
        )
        for i in np.flatnonzero(mask):
            self.obs[i] = self.games[i].reset(seed=seeds[i])[0]
        self.waiting &= ~mask
        return self.obs, {}

    def step(self, actions):
        rewards, ends = np.zeros(self.num_envs), np.zeros((2, self.num_envs), bool)
        info = {"coins": np.zeros(self.num_envs), "is_success": np.zeros(self.num_envs)}
        final_info = {k: v.copy() for k, v in info.items()}
        final_obs = np.full(self.num_envs, None, object)
        for i, game in enumerate(self.games):
            if self.waiting[i]:
                assert self.mode is AutoresetMode.NEXT_STEP
                self.obs[i] = game.reset()[0]
                self.waiting[i] = False
                continue
            obs, rewards[i], *ends[:, i], one = game.step(actions[i])
            self.obs[i] = obs
            for k, v in one.items():
                info[k][i] = v
            if not ends[:, i].any():
                continue
            if self.mode is AutoresetMode.SAME_STEP:
                final_obs[i] = obs.copy()
                for k in info:
                    final_info[k][i], info[k][i] = info[k][i], 0
                self.obs[i] = game.reset()[0]
            else:
                self.waiting[i] = True
        if self.mode is AutoresetMode.SAME_STEP and ends.any():
            info |= {"final_obs": final_obs, "_final_obs": ends.any(0), "final_info": final_info}
        return self.obs, rewards, *ends, info


def play_alone(seed, actions):
    """One slot, by hand: rows of (obs, reward, terminated, truncated, final_obs, coins, success)."""
    env = Steps()
    env.reset(seed=seed)
    rows = []
    for action in actions:
        last, reward, terminated, truncated, info = env.step(action)
        last = last.copy()
        obs = env.reset()[0].copy() if terminated or truncated else last
        rows.append((obs, reward, terminated, truncated, last, info["coins"], terminated))
    return rows


class Copies(Steps):
    """AsyncVectorEnv restarts before it sends the final observation off, and so must not share a buffer."""

    def step(self, action):
        obs, *rest = super().step(action)
        return obs.copy(), *rest


def in_processes(mode):
    env = AsyncVectorEnv([Copies] * N, autoreset_mode=mode)
    env.parts = Steps.parts
    return gym.adapt(env)


MAKERS = {"singles": lambda: gym.Singles([Steps() for _ in range(N)])}
for mode in AutoresetMode:
    MAKERS |= {
        f"sync {mode.value}": lambda m=mode: gym.adapt(SyncVectorEnv([Steps] * N, autoreset_mode=m)),
        f"own {mode.value}": lambda m=mode: gym.make_imported("x:Y", StepsVector, N, {"mode": m}),
        f"async {mode.value}": lambda m=mode: in_processes(m),
    }


@pytest.mark.parametrize("kind", MAKERS)
def test_every_autoreset_mode_shows_the_same_true_transitions(kind):
    env = MAKERS[kind]()
    assert isinstance(env, BatchEnv)
    assert env.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    actions = np.random.default_rng(0).integers(0, 2, (40, N))
    expected = [play_alone(5 + i, actions[:, i]) for i in range(N)]
    env.reset(seed=5)
    kept = []
    for t, row in enumerate(actions):
        obs, rewards, terminated, truncated, info = env.step(row)
        for i in range(N):
            last_obs, reward, term, trunc, final, coins, success = expected[i][t]
            np.testing.assert_array_equal(obs[i], last_obs)
            assert (rewards[i], terminated[i], truncated[i]) == (reward, term, trunc)
            assert info["parts"]["coins"][i] == coins
            assert info["parts"]["success"][i] == success
            if term or trunc:
                np.testing.assert_array_equal(info["final_obs"][i], final)
        assert rewards.dtype == info["parts"]["coins"].dtype == np.float32
        kept += [(a, a.copy()) for a in (obs, rewards, terminated, truncated, info["final_obs"])]
    assert all(np.array_equal(now, then) for now, then in kept), "an array that was handed out has changed"
    ends = [row[2:4] for slot in expected for row in slot]
    assert (True, False) in ends
    assert (False, True) in ends
    env.close()


@pytest.mark.parametrize("kind", MAKERS)
def test_a_masked_reset_restarts_the_masked_slots_only(kind):
    env = MAKERS[kind]()
    with pytest.raises(ValueError, match="first reset"):
        env.reset(options={"reset_mask": np.array([True, False, True])})
    env.reset(seed=[1, 2, 3])
    before = env.step(np.zeros(N, int))[0]
    options = {"reset_mask": np.array([True, False, True])}
    obs, _ = env.reset(seed=[7, None, 9], options=options)
    assert "reset_mask" in options
    np.testing.assert_array_equal(obs[1], before[1])
    fresh, _ = MAKERS[kind]().reset(seed=[7, 0, 9])
    np.testing.assert_array_equal(obs[[0, 2]], fresh[[0, 2]])
    assert env.step(np.zeros(N, int))[0][:, 1].tolist() == [1, 2, 1]
    with pytest.raises(ValueError, match=r"bool \[3\]"):
        env.reset(options={"reset_mask": np.array([True])})
    env.close()


def test_vectors_whose_ends_cannot_be_mended_are_refused():
    with pytest.raises(ValueError, match="cannot reset single slots"):
        gym.adapt(StepsVector(N, "NextStep"))
    env = gym.adapt(StepsVector(N, "Disabled", heeds_mask=False))
    env.reset(seed=0)
    env.step(np.zeros(N, int))
    with pytest.raises(ValueError, match="ignores options"):
        env.step(np.array([0, 1, 0]))
    silent = StepsVector(N)
    silent.metadata = {}
    with pytest.raises(ValueError, match="does not say how it restarts"):
        Vectors(silent)
    with pytest.raises(ValueError, match="no Gymnasium environment"):
        gym.adapt(3)


def test_gymnasiums_own_vector_cartpole_loses_no_step():
    """It is NEXT_STEP only, and pays reward 0 in the step that resets."""
    env = envs.make("gymnasium.envs.classic_control.cartpole:CartPoleVectorEnv", n=2, seed=0)
    rng = np.random.default_rng(0)
    ends = 0
    for _ in range(100):
        _, rewards, terminated, *_ = env.step(rng.integers(0, 2, 2))
        ends += terminated.sum()
        assert (rewards == 1).all()
    assert ends > 3


@pytest.mark.parametrize("options", [{}, {"sutton_barto_reward": True, "max_episode_steps": 30}])
def test_carts_that_move_in_one_go_are_those_that_move_alone(options):
    """To the last bit, through ends and limits, resets of some, a save, and a picture."""
    n, rng = 9, np.random.default_rng(0)
    env, twins = (
        envs.make("CartPole-v1", n=n, **options),
        [gymnasium.make("CartPole-v1", **options) for _ in range(n)],
    )
    obs, _ = env.reset(seed=5)
    alone = np.stack([twin.reset(seed=5 + i)[0] for i, twin in enumerate(twins)])
    ends, limits = 0, 0
    for t in range(400):
        np.testing.assert_array_equal(obs, alone)
        actions = (rng.random(n) < 0.5 + 0.15 * np.sign(obs[:, 2] + 0.3 * obs[:, 3])).astype(int)
        obs, rewards, terminated, truncated, info = env.step(actions)
        for i, twin in enumerate(twins):
            alone[i], reward, term, trunc, _ = twin.step(actions[i])
            assert (rewards[i], terminated[i], truncated[i]) == (reward, term, trunc)
            if term or trunc:
                np.testing.assert_array_equal(info["final_obs"][i], alone[i])
                alone[i] = twin.reset()[0]
        ends, limits = ends + terminated.sum(), limits + truncated.sum()
        if t % 100 == 50:
            mask = rng.random(n) < 0.5
            obs, _ = env.reset(seed=[t + i for i in range(n)], options={"reset_mask": mask})
            for i in np.flatnonzero(mask):
                alone[i] = twins[i].reset(seed=int(t + i))[0]
        if t % 100 == 75:
            saved, env = env.get_state(), envs.make("CartPole-v1", n=n, **options)
            np.testing.assert_array_equal(env.set_state(saved), obs)
    assert ends > 5
    assert limits > 5 or not options
    with pytest.raises(ValueError, match="actions must be 9 of 0 and 1"):
        env.step(np.full(n, 2))
    drawn = envs.make("CartPole-v1", n=2, render_mode="rgb_array", **options)
    drawn.reset(seed=5)
    drawn.step(np.ones(2, int))
    twin = gymnasium.make("CartPole-v1", render_mode="rgb_array", **options)
    twin.reset(seed=5)
    twin.step(1)
    np.testing.assert_array_equal(drawn.render(), twin.render())


@pytest.mark.parametrize("id", CLASSIC)
def test_classic_control_in_lock_step_with_gymnasium(id):
    """The same seeds give the episodes of `gymnasium.make`, in any slot of any batch."""
    env, twin = envs.make(id, n=2), gymnasium.make(id)
    actions = np.array([env.single_action_space.sample() for _ in range(250)])
    obs, _ = env.reset(seed=[4, 11])
    single, _ = twin.reset(seed=11)
    ends = 0
    for action in actions:
        np.testing.assert_array_equal(obs[1], single)
        obs, rewards, terminated, truncated, info = env.step(np.array([action, action]))
        single, reward, term, trunc, _ = twin.step(action)
        assert (rewards[1], terminated[1], truncated[1]) == (np.float32(reward), term, trunc)
        if term or trunc:
            ends += 1
            np.testing.assert_array_equal(info["final_obs"][1], single)
            single, _ = twin.reset()
    assert ends or id in ("Acrobot-v1", "MountainCarContinuous-v0")
    assert obs.dtype == np.float32


@pytest.mark.parametrize("id", CLASSIC)
def test_a_saved_state_goes_on_exactly(id):
    def play(env, actions):
        return [[*env.step(a)[:4]] for a in actions]

    env = envs.make(id, n=3, seed=3, max_episode_steps=150)
    rng = np.random.default_rng(1)
    space = env.action_space
    space.seed(0)
    before, after = ([space.sample() for _ in range(k)] for k in (int(rng.integers(40, 60)), 200))
    play(env, before)
    assert env.can_save
    state = env.get_state()
    assert_plain(state)
    there = play(env, after)
    other = envs.make(id, n=3, seed=99, max_episode_steps=150)
    play(other, before[:7])
    obs = other.set_state(state)
    np.testing.assert_array_equal(obs, state["obs"])
    for left, right in zip(there, play(other, after), strict=True):
        for a, b in zip(left, right, strict=True):
            np.testing.assert_array_equal(a, b)
    assert any(row[2].any() or row[3].any() for row in there)
    with pytest.raises(ValueError, match="3 slots for 2"):
        envs.make(id, n=2, seed=0).set_state(state)


def assert_plain(node):
    if isinstance(node, dict):
        assert all(isinstance(k, str) for k in node)
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            assert_plain(child)
    elif isinstance(node, np.ndarray):
        assert node.dtype != object
    else:
        assert node is None or type(node) in (bool, int, float, str)


def test_states_that_are_not_known_to_be_plain_are_not_saved():
    env = gym.Singles([Steps()])
    assert not env.can_save
    with pytest.raises(NotImplementedError, match="Singles"):
        env.get_state()
    wrapped = gymnasium.wrappers.FrameStackObservation(gymnasium.make("CartPole-v1"), 2)
    assert not gym.Singles([wrapped]).can_save
    assert gym.Singles([gymnasium.make("CartPole-v1")]).can_save


def test_nothing_goes_before_the_first_reset():
    env = envs.make("CartPole-v1", n=2)
    for call in (lambda: env.step([0, 0]), env.get_state):
        with pytest.raises(gymnasium.error.ResetNeeded):
            call()


def test_an_id_that_has_a_vector_only(monkeypatch):
    monkeypatch.setitem(gymnasium.registry, "Late-v0", None)  # taken away again after the test
    del gymnasium.registry["Late-v0"]
    gymnasium.register("Late-v0", vector_entry_point=StepsVector, kwargs={"mode": "Disabled"})
    env = envs.make("Late-v0", n=2, seed=0)
    assert [env.step([1, 0])[2].tolist() for _ in range(2)] == [[False, False], [True, False]]
    with pytest.raises(ValueError, match="no option 'speed'"):
        envs.make("Late-v0", speed=3)


def test_an_environment_that_declares_its_state_is_saved():
    class Saved(Steps):
        def get_state(self):
            return {"obs": self.obs.copy()}

        def set_state(self, state):
            self.obs[:] = state["obs"]

    env, other = (gym.Singles([gymnasium.wrappers.TimeLimit(Saved(), 3)]) for _ in range(2))
    env.reset(seed=0)
    env.step([0])
    other.set_state(env.get_state())
    for _ in range(9):
        left, right = env.step([0]), other.step([0])
        np.testing.assert_array_equal(left[0], right[0])
        assert left[3] == right[3]


def test_options_a_slot_hold_until_the_slot_is_reset():
    env = envs.make("CartPole-v1", n=2)
    fixed = {"low": 0.125, "high": 0.125}
    obs, _ = env.reset(seed=0, options={"slots": [fixed, None]})
    assert (obs[0] == 0.125).all()
    assert (abs(obs[1]) <= 0.05).all()
    for _ in range(30):
        obs, _, terminated, *_ = env.step(np.ones(2, int))
        assert not terminated[0] or (obs[0] == 0.125).all()
    other = envs.make("CartPole-v1", n=2, seed=0)
    other.set_state(env.get_state())
    assert other.get_state()["options"] == [fixed, None]
    obs, _ = env.reset(seed=0)
    assert (abs(obs) <= 0.05).all()
    with pytest.raises(ValueError, match="3 slots, there are 2"):
        env.reset(options={"slots": [None] * 3})
    with pytest.raises(ValueError, match="no options a slot"):
        gym.adapt(StepsVector(N)).reset(options={"slots": [{"number": 1}] * N})


class Shows(gymnasium.Env):
    """Shows what it was sent, in any action space."""

    def __init__(self, action_space, observation_space=None, obs=None):
        self.action_space = action_space
        self.observation_space = observation_space or Box(-9, 9, ())
        self.obs, self.seen = obs, []

    def reset(self, *, seed=None, options=None):
        return 0.0 if self.obs is None else self.obs, {}

    def step(self, action):
        self.seen.append(action)
        return self.reset()[0], 0.0, False, False, {}


def begun(*slots):
    env = gym.Singles(slots)
    env.reset()
    return env


def test_actions_reach_the_environment_in_its_own_terms():
    box = [Shows(Box(-1, 1, (2,))) for _ in range(2)]
    sampled = np.array([[3.0, -0.5], [-7.0, 0.25]])
    begun(*box).step(sampled)
    np.testing.assert_array_equal([e.seen[0] for e in box], [[1, -0.5], [-1, 0.25]])
    assert box[0].seen[0].dtype == np.float32
    assert sampled[0, 0] == 3.0
    shifted = begun(Shows(Discrete(3, start=5)))
    assert shifted.single_action_space == Discrete(3)
    shifted.step([2])
    assert shifted.envs[0].seen == [7]
    multi = begun(Shows(MultiDiscrete([2, 3])))
    multi.step([[1, 2]])
    assert multi.envs[0].seen[0].tolist() == [1, 2]
    text = begun(Shows(Text(9)), Shows(Text(9)))
    text.step(("hello", "you"))
    assert [e.seen for e in text.envs] == [["hello"], ["you"]]
    with pytest.raises(ValueError, match="action space"):
        gym.Singles([Shows(Dict(a=Discrete(2)))])


def test_observations_become_arrays_flat_dicts_or_text():
    space = Tuple([Dict(a=Box(0, 9, (2,)), b=Discrete(4)), MultiDiscrete([3, 3])])
    env = gym.Singles(
        [Shows(Discrete(2), space, ({"a": np.array([1.0, i]), "b": i}, [2, i])) for i in range(2)]
    )
    obs, _ = env.reset()
    assert set(obs) == set(env.single_observation_space) == {"0.a", "0.b", "1"}
    np.testing.assert_array_equal(obs["0.a"], [[1, 0], [1, 1]])
    np.testing.assert_array_equal(obs["0.b"], [0, 1])
    np.testing.assert_array_equal(obs["1"], [[2, 0], [2, 1]])
    assert obs["0.a"].dtype == np.float32
    obs = env.step([0, 1])[0]
    assert env.observation_space.contains(obs)
    vector = gym.Vectors(
        AsyncVectorEnv(
            [lambda: Shows(Discrete(2), space, ({"a": np.ones(2, np.float32), "b": 3}, [2, 0]))] * 2
        )
    )
    np.testing.assert_array_equal(vector.reset()[0]["0.b"], [3, 3])
    vector.close()
    text = gym.Singles([Shows(Discrete(2), Text(9), word) for word in ("one", "two")])
    assert text.reset()[0] == ("one", "two")
    assert text.step([0, 0])[0] == ("one", "two")
    with pytest.raises(ValueError, match="cannot be batched"):
        gym.Singles([Shows(Discrete(2), Graph(Discrete(2), Discrete(2)))])
    with pytest.raises(ValueError, match="differ in their spaces"):
        gym.Singles([Shows(Discrete(2)), Shows(Discrete(3))])
