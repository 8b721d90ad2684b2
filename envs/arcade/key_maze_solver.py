"""A perfect player of KeyMaze: breadth-first search over place, keys taken and doors opened."""

from __future__ import annotations

from typing import Any

import numpy as np

from envs.arcade.game import DOWN, LEFT, RIGHT, UP
from envs.arcade.key_maze import EDGE, GRID, MOST_KEYS, ROOMS, KeyMaze, inside, passage, step_of
from envs.kernels import kernel

WAYS = (LEFT, UP, RIGHT, DOWN)
INNER = EDGE - 1
CELLS = INNER * INNER
SETS = 1 << MOST_KEYS
UNSEEN, START = -2, -1


@kernel
def find_doors(game, doors):  # type: ignore[no-untyped-def]
    """Write every locked door as `2 room + (0: east of it, 1: south of it)`; returns how many there are."""
    count = 0
    for edge in range(2 * ROOMS):
        found = game.east[edge // 2] if edge % 2 == 0 else game.south[edge // 2]
        if found < 0 and count < MOST_KEYS:
            doors[count] = edge
            count += 1
    return count


@kernel
def key_at(game, room, x, y):  # type: ignore[no-untyped-def]
    """The set (a bit a key) of the keys that lie in a cell."""
    keys = 0
    for k in range(MOST_KEYS):
        if game.key_room[k] == room and game.key_x[k] == x and game.key_y[k] == y:
            keys |= 1 << k
    return keys


@kernel
def size_of(keys):  # type: ignore[no-untyped-def]
    """How many are in a set."""
    return (keys & 1) + (keys >> 1 & 1) + (keys >> 2 & 1) + (keys >> 3 & 1)


@kernel
def follow(game, doors, count, node, way):  # type: ignore[no-untyped-def]
    """The node that a step leads to: `((opened · SETS + taken) · ROOMS + room) · CELLS + cell`."""
    cell, room = node % CELLS, node // CELLS % ROOMS
    taken, opened = node // CELLS // ROOMS % SETS, node // CELLS // ROOMS // SETS
    dx, dy = step_of(way)
    x, y = 1 + cell % INNER + dx, 1 + cell // INNER + dy
    if not (0 < x < EDGE and 0 < y < EDGE):
        found = passage(game, room, dx, dy) if inside(room, dx, dy, GRID) else 0
        if abs(found) != (y if dx != 0 else x):
            return node
        if found < 0:
            edge = 2 * min(room, room + dx) if dx != 0 else 2 * min(room, room + GRID * dy) + 1
            door = 0
            while door < count - 1 and doors[door] != edge:
                door += 1
            if opened >> door & 1 == 0:
                if game.held + size_of(taken) - size_of(opened) <= 0:
                    return node
                opened |= 1 << door
        room += dx + GRID * dy
        x, y = x - dx * INNER, y - dy * INNER
    taken |= key_at(game, room, x, y)
    return ((opened * SETS + taken) * ROOMS + room) * CELLS + (y - 1) * INNER + x - 1


@kernel
def plan(games, i):  # type: ignore[no-untyped-def]
    """A shortest sequence of ways (0 … 3: left, up, right, down) to the treasure; empty: none leads there."""
    game = games[i]
    doors = np.empty(MOST_KEYS, np.int64)
    count = find_doors(game, doors)
    nodes = SETS * SETS * ROOMS * CELLS
    came_from, queue = np.full(nodes, UNSEEN, np.int32), np.empty(nodes, np.int32)
    way_to = np.empty(nodes, np.int8)
    start = game.room * CELLS + (game.y - 1) * INNER + game.x - 1
    goal = game.goal_room * CELLS + (game.goal_y - 1) * INNER + game.goal_x - 1
    came_from[start], queue[0], read, written = START, start, 0, 1
    while read < written:
        node = np.int64(queue[read])
        read += 1
        if node % (ROOMS * CELLS) == goal:
            break
        for way in range(4):
            following = follow(game, doors, count, node, way)
            if came_from[following] == UNSEEN:
                came_from[following], way_to[following] = node, way
                queue[written] = following
                written += 1
    else:
        return np.empty(0, np.int64)
    ways = np.empty(nodes, np.int64)
    length = 0
    while came_from[node] != START:
        ways[length] = way_to[node]
        length += 1
        node = np.int64(came_from[node])
    return ways[:length][::-1].copy()


class Solver:
    """Plays every slot of one `KeyMaze` by a shortest way; it sees the whole maze.

    Called with the observations, `[n, ...]`, it returns actions, int64 `[n]`. Where an action did not happen
    (`sticky`), it plans anew.
    """

    def __init__(self, env: KeyMaze) -> None:
        self.env = env
        self._plans: list[list[int]] = [[] for _ in range(env.num_envs)]
        self._chosen = np.full(env.num_envs, -1)

    def __call__(self, obs: Any = None) -> np.ndarray:
        """The next action of every slot."""
        games = self.env._games
        fresh = (games["time"] == 0) | (games["last_action"] != self._chosen)
        for i in range(self.env.num_envs):
            if fresh[i] or not self._plans[i]:
                self._plans[i] = plan(games, i).tolist()[::-1]
        ways = [steps.pop() if steps else 0 for steps in self._plans]
        self._chosen = np.array(WAYS)[ways]
        return np.searchsorted(self.env._actions, self._chosen)
