"""Asterix: walk about a field of eight rows, take the gold, meet no enemy.

Enemies and gold cross the rows, one of them a row at most, entering from either edge. Gold is worth 1;
touching an enemy ends the game. Every hundred steps or so they come, and every other time walk, faster.

    x 0 1 2 3 4 5 6 7 8 9
    y 0
      1 row 0
      … …                 `cell[row]` is EMPTY or its x; `rightward[row]`, `gold[row]` say what it is
      8 row 7
"""

from __future__ import annotations

from envs.arcade.game import DOWN, LEFT, NOOP, RIGHT, UP, Game, moved, state_dtype, sticky_action
from envs.kernels import kernel
from envs.rng import next_below, next_float

CHANNELS = ("player", "enemy", "trail", "gold")
PLAYER, ENEMY, TRAIL, GOLD = range(4)
CELL = 4
ROWS = 8
EMPTY = -1
SPAWN_INTERVAL, MOVE_INTERVAL, RAMP_INTERVAL = 10, 5, 100

STATE = state_dtype(
    player_x="i1",
    player_y="i1",
    spawn_interval="i1",
    spawn_timer="i1",
    move_interval="i1",
    move_timer="i1",
    ramp_timer="i1",
    ramp_level="i1",
    cell=("i1", ROWS),
    rightward=("i1", ROWS),
    gold=("i1", ROWS),
)
LIMITS = {"player_x": (0, 9), "player_y": (1, 8), "cell": (EMPTY, 9)}


@kernel
def restart(game):  # type: ignore[no-untyped-def]
    """A new game: an empty field with the player in the middle."""
    game.player_x = game.player_y = 5
    game.spawn_interval = game.spawn_timer = SPAWN_INTERVAL
    game.move_interval = game.move_timer = MOVE_INTERVAL
    game.ramp_timer = RAMP_INTERVAL
    game.ramp_level = 0
    for row in range(ROWS):
        game.cell[row] = EMPTY


@kernel
def spawn(game, rng, i):  # type: ignore[no-untyped-def]
    """Let one more in, by a free row chosen at random, if there is any."""
    rightward = next_float(rng, i) < 1 / 2
    gold = next_float(rng, i) < 1 / 3
    free = 0
    for row in range(ROWS):
        free += game.cell[row] == EMPTY
    if free == 0:
        return
    skip = next_below(rng, i, free)
    for row in range(ROWS):
        if game.cell[row] == EMPTY:
            if skip == 0:
                game.cell[row] = 0 if rightward else 9
                game.rightward[row] = rightward
                game.gold[row] = gold
                return
            skip -= 1


@kernel
def touch(game):  # type: ignore[no-untyped-def]
    """What comes of what stands where the player stands: (reward, over)."""
    row = game.player_y - 1
    if game.cell[row] != game.player_x:
        return 0, False
    if game.gold[row]:
        game.cell[row] = EMPTY
        return 1, False
    return 0, True


@kernel
def move_all(game):  # type: ignore[no-untyped-def]
    """Everything in the rows walks one cell; what leaves the field is gone."""
    for row in range(ROWS):
        if game.cell[row] != EMPTY:
            x = game.cell[row] + (1 if game.rightward[row] else -1)
            game.cell[row] = x if x <= 9 else EMPTY  # x = -1 is EMPTY


@kernel
def ramp(game):  # type: ignore[no-untyped-def]
    """Make it harder when the time has come, until both intervals are 1."""
    if game.spawn_interval == 1 and game.move_interval == 1:
        return
    if game.ramp_timer >= 0:
        game.ramp_timer -= 1
        return
    if game.move_interval > 1 and game.ramp_level % 2 == 1:
        game.move_interval -= 1
    if game.spawn_interval > 1:
        game.spawn_interval -= 1
    game.ramp_level += 1
    game.ramp_timer = RAMP_INTERVAL


@kernel
def advance(game, action, rng, i, ramping):  # type: ignore[no-untyped-def]
    """One step of the rules; returns (reward, over)."""
    if game.spawn_timer == 0:
        spawn(game, rng, i)
        game.spawn_timer = game.spawn_interval

    game.player_x = moved(game.player_x, action, LEFT, RIGHT, 0, 9)
    game.player_y = moved(game.player_y, action, UP, DOWN, 1, 8)

    reward, over = touch(game)
    if game.move_timer == 0:
        game.move_timer = game.move_interval
        move_all(game)
        again, caught = touch(game)
        reward += again
        over |= caught

    game.spawn_timer -= 1
    game.move_timer -= 1
    if ramping:
        ramp(game)
    return reward, over


@kernel
def draw(game, obs, i):  # type: ignore[no-untyped-def]
    """Write the whole picture of one game into `obs[i]`."""
    obs[i] = False
    obs[i, CELL * (10 * game.player_y + game.player_x) + PLAYER] = True
    for row in range(ROWS):
        x = game.cell[row]
        if x != EMPTY:
            here = CELL * (10 * row + 10 + x)
            obs[i, here + (GOLD if game.gold[row] else ENEMY)] = True
            if game.rightward[row] and x > 0:
                obs[i, here - CELL + TRAIL] = True
            elif not game.rightward[row] and x < 9:
                obs[i, here + CELL + TRAIL] = True


@kernel
def begin(games, rng, where, obs):  # type: ignore[no-untyped-def]
    """See `Game`."""
    for i in range(len(games)):
        if where[i]:
            restart(games[i])
        draw(games[i], obs, i)


@kernel
def step(games, rng, actions, sticky, ramping, obs, final_obs, rewards, terminated):  # type: ignore[no-untyped-def]
    """See `Game`."""
    ended = 0
    for i in range(len(games)):
        game = games[i]
        action = sticky_action(game, actions[i], rng, i, sticky)
        rewards[i], terminated[i] = advance(game, action, rng, i, ramping)
        if terminated[i]:
            ended += 1
            draw(game, final_obs, i)
            restart(game)
        draw(game, obs, i)
    return ended


GAME = Game("Asterix", CHANNELS, (NOOP, LEFT, UP, RIGHT, DOWN), STATE, LIMITS, begin, step)
