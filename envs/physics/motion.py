"""Properties of how bodies move: gravity, inertia, collision, and constant friction and mass."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from .course import FRAME_SECONDS, FRAMES, Course, Motion
from .quadruplet import Twins
from .sampling import Generator, behind, body, gliding, screen, screen_path, sign
from .scene import SLOPE, Body, Scene

GRAVITY = 3.0  # metres a second squared, of the model


def inertia(rng: Generator, hidden: bool) -> Twins:
    """A body that glides one way, and one that glides the other way or rests, in the same place at the event."""
    which = body(rng)
    event, direction = int(rng.integers(12, 17)), sign(rng)
    speed = rng.uniform(0.7, 1.0) if hidden else rng.uniform(0.45, 0.75)
    place = screen(rng) if hidden else None
    path = screen_path(0, None) if hidden else screen_path(None, 0)
    x = rng.uniform(-0.25, 0.25) if place is None else behind(rng, place, which.half_width, speed * FRAME_SECONDS)
    later = -direction * speed * rng.uniform(0.9, 1.1) if hidden or rng.random() < 0.5 else 0.0
    scene = Scene(which, screen=place)
    courses = [Course(scene, gliding(which, x, event, each), screen=path) for each in (direction * speed, later)]
    return Twins((courses[0], courses[1]), event)


def gravity(rng: Generator, hidden: bool) -> Twins:
    """A body on its way down, and one on its way up, in the same place at the event: in the air, or on a ramp."""
    which = body(rng, shape="ball") if rng.random() < 0.5 else body(rng)
    if rng.random() < 0.5:
        event = int(rng.integers(5, 8))
        seconds, speed = event * FRAME_SECONDS, rng.uniform(0.6, 0.9)
        height = rng.uniform(0.25, 0.4) + which.rest + speed * seconds + GRAVITY / 2 * seconds**2
        x = rng.uniform(-0.7, 0.7)
        courses = [
            Course(
                Scene(which),
                # `climb` at the start is that which leaves -speed or speed at the event.
                Motion(x, height - each * seconds - GRAVITY / 2 * seconds**2, climb=each + GRAVITY * seconds),
            )
            for each in (-speed, speed)
        ]
        return Twins((courses[0], courses[1]), event)
    direction, event = sign(rng), int(rng.integers(7, 11))
    foot = -direction * rng.uniform(0.4, 0.65)
    pull, seconds, speed = GRAVITY * math.sin(SLOPE), event * FRAME_SECONDS, rng.uniform(0.5, 0.75)
    lowest = rng.uniform(0.12, 0.3)
    along = lowest + max(0.0, speed * seconds + pull / 2 * seconds**2)
    courses = []
    for each in (-speed, speed):
        begin = along - each * seconds - pull / 2 * seconds**2
        courses.append(
            Course(
                Scene(which, ramp=(foot, direction)),
                on_ramp(which, foot, direction, begin, each + pull * seconds),
            )
        )
    return Twins((courses[0], courses[1]), event)


def collision(rng: Generator, hidden: bool) -> Twins:
    """A body that has just met another one, and two that rest side by side."""
    first = body(rng, sizes=(0.10, 0.12))
    second = replace(body(rng, shape="ball", sizes=(0.10, 0.12)), size=first.size)
    if first.shape == "cylinder":  # it would topple
        first = replace(first, shape="box")
    event, direction, speed = int(rng.integers(12, 16)), sign(rng), rng.uniform(0.75, 1.0)
    gap = first.half_width + second.half_width
    place = screen(rng, half_width=(0.42, 0.46)) if hidden else None
    if place is None:
        x, path = rng.uniform(-0.2, 0.2), screen_path(None, 0)
    else:
        x, path = place[0] + direction * gap / 2, screen_path(int(rng.integers(0, 2)), event + int(rng.integers(9, 13)))
    struck = Motion(x, second.rest)
    scene = Scene(first, second, screen=place)
    touching = x - direction * gap
    courses = (
        Course(scene, gliding(first, touching, event, direction * speed), struck, screen=path),
        Course(scene, Motion(touching - direction * 0.003, first.rest), struck, screen=path),
    )
    return Twins(courses, event)


def constancy(rng: Generator, hidden: bool) -> Twins:
    """A body that slides on with little friction or stops with much; or one that is pushed, light or heavy."""
    if not hidden and rng.random() < 0.5:
        return _pushed(rng)
    which = body(rng, shape="box", sizes=(0.11, 0.15))
    rough = replace(which, friction=rng.uniform(0.22, 0.3))
    event, direction = int(rng.integers(10, 14)), sign(rng)
    seconds = event * FRAME_SECONDS
    speed = rng.uniform(0.5, 0.6)
    place = screen(rng) if hidden else None
    path = screen_path(0, None) if hidden else screen_path(None, 0)
    # The rough one is a little before its stop at the event.
    x = rng.uniform(-0.15, 0.15) if place is None else place[0] - direction * rng.uniform(0.0, 0.06)
    pull = rough.friction * GRAVITY
    begin = x - direction * (speed * seconds + pull / 2 * seconds**2)
    courses = (
        Course(Scene(which, screen=place), gliding(which, x, event, direction * speed), screen=path),
        Course(
            Scene(rough, screen=place),
            Motion(begin, rough.rest, speed=direction * (speed + pull * seconds)),
            screen=path,
        ),
    )
    return Twins(courses, event, "state" if hidden else "physics")


def _pushed(rng: Generator) -> Twins:
    """A light box and a heavy one in front of the pusher, which is slowed down by friction."""
    light = replace(body(rng, shape="box", sizes=(0.12, 0.15)), friction=0.25)
    heavy = replace(light, mass=rng.uniform(4.5, 5.5))
    event, direction = int(rng.integers(11, 16)), sign(rng)
    actions = np.full((FRAMES - 1, 1), direction * rng.uniform(0.75, 0.9))
    begin = -direction * rng.uniform(0.7, 0.85)
    courses = [
        Course(
            Scene(which, pusher=True),
            Motion(begin + direction * (0.05 + which.half_width + 0.01), which.rest),
            pusher=begin,
            actions=actions,
        )
        for which in (light, heavy)
    ]
    return Twins((courses[0], courses[1]), event, "physics")


def on_ramp(which: Body, foot: float, direction: int, along: float, speed: float) -> Motion:
    """Motion on a ramp.

    Args:
      which: the body.
      foot: place of the ramp's foot.
      direction: in which it rises.
      along: metres from its foot, along the ramp.
      speed: metres a second, upwards along it.
    """
    x = foot + direction * (along * math.cos(SLOPE) - which.rest * math.sin(SLOPE))
    z = along * math.sin(SLOPE) + which.rest * math.cos(SLOPE)
    climb = speed * math.sin(SLOPE)
    return Motion(x, z, -direction * SLOPE, direction * speed * math.cos(SLOPE), climb)
