"""Space Invaders: a cannon on the ground against waves of four rows of six aliens.

An alien shot is worth 1. The aliens march sideways, and one row down at an edge, the faster the fewer
they are; the one nearest to the cannon shoots. Being hit or overrun ends the game. Each wave marches a
little faster than the last.

    x 0 1 2 3 4 5 6 7 8 9      aliens, shots and bombs: ten rows each,
    y 0 bit x of row y          an integer a row with bit x set where one is
      …
      9 cannon
"""

from __future__ import annotations

from envs.arcade.game import FIRE, LEFT, NOOP, RIGHT, SIZE, Game, moved, state_dtype, sticky_action
from envs.kernels import kernel

CHANNELS = ("cannon", "alien", "alien_left", "alien_right", "friendly_bullet", "enemy_bullet")
CANNON, ALIEN, ALIEN_LEFT, ALIEN_RIGHT, FRIENDLY_BULLET, ENEMY_BULLET = range(6)
CELL = 6
WAVE_ROWS, WAVE_ROW, WAVE_SIZE = 4, 0b0011111100, 24
LEFT_EDGE, RIGHT_EDGE = 1, 1 << 9
BOTTOM = 9
SHOT_INTERVAL, BOMB_INTERVAL = 5, 10
MARCH_INTERVAL, FASTEST_MARCH = 12, 6

STATE = state_dtype(
    cannon_x="i1",
    direction="i1",
    march_interval="i1",
    march_timer="i1",
    bomb_timer="i1",
    shot_timer="i1",
    ramp_level="i1",
    left="i1",
    aliens=("i2", SIZE),
    shots=("i2", SIZE),
    bombs=("i2", SIZE),
)
LIMITS = {"cannon_x": (0, 9), **dict.fromkeys(("aliens", "shots", "bombs"), (0, 2**SIZE - 1))}


@kernel
def new_wave(game):  # type: ignore[no-untyped-def]
    """Fill the upper rows with aliens (there are none left when this is called)."""
    for y in range(WAVE_ROWS):
        game.aliens[y] = WAVE_ROW
    game.left = WAVE_SIZE


@kernel
def restart(game):  # type: ignore[no-untyped-def]
    """A new game."""
    for y in range(SIZE):
        game.aliens[y] = game.shots[y] = game.bombs[y] = 0
    new_wave(game)
    game.cannon_x = 5
    game.direction = -1
    game.march_interval = game.march_timer = MARCH_INTERVAL
    game.bomb_timer = BOMB_INTERVAL
    game.shot_timer = 0
    game.ramp_level = 0


@kernel
def fly(game):  # type: ignore[no-untyped-def]
    """Every shot rises, and every bomb falls, by one row."""
    for y in range(SIZE - 1):
        game.shots[y] = game.shots[y + 1]
        game.bombs[SIZE - 1 - y] = game.bombs[SIZE - 2 - y]
    game.shots[BOTTOM] = 0
    game.bombs[0] = 0


@kernel
def march(game):  # type: ignore[no-untyped-def]
    """Move all aliens: sideways or, at the edge, down and about. True where they reach the ground."""
    columns = 0
    for y in range(SIZE):
        columns |= game.aliens[y]
    if columns & (LEFT_EDGE if game.direction < 0 else RIGHT_EDGE):
        game.direction = -game.direction
        lowest = game.aliens[BOTTOM]
        for y in range(BOTTOM, 0, -1):
            game.aliens[y] = game.aliens[y - 1]
        game.aliens[0] = lowest  # as published, but the game is over then
        return lowest != 0
    for y in range(SIZE):
        game.aliens[y] = game.aliens[y] >> 1 if game.direction < 0 else game.aliens[y] << 1
    return False


@kernel
def drop_bomb(game):  # type: ignore[no-untyped-def]
    """The lowest alien of the column nearest to the cannon, the left one of two, lets a bomb fall."""
    columns = 0
    for y in range(SIZE):
        columns |= game.aliens[y]
    best, best_distance = 0, SIZE
    for x in range(SIZE):
        if columns >> x & 1 and abs(x - game.cannon_x) < best_distance:
            best, best_distance = x, abs(x - game.cannon_x)
    for y in range(BOTTOM, -1, -1):
        if game.aliens[y] >> best & 1:
            game.bombs[y] |= 1 << best
            return


@kernel
def strike(game):  # type: ignore[no-untyped-def]
    """Take away the aliens that are where shots are, and those shots; returns how many."""
    hits = 0
    for y in range(SIZE):
        both = game.aliens[y] & game.shots[y]
        game.aliens[y] ^= both
        game.shots[y] ^= both
        while both:
            both &= both - 1
            hits += 1
    return hits


@kernel
def advance(game, action, ramping):  # type: ignore[no-untyped-def]
    """One step of the rules; returns (reward, over)."""
    if action == FIRE and game.shot_timer == 0:
        game.shots[BOTTOM] |= 1 << game.cannon_x
        game.shot_timer = SHOT_INTERVAL
    game.cannon_x = moved(game.cannon_x, action, LEFT, RIGHT, 0, 9)

    fly(game)
    cannon = 1 << game.cannon_x
    over = (game.bombs[BOTTOM] | game.aliens[BOTTOM]) & cannon != 0
    if game.march_timer == 0:
        game.march_timer = min(game.left, game.march_interval)
        over |= march(game)
        over |= game.aliens[BOTTOM] & cannon != 0
    if game.bomb_timer == 0:
        game.bomb_timer = BOMB_INTERVAL
        drop_bomb(game)
    reward = strike(game)
    game.left -= reward

    game.shot_timer -= game.shot_timer > 0
    game.march_timer -= 1
    game.bomb_timer -= 1
    if game.left == 0:
        if ramping and game.march_interval > FASTEST_MARCH:
            game.march_interval -= 1
            game.ramp_level += 1
        new_wave(game)
    return reward, over


@kernel
def draw(game, obs, i):  # type: ignore[no-untyped-def]
    """Write the whole picture of one game into `obs[i]`."""
    obs[i] = False
    obs[i, CELL * (90 + game.cannon_x) + CANNON] = True
    heading = ALIEN_LEFT if game.direction < 0 else ALIEN_RIGHT
    for y in range(SIZE):
        aliens, shots, bombs = game.aliens[y], game.shots[y], game.bombs[y]
        if aliens | shots | bombs == 0:
            continue
        for x in range(SIZE):
            here = CELL * (10 * y + x)
            obs[i, here + ALIEN] = obs[i, here + heading] = aliens >> x & 1
            obs[i, here + FRIENDLY_BULLET] = shots >> x & 1
            obs[i, here + ENEMY_BULLET] = bombs >> x & 1


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
        rewards[i], terminated[i] = advance(game, action, ramping)
        if terminated[i]:
            ended += 1
            draw(game, final_obs, i)
            restart(game)
        draw(game, obs, i)
    return ended


GAME = Game("SpaceInvaders", CHANNELS, (NOOP, LEFT, RIGHT, FIRE), STATE, LIMITS, begin, step)
