import io
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector.utils import batch_space
from PIL import Image
from rich.console import Console

import envs
import move37
from envs.base import BatchEnv
from envs.board import load
from envs.board.moves import play_moves
from envs.board.render import frame
from envs.rng import from_seeds
from move37.errors import RunError, UserError
from move37.record import Recording, shrink
from move37.watch import (
    Pixels,
    action_name,
    caption,
    fit,
    play,
    show_lines,
    show_pictures,
    to_grid,
    watchable,
)
from rollouts.agent import Agent, Decision


class Countdown(BatchEnv):
    """One slot: an episode is 3 steps, then 4, then 5, …; the picture's red is the steps left."""

    metadata = BatchEnv.metadata
    render_mode = "rgb_array"
    action_names = ("stay", "go")
    num_envs = 1
    single_observation_space = gym.spaces.Box(0, 255, (1,), np.float32)
    single_action_space = gym.spaces.Discrete(2)
    observation_space = batch_space(single_observation_space, 1)
    action_space = batch_space(single_action_space, 1)

    def reset(self, *, seed=None, options=None):
        self.length = self.left = 3
        return np.array([[3.0]], np.float32), {}

    def step(self, actions):
        assert actions[0] == self.left % 2
        self.left -= 1
        ended = self.left == 0
        if ended:  # restarts in the same step
            self.length += 1
            self.left = self.length
        no = np.zeros(1, bool)
        info = {"final_obs": np.zeros((1, 1), np.float32)}
        return np.array([[self.left]], np.float32), np.ones(1, np.float32), np.array([ended]), no, info

    def render(self):
        picture = np.zeros((20, 20, 3), np.uint8)
        picture[..., 0] = self.left
        return picture


class Parity(Agent):
    """Answers with the parity of what it sees, and remembers how long the episode is."""

    def __init__(self):
        self.lengths = []

    def act(self, obs, *, rng, first, memory=None, explore=True):
        steps = 0 if first[0] else int(memory["steps"][0])
        self.lengths.append(steps)
        return Decision((obs[:, 0] % 2).astype(np.int64), {"steps": np.array([steps + 1])})


def test_play_gives_each_episode_its_own_pictures_and_account():
    agent = Parity()
    moments = list(play(agent, Countdown(), episodes=2))
    assert [m.picture[0, 0, 0] for m in moments] == [3, 2, 1, 4, 3, 2, 1]  # never the next episode's first
    assert [m.step for m in moments] == [1, 2, 3, 1, 2, 3, 4]
    assert [m.total for m in moments] == [1, 2, 3, 1, 2, 3, 4]
    assert [m.episode for m in moments] == [1, 1, 1, 2, 2, 2, 2]
    assert [m.ended for m in moments] == [False, False, True, False, False, False, True]
    assert [m.action for m in moments[:3]] == ["go", "stay", "go"]
    assert agent.lengths == [0, 1, 2, 0, 1, 2, 3]  # memory goes on, and starts anew


class FirstLegal(Agent):
    """Plays the first legal action (of an arcade game: action 0)."""

    def act(self, obs, *, rng, first, memory=None, explore=True):
        mask = obs["action_mask"] if isinstance(obs, dict) else np.ones((len(obs), 1))
        return Decision(mask.argmax(axis=1))


def test_a_game_is_shown_to_its_end(tmp_path):
    env = envs.make("board/TicTacToe-v0", 1, render_mode="rgb_array")
    moments = list(play(FirstLegal(), env, episodes=2))
    game, moves = load("tic_tac_toe"), ["a3", "b3", "c3", "a2", "b2", "c2", "a1"]  # the last one wins
    drawn = [frame(game, play_moves(game, " ".join(moves[:k]))) for k in range(8)]
    for k, moment in enumerate(moments):
        np.testing.assert_array_equal(moment.picture, drawn[k % 8])
    ends = [moment for moment in moments if moment.ended]
    assert [(m.step, m.total, m.aftermath) for m in ends] == [(7, 1, False), (7, 1, True)] * 2
    with Recording(tmp_path / "a.gif", fps=2) as recording:
        for moment in moments[:8]:
            recording.add(moment.picture)
    with Image.open(tmp_path / "a.gif") as gif:
        gif.seek(gif.n_frames - 1)
        shown = np.asarray(gif.convert("RGB")).astype(int)
    differing = [np.abs(shown - shrink(picture, 320)).mean() for picture in drawn]
    assert np.argmin(differing) == 7


def test_the_end_is_told_once():
    out = io.StringIO()
    env = envs.make("board/TicTacToe-v0", 1, render_mode="rgb_array")
    assert len(list(show_lines(play(FirstLegal(), env), out))) == 8
    assert out.getvalue().count("the end") == 1


def test_an_arcade_game_shows_its_last_observation_too():
    env = envs.make("arcade/Breakout-v1", 1, render_mode="rgb_array")
    moments = list(play(FirstLegal(), env))
    last, aftermath = moments[-2:]
    assert last.ended
    assert aftermath.aftermath
    assert not np.array_equal(last.picture, aftermath.picture)
    assert not np.array_equal(aftermath.picture, moments[0].picture)  # which the environment shows by now


def test_watching_and_self_play_begin_at_the_first_position(tmp_path):
    config = {
        "env": {"id": "board/TicTacToe-v0", "n": 4, "random_plies": 4},
        "agent": {"kind": "ppo", "n_steps": 8, "epochs": 1, "minibatch_size": 16},
        "evaluate": {"every": 32, "episodes": 8},
        "budget": {"env_steps": 32},
    }
    run = move37.train(config, out=tmp_path / "run")
    env, undrawn = watchable(run)
    obs, _ = env.reset(seed=0)
    assert undrawn == ""
    assert obs["planes"].sum() == 0
    assert run.evaluate(8)["mean_length"] >= 5  # no game of tic-tac-toe is shorter
    assert next(line["eval/length"] for line in run.metrics() if "eval/length" in line) >= 5
    changed = config | {"evaluate": {"env": {"random_plies": 6}}}
    assert move37.train(changed, out=tmp_path / "changed").evaluate(8)["mean_length"] <= 3


def test_the_agent_s_luck_is_not_the_game_s():
    class Noting(Parity):
        def act(self, obs, *, rng, **kwargs):
            seen.append(int(rng[0]))
            return super().act(obs, rng=rng, **kwargs)

    seen = []
    for seed in (0, 0, 1):
        next(play(Noting(), Countdown(), seed=seed))
    assert seen[0] == seen[1] != seen[2]
    assert seen[0] != int(from_seeds([0])[0])  # what a game that is reset with this seed draws from


def test_lines_are_plain_and_few():
    out = io.StringIO()
    moments = list(show_lines(play(Parity(), Countdown(), episodes=2), out))
    assert len(moments) == 7
    said = out.getvalue().splitlines()
    assert len(said) == 3  # the first reward, and two ends: a reward that stays the same is told once
    assert said[-1].endswith("the end")
    assert "\x1b" not in out.getvalue()


def test_pictures_are_drawn_in_time():
    out, slept = io.StringIO(), []
    console = Console(file=out, force_terminal=True, color_system="truecolor", width=60, height=20)
    moments = list(show_pictures(play(Parity(), Countdown()), console, fps=1000.0, sleep=slept.append))
    assert len(moments) == len(slept) == 3
    assert max(slept) <= 2 / 1000
    assert "▀" in out.getvalue()
    assert "38;2;3;0;0" in out.getvalue()  # true colour: red is 3
    assert "return 3" in out.getvalue()


def test_half_blocks_hold_two_pixels_a_character():
    picture = np.zeros((2, 3, 3), np.uint8)
    picture[0, :, 0], picture[1, :, 2] = 200, 100
    console = Console(file=io.StringIO(), force_terminal=True, color_system="truecolor", width=60, height=20)
    console.print(Pixels(picture.repeat(16, axis=0).repeat(16, axis=1)))
    lines = console.file.getvalue().splitlines()
    assert "38;2;200;0;0;48;2;200;0;0" in lines[0]
    assert "38;2;0;0;100;48;2;0;0;100" in lines[-1]


def test_a_grid_is_brought_back_to_its_cells_and_enlarged_by_whole_steps():
    cells = np.random.default_rng(0).integers(0, 255, (10, 10, 3), dtype=np.uint8)
    picture = cells.repeat(32, axis=0).repeat(32, axis=1)
    np.testing.assert_array_equal(to_grid(picture), cells)
    shown = fit(picture, 80, 42)
    np.testing.assert_array_equal(shown, cells.repeat(4, axis=0).repeat(4, axis=1))
    half = fit(picture, 80, 5).astype(float)  # too few lines: each pixel is the mean of 2x2 cells
    np.testing.assert_allclose(half[:5], cells.reshape(5, 2, 5, 2, 3).mean(axis=(1, 3)), atol=1)
    photo = np.random.default_rng(0).integers(0, 255, (210, 160, 3), dtype=np.uint8)
    small = fit(photo, 80, 43)
    assert small.shape[0] <= 44
    assert small.shape[0] % 2 == 0
    assert small.shape[1] == pytest.approx(small.shape[0] * 160 / 210, abs=2)


def test_actions_read_well():
    env = Countdown()
    assert action_name(env, np.int64(1)) == "go"
    assert action_name(env, "a word") == "a word"
    assert action_name(env, np.array([0.123, -1.0])) == "[ 0.12 -1.  ]"


def pictures(count, side=40, colours=5):
    rng = np.random.default_rng(0)
    palette = rng.integers(0, 255, (colours, 3), dtype=np.uint8)
    return [palette[rng.integers(colours, size=(side, side))] for _ in range(count)]


def test_a_gif_has_the_frames_the_pace_and_the_very_colours(tmp_path):
    frames = pictures(5)
    with Recording(tmp_path / "a.gif", fps=20) as recording:
        for frame in frames:
            recording.add(frame)
    with Image.open(tmp_path / "a.gif") as gif:
        assert gif.n_frames == 5
        assert gif.info["duration"] == 50
        assert gif.info["loop"] == 0
        for i, frame in enumerate(frames):
            gif.seek(i)
            np.testing.assert_array_equal(np.asarray(gif.convert("RGB")), frame)


def test_a_video_has_the_frames(tmp_path):
    import cv2

    with Recording(tmp_path / "a.mp4", fps=15) as recording:
        for level in (0, 100, 200):
            recording.add(np.full((41, 40, 3), (level, 0, 0), np.uint8))  # an odd side, too
    video = cv2.VideoCapture(str(tmp_path / "a.mp4"))
    reds = []
    while (read := video.read())[0]:
        assert read[1].shape == (40, 40, 3)
        reds.append(read[1][..., 2].mean())  # blue, green, red
    np.testing.assert_allclose(reds, [0, 100, 200], atol=10)


@pytest.mark.parametrize("name", ["a.gif", "a.mp4"])
def test_an_unfinished_recording_leaves_nothing(tmp_path, name):
    def interrupted():
        with Recording(tmp_path / name, fps=15) as recording:
            recording.add(pictures(1)[0])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(RunError, match="nothing to record"), Recording(tmp_path / name, fps=15):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_recording_s_name_is_checked_before_anything_is_played(tmp_path):
    with pytest.raises(UserError, match=r"\.gif or \.mp4"):
        Recording(tmp_path / "a.webm", fps=15)
    with pytest.raises(UserError, match="no folder"):
        Recording(tmp_path / "missing" / "a.gif", fps=15)


def test_a_full_disk_is_told_before_anything_is_played(tmp_path, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(RunError, match=r"a\.gif: cannot be written: No space left on device"):
        Recording(tmp_path / "a.gif", fps=15)
    monkeypatch.undo()

    def fills_up():
        with Recording(tmp_path / "a.gif", fps=15) as recording:
            recording.add(pictures(1)[0])
            monkeypatch.setattr(Path, "replace", full)

    with pytest.raises(RunError, match=r"a\.gif: cannot be written: No space left on device"):
        fills_up()
    assert list(tmp_path.iterdir()) == []


def test_large_pictures_are_made_smaller():
    cells = np.random.default_rng(0).integers(0, 255, (10, 10, 3), dtype=np.uint8)
    small = shrink(cells.repeat(48, axis=0).repeat(48, axis=1), 320)
    assert small.shape == (240, 240, 3)
    np.testing.assert_array_equal(to_grid(small), cells)
    assert shrink(np.zeros((401, 600, 3), np.uint8), 240).shape == (160, 240, 3)


def test_a_caption_says_what_happened():
    moment = list(play(Parity(), Countdown()))[-1]
    words = "episode 1 step 3 action go reward 1 return 3 the end"
    assert " ".join(caption(moment).split()) == words
