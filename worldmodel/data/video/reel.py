"""A video reduced to the pictures that a model sees, on disk, with what is needed to align and to check it."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from numpy import ndarray

from .footage import Footage
from .png_folder import read_pngs
from .square import square_picture
from .video_file import read_video

_ONE_COLOUR = 6  # levels between the brightest and the darkest pixel: compression makes as many of one colour


@dataclass(frozen=True)
class Reel:
    """Pictures of one video. Arrays have one entry for each of its F frames."""

    path: Path | Footage  # the video, or the folder of PNGs
    pictures: UInt8[ndarray, "F S S 3"]  # mapped into memory
    stamps: Float[ndarray, "F"] | None  # seconds; None: PNGs have no times
    numbers: Int[ndarray, "F"]  # of the frames: from 0 in a video, in the names of PNGs
    digests: Int[ndarray, "F"]  # of whole frames, equal where frames are
    one_colour: Bool[ndarray, "F"]  # whether a picture shows a single colour
    source: tuple[int, int]  # height and width of a frame


def decode(path: Path | Footage, size: int, scratch: Path) -> Reel:
    """Decode a video or a folder of PNGs frame by frame into a file of small pictures.

    Args:
      path: of the video or the folder, or a part of a file.
      size: width and height of the pictures.
      scratch: the file for them, overwritten; it belongs to the reel.

    Raises:
      ImportError: a video, and PyAV is not installed.
      ValueError: see `read_video` and `read_pngs`; frames of several sizes, or smaller than the pictures.
    """
    marks, digests, one_colour = list[float](), list[int](), list[bool]()
    source: tuple[int, int] | None = None
    with scratch.open("wb") as file:
        for mark, frame in read_frames(path):
            shape = (frame.shape[0], frame.shape[1])
            source = source or shape
            _check_size(path, len(marks), shape, source, size)
            picture = square_picture(frame, size)
            file.write(picture.data)
            marks.append(mark)
            digests.append(zlib.crc32(np.ascontiguousarray(frame).data))
            one_colour.append(bool((np.ptp(picture, axis=(0, 1)) <= _ONE_COLOUR).all()))
    assert source is not None  # a reader raises where there is no frame
    count, timed = len(marks), isinstance(path, Footage) or not path.is_dir()
    return Reel(
        path,
        np.memmap(scratch, np.uint8, "r", shape=(count, size, size, 3)),
        np.array(marks) if timed else None,
        np.arange(count) if timed else np.array(marks, np.int64),
        np.array(digests, np.int64),
        np.array(one_colour),
        source,
    )


def read_frames(path: Path | Footage) -> Iterator[tuple[float, ndarray]]:
    """Iterate over frames with their time stamps, or the numbers of PNGs."""
    if isinstance(path, Footage):
        return path.frames()
    return read_pngs(path) if path.is_dir() else read_video(path)


def _check_size(path: Path | Footage, number: int, shape: tuple[int, int], source: tuple[int, int], size: int) -> None:
    if shape != source:
        raise ValueError(
            f"{path} has frames of {source[1]} × {source[0]} pixels and, from its frame {number} on, of {shape[1]} × "
            f"{shape[0]}: record with one resolution, or leave the episode out"
        )
    if min(shape) < size:
        raise ValueError(
            f"{path} has frames of {shape[1]} × {shape[0]} pixels, fewer than pictures of {size} × {size} need: choose "
            f"observation.size={min(shape)} or less"
        )
