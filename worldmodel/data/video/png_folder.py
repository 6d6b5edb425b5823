"""A folder of numbered PNGs as the frames of a camera."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

SUFFIX = ".png"
_NUMBER = re.compile(r"(\d+)$")
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_ALPHA = (4, 6)  # types of colour with an alpha channel, in a PNG's header
_TO_RGB = "convert it (`magick IN.png -background black -alpha remove -alpha off -depth 8 OUT.png`)"


def numbered(folder: Path) -> dict[int, Path]:
    """Return the PNGs of a folder by the number at the end of their names, in this order.

    Raises:
      ValueError: no PNG, other pictures, a name without a number, or two of one number.
    """
    found: dict[int, Path] = {}
    files = [file for file in sorted(folder.iterdir()) if not file.name.startswith(".") and file.is_file()]
    for file in files:
        if file.suffix.lower() != SUFFIX:
            raise ValueError(f"{file} is no PNG: keep only a camera's PNGs in {folder.name}/, or give a video instead")
        match = _NUMBER.search(file.stem)
        if match is None:
            raise ValueError(f"{file} has no number at the end of its name: name frames in order, such as 000000.png")
        other = found.setdefault(int(match[1]), file)
        if other is not file:
            raise ValueError(f"{file} and {other.name} have one number: name frames in order, such as 000000.png")
    if not found:
        raise ValueError(f"{folder} holds no PNG: put a camera's frames there, or leave the episode out")
    return dict(sorted(found.items()))


def read_png(file: Path) -> UInt8[ndarray, "H W 3"]:
    """Read a PNG of 8 bits; grey is repeated as red, green and blue.

    Raises:
      ValueError: no PNG, a damaged one, 16 bits a channel, or one with transparency.
    """
    from PIL import Image  # imported here: reading data is the only use, and planning with a model should not need it

    head = _header(file)
    bits, colour = head[24], head[25]
    if bits > 8:
        raise ValueError(f"{file} has {bits} bits a channel, and pictures have 8: {_TO_RGB}")
    try:
        with Image.open(file, formats=["PNG"]) as image:
            image.load()
            if colour in _ALPHA or "transparency" in image.info:
                raise ValueError(f"{file} has transparent pixels, which no camera sees: {_TO_RGB}")
            return np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{file} is damaged ({error}): take an intact copy, or leave the episode out") from error


def read_pngs(folder: Path) -> Iterator[tuple[int, UInt8[ndarray, "H W 3"]]]:
    """Iterate over the numbers and frames of a folder.

    Raises:
      ValueError: see `numbered` and `read_png`.
    """
    for number, file in numbered(folder).items():
        yield number, read_png(file)


def _header(file: Path) -> bytes:
    with file.open("rb") as stream:
        head = stream.read(26)
    if len(head) < 26 or not head.startswith(_SIGNATURE):
        raise ValueError(f"{file} is empty or no PNG inside: take an intact copy, or leave the episode out")
    return head
