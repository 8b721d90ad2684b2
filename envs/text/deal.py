"""Dealing problems: of one family or of several, at one level or many, from one side of a split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np

from envs.nearest import suggest
from envs.options import OptionError, check_options
from envs.paths import resolve
from envs.text import PATHS, load
from envs.text.spaces import TextSpace
from envs.text.split import TEST_SHARE, check_size, check_split, draw, some
from envs.text.task import Question, Task

OWN = {
    "level": Any,
    "split": str | None,
    "instructions": bool,
    "test_share": float,
    "pool": int | None,
    "memorise": bool,
    "deadline": float | None,
    "noise": Any,
    "render_mode": str | None,
}
"""Options of every text environment, beside those of its family."""


@dataclass(frozen=True)
class Entry:
    """A family at one of its levels."""

    name: str
    task: Task
    level: int
    options: Mapping[str, Any]
    """What the family was made with."""

    @property
    def label(self) -> str:
        """As in the names of parts: `Addition-2`."""
        return f"{self.name}-{self.level}"


@dataclass(frozen=True)
class Menu:
    """What one slot's problems are drawn from."""

    entries: tuple[Entry, ...]
    split: str | None


class Dealer:
    """Deals problems of several entries, evenly, as an environment shows them."""

    def __init__(
        self,
        entries: Sequence[Entry],
        split: str | None = None,
        instructions: bool = False,
        test_share: float = TEST_SHARE,
        pool: int | None = None,
        memorise: bool = False,
    ) -> None:
        """Raises `OptionError` for a split that is unknown, and a split or pool that does not fit a level."""
        if pool is not None and split is None:
            raise OptionError("pool", "pool is a number of problems to train on: it needs split: train")
        self.entries, self.instructions, self.test_share = tuple(entries), instructions, test_share
        self.pool, self.memorise = pool, memorise
        self.families = {e.name: (e.task, e.options) for e in entries}
        self.whole = self._menu_of(self.entries, split)
        self._menus: dict[str, Menu] = {}
        self._pools: dict[str, list[Question]] = {}

    def menu(self, options: Mapping[str, Any] | None) -> Menu:
        """What an episode's own options leave: `level` (one or several), `split`, and `family`.

        A level may be one that the environment itself does not deal. Raises `OptionError`.
        """
        if not options:
            return self.whole
        asked = repr(sorted(options.items()))
        if asked not in self._menus:
            self._menus[asked] = self._menu_by(options)
        return self._menus[asked]

    def deal(self, rng: np.random.Generator, menu: Menu) -> tuple[Entry, Question]:
        """A problem, which depends on `rng` and the menu only."""
        entries = menu.entries
        entry = entries[int(rng.random() * len(entries))] if len(entries) > 1 else entries[0]
        if self.pool is not None and menu.split == "train":
            return entry, self._pool_of(entry)[int(rng.random() * self.pool)]
        return entry, draw(entry.task, entry.name, rng, entry.level, menu.split, self.test_share)

    def opening(self, task: Task, question: Question) -> str:
        """What an episode begins with."""
        return f"{task.instructions}\n{question.prompt}" if self.instructions else question.prompt

    def spaces(self, name: str) -> tuple[TextSpace, TextSpace]:
        """Of observations and of actions."""
        tasks = [task for task, _ in self.families.values()]
        families = {name: options for name, (_, options) in self.families.items()}
        alphabet = "".join(task.alphabet for task in tasks)
        shown = alphabet + "".join(f"{task.instructions}\n" for task in tasks if self.instructions)
        stops = tuple(dict.fromkeys(stop for task in tasks for stop in task.stops))
        rest: dict[str, Any] = {"stops": stops, "turns": max(task.turns for task in tasks)}
        return TextSpace(name, families, shown, **rest), TextSpace(name, families, alphabet, **rest)

    def _menu_by(self, options: Mapping[str, Any]) -> Menu:
        known = ["level", "split", "family"]
        for name in options:
            if name not in known:
                raise OptionError(
                    name, f"an episode has no option '{name}'; {suggest(name, known, 'it has')}"
                )
        entries = self._of_family(options.get("family"))
        if options.get("level") is not None:
            families = {e.name: (e.task, e.options) for e in entries}
            levels = options["level"]
            entries = [e for name, made in families.items() for e in entries_of(name, *made, levels)]
        return self._menu_of(tuple(entries), options.get("split", self.whole.split))

    def _of_family(self, family: Any) -> list[Entry]:
        if family is None:
            return list(self.entries)
        if family not in self.families:
            said = suggest(str(family), list(self.families))
            raise OptionError("family", f"there are no problems of '{family}' here; {said}")
        return [e for e in self.entries if e.name == family]

    def _menu_of(self, entries: tuple[Entry, ...], split: str | None) -> Menu:
        for entry in entries:
            level = entry.task, entry.name, entry.level
            check_split(*level, split, self.test_share)
            if self.pool is not None and split == "train":
                check_size(*level, self.pool, self.test_share, memorise=self.memorise)
        return Menu(entries, split)

    def _pool_of(self, entry: Entry) -> list[Question]:
        if entry.label not in self._pools:
            level = entry.task, entry.name, entry.level
            self._pools[entry.label] = some(*level, self.pool or 0, self.test_share)
        return self._pools[entry.label]


def entries_of(name: str, task: Task, options: Mapping[str, Any], levels: Any) -> list[Entry]:
    """A family at a level, or at several (`OptionError` where it has no such level)."""
    several = list(levels) if isinstance(levels, (list, tuple)) else [levels]
    if not several or len(set(map(str, several))) < len(several):
        raise OptionError(
            "level", f"level of {name} must be a level or a list of different ones, not {levels}"
        )
    for level in several:
        whole = isinstance(level, Integral) and not isinstance(level, bool)
        if not whole or not 1 <= level <= task.levels:
            said = f"level of {name} must be a whole number from 1 to {task.levels}, not {level!r:.60}"
            raise OptionError("level", said)
    return [Entry(name, task, int(level), options) for level in several]


def load_family(id: str, options: Mapping[str, Any], what: str) -> tuple[str, Task, Mapping[str, Any]]:
    """(name, family, options) of an id `text/<Name>-v0`, a name or an import path.

    `what` is who takes the options, as errors have it. Raises `OptionError` and `ValueError`.
    """
    name = id.removeprefix("text/").removesuffix("-v0")
    if name in PATHS or ":" in name:
        check_options(what, resolve(PATHS.get(name, name)), options, also=OWN)
    return name, load(name, options), dict(options)
