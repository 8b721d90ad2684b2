"""Symmetries of boards, as maps of cells and of actions."""

from __future__ import annotations

from typing import Any

import numpy as np

GROUPS: dict[str, list[tuple[bool, int]]] = {
    "none": [(False, 0)],
    "mirror": [(False, 0), (True, 0)],
    "half turn": [(False, 0), (False, 2)],
    "square": [(flipped, turns) for flipped in (False, True) for turns in range(4)],
}
"""By name: (left and right changed first?, then quarter turns); the first leaves all as it is."""


def maps(rows: int, columns: int, group: str, actions: str = "cells", extra: int = 0) -> dict[str, Any]:
    """`cell_maps` and `action_maps` of a `Game` (see there) of this board.

    `actions` says what an action is: one of the "cells", or of the "columns". `extra` actions, such as a
    pass, come after, and stay what they are.
    """
    cells = np.arange(rows * columns).reshape(rows, columns)
    moved = [np.rot90(cells[:, ::-1] if flipped else cells, turns) for flipped, turns in GROUPS[group]]
    cell_maps = np.stack([m.reshape(-1) for m in moved])
    chosen: Any = cell_maps if actions == "cells" else cell_maps[:, :columns]
    last = np.tile(chosen.shape[1] + np.arange(extra), (len(chosen), 1))
    return {"cell_maps": cell_maps, "action_maps": np.concatenate([chosen, last], axis=1)}
