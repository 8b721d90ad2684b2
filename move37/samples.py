"""What a text agent says, for a person to read: a few episodes of each evaluation, on the same problems."""

from __future__ import annotations

from typing import Any

import numpy as np

from envs.text.batch import TextBatch
from envs.text.episode import Episode, speak
from move37.terminal import printable
from rollouts.rollout import Rollout

COUNT = 8
"""Episodes of an evaluation that are kept in words."""
Sample = dict[str, Any]
"""An episode as plain data: `family`, `level`, `problem`, `completions` (what the agent said, one a turn),
`replies` (what the environment answered in between), `reward`, `success`, and in `error` what is wrong."""


def samples_of(rollout: Rollout, env: TextBatch, count: int = COUNT) -> list[Sample]:
    """The first `count` episodes (by id) of a rollout of whole ones, each begun by its own seed in `env`.

    A rollout has no verdicts in words: the environment gives them once more, from what was said.
    """
    found = []
    for name in np.sort(rollout.ended["episode"])[:count]:
        rows = np.nonzero((rollout.episode == name) & rollout.valid)
        episode = deal(env, int(rollout.seed[rows][0]))
        for text in rollout.actions[rows]:
            speak([episode], [text], env.verifiers)
        found.append(as_sample(episode))
    return found


def deal(env: TextBatch, seed: int) -> Episode:
    """The episode that a seed names, of which nothing is said yet."""
    entry, question = env.dealer.deal(np.random.default_rng(seed), env.dealer.whole)
    return Episode(entry, question, env.dealer.opening(entry.task, question))


def as_sample(episode: Episode) -> Sample:
    """An episode as plain data; without a verdict reward, success and error are None."""
    verdict = episode.turns[-1].verdict if episode.turns else None
    return {
        "family": episode.entry.name,
        "level": episode.entry.level,
        "problem": episode.opening,
        "completions": list(episode.said),
        "replies": [turn.told for turn in episode.turns if turn.told],
        "reward": None if verdict is None else float(verdict.reward),
        "success": None if verdict is None else bool(verdict.success),
        "error": None if verdict is None else verdict.error,
    }


def markdown(sample: Sample) -> str:
    """A sample as a block of code, in which nothing that was said is markup."""
    lines = [sample["problem"]]
    for turn, said in enumerate(sample["completions"]):
        lines += [f"> {said}", *sample["replies"][turn : turn + 1]]
    if sample["success"] is not None:
        said = "right" if sample["success"] else f"wrong: {sample['error'] or 'no success'}"
        lines.append(f"({said}; reward {sample['reward']:g})")
    return "\n".join(f"    {line}" for line in printable("\n".join(lines)).split("\n"))
