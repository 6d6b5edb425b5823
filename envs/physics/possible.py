"""Possible clips to learn from: the worlds of the tests without their impossible endings, and free play."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..streams import stream
from .course import FRAME_SECONDS, FRAMES, Clip, Course, Motion, roll_out
from .motion import on_ramp
from .properties import CASES, OCCLUDED, PROPERTIES
from .sampling import Generator, body, screen, screen_path, sign, waves
from .scene import Body, Scene

FREE_PLAY = 0.4  # share of the clips
# Shares of free play. In the worlds of the tests a body is on a ramp, or meets another one, in one clip of forty each:
# too few to learn what follows.
RAMPS, ENCOUNTERS = 0.25, 0.25


def possible(seed: int, number: int, source: str = "collect") -> Clip:
    """Return a possible clip, which depends on nothing but the arguments.

    Args:
      seed: of the clips.
      number: of the clip.
      source: random stream: `collect` to learn from, `validate` to judge with.
    """
    rng = np.random.default_rng([seed, stream(source), len(CASES), number])
    return roll_out(_course(rng))


def _course(rng: Generator) -> Course:
    if rng.random() < FREE_PLAY:
        kind = rng.random()
        return _ramp(rng) if kind < RAMPS else _encounter(rng) if kind < RAMPS + ENCOUNTERS else _free_play(rng)
    name, visibility = CASES[int(rng.integers(len(CASES)))]
    twins = PROPERTIES[name].draw(rng, visibility == OCCLUDED)
    return twins.courses[int(rng.integers(2))]


def _free_play(rng: Generator) -> Course:
    """Up to two bodies that are thrown, dropped or at rest among parts, a pusher that acts, a screen that moves."""
    first, second = (body(rng, sizes=(0.09, 0.17)) if rng.random() < chance else None for chance in (0.9, 0.5))
    parts = Scene(
        wall=(rng.uniform(-0.9, 0.9), rng.uniform(0.3, 0.5)) if rng.random() < 0.25 else None,
        ledge=_ledge(rng) if rng.random() < 0.25 else None,
        screen=screen(rng, (0.3, 0.5), (0.4, 1.0)) if rng.random() < 0.5 else None,
        pusher=rng.random() < 0.4,
    )
    place = rng.uniform(-0.6, 0.6)
    starts = [None if each is None else _thrown(rng, each, parts, side) for each, side in ((first, -1), (second, 1))]
    if parts.pusher:  # not where a body lies
        place = rng.uniform(-0.15, 0.15)
    path = screen_path(_maybe(rng, 0, 12), _maybe(rng, 14, 28))
    actions = waves(rng) if parts.pusher else np.zeros((FRAMES - 1, 1))
    return Course(replace(parts, first=first, second=second), starts[0], starts[1], place, path, actions)


def _ramp(rng: Generator) -> Course:
    """A body that goes up or down a ramp."""
    which, direction = body(rng, sizes=(0.09, 0.17)), sign(rng)
    foot = -direction * rng.uniform(0.3, 0.8)
    start = on_ramp(which, foot, direction, rng.uniform(0.1, 1.1), rng.uniform(-0.8, 1.6))
    return Course(Scene(which, ramp=(foot, direction)), start)


def _encounter(rng: Generator) -> Course:
    """A body that glides into another one, which rests or moves."""
    first, second = body(rng, sizes=(0.09, 0.15)), body(rng, sizes=(0.09, 0.15))
    if rng.random() < 0.5:
        second = replace(second, size=first.size)
    first, second = (replace(each, shape="box") if each.shape == "cylinder" else each for each in (first, second))
    direction, speed = sign(rng), rng.uniform(0.5, 1.1)
    other = 0.0 if rng.random() < 0.6 else rng.uniform(-0.5, 0.4)  # to the same side as the first one where positive
    place, seconds = rng.uniform(-0.5, 0.5), rng.uniform(3, 22) * FRAME_SECONDS  # where and when they meet
    motions = []
    for which, side, each in ((first, -1, speed), (second, 1, other)):
        motions.append(
            Motion(place + direction * (side * which.half_width - each * seconds), which.rest, speed=direction * each)
        )
    return Course(Scene(first, second), motions[0], motions[1])


def _thrown(rng: Generator, which: Body, parts: Scene, side: int) -> Motion:
    """Start of a body in its half of the picture, clear of what stands there."""
    for _ in range(50):
        x = side * rng.uniform(0.32, 1.2)
        z = which.rest if rng.random() < 0.5 else rng.uniform(which.rest, 1.6)
        clear = which.size + 0.06
        if parts.wall is not None and abs(x - parts.wall[0]) < clear and z < parts.wall[1] + clear:
            continue
        if parts.ledge is not None:
            low, high, top = parts.ledge
            if low - clear < x < high + clear and top - 0.06 - clear < z < top + clear:
                continue
        break
    speed = 0.0 if rng.random() < 0.3 else rng.uniform(0.3, 1.1) * sign(rng)
    if abs(x) > 1.0:
        speed = -side * rng.uniform(0.4, 1.1)
    climb = rng.uniform(-0.3, 1.2) if z > which.rest and rng.random() < 0.7 else 0.0
    return Motion(x, z, speed=speed, climb=climb)


def _ledge(rng: Generator) -> tuple[float, float, float]:
    left = rng.uniform(-1.4, 0.6)
    return left, left + rng.uniform(0.5, 1.4), rng.uniform(0.4, 0.8)


def _maybe(rng: Generator, low: int, high: int) -> int | None:
    return int(rng.integers(low, high)) if rng.random() < 0.6 else None
