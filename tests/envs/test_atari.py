"""Atari by ale-py's vector environment, against the plain emulator driven by hand."""

import ale_py
import cv2
import gymnasium
import numpy as np
import pytest
from ale_py import roms
from ale_py.vector_env import AtariVectorEnv
from gymnasium.vector import AutoresetMode, VectorEnv

import envs
from envs.atari import games


class Plain:
    """One game by ale-py's single emulator: the protocol written out."""

    def __init__(self, rom, seed):
        ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
        self.ale = ale_py.ALEInterface()
        self.ale.setInt("random_seed", seed)
        self.ale.setFloat("repeat_action_probability", 0.0)
        self.ale.loadROM(roms.get_rom_path(rom))
        self.actions = self.ale.getMinimalActionSet()

    def reset(self, frames):
        """FIRE where the game has it, then no-ops, `frames` in all."""
        self.ale.reset_game()
        fires = ale_py.Action.FIRE in self.actions
        for k in range(frames):
            self.ale.act(ale_py.Action.FIRE if fires and k == 0 else ale_py.Action.NOOP)
        self.stack = np.zeros((4, 84, 84), np.uint8)
        self.pair = [self.grey(), np.zeros((210, 160), np.uint8)]
        self.show()

    def step(self, action):
        reward = 0
        for k in range(4):
            reward += self.ale.act(self.actions[action])
            if self.ale.game_over():
                break  # what the pair held stays, as in ale-py
            if k >= 2:
                self.pair[k - 2] = self.grey()
        self.show()
        return reward, self.ale.game_over()

    def grey(self):
        return self.ale.getScreenGrayscale().reshape(210, 160)

    def show(self):
        frame = cv2.resize(np.maximum(*self.pair), (84, 84), interpolation=cv2.INTER_AREA)
        self.stack = np.concatenate([self.stack[1:], frame[None]])


def start_up_frames(rom, seed):
    """A bare vector environment that plays along, to say how many frames each episode began with."""
    bare = AtariVectorEnv(rom, 1, autoreset_mode=AutoresetMode.SAME_STEP, reward_clipping=False)
    VectorEnv.metadata.pop("autoreset_mode", None)  # ale-py has written into the class
    return bare, int(bare.reset(seed=seed)[1]["episode_frame_number"][0])


@pytest.mark.parametrize(("game", "steps"), [("Breakout", 500), ("SpaceInvaders", 600)])
def test_lock_step_with_the_plain_emulator(game, steps):
    """Observations, raw rewards, true ends, final observations and lives, in slot 1 of 2."""
    env = envs.make(f"ALE/{game}-v5", n=2, life_loss=True)
    rom = games()[f"ALE/{game}-v5"]
    plain = Plain(rom, 8)
    bare, frames = start_up_frames(rom, 8)
    plain.reset(frames)
    obs, _ = env.reset(seed=[3, 8])
    rng = np.random.default_rng(0)
    lost, ends, kept, best = 0, 0, [], 0
    for _ in range(steps):
        np.testing.assert_array_equal(obs[1], plain.stack)
        action = int(rng.integers(env.single_action_space.n))
        lives = plain.ale.lives()
        obs, rewards, terminated, truncated, info = env.step([0, action])
        reward, over = plain.step(action)
        assert rewards[1] == reward
        assert terminated[1] == over
        assert not truncated[1]
        assert info["parts"]["life_lost"][1] == (plain.ale.lives() < lives)
        lost += info["parts"]["life_lost"][1]
        best = max(best, reward)
        frames = bare.step(np.array([action]))[4]["episode_frame_number"][0]
        if over:
            ends += 1
            np.testing.assert_array_equal(info["final_obs"][1], plain.stack)
            plain.reset(int(frames))
        kept += [(a, a.copy()) for a in (obs, rewards, terminated, info["final_obs"])]
    assert all(np.array_equal(now, then) for now, then in kept[-200:] + kept[:200])
    assert rewards.dtype == info["parts"]["life_lost"].dtype == np.float32
    assert ends
    assert lost > ends, "no life was lost before the last one"
    assert best > (1 if game == "SpaceInvaders" else 0), "too tame to show that rewards are raw"


def test_a_lost_life_is_told_only_when_asked_for():
    env = envs.make("ALE/Breakout-v5", n=2, seed=0)
    assert env.parts == ()
    assert env.step([0, 0])[4]["parts"] == {}
    assert envs.make("ALE/Breakout-v5", life_loss=True).parts == ("life_lost",)


def test_the_frame_limit_truncates():
    env = envs.make("ALE/Pong-v5", n=2, seed=0, max_frames=40)
    for t in range(1, 26):
        obs, _, terminated, truncated, info = env.step([0, 0])
        assert not terminated.any()
        assert truncated.tolist() == [t % 10 == 0] * 2
        if truncated.any():
            assert info["final_obs"][0].any(axis=(1, 2)).all(), "the last observation has four frames"
            assert not obs[:, :3].any(), "the first observation has one"


def test_seeds_and_masked_resets():
    def play(env, steps=60):
        return np.array([env.step([t % 4] * env.num_envs)[0] for t in range(steps)])

    env = envs.make("ALE/Breakout-v5", n=2, sticky=0.25)
    with pytest.raises(ValueError, match="first reset"):
        env.reset(options={"reset_mask": np.array([True, False])})
    env.reset(seed=[2**40 + 1, 5])
    first = play(env)
    env.reset(seed=[1, 5])
    again = play(env)
    np.testing.assert_array_equal(first[:, 1], again[:, 1])
    assert not np.array_equal(first[:, 0], again[:, 0])
    alone = envs.make("ALE/Breakout-v5", n=1, sticky=0.25, seed=5)
    np.testing.assert_array_equal(play(alone)[:, 0], first[:, 1])
    obs, _ = env.reset(seed=[None, 5], options={"reset_mask": np.array([False, True])})
    np.testing.assert_array_equal(obs[0], again[-1, 0])
    np.testing.assert_array_equal(play(env)[:, 1], first[:, 1])


def test_sticky_actions_are_off_unless_asked_for():
    def moves(**options):
        env = envs.make("ALE/Breakout-v5", n=1, seed=0, **options)
        return np.array([env.step([2 + t % 2])[0][0, -1] for t in range(100)])

    def bare(sticky):
        env = AtariVectorEnv(
            "breakout", 1, autoreset_mode="SameStep", reward_clipping=False, repeat_action_probability=sticky
        )
        VectorEnv.metadata.pop("autoreset_mode", None)
        env.reset(seed=0)
        return np.array([env.step(np.array([2 + t % 2]))[0][0, -1] for t in range(100)])

    np.testing.assert_array_equal(moves(), bare(0.0))
    np.testing.assert_array_equal(moves(sticky=0.25), bare(0.25))
    assert not np.array_equal(bare(0.0), bare(0.25))


def test_spaces_options_and_pictures():
    env = envs.make("ALE/Breakout-v5", n=3, seed=0)
    assert env.observation_space.shape == (3, 4, 84, 84)
    assert env.single_action_space.n == 4
    assert envs.make("ALE/Breakout-v5", full_actions=True).single_action_space.n == 18
    obs = env.step([0, 1, 2])[0]
    picture = env.render()
    assert picture.shape == (420, 336, 3)
    assert picture.dtype == np.uint8
    np.testing.assert_array_equal(picture[::5, ::4, 1], obs[0, -1])
    assert not env.can_save
    assert "autoreset_mode" not in VectorEnv.metadata
    assert gymnasium.vector.AutoresetMode.SAME_STEP is env.metadata["autoreset_mode"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sticky": 1.5}, "in \\[0, 1\\)"),
        ({"max_frames": 3}, "4 frames of one step"),
        ({"skip": 2}, "no option 'skip'"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        envs.make("ALE/Pong-v5", **options)


def test_actions_that_would_end_the_process_are_refused():
    env = envs.make("ALE/Pong-v5", n=2)
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step([0, 0])
    env.reset(seed=0)
    for actions in ([0, 6], [-1, 0], [0], [[0, 0]]):
        with pytest.raises(ValueError, match=r"must be 2 in \[0, 6\)"):
            env.step(actions)


@pytest.mark.slow
@pytest.mark.parametrize("id", games())
def test_every_game_starts(id):
    env = envs.make(id, n=1, seed=0)
    obs = env.step([env.single_action_space.n - 1])[0]
    assert env.observation_space.contains(obs)
