"""An agent at play: moment by moment, drawn in the terminal or told in plain lines."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from move37.build import from_the_start
from move37.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

    from envs.base import BatchEnv
    from move37.run import Run
    from rollouts.agent import Agent

FPS = 12.0
"""Steps a second at speed 1, where the environment does not say."""


@dataclass(frozen=True)
class Moment:
    """One step of play. `picture` (uint8 `[height, width, 3]`, a text, or None) is what the agent faced.

    In the `aftermath` of an episode's last step, it is what that step led to; all else is told once more.
    """

    picture: np.ndarray | str | None
    action: str
    reward: float
    total: float
    """The episode's return so far, this reward included."""
    step: int
    """1 for the episode's first."""
    episode: int
    ended: bool
    aftermath: bool = False


def play(
    agent: Agent, env: BatchEnv, *, episodes: int = 1, seed: int = 0, explore: bool = False
) -> Iterator[Moment]:
    """Let `agent` play whole episodes in slot 0 of `env` (which has one slot), a moment a step.

    Every picture is taken before its step: after a step that ends an episode, the environment already shows
    the next one. Where it can draw the last observation, there is a moment more, the aftermath.
    """
    from rollouts.problems import seeds_from

    rng = seeds_from([seed, 1], 1).astype(np.uint64)  # not the game's own, which is seeded with `seed`
    obs, _ = env.reset(seed=seed)
    memory, first = None, np.array([True])
    episode, step, total = 1, 0, 0.0
    while episode <= episodes:
        seen = picture(env)
        decision = agent.act(obs, rng=rng, first=first, memory=memory, explore=explore)
        obs, rewards, terminated, truncated, info = env.step(decision.actions)
        memory, first = decision.memory, terminated | truncated
        step, total = step + 1, total + float(rewards[0])
        action = action_name(env, decision.actions[0])
        moment = Moment(seen, action, float(rewards[0]), total, step, episode, bool(first[0]))
        yield moment
        if first[0]:
            end = as_picture(env.picture_of(info["final_obs"])) if env.render_mode else None
            if end is not None:
                yield replace(moment, picture=end, aftermath=True)
            episode, step, total = episode + 1, 0, 0.0


def watchable(run: Run) -> tuple[BatchEnv, str]:
    """One fresh slot of the run's environment that draws itself, and '' (where it cannot, the reason).

    A board game begins at its first position.
    """
    options = from_the_start(run.config)
    try:
        env = run.make_env(1, render_mode="rgb_array", **options)
    except UserError:  # it takes no such option: whatever else is wrong is said again
        env = run.make_env(1, **options)
    try:
        env.reset(seed=0)
        return env, "" if picture(env) is not None else f"{run.config.env.id} draws no pictures"
    except ValueError as error:
        env.close()
        return run.make_env(1, **options), str(error)


def picture(env: BatchEnv) -> np.ndarray | str | None:
    """What slot 0 looks like, in the environment's own drawing; None where it has none."""
    return as_picture(env.render() if env.render_mode else None)


def as_picture(drawn: Any) -> np.ndarray | str | None:
    """One picture out of what environments draw; None where it is none."""
    if isinstance(drawn, (tuple, list)):
        drawn = drawn[0]  # one picture a slot
    if isinstance(drawn, str):
        return drawn
    return np.asarray(drawn, dtype=np.uint8) if drawn is not None else None


def action_name(env: BatchEnv, action: Any) -> str:
    """The action as a person reads it: by name where the environment has names."""
    names = getattr(env, "action_names", None)
    if isinstance(action, str):
        return action
    if isinstance(names, tuple) and np.ndim(action) == 0:
        return str(names[int(action)])
    return np.array2string(np.asarray(action), precision=2, suppress_small=True)


def frames_per_second(env: BatchEnv) -> float:
    """How many steps a second look natural."""
    return float(env.metadata.get("render_fps") or FPS)


def show_lines(moments: Iterable[Moment], out: TextIO) -> Iterator[Moment]:
    """Tell in plain lines each end, and each reward other than the step's before; passes the moments on."""
    before = 0.0
    for moment in moments:
        if not moment.aftermath and (moment.ended or moment.reward not in (0, before)):
            print(caption(moment), file=out, flush=True)
        before = moment.reward
        yield moment


def show_pictures(
    moments: Iterable[Moment], console: Console, fps: float, sleep: Callable[[float], None] = time.sleep
) -> Iterator[Moment]:
    """Draw each moment in the terminal, `fps` a second; passes the moments on."""
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        due = time.perf_counter()
        for moment in moments:
            shown = Text(moment.picture) if isinstance(moment.picture, str) else Pixels(moment.picture)
            live.update(Group(shown, Text(caption(moment), style="bold")), refresh=True)
            due = max(due + 1 / fps, time.perf_counter() - 1 / fps)
            sleep(max(due - time.perf_counter(), 0.0))
            yield moment


def caption(moment: Moment) -> str:
    """`episode 1  step 12  action left  reward 1  return 3`."""
    end = "  the end" if moment.ended else ""
    return (
        f"episode {moment.episode}  step {moment.step:<4} action {moment.action:<6} "
        f"reward {moment.reward:<4g} return {moment.total:g}{end}"
    )


@dataclass(frozen=True)
class Pixels:
    """A picture as half blocks, two pixels a character, as large as fits the terminal (nothing for None)."""

    picture: np.ndarray | None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.color import Color
        from rich.segment import Segment
        from rich.style import Style

        if self.picture is None:
            return
        pixels = fit(self.picture, options.max_width, 2 * (console.height - 3))
        for upper, lower in zip(pixels[0::2], pixels[1::2]):
            for top, bottom in zip(upper, lower):
                colours = Color.from_rgb(*map(int, top)), Color.from_rgb(*map(int, bottom))
                yield Segment("▀", Style(color=colours[0], bgcolor=colours[1]))
            yield Segment.line()


def fit(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    """The picture within `width` by `height` pixels, its height even.

    A picture of square blocks (a grid game) is brought to its grid first, and then enlarged by whole steps.
    """
    from PIL import Image

    grid = to_grid(picture)
    scale = min(width / grid.shape[1], height / grid.shape[0])
    if scale >= 1:
        step = min(int(scale), max(round(48 / max(grid.shape[:2])), 1))
        grid = grid.repeat(step, axis=0).repeat(step, axis=1)
    else:
        if not (grid.shape[0] % (step := -int(-1 // scale)) or grid.shape[1] % step):
            scale = 1 / step  # each pixel the mean of a whole square
        size = max(round(grid.shape[1] * scale), 1), max(round(grid.shape[0] * scale), 2)
        grid = np.asarray(Image.fromarray(grid).resize(size, Image.Resampling.BOX))
    return grid if grid.shape[0] % 2 == 0 else np.concatenate([grid, np.zeros_like(grid[:1])])


def to_grid(picture: np.ndarray) -> np.ndarray:
    """One pixel a block, for a picture that is made of equal square blocks; else the picture."""
    for step in range(min(picture.shape[:2]), 1, -1):
        if picture.shape[0] % step or picture.shape[1] % step:
            continue
        grid = picture[::step, ::step]
        if np.array_equal(grid.repeat(step, axis=0).repeat(step, axis=1), picture):
            return grid
    return picture
