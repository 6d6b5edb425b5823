"""Scene of a clip: two bodies, wall, ledge, ramp, screen and pusher, and the MuJoCo model of them.

A scene is a vector of numbers, too, so that datasets can hold it next to the state.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.resources import files

import mujoco
import numpy as np
from jaxtyping import Float
from numpy import ndarray

SHAPES = ("ball", "box", "cylinder")
COLOURS = {
    "red": (0.86, 0.16, 0.14),
    "green": (0.12, 0.66, 0.26),
    "blue": (0.15, 0.32, 0.88),
    "yellow": (0.95, 0.82, 0.12),
    "purple": (0.62, 0.20, 0.72),
    "cyan": (0.10, 0.75, 0.80),
}
CAMERA = "side"
SLOPE = 0.42  # radians, of the ramp
HALF = 0.045  # metres, half of the thickness of ledge, ramp and wall
AWAY = 4.0  # metres: where absent bodies and the absent pusher are, outside of the picture
_FAR = -20.0  # height of parts that are absent
_NAMES = ("first", "second")


@dataclass(frozen=True)
class Body:
    """A body: its look and its constants."""

    shape: str
    size: float  # metres: radius, half height
    colour: str
    friction: float = 0.0  # of sliding
    mass: float = 1.0  # kilograms

    @property
    def rest(self) -> float:
        """Height of its centre, standing on something."""
        return self.size

    @property
    def half_width(self) -> float:
        """Half of its width, in metres."""
        return self.size * (0.62 if self.shape == "cylinder" else 1.0)


@dataclass(frozen=True)
class Scene:
    """What is in a clip. Lengths in metres; None: absent."""

    first: Body | None = None
    second: Body | None = None
    wall: tuple[float, float] | None = None  # place and height
    ledge: tuple[float, float, float] | None = None  # left and right end, height of its top
    ramp: tuple[float, int] | None = None  # place of its foot, and the direction in which it rises: 1 right, -1 left
    screen: tuple[float, float, float] | None = None  # place, half width, and height when it is up
    pusher: bool = False

    @property
    def bodies(self) -> tuple[Body | None, Body | None]:
        """Both of them."""
        return self.first, self.second

    def vector(self) -> Float[ndarray, "L"]:
        """All of it as numbers, zeros for what is absent; `LOOK` names them."""
        found: list[float] = []
        for body in self.bodies:
            if body is None:
                found += [0.0] * 6
            else:
                shape, colour = SHAPES.index(body.shape), list(COLOURS).index(body.colour)
                found += [1.0, shape, body.size, colour, body.friction, body.mass]
        for part, size in ((self.wall, 2), (self.ledge, 3), (self.ramp, 2), (self.screen, 3)):
            found += [0.0] * (1 + size) if part is None else [1.0, *map(float, part)]
        return np.asarray([*found, float(self.pusher)])

    @classmethod
    def of_vector(cls, numbers: Float[ndarray, "L"]) -> Scene:
        """The scene that `vector` describes."""
        values = [float(each) for each in numbers]
        bodies = [_body(values[at : at + 6]) for at in (0, 6)]
        parts, at = list[tuple[float, ...] | None](), 12
        for size in (2, 3, 2, 3):
            parts.append(tuple(values[at + 1 : at + 1 + size]) if values[at] else None)
            at += 1 + size
        wall, ledge, ramp, screen = parts
        return cls(
            bodies[0],
            bodies[1],
            None if wall is None else (wall[0], wall[1]),
            None if ledge is None else (ledge[0], ledge[1], ledge[2]),
            None if ramp is None else (ramp[0], int(ramp[1])),
            None if screen is None else (screen[0], screen[1], screen[2]),
            bool(values[at]),
        )

    def seen_as(self, other: Scene) -> Scene:
        """This scene with the standing parts of another one."""
        return replace(self, wall=other.wall, ledge=other.ledge, ramp=other.ramp)


# What the numbers of `Scene.vector` are.
LOOK: tuple[str, ...] = (
    *(f"{name}_{what}" for name in _NAMES for what in ("present", "shape", "size", "colour", "friction", "mass")),
    *(f"wall_{what}" for what in ("present", "x", "height")),
    *(f"ledge_{what}" for what in ("present", "left", "right", "top")),
    *(f"ramp_{what}" for what in ("present", "foot", "direction")),
    *(f"screen_{what}" for what in ("present", "x", "half_width", "height")),
    "pusher_present",
)


def _body(values: list[float]) -> Body | None:
    present, shape, size, colour, friction, mass = values
    return Body(SHAPES[int(shape)], size, list(COLOURS)[int(colour)], friction, mass) if present else None


@lru_cache(maxsize=64)
def model_of(scene: Scene) -> mujoco.MjModel:
    """MuJoCo model of a scene. All scenes have the same joints, so a state of one is a state of any."""
    spec = mujoco.MjSpec.from_string(_text())
    for name, body in zip(_NAMES, scene.bodies, strict=True):
        if body is not None:
            _shape(spec.geom(name), body)
        else:
            spec.body(name).gravcomp = 1.0
            spec.geom(name).contype = spec.geom(name).conaffinity = 0
    if scene.first is None or scene.second is None:
        spec.delete(spec.pair("bodies"))
    wall, ledge, ramp, screen = (spec.geom(name) for name in ("wall", "ledge", "ramp", "screen"))
    _place(wall, None if scene.wall is None else (scene.wall[0], scene.wall[1] / 2))
    if scene.wall is not None:
        wall.size = [HALF, 0.3, scene.wall[1] / 2]
    _place(ledge, None if scene.ledge is None else (sum(scene.ledge[:2]) / 2, scene.ledge[2] - HALF))
    if scene.ledge is not None:
        ledge.size = [(scene.ledge[1] - scene.ledge[0]) / 2, 0.3, HALF]
    middle = None
    if scene.ramp is not None:
        foot, direction = scene.ramp
        along = math.cos(SLOPE) + HALF * math.sin(SLOPE), math.sin(SLOPE) - HALF * math.cos(SLOPE)
        middle = foot + direction * along[0], along[1]
        ramp.quat = [math.cos(SLOPE / 2), 0.0, -direction * math.sin(SLOPE / 2), 0.0]
    _place(ramp, middle)
    if scene.screen is not None:
        screen.size = [scene.screen[1], 0.01, scene.screen[2] / 2 + 0.15]
    return spec.compile()


def _place(geom: mujoco.MjsGeom, place: tuple[float, float] | None) -> None:
    """Put a part somewhere, or far below everything."""
    if place is None:
        geom.pos = [0.0, 0.0, _FAR]
        geom.contype = geom.conaffinity = 0
    else:
        geom.pos = [place[0], 0.0, place[1]]


def _shape(geom: mujoco.MjsGeom, body: Body) -> None:
    kinds = mujoco.mjtGeom
    if body.shape == "ball":
        geom.type, geom.size = kinds.mjGEOM_SPHERE, [body.size, 0.0, 0.0]
    elif body.shape == "box":
        geom.type, geom.size = kinds.mjGEOM_BOX, [body.size, 0.12, body.size]
    else:
        geom.type, geom.size = kinds.mjGEOM_CYLINDER, [body.half_width, body.size, 0.0]
    geom.rgba = [*COLOURS[body.colour], 1.0]
    geom.condim = 3 if body.friction else 1
    geom.friction = [body.friction, 0.001, 0.0001]
    geom.mass = body.mass


@lru_cache(maxsize=1)
def _text() -> str:
    return (files(__package__.rpartition(".")[0]) / "assets" / "physics.xml").read_text(encoding="utf-8")
