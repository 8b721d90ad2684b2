"""MinAtar's five games as the lock-step test needs them: with our random draws, and what is rare in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import minatar
import numpy as np

from envs.rng import GAMMA, uniform

NOOP, LEFT, UP, RIGHT, DOWN, FIRE = range(6)
Fields = dict[str, Any]


class Draws:
    """Stands in for numpy's RandomState and draws from one of our generators."""

    def __init__(self, generator: np.uint64):
        self.start, self.used = generator, 0
        self._floats = self._stream(np.array([generator]))

    @staticmethod
    def _stream(state):
        while True:
            yield from uniform(state, 1024)[0].tolist()

    def rand(self, size=None):
        if size is not None:
            return np.array([self.rand() for _ in range(size)])
        self.used += 1
        return next(self._floats)

    def randint(self, low, high=None, size=None):
        if high is None:
            low, high = 0, low
        if size is not None:
            return np.array([self.randint(low, high) for _ in range(size)])
        return low + int(self.rand() * (high - low))

    @property
    def generator(self) -> np.uint64:
        with np.errstate(over="ignore"):
            return self.start + np.uint64(self.used) * GAMMA


@dataclass(frozen=True)
class Rules:
    """What the test knows of a game: how MinAtar names it and holds it, how to score, what is rare."""

    module: str
    fields: Callable[[Any], Fields]  # MinAtar's state as the fields of ours
    policy: Callable[[Any], int]
    rare: Callable[[Any, np.random.Generator], None]
    events: Callable[..., dict[str, np.ndarray]]


# Breakout


def breakout_fields(g) -> Fields:
    bits = g.brick_map[1:4].ravel().astype(int)
    return {
        "paddle": g.pos,
        "ball_x": g.ball_x,
        "ball_y": g.ball_y,
        "trail_x": g.last_x,
        "trail_y": g.last_y,
        "direction": g.ball_dir,
        "strike": g.strike,
        "bricks": int(bits @ (1 << np.arange(30))),
    }


def breakout_policy(g) -> int:
    x, y, dx, dy = g.ball_x, g.ball_y, 1 if g.ball_dir in (1, 2) else -1, 1 if g.ball_dir >= 2 else -1
    while y + dy != 9:
        if not 0 <= x + dx <= 9:
            x, dx = x - dx, -dx
        if y + dy < 0:
            y, dy = y - dy, -dy
        x, y = x + dx, y + dy
    return LEFT if x < g.pos else RIGHT if x > g.pos else NOOP


def breakout_rare(g, rng) -> None:
    if rng.random() < 0.2:  # has just struck, and meets the next brick
        g.strike, g.ball_y, g.ball_dir = True, 4, int(rng.integers(2))
        return
    g.brick_map[:] = 0
    for _ in range(rng.integers(4)):
        g.brick_map[rng.integers(1, 4), rng.integers(10)] = 1


def breakout_events(b, a, rewards, over) -> dict[str, np.ndarray]:
    at_paddle = (b["ball_y"] == 8) & (a["ball_y"] == 8) & ~over
    return {
        "brick": rewards == 1,
        "new wall": (b["bricks"] == 0) & (a["bricks"] == 2**30 - 1) & ~over,
        "mirrored by the paddle": at_paddle & (a["direction"] == b["direction"] ^ 3),
        "thrown back by the paddle": at_paddle & (a["direction"] == b["direction"] ^ 2),
        "side wall": (a["direction"] == b["direction"] ^ 1) & ~over,
        "ceiling": (b["ball_y"] == 0) & (a["ball_y"] == 0) & ~over,
        "through a second brick": b["strike"] & a["strike"],
        "lost": over,
    }


# Asterix


def asterix_fields(g) -> Fields:
    entities = [e or [-1, 0, 0, 0] for e in g.entities]
    return {
        "player_x": g.player_x,
        "player_y": g.player_y,
        "spawn_interval": g.spawn_speed,
        "spawn_timer": g.spawn_timer,
        "move_interval": g.move_speed,
        "move_timer": g.move_timer,
        "ramp_timer": g.ramp_timer,
        "ramp_level": g.ramp_index,
        "cell": [e[0] for e in entities],
        "rightward": [e[2] for e in entities],
        "gold": [e[3] for e in entities],
    }


def asterix_policy(g) -> int:
    best, best_cost = NOOP, (9, 99)
    golds = [e for e in g.entities if e and e[3]]
    for action, (dx, dy) in enumerate([(0, 0), (-1, 0), (0, -1), (1, 0), (0, 1)]):
        x, y = min(9, max(0, g.player_x + dx)), min(8, max(1, g.player_y + dy))
        there = g.entities[y - 1]
        danger = bool(there and not there[3] and abs(there[0] - x) <= 2)
        cost = (danger, min((abs(e[0] - x) + 2 * abs(e[1] - y) for e in golds), default=0))
        if cost < best_cost:
            best, best_cost = action, cost
    return best


def asterix_rare(g, rng) -> None:
    g.spawn_speed, g.move_speed = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    g.ramp_timer, g.ramp_index = int(rng.integers(-1, 3)), int(rng.integers(20))
    if rng.random() < 0.3:
        g.spawn_timer = 0
        g.entities = [[int(rng.integers(10)), row + 1, rng.random() < 0.5, True] for row in range(8)]


def asterix_events(b, a, rewards, over) -> dict[str, np.ndarray]:
    top = (b["spawn_interval"] == 1) & (b["move_interval"] == 1)
    gone = ((b["cell"] >= 0) & (a["cell"] < 0)).any(1)
    return {
        "gold": rewards == 1,
        "caught": over,
        "gone over the edge": gone & (rewards == 0) & ~over,
        "no free row": (b["spawn_timer"] == 0) & (b["cell"] >= 0).all(1),
        "ramp": (a["ramp_level"] > b["ramp_level"]) & ~over,
        "faster walk": (a["move_interval"] < b["move_interval"]) & ~over,
        "top of the ramp": top & ~over,
    }


# Freeway


def freeway_fields(g) -> Fields:
    return {
        "chicken_y": g.pos,
        "move_timer": g.move_timer,
        "time_left": g.terminate_timer,
        "car_x": [c[0] for c in g.cars],
        "timer": [c[2] for c in g.cars],
        "speed": [c[3] for c in g.cars],
    }


def freeway_policy(g) -> int:
    return UP


def freeway_rare(g, rng) -> None:
    if rng.random() < 0.5:
        g.terminate_timer = int(rng.integers(4))
    else:
        g.pos, g.move_timer = int(rng.integers(1, 3)), 0


def freeway_events(b, a, rewards, over) -> dict[str, np.ndarray]:
    up = a["last_action"] == UP
    stays = a["chicken_y"] == b["chicken_y"]
    return {
        "top": rewards == 1,
        "new speeds": (rewards == 1) & (a["speed"] != b["speed"]).any(1),
        "hit": (a["chicken_y"] == 9) & (b["chicken_y"] < 8) & (rewards == 0) & ~over,
        "too early to move": (b["move_timer"] > 0) & up & stays,
        "down": (a["chicken_y"] == b["chicken_y"] + 1) & (a["last_action"] == DOWN),
        "round the left edge": ((b["car_x"] == 0) & (a["car_x"] == 9)).any(1) & ~over,
        "round the right edge": ((b["car_x"] == 9) & (a["car_x"] == 0)).any(1) & ~over,
        "time up": over,
    }


# Seaquest


def swimmers(listed, length: int) -> list[int]:
    """MinAtar's `[x, y, rightward, move timer, shot timer]` as our integers, filled up with zeros."""
    packed = []
    for x, y, rightward, *timers in listed:
        move, shot = (*timers, 0, 0)[:2]
        packed.append((10 * y + x << 17) + (rightward << 16) + (move << 8) + shot)
    return packed + [0] * (length - len(packed))


def seaquest_fields(g) -> Fields:
    lists = {
        "shots": (g.f_bullets, 8),
        "bullets": (g.e_bullets, 48),
        "fish": (g.e_fish, 40),
        "subs": (g.e_subs, 40),
        "divers": (g.divers, 8),
    }
    return {
        "x": g.sub_x,
        "y": g.sub_y,
        "rightward": g.sub_or,
        "surfaced": g.surface,
        "shot_timer": g.shot_timer,
        "spawn_interval": g.e_spawn_speed,
        "spawn_timer": g.e_spawn_timer,
        "move_interval": g.move_speed,
        "diver_timer": g.d_spawn_timer,
        "ramp_level": g.ramp_index,
        "oxygen": g.oxygen,
        "rescued": g.diver_count,
        **{name: swimmers(*given) for name, given in lists.items()},
        **{f"n_{name}": len(given[0]) for name, given in lists.items()},
    }


def seaquest_policy(g) -> int:
    if g.diver_count == 6 or (g.oxygen < 70 and g.diver_count):
        return UP
    for e in (*g.e_fish, *g.e_subs):
        if e[1] == g.sub_y and e[0] != g.sub_x:
            ahead = (e[0] > g.sub_x) == g.sub_or
            return (FIRE if g.shot_timer == 0 else UP) if ahead else RIGHT if e[0] > g.sub_x else LEFT
    if g.divers:
        x, y = g.divers[0][:2]
        if y != g.sub_y:
            return UP if y < g.sub_y and g.sub_y > 1 else DOWN
        return LEFT if x < g.sub_x else RIGHT
    return DOWN if g.sub_y < 3 else NOOP


def seaquest_rare(g, rng) -> None:
    kind = rng.integers(6)
    if kind == 0:  # about to come up: with all, with none, with fewer than none
        g.diver_count, g.sub_y, g.oxygen = int(rng.choice([6, 0, -1])), 1, int(rng.integers(1, 201))
    elif kind == 1:
        g.oxygen, g.sub_y = int(rng.integers(3)), max(g.sub_y, 3)
    elif kind == 2:  # near the top of the ramp
        g.e_spawn_speed, g.move_speed = int(rng.integers(1, 3)), int(rng.integers(2, 4))
        g.ramp_index, g.diver_count = int(rng.integers(20)), int(rng.integers(-3, 7))
    elif kind == 3:  # a crowd behind the sub's nose
        g.e_spawn_timer, g.e_spawn_speed, g.move_speed = 0, 1, 2
    else:  # twins, some of them one move behind
        for listed in (g.e_fish, g.e_subs, g.divers, g.f_bullets):
            for e in listed[:1]:
                listed += [e.copy(), e.copy()] if len(listed) < 3 else []
        for listed in (g.e_fish, g.e_subs):
            for e in listed[:1]:
                listed += [[e[0], *e[1:3], g.move_speed, *e[4:]]] if len(listed) < 9 else []
        if g.e_fish and len(g.f_bullets) < 4 and kind == 5:
            x, y, rightward, *_ = g.e_fish[0]
            ahead = x + 1 if rightward else x - 1
            g.f_bullets += [[ahead, y, not rightward]] if 0 <= ahead <= 9 else []


def seaquest_events(b, a, rewards, over) -> dict[str, np.ndarray]:
    came_up = a["surfaced"] & ~b["surfaced"] & ~over
    up = a["last_action"] == UP
    top = (b["spawn_interval"] == 1) & (b["move_interval"] == 2)
    fish = np.sort(b["fish"] * (np.arange(40) < b["n_fish"][:, None]), axis=1)
    twins = ((fish[:, 1:] == fish[:, :-1]) & (fish[:, 1:] > 0)).any(1)
    crowd = (b["spawn_timer"] == 0) & ~over
    return {
        "hit": (rewards > 0) & ~came_up,
        "shot fired": (a["n_shots"] > b["n_shots"]) & ~over,
        "diver aboard": (a["rescued"] > b["rescued"]) & ~over,
        "up with six": came_up & (b["rescued"] == 6) & (a["rescued"] == -1),
        "reward for air": came_up & (b["rescued"] == 6) & (rewards > 1),
        "up with fewer": came_up & (b["rescued"] > 0) & (b["rescued"] < 6),
        "up with less than none": came_up & (b["rescued"] < 0),
        "up with none": over & up & (b["y"] == 1) & (b["rescued"] == 0),
        "oxygen out": over & (b["oxygen"] <= 0),
        "ramp": came_up & (a["ramp_level"] > b["ramp_level"]),
        "faster enemies": came_up & (a["move_interval"] < b["move_interval"]),
        "top of the ramp": came_up & top & (a["ramp_level"] == b["ramp_level"]),
        "enemy fires": (a["n_bullets"] > b["n_bullets"]) & ~over,
        "spawn refused": crowd & (a["n_fish"] + a["n_subs"] <= b["n_fish"] + b["n_subs"]) & (rewards == 0),
        "twins": twins,
        "a twin hit": twins & (rewards > 0),
    }


# Space Invaders


def rows(grid) -> list[int]:
    return [int(row.astype(int) @ (1 << np.arange(10))) for row in grid]


def invaders_fields(g) -> Fields:
    return {
        "cannon_x": g.pos,
        "direction": g.alien_dir,
        "march_interval": g.enemy_move_interval,
        "march_timer": g.alien_move_timer,
        "bomb_timer": g.alien_shot_timer,
        "shot_timer": g.shot_timer,
        "ramp_level": g.ramp_index,
        "left": np.count_nonzero(g.alien_map),
        "aliens": rows(g.alien_map),
        "shots": rows(g.f_bullet_map),
        "bombs": rows(g.e_bullet_map),
    }


def invaders_policy(g) -> int:
    if g.e_bullet_map[6:9, g.pos].any():
        return LEFT if g.pos >= 5 else RIGHT
    columns = g.alien_map.any(0)
    if columns[g.pos] and g.shot_timer == 0:
        return FIRE
    nearest = min(np.flatnonzero(columns), key=lambda x: abs(x - g.pos))
    return LEFT if nearest < g.pos else RIGHT if nearest > g.pos else NOOP


def invaders_rare(g, rng) -> None:
    g.enemy_move_interval = int(rng.integers(6, 9))
    kind = rng.integers(3)
    g.alien_map[:] = 0
    if kind == 0:  # the last one
        g.alien_map[rng.integers(8), rng.integers(10)] = 1
    elif kind == 1:  # some just above the ground, at the edges
        g.alien_map[rng.integers(7, 10), rng.choice([0, 1, 8, 9], 2)] = 1
    else:
        g.alien_map[rng.integers(0, 6, 6), rng.integers(10, size=6)] = 1


def invaders_events(b, a, rewards, over) -> dict[str, np.ndarray]:
    wave = (a["left"] == 24) & (rewards > 0) & ~over
    under = b["bombs"][:, 8] >> b["cannon_x"] & 1 == 1
    turn = (a["direction"] != b["direction"]) & ~over
    return {
        "alien shot": rewards > 0,
        "new wave": wave,
        "faster wave": wave & (a["march_interval"] < b["march_interval"]),
        "fastest wave": wave & (b["march_interval"] == 6),
        "turn at the left": turn & (b["direction"] < 0),
        "turn at the right": turn & (b["direction"] > 0),
        "bombed": over & under,
        "overrun": over & (b["aliens"][:, 9] != 0),
        "landed": over & (b["march_timer"] == 0) & (b["aliens"][:, 9] != 0),
        "every step": (b["left"] == 1) & (b["march_timer"] == 0) & (a["march_timer"] == 0),
    }


RULES = {
    "Asterix": Rules("asterix", asterix_fields, asterix_policy, asterix_rare, asterix_events),
    "Breakout": Rules("breakout", breakout_fields, breakout_policy, breakout_rare, breakout_events),
    "Freeway": Rules("freeway", freeway_fields, freeway_policy, freeway_rare, freeway_events),
    "Seaquest": Rules("seaquest", seaquest_fields, seaquest_policy, seaquest_rare, seaquest_events),
    "SpaceInvaders": Rules(
        "space_invaders", invaders_fields, invaders_policy, invaders_rare, invaders_events
    ),
}


def make_twin(module: str, generator: np.uint64):
    """MinAtar's game, drawing from `generator`."""
    twin = minatar.Environment(module)
    twin.random = twin.env.random = Draws(generator)
    twin.reset()
    return twin
