"""Pictures of arcade observations: pixels for a screen or a GIF, coloured blocks for a terminal."""

from __future__ import annotations

from functools import cache

import numpy as np

from envs.arcade import load
from envs.arcade.game import SIZE
from envs.arcade.sprites import PALETTE, ROW_COLOURS, ROW_LETTERS, SPRITES

MODES = ("rgb_array", "ansi")
PIXELS = 8
SCALE = 4
SIDE = SIZE * PIXELS
SPEEDS = ("speed1", "speed2", "speed3", "speed4", "speed5")
# What each thing leaves behind it: it faces away from that.
TRAILS: dict[str, tuple[str, ...]] = {
    "enemy": ("trail",),
    "gold": ("trail",),
    "car": SPEEDS,
    "enemy_fish": ("trail",),
    "enemy_sub": ("trail",),
    "diver": ("trail",),
    "sub_front": ("sub_back",),
}
BEHIND = ("trail", "sub_back", *SPEEDS)
# Which sprite shows a channel, where it is not the one of the same name; None shows nothing.
LOOKS: dict[str, dict[str, str | None]] = {
    "Breakout": {"trail": "ball_trail"},
    "Seaquest": {
        "trail": "bubbles",
        "friendly_bullet": "friendly_torpedo",
        "enemy_bullet": "enemy_torpedo",
    },
    "SpaceInvaders": {"alien_left": None, "alien_right": None},
}
COLOURS: dict[str, tuple[tuple[int, int, int], tuple[int, int, int]]] = {  # at the top, at the bottom
    "Asterix": ((40, 66, 62), (62, 92, 66)),
    "Breakout": ((18, 18, 42), (38, 26, 62)),
    "Freeway": ((52, 55, 66), (60, 63, 74)),
    "KeyMaze": ((64, 50, 44), (46, 36, 40)),
    "Seaquest": ((30, 104, 152), (12, 30, 74)),
    "SpaceInvaders": ((8, 8, 20), (26, 18, 52)),
}


def render(mode: str, name: str, obs: np.ndarray) -> np.ndarray | str:
    """What Gymnasium's render mode `mode` (one of `MODES`) shows of an observation."""
    return ansi(name, obs) if mode == "ansi" else frame(name, obs)


def frame(name: str, obs: np.ndarray) -> np.ndarray:
    """An observation (bool `[10, 10, channels]`) of the game `name` as uint8 `[320, 320, 3]`."""
    return draw(name, obs).repeat(SCALE, axis=0).repeat(SCALE, axis=1)


def ansi(name: str, obs: np.ndarray) -> str:
    """An observation as 20 lines of 40 coloured half blocks, for a terminal of 24-bit colour."""
    small = draw(name, obs).reshape(SIDE // 2, 2, SIDE // 2, 2, 3).mean(axis=(1, 3)).astype(int)
    lines = []
    for upper, lower in zip(small[::2], small[1::2]):
        cells = (f"\x1b[38;2;{a[0]};{a[1]};{a[2]};48;2;{b[0]};{b[1]};{b[2]}m▀" for a, b in zip(upper, lower))
        lines.append("".join(cells) + "\x1b[0m")
    return "\n".join(lines)


def draw(name: str, obs: np.ndarray) -> np.ndarray:
    """An observation as uint8 `[80, 80, 3]`: the background, what lies behind, then what stands before."""
    channels = load(f"arcade/{name}-v1")[0].channels
    if obs.shape != (SIZE, SIZE, len(channels)):
        raise ValueError(f"an observation of {name} is [10, 10, {len(channels)}], not {list(obs.shape)}")
    picture = background(name).copy()
    looks = LOOKS.get(name, {})
    for channel in sorted(channels, key=lambda channel: channel not in BEHIND):
        look = looks.get(channel, channel)
        for y, x in np.argwhere(obs[:, :, channels.index(channel)]) if look else ():
            pixels, solid = sprite(look, y, _faces_left(channels, obs, y, x, channel))
            cell = picture[y * PIXELS : (y + 1) * PIXELS, x * PIXELS : (x + 1) * PIXELS]
            cell[solid] = pixels[solid]
    return picture


def _faces_left(channels: tuple[str, ...], obs: np.ndarray, y: int, x: int, channel: str) -> bool:
    """Is its trail to its right or, for a trail, what leaves it to the left? Never where both could be."""
    if channel == "alien":
        return bool(obs[y, x, channels.index("alien_left")])
    leaders = [thing for thing, trail in TRAILS.items() if channel in trail]
    sought = [channels.index(thing) for thing in leaders or TRAILS.get(channel, ()) if thing in channels]
    step = -1 if leaders else 1
    return bool(obs[y, (x + step) % SIZE, sought].any() and not obs[y, (x - step) % SIZE, sought].any())


@cache
def sprite(look: str, row: int, mirrored: bool) -> tuple[np.ndarray, np.ndarray]:
    """A sprite's colours (uint8 `[8, 8, 3]`) and where it is solid (bool `[8, 8]`)."""
    own = dict(zip(ROW_LETTERS, ROW_COLOURS[(row - 1) % len(ROW_COLOURS)]))
    letters = [[own.get(letter, letter) for letter in line] for line in SPRITES[look].split()]
    pixels = np.array([[PALETTE.get(letter, (0, 0, 0)) for letter in line] for line in letters], np.uint8)
    solid = np.array([[letter != "." for letter in line] for line in letters])
    return (pixels[:, ::-1], solid[:, ::-1]) if mirrored else (pixels, solid)


@cache
def background(name: str) -> np.ndarray:
    """The empty field, uint8 `[80, 80, 3]`."""
    top, bottom = (np.array(colour, float) for colour in COLOURS[name])
    shade = np.linspace(0, 1, SIDE)[:, None, None]
    field = np.broadcast_to(top + (bottom - top) * shade, (SIDE, SIDE, 3)).copy()
    y, x = np.mgrid[:SIDE, :SIDE]
    speckle = (x * 37 + y * 101 + x * y * 7) % 89
    edge = (y < PIXELS) | (y >= SIDE - PIXELS)
    if name == "Breakout":
        field[(x % PIXELS == 0) & (y % PIXELS == 0)] += 14
    elif name == "Asterix":
        field[(y // PIXELS) % 2 == 0] += 8
        field[edge] *= 0.6
        field[(speckle < 2) & ~edge] += 14
    elif name == "Freeway":
        field[(y % PIXELS == 0) & (x % 10 < 5) & ~edge & (y > PIXELS)] = (150, 146, 120)
        field[edge] = (58, 116, 70)
        field[edge & (speckle < 5)] = (76, 142, 84)
    elif name == "KeyMaze":
        field[(x % PIXELS == 0) | (y % PIXELS == 0)] += 8
        field[(y >= SIDE - PIXELS) | (x >= SIDE - PIXELS)] = (18, 20, 38)
    elif name == "Seaquest":
        field[y < PIXELS] = (150, 196, 226)
        field[(y == PIXELS - 2 + (x // 3) % 2) | (y == PIXELS - 1)] = (214, 238, 248)
        field[y >= SIDE - PIXELS] = (18, 20, 38)
    else:
        field[(speckle == 0) & (x % 3 == 1)] = (110, 116, 160)
        field[y >= SIDE - 1] = PALETTE["G"]
    return field.clip(0, 255).astype(np.uint8)
