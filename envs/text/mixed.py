"""Several families in one environment, `text/Mixed-v0`: so one run shows which skill comes when.

`families` names each family (or import path) with its levels, or with its levels and options:
`{"Addition": [1, 2, 3], "Sudoku": {"levels": [1], "size": 4}}`. All pairs of family and level are drawn
evenly, unless who begins an episode names one of them (as a curriculum does, see `choices`). Beside the usual
parts there are `tried/Addition-1`, which is 1 where an episode of that family and level ended, and
`success/Addition-1`, which is 1 where it was a success: the ratio of their sums is that skill's accuracy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from envs.options import OptionError
from envs.text import NAMES
from envs.text.deal import Entry, entries_of, load_family


def mixed_entries(families: Any = None) -> list[Entry]:
    """The entries that `families` names; without any, every family at its first level.

    Raises `OptionError`.
    """
    families = dict.fromkeys(NAMES, 1) if families is None else families
    if not isinstance(families, Mapping) or not families:
        said = f"families must name families and their levels, as {{Addition: [1, 2]}}, not {families!r:.60}"
        raise OptionError("families", said)
    entries = []
    for name, levels in families.items():
        options: dict[str, Any] = {}
        if isinstance(levels, Mapping):
            options = dict(levels)
            levels = options.pop("levels", 1)
        try:
            entries += entries_of(*load_family(str(name), options, f"the family '{name}'"), levels)
        except ValueError as error:
            raise OptionError("families", f"families: {error}") from None
    return entries


def choices(id: str, parts: Sequence[str]) -> list[dict[str, Any]]:
    """The families and levels that an environment with these `parts` deals, as options of an episode.

    Raises `OptionError` where there is nothing to choose.
    """
    labels = [part.removeprefix("tried/") for part in parts if part.startswith("tried/")]
    if not labels:
        said = f"{id} has no several levels or families to choose from (env.level: [1, 2, 3])"
        raise OptionError("curriculum", said)
    pairs = [label.rsplit("-", 1) for label in labels]
    return [{"family": family, "level": int(level)} for family, level in pairs]
