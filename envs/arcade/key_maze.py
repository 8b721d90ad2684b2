"""KeyMaze: walk through a maze of rooms, take keys, open doors, and find the one treasure.

Reaching the treasure is worth 1 and ends the episode; nothing else is worth anything, and at the limit of
steps the episode is cut. The screen shows the room that the player is in. A key opens any one locked door.

    x 0 1 2 3 4 5 6 7 8 9
    y 0 # # # . # # # # #   the wall, its ways out, and locked doors; a way leads to the next room
      1 #               # c   column 9, rows 0 … 4: the row of the room in the maze
      … #               #
      7 #               #
      8 # # # # # # # # #
      9 c             k k     row 9: the column of the room at the left, the keys held at the right

Rooms have numbers `5 row + column`. A way between two rooms is kept by the one above or to the left of it, in
`south` or `east`: 0 is none, 1 … 7 is where along the wall it is, and −1 … −7 the same behind a locked door.

A maze follows from its level and its number alone: a random tree of rooms (depth first, which makes long
ways), the treasure in the room farthest from the start, its way cut by locked doors at even distances, and
each door's key somewhere between the door before it (or the start) and itself. So every maze can be solved.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from envs.arcade.game import DOWN, LEFT, RIGHT, UP, Game, state_dtype, sticky_action
from envs.arcade.vector import Arcade
from envs.kernels import kernel
from envs.options import OptionError
from envs.rng import next_below

CHANNELS = ("player", "wall", "door", "key", "treasure", "held", "place")
PLAYER, WALL, DOOR, KEY, TREASURE, HELD, PLACE = range(7)
CELL = 7
GRID, ROOMS, MOST_KEYS = 5, 25, 4
EDGE, MIDDLE = 8, 4
SIDES, DOORS, LIMITS_OF_STEPS = (2, 3, 3, 4, 5), (1, 1, 2, 3, 4), (100, 200, 200, 400, 600)
LEVELS = len(SIDES)
NOWHERE = -1
EVENTS = ("success", "keys", "doors", "rooms")

STATE = state_dtype(
    level="i1",
    mazes="i8",
    maze="i8",
    east=("i1", ROOMS),
    south=("i1", ROOMS),
    key_room=("i1", MOST_KEYS),
    key_x=("i1", MOST_KEYS),
    key_y=("i1", MOST_KEYS),
    goal_room="i1",
    goal_x="i1",
    goal_y="i1",
    room="i1",
    x="i1",
    y="i1",
    held="i1",
    seen="i4",
    time="i2",
    cut="?",
    **dict.fromkeys(EVENTS, "?"),
)
LIMITS = {
    "level": (1, LEVELS),
    "east": (1 - EDGE, EDGE - 1),
    "south": (1 - EDGE, EDGE - 1),
    "key_room": (NOWHERE, ROOMS - 1),
    "goal_room": (0, ROOMS - 1),
    "room": (0, ROOMS - 1),
    "held": (0, MOST_KEYS),
    **dict.fromkeys(("key_x", "key_y", "goal_x", "goal_y", "x", "y"), (1, EDGE - 1)),
}


@kernel
def inside(room, dx, dy, side):  # type: ignore[no-untyped-def]
    """Is there a room one further, in a maze of `side` by `side`?"""
    return 0 <= room % GRID + dx < side and 0 <= room // GRID + dy < side


@kernel
def step_of(way):  # type: ignore[no-untyped-def]
    """(dx, dy) of one of the four ways: left, up, right, down."""
    return (-1, 0) if way == 0 else (0, -1) if way == 1 else (1, 0) if way == 2 else (0, 1)


@kernel
def passage(game, room, dx, dy):  # type: ignore[no-untyped-def]
    """What is in the wall between a room and the next one: 0, a place, or minus a place."""
    if dx != 0:
        return np.int64(game.east[min(room, room + dx)])
    return np.int64(game.south[min(room, room + GRID * dy)])


@kernel
def set_passage(game, room, dx, dy, value):  # type: ignore[no-untyped-def]
    """Change what is in that wall."""
    if dx != 0:
        game.east[min(room, room + dx)] = value
    else:
        game.south[min(room, room + GRID * dy)] = value


@kernel
def dig(game, dice, side, came_from, order):  # type: ignore[no-untyped-def]
    """A random tree over the rooms, depth first from a random one.

    Writes each room's predecessor (the first one's is `NOWHERE`) and the order in which rooms were reached.
    """
    came_from[:] = -2  # not reached
    room = GRID * next_below(dice, 0, side) + next_below(dice, 0, side)
    came_from[room], order[0], reached = NOWHERE, room, 1
    while reached < side * side:
        ways, chosen = 0, 0
        for way in range(4):
            dx, dy = step_of(way)
            if inside(room, dx, dy, side) and came_from[room + dx + GRID * dy] == -2:
                ways += 1
                chosen = way if next_below(dice, 0, ways) == 0 else chosen
        if ways == 0:
            room = came_from[room]
            continue
        dx, dy = step_of(chosen)
        set_passage(game, room, dx, dy, 1 + next_below(dice, 0, EDGE - 1))
        came_from[room + dx + GRID * dy] = room
        room += dx + GRID * dy
        order[reached] = room
        reached += 1


@kernel
def lock(game, doors, came_from, order, depth, doors_before):  # type: ignore[no-untyped-def]
    """Put the treasure's room and the locked doors on the way to it; returns how many doors there are.

    Writes how many doors lie between the start and each room.
    """
    game.goal_room = order[0]
    for room in order:
        depth[room] = 0 if came_from[room] < 0 else depth[came_from[room]] + 1
        game.goal_room = room if depth[room] > depth[game.goal_room] else game.goal_room
    distance = depth[game.goal_room]
    doors = min(doors, distance)
    room = np.int64(game.goal_room)
    locked = doors  # the last door is that of the treasure's room
    while locked > 0:
        if depth[room] == locked * distance // doors:
            doors_before[room] = 1
            locked -= 1
        room = came_from[room]
    for room in order[1:]:
        doors_before[room] += doors_before[came_from[room]]
        if doors_before[room] > doors_before[came_from[room]]:
            step = room - came_from[room]
            dx, dy = (step, 0) if abs(step) == 1 else (0, step // GRID)
            set_passage(game, room, -dx, -dy, -passage(game, room, -dx, -dy))
    return doors


@kernel
def somewhere(dice):  # type: ignore[no-untyped-def]
    """(x, y) in a room, anywhere but in the middle, where the player starts."""
    k = next_below(dice, 0, (EDGE - 1) ** 2 - 1)
    k += k >= (EDGE - 1) * (MIDDLE - 1) + MIDDLE - 1
    return 1 + k % (EDGE - 1), 1 + k // (EDGE - 1)


@kernel
def build(game):  # type: ignore[no-untyped-def]
    """The maze number `game.maze` of level `game.level`."""
    dice = np.empty(1, np.uint64)
    dice[0] = np.uint64(game.maze)
    side = SIDES[game.level - 1]
    came_from, order = np.empty(ROOMS, np.int64), np.empty(side * side, np.int64)
    depth, doors_before = np.zeros(ROOMS, np.int64), np.zeros(ROOMS, np.int64)
    game.east[:] = 0
    game.south[:] = 0
    dig(game, dice, side, came_from, order)
    doors = lock(game, DOORS[game.level - 1], came_from, order, depth, doors_before)
    game.key_room[:] = NOWHERE
    game.key_x[:] = 1
    game.key_y[:] = 1
    for k in range(doors):
        rooms = 0
        for room in order:
            if doors_before[room] == k:
                rooms += 1
                game.key_room[k] = room if next_below(dice, 0, rooms) == 0 else game.key_room[k]
        game.key_x[k], game.key_y[k] = somewhere(dice)
    game.goal_x, game.goal_y = somewhere(dice)
    game.room = order[0]


@kernel
def restart(game, rng, i):  # type: ignore[no-untyped-def]
    """A new episode: in the middle of the first room, with no key."""
    game.maze = next_below(rng, i, game.mazes if game.mazes > 0 else 1 << 52)
    build(game)
    game.x = game.y = MIDDLE
    game.held = game.time = 0
    game.seen = 1 << game.room


@kernel
def leave(game, dx, dy):  # type: ignore[no-untyped-def]
    """Go through the wall, where there is a way, and with a key also where there is a locked door."""
    place = game.y if dx != 0 else game.x
    found = passage(game, game.room, dx, dy) if inside(game.room, dx, dy, GRID) else 0
    if abs(found) != place or (found < 0 and game.held == 0):
        return
    if found < 0:
        game.held -= 1
        game.doors = True
        set_passage(game, game.room, dx, dy, place)
    game.room += dx + GRID * dy
    game.x += -dx * (EDGE - 2)
    game.y += -dy * (EDGE - 2)
    game.rooms = game.seen & 1 << game.room == 0
    game.seen |= 1 << game.room


@kernel
def advance(game, action):  # type: ignore[no-untyped-def]
    """One step of the rules; notes what happened, and whether the episode is cut."""
    game.success = game.keys = game.doors = game.rooms = False
    dx = np.int64(action == RIGHT) - np.int64(action == LEFT)
    dy = np.int64(action == DOWN) - np.int64(action == UP)
    if 0 < game.x + dx < EDGE and 0 < game.y + dy < EDGE:
        game.x += dx
        game.y += dy
    else:
        leave(game, dx, dy)
    for k in range(MOST_KEYS):
        if game.key_room[k] == game.room and game.key_x[k] == game.x and game.key_y[k] == game.y:
            game.key_room[k] = NOWHERE
            game.held = min(game.held + 1, MOST_KEYS)
            game.keys = True
    game.success = game.room == game.goal_room and game.x == game.goal_x and game.y == game.goal_y
    game.time += 1
    game.cut = game.time >= LIMITS_OF_STEPS[game.level - 1] and not game.success


@kernel
def draw_wall(game, dx, dy, obs, i):  # type: ignore[no-untyped-def]
    """One of the four walls, with its way out or its door."""
    found = passage(game, game.room, dx, dy) if inside(game.room, dx, dy, GRID) else 0
    for k in range(EDGE + 1):
        x = k if dx == 0 else EDGE * (dx > 0)
        y = k if dy == 0 else EDGE * (dy > 0)
        if k != abs(found) or found == 0:
            obs[i, CELL * (10 * y + x) + WALL] = True
        elif found < 0:
            obs[i, CELL * (10 * y + x) + DOOR] = True


@kernel
def draw(game, obs, i):  # type: ignore[no-untyped-def]
    """Write the whole picture of one game into `obs[i]`."""
    obs[i] = False
    for way in range(4):
        dx, dy = step_of(way)
        draw_wall(game, dx, dy, obs, i)
    for k in range(MOST_KEYS):
        if game.key_room[k] == game.room:
            obs[i, CELL * (10 * game.key_y[k] + game.key_x[k]) + KEY] = True
    if game.goal_room == game.room:
        obs[i, CELL * (10 * game.goal_y + game.goal_x) + TREASURE] = True
    obs[i, CELL * (10 * game.y + game.x) + PLAYER] = True
    for k in range(game.held):
        obs[i, CELL * (98 - k) + HELD] = True
    obs[i, CELL * (10 * (game.room // GRID) + 9) + PLACE] = True
    obs[i, CELL * (90 + game.room % GRID) + PLACE] = True


@kernel
def begin(games, rng, where, obs):  # type: ignore[no-untyped-def]
    """See `Game`."""
    for i in range(len(games)):
        if where[i]:
            restart(games[i], rng, i)
        draw(games[i], obs, i)


@kernel
def step(games, rng, actions, sticky, ramping, obs, final_obs, rewards, terminated):  # type: ignore[no-untyped-def]
    """See `Game`; here `terminated` holds the cut episodes too, which have `cut` set."""
    ended = 0
    for i in range(len(games)):
        game = games[i]
        action = sticky_action(game, actions[i], rng, i, sticky)
        advance(game, action)
        rewards[i] = game.success
        terminated[i] = game.success or game.cut
        if terminated[i]:
            ended += 1
            draw(game, final_obs, i)
            restart(game, rng, i)
        draw(game, obs, i)
    return ended


GAME = Game("KeyMaze", CHANNELS, (LEFT, UP, RIGHT, DOWN), STATE, LIMITS, begin, step)


class KeyMaze(Arcade):
    """`n` slots of KeyMaze; see `Arcade` for what it shares with the other games of the arcade.

    * `level`: 1 to 5, for mazes of 2×2, 3×3, 3×3, 4×4 and 5×5 rooms with 1, 1, 2, 3 and 4 doors, cut after
      `LIMITS_OF_STEPS`.
    * `mazes`: how many different mazes there are, of which each episode draws one; 0: no end of them.

    Parts: `success`, and in each step whether it found one of the `keys`, opened one of the `doors`, and saw
    one of the `rooms` for the first time in its episode (the first room not counted).
    """

    parts = EVENTS

    def __init__(
        self,
        id: str = "arcade/KeyMaze-v1",
        n: int = 1,
        *,
        level: int = 2,
        mazes: int = 0,
        sticky: float = 0.1,
        render_mode: str | None = None,
    ) -> None:
        """Raises `OptionError` for an option out of range."""
        super().__init__(id, n, sticky=sticky, render_mode=render_mode)
        if not 1 <= level <= LEVELS:
            raise OptionError("level", f"level must be from 1 to {LEVELS}, not {level}")
        if not 0 <= mazes <= 1 << 52:
            said = "mazes is how many there are, 0 for no end of them; it must be from 0 to 2**52"
            raise OptionError("mazes", f"{said}, not {mazes}")
        self.level = level
        self._games["level"], self._games["mazes"] = level, mazes

    def step(
        self, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Play one step of every game; those that end begin again at once."""
        obs, rewards, ended, _, info = super().step(actions)
        truncated = ended & self._games["cut"]
        parts = {name: self._games[name].astype(np.float32) for name in EVENTS}
        return obs, rewards, ended & ~truncated, truncated, {**info, "parts": parts}

    def set_state(self, state: Mapping[str, Any]) -> np.ndarray:
        """As `Arcade.set_state`; a state of another level is refused too."""
        if state["game"] == self.game.name and (np.asarray(state["fields"]["level"]) != self.level).any():
            raise ValueError(f"a state of another level cannot continue level {self.level}")
        return super().set_state(state)
