"""Seaquest: a submarine takes divers aboard, shoots fish and enemy submarines, and comes up for air.

A hit is worth 1. Surfacing with six divers is worth up to 9, by the oxygen that is left; with fewer, it
costs one diver; with none it ends the game, as do an empty tank and any touch of an enemy or its bullet.
Every surfacing brings more and faster enemies.

    x 0 1 2 3 4 5 6 7 8 9
    y 0        surface          whatever swims is one integer:
      1 … 8    water              bits 0–7    steps until it shoots (enemy submarines)
      9        oxygen, divers     bits 8–15   steps until it moves
                                  bit 16      heads right
                                  bits 17–23  place = 10 y + x

Two swimmers may be the same in every bit. The rules then take the *first* of them out of their list, where
the second was hit, and move the second once more; so do we.
"""

from __future__ import annotations

from envs.arcade.game import DOWN, FIRE, LEFT, NOOP, RIGHT, UP, Game, moved, state_dtype, sticky_action
from envs.kernels import kernel
from envs.rng import next_below, next_float

CHANNELS = (
    "sub_front",
    "sub_back",
    "friendly_bullet",
    "trail",
    "enemy_bullet",
    "enemy_fish",
    "enemy_sub",
    "oxygen_gauge",
    "diver_gauge",
    "diver",
)
FRONT, BACK, FRIENDLY_BULLET, TRAIL, ENEMY_BULLET, FISH, SUB, OXYGEN, DIVER_GAUGE, DIVER = range(10)
CELL = 10
SHOT_INTERVAL, BULLET_INTERVAL, DIVER_MOVE_INTERVAL, DIVER_SPAWN_INTERVAL = 5, 10, 5, 30
SPAWN_INTERVAL, MOVE_INTERVAL, FASTEST_MOVE = 20, 5, 2
MAX_OXYGEN, MAX_DIVERS = 200, 6

ONE_SHOT, SHOT_TIMER, ONE_MOVE, MOVE_TIMER, RIGHTWARD, PLACE_BITS = 1, 0xFF, 1 << 8, 0xFF00, 1 << 16, 17
ONE_PLACE = 1 << PLACE_BITS

# Long enough: at the hardest one enemy a step comes in and stays for 30, and a bullet flies for 10.
CAPACITY = {"shots": 8, "bullets": 48, "fish": 40, "subs": 40, "divers": 8}
STATE = state_dtype(
    x="i1",
    y="i1",
    rightward="?",
    surfaced="?",
    shot_timer="i1",
    spawn_interval="i1",
    spawn_timer="i1",
    move_interval="i1",
    diver_timer="i1",
    ramp_level="i1",
    oxygen="i2",
    rescued="i4",
    **{f"n_{name}": "i4" for name in CAPACITY},
    **{name: ("i4", length) for name, length in CAPACITY.items()},
)
LIMITS = {
    "x": (0, 9),
    "y": (0, 8),
    "oxygen": (-1, MAX_OXYGEN),
    "rescued": (-(2**31), MAX_DIVERS),
    **{f"n_{name}": (0, length) for name, length in CAPACITY.items()},
    **dict.fromkeys(CAPACITY, (0, 100 * ONE_PLACE - 1)),
}


@kernel
def restart(game):  # type: ignore[no-untyped-def]
    """A new game: alone at the surface with a full tank."""
    game.x, game.y = 5, 0
    game.rightward = False
    game.surfaced = True
    game.oxygen = MAX_OXYGEN
    game.rescued = 0
    game.shot_timer = 0
    game.spawn_interval = game.spawn_timer = SPAWN_INTERVAL
    game.move_interval = MOVE_INTERVAL
    game.diver_timer = DIVER_SPAWN_INTERVAL
    game.ramp_level = 0
    game.n_shots = game.n_bullets = game.n_fish = game.n_subs = game.n_divers = 0


@kernel
def place_of(swimmer):  # type: ignore[no-untyped-def]
    """The cell that a swimmer is in."""
    return swimmer >> PLACE_BITS


@kernel
def leaves(swimmer):  # type: ignore[no-untyped-def]
    """Would the next move take it out of the field?"""
    return place_of(swimmer) % 10 == (9 if swimmer & RIGHTWARD else 0)


@kernel
def onward(swimmer):  # type: ignore[no-untyped-def]
    """The swimmer one cell further on."""
    return swimmer + ONE_PLACE if swimmer & RIGHTWARD else swimmer - ONE_PLACE


@kernel
def add(swimmers, count, swimmer):  # type: ignore[no-untyped-def]
    """Put one more at the end of the list; returns the new count."""
    if count == len(swimmers):  # never in a game that was played from its start
        return count
    swimmers[count] = swimmer
    return count + 1


@kernel
def find(swimmers, count, place):  # type: ignore[no-untyped-def]
    """The index of the first swimmer in a cell, or −1."""
    for k in range(count):
        if place_of(swimmers[k]) == place:
            return k
    return -1


@kernel
def remove_at(swimmers, count, k):  # type: ignore[no-untyped-def]
    """Close the gap that swimmer `k` leaves; returns the new count."""
    for j in range(k, count - 1):
        swimmers[j] = swimmers[j + 1]
    return count - 1


@kernel
def first_like(swimmers, k):  # type: ignore[no-untyped-def]
    """The index of the first swimmer that is the same as swimmer `k` in every bit."""
    j = 0
    while swimmers[j] != swimmers[k]:
        j += 1
    return j


@kernel
def spawn_enemy(game, rng, i):  # type: ignore[no-untyped-def]
    """Let a fish or a submarine in, unless one comes the other way in its row."""
    rightward = next_float(rng, i) < 1 / 2
    armed = next_float(rng, i) < 1 / 3
    y = 1 + next_below(rng, i, 8)
    side = RIGHTWARD if rightward else 0
    for k in range(game.n_fish):
        if place_of(game.fish[k]) // 10 == y and game.fish[k] & RIGHTWARD != side:
            return
    for k in range(game.n_subs):
        if place_of(game.subs[k]) // 10 == y and game.subs[k] & RIGHTWARD != side:
            return
    enemy = ONE_PLACE * (10 * y + (0 if rightward else 9)) + side + ONE_MOVE * game.move_interval
    if armed:
        game.n_subs = add(game.subs, game.n_subs, enemy + ONE_SHOT * BULLET_INTERVAL)
    else:
        game.n_fish = add(game.fish, game.n_fish, enemy)


@kernel
def spawn_diver(game, rng, i):  # type: ignore[no-untyped-def]
    """Let a diver in."""
    rightward = next_float(rng, i) < 1 / 2
    y = 1 + next_below(rng, i, 8)
    side = RIGHTWARD if rightward else 0
    diver = ONE_PLACE * (10 * y + (0 if rightward else 9)) + side + ONE_MOVE * DIVER_MOVE_INTERVAL
    game.n_divers = add(game.divers, game.n_divers, diver)


@kernel
def act(game, action):  # type: ignore[no-untyped-def]
    """What the player does."""
    if action == FIRE and game.shot_timer == 0:
        shot = ONE_PLACE * (10 * game.y + game.x) + (RIGHTWARD if game.rightward else 0)
        game.n_shots = add(game.shots, game.n_shots, shot)
        game.shot_timer = SHOT_INTERVAL
    game.x = moved(game.x, action, LEFT, RIGHT, 0, 9)
    game.y = moved(game.y, action, UP, DOWN, 0, 8)
    game.rightward = action == RIGHT or (game.rightward and action != LEFT)


@kernel
def move_shots(game):  # type: ignore[no-untyped-def]
    """The player's shots fly on and hit the first fish, or else submarine, they meet; returns the reward."""
    reward = 0
    for k in range(game.n_shots - 1, -1, -1):
        if leaves(game.shots[k]):
            game.n_shots = remove_at(game.shots, game.n_shots, k)
            continue
        game.shots[k] = onward(game.shots[k])
        place = place_of(game.shots[k])
        fish = find(game.fish, game.n_fish, place)
        sub = find(game.subs, game.n_subs, place)
        if fish >= 0:
            game.n_fish = remove_at(game.fish, game.n_fish, fish)
        elif sub >= 0:
            game.n_subs = remove_at(game.subs, game.n_subs, sub)
        else:
            continue
        game.n_shots = remove_at(game.shots, game.n_shots, first_like(game.shots, k))
        reward += 1
    return reward


@kernel
def move_divers(game, here):  # type: ignore[no-untyped-def]
    """Divers swim on; those in the player's cell, before or after, come aboard while there is room."""
    for k in range(game.n_divers - 1, -1, -1):
        aboard = place_of(game.divers[k]) == here and game.rescued < MAX_DIVERS
        if not aboard:
            if game.divers[k] & MOVE_TIMER:
                game.divers[k] -= ONE_MOVE
                continue
            if leaves(game.divers[k]):
                game.n_divers = remove_at(game.divers, game.n_divers, k)
                continue
            game.divers[k] = onward(game.divers[k]) + ONE_MOVE * DIVER_MOVE_INTERVAL
            aboard = place_of(game.divers[k]) == here and game.rescued < MAX_DIVERS
        if aboard:
            game.n_divers = remove_at(game.divers, game.n_divers, first_like(game.divers, k))
            game.rescued += 1


@kernel
def move_enemies(game, enemies, count, armed, here):  # type: ignore[no-untyped-def]
    """Enemies swim on, into the player or a shot, and shoot if `armed`; returns (count, reward, over)."""
    reward, over = 0, False
    for k in range(count - 1, -1, -1):
        enemy, at = enemies[k], k  # `at`: where in the list it is at the end, −1 once it is gone
        over |= place_of(enemy) == here
        if enemy & MOVE_TIMER:
            enemy -= ONE_MOVE
        elif leaves(enemy):
            count = remove_at(enemies, count, k)
            continue
        else:
            enemy = enemies[k] = onward(enemy) + ONE_MOVE * game.move_interval
            shot = find(game.shots, game.n_shots, place_of(enemy))
            if place_of(enemy) == here:
                over = True
            elif shot >= 0:
                game.n_shots = remove_at(game.shots, game.n_shots, shot)
                gone = first_like(enemies, k)
                count = remove_at(enemies, count, gone)
                at = k - 1 if gone < k else -1
                reward += 1
        if armed and enemy & SHOT_TIMER:
            enemy -= ONE_SHOT
        elif armed:  # even one that has just been hit
            enemy += ONE_SHOT * BULLET_INTERVAL
            bullet = ONE_PLACE * place_of(enemy) + (enemy & RIGHTWARD)
            game.n_bullets = add(game.bullets, game.n_bullets, bullet)
        if at >= 0:
            enemies[at] = enemy
    return count, reward, over


@kernel
def move_bullets(game, here):  # type: ignore[no-untyped-def]
    """The enemies' bullets fly on; True where one meets the player, before or after."""
    over = False
    for k in range(game.n_bullets - 1, -1, -1):
        over |= place_of(game.bullets[k]) == here
        if leaves(game.bullets[k]):
            game.n_bullets = remove_at(game.bullets, game.n_bullets, k)
        else:
            game.bullets[k] = onward(game.bullets[k])
            over |= place_of(game.bullets[k]) == here
    return over


@kernel
def surface(game, ramping):  # type: ignore[no-untyped-def]
    """Come up with someone aboard: fresh air, and more enemies from now on; returns the reward."""
    reward = 0
    game.surfaced = True
    if game.rescued == MAX_DIVERS:
        reward = game.oxygen * 10 // MAX_OXYGEN
        game.rescued = 0
    game.rescued -= 1  # after all six, too: as published, −1 then counts as someone aboard
    game.oxygen = MAX_OXYGEN
    if ramping and (game.spawn_interval > 1 or game.move_interval > FASTEST_MOVE):
        if game.move_interval > FASTEST_MOVE and game.ramp_level % 2 == 1:
            game.move_interval -= 1
        if game.spawn_interval > 1:
            game.spawn_interval -= 1
        game.ramp_level += 1
    return reward


@kernel
def breathe(game, ramping):  # type: ignore[no-untyped-def]
    """Use up air below the surface, renew it on coming up; returns (reward, over)."""
    over = game.oxygen <= 0
    if game.y > 0:
        game.oxygen -= 1
        game.surfaced = False
        return 0, over
    if game.surfaced:
        return 0, over
    if game.rescued == 0:
        return 0, True
    return surface(game, ramping), over


@kernel
def advance(game, action, rng, i, ramping):  # type: ignore[no-untyped-def]
    """One step of the rules; returns (reward, over)."""
    if game.spawn_timer == 0:
        spawn_enemy(game, rng, i)
        game.spawn_timer = game.spawn_interval
    if game.diver_timer == 0:
        spawn_diver(game, rng, i)
        game.diver_timer = DIVER_SPAWN_INTERVAL

    act(game, action)
    here = 10 * game.y + game.x
    hits = move_shots(game)
    move_divers(game, here)
    game.n_subs, sunk, rammed = move_enemies(game, game.subs, game.n_subs, True, here)
    shot = move_bullets(game, here)
    game.n_fish, caught, bitten = move_enemies(game, game.fish, game.n_fish, False, here)

    game.spawn_timer -= game.spawn_timer > 0
    game.diver_timer -= game.diver_timer > 0
    game.shot_timer -= game.shot_timer > 0
    bonus, drowned = breathe(game, ramping)
    return hits + sunk + caught + bonus, rammed or shot or bitten or drowned


@kernel
def draw_swimmers(swimmers, count, channel, obs, i):  # type: ignore[no-untyped-def]
    """Mark each swimmer's cell, and the one behind it as its trail."""
    for k in range(count):
        place = place_of(swimmers[k])
        obs[i, CELL * place + channel] = True
        if swimmers[k] & RIGHTWARD and place % 10 > 0:
            obs[i, CELL * (place - 1) + TRAIL] = True
        elif swimmers[k] & RIGHTWARD == 0 and place % 10 < 9:
            obs[i, CELL * (place + 1) + TRAIL] = True


@kernel
def draw(game, obs, i):  # type: ignore[no-untyped-def]
    """Write the whole picture of one game into `obs[i]`."""
    obs[i] = False
    here = 10 * game.y + game.x
    obs[i, CELL * here + FRONT] = True
    obs[i, CELL * (here - 1 if game.rightward else here + 1) + BACK] = True
    for x in range(max(0, game.oxygen) * 10 // MAX_OXYGEN):
        obs[i, CELL * (90 + x) + OXYGEN] = True
    for x in range(9 - game.rescued, 9):
        obs[i, CELL * (90 + x) + DIVER_GAUGE] = True
    for k in range(game.n_shots):
        obs[i, CELL * place_of(game.shots[k]) + FRIENDLY_BULLET] = True
    for k in range(game.n_bullets):
        obs[i, CELL * place_of(game.bullets[k]) + ENEMY_BULLET] = True
    draw_swimmers(game.fish, game.n_fish, FISH, obs, i)
    draw_swimmers(game.subs, game.n_subs, SUB, obs, i)
    draw_swimmers(game.divers, game.n_divers, DIVER, obs, i)


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


GAME = Game("Seaquest", CHANNELS, (NOOP, LEFT, UP, RIGHT, DOWN, FIRE), STATE, LIMITS, begin, step)
