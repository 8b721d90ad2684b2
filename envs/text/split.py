"""Which problems are for training and which for the exam: told by a stable hash of what a problem is.

However it is worded and whatever drew it, a problem is on one side only; so no stream of training problems
ever meets one of the test.
"""

from __future__ import annotations

from hashlib import sha256

import numpy as np

from envs.options import OptionError
from envs.text.task import Question, Task

SPLITS = ("train", "test")
BUCKETS = 100
TEST_SHARE = 0.2
"""Of all problems, those of the test."""
TRIES = 1000
"""Draws in a row without a problem of the split, after which there is none."""
FEWEST = 20
"""Problems that each side of a split must hold."""


def bucket(family: str, key: str) -> int:
    """A number from 0 to 99 for a family's problem, the same for ever."""
    return int.from_bytes(sha256(f"{family}:{key}".encode()).digest()[:8], "big") % BUCKETS


def side(family: str, key: str, test_share: float = TEST_SHARE) -> str:
    """`train` or `test`."""
    return SPLITS[bucket(family, key) < round(test_share * BUCKETS)]


def draw(
    task: Task,
    family: str,
    rng: np.random.Generator,
    level: int,
    split: str | None = None,
    test_share: float = TEST_SHARE,
) -> Question:
    """A problem of a level, and of a `split` where one is named.

    Raises `OptionError` where none is found.
    """
    question = task.generate(rng, level)
    if split is None:
        return question
    for _ in range(TRIES):
        if side(family, question.key, test_share) == split:
            return question
        question = task.generate(rng, level)
    raise OptionError("split", f"level {level} of {family}: no {split} problem in {TRIES} draws")


def check_split(
    task: Task, family: str, level: int, split: str | None, test_share: float = TEST_SHARE
) -> None:
    """Raise `OptionError` where a split is unknown, or a level too small to be split."""
    if split not in (None, *SPLITS):
        raise OptionError("split", f"split must be {' or '.join(SPLITS)} or null, not {split!r:.60}")
    if not 1 <= round(test_share * BUCKETS) < BUCKETS:
        raise OptionError("test_share", f"test_share must be from 0.01 to 0.99, not {test_share}")
    size = space_of(task, level)
    if split is not None and size is not None and size * min(test_share, 1 - test_share) < FEWEST:
        said = f"level {level} of {family} has {size:,.0f} problems, too few for a train and a test split"
        raise OptionError("split", f"{said} (leave out split)")


def check_size(
    task: Task,
    family: str,
    level: int,
    problems: int,
    test_share: float = TEST_SHARE,
    *,
    memorise: bool = False,
) -> None:
    """Raise `OptionError` where `problems` to train on are none, or more than half of all that the level has.

    A test of the rest then measures memory: whoever means that says `memorise`.
    """
    if problems < 1:
        raise OptionError("pool", f"pool must be a problem or more, not {problems}")
    size = space_of(task, level)
    if memorise or size is None or problems <= size * min(0.5, 1 - test_share):
        return
    said = (
        f"{problems:,} problems are most of the {size:,.0f} that level {level} of {family} has; ask for fewer"
    )
    raise OptionError("pool", f"{said}, for another level, or for memorise: true")


def some(
    task: Task, family: str, level: int, problems: int, test_share: float = TEST_SHARE
) -> list[Question]:
    """So many different problems of the train split, always the same ones.

    Raises `OptionError` where fewer are found.
    """
    rng = np.random.default_rng(list(f"{family}-{level}".encode()))
    found: dict[str, Question] = {}
    misses = 0
    while len(found) < problems:
        question = draw(task, family, rng, level, "train", test_share)
        misses = misses + 1 if question.key in found else 0
        if misses == TRIES:
            raise OptionError(
                "pool", f"level {level} of {family}: only {len(found)} train problems were found"
            )
        found.setdefault(question.key, question)
    return list(found.values())


def space_of(task: Task, level: int) -> float | None:
    """How many problems a level has; None where the family does not say."""
    try:
        return task.space(level)
    except NotImplementedError:
        return None


__all__ = ["SPLITS", "TEST_SHARE", "bucket", "check_size", "check_split", "draw", "side", "some", "space_of"]
