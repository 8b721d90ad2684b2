"""A family of text tasks as a plain `gymnasium.Env`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
from gymnasium.error import ResetNeeded

from envs.text.batch import MODES, check_render_mode, make_dealer, parts, parts_told, short_name
from envs.text.episode import Episode, begin, plain_verdict, speak
from envs.text.noise import Judge, make_noise
from envs.text.split import TEST_SHARE
from envs.text.verifiers import Verifiers


class TextEnv(gymnasium.Env[str, str]):
    """The same problems, from the same seeds, as a slot of `TextBatch`; the options are the same too.

    An observation is what is new: the prompt, later the replies of a dialogue, and nothing ("") at the end.
    The info of a step has the `parts`, and at the end the `verdict` as plain data.
    """

    metadata = {"render_modes": list(MODES), "render_fps": 1}  # noqa: RUF012

    def __init__(
        self,
        task: str,
        *,
        level: Any = 1,
        families: Any = None,
        split: str | None = None,
        instructions: bool = False,
        test_share: float = TEST_SHARE,
        pool: int | None = None,
        memorise: bool = False,
        deadline: float | None = None,
        noise: Mapping[str, float] | None = None,
        render_mode: str | None = None,
        **options: Any,
    ) -> None:
        """`task` is `text/<Name>-v0`, or `package.module:Class` of a `Task`; else as `TextBatch`."""
        check_render_mode(render_mode)
        shown: dict[str, Any] = {"split": split, "instructions": instructions, "test_share": test_share}
        shown |= {"pool": pool, "memorise": memorise}
        self.dealer = make_dealer(task, level, families, options, **shown)
        self.verifiers = Verifiers(self.dealer.families, deadline)
        self.noise = make_noise(noise)
        self.parts = parts(self.dealer, self.verifiers, noisy=self.noise is not None)
        self.render_mode = render_mode
        self.observation_space, self.action_space = self.dealer.spaces(short_name(task))
        self._episode: Episode | None = None
        self._judge: Judge | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Begin a problem; `options` (`level`, `split`, `family`) are for this one only.

        Raises `OptionError` for options that do not fit.
        """
        super().reset(seed=seed)
        if self.noise and (seed is not None or self._judge is None):
            self._judge = Judge(self.noise, self.np_random)
        self._episode = begin(self.dealer, self.np_random, self.dealer.menu(options), self._judge)
        entry = self._episode.entry
        return self._episode.opening, {"level": entry.level, "family": entry.name}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Say something."""
        if self._episode is None or self._episode.over:
            raise ResetNeeded("call reset before step, also after an episode's end")
        if not isinstance(action, str):
            raise ValueError(f"an action is text, not {action!r:.60}")
        (turn,) = speak([self._episode], [action], self.verifiers)
        info: dict[str, Any] = {"parts": parts_told(self._episode, self.parts)}
        if turn.verdict is not None:
            info["verdict"] = plain_verdict(turn.verdict)
        return turn.told, turn.reward, turn.terminated, turn.truncated, info

    def render(self) -> str | None:  # type: ignore[override]
        """What was said so far, with `render_mode="ansi"`."""
        if self.render_mode is None:
            return None
        if self._episode is None:
            raise ResetNeeded("call reset before render")
        return self._episode.transcript()

    def close(self) -> None:
        """End the processes of verifiers."""
        self.verifiers.close()
