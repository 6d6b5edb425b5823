"""Properties of what a body is: it stays there, keeps colour, shape and size, and does not jump.

Each function draws two possible courses whose endings can be exchanged at the event, in view or behind the screen.
"""

from __future__ import annotations

from dataclasses import replace

from .course import FRAME_SECONDS, Course, Motion
from .quadruplet import Twins
from .sampling import Generator, behind, body, gliding, other, screen, screen_path, sign
from .scene import COLOURS, SHAPES, Body, Scene


def permanence(rng: Generator, hidden: bool) -> Twins:
    """A body is there, or it is not."""
    return _exchanged(rng, hidden, body(rng), None)


def colour(rng: Generator, hidden: bool) -> Twins:
    """Two bodies that differ in colour."""
    one = body(rng)
    return _exchanged(rng, hidden, one, replace(one, colour=other(rng, list(COLOURS), one.colour)))


def shape(rng: Generator, hidden: bool) -> Twins:
    """Two bodies that differ in shape."""
    one = body(rng, sizes=(0.13, 0.16))
    return _exchanged(rng, hidden, one, replace(one, shape=other(rng, list(SHAPES), one.shape)))


def size(rng: Generator, hidden: bool) -> Twins:
    """A small body and a large one."""
    small = body(rng, sizes=(0.09, 0.11))
    return _exchanged(rng, hidden, small, replace(small, size=rng.uniform(0.155, 0.175)))


def continuity(rng: Generator, hidden: bool) -> Twins:
    """The same body in two places, between which it does not move."""
    which = body(rng, sizes=(0.10, 0.13))
    event = int(rng.integers(11, 17))
    if hidden:
        place = screen(rng, half_width=(0.42, 0.48))
        away = place[1] - which.half_width - 0.03
        left, right = (place[0] + side * away * rng.uniform(0.75, 1.0) for side in (-1, 1))
        scene = Scene(which, screen=place)
        path = screen_path(int(rng.integers(2, 6)), event + int(rng.integers(2, 5)))
        courses = [Course(scene, Motion(x, which.rest), screen=path) for x in (left, right)]
    else:
        speed = rng.uniform(0.3, 0.7) * sign(rng) if rng.random() < 0.7 else 0.0
        left = rng.uniform(-0.75, 0.1)
        right = left + rng.uniform(0.4, 0.65)
        courses = [Course(Scene(which), gliding(which, x, event, speed)) for x in (left, right)]
    return Twins((courses[0], courses[1]), event)


def _exchanged(rng: Generator, hidden: bool, one: Body, two: Body | None) -> Twins:
    """Two bodies, or a body and none, in the same place: at rest, or gliding through the picture."""
    event = int(rng.integers(11, 17))
    resting = rng.random() < 0.5
    widest = max(which.half_width for which in (one, two) if which is not None)
    path, place = screen_path(None, 0), None
    speed = 0.0 if resting else rng.uniform(0.7, 1.1) * sign(rng)
    if hidden:
        place = screen(rng)
        if resting:
            path = screen_path(int(rng.integers(2, 6)), event + int(rng.integers(2, 5)))
        else:
            path = screen_path(0, None)
        x = behind(rng, place, widest, speed * FRAME_SECONDS)
    else:
        speed *= 0.7
        x = rng.uniform(-0.45, 0.45)
    courses = [
        Course(Scene(which, screen=place), None if which is None else gliding(which, x, event, speed), screen=path)
        for which in (one, two)
    ]
    return Twins((courses[0], courses[1]), event)
