"""Freeway: lead the chicken up over eight lanes of cars, again and again, until the time is up.

Reaching the top is worth 1, gives every car a new speed and direction, and puts the chicken back at the
bottom, as being hit does. The chicken can move every third step. A game lasts 2,501 steps.

    x 0 1 2 3 4 5 6 7 8 9
    y 0         top
      1 lane 0              a car of speed s moves every |s| + 1 steps, rightward if s > 0
      … …
      8 lane 7
      9         start
"""

from __future__ import annotations

from envs.arcade.game import DOWN, NOOP, UP, Game, moved, state_dtype, sticky_action
from envs.kernels import kernel
from envs.rng import next_below, next_float

CHANNELS = ("chicken", "car", "speed1", "speed2", "speed3", "speed4", "speed5")
CHICKEN, CAR, SPEED1 = range(3)
CELL = 7
LANES = 8
COLUMN, TOP, START = 4, 0, 9
MOVE_INTERVAL, TIME_LIMIT = 3, 2500

STATE = state_dtype(
    chicken_y="i1",
    move_timer="i1",
    time_left="i2",
    car_x=("i1", LANES),
    timer=("i1", LANES),
    speed=("i1", LANES),
)
LIMITS = {"chicken_y": (TOP, START), "car_x": (0, 9), "speed": (-5, 5)}


@kernel
def new_speeds(game, rng, i):  # type: ignore[no-untyped-def]
    """Draw how fast, then which way, each car goes; where it is stays."""
    for lane in range(LANES):
        game.timer[lane] = 1 + next_below(rng, i, 5)
    for lane in range(LANES):
        rightward = next_float(rng, i) > 0.5
        game.speed[lane] = game.timer[lane] if rightward else -game.timer[lane]


@kernel
def restart(game, rng, i):  # type: ignore[no-untyped-def]
    """A new game: all cars at the left edge."""
    new_speeds(game, rng, i)
    for lane in range(LANES):
        game.car_x[lane] = 0
    game.chicken_y = START
    game.move_timer = MOVE_INTERVAL
    game.time_left = TIME_LIMIT


@kernel
def wrap(x):  # type: ignore[no-untyped-def]
    """One cell beyond an edge is the other edge."""
    return 9 if x < 0 else 0 if x > 9 else x


@kernel
def touched(game):  # type: ignore[no-untyped-def]
    """Is a car where the chicken is?"""
    lane = game.chicken_y - 1
    return 0 <= lane < LANES and game.car_x[lane] == COLUMN


@kernel
def drive(game):  # type: ignore[no-untyped-def]
    """Move the cars whose time has come (no branch, as none could be foreseen)."""
    for lane in range(LANES):
        speed, timer = game.speed[lane], game.timer[lane]
        forth = 1 if speed > 0 else -1
        game.car_x[lane] = wrap(game.car_x[lane] + (forth if timer == 0 else 0))
        game.timer[lane] = abs(speed) if timer == 0 else timer - 1


@kernel
def advance(game, action, rng, i):  # type: ignore[no-untyped-def]
    """One step of the rules; returns (reward, over)."""
    if game.move_timer == 0 and action in (UP, DOWN):
        game.move_timer = MOVE_INTERVAL
        game.chicken_y = moved(game.chicken_y, action, UP, DOWN, TOP, START)

    reward = 0
    if game.chicken_y == TOP:
        reward = 1
        new_speeds(game, rng, i)
        game.chicken_y = START
    hit = touched(game)
    drive(game)
    if hit or touched(game):  # before the cars move or after
        game.chicken_y = START

    game.move_timer -= game.move_timer > 0
    game.time_left -= 1
    return reward, game.time_left < 0


@kernel
def draw(game, obs, i):  # type: ignore[no-untyped-def]
    """Write the whole picture of one game into `obs[i]`."""
    obs[i] = False
    obs[i, CELL * (10 * game.chicken_y + COLUMN) + CHICKEN] = True
    for lane in range(LANES):
        start = CELL * (10 * lane + 10)
        x, speed = game.car_x[lane], game.speed[lane]
        behind = wrap(x - 1 if speed > 0 else x + 1)
        obs[i, start + CELL * x + CAR] = True
        obs[i, start + CELL * behind + SPEED1 - 1 + abs(speed)] = True


@kernel
def begin(games, rng, where, obs):  # type: ignore[no-untyped-def]
    """See `Game`."""
    for i in range(len(games)):
        if where[i]:
            restart(games[i], rng, i)
        draw(games[i], obs, i)


@kernel
def step(games, rng, actions, sticky, ramping, obs, final_obs, rewards, terminated):  # type: ignore[no-untyped-def]
    """See `Game`."""
    ended = 0
    for i in range(len(games)):
        game = games[i]
        action = sticky_action(game, actions[i], rng, i, sticky)
        rewards[i], terminated[i] = advance(game, action, rng, i)
        if terminated[i]:
            ended += 1
            draw(game, final_obs, i)
            restart(game, rng, i)
        draw(game, obs, i)
    return ended


GAME = Game("Freeway", CHANNELS, (NOOP, UP, DOWN), STATE, LIMITS, begin, step)
