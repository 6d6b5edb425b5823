"""Properties of what the pusher does when it is asked to: it acts, at once, and in the direction it was asked for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from .course import FRAMES, Course, Motion
from .quadruplet import Twins
from .sampling import Generator, body, sign, waves
from .scene import Scene


def no_effect(rng: Generator, hidden: bool) -> Twins:
    """Actions, and none from the event on."""
    return _asked(rng, lambda actions, event: np.where(_after(event), 0.0, actions))


def delayed(rng: Generator, hidden: bool) -> Twins:
    """Actions, and the same ones some pictures later from the event on."""
    late = int(rng.integers(3, 5))
    return _asked(rng, lambda actions, event: np.where(_after(event), np.roll(actions, late, axis=0), actions))


def reversed_effect(rng: Generator, hidden: bool) -> Twins:
    """Actions, and their opposite from the event on."""
    return _asked(rng, lambda actions, event: np.where(_after(event), -actions, actions))


def _asked(rng: Generator, changed: Callable[[ndarray, int], ndarray]) -> Twins:
    """Two courses of the pusher, alone or next to a body, with different actions from the event on."""
    event = int(rng.integers(6, 15))
    actions = waves(rng)
    other: Float[ndarray, "U 1"] = changed(actions, event)
    which, place = None, rng.uniform(-0.35, 0.35)
    start = None
    if rng.random() < 0.5:
        which = body(rng)
        start = Motion(place + sign(rng) * rng.uniform(0.2, 0.45), which.rest)
        if abs(start.x - place) < which.half_width + 0.08:
            start = Motion(place + np.sign(start.x - place) * (which.half_width + 0.08), which.rest)
    scene = Scene(which, pusher=True)
    courses = [Course(scene, start, pusher=place, actions=each) for each in (actions, other)]
    return Twins((courses[0], courses[1]), event + 1, "actions")


def _after(event: int) -> ndarray:
    return (np.arange(FRAMES - 1) >= event)[:, None]
