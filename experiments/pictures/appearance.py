"""What a camera's pictures look like in the training data: enough to recognise a picture of another camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray

LEVELS = 16  # of 255, by which a pixel may leave the range of the data: noise, and another hour's light
LEAST = 0.01  # share of strange pixels that is accepted from any camera
FEW = 3  # pixels of a colour that never occurs, which are accepted from any camera
_BINS = 16  # of each channel, for colours
_MEDIAN_OF = 256  # frames


@dataclass(frozen=True, eq=False)
class Appearance:
    """Range of each pixel over the data, the colours that occur, and how much of a picture usually moves.

    A pixel of another picture is strange if it is outside of its range. A body where it never was in the data makes as
    many strange pixels as it is large; another camera makes more, unless the background is of one colour.
    """

    low: UInt8[ndarray, "h w 3"]
    high: UInt8[ndarray, "h w 3"]
    colours: UInt8[ndarray, "512"]  # one bit for each colour, 16 levels a channel, its neighbours included
    moving: Float[ndarray, "2"]  # median and largest share of pixels that differ from the median picture

    @classmethod
    def of(cls, frames: UInt8[ndarray, "n h w 3"]) -> Appearance:
        """Measure a sample of a camera's frames."""
        some = frames[:: -(-len(frames) // _MEDIAN_OF)].astype(np.int16)
        away = np.abs(some - np.median(some, axis=0).astype(np.int16)) > LEVELS
        shares = away.any(axis=-1).mean(axis=(1, 2))
        return cls(
            low=frames.min(axis=0),
            high=frames.max(axis=0),
            colours=np.packbits(_widened(_occurring(frames))),
            moving=np.array([np.median(shares), shares.max()], np.float32),
        )

    @property
    def limit(self) -> float:
        """Share of strange pixels up to which a picture is one of this camera."""
        return max(LEAST, 2 * float(self.moving[1]))

    def strange(self, picture: UInt8[ndarray, "h w 3"]) -> float:
        """Share of pixels outside of their range in the data."""
        found = picture.astype(np.int16)
        outside = (found < self.low.astype(np.int16) - LEVELS) | (found > self.high.astype(np.int16) + LEVELS)
        return float(outside.any(axis=-1).mean())

    def foreign(self, picture: UInt8[ndarray, "h w 3"]) -> float:
        """Share of pixels of a colour that occurs nowhere in the data."""
        known = np.unpackbits(self.colours).reshape((_BINS,) * 3).astype(bool)
        red, green, blue = np.moveaxis(picture // _BINS, -1, 0)
        return float((~known[red, green, blue]).mean())

    def fits(self, picture: UInt8[ndarray, "h w 3"]) -> bool:
        """Whether a picture can be of this camera: few strange pixels, and no body of colours that never occur."""
        if picture.shape != self.low.shape:
            return False
        few = max(float(self.moving[0]) / 4, FEW / self.low[..., 0].size)
        return self.strange(picture) <= self.limit and self.foreign(picture) <= few


def _occurring(frames: UInt8[ndarray, "n h w 3"]) -> ndarray:
    """Mask of the colours in the frames, by the level of each channel."""
    found = np.zeros((_BINS,) * 3, bool)
    for frame in frames:
        red, green, blue = np.moveaxis(frame // _BINS, -1, 0)
        found[red, green, blue] = True
    return found


def _widened(colours: ndarray) -> ndarray:
    """Add the neighbours of each colour along every channel."""
    for axis in range(3):
        padded = np.pad(colours, [(1, 1) if each == axis else (0, 0) for each in range(3)])
        shifts = [np.take(padded, np.arange(_BINS) + offset, axis=axis) for offset in range(3)]
        colours = np.logical_or.reduce(shifts)
    return colours
