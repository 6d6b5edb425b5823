"""A camera's frame as the square picture that a model sees: the middle of the frame, averaged over areas.

`planning.control.camera_picture` does the same on the robot, which does without this package.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray


def square_picture(frame: UInt8[ndarray, "H W 3"], size: int) -> UInt8[ndarray, "S S 3"]:
    """Cut the middle square out of a frame and average it to `size` × `size` pixels.

    Each pixel of the result is the mean of the area that it covers; source pixels on an edge count by their share.

    Raises:
      ValueError: the frame is smaller than the picture.
    """
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
