"""Random bodies, starts and movements of the screen, shared by all properties."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from .course import FRAME_SECONDS, FRAMES, Motion
from .scene import COLOURS, SHAPES, Body

# Pictures in which the screen goes up, and down. It goes up faster, so that the largest change of pixels in a clip is
# at its beginning, which twins share: the size of a change says nothing about what is impossible.
RISE, FALL = 2, 5
_SIZES = (0.12, 0.165)  # metres

Generator = np.random.Generator


def body(rng: Generator, shape: str | None = None, sizes: tuple[float, float] = _SIZES) -> Body:
    """Draw a body that glides.

    Args:
      rng: consumed.
      shape: None: any.
      sizes: smallest and largest.
    """
    return Body(shape or _of(rng, SHAPES), rng.uniform(*sizes), _of(rng, list(COLOURS)))


def other(rng: Generator, values: list[str], than: str) -> str:
    """Draw one of the values that is not `than`."""
    return _of(rng, [each for each in values if each != than])


def sign(rng: Generator) -> int:
    """Draw -1 or 1."""
    return 1 if rng.random() < 0.5 else -1


def gliding(which: Body, x: float, event: int, speed: float, above: float = 0.0) -> Motion:
    """Motion of a body that is at `x` at the event and glides with a constant speed.

    Args:
      which: the body.
      x: its place at the event.
      event: picture.
      speed: metres a second, to the right.
      above: height of what it glides on.
    """
    return Motion(x - speed * event * FRAME_SECONDS, above + which.rest, speed=speed)


def screen_path(rise: int | None, fall: int | None) -> Float[ndarray, "T"]:
    """How far the screen is up in each picture.

    Args:
      rise: picture at which it begins to go up; None: it is up from the first one on. A test shows first what is behind
        the screen: else nothing that comes out of it would be impossible.
      fall: picture at which it begins to go down; None: never.
    """
    frames = np.arange(FRAMES)
    up = np.ones(FRAMES) if rise is None else np.clip((frames - rise) / RISE, 0.0, 1.0)
    down = np.zeros(FRAMES) if fall is None else np.clip((frames - fall) / FALL, 0.0, 1.0)
    return np.minimum(up, 1.0 - down)


def screen(
    rng: Generator, half_width: tuple[float, float] = (0.36, 0.44), height: tuple[float, float] = (0.5, 0.6)
) -> tuple[float, float, float]:
    """Draw the place, half width and height of a screen near the middle of the picture."""
    return rng.uniform(-0.25, 0.25), rng.uniform(*half_width), rng.uniform(*height)


def behind(rng: Generator, place: tuple[float, float, float], half_width: float, step: float) -> float:
    """Draw a place at which a body is hidden now, in the two pictures before, and in the next one.

    Args:
      rng: consumed.
      place: of the screen.
      half_width: of the body.
      step: metres that it moves from picture to picture.
    """
    room = max(0.0, place[1] - half_width - 2.2 * abs(step) - 0.02)
    return place[0] + rng.uniform(-room, room)


def waves(rng: Generator, frames: int = FRAMES - 1) -> Float[ndarray, "U 1"]:
    """Draw actions of the pusher that change every few pictures and keep it near its start."""
    found, place = np.zeros((frames, 1)), 0.0
    begin = 0
    while begin < frames:
        length = int(rng.integers(3, 7))
        value = rng.uniform(0.35, 1.0) * sign(rng)
        if abs(place + value * length * FRAME_SECONDS) > 0.3:
            value = -np.copysign(value, place)
        found[begin : begin + length] = value
        place += value * len(found[begin : begin + length]) * FRAME_SECONDS
        begin += length
    return found


def _of(rng: Generator, values: list[str] | tuple[str, ...]) -> str:
    return values[int(rng.integers(len(values)))]
