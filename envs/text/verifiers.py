"""Where verifiers are called: nowhere else. Whatever one does there, the batch goes on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from envs.options import OptionError
from envs.text import PATHS
from envs.text.guard import Fault, Guard
from envs.text.task import Task, Verdict

DEADLINE = 5.0
"""Seconds that a call of a user's own verifier may take, unless told otherwise."""


class Verifiers:
    """Calls the verifiers of several families: here, or each in a process of its own that may be killed.

    `families` has of each name the family and the options that it was made with. With a `deadline` in seconds
    each is in a process of its own; with 0 all are here. None stands for `Task.deadline` or, where that is
    None too: here for the families of this suite, which always come to an end, 5 seconds for a user's own.

    Raises `OptionError` for a deadline out of range, and where programs cannot be run but have to be.
    """

    def __init__(
        self, families: Mapping[str, tuple[Task, Mapping[str, Any]]], deadline: float | None = None
    ) -> None:
        if deadline is not None and not 0 <= deadline < math.inf:
            raise OptionError("deadline", f"deadline must be 0 (none) or more seconds, not {deadline}")
        self.families, self.deadline = dict(families), deadline
        if any(task.runs_programs for task, _ in self.families.values()):
            _check_sandbox()
        self._guards: dict[str, Guard] = {}

    def call(self, name: str, method: str, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        """What `verify`, `judge` or `reply` of a family returns for each of `calls`, or a `Fault`."""
        task, options = self.families[name]
        deadline = self._deadline(name)
        if not deadline:
            found = getattr(task, f"{method}_many")(calls)
            return [_checked(method, value) for value in found]
        if name not in self._guards:
            self._guards[name] = Guard(name, options, deadline=deadline)
        return self._guards[name].call(method, calls)

    def _deadline(self, name: str) -> float:
        if self.deadline is not None:
            return self.deadline
        own = self.families[name][0].deadline
        if own is not None:
            return own
        return 0.0 if name in PATHS else DEADLINE

    def close(self) -> None:
        """End the processes."""
        for guard in self._guards.values():
            guard.close()
        self._guards.clear()


def _check_sandbox() -> None:
    from envs.text.sandbox import SandboxError, shared

    try:
        shared()
    except SandboxError as error:
        raise OptionError("id", str(error)) from None


def _checked(method: str, found: Any) -> Any:
    """What a method returned, or a `Fault` where it raised, or returned what it may not."""
    if isinstance(found, Exception):
        return Fault(_told(found))
    if isinstance(found, Verdict) and not 0.0 <= found.reward <= 1.0:
        return Fault(f"the reward is {found.reward}, not from 0 to 1")
    kinds = (str, type(None)) if method == "reply" else Verdict
    return found if isinstance(found, kinds) else Fault(f"{method} gave a {type(found).__name__}")


def _told(error: Exception) -> str:
    try:
        return " ".join(f"{type(error).__name__}: {error}".split())[:300]
    except Exception:  # it cannot even say what it is
        return type(error).__name__
