r"""Breakout: a paddle, a ball that flies along diagonals, three rows of ten bricks.

A brick is worth 1. When the ball comes down on an empty wall, a new one stands. Letting the ball pass
ends the game. The rules do not ramp.

    x 0 1 2 3 4 5 6 7 8 9
    y 0                        direction   0   1
      1 bricks, bit 0 …                     \ /
      2         bit 10 …                     o
      3         bit 20 …                    / \
      9 paddle                             3   2
"""

from __future__ import annotations

from envs.arcade.game import LEFT, NOOP, RIGHT, Game, moved, state_dtype, sticky_action
from envs.kernels import kernel
from envs.rng import next_below

CHANNELS = ("paddle", "ball", "trail", "brick")
PADDLE, BALL, TRAIL, BRICK = range(4)
CELL = 4
BRICKS = 30
WALL = 2**BRICKS - 1
# Exclusive or with these turns a direction round.
MIRROR_X, MIRROR_Y, BACK = 1, 3, 2

STATE = state_dtype(
    paddle="i1", ball_x="i1", ball_y="i1", trail_x="i1", trail_y="i1", direction="i1", strike="?", bricks="i4"
)
LIMITS = dict.fromkeys(("paddle", "ball_x", "ball_y", "trail_x", "trail_y"), (0, 9))


@kernel
def restart(game, rng, i):  # type: ignore[no-untyped-def]
    """A new game: the ball starts at the left or the right edge, flying inwards and down."""
    right = next_below(rng, i, 2)
    game.ball_x = 9 * right
    game.ball_y = 3
    game.direction = 2 + right
    game.trail_x = game.ball_x
    game.trail_y = game.ball_y
    game.paddle = 4
    game.bricks = WALL
    game.strike = False


@kernel
def advance(game, action):  # type: ignore[no-untyped-def]
    """One step of the rules; returns (reward, over)."""
    game.paddle = moved(game.paddle, action, LEFT, RIGHT, 0, 9)

    old_x, old_y, direction = int(game.ball_x), int(game.ball_y), int(game.direction)
    x = old_x + (1 if direction in (1, 2) else -1)
    y = old_y + (1 if direction >= 2 else -1)
    if x < 0 or x > 9:
        x = min(max(x, 0), 9)
        direction ^= MIRROR_X

    reward, over, inside = 0, False, False
    brick = 1 << (10 * y - 10 + x) if 1 <= y <= 3 else 0
    if y < 0:
        y = 0
        direction ^= MIRROR_Y
    elif game.bricks & brick:
        inside = True  # a ball that has just struck flies through what it meets next
        if not game.strike:
            reward = 1
            game.bricks &= ~brick
            y = old_y
            direction ^= MIRROR_Y
    elif y == 9:
        if game.bricks == 0:
            game.bricks = WALL
        if old_x == game.paddle:
            direction ^= MIRROR_Y
            y = old_y
        elif x == game.paddle:
            direction ^= BACK
            y = old_y
        else:
            over = True

    game.strike = inside
    game.trail_x, game.trail_y = old_x, old_y
    game.ball_x, game.ball_y, game.direction = x, y, direction
    return reward, over


@kernel
def draw(game, obs, i):  # type: ignore[no-untyped-def]
    """Write the whole picture of one game into `obs[i]`."""
    obs[i] = False
    bricks = game.bricks
    for k in range(BRICKS):
        obs[i, CELL * (10 + k) + BRICK] = bricks >> k & 1
    obs[i, CELL * (90 + game.paddle) + PADDLE] = True
    obs[i, CELL * (10 * game.trail_y + game.trail_x) + TRAIL] = True
    obs[i, CELL * (10 * game.ball_y + game.ball_x) + BALL] = True


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
        rewards[i], terminated[i] = advance(game, action)
        if terminated[i]:
            ended += 1
            draw(game, final_obs, i)
            restart(game, rng, i)
        draw(game, obs, i)
    return ended


GAME = Game("Breakout", CHANNELS, (NOOP, LEFT, RIGHT), STATE, LIMITS, begin, step)
