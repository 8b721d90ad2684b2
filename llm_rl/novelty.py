"""Rare ideas are worth more: a reward term that compares what the tries at one problem said."""

from __future__ import annotations

from collections import Counter
from typing import Literal, get_args

import numpy as np

from envs.options import OptionError
from envs.text.parsing import ANSWER, normal, read
from rollouts.reward import Term
from rollouts.rollout import Rollout

Of = Literal["answer", "steps"]


class Novelty(Term):
    """At an episode's end 1 / (tries at the same problem that said the same, this one included).

    So each different thing that a group has to say is worth 1, shared by those who say it. `of`: what is
    compared, the "answer" in its normal form, or the "steps", which are all that was said before it. With
    `only_right` only successes have and share it; tries without an answer, and those whose verifier failed,
    never do.

    Raises `OptionError` for another `of`; when called, `ValueError` where there are no groups, or no success.
    """

    def __init__(self, of: Of = "answer", only_right: bool = True) -> None:
        if of not in get_args(Of):
            raise OptionError("of", f"novelty is of {' or of '.join(get_args(Of))}, not {of!r:.60}")
        self.of, self.only_right = of, only_right

    def __call__(self, rollout: Rollout) -> np.ndarray:
        if self.only_right and "success" not in rollout.parts:
            raise ValueError("novelty: this environment has no success; set only_right: false")
        if (rollout.group[rollout.valid] < 0).any():
            raise ValueError("novelty compares tries at one problem: it needs groups of them (group_size)")
        said = {row: (group, what) for row, group, what in self._tries(rollout)}
        count = Counter(said.values())
        out = np.zeros(rollout.shape, np.float32)
        for row, idea in said.items():
            out[row] = 1 / count[idea]
        return out

    def _tries(self, rollout: Rollout) -> list[tuple[tuple[int, int], int, str]]:
        """(last row, group, what it said) of each episode that may have a bonus."""
        time, slot = np.nonzero(rollout.valid)
        order = np.lexsort((time, rollout.episode[time, slot]))
        time, slot = time[order], slot[order]
        starts = np.flatnonzero(np.diff(rollout.episode[time, slot], prepend=-1))
        found = []
        for rows in np.split(np.arange(len(time)), starts[1:]):
            last = int(time[rows[-1]]), int(slot[rows[-1]])
            texts = [str(text) for text in rollout.actions[time[rows], slot[rows]]]
            what = idea(texts, self.of) if self._counts(rollout, last) else None
            if what is not None:
                found.append((last, int(rollout.group[last]), what))
        return found

    def _counts(self, rollout: Rollout, last: tuple[int, int]) -> bool:
        """Whether the episode that ended there was judged, and right where that is asked for."""
        judged = "error" not in rollout.parts or rollout.parts["error"][last] == 0
        return bool(judged and (not self.only_right or rollout.parts["success"][last] > 0))


def idea(texts: list[str], of: Of) -> str | None:
    """The answer, or the steps, of what was said in an episode's turns, in one form; None without an answer.

    Numbers are compared as numbers, all else without its spaces.
    """
    answer = read(texts[-1]).answer
    if answer is None:
        return None
    if of == "steps":
        return "".join("\n".join(texts).rpartition(ANSWER)[0].split())
    return normal(answer)
