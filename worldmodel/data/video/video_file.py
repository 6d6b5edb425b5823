"""A video file as frames with time stamps, decoded one by one with PyAV."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jaxtyping import UInt8
from numpy import ndarray

SUFFIXES = (".mp4", ".mkv", ".mov", ".avi", ".webm", ".m4v")
_FIX = "take an intact copy, or leave the episode out"


def read_video(
    path: Path, begin: float = 0.0, end: float = math.inf
) -> Iterator[tuple[float, UInt8[ndarray, "H W 3"]]]:
    """Iterate over the time stamps (seconds) and frames of a video, in the order of display.

    One frame is in memory at a time.

    Args:
      path: of the video.
      begin: time stamp from which on frames are returned; the first frame has 0 or somewhat more.
      end: time stamp before which the last one lies.

    Raises:
      ImportError: PyAV is not installed.
      ValueError: no video, one without a frame, a damaged one, frames without time stamps, or a rotated picture.
    """
    av = _av(path)
    if path.stat().st_size == 0:
        raise ValueError(f"{path} is an empty file: {_FIX}")
    number = 0
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise ValueError(f"{path} has no picture in it, only {_kinds(container)}: {_FIX}")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            if begin > 0:  # to the last whole picture before it
                container.seek(int(begin / stream.time_base), stream=stream)
            for frame in container.decode(stream):
                stamp = _checked(path, number, frame)
                if stamp >= end:
                    return
                number += 1
                if begin <= 0 or stamp >= begin:
                    yield stamp, frame.to_ndarray(format="rgb24")
    except av.error.FFmpegError as error:
        reason = error.strerror or type(error).__name__
        raise ValueError(f"{path} is damaged after {number} frames ({reason}): {_FIX}") from error
    if number == 0:
        raise ValueError(f"{path} is a video without a frame: {_FIX}")


def read_stamps(path: Path) -> list[float]:
    """Return the time stamps of a video's frames in seconds, in the order of display, without decoding them.

    Raises:
      ImportError: PyAV is not installed.
      ValueError: see `read_video`.
    """
    av = _av(path)
    if path.stat().st_size == 0:
        raise ValueError(f"{path} is an empty file: {_FIX}")
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise ValueError(f"{path} has no picture in it, only {_kinds(container)}: {_FIX}")
            packets = [packet for packet in container.demux(container.streams.video[0]) if packet.size]
            stamps = [float(packet.pts * packet.time_base) for packet in packets if packet.pts is not None]
    except av.error.FFmpegError as error:
        raise ValueError(f"{path} is damaged ({error.strerror or type(error).__name__}): {_FIX}") from error
    if not stamps:
        raise ValueError(f"{path} is a video without a frame, or without time stamps: {_FIX}")
    return sorted(stamps)


def _checked(path: Path, number: int, frame: Any) -> float:
    """Return the time stamp of a frame."""
    if frame.is_corrupt:
        raise ValueError(f"{path} is damaged at frame {number}: {_FIX}")
    if frame.rotation:
        raise ValueError(
            f"{path} is stored turned by {frame.rotation:g} degrees, and a camera on the robot is not: turn the "
            "pixels with `ffmpeg -i IN OUT`"
        )
    if frame.time is None:
        raise ValueError(f"{path} has no time stamp at frame {number}: write it as mp4, or as PNGs with numbers")
    return float(frame.time)


def _kinds(container: Any) -> str:
    return ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"


def _av(path: Path) -> Any:
    try:
        import av  # imported here: only logs with video need it
        import av.error
    except ImportError as error:
        raise ImportError(
            f"{path} needs PyAV to be read: pip install av, or give a folder of PNGs in its place"
        ) from error
    return av
