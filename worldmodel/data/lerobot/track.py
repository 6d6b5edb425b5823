"""Videos of one camera, written with PyAV: one episode after the other, several in a file."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

from numpy import ndarray

from .layout import FILES_PER_CHUNK, VIDEO_MEGABYTES, VIDEO_PATH

PIXEL_FORMAT = "yuv420p"  # colours at half of the resolution: what every player and LeRobot read
_EVERY = "2"  # frames between whole pictures, so that any one is found at once
# Encoders of FFmpeg with their options, the first that there is: quality that the eye hardly tells from the original.
_ENCODERS = (
    ("libx264", {"crf": "18", "preset": "medium", "g": _EVERY, "bf": "0"}),
    ("libsvtav1", {"crf": "24", "preset": "8", "g": _EVERY}),
)


class VideoTrack:
    """Writer of a camera's videos, `videos/<key>/chunk-000/file-000.mp4` and further ones.

    Args:
      folder: of the dataset.
      key: of the camera's feature.
      fps: frames a second.

    Raises:
      ImportError: PyAV is not installed.
    """

    def __init__(self, folder: Path, key: str, fps: float):
        try:
            import av  # imported here: only datasets with videos need it
        except ImportError as error:
            raise ImportError("videos are written with PyAV: pip install 'jepa-mpc[lerobot]'") from error
        self._av = av
        self._folder, self._key, self._fps = folder, key, Fraction(fps).limit_denominator(100_000)
        self._name, self._options = _encoder(av)
        self._number, self._frames, self._bytes = 0, 0, 0  # of the file, and in it
        self._file: Any = None
        self._stream: Any = None
        self.shape: tuple[int, int] | None = None  # height and width
        self.codec = ""

    def add(self, frames: Iterable[ndarray]) -> dict[str, int | float]:
        """Append an episode; return its chunk, its file, and the seconds at which it begins and ends in there.

        Args:
          frames: [H, W, 3] uint8 each.

        Raises:
          ValueError: frames of several sizes, or of one that the format cannot have.
        """
        if self._file is not None and self._bytes >= VIDEO_MEGABYTES * 2**20:
            self.close()
            self._number, self._frames, self._bytes = self._number + 1, 0, 0
        begin = self._frames
        for frame in frames:
            if self._file is None:
                self._open(frame.shape[0], frame.shape[1])
            if frame.shape[:2] != self.shape:
                raise ValueError(f"{self._key} has frames of {frame.shape[:2]} and of {self.shape}: one size is needed")
            picture = self._av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture.pts, picture.time_base = self._frames, 1 / self._fps
            self._mux(self._stream.encode(picture))
            self._frames += 1
        chunk, number = divmod(self._number, FILES_PER_CHUNK)
        seconds = [float(each / self._fps) for each in (begin, self._frames)]
        return {"chunk_index": chunk, "file_index": number, "from_timestamp": seconds[0], "to_timestamp": seconds[1]}

    def close(self) -> None:
        """Complete the file."""
        if self._file is not None:
            self._mux(self._stream.encode(None))
            self._file.close()
            self._file = None

    def info(self) -> dict[str, Any]:
        """Return the description of the videos for `meta/info.json`."""
        assert self.shape is not None
        return {
            "video.height": self.shape[0],
            "video.width": self.shape[1],
            "video.codec": self.codec,
            "video.pix_fmt": PIXEL_FORMAT,
            "video.fps": int(self._fps) if self._fps.denominator == 1 else float(self._fps),
            "video.channels": 3,
            "has_audio": False,
            "is_depth_map": False,
        }

    def _mux(self, packets: list[Any]) -> None:
        self._bytes += sum(packet.size for packet in packets)
        self._file.mux(packets)

    @property
    def _path(self) -> Path:
        chunk, number = divmod(self._number, FILES_PER_CHUNK)
        return self._folder / VIDEO_PATH.format(video_key=self._key, chunk_index=chunk, file_index=number)

    def _open(self, height: int, width: int) -> None:
        if height % 2 or width % 2:
            raise ValueError(
                f"{self._key} has frames of {width} × {height} pixels, and videos need even numbers: add "
                "lossless=true, which stores pictures"
            )
        self.shape = self.shape or (height, width)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._av.open(str(self._path), "w")
        self._stream = self._file.add_stream(self._name, rate=self._fps, options=self._options)
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, PIXEL_FORMAT
        self._stream.time_base = 1 / self._fps
        self.codec = self._stream.codec.canonical_name


def _encoder(av: Any) -> tuple[str, dict[str, str]]:
    found = [each for each in _ENCODERS if each[0] in av.codecs_available]
    if not found:
        raise ValueError("PyAV has neither H.264 nor AV1 to write videos with: pip install av, or add lossless=true")
    return found[0]
