"""The properties of the benchmark, and the clips of its tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from ..streams import stream
from . import agency, identity, motion, parts
from .quadruplet import Quadruplet, Twins

VISIBLE, OCCLUDED = "visible", "occluded"


@dataclass(frozen=True)
class Property:
    """A property of possible worlds.

    Args:
      draw: two possible courses, whose event is behind the screen if the second argument is true.
      visibilities: in which the property is tested.
      why: reason why it is not tested behind the screen, if it is not.
    """

    draw: Callable[[np.random.Generator, bool], Twins]
    visibilities: tuple[str, ...] = (VISIBLE, OCCLUDED)
    why: str = ""


_AGENCY = "an effect of an action that nobody sees is none"
PROPERTIES: Mapping[str, Property] = {
    "permanence": Property(identity.permanence),
    "colour": Property(identity.colour),
    "shape": Property(identity.shape),
    "size": Property(identity.size),
    "continuity": Property(identity.continuity),
    "solidity_wall": Property(parts.solidity_wall),
    "solidity_floor": Property(parts.solidity_floor),
    "gravity": Property(motion.gravity, (VISIBLE,), "hidden, its endings are those of solidity_floor and of inertia"),
    "support": Property(parts.support),
    "inertia": Property(motion.inertia),
    "collision": Property(motion.collision),
    "constancy": Property(motion.constancy),
    "agency_no_effect": Property(agency.no_effect, (VISIBLE,), _AGENCY),
    "agency_delayed": Property(agency.delayed, (VISIBLE,), _AGENCY),
    "agency_reversed": Property(agency.reversed_effect, (VISIBLE,), _AGENCY),
}
CASES: tuple[tuple[str, str], ...] = tuple(
    (name, visibility)
    for visibility in (VISIBLE, OCCLUDED)
    for name, each in PROPERTIES.items()
    if visibility in each.visibilities
)


def quadruplet(name: str, visibility: str, seed: int, number: int, source: str = "evaluate") -> Quadruplet:
    """Return the four clips of a number; each depends on nothing but the arguments.

    Args:
      name: of the property.
      visibility: `visible` or `occluded`.
      seed: of the clips.
      number: of the quadruplet.
      source: random stream, as `envs.streams` names them: `evaluate` for tests, `validate` to choose with. Neither has
        a start that training uses.

    Raises:
      ValueError: a property or visibility that does not exist.
    """
    case = (name, visibility)
    if case not in CASES:
        raise ValueError(f"there is no property {name!r} with visibility {visibility!r}: choose from {_listed()}")
    rng = np.random.default_rng([seed, stream(source), CASES.index(case), number])
    return PROPERTIES[name].draw(rng, visibility == OCCLUDED).quadruplet()


def _listed() -> str:
    return ", ".join(f"{name} ({'/'.join(each.visibilities)})" for name, each in PROPERTIES.items())
