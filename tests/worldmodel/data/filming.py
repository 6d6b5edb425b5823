"""Logs with videos for tests: real mp4s and PNGs of a block that moves with the action."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy import ndarray
from PIL import Image

PERIOD = 0.05
DESCRIPTION = {
    "control_period": PERIOD,
    "action_low": [-1.0],
    "action_high": [1.0],
    "sensors": ["x"],
    "actuators": ["u"],
    "cameras": ["front"],
}


def describe(folder: Path, **changes: Any) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "dataset.json").write_text(json.dumps({**DESCRIPTION, **changes}))
    return folder


def scene(number: int, width: int = 48, height: int = 32) -> ndarray:
    """A frame whose colour says its number: dark by 8 levels a frame, with a block."""
    frame = np.full((height, width, 3), 8 * number % 240, np.uint8)
    frame[8:16, 16:24] = 250
    return frame


def write_log(path: Path, rows: int, period: float = PERIOD, *, times: bool = True, frames: Sequence[Any] = ()) -> None:
    path.parent.mkdir(exist_ok=True)
    names = [*(["time"] if times else []), "x", "u", *(["frame"] if len(frames) else [])]
    lines = [",".join(names)]
    for row in range(rows):
        cells = [*([f"{1e5 + row * period:.4f}"] if times else []), row, 0.5 if row < rows - 1 else ""]
        lines.append(",".join(str(each) for each in [*cells, *([frames[row]] if len(frames) else [])]))
    path.write_text("\n".join(lines))


def write_video(
    path: Path, frames: Sequence[ndarray], rate: int = 20, *, stamps: Sequence[int] = (), codec: str = "libx264"
) -> None:
    """Write an mp4; `stamps` are in units of the frame's time, and have gaps where frames are dropped."""
    options = {"crf": "1", "preset": "ultrafast"} if codec == "libx264" else {}
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options=options)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for number, each in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(each, format="rgb24")
            frame.pts = stamps[number] if len(stamps) else number
            frame.time_base = Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def write_pngs(folder: Path, frames: Sequence[ndarray], first: int = 0) -> None:
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames, start=first):
        Image.fromarray(frame).save(folder / f"{number:06d}.png")


def shown(pictures: ndarray) -> list[int]:
    """The numbers of the frames in pictures of `scene`, which lossy compression leaves readable."""
    return [int(round(float(np.median(picture)) / 8)) for picture in np.asarray(pictures, np.float32)]
