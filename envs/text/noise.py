"""Verifiers that err: a verdict is turned round with a given probability, and the truth is told beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from envs.nearest import suggest
from envs.options import OptionError
from envs.text.task import Verdict

TRUTH = "true_success"
"""The part that tells, where verdicts may be wrong, what `success` would be without that."""


@dataclass(frozen=True)
class Noise:
    """How often verdicts are wrong, as probabilities."""

    right: float = 0.0
    """Of a right answer to be judged wrong."""
    wrong: float = 0.0
    """Of a wrong answer to be judged right."""


def make_noise(given: Any) -> Noise | None:
    """From an environment's option, `{"right": 0.1, "wrong": 0.05}`; None for none (`OptionError`)."""
    if given is None:
        return None
    known = [f.name for f in fields(Noise)]
    if not isinstance(given, Mapping):
        raise OptionError("noise", f"noise must be {{right: 0.1, wrong: 0.05}} or null, not {given!r:.60}")
    for name, share in given.items():
        if name not in known:
            raise OptionError("noise", f"noise has no '{name}'; {suggest(str(name), known, 'it has')}")
        number = isinstance(share, (int, float)) and not isinstance(share, bool)
        if not number or not 0 <= share <= 1:
            raise OptionError("noise", f"noise.{name} must be a probability, from 0 to 1, not {share!r:.60}")
    return Noise(**given)


class Judge:
    """Turns verdicts round, by a generator of its own; what is drawn for one says nothing of the next.

    Where slots try the same problem each has its own judge, begun from the generator that makes the slot's
    problems and the slot's number; it goes on when a slot is given another problem (or the same again), and
    begins anew where all of them do.
    """

    def __init__(self, noise: Noise, problems: np.random.Generator, slot: int = 0) -> None:
        """`problems` is left as it is."""
        state = problems.bit_generator.state["state"]["state"]
        self.noise, self.rng = noise, np.random.default_rng([int(state), slot])

    def __call__(self, verdict: Verdict) -> Verdict:
        """The verdict as it is told: its success as it may be, the true one among its parts."""
        share = self.noise.right if verdict.success else self.noise.wrong
        told = replace(verdict, parts={**verdict.parts, TRUTH: float(verdict.success)})
        if self.rng.random() >= share:
            return told
        error = "noise: it was right" if verdict.success else ""
        return replace(told, success=not verdict.success, reward=float(not verdict.success), error=error)
