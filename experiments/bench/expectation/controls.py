"""What models are compared with: pixels that go on as they were, and the true state."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from envs.physics.course import STATE, predicted
from envs.physics.studio import Drawn

_STEPS = 2  # pictures that the true dynamics look ahead
_EQUAL = 0.02  # metres, or metres a second: difference that the soft contacts of the simulator make


@dataclass(frozen=True)
class PixelSurprise:
    """Mean squared difference of a picture from what the pictures before it lead to.

    Args:
      linear: whether the last change goes on; else nothing changes.
    """

    linear: bool = False

    def surprise(self, clips: Drawn) -> Float[ndarray, "C T"]:
        """Surprise at every picture; 0 at the first ones."""
        found = np.zeros(clips.pictures.shape[:2])
        for index, pictures in enumerate(clips.pictures.astype(np.float32) / 255):
            expected = pictures[1:-1] + np.diff(pictures[:-1], axis=0) if self.linear else pictures[1:-1]
            found[index, 2:] = np.mean(np.square(pictures[2:] - expected), axis=(1, 2, 3))
        return found


@dataclass(frozen=True)
class StateSurprise:
    """Difference of the true state from the state that the simulator predicts for the scene that is drawn."""

    def surprise(self, clips: Drawn) -> Float[ndarray, "C T"]:
        """Surprise at every picture; 0 at the first one."""
        found = np.zeros(clips.rows.shape[:2])
        for index, (rows, actions) in enumerate(zip(clips.rows, clips.actions, strict=True)):
            for moment in range(len(rows) - 1):
                later = predicted(rows[moment], actions[moment : moment + 1])
                away = np.abs(later[: STATE - 1] - rows[moment + 1, : STATE - 1])
                look = np.abs(rows[moment, STATE:] - rows[moment + 1, STATE:])
                found[index, moment + 1] = away.max() + look.max()
        return found
