"""Properties of what stands in the scene: walls and floors are solid, and what is not held falls."""

from __future__ import annotations

from dataclasses import replace

from .course import Course, Motion
from .quadruplet import Twins
from .sampling import Generator, body, gliding, screen, screen_path, sign
from .scene import HALF, Scene


def solidity_wall(rng: Generator, hidden: bool) -> Twins:
    """A body glides towards a wall, or through the place where none is."""
    which = body(rng)
    if which.shape == "cylinder":  # it would topple
        which = replace(which, shape="box")
    direction, event = sign(rng), int(rng.integers(11, 15))
    speed = rng.uniform(0.85, 1.1) if hidden else rng.uniform(0.55, 0.8)
    place = screen(rng, half_width=(0.36, 0.4)) if hidden else None
    x = rng.uniform(-0.1, 0.3) * direction if place is None else place[0] + rng.uniform(-0.02, 0.02)
    path = screen_path(0, None) if hidden else screen_path(None, 0)
    wall = x, rng.uniform(0.36, 0.44)
    start = gliding(which, x - direction * (HALF + which.half_width), event, direction * speed)
    with_wall, without = Scene(which, wall=wall, screen=place), Scene(which, screen=place)
    return Twins((Course(with_wall, start, screen=path), Course(without, start, screen=path)), event, "parts")


def solidity_floor(rng: Generator, hidden: bool) -> Twins:
    """A body falls onto a ledge, or through the place where none is."""
    which = body(rng)
    x, top = rng.uniform(-0.3, 0.3), rng.uniform(0.4, 0.6)
    half = rng.uniform(0.24, 0.32)
    place, path = None, screen_path(None, 0)
    height = rng.uniform(1.4, 1.7)
    if hidden:
        place = x + rng.uniform(-0.03, 0.03), half + 0.08, top + 2 * which.size + 0.1
        path = screen_path(0, int(rng.integers(17, 21)))
        height = rng.uniform(1.75, 1.95)
    start = Motion(x, height, climb=rng.uniform(-0.2, 0.1))
    ledge = x - half, x + half, top
    with_ledge, without = Scene(which, ledge=ledge, screen=place), Scene(which, screen=place)
    return Twins((Course(with_ledge, start, screen=path), Course(without, start, screen=path)), 12, "parts")


def support(rng: Generator, hidden: bool) -> Twins:
    """A body glides over the edge of a short ledge, or on along a long one."""
    which = body(rng)
    if which.shape == "cylinder":  # it would topple
        which = replace(which, shape="ball")
    direction, event, top = sign(rng), int(rng.integers(8, 12)), rng.uniform(0.5, 0.7)
    speed = rng.uniform(0.5, 0.7)
    edge = rng.uniform(-0.25, 0.0) if not hidden else rng.uniform(-0.3, -0.2)
    longer = edge + rng.uniform(0.8, 0.95) if not hidden else edge + 0.62
    place, path = None, screen_path(None, 0)
    if hidden:
        # It hides both edges, and the fall.
        place = direction * (edge + 0.31), 0.5, top + 2 * which.size + 0.06
        path = screen_path(0, int(rng.integers(21, 24)))
        speed = rng.uniform(0.38, 0.42)
    ends = [sorted((-direction * 1.6, direction * each)) for each in (edge, longer)]
    start = gliding(which, direction * edge, event, direction * speed, top)
    courses = [Course(Scene(which, ledge=(low, high, top), screen=place), start, screen=path) for low, high in ends]
    return Twins((courses[0], courses[1]), event, "parts")
