"""Did you mean …? The name that is nearest to a misspelt one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

MANY = 40
"""Names that a person may be told of at once."""


def nearest(name: str, known: Iterable[str], k: int = 1, cutoff: float = 0.6) -> list[str]:
    """The `k` of `known` that are most like `name`, best first; none that is less alike than `cutoff`."""
    return difflib.get_close_matches(name, list(known), n=k, cutoff=cutoff)


def suggest(name: str, known: Iterable[str], otherwise: str = "there is") -> str:
    """`did you mean 'x'?` where something is near, else `there is: a, b, c` (or `there is none`).

    Of more than `MANY` names, the first.
    """
    known = list(known)
    near = nearest(name, known)
    if near or not known:
        return f"did you mean '{near[0]}'?" if near else f"{otherwise} none"
    more = f" and {len(known) - MANY} more" if len(known) > MANY else ""
    return f"{otherwise}: {', '.join(known[:MANY])}{more}"
