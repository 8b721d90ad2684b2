"""Symmetries of boards, as maps of cells and of actions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from envs.board.game import Game

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


def canonical(game: Game, obs: Mapping[str, np.ndarray]) -> list[bytes]:
    """A name for each position of a batch of observations, the same for all its mirror images.

    It is of what observations show: a past that matters, as for superko, is not looked at.
    """
    planes = obs["planes"].reshape(len(obs["planes"]), -1, len(game.planes))
    images = planes[:, game.cell_maps] if len(game.cell_maps) else planes[:, None]
    packed = np.packbits(images.reshape(*images.shape[:2], -1), axis=2)
    seats = obs["to_play"].tolist()
    return [bytes([seat]) + min(map(bytes, mirrored)) for seat, mirrored in zip(seats, packed)]
