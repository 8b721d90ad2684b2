"""Worked steps against those that were to be written, line by line."""

from __future__ import annotations

from collections.abc import Sequence


def right_lines(steps: str, expected: Sequence[str]) -> float:
    """The share of lines that are as `expected`, each in its place; missing and extra ones count against."""
    lines = [line.strip() for line in steps.strip().split("\n")]
    right = sum(line == wanted for line, wanted in zip(lines, expected))
    return right / max(len(lines), len(expected))
