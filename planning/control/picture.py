"""A camera's frame as the picture that a model from videos sees; its twin in training is `data.video.square`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import ndarray

from ..arrays import Float, UInt8


def camera_picture(frame: Any, size: int) -> UInt8[ndarray, "S S 3"]:
    """Cut the middle square out of a camera's frame and average it to `size` × `size` pixels.

    Args:
      frame: uint8 [H, W, 3], red, green and blue in this order, of the resolution that `Contract.cameras` names.
      size: width and height of the picture, as in `Contract.cameras`.

    Raises:
      ValueError: no picture of three channels in uint8, or one that is smaller than `size`.
    """
    if not isinstance(frame, ndarray) or frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
        got = f"{frame.dtype} {list(frame.shape)}" if isinstance(frame, ndarray) else type(frame).__name__
        raise ValueError(f"a frame must be an array of uint8 [H, W, 3]; got {got}")
    height, width = frame.shape[:2]
    side = min(height, width)
    if side < size:
        raise ValueError(f"a frame of {width} × {height} pixels is smaller than the picture of {size} × {size}")
    top, left = (height - side) // 2, (width - side) // 2
    square = frame[top : top + side, left : left + side]
    if side == size:
        return np.ascontiguousarray(square)
    share = _shares(side, size)
    rows = (share @ square.reshape(side, side * 3).astype(np.float32)).reshape(size, side, 3)
    return np.rint(share @ rows).astype(np.uint8)


def _shares(side: int, size: int) -> Float[ndarray, "S N"]:
    """Return the share of each of `side` source pixels in each of `size` pixels; a row sums to 1."""
    edges = np.arange(size + 1) * (side / size)
    begin, end = edges[:-1, None], edges[1:, None]
    at = np.arange(side)[None]
    overlap = np.clip(np.minimum(end, at + 1) - np.maximum(begin, at), 0, None)
    return (overlap * (size / side)).astype(np.float32)
