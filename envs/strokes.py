"""Pushes and counter-pushes: data with rest and motion for a robot without a script."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from .behaviours import OpenLoop


@dataclass(frozen=True)
class Strokes(OpenLoop):
    """Pushes and counter-pushes with rests between them, some strong and some gentle, for a robot without a script.

    A push of a random direction is followed by the same push the other way round, which stops what has inertia and
    little friction about where it then is, and by a rest: the actions nearest to zero. What moves as long as it is
    commanded goes there and back. So the data have motion and rest, fast and slow, at many places. Coloured noise alone
    has hardly any rest, and then the model does not know what it is to stand still at a goal.

    Attributes:
      longest: of a push, and of a rest, in steps.
      gentlest: the strength of an episode's pushes is drawn between this share of `scale` and `scale`, log-uniformly.
      scale: of the strongest pushes, as a share of the half range.
      noise: added to the actions, as a share of the push.
    """

    longest: int = 12
    gentlest: float = 0.05
    scale: float = 1.0
    noise: float = 0.1

    def __post_init__(self) -> None:
        if self.longest < 1 or not 0 < self.gentlest <= 1 or not self.scale > 0 or not self.noise >= 0:
            raise ValueError(
                f"strokes need longest from 1, gentlest in (0, 1], a positive scale and a noise from 0; got "
                f"longest={self.longest}, gentlest={self.gentlest}, scale={self.scale}, noise={self.noise}"
            )

    def actions(
        self, low: Float[ndarray, "A"], high: Float[ndarray, "A"], steps: int, rng: np.random.Generator
    ) -> Float[ndarray, "T A"]:
        """Return the actions of one episode, within the bounds."""
        rest, half = np.clip(0.0, low, high), (high - low) / 2
        strength = self.scale * self.gentlest ** rng.uniform()
        taken = np.tile(rest, (steps, 1))
        done = 0
        while done < steps:
            push, pause = int(rng.integers(1, self.longest + 1)), int(rng.integers(self.longest + 1))
            size = strength * rng.uniform(-1, 1, low.shape)
            for sign in (1, -1):
                rows = taken[done : done + push]
                rows += half * (sign * size + strength * self.noise * rng.standard_normal(rows.shape))
                done += push
            done += pause
        return np.clip(taken, low, high)

    def describe(self) -> dict[str, Any]:
        """Its name and parameters, as JSON."""
        return {"behaviour": "strokes", **asdict(self)}
