"""Pictures of boards: pixels for a screen or a GIF, coloured text for a terminal."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from envs.board.batch import observe_states
from envs.board.game import Game

MODES = ("rgb_array", "ansi")
FPS = 2
Colour = tuple[int, int, int]
SMOOTH = 3
"""Everything is drawn this many times as large first."""


@dataclass(frozen=True)
class Look:
    """How a game looks: what men stand on, and the two colours of men."""

    board: Colour = (236, 217, 185)
    ink: Colour = (184, 152, 116)
    """Lines, dark squares, empty holes."""
    men: tuple[Colour, Colour] = ((52, 56, 66), (240, 238, 232))
    cells: str = "squares"
    """One of `BOARDS`."""


WOOD, BRANCH = (222, 178, 108), (92, 66, 36)
LOOKS = {
    "tic_tac_toe": Look((246, 243, 236), (190, 186, 178), ((214, 76, 70), (52, 104, 184)), "marks"),
    "connect_four": Look((34, 86, 178), (232, 238, 248), ((222, 58, 54), (250, 205, 50)), "holes"),
    "othello": Look((34, 128, 78), (20, 88, 52), ((34, 36, 40), (244, 244, 240)), "squares"),
    "breakthrough": Look((238, 222, 190), (178, 132, 92), ((48, 50, 58), (246, 242, 232)), "checks"),
    "gomoku": Look(WOOD, BRANCH, ((38, 38, 42), (248, 246, 240)), "points"),
    "go": Look(WOOD, BRANCH, ((38, 38, 42), (248, 246, 240)), "points"),
    "hex": Look((238, 234, 224), (150, 144, 132), ((206, 62, 58), (44, 100, 182)), "hexagons"),
}


def render(mode: str, game: Game, state: np.ndarray) -> np.ndarray | str:
    """What Gymnasium's render mode `mode` (one of `MODES`) shows of a position, uint64 `[words]`."""
    return ansi(game, state) if mode == "ansi" else frame(game, state)


def men(game: Game, state: np.ndarray) -> np.ndarray:
    """int8 `[rows, columns]`: 0 empty, 1 the first player's, 2 the second's; told by the planes' names."""
    obs = observe_states(game, state[None])
    planes, mover = obs["planes"][0].astype(np.int8), int(obs["to_play"][0])
    names = [name if name in game.planes else game.planes[0] for name in ("mine", "theirs")]
    mine, theirs = (planes[..., game.planes.index(name)] for name in names)
    return (1 + mover) * mine + np.where(mine, 0, 2 - mover) * theirs


class Window:
    """A window on the screen that shows pictures."""

    def __init__(self, title: str) -> None:
        from envs.gym import quieten_pygame

        quieten_pygame()
        import pygame

        pygame.display.init()
        pygame.display.set_caption(title)
        self._pygame, self._clock = pygame, pygame.time.Clock()

    def show(self, picture: np.ndarray) -> None:
        """Show uint8 `[height, width, 3]`, at most `FPS` pictures a second."""
        height, width, _ = picture.shape
        screen = self._pygame.display.set_mode((width, height))
        self._pygame.surfarray.blit_array(screen, picture.swapaxes(0, 1))
        self._pygame.display.flip()
        self._pygame.event.pump()
        self._clock.tick(FPS)

    def close(self) -> None:
        self._pygame.display.quit()


# -- text --------------------------------------------------------------------------------------------------


def ansi(game: Game, state: np.ndarray) -> str:
    """The board as the game writes it, its men coloured, for a terminal of 24-bit colour."""
    look = LOOKS.get(game.name, Look())
    signs = {"x": _paint("●", look.men[0]), "o": _paint("●", look.men[1]), ".": _paint("·", look.ink)}
    lines = []
    for line in game.board_text(state).splitlines():
        words = line.split()
        if any(word in signs for word in words) and all(word in signs or word.isdecimal() for word in words):
            start = len(line) - len(line.lstrip(" 0123456789"))
            cells = " ".join(signs.get(word, word) for word in line[start:].split())
            line = f"{line[:start]}\x1b[48;2;{_triple(look.board)}m {cells} \x1b[0m"
        else:
            line = " " * bool(words) + line  # labels stand over the cells, which have an edge
        lines.append(line)
    return "\n".join(lines)


def _paint(sign: str, colour: Colour) -> str:
    return f"\x1b[38;2;{_triple(colour)}m{sign}"


def _triple(colour: Colour) -> str:
    return ";".join(map(str, colour))


# -- pixels ------------------------------------------------------------------------------------------------


def frame(game: Game, state: np.ndarray) -> np.ndarray:
    """The board as uint8 `[height, width, 3]`, up to 760 pixels wide."""
    look, board = LOOKS.get(game.name, Look()), men(game, state)
    cell = SMOOTH * int(np.clip(480 // max(board.shape), 24, 80))
    picture = BOARDS[look.cells](look, board, cell)
    size = picture.width // SMOOTH, picture.height // SMOOTH
    return np.asarray(picture.convert("RGB").resize(size, Image.Resampling.BOX))


def squares(look: Look, board: np.ndarray, cell: int) -> Image.Image:
    """Cells between lines, in a frame."""
    picture, pen, edge = _canvas(look, board, cell)
    rows, columns = board.shape
    for row in range(rows + 1):
        pen.line([edge, edge + row * cell, edge + columns * cell, edge + row * cell], look.ink, 2 * SMOOTH)
    for column in range(columns + 1):
        pen.line([edge + column * cell, edge, edge + column * cell, edge + rows * cell], look.ink, 2 * SMOOTH)
    return _place(picture, look, board, cell, edge, 0.82)


def checks(look: Look, board: np.ndarray, cell: int) -> Image.Image:
    """Light and dark squares, the lower left one dark."""
    picture, pen, edge = _canvas(look, board, cell)
    for row, column in np.ndindex(board.shape):
        if (row + column + len(board)) % 2:
            x, y = edge + column * cell, edge + row * cell
            pen.rectangle([x, y, x + cell - 1, y + cell - 1], look.ink)
    rows, columns = board.shape
    pen.rectangle([edge, edge, edge + columns * cell, edge + rows * cell], outline=look.ink, width=SMOOTH)
    return _place(picture, look, board, cell, edge, 0.74)


def marks(look: Look, board: np.ndarray, cell: int) -> Image.Image:
    """Crosses and rings between lines."""
    picture, pen, edge = _canvas(look, board, cell)
    rows, columns = board.shape
    for row in range(1, rows):
        pen.line([edge, edge + row * cell, edge + columns * cell, edge + row * cell], look.ink, 3 * SMOOTH)
    for column in range(1, columns):
        pen.line([edge + column * cell, edge, edge + column * cell, edge + rows * cell], look.ink, 3 * SMOOTH)
    width, reach = cell // 9, round(0.29 * cell)
    for row, column in np.argwhere(board):
        x, y, man = edge + (column + 0.5) * cell, edge + (row + 0.5) * cell, board[row, column]
        if man == 1:
            for slope in (-1, 1):
                ends = [(x - reach, y - slope * reach), (x + reach, y + slope * reach)]
                pen.line(ends, look.men[0], width)
                for at in ends:
                    _disc(pen, *at, width / 2, look.men[0])
        else:
            box = [x - 1.15 * reach, y - 1.15 * reach, x + 1.15 * reach, y + 1.15 * reach]
            pen.ellipse(box, outline=look.men[1], width=width)
    return picture


def holes(look: Look, board: np.ndarray, cell: int) -> Image.Image:
    """Round holes in an upright frame, in which discs stand."""
    picture, pen, edge = _canvas(look, board, cell)
    shade: Any = tuple(int(0.72 * c) for c in look.board)
    for row, column in np.ndindex(board.shape):
        x, y = edge + (column + 0.5) * cell, edge + (row + 0.5) * cell
        _disc(pen, x, y, 0.46 * cell, shade)
        _disc(pen, x, y, 0.41 * cell, look.ink)
    return _place(picture, look, board, cell, edge, 0.82)


def points(look: Look, board: np.ndarray, cell: int) -> Image.Image:
    """Stones on the crossings of lines drawn on wood, with star points."""
    picture, pen, edge = _canvas(look, board, cell)
    picture.paste(_wood(look.board, picture.size))
    size, half = len(board), edge + cell // 2
    last = half + (size - 1) * cell
    for k in range(size):
        at = half + k * cell
        pen.line([half, at, last, at], look.ink, SMOOTH)
        pen.line([at, half, at, last], look.ink, SMOOTH)
    for row, column in stars(size):
        _disc(pen, half + column * cell, half + row * cell, max(0.09 * cell, 2.5 * SMOOTH), look.ink)
    return _place(picture, look, board, cell, edge, 0.94)


def stars(size: int) -> list[tuple[int, int]]:
    """Where a square board has its star points."""
    if size < 7:
        return []
    near, middle = (2 if size < 13 else 3), size // 2
    corners = [(y, x) for y in (near, size - 1 - near) for x in (near, size - 1 - near)]
    centre = [(middle, middle)] if size % 2 else []
    between = [(y, x) for y in (near, middle, size - 1 - near) for x in (near, middle, size - 1 - near)]
    return between if size % 2 and size > 13 else corners + centre


def hexagons(look: Look, board: np.ndarray, cell: int) -> Image.Image:
    """Hexagons, each row half a cell further right; top and bottom are the first player's colour."""
    rows, columns = board.shape
    edge = cell // 2
    radius = cell / np.sqrt(3.0)
    across = columns + (rows - 1) / 2
    size = round(across * cell) + 2 * edge, round((1.5 * rows + 0.5) * radius) + 2 * edge
    picture = Image.new("RGB", size, (250, 248, 242))
    pen = ImageDraw.Draw(picture)
    angles = np.radians(np.arange(6) * 60 - 90)
    corners = radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    centres = {
        (row, column): np.array([edge + (column + 0.5 + row / 2) * cell, edge + (1 + 1.5 * row) * radius])
        for row, column in np.ndindex(rows, columns)
    }
    sides = [  # of the board: the cells along it, the corners of theirs that it passes, whose it is
        ([(0, k) for k in range(columns)], (5, 0, 1), 0),
        ([(rows - 1, k) for k in range(columns)], (4, 3, 2), 0),
        ([(k, 0) for k in range(rows)], (5, 4, 3), 1),
        ([(k, columns - 1) for k in range(rows)], (0, 1, 2), 1),
    ]
    for cells, passed, owner in sides:
        path = [tuple(centres[at] + corners[k]) for at in cells for k in passed]
        pen.line(path, look.men[owner], cell // 4, joint="curve")
    for at, centre in centres.items():
        shape = [tuple(point) for point in centre + corners]
        pen.polygon(shape, look.board)
        pen.line([*shape, shape[0]], look.ink, SMOOTH, joint="curve")
        if board[at]:
            _stone(picture, centre[0], centre[1], look.men[board[at] - 1], round(0.72 * cell))
    return picture


BOARDS = {f.__name__: f for f in (squares, checks, marks, holes, points, hexagons)}


def _canvas(look: Look, board: np.ndarray, cell: int) -> tuple[Image.Image, ImageDraw.ImageDraw, int]:
    """An empty board: (picture, what draws on it, the width of its edge)."""
    edge = cell // 3
    rows, columns = board.shape
    picture = Image.new("RGB", (columns * cell + 2 * edge, rows * cell + 2 * edge), look.board)
    return picture, ImageDraw.Draw(picture), edge


def _place(
    picture: Image.Image, look: Look, board: np.ndarray, cell: int, edge: int, share: float
) -> Image.Image:
    """Set the men, which are as wide as `share` of a cell."""
    for row, column in np.argwhere(board):
        x, y = edge + (column + 0.5) * cell, edge + (row + 0.5) * cell
        _stone(picture, x, y, look.men[board[row, column] - 1], round(share * cell))
    return picture


def _stone(picture: Image.Image, x: float, y: float, colour: Colour, size: int) -> None:
    stone = _lit(colour, size)
    picture.paste(stone, (round(x - stone.width / 2), round(y - stone.height / 2)), stone)


@cache
def _lit(colour: Colour, size: int) -> Image.Image:
    """A round man lit from the upper left, with its shadow: RGBA, a little larger than `size`."""
    whole = round(1.16 * size)
    y, x = (np.mgrid[:whole, :whole] + 0.5 - whole / 2) * (2 / size)
    light = np.exp(-((x + 0.38) ** 2 + (y + 0.42) ** 2) / 0.28)
    rim = np.clip((x**2 + y**2 - 0.55) / 0.45, 0, 1)
    shaded = np.array(colour) * (1 - 0.22 * rim[..., None]) + 62 * light[..., None]
    inside = (x**2 + y**2 <= 1)[..., None]
    shadow = 90 * np.clip((1.16 - np.hypot(x - 0.06, y - 0.08)) / 0.16, 0, 1)
    pixels = np.concatenate(
        [np.where(inside, shaded, 0), np.where(inside[..., 0], 255, shadow)[..., None]], -1
    )
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8), "RGBA")


@cache
def _wood(colour: Colour, size: tuple[int, int]) -> Image.Image:
    """A plank with its grain upright."""
    y, x = np.mgrid[: size[1], : size[0]] / (SMOOTH * 480.0)
    grain = np.sin(60 * x + 6 * np.sin(5 * y + 2 * x)) + 0.5 * np.sin(170 * x + 9 * np.sin(3 * y))
    return Image.fromarray((np.array(colour) + 5.0 * grain[..., None]).clip(0, 255).astype(np.uint8))


def _disc(pen: ImageDraw.ImageDraw, x: float, y: float, radius: float, colour: Colour) -> None:
    pen.ellipse([x - radius, y - radius, x + radius, y + radius], colour)
