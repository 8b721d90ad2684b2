"""Spaces of text that carry what an agent needs to know beforehand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gymnasium.spaces import Text

from envs.text import load
from envs.text.parsing import TAGS
from envs.text.task import Question, Task

LONGEST_TEXT = 1 << 20
"""Characters of what is said at once, at most, as these spaces have it."""
LONGEST_SAMPLE = 32
"""Characters of a random text."""


class TextSpace(Text):
    """Text of a task, in an observation or an action.

    `task`: the name of the family, or its import path. `families`: the options of each family that there is,
    by its name. `alphabet`: every character that problems, steps and answers are written in, sorted; tags,
    such as `<answer>`, come on top (the space's `characters` include theirs). `stops`: where the agent writes
    one of these, its turn is over. `turns`: an episode is truncated after so many.
    """

    def __init__(
        self,
        task: str,
        families: Mapping[str, Mapping[str, Any]],
        alphabet: str,
        *,
        stops: tuple[str, ...] = (),
        turns: int = 1,
    ) -> None:
        self.task, self.families = task, {name: dict(options) for name, options in families.items()}
        self.alphabet = "".join(sorted(set(alphabet)))
        self.stops, self.turns = tuple(stops), turns
        characters = "".join(sorted({*alphabet, *"".join(TAGS)}))
        super().__init__(LONGEST_TEXT, min_length=0, charset=characters)

    def tasks(self) -> dict[str, Task]:
        """The families, by name."""
        return {name: load(name, options) for name, options in self.families.items()}

    def sample(self, mask: Any = None, probability: Any = None) -> str:
        """A random text, a short one unless a mask or probabilities ask for a length."""
        if mask is not None or probability is not None:
            return super().sample(mask, probability)
        length = int(self.np_random.integers(LONGEST_SAMPLE + 1))
        return "".join(self.np_random.choice(self.character_list, size=length).tolist())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TextSpace) and self._identity() == other._identity()

    def __repr__(self) -> str:
        more = f", stops={self.stops}" if self.stops else ""
        return f"TextSpace({self.task}, {len(self.alphabet)} characters, turns={self.turns}{more})"

    def _identity(self) -> tuple[Any, ...]:
        return self.task, self.families, self.alphabet, self.stops, self.turns


def understand(tasks: Mapping[str, Task], text: str) -> tuple[str, Question]:
    """The family that an observation's problem is of, and the question, instructions before it or not.

    Where families word a problem alike, the first of them has it. Raises `ValueError` where none does.
    """
    for name, task in tasks.items():
        try:
            return name, task.understand(text.removeprefix(f"{task.instructions}\n"))
        except ValueError:
            continue
    raise ValueError(f"{text!r:.60} is no problem of {', '.join(tasks)}")
