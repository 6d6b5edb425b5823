"""A video without a log as an episode: its moments, one control period apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from .png_folder import numbered
from .video_file import read_stamps

_SAME = 0.15  # share by which the interval of frames may differ from the control period and still be it


def clip_period(path: Path) -> float | None:
    """Return the seconds between two frames of a video; None for a folder of PNGs, which have no times, or one frame.

    Raises:
      ImportError: PyAV is not installed.
      ValueError: a video that cannot be read.
    """
    if path.is_dir():
        return None
    steps = np.diff(read_stamps(path))
    return float(np.median(steps)) if len(steps) else None


def clip_moments(path: Path, period: float) -> Float[ndarray, "N"]:
    """Return the seconds since its first frame of the moments of a clip.

    Frames that are a control period apart are its moments, and so are PNGs; of a faster video, the newest frame at each
    moment is taken.

    Args:
      path: of the video, or the folder of PNGs.
      period: control period, in seconds.

    Raises:
      ImportError: PyAV is not installed.
      ValueError: a video that cannot be read, or one that is slower than the control period.
    """
    if path.is_dir():
        numbers = [*numbered(path)]
        return period * np.arange(numbers[-1] - numbers[0] + 1)
    stamps = np.array(read_stamps(path))
    interval = float(np.median(np.diff(stamps))) if len(stamps) > 1 else period
    if interval > (1 + _SAME) * period:
        raise ValueError(
            f"{path} has {1 / interval:.3g} frames a second, and the control period of {1e3 * period:.4g} ms needs "
            f"{1 / period:.3g}: take control_period={interval:.4g} or more, or put slower videos into another folder"
        )
    step = interval if interval > (1 - _SAME) * period else period
    return step * np.arange(int((stamps[-1] - stamps[0]) / step + 0.5) + 1)
