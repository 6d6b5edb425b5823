"""Things in a picture that have nothing to do with the task: a body, a drifting texture, another light, noise.

A distractor is a function of the episode's seed and the time, so a picture still follows from what produced it, and the
same episode looks the same step by step or in one call.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray

Paint = Callable[[ndarray, int, ndarray], ndarray]  # pictures [T, h, w, 3] float32, seed, seconds [T] -> pictures

_BODY_RADIUS = 0.04  # of the picture's width
_BODY_COLOUR = (60.0, 90.0, 200.0)
_BODY_SPEED = 2.0  # radians a second of the fastest of the waves that it follows
_WAVES = 4  # gratings of a texture
_ROOM = np.float32(0.75)  # of the brightness of what is behind a texture, so that white does not swallow it
_DRIFT = 1.5  # radians a second, at most


@dataclass(frozen=True)
class Distractor:
    """A named change of pictures.

    Args:
      name: one of `DISTRACTORS`.

    Raises:
      ValueError: an unknown name.
    """

    name: str

    def __post_init__(self) -> None:
        if self.name not in DISTRACTORS:
            raise ValueError(f"there is no distractor {self.name!r}: choose from {', '.join(DISTRACTORS)}")

    def __call__(
        self, pictures: UInt8[ndarray, "T h w 3"], seed: int, seconds: Float[ndarray, "T"]
    ) -> UInt8[ndarray, "T h w 3"]:
        """Return the pictures of one episode with the distractor in them.

        Args:
          pictures: clean.
          seed: of the episode.
          seconds: time of each picture.
        """
        painted = DISTRACTORS[self.name](pictures.astype(np.float32), seed, seconds)
        return np.clip(np.rint(painted), 0, 255).astype(np.uint8)


def _body(pictures: ndarray, seed: int, seconds: ndarray) -> ndarray:
    """Draw a disc that wanders over the whole picture, in front of everything."""
    rng = np.random.default_rng(seed)
    rates, phases = rng.uniform(0.3, 1.0, (2, 3)) * _BODY_SPEED, rng.uniform(0, 2 * np.pi, (2, 3))
    waves = np.sin(seconds[:, None, None] * rates + phases).mean(axis=-1)  # [T, 2]
    place = 0.5 + np.clip(0.7 * waves, -0.45, 0.45)
    size = pictures.shape[1]
    grid = (np.arange(size) + 0.5) / size
    away = np.hypot(grid[None, None, :] - place[:, 0, None, None], grid[None, :, None] - place[:, 1, None, None])
    cover = np.clip((_BODY_RADIUS - away) * size + 0.5, 0, 1)[..., None].astype(np.float32)  # an antialiased edge
    return pictures * (1 - cover) + np.asarray(_BODY_COLOUR, np.float32) * cover


def _texture(amplitude: float) -> Paint:
    """Add gratings that drift, each at its own constant velocity."""

    def paint(pictures: ndarray, seed: int, seconds: ndarray) -> ndarray:
        rng = np.random.default_rng(seed)
        size = pictures.shape[1]
        grid = (np.arange(size) + 0.5) / size
        directions = rng.uniform(0, 2 * np.pi, _WAVES)
        lengths = 2 * np.pi * rng.uniform(1.0, 4.0, _WAVES)  # periods over the picture
        phases, drift = rng.uniform(0, 2 * np.pi, _WAVES), rng.uniform(-_DRIFT, _DRIFT, _WAVES)
        tints = rng.uniform(-1, 1, (_WAVES, 3))
        along = lengths[:, None, None] * (
            np.cos(directions)[:, None, None] * grid[None, None, :]
            + np.sin(directions)[:, None, None] * grid[None, :, None]
        )
        waves = np.sin(along[None] + (phases + seconds[:, None] * drift)[..., None, None])  # [T, W, h, w]
        added = np.einsum("twhx,wc->thxc", waves.astype(np.float32), tints.astype(np.float32))
        return _ROOM * pictures + np.float32(amplitude) * added

    return paint


def _light(pictures: ndarray, seed: int, seconds: ndarray) -> ndarray:
    """Make everything darker, by up to a third, and of another colour."""
    return pictures * np.random.default_rng(seed).uniform(0.67, 1.0, 3).astype(np.float32)


def _noise(pictures: ndarray, seed: int, seconds: ndarray) -> ndarray:
    """Add noise to each pixel of each picture."""
    found = np.empty_like(pictures)
    for index, (picture, second) in enumerate(zip(pictures, seconds, strict=True)):
        rng = np.random.default_rng([seed, int(round(1e6 * float(second)))])
        found[index] = picture + rng.normal(0, 20, picture.shape)
    return found


def _camera(pictures: ndarray, seed: int, seconds: ndarray) -> ndarray:
    """Move the camera by up to two pixels along each axis."""
    across, down = np.random.default_rng(seed).integers(-2, 3, 2)
    padded = np.pad(pictures, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="edge")
    height, width = pictures.shape[1:3]
    return padded[:, 2 + down : 2 + down + height, 2 + across : 2 + across + width]


DISTRACTORS: dict[str, Paint] = {
    "body": _body,
    "mild_texture": _texture(16.0),
    "strong_texture": _texture(38.0),
    "light": _light,
    "noise": _noise,
    "camera": _camera,
}


def seed_of(rng: np.random.Generator) -> int:
    """Return a seed that a generator's own seed determines, however much was drawn from it."""
    sequence = rng.bit_generator.seed_seq
    return int(sequence.generate_state(1, np.uint64)[0] % 2**63)
