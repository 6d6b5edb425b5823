"""The record of an executed episode, for display.

Plain NumPy and plain Python, so that a page can be drawn without JAX, a simulator or the run that made it.
"""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from numpy import ndarray


@dataclass(frozen=True, eq=False)
class EpisodeRecord:
    """One executed episode of `T` environment steps.

    Keypoints are seen from above in metres, and None in a task without such a view, where the achieved
    goal replaces them.

    `imagined` holds the model's predicted plans: the environment step of planning, and the positions decoded from its
    latents, starting with the plan's initial position.
    """

    policy: str
    success: bool
    keypoints: Float[ndarray, "T+1 J 2"] | None
    goal_keypoints: Float[ndarray, "J 2"] | None
    states: Float[ndarray, "T+1 S"]
    goal: Float[ndarray, "G"]
    imagined: tuple[tuple[int, Float[ndarray, "H+1 2"]], ...] = ()
    achieved: Float[ndarray, "T+1 G"] | None = None  # where there are no keypoints

    @property
    def path(self) -> Float[ndarray, "T+1 2"]:
        """Positions of the keypoint that represents the body: the last one."""
        assert self.keypoints is not None
        return self.keypoints[:, -1]

    @property
    def steps(self) -> int:
        """Number T of executed actions."""
        return len(self.states) - 1
