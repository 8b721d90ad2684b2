"""Recordings of play: a GIF by Pillow or an MP4 by OpenCV, whole or absent."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from move37.disk import check_writable, told_of_disk
from move37.errors import RunError, UserError

SIDE = {".gif": 320, ".mp4": 640}
"""Longest side of a picture in a file, in pixels; larger ones are made smaller."""
COLOURS = 256


class Recording:
    """Takes pictures (uint8 `[height, width, 3]`) one by one; the file appears when `with` ends well.

    The ending of `path` says which: `.gif` or `.mp4`. Raises `UserError` for another one or a folder that is
    not there, `RunError` where the file cannot be written or nothing was shown.
    """

    def __init__(self, path: str | Path, fps: float) -> None:
        self.path, self.fps = Path(path), fps
        if self.path.suffix.lower() not in SIDE:
            raise UserError(f"{path}: a recording ends in .gif or .mp4")
        if not self.path.absolute().parent.is_dir():
            raise UserError(f"{path}: there is no folder {self.path.parent}")
        check_writable(self.path)
        self.kind = self.path.suffix.lower()
        self.beside = self.path.with_name(f".{self.path.stem}.{os.getpid()}{self.kind}")
        self.pictures: list[Any] = []
        self.video: Any = None

    def add(self, picture: np.ndarray) -> None:
        """Append one picture; all must be of one size."""
        picture = shrink(picture, SIDE[self.kind])
        if self.kind == ".gif":
            self.pictures.append(_with_palette(picture))
        else:
            self._write_video(picture)

    def __enter__(self) -> Recording:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                with told_of_disk(self.path):
                    self._finish()
        finally:
            if self.video is not None:
                self.video.release()
            self.beside.unlink(missing_ok=True)

    def _finish(self) -> None:
        if not self.pictures and self.video is None:
            raise RunError(f"{self.path}: nothing to record: this environment draws no pictures")
        if self.kind == ".gif":
            first, *others = self.pictures
            duration = 10 * max(round(100 / self.fps), 2)  # a GIF counts hundredths of a second
            first.save(
                self.beside, save_all=True, append_images=others, duration=duration, loop=0, optimize=True
            )
        else:
            self.video.release()
            if not self.beside.is_file() or not self.beside.stat().st_size:
                raise RunError(f"{self.path}: the video could not be written")
        self.beside.replace(self.path)

    def _write_video(self, picture: np.ndarray) -> None:
        import cv2

        height, width = (side - side % 2 for side in picture.shape[:2])  # the codec wants even sides
        if self.video is None:
            codec = cv2.VideoWriter.fourcc(*"mp4v")
            self.video = cv2.VideoWriter(str(self.beside), codec, self.fps, (width, height))
            if not self.video.isOpened():
                raise RunError(f"{self.path}: the video could not be written")
        self.video.write(np.ascontiguousarray(picture[:height, :width, ::-1]))


def shrink(picture: np.ndarray, side: int) -> np.ndarray:
    """The picture with its longest side at most `side` pixels: by whole steps where that is exact enough."""
    from PIL import Image

    longest = max(picture.shape[:2])
    if longest <= side:
        return picture
    step = -(-longest // side)
    if picture.shape[0] % step == 0 and picture.shape[1] % step == 0 and longest / step > side / 2:
        return picture[step // 2 :: step, step // 2 :: step]
    height, width = (max(round(s * side / longest), 1) for s in picture.shape[:2])
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BOX))


def _with_palette(picture: np.ndarray) -> Any:
    """A Pillow image of at most 256 colours: exactly the picture's where it has no more."""
    from PIL import Image

    return Image.fromarray(picture).quantize(COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
