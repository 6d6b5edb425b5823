"""PNG files of pictures: what is read, and the sentence for everything else."""

from __future__ import annotations

import zlib

import imageio.v3 as imageio
import numpy as np
import pytest

from experiments.pictures.png import read_png, write_png

PICTURE = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
WANTED = r"8-bit RGB of 8 x 6 pixels"


def png(depth, mode, row, height=6, width=8, extra=b""):
    """A PNG of zeros, byte by byte: encoders refuse some of these."""

    def chunk(kind, data):
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([depth, mode, 0, 0, 0])
    body = zlib.compress(b"".join(b"\0" + bytes(row) for _ in range(height)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + extra + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def test_what_is_written_is_read(tmp_path):
    write_png(tmp_path / "a.png", PICTURE)
    np.testing.assert_array_equal(read_png(tmp_path / "a.png", (6, 8)), PICTURE)


PALETTE = b"\0\0\0\3PLTE\1\2\3" + zlib.crc32(b"PLTE\1\2\3").to_bytes(4, "big")


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (png(8, 0, 8), "8-bit grey"),
        (png(16, 0, 16), "16-bit grey"),
        (png(8, 4, 16), "8-bit grey with alpha"),
        (png(8, 6, 32), "8-bit RGB with alpha"),
        (png(16, 2, 48), "16-bit RGB"),
        (png(8, 3, 8, extra=PALETTE), "8-bit with a palette"),
    ],
)
def test_another_mode_is_not_converted(tmp_path, data, what):
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(ValueError, match=f"a.png is {what}, but the model takes {WANTED}: .*nothing is converted"):
        read_png(tmp_path / "a.png", (6, 8))


def test_another_size_is_not_scaled(tmp_path):
    write_png(tmp_path / "a.png", PICTURE.transpose(1, 0, 2))
    with pytest.raises(ValueError, match="has 6 x 8 pixels, but the model was trained on 8 x 6: take"):
        read_png(tmp_path / "a.png", (6, 8))


def test_what_is_no_png_or_damaged_or_missing(tmp_path):
    imageio.imwrite(tmp_path / "a.jpg", PICTURE)
    (tmp_path / "b.png").write_text("goal")
    for name in ("a.jpg", "b.png"):
        with pytest.raises(ValueError, match=f"{name} is not a PNG file: save the picture as PNG, {WANTED}"):
            read_png(tmp_path / name, (6, 8))
    write_png(tmp_path / "c.png", PICTURE)
    data = (tmp_path / "c.png").read_bytes()
    (tmp_path / "c.png").write_bytes(data[:60])
    with pytest.raises(ValueError, match=r"c.png is damaged \(.*\): take an intact copy"):
        read_png(tmp_path / "c.png", (6, 8))
    with pytest.raises(FileNotFoundError, match=f"no picture at .*d.png: give the path of a PNG file, {WANTED}"):
        read_png(tmp_path / "d.png", (6, 8))
