"""What an agent says aloud in a turn: its tool call or its answer, which stand after its thought."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from envs.text.parsing import ANSWER, END_ANSWER, END_THINK, END_TOOL, TOOL

T = TypeVar("T")


def aloud(completion: str) -> str:
    """All that stands after the thought."""
    return completion.rpartition(END_THINK)[2]


def answered(completion: str) -> bool:
    """Whether there is an answer, or more than one."""
    return END_ANSWER in aloud(completion).partition(ANSWER)[2]


def tool_call(completion: str) -> str | None:
    """What stands in the tool call; None where there is none, or more than one."""
    calls = [text.partition(END_TOOL) for text in aloud(completion).split(TOOL)[1:]]
    whole = [text for text, end, _ in calls if end]
    return whole[0] if len(whole) == 1 else None


def only(found: Sequence[T | Exception]) -> T:
    """The one value that there is, or its error raised."""
    (value,) = found
    if isinstance(value, Exception):
        raise value
    return value
