"""PNG files of a camera's pictures, read strictly: nothing is scaled, and no mode is converted."""

from __future__ import annotations

import io
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from worldmodel.files import write_atomically

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MODES = {0: "grey", 2: "RGB", 3: "with a palette", 4: "grey with alpha", 6: "RGB with alpha"}  # of IHDR
_RGB = 2


def read_png(path: str | Path, size: tuple[int, int]) -> UInt8[ndarray, "h w 3"]:
    """Read an 8-bit RGB picture of exactly this size.

    Args:
      path: of the file.
      size: height and width in pixels.

    Raises:
      FileNotFoundError: no file there.
      ValueError: no PNG, another size or mode, or a damaged file; the message has the fix.
    """
    path, (height, width) = Path(path), size
    wanted = f"8-bit RGB of {width} x {height} pixels"
    if not path.is_file():
        raise FileNotFoundError(f"there is no picture at {path}: give the path of a PNG file, {wanted}")
    data = path.read_bytes()
    if not data.startswith(_SIGNATURE) or len(data) < 26:
        raise ValueError(
            f"{path} is not a PNG file: save the picture as PNG, {wanted}; formats such as JPEG change its pixels"
        )
    across, down = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
    depth, mode = data[24], data[25]
    if depth != 8 or mode != _RGB:
        found = f"{depth}-bit {_MODES.get(mode, 'of an unknown mode')}"
        raise ValueError(f"{path} is {found}, but the model takes {wanted}: save it as such, nothing is converted")
    if (down, across) != (height, width):
        raise ValueError(
            f"{path} has {across} x {down} pixels, but the model was trained on {width} x {height}: take the picture "
            "with the same camera in that size; scaling it would change what the model sees"
        )
    try:
        picture = decoded(data)
    except Exception as error:  # Pillow raises various errors on a damaged file
        raise ValueError(f"{path} is damaged ({' '.join(str(error).split()):.80}): take an intact copy") from error
    if picture.shape != (height, width, 3) or picture.dtype != np.uint8:
        raise ValueError(f"{path} has a transparent colour or several frames, but the model takes {wanted}")
    return picture


def write_png(path: str | Path, picture: UInt8[ndarray, "h w 3"]) -> None:
    """Write a picture without loss."""
    write_atomically(path, encoded(picture))


def encoded(picture: UInt8[ndarray, "h w 3"]) -> bytes:
    """Encode a picture as PNG."""
    buffer = io.BytesIO()
    imageio.imwrite(buffer, picture, extension=".png", plugin="pillow")
    return buffer.getvalue()


def decoded(data: bytes) -> ndarray:
    """Decode a PNG; arrays of RGB are `[h, w, 3]` uint8."""
    return np.asarray(imageio.imread(io.BytesIO(data), extension=".png", plugin="pillow"))
